"""Rows for `tinygrad_like.ops.joining`."""

from tests.rows.base import Real, Row
from tinygrad_like.op import REGISTRY

R = Real


def _place(torch, x):
    index = (slice(1, 3), ...)
    if torch.__name__ == "tinygrad_like":
        return REGISTRY["place"].call(x, index, (4, 3))
    return torch.zeros(4, 3, dtype=x.dtype).slice_scatter(x, 0, 1, 3)


ROWS = [
    Row("region", lambda torch, x: torch.narrow(x, 1, 1, 2), [(R((2, 4)),)], exact=True),
    Row(
        "region",
        lambda torch, x: [*torch.tensor_split(x, 3, 1), *x.tensor_split((1, 3), 1)],
        [(R((2, 5)),)],
        exact=True,
        name="tensor_split",
    ),
    Row("place", _place, [(R((2, 3)),)], exact=True),
    Row(
        "select",
        lambda torch, x: [x.select(0, 1), torch.select(x, -1, -2)],
        [(R((2, 3)),)],
        exact=True,
    ),
    Row(
        "unbind",
        lambda torch, x: [*x.unbind(), *torch.unbind(x, -1)],
        [(R((2, 3)),)],
        exact=True,
    ),
    Row("unbind", lambda torch, x: x.unbind(1)[1], [(R((2, 3)),)], exact=True, name="one"),
    Row(
        "split",
        lambda torch, x: [*x.split(2, 1), *torch.chunk(x, 2, -1)],
        [(R((2, 5)),)],
        exact=True,
    ),
    Row(
        "split_with_sizes",
        lambda torch, x: torch.split(x, [1, 0, 3], -1)[::2],
        [(R((2, 4)),)],
        exact=True,
    ),
    Row(
        "concatenate",
        lambda torch, x, y: [torch.cat([x, y, x], 0), torch.concat((y, x), dim=-2)],
        [(R((2, 3)), R((1, 3)))],
        exact=True,
    ),
    Row(
        "concatenate",
        lambda torch, x, y: [
            torch.hstack([x, y]),
            torch.vstack([x, y]),
            torch.dstack([x, y]),
            torch.column_stack([x, y]),
        ],
        [(R((2, 3)), R((2, 3)))],
        exact=True,
        name="stacks",
    ),
    Row(
        "stack",
        lambda torch, x, y: [torch.stack([x, y]), torch.stack([x, y, x], -1)],
        [(R((2, 3)), R((2, 3))), (R(()), R(()))],
        exact=True,
    ),
]
