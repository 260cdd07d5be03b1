"""Tests of `special` and `signal.windows`: their corners, types and errors beside PyTorch's."""

from __future__ import annotations

import inspect
import sys
from typing import Any

import numpy as np
import pytest

import tinygrad_like as ours
from tests.both import compare, outcome
from tinygrad_like import deferred, special
from tinygrad_like.graph import result_type
from tinygrad_like.special import declare

torch = pytest.importorskip("torch")

CORNERS = np.array(
    [
        *(0.0, -0.0, -1, -2, -0.5, -1.5, 1e-10, 0.25, 0.3, 0.75, 1, 2, 30, 200, -30, -200.5),
        *(np.inf, -np.inf, np.nan),
    ]
)
# Where PyTorch itself is only right to so many digits.
DIGITS = dict.fromkeys(("airy_ai", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1"), 1e-5)
ONE = [
    *("gammaln", "digamma", "psi", "i0", "i0e", "i1", "i1e", "entr", "erfcx", "ndtri", "log_ndtr"),
    *("erf", "erfc", "erfinv", "exp2", "expit", "expm1", "log1p", "logit", "round", "sinc"),
    *("modified_bessel_i0", "modified_bessel_i1", "modified_bessel_k0", "modified_bessel_k1"),
    *("scaled_modified_bessel_k0", "scaled_modified_bessel_k1", "spherical_bessel_j0", *DIGITS),
]
TWO = ["xlogy", "xlog1py", "zeta", "gammainc", "gammaincc"]
both_dtypes = pytest.mark.parametrize("dtype", ["float64", "float32"])


def values(name: str, *arrays: Any) -> tuple[Any, Any]:
    got = getattr(special, name)(*[result_type.make(a) for a in arrays]).array
    wanted = getattr(torch.special, name)(*[torch.from_numpy(a) for a in arrays]).numpy()
    assert got.dtype == wanted.dtype
    return got, wanted


def test_no_name_of_torchs_is_missing() -> None:
    names = [n for n, f in vars(torch.special).items() if callable(f) and not n.startswith("_")]
    assert len(names) > 50
    assert [n for n in names if n != "Tensor" and not hasattr(special, n)] == []


@both_dtypes
@pytest.mark.parametrize("name", ONE)
def test_corners_of_functions_of_one_number(name: str, dtype: str) -> None:
    got, wanted = values(name, CORNERS.astype(dtype))
    rtol = DIGITS.get(name, 1e-11) if dtype == "float64" else 1e-4
    np.testing.assert_allclose(got, wanted, rtol, 1e-7 if dtype == "float32" else 1e-15)


@both_dtypes
@pytest.mark.parametrize("name", TWO)
def test_corners_of_functions_of_two_numbers(name: str, dtype: str) -> None:
    x, y = (a.ravel() for a in np.meshgrid(CORNERS, CORNERS))
    # Left out: nan with a limit, and zeta at infinity, where PyTorch's own answers are arbitrary.
    keep = ~(np.isnan(x) | np.isnan(y) | (np.isposinf(y) & (name == "zeta")))
    got, wanted = values(name, x[keep].astype(dtype), y[keep].astype(dtype))
    np.testing.assert_allclose(got, wanted, 1e-6 if dtype == "float64" else 1e-4, 1e-7)


def test_zeta_and_ndtr_are_right_where_torch_is_not() -> None:
    assert special.zeta(ours.tensor(2.0), ours.tensor(np.inf)).item() == 0
    tail = special.ndtr(ours.tensor(-30.0, dtype=ours.float64)).item()
    assert tail == pytest.approx(4.906713927148187e-198, rel=1e-10)


@pytest.mark.parametrize("name", ["i1", "i1e", "i0", "i0e", "entr", "xlog1py"])
def test_gradients_at_zero_are_torchs(name: str) -> None:
    def call(m: Any) -> Any:
        x = m.tensor([0.0, 0.5], dtype=m.float64, requires_grad=True)
        more = (m.tensor([-1.0, -0.5], dtype=m.float64),) if name == "xlog1py" else ()
        getattr(m.special, name)(x, *more).sum().backward()
        return x.grad

    compare(call, 1e-12)


@pytest.mark.parametrize("dtype", ["int64", "bool", "float16", "float64"])
@pytest.mark.parametrize("name", [*ONE, *TWO, "ndtr", "legendre_polynomial_p"])
def test_result_types_are_torchs(name: str, dtype: str) -> None:
    if name == "round" and dtype == "int64":  # torch.round takes them, torch.special.round does not
        assert special.round(ours.tensor([1])).dtype is ours.int64
        return

    def call(m: Any) -> Any:
        x = m.tensor([1.0, 0.0, 1.0]).to(getattr(m, dtype))
        more = (x,) if name in TWO or "polynomial" in name else ()
        return str(getattr(m.special, name)(x, *more).dtype).rpartition(".")[2]

    compare(call)


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.lgamma(m.tensor([0.5, 3.0])),
        lambda m: m.tensor([0.5, 3.0]).lgamma(),
        lambda m: m.tensor([0.5, 3.0]).lgamma_(),
        lambda m: m.tensor([0.5, 3.0]).digamma_(),
        lambda m: m.tensor([0.5, 3.0]).polygamma(2),
        lambda m: m.tensor([0.5, 3.0]).polygamma_(1),
        lambda m: m.tensor([2.5, 3.0]).mvlgamma_(2),
        lambda m: m.tensor([0.5, 3.0]).i0_(),
        lambda m: m.tensor([0.5, 3.0]).igamma_(m.tensor([1.0, 2.0])),
        lambda m: m.tensor([0.5, 3.0]).igammac_(m.tensor([1.0, 2.0])),
        lambda m: m.tensor([1, 2]).lgamma_(),
        lambda m: m.polygamma(0, m.tensor([0.5, 3.0])),
        lambda m: m.special.polygamma(3, input=m.tensor([0.5, 3.0])),
        lambda m: m.polygamma(-1, m.tensor([0.5])),
        lambda m: m.polygamma(1.5, m.tensor([0.5])),
        lambda m: m.mvlgamma(m.tensor([3, 4]), 2),
        lambda m: m.special.multigammaln(m.tensor([3.0, 4.0]), p=3),
        lambda m: m.mvlgamma(m.tensor([3.0]), 0),
        lambda m: m.mvlgamma(3.0, 1),
        lambda m: m.special.zeta(m.tensor([2.0, 3.0]), 2),
        lambda m: m.special.zeta(2, m.tensor([2, 3])),
        lambda m: m.special.xlog1py(2, m.tensor([2.0, 3.0])),
        lambda m: m.igamma(m.tensor([2.0]), 2.0),
        lambda m: m.igamma(m.tensor([2]), m.tensor([3])),
        lambda m: m.igamma(m.tensor([2.0]), m.tensor([3.0], dtype=m.float64)),
        lambda m: m.special.softmax(m.tensor([1.0, 2.0]), 0, dtype=m.float64),
        lambda m: m.special.log_softmax(m.tensor([1.0, 2.0]), dim=0),
        lambda m: m.special.logsumexp(m.tensor([1.0, 2.0]), 0),
        lambda m: m.special.hermite_polynomial_h(m.tensor([0.5, 2.0]), 3),
        lambda m: m.special.laguerre_polynomial_l(0.5, m.tensor([0, 1, 2, -1])),
        lambda m: m.special.bessel_j0(m.tensor([0.5], requires_grad=True)),
        lambda m: m.special.gammaln(2.0),
    ],
)
def test_spellings_and_errors(call: Any) -> None:
    compare(call)


@pytest.mark.parametrize("name", ["zeta", "gammainc", "gammaincc"])
def test_arguments_without_a_derivative_are_refused_in_the_backward_pass(name: str) -> None:
    def call(m: Any) -> Any:
        x = m.tensor([2.0], requires_grad=True)
        getattr(m.special, name)(x, m.tensor([3.0])).backward()

    compare(call)
    _, error = outcome(call, ours)
    assert "not implemented" in str(error)


def test_without_scipy_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    with pytest.raises(ImportError, match=r"tinygrad-like\[special\]"):
        ours.lgamma(ours.tensor([1.0]))
    assert special.entr(ours.tensor([1.0])).item() == 0
    with pytest.raises(ImportError):
        declare.scipy_function("gammaln")


def test_deferred_names_are_found() -> None:
    for name in deferred.HOMES:
        found = deferred.find(name)
        if name in deferred._METHODS:  # they ask for it at each call
            method = getattr(ours.Tensor, name)
            assert inspect.signature(method) == inspect.signature(found)
            continue
        reached = [getattr(ours, name)]
        while hasattr(reached[-1], "__wrapped__"):
            reached.append(reached[-1].__wrapped__)
        assert any(function is found for function in reached)


# ----- Windows ------------------------------------------------------------------------------------

WINDOWS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in ("bartlett", "blackman", "cosine", "exponential", "gaussian")),
    *((name, {}) for name in ("general_hamming", "hamming", "hann", "kaiser", "nuttall")),
    ("exponential", {"tau": 2.5}),
    ("gaussian", {"std": 0.7}),
    ("kaiser", {"beta": 0.0}),
    ("kaiser", {"beta": 3.5}),
    ("general_hamming", {"alpha": 0.7}),
    ("general_cosine", {"a": [0.46, 0.23, 0.31]}),
]
OLD = [f"{name}_window" for name in ("bartlett", "blackman", "hamming", "hann", "kaiser")]


@pytest.mark.parametrize("length", [0, 1, 2, 5, 12])
@pytest.mark.parametrize("sym", [True, False])
@pytest.mark.parametrize(("name", "options"), WINDOWS)
def test_windows_are_torchs(name: str, options: dict[str, Any], sym: bool, length: int) -> None:
    def call(m: Any) -> Any:
        window = getattr(m.signal.windows, name)
        more = {"sym": sym, **options}
        return window(length, **more), window(length, **more, dtype=m.float64, requires_grad=True)

    compare(call)


@pytest.mark.parametrize("length", [0, 1, 2, 5, 12])
@pytest.mark.parametrize("name", OLD)
def test_old_windows_are_torchs(name: str, length: int) -> None:
    def call(m: Any) -> Any:
        window = getattr(m, name)
        wide = window(length, periodic=False, dtype=m.float64, requires_grad=True)
        return window(length), window(length, False), wide

    compare(call)


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.hamming_window(5, True, 0.5, 0.4),
        lambda m: m.kaiser_window(5, True, 3.0),
        lambda m: m.hann_window(-1),
        lambda m: m.hann_window(3.5),
        lambda m: m.hann_window(3, dtype=m.int64),
        lambda m: m.signal.windows.hann(-1),
        lambda m: m.signal.windows.hann(3.0),
        lambda m: m.signal.windows.hann(3, dtype=m.int64),
        lambda m: m.signal.windows.hann(3, dtype=m.float16),
        lambda m: m.signal.windows.hann(3, True),
        lambda m: m.signal.windows.hann(3, alpha=0.5, color=1),
        lambda m: m.signal.windows.exponential(1, center=1.5, sym=False),
        lambda m: m.signal.windows.exponential(4, center=1.5, sym=False),
        lambda m: m.signal.windows.exponential(4, center=1.5),
        lambda m: m.signal.windows.exponential(4, tau=0),
        lambda m: m.signal.windows.gaussian(4, std=0),
        lambda m: m.signal.windows.kaiser(4, beta=-1),
        lambda m: m.signal.windows.general_cosine(4, a=[]),
        lambda m: m.signal.windows.general_cosine(4, a=1),
        lambda m: m.signal.windows.general_cosine(1, a=[]),
    ],
)
def test_options_and_errors_of_windows(call: Any) -> None:
    compare(call)


def test_trigamma_on_both_sides_of_zero():
    exact = pytest.importorskip("scipy.special").polygamma
    x = np.concatenate([np.linspace(-20.3, 40.1, 9973), 10.0 ** np.arange(-150, 150, 7)])
    found = ours.polygamma(1, ours.tensor(x)).numpy()
    np.testing.assert_allclose(found, exact(1, x), rtol=3e-15)
    corners = ours.tensor([0.0, -0.0, -1.0, -7.0, np.inf, np.nan, -np.inf])
    found = ours.polygamma(1, corners).numpy()
    np.testing.assert_array_equal(found, [np.inf] * 4 + [0, np.nan, np.nan])
