"""Rows for `tinygrad_like.ops.conversion`."""

from tests.rows.base import Real, Row

ROWS = [
    Row(
        "cast",
        lambda torch, x: [x.double(), x.to("cpu", torch.float32), x.float(), x.type_as(x)],
        [(Real((2, 3)),)],
        rtol=(1e-6, 1e-6),
        name="to",
        finite=False,
    ),
    Row(
        "discretise",
        lambda torch, x: [x.int(), x.long(), x.bool(), x.char(), x.short(), x.to(torch.int64)],
        [(Real((2, 3), -9, 9),)],
        order=0,
        name="to",
    ),
]
