"""Finding the operation that makes a gradient nan."""

from __future__ import annotations

import warnings

from tinygrad_like.modes import set_anomaly, thread_mode

__all__ = ["detect_anomaly", "is_anomaly_enabled", "set_detect_anomaly"]


def is_anomaly_enabled() -> bool:
    """Return True if backward passes of this thread look for nan."""
    return bool(thread_mode.anomaly)


class set_detect_anomaly:
    """Have backward passes look for nan or not: at once if called, until its end as a context manager.

    Args:
        mode: whether to look.
        check_nan: False looks for nothing, which is what PyTorch does too.
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._former = set_anomaly(mode and check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        set_anomaly(self._former)


class detect_anomaly(set_detect_anomaly):
    """Context manager inside which a backward that makes a nan raises, naming the forward line.

    The first operation that made a nan or an infinity forwards is told of too; `debug.detect_anomaly`
    stops there already.

    >>> import tinygrad_like as torch
    >>> import warnings
    >>> x = torch.tensor(0.0, requires_grad=True)
    >>> with warnings.catch_warnings(action="ignore"), torch.autograd.detect_anomaly():
    ...     try:
    ...         (x.log() * 0).backward()
    ...     except RuntimeError as error:
    ...         print(str(error).partition(":")[0])
    Function 'LogBackward0' returned nan values in its 0th output
    """

    def __init__(self, check_nan: bool = True) -> None:
        self._check_nan = check_nan
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should only "
            "be enabled for debugging.",
            stacklevel=2,
        )

    def __enter__(self) -> None:
        super().__init__(True, self._check_nan)
