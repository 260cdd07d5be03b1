"""Corners of linear algebra, distances and statistics, held to PyTorch line by line."""

import numpy as np
import pytest

import tinygrad_like as ours
from tests.both import flat, outcome
from tinygrad_like.arrays import matrices
from tinygrad_like.autograd import gradcheck, gradgradcheck
from tinygrad_like.ops import distances

nan, inf = float("nan"), float("inf")


class Operands:
    """Tensors to write lines about, made by either package."""

    def __init__(self, torch):
        self.T, self.L = torch, torch.linalg
        self.a = torch.tensor([[4.0, 1.0, 2.0], [1.0, 5.0, 3.0], [2.0, 3.0, 6.0]])
        self.i = torch.eye(3)
        self.z = torch.zeros(3, 3)
        self.m = torch.arange(6.0).reshape(2, 3)
        self.v = torch.tensor([1.0, 4.0, 9.0])
        self.b = torch.stack([self.a, 2 * self.i])
        self.bad = torch.stack([self.i, self.z])
        self.e = torch.ones(0, 0)


LINES = [
    # Names of results, empty matrices, batches
    *(f"L.{f}(b)" for f in ("det", "slogdet", "inv", "cholesky", "eigvalsh", "svdvals", "pinv")),
    *(f"L.{f}(e)" for f in ("det", "slogdet", "inv", "cholesky", "eigvalsh", "svdvals", "eigh")),
    *(f"L.{f}(a)" for f in ("lu", "lu_factor", "lu_factor_ex", "cholesky_ex", "inv_ex", "cond")),
    *(f"T.{f}(a)" for f in ("slogdet", "logdet", "inverse", "lu", "matrix_exp", "cholesky")),
    *(f"L.{f}(i)" for f in ("matrix_rank", "matrix_norm", "norm", "vector_norm", "matrix_exp")),
    "L.svd(T.ones(0, 3))",
    "L.svdvals(T.ones(0, 3))",
    "L.qr(T.ones(0, 3))",
    "L.qr(a, 'r')",
    "L.qr(a, 'x')",
    "L.qr(a, mode='complete').R.abs()",
    "L.lu(T.ones(0, 3))",
    "L.lu(z)",
    "L.lu(m)",
    "L.lu(m.T)",
    "L.lu(b)",
    "L.lu(a, pivot=False)",
    "L.lu_factor(z)",
    "L.lu_factor_ex(bad)",
    "T.lu(z)",
    "T.lu(z, get_infos=True)",
    "T.lu_unpack(*T.lu(m))",
    "T.lu_unpack(*T.lu(m), unpack_data=False)",
    "T.lu_unpack(*T.lu(m), unpack_pivots=False)",
    "T.lu_solve(m.T, *T.lu(a))",
    "L.lu_solve(*L.lu_factor(a), m)",
    "T.svd(m, compute_uv=False)",
    "T.svd(m).S",
    "T.svd(m, some=False).V.shape",
    "T.qr(m).R.abs()",
    "T.qr(m.T, False).Q.shape",
    "a.lu()",
    "a.det()",
    "a.slogdet()",
    "a.logdet()",
    "a.inverse()",
    "a.pinverse()",
    "a.cholesky(upper=True)",
    "a.matrix_exp()",
    "a.svd().S",
    "T.orgqr(*T.geqrf(m.T)).abs()",
    "T.geqrf(m.T)",
    "T.ormqr(*T.geqrf(m.T), m.T)",
    "T.ormqr(*T.geqrf(m.T), m, left=False, transpose=True)",
    # Singular and indefinite matrices
    "L.inv(z)",
    "L.inv(bad)",
    "L.inv_ex(bad).info",
    "L.inv_ex(z, check_errors=True)",
    "L.solve(z, i)",
    "L.solve_ex(z, i).info",
    "L.solve_ex(a, v)",
    "L.cholesky(-i)",
    "L.cholesky(T.stack([i, -i]))",
    "L.cholesky_ex(-b).info",
    "L.cholesky_ex(T.tensor([[1.0, 2], [2, 1]])).info",
    "L.det(z)",
    "L.slogdet(z)",
    "L.slogdet(-i)",
    "T.logdet(-i)",
    "T.logdet(z)",
    "L.svd(i * nan)",
    "L.cond(z)",
    "L.cond(z, 1)",
    "L.cond(z, 'fro')",
    "L.cond(bad, inf)",
    "L.cond(e)",
    "L.cond(m)",
    "L.cond(m, 1)",
    "L.cond(a, 'nuc')",
    "L.cond(a, 3)",
    "L.cond(a, 'x')",
    "L.tensorinv(z, 1)",
    "L.matrix_power(z, -1)",
    "T.matrix_power(a, -2)",
    "T.matrix_power(a, 0)",
    "L.matrix_power(a.int(), 2)",
    "L.matrix_power(a, 2.0)",
    "L.matrix_power(m, 2)",
    # Refusals
    *(f"L.{f}(m)" for f in ("det", "slogdet", "inv", "cholesky", "eigh", "eigvalsh", "matrix_exp")),
    *(f"L.{f}(v)" for f in ("det", "inv", "cholesky", "eigh", "svd", "qr", "lu", "pinv", "cond")),
    *(f"L.{f}(a.int())" for f in ("det", "inv", "cholesky", "svd", "qr", "pinv", "eigh", "lu")),
    *(f"L.{f}(a.half())" for f in ("inv", "eigh", "det", "svd")),
    "T.cholesky(a.int())",
    "T.cholesky(m)",
    "L.eigh(a, 'X')",
    "L.eigh(a, 'U').eigenvalues",
    "L.eigvalsh(a, UPLO='u')",
    "L.solve(a, a.double())",
    "L.solve(a, T.ones(4))",
    "L.solve(a, m)",
    "L.solve(a, m, left=False)",
    "L.solve(a, v)",
    "L.solve(b, v)",
    "L.solve(b, m)",
    "L.solve(b, T.ones(2, 3))",
    "L.solve(a.int(), a.int())",
    "L.solve(e, T.ones(0, 2))",
    "L.solve_triangular(a, v, upper=True)",
    "L.solve_triangular(a, m, upper=True)",
    "L.solve_triangular(a, m, upper=True, left=False)",
    "L.solve_triangular(a, i, upper=False, unitriangular=True)",
    "L.solve_triangular(z, i, upper=True).isfinite()",
    "L.solve_triangular(a, a)",
    "T.triangular_solve(m.T, a)",
    "T.triangular_solve(m.T, a, upper=False, transpose=True, unitriangular=True)",
    "T.cholesky_solve(m.T, a, upper=True)",
    "T.cholesky_inverse(a.tril())",
    "T.cholesky_inverse(m)",
    "L.lstsq(m.T, i[:, :2])",
    "L.lstsq(m, i[:2])",
    "L.lstsq(m.T, v)",
    "L.lstsq(m.T, v, driver='gels').residuals",
    "L.lstsq(m.T, v[:, None], driver='gelsd')",
    "L.lstsq(T.ones(4, 3), T.ones(4, 1), driver='gelss').rank",
    "L.lstsq(T.ones(4, 3), T.ones(4, 1), driver='gels')",
    "L.lstsq(m, m, driver='q')",
    "L.lstsq(m, i)",
    "L.lstsq(m.int(), m.int())",
    "L.lstsq(T.ones(1, 3, 2), T.ones(2, 3, 4)).solution.shape",
    "L.pinv(T.ones(3, 2), rcond=1e-3)",
    "L.pinv(T.diag(v), 0.2)",
    "L.pinv(T.diag(v), atol=2.0)",
    "L.pinv(T.diag(v), atol=0.1, rtol=0.5, hermitian=True)",
    "L.pinv(m, hermitian=True)",
    "L.pinv(T.ones(0, 3))",
    "L.matrix_rank(T.ones(3, 3))",
    "L.matrix_rank(T.diag(v), 2)",
    "L.matrix_rank(T.diag(v), tol=4.5)",
    "L.matrix_rank(T.diag(v), rtol=0.2, hermitian=True)",
    "L.matrix_rank(i, atol=T.tensor([0.1, 2.0]))",
    "L.matrix_rank(v)",
    "L.matrix_rank(b)",
    "L.householder_product(i, T.ones(4))",
    "L.householder_product(m, v)",
    # Norms
    *(
        f"L.norm(a, {o})"
        for o in ("None", "'fro'", "'nuc'", "1", "-1", "2", "-2", "inf", "'x'", "3")
    ),
    *(f"L.norm(v, {o})" for o in ("None", "'fro'", "'nuc'", "0", "3", "-inf")),
    "L.norm(b)",
    "L.norm(b, 2)",
    "L.norm(b, 'fro', dim=(0, 1))",
    "L.norm(b, 1, dim=0)",
    "L.norm(b, 1, dim=(0, 1, 2))",
    "L.norm(a, 2, dim=(0, -1), keepdim=True)",
    "L.norm(a.int())",
    "L.matrix_norm(a, dim=(0, 0))",
    "L.matrix_norm(a, dim=0)",
    "L.matrix_norm(b, inf, dim=(0, 2), keepdim=True)",
    "L.matrix_norm(b, -1, dim=(2, 0))",
    "L.matrix_norm(b, 'nuc', dim=(2, 0), keepdim=True)",
    "L.matrix_norm(v)",
    "L.matrix_norm(a.int())",
    "L.matrix_norm(a, dtype=T.float64)",
    "L.matrix_norm(a.double(), dtype=T.float32)",
    "L.vector_norm(a, dtype=T.float64)",
    "L.vector_norm(a.double(), dtype=T.float32)",
    "L.vector_norm(a, 0, dim=(0,))",
    "L.vector_norm(a, dim=())",
    "T.norm(a, 'nuc')",
    "T.norm(v, 'nuc')",
    "T.norm(b, 'nuc', dim=(0, 1))",
    "T.frobenius_norm(a, 0)",
    "T.nuclear_norm(a)",
    "T.nuclear_norm(b, (0, 1), True)",
    # Products
    "L.multi_dot([v, a, v])",
    "L.multi_dot([v, a])",
    "L.multi_dot([a])",
    "L.multi_dot([a, v, a])",
    "L.multi_dot([b, a])",
    "L.multi_dot([a, m])",
    "T.chain_matmul(m, a, m.T)",
    "L.vander(v, N=0)",
    "L.vander(v.int())",
    "L.vander(m, N=2)",
    "T.vander(v)",
    "T.vander(v.int(), 0)",
    "T.vander(v.bool())",
    "T.vander(v, -1)",
    "T.vander(m)",
    "L.vecdot(a, m)",
    "L.vecdot(a, a.double())",
    "L.vecdot(a.int(), a.int())",
    "L.vecdot(a, v, dim=0)",
    "L.vecdot(a, a, dim=5)",
    "L.cross(a, m)",
    "L.cross(v, a)",
    "L.cross(a, a, dim=0)",
    "L.cross(m.T, m.T)",
    "L.diagonal(b, offset=1)",
    "L.tensorinv(T.eye(6).reshape(2, 3, 6), ind=0)",
    "L.tensorinv(m)",
    "L.tensorsolve(T.eye(6).reshape(2, 3, 2, 3), m, dims=(0, 1))",
    "L.tensorsolve(m, v[:2])",
    "T.addmv_(T.ones(2), m, v)",
    # Distances
    *(f"T.cdist(a, i, {p})" for p in (0.0, 0.5, 1.0, 2.0, 3.0, inf, -1.0)),
    *(f"T.pdist(a, {p})" for p in (0.0, 0.5, 1.0, 2.0, 3.0, inf, -1.0)),
    "T.cdist(a, a.double())",
    "T.cdist(a, m.T)",
    "T.cdist(v, a)",
    "T.cdist(a.int(), a.int())",
    "T.cdist(a, a, compute_mode='x')",
    "T.cdist(T.ones(0, 3), a)",
    "T.cdist(T.ones(3, 0), T.ones(2, 0))",
    "T.cdist(b, a)",
    "T.cdist(a * nan, a)",
    "T.pdist(v)",
    "T.pdist(a.int())",
    "T.pdist(T.ones(1, 3))",
    "T.pdist(T.ones(0, 3))",
    "T.pdist(T.ones(3, 0))",
    # Statistics
    "T.cov(v)",
    "T.cov(v[0])",
    "T.cov(m.int())",
    "T.cov(m.bool())",
    "T.cov(b)",
    "T.cov(m, correction=5)",
    "T.cov(T.ones(2, 0))",
    "T.cov(T.ones(1, 4))",
    "T.cov(m, fweights=v.int())",
    "T.cov(m, fweights=v)",
    "T.cov(m, aweights=v.int())",
    "T.cov(m, aweights=v)",
    "T.cov(m, aweights=-v)",
    "T.cov(m, fweights=v[:2].int())",
    "T.cov(m, fweights=v.int() * 0)",
    "T.corrcoef(m)",
    "T.corrcoef(v)",
    "T.corrcoef(v[0])",
    "T.corrcoef(b)",
    "a.corrcoef()",
    "T.trapezoid(m.int())",
    "T.trapezoid(m.int(), v)",
    "T.trapezoid(m, v[:2])",
    "T.trapezoid(m, v[:2], dim=0)",
    "T.trapezoid(b, m[:, None])",
    "T.trapezoid(v, v, dx=1)",
    "T.trapezoid(v[0])",
    "T.trapezoid(v[:1])",
    "T.trapezoid(v[:0])",
    "T.trapezoid(m.bool())",
    "T.cumulative_trapezoid(m.int())",
    "T.cumulative_trapezoid(v[:1])",
    "T.cumulative_trapezoid(v[:0])",
    "T.cumulative_trapezoid(v[0])",
    "T.gradient(v)",
    "T.gradient(v, edge_order=2)",
    "T.gradient(v, spacing=(v,), edge_order=2)",
    "T.gradient(m, edge_order=2)",
    "T.gradient(m.int())",
    "T.gradient(m.bool())",
    "T.gradient(v, spacing=v)",
    "T.gradient(v, spacing=T.tensor(2.0))",
    "T.gradient(v, edge_order=3)",
    "T.gradient(v[0])",
    "T.gradient(v, dim=3)",
    "T.gradient(m, dim=(0, 0))",
    "T.gradient(m, dim=(1, 0), spacing=[3, 2])",
    "T.gradient(m, spacing=(1.0,))",
    "T.gradient(m, spacing=(v[:2], v))",
    "T.renorm(m, 1, 0, 5)",
    "T.renorm(m, inf, -1, 2)",
    "T.renorm(m, -1, 0, 5)",
    "T.renorm(v, 1, 0, 5)",
    "T.renorm(m.int(), 1, 0, 5)",
    "T.renorm(m, 1, 0, -5)",
    "T.renorm(m, 1, 3, 5)",
    "T.renorm(m * nan, 1, 0, 5)",
    "m.clone().renorm_(2, 1, 1)",
    # Results into tensors given
    "L.inv(a, out=T.ones(3, 3))",
    "L.inv(a, out=T.ones(0))",
    "L.inv(a, out=T.ones(3, 3, dtype=T.int32))",
    "L.inv(a.requires_grad_(), out=T.ones(3, 3))",
    "L.det(a, out=T.ones(3, 3).requires_grad_())",
    "list(L.slogdet(a, out=(T.ones(()), T.ones(()))))",
]


@pytest.mark.parametrize("line", LINES)
@pytest.mark.filterwarnings("ignore")
def test_line(line):
    torch = pytest.importorskip("torch")
    names = {"nan": nan, "inf": inf, "list": list}

    def call(module):
        return eval(line, {**names, **vars(Operands(module))})

    kind, expected = outcome(call, torch)
    got, actual = outcome(call, ours)
    assert got == kind, f"{actual!r} where PyTorch gives {expected!r}"
    if kind == "error":
        singular = isinstance(expected, torch.linalg.LinAlgError)
        wanted = ours.linalg.LinAlgError if singular else type(expected)
        assert isinstance(actual, wanted), f"{actual!r} where PyTorch raises {expected!r}"
        assert len(str(actual)) > 10
        return
    assert len(actual) == len(expected), f"{actual} where PyTorch gives {expected}"
    for a, e in zip(actual, expected, strict=True):
        if isinstance(e, np.ndarray):
            assert a.shape == e.shape, f"{actual} where PyTorch gives {expected}"
            np.testing.assert_allclose(a, e, 2e-4, 1e-4, err_msg=line)
        else:
            assert a == e, f"{actual} where PyTorch gives {expected}"


def test_complex_eigenvalues_are_refused():
    for function in (ours.linalg.eig, ours.linalg.eigvals):
        with pytest.raises(NotImplementedError, match="complex"):
            function(ours.eye(2))


def test_singular_matrices_are_runtime_errors_and_named():
    with pytest.raises(RuntimeError, match="Batch element 1"):
        ours.linalg.inv(ours.stack([ours.eye(2), ours.zeros(2, 2)]))
    assert issubclass(ours.linalg.LinAlgError, RuntimeError)


# ----- Gradients that PyTorch has not, or not right -----------------------------------------------


def _leaf(rng, *shape):
    return ours.tensor(rng.uniform(-1, 1, shape), requires_grad=True)


@pytest.mark.parametrize("p", [0.5, 1.0, 1.5, 2.0, 3.0, inf])
def test_distances_can_be_differentiated_twice(p):
    rng = np.random.default_rng(0)
    x, y = _leaf(rng, 3, 4), _leaf(rng, 2, 4)
    assert gradgradcheck(lambda x, y: ours.cdist(x, y, p), (x, y))
    assert gradgradcheck(lambda x: ours.pdist(x, p), (x,))


@pytest.mark.parametrize("p", [1, -1, inf, "fro", "nuc"])
def test_condition_numbers_have_gradients(p):
    x = _leaf(np.random.default_rng(0), 2, 3, 3)
    assert gradcheck(lambda x: ours.linalg.cond(x + 3 * ours.eye(3).double(), p), (x,))


def test_rising_and_falling_powers_have_gradients():
    x = _leaf(np.random.default_rng(0), 3)
    assert gradcheck(lambda x: ours.vander(x, 4), (x,))


def test_norm_of_equal_eigenvalues_has_a_gradient():
    x = ours.eye(3).requires_grad_()
    ours.linalg.eigh(x).eigenvalues.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.eye(3), atol=1e-6)
    x.grad = None
    ours.linalg.svd(x).S.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.eye(3), atol=1e-6)


def test_second_derivative_of_a_singular_determinant_is_refused():
    x = ours.zeros(2, 2).requires_grad_()
    (g,) = ours.autograd.grad(ours.linalg.det(x), x, create_graph=True)
    with pytest.raises(NotImplementedError, match="singular"):
        g.sum().backward()


def test_decompositions_without_a_derivative_say_so():
    x = ours.ones(4, 3, requires_grad=True)
    for mode in ("r", "complete"):
        with pytest.raises(RuntimeError, match="mode"):
            ours.linalg.qr(x, mode).R.sum().backward()


# ----- Distances of rows that nearly are one ------------------------------------------------------


@pytest.mark.parametrize("far", [0.0, 1000.0])
def test_distances_of_close_rows_are_exact(far):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 30)).astype("float32")
    x[20:] = x[:20] + rng.normal(size=(20, 30)).astype("float32") * 1e-3
    x[39] = x[0]
    x += np.float32(far)
    expected = torch.tensor(x, dtype=torch.float64).requires_grad_()
    torch.pdist(expected).sum().backward()
    actual = ours.tensor(x).requires_grad_()
    out = ours.pdist(actual)
    out.sum().backward()
    np.testing.assert_allclose(
        out.numpy(force=True), torch.pdist(expected.detach()).numpy(), 2e-5, 1e-6
    )
    np.testing.assert_allclose(actual.grad.numpy(), expected.grad.numpy(), 1e-4, 1e-4)


def test_distances_of_many_rows_are_found_by_products(monkeypatch):
    calls = []
    by_products = distances._euclidean
    monkeypatch.setattr(
        distances, "_euclidean", lambda x, y: (calls.append(1), by_products(x, y))[1]
    )
    ours.pdist(ours.randn(25, 3))
    assert not calls
    ours.pdist(ours.randn(26, 3))
    ours.cdist(ours.randn(26, 3), ours.randn(2, 3))
    ours.cdist(ours.randn(2, 3), ours.randn(2, 3), compute_mode="use_mm_for_euclid_dist")
    assert len(calls) == 3
    ours.cdist(ours.randn(26, 3), ours.randn(26, 3), compute_mode="donot_use_mm_for_euclid_dist")
    assert len(calls) == 3


# ----- What NumPy lacks ---------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(40, 40), (3, 50, 20), (2, 20, 50), (2, 3, 33, 33), (1, 0)])
def test_lu_of_blocks_gives_the_matrix_again(shape):
    x = np.random.default_rng(0).normal(size=shape)
    lu, swaps = matrices.lu_factors(x)
    size = min(shape[-2:])
    lower = np.tril(lu[..., :size], -1) + np.eye(shape[-2], size)
    product = matrices.permutation(swaps, shape[-2], "d") @ lower @ np.triu(lu[..., :size, :])
    np.testing.assert_allclose(product, x, atol=1e-12)
    assert np.abs(lower).max(initial=0) <= 1


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("size", [1, 33, 100])
def test_triangles_of_blocks_are_solved(size, upper):
    rng = np.random.default_rng(0)
    a = rng.normal(size=(2, size, size)) + 3 * size * np.eye(size)
    b = rng.normal(size=(3, 1, size, 2))
    triangle = np.triu(a) if upper else np.tril(a)
    out = matrices.solve_triangle(a, b, upper, False)
    np.testing.assert_allclose(triangle @ out, np.broadcast_to(b, out.shape), atol=1e-12)


@pytest.mark.parametrize("scale", [0.0, 1e-3, 1.0, 30.0])
def test_exponentials_of_all_sizes(scale):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(size=(4, 5, 5)) * scale * np.arange(1, 5)[:, None, None] / 4
    expected = torch.matrix_exp(torch.tensor(x)).numpy()
    actual = ours.matrix_exp(ours.tensor(x)).numpy()
    size = np.abs(expected).max((-1, -2), keepdims=True)
    np.testing.assert_allclose(actual / size, expected / size, atol=1e-10)


def test_results_are_written_into_the_tensors_given():
    a, out = 2 * ours.eye(2), ours.empty(2, 2)
    memory = out.data_ptr()
    assert ours.linalg.inv(a, out=out) is out
    assert out.data_ptr() == memory
    assert flat(out)[2].tolist() == [[0.5, 0], [0, 0.5]]
    with pytest.warns(UserWarning, match="resized"):
        ours.linalg.det(a, out=out)
    assert out.shape == ()
