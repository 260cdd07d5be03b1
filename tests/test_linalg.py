"""Corners of matrix products, held to PyTorch line by line."""

import numpy as np
import pytest

import tinygrad_like as ours
from tests.both import compare
from tinygrad_like import jit
from tinygrad_like.arrays import products as module

nan, inf = float("nan"), float("inf")


class Operands:
    """Tensors to write lines about, made by either package."""

    def __init__(self, torch):
        self.T = torch
        self.m = torch.arange(6.0).reshape(2, 3)
        self.n = torch.arange(6.0).reshape(3, 2) - 2
        self.v = torch.arange(3.0)
        self.s = torch.tensor(2.0)


LINES = [
    "m @ m",
    "m.mm(m)",
    "v @ m",
    "m @ s",
    "m @ v",
    "n @ m",
    "m.mm(v)",
    "m.mv(n)",
    "m.mv(v)",
    "v.dot(m)",
    "v.dot(T.ones(4))",
    "m @ n.double()",
    "m.mm(n.double())",
    "v.dot(v.double())",
    "m.bmm(m)",
    "T.ones(2, 2, 3).bmm(T.ones(3, 3, 2))",
    "T.ones(2, 2, 3) @ T.ones(3, 3, 2)",
    "T.ones(2, 2, 3) @ T.ones(2, 4, 2)",
    "m.bool() @ n.bool()",
    "m.int() @ n.int()",
    "m.half() @ n.half()",
    "m.half() @ v.half()",
    "v.int().dot(v.int())",
    "v.half().dot(v.half())",
    "T.vdot(v, v)",
    "T.matmul(s, s)",
    "T.matmul(m, 'a')",
    "m @ 3",
    "m.matmul(3)",
    "3 @ m",
    "T.ones(0, 3) @ n",
    "T.ones(2, 0) @ T.ones(0, 2)",
    "T.ones(0, 2, 3) @ n",
    "T.ones(2, 0, 3) @ n",
    "T.ones(0).dot(T.ones(0))",
    "m.T @ m",
    "m.expand(4, 2, 3) @ n",
    "m[:, ::2] @ n[::2]",
    "m.T.contiguous().T @ n",
    "T.ones(3, 1).expand(3, 3) @ n",
    "v.expand(2, 3) @ n",
    "T.outer(m, v)",
    "T.outer(v, v.int())",
    "T.inner(v, T.ones(4))",
    "T.inner(s, v)",
    "T.inner(m, T.ones(5, 3))",
    "T.inner(s, s)",
    "T.ger(v, v)",
    "T.addmm(T.ones(3), m, n)",
    "T.addmm(T.ones(2, 1), m, n, beta=2, alpha=0.5)",
    "T.addmm(m, m, n)",
    "T.addmm(s, m, n)",
    "T.addmm(T.ones(2, 2).double(), m, n)",
    "T.addmm(T.full((2, 2), nan), m, n, beta=0)",
    "m.addmm(n, n)",
    "T.addmv(v, m, v)",
    "T.addmv(T.ones(2), m, v)",
    "T.baddbmm(T.ones(1, 2, 2), T.ones(2, 2, 3), T.ones(2, 3, 2))",
    "T.addbmm(T.ones(2, 2), T.ones(2, 2, 3), T.ones(2, 3, 2))",
    "T.addbmm(T.ones(2, 2), T.ones(2, 2, 3), T.ones(3, 3, 2))",
    "T.addr(T.ones(3, 3), v, v)",
    "T.addmm(m.int()[:, :2], m.int(), n.int())",
    "T.einsum('ij,jk', m, n)",
    "T.einsum('ij,jk->ik', m, m)",
    "T.einsum('ij->iik', m)",
    "T.einsum('ij,k->ij', m)",
    "T.einsum('i.j', m)",
    "T.einsum('ii', m)",
    "T.einsum('ijk', m)",
    "T.einsum('ij->ii', m)",
    "T.einsum('ij->ik', m)",
    "T.einsum(m, [0, 1], n, [1, 2], [0, 2])",
    "T.einsum(m, [0, 1], n, [1, 2])",
    "T.einsum(m, [0, 60])",
    "T.einsum('...j,jk->...k', T.ones(2, 2, 3), n)",
    "T.einsum('ii->i', T.ones(3, 3))",
    "T.einsum('i,i', v, v)",
    "T.einsum('', s)",
    "T.einsum('ij,ij->', [m, m])",
    "T.einsum('bA,aA', T.ones(2, 3), T.ones(4, 3))",
    "T.einsum('i j, j k -> i k', m, n)",
    "T.einsum('i,', v, s)",
    "T.einsum('i,->', v, s)",
    "T.einsum('ij', m, n)",
    "T.einsum('i1', m)",
    "T.einsum('ij->j->i', m)",
    "T.einsum('...->...', m)",
    "T.einsum('i...->...', m)",
    "T.einsum('i......', m)",
    "T.einsum('ij,j->ij', T.ones(2, 0), T.ones(0))",
    "T.einsum('ij,jk', T.ones(2, 0), T.ones(0, 2))",
    "T.einsum('ij,ij->ij', m, T.ones(1, 3))",
    "T.einsum('ij,ij->', m, T.ones(2, 1))",
    "T.einsum('...i,...i', T.ones(4, 1, 3), T.ones(5, 3))",
    "T.einsum('ij,jk', m.int(), n.int())",
    "T.einsum('ij')",
    "T.einsum('ij', 3)",
    "T.tensordot(m, n, 1)",
    "T.tensordot(m, m, 2)",
    "T.tensordot(m, m, ([0], [0]))",
    "T.tensordot(m, n, ([0], [0]))",
    "T.tensordot(m, n, 5)",
    "T.tensordot(m, n, -1)",
    "T.tensordot(m, n, 0)",
    "T.tensordot(m, m, ([0, 1], [0]))",
    "T.tensordot(m, n, ([-1], [-2]))",
    "T.kron(m, v)",
    "T.kron(s, m)",
    "T.kron(m, m)",
    "T.trace(T.ones(2, 3))",
    "T.trace(v)",
    "T.trace(T.ones(2, 2).int())",
    "T.cross(v, v.flip(0), dim=0)",
    "T.cross(T.ones(3, 2), T.ones(3, 2), dim=0)",
    "T.cross(T.ones(2, 2), T.ones(2, 2))",
    "T.cross(m, v, dim=1)",
    "T.cross(m, m, dim=0)",
    "T.chain_matmul(m, n, m)",
    "T.matrix_power(T.eye(2) * 2, 3)",
    "T.matrix_power(T.eye(2), 0)",
    "T.matrix_power(m, 2)",
    "F.linear(m, m)",
    "F.linear(m, n)",
    "F.linear(m, m, v)",
    "F.linear(v, m)",
    "F.linear(v, v)",
    "F.linear(m, v)",
    "F.linear(m, m, T.ones(2).double())",
    "F.linear(m, m.double())",
    "F.linear(s, m)",
    "F.linear(m, v, s)",
    "F.linear(m, m, s)",
    "F.linear(m.int(), m.int())",
    "F.linear(m[None], v, s)",
    "F.linear(m, m, T.ones(1, 2))",
    "F.linear(m, m, T.ones(2, 1))",
    "F.linear(m, m, T.ones(1))",
    "F.linear(m.half(), m.half(), T.ones(2).half())",
    "F.linear(T.ones(0, 3), m, T.ones(2))",
    "F.linear(T.ones(2, 0), T.ones(4, 0), T.ones(4))",
    "F.linear(T.ones(2, 0, 3), m)",
    "F.linear(m, T.ones(2, 2, 3))",
    "F.bilinear(m, m, T.ones(4, 3, 3), T.ones(4))",
    "F.bilinear(m, v, T.ones(4, 3, 3))",
    "F.bilinear(m, m, T.ones(4, 3, 2))",
    "F.bilinear(v, v, T.ones(4, 3, 3))",
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


def test_sizes_that_do_not_fit_are_explained():
    x = ours.ones(32, 784, requires_grad=True).relu()
    with pytest.raises(RuntimeError) as caught:
        x @ ours.ones(128, 784)
    text = str(caught.value)
    assert text.startswith("matmul: input is float32 (32, 784), other is float32 (128, 784)")
    assert "inner sizes 784 and 128 differ; did you mean other.mT?" in text
    assert f"made by Relu at {__file__}:" in "\n".join(caught.value.__notes__)
    with pytest.raises(RuntimeError, match=r"did you mean input\.mT"):
        ours.ones(3, 2) @ ours.ones(3, 4)
    with pytest.raises(RuntimeError, match=r"did you mean weight\.mT"):
        ours.nn.functional.linear(x, ours.ones(784, 128))


def test_linear_weight_gradient_has_the_layout_of_the_weight():
    w = ours.ones(4, 3, requires_grad=True)
    x = ours.ones(2, 5, 3)
    ours.nn.functional.linear(x, w).sum().backward()
    assert w.grad.is_contiguous()
    assert w.grad.tolist() == [[10.0] * 3] * 4


NUMPY = [
    lambda x, y: np.matmul(x, y),
    lambda x, y: np.dot(x, y),
    lambda x, y: np.tensordot(x, y, 1),
    lambda x, y: np.tensordot(x, y, ([0], [1])),
    lambda x, y: np.tensordot(x, y, axes=(0, 1)),
    lambda x, y: np.einsum("ij,jk->ki", x, y),
    lambda x, y: np.outer(x, y),
    lambda x, y: np.inner(x, y.T),
    lambda x, y: np.kron(x, y),
    lambda x, y: np.trace(x) * y,
    lambda x, y: np.dot(x, y[:, 0]),
    lambda x, y: x @ y,
]


@pytest.mark.parametrize("call", NUMPY)
def test_numpy_function_on_tensors(call):
    x, y = np.arange(6.0).reshape(2, 3), np.arange(6.0).reshape(3, 2)
    expected = call(x, y)
    a = ours.tensor(x, requires_grad=True)
    b = ours.tensor(y, requires_grad=True)
    for left, right in ((a, b), (a, y), (x, b)):
        out = call(left, right)
        np.testing.assert_allclose(out.detach().numpy(), expected)
    call(a, b).sum().backward()
    assert a.grad is not None
    assert b.grad is not None


# ----- Kernels ------------------------------------------------------------------------------------


@pytest.fixture
def products(monkeypatch):
    """Return a list that gets the shape of each result that a kernel makes, on one thread."""
    pytest.importorskip("numba")
    monkeypatch.setattr(jit._switch, "on", True)
    monkeypatch.setattr(module, "get_num_threads", lambda: 1)
    made = []
    declared = module._multiply

    def watched(x, y, start, out, *options):
        made.append(out.shape)
        declared(x, y, start, out, *options)
        assert jit.enabled()  # it would be off if numba had failed

    monkeypatch.setattr(module, "_multiply", watched)
    return made


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(700, 40), (7, 100, 40), (700, 512)])
def test_a_large_linear_begins_with_its_bias(products, shape, dtype):
    rng = np.random.default_rng(0)
    x, weight, bias = (rng.normal(size=s).astype(dtype) for s in (shape, (67, shape[-1]), (67,)))
    found = ours.nn.functional.linear(*map(ours.tensor, (x, weight, bias))).numpy()
    np.testing.assert_allclose(
        found, x @ weight.T + bias, atol=1e-12 if dtype == "float64" else 1e-3
    )
    assert products == [(1, 1, 700, 67)]


def test_blas_makes_what_it_is_better_at(products, monkeypatch):
    ones = ours.ones
    ours.nn.functional.linear(ones(6, 40), ones(67, 40), ones(67))  # small
    ours.nn.functional.linear(ones(700, 600), ones(67, 600), ones(67))  # a large inner dimension
    ours.nn.functional.linear(ones(700, 40), ones(67, 40))  # no bias
    ours.nn.functional.linear(ones(9000, 40), ones(7, 40), ones(7))  # narrow
    monkeypatch.setattr(module, "get_num_threads", lambda: 2)  # BLAS has threads of its own
    ours.nn.functional.linear(ones(700, 40), ones(67, 40), ones(67))
    assert products == []


@pytest.mark.parametrize("rows", [5, 6, 13])
@pytest.mark.parametrize("columns", [7, 16, 21])
@pytest.mark.parametrize("reach", [(None, None), (2, None), (None, 1), (0, 3)])
@pytest.mark.parametrize("turned", [False, True])
def test_products_of_small_matrices(products, rows, columns, reach, turned):
    rng = np.random.default_rng(0)
    below, above = (rows + 9 if r is None else r for r in reach)
    x = rng.normal(size=(2, 3, rows, 9)) * (np.tri(rows, 9, above) - np.tri(rows, 9, -below - 1))
    y = rng.normal(size=(2, 3, 9, columns)).astype("float32")
    x = x.astype("float32")
    memory = np.empty((2, 3, columns, rows) if turned else (2, 3, rows, columns), "float32")
    out = memory.swapaxes(2, 3) if turned else memory
    module.multiply_into(x, y, out, *reach)
    np.testing.assert_allclose(out, x @ y, atol=1e-5)
    assert bool(products) == (rows > 5 and columns >= 16 and not turned)
