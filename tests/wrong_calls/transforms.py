"""Wrong calls of function transforms, custom functions, recurrent layers and windows."""

from tests.wrong_calls.base import given, real, whole, wrong


def custom(t, forward, backward):
    """Return a function of one's own, made of two static methods."""
    members = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    return type("Own", (t.autograd.Function,), members).apply


def too_many_gradients(t, x):
    own = custom(t, lambda ctx, x: x * 2, lambda ctx, g: (g, g))
    own(x).sum().backward()


def too_few_gradients(t, x, y):
    own = custom(t, lambda ctx, x, y: x * y, lambda ctx, g: g)
    own(x, y).sum().backward()


def gradient_of_another_shape(t, x):
    own = custom(t, lambda ctx, x: x * 2, lambda ctx, g: g[:1].expand(3))
    own(x).sum().backward()


def gradient_that_is_no_tensor(t, x):
    own = custom(t, lambda ctx, x: x * 2, lambda ctx, g: 3.0)
    own(x).sum().backward()


ROWS = [
    # autograd.Function
    wrong(
        RuntimeError,
        "Function: too many gradients",
        too_many_gradients,
        real(2, leaf=True),
        says="2|1",
    ),
    wrong(
        RuntimeError,
        "Function: too few gradients",
        too_few_gradients,
        real(2, leaf=True),
        real(2, leaf=True),
        says="1|2",
    ),
    wrong(
        RuntimeError,
        "Function: a gradient of another shape",
        gradient_of_another_shape,
        real(2, leaf=True),
        says="(3,)|(2,)",
    ),
    wrong(
        RuntimeError,
        "Function: a gradient that is no tensor",
        gradient_that_is_no_tensor,
        real(2, leaf=True),
        says="float",
    ),
    wrong(
        NotImplementedError,
        "Function: no forward",
        lambda t, x: type("Own", (t.autograd.Function,), {}).apply(x),
        real(2, leaf=True),
        says="forward",
    ),
    # func
    wrong(
        RuntimeError,
        "func.grad: a tuple of results",
        lambda t, x: t.func.grad(lambda y: (y.sum(), y.sum()))(x),
        real(2),
        says="tuple",
    ),
    wrong(
        RuntimeError,
        "func.grad: argnums",
        lambda t, x: t.func.grad(lambda y: y.sum(), argnums=1)(x),
        real(2),
        says="argnum=1|1 positional",
    ),
    wrong(
        RuntimeError,
        "func.grad: ints",
        lambda t, x: t.func.grad(lambda y: y.sum())(x),
        whole(2),
        says="int64",
    ),
    wrong(
        RuntimeError,
        "func.vjp: no tensor",
        lambda t, x: t.func.vjp(lambda y: 3.0, x),
        real(2),
        says="float",
    ),
    wrong(
        RuntimeError,
        "func.jacrev: argnums",
        lambda t, x: t.func.jacrev(lambda y: y * 2, argnums=2)(x),
        real(2),
        says="argnum=2|1 positional",
    ),
    wrong(
        RuntimeError,
        "func.grad_and_value: no scalar",
        lambda t, x: t.func.grad_and_value(lambda y: y * 2)(x),
        real(2),
        says="scalar",
    ),
    wrong(
        RuntimeError,
        "functional.hvp: no scalar",
        lambda t, x: t.autograd.functional.hvp(lambda y: y * 2, x, x),
        real(2),
        says="single element",
    ),
    wrong(
        RuntimeError,
        "functional.jvp: v's shape",
        lambda t, x, v: t.autograd.functional.jvp(lambda y: y * 2, x, v),
        real(2),
        real(3),
        says="(3,)|(2,)",
    ),
    wrong(
        TypeError,
        "functional.vjp: no tensor",
        lambda t: t.autograd.functional.vjp(lambda y: y * 2, 3.0),
        says="float",
    ),
    wrong(
        RuntimeError,
        "functional.jacobian: strict",
        lambda t, x: t.autograd.functional.jacobian(lambda y: t.ones(2), x, strict=True),
        real(2),
        says="strict|gradients",
    ),
    # Recurrent layers
    wrong(
        RuntimeError,
        "RNNCell: columns",
        lambda t, x: t.nn.RNNCell(2, 3)(x),
        real(4, 5),
        says="input|5|2",
    ),
    wrong(
        RuntimeError,
        "LSTMCell: columns",
        lambda t, x: t.nn.LSTMCell(2, 3)(x),
        real(4, 5),
        says="input|5|2",
    ),
    wrong(
        RuntimeError,
        "GRUCell: the state's columns",
        lambda t, x, h: t.nn.GRUCell(2, 3)(x, h),
        real(4, 2),
        real(4, 5),
        says="5|3",
    ),
    wrong(ValueError, "RNN: input's dims", lambda t, x: t.nn.RNN(2, 3)(x), real(4), says="1|2"),
    wrong(
        RuntimeError,
        "LSTM: an unbatched state for a batch",
        lambda t, x, h: t.nn.LSTM(2, 3)(x, (h, h)),
        real(4, 1, 2),
        real(1, 3),
        says="hx|2",
    ),
    wrong(
        ValueError,
        "LSTM: proj_size",
        lambda t: t.nn.LSTM(2, 3, proj_size=3),
        says="proj_size|hidden_size",
    ),
    wrong(ValueError, "GRU: proj_size", lambda t: t.nn.GRU(2, 3, proj_size=2), says="proj_size"),
    wrong(
        RuntimeError,
        "pack_padded_sequence: counts",
        lambda t, x: t.nn.utils.rnn.pack_padded_sequence(x, [3, 2]),
        real(3, 1, 2),
        says="lengths|2|1",
    ),
    wrong(
        RuntimeError,
        "pack_sequence: shapes",
        lambda t, x, y: t.nn.utils.rnn.pack_sequence([x, y], enforce_sorted=False),
        real(2, 3),
        real(2, 4),
        says="(2, 3)|(2, 4)",
    ),
    # Windows
    wrong(ValueError, "windows.hann: negative", lambda t: t.signal.windows.hann(-1), says="M|-1"),
    wrong(
        ValueError,
        "windows.kaiser: beta",
        lambda t: t.signal.windows.kaiser(3, beta=-1.0),
        says="beta|-1",
    ),
    wrong(
        ValueError,
        "windows.gaussian: std",
        lambda t: t.signal.windows.gaussian(3, std=0.0),
        says="deviation|0",
    ),
    wrong(
        ValueError,
        "windows.cosine: ints",
        lambda t: t.signal.windows.cosine(3, dtype=t.int64),
        says="int64",
    ),
    wrong(
        ValueError,
        "windows.exponential: tau",
        lambda t: t.signal.windows.exponential(3, tau=-1.0),
        says="Tau|-1",
    ),
    # Moving between kinds
    wrong(
        TypeError,
        "stack: a number among tensors",
        lambda t, x: t.stack([x, 1.0]),
        real(2),
        says="1|float",
    ),
    wrong(
        TypeError,
        "cat: None among tensors",
        lambda t, x: t.cat([x, None]),
        real(2),
        says="1|NoneType",
    ),
    wrong(
        RuntimeError,
        "one_hot: int32",
        lambda t, x: t.nn.functional.one_hot(x),
        given([0, 1], "int32"),
        says="int32|int64",
    ),
    # What is rarely called
    wrong(
        RuntimeError, "ormqr: a vector", lambda t, x: t.ormqr(x, x, x), real(3), says="input|2|1"
    ),
    wrong(
        RuntimeError,
        "ormqr: dtypes",
        lambda t, x, y: t.ormqr(x, y, x),
        real(3, 3),
        real(3, dtype="float64"),
        says="float32|float64",
    ),
    wrong(
        RuntimeError,
        "ormqr: dims",
        lambda t, x, y: t.ormqr(x, y, x),
        real(2, 3, 3),
        real(3),
        says="tau|(3,)|(2, 3, 3)",
    ),
    wrong(
        RuntimeError,
        "convolution: weight's dims",
        lambda t, x, w: t.convolution(x, w, None, (1,), (0,), (1,), False, (0,), 1),
        real(1, 2, 5),
        real(4),
        says="weight|(4,)",
    ),
    wrong(
        NotImplementedError,
        "conv1d: bools",
        lambda t, x, w: t.conv1d(x, w),
        given([[[True, False]]]),
        real(1, 1, 1),
        says="bool",
    ),
    wrong(
        NotImplementedError,
        "nll_loss: ints",
        lambda t, x, y, w: t.nn.functional.nll_loss(x, y, w),
        whole(2, 3),
        given([0, 1]),
        real(3),
        says="nll_loss|Long",
    ),
    wrong(
        NotImplementedError,
        "batch_norm: ints with weights",
        lambda t, x, w: t.nn.functional.batch_norm(x, None, None, w, w, True),
        whole(2, 3),
        real(3),
        says="Long",
    ),
    wrong(
        IndexError,
        "index_copy: dims",
        lambda t, x, i, y: x.index_copy(0, i, y),
        real(3, 2),
        given([0, 1]),
        real(4),
        says="source|(4,)|(3, 2)",
    ),
    wrong(
        RuntimeError,
        "nll_loss: weight's dtype",
        lambda t, x, y, w: t.nn.functional.nll_loss(x, y, w),
        real(2, 3),
        given([0, 1]),
        real(3, dtype="float64"),
        says="weight|Float|Double",
    ),
]
