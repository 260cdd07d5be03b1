"""Rows for `arithmetic`, `elementwise`, `comparison`, `unary` and `special`."""

from tests.rows.base import Bools, Ints, Real, Row

PAIR = [(Real((2, 3)), Real((3,)))]
ANY = Real((2, 3), apart=(0.0,))


def unary(op, name, low=-2.0, high=2.0, apart=(), **options):
    """Return the row of a function of one operand."""
    operand = Real((2, 3), low, high, apart=apart)
    return Row(op, lambda t, x: getattr(t, name)(x), [(operand,)], broadcast=True, **options)


def whole(op, call, low=0, high=10, **options):
    """Return the row of an op on integers."""
    return Row(op, call, [(Ints((2, 3), low, high), Ints((3,), 1, 5))], order=0, **options)


ARITHMETIC = [
    Row("add", lambda t, x, y: t.add(x, y), PAIR, broadcast=True),
    Row("add", lambda t, x, y: t.add(x, y, alpha=2.5), PAIR, name="alpha"),
    Row("add", lambda t, x: 2 + x + 1.5, [(Real((3,)),)], name="numbers", broadcast=True),
    Row("subtract", lambda t, x, y: x - y, PAIR, broadcast=True),
    Row("subtract", lambda t, x: 2 - x, [(Real((3,)),)], name="reflected", broadcast=True),
    Row("subtract", lambda t, x, y: t.sub(x, y, alpha=0.5), PAIR, name="alpha"),
    Row("multiply", lambda t, x, y: x * y, PAIR, broadcast=True),
    Row("multiply", lambda t, x: 3 * x, [(Real((3,)),)], name="number"),
    Row("divide", lambda t, x, y: t.div(x, y), [(Real((2, 3)), Real((3,), 0.5, 2.0))]),
    Row(
        "divide",
        lambda t, x, y: x / y,
        [(Real((2, 3)), Real((3,), 0.5, 2.0))],
        name="broadcast",
        broadcast=True,
    ),
    Row("divide", lambda t, x: 3 / x, [(Real((3,), 0.5, 2.0),)], name="reflected"),
    Row(
        "floor_divide",
        lambda t, x, y: t.div(x, y, rounding_mode="floor"),
        [(Real((2, 3), 3.1, 3.9), Real((3,), 1.05, 1.45))],
        broadcast=True,
    ),
    whole("floor_divide", lambda t, x, y: x // y, -9, name="integers", exact=True),
    Row(
        "trunc_divide",
        lambda t, x, y: t.div(x, y, rounding_mode="trunc"),
        [(Real((2, 3), -3.9, -3.1), Real((3,), 1.05, 1.45))],
        broadcast=True,
    ),
    whole(
        "trunc_divide",
        lambda t, x, y: t.div(x, y, rounding_mode="trunc"),
        -9,
        name="integers",
        exact=True,
    ),
    Row(
        "remainder",
        lambda t, x, y: x % y,
        [(Real((2, 3), -3.9, -3.1), Real((3,), 1.05, 1.45))],
        broadcast=True,
    ),
    whole("remainder", lambda t, x, y: x % y, -9, name="integers", exact=True),
    Row(
        "fmod",
        lambda t, x, y: t.fmod(x, y),
        [(Real((2, 3), -3.9, -3.1), Real((3,), 1.05, 1.45))],
        broadcast=True,
    ),
    whole("fmod", lambda t, x, y: t.fmod(x, y), -9, name="integers", exact=True),
    *(
        Row(
            "power_number",
            lambda t, x, e=exponent: x**e,
            [(Real((2, 3), 0.5, 2.0),)],
            name=str(exponent),
            broadcast=True,
        )
        for exponent in (0, 1, 2, 3, 0.5, -0.5, -1, -2, 1.7, 7)
    ),
    Row("power_number", lambda t, x: x**4, [(Ints((4,), -5, 5),)], order=0, name="integers"),
    Row(
        "power",
        lambda t, x, y: t.pow(x, y),
        [(Real((2, 3), 0.5, 2.0), Real((3,)))],
        broadcast=True,
    ),
    Row("power", lambda t, x: 2.5**x, [(Real((3,)),)], name="reflected"),
    Row(
        "power",
        lambda t, x, y: x**y,
        [(Ints((2, 9), -3, 4), Ints((9,), -3, 4))],
        order=0,
        exact=True,
        name="integers",
    ),
    Row(
        "power_number",
        lambda t, x, y: t.float_power(x, y),
        [(Real((3,), 0.5, 2.0), 3)],
        name="float64",
    ),
]

LIMITS = [
    Row("maximum", lambda t, x, y: t.maximum(x, y), PAIR, broadcast=True),
    Row("minimum", lambda t, x, y: t.minimum(x, y), PAIR, broadcast=True),
    Row("maximum", lambda t, x: t.maximum(x, x * 1), [(Real((3,)),)], name="ties", finite=False),
    Row("minimum", lambda t, x: t.minimum(x, x * 1), [(Real((3,)),)], name="ties", finite=False),
    Row("fmax", lambda t, x, y: t.fmax(x, y), PAIR, broadcast=True),
    Row("fmin", lambda t, x, y: t.fmin(x, y), PAIR, broadcast=True),
    Row(
        "clip",
        lambda t, x: t.clamp(x, -1, 0.5),
        [(Real((2, 3), apart=(-1.0, 0.5)),)],
        broadcast=True,
    ),
    Row("clip", lambda t, x: t.clamp_min(x, 0), [(ANY,)], name="min"),
    Row("clip", lambda t, x: t.clamp_max(x, 0), [(ANY,)], name="max"),
    Row(
        "clip_between",
        lambda t, x, a, b: t.clamp(x, a, b),
        [
            (Real((2, 3)), Real((3,), -1, 0), Real((2, 1), 0, 1)),
        ],
    ),
    Row(
        "clip_between", lambda t, x, a: t.clamp(x, min=a), [(Real((2, 3)), Real((3,)))], name="min"
    ),
    Row(
        "clip_between", lambda t, x, a: t.clamp(x, max=a), [(Real((2, 3)), Real((3,)))], name="max"
    ),
]

FUNCTIONS = [
    Row("atan2", lambda t, x, y: t.atan2(x, y), [(ANY, ANY)], broadcast=True),
    Row("hypot", lambda t, x, y: t.hypot(x, y), [(ANY, ANY)], broadcast=True),
    Row("logaddexp", lambda t, x, y: t.logaddexp(x, y), PAIR, broadcast=True),
    Row("logaddexp2", lambda t, x, y: t.logaddexp2(x, y), PAIR, broadcast=True),
    Row("copysign", lambda t, x, y: t.copysign(x, y), [(ANY, ANY)], broadcast=True),
    Row(
        "xlogy",
        lambda t, x, y: t.xlogy(x, y),
        [(Real((2, 3)), Real((3,), 0.5, 2.0))],
        broadcast=True,
    ),
    Row(
        "heaviside",
        lambda t, x, y: t.heaviside(x, y),
        [(Real((2, 3), grad=False), Real((3,), grad=False))],
        order=0,
    ),
    Row(
        "lerp",
        lambda t, x, y, w: t.lerp(x, y, w),
        [(Real((2, 3)), Real((3,)), Real((3,), 0, 1))],
        broadcast=True,
    ),
    Row("lerp_number", lambda t, x, y: t.lerp(x, y, 0.3), PAIR, broadcast=True),
    Row("lerp_number", lambda t, x, y: t.lerp(x, y, 0.9), PAIR, name="far"),
    Row(
        "addcmul",
        lambda t, x, y, z: t.addcmul(x, y, z, value=0.5),
        [(Real((2, 3)), Real((3,)), Real((2, 1)))],
        broadcast=True,
    ),
    Row(
        "addcdiv",
        lambda t, x, y, z: t.addcdiv(x, y, z, value=0.5),
        [(Real((2, 3)), Real((3,)), Real((2, 1), 0.5, 2.0))],
        broadcast=True,
    ),
    Row("where", lambda t, c, x, y: t.where(c, x, y), [(Bools((2, 3)), Real((3,)), Real((2, 1)))]),
    Row(
        "where", lambda t, c, x: t.where(c, x, 0.5), [(Bools((2, 3)), Real((2, 3)))], name="number"
    ),
    Row("relu_gradient", lambda t, x: t.relu(x), [(ANY,), (Real((96, 96), apart=(0.0,)),)]),
    Row("keep_where", lambda t, x: t.clamp(x, max=0.5), [(Real((3, 4), apart=(0.5,)),)]),
    Row("copied", lambda t, x, y: (x * 2).copy_(y), [(Real((2, 3)), Real((3,)))]),
]

UNARY = [
    unary("negative", "neg"),
    Row("multiply", lambda t, x: [t.positive(x) * 2, +x * 3], [(ANY,)], name="positive"),
    unary("absolute", "abs", apart=(0.0,)),
    unary("sign", "sign", apart=(0.0,)),
    unary("reciprocal", "reciprocal", 0.5, 2.0),
    unary("square", "square"),
    unary("sqrt", "sqrt", 0.5, 2.0),
    unary("rsqrt", "rsqrt", 0.5, 2.0),
    unary("exp", "exp"),
    unary("exp2", "exp2"),
    unary("expm1", "expm1"),
    unary("log", "log", 0.5, 2.0),
    unary("log2", "log2", 0.5, 2.0),
    unary("log10", "log10", 0.5, 2.0),
    unary("log1p", "log1p", -0.5, 2.0),
    unary("sigmoid, sigmoid_backward", "sigmoid"),
    unary("logit", "logit", 0.1, 0.9),
    Row(
        "logit",
        lambda t, x: t.logit(x, 0.2),
        [(Real((3, 4), 0.0, 1.0, apart=(0.2, 0.8)),)],
        name="eps",
    ),
    unary("sin", "sin"),
    unary("cos", "cos"),
    unary("tan", "tan", -1.0, 1.0),
    unary("asin", "asin", -0.9, 0.9),
    unary("acos", "acos", -0.9, 0.9),
    unary("atan", "atan"),
    unary("sinh", "sinh"),
    unary("cosh", "cosh"),
    unary("tanh", "tanh"),
    unary("asinh", "asinh"),
    unary("acosh", "acosh", 1.2, 3.0),
    unary("atanh", "atanh", -0.9, 0.9),
    unary("deg2rad", "deg2rad"),
    unary("rad2deg", "rad2deg"),
    unary("sinc", "sinc", 0.3, 2.0),
    unary("floor", "floor", apart=(-1.0, 0.0, 1.0)),
    unary("ceil", "ceil", apart=(-1.0, 0.0, 1.0)),
    unary("trunc", "trunc", apart=(-1.0, 0.0, 1.0)),
    unary("round", "round", apart=(-1.5, -0.5, 0.5, 1.5)),
    Row(
        "round", lambda t, x: t.round(x, decimals=1), [(Real((4,)),)], name="decimals", finite=False
    ),
    unary("frac", "frac", apart=(-1.0, 0.0, 1.0)),
    unary("nan_to_num", "nan_to_num"),
    unary("erf", "erf"),
    unary("erfc", "erfc"),
    unary("erfinv", "erfinv", -0.9, 0.9),
]


def comparison(op, name):
    """Return the row of a comparison, on operands some of whose elements are equal."""
    return Row(
        op,
        lambda t, x, y: getattr(t, name)(x, y),
        [(Ints((4, 5), 0, 3), Ints((5,), 0, 3)), (Real((2, 3)), Real((3,)))],
        order=0,
        exact=True,
    )


def question(op):
    """Return the row of a question about each element."""
    return Row(op, lambda t, x: getattr(t, op)(x / 0), [(Ints((9,), -1, 2),)], order=0, exact=True)


COMPARISON = [
    comparison("equal", "eq"),
    comparison("not_equal", "ne"),
    comparison("greater", "gt"),
    comparison("greater_equal", "ge"),
    comparison("less", "lt"),
    comparison("less_equal", "le"),
    *(question(name) for name in ("isnan", "isinf", "isfinite", "isposinf", "isneginf", "isreal")),
    Row(
        "signbit",
        lambda t, x: t.signbit(x),
        [(Ints((5,), -3, 3),), (Real((5,)),)],
        order=0,
        exact=True,
    ),
    Row(
        "isclose",
        lambda t, x, y: t.isclose(x, y, rtol=0.3),
        [(Real((2, 3)), Real((3,)))],
        order=0,
        exact=True,
    ),
    *(
        Row(
            name,
            lambda t, x, y, n=name: getattr(t, n)(x, y),
            [(Ints((4, 5), 0, 2), Ints((5,), 0, 2)), (Bools((2, 3)), Bools((3,)))],
            order=0,
            exact=True,
        )
        for name in (
            "logical_and",
            "logical_or",
            "logical_xor",
            "bitwise_and",
            "bitwise_or",
            "bitwise_xor",
        )
    ),
    Row("logical_not", lambda t, x: t.logical_not(x), [(Ints((5,), 0, 2),)], order=0, exact=True),
    Row(
        "bitwise_not", lambda t, x: ~x, [(Ints((5,), -3, 3),), (Bools((3,)),)], order=0, exact=True
    ),
    whole("left_shift", lambda t, x, y: x << y, -9, exact=True),
    whole("right_shift", lambda t, x, y: x >> y, -9, exact=True),
]

ROWS = [*ARITHMETIC, *LIMITS, *FUNCTIONS, *UNARY, *COMPARISON]
