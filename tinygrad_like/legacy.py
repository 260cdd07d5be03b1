"""PyTorch's old names for tensors of one dtype: ``FloatTensor``, ``LongTensor`` and their like."""

from __future__ import annotations

from typing import Any

from tinygrad_like import dtypes
from tinygrad_like.graph import Traced
from tinygrad_like.interchange import from_sizes_or_data

__all__ = [
    "BoolTensor",
    "ByteTensor",
    "CharTensor",
    "DoubleTensor",
    "FloatTensor",
    "HalfTensor",
    "IntTensor",
    "LongTensor",
    "ShortTensor",
]


class _TensorOf(type):
    """The class of these names: they make tensors, and tensors of the dtype count as instances."""

    dtype: dtypes.dtype

    def __call__(cls, *data: Any) -> Any:
        return from_sizes_or_data(data, cls.dtype.dtype)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Traced) and instance.array.dtype is cls.dtype.dtype


def _name(title: str, dtype: dtypes.dtype) -> Any:
    doc = f"Make a tensor of {dtype} from sizes or a list; ``isinstance`` asks for that dtype."
    return _TensorOf(f"{title}Tensor", (), {"dtype": dtype, "__doc__": doc})


HalfTensor = _name("Half", dtypes.float16)
FloatTensor = _name("Float", dtypes.float32)
DoubleTensor = _name("Double", dtypes.float64)
CharTensor = _name("Char", dtypes.int8)
ShortTensor = _name("Short", dtypes.int16)
IntTensor = _name("Int", dtypes.int32)
LongTensor = _name("Long", dtypes.int64)
ByteTensor = _name("Byte", dtypes.uint8)
BoolTensor = _name("Bool", dtypes.bool_)
