"""What messages call an operation: as PyTorch does, by the function that was called for it."""

from __future__ import annotations

import dis
import sys
from types import FrameType
from typing import TYPE_CHECKING, Any

from tinygrad_like.lines import internal

if TYPE_CHECKING:
    from tinygrad_like.op import Op

# Ops are named as NumPy names what they do. Where nothing but an operator or a method stood between
# the program and the op, its name in PyTorch is to be said.
_THEIRS = {
    "absolute": "abs",
    "broadcast_to": "expand",
    "cast": "to",
    "concatenate": "cat",
    "convolution": "conv",
    "divide": "div",
    "greater": "gt",
    "greater_equal": "ge",
    "inverse": "linalg.inv",
    "least_squares": "linalg.lstsq",
    "less": "lt",
    "less_equal": "le",
    "multiply": "mul",
    "negative": "neg",
    "not_equal": "ne",
    "pseudoinverse": "linalg.pinv",
    "subtract": "sub",
}


# What an op that is only a part of what a program called is called.
SPOKEN = {
    "attention": "scaled_dot_product_attention",
    "basic_alias": "indexing",
    "basic_select": "indexing",
    "basic_unsqueeze": "indexing",
    "clip_between": "clamp",
    "constant_pad": "pad",
    "contract": "einsum",
    "copied": "copy_",
    "copying_pad": "pad",
    "cross_of": "cross",
    "determinant": "det",
    "distances": "cdist",
    "find_sorted": "searchsorted",
    "gelu_tanh": "gelu",
    "left_shift": "bitwise_left_shift",
    "lerp_number": "lerp",
    "log_determinant": "slogdet",
    "max_of_all": "max",
    "median_of_all": "median",
    "min_of_all": "min",
    "nanmedian_of_all": "nanmedian",
    "power": "pow",
    "power_number": "pow",
    "put_index": "index_put",
    "region": "slicing",
    "repeat_indices": "repeat_interleave",
    "replace_region": "write in place",
    "resample": "interpolate",
    "right_shift": "bitwise_right_shift",
    "scatter_planes": "max_unpool",
    "soft_cross_entropy": "cross_entropy",
    "take_index": "indexing",
    "triangular": "tril or triu",
    "trunc_divide": "div",
}


def called(op: Op, frame: FrameType | None) -> list[str]:
    """Return the names of the public functions that led to an op: ``cat``, or ``cat`` and ``hstack``.

    That is the innermost one, from `frame` outwards, and the one that the program or a module called.
    """
    names, public = [], _public()
    while frame is not None and internal[frame.f_code.co_filename]:
        code = frame.f_code
        if code.co_name == "__call__":  # a module's
            break
        # What was written out for an op has the op's name, which is NumPy's.
        ops = code.co_filename.startswith("<op ") and not code.co_filename.endswith("respelled>")
        if code.co_name in public and not (ops or code.co_qualname.startswith("Op.")):
            names.append(code.co_name)
        frame = frame.f_back
    usual = _THEIRS.get(op.name, op.spoken)
    if not names:
        return [usual]
    outer, inner = _aliases(names[-1]), _aliases(names[0])
    typed = _typed(frame, outer) or (usual if usual in outer else names[-1])
    if inner == outer:
        return [typed]
    return [usual if usual in inner else names[0], typed]


def _typed(frame: FrameType | None, names: set[str]) -> str:
    """Return which of the names of a function the program's line calls it by, "" if that isn't seen."""
    if frame is None:
        return ""
    loaded = [
        i.argval
        for i in dis.get_instructions(frame.f_code)
        if i.offset < frame.f_lasti and i.opname.startswith("LOAD_") and str(i.argval) in names
    ]
    return loaded[-1] if loaded else ""


def _homes() -> list[Any]:
    names = ("", ".nn.functional", ".linalg", ".special")  # those of them that the program uses
    return [m for n in names if (m := sys.modules.get(f"tinygrad_like{n}"))]


def _public() -> set[str]:
    from tinygrad_like.tensor import Tensor

    return {name for home in (*_homes(), Tensor) for name in dir(home) if name[0] != "_"}


def _aliases(name: str) -> set[str]:
    """Return the names that a public function has, of what is loaded."""
    loaded = [vars(home) for home in _homes()]
    functions = {id(names[name]) for names in loaded if name in names}
    return {n for names in loaded for n, f in names.items() if id(f) in functions} | {name}
