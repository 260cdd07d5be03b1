"""Views and in-place writes: how a tensor can change and still have the right gradient.

Writing into a recorded tensor is recorded as a pure operation whose result is then copied into the
tensor's memory; the tensor's place in the graph becomes that operation. The one complication is
that memory can be shared. A view remembers its base and the ops that lead from the one to the
other, so that after a write

* through a view, the base becomes "the base as it was, with this region replaced";
* through either, every other living view is derived from the base anew, by the same ops.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.graph import AccumulateGrad, Array, Node, Traced, result_type
from tinygrad_like.lines import here, told
from tinygrad_like.modes import departed, thread_mode
from tinygrad_like.registry import REGISTRY
from tinygrad_like.saving import overwriting
from tinygrad_like.stamps import owner, stamp, tick


class Step(NamedTuple):
    """One op on the way from a base to its view."""

    op: Any
    options: tuple[Any, ...]
    which: int | None  # of the results, for an op that has several

    def __call__(self, x: Any) -> Any:
        """Return the view of `x` that this step leads to."""
        out = self.op.call(x, *self.options)
        return out if self.which is None else out[self.which]


class View(NamedTuple):
    """What a view remembers."""

    base: Any
    steps: tuple[Step, ...]
    recorded: bool  # False if it was made where gradients are off


_as_tuple: Any = tuple.__new__  # a third of the time of a named tuple's own


def remember_view(
    tensor: Traced, source: Any, op: Any, options: Sequence[Any], index: int | None = None
) -> None:
    """Note that `tensor` looks at the memory of `source`, if that is so."""
    array = tensor.array
    if array.dtype.kind != "f" or not isinstance(source, Traced):
        return
    looked_at, known = array.base, source.array
    related = looked_at is known or (looked_at is not None and looked_at is known.base)
    if not related and owner(array) is not owner(known):
        return
    former = source._view
    steps = (_as_tuple(Step, (op, options, index)),)
    recorded = not departed.count or thread_mode.grad
    if former is None:
        base = source
    else:
        base, steps, recorded = former.base, former.steps + steps, recorded and former.recorded
    tensor._view = _as_tuple(View, (base, steps, recorded))
    notes = base.__dict__
    living = notes.get("_views")
    if living is None:
        living = notes["_views"] = []
    elif len(living) >= 16 and len(living) & (len(living) - 1) == 0:  # at each power of two
        living[:] = [reference for reference in living if reference() is not None]
    living.append(weakref.ref(tensor))
    if "_silent" in source.__dict__:
        tensor.__dict__["_silent"] = True


def forget_views(base: Any) -> None:
    """Let the views of `base` go their own way: it holds other memory from now on."""
    for reference in base.__dict__.pop("_views", ()):
        view = reference()
        if view is not None:
            view._view = None


def hand_over_views(base: Any) -> None:
    """Give the views of `base` a stand-in for it, of which `base`, whose shape will change, is a view."""
    stand_in = result_type.make(base.array, base.node)
    living = base.__dict__.pop("_views")
    for reference in living:
        view = reference()
        if view is not None:
            view._view = view._view._replace(base=stand_in)
    living.append(weakref.ref(base))
    stand_in.__dict__["_views"] = living
    base._view = View(stand_in, (), True)


def _derive(base: Any, steps: tuple[Step, ...]) -> Node | None:
    """Return the place in the graph of the view of `base` that `steps` lead to."""
    derived = result_type.make(base.array, base.node)  # a stand-in, which need not know its views
    for step in steps:
        derived = step(derived)
    return derived.node  # type: ignore[no-any-return]


def _rederive_views(base: Any, written: Any) -> None:
    """Give every living view of `base`, except the one written, its place in the graph anew."""
    for reference in base.__dict__.get("_views", ()):
        view = reference()
        if view is not None and view is not written and view._view.recorded:
            _place(view, _derive(base, view._view.steps))


# ----- Writing ------------------------------------------------------------------------------------


def refuse_write(target: Any, name: str, value: Node | None = None) -> None:
    """Raise if `target`, or what it is a view of, must not be written while operations are recorded.

    `value` is the place in the graph of what is to be written.
    """
    if departed.count:
        refuse_inference(target)
        if not thread_mode.grad:
            return
    view: View | None = target._view
    if view is not None and (view.base.node is not None or value is not None):
        _refuse_view(view, name)
    if isinstance(target.node, AccumulateGrad):
        raise told(
            RuntimeError,
            "a leaf Variable that requires grad is being used in an in-place operation: "
            f"{name} would overwrite the value its gradient is for; use no_grad() or .data, or write into "
            "a clone()",
        )


def _refuse_view(view: View, name: str) -> None:
    """Raise if a write through `view` could not be recorded, or would change a leaf."""
    if not view.recorded:
        raise told(
            RuntimeError,
            "A view was created in no_grad mode and is being modified inplace with grad mode enabled: "
            f"{name} can't be recorded through it; make the view where gradients are enabled",
        )
    for step in view.steps:
        if step.which is not None:
            raise told(
                RuntimeError,
                f"Output {step.which} of {step.op.node.label} is a view and is being modified inplace. This view "
                "is the output of a function that returns multiple views. Such functions do not allow the "
                f"output views to be modified inplace. Replace {name} by an out-of-place operation, or "
                "index the tensor to get one view",
            )
    if isinstance(view.base.node, AccumulateGrad):
        raise told(
            RuntimeError,
            "a view of a leaf Variable that requires grad is being used in an in-place operation: "
            f"{name} would overwrite the leaf's value; use no_grad() or .data, or write into a clone()",
        )


def refuse_overlap(memory: np.ndarray[Any, Any], name: str) -> None:
    """Raise if elements of `memory` share an address, or if it is read-only."""
    if not memory.flags.writeable or (
        memory.size
        and 0 in memory.strides
        and any(
            step == 0 and size > 1 for step, size in zip(memory.strides, memory.shape, strict=True)
        )
    ):
        raise told(
            RuntimeError,
            "unsupported operation: more than one element of the written-to tensor refers to a single "
            f"memory location, or the memory is read-only. Please clone() the tensor before {name}",
        )


def refuse_inference(target: Any) -> None:
    """Raise if `target` was made in inference mode, which has been left."""
    if "_inference" in target.__dict__ and not thread_mode.inference:
        raise told(
            RuntimeError,
            "Inplace update to inference tensor outside InferenceMode is not allowed: clone() it to get "
            "a normal tensor first",
        )


def write(target: Any, name: str, compute: Callable[[], Any]) -> Any:
    """Replace the value of `target` by what `compute` returns, recorded like any operation.

    Raises:
        RuntimeError: if `target` must not be written, or the result has another shape or a type
            that does not fit; nothing is changed then.
    """
    refuse_write(target, name)
    start = tick()
    result = overwriting(target.array, compute) if departed.count else compute()
    memory = target.array
    value = result.array if isinstance(result, Traced) else np.asarray(result)
    node = result.node if isinstance(result, Traced) else None
    if node is not None and target.node is None:
        refuse_write(target, name, node)
    if value.shape != memory.shape:
        raise told(
            RuntimeError,
            f"output with shape {list(memory.shape)} doesn't match the broadcast shape "
            f"{list(value.shape)}: {name} can't change the shape of the tensor it writes into",
        )
    if value.dtype is not memory.dtype and not dtypes.can_cast(value.dtype, memory.dtype):
        raise told(
            RuntimeError,
            f"result type {title(value.dtype)} can't be cast to the desired output type "
            f"{title(memory.dtype)}: {name} keeps the dtype of the tensor it writes into; convert "
            "that tensor first",
        )
    refuse_overlap(memory, name)
    if node is not None:
        if value.dtype is not memory.dtype:
            result = REGISTRY["cast"].call(result, memory.dtype)
            node, value = result.node, result.array
        assert node is not None
        if node.tick > start:
            _keep_overwritten(node, memory, start)
    if value is not memory:
        np.copyto(memory, value, casting="unsafe")
    stamp(memory, silent=target.__dict__.get("_silent", False))
    if node is not None and node.tick > start:
        _save_written(node, value, memory)
    if not departed.count or thread_mode.grad:
        adopt(target, node)
    return target


def in_place(name: str, function: Callable[..., Any], plain: Any = None) -> Any:
    """Return the method that writes what `function` gives into its tensor.

    Args:
        name: the method's name.
        function: computes the new value from the tensor and the method's arguments.
        plain: a ufunc, or a function of ``(memory, *arguments)`` that raises ValueError before it
            writes anything if shapes do not fit. It does the same at once where nothing is recorded
            and all operands are arrays of the memory's own floating-point type, or numbers.
    """
    is_ufunc = isinstance(plain, np.ufunc)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        memory = self.array
        d = memory.dtype
        if departed.count:
            refuse_inference(self)
        if (
            plain is not None
            and (d is dtypes.F32 or d is dtypes.F64)
            and (not (is_ufunc and kwargs))
            and not (departed.count and thread_mode.looking)
            and ((departed.count and not thread_mode.grad) or is_outside(self))
        ):
            given: list[Any] = []
            for argument in args:
                if isinstance(argument, Traced):
                    if argument.array.dtype is not d or not (
                        argument.node is None or (departed.count and not thread_mode.grad)
                    ):
                        break
                    given.append(argument.array)
                elif type(argument) is float or type(argument) is int:
                    given.append(argument)
                else:
                    break
            else:
                try:
                    if is_ufunc:
                        plain(memory, *given, out=memory)
                    else:
                        plain(memory, *given, **kwargs)
                except (TypeError, ValueError):
                    pass  # told in full below
                else:
                    stamp(memory, silent=self.__dict__.get("_silent", False))
                    return self
        return write(self, name, lambda: function(self, *args, **kwargs))

    method.__name__ = name
    method.__doc__ = f"Do `{name.rstrip('_')}` in place and return this tensor."
    method.__wrapped__ = function  # type: ignore[attr-defined]  # whose parameters it has
    return method


def is_outside(target: Any) -> bool:
    """Return True if neither `target` nor what it is a view of has a place in the graph."""
    return target.node is None and (target._view is None or target._view.base.node is None)


_TITLES = {"f2": "Half", "f4": "Float", "f8": "Double", "i1": "Char", "i2": "Short", "i4": "Int"}
_TITLES |= {"i8": "Long", "u1": "Byte", "b1": "Bool"}


def title(d: np.dtype[Any]) -> str:
    """Return what PyTorch calls a dtype in its errors."""
    return _TITLES[d.kind + str(d.itemsize)]


def _keep_overwritten(node: Node, memory: np.ndarray[Any, Any], start: int) -> None:
    """Copy what the nodes made since `start` saved of the memory that their result will overwrite."""
    written = owner(memory)
    pending = [node]
    while pending:
        node = pending.pop()
        if not node.packs and node.saved:
            node.saved = tuple(_copied(value, written) for value in node.saved)
        pending += [p for p in node.parents if p is not None and p.tick > start]


def _copied(value: Any, written: np.ndarray[Any, Any]) -> Any:
    """Return a saved value, copied where it looks at the memory that `written` owns."""
    if isinstance(value, np.ndarray):
        return value.copy() if owner(value) is written else value
    if type(value) is tuple:
        return tuple(_copied(part, written) for part in value)
    return value


def _save_written(node: Node, value: Any, memory: np.ndarray[Any, Any]) -> None:
    """Have `node` save the memory that now holds its result, in place of the result itself."""
    saved = () if node.packs else node.saved or ()
    if any(kept is value for kept in saved):
        node.saved = tuple(memory if kept is value else kept for kept in saved)
        node.tick = tick()  # after the write


def adopt(target: Any, node: Node | None) -> None:
    """Make `node` the origin of what `target` now holds, and of what shares its memory."""
    view: View | None = target._view
    base = target if view is None else view.base
    if node is None and base.node is None:
        return
    if view is None:
        # A constant ends the gradient's way, but the tensor stays in the graph, as in PyTorch.
        _place(target, _replaced(base, None, (), base.array.shape) if node is None else node)
    else:
        _place(base, _replaced(base, node, view.steps, target.array.shape))
        # Not `node` itself: a hook on the view must see the gradient of the view, not of its region.
        _place(target, _derive(base, view.steps))
    if "_views" in base.__dict__:
        _rederive_views(base, target)


def _place(tensor: Any, node: Node | None) -> None:
    """Give a tensor its new place in the graph; if its ``.grad`` is kept, it is kept there."""
    former = tensor.node
    tensor.node = node
    if former is not None and former.hooks is not None:
        kept_for = former.hooks.retain
        if kept_for is not None and kept_for() is tensor and former is not node:
            former.hooks.retain = None
            tensor.retain_grad()


def _replaced(
    base: Any, region: Node | None, steps: tuple[Step, ...], shape: tuple[int, ...]
) -> Node:
    """Record that the region of `base` that `steps` lead to was replaced; nothing is computed."""
    op = REGISTRY["replace_region"]
    array = base.array
    values = {"steps": steps, "strides": array.strides, "y_shape": shape}
    node: Node = object.__new__(op.node)
    if thread_mode.witness is not None:
        thread_mode.witness(op, (), (array,))
    node.tick = tick()
    node.parents = (base.node, region)
    node.saved = tuple(values[name] for name in op.saves)
    node.line = here()
    node.hooks = None
    node.shape = array.shape
    return node


def region_of(x: Array, steps: tuple[Step, ...]) -> Array:
    """Return the region of `x` that the ops in `steps` lead to."""
    for step in steps:
        x = step(x)
    return x


def like_layout(shape: tuple[int, ...], strides: tuple[int, ...], d: Any) -> np.ndarray[Any, Any]:
    """Return an uninitialised array whose axes lie in memory in the order that `strides` tells.

    Only then do the ops that lead to a view lead to a view of it as well.
    """
    order = sorted(range(len(shape)), key=lambda axis: -strides[axis])
    array: np.ndarray[Any, Any] = np.empty([shape[axis] for axis in order], d)
    return array.transpose(np.argsort(order)) if order else array
