"""Rows for `tinygrad_like.ops.pooling`: elements are distinct, since a tie is a kink."""

from tests.rows.base import Ints, Real, Row

MAX = "max_pool, max_pool_backward, max_pool_pick"
IMAGE = Real((1, 2, 7, 6), distinct=True)


def _max(**options):
    return lambda torch, x: torch.max_pool2d(x, **options)


def _avg(**options):
    return lambda torch, x: torch.nn.functional.avg_pool2d(x, **options)


ROWS = [
    Row(MAX, _max(kernel_size=2), [(IMAGE,), (Real((2, 2, 4, 4), distinct=True),)], name="2x2"),
    Row(
        MAX,
        _max(kernel_size=3, stride=2, padding=1, ceil_mode=True),
        [(IMAGE,), (Real((2, 5, 5), distinct=True),)],
        name="overlapping",
    ),
    Row(MAX, _max(kernel_size=(2, 3), stride=1, dilation=2), [(IMAGE,)], name="dilated"),
    Row(
        MAX,
        lambda torch, x: torch.max_pool1d(x, 2, padding=1),
        [(Real((2, 3, 7), distinct=True),), (Real((3, 6), distinct=True),)],
        name="1d",
    ),
    Row(
        MAX,
        lambda torch, x: torch.max_pool3d(x, 2, stride=1),
        [(Real((1, 2, 3, 4, 3), distinct=True),)],
        name="3d",
    ),
    Row(
        "max_pool_with_indices, max_pool_backward, max_pool_pick",
        lambda torch, x: torch.nn.functional.max_pool2d(x, 3, 2, 1, return_indices=True),
        [(IMAGE,)],
    ),
    Row(
        "max_pool_with_indices, max_pool_backward, max_pool_pick",
        lambda torch, x: torch.nn.functional.adaptive_max_pool2d(x, (2, 3), return_indices=True),
        [(Real((1, 2, 6, 3), distinct=True),)],
        name="adaptive",
    ),
    Row(
        "scatter_planes, gather_planes",
        lambda torch, x: torch.nn.functional.max_unpool2d(
            x, torch.tensor([[[[0, 3], [9, 15]]]]), 2
        ),
        [(Real((1, 1, 2, 2)),)],
        name="unpool",
    ),
    Row(
        "adaptive_max_pool",
        lambda torch, x: torch.nn.functional.adaptive_max_pool2d(x, (3, 4), return_indices=True),
        [(IMAGE,), (Real((2, 5, 5), distinct=True),)],
    ),
    Row("avg_pool, avg_pool_backward", _avg(kernel_size=2), [(IMAGE,), (Real((2, 4, 4)),)]),
    Row(
        "avg_pool, avg_pool_backward",
        _avg(kernel_size=3, stride=2, padding=1, ceil_mode=True, count_include_pad=False),
        [(IMAGE,)],
        name="valid",
    ),
    Row(
        "avg_pool, avg_pool_backward",
        _avg(kernel_size=(2, 3), stride=1, padding=1, divisor_override=5),
        [(IMAGE,)],
        name="divisor",
    ),
    Row(
        "avg_pool, avg_pool_backward",
        lambda torch, x: torch.avg_pool1d(x, 3, 2, 1),
        [(Real((2, 3, 7)),)],
        name="1d",
    ),
    Row(
        "avg_pool, avg_pool_backward",
        lambda torch, x: torch.nn.functional.avg_pool3d(x, 2),
        [(Real((1, 2, 4, 3, 2)),)],
        name="3d",
    ),
    Row(
        "adaptive_avg_pool, adaptive_avg_pool_backward",
        lambda torch, x: torch.nn.functional.adaptive_avg_pool2d(x, (3, None)),
        [(IMAGE,), (Real((3, 5, 5)),)],
    ),
    Row(
        "adaptive_avg_pool, adaptive_avg_pool_backward",
        lambda torch, x: torch.nn.functional.adaptive_avg_pool2d(x, 1),
        [(IMAGE,)],
        name="mean",
    ),
    Row(
        "avg_pool, avg_pool_backward",
        lambda torch, x: torch.nn.functional.adaptive_avg_pool2d(x, 2),
        [(Real((2, 2, 4, 6)),)],
        name="adaptive",
    ),
    Row(
        "avg_pool",
        lambda torch, x: torch.nn.functional.lp_pool2d(x, 2, 2),
        [(Real((2, 2, 4, 4), 0.5, 2.0),)],
        name="lp",
    ),
    Row(
        "max_pool",
        lambda torch, x: torch.max_pool2d(x, 2),
        [(Ints((2, 2, 4, 4)),)],
        order=0,
        exact=True,
        name="ints",
    ),
]
