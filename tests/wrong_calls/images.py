"""Wrong calls of padding, resizing, sampling, unfolding and shuffling of images."""

from functools import partial

from tests.wrong_calls.base import given, real, whole
from tests.wrong_calls.base import wrong as any_wrong

wrong = partial(any_wrong, within="nn.functional")

IMAGE = real(1, 3, 4, 4)

ROWS = [
    wrong(
        RuntimeError,
        "pad: an odd count",
        lambda F, x: F.pad(x, (1, 1, 1)),
        IMAGE,
        says="Padding length|[1, 1, 1]",
    ),
    wrong(
        RuntimeError, "pad: too many", lambda F, x: F.pad(x, (1, 1, 1, 1)), real(3), says="pad|4|1"
    ),
    wrong(
        RuntimeError,
        "pad: more cut off than there is",
        lambda F, x: F.pad(x, (-3, -2)),
        real(3),
        says="-3|-2|3",
    ),
    wrong(
        NotImplementedError,
        "pad: mode",
        lambda F, x: F.pad(x, (1, 1), mode="mirror"),
        real(1, 3),
        says="mode|mirror",
    ),
    wrong(
        RuntimeError,
        "pad: a reflection of all",
        lambda F, x: F.pad(x, (4, 4), mode="reflect"),
        real(1, 1, 4),
        says="4",
    ),
    wrong(
        RuntimeError,
        "pad: more than a circle",
        lambda F, x: F.pad(x, (5, 5), mode="circular"),
        real(1, 1, 4),
        says="5|4",
    ),
    wrong(
        NotImplementedError,
        "pad: a reflection of a vector",
        lambda F, x: F.pad(x, (1, 1), mode="reflect"),
        real(4),
        says="reflect|1D",
    ),
    wrong(
        NotImplementedError,
        "pad: a replication of too few dims",
        lambda F, x: F.pad(x, (1, 1, 1, 1), mode="replicate"),
        real(4, 4),
        says="replicate|2D",
    ),
    wrong(
        RuntimeError,
        "pad: a reflection's value",
        lambda F, x: F.pad(x, (1, 1), mode="reflect", value=1.0),
        real(1, 1, 4),
        says="value|reflect",
    ),
    wrong(TypeError, "pad: a number", lambda F, x: F.pad(x, 1), real(3), says="pad|int"),
    # Resizing
    wrong(
        ValueError,
        "interpolate: neither size nor scale",
        lambda F, x: F.interpolate(x),
        IMAGE,
        says="size|scale_factor",
    ),
    wrong(
        ValueError,
        "interpolate: both size and scale",
        lambda F, x: F.interpolate(x, size=2, scale_factor=2.0),
        IMAGE,
        says="size|scale_factor",
    ),
    wrong(
        NotImplementedError,
        "interpolate: mode",
        lambda F, x: F.interpolate(x, size=2, mode="cubic"),
        IMAGE,
        says="mode|cubic",
    ),
    wrong(
        NotImplementedError,
        "interpolate: mode's dims",
        lambda F, x: F.interpolate(x, size=2, mode="bilinear"),
        real(1, 3, 4),
        says="bilinear|3",
    ),
    wrong(
        NotImplementedError,
        "interpolate: linear images",
        lambda F, x: F.interpolate(x, size=2, mode="linear"),
        IMAGE,
        says="linear|4",
    ),
    wrong(
        ValueError,
        "interpolate: sizes",
        lambda F, x: F.interpolate(x, size=(2, 2, 2)),
        IMAGE,
        says="size|(2, 2, 2)|2",
    ),
    wrong(
        ValueError,
        "interpolate: scales",
        lambda F, x: F.interpolate(x, scale_factor=(2.0,)),
        IMAGE,
        says="scale_factor|2",
    ),
    wrong(
        ValueError,
        "interpolate: corners of nearest",
        lambda F, x: F.interpolate(x, size=2, align_corners=True),
        IMAGE,
        says="align_corners|nearest",
    ),
    wrong(
        RuntimeError,
        "interpolate: a size of 0",
        lambda F, x: F.interpolate(x, size=0),
        IMAGE,
        says="0",
    ),
    wrong(
        ValueError,
        "interpolate: recompute without scale",
        lambda F, x: F.interpolate(x, size=2, recompute_scale_factor=True),
        IMAGE,
        says="recompute_scale_factor|size",
    ),
    wrong(
        NotImplementedError,
        "interpolate: a matrix",
        lambda F, x: F.interpolate(x, size=2),
        real(4, 4),
        says="input|2D|nearest",
    ),
    # Sampling
    wrong(
        ValueError,
        "grid_sample: mode",
        lambda F, x, g: F.grid_sample(x, g, mode="area", align_corners=False),
        IMAGE,
        real(1, 2, 2, 2),
        says="mode|area",
    ),
    wrong(
        ValueError,
        "grid_sample: padding_mode",
        lambda F, x, g: F.grid_sample(x, g, padding_mode="ones", align_corners=False),
        IMAGE,
        real(1, 2, 2, 2),
        says="padding_mode|ones",
    ),
    wrong(
        RuntimeError,
        "grid_sample: coordinates",
        lambda F, x, g: F.grid_sample(x, g, align_corners=False),
        IMAGE,
        real(1, 2, 2, 3),
        says="grid|3|2",
    ),
    wrong(
        RuntimeError,
        "grid_sample: batches",
        lambda F, x, g: F.grid_sample(x, g, align_corners=False),
        IMAGE,
        real(2, 2, 2, 2),
        says="1|2",
    ),
    wrong(
        RuntimeError,
        "grid_sample: dims",
        lambda F, x, g: F.grid_sample(x, g, align_corners=False),
        IMAGE,
        real(1, 2, 2),
        says="(1, 2, 2)",
    ),
    wrong(
        RuntimeError,
        "grid_sample: dtypes",
        lambda F, x, g: F.grid_sample(x, g, align_corners=False),
        IMAGE,
        real(1, 2, 2, 2, dtype="float64"),
        says="float32|float64",
    ),
    wrong(
        RuntimeError,
        "grid_sample: bicubic volumes",
        lambda F, x, g: F.grid_sample(x, g, mode="bicubic", align_corners=False),
        real(1, 1, 2, 2, 2),
        real(1, 2, 2, 2, 3),
        says="bicubic",
    ),
    wrong(
        ValueError,
        "affine_grid: theta's shape",
        lambda F, x: F.affine_grid(x, (1, 1, 2, 2), align_corners=False),
        real(1, 3, 3),
        says="theta|(1, 3, 3)|2",
    ),
    wrong(
        NotImplementedError,
        "affine_grid: size",
        lambda F, x: F.affine_grid(x, (1, 2, 2), align_corners=False),
        real(1, 2, 3),
        says="size|[1, 2, 2]",
    ),
    wrong(
        ValueError,
        "affine_grid: ints",
        lambda F, x: F.affine_grid(x, (1, 1, 2, 2), align_corners=False),
        whole(1, 2, 3),
        says="theta|int64",
    ),
    # Unfolding
    wrong(
        RuntimeError,
        "unfold: a kernel larger than the input",
        lambda F, x: F.unfold(x, 5),
        IMAGE,
        says="5|4",
    ),
    wrong(
        RuntimeError,
        "unfold: input's dims",
        lambda F, x: F.unfold(x, 2),
        real(1, 1, 1, 4, 4),
        says="input|(1, 1, 1, 4, 4)",
    ),
    wrong(
        RuntimeError, "unfold: a kernel of 0", lambda F, x: F.unfold(x, 0), IMAGE, says="kernel|0"
    ),
    wrong(
        RuntimeError,
        "unfold: a stride of 0",
        lambda F, x: F.unfold(x, 2, stride=0),
        IMAGE,
        says="stride|0",
    ),
    wrong(
        RuntimeError,
        "unfold: a negative padding",
        lambda F, x: F.unfold(x, 2, padding=-1),
        IMAGE,
        says="padding|-1",
    ),
    wrong(
        RuntimeError, "fold: blocks", lambda F, x: F.fold(x, (4, 4), 2), real(1, 12, 8), says="8|9"
    ),
    wrong(
        RuntimeError,
        "fold: channels",
        lambda F, x: F.fold(x, (4, 4), 2),
        real(1, 10, 9),
        says="10|(2, 2)",
    ),
    wrong(
        RuntimeError, "fold: input's dims", lambda F, x: F.fold(x, (4, 4), 2), real(9), says="(9,)"
    ),
    wrong(
        RuntimeError,
        "fold: a stride of 0",
        lambda F, x: F.fold(x, (4, 4), 2, stride=0),
        real(1, 12, 9),
        says="stride|0",
    ),
    wrong(
        RuntimeError,
        "pixel_shuffle: a negative factor",
        lambda F, x: F.pixel_shuffle(x, -1),
        IMAGE,
        says="upscale_factor|-1",
    ),
    wrong(
        RuntimeError,
        "pixel_unshuffle: a factor of 0",
        lambda F, x: F.pixel_unshuffle(x, 0),
        IMAGE,
        says="downscale_factor|0",
    ),
    wrong(
        RuntimeError,
        "pad: an int image by a fraction of circles",
        lambda F, x: F.pad(x, (9, 9), mode="circular"),
        given([[[1, 2]]]),
        says="9|2",
    ),
    wrong(
        NotImplementedError,
        "unfold: ints",
        lambda F, x: F.unfold(x, 2),
        whole(1, 1, 4, 4),
        says="int64",
    ),
    wrong(
        NotImplementedError,
        "fold: ints",
        lambda F, x: F.fold(x, (4, 4), 2),
        whole(1, 4, 9),
        says="int64",
    ),
    wrong(
        NotImplementedError,
        "pad: a reflection of bools",
        lambda F, x: F.pad(x, (1, 1), mode="reflect"),
        given([[True, False]]),
        says="bool",
    ),
]
