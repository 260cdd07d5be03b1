"""``out=``, held to PyTorch for every function that takes it."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import tinygrad_like as ours

try:
    import torch
except ImportError:
    torch = None

needs_torch = pytest.mark.skipif(torch is None, reason="the oracle is not installed")

ONE = """
abs absolute acos acosh arccos arccosh arcsin arcsinh arctan arctanh asin asinh atan atanh ceil cos
cosh deg2rad erf erfc erfinv exp exp2 expm1 fix floor frac isneginf isposinf log log10 log1p log2
logical_not logit nan_to_num neg negative rad2deg reciprocal round rsqrt sgn sigmoid sign signbit sin
sinc sinh sqrt square tan tanh trunc
"""
TWO = """
add arctan2 atan2 copysign div divide eq float_power floor_divide fmax fmin fmod ge greater
greater_equal gt heaviside hypot le less less_equal logaddexp logaddexp2 logical_and logical_or
logical_xor lt maximum minimum mul multiply ne nextafter not_equal pow remainder sub subtract
true_divide xlogy
"""
WHOLE = "bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift gcd lcm"
ALONG = """
all amax amin any argmax argmin cummax cummin cumprod cumsum log_softmax logcumsumexp logsumexp max
mean median min mode nanmean nanmedian nansum norm prod softmax std sum var
"""
OTHERS = """
t.bitwise_not(i)
t.all(m)
t.any(m)
t.max(m)
t.min(m)
t.max(m, s)
t.min(m, s)
t.mean(m)
t.argmax(m)
t.argmin(m)
t.amax(m)
t.aminmax(m, dim=1)
t.aminmax(m)
t.norm(m)
t.nuclear_norm(m)
t.frobenius_norm(m, 1)
t.std(m)
t.var(m)
t.addbmm(p, a, b)
t.addcdiv(m, m, s)
t.addcmul(m, m, s)
t.addmm(p, p, p)
t.addmv(c, p, c)
t.addr(p, c, c)
t.baddbmm(a, a, b)
t.bmm(a, b)
t.mm(p, p)
t.mv(p, c)
t.matmul(p, p)
t.matmul(c, c)
t.ger(c, c)
t.outer(c, c)
t.dot(c, c)
t.vdot(c, c)
t.inner(p, p)
t.kron(p, p)
t.cross(p, p)
t.chain_matmul(p, p, p)
t.matrix_power(p, 3)
t.tensordot(p, p, 1)
t.arange(5)
t.range(0, 5)
t.linspace(0, 1, 5)
t.logspace(0, 1, 5)
t.eye(3)
t.empty(2, 3)
t.full((2, 3), 1.5)
t.ones(2, 3)
t.zeros(2, 3)
t.rand(2, 3)
t.randn(2, 3)
t.randint(0, 9, (2, 3))
t.randperm(6)
t.normal(0.0, 1.0, (2, 3))
t.normal(m, s)
t.normal(m, 2.0)
t.bernoulli(s)
t.multinomial(s, 2)
t.bucketize(m, c)
t.searchsorted(c, m)
t.cat((m, s))
t.concat((m, s))
t.concatenate((m, s))
t.stack((m, s))
t.hstack((m, s))
t.vstack((m, s))
t.dstack((m, s))
t.row_stack((m, s))
t.column_stack((m, s))
t.cholesky(spd)
t.cholesky_inverse(spd)
t.cholesky_solve(p, spd)
t.clamp(m, 1, 4)
t.clip(m, 1, 4)
t.clamp_max(m, 3)
t.clamp_min(m, 3)
t.diag(c)
t.diff(m)
t.frexp(u)
t.gather(m, 1, index)
t.geqrf(p)
t.qr(p)
t.svd(p)
t.orgqr(p, c)
t.ormqr(p, c, p)
t.triangular_solve(p, p)
t.lu_solve(p, p, pivots)
t.lu_unpack(p, pivots)
t.histc(m, 4)
t.histogram(m, 4)
t.index_select(m, 1, i)
t.argsort(m, stable=True)
t.hardshrink(m, 2.5)
t.slice_scatter(m, s, 1, 0, 3)
t.alias_copy(m)
t.detach_copy(m)
t.diagonal_copy(m)
t.expand_copy(u, (2, 3))
t.narrow_copy(m, 1, 0, 2)
t.permute_copy(m, (1, 0))
t.select_copy(m, 0, 1)
t.slice_copy(m, 1, 0, 2)
t.squeeze_copy(m)
t.t_copy(m)
t.transpose_copy(m, 0, 1)
t.unfold_copy(m, 1, 2, 1)
t.unsqueeze_copy(m, 0)
t.inverse(p)
t.kthvalue(m, 2)
t.lerp(m, s, 0.5)
t.lerp(m, s, s)
t.logit(u, 0.1)
t.ldexp(u, i)
t.masked_select(m, m > 2)
t.msort(m)
t.sort(m)
t.sort(m, dim=0, descending=True)
t.topk(m, 2)
t.nonzero(m)
t.pow(2.0, m)
t.quantile(m, 0.5)
t.nanquantile(m, 0.5)
t.renorm(m, 2, 0, 1.0)
t.round(u, decimals=1)
t.take(m, i)
t.take_along_dim(m, index, 1)
t.tril(m)
t.triu(m)
t.where(m > 2, m, s)
t.index_add(m, 1, i, m)
t.index_copy(m, 1, i, m)
t.index_reduce(m, 1, i, m, 'prod')
t.scatter(m, 1, index, s)
t.scatter(m, 1, index, 1.0)
t.scatter_add(m, 1, index, s)
t.scatter_reduce(m, 1, index, s, 'amax')
t.threshold(m, 2, 0)
t.slogdet(p)
t.isin(m, s)
t.linalg.cholesky(spd)
t.linalg.cholesky_ex(spd)
t.linalg.cond(p)
t.linalg.cross(p, p)
t.linalg.det(p)
t.linalg.eigh(spd)
t.linalg.eigvalsh(spd)
t.linalg.householder_product(p, c)
t.linalg.inv(p)
t.linalg.inv_ex(p)
t.linalg.lstsq(p, p)
t.linalg.lu(p)
t.linalg.lu_factor(p)
t.linalg.lu_factor_ex(p)
t.linalg.lu_solve(p, pivots, p)
t.linalg.matmul(p, p)
t.linalg.matrix_norm(p)
t.linalg.matrix_norm(p, 2)
t.linalg.matrix_power(p, 2)
t.linalg.matrix_rank(p)
t.linalg.multi_dot((p, p, p))
t.linalg.norm(p)
t.linalg.norm(p, 2)
t.linalg.pinv(p)
t.linalg.qr(p)
t.linalg.slogdet(p)
t.linalg.solve(p, p)
t.linalg.solve_ex(p, p)
t.linalg.solve_triangular(p, p, upper=True)
t.linalg.svd(p)
t.linalg.svdvals(p)
t.linalg.tensorinv(p, ind=1)
t.linalg.tensorsolve(p, c)
t.linalg.vecdot(p, p)
t.linalg.vector_norm(m)
F.normalize(m)
F.avg_pool2d(a, 1)
F.avg_pool3d(a[None], 1)
F.gelu(m)
F.linear(p, p)
F.softplus(m)
F.hardshrink(m)
F.softshrink(m)
F.logsigmoid(m)
t.addmm(p, p, p, beta=2)
t.true_divide(i, j)
t.sum(i, 0)
t.add(i, j)
t.add(u, w, alpha=2)
t.mul(i, 2.5)
t.eq(i, 2)
t.sqrt(i)
t.cumsum(i, 0)
t.cat((i, u))
"""
SPECIAL_ONE = """
entr erf erfc erfinv exp2 expit expm1 log1p logit round sinc
"""
SPECIAL_OF_SCIPY = """
airy_ai bessel_j0 bessel_j1 bessel_y0 bessel_y1 digamma erfcx gammaln i0 i0e i1 i1e log_ndtr
modified_bessel_i0 modified_bessel_i1 modified_bessel_k0 modified_bessel_k1 ndtr ndtri psi
scaled_modified_bessel_k0 scaled_modified_bessel_k1 spherical_bessel_j0
"""
SPECIAL_TWO = """
chebyshev_polynomial_t chebyshev_polynomial_u chebyshev_polynomial_v chebyshev_polynomial_w
hermite_polynomial_h hermite_polynomial_he laguerre_polynomial_l legendre_polynomial_p
shifted_chebyshev_polynomial_t shifted_chebyshev_polynomial_u shifted_chebyshev_polynomial_v
shifted_chebyshev_polynomial_w xlogy
"""
SPECIAL_TWO_OF_SCIPY = "gammainc gammaincc xlog1py zeta"
OF_SCIPY = [
    *(f"t.special.{name}(u)" for name in SPECIAL_OF_SCIPY.split()),
    *(f"t.special.{name}(u, w)" for name in SPECIAL_TWO_OF_SCIPY.split()),
    *("t.lgamma(u)", "t.digamma(u)", "t.i0(u)", "t.igamma(u, w)", "t.igammac(u, w)"),
    *("t.mvlgamma(m + 9, 2)", "t.polygamma(1, m + 1)"),
    *("t.special.multigammaln(m + 9, 2)", "t.special.polygamma(1, u)"),
]
CALLS = [
    "t.special.logsumexp(m, 1)",
    *(f"t.{name}(u)" for name in ONE.split()),
    *(f"t.{name}(u, w)" for name in TWO.split()),
    *(f"t.{name}(i, j)" for name in WHOLE.split()),
    *(f"t.{name}(m, 1)" for name in ALONG.split()),
    *OTHERS.strip().splitlines(),
    *(f"t.special.{name}(u)" for name in SPECIAL_ONE.split()),
    *(f"t.special.{name}(u, w)" for name in SPECIAL_TWO.split()),
    *OF_SCIPY,
]
every_call = pytest.mark.parametrize("call", CALLS)


@pytest.fixture(autouse=True)
def _scipy(request):
    parameters = getattr(getattr(request.node, "callspec", None), "params", {})
    if parameters.get("call") in OF_SCIPY:
        pytest.importorskip("scipy")


def names(t):
    """Return what the calls speak of."""
    return {
        "t": t,
        "F": t.nn.functional,
        "u": t.tensor([0.1, 0.3, 0.7]),
        "w": t.tensor([0.5, 1.5, 2.0]),
        "i": t.tensor([0, 2, 1]),
        "j": t.tensor([1, 2, 2]),
        "m": t.tensor([[1.0, 5.0, 2.0], [4.0, 0.0, 3.0]]),
        "s": t.tensor([[0.3, 0.2, 0.5], [0.1, 0.6, 0.3]]),
        "index": t.tensor([[0, 1, 0], [2, 1, 0]]),
        "p": t.tensor([[2.0, 1.0, 0.5], [0.3, 3.0, 0.2], [0.1, 0.4, 1.5]]),
        "spd": t.tensor([[2.0, 0.1, 0.2], [0.1, 3.0, 0.3], [0.2, 0.3, 1.5]]),
        "c": t.tensor([0.5, 1.5, 2.5]),
        "a": t.arange(18.0).reshape(2, 3, 3) / 9,
        "b": t.arange(18.0).reshape(2, 3, 3) / 7,
        "pivots": t.tensor([1, 2, 3], dtype=t.int32),
    }


def results_of(t, call):
    """Return what a call without `out` gives, as a list, and whether it is a tuple."""
    t.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = eval(call, names(t))
    return (list(found), True) if isinstance(found, tuple) else ([found], False)


def dtype_name(tensor):
    return str(tensor.dtype).split(".")[1]


class Filled:
    """One call with `out`: what it returned, warned of and wrote."""

    def __init__(self, t, call, specs, several, **given):
        tensors = [t.full(shape, 1, dtype=getattr(t, dtype)) for shape, dtype in specs]
        if given.pop("leaf", False):
            tensors[0].requires_grad_()
        views = [tensor.view(tensor.shape) for tensor in tensors]
        t.manual_seed(0)
        scope = names(t) | given | {"out": tuple(tensors) if several else tensors[0]}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            returned = eval(call[:-1] + ", out=out)", scope)
        self.itself = [
            a is b for a, b in zip(returned if several else [returned], tensors, strict=True)
        ]
        self.warned = any("resized" in str(w.message) for w in caught)
        self.places = {w.filename for w in caught if "resized" in str(w.message)}
        self.values = [tensor.detach().numpy() for tensor in tensors]
        self.views = [view.detach().numpy() for view in views]


def same(actual, expected, call):
    """Assert that two lists of arrays are alike."""
    for a, e in zip(actual, expected, strict=True):
        assert (a.dtype, a.shape) == (e.dtype, e.shape)
        if not call.startswith("t.empty"):
            tolerance = 2e-3 if e.dtype == np.float16 else 1e-5
            np.testing.assert_allclose(a, e, tolerance, tolerance)


def specs_of(call):
    expected, several = results_of(torch, call)
    return [(tuple(e.shape), dtype_name(e)) for e in expected], several


@needs_torch
@every_call
def test_out_is_filled_and_returned(call):
    specs, several = specs_of(call)
    here, there = (Filled(t, call, specs, several) for t in (ours, torch))
    assert all(here.itself)
    same(here.values, there.values, call)
    same(here.views, here.values, call)  # whoever looks at its memory sees the results
    plain, _ = results_of(ours, call)
    if "rand" not in call:
        same(here.values, [p.detach().numpy() for p in plain], call)


# PyTorch's warns where it should not or not where it should, or takes out's shape for an argument.
SILENT = ("t.addbmm(p, a, b)", "t.normal(m, s)", "t.normal(m, 2.0)")


@needs_torch
@pytest.mark.parametrize("call", [c for c in CALLS if c not in SILENT])
@pytest.mark.parametrize("empty", [False, True], ids=["other shape", "empty"])
def test_out_is_resized(call, empty):
    specs, several = specs_of(call)
    other = [((0,) if empty else (*shape, 2), dtype) for shape, dtype in specs]
    here, there = (Filled(t, call, other, several) for t in (ours, torch))
    assert all(here.itself)
    assert here.warned == there.warned
    assert here.places <= {"<string>"}, "the warning is about the user's line"
    same(here.values, there.values, call)


# Where PyTorch's is at odds with itself, or ours takes a little more or less.
OTHERWISE = {
    *("t.randint(0, 9, (2, 3))", "t.normal(m, 2.0)", "t.lerp(m, s, s)"),
}


@needs_torch
@pytest.mark.parametrize("dtype", ["float64", "float16", "int64", "uint8", "bool"])
@pytest.mark.parametrize("call", [c for c in CALLS if c not in OTHERWISE])
def test_out_of_another_dtype(call, dtype):
    specs, several = specs_of(call)
    specs[0] = specs[0][0], dtype
    try:
        there = Filled(torch, call, specs, several)
    except (RuntimeError, TypeError) as error:
        kind = TypeError if isinstance(error, TypeError) else RuntimeError
        with pytest.raises(kind, match=r"dtype|can't be cast|not implemented"):
            Filled(ours, call, specs, several)
        return
    same(Filled(ours, call, specs, several).values, there.values, call)


@needs_torch
@every_call
def test_no_gradient_goes_through_out(call):
    specs, several = specs_of(call)
    if "float" not in specs[0][1] or call.startswith("t.empty"):
        return
    with pytest.raises(RuntimeError, match="don't support automatic differentiation"):
        Filled(ours, call, specs, several, leaf=True)
    with ours.no_grad():
        assert all(Filled(ours, call, specs, several, leaf=True).itself)


# Results that have no gradient may be written although an operand wants one.
@needs_torch
@every_call
def test_operands_that_require_grad(call):
    specs, several = specs_of(call)
    leaves = {k: v.requires_grad_() for k, v in names(ours).items() if k in "uwmspcab" and k}
    leaves |= {"spd": names(ours)["spd"].requires_grad_()}
    with ours.no_grad():
        assert all(Filled(ours, call, specs, several, **leaves).itself)
    wants = any(o.requires_grad for o in eval_list(call, names(ours) | leaves))
    if wants:
        with pytest.raises(RuntimeError, match="one of the arguments requires grad"):
            Filled(ours, call, specs, several, **leaves)
    else:
        assert all(Filled(ours, call, specs, several, **leaves).itself)


def eval_list(call, scope):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = eval(call, scope)
    return found if isinstance(found, tuple) else (found,)


# ----- Aliases ------------------------------------------------------------------------------------

ALIASES = """
t.add(u, w, out=u)
t.mul(u, 2, out=u)
t.sub(w, u, out=u)
t.exp(u, out=u)
t.cumsum(m, 1, out=m)
t.where(m > 2, m, s, out=m)
t.clamp(m, 1, 2, out=m)
t.add(u[:2], 1, out=u[1:])
t.add(u[1:], 1, out=u[:2])
t.add(p, p.t(), out=p)
t.exp(u[:2], out=u[1:])
t.add(u, u, out=t.zeros(1).expand(3))
t.exp(u, out=t.zeros(1).expand(3))
t.add(m[:1], 1, out=m[1:])
t.add(u, w, out=m[0])
t.add(u, w, out=p[:, 1])
t.add(u, w, out=(u,))
t.add(u, w, out=None)
t.sort(m, out=m)
t.sort(m, out=(m, index, m))
t.sort(m, out=(m, index))
t.max(m, 1, out=(c[:2], i[:2]))
t.max(m, 1, out=c)
t.max(m, s, out=m)
t.std_mean(m, 1, out=(c, c))
t.add(u, w, out=[u])
t.frexp(u, out=(u, t.zeros(3, dtype=t.int32)))
t.sum(m, 0, out=u)
t.sum(m, 0, dtype=t.float64, out=u)
t.cat((u, w), out=t.zeros(6))
t.stack((u, w), 1, out=m)
t.arange(3, out=u)
t.arange(3, dtype=t.float64, out=u)
t.zeros(3, out=u)
t.full((3,), 2, out=u)
t.randperm(3, out=i)
t.linspace(0, 1, 3, out=u)
t.topk(m, 2, out=(m[:, :2], index[:, :2]))
t.aminmax(m, dim=0, out=(u, w))
t.linalg.slogdet(p, out=(t.zeros(()), t.zeros(())))
t.linalg.qr(p, out=(p, t.zeros(3, 3)))
t.relu(u, out=u)
t.nn.functional.relu(u, out=u)
"""


@pytest.mark.parametrize("line", ALIASES.strip().splitlines())
def test_out_that_is_an_operand(line):
    from tests.both import compare

    def call(t):
        scope = names(t)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = eval(line, scope)
        return [found, *(scope[name] for name in ("u", "w", "m", "p", "c", "i", "index"))]

    compare(call)
