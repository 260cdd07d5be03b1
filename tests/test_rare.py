"""What few programs use: memory seen through strides, views as copies, pooling at random places."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_like as ours
from tests.test_spellings import lines, run

torch = pytest.importorskip("torch")

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


@settings(max_examples=60, database=None, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=3),
    st.integers(0, 4),
    st.sampled_from(["whole", "turned", "part"]),
)
def test_any_strides_give_the_same_values_and_gradients(pairs, offset, source):
    size, stride = [n for n, _ in pairs], [s for _, s in pairs]
    found = []
    for t in (ours, torch):
        x = t.arange(30.0, dtype=t.float64).reshape(5, 6).requires_grad_()
        base = x * 1
        seen = {"whole": base, "turned": base.t(), "part": base[1:, ::2]}[source]
        out = t.as_strided(seen, size, stride, offset)
        weights = t.arange(1.0, out.numel() + 1, dtype=t.float64).reshape(out.shape)
        (out * out * weights).sum().backward()
        found.append([out.detach().numpy(), x.grad.numpy()])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


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


# ----- Points in boxes, and matrices of low rank --------------------------------------------------


@lines("""
t.histogramdd(m.t(), [2, 3])
t.histogramdd(m.t(), 2)
t.histogramdd(m, [2, 1, 2], range=[0.0, 3.0, 0.0, 5.0, 2.0, 4.0])
t.histogramdd(m.t(), [2, 3], weight=v[:3], density=True)
t.histogramdd(m.t(), (t.tensor([0.0, 1.0, 4.0]), t.tensor([3.0, 5.0])))
t.histogramdd(t.ones(4, 2), [2, 2])
t.histogramdd(m.t().double(), 3).hist
t.histogramdd(m, [2, 2])
t.histogramdd(m.int(), [2, 2, 2])
t.svd_lowrank(m)[1][:2]
t.svd_lowrank(m.t(), 2)[1]
t.svd_lowrank(q, 1, 3)[1]
t.svd_lowrank(m, 1, M=t.ones(3))[1]
t.svd_lowrank(m, 1)[0].abs()
t.svd_lowrank(m, 1)[2].abs()
t.pca_lowrank(m, 1)[1]
t.pca_lowrank(m, 2, center=False)[1]
t.pca_lowrank(q, 2)[1][..., :1]
t.pca_lowrank(m, 3)
t.pca_lowrank(m, -1)
t.pca_lowrank(m, 1, niter=-1)
""")
def test_boxes_and_low_rank(line):
    run(line)
