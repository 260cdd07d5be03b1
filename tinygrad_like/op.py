"""How an op is declared: its forward and its derivatives, in one place.

    @op(x=lambda g, y: g * y,
        y=lambda g, x: g * x, broadcasts=True, dtype="promote")
    def multiply(x: Array, y: Array) -> Array:
        return np.multiply(x, y)

A rule says what the gradient `g` of the result means for one argument. Its parameter names are read
once, here: they say what the tape keeps. A name may be

    x, y, ...     an argument that is an array (annotated ``Array``),
    out           the result,
    dim, ...      any other argument,
    x_shape       only the shape of an argument (likewise ``x_dtype``),
    mask, ...     something the forward hands over next to its result (``keeps=("mask",)``).

The declared op runs plainly on arrays; given a tensor, it computes, and records if a gradient is
wanted. Rules are written with operators, ``np.*`` and ops, so the same rule, given tensors, is
recorded itself: that is all there is to derivatives of any order.

Two ways lead through an op. `Op.apply` is the readable one and can do everything. For ops with one
result and a fixed number of arrays, `generate.py` writes the same steps out as one Python function
without loops, because at a microsecond an op every loop shows.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.generate import bind_results, generate_backward, generate_call, names_of
from tinygrad_like.graph import Node, Pick, Traced, mark_inference, result_type
from tinygrad_like.lines import here, told
from tinygrad_like.modes import departed, look, thread_mode
from tinygrad_like.registry import FUNCTIONS as FUNCTIONS
from tinygrad_like.registry import REGISTRY as REGISTRY
from tinygrad_like.registry import UFUNCS as UFUNCS
from tinygrad_like.saving import packing
from tinygrad_like.stamps import tick
from tinygrad_like.views import remember_view

Arrays = Sequence[Any]  # annotates the one argument that is a list of arrays, as in `concatenate`

# The public names of arguments are PyTorch's; rules stay short.
_PUBLIC = {"x": "input", "y": "other", "xs": "tensors"}

# Made once: putting types together takes as long as asking for them.
_NOT_TENSORS = (list, tuple, str)
_ARRAYS = np.ndarray | np.generic
_TENSORS = Traced | np.ndarray
_SIGNS = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "power": "**"}


class Op:
    """A declared op: what it computes, how its gradients are found, what its rules need."""

    def __init__(
        self,
        forward: Callable[..., Any],
        rules: dict[str, Callable[..., Any]],
        *,
        name: str,
        label: str,
        broadcasts: bool,
        dtype: str,
        keeps: tuple[str, ...],
        several: bool,
        view: bool,
        joint: tuple[tuple[str, ...], Callable[..., Any]] | None,
        ufunc: Any,
    ) -> None:
        self.forward, self.rules, self.name = forward, rules, name
        self.broadcasts, self.dtype, self.keeps = broadcasts, dtype, keeps
        self.several, self.view, self.joint, self.ufunc = several, view, joint, ufunc
        self.parameters = _parameters(forward)
        kinds = {p.name: str(p.annotation) for p in self.parameters}
        self.arrays = [
            n for n, kind in kinds.items() if kind in ("Array", "Array | None", "Arrays")
        ]
        if not self.arrays:
            raise TypeError(
                f"op {name}: no argument is annotated as Array, Array | None or Arrays; the annotations "
                "are read as written, which takes `from __future__ import annotations`"
            )
        self.optional = {n for n, kind in kinds.items() if kind == "Array | None"}
        self.variadic = next((n for n, kind in kinds.items() if kind == "Arrays"), None)
        self.options = [n for n in kinds if n not in self.arrays]
        if [*self.arrays, *self.options] != list(kinds):
            raise TypeError(f"op {name}: arguments that are arrays come first, got {list(kinds)}")
        if self.variadic and (len(self.arrays) > 1):
            raise TypeError(f"op {name}: a list of arrays must be the only array argument")
        joined = joint[0] if joint else ()
        self.differentiable = [n for n in self.arrays if n in rules or n in joined]
        self.saves = self._users()
        self.label = label
        generated = not (several or self.variadic)
        self.call: Callable[..., Any] = generate_call(self) if generated else self._general_call()

    @cached_property
    def spoken(self) -> str:
        """What this op is called where it is only a part of what a program called."""
        from tinygrad_like.debug.names import SPOKEN

        return SPOKEN.get(self.name, self.name)

    @staticmethod
    def public(argument: str) -> str:
        """Return what an argument is called outside: PyTorch's names."""
        return _PUBLIC.get(argument, argument)

    # ----- What the tape keeps --------------------------------------------------------------------

    def _rule_names(self, rule: Callable[..., Any]) -> list[str]:
        names = list(names_of(rule))
        for n in names:
            self._check_name(n)
        return names

    def _check_name(self, n: str) -> None:
        known = {"g", "i", "needs", "out", *self.arrays, *self.options, *self.keeps}
        if n not in known and n.rpartition("_")[0] not in self.arrays:
            raise TypeError(f"op {self.name}: a rule names {n!r}, expected one of {sorted(known)}")

    def _users(self) -> dict[str, list[str]]:
        """Return each name that must be saved, with the arguments whose rules name it."""
        users: dict[str, list[str]] = {}
        sources: list[Any] = [((n,), rule) for n, rule in self.rules.items()]
        if self.joint:
            sources.append(self.joint)
        for arguments, rule in sources:
            for n in self._rule_names(rule):
                if n not in ("g", "i", "needs"):
                    users.setdefault(n, []).extend(arguments)
        return users

    @cached_property
    def node(self) -> type[Node]:
        """The class of this op's nodes, made when the op is first used."""
        label = self.label
        namespace: dict[str, Any] = {"__slots__": (), "op": self, "label": label, "lift": _lift}
        if self.differentiable:
            namespace["backward"] = generate_backward(self)
        # PyTorch's node for a write through a view is the one without the ending.
        name = label if label == "CopySlices" else f"{label}Backward0"
        return type(name, (Node,), namespace)

    @cached_property
    def packing_node(self) -> type[Node]:
        """The class of this op's nodes where what they save goes through a user's hooks."""
        return packing(self.node)

    def operator(self) -> Callable[..., Any]:
        """Return this op as an operator's method: NotImplemented for operands it does not know."""
        return generate_call(self, "operate")

    def operate(self, operands: Sequence[Any], options: Sequence[Any]) -> Any:
        """Apply, unless the other operand's own class had better be asked."""
        for o in operands:
            if not isinstance(o, Traced | np.ndarray | bool | int | float | np.generic):
                if (o is None or type(o) in _NOT_TENSORS) and self.name in _SIGNS:
                    kinds = " and ".join(f"'{type(o).__name__}'" for o in operands)
                    sign = f"unsupported operand type(s) for {_SIGNS[self.name]}"
                    raise told(TypeError, f"{sign}: {kinds}")
                return NotImplemented
        return self.apply(operands, options)

    # ----- Errors ---------------------------------------------------------------------------------

    def called(self, mark: str = "") -> str:
        """Return what the function that a program called is named, for messages, with `mark` behind it."""
        from tinygrad_like.debug.names import called

        return f"{mark} in ".join(called(self, sys._getframe(1))) + mark

    def explain(self, error: Exception, operands: Sequence[Any]) -> Exception:
        """Return `error` retold: the op, its operands, what was wrong, and where the operands were made."""
        from tinygrad_like.debug import errors

        if isinstance(error, AttributeError) and any(isinstance(o, list | str) for o in operands):
            return self.wrong_call(operands)
        shown, named = [], []
        names = [self.public(name) for name in self.arrays]
        if self.variadic:
            names = [f"{names[0]}[{i}]" for i in range(len(operands))]
        for public, o in zip(names, operands, strict=False):
            array = o.array if isinstance(o, Traced) else o
            if isinstance(array, np.ndarray):
                shown.append(f"{public} is {dtypes.named(array.dtype).name} {tuple(array.shape)}")
            elif array is not None:
                shown.append(f"{public} is {array!r:.40}")
            named.append((public, o))
        text = str(error)
        if self.broadcasts and "broadcast" in text:
            text = "these shapes do not broadcast: sizes must be equal or 1, counted from the right"
        elif text.startswith("operands could not be broadcast"):
            text = "these shapes do not fit together"
        elif type(error) is TypeError and text.endswith("interpreted as an integer"):
            text = f"expected an int for {' or '.join(self.options)}, got {text.split(chr(39))[1]}"
        kind: type[Exception] = RuntimeError if type(error) is ValueError else type(error)
        if issubclass(kind, TypeError) and (kind is not TypeError or text.startswith("numpy ")):
            kind = NotImplementedError  # NumPy has no loop for these types, or none that fits the result's
            text = (
                "not implemented for these dtypes; convert the tensors first, such as with .float()"
            )
        retold = kind(f"{self.called()}: {', '.join(shown)}: {text}")
        errors.tell(retold, named, frame=sys._getframe(1))
        return retold

    def wrong_call(self, operands: Sequence[Any]) -> TypeError:
        """Return the error for an argument that should have been a tensor."""
        for position, (name, o) in enumerate(zip(self.arrays, operands, strict=True)):
            if not isinstance(o, Traced | np.ndarray) and not (o is None and name in self.optional):
                return told(
                    TypeError,
                    f"{self.called('()')}: argument '{self.public(name)}' "
                    f"(position {position + 1}) must be Tensor, not {type(o).__name__}",
                )
        return told(TypeError, f"{self.called('()')}: no argument is a Tensor")

    def mend(self, g: Any, shape: tuple[int, ...], argument: str) -> Any:
        """Sum a gradient down to the shape its argument had before it was broadcast."""
        if not self.broadcasts:
            raise RuntimeError(
                f"{self.name}: the gradient rule of argument {argument} returns shape {tuple(g.shape)}, "
                f"expected the argument's shape {tuple(shape)}"
            )
        return REGISTRY["sum_to"].call(g, shape)

    # ----- Whether it is recorded -----------------------------------------------------------------

    def recording(self, operands: Sequence[Any]) -> type[Node] | None:
        """Return the class of node this thread records, None if it does not record.

        Raises:
            RuntimeError: if a tensor made in inference mode would have to be kept for a rule.
        """
        if not thread_mode.grad or thread_mode.inference:
            return None
        names = self.arrays * len(operands) if self.variadic else self.arrays
        wanted = {n for n, o in zip(names, operands, strict=True) if getattr(o, "node", None)}
        for name, o in zip(names, operands, strict=True):
            if (
                isinstance(o, Traced)
                and "_inference" in o.__dict__
                and wanted.intersection(self.saves.get(name, ()))
            ):
                raise told(
                    RuntimeError,
                    f"Inference tensors cannot be saved for backward: {self.called()} needs the value of "
                    f"{self.public(name)}, which was made in inference mode; clone() it to get a normal tensor, "
                    "or make it under no_grad()",
                )
        return self.packing_node if thread_mode.saving else self.node

    # ----- The readable way -----------------------------------------------------------------------

    def apply(self, operands: Sequence[Any], options: Sequence[Any]) -> Any:
        """Compute, and record if a gradient is wanted.

        Args:
            operands: a value for each of `arrays`: tensor, array, number or None.
            options: a value for each of `options`.
        """
        if self.variadic:
            operands = self._checked_list(operands[0])
        else:
            for name, o in zip(self.arrays, operands, strict=True):
                if isinstance(o, _NOT_TENSORS) or (o is None and name not in self.optional):
                    raise self.wrong_call(operands)
        told_of = operands  # as the program gave them
        if self.dtype != "any" and not _agree(operands):
            operands = harmonise(self, list(operands))
        arrays = [o.array if isinstance(o, Traced) else o for o in operands]
        nodes = [o.node if isinstance(o, Traced) else None for o in operands]
        given = [tuple(arrays)] if self.variadic else arrays
        try:
            result = self.forward(*given, *options)
        except Exception as error:
            raise self.explain(error, told_of) from None
        kept: Sequence[Any] = ()
        if self.keeps:
            result, *kept = result
        results = [np.asarray(r) for r in (result if self.several else (result,))]
        if departed.count and thread_mode.looking:
            look(self, operands, results)
        tensors = [result_type.make(r) for r in results]
        if departed.count and thread_mode.inference and self.view:
            for tensor in tensors:
                mark_inference(tensor, operands)
        names = self.arrays * len(nodes) if self.variadic else self.arrays
        if len(self.differentiable) < len(self.arrays):
            pairs = zip(nodes, names, strict=True)
            nodes = [node if name in self.differentiable else None for node, name in pairs]
        if (
            nodes.count(None) < len(nodes)
            and any(r.dtype.kind == "f" for r in results)
            and (made := self.recording(operands) if departed.count else self.node)
        ):
            node = object.__new__(made)
            node.tick = tick()
            node.parents = tuple(nodes)
            node.line = here(3)
            node.hooks = None
            node.shape = [r.shape for r in results] if self.several else results[0].shape
            values = dict(zip(self.arrays, given, strict=True))
            values |= zip(self.options, options, strict=True)
            values |= zip(self.keeps, kept, strict=True)
            values["out"] = tuple(results) if self.several else results[0]
            wanted = {n for n, parent in zip(names, nodes, strict=True) if parent is not None}
            node.saved = tuple(
                None if wanted.isdisjoint(users) else self._value(n, values)
                for n, users in self.saves.items()
            )
            if self.several:
                for index, tensor in enumerate(tensors):
                    if tensor.array.dtype.kind == "f":
                        tensor.node = pick(node, index)
            else:
                tensors[0].node = node
        if self.view:
            for index, tensor in enumerate(tensors):
                if tensor.array.base is not None or tensor.array is arrays[0]:
                    remember_view(
                        tensor, operands[0], self, options, index if self.several else None
                    )
        return tuple(tensors) if self.several else tensors[0]

    def _value(self, name: str, values: dict[str, Any]) -> Any:
        if name in values:
            return values[name]
        argument, _, property_ = name.rpartition("_")
        value = values[argument]
        if argument == self.variadic:
            return tuple(getattr(v, property_.removesuffix("s")) for v in value)
        return getattr(value, property_, None)

    def _checked_list(self, operands: Any) -> list[Any]:
        if isinstance(operands, Traced | str) or not hasattr(operands, "__iter__"):
            raise told(
                TypeError,
                f"{self.called('()')}: argument 'tensors' must be tuple of Tensors, "
                f"not {type(operands).__name__}",
            )
        found: list[Any] = list(operands)
        for position, operand in enumerate(found):
            if not isinstance(operand, _TENSORS):
                raise told(
                    TypeError,
                    f"{self.called('()')}: expected Tensor as element {position} in argument 0, "
                    f"but got {type(operand).__name__}",
                )
        return found

    def _general_call(self) -> Callable[..., Any]:
        renamed = [
            p.replace(name=_PUBLIC.get(p.name, p.name)) if p.name in self.arrays else p
            for p in self.parameters
        ]
        public = inspect.Signature(renamed)
        count = len(self.arrays)

        def call(*args: Any, **kwargs: Any) -> Any:
            if kwargs or len(args) != len(renamed):
                try:
                    bound = public.bind(*args, **kwargs)
                except TypeError as error:
                    raise told(TypeError, f"{self.called('()')} {error}") from None
                bound.apply_defaults()
                args = tuple(bound.arguments.values())
            first = args[0]
            if self.variadic:
                plain = _is_list(first) and all(isinstance(a, _ARRAYS) for a in first)
            else:
                plain = not any(isinstance(a, Traced) for a in args[:count])
            if plain:
                if isinstance(first, _NOT_TENSORS) and not self.variadic:
                    raise self.wrong_call(args[:count])
                out = self.forward(*args)
                return out[0] if self.keeps else out
            return self.apply(args[:count], args[count:])

        call.__signature__ = public  # type: ignore[attr-defined]
        return call


def _parameters(forward: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return a forward's parameters; a tenth of the work of `inspect.signature`, which would show."""
    names = names_of(forward)
    defaults = dict(zip(reversed(names), reversed(forward.__defaults__ or ()), strict=False))
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return [
        inspect.Parameter(
            name,
            kind,
            default=defaults.get(name, inspect.Parameter.empty),
            annotation=forward.__annotations__.get(name, inspect.Parameter.empty),
        )
        for name in names
    ]


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def pick(node: Node, index: int) -> Pick:
    """Return the node of result number `index` of `node`."""
    picked = object.__new__(Pick)
    picked.tick = tick()
    picked.parents = (node,)
    picked.saved = ()
    picked.line = node.line
    picked.hooks = None
    picked.index = index
    picked.shape = node.shape[index]
    return picked


def _lift(node: Node, saved: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the saved values as tensors where they are arguments or results: see `Node.lift`."""
    op_: Op = node.op
    lifted = []
    for name, value in zip(op_.saves, saved, strict=True):
        if value is None:  # nothing that wants a gradient needs it
            pass
        elif name == op_.variadic:
            pairs = zip(value, node.parents, strict=True)
            value = tuple(result_type.make(v, parent) for v, parent in pairs)
        elif isinstance(value, np.ndarray) and name in op_.arrays:
            value = result_type.make(value, node.parents[op_.arrays.index(name)])
        elif name == "out" and op_.several:
            value = tuple(
                result_type.make(v, pick(node, i) if v.dtype.kind == "f" else None)
                for i, v in enumerate(value)
            )
        elif name == "out":
            value = result_type.make(value, node)
        lifted.append(value)
    return tuple(lifted)


# ----- Mixing types -------------------------------------------------------------------------------


def _agree(operands: Sequence[Any]) -> bool:
    """Return True if all are tensors of one floating-point type, so that nothing is to be cast."""
    d = operands[0].array.dtype if operands and isinstance(operands[0], Traced) else None
    if d is None or d.kind != "f":
        return False
    return all(isinstance(o, Traced) and o.array.dtype is d for o in operands)


def harmonise(op_: Op, operands: Sequence[Any]) -> list[Any]:
    """Return the operands in the one dtype the op computes in, casts recorded.

    A Python number stays one where NumPy gives it the arrays' type anyway.
    """
    if op_.dtype == "same":
        kinds = {o.array.dtype for o in operands if isinstance(o, Traced)}
        if len(kinds) > 1:
            names = " and ".join(sorted(str(dtypes.named(d)) for d in kinds))
            raise told(
                RuntimeError,
                f"{op_.called()}: expected all arguments to have the same dtype, but found {names}; "
                "convert one with .to(dtype)",
            )
        return list(operands)
    # `where` chooses by a mask, which takes no part in the mix.
    first = 1 if op_.arrays[0] == "condition" else 0
    mixed = [o for o in operands[first:] if o is not None]
    for position, o in enumerate(operands[first:]):
        if o is not None and not isinstance(
            o, Traced | np.ndarray | bool | int | float | np.generic
        ):
            argument = "xs" if op_.variadic else op_.arrays[first + position]
            raise told(
                TypeError,
                f"{op_.called('()')}: argument '{_PUBLIC.get(argument, argument)}' (position "
                f"{first + position + 1}) must be Tensor, not {type(o).__name__}",
            )
    arrays = [o.array if isinstance(o, Traced) else o for o in mixed]
    target = dtypes.result(arrays)
    if op_.dtype == "float" and target.kind != "f":
        target = dtypes.default()
    cast = REGISTRY["cast"].call
    harmonised: list[Any] = list(operands[:first])
    for o in operands[first:]:
        if o is None:
            harmonised.append(None)
        elif isinstance(o, Traced):
            harmonised.append(o if o.array.dtype is target else cast(o, target))
        elif isinstance(o, np.ndarray):
            harmonised.append(o.astype(target, copy=False))
        elif target.kind == "f" and op_.broadcasts:
            harmonised.append(float(o))
        else:
            harmonised.append(np.asarray(o).astype(target))
    if all(not isinstance(o, Traced | np.ndarray) for o in harmonised[first:]):
        harmonised[first:] = [np.asarray(o, target) for o in harmonised[first:]]
    return harmonised


# ----- Declaring ----------------------------------------------------------------------------------


def op(
    *,
    broadcasts: bool = False,
    dtype: str = "any",
    keeps: tuple[str, ...] = (),
    several: bool = False,
    view: bool = False,
    joint: tuple[tuple[str, ...], Callable[..., Any]] | None = None,
    label: str | None = None,
    ufunc: Any = None,
    name: str | None = None,
    **rules: Callable[..., Any],
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare the decorated function as an op.

    Args:
        broadcasts: gradients are summed down to their argument's shape.
        dtype: how types mix: "any" (as they are), "same" (must be equal), "promote" (PyTorch's
            promotion) or "float" (likewise, and integers become floats).
        keeps: names of what the forward returns after its result, for rules to name.
        several: the forward returns a tuple of results; `g` is then a tuple of their gradients.
        view: the result may look at the first argument's memory.
        joint: arguments, and one rule that returns a tuple of their gradients; the rule may name
            `needs`, a tuple of bools that says which are wanted.
        label: what PyTorch calls this kind of node, without ``Backward0``.
        ufunc: the NumPy ufunc that the forward is, called without a detour.
        name: the op's name, the forward's if not given.
        rules: for each differentiable argument its rule.
    """

    def declare(forward: Callable[..., Any]) -> Callable[..., Any]:
        name_ = name or forward.__name__
        if name_ in REGISTRY:
            raise TypeError(f"op {name_}: declared twice")
        made = Op(
            forward,
            rules,
            name=name_,
            label=label or "".join(part.capitalize() for part in name_.split("_")),
            broadcasts=broadcasts,
            dtype=dtype,
            keeps=keeps,
            several=several,
            view=view,
            joint=joint,
            ufunc=ufunc,
        )
        REGISTRY[name_] = made
        if ufunc is not None:
            UFUNCS[ufunc] = made.call
        call = made.call
        call.__name__, call.__qualname__ = name_, name_
        call.__doc__ = forward.__doc__
        call.__module__ = forward.__module__
        call.__op__ = made  # type: ignore[attr-defined]
        return call

    return declare


def implements(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Have the decorated function answer when one of these NumPy functions is given a tensor."""

    def register(answer: Callable[..., Any]) -> Callable[..., Any]:
        for function in functions:
            FUNCTIONS[function] = answer
        return answer

    return register


def makes_results(cls: type[Traced]) -> type[Traced]:
    """Have ops return tensors of the decorated class."""
    result_type.cls = cls
    bind_results(cls)
    return cls
