"""Rows for counting, for scattering with a reduction, and for regions and whole numbers."""

from tests.rows.base import Ints, Real, Row

R = Real


def _scatter_reduce(reduce, include_self=True):
    def call(torch, x, y):
        index = torch.tensor([[0, 2, 0], [1, 1, 0]])
        return torch.scatter_reduce(x, 1, index, y, reduce, include_self=include_self)

    return call


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
    *(
        Row(
            op,
            _scatter_reduce(reduce),
            [(R((3, 4), apart=(0.0,)), R((2, 3), apart=(0.0,)))],
            name=reduce,
        )
        for op, reduce in [
            ("scatter_product", "prod"),
            ("scatter_extremum", "amax"),
            ("scatter_extremum", "amin"),
            ("scatter_add", "mean"),
        ]
    ),
    Row(
        "clone, select, region, diagonal",
        lambda torch, x, y: [
            torch.select_scatter(x, y[0], 0, 1),
            x.slice_scatter(y, 0, 1, 3),
            torch.diagonal_scatter(x, y[:, 0], 1),
        ],
        [(R((3, 3)), R((2, 3)))],
        name="scatter_regions",
    ),
    Row(
        "place, concatenate",
        lambda torch, x, y: torch.block_diag(x, y),
        [(R((2, 3)), R((3, 1)))],
        name="block_diag",
    ),
    Row(
        "index_select, stack",
        lambda torch, x: [torch.combinations(x, 2), torch.cartesian_prod(x, x * x)],
        [(R((4,)),)],
        name="combinations",
    ),
    Row(
        "gcd, lcm",
        lambda torch, x, y: [torch.gcd(x, y), x.lcm(y)],
        [(Ints((3, 4), -9, 9), Ints((4,), 0, 9))],
        order=0,
    ),
    Row("nextafter", lambda torch, x, y: torch.nextafter(x, y), [(R((5,)), R((5,)))]),
    Row("clone", lambda torch, x, y: torch.fill(x, y), [(R((2, 3)), R(()))], name="fill"),
    Row(
        "clone, as_strided",
        lambda torch, x, y: torch.as_strided_scatter((x * 1).contiguous(), y, (2, 2), (1, 3)),
        [(R((3, 4), grad=False), R((2, 2)))],  # PyTorch errs in the gradient of the first
        name="as_strided_scatter",
    ),
    Row(
        "tril, matmul",
        lambda torch, x, y: torch.orgqr(x, y),
        [(R((4, 3)), R((3,)))],
        name="orgqr",
    ),
    Row(
        "tril, matmul",
        lambda torch, x, y, z: torch.ormqr(x, y, z),
        [(R((4, 3)), R((3,)), R((4, 2)))],
        name="ormqr",
    ),
    Row(
        "mantissa",
        lambda torch, x: torch.frexp(x).mantissa,
        [(R((5,), apart=(0.0, 0.5, -0.5, 1.0, -1.0)),)],
    ),
]
