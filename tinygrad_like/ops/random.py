"""Random tensors, and filling tensors with random numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_like import dtypes, jit
from tinygrad_like.arrays.draws import (
    in_memory_order,
    normal_numbers,
    paired_normals,
    refuse_interval,
    refuse_spread,
    refuse_whole,
    scaled_normals,
    uniform_numbers,
    whole_numbers,
)
from tinygrad_like.graph import Array, Traced, as_array, result_type
from tinygrad_like.lines import told
from tinygrad_like.op import op
from tinygrad_like.ops.creation import dtype_of, finish, shape_from, size_keyword
from tinygrad_like.random import Generator, chosen
from tinygrad_like.views import write

__all__ = [
    "bernoulli",
    "multinomial",
    "normal",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "randperm",
]


# ----- New tensors --------------------------------------------------------------------------------


def rand(
    *size: Any,
    generator: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    **keyword: Any,
) -> Any:
    """Return a tensor of numbers drawn evenly from ``[0, 1)``.

    >>> import tinygrad_like as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.rand(2, 3)
    tensor([[0.4963, 0.7682, 0.0885],
            [0.1320, 0.3074, 0.6341]])
    """
    shape = shape_from("rand", size, size_keyword("rand", keyword))
    d = dtype_of("rand", dtype, dtypes.default())
    refuse_whole("check_uniform_bounds", d)
    array = uniform_numbers(chosen(generator), math.prod(shape), d).reshape(shape)
    return finish("rand", array, requires_grad, device, layout, pin_memory)


def randn(
    *size: Any,
    generator: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    **keyword: Any,
) -> Any:
    """Return a tensor of normal numbers of mean 0 and standard deviation 1.

    >>> import tinygrad_like as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.randn(3)
    tensor([ 1.5410, -0.2934, -2.1788])
    """
    shape = shape_from("randn", size, size_keyword("randn", keyword))
    d = dtype_of("randn", dtype, dtypes.default())
    refuse_whole("normal_kernel_cpu", d)
    array = normal_numbers(chosen(generator), math.prod(shape), d).reshape(shape)
    return finish("randn", array, requires_grad, device, layout, pin_memory)


def _whole(name: str, argument: str, value: Any) -> int:
    if isinstance(value, Traced) and value.array.size == 1 and value.array.dtype.kind in "iu":
        return int(value.array.item())
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise told(
            TypeError, f"{name}(): argument '{argument}' must be int, not {type(value).__name__}"
        )
    return int(value)


def randint(
    *args: Any,
    low: Any = None,
    high: Any = None,
    size: Any = None,
    generator: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """Return integers of ``[low, high)``: ``randint(high, size)`` or ``randint(low, high, size)``.

    >>> import tinygrad_like as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.randint(10, (4,))
    tensor([4, 9, 3, 0])
    """
    given = list(args)
    if size is None and given and isinstance(given[-1], tuple | list):
        size = given.pop()
    if not isinstance(size, tuple | list):
        raise told(
            TypeError,
            f"randint(): got {args}, expected (high, size) or (low, high, size), size being a tuple of ints",
        )
    if high is None and given:
        high = given.pop()
    if low is None:
        low = given.pop() if given else 0
    if given or high is None:
        raise told(TypeError, f"randint(): got {args}, expected (high, size) or (low, high, size)")
    first, last = _whole("randint", "low", low), _whole("randint", "high", high)
    shape = shape_from("randint", (size,))
    d = dtype_of("randint", dtype, dtypes.I64)
    if (
        d.kind in "iu"
        and not np.iinfo(d).min <= first <= last - 1 <= np.iinfo(d).max
        and first < last
    ):
        raise told(
            RuntimeError, f"randint: numbers from {first} to {last - 1} are out of bounds for {d}"
        )
    array = whole_numbers(chosen(generator), math.prod(shape), first, last).reshape(shape)
    array = array.astype(d, copy=False)
    return finish("randint", array, requires_grad, device, layout, pin_memory)


@jit.compiled("random.shuffle", least=1000)
def _shuffle(order: Any, partners: Any) -> None:
    """Swap each element of `order`, from the first on, with the one at its partner's place."""
    listed = order.tolist()  # of which elements are taken several times as fast
    for i, j in enumerate(partners.tolist()):
        listed[i], listed[j] = listed[j], listed[i]
    order[:] = listed


def randperm(
    n: int,
    *,
    generator: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """Return the integers of ``[0, n)`` in random order.

    Raises:
        RuntimeError: if `n` is negative, or too large for the dtype.
        NotImplementedError: for bools.

    >>> import tinygrad_like as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.randperm(5)
    tensor([4, 0, 1, 3, 2])
    """
    count = _whole("randperm", "n", n)
    if count < 0:
        raise told(RuntimeError, f"Trying to create tensor with negative dimension {count}")
    d = dtype_of("randperm", dtype, dtypes.I64)
    if d.kind == "b":
        raise told(NotImplementedError, "randperm: not implemented for bool; take an integer dtype")
    largest = np.iinfo(d).max if d.kind in "iu" else 2 ** (np.finfo(d).nmant + 1)
    if count > largest + 1:
        raise told(
            RuntimeError,
            f"randperm: n = {count} is too large for {dtypes.named(d)}, which counts to {largest}",
        )
    order = np.arange(count)
    if count > 1:
        raw = chosen(generator).words(count - 1)
        raw %= np.arange(count, 1, -1, dtype=np.uint64)
        raw += np.arange(count - 1, dtype=np.uint64)
        _shuffle(order, raw.view(np.int64))
    array = order.astype(d, copy=False)
    return finish("randperm", array, requires_grad, device, layout, pin_memory)


def _new_like(name: str, input: Any, dtype: Any) -> tuple[Any, np.dtype[Any]]:
    """Return uninitialised memory laid out as that of `input`, and its dtype."""
    if not isinstance(input, Traced):
        raise told(
            TypeError,
            f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}",
        )
    d = dtype_of(name, dtype, input.array.dtype)
    return np.empty_like(input.array, d), d


def rand_like(
    input: Any,
    *,
    generator: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Any:
    """Return numbers drawn evenly from ``[0, 1)``, with the shape and dtype of `input`."""
    del memory_format
    like, d = _new_like("rand_like", input, dtype)
    refuse_whole("check_uniform_bounds", d)
    array = in_memory_order(like, uniform_numbers(chosen(generator), like.size, d))
    return finish("rand_like", array, requires_grad, device, layout)


def randn_like(
    input: Any,
    *,
    generator: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Any:
    """Return normal numbers with the shape and dtype of `input`."""
    del memory_format
    like, _ = _new_like("randn_like", input, dtype)
    array = _normal_array(chosen(generator), like, 0.0, 1.0)
    return finish("randn_like", array, requires_grad, device, layout)


def randint_like(
    input: Any,
    *args: Any,
    low: Any = None,
    high: Any = None,
    generator: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Any:
    """Return integers of ``[low, high)`` with the shape and dtype of `input`."""
    del memory_format
    like, d = _new_like("randint_like", input, dtype)
    given = list(args)
    high = given.pop() if high is None and given else high
    low = given.pop() if low is None and given else low or 0
    first, last = _whole("randint_like", "low", low), _whole("randint_like", "high", high)
    values = whole_numbers(chosen(generator), like.size, first, last).astype(d)
    array = in_memory_order(like, values)
    return finish("randint_like", array, requires_grad, device, layout)


def _normal_array(generator: Generator, like: Any, mean: float, std: float) -> Any:
    d = like.dtype
    refuse_whole("normal_kernel_cpu", d)
    refuse_spread("normal", std)
    if like.size < 16 or like.flags.c_contiguous:
        values = normal_numbers(generator, like.size, d, mean, std)
    else:
        values = scaled_normals(paired_normals(generator, like.size), mean, std).astype(d)
    return in_memory_order(like, values)


@op(x=lambda g: np.zeros_like(g), y=lambda g: np.zeros_like(g), broadcasts=True, name="normal")
def _normal_around(x: Array, y: Array, generator: Any) -> Array:
    """Return normal numbers of means `x` and standard deviations `y`; no gradient goes through."""
    if np.any(np.less(y, 0)):
        raise RuntimeError(f"normal expects all elements of std >= 0.0, got {np.min(y)}")
    array = x if isinstance(x, np.ndarray) else y
    refuse_whole("normal", array.dtype)
    shape = np.broadcast_shapes(np.shape(x), np.shape(y))
    z = normal_numbers(generator, math.prod(shape), array.dtype).reshape(shape)
    return np.add(z * y, x)


def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """Return normal numbers; `mean` and `std` are tensors, or numbers where `size` is given.

    Raises:
        RuntimeError: if a standard deviation is negative.

    >>> import tinygrad_like as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.normal(2.0, 3.0, size=(2,))
    tensor([6.6230, 1.1197])
    """
    if isinstance(mean, Traced) or isinstance(std, Traced):
        if not isinstance(std, Traced):
            refuse_spread("normal", std)
        return _normal_around(mean, std, chosen(generator))
    if size is None:
        raise told(TypeError, "normal(): got two numbers, expected a Tensor, or size= as well")
    shape = shape_from("normal", (size,))
    d = dtype_of("normal", dtype, dtypes.default())
    array = _normal_array(chosen(generator), np.empty(shape, d), mean, std)
    return finish("normal", array, requires_grad, device, layout, pin_memory)


@op(x=lambda g: np.zeros_like(g), name="bernoulli")
def _bernoulli(x: Array, generator: Any) -> Array:
    """Return 1 with probability `x`, else 0; no gradient goes through."""
    return _coins(generator, x).astype(x.dtype)


def _coins(generator: Generator, p: Any) -> Any:
    if p.dtype.kind != "f":
        raise told(
            NotImplementedError,
            f'"bernoulli_tensor_cpu_p_" not implemented for {dtypes.named(p.dtype)!r}; give '
            "probabilities as floating-point numbers",
        )
    inside = (p >= 0) & (p <= 1)
    if not inside.all():
        raise told(
            RuntimeError, f"Expected p_in >= 0 && p_in <= 1, got the probability {p[~inside][0]}"
        )
    u = generator.uniform(p.size, p.dtype)
    return in_memory_order(p, u) < p


def bernoulli(input: Any, p: float | None = None, *, generator: Any = None) -> Any:
    """Return 1 where a coin of probability `input` (or `p` for every element) falls so, else 0.

    Raises:
        RuntimeError: if a probability lies outside ``[0, 1]``.

    >>> import tinygrad_like as torch
    >>> torch.bernoulli(torch.tensor([0.0, 1.0]))
    tensor([0., 1.])
    """
    if p is not None:
        return result_type.make(_coin_array(chosen(generator), np.empty_like(as_array(input)), p))
    return _bernoulli(input, chosen(generator))


def _coin_array(generator: Generator, like: Any, p: float) -> Any:
    if not 0 <= p <= 1:
        raise told(RuntimeError, f"bernoulli_ expects p to be in [0, 1], but got p={p}")
    return in_memory_order(like, generator.below(p, like.size)).astype(like.dtype)


def multinomial(
    input: Any, num_samples: int, replacement: bool = False, *, generator: Any = None
) -> Any:
    """Return indices drawn in proportion to the weights in each row of `input`.

    Args:
        input: weights ``(C,)`` or ``(N, C)``, at least one of each row above 0.
        num_samples: how many indices per row.
        replacement: whether an index may be drawn again.
        generator: where the numbers come from.

    Raises:
        RuntimeError: if the weights are no distribution, or too few for `num_samples`.

    >>> import tinygrad_like as torch
    >>> torch.multinomial(torch.tensor([0.0, 1.0, 0.0]), 2, replacement=True)
    tensor([1, 1])
    """
    p = as_array(input)
    if p.dtype.kind != "f":
        raise told(
            RuntimeError,
            f"multinomial only supports floating-point dtypes for input, got: {dtypes.named(p.dtype)}",
        )
    if p.ndim not in (1, 2):
        raise told(RuntimeError, f"prob_dist must be 1 or 2 dim, got shape {p.shape}")
    if num_samples <= 0:
        raise told(RuntimeError, f"cannot sample n_sample <= 0: num_samples is {num_samples}")
    if not replacement and num_samples > p.shape[-1]:
        raise told(
            RuntimeError,
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement: num_samples is "
            f"{num_samples}, the size {p.shape[-1]}",
        )
    right = np.isfinite(p) & (p >= 0)
    if not right.all():
        raise told(
            RuntimeError,
            "multinomial: probability tensor, the input, contains either `inf`, `nan` or element < 0: "
            f"{p[~right][0]}",
        )
    total = p.sum(-1)
    if not np.all(total > 0):
        raise told(RuntimeError, "invalid multinomial distribution (sum of probabilities <= 0)")
    source = chosen(generator)
    if not replacement or num_samples == 1:
        waits = p / _exponential_numbers(source, p.size, p.dtype, 1.0).reshape(p.shape)
        if num_samples == 1:
            return result_type.make(waits.argmax(-1, keepdims=True))
        order = np.argsort(-waits, -1, kind="stable")[..., :num_samples]
        return result_type.make(np.ascontiguousarray(order))
    rows = np.atleast_2d(p)
    steps = np.cumsum(rows, -1)
    steps /= steps[:, -1:]
    steps[:, -1] = 1
    u = source.uniform(len(rows) * num_samples, dtypes.F64).reshape(len(rows), num_samples)
    drawn = np.stack([np.searchsorted(row, v) for row, v in zip(steps, u, strict=True)])
    return result_type.make(drawn.reshape((*p.shape[:-1], num_samples)))


def _exponential_numbers(generator: Generator, n: int, d: Any, rate: float) -> Any:
    numbers = np.negative(generator.uniform(n, dtypes.F64))
    np.log1p(numbers, out=numbers)
    numbers *= -1 / rate
    return numbers.astype(d, copy=False)


# ----- Filling a tensor ---------------------------------------------------------------------------


def _filled(target: Any, name: str, make: Callable[[Any], Any]) -> Any:
    """Write what `make` returns for the memory of `target` into it; gradients end there."""
    return write(target, name, lambda: make(target.array))


class RandomMethods:
    """The methods of `Tensor` that this module provides."""

    __slots__ = ()
    array: np.ndarray[Any, Any]

    bernoulli = bernoulli
    multinomial = multinomial

    def uniform_(self, a: float = 0, b: float = 1, *, generator: Any = None, **ends: Any) -> Any:
        """Fill with numbers drawn evenly from ``[a, b)`` (also spelt ``from`` and ``to``)."""
        low, high = ends.pop("from", a), ends.pop("to", b)
        _refuse_keywords("uniform_", ends)
        source = chosen(generator)

        def make(memory: Any) -> Any:
            refuse_whole("check_uniform_bounds", memory.dtype)
            refuse_interval("uniform_", low, high)
            numbers = uniform_numbers(source, memory.size, memory.dtype, low, high)
            return in_memory_order(memory, numbers)

        return _filled(self, "uniform_", make)

    def normal_(self, mean: float = 0, std: float = 1, *, generator: Any = None) -> Any:
        """Fill with normal numbers of the given mean and standard deviation."""
        source = chosen(generator)
        return _filled(self, "normal_", lambda memory: _normal_array(source, memory, mean, std))

    def random_(self, *bounds: Any, generator: Any = None, **ends: Any) -> Any:
        """Fill with integers: of ``[0, to)``, of ``[from, to)``, or of all the dtype holds exactly."""
        given = list(bounds)
        high = ends.pop("to") if "to" in ends else (given.pop() if given else None)
        low = ends.pop("from") if "from" in ends else (given.pop() if given else 0)
        _refuse_keywords("random_", ends)
        source = chosen(generator)

        def make(memory: Any) -> Any:
            d = memory.dtype
            if high is None:
                numbers = _all_whole_numbers(source, memory.size, d)
            else:
                _refuse_bounds(d, int(low), int(high))
                numbers = whole_numbers(source, memory.size, int(low), int(high))
            return in_memory_order(memory, numbers.astype(d, copy=False))

        return _filled(self, "random_", make)

    def bernoulli_(self, p: Any = 0.5, *, generator: Any = None) -> Any:
        """Fill with 1, with probability `p` (a number, or a tensor that broadcasts), and 0."""
        source = chosen(generator)

        def make(memory: Any) -> Any:
            if isinstance(p, Traced):
                chances = np.broadcast_to(p.array, memory.shape)
                return _coins(source, np.ascontiguousarray(chances)).astype(memory.dtype)
            return _coin_array(source, memory, p)

        return _filled(self, "bernoulli_", make)

    def exponential_(self, lambd: float = 1, *, generator: Any = None) -> Any:
        """Fill with numbers of the exponential distribution of rate `lambd`."""
        source = chosen(generator)

        def make(memory: Any) -> Any:
            refuse_whole("exponential_", memory.dtype)
            _refuse_unless(
                lambd > 0, f"exponential_ expects lambda > 0.0, but found lambda={lambd}"
            )
            numbers = _exponential_numbers(source, memory.size, memory.dtype, lambd)
            return in_memory_order(memory, numbers)

        return _filled(self, "exponential_", make)

    def geometric_(self, p: float, *, generator: Any = None) -> Any:
        """Fill with the number of trials up to the first success, each of probability `p`."""
        source = chosen(generator)

        def make(memory: Any) -> Any:
            _refuse_unless(0 < p < 1, f"geometric_ expects p to be in (0, 1), but got p={p}")
            u = source.uniform(memory.size, dtypes.F64)
            numbers = np.ceil(np.log(u) / math.log(1 - p)).astype(memory.dtype)
            return in_memory_order(memory, numbers)

        return _filled(self, "geometric_", make)

    def cauchy_(self, median: float = 0, sigma: float = 1, *, generator: Any = None) -> Any:
        """Fill with numbers of the Cauchy distribution."""
        source = chosen(generator)

        def make(memory: Any) -> Any:
            refuse_whole("cauchy_", memory.dtype)
            _refuse_unless(sigma > 0, f"cauchy_ expects sigma > 0.0, but found sigma={sigma}")
            u = source.uniform(memory.size, dtypes.F64)
            numbers = (median + sigma * np.tan(math.pi * (u - 0.5))).astype(memory.dtype)
            return in_memory_order(memory, numbers)

        return _filled(self, "cauchy_", make)

    def log_normal_(self, mean: float = 1, std: float = 2, *, generator: Any = None) -> Any:
        """Fill with numbers whose logarithm is normal, of the given mean and standard deviation."""
        source = chosen(generator)

        def make(memory: Any) -> Any:
            refuse_whole("log_normal_", memory.dtype)
            _refuse_unless(std > 0, f"log_normal_ expects std > 0.0, but found std={std}")
            numbers = np.exp(scaled_normals(paired_normals(source, memory.size), mean, std))
            return in_memory_order(memory, numbers.astype(memory.dtype))

        return _filled(self, "log_normal_", make)


def _refuse_unless(holds: bool, message: str) -> None:
    if not holds:
        raise told(RuntimeError, message)


def _refuse_keywords(name: str, keywords: dict[str, Any]) -> None:
    for unknown in keywords:
        raise told(TypeError, f"{name}() got an unexpected keyword argument '{unknown}'")


def _refuse_bounds(d: np.dtype[Any], low: int, high: int) -> None:
    if d.kind == "b":
        least, most = 0, 1
    elif d.kind == "f":
        most = 2 ** (np.finfo(d).nmant + 1)
        least = -most
    else:
        least, most = int(np.iinfo(d).min), int(np.iinfo(d).max)
    for name, value in (("from", low), ("to - 1", high - 1)):
        if not least <= value <= most and d.kind != "f":
            raise told(
                RuntimeError,
                f"{name} is out of bounds for {dtypes.named(d)}: {value} is not in [{least}, {most}]",
            )


def _all_whole_numbers(generator: Generator, n: int, d: np.dtype[Any]) -> Any:
    """Return `n` integers of ``[0, m)``, `m` the largest that `d` holds exactly, plus one."""
    if d.kind == "b":
        return generator.words(n) & np.uint64(1)
    if d.kind == "f":
        limit = 2 ** (np.finfo(d).nmant + 1) + 1
    else:
        limit = int(np.iinfo(d).max) + 1
    raw = generator.long_words(n) if d.itemsize == 8 else generator.words(n)
    raw %= np.uint64(limit)
    return raw.view(np.int64)
