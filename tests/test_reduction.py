"""Corners of reductions and orders, held to PyTorch line by line."""

import numpy as np
import pytest

import tinygrad_like as ours
from tests.both import compare

nan, inf = float("nan"), float("inf")


class Operands:
    """Tensors to write lines about, made by either package."""

    def __init__(self, torch):
        self.T = torch
        self.x = torch.arange(6.0).reshape(2, 3)
        self.s = torch.tensor(1.0)
        self.e = torch.ones(0)
        self.e2 = torch.ones(2, 0)
        self.i = torch.arange(6).reshape(2, 3)
        self.b = torch.arange(6).reshape(2, 3) > 2
        self.u = torch.full((3,), 200, dtype=torch.uint8)
        self.n = torch.tensor([[3.0, nan, 1.0, 1.0], [2.0, 2.0, -1.0, nan]])
        self.t = torch.tensor([2, 1, 2, 1, 3, 2])
        self.big = torch.sin(torch.arange(200.0)).reshape(2, 100)


LINES = [
    "x.sum(5)",
    "x.sum((0, 0))",
    "s.sum(0)",
    "s.sum((0, -1))",
    "x.sum(())",
    "x.sum([])",
    "b.sum()",
    "i.int().sum()",
    "x.sum(0, dtype=T.int64)",
    "b.sum(dtype=T.bool)",
    "x.half().sum()",
    "T.sum(x, axis=1)",
    "x.sum(axis=1, keepdims=True)",
    "e.sum()",
    "e2.sum(1)",
    "e2.sum(0)",
    "i.sum(0)",
    "u.sum()",
    "i.mean()",
    "i.mean(dtype=T.float32)",
    "e.mean()",
    "x.mean(axis=0)",
    "x.mean(())",
    "x.mean((0, 1), keepdim=True)",
    "x.half().mean()",
    "T.full((1000,), 300.0).half().mean()",
    "e.prod()",
    "i.prod()",
    "b.prod()",
    "x.prod(1)",
    "x.prod((0, 1))",
    "i.prod(dtype=T.float32)",
    "x.half().prod()",
    "e.max()",
    "e.argmax()",
    "e2.max(1)",
    "e2.max(0)",
    "e2.amax(1)",
    "e2.amax(0)",
    "e.amax()",
    "e.min()",
    "x.max(5)",
    "x.max((0, 1))",
    "s.max(0)",
    "s.max()",
    "b.max()",
    "b.max(1)",
    "b.argmax()",
    "b.amax()",
    "i.max(1)",
    "n.max()",
    "n.max(1)",
    "n.min(1)",
    "n.amax(1)",
    "n.argmax(1)",
    "n.argmin()",
    "T.max(x, 1, True)",
    "T.max(x, x + 1)",
    "T.min(x, -x)",
    "x.max(x * 2)",
    "T.max(x, dim=1)",
    "x.max(dim=1).indices",
    "x.max(axis=0)",
    "x.min(0, keepdim=True)",
    "T.max(x, other=x)",
    "x.argmax(1, True)",
    "x.argmax(keepdim=True)",
    "s.argmax()",
    "x.argmax(4)",
    "x.argmax(axis=0)",
    "T.argmin(x, dim=0)",
    "T.aminmax(x)",
    "T.aminmax(x, dim=0)",
    "x.aminmax(dim=0, keepdim=True)",
    "e.aminmax()",
    "T.max(x, 1)[0]",
    "x.var()",
    "x.var(0)",
    "x.var(False)",
    "x.var(0, False)",
    "x.var(unbiased=False)",
    "x.var((0, 1), correction=2)",
    "x.var(0, correction=3)",
    "s.var()",
    "e.var()",
    "i.var()",
    "T.var_mean(x, 0)",
    "T.std_mean(x, 1, keepdim=True)",
    "T.std(x, dim=[0, 1])",
    "T.std(x, True)",
    "x.std(1, True, True)",
    "x.std(axis=0)",
    "x.half().var()",
    "x.var(0, True, correction=1)",
    "x.any()",
    "x.any(1)",
    "x.any((0, 1))",
    "i.byte().any()",
    "i.byte().all(0)",
    "e.all()",
    "e.any()",
    "x.all((0,))",
    "x.any(dim=-1, keepdim=True)",
    "x.all(axis=0)",
    "x.any(7)",
    "x.norm()",
    "x.norm('fro')",
    "x.norm(1, 0)",
    "i.norm()",
    "x.norm(inf, 1, True)",
    "e.norm(inf)",
    "e.norm()",
    "x.norm(0)",
    "x.norm(-1)",
    "x.norm(-inf)",
    "x.norm(2, dtype=T.float64)",
    "x.half().norm()",
    "x.norm(2, (0, 1))",
    "T.norm(x, dim=0)",
    "x.norm(p=3, dim=1)",
    "T.dist(x, x + 1)",
    "x.norm(2, 5)",
    "x.logsumexp(1)",
    "x.logsumexp((0, 1))",
    "i.logsumexp(0)",
    "T.logsumexp(T.tensor([-inf, -inf]), 0)",
    "T.logsumexp(T.tensor([inf, 1.0]), 0)",
    "T.logsumexp(T.tensor([nan, 1.0]), 0)",
    "e.logsumexp(0)",
    "e2.logsumexp(1)",
    "e2.logsumexp(1, True)",
    "s.logsumexp(0)",
    "x.logsumexp(5)",
    "(x * 1000).logsumexp(1, True)",
    "x.half().logsumexp(0)",
    "x.cumsum(1)",
    "x.cumsum()",
    "i.cumsum(0)",
    "b.cumsum(0)",
    "s.cumsum(0)",
    "x.cumsum(3)",
    "x.cumsum(0, dtype=T.float64)",
    "e.cumsum(0)",
    "x.cumprod(0)",
    "i.cumprod(1)",
    "s.cumprod(0)",
    "x.cumprod(0, dtype=T.float64)",
    "x.logcumsumexp(0)",
    "x.cummax(1)",
    "x.cummin(0)",
    "n.cummax(1)",
    "T.tensor([1, 3, 3, 2]).cummax(0)",
    "s.cummin(0)",
    "x.nansum()",
    "i.nansum()",
    "n.nansum(1)",
    "i.nanmean()",
    "n.nanmean(0)",
    "n.nanmean()",
    "e.nanmean()",
    "x.count_nonzero()",
    "x.count_nonzero(dim=(0, 1))",
    "x.count_nonzero(1)",
    "b.count_nonzero()",
    "T.median(x)",
    "x.median(1)",
    "e.median()",
    "e2.median(1)",
    "n.median()",
    "n.median(1)[0]",
    "n.nanmedian()",
    "n.nanmedian(1)[0]",
    "T.tensor([1.0, 2, 3, 4]).median(0)",
    "i.median(1)[0]",
    "s.median(0)",
    "x.median(1, True)[0]",
    "x.sort()",
    "x.sort(0, True)",
    "s.sort()",
    "e.sort()",
    "n.sort()",
    "n.sort(descending=True, stable=True)",
    "x.argsort(0, descending=True)",
    "n.argsort(stable=True)",
    "b.sort(stable=True, dim=1)",
    "i.sort(descending=True)",
    "x.sort(5)",
    "T.msort(x)",
    "t.sort(stable=True)",
    "t.sort(descending=True, stable=True)",
    "x.topk(2)",
    "x.topk(4)",
    "x.topk(-1)",
    "x.topk(2, 0, False)",
    "s.topk(1)",
    "s.topk(0)",
    "s.topk(2)",
    "e.topk(0)",
    "n.topk(2)[0]",
    "n.topk(2, largest=False)[0]",
    "big.topk(3)",
    "big.topk(3, largest=False)",
    "big.topk(3, sorted=False)[0].sort()[0]",
    "x.topk(0)",
    "x.topk(2, 7)",
    "x.kthvalue(2)",
    "x.kthvalue(5)",
    "x.kthvalue(0)",
    "n.kthvalue(3)[0]",
    "e.kthvalue(1)",
    "s.kthvalue(1)",
    "t.kthvalue(2)[0]",
    "t.mode()[0]",
    "n.mode(1)[0]",
    "e.mode()",
    "s.mode()",
    "T.tensor([[1, 2, 2], [3, 3, 1]]).mode(0)[0]",
    "T.tensor([3, 1, 2]).unique(return_inverse=True, return_counts=True)",
    "T.tensor([3, 1, 2, 1]).unique(sorted=False)",
    "T.unique(x, dim=0)",
    "t.unique(return_inverse=True)",
    "T.unique_consecutive(T.tensor([1, 1, 2, 1]), return_inverse=True, return_counts=True)",
    "T.unique_consecutive(x, dim=1)",
    "T.searchsorted(T.tensor([1.0, 2, 3]), T.tensor([2.0, 2.5]))",
    "T.searchsorted(T.tensor([1.0, 2, 3]), T.tensor([2.0]), side='left', right=True)",
    "T.searchsorted(T.tensor([1.0, 2, 3]), T.tensor([2.0]), side='up')",
    "T.searchsorted(T.tensor([3.0, 1, 2]), T.tensor([2.0]), sorter=T.tensor([1, 2, 0]))",
    "T.searchsorted(x, x[:1])",
    "T.searchsorted(x, x + 0.5)",
    "T.bucketize(T.tensor([2.0, 2.5]), T.tensor([1.0, 2, 3]), right=True)",
    "T.bucketize(T.tensor([2.0]), x)",
    "T.bucketize(T.tensor([[2.0]]), T.tensor([1.0, 2]), out_int32=True)",
]


@pytest.mark.parametrize("line", LINES)
def test_line_does_what_it_does_in_torch(line):
    pytest.importorskip("torch")
    code = compile(line, line, "eval")

    def run(torch):
        names = vars(Operands(torch))
        return eval(code, {"nan": nan, "inf": inf, "F": _functional(torch), **names})

    compare(run)


def _functional(torch):
    import importlib

    return importlib.import_module(f"{torch.__name__}.nn.functional")


GRADIENTS = [
    lambda x: x.max(),
    lambda x: x.min(),
    lambda x: x.amax(0).sum(),
    lambda x: x.amin((0, 1)),
    lambda x: x.median(),
    lambda x: x.std(0).sum(),
    lambda x: x.std(1).sum(),
    lambda x: x.norm(),
    lambda x: x.norm(dim=1).sum(),
    lambda x: x.norm(1),
    lambda x: x.norm(float("inf")),
    lambda x: x.norm(1.5, 0).sum(),
    lambda x: x.norm(3, 0).sum(),
    lambda x: x.norm(0.5, 1).sum(),
    lambda x: x.prod(),
    lambda x: x.prod(0).sum(),
    lambda x: x.prod(1).sum(),
    lambda x: x.cumprod(1).sum(),
    lambda x: x.cumprod(0).sum(),
    lambda x: (x / 0).nansum(),
    lambda x: x.nanmean(0).sum(),
    lambda x: x.logsumexp(0).sum(),
]
TIES = [
    [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
    [[1.0, 1.0, 2.0], [1.0, 2.0, 2.0]],
    [[0.0, 1.0, 0.0], [2.0, 3.0, 0.0]],
    [[0.0, 1.0, 2.0], [2.0, 3.0, 1.0]],
    [[-2.0, 1.0, 2.0], [2.0, -3.0, 1.0]],
]


@pytest.mark.parametrize("values", TIES)
@pytest.mark.parametrize("call", GRADIENTS)
def test_gradient_at_ties_and_zeros(call, values):
    torch = pytest.importorskip("torch")
    grads = []
    for module in (torch, ours):
        x = module.tensor(values, dtype=module.float64, requires_grad=True)
        call(x).backward()
        grads.append(x.grad.detach().numpy())
    np.testing.assert_allclose(grads[1], grads[0], 1e-12)


@pytest.mark.parametrize("values", TIES)
@pytest.mark.parametrize("call", [GRADIENTS[14], GRADIENTS[16], GRADIENTS[17]])
def test_second_derivative_of_products_with_zeros(call, values):
    torch = pytest.importorskip("torch")
    rows = []
    for module in (torch, ours):
        x = module.tensor(values, dtype=module.float64, requires_grad=True)
        (g,) = module.autograd.grad(call(x), x, create_graph=True)
        (h,) = module.autograd.grad((g * g).sum(), x)
        rows.append(h.detach().numpy())
    np.testing.assert_allclose(rows[1], rows[0], 1e-12)


def test_too_few_degrees_of_freedom_warn():
    with pytest.warns(UserWarning, match="degrees of freedom"):
        assert np.isnan(ours.tensor(1.0).var().item())


def test_large_sums_are_accurate():
    rng = np.random.default_rng(0)
    array = rng.uniform(0, 1, (3000, 70)).astype(np.float32)
    x = ours.tensor(array)
    for dim in (None, 0, 1, (0, 1)):
        exact = array.sum(dim, dtype=np.float64)
        np.testing.assert_allclose(x.sum(dim).numpy(), exact, 2e-6)
    half = ours.full((5000,), 0.5, dtype=ours.float16)
    assert half.sum().item() == 2500.0
    assert half.reshape(50, 100).sum(0).tolist() == [25.0] * 100


def test_results_print_and_unpack():
    values, indices = ours.tensor([[1.0, 3.0, 2.0]]).max(1)
    assert (values.tolist(), indices.tolist()) == ([3.0], [1])
    shown = repr(ours.tensor([1.0, 3.0]).sort(descending=True))
    assert shown == ("torch.return_types.sort(\nvalues=tensor([3., 1.]),\nindices=tensor([1, 0]))")


def test_integers_get_no_gradient():
    x = ours.tensor([3.0, 1.0], requires_grad=True)
    assert x.sort()[0].requires_grad
    assert not x.sort()[1].requires_grad
    assert not x.argmax().requires_grad
    assert not x.count_nonzero().requires_grad


NUMPY = [
    np.sum,
    np.mean,
    np.prod,
    np.var,
    np.std,
    np.max,
    np.min,
    np.cumsum,
    np.cumprod,
    np.sort,
]


@pytest.mark.parametrize("axis", [None, 0, -1])
@pytest.mark.parametrize("function", NUMPY)
def test_numpy_function_on_a_tensor(function, axis):
    array = np.array([[1.0, 3.0, 2.0], [6.0, 5.0, 4.0]])
    tensor = ours.tensor(array, requires_grad=True)
    out = function(tensor, axis=axis)
    np.testing.assert_allclose(out.detach().numpy(), function(array, axis=axis))
    out.sum().backward()
    assert tensor.grad is not None


def test_numpy_function_with_options():
    array = np.array([[1.0, 3.0, 2.0], [6.0, 5.0, 0.0]])
    tensor = ours.tensor(array)
    for function in (np.argmax, np.argmin, np.any, np.all, np.argsort):
        np.testing.assert_array_equal(function(tensor, axis=1).numpy(), function(array, axis=1))
    np.testing.assert_allclose(np.var(tensor, 0, ddof=1).numpy(), np.var(array, 0, ddof=1))
    assert np.sum(tensor, (0, 1), keepdims=True).shape == (1, 1)


def _slopes(function, *points):
    def call(m):
        x = [m.tensor(p, requires_grad=True) for p in points]
        out = function(m, *x)
        (out * m.arange(-1.0, out.numel() - 1).reshape(out.shape)).sum().backward()
        return [v.grad for v in x]

    return call


@pytest.mark.parametrize(
    "call",
    [
        _slopes(lambda m, x: m.logcumsumexp(x, 0), [1000.0, 1000.0, 0.0, -1000.0]),
        _slopes(lambda m, x: m.logcumsumexp(x, -1), [[1.0, 2.0], [0.0, -1.0]]),
        _slopes(lambda m, x: m.logcumsumexp(x, 0), 1.0),
        lambda m: m.tensor([], dtype=m.bool).median(),
    ],
)
def test_extreme_and_empty_inputs(call):
    compare(call)
