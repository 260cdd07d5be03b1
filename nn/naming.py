"""How values and modules are named in messages and representations."""

from __future__ import annotations

from typing import Any

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
