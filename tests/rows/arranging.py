"""Rows for `tinygrad_like.ops.arranging`."""

from tests.rows.base import Ints, Real, Row
from tinygrad_like.op import REGISTRY

R = Real


def _fold_windows(torch, x):
    if torch.__name__ == "tinygrad_like":
        return REGISTRY["fold_windows"].call(x, (2, 5), 1, 3, 2)
    out = torch.zeros(2, 5, dtype=x.dtype)
    for i in range(3):
        out = torch.cat(
            [
                out[:, :i],
                torch.stack([out[:, i] + x[:, 0, i], out[:, i + 1], out[:, i + 2] + x[:, 1, i]], 1),
                out[:, i + 3 :],
            ],
            1,
        )
    return out


def _fold_borders(torch, x):
    if torch.__name__ == "tinygrad_like":
        return REGISTRY["fold_borders"].call(x, (2, 1), "reflect", (2, 3))
    sources = torch.tensor([2, 1, 0, 1, 2, 1])
    return torch.zeros(2, 3, dtype=x.dtype).index_add(1, sources, x)


def _pad(*args):
    return lambda torch, x: torch.nn.functional.pad(x, *args)


ROWS = [
    Row(
        "repeat",
        lambda torch, x: [x.repeat(2, 1, 3), x.tile(2), torch.tile(x, (2, 2, 1))],
        [(R((2, 3)),), (R((1, 2)),)],
    ),
    Row(
        "repeat_indices",
        lambda torch, n: [torch.repeat_interleave(n)],
        [(Ints((4,), 0, 3),)],
        order=0,
    ),
    Row(
        "repeat_indices",
        lambda torch, x, n: [x.repeat_interleave(n, 1), torch.repeat_interleave(x, 2)],
        [(R((2, 4)), Ints((4,), 0, 3))],
        name="interleave",
    ),
    Row(
        "flip",
        lambda torch, x: [x.flip(0), x.flip((0, -1)), x.fliplr(), torch.flipud(x)],
        [(R((2, 3)),)],
        exact=True,
    ),
    Row(
        "roll",
        lambda torch, x: [x.roll(1), x.roll(-1, 1), torch.roll(x, (1, 2), (0, 1))],
        [(R((2, 3)),)],
        exact=True,
    ),
    Row(
        "flip",
        lambda torch, x: [torch.rot90(x, k) for k in range(4)],
        [(R((2, 3)),)],
        exact=True,
        name="rot90",
    ),
    Row(
        "tril",
        lambda torch, x: [x.tril(), torch.tril(x, 1), x.tril(-1)],
        [(R((3, 4)),), (R((2, 3, 3)),)],
        exact=True,
    ),
    Row(
        "triu",
        lambda torch, x: [x.triu(), torch.triu(x, 1), x.triu(-1)],
        [(R((3, 4)),), (R((2, 3, 3)),)],
        exact=True,
    ),
    Row(
        "place_diagonal",
        lambda torch, x: [
            torch.diag_embed(x),
            torch.diag_embed(x, 1, 0, 2),
            torch.diag_embed(x, -1, 2, 1),
            torch.diagflat(x, 1),
            torch.diag(x[0]),
            torch.diag(x, 1),
        ],
        [(R((2, 3)),)],
        exact=True,
        name="diag_embed",
    ),
    Row(
        "broadcast_to",
        lambda torch, x, y: [
            torch.mul(*torch.meshgrid(x, y, indexing="ij")),
            torch.mul(*torch.meshgrid(x, y, indexing="xy")),
        ],
        [(R((2,)), R((3,)))],
        name="meshgrid",
    ),
    Row("unfold", lambda torch, x: [x.unfold(1, 3, 2), x.unfold(0, 2, 1)], [(R((2, 5)),)]),
    Row("fold_windows", _fold_windows, [(R((2, 2, 3)),)]),
    Row("constant_pad", _pad((1, 2, 0, 1), "constant", 1.5), [(R((2, 3)),)], exact=True),
    Row("constant_pad", _pad((-1, 2)), [(R((2, 3)),)], exact=True, name="cropped"),
    Row("copying_pad", _pad((2, 1), "reflect"), [(R((2, 3)),), (R((2, 2, 4)),)], name="reflect"),
    Row("copying_pad", _pad((4, 1, 0, 2), "replicate"), [(R((2, 3, 2)),)], name="replicate"),
    Row("copying_pad", _pad((2, 3, 1, 0), "circular"), [(R((2, 2, 3)),)], name="circular"),
    Row("fold_borders", _fold_borders, [(R((2, 6)),)]),
    Row(
        "unsqueeze",
        lambda torch, x: [torch.atleast_1d(x), torch.atleast_2d(x), torch.atleast_3d(x)],
        [(R((2,)),), (R((2, 3)),)],
        name="atleast",
        exact=True,
    ),
]
