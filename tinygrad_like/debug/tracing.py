"""Whether operations note the line of the user's program."""

from __future__ import annotations

from tinygrad_like.generate import trace_lines
from tinygrad_like.lines import tracing


class set_trace_lines:
    """Have operations that are recorded note the line they are on, or not; also a context manager.

    They do from the start: it costs 0.15 to 0.2 us an operation that the program calls, half a
    microsecond where it calls a layer, and 0.3 us for each layer where it calls a deep model (``python
    -m benchmarks --looking``). Errors, anomaly detection and pictures tell the lines. Operations that no
    gradient is wanted for note nothing in either case.

    Args:
        mode: whether lines are noted.

    >>> import tinygrad_like as torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> with torch.debug.set_trace_lines(False):
    ...     y = x * 2
    >>> y.grad_fn.line is None
    True
    """

    def __init__(self, mode: bool) -> None:
        self._former = tracing.on
        if mode != tracing.on:
            trace_lines(mode)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        if self._former != tracing.on:
            trace_lines(self._former)
