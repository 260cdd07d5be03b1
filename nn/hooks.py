"""What may be made to happen around a module's call, and around its part of a backward pass."""

from __future__ import annotations

import threading
import warnings
from _thread import get_ident
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from sys import _getframe
from typing import Any, NamedTuple

import numpy as np

from tinygrad_like.graph import Node, RemovableHandle, Traced, as_tensor, result_type
from tinygrad_like.lines import calls, here, internal, passing, told, tracing, user_line
from tinygrad_like.modes import departed, set_mode, thread_mode
from tinygrad_like.op import pick
from tinygrad_like.stamps import tick
from tinygrad_like.views import View

Hook = Callable[..., Any]


class HookHandle(RemovableHandle):
    """Takes a hook, and what was noted about it, out again."""

    def __init__(self, hooks: dict[int, Any], *notes: dict[int, Any]) -> None:
        super().__init__(hooks)
        self._notes = notes

    def remove(self) -> None:
        """Remove the hook; a second call does nothing."""
        super().remove()
        for note in self._notes:
            note.pop(self.id, None)
        _everywhere.settle()


# ----- Which module a node belongs to -------------------------------------------------------------


class Scope(NamedTuple):
    """One call of a module: what was recorded meanwhile has a tick between `first` and `last`."""

    module: Any
    first: int
    last: int


class _Recorder(NamedTuple):
    thread: int
    scopes: list[Scope]


_recorders: list[_Recorder] = []


@contextmanager
def record_modules() -> Iterator[list[Scope]]:
    """Note each module call of this thread, with the ticks of the clock before and after it.

    The list fills as calls end, inner ones first; so the first scope that contains a node's tick
    is the innermost module that recorded the node: see `module_of`. While no one records, calls
    cost nothing more.

    >>> import tinygrad_like as torch
    >>> from tinygrad_like.nn.module import module_of, record_modules
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU())
    >>> with record_modules() as scopes:
    ...     y = net(torch.ones(1, 2))
    >>> module_of(scopes, y.grad_fn.tick)
    ReLU()
    """
    recorder = _Recorder(threading.get_ident(), [])
    _recorders.append(recorder)
    Hooked._hooked = True
    try:
        yield recorder.scopes
    finally:
        _recorders[:] = [r for r in _recorders if r is not recorder]
        _everywhere.settle()


def module_of(scopes: Sequence[Scope], node_tick: int) -> Any:
    """Return the innermost module whose call recorded the node of that tick, or None."""
    for scope in scopes:
        if scope.first < node_tick < scope.last:
            return scope.module
    return None


# ----- Backward hooks -----------------------------------------------------------------------------


class _Gate(Node):
    """Passes several tensors through and shows their gradients to a module's hooks."""

    __slots__ = ("show",)
    show: Callable[[list[Any]], Sequence[Any]]

    def name(self) -> str:
        """Return PyTorch's name for it."""
        return "BackwardHookFunctionBackward"

    def backward(self, g: Any, saved: tuple[Any, ...], grads: dict[Node, Any]) -> None:
        """Pass on the gradients that the hooks leave."""
        del saved
        recorded = any(isinstance(d, Traced) for d in g)
        former = set_mode(recorded, False)
        try:
            shown = self.show([None if d is None else as_tensor(d) for d in g])
        finally:
            set_mode(*former)
        for parent, given in zip(self.parents, shown, strict=True):
            if given is None or parent is None or parent not in grads:
                continue
            d = given if recorded else given.array
            already = grads[parent]
            grads[parent] = d if already is None else already + d


class _HookedCall:
    """One call of a module with backward hooks: it meets the gradients of outputs, then of inputs."""

    __slots__ = (
        "forms",
        "grad_outputs",
        "hooks",
        "inputs",
        "module",
        "n_inputs",
        "outputs",
        "pre_hooks",
    )

    def __init__(self, module: Any, hooks: list[Hook], pre_hooks: list[Hook]) -> None:
        self.module, self.hooks, self.pre_hooks = module, hooks, pre_hooks
        self.grad_outputs: tuple[Any, ...] | None = None
        self.inputs: list[int] | None = None  # positions of tensors; None: no gradient goes there
        self.outputs: list[int] = []
        self.n_inputs = 0
        self.forms: list[Any] = []  # shape and dtype of each input that is a tensor

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the arguments behind a gate."""
        self.n_inputs = len(args)
        self.forms = [(a.array.shape, a.array.dtype) for a in args if isinstance(a, Traced)]
        gated, self.inputs = _through_gate(args, self.show_inputs)
        return gated  # type: ignore[no-any-return]

    def leave(self, result: Any) -> Any:
        """Return the result behind a gate."""
        single = isinstance(result, Traced)
        if not single and not isinstance(result, tuple):
            warnings.warn(
                "For backward hooks to be called, module output should be a Tensor or a tuple of Tensors "
                f"but received {type(result)}",
                stacklevel=5,
            )
            return result
        results: Any = (result,) if single else result
        count = len(results)

        def show(grads: list[Any]) -> Sequence[Any]:
            return self.show_outputs(grads, count)

        gated, positions = _through_gate(results, show)
        self.outputs = positions or []
        return gated[0] if single else gated

    def show_outputs(self, grads: list[Any], count: int) -> Sequence[Any]:
        """Show the gradients of the outputs, and if that is the end of it call the hooks at once."""
        seen = _placed(grads, self.outputs, count)
        for hook in self.pre_hooks:
            replaced = hook(self.module, seen)
            if replaced is None:
                continue
            if not isinstance(replaced, tuple):
                replaced = (replaced,)
            if len(replaced) != count:
                raise _miscounted("pre hook", "grad_output", replaced, count)
            seen = replaced
        if self.inputs is not None:
            self.grad_outputs = seen
        elif self.hooks:
            warnings.warn(
                "Full backward hook is firing when gradients are computed with respect to module outputs "
                "since no inputs require gradients.",
                stacklevel=5,
            )
            for hook in self.hooks:
                replaced = hook(self.module, (None,) * self.n_inputs, seen)
                if replaced is not None and any(g is not None for g in replaced):
                    raise told(
                        RuntimeError,
                        "Backward hook for Modules where no input requires gradient should always return "
                        "None or None for all gradients.",
                    )
        return [seen[i] for i in self.outputs]

    def show_inputs(self, grads: list[Any]) -> Sequence[Any]:
        """Show the gradients of the inputs, zeros where there is none, with those of the outputs."""
        grads = [
            as_tensor(np.zeros(*form)) if g is None else g
            for g, form in zip(grads, self.forms, strict=True)
        ]
        if self.grad_outputs is None or self.inputs is None:
            return grads  # the gradient came in by another way than the outputs
        seen = _placed(grads, self.inputs, self.n_inputs)
        for hook in self.hooks:
            replaced = hook(self.module, seen, self.grad_outputs)
            if replaced is None:
                continue
            if not isinstance(replaced, tuple | list):
                replaced = (replaced,)
            if len(replaced) != self.n_inputs:
                raise _miscounted("hook", "grad_input", replaced, self.n_inputs)
            seen = tuple(replaced)
        self.grad_outputs = None
        return [seen[i] for i in self.inputs]


def _miscounted(kind: str, what: str, got: Any, wanted: int) -> RuntimeError:
    counted = f"invalid number of {what}, got {len(got)}, but expected {wanted}"
    return told(RuntimeError, f"Backward {kind} returned an {counted}")


def _placed(grads: list[Any], positions: list[int], count: int) -> tuple[Any, ...]:
    """Return the gradients at their tensors' positions among `count` values, None elsewhere."""
    found = dict(zip(positions, grads, strict=True))
    return tuple(found.get(i) for i in range(count))


def _through_gate(values: Any, show: Callable[[list[Any]], Sequence[Any]]) -> Any:
    """Return `values` with their tensors behind a gate, and the positions of those tensors.

    Without a gradient to wait for they are returned as they are, and None.
    """
    positions = [i for i, value in enumerate(values) if isinstance(value, Traced)]
    wanted = any(values[i].node is not None for i in positions)
    if not wanted or (departed.count and not thread_mode.grad):
        return values, None
    gate = object.__new__(_Gate)
    gate.tick = tick()
    gate.parents = tuple(values[i].node for i in positions)
    gate.saved = ()
    gate.line = here()
    gate.hooks = None
    gate.show = show
    gate.shape = [values[i].array.shape for i in positions]
    gated = list(values)
    for index, position in enumerate(positions):
        source = values[position]
        tensor = result_type.make(source.array, None if source.node is None else pick(gate, index))
        # As in PyTorch an in-place write is refused: it would go round the gate.
        tensor._view = View(source, (), False)
        gated[position] = tensor
    return (tuple(gated) if type(values) is tuple else type(values)(*gated)), positions


# ----- Hooks of every module ----------------------------------------------------------------------


class _Everywhere:
    """Hooks that are called for every module there is, before a module's own."""

    def __init__(self) -> None:
        self.forward: OrderedDict[int, Hook] = OrderedDict()
        self.forward_pre: OrderedDict[int, Hook] = OrderedDict()
        self.backward: OrderedDict[int, Hook] = OrderedDict()
        self.backward_pre: OrderedDict[int, Hook] = OrderedDict()
        self.with_kwargs: dict[int, bool] = {}
        self.always: dict[int, bool] = {}

    def settle(self) -> None:
        """Note on the class of modules whether their calls must look for hooks."""
        Hooked._hooked = bool(
            self.forward or self.forward_pre or self.backward or self.backward_pre or _recorders
        )


_everywhere = _Everywhere()


def _register(hooks: OrderedDict[int, Hook], hook: Hook) -> HookHandle:
    handle = HookHandle(hooks, _everywhere.with_kwargs, _everywhere.always)
    hooks[handle.id] = hook
    _everywhere.settle()
    return handle


def register_module_forward_hook(
    hook: Hook, *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Call ``hook(module, args, output)`` after every module's ``forward``.

    See `Module.register_forward_hook`.
    """
    handle = _register(_everywhere.forward, hook)
    if with_kwargs:
        _everywhere.with_kwargs[handle.id] = True
    if always_call:
        _everywhere.always[handle.id] = True
    return handle


def register_module_forward_pre_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(module, args)`` before every module's ``forward``.

    See `Module.register_forward_pre_hook`.
    """
    return _register(_everywhere.forward_pre, hook)


def register_module_full_backward_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(module, grad_input, grad_output)`` for every module in a backward pass.

    See `Module.register_full_backward_hook`.
    """
    return _register(_everywhere.backward, hook)


def register_module_full_backward_pre_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(module, grad_output)`` for every module in a backward pass.

    See `Module.register_full_backward_pre_hook`.
    """
    return _register(_everywhere.backward_pre, hook)


# ----- Hooks of registering -----------------------------------------------------------------------

_registration: dict[str, OrderedDict[int, Hook]] = {
    kind: OrderedDict() for kind in ("buffer", "module", "parameter")
}


def announced(kind: str, module: Any, name: str, value: Any) -> Any:
    """Return what to register, once the hooks for that kind have seen it."""
    for hook in _registration[kind].values():
        replaced = hook(module, name, value)
        if replaced is not None:
            value = replaced
    return value


def _on_registration(kind: str, hook: Hook) -> RemovableHandle:
    handle = RemovableHandle(_registration[kind])
    _registration[kind][handle.id] = hook
    return handle


def register_module_buffer_registration_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(module, name, buffer)`` before a buffer is registered; it may return another."""
    return _on_registration("buffer", hook)


def register_module_module_registration_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(module, name, submodule)`` before a module is registered; it may return another."""
    return _on_registration("module", hook)


def register_module_parameter_registration_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(module, name, param)`` before a parameter is registered; it may return another."""
    return _on_registration("parameter", hook)


# ----- Hooks of one module ------------------------------------------------------------------------


class Hooked:
    """What a module knows of hooks: registering them, and a call that runs them."""

    # Whether `forward` is the package's own: then what it records happens on the line that called it.
    _ours = True

    # Read at each call, and False until somebody registers a hook or records: on the instance for a
    # module's own hooks, on this class for those of every module.
    _hooked = False

    _forward_hooks: OrderedDict[int, Hook]
    _forward_pre_hooks: OrderedDict[int, Hook]
    _backward_hooks: OrderedDict[int, Hook]
    _backward_pre_hooks: OrderedDict[int, Hook]
    _hooks_with_kwargs: dict[int, bool]
    _hooks_always_called: dict[int, bool]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        code = getattr(cls.forward, "__code__", None)
        cls._ours = code is not None and internal[code.co_filename]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the module's result."""
        raise NotImplementedError

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what ``forward`` returns, its hooks run around it."""
        try:  # which costs nothing
            if self._hooked:
                return self._call_with_hooks(args, kwargs)
            if not tracing.on:
                return self.forward(*args, **kwargs)
            former = calls.now
            if former is None:
                if not self._ours:
                    return self.forward(*args, **kwargs)
                frame = _getframe(1)
                code = frame.f_code
                line = (code, frame.f_lasti) if code is calls.known else user_line(frame)
                calls.now = (line, get_ident())
            elif self._ours or former[1] != get_ident():
                return self.forward(*args, **kwargs)
            else:
                calls.now = None
            try:
                return self.forward(*args, **kwargs)
            finally:
                calls.now = former
        except Exception as error:
            passing(error)
            raise

    def _add_hook(self, hooks: OrderedDict[int, Hook], hook: Hook, prepend: bool) -> HookHandle:
        handle = HookHandle(hooks, self._hooks_with_kwargs, self._hooks_always_called)
        hooks[handle.id] = hook
        if prepend:
            hooks.move_to_end(handle.id, last=False)
        self.__dict__["_hooked"] = True
        return handle

    def register_forward_pre_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args)`` before each ``forward``; it may return other arguments.

        Args:
            hook: returns None, or a tuple of arguments (or a single one); if `with_kwargs`, None or
                ``(args, kwargs)``.
            prepend: call it before the hooks there are.
            with_kwargs: call ``hook(module, args, kwargs)``.
        """
        handle = self._add_hook(self._forward_pre_hooks, hook, prepend)
        if with_kwargs:
            self._hooks_with_kwargs[handle.id] = True
        return handle

    def register_forward_hook(
        self,
        hook: Hook,
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after each ``forward``; it may return another output.

        Args:
            hook: returns None or an output.
            prepend: call it before the hooks there are.
            with_kwargs: call ``hook(module, args, kwargs, output)``.
            always_call: call it even if the forward raises, with the output None.

        >>> import tinygrad_like as torch
        >>> double = torch.nn.Identity()
        >>> handle = double.register_forward_hook(lambda module, args, output: output * 2)
        >>> double(torch.ones(2))
        tensor([2., 2.])
        >>> handle.remove()
        >>> double(torch.ones(2))
        tensor([1., 1.])
        """
        handle = self._add_hook(self._forward_hooks, hook, prepend)
        if with_kwargs:
            self._hooks_with_kwargs[handle.id] = True
        if always_call:
            self._hooks_always_called[handle.id] = True
        return handle

    def register_full_backward_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` once a backward pass has both.

        Args:
            hook: gets tuples as long as the positional arguments and the results, None where there
                is no gradient; it may return a tuple to use in place of `grad_input`.
            prepend: call it before the hooks there are.

        >>> import tinygrad_like as torch
        >>> net = torch.nn.ReLU()
        >>> handle = net.register_full_backward_hook(lambda m, into, out: print(m, into, out))
        >>> x = torch.tensor([-1.0, 2.0], requires_grad=True)
        >>> net(x).sum().backward()
        ReLU() (tensor([0., 1.]),) (tensor([1., 1.]),)
        """
        return self._add_hook(self._backward_hooks, hook, prepend)

    def register_backward_hook(self, hook: Hook) -> RemovableHandle:
        """Do what `register_full_backward_hook` does.

        PyTorch's hook of this old name sees the gradients of the last operation only.
        """
        return self.register_full_backward_hook(hook)

    def register_full_backward_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_output)`` before the backward pass enters the module.

        Args:
            hook: it may return a tuple to use in place of `grad_output`.
            prepend: call it before the hooks there are.
        """
        return self._add_hook(self._backward_pre_hooks, hook, prepend)

    def _call_with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        former = calls.now
        if former is not None and former[1] == get_ident():  # hooks are the user's
            calls.now = None
            try:
                return self._call_with_hooks(args, kwargs)
            finally:
                calls.now = former
        if not (
            self._forward_hooks
            or self._forward_pre_hooks
            or self._backward_hooks
            or self._backward_pre_hooks
        ):
            self.__dict__.pop("_hooked", None)
            _everywhere.settle()
        if not _recorders:
            return self._call_hooks(args, kwargs)
        thread = threading.get_ident()
        mine = [recorder for recorder in _recorders if recorder.thread == thread]
        first = tick()
        result = self._call_hooks(args, kwargs)
        for recorder in mine:
            recorder.scopes.append(Scope(self, first, tick()))
        return result

    def _call_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        called: set[int] = set()
        result = None
        try:
            args, kwargs = self._run_pre_hooks(args, kwargs)
            backward = [*_everywhere.backward.values(), *self._backward_hooks.values()]
            backward_pre = [*_everywhere.backward_pre.values(), *self._backward_pre_hooks.values()]
            call = _HookedCall(self, backward, backward_pre) if backward or backward_pre else None
            if call is not None:
                args = call.enter(args)
            result = self.forward(*args, **kwargs)
            for key, hook in [*_everywhere.forward.items(), *self._forward_hooks.items()]:
                called.add(key)
                replaced = self._run_forward_hook(key, hook, args, kwargs, result)
                if replaced is not None:
                    result = replaced
            return result if call is None else call.leave(result)
        except Exception:
            for key, hook in [*_everywhere.forward.items(), *self._forward_hooks.items()]:
                always = key in self._hooks_always_called or key in _everywhere.always
                if not always or key in called:
                    continue
                try:
                    replaced = self._run_forward_hook(key, hook, args, kwargs, result)
                    if replaced is not None:
                        result = replaced
                except Exception as error:
                    warnings.warn(
                        "module forward hook with ``always_call=True`` raised an exception that was "
                        f"silenced as another error was raised in forward: {error}",
                        stacklevel=4,
                    )
            raise

    def _run_pre_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for key, hook in [*_everywhere.forward_pre.items(), *self._forward_pre_hooks.items()]:
            if key in self._hooks_with_kwargs:
                replaced = hook(self, args, kwargs)
                if replaced is None:
                    continue
                if not (isinstance(replaced, tuple) and len(replaced) == 2):
                    raise told(
                        RuntimeError,
                        "forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got "
                        f"{replaced}.",
                    )
                args, kwargs = replaced
            else:
                replaced = hook(self, args)
                if replaced is not None:
                    args = replaced if isinstance(replaced, tuple) else (replaced,)
        return args, kwargs

    def _run_forward_hook(
        self, key: int, hook: Hook, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
    ) -> Any:
        if key in self._hooks_with_kwargs or key in _everywhere.with_kwargs:
            return hook(self, args, kwargs, result)
        return hook(self, args, result)
