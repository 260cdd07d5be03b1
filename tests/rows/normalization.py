"""Rows for `tinygrad_like.ops.normalization` and `tinygrad_like.ops.embedding`."""

from tests.rows.base import Ints, Real, Row

LAYER = "layer_norm, layer_norm_backward"
BATCH = "batch_norm, batch_norm_backward"
GROUP = "group_norm, group_norm_backward"
# Second derivatives divide by the cube of a deviation, so float32 loses more here.
LOOSE = (1e-10, 2e-4)


def _batch(torch, x, w=None, b=None):
    return torch.nn.functional.batch_norm(x, None, None, w, b, training=True)


def _running(torch, x):
    mean, var = torch.zeros(3, dtype=x.dtype), torch.ones(3, dtype=x.dtype)
    return torch.nn.functional.batch_norm(x, mean, var, training=True, momentum=0.3), mean, var


def _fixed(torch, x, w, b, mean, var):
    return torch.nn.functional.batch_norm(x, mean, var, w, b, training=False)


CHANNELS = Real((3,))
ROWS = [
    Row(
        LAYER,
        lambda torch, x, w, b: torch.layer_norm(x, w.shape, w, b),
        [
            (Real((4, 6)), Real((6,)), Real((6,))),
            (Real((2, 3, 4)), Real((3, 4)), Real((3, 4))),
            (Real((5,)), Real((5,)), Real((5,))),
        ],
        rtol=LOOSE,
    ),
    Row(
        LAYER,
        lambda torch, x: torch.layer_norm(x, x.shape[1:]),
        [(Real((4, 6)),), (Real((2, 3, 4)),)],
        rtol=LOOSE,
        name="plain",
    ),
    Row(
        LAYER,
        lambda torch, x, w: torch.rms_norm(x, w.shape, w, 1e-3),
        [(Real((4, 6)), Real((6,))), (Real((2, 3, 4)), Real((3, 4)))],
        rtol=LOOSE,
        name="rms",
    ),
    Row(
        BATCH,
        _batch,
        [
            (Real((6, 3)), CHANNELS, CHANNELS),
            (Real((4, 3, 5)), CHANNELS, CHANNELS),
            (Real((2, 3, 3, 4)), CHANNELS, CHANNELS),
            (Real((2, 3, 2, 3, 2)), CHANNELS, CHANNELS),
        ],
        rtol=LOOSE,
    ),
    Row(BATCH, _batch, [(Real((6, 3)),), (Real((2, 3, 4, 2)),)], rtol=LOOSE, name="plain"),
    Row(BATCH, _running, [(Real((6, 3)),), (Real((2, 3, 4, 2)),)], rtol=LOOSE, name="running"),
    Row(
        "batch_norm_fixed, channel_products",
        _fixed,
        [
            (
                Real((4, 3)),
                CHANNELS,
                CHANNELS,
                Real((3,), grad=False),
                Real((3,), 1, 2, grad=False),
            ),
            (
                Real((2, 3, 2, 4)),
                CHANNELS,
                CHANNELS,
                Real((3,), grad=False),
                Real((3,), 1, 2, grad=False),
            ),
        ],
    ),
    Row(
        GROUP,
        lambda torch, x, w, b: torch.group_norm(x, 2, w, b),
        [
            (Real((3, 4)), Real((4,)), Real((4,))),
            (Real((2, 4, 5)), Real((4,)), Real((4,))),
            (Real((2, 4, 3, 2)), Real((4,)), Real((4,))),
        ],
        rtol=LOOSE,
    ),
    Row(
        GROUP,
        lambda torch, x: torch.nn.functional.instance_norm(x),
        [(Real((2, 3, 6)),), (Real((2, 3, 3, 4)),)],
        rtol=LOOSE,
        name="instance",
    ),
    Row(
        "embedding, embedding_backward",
        lambda torch, w, i: torch.nn.functional.embedding(i, w),
        [
            (Real((5, 3)), Ints((4,), 0, 5)),
            (Real((60, 2)), Ints((6, 7), 0, 60)),
            (Real((4, 2)), Ints((), 0, 4)),
        ],
    ),
    Row(
        "embedding, embedding_backward",
        lambda torch, w, i: torch.nn.functional.embedding(i, w, padding_idx=-2),
        [(Real((5, 3)), Ints((4, 6), 0, 5))],
        name="padding",
        finite=False,  # the row of the padding has no gradient, though the result depends on it
    ),
    Row(
        "divide",
        lambda torch, x: torch.nn.functional.normalize(x, p=2.0, dim=-1),
        [(Real((3, 4)),)],
        name="normalize",
    ),
    Row(
        "matmul",
        lambda torch, x: torch.nn.functional.local_response_norm(x, 3, alpha=0.1),
        [(Real((2, 5, 3)),), (Real((2, 4, 2, 3)),)],
        name="local_response_norm",
    ),
]
