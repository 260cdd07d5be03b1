"""Whether operations are recorded: context managers that are decorators as well."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Generator
from typing import Any, TypeVar, overload

from tinygrad_like.modes import set_mode, thread_mode

__all__ = ["enable_grad", "inference_mode", "no_grad", "set_grad_enabled"]

Function = TypeVar("Function", bound=Callable[..., Any])


class _Mode:
    """Sets the modes of the running thread at its start and puts the former ones back at its end.

    One object may be entered several times, also while it is entered already.
    """

    __slots__ = ("_former",)

    def __init__(self) -> None:
        self._former: list[tuple[bool, bool]] = []

    def _wanted(self) -> tuple[bool, bool]:
        raise NotImplementedError

    def _again(self) -> _Mode:
        """Return an object like this one for a call of a decorated function."""
        return type(self)()

    def __enter__(self) -> None:
        self._former.append(set_mode(*self._wanted()))

    def __exit__(self, *_: object) -> None:
        set_mode(*self._former.pop())

    def __call__(self, func: Function) -> Function:
        """Return `func` wrapped to run in this mode."""
        if inspect.isclass(func):
            warnings.warn(
                "Decorating classes is deprecated and will be disabled in future versions. You should only "
                "decorate functions or methods.",
                FutureWarning,
                stacklevel=2,
            )
        again = self._again
        if inspect.isgeneratorfunction(func):

            @functools.wraps(func)
            def generate(*args: Any, **kwargs: Any) -> Any:
                return (yield from _between_yields(func(*args, **kwargs), again))

            return generate  # type: ignore[return-value]

        @functools.wraps(func)
        def run(*args: Any, **kwargs: Any) -> Any:
            with again():
                return func(*args, **kwargs)

        return run  # type: ignore[return-value]


def _between_yields(
    generator: Generator[Any, Any, Any], mode: Callable[[], _Mode]
) -> Generator[Any, Any, Any]:
    """Run `generator` in a mode that its consumer does not see."""
    step: Callable[[], Any] = functools.partial(next, generator)
    while True:
        try:
            with mode():
                value = step()
        except StopIteration as stop:
            return stop.value
        try:
            sent = yield value
        except GeneratorExit:
            with mode():
                generator.close()
            raise
        except BaseException as error:
            step = functools.partial(generator.throw, error)
        else:
            step = functools.partial(generator.send, sent)


class _PlainMode(_Mode):
    """A mode without a setting, which may decorate without being called."""

    __slots__ = ()

    @overload
    def __new__(cls, func: Function) -> Function: ...  # type: ignore[misc]
    @overload
    def __new__(cls, func: None = None) -> _PlainMode: ...
    def __new__(cls, func: Any = None) -> Any:
        """Return the context manager, or `func` decorated."""
        if func is None:
            return object.__new__(cls)
        return cls()(func)


class no_grad(_PlainMode):
    """Context manager and decorator inside which nothing is recorded.

    >>> import tinygrad_like as torch
    >>> x = torch.tensor(2.0, requires_grad=True)
    >>> with torch.no_grad():
    ...     y = x * x
    >>> y.requires_grad
    False
    """

    __slots__ = ()

    def _wanted(self) -> tuple[bool, bool]:
        return False, thread_mode.inference


class enable_grad(_PlainMode):
    """Context manager and decorator inside which operations are recorded, also within `no_grad`.

    >>> import tinygrad_like as torch
    >>> x = torch.tensor(2.0, requires_grad=True)
    >>> with torch.no_grad(), torch.enable_grad():
    ...     y = x * x
    >>> y.requires_grad
    True
    """

    __slots__ = ()

    def _wanted(self) -> tuple[bool, bool]:
        return True, thread_mode.inference


class set_grad_enabled(_Mode):
    """Have operations recorded or not: at once if called, until its end as a context manager.

    >>> import tinygrad_like as torch
    >>> with torch.set_grad_enabled(False):
    ...     torch.is_grad_enabled()
    False
    """

    __slots__ = ("mode",)

    def __init__(self, mode: bool) -> None:
        super().__init__()
        self.mode = mode
        self._former.append(set_mode(mode, thread_mode.inference))

    def _wanted(self) -> tuple[bool, bool]:
        return self.mode, thread_mode.inference

    def _again(self) -> _Mode:
        again = object.__new__(set_grad_enabled)
        again.mode, again._former = self.mode, []
        return again

    def __enter__(self) -> None:
        # The mode was set where the object was made: the first `with` ends that.
        self._former.append(set_mode(*self._wanted()))

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        if len(self._former) == 1:
            set_mode(*self._former.pop())

    def __call__(self, func: Function) -> Function:
        """Return `func` wrapped to run in this mode, which is not set for others."""
        if self._former:
            set_mode(*self._former.pop())
        return super().__call__(func)


class inference_mode(_Mode):
    """Context manager and decorator like `no_grad`, whose tensors can never take part in a graph.

    >>> import tinygrad_like as torch
    >>> with torch.inference_mode():
    ...     y = torch.tensor([1.0, 2.0]) * 2
    >>> y.is_inference()
    True
    """

    __slots__ = ("mode",)
    mode: bool

    @overload
    def __new__(cls, mode: Function) -> Function: ...  # type: ignore[misc]
    @overload
    def __new__(cls, mode: bool = True) -> inference_mode: ...
    def __new__(cls, mode: Any = True) -> Any:
        """Return the context manager (one without effect if `mode` is False), or `mode` decorated."""
        if not isinstance(mode, bool):
            return cls()(mode)
        made = object.__new__(cls)
        made.mode = mode
        return made

    def __init__(self, mode: bool = True) -> None:
        super().__init__()
        del mode

    def _wanted(self) -> tuple[bool, bool]:
        return not self.mode, self.mode

    def _again(self) -> _Mode:
        return type(self)(self.mode)
