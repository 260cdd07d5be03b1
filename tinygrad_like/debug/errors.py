"""The lines below an error's sentence: where it happened, on what, and what to try.

An error keeps PyTorch's type and its sentence, which says the op, what it got and what it wanted. What
else is known is added as notes (PEP 678), so tracebacks show it below the sentence, programs that
compare messages see no difference, and nothing of it is looked for unless an error is made. A note is
one of

    in encoder.layers.3.linear1 (Linear) of Net
    at train.py:14 in forward: return x + self.shift
    input is `x`, float32 (2, 3), made at train.py:12 by Mul: x = a * 2
    expected ...
    try ...
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from inspect import CO_VARARGS
from types import FrameType, TracebackType
from typing import Any

import numpy as np

from tinygrad_like.debug.advice import Situation, advice
from tinygrad_like.debug.origins import holder_of, name_in, origin
from tinygrad_like.graph import AccumulateGrad, Node, Traced
from tinygrad_like.lines import internal, located, recorded

_LIMIT = 6  # operands told of, and callers looked at; there may be thousands
_TOLD = "_told"
_PYTHON = os.path.dirname(os.__file__) + os.sep  # such as copy.py, which is not where to look


def text(error: BaseException) -> str:
    r"""Return an error's whole text: its sentence and the lines below it.

    >>> import tinygrad_like as torch
    >>> try:
    ...     torch.ones(2, 3) @ torch.ones(2, 3)
    ... except RuntimeError as error:
    ...     print(torch.debug.text(error).splitlines()[-1])
      try other.mT, which is (3, 2)
    """
    return "\n".join([str(error), *getattr(error, "__notes__", ())])


def tell(
    error: Exception,
    operands: Sequence[tuple[str, Any]] | None = None,
    *,
    frame: FrameType | None,
    more: Sequence[str] = (),
) -> None:
    """Add its lines to an error that is about to be raised.

    Args:
        error: the error.
        operands: names and values of what it is about, otherwise looked for in the frames.
        frame: where it is raised.
        more: lines that only the caller knows.
    """
    _tell(error, list(_outwards(frame)), operands, more)


def passing(error: Exception) -> None:
    """Add its lines to an error that is on its way out of a module, unless it has them."""
    if _TOLD in error.__dict__:
        return
    trace: TracebackType | None = error.__traceback__
    if trace is None:
        return
    frames = list(_outwards(trace.tb_frame.f_back))
    while trace is not None:
        frames.insert(0, trace.tb_frame)
        trace = trace.tb_next
    _tell(error, frames, None, ())


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _tell(
    error: Exception,
    frames: list[FrameType],
    operands: Sequence[tuple[str, Any]] | None,
    more: Sequence[str],
) -> None:
    if _TOLD in error.__dict__:
        return
    error.__dict__[_TOLD] = True
    try:
        for line in _lines(error, frames, operands, more):
            error.add_note(f"  {line}")
    except Exception as trouble:  # with a repr of the user's, say: the error itself matters more
        error.add_note(f"  no more can be told: {type(trouble).__name__}: {trouble}")


def _lines(
    error: Exception,
    frames: list[FrameType],
    operands: Sequence[tuple[str, Any]] | None,
    more: Sequence[str],
) -> Iterator[str]:
    """Return the lines in the order that they are told in."""
    modules = _modules(frames)
    users = [f for f in frames if _is_users(f.f_code.co_filename)][:_LIMIT]
    ours = internal[frames[0].f_code.co_filename]
    if operands is None:
        operands = _arguments(frames) if ours else ()
    tensors = [(n, o) for n, o in operands if isinstance(o, Traced | np.ndarray)]
    if modules:
        yield f"in {_path(modules)}"
    if users and ours:
        user = users[0]
        inside = user.f_code.co_name
        where = "" if inside.startswith("<") else f" in {inside}"
        yield f"at {located(user.f_code, user.f_lineno, where)}"
    for name, o in tensors[:_LIMIT]:
        yield f"{name} is {_operand(o, users, modules)}"
    if len(tensors) > _LIMIT:
        yield f"and {len(tensors) - _LIMIT} more tensors"
    yield from more
    if ours:
        yield from advice(Situation(str(error), dict(operands), modules))


def _is_users(filename: str) -> bool:
    return not internal[filename] and (not filename.startswith(_PYTHON) or "-packages" in filename)


# ----- Modules ------------------------------------------------------------------------------------


def _modules(frames: list[FrameType]) -> list[Any]:
    """Return the modules that were being called, the outermost first."""
    from tinygrad_like.nn.hooks import Hooked

    calls = Hooked.__call__.__code__
    found = [f.f_locals["self"] for f in frames if f.f_code is calls]
    return found[::-1]


def _path(modules: list[Any]) -> str:
    """Return the innermost module's names, from the outermost one called."""
    outermost, innermost = modules[0], modules[-1]
    kind = type(innermost).__name__
    if innermost is outermost:
        return kind
    name = _name_in(outermost, modules[1:])
    return f"{name} ({kind}) of {type(outermost).__name__}"


def _name_in(outer: Any, inner: list[Any]) -> str:
    """Return the dotted name of the last of `inner`, told step by step where one isn't registered."""
    names: dict[int, str] = {
        id(module): name for name, module in outer.named_modules(remove_duplicate=False)
    }
    if id(inner[-1]) in names:
        return names[id(inner[-1])]
    path = ""
    for module in inner:
        found = next((n for n, m in outer.named_modules() if m is module), "")
        path += ("." if path else "") + (found or type(module).__name__)
        outer = module
    return path


# ----- Operands -----------------------------------------------------------------------------------


def _arguments(frames: list[FrameType]) -> list[tuple[str, Any]]:
    """Return what the function was given which the user, or a module, called."""
    from tinygrad_like.nn.hooks import Hooked

    inside = []
    for frame in frames:
        if frame.f_code is Hooked.__call__.__code__ or not internal[frame.f_code.co_filename]:
            break
        if frame.f_code.co_name != "_stub":  # a stand-in only passes things on: see `keywords`
            inside.append(frame)
    found = (_given(frame) for frame in reversed(inside))
    return next((g for g in found if any(isinstance(v, Traced) for _, v in g)), [])


def _given(frame: FrameType) -> list[tuple[str, Any]]:
    code = frame.f_code
    values = frame.f_locals
    given: list[tuple[str, Any]] = []
    for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
        value = values.get(name)
        if isinstance(value, list | tuple):
            given += [(f"{name}[{i}]", v) for i, v in enumerate(value) if isinstance(v, Traced)]
        else:
            # What a generated function is given stands for an array by now: see `generate`.
            value = values.get(f"{name}_operand", value)
            given.append(("input" if name in ("self", "x") else name, value))
    if code.co_flags & CO_VARARGS:
        name = code.co_varnames[code.co_argcount + code.co_kwonlyargcount]
        several = [v for v in values.get(name, ()) if isinstance(v, Traced)]
        given += [("other" if name == "args" else f"{name}[{i}]", v) for i, v in enumerate(several)]
    return given


def _operand(o: Any, users: list[FrameType], modules: list[Any]) -> str:
    array = o.array if isinstance(o, Traced) else o
    told = f"{array.dtype.name} {tuple(array.shape)}"
    variable = name_in(o, users[0]) if users else ""
    if variable:
        told = f"`{variable}`, {told}"
    node = o.node if isinstance(o, Traced) else None
    if modules:
        kept = (modules[0].named_parameters(), modules[0].named_buffers())
        for kind, named in zip(("parameter", "buffer"), kept, strict=True):
            for name, value in named:
                if value is o:
                    return f"{told}, the {kind} {name}"
    if node is not None and not isinstance(node, AccumulateGrad):
        return f"{told}, {recorded(f'made by {_made(node)}', node.line)}"
    if node is not None:
        told += ", a leaf"
    place = origin(o, users)
    if users and not variable:
        holder, place = holder_of(o, users[0])
        told = f"`{holder}`, {told}" if holder else told
    return f"{told}, assigned at {place}" if place else told


def _made(node: Node) -> str:
    """Return ``Mul`` for ``MulBackward0``, and a `Function`'s name for its ``SquareBackward``."""
    return node.name().removesuffix("0").removesuffix("Backward")
