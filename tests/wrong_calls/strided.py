"""Wrong calls of what looks at memory by strides, and of what changes a tensor's memory."""

from tests.wrong_calls.base import flags, real, whole, wrong

ROWS = [
    wrong(
        RuntimeError,
        "as_strided: beyond the memory",
        lambda t, x: x.as_strided((4,), (2,)),
        real(3),
        says="storage",
    ),
    wrong(
        RuntimeError,
        "as_strided: strides",
        lambda t, x: x.as_strided((2, 2), (1,)),
        real(4),
        says="stride",
    ),
    wrong(
        RuntimeError,
        "as_strided: negative strides",
        lambda t, x: x.as_strided((2,), (-1,)),
        real(4),
        says="-1",
    ),
    wrong(
        RuntimeError,
        "as_strided: a negative offset",
        lambda t, x: x.as_strided((2,), (1,), -1),
        real(4),
        says="-1",
    ),
    wrong(
        RuntimeError,
        "as_strided: a negative size",
        lambda t, x: x.as_strided((-2,), (1,)),
        real(4),
        says="-2",
    ),
    wrong(
        RuntimeError,
        "as_strided_scatter: shapes",
        lambda t, x, y: t.as_strided_scatter(x, y, (2,), (1,)),
        real(4),
        real(3),
        says="3|2",
    ),
    wrong(RuntimeError, "resize_: a negative size", lambda t, x: x.resize_(-1), real(3), says="-1"),
    wrong(TypeError, "resize_: a float", lambda t, x: x.resize_(1.5), real(3), says="float"),
    wrong(TypeError, "set_: a list", lambda t, x: x.set_([1.0]), real(2), says="list"),
    wrong(
        RuntimeError,
        "set_: another dtype",
        lambda t, x, y: x.set_(y),
        real(2),
        whole(2),
        says="float32|int64",
    ),
    wrong(
        RuntimeError,
        "view: bools as ints",
        lambda t, x: x.view(t.int64),
        flags(3),
        says="bool|int64",
    ),
    wrong(
        RuntimeError,
        "movedim: counts",
        lambda t, x: x.movedim((0,), (0, 1)),
        real(2, 3),
        says="source|destination",
    ),
    wrong(
        RuntimeError, "poisson: negative rates", lambda t, x: t.poisson(-x), real(2), says="rate"
    ),
    wrong(
        RuntimeError,
        "binomial: shapes",
        lambda t, n, p: t.binomial(n, p),
        real(2),
        real(3),
        says="(2,)|(3,)",
    ),
    wrong(
        ValueError,
        "fractional_max_pool2d: no size",
        lambda t, x: t.nn.functional.fractional_max_pool2d(x, 2),
        real(1, 1, 4, 4),
        says="output_size|output_ratio",
    ),
    wrong(
        RuntimeError,
        "fractional_max_pool2d: too large",
        lambda t, x: t.nn.functional.fractional_max_pool2d(x, 2, output_size=4),
        real(1, 1, 4, 4),
        says="2|4",
    ),
    wrong(
        RuntimeError,
        "fractional_max_pool3d: too large",
        lambda t, x: t.nn.functional.fractional_max_pool3d(x, 2, output_size=4),
        real(1, 1, 4, 4, 4),
        says="2|4",
    ),
]
