"""Rows for `activation`, `gelu` and `softmax`."""

from tests.rows.base import Real, Row

ANY = Real((3, 4), -4.0, 4.0, apart=(0.0,))


def row(op, function, /, *options, operand=ANY, **more):
    """Return the row of a function of ``torch.nn.functional`` of one operand."""

    def call(t, x):
        return getattr(t.nn.functional, function)(x, *options)

    return Row(op, call, [(operand,)], **more)


def along(op, function, **more):
    """Return rows of a function along a dimension."""
    return [
        Row(
            op,
            lambda t, x, d=dim: getattr(t, function)(x, d),
            [(Real(shape),)],
            name=f"dim {dim} of {len(shape)}",
            **more,
        )
        for shape, dim in (((3, 4), 1), ((3, 4), 0), ((2, 3, 4), 1), ((5,), -1), ((), 0))
    ]


# PyTorch computes a sixth in float32 and has no second derivative of hardsigmoid.
ROWS = [
    row("relu", "relu", broadcast=True),
    row(
        "hardtanh, hardtanh_backward",
        "hardtanh",
        -1.5,
        2.5,
        operand=Real((3, 4), -4, 4, apart=(-1.5, 2.5)),
    ),
    row("hardtanh", "relu6", operand=Real((3, 4), -2, 9, apart=(0.0, 6.0)), name="relu6"),
    row("leaky_relu, leaky_relu_backward", "leaky_relu", 0.2, broadcast=True),
    row("leaky_relu", "leaky_relu", -0.5, name="falling"),
    row("leaky_relu", "rrelu", name="rrelu"),
    Row(
        "prelu",
        lambda t, x, w: t.prelu(x, w),
        [
            (Real((2, 3, 4), apart=(0.0,)), Real((3,))),
            (ANY, Real((1,))),
            (Real((5,), apart=(0.0,)), Real((1,))),
        ],
    ),
    row(
        "threshold, threshold_backward",
        "threshold",
        0.5,
        7.0,
        operand=Real((3, 4), apart=(0.5,)),
        broadcast=True,
    ),
    row("elu", "elu", 0.7, broadcast=True),
    row("elu", "celu", 1.5, name="celu"),
    row("elu", "selu", name="selu"),
    row("silu", "silu", broadcast=True),
    row("mish", "mish", broadcast=True),
    row("softplus", "softplus", broadcast=True),
    row(
        "softplus",
        "softplus",
        2.0,
        3.0,
        operand=Real((3, 4), -4, 4, apart=(1.5,)),
        name="threshold",
        finite=False,
    ),
    row("logsigmoid", "logsigmoid", broadcast=True),
    row("divide", "softsign", name="softsign", broadcast=True),
    row("subtract", "tanhshrink", name="tanhshrink", broadcast=True),
    row("glu", "glu"),
    row("glu", "glu", 0, operand=Real((4, 3, 2)), name="dim"),
    row(
        "hardsigmoid, hardsigmoid_backward",
        "hardsigmoid",
        operand=Real((3, 4), -5, 5, apart=(-3.0, 3.0)),
        broadcast=True,
        order=1,
        rtol=(1e-7, 2e-5),
    ),
    row(
        "hardswish, hardswish_backward",
        "hardswish",
        operand=Real((3, 4), -5, 5, apart=(-3.0, 3.0)),
        broadcast=True,
    ),
    row(
        "hardshrink, hardshrink_backward",
        "hardshrink",
        operand=Real((3, 4), apart=(-0.5, 0.5)),
        broadcast=True,
    ),
    row(
        "softshrink, softshrink_backward",
        "softshrink",
        operand=Real((3, 4), apart=(-0.5, 0.5)),
        broadcast=True,
    ),
    row("gelu", "gelu", broadcast=True),
    Row(
        "gelu_tanh",
        lambda t, x: t.nn.functional.gelu(x, approximate="tanh"),
        [(ANY,)],
        broadcast=True,
    ),
    *along("softmax, softmax_backward", "softmax"),
    *along("log_softmax, log_softmax_backward", "log_softmax"),
    row("softmax", "softmin", 1, name="softmin"),
]
