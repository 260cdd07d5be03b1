"""Rows for `tinygrad_like.special`."""

import tinygrad_like.special as special  # declares the ops
from tests.rows.base import Ints, Real, Row

# PyTorch's trigamma is right to 10 digits, its incomplete gamma functions to 9, Bessel's to 7.
TRIGAMMA = (1e-8, 1e-4)


def one(name, low=-2.0, high=2.0, apart=(), op=None, **options):
    """Return the row of a function of one number in `torch.special`."""
    return Row(
        op or name,
        lambda t, x: getattr(t.special, name)(x),
        [(Real((2, 3), low, high, apart=apart),)],
        broadcast=True,
        name=name if op else "",
        **options,
    )


def constant(name, low=0.1, high=3.0, rtol=(1e-6, 1e-4)):
    """Return the row of a function that has no gradient."""
    return one(name, low, high, order=0, rtol=rtol)


POLYNOMIALS = special.polynomials.__all__

ROWS = [
    one("gammaln", 0.3, 4.0, op="lgamma", rtol=TRIGAMMA),
    one("digamma", 0.5, 4.0, rtol=TRIGAMMA),
    one("psi", 0.5, 4.0, op="digamma", rtol=TRIGAMMA),
    Row(
        "lgamma, digamma, i0",
        lambda t, x: [t.lgamma(x), x.lgamma(), t.digamma(x), x.digamma(), t.i0(x), x.i0()],
        [(Real((2, 3), 0.5, 3.0),)],
        rtol=(1e-7, 1e-4),
        name="top",
    ),
    Row(
        "lgamma, polygamma",
        lambda t, x: [t.special.multigammaln(x, 2), t.special.polygamma(1, x)],
        [(Real((2, 3), 1.5, 3.0),)],
        rtol=(1e-7, 1e-4),
        name="special",
    ),
    Row(
        "igamma, igammac",
        lambda t, x, y: [t.special.gammainc(x, y), t.special.gammaincc(x, y)],
        [(Real((2, 3), 0.5, 3.0, grad=False), Real((3,), 0.5, 3.0))],
        rtol=TRIGAMMA,
        name="special",
    ),
    Row(
        "polygamma",
        lambda t, x: t.polygamma(2, x),
        [(Real((2, 3), 0.5, 4.0),)],
        broadcast=True,
        rtol=TRIGAMMA,
    ),
    Row(
        "lgamma",
        lambda t, x: t.mvlgamma(x, 3),
        [(Real((2, 3), 1.5, 4.0),)],
        name="multivariate",
        rtol=TRIGAMMA,
    ),
    Row(
        "zeta",
        lambda t, x, y: t.special.zeta(x, y),
        [(Real((2, 3), 1.5, 4.0, grad=False), Real((3,), 0.5, 3.0))],
    ),
    Row(
        "igamma",
        lambda t, x, y: t.igamma(x, y),
        [(Real((2, 3), 0.5, 3.0, grad=False), Real((3,), 0.5, 3.0))],
        rtol=TRIGAMMA,
    ),
    Row(
        "igammac",
        lambda t, x, y: t.igammac(x, y),
        [(Real((2, 3), 0.5, 3.0, grad=False), Real((3,), 0.5, 3.0))],
        rtol=TRIGAMMA,
    ),
    one("i0"),
    one("i0e", apart=(0.0,)),
    one("i1", apart=(0.0,), rtol=(1e-9, 2e-4)),
    one("i1e", apart=(0.0,), rtol=(1e-9, 2e-4)),
    one("entr", 0.1, 2.0),
    one("erfcx"),
    one("ndtr"),
    one("ndtri", 0.05, 0.95),
    one("log_ndtr"),
    Row(
        "xlog1py",
        lambda t, x, y: t.special.xlog1py(x, y),
        [(Real((2, 3)), Real((3,), -0.5, 2.0))],
    ),
    *map(constant, ["bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "airy_ai"]),
    *map(constant, [f"modified_bessel_{kind}" for kind in ("i0", "i1", "k0", "k1")]),
    *map(constant, ["scaled_modified_bessel_k0", "scaled_modified_bessel_k1"]),
    constant("spherical_bessel_j0"),
    *(
        Row(
            name,
            lambda t, x, n, name=name: getattr(t.special, name)(x, n),
            [(Real((2, 3)), Ints((3,), -1, 9))],
            order=0,
            rtol=(1e-9, 1e-3),
        )
        for name in POLYNOMIALS
    ),
]
