"""Random numbers: PyTorch's CPU generator, the same seed giving the same stream.

The engine is mt19937, seeded by ``init_genrand`` (Matsumoto and Nishimura, 1998). NumPy's bit
generator is that very engine; what is made of its words is in ``tinygrad_like.ops.random``.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np

from tinygrad_like.device import Device, check_device, cpu
from tinygrad_like.graph import Traced, result_type
from tinygrad_like.lines import told

__all__ = [
    "Generator",
    "default_generator",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "seed",
    "set_rng_state",
]

_DEFAULT_SEED = 67280421310721
_WORDS = 624

# PyTorch's layout of a state: seed, words left in the block, seeded, next word, the block as 64-bit
# numbers, three doubles of which the second is the kept normal number, whether there is one, and
# room for a float that nobody keeps any more.
_HEAD = struct.Struct("<QiiQ")
_TAIL = struct.Struct("<dddi12x")
_STATE_BYTES = _HEAD.size + 8 * _WORDS + _TAIL.size


class Generator:
    """A stream of random numbers, independent of every other.

    >>> import tinygrad_like as torch
    >>> g = torch.Generator().manual_seed(1)
    >>> torch.rand(2, generator=g)
    tensor([0.7576, 0.2793])
    """

    def __init__(self, device: Any = "cpu") -> None:
        check_device(device)
        self.kept_normal: float | None = None  # normal numbers are made in pairs
        self.manual_seed(_DEFAULT_SEED)

    @cached_property
    def _bits(self) -> np.random.MT19937:
        """The engine, made when the first number is drawn: importing it takes a while."""
        bits = np.random.MT19937(0)
        fresh = np.random.RandomState(self._seed & 0xFFFFFFFF).get_state(legacy=False)
        bits.state = {"bit_generator": "MT19937", "state": fresh["state"]}
        return bits

    @property
    def device(self) -> Device:
        """The CPU."""
        return cpu

    # ----- Seeds and states -----------------------------------------------------------------------

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream that belongs to `seed` and return this generator.

        Only the low 32 bits make a difference, as in PyTorch.

        Raises:
            RuntimeError: if `seed` is not an integer.
            ValueError: if it does not fit into 64 bits.
        """
        self._seed = _as_seed(seed)
        self.__dict__.pop("_bits", None)
        self.kept_normal = None
        return self

    def seed(self) -> int:
        """Start a stream that can't be foretold and return its seed."""
        import secrets  # takes a while, and NumPy's engine needs it too

        number = secrets.randbits(53)
        self.manual_seed(number)
        return number

    def initial_seed(self) -> int:
        """Return the seed the stream was started with."""
        return self._seed

    def get_state(self) -> Any:
        """Return what the rest of the stream depends on, as 5056 bytes laid out as PyTorch's are."""
        state = self._bits.state["state"]
        key, position = state["key"], int(state["pos"])
        # Before the first word is drawn the block still begins with the seed.
        untouched = position == _WORDS and int(key[0]) == self._seed & 0xFFFFFFFF
        normal = self.kept_normal
        head = _HEAD.pack(
            self._seed, max(_WORDS + 1 - position, 1), 1, 0 if untouched else position
        )
        tail = _TAIL.pack(0.0, normal or 0.0, 0.0, normal is not None)
        data = head + key.astype("<u8").tobytes() + tail
        return result_type.make(np.frombuffer(bytearray(data), np.uint8))

    def set_state(self, new_state: Any) -> None:
        """Go on where `new_state` was taken, by this package or by PyTorch.

        Raises:
            TypeError: if it is not a uint8 tensor.
            RuntimeError: if it has not the right size.
        """
        if not isinstance(new_state, Traced):
            raise told(
                TypeError, f"expected a torch.ByteTensor, but got {type(new_state).__name__}"
            )
        if new_state.array.dtype != np.uint8:
            raise told(TypeError, "RNG state must be a torch.ByteTensor")
        data = new_state.array.tobytes()
        if len(data) != _STATE_BYTES:
            raise told(
                RuntimeError,
                f"Expected a CPUGeneratorImplState of size {_STATE_BYTES} but found the input RNG state "
                f"size to be {len(data)}",
            )
        seed_, left, _, _ = _HEAD.unpack_from(data)
        _, normal, _, valid = _TAIL.unpack_from(data, _HEAD.size + 8 * _WORDS)
        key = np.frombuffer(data, "<u8", _WORDS, _HEAD.size).astype(np.uint32)
        state: Any = {"key": key, "pos": _WORDS + 1 - left}
        self._bits.state = {"bit_generator": "MT19937", "state": state}
        self._seed = seed_
        self.kept_normal = normal if valid else None

    def clone_state(self) -> Generator:
        """Return a generator that will give the same numbers."""
        other = Generator()
        other.set_state(self.get_state())
        return other

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (self.get_state().array.tobytes(),))

    # ----- Numbers --------------------------------------------------------------------------------

    def words(self, n: int) -> np.ndarray[Any, np.dtype[np.uint64]]:
        """Return the next `n` 32-bit words, each in 64 bits."""
        return self._bits.random_raw(n)

    def long_words(self, n: int) -> np.ndarray[Any, np.dtype[np.uint64]]:
        """Return `n` 64-bit numbers, the high half drawn first."""
        raw = self.words(2 * n)
        out = raw[0::2] << np.uint64(32)
        out |= raw[1::2]
        return out

    def uniform(self, n: int, d: np.dtype[Any]) -> np.ndarray[Any, Any]:
        """Return `n` numbers of ``[0, 1)``: 53 random bits each for float64, else 24 bits."""
        if d == np.float64:
            raw = self.words(2 * n)
            bits = raw[0::2] & np.uint64(0x1FFFFF)
            bits <<= np.uint64(32)
            bits |= raw[1::2]
            out = bits.astype(np.float64)
            out *= 2.0**-53
            return out
        raw = self.words(n)
        raw &= np.uint64(0xFFFFFF)
        numbers = raw.astype(np.float32)
        numbers *= np.float32(2.0**-24)
        return numbers

    def below(self, p: float, n: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Return for `n` numbers of 53 random bits whether each is below `p`."""
        # u * 2**-53 < p is compared in integers, and in most cases the high words settle it.
        limit = int(np.ceil(np.ldexp(p, 53)))
        raw = self.words(2 * n)
        high = raw[0::2] & np.uint64(0x1FFFFF)
        top = np.uint64(limit >> 32)
        out = high < top
        (ties,) = np.nonzero(high == top)
        if ties.size:
            out[ties] = raw[1::2][ties] < np.uint64(limit & 0xFFFFFFFF)
        return out


def _as_seed(seed: Any) -> int:
    if isinstance(seed, Traced) and seed.array.size == 1 and seed.array.dtype.kind in "iu":
        seed = seed.array.item()
    if not isinstance(seed, int | np.integer):
        raise told(RuntimeError, f"manual_seed expected a long, but got {type(seed).__name__}")
    number = int(seed)
    if not -(2**63) <= number < 2**64:
        raise told(
            ValueError, f"Overflow when unpacking long long: seed {number} has more than 64 bits"
        )
    return number % 2**64


def _rebuild(data: bytes) -> Generator:
    generator = Generator()
    generator.set_state(result_type.make(np.frombuffer(bytearray(data), np.uint8)))
    return generator


default_generator = Generator()


def chosen(generator: Any) -> Generator:
    """Return `generator`, or the default one for None.

    Raises:
        TypeError: if it is something else.
    """
    if generator is None:
        return default_generator
    if not isinstance(generator, Generator):
        raise told(
            TypeError,
            f"generator: got {type(generator).__name__}, expected a torch.Generator or None",
        )
    return generator


def manual_seed(seed: int) -> Generator:
    """Seed the default generator and return it.

    >>> import tinygrad_like as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.rand(2)
    tensor([0.4963, 0.7682])
    """
    if isinstance(seed, str):
        raise told(ValueError, f"manual_seed: seed must be an int, got the str {seed!r}")
    return default_generator.manual_seed(int(seed))


def seed() -> int:
    """Seed the default generator with a number that can't be foretold and return that."""
    return default_generator.seed()


def initial_seed() -> int:
    """Return the seed the default generator was started with."""
    return default_generator.initial_seed()


def get_rng_state() -> Any:
    """Return the state of the default generator as a tensor of bytes."""
    return default_generator.get_state()


def set_rng_state(new_state: Any) -> None:
    """Put the default generator into a state that `get_rng_state` returned."""
    default_generator.set_state(new_state)


@contextlib.contextmanager
def fork_rng(devices: Any = None, enabled: bool = True, **_: Any) -> Iterator[None]:
    """Put the default generator back, at the end of the block, into the state it had before.

    >>> import tinygrad_like as torch
    >>> _ = torch.manual_seed(0)
    >>> with torch.random.fork_rng():
    ...     _ = torch.rand(100)
    >>> torch.rand(2)
    tensor([0.4963, 0.7682])
    """
    del devices
    if not enabled:
        yield
        return
    state = get_rng_state()
    try:
        yield
    finally:
        set_rng_state(state)
