"""Computing values again in backward instead of keeping them.

There are two ways, as in PyTorch. The older one (``use_reentrant=True``) computes without recording
and, in backward, computes again with recording and walks back through that. The newer one records
as usual, but its hooks keep nothing of what is saved: when the first value is needed, the function
runs again just far enough to save everything anew.
"""

from __future__ import annotations

import contextlib
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from tinygrad_like.autograd.function import Function
from tinygrad_like.autograd.grad_mode import enable_grad, no_grad
from tinygrad_like.autograd.graph import saved_tensors_hooks
from tinygrad_like.backward import backward
from tinygrad_like.dtypes import named
from tinygrad_like.graph import Traced, result_type
from tinygrad_like.lines import Line, describe, here, told
from tinygrad_like.modes import thread_mode
from tinygrad_like.random import fork_rng, get_rng_state, set_rng_state
from tinygrad_like.saving import Packed
from tinygrad_like.stamps import tick, version

__all__ = [
    "CheckpointError",
    "CheckpointFunction",
    "check_backward_validity",
    "checkpoint",
    "checkpoint_sequential",
    "detach_variable",
    "noop_context_fn",
    "set_checkpoint_debug_enabled",
    "set_checkpoint_early_stop",
]

Contexts = tuple[AbstractContextManager[Any], AbstractContextManager[Any]]


class CheckpointError(RuntimeError):
    """Raised where running a function again does not save what it saved at first."""


class _Settings:
    """What holds for all calls instead of their own arguments, None: nothing."""

    early_stop: bool | None = None
    debug: bool | None = None


@contextlib.contextmanager
def _set(name: str, value: bool | None) -> Iterator[None]:
    former = getattr(_Settings, name)
    setattr(_Settings, name, value)
    try:
        yield
    finally:
        setattr(_Settings, name, former)


def set_checkpoint_early_stop(enable: bool) -> AbstractContextManager[None]:
    """Return a context manager inside which `checkpoint` is given ``early_stop=enable``."""
    return _set("early_stop", enable)


def set_checkpoint_debug_enabled(enabled: bool | None) -> AbstractContextManager[None]:
    """Return a context manager inside which `checkpoint` is given ``debug=enabled``; None lifts it."""
    return _set("debug", enabled)


def noop_context_fn() -> Contexts:
    """Return two context managers that do nothing."""
    return contextlib.nullcontext(), contextlib.nullcontext()


# ----- The public functions -----------------------------------------------------------------------


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], Contexts] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """Return ``function(*args, **kwargs)``, whose values are computed again in backward, not kept.

    Args:
        function: must compute the same when it is called again.
        args: what it is given; tensors among them are kept.
        use_reentrant: True records nothing at first and does not work with `autograd.grad`, with
            keyword arguments, or with tensors inside lists; False is better in every way, but None
            still means True, with a warning.
        context_fn: returns two context managers, one for the call and one for the call in backward.
        determinism_check: "default" compares the shapes and dtypes of what is saved both times,
            "none" does not.
        debug: errors tell where in the program values were saved, both times.
        early_stop: stop the call in backward as soon as everything that was saved is there again.
        kwargs: further arguments of `function`. ``preserve_rng_state`` (True if not given) is not
            passed on: it has the second call draw the same random numbers as the first.

    Raises:
        ValueError: for arguments that don't go together.
        CheckpointError: in backward, if the second call saves something else.

    >>> import tinygrad_like as torch
    >>> from tinygrad_like.utils.checkpoint import checkpoint
    >>> def f(x):
    ...     print("computing")
    ...     return x.exp().sin()
    >>> x = torch.tensor([0.0, 1.0], requires_grad=True)
    >>> y = checkpoint(f, x, use_reentrant=False).sum()
    computing
    >>> y.backward()
    computing
    >>> x.grad
    tensor([ 0.5403, -2.4784])
    """
    if use_reentrant is None:
        use_reentrant = _as_ever("checkpoint")
    preserve = kwargs.pop("preserve_rng_state", True)
    if not use_reentrant:
        return _checkpoint_by_hooks(
            function, args, kwargs, preserve, context_fn, determinism_check, debug, early_stop
        )
    _refuse_keywords(kwargs)
    if context_fn is not noop_context_fn or debug is not False:
        raise told(
            ValueError,
            "Passing `context_fn` or `debug` is only supported when use_reentrant=False.",
        )
    return CheckpointFunction.apply(function, preserve, *args)


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any
) -> Any:
    """Return what a chain of functions makes of `input`, keeping only what passes between segments.

    Args:
        functions: a `Sequential`, or functions (modules) each given the result of the last.
        segments: how many pieces the chain is cut into; the last is not computed again.
        input: what the first is given.
        use_reentrant: as in `checkpoint`.
        kwargs: may have ``preserve_rng_state``, as in `checkpoint`.

    Raises:
        ValueError: for other keyword arguments, and if there are fewer functions than segments.

    >>> import tinygrad_like as torch
    >>> from tinygrad_like.utils.checkpoint import checkpoint_sequential
    >>> x = torch.tensor([0.0, 1.0], requires_grad=True)
    >>> y = checkpoint_sequential([torch.exp, torch.sin, torch.tanh], 2, x, use_reentrant=False)
    >>> y.sum().backward()
    >>> x.grad
    tensor([ 0.2856, -2.1031])
    """
    if use_reentrant is None:
        use_reentrant = _as_ever("checkpoint_sequential")
    preserve = kwargs.pop("preserve_rng_state", True)
    _refuse_keywords(kwargs)
    chain = list(functions.children() if hasattr(functions, "children") else functions)
    size = len(chain) // segments
    if not size:
        raise told(
            ValueError,
            f"checkpoint_sequential: {len(chain)} functions can't be cut into {segments} segments",
        )
    last = size * (segments - 1)
    for start in range(0, last, size):
        run = _Chain(chain[start : start + size])
        input = checkpoint(run, input, use_reentrant=use_reentrant, preserve_rng_state=preserve)
    return _Chain(chain[last:])(input)


class _Chain:
    """Functions, each given the result of the last."""

    def __init__(self, functions: Sequence[Callable[[Any], Any]]) -> None:
        self.functions = functions

    def __call__(self, value: Any) -> Any:
        for function in self.functions:
            value = function(value)
        return value


def _as_ever(name: str) -> bool:
    """Warn that nobody said which way to go, and return what that means."""
    warnings.warn(
        f"torch.utils.checkpoint.{name}: the use_reentrant parameter should be passed explicitly. "
        "use_reentrant=False is recommended, but if you need to preserve the current default "
        "behavior, you can pass use_reentrant=True.",
        stacklevel=3,
    )
    return True


def _refuse_keywords(kwargs: dict[str, Any]) -> None:
    if kwargs:
        raise told(ValueError, f"Unexpected keyword arguments: {','.join(kwargs)}")


@contextlib.contextmanager
def _replayed(state: Any) -> Iterator[None]:
    """Draw, inside, the random numbers that follow `state`; None: those that come anyway."""
    with fork_rng(enabled=state is not None):
        if state is not None:
            set_rng_state(state)
        yield


# ----- Recording later (use_reentrant=True) -------------------------------------------------------


def check_backward_validity(inputs: Iterable[Any]) -> None:
    """Warn if no tensor among `inputs` requires a gradient."""
    if not any(isinstance(value, Traced) and value.node is not None for value in inputs):
        warnings.warn(
            "None of the inputs have requires_grad=True. Gradients will be None", stacklevel=2
        )


def detach_variable(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return `inputs` with leaves in the places of the tensors among them.

    Raises:
        RuntimeError: if `inputs` is not a tuple.
    """
    if not isinstance(inputs, tuple):
        raise told(
            RuntimeError,
            f"Only tuple of tensors is supported. Got Unsupported input type: {type(inputs).__name__}",
        )
    return tuple(_leaf(value) if isinstance(value, Traced) else value for value in inputs)


def _leaf(tensor: Any) -> Any:
    leaf = tensor.detach()
    leaf.requires_grad = tensor.requires_grad
    return leaf


class CheckpointFunction(Function):
    """What `checkpoint` applies to a function that is recorded in backward only."""

    @staticmethod
    def forward(ctx: Any, run_function: Callable[..., Any], preserve: bool, *args: Any) -> Any:
        """Compute, and keep the arguments."""
        check_backward_validity(args)
        ctx.run_function = run_function
        ctx.state = get_rng_state() if preserve else None
        ctx.others = [None if isinstance(value, Traced) else value for value in args]
        ctx.save_for_backward(*[v if isinstance(v, Traced) else None for v in args])
        with no_grad():
            return run_function(*args)

    @staticmethod
    def backward(ctx: Any, *args: Any) -> Any:
        """Compute again, with recording, and walk back.

        Raises:
            RuntimeError: if the gradients of certain tensors only were asked for, since this adds to
                the ``.grad`` of every leaf the function uses; and if no result requires a gradient.
        """
        if thread_mode.targeted:
            raise told(
                RuntimeError,
                "When use_reentrant=True, torch.utils.checkpoint is incompatible with .grad() or "
                "passing an `inputs` parameter to .backward(). To resolve this error, you can either "
                "set use_reentrant=False, or call .backward() without passing the `inputs` argument.",
            )
        tensors = ctx.saved_tensors
        inputs = detach_variable(
            tuple(
                other if tensor is None else tensor
                for tensor, other in zip(tensors, ctx.others, strict=True)
            )
        )
        with _replayed(ctx.state), enable_grad():
            outputs = ctx.run_function(*inputs)
        pairs = [
            (output, grad)
            for output, grad in zip(
                outputs if isinstance(outputs, tuple) else (outputs,), args, strict=True
            )
            if isinstance(output, Traced) and output.node is not None
        ]
        if not pairs:
            raise told(
                RuntimeError,
                "none of output has requires_grad=True, this checkpoint() is not necessary",
            )
        backward([output for output, _ in pairs], [grad for _, grad in pairs])
        found = [None if t is None else v.grad for v, t in zip(inputs, tensors, strict=True)]
        return (None, None, *found)


# ----- Keeping nothing (use_reentrant=False) ------------------------------------------------------


class _Saved(NamedTuple):
    """What is known of a saved tensor that was not kept."""

    shape: tuple[int, ...]
    dtype: str
    line: Line | None

    def __str__(self) -> str:
        return f"shape {self.shape}, {self.dtype}"


def _known(tensor: Any, debug: bool) -> _Saved:
    array = tensor.array
    return _Saved(tuple(array.shape), str(named(array.dtype)), here() if debug else None)


class _Place:
    """Stands on the tape for a saved tensor; holds its values between computing and needing them."""

    __slots__ = ("__weakref__", "tensor", "tick")

    def __init__(self) -> None:
        self.tensor: Any = None
        self.tick = 0

    def take(self) -> Any:
        """Return the tensor and let go of it.

        Raises:
            RuntimeError: if its memory was written since.
        """
        tensor, self.tensor = self.tensor, None
        if version(tensor.array) > self.tick:
            raise _overwritten("a value of", tensor)
        return tensor


class _Argument:
    """A tensor that the function was given, handed to hooks around the checkpoint if there are any."""

    def __init__(self, tensor: Any) -> None:
        self.node = tensor.node
        self.packed = Packed(tensor) if thread_mode.saving else None
        self.tensor: Any = None if self.packed else tensor
        self.tick = tick()

    def get(self) -> Any:
        """Return the tensor in its place in the graph.

        Raises:
            RuntimeError: if its memory was written since.
        """
        if self.packed is not None:
            return result_type.make(self.packed.array(), self.node)
        if version(self.tensor.array) > self.tick:
            raise _overwritten("an argument of", self.tensor)
        return self.tensor


def _overwritten(what: str, tensor: Any) -> RuntimeError:
    return RuntimeError(
        "one of the variables needed for gradient computation has been modified by an inplace "
        f"operation: {what} a checkpointed function, of shape {tuple(tensor.array.shape)}, was "
        "overwritten; write into a clone() instead"
    )


class _StopEarly(BaseException):
    """Ends a second call: all that was saved is there again."""


class _Call:
    """One call of a checkpointed function: how to repeat it, and who waits for what it saved."""

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        state: Any,
        context: AbstractContextManager[Any],
        checked: bool,
        debug: bool,
        early_stop: bool,
    ) -> None:
        self.function, self.kwargs, self.state, self.context = function, kwargs, state, context
        self.args = [_Argument(a) if isinstance(a, Traced) else a for a in args]
        self.checked, self.debug, self.early_stop = checked, debug, early_stop
        self.places: list[weakref.ref[_Place]] = []
        self.saved: list[_Saved] = []
        self.returned = False  # a backward may begin before, inside the function

    def pack(self, tensor: Any) -> _Place:
        """Keep nothing of a tensor but what it looks like."""
        place = _Place()
        self.places.append(weakref.ref(place))
        self.saved.append(_known(tensor, self.debug))
        return place

    def unpack(self, place: _Place) -> Any:
        """Return the tensor that belongs to `place`, computed now if it isn't there."""
        if place.tensor is None:
            _Repetition(self).run()
        return place.take()


class _Repetition:
    """A second call, which fills the places that the first one left empty."""

    def __init__(self, call: _Call) -> None:
        self.call = call
        self.saved: list[_Saved] = []

    def run(self) -> None:
        """Call the function again.

        Raises:
            CheckpointError: if it does not save the same as at first.
        """
        call = self.call
        args = [a.get() if isinstance(a, _Argument) else a for a in call.args]
        try:
            with (
                _replayed(call.state),
                call.context,
                saved_tensors_hooks(self.pack, lambda tensor: tensor),
                enable_grad(),
            ):
                call.function(*args, **call.kwargs)
        except _StopEarly:
            pass
        if len(self.saved) < len(call.saved) or (call.returned and self.saved[len(call.saved) :]):
            raise self.error(
                "A different number of tensors was saved during the original forward and "
                f"recomputation.\nNumber of tensors saved during forward: {len(call.saved)}\nNumber of "
                f"tensors saved during recomputation: {len(self.saved)}"
            )
        pairs = zip(call.saved, self.saved, strict=False)
        different = [i for i, (a, b) in enumerate(pairs) if a[:2] != b[:2]]
        if different and call.checked:
            raise self.error(
                "Recomputed values for the following tensors have different metadata than during the "
                "forward pass."
                + "".join(
                    f"\ntensor at position {i}:\nsaved metadata: {call.saved[i]}\n"
                    f"recomputed metadata: {self.saved[i]}"
                    for i in different
                )
            )

    def pack(self, tensor: Any) -> Any:
        """Put a tensor into the place that waits for it."""
        call, index = self.call, len(self.saved)
        self.saved.append(_known(tensor, call.debug))
        tensor = tensor.detach()
        place = call.places[index]() if index < len(call.places) else None
        if place is not None:
            place.tensor, place.tick = tensor, tick()
        if call.early_stop and index + 1 == len(call.places):
            raise _StopEarly
        return tensor

    def error(self, text: str) -> CheckpointError:
        """Return the error for a call that was not like the first, which leaves every place empty."""
        for reference in self.call.places:
            place = reference()
            if place is not None:
                place.tensor = None
        if not self.call.debug:
            text += "\nPass debug=True to checkpoint() to be told where tensors were saved."
        else:
            for title, saved in (("forward", self.call.saved), ("recomputation", self.saved)):
                text += f"\nSaved during {title}:" + "".join(
                    f"\n  {i}: {entry} at {describe(entry.line)}" for i, entry in enumerate(saved)
                )
        return CheckpointError(f"torch.utils.checkpoint: {text}")


def _checkpoint_by_hooks(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    preserve: bool,
    context_fn: Callable[[], Contexts],
    determinism_check: str,
    debug: bool,
    early_stop: bool,
) -> Any:
    debug = debug if _Settings.debug is None else _Settings.debug
    if debug and context_fn is not noop_context_fn:
        raise told(ValueError, "debug=True is incompatible with non-default context_fn")
    if determinism_check not in ("default", "none"):
        raise told(
            ValueError,
            "determinism_check should be one of ['default', 'none'], but got " + determinism_check,
        )
    around, around_again = context_fn()
    if not thread_mode.grad:
        return function(*args, **kwargs)
    call = _Call(
        function,
        args,
        kwargs,
        get_rng_state() if preserve else None,
        around_again,
        determinism_check == "default",
        debug,
        early_stop if _Settings.early_stop is None else _Settings.early_stop,
    )
    with saved_tensors_hooks(call.pack, call.unpack), around:
        result = function(*args, **kwargs)
        call.returned = True
    if not call.returned:
        raise told(
            RuntimeError,
            "torch.utils.checkpoint: the forward context provided by context_fn suppressed an "
            "exception raised during the checkpointed forward. This is not supported because "
            "checkpoint cannot return a value for a failed forward.",
        )
    return result
