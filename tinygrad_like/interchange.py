"""How data comes in: Python's numbers and lists, NumPy's arrays, and DLPack."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.graph import Traced, result_type
from tinygrad_like.lines import told
from tinygrad_like.size import Size

NumpyArray = np.ndarray[Any, Any]
_NUMBERS = {float, int, bool}
_SUPPORTED = ", ".join(d.name for d in dtypes.ALL)


def canonical(array: NumpyArray) -> NumpyArray:
    """Return `array` with the one dtype object that stands for its type; see `dtypes.of`.

    Raises:
        TypeError: if there is no tensor of that type.
        ValueError: if its bytes are in foreign order.
    """
    try:
        wanted = dtypes.of(array.dtype)
    except TypeError:
        if array.dtype.kind in "iufb" and not array.dtype.isnative:
            raise told(
                ValueError,
                "given numpy array has byte order different from the native byte order; convert it "
                "with array.astype(array.dtype.newbyteorder('='))",
            ) from None
        raise told(
            TypeError,
            f"can't convert np.ndarray of type {array.dtype} to a tensor. The only supported types are: "
            f"{_SUPPORTED}.",
        ) from None
    # NumPy has two names for 64-bit integers, and unpickled dtypes are copies.
    return array if array.dtype is wanted else array.view(wanted)


def to_array(data: Any, d: np.dtype[Any] | None) -> NumpyArray:
    """Return a new array with the values of `data`, in dtype `d` or the one PyTorch infers.

    Python's floats become the default dtype, its integers int64; everything else keeps its type.

    Raises:
        TypeError: if there are elements no tensor can hold.
        ValueError: if nested sequences are ragged or an integer is too large.
        RuntimeError: if a value does not fit into `d`, or `data` is nothing like an array.
    """
    if isinstance(data, Traced):
        return np.array(data.array, d)
    if not isinstance(data, list | tuple | bool | int | float | np.generic | np.ndarray):
        data = _unwrap(data)
    if isinstance(data, np.generic | np.ndarray):
        return np.array(canonical(np.asarray(data)), d)
    kinds: set[Any] = set()
    if isinstance(data, list | tuple):
        _collect(data, kinds)
    else:
        kinds.add(type(data))
    if str in kinds and not isinstance(data, str):
        if isinstance(data[0], bool | int | float):
            raise told(
                TypeError, f"new(): invalid data type 'str'; a tensor holds one of {_SUPPORTED}"
            )
        raise told(ValueError, "too many dimensions 'str': a tensor holds numbers, not text")
    if not kinds <= _NUMBERS:
        data = _plain(data, kinds)
    try:
        array = np.array(data)
    except ValueError as error:
        raise _misshapen(data) or error from None
    inferred = _inferred(kinds)
    if array.dtype.kind not in "biuf" or (inferred.kind == "i" and array.dtype.kind == "u"):
        raise told(
            ValueError, "Overflow when unpacking long long: an integer needs more than 64 bits"
        )
    wanted = inferred if d is None else d
    if array.dtype is wanted:
        return array
    _refuse_overflow(array, wanted)
    return array.astype(wanted)


def from_sizes_or_data(data: tuple[Any, ...], d: np.dtype[Any]) -> Any:
    """Return the tensor that PyTorch's constructors make: ``Tensor(2, 3)`` or ``Tensor([1, 2])``.

    Raises:
        TypeError: if there is a number that is no size.
    """
    if len(data) == 1 and isinstance(data[0], Traced) and data[0].array.dtype is d:
        return result_type.make(data[0].array)
    if len(data) == 1 and isinstance(data[0], Size):
        return result_type.make(np.zeros(data[0], d))
    if len(data) == 1 and not isinstance(data[0], int | float):
        return result_type.make(to_array(data[0], d))
    if not all(isinstance(size, int) for size in data):
        raise told(
            TypeError,
            f"new(): data must be a sequence or sizes, got {', '.join(map(repr, data))}; use tensor(...)",
        )
    return result_type.make(np.zeros(data or (0,), d))


def _unwrap(data: Any) -> Any:
    """Return an array or a list for other kinds of data."""
    if isinstance(data, str | bytes | complex):
        raise told(
            TypeError,
            f"new(): invalid data type '{type(data).__name__}'; a tensor holds one of {_SUPPORTED}",
        )
    if hasattr(data, "__array__"):
        return np.asarray(data)
    if not isinstance(data, dict) and hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        return list(data)
    raise told(
        RuntimeError,
        f"Could not infer dtype of {type(data).__name__}; a tensor is made of numbers, nested lists of "
        "numbers, or an array",
    )


def _collect(data: Iterable[Any], kinds: set[Any]) -> None:
    """Add the types of all elements of nested lists and tuples to `kinds`."""
    found = set(map(type, data))
    if list in found or tuple in found:
        for element in data:
            if isinstance(element, list | tuple):
                _collect(element, kinds)
    kinds |= found - {list, tuple}


def _plain(data: Any, kinds: set[Any]) -> Any:
    """Return nested lists of numbers and arrays, and the elements' dtypes in `kinds`."""
    if isinstance(data, list | tuple):
        return [_plain(element, kinds) for element in data]
    if isinstance(data, Traced):
        if data.array.size != 1:
            raise told(
                ValueError,
                "only one element tensors can be converted to Python scalars, got shape "
                f"{data.array.shape}; join larger ones with stack or cat",
            )
        kinds.add(data.array.dtype)
        return data.array.item()
    if isinstance(data, np.generic | np.ndarray):
        kinds.add(canonical(np.asarray(data)).dtype)
        return data
    if isinstance(data, bool | int | float):
        kinds.add(dtypes.of_scalar(data))
        return data
    return _plain(_unwrap(data), kinds)


def _inferred(kinds: set[Any]) -> np.dtype[Any]:
    """Return what a mix of elements becomes, from their Python types and dtypes."""
    mix = [k for k in kinds if isinstance(k, np.dtype)]
    mix += [d for k, d in ((bool, dtypes.BOOL), (int, dtypes.I64)) if k in kinds]
    if float in kinds or not mix:
        mix.append(dtypes.default())
    found = mix[0]
    for other in mix[1:]:
        found = dtypes.promote(found, other)
    return found


def _misshapen(data: Any) -> Exception | None:
    """Return the error that says where nested sequences are ragged."""
    shape, first = [], data
    while isinstance(first, list | tuple | np.ndarray) and len(first):
        shape.append(len(first))
        first = first[0]
    level: list[Any] = [data]
    for dim, size in enumerate(shape):
        for part in level:
            if not isinstance(part, list | tuple | np.ndarray):
                return told(
                    TypeError,
                    f"not a sequence: expected sequence of length {size} at dim {dim}, "
                    f"got {type(part).__name__}",
                )
            if len(part) != size:
                return told(
                    ValueError, f"expected sequence of length {size} at dim {dim} (got {len(part)})"
                )
        level = [element for part in level for element in part]
    return told(TypeError, f"expected a number at dim {len(shape)}, got a longer sequence")


def _refuse_overflow(array: NumpyArray, wanted: np.dtype[Any]) -> None:
    """Raise if a value does not fit into an integer type; negative ones may wrap, as in PyTorch."""
    if wanted.kind not in "iu" or array.dtype.kind == "b":
        return
    limits = np.iinfo(wanted)
    low = -limits.max if wanted.kind == "u" else limits.min
    if not ((array >= low) & (array <= limits.max)).all():
        raise told(
            RuntimeError,
            f"value cannot be converted to type {dtypes.named(wanted).name} without overflow",
        )


# ----- NumPy and other frameworks -----------------------------------------------------------------


def shared(array: NumpyArray) -> Any:
    """Return a tensor around `array` itself, after PyTorch's checks.

    Raises:
        TypeError: if there is no tensor of its type.
        ValueError: if a stride is negative or the byte order foreign.
    """
    array = canonical(array)
    if any(stride < 0 for stride in array.strides):
        raise told(
            ValueError,
            "At least one stride in the given numpy array is negative, and tensors with negative "
            "strides are not currently supported. (You can probably work around this by making a "
            "copy of your array with array.copy().)",
        )
    if type(array) is not np.ndarray:
        array = array.view(np.ndarray)
    return result_type.make(array)


def from_numpy(ndarray: NumpyArray) -> Any:
    """Return a tensor that shares its memory with a NumPy array.

    A read-only array gives a warning; writing into its tensor is an error.

    Raises:
        TypeError: if it is no array, or no tensor can have its type.
        ValueError: if it has a negative stride or foreign byte order.

    >>> import numpy as np
    >>> import tinygrad_like as torch
    >>> a = np.array([1, 2, 3])
    >>> t = torch.from_numpy(a)
    >>> a[0] = 7
    >>> t
    tensor([7, 2, 3])
    """
    if not isinstance(ndarray, np.ndarray):
        raise told(TypeError, f"from_numpy: expected np.ndarray (got {type(ndarray).__name__})")
    if not ndarray.flags.writeable:
        warnings.warn(
            "The given NumPy array is not writable: writing into this tensor will raise an error; "
            "copy the array to get one that can be written",
            UserWarning,
            stacklevel=2,
        )
    return shared(ndarray)


def from_dlpack(ext_tensor: Any) -> Any:
    """Return a tensor that shares its memory with an array of another framework (DLPack).

    Raises:
        TypeError: if the object does not speak DLPack, or no tensor can have its type.

    >>> import numpy as np
    >>> import tinygrad_like as torch
    >>> torch.from_dlpack(np.arange(3))
    tensor([0, 1, 2])
    """
    if not hasattr(ext_tensor, "__dlpack__"):
        raise told(
            TypeError,
            f"from_dlpack(): got {type(ext_tensor).__name__}, expected an object with __dlpack__",
        )
    return shared(np.from_dlpack(ext_tensor))


def from_pytorch(value: Any) -> Any:
    """Return a tensor that shares the memory of PyTorch's; anything else as it is."""
    if type(value).__module__.partition(".")[0] != "torch" or not hasattr(value, "detach"):
        return value
    return shared(value.detach().cpu().numpy())


def frombuffer(
    buffer: Any,
    *,
    dtype: Any,
    count: int = -1,
    offset: int = 0,
    requires_grad: bool = False,
) -> Any:
    """Return a one-dimensional tensor that shares its memory with a Python buffer.

    Raises:
        ValueError: if the buffer is too short or `offset` is outside it.

    >>> import tinygrad_like as torch
    >>> torch.frombuffer(bytearray(b"abc"), dtype=torch.uint8)
    tensor([97, 98, 99], dtype=torch.uint8)
    """
    d = dtypes.of(dtype)
    there = memoryview(buffer).nbytes - offset
    if count * d.itemsize > there:
        raise told(
            ValueError,
            f"frombuffer: count {count} takes {count * d.itemsize} bytes, got a buffer of {there} after "
            f"offset {offset}",
        )
    tensor = result_type.make(np.frombuffer(buffer, d, count, offset))
    return tensor.requires_grad_() if requires_grad else tensor


def refuse_dlpack(tensor: Any) -> None:
    """Raise if `tensor` can't be exported: the other side would not see its gradient."""
    if tensor.node is not None:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach() first")
    return None
