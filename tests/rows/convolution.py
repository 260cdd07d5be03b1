"""Rows for `tinygrad_like.ops.convolution` and `tinygrad_like.ops.windows`."""

from tests.rows.base import Real, Row

CONVOLUTION = "convolution, convolution_input, convolution_weight"


def _conv2d(**options):
    return lambda torch, x, w, b: torch.conv2d(x, w, b, **options)


def _conv_transpose2d(**options):
    return lambda torch, x, w, b: torch.conv_transpose2d(x, w, b, **options)


ROWS = [
    Row(
        CONVOLUTION,
        lambda torch, x, w: torch.conv1d(x, w, stride=2, padding=1),
        [
            (Real((2, 3, 7)), Real((4, 3, 3))),
            (Real((3, 6)), Real((2, 3, 2))),
            (Real((1, 3, 5)), Real((2, 3, 1))),
        ],
        name="conv1d",
    ),
    Row(
        CONVOLUTION,
        _conv2d(padding=1),
        [
            (Real((2, 2, 5, 4)), Real((3, 2, 3, 3)), Real((3,))),
            (Real((2, 5, 4)), Real((3, 2, 3, 2)), Real((3,))),
            (Real((2, 2, 3, 3)), Real((3, 2, 1, 1)), Real((3,))),
        ],
        name="conv2d",
    ),
    Row(
        CONVOLUTION,
        _conv2d(stride=(2, 1), padding=(0, 1), dilation=(1, 2), groups=2),
        [(Real((2, 4, 6, 5)), Real((6, 2, 3, 2)), Real((6,)))],
        name="groups",
    ),
    Row(
        CONVOLUTION,
        _conv2d(),
        [(Real((2, 3, 4, 3)), Real((4, 3, 1, 1)), Real((4,)))],
        name="one-by-one",
    ),
    Row(
        CONVOLUTION,
        _conv2d(padding="same", dilation=2),
        [(Real((2, 2, 5, 4)), Real((2, 2, 3, 2)), Real((2,)))],
        name="same",
    ),
    Row(
        CONVOLUTION,
        lambda torch, x, w: torch.conv3d(x, w, padding=1, stride=2),
        [(Real((2, 1, 3, 4, 3)), Real((2, 1, 2, 3, 2)))],
        name="conv3d",
    ),
    Row(
        CONVOLUTION,
        lambda torch, x, w: torch.conv_transpose1d(x, w, stride=2, output_padding=1),
        [(Real((2, 3, 4)), Real((3, 2, 3))), (Real((3, 4)), Real((3, 2, 2)))],
        name="transpose1d",
    ),
    Row(
        CONVOLUTION,
        _conv_transpose2d(stride=2, padding=1, groups=2),
        [(Real((2, 4, 3, 2)), Real((4, 3, 3, 3)), Real((6,)))],
        name="transpose2d",
    ),
    Row(
        CONVOLUTION,
        lambda torch, x, w: torch.conv_transpose3d(x, w, padding=1),
        [(Real((1, 2, 3, 2, 3)), Real((2, 1, 3, 3, 2)))],
        name="transpose3d",
    ),
    Row(
        "image_to_columns, columns_to_image",
        lambda torch, x: torch.nn.functional.unfold(x, (2, 3), padding=1, stride=2),
        [(Real((2, 3, 5, 4)),), (Real((2, 4, 4)),)],
        name="unfold",
    ),
    Row(
        "image_to_columns, columns_to_image",
        lambda torch, x: torch.nn.functional.fold(x, (4, 5), (2, 3), dilation=(2, 1)),
        [(Real((2, 12, 6)),), (Real((6, 6)),)],
        name="fold",
    ),
]
