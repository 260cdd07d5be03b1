"""Every way to call the same thing, held to PyTorch: methods, in-place forms, aliases, old names."""

import numpy as np
import pytest

import tinygrad_like as ours
from tests.both import compare

torch = pytest.importorskip("torch")


def lines(table):
    """Return a test that runs every line of a table with both."""
    return pytest.mark.parametrize(
        "line", [line.strip() for line in table.strip().splitlines() if line.strip()]
    )


def run(line):
    """Compare what a line, expressions between semicolons, gives with both, and what it leaves."""

    def call(t):
        t.manual_seed(0)
        names = {
            "t": t,
            "F": t.nn.functional,
            "v": t.arange(6.0),
            "m": t.arange(6.0).reshape(2, 3),
            "k": t.arange(8.0).reshape(1, 2, 4),
            "i": t.tensor([0, 2]),
            "q": t.arange(24.0).reshape(1, 2, 3, 4) / 7,
            "leaf": t.ones(3, requires_grad=True),
        }
        *first, last = line.split(";")
        for part in first:
            exec(part.strip(), names)
        return [eval(last, names), names["v"], names["m"]]

    compare(call)


# ----- Strides and memory -------------------------------------------------------------------------


@lines("""
t.as_strided(v, (2, 2), (1, 2))
t.as_strided(v, (2,), (2,), 1)
t.as_strided(v, size=(2,), stride=(2,), storage_offset=1)
v.as_strided((3, 2), (2, 1))
v[1:].as_strided((2,), (1,))
v[1:].as_strided((2,), (1,), 0)
m.t().as_strided((2, 2), (1, 3))
t.as_strided(v, (2,), (9,))
t.as_strided(v, (2,), (1,), 5)
t.as_strided(v, (2, 2), (1,))
t.as_strided(v, (2,), (-1,), 3)
t.as_strided(v, (-2,), (1,))
t.as_strided(v, (2,), (1,), -1)
t.as_strided(v, (0, 2), (1, 1)).shape
t.as_strided(3, (2,), (1,))
v.as_strided((2,), (2,)).fill_(9)
v.as_strided((2, 2), (1, 2)).mul_(2)
v.as_strided_((2, 2), (1, 2))
t.as_strided_(v, (2,), (1,), 3).add_(1)
t.as_strided_scatter(v, t.ones(2), (2,), (2,))
v.as_strided_scatter(t.ones(2), (2,), (2,), 1)
v.as_strided_scatter(t.ones(3), (2,), (2,), 1)
m.t().as_strided_scatter(t.ones(2), (2,), (2,))
v.as_strided((2, 2), (1, 2)).stride()
v.as_strided((2, 2), (1, 2), 1).storage_offset()
v[2:].storage_offset()
m.t().stride()
m.t().stride(0)
m.t().is_contiguous()
m[:, 1:].is_contiguous()
m.t().contiguous().stride()
v[2:].data_ptr() - v.data_ptr()
v.data_ptr() == v.view(2, 3).data_ptr()
v.is_set_to(v.view(6))
v.is_set_to(v.view(2, 3))
v.is_set_to(v.clone())
m.dim_order()
m.t().dim_order()
q.permute(0, 2, 3, 1).dim_order()
v.resize_(2, 2)
v.resize_((2,))
v.resize_(3, 1).add_(1)
v.resize_(0).shape
v.resize_(3).resize_(6)
v.clone().resize_(2, 4).shape
v.clone().resize_(2, 4)[0]
v.resize_(-1)
v[2:].resize_(2)
v[4:].clone().resize_(4).shape
m.t().resize_(2)
leaf.resize_(2)
t.resize_as_(v, t.ones(2, 2))
v.resize_as_(m)
v.set_(m).add_(1)
v.set_(m, 1, (2,), (2,))
v.set_(m, 1, (2,))
v.set_()
v.set_(t.ones(2, dtype=t.int64))
v.new_empty_strided((2, 3), (1, 2)).stride()
v.new_empty_strided((2, 3), (1, 2), dtype=t.int8).dtype
t.empty_permuted((2, 3), (1, 0)).stride()
t.empty_permuted((2, 3, 4), (0, 2, 1), dtype=t.float64).stride()
t.empty_permuted((2, 3), (1, 1))
t.empty_permuted((2, 3), (0,))
v.apply_(lambda a: a + 1)
m.t().apply_(lambda a: a * a)
leaf.apply_(lambda a: a)
v.map_(t.ones(6), lambda a, b: a - b)
m.map_(t.ones(3), lambda a, b: a - b)
v.map_(t.ones(4), lambda a, b: a - b)
v.map_(leaf, lambda a, b: a - b)
v.map2_(t.ones(6), t.ones(1), lambda a, b, c: a - b - c)
""")
def test_strides_and_memory(line):
    run(line)


def test_a_write_through_strides_reaches_the_base_and_its_gradient():
    found = []
    for t in (ours, torch):
        x = t.arange(6.0, requires_grad=True)
        y = x * 2
        y.as_strided((2, 2), (1, 2), 1).mul_(y[:4].reshape(2, 2).clone())
        (y * y).sum().backward()
        found.append(x.grad.numpy())
    np.testing.assert_allclose(*found, 1e-6)


def test_gradient_of_what_takes_the_place_of_a_strided_region():
    from tinygrad_like.autograd import gradcheck

    x = ours.rand(3, 4, dtype=ours.float64, requires_grad=True)
    y = ours.rand(2, 2, dtype=ours.float64, requires_grad=True)
    assert gradcheck(lambda x, y: ours.as_strided_scatter(x, y, (2, 2), (4, 2), 1), (x, y))


def test_resizing_keeps_memory_shared():
    base = ours.arange(6.0)
    view = base[:]
    assert base.resize_(2, 2) is base
    base[0, 0] = 9
    assert view.tolist() == [9, 1, 2, 3, 4, 5]


def test_a_tensor_set_to_another_shares_its_memory():
    a, b = ours.zeros(2), ours.ones(3)
    a.set_(b)
    a[0] = 5
    assert b.tolist() == [5, 1, 1]


def test_a_strided_view_is_on_the_clock():
    x = ours.ones(4, requires_grad=True)
    y = x * 1
    z = (y * y).sum()
    y.detach().as_strided((2,), (2,)).zero_()
    with pytest.raises(RuntimeError, match="inplace"):
        z.backward()


# ----- Views as copies ----------------------------------------------------------------------------


@lines("""
t.alias_copy(v)
t.detach_copy(leaf)
t.diagonal_copy(m, 1)
t.diagonal_copy(m, dim1=1, dim2=0)
t.expand_copy(v, (2, 6))
t.narrow_copy(v, 0, 1, 2)
v.narrow_copy(0, start=1, length=2)
t.permute_copy(m, (1, 0))
t.select_copy(m, 1, 2)
t.slice_copy(v, 0, 1, 5, 2)
t.slice_copy(m, 1)
t.slice_copy(m, dim=-1, end=2)
t.split_copy(v, 4)
t.split_copy(m, 2, dim=1)
t.split_with_sizes_copy(v, [2, 4])
t.squeeze_copy(k)
t.squeeze_copy(k, 0)
t.squeeze_copy(k, (0, 1))
t.t_copy(m)
t.transpose_copy(m, 0, 1)
t.unbind_copy(m)
t.unbind_copy(m, 1)
t.unfold_copy(v, 0, 3, 2)
t.unsqueeze_copy(v, 1)
t.view_copy(v, (2, 3))
t.view_copy(v, t.int32)
t.t_copy(m).is_contiguous()
t.permute_copy(m, (1, 0)).fill_(1)
t.alias_copy(leaf).requires_grad
t.unsafe_chunk(v, 4)
v.unsafe_chunk(2, 0)
t.unsafe_split(v, 4)
v.unsafe_split(2)
t.unsafe_split_with_sizes(v, [2, 4])
v.unsafe_split_with_sizes([2, 4], 0)
""")
def test_copies_of_views(line):
    run(line)


# ----- Functions that write -----------------------------------------------------------------------


@lines("""
t.dropout_(v, 0.5, True)
t.dropout_(v, 0.5, False)
t.dropout_(v, 1.5, True)
t.alpha_dropout_(v, 0.5, True)
t.feature_dropout(k, 0.5, True)
t.feature_dropout(v, 0.5, True)
t.feature_dropout(k, p=0.5, train=False)
t.feature_dropout_(m, 0.5, True)
t.feature_alpha_dropout_(m, 0.5, True)
t.dropout_(leaf, 0.5, True)
t.gcd_(i, t.tensor([4, 4]))
t.lcm_(i, i + 1)
t.ldexp_(v, t.tensor(2))
t.relu_(m - 2)
t.abs_(-m)
t.clamp_(m, 1, 2)
t.neg_(3)
t.gcd_(3, i)
t.neg_(v)
""")
def test_functions_that_write(line):
    run(line)


# ----- Other arguments at the package's top -------------------------------------------------------


@lines("""
t.constant_pad_nd(v, (1, 2))
t.constant_pad_nd(m, (0, 1, 1, 0), value=3)
t.constant_pad_nd(m, (-1, 0))
t.affine_grid_generator(t.ones(1, 2, 3), (1, 1, 2, 2), True)
t.grid_sampler(q, t.zeros(1, 2, 2, 2) + 0.1, 0, 0, False)
t.grid_sampler(q, t.zeros(1, 2, 2, 2) + 0.9, 1, 1, True)
t.grid_sampler_2d(q, t.zeros(1, 2, 2, 2) + 1.3, 2, 2, True)
t.max_pool1d_with_indices(k, 2)
t.max_pool1d_with_indices(k, 3, 1, 1, ceil_mode=True)
t.norm_except_dim(m, 2, 0)
t.norm_except_dim(m, dim=1)
t.norm_except_dim(m, 3, -1)
t.nonzero_static(v, size=3)
m.nonzero_static(size=7, fill_value=-5)
t.nonzero_static(m, size=0)
t.nonzero_static(m, size=-1)
t.convolution(k, t.ones(3, 2, 2), None, (1,), (0,), (1,), False, (0,), 1)
t.convolution(k, t.ones(2, 3, 2), t.ones(3), (2,), (1,), (1,), True, (1,), 1)
t.convolution(q, t.ones(2, 1, 2, 2), None, (1, 1), (0, 0), (1, 1), False, (0, 0), 2)
t.conv_tbc(t.ones(5, 2, 3), t.ones(2, 3, 4), t.ones(4), 1)
t.resolve_neg(v)
t.embedding_bag(m.t(), i, t.tensor([0, 1]))[0]
t.embedding_bag(m.t(), i, t.tensor([0, 1, 1]), False, 1)
t.embedding_bag(m.t(), i, t.tensor([0, 1, 1]), mode=2)
t.embedding_bag(m.t(), i, t.tensor([0, 1]), False, 0, False, t.ones(2))[0]
t.embedding_bag(m.t(), i, t.tensor([0, 2]), mode=1, include_last_offset=True)[0]
t.embedding_bag(m.t(), i, t.tensor([0, 1]), False, 1, False, None, False, 2)[0]
t.embedding_bag(m.t(), i, t.tensor([0, 1]), False, 3)
t.poisson(v)
t.poisson(v * 20)
t.poisson(v.double())
t.poisson(v.half())
t.poisson(-v)
t.poisson(i)
t.poisson(v, generator=t.Generator().manual_seed(3))
t.binomial(t.full((6,), 4.0), v / 6)
t.binomial(t.full((6,), 400.0), v / 6)
t.binomial(t.full((6,), 90.0).double(), v.double() / 5)
t.binomial(t.tensor([5.0]), m / 6)
t.binomial(t.full((6,), 4), v / 6)
t.binomial(v, v.double())
""")
def test_other_arguments_at_the_top(line):
    run(line)


# ----- Pooling at random places -------------------------------------------------------------------


@lines("""
F.fractional_max_pool2d(q, 2, (2, 3))
F.fractional_max_pool2d(q, 2, 2, return_indices=True)
F.fractional_max_pool2d(q[0], (1, 2), output_size=(2, 2))
F.fractional_max_pool2d(q, 1, output_ratio=(0.7, 0.5))
F.fractional_max_pool2d(q, 2, 2, _random_samples=t.full((1, 2, 2), 0.3))
F.fractional_max_pool2d(q, 2)
F.fractional_max_pool2d(q, 4, 2)
F.fractional_max_pool2d(v, 2, 2)
F.fractional_max_pool2d_with_indices(q, 2, 2)
F.fractional_max_pool3d(q, 1, (1, 2, 3))
F.fractional_max_pool3d(t.rand(2, 3, 5, 6, 7), 2, (2, 3, 4))
F.fractional_max_pool3d(t.rand(2, 3, 5, 6, 7), (1, 2, 3), output_ratio=(0.5, 0.5, 0.5))
F.fractional_max_pool3d(t.rand(2, 3, 5, 6, 7).double(), 2, 3, return_indices=True)
F.fractional_max_pool3d(q, 2, 2)
F.fractional_max_pool3d(q, 2)
F.fractional_max_pool2d(q, 2, 2); t.rand(2)
""")
def test_pooling_at_random_places(line):
    run(line)


# ----- Other names of arguments -------------------------------------------------------------------


@lines("""
t.cat((m, m), axis=1)
t.concat((m, m), axis=1)
t.concatenate(tensors=(m, m), axis=-1)
t.stack((m, m), axis=1)
t.stack(tensors=[m], axis=0, out=t.empty(0))
t.softmax(m, axis=0)
t.log_softmax(m, axis=0)
m.softmax(axis=1)
m.log_softmax(axis=1)
m.sum(axis=0, keepdims=True)
m.amax(axis=1, keepdims=True)
t.amin(m, axis=(0, 1))
t.aminmax(m, axis=0)
m.argsort(axis=0)
t.argmax(m, axis=0, keepdims=True)
m.sort(axis=0, descending=True)
t.sort(m, axis=0)
m.topk(1, axis=0)
m.chunk(2, axis=1)
t.count_nonzero(m, axis=0)
t.cumsum(m, axis=1)
m.cumprod(axis=0)
m.cummax(axis=0)
t.diff(m, axis=0)
t.gather(m, axis=0, index=i.view(1, 2) * 0)
m.index_select(axis=1, index=i)
t.index_add(m, axis=1, index=i, source=m[:, :2])
m.index_fill(axis=1, index=i, value=3)
t.kthvalue(m, 2, axis=1, keepdims=True)
m.logsumexp(axis=1)
m.median(axis=0)
t.mode(m, axis=0)
m.nanmean(axis=0)
m.nansum(axis=0, keepdims=True)
m.narrow(axis=1, start=0, length=2)
t.quantile(m, 0.5, axis=0, keepdims=True)
m.repeat_interleave(2, axis=0)
m.scatter(axis=1, index=t.tensor([[0], [1]]), value=9)
m.select(axis=1, index=0)
t.select_scatter(m, v[:2], axis=1, index=0)
k.squeeze(axis=0)
v.unsqueeze(axis=1)
t.unsqueeze(v, axis=0)
m.unbind(axis=1)
t.unflatten(m, axis=1, sizes=(3, 1))
t.all(m, axis=1, keepdims=True)
m.any(axis=0, keepdims=True)
m.mean(axis=0, keepdims=True)
m.prod(axis=0, keepdims=True)
t.std(m, axis=0, keepdims=True)
m.var(axis=0, keepdims=True)
m.argmin(axis=0, keepdims=True)
m.size(axis=1)
m.stride(axis=0)
t.std(m, axis=0)
t.std_mean(m, axis=0, keepdims=True)
t.var_mean(m, axis=0)
t.trapezoid(m, axis=0)
t.take_along_dim(m, i.view(1, 2) * 0, axis=0)
t.renorm(m, p=2, axis=0, maxnorm=1)
t.cross(t.ones(2, 3), m, axis=1)
t.cosine_similarity(m, m + 1, axis=1)
t.linalg.norm(m, axis=1, keepdims=True)
t.linalg.vector_norm(m, axis=0)
t.linalg.matrix_norm(m, axis=(0, 1))
t.linalg.vecdot(m, m, axis=0)
t.special.logsumexp(m, axis=0)
t.special.softmax(m, axis=0)
t.flip(m, dims=(0,))
t.flip(m, dims=[0, 1])
m.flip(dims=(1,))
m.permute(dims=(1, 0))
m.reshape(shape=(3, 2))
m.view(size=(3, 2))
v.expand(size=(2, 6))
v.expand(size=(2, 6), implicit=False)
v.broadcast_to(size=(2, 6))
t.broadcast_to(v, size=(2, 6))
m.repeat(repeats=(2, 1))
m.tile(dims=(2, 1))
m.sum_to_size(size=(1, 3))
v.split(split_size=2)
v.split(split_size=[2, 4], dim=0)
t.tensor_split(v, sections=4)
t.tensor_split(v, indices=(1, 3), dim=0)
v.tensor_split(indices=[2])
v.tensor_split(tensor_indices_or_sections=t.tensor(3))
t.dot(v, tensor=v)
v.dot(tensor=v)
t.cholesky_inverse(input=t.eye(2))
t.cholesky_solve(input=t.ones(2, 1), input2=t.eye(2))
t.cat((m, m), axes=1)
t.cat(axis=1)
t.unsqueeze(v)
v.unsqueeze()
t.gather(m, 0)
t.gather(m, index=i)
m.softmax(axes=0)
v.squeeze(0, axis=0, axes=1)
t.sort(m, 0, axis=1, reverse=True)
F.softmax(m, axis=0)
""")
def test_other_names_of_arguments(line):
    run(line)


def test_other_names_reach_what_has_them():
    from tinygrad_like import keywords

    homes = {"torch": ours, "Tensor": ours.Tensor, "linalg": ours.linalg, "special": ours.special}
    for home, table in keywords.OTHERS.items():
        for name in table:
            function = getattr(homes[home], name)
            assert function.__wrapped__ is keywords.PLAIN[home, name]


def test_a_call_by_another_name_is_recorded_at_the_users_line():
    from tinygrad_like.lines import describe

    x = ours.ones(2, 3, requires_grad=True)
    for y in (x.softmax(axis=1), ours.cat((x, x), axis=1), ours.exp(x), x.unsqueeze(0)):
        assert describe(y.grad_fn.line).startswith(__file__)
