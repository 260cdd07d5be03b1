"""Rows for `tinygrad_like.ops.resampling` and `tinygrad_like.ops.channels`."""

from tests.rows.base import Ints, Real, Row

RESAMPLE = "resample, resample_back"


def _interpolate(**options):
    return lambda torch, x: torch.nn.functional.interpolate(x, **options)


def _sample(mode, padding_mode, align_corners):
    return lambda torch, x, grid: torch.nn.functional.grid_sample(
        x, grid, mode, padding_mode, align_corners
    )


PLACES = Real((2, 3, 2, 2), -1.4, 1.4)

ROWS = [
    Row(RESAMPLE, _interpolate(size=5), [(Real((2, 2, 3)),), (Real((1, 1, 120)),)], name="nearest"),
    Row(
        RESAMPLE,
        _interpolate(scale_factor=1.7, mode="nearest-exact"),
        [(Real((2, 2, 3, 4)),), (Real((1, 1, 2, 3, 2)),)],
        name="nearest-exact",
    ),
    Row(
        RESAMPLE,
        _interpolate(size=7, mode="linear", align_corners=True),
        [(Real((2, 2, 3)),), (Real((1, 2, 120)),)],
        name="linear",
    ),
    Row(
        RESAMPLE,
        _interpolate(scale_factor=(2, 0.6), mode="bilinear", align_corners=False),
        [(Real((2, 2, 3, 5)),), (Real((1, 1, 2, 130)),)],
        name="bilinear",
    ),
    Row(
        RESAMPLE,
        _interpolate(scale_factor=1.5, mode="bicubic", recompute_scale_factor=True),
        [(Real((1, 2, 3, 5)),), (Real((1, 1, 2, 130)),)],
        name="bicubic",
    ),
    Row(
        RESAMPLE,
        _interpolate(size=(3, 2, 4), mode="trilinear", align_corners=True),
        [(Real((1, 2, 2, 3, 3)),)],
        name="trilinear",
    ),
    Row(
        "adaptive_avg_pool",
        _interpolate(size=2, mode="area"),
        [(Real((2, 2, 5)),), (Real((1, 2, 3, 5)),)],
        name="area",
    ),
    *(
        Row(
            "gather",
            _sample(mode, padding, corners),
            [(Real((2, 2, 3, 4)), PLACES)],
            name=f"{mode}-{padding}",
        )
        for mode in ("bilinear", "bicubic")
        for padding, corners in (("zeros", False), ("border", True), ("reflection", False))
    ),
    Row(
        "gather",
        _sample("bilinear", "zeros", False),
        [(Real((1, 2, 2, 3, 2)), Real((1, 2, 1, 2, 3), -1.2, 1.2))],
        name="volumes",
    ),
    Row(
        "gather",
        lambda torch, x, grid: torch.nn.functional.grid_sample(
            x, grid.detach(), "nearest", align_corners=True
        ),
        [(Real((2, 2, 3, 4)), PLACES)],
        name="nearest places",
    ),
    Row(
        "matmul",
        lambda torch, theta: torch.nn.functional.affine_grid(theta, (2, 1, 3, 4), True),
        [(Real((2, 2, 3)),)],
        name="affine_grid",
    ),
    Row(
        "permute",
        lambda torch, x: (
            torch.pixel_shuffle(x, 2),
            torch.pixel_unshuffle(x, 1),
            torch.channel_shuffle(x[None], 2)[0],
        ),
        [(Real((4, 2, 3)),), (Ints((8, 1, 2)),)],
        name="pixel_shuffle",
    ),
    Row(
        "permute",
        lambda torch, x: torch.pixel_unshuffle(x, 2),
        [(Real((2, 3, 4, 2)),)],
        name="pixel_unshuffle",
    ),
]
