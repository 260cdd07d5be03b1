"""Rows for counting, for scattering with a reduction, and for regions and whole numbers."""

from tests.rows.base import Real, Row

R = Real

ROWS = [
    Row(
        "sort, gather, lerp",
        lambda torch, x: [torch.quantile(x, 0.3, 1), x.nanquantile(0.7, 0, True)],
        [(R((3, 5), distinct=True),)],
        name="quantile",
    ),
    Row(
        "region, subtract",
        lambda torch, x: [torch.diff(x), x.diff(2, 0)],
        [(R((4, 3)),)],
        name="diff",
    ),
    Row(
        "region, subtract",
        lambda torch, x, y: x.diff(dim=0, append=y),
        [(R((4, 3)), R((1, 3)))],
        name="diff_append",
    ),
]
