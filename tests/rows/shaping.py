"""Rows for `tinygrad_like.ops.shaping`."""

from tests.rows.base import Real, Row
from tinygrad_like.op import REGISTRY

R = Real


def _ours(torch):
    return torch.__name__ == "tinygrad_like"


def _expand_reduced(torch, x):
    if _ours(torch):
        return REGISTRY["expand_reduced"].call(x, (2, 3, 4), 1, False)
    return x.unsqueeze(1).expand(2, 3, 4)


def _sum_to(torch, x):
    if _ours(torch):
        return REGISTRY["sum_to"].call(x, (3, 1))
    return x.sum_to_size(3, 1)


def _written(torch, x, y):
    x = x * 1
    x.transpose(0, 1)[1].copy_(y)
    return x


def _place_diagonal(torch, x):
    if _ours(torch):
        return REGISTRY["place_diagonal"].call(x, (4, 3), -1, 0, 1)
    out = torch.zeros(4, 3, dtype=x.dtype)
    return out.diagonal_scatter(x, -1)


ROWS = [
    Row(
        "cast",
        lambda torch, x: x.to(torch.float16),
        [(R((2, 3)),)],
        rtol=(1e-3, 1e-3),
        finite=False,
    ),
    Row("discretise", lambda torch, x: x.to(torch.int32), [(R((2, 3), -9, 9),)], order=0),
    Row("clone", lambda torch, x: x.clone(), [(R((2, 3)),), (R(()),)], exact=True),
    Row("replace_region", _written, [(R((2, 3)), R((2,)))], exact=True),
    Row(
        "reshape",
        lambda torch, x: x.reshape(3, -1),
        [(R((2, 3)),), (R((3, 2, 2)),), (R((3,)),)],
        exact=True,
    ),
    Row(
        "reshape",
        lambda torch, x: torch.flatten(x.transpose(0, 1), 0, 1),
        [(R((2, 3, 2)),)],
        exact=True,
        name="flatten",
    ),
    Row(
        "reshape",
        lambda torch, x: x.unflatten(1, (2, -1)),
        [(R((2, 4, 2)),)],
        exact=True,
        name="unflatten",
    ),
    Row("reshape", lambda torch, x: torch.ravel(x), [(R((2, 3)),), (R(()),)], name="ravel"),
    Row("view", lambda torch, x: (x * 1).contiguous().view(-1, 2), [(R((2, 3, 2)),)], exact=True),
    Row(
        "squeeze",
        lambda torch, x: [x.squeeze(), x.squeeze(1), x.squeeze((0, -1)), x.squeeze(2)],
        [(R((1, 3, 1)),)],
        exact=True,
    ),
    Row(
        "unsqueeze",
        lambda torch, x: [x.unsqueeze(0), x.unsqueeze(-1)],
        [(R((2, 3)),), (R(()),)],
        exact=True,
    ),
    Row(
        "permute",
        lambda torch, x: [x.permute(2, 0, 1), torch.permute(x, (-1, 1, 0))],
        [(R((2, 3, 4)),)],
        exact=True,
    ),
    Row(
        "permute",
        lambda torch, x: [x.movedim(0, 2), torch.moveaxis(x, (0, 1), (-1, 0))],
        [(R((2, 3, 4)),)],
        exact=True,
        name="movedim",
    ),
    Row(
        "transpose",
        lambda torch, x: [x.transpose(0, -1), x.mT, x.swapaxes(1, 2), x.adjoint()],
        [(R((2, 3, 4)),)],
        exact=True,
    ),
    Row("t", lambda torch, x: [x.t(), x.T], [(R((2, 3)),)], exact=True),
    Row(
        "broadcast_to",
        lambda torch, x: [x.expand(2, -1, 4), torch.broadcast_to(x, (2, 3, 4))],
        [(R((3, 1)),)],
    ),
    Row(
        "broadcast_to",
        lambda torch, x, y: torch.mul(*torch.broadcast_tensors(x, y)),
        [(R((3, 1)), R((2, 1, 2)))],
        name="tensors",
    ),
    Row(
        "diagonal",
        lambda torch, x: [x.diagonal(), torch.diagonal(x, 1, -1, 0), x.diagonal(-1, 1, 2)],
        [(R((2, 3, 3)),)],
        exact=True,
    ),
    Row("place_diagonal", _place_diagonal, [(R((3,)),)], exact=True),
    Row("expand_reduced", _expand_reduced, [(R((2, 4)),)]),
    Row("sum_to", _sum_to, [(R((2, 3, 4)),)]),
]
