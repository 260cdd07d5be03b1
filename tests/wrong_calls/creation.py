"""Wrong calls that make tensors: from sizes, from data, from random numbers."""

import numpy as np

from tests.wrong_calls.base import flags, given, real, whole, wrong

ROWS = [
    wrong(RuntimeError, "zeros: a negative size", lambda t: t.zeros(-1), says="-1"),
    wrong(RuntimeError, "ones: a negative size", lambda t: t.ones(2, -3), says="-3"),
    wrong(RuntimeError, "empty: a negative size", lambda t: t.empty((2, -3)), says="-3"),
    wrong(RuntimeError, "full: a negative size", lambda t: t.full((-2,), 1.0), says="-2"),
    wrong(
        RuntimeError, "new_zeros: a negative size", lambda t, x: x.new_zeros(-1), real(2), says="-1"
    ),
    wrong(TypeError, "zeros: a float size", lambda t: t.zeros(2.0), says="size|float"),
    wrong(TypeError, "zeros: a string", lambda t: t.zeros("2"), says="size|str"),
    wrong(
        TypeError, "zeros: a dtype's name", lambda t: t.zeros(2, dtype="float32"), says="dtype|str"
    ),
    wrong(
        TypeError, "zeros: an unknown argument", lambda t: t.zeros(2, colour="red"), says="colour"
    ),
    wrong(TypeError, "full: no value", lambda t: t.full((2,)), says="fill_value"),
    wrong(TypeError, "full: a string", lambda t: t.full((2,), "a"), says="fill_value|str"),
    wrong(
        TypeError,
        "full_like: a string",
        lambda t, x: t.full_like(x, "a"),
        real(2),
        says="fill_value|str",
    ),
    wrong(TypeError, "zeros_like: a list", lambda t: t.zeros_like([1.0]), says="input|list"),
    wrong(RuntimeError, "eye: negative", lambda t: t.eye(-1), says="n|-1"),
    wrong(TypeError, "eye: a float", lambda t: t.eye(2.0), says="n|float"),
    wrong(RuntimeError, "arange: a step of 0", lambda t: t.arange(0, 5, 0), says="step|0"),
    wrong(
        RuntimeError, "arange: a step the other way", lambda t: t.arange(5, 0, 1), says="5|0|step"
    ),
    wrong(RuntimeError, "arange: an infinite end", lambda t: t.arange(0, float("inf")), says="inf"),
    wrong(TypeError, "arange: a string", lambda t: t.arange("3"), says="str"),
    wrong(TypeError, "arange: nothing", lambda t: t.arange(), says="end"),
    wrong(
        RuntimeError, "linspace: negative steps", lambda t: t.linspace(0, 1, -1), says="steps|-1"
    ),
    wrong(TypeError, "linspace: no steps", lambda t: t.linspace(0, 1), says="steps"),
    wrong(
        RuntimeError,
        "linspace: a matrix for the start",
        lambda t, x: t.linspace(x, 1, 3),
        real(2, 2),
        says="start|(2, 2)|0-d",
    ),
    wrong(
        RuntimeError, "logspace: negative steps", lambda t: t.logspace(0, 1, -1), says="steps|-1"
    ),
    # From data
    wrong(ValueError, "tensor: ragged rows", lambda t: t.tensor([[1.0], [1.0, 2.0]]), says="1|2"),
    wrong(ValueError, "tensor: strings", lambda t: t.tensor(["a"]), says="str"),
    wrong(TypeError, "tensor: a string in a row", lambda t: t.tensor([1.0, "a"]), says="str"),
    wrong(RuntimeError, "tensor: None", lambda t: t.tensor(None), says="NoneType"),
    wrong(TypeError, "tensor: nothing", lambda t: t.tensor(), says="data"),
    wrong(
        TypeError, "tensor: an unknown argument", lambda t: t.tensor([1.0], grad=True), says="grad"
    ),
    wrong(
        RuntimeError,
        "tensor: ints that want a gradient",
        lambda t: t.tensor([1], requires_grad=True),
        says="floating",
    ),
    wrong(
        ValueError,
        "tensor: many elements in a list",
        lambda t, x: t.tensor([x, x]),
        real(2),
        says="2",
    ),
    wrong(TypeError, "from_numpy: a list", lambda t: t.from_numpy([1.0]), says="list"),
    wrong(
        TypeError,
        "from_numpy: strings",
        lambda t: t.from_numpy(np.array(["a"])),
        says="<U1|float32",
    ),
    wrong(
        TypeError, "from_numpy: objects", lambda t: t.from_numpy(np.array([None])), says="object"
    ),
    wrong(
        ValueError,
        "from_numpy: negative strides",
        lambda t: t.from_numpy(np.zeros(3)[::-1]),
        says="negative|copy",
    ),
    wrong(
        ValueError,
        "frombuffer: more than there is",
        lambda t: t.frombuffer(bytearray(4), dtype=t.float32, count=2),
        says="count|2",
    ),
    wrong(
        TypeError,
        "set_default_dtype: ints",
        lambda t: t.set_default_dtype(t.int64),
        says="int64",
    ),
    wrong(RuntimeError, "device: an unknown kind", lambda t: t.device("toaster"), says="toaster"),
    wrong(
        RuntimeError,
        "ones: ints that want a gradient",
        lambda t: t.ones(2, dtype=t.int64, requires_grad=True),
        says="floating",
    ),
    wrong(
        AttributeError, "module: an unknown name", lambda t: t.no_such_thing, says="no_such_thing"
    ),
    wrong(RuntimeError, "vander: a matrix", lambda t, x: t.vander(x), real(2, 2), says="(2, 2)"),
    wrong(
        RuntimeError, "vander: negative columns", lambda t, x: t.vander(x, -1), real(2), says="N|-1"
    ),
    # Random numbers
    wrong(RuntimeError, "randn: a negative size", lambda t: t.randn(-1), says="-1"),
    wrong(RuntimeError, "rand: a negative size", lambda t: t.rand(2, -1), says="-1"),
    wrong(NotImplementedError, "rand: ints", lambda t: t.rand(2, dtype=t.int64), says="int64"),
    wrong(NotImplementedError, "randn: ints", lambda t: t.randn(2, dtype=t.int64), says="int64"),
    wrong(
        NotImplementedError, "rand_like: ints", lambda t, x: t.rand_like(x), whole(2), says="int64"
    ),
    wrong(
        NotImplementedError,
        "randn_like: ints",
        lambda t, x: t.randn_like(x),
        whole(2),
        says="int64",
    ),
    wrong(RuntimeError, "randint: an empty range", lambda t: t.randint(3, 3, (2,)), says="3"),
    wrong(RuntimeError, "randint: a reversed range", lambda t: t.randint(5, 3, (2,)), says="5|3"),
    wrong(RuntimeError, "randint: a negative size", lambda t: t.randint(3, (-2,)), says="-2"),
    wrong(TypeError, "randint: no size", lambda t: t.randint(3), says="size"),
    wrong(
        RuntimeError,
        "randint: beyond the dtype",
        lambda t: t.randint(300, (2,), dtype=t.uint8),
        says="299|uint8",
    ),
    wrong(RuntimeError, "randperm: negative", lambda t: t.randperm(-1), says="n|-1"),
    wrong(TypeError, "randperm: a float", lambda t: t.randperm(2.5), says="n|float"),
    wrong(
        RuntimeError, "normal: a negative std", lambda t: t.normal(0.0, -1.0, (2,)), says="std|-1"
    ),
    wrong(
        RuntimeError,
        "normal: negative stds",
        lambda t, s: t.normal(0.0, s),
        given([-1.0]),
        says="std|-1",
    ),
    wrong(
        RuntimeError,
        "normal: shapes",
        lambda t, m, s: t.normal(m, s),
        real(2),
        real(3),
        says="(2,)|(3,)",
    ),
    wrong(NotImplementedError, "normal_: ints", lambda t, x: x.normal_(), whole(2), says="int64"),
    wrong(
        RuntimeError,
        "normal_: a negative std",
        lambda t, x: x.normal_(0.0, -1.0),
        real(2),
        says="std|-1",
    ),
    wrong(
        RuntimeError, "normal_: a leaf", lambda t, x: x.normal_(), real(2, leaf=True), says="leaf"
    ),
    wrong(
        RuntimeError,
        "uniform_: the wrong way round",
        lambda t, x: x.uniform_(1.0, 0.0),
        real(2),
        says="1|0",
    ),
    wrong(NotImplementedError, "uniform_: ints", lambda t, x: x.uniform_(), whole(2), says="int64"),
    wrong(
        RuntimeError,
        "exponential_: lambd",
        lambda t, x: x.exponential_(-1.0),
        real(2),
        says="lambd|-1",
    ),
    wrong(RuntimeError, "geometric_: p", lambda t, x: x.geometric_(0.0), real(2), says="p|0"),
    wrong(
        RuntimeError,
        "log_normal_: std",
        lambda t, x: x.log_normal_(0.0, -1.0),
        real(2),
        says="std|-1",
    ),
    wrong(
        RuntimeError, "cauchy_: sigma", lambda t, x: x.cauchy_(0.0, -1.0), real(2), says="sigma|-1"
    ),
    wrong(RuntimeError, "random_: an empty range", lambda t, x: x.random_(3, 3), real(2), says="3"),
    wrong(
        RuntimeError,
        "bernoulli: p above 1",
        lambda t, p: t.bernoulli(p),
        given([0.5, 1.5]),
        says="p|1.5",
    ),
    wrong(
        RuntimeError,
        "bernoulli: p below 0",
        lambda t, p: t.bernoulli(p),
        given([-0.5]),
        says="p|-0.5",
    ),
    wrong(
        NotImplementedError,
        "bernoulli: ints",
        lambda t, p: t.bernoulli(p),
        given([0, 1]),
        says="int64",
    ),
    wrong(
        RuntimeError, "bernoulli: a number", lambda t, x: t.bernoulli(x, 1.5), real(2), says="p|1.5"
    ),
    wrong(
        RuntimeError, "bernoulli_: a number", lambda t, x: x.bernoulli_(1.5), real(2), says="p|1.5"
    ),
    wrong(
        RuntimeError,
        "multinomial: negative weights",
        lambda t, p: t.multinomial(p, 1),
        given([0.5, -1.0]),
        says="input|-1",
    ),
    wrong(
        RuntimeError,
        "multinomial: no weights",
        lambda t, p: t.multinomial(p, 1),
        given([0.0, 0.0]),
        says="0",
    ),
    wrong(
        RuntimeError,
        "multinomial: infinite weights",
        lambda t, p: t.multinomial(p, 1),
        given([1.0, float("inf")]),
        says="inf",
    ),
    wrong(
        RuntimeError,
        "multinomial: too many draws",
        lambda t, p: t.multinomial(p, 3),
        given([0.5, 0.5]),
        says="num_samples|3|2",
    ),
    wrong(
        RuntimeError,
        "multinomial: no draws",
        lambda t, p: t.multinomial(p, 0),
        given([0.5, 0.5]),
        says="num_samples|0",
    ),
    wrong(
        RuntimeError,
        "multinomial: ints",
        lambda t, p: t.multinomial(p, 1),
        given([1, 2]),
        says="int64",
    ),
    wrong(
        RuntimeError,
        "multinomial: three dims",
        lambda t, p: t.multinomial(p, 1),
        real(2, 2, 2),
        says="(2, 2, 2)",
    ),
    wrong(
        RuntimeError,
        "set_rng_state: another size",
        lambda t: t.set_rng_state(t.zeros(3, dtype=t.uint8)),
        says="3",
    ),
    wrong(ValueError, "manual_seed: a string", lambda t: t.manual_seed("a"), says="seed|str"),
    wrong(
        TypeError,
        "rand: an unknown generator",
        lambda t: t.rand(2, generator=3),
        says="generator|int",
    ),
    wrong(
        TypeError,
        "hann_window: a string",
        lambda t: t.hann_window("3"),
        says="window_length|str",
    ),
    wrong(
        RuntimeError, "hann_window: negative", lambda t: t.hann_window(-1), says="window_length|-1"
    ),
    wrong(
        RuntimeError,
        "bool: ints that want a gradient",
        lambda t, x: x.requires_grad_(),
        flags(2),
        says="floating",
    ),
    wrong(
        NotImplementedError,
        "normal: a mean of ints",
        lambda t, m, s: t.normal(m, s),
        whole(2),
        real(2),
        says="int64",
    ),
]
