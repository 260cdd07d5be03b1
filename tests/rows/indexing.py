"""Rows for `tinygrad_like.ops.indexing` and `tinygrad_like.ops.scattering`."""

from typing import Any

from tests.rows.base import Bools, Ints, Real, Row


def _get(index: Any) -> Any:
    return lambda torch, x: x[index]


def _get_by(torch: Any, x: Any, *arrays: Any) -> Any:
    return x[arrays]


def _put(index: Any) -> Any:
    def call(torch: Any, x: Any, y: Any) -> Any:
        copied = x * 1
        copied[index] = y
        return copied

    return call


def _masked_put(torch: Any, x: Any, mask: Any, y: Any) -> Any:
    copied = x * 1
    copied[mask] = y
    return copied * copied


IDX = Ints((5,), -3, 3)

ROWS = [
    # Views
    Row("basic_select", _get((1, -1)), [(Real((3, 4)),)], exact=True),
    Row("basic_unsqueeze", _get((slice(1), None)), [(Real((3, 4)),)], exact=True),
    Row("basic_alias", _get(...), [(Real((3, 4)),), (Real(()),)], exact=True),
    Row("region, place", _get((slice(1, None, 2), ..., slice(-2, None))), [(Real((4, 2, 3)),)]),
    # Picked by arrays
    Row(
        "take_index, put_index",
        _get_by,
        [
            (Real((3, 4)), IDX),
            (Real((3,)), IDX),
            (Real((3, 4)), Ints((0,), 0, 1)),
            (Real((3, 3)), IDX, IDX),
            (Real((3, 3, 2)), Ints((2, 1), -3, 3), IDX),
        ],
        exact=True,
    ),
    Row(
        "take_index, put_index",
        lambda torch, x, i: torch.tanh(x)[:, i] * x[:, i],
        [(Real((2, 3)), IDX), (Real((2, 3, 4)), Ints((2, 2), 0, 3))],
        name="inner",
    ),
    Row(
        "take_index, put_index",
        lambda torch, x, i, j: x[i, :, j],
        [(Real((3, 2, 3)), IDX, IDX)],
        name="apart",
        exact=True,
    ),
    Row(
        "take_index, put_index",
        lambda torch, x, mask: x[mask] * x[mask],
        [(Real((3, 4)), Bools((3, 4))), (Real((3, 4)), Bools((3,)))],
        name="mask",
    ),
    Row(
        "take_index, put_index",
        lambda torch, x, mask, i: x[mask, :, i],
        [(Real((2, 2, 3, 4)), Bools((2, 2)), Ints((1,), -4, 4))],
        name="mask-and-array",
        exact=True,
    ),
    Row("take_index, put_index", _get(([0, 2, 0],)), [(Real((3, 2)),)], name="list", exact=True),
    # Written
    Row("index_put", _put(([0, 2],)), [(Real((3, 2)), Real((2, 2))), (Real((3, 2)), Real(()))]),
    Row("index_put", _put((slice(None), [1])), [(Real((3, 2)), Real((3, 1)))], name="inner"),
    Row("index_put", _masked_put, [(Real((3, 4)), Bools((3, 4)), Real(()))], name="mask"),
    Row(
        "index_put",
        lambda torch, x, i, y: torch.index_put(x, (i,), y, accumulate=True),
        [(Real((3, 2)), IDX, Real((5, 2))), (Real((3, 2)), IDX, Real((2,)))],
        name="accumulate",
    ),
    Row(
        "index_put",
        lambda torch, x, i, y: x.put(i, y, accumulate=True),
        [(Real((3, 2)), Ints((4,), -6, 6), Real((4,)))],
        name="put",
    ),
    Row("replace_region", _put(1), [(Real((3, 2)), Real((2,)))], name="number"),
    Row("replace_region", _put((..., slice(0, 2))), [(Real((3, 4)), Real((3, 1)))], name="slice"),
    # Along a dimension, one index per element
    Row(
        "gather, ungather",
        lambda torch, x, i: torch.gather(x, 1, i),
        [(Real((3, 4)), Ints((3, 4), 0, 4)), (Real((3, 4)), Ints((2, 1), 0, 4))],
        exact=True,
    ),
    Row(
        "gather, ungather",
        lambda torch, x, i: torch.gather(x * x, 0, i),
        [
            (Real((3,)), Ints((5,), 0, 3)),
            (Real((3, 2, 2)), Ints((4, 2, 1), 0, 3)),
            (Real(()), Ints((), 0, 1)),
            (Real((3, 2)), Ints((0, 2), 0, 1)),
        ],
        name="first",
    ),
    Row(
        "gather",
        lambda torch, x, i: torch.take_along_dim(x, i, -1),
        [(Real((3, 4)), Ints((1, 2), 0, 4)), (Real((1, 4)), Ints((3, 2), 0, 4))],
        name="take_along_dim",
        exact=True,
    ),
    Row(
        "gather",
        lambda torch, x, i: torch.take_along_dim(x, i),
        [(Real((3, 4)), Ints((2, 2), 0, 12))],
        name="take_along_dim-flat",
        exact=True,
    ),
    Row(
        "scatter",
        lambda torch, x, y: torch.scatter(x, 1, torch.tensor([[1, 0], [2, 3]]), y) * x,
        [(Real((3, 4)), Real((2, 2))), (Real((2, 4)), Real((3, 2), grad=False))],
    ),
    Row(
        "scatter",
        lambda torch, x, i: torch.scatter(x, 0, i, 2.5),
        [(Real((3, 4)), Ints((2, 4), 0, 3)), (Real(()), Ints((), 0, 1))],
        name="value",
    ),
    Row(
        "scatter_add",
        lambda torch, x, i, y: torch.scatter_add(x, 1, i, y) * x[0, 0],
        [(Real((3, 4)), Ints((3, 5), 0, 4), Real((3, 5)))],
    ),
    Row(
        "scatter_multiply",
        lambda torch, x, i, y: torch.scatter(x, 0, i, y, reduce="multiply"),
        [(Real((3,)), Ints((5,), 0, 3), Real((5,)))],
        order=0,
    ),
    # Along a dimension, one index per slice
    Row(
        "index_select, unselect",
        lambda torch, x, i: torch.index_select(x * x, 1, i),
        [(Real((3, 4)), Ints((6,), 0, 4)), (Real((3, 4, 2)), Ints((1,), 0, 4))],
    ),
    Row(
        "index_select, unselect",
        lambda torch, x, i: torch.index_select(x, 0, i),
        [(Real(()), Ints((1,), 0, 1)), (Real((3, 2)), Ints((0,), 0, 1))],
        name="0-d",
    ),
    Row(
        "index_add",
        lambda torch, x, i, y: torch.index_add(x, 1, i, y, alpha=2),
        [(Real((2, 3)), Ints((5,), 0, 3), Real((2, 5)))],
    ),
    Row(
        "index_copy",
        lambda torch, x, y: torch.index_copy(x * x, 0, torch.tensor([2, 0]), y * y),
        [(Real((3, 2)), Real((2, 2)))],
    ),
    Row(
        "index_fill",
        lambda torch, x, i: torch.index_fill(x * x, 1, i, 0.5),
        [(Real((2, 3)), Ints((2,), 0, 3))],
    ),
    Row(
        "index_fill",
        lambda torch, x, y: torch.index_fill(x * x, 1, torch.tensor([0, 2]), y),
        [(Real((2, 3)), Real(()))],
        name="tensor",
    ),
    # By a mask
    Row(
        "masked_fill",
        lambda torch, x, mask: torch.masked_fill(x * x, mask, 0.5),
        [(Real((3, 4)), Bools((3, 4))), (Real((3, 4)), Bools((4,))), (Real((4,)), Bools((3, 4)))],
    ),
    Row(
        "masked_fill, masked_select",
        lambda torch, x, mask, y: torch.masked_fill(x, mask, y),
        [(Real((3, 4)), Bools((3, 4)), Real(()))],
        name="tensor",
    ),
    Row(
        "masked_select, unmask",
        lambda torch, x, mask: torch.masked_select(x * x, mask),
        [(Real((3, 4)), Bools((3, 4))), (Real((3, 4)), Bools((4,))), (Real((4,)), Bools((3, 4)))],
    ),
    Row(
        "masked_scatter",
        lambda torch, x, mask, y: torch.masked_scatter(x * x, mask, y * y),
        [(Real((3, 4)), Bools((3, 4)), Real((4, 5))), (Real((3, 4)), Bools((4,)), Real((12,)))],
    ),
    # As if it were flat
    Row(
        "take, untake",
        lambda torch, x, i: torch.take(x * x, i),
        [(Real((3, 4)), Ints((2, 5), -12, 12))],
    ),
]
