"""Functions whose gradient the user writes."""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from tinygrad_like.graph import AccumulateGrad, Node, Traced, as_tensor, freed, result_type
from tinygrad_like.lines import here, told
from tinygrad_like.modes import set_mode, thread_mode
from tinygrad_like.op import REGISTRY, pick
from tinygrad_like.reuse import add_up
from tinygrad_like.saving import packed, unpacked
from tinygrad_like.stamps import tick
from tinygrad_like.views import View, adopt

__all__ = ["Function", "FunctionCtx", "once_differentiable"]


class FunctionCtx:
    """What `forward` hands to `backward`: saved tensors, and any attribute the user likes to set."""

    needs_input_grad: tuple[bool, ...] = ()

    def __init__(self) -> None:
        self._arguments: tuple[bool, ...] = ()  # which are tensors
        self._given: tuple[Any, ...] = ()  # see `_remembered`
        self._to_save: tuple[Any, ...] = ()
        self._dirty: tuple[Any, ...] = ()
        self._constant: tuple[Any, ...] = ()
        self._materialize = True
        self._node: Callable[[], FunctionNode | None] | None = None

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors (or None) for `backward`, which finds them in `saved_tensors`.

        Raises:
            TypeError: if one is neither.
        """
        for position, tensor in enumerate(tensors):
            if tensor is not None and not isinstance(tensor, Traced):
                raise told(
                    TypeError,
                    "save_for_backward can only save variables, but argument "
                    f"{position} is of type {type(tensor).__name__}; set other values as attributes of ctx",
                )
        self._to_save = tensors

    def mark_dirty(self, *tensors: Any) -> None:
        """Say which arguments `forward` writes into; it must return them."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Any) -> None:
        """Say which results have no gradient."""
        self._constant = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Have `backward` called with None, not with zeros, for results that were not used."""
        self._materialize = value

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What `save_for_backward` kept, in its place in the graph.

        Raises:
            RuntimeError: if a backward without ``retain_graph=True`` has freed it.
        """
        if self._node is None:
            return self._to_save
        node = self._node()
        return () if node is None else node.saved_tensors


class FunctionNode(Node):
    """One recorded call of a `Function`."""

    __slots__ = ("_origins", "_results", "ctx")
    function: ClassVar[type[Function]]
    ctx: FunctionCtx
    _origins: tuple[Any, ...]  # of each saved tensor: its node, or the index of the result it is
    _results: list[tuple[Any, Any] | None]  # shape and dtype of each result that is a tensor

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "ctx":
            raise AttributeError(name)
        return getattr(self.ctx, name)

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What was saved, as tensors in their places in the graph."""
        if self.saved is None:
            raise freed(self)
        return self._in_place(unpacked(self.saved))

    def _in_place(self, saved: Sequence[Any]) -> tuple[Any, ...]:
        found: list[Any] = []
        for array, origin in zip(saved, self._origins, strict=True):
            if isinstance(origin, int):
                origin = pick(self, origin) if isinstance(self.shape, list) else self
            found.append(None if array is None else result_type.make(array, origin))
        return tuple(found)

    def backward(self, g: Any, saved: tuple[Any, ...], grads: dict[Node, Any]) -> None:
        """Call the user's `backward` and pass on what it returns."""
        del saved
        received = list(g) if isinstance(self.shape, list) else [g]
        recorded = any(isinstance(part, Traced) for part in received)
        given: list[Any] = []
        for part, result in zip(received, self._results, strict=True):
            if part is None and result is not None and self.ctx._materialize:
                part = np.zeros(*result)
            given.append(None if part is None else as_tensor(part))
        former = set_mode(recorded, thread_mode.inference)
        try:
            found = self.function._gradients()(self.ctx, *given)
        finally:
            set_mode(*former)
        for parent, part in zip(self.parents, self._checked(found), strict=True):
            if parent is None or part is None or parent not in grads:
                continue
            own = self._fitted(part if recorded else part.array, parent)
            if grads[parent] is None:
                grads[parent] = own
            else:
                add_up(grads, parent, own)

    def _checked(self, found: Any) -> list[Any]:
        """Return the gradients `backward` gave, one for each argument of `forward`."""
        parts = list(found) if isinstance(found, tuple | list) else [found]
        count = len(self.parents)
        if found is None:
            parts = [None] * count
        while len(parts) > count and parts[-1] is None:
            parts.pop()
        if len(parts) != count:
            raise told(
                RuntimeError,
                f"function {self.name()} returned an incorrect number of gradients (expected {count}, "
                f"got {len(parts)}): backward returns one for each argument of forward, None where "
                "there is none",
            )
        for position, part in enumerate(parts):
            if part is None:
                continue
            if not isinstance(part, Traced):
                raise told(
                    RuntimeError,
                    f"expected Variable or None (got {type(part).__name__}): {self.name()} returned it "
                    f"as the gradient of argument {position + 1}",
                )
            if not self.ctx._arguments[position]:
                raise told(
                    RuntimeError,
                    f"function {self.name()} returned a gradient different than None at position "
                    f"{position + 1}, but the corresponding forward input was not a Variable",
                )
        return parts

    def _fitted(self, g: Any, parent: Node) -> Any:
        """Return `g` in the shape of what it is the gradient of."""
        shape = tuple(parent.shape)
        if tuple(g.shape) == shape:
            return g
        try:
            fits = np.broadcast_shapes(shape, tuple(g.shape)) == tuple(g.shape)
        except ValueError:
            fits = False
        if not fits:
            raise told(
                RuntimeError,
                f"Function {self.name()} returned an invalid gradient at index "
                f"{self.parents.index(parent)} - got {list(g.shape)} but expected shape compatible "
                f"with {list(shape)}",
            )
        return REGISTRY["sum_to"].call(g, shape)


class Function:
    """A user's own operation: a subclass says how to compute it and its gradient.

    ``forward(ctx, *args)`` computes, with nothing recorded; ``backward(ctx, *grad_outputs)`` returns
    the gradient of each argument, None for what is no tensor. `forward` may also be written without
    `ctx`, next to a ``setup_context(ctx, inputs, output)``. Call the operation by ``apply``.

    >>> import tinygrad_like as torch
    >>> class Square(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x
    ...     @staticmethod
    ...     def backward(ctx, grad_output):
    ...         (x,) = ctx.saved_tensors
    ...         return 2 * x * grad_output
    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> Square.apply(x).backward()
    >>> x.grad
    tensor(6.)
    """

    _node_class: ClassVar[type[FunctionNode]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        namespace = {"__slots__": (), "function": cls, "label": cls.__name__}
        cls._node_class = type(f"{cls.__name__}Backward", (FunctionNode,), namespace)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse: the methods are static.

        Raises:
            RuntimeError: always.
        """
        del args, kwargs
        raise told(
            RuntimeError,
            "Legacy autograd function with non-static forward method is deprecated. Please use "
            f"new-style autograd function with static forward method: {type(self).__name__}.apply(...)",
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the operation; nothing in here is recorded."""
        raise NotImplementedError(
            "You must implement the forward function for custom autograd.Function."
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Keep in `ctx` what `backward` needs, where `forward` does not take `ctx`."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Return the gradient of each argument of `forward`, given those of its results."""
        del ctx, grad_outputs
        raise told(
            NotImplementedError,
            "You must implement either the backward or vjp method for your custom autograd.Function "
            "to use it with backward mode AD.",
        )

    @staticmethod
    def vjp(ctx: Any, *grad_outputs: Any) -> Any:
        """Stand for `backward` under another name."""
        raise NotImplementedError("vjp is not implemented.")

    @classmethod
    def _gradients(cls) -> Callable[..., Any]:
        own = cls.backward is Function.backward and cls.vjp is not Function.vjp
        return cls.vjp if own else cls.backward

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Compute the operation and record it.

        Raises:
            RuntimeError: if `forward` wrote into a leaf that requires a gradient, or did not return
                what it had marked dirty.
        """
        separate = cls.setup_context is not Function.setup_context
        args = _bound(cls.forward, args, kwargs, 0 if separate else 1)
        ctx = FunctionCtx()
        parents = tuple(a.node if isinstance(a, Traced) else None for a in args)
        ctx.needs_input_grad = tuple(node is not None for node in parents)
        ctx._arguments = tuple(isinstance(a, Traced) for a in args)
        recorded = thread_mode.grad and any(ctx.needs_input_grad)
        former = set_mode(False, thread_mode.inference)
        try:
            if separate:
                output = cls.forward(*args)
                cls.setup_context(ctx, args, output)
            else:
                output = cls.forward(ctx, *args)
        finally:
            set_mode(*former)
        results = list(output) if isinstance(output, tuple) else [output]
        for tensor in ctx._dirty:
            if not any(tensor is result for result in results):
                raise told(
                    RuntimeError,
                    "Some elements marked as dirty during the forward method were not returned as "
                    "output. The inputs that are modified inplace must all be outputs of the Function.",
                )
        if recorded:
            results = cls._record(ctx, args, parents, results, isinstance(output, tuple))
        return tuple(results) if isinstance(output, tuple) else results[0]

    @classmethod
    def _record(
        cls,
        ctx: FunctionCtx,
        args: Sequence[Any],
        parents: tuple[Node | None, ...],
        results: list[Any],
        several: bool,
    ) -> list[Any]:
        """Return the results with their places in the graph."""
        saved = ctx._to_save
        node = object.__new__(cls._node_class)
        node.parents = parents
        node.line = here()
        node.hooks = None
        node.ctx = ctx
        ctx._given = tuple(map(_remembered, args))
        node._results = [(r.array.shape, r.array.dtype) if _is(r) else None for r in results]
        node.shape = (
            [r.array.shape if _is(r) else None for r in results]
            if several
            else _shape_of(results[0])
        )
        node._origins = tuple(_origin(t, args, results, ctx._dirty) for t in saved)
        if thread_mode.witness is not None:
            thread_mode.witness(cls._node_class, args, [r.array for r in results if _is(r)])
        node.tick = tick()
        node.saved = tuple(None if t is None else t.array for t in saved)
        if thread_mode.saving:
            node.saved = packed(node._in_place(node.saved))
        ctx._to_save = ()
        ctx._node = weakref.ref(node)
        dirty, constant = ctx._dirty, ctx._constant
        ctx._dirty = ctx._constant = ()
        return [
            _placed(result, pick(node, i) if several else node, args, dirty, constant)
            if _is(result)
            else result
            for i, result in enumerate(results)
        ]


def _origin(
    tensor: Any, args: Sequence[Any], results: Sequence[Any], dirty: Sequence[Any]
) -> Node | int | None:
    """Return where a saved tensor comes from: its node, or the index of the result it is."""
    if tensor is None:
        return None
    if not any(tensor is a for a in args) or any(tensor is t for t in dirty):
        for index, result in enumerate(results):
            if result is tensor:
                return index
    return tensor.node  # type: ignore[no-any-return]


def _remembered(argument: Any) -> Any:
    """Return what leads back to an argument without keeping it alive, so that the call can be checked.

    It is the value itself if that is small, else a weak reference, else NotImplemented.
    """
    if argument is None or isinstance(argument, bool | int | float | str):
        return argument
    try:
        return weakref.ref(argument)
    except TypeError:
        parts = argument if isinstance(argument, tuple) else (NotImplemented,)
        small = all(isinstance(part, bool | int | float | str) for part in parts)
        return argument if small else NotImplemented


def _is(value: Any) -> bool:
    return isinstance(value, Traced)


def _shape_of(value: Any) -> Any:
    return value.array.shape if isinstance(value, Traced) else None


def _placed(
    result: Any, node: Node, args: Sequence[Any], dirty: Sequence[Any], constant: Sequence[Any]
) -> Any:
    """Return a result of `forward` as the result of `node`."""
    differentiable = result.array.dtype.kind == "f" and not any(result is t for t in constant)
    if any(result is t for t in dirty):
        if isinstance(result.node, AccumulateGrad):
            raise told(
                RuntimeError,
                "a leaf Variable that requires grad has been used in an in-place operation.",
            )
        if differentiable:
            adopt(result, node)
        return result
    if any(result is a for a in args):  # a new tensor, so that the argument keeps its own place
        argument = result
        result = result_type.make(argument.array)
        result._view = View(argument, (), False)
    result.node = node if differentiable else None
    return result


def _bound(
    forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], skipped: int
) -> tuple[Any, ...]:
    """Return the arguments in their order, defaults filled in."""
    try:
        signature = _signature(forward)
    except (TypeError, ValueError):
        return args
    if not kwargs and len(args) + skipped >= len(signature.parameters):
        return args
    bound = signature.bind(*(None,) * skipped, *args, **kwargs)
    bound.apply_defaults()
    return bound.args[skipped:]


@functools.lru_cache(maxsize=256)
def _signature(forward: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(forward)


class _Refusal(Node):
    """The place in the graph of a gradient that can't be differentiated."""

    __slots__ = ()

    def name(self) -> str:
        """Return PyTorch's name for it."""
        return "Error"

    def backward(self, g: Any, saved: tuple[Any, ...], grads: dict[Node, Any]) -> None:
        """Refuse."""
        del g, saved, grads
        raise told(
            RuntimeError,
            "trying to differentiate twice a function that was marked with @once_differentiable",
        )


def once_differentiable(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a `backward` that works on values only, so that differentiating it is refused."""

    @functools.wraps(function)
    def run(ctx: Any, *args: Any) -> Any:
        former = set_mode(False, thread_mode.inference)
        try:
            found = function(ctx, *args)
        finally:
            set_mode(*former)
        nodes = tuple(a.node for a in args if isinstance(a, Traced) and a.node is not None)
        if not nodes or not thread_mode.grad:
            return found
        refusal = object.__new__(_Refusal)
        refusal.tick, refusal.parents, refusal.saved = tick(), nodes, ()
        refusal.hooks, refusal.line = None, here()
        parts = [
            result_type.make(part.array, refusal) if isinstance(part, Traced) else part
            for part in (found if isinstance(found, tuple) else (found,))
        ]
        refusal.shape = next((part.array.shape for part in parts if isinstance(part, Traced)), ())
        return tuple(parts) if isinstance(found, tuple) else parts[0]

    return run
