"""Rows for `tinygrad_like.ops.reduction`, `norms`, `extrema` and `scanning`."""

from tests.rows.base import Bools, Ints, Real, Row
from tinygrad_like.op import REGISTRY

R = Real
D = Real((3, 4), distinct=True)


def _ours(torch):
    return torch.__name__ == "tinygrad_like"


ROWS = [
    Row(
        "sum",
        lambda torch, x: [x.sum(), x.sum(0), torch.sum(x, (0, -1), True), x.sum(axis=1)],
        [(R((2, 3, 2)),)],
    ),
    Row(
        "sum",
        lambda torch, x: [x.sum(0), x.sum(-1), x.sum((0, 1))],
        [(R((40, 8, 7)),)],
        name="blas",
        order=1,
        finite=False,
    ),
    Row("sum", lambda torch, x: [x.sum(), x.sum(0), x.sum(-1)], [(R(()),)], name="0-d"),
    Row(
        "mean",
        lambda torch, x: [x.mean(), x.mean(0), torch.mean(x, (0, -1), True)],
        [(R((2, 3, 2)),)],
    ),
    Row("nansum", lambda torch, x: [x.nansum(), x.nansum(0), x.nanmean(1)], [(R((2, 3)),)]),
    Row(
        "prod",
        lambda torch, x: [x.prod(), x.prod(0), torch.prod(x, -1, True)],
        [(R((2, 3), 0.5, 2.0),)],
    ),
    Row(
        "prod",
        lambda torch, x, m: [(x * m).prod(1), (x * m).prod()],
        [(R((3, 3), 0.5, 2.0), Bools((3, 3))), (R((2, 2), 0.5, 2.0), Bools((1, 2)))],
        name="zeros",
    ),
    Row(
        "var",
        lambda torch, x: [
            x.var(),
            x.var(0),
            torch.var(x, (0, -1), correction=0, keepdim=True),
            x.var(unbiased=False),
            torch.var_mean(x, 1)[0],
        ],
        [(R((3, 4)),)],
    ),
    Row(
        "std",
        lambda torch, x: [x.std(), x.std(0), torch.std(x, 1, False), torch.std_mean(x, 0)[1]],
        [(R((3, 4)),)],
    ),
    Row(
        "any",
        lambda torch, x: [x.any(), x.any(0), torch.any(x, (0, 1)), x.any(-1, keepdim=True)],
        [(Bools((2, 3)),), (Ints((2, 3), 0, 2),), (Ints((2, 3), 0, 2, "uint8"),)],
        order=0,
    ),
    Row(
        "all",
        lambda torch, x: [x.all(), x.all(0), torch.all(x, (0, 1)), x.all(-1, keepdim=True)],
        [(Bools((2, 3)),), (Ints((2, 3), 0, 2),), (Ints((2, 3), 0, 2, "uint8"),)],
        order=0,
    ),
    Row(
        "count_nonzero",
        lambda torch, x: [x.count_nonzero(), torch.count_nonzero(x, (0, 1)), x.count_nonzero(1)],
        [(Ints((2, 3), 0, 2),)],
        order=0,
    ),
    # ----- Norms ----------------------------------------------------------------------------------
    *(
        Row(
            "norm",
            lambda torch, x, p=p: [x.norm(p), torch.norm(x, p, 0), x.norm(p, -1, True)],
            [(R((3, 4), apart=(0.0,)),)],
            name=str(p),
            order=1 if p == 1 else 2,
        )
        for p in (2, 1, 3, 1.5, 0.5, -1)
    ),
    Row(
        "norm",
        lambda torch, x: [x.norm(float("inf")), x.norm(float("-inf"), 0)],
        [(R((3, 4), -1.0, 3.1, distinct=True),)],
        name="inf",
        order=1,
    ),
    Row("norm", lambda torch, x: [x.norm(0), x.norm(0, 1)], [(R((3, 4)),)], name="0", order=1),
    Row("norm", lambda torch, x, y: torch.dist(x, y, 2), [(R((3,)), R((3,)))], name="dist"),
    Row(
        "logsumexp",
        lambda torch, x: [x.logsumexp(0), torch.logsumexp(x, (0, 1), True), x.logsumexp(-1)],
        [(R((3, 4)),)],
    ),
    Row(
        "tie_share",
        lambda torch, x: [torch.amax(x * 0, 1), torch.amin(x * 0, (0, 1))],
        [(R((2, 3)),)],
        order=1,
        finite=False,
    ),
    # ----- Extrema --------------------------------------------------------------------------------
    Row(
        "amax",
        lambda torch, x: [x.amax(), x.amax(0), torch.amax(x, (0, -1), True)],
        [(D,)],
    ),
    Row(
        "amin",
        lambda torch, x: [x.amin(), x.amin(0), torch.amin(x, (0, -1), True)],
        [(D,)],
    ),
    Row("amin,amax", lambda torch, x: [*x.aminmax(), *torch.aminmax(x, dim=0)], [(D,)]),
    Row("max_of_all", lambda torch, x: [x.max(), torch.max(x)], [(D,), (R(()),)]),
    Row("min_of_all", lambda torch, x: [x.min(), torch.min(x)], [(D,), (R(()),)]),
    Row("max", lambda torch, x: [*x.max(0), *torch.max(x, -1, True)], [(D,)]),
    Row("min", lambda torch, x: [*x.min(0), *torch.min(x, -1, True)], [(D,)]),
    Row("max,min", lambda torch, x: [*x.max(0), *torch.min(x, -1)], [(R(()),)], name="0-d"),
    Row(
        "argmax",
        lambda torch, x: [x.argmax(), x.argmax(0), torch.argmax(x, -1, True)],
        [(D,), (Ints((3, 4)),)],
        order=0,
    ),
    Row(
        "argmin",
        lambda torch, x: [x.argmin(), x.argmin(0), torch.argmin(x, -1, True)],
        [(D,), (Real((3, 4), distinct=True, grad=False),)],
        order=0,
    ),
    # ----- Running results ------------------------------------------------------------------------
    Row(
        "cumsum",
        lambda torch, x: [x.cumsum(0), torch.cumsum(x, -1)],
        [(R((3, 4)),), (R(()),)],
    ),
    Row(
        "cumprod",
        lambda torch, x: [x.cumprod(0), torch.cumprod(x, -1)],
        [(R((3, 4), 0.5, 2.0),), (R(()),)],
    ),
    Row(
        "cumprod",
        lambda torch, x, m: [(x * m).cumprod(0), torch.cumprod(x * m, -1)],
        [(R((3, 4), 0.5, 2.0), Bools((3, 4)))],
        name="zeros",
    ),
    Row(
        "logcumsumexp",
        lambda torch, x: [x.logcumsumexp(0), torch.logcumsumexp(x, -1)],
        [(R((3, 4)),)],
    ),
    Row("cummax", lambda torch, x: [*x.cummax(0), *torch.cummax(x, -1)], [(D,)]),
    Row("cummin", lambda torch, x: [*x.cummin(0), *torch.cummin(x, -1)], [(D,)]),
]


def _place_along(torch, x, index):
    index = index.argsort(1)
    if _ours(torch):
        return REGISTRY["place_along"].call(x, index, (3, 4), 1)
    return torch.zeros(3, 4, dtype=x.dtype).scatter(1, index, x)


ROWS += [
    Row("place_along", _place_along, [(R((3, 4)), Ints((3, 4), 0, 99))]),
]
