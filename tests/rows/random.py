"""Rows for `random`: the seed is the same before every call."""

import tinygrad_like.ops.rare  # noqa: F401  # declares an op
from tests.rows.base import Real, Row

ROWS = [
    Row(
        "bernoulli",
        lambda t, p: t.bernoulli(p),
        [(Real((20,), 0.0, 1.0),)],
        finite=False,
        exact=True,
    ),
    Row(
        "poisson",
        lambda t, rate: t.poisson(rate),
        [(Real((20,), 0.0, 20.0),)],
        finite=False,
        exact=True,
    ),
    Row(
        "normal",
        lambda t, mean, std: t.normal(mean, std),
        [(Real((3, 4)), Real((3, 4), 0.5, 2.0)), (Real((4, 8)), Real((4, 8), 0.5, 2.0))],
        finite=False,
    ),
]
