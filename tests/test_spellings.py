"""Every way to call the same thing, held to PyTorch: methods, in-place forms, aliases, old names."""

import ast
import re

import pytest

import tinygrad_like as ours
from tests import test_out
from tests.both import compare

torch = pytest.importorskip("torch")


def lines(table):
    """Return a test that runs every line of a table with both."""
    return pytest.mark.parametrize(
        "line", [line.strip() for line in table.strip().splitlines() if line.strip()]
    )


def operands(t):
    """Return what the lines speak of."""
    return {
        "t": t,
        "F": t.nn.functional,
        "v": t.arange(6.0),
        "m": t.arange(6.0).reshape(2, 3),
        "k": t.arange(8.0).reshape(1, 2, 4),
        "i": t.tensor([0, 2]),
        "q": t.arange(24.0).reshape(1, 2, 3, 4) / 7,
        "leaf": t.ones(3, requires_grad=True),
    }


def run(line, known=operands):
    """Compare what a line, expressions between semicolons, gives with both, and what it leaves."""

    def call(t):
        t.manual_seed(0)
        names = known(t)
        *first, last = line.split(";")
        for part in first:
            exec(part.strip(), names)
        return [eval(last.strip(), names), *(names[n] for n in ("v", "m", "u") if n in names)]

    compare(call)


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
            source = function.__wrapped__  # or what says that it takes ``out``, too
            assert keywords.PLAIN[home, name] in (source, getattr(source, "__wrapped__", None))


def test_a_call_by_another_name_is_recorded_at_the_users_line():
    from tinygrad_like.lines import describe

    x = ours.ones(2, 3, requires_grad=True)
    for y in (x.softmax(axis=1), ours.cat((x, x), axis=1), ours.exp(x), x.unsqueeze(0)):
        assert describe(y.grad_fn.line).startswith(__file__)


# ----- Functions as methods, and in place ---------------------------------------------------------

# What takes no out=; `tests/test_out.py` lists the others.
WITHOUT_OUT = """
t.adjoint(m)
t.argsort(m, 1)
t.argwhere(m)
t.as_strided(v, (2, 2), (1, 2))
t.bincount(i)
t.block_diag(m, m)
t.broadcast_to(v, (2, 6))
t.cdist(m, m)
t.celu(m)
t.chunk(v, 4)
t.clone(m)
t.corrcoef(m)
t.count_nonzero(m, 1)
t.cov(m)
t.cumulative_trapezoid(m)
t.det(t.eye(3) + 1)
t.detach(m)
t.diag_embed(m)
t.diagflat(v)
t.diagonal(m, 1)
t.diagonal_scatter(m, i.float(), 0)
t.dist(m, m + 1)
t.dsplit(q[0], 2)
t.equal(m, m)
t.expand_copy(v, (2, 6))
t.feature_alpha_dropout(k, 0.5, False)
t.fill(m, 3)
t.flatten(q, 1)
t.flip(m, (0,))
t.fliplr(m)
t.flipud(m)
t.hardshrink(m)
t.hsplit(v, 3)
t.index_fill(m, 1, i, 3.0)
t.index_put(v, (i,), t.ones(2))
t.isclose(m, m + 1e-9)
t.isfinite(m)
t.isinf(m)
t.isnan(m)
t.isreal(m)
t.logdet(t.eye(3) + 1)
t.masked_fill(m, m > 2, 0.0)
t.masked_scatter(m, m > 2, v)
t.matrix_exp(m[:, :2])
t.moveaxis(q, 0, 1)
t.movedim(q, 0, 1)
t.narrow(v, 0, 1, 2)
t.negative(m)
t.numel(m)
t.permute(m, (1, 0))
t.pinverse(m)
t.positive(m)
t.prelu(m, t.ones(1))
t.put(v, i, t.ones(2))
t.rad2deg(m)
t.ravel(m)
t.relu(m - 2)
t.repeat_interleave(m, 2)
t.reshape(m, (3, 2))
t.roll(m, 1, 0)
t.rot90(m)
t.select(m, 1, 0)
t.select_scatter(m, v[:2], 1, 0)
t.slice_scatter(v, t.ones(2), 0, 1, 3)
t.split(v, 4)
t.split_with_sizes(v, [2, 4])
t.squeeze(k)
t.std_mean(m, 1)
t.swapaxes(m, 0, 1)
t.swapdims(m, 0, 1)
t.t(m)
t.tensor_split(v, 4)
t.tile(m, (2, 1))
t.trace(m)
t.transpose(m, 0, 1)
t.unbind(m)
t.unflatten(m, 1, (3, 1))
t.unique(i)
t.unique_consecutive(i)
t.unsqueeze(m, 0)
t.var_mean(m, 1)
t.vsplit(m, 2)
t.xlogy(m, m)
t.index_reduce(m, 1, i, m[:, :2], "amax")
t.scatter_reduce(m, 1, i.view(1, 2), m, "sum")
t.hardtanh(m)
t.arctan2(m, m + 1)
t.nan_to_num(m)
t.ger(v, v)
t.adaptive_avg_pool1d(k, 2)
t.allclose(m, m)
t.logical_not(i)
t.histogram(m, 3)
t.lu(t.eye(3) + 1)
t.polygamma(1, m + 1)
"""


def forms(call):
    """Return the other forms of a function's call: a method's, and those that write."""
    tree = ast.parse(call, mode="eval").body
    if not tree.args or ast.unparse(tree.func).count(".") > 1 or not call.startswith("t."):
        return
    name, first = tree.func.attr, ast.unparse(tree.args[0])
    rest = [ast.unparse(part) for part in tree.args[1:]]
    rest = ", ".join(rest + [f"{k.arg}={ast.unparse(k.value)}" for k in tree.keywords])
    if hasattr(torch.Tensor, name):
        yield f"({first}).{name}({rest})"
    if hasattr(torch.Tensor, f"{name}_"):
        yield f"x = ({first}).clone(); y = x.{name}_({rest}); [y, x, y is x]"
    if hasattr(torch, f"{name}_"):
        yield f"x = ({first}).clone(); y = t.{name}_(x, {rest}); [y, x, y is x]"


def forms_of(calls):
    """Return a test that runs all other forms of the calls."""
    return pytest.mark.parametrize("line", [form for call in calls for form in forms(call)])


@forms_of([call for call in test_out.CALLS if call not in (*test_out.OF_SCIPY, "t.normal(m, s)")])
def test_forms_of_what_takes_out(line):
    run(line, test_out.names)


@forms_of(test_out.OF_SCIPY)
def test_forms_of_special_functions(line):
    pytest.importorskip("scipy")
    run(line, test_out.names)


@lines(WITHOUT_OUT)
def test_what_takes_no_out(line):
    run(line)


@forms_of(WITHOUT_OUT.strip().splitlines())
def test_forms_of_what_takes_no_out(line):
    run(line)


def test_there_are_as_many_forms_as_functions():
    calls = [*test_out.CALLS, *WITHOUT_OUT.strip().splitlines()]
    assert sum(len(list(forms(call))) for call in calls) > 500


# ----- Named results ------------------------------------------------------------------------------


@lines("""
t.sort(m)
t.max(m, 1)
t.min(m, 1)
t.median(m, 1)
t.nanmedian(m, 1)
t.mode(i, 0)
t.kthvalue(m, 1)
t.topk(m, 2)
t.cummax(m, 1)
t.cummin(m, 1)
t.aminmax(m)
t.frexp(m)
t.histogram(m, 2)
t.slogdet(t.eye(2))
t.linalg.slogdet(t.eye(2))
t.linalg.cholesky_ex(t.eye(2))
t.linalg.inv_ex(t.eye(2))
t.linalg.solve_ex(t.eye(2), t.eye(2))
t.linalg.lu(t.eye(2))
t.linalg.lu_factor(t.eye(2))
t.linalg.lu_factor_ex(t.eye(2))
t.linalg.eigh(t.diag(v[1:3]))
t.linalg.svd(t.diag(v[1:3].flip(0)))
t.linalg.lstsq(t.eye(2), t.eye(2))
t.linalg.qr(t.zeros(2, 2))
t.lu_unpack(t.eye(2), t.tensor([1, 2], dtype=t.int32))
t.sort(m, out=(t.zeros(2, 3), t.zeros(2, 3, dtype=t.int64)))
m.sort()
m.max(1)
""")
def test_named_results(line):
    run(line)
    found = []
    for t in (torch, ours):
        names = {
            "t": t,
            "v": t.arange(6.0),
            "m": t.arange(6.0).reshape(2, 3),
            "i": t.tensor([2, 2]),
        }
        result = eval(line, names)
        assert all(a is b for a, b in zip(tuple(result), result, strict=True))
        fields = repr(result).split("(")[0], type(result).n_fields, type(result).n_sequence_fields
        labels = re.findall(r"^(\w+)=", repr(result), re.MULTILINE)
        assert all(getattr(result, label) is result[k] for k, label in enumerate(labels))
        found.append((fields, labels))
    assert found[0] == found[1]


def test_named_results_are_made_from_a_sequence():
    for t in (torch, ours):
        made = t.return_types.sort([t.ones(1), t.zeros(1)])
        assert made.values.item() == 1
        with pytest.raises(TypeError, match="2-sequence"):
            t.return_types.sort([t.ones(1)])


# ----- Settings -----------------------------------------------------------------------------------


@lines("""
t.are_deterministic_algorithms_enabled()
t.use_deterministic_algorithms(True); d = t.are_deterministic_algorithms_enabled(); d
t.use_deterministic_algorithms(True, warn_only=True); t.get_deterministic_debug_mode()
t.is_deterministic_algorithms_warn_only_enabled()
t.use_deterministic_algorithms("x")
t.set_deterministic_debug_mode("error"); t.get_deterministic_debug_mode()
t.set_deterministic_debug_mode(1); t.is_deterministic_algorithms_warn_only_enabled()
t.set_deterministic_debug_mode(7)
t.set_deterministic_debug_mode("x")
t.set_deterministic_debug_mode(None)
t.set_deterministic_debug_mode(0); t.get_deterministic_debug_mode()
t.get_float32_matmul_precision()
t.set_float32_matmul_precision("high"); t.get_float32_matmul_precision()
t.set_float32_matmul_precision("highest"); t.get_float32_matmul_precision()
t.set_flush_denormal(False)
t.set_default_device("cpu"); str(t.get_default_device())
t.set_default_tensor_type(t.DoubleTensor); t.ones(1)
t.set_default_tensor_type("torch.DoubleTensor"); t.ones(1)
t.set_default_tensor_type(t.IntTensor)
t.set_default_tensor_type(3)
t.typename(t.ones(1))
t.typename(t.ones(1).int())
t.typename(3)
t.typename(int)
t.get_device(v)
t.is_neg(v)
v.is_neg()
v.is_distributed()
t.is_distributed(v)
v.__div__(2)
v.__rdiv__(2)
v.__idiv__(2)
""")
def test_settings(line):
    try:
        run(line)
    finally:
        for t in (ours, torch):
            t.set_default_dtype(t.float32)
            t.set_deterministic_debug_mode(0)
            t.set_float32_matmul_precision("highest")
        torch.set_default_device(None)  # else PyTorch's looks at each call, and forgets some outs
