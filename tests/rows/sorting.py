"""Rows for `tinygrad_like.ops.sorting`."""

from tests.rows.base import Ints, Real, Row

D = Real((3, 4), distinct=True)
ZERO = Real(())

ROWS = [
    Row(
        "sort",
        lambda torch, x: [*x.sort(), *torch.sort(x, 0, True), torch.msort(x)],
        [(D,)],
    ),
    Row("sort", lambda torch, x: [*x.sort(), *torch.sort(x, 0, True)], [(ZERO,)], name="0-d"),
    Row(
        "argsort",
        lambda torch, x: [
            x.argsort(stable=True),
            torch.argsort(x, dim=0, descending=True, stable=True),
        ],
        [(D,), (Ints((3, 9), 0, 4),)],
        order=0,
    ),
    Row(
        "topk",
        lambda torch, x: [*x.topk(2), *torch.topk(x, 2, 0, largest=False)],
        [(D,), (Real((20, 40), distinct=True),)],
        finite=False,
    ),
    Row("topk", lambda torch, x: x.topk(1), [(ZERO,)], name="0-d"),
    Row("kthvalue", lambda torch, x: [*x.kthvalue(2), *x.kthvalue(3, 0, True)], [(D,)]),
    Row("median", lambda torch, x: [*x.median(1), *torch.median(x, 0, True)], [(D,)]),
    Row("median", lambda torch, x: [*x.median(0)], [(ZERO,)], name="0-d"),
    Row("median_of_all", lambda torch, x: [x.median(), torch.median(x)], [(D,), (ZERO,)]),
    Row("nanmedian", lambda torch, x: [*x.nanmedian(1), *torch.nanmedian(x, 0, True)], [(D,)]),
    Row("nanmedian_of_all", lambda torch, x: [x.nanmedian()], [(D,), (ZERO,)]),
    Row("mode", lambda torch, x: [x.mode(1)[0], torch.mode(x, 0, True)[0]], [(D,)]),
    Row("mode", lambda torch, x: [x.mode(1)[0]], [(Ints((3, 9), 0, 4),)], order=0, name="ints"),
    Row(
        "find_sorted",
        lambda torch, x, y: [
            torch.searchsorted(torch.sort(x)[0], y),
            torch.searchsorted(torch.sort(x)[0], y, right=True),
            torch.searchsorted(torch.sort(x)[0], y, side="right", out_int32=True),
            torch.bucketize(y, torch.sort(x)[0][0]),
        ],
        [(Ints((2, 5)), Ints((2, 3)))],
        order=0,
    ),
]
