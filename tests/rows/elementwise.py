"""Rows for `tinygrad_like.ops.elementwise`."""

from tests.rows.base import Real, Row

ROWS = [
    Row("add", lambda torch, x, y: torch.add(x, y), [(Real((2, 3)), Real((3,)))], broadcast=True),
    Row(
        "divide",
        lambda torch, x, y: torch.div(x, y),
        [(Real((2, 3)), Real((3,), 0.5, 2.0))],
    ),
    Row("relu", lambda torch, x: torch.relu(x), [(Real((2, 3), apart=(0.0,)),)]),
]
