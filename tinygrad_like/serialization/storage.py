"""Storages: the memory that tensors look into, and how PyTorch names its type in a file.

A file holds storages, and tensors only as places, sizes and strides in them. Two tensors of one storage
share it again when they are loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.interchange import NumpyArray
from tinygrad_like.stamps import owner

# ----- Types of elements --------------------------------------------------------------------------


class Elements(NamedTuple):
    """How a storage's bytes become numbers: what they are in the file, and what is done with them."""

    name: str  # PyTorch's
    stored: np.dtype[Any]
    convert: Callable[[NumpyArray], NumpyArray] | None  # where there is no such dtype here
    dtype: dtypes.dtype  # of the tensor


def _from_bfloat16(bits: NumpyArray) -> NumpyArray:
    """Return float32 numbers: bfloat16 is the upper half of their bits."""
    floats: NumpyArray = np.left_shift(bits, 16, dtype=np.uint32).view(np.float32)
    return floats


def _from_uint64(numbers: NumpyArray) -> NumpyArray:
    """Return int64 numbers.

    Raises:
        RuntimeError: if one does not fit.
    """
    if numbers.size and numbers.max() > np.iinfo(np.int64).max:
        raise RuntimeError("load: a tensor of uint64 holds numbers that do not fit into int64")
    return numbers.astype(np.int64)


def _float8(exponent_bits: int, bias: int, special: str) -> Callable[[NumpyArray], NumpyArray]:
    """Return what makes float32 of 8-bit floats: a sign, some bits of exponent, the rest of mantissa.

    `special` says which bits are no numbers: "ieee" the largest exponent, "fn" all bits set, "fnuz" the
    sign alone (OCP 8-bit floating point specification, and the ONNX one for "fnuz").
    """

    def convert(bits: NumpyArray) -> NumpyArray:
        codes: NumpyArray = np.arange(256)
        mantissa_bits = 7 - exponent_bits
        exponent = codes >> mantissa_bits & (1 << exponent_bits) - 1
        mantissa = codes & (1 << mantissa_bits) - 1
        fraction = mantissa / (1 << mantissa_bits) + (exponent > 0)
        table: NumpyArray = np.ldexp(fraction, np.maximum(exponent, 1) - bias)
        if special == "ieee":
            top = exponent == (1 << exponent_bits) - 1
            table[top] = np.where(mantissa[top] > 0, np.nan, np.inf)
        elif special == "fn":
            table[codes & 127 == 127] = np.nan
        table[128:] = -table[128:]
        if special == "fnuz":
            table[128] = np.nan
        floats: NumpyArray = table.astype(np.float32)
        return floats[bits]

    return convert


def _from_float8_e8m0(bits: NumpyArray) -> NumpyArray:
    """Return float32 numbers: powers of two, given by their exponents alone."""
    table = np.ldexp(np.float64(1), np.arange(256) - 127)
    table[255] = np.nan
    return table.astype(np.float32)[bits]


def _as(d: Any) -> Callable[[NumpyArray], NumpyArray]:
    return lambda numbers: numbers.astype(d)


_OWN = [Elements(d.name, d.dtype, None, d) for d in dtypes.ALL]
_WIDENED = [
    Elements("bfloat16", np.dtype(np.uint16), _from_bfloat16, dtypes.float32),
    Elements("float8_e4m3fn", np.dtype(np.uint8), _float8(4, 7, "fn"), dtypes.float32),
    Elements("float8_e4m3fnuz", np.dtype(np.uint8), _float8(4, 8, "fnuz"), dtypes.float32),
    Elements("float8_e5m2", np.dtype(np.uint8), _float8(5, 15, "ieee"), dtypes.float32),
    Elements("float8_e5m2fnuz", np.dtype(np.uint8), _float8(5, 16, "fnuz"), dtypes.float32),
    Elements("float8_e8m0fnu", np.dtype(np.uint8), _from_float8_e8m0, dtypes.float32),
    Elements("uint16", np.dtype(np.uint16), _as(np.int32), dtypes.int32),
    Elements("uint32", np.dtype(np.uint32), _as(np.int64), dtypes.int64),
    Elements("uint64", np.dtype(np.uint64), _from_uint64, dtypes.int64),
]
ELEMENTS = {elements.name: elements for elements in _OWN + _WIDENED}


class StorageType:
    """What stands in a file for the type of a storage: ``torch.FloatStorage`` and its like."""

    __slots__ = ("elements", "title")

    def __init__(self, title: str, name: str) -> None:
        self.title = title
        self.elements = ELEMENTS[name]


_TITLES = {
    "Float": "float32",
    "Double": "float64",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Bool": "bool",
}
STORAGE_TYPES = [StorageType(f"{title}Storage", name) for title, name in _TITLES.items()]
OF_DTYPE = {kind.elements.dtype.dtype: kind for kind in STORAGE_TYPES if not kind.elements.convert}


# ----- Memory -------------------------------------------------------------------------------------


class UntypedStorage:
    """The memory of a tensor, as bytes.

    Args:
        memory: the bytes, in one dimension.

    >>> import tinygrad_like as torch
    >>> x = torch.arange(6.0)
    >>> storage = x[2:].untyped_storage()
    >>> storage.nbytes(), storage.data_ptr() == x.data_ptr()
    (24, True)
    """

    dtype: dtypes.dtype = dtypes.uint8

    def __init__(self, memory: NumpyArray) -> None:
        self.memory = memory

    @classmethod
    def of(cls, array: NumpyArray) -> Any:
        """Return the storage that an array looks into, None if its memory has gaps."""
        whole = owner(array)
        if not whole.flags.forc:
            return None
        return cls(whole.reshape(-1, order="A").view(np.uint8))

    @property
    def array(self) -> NumpyArray:
        """The elements in one dimension."""
        return self.memory.view(self.dtype.dtype)

    def data_ptr(self) -> int:
        """Return the address of the first byte."""
        return int(self.memory.ctypes.data)

    def nbytes(self) -> int:
        """Return the number of bytes."""
        return int(self.memory.nbytes)

    def element_size(self) -> int:
        """Return the bytes an element takes."""
        return self.dtype.itemsize

    def size(self) -> int:
        """Return the number of elements."""
        return len(self)

    def tolist(self) -> list[Any]:
        """Return the elements as a list."""
        return self.array.tolist()  # type: ignore[no-any-return]

    def __len__(self) -> int:
        return self.nbytes() // self.dtype.itemsize

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def __getitem__(self, index: int) -> Any:
        return self.array[index].item()

    def __repr__(self) -> str:
        values = "".join(f" {value}\n" for value in self)
        return f"{values}[torch.storage.{type(self).__name__} of size {len(self)}]"


class TypedStorage(UntypedStorage):
    """The memory of a tensor, as elements of one dtype; `load` returns one where a storage was saved."""

    def __init__(self, memory: NumpyArray, dtype: dtypes.dtype) -> None:
        super().__init__(memory)
        self.dtype = dtype

    def untyped(self) -> UntypedStorage:
        """Return the same memory as bytes."""
        return UntypedStorage(self.memory)


class LoadedStorage(TypedStorage):
    """A storage out of a file, which can tell what its bytes are as elements of another type.

    Args:
        stored: the bytes in the file.
        elements: what they mean, unless a tensor says otherwise.
        byteorder: of numbers in the file, "little" or "big".
    """

    def __init__(self, stored: NumpyArray, elements: Elements, byteorder: str) -> None:
        self._stored = stored
        self._foreign = byteorder != sys.byteorder
        self._known: dict[str, tuple[Elements, NumpyArray]] = {}
        self.elements = elements
        super().__init__(self.as_elements(elements).view(np.uint8), elements.dtype)

    def as_elements(self, elements: Elements) -> NumpyArray:
        """Return the elements in one dimension: every time the same memory, so that tensors share it."""
        known = self._known.get(elements.name)
        if known is None:
            known = self._known[elements.name] = (elements, self._converted(elements))
        return known[1]

    def _converted(self, elements: Elements) -> NumpyArray:
        size = elements.stored.itemsize
        numbers = self._stored[: self._stored.size // size * size].view(elements.stored)
        if self._foreign and size > 1:
            numbers = numbers.byteswap()
        if elements.convert is not None:
            numbers = elements.convert(numbers)
        if numbers.dtype == np.bool_ and (numbers.view(np.uint8) > 1).any():
            numbers = numbers.view(np.uint8) != 0  # to NumPy such bytes are neither True nor False
        return numbers

    def fill(self, stored: NumpyArray) -> None:
        """Put other bytes of a file in the place of the first ones."""
        self._stored = stored
        for elements, numbers in self._known.values():
            np.copyto(numbers, self._converted(elements))
