"""Where the first nan or infinity came from, forwards and backwards."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_like.autograd.anomaly_mode import set_detect_anomaly
from tinygrad_like.debug import errors
from tinygrad_like.graph import AccumulateGrad, Node, Traced, as_array
from tinygrad_like.lines import describe, recorded
from tinygrad_like.modes import set_anomaly, thread_mode
from tinygrad_like.nn.hooks import Scope, record_modules

# Ops that only move what they are given: nan in data is let through until it is computed with.
_MOVING = frozenset(
    (
        *("cast", "clone", "concatenate", "copying_pad", "embedding", "expand_reduced", "flip"),
        *(
            "gather",
            "index_copy",
            "index_put",
            "index_select",
            "keep_where",
            "masked_fill",
            "where",
        ),
        *("masked_scatter", "masked_select", "place", "place_along", "place_diagonal", "put_index"),
        *("repeat", "repeat_indices", "replace_region", "roll", "scatter", "sort", "stack", "take"),
        "take_index",
    )
)
_FILLING = "constant_pad"  # which may be told to make infinities

_REMEDIES = {
    "divide": "a small number added to the divisor",
    "exp": "x - x.max() before; or softmax, logsumexp, log_softmax, which do that",
    "log": "x.clamp(min=1e-8) before; or log_softmax, logsigmoid, binary_cross_entropy_with_logits",
    "norm": "(x * x).sum().add(1e-8).sqrt(): a norm has no slope at 0",
    "power": "a small number added to the base: its slope at 0 may be infinite",
    "softmax": "a mask that leaves something in each row",
    "sqrt": "a small number added inside: its slope at 0 is infinite",
}
_REMEDIES |= {"log_softmax": _REMEDIES["softmax"], "reciprocal": _REMEDIES["divide"]}
_REMEDIES |= {"power_number": _REMEDIES["power"], "rsqrt": _REMEDIES["sqrt"]}


def _fine(value: Any) -> bool:
    """Return True if all elements are finite."""
    array = value.array if isinstance(value, Traced) else value
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def _has(test: Any, value: Any) -> bool:
    array = value.array if isinstance(value, Traced) else value
    if isinstance(array, np.ndarray | np.generic | float):
        return np.asarray(array).dtype.kind == "f" and bool(test(array).any())
    return False


def _infinite(array: Any) -> Any:
    return ~np.isfinite(array)


def _count(array: Any, kind: str) -> str:
    wrong = int((np.isnan(array) if kind == "nan" else np.isinf(array)).sum())
    return f"{wrong} of {array.size} elements"


# ----- Forwards -----------------------------------------------------------------------------------


def look(op_: Any, operands: Sequence[Any], results: Sequence[Any]) -> None:
    """Note the operation if it made a nan or an infinity, or was given a nan that none had made.

    An infinity is an anomaly only if it is made of finite numbers, so that masks of -inf are none; a nan
    is one whatever it is made of.

    Raises:
        RuntimeError: if that is to stop the program.
    """
    for wrong in results:
        if not _fine(wrong):
            break
    else:
        return
    if op_.name == _FILLING:
        return
    names = [op_.public(n) for n in op_.arrays]
    if op_.variadic:
        names = [f"{names[0]}[{i}]" for i in range(len(operands))]
    named = list(zip(names, operands, strict=False))
    remedy = _REMEDIES.get(op_.name, "printing its operands there, and where they were made")
    kind = "nan" if _has(np.isnan, wrong) else "inf"
    given = next(((name, o) for name, o in named if _has(np.isnan, o) or _is_wrong(o)), None)
    if given is not None:
        if op_.view or op_.name in _MOVING:
            return
        name, operand = given
        kind = "nan" if _has(np.isnan, operand) else "inf"
        count = _count(as_array(operand), kind)
        sentence = f"{op_.spoken} was given {kind}: {count} of {name}"
        remedy = _origin(operand, kind)
    elif kind == "nan":
        sentence = f"{op_.spoken} made nan: {_count(wrong, kind)} of its result"
    elif any(_has(_infinite, o) for o in operands):
        return
    else:
        sentence = f"{op_.spoken} made inf of finite operands: {_count(wrong, kind)} of its result"
    error = RuntimeError(sentence)
    values = [f"{name}: {_range(o)}" for name, o in named if isinstance(o, Traced | np.ndarray)]
    errors.tell(error, named, frame=sys._getframe(1), more=[*values, f"try {remedy}"])
    if thread_mode.anomaly == "forwards":
        raise error
    lines = [line.strip() for line in error.__notes__]
    thread_mode.nonfinite = [
        f"the first nan or inf came forwards: {error}",
        *(f"  {n}" for n in lines),
    ]


def _is_wrong(operand: Any) -> bool:
    """Return True if this is infinite and can be no mask: a parameter, or what a `Function` made."""
    node = operand.node if isinstance(operand, Traced) else None
    return node is not None and node.op is None and _has(_infinite, operand)


def _origin(operand: Any, kind: str) -> str:
    """Return where to look for what made an operand nan or infinite that no operation has."""
    node = operand.node if isinstance(operand, Traced) else None
    if isinstance(node, AccumulateGrad):
        return f"a smaller learning rate, or clip_grad_norm_, if it was a step that made it {kind}"
    if node is not None and node.op is None:
        return (
            f"looking into {node.name().removesuffix('Backward')}.forward, which is not made of ops"
        )
    return "torch.isnan(x).any() where the data comes from: no operation in here made it"


def _range(value: Any) -> str:
    array = as_array(value)
    if not array.size:
        return "empty"
    if array.dtype.kind != "f":
        return f"values from {array.min():.4g} to {array.max():.4g}"
    finite = array[np.isfinite(array)]
    told = [f"values from {finite.min():.4g} to {finite.max():.4g}"] if finite.size else []
    for kind, test in (("nan", np.isnan), ("inf", np.isinf)):
        if count := int(test(array).sum()):
            told.append(f"{count} {kind}")
    return ", ".join(told)


# ----- Backwards ----------------------------------------------------------------------------------


def look_back(node: Node, g: Any, saved: Sequence[Any], grads: dict[Node, Any]) -> None:
    """Raise if the rules of `node` have just made a nan, or while forwards is looked at an infinity.

    Raises:
        RuntimeError: if so.
    """
    if not any(node.parents) and len(scopes := _scopes.get(threading.get_ident(), [])) > _MANY:
        del scopes[: -_MANY // 2]
    for index, parent in enumerate(node.parents):
        sent = grads.get(parent) if parent is not None else None
        if sent is None:
            continue
        wrong = next((part for part in _parts(sent) if not _fine(part)), None)
        if wrong is None:
            continue
        kind = "nan" if _has(np.isnan, wrong) else "inf"
        if kind == "inf" and (thread_mode.anomaly != "forwards" or not all(map(_fine, _parts(g)))):
            continue
        error = RuntimeError(
            f"Function '{node.name()}' returned {kind} values in its {index}th output: the operation "
            f"was recorded at {describe(node.line)}; look at the values it had there"
        )
        more = [*_module(node), recorded(node.name(), node.line)]
        more += [f"the gradient that arrived there: {_range(p)}" for p in _parts(g)]
        names = node.op.saves if node.op is not None else ()
        values = [
            (n, v) for n, v in zip(names, saved, strict=False) if n in (*node.op.arrays, "out")
        ]
        more += [f"{_spoken(node, n)}: {_range(v)}" for n, v in values if hasattr(v, "shape")]
        if any(_has(np.isnan, p) for p in _parts(g)) and not thread_mode.nonfinite:
            more.append("try looking where backward began, or at hooks: nan had arrived already")
        elif not thread_mode.nonfinite:
            own = f"looking into {node.name().removesuffix('Backward')}.backward"
            name = node.op.name if node.op is not None else ""
            found = _REMEDIES.get(name, "printing these values where they were made")
            more.append(f"try {own if node.op is None else found}")
        errors.tell(error, (), frame=sys._getframe(1), more=[*more, *thread_mode.nonfinite])
        raise error


def _parts(g: Any) -> Sequence[Any]:
    return [part for part in g if part is not None] if isinstance(g, list) else (g,)


def _spoken(node: Node, name: str) -> str:
    return "its result" if name == "out" else node.op.public(name)


# ----- Switching ----------------------------------------------------------------------------------

_scopes: dict[int, list[Scope]] = {}  # the calls of modules, by thread
_MANY = 20_000  # calls are forgotten beyond that


def _module(node: Node) -> list[str]:
    """Return the line that tells which module recorded a node, if calls of modules were noted."""
    scopes = _scopes.get(threading.get_ident(), [])
    around = [s.module for s in reversed(scopes) if s.first < node.tick < s.last]
    return [f"in {errors._path(around)}"] if around else []


class detect_anomaly(set_detect_anomaly):
    """Context manager inside which the first operation that makes a nan or an infinity raises.

    The error tells the operation, its operands with the range of their values, the module and the line.
    Infinities must be made of finite numbers: masks of -inf and what follows from them are no anomaly.
    A nan that came from outside, in data or parameters, is told of where it is first computed with.
    Backwards the first operation whose gradient is nan or infinite is told of. Each result is looked at:
    steps of small networks take two to three times as long, those of large ones up to half as long again.

    Raises:
        RuntimeError: if an operation makes a nan or an infinity, or is given a nan.

    >>> import tinygrad_like as torch
    >>> x = torch.tensor([1.0, 0.0])
    >>> with torch.debug.detect_anomaly():
    ...     y = (x * 2).log()
    Traceback (most recent call last):
    ...
    RuntimeError: log made inf of finite operands: 1 of 2 elements of its result
      at ...
    """

    def __init__(self) -> None:
        pass

    def __enter__(self) -> None:
        self._former = set_anomaly("forwards")
        self._recorder = record_modules()
        self._former_scopes = _scopes.get(threading.get_ident())
        _scopes[threading.get_ident()] = self._recorder.__enter__()

    def __exit__(self, *exception: object) -> None:
        self._recorder.__exit__(None, None, None)
        if self._former_scopes is None:
            _scopes.pop(threading.get_ident(), None)
        else:
            _scopes[threading.get_ident()] = self._former_scopes
        super().__exit__(*exception)
