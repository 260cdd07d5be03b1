"""How values, types and modules are named: in messages, representations and arguments."""

from __future__ import annotations

from typing import Any

from tinygrad_like import dtypes
from tinygrad_like.device import check_device
from tinygrad_like.graph import Traced


def typename(value: Any) -> str:
    """Return the name PyTorch's messages give the type of `value`."""
    kind = type(value)
    if isinstance(value, Traced):
        return _TENSOR_NAMES.get(value.array.dtype.name, "torch.Tensor")
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


_TENSOR_NAMES = {
    "float16": "torch.HalfTensor",
    "float32": "torch.FloatTensor",
    "float64": "torch.DoubleTensor",
    "int8": "torch.CharTensor",
    "int16": "torch.ShortTensor",
    "int32": "torch.IntTensor",
    "int64": "torch.LongTensor",
    "uint8": "torch.ByteTensor",
    "bool": "torch.BoolTensor",
}


def indented(text: str) -> str:
    """Return `text` with every line but the first moved to the right."""
    return text.replace("\n", "\n  ")


def asked_dtype(
    *args: Any,
    device: Any = None,
    dtype: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: Any = None,
) -> Any:
    """Return the NumPy dtype that the arguments of `Module.to` ask for, None without one."""
    del non_blocking, copy, memory_format
    for value in args:
        if isinstance(value, Traced):
            dtype = value.array.dtype
        elif isinstance(value, dtypes.dtype):
            dtype = value
        elif isinstance(value, bool):
            continue  # non_blocking, copy
        elif value is not None:
            device = value
    check_device(device)
    return None if dtype is None else dtypes.of(dtype)
