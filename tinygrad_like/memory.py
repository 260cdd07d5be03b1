"""Keep freed memory for the next arrays.

A training step frees what it allocated, step after step. The C library hands large pieces back to
the system at once and has to ask for them again, and the system clears every page anew: on a
network of a few megabytes that took a third of the time. So glibc is told to keep what it has. What
a process needs at its peak doesn't change; only less of it is given back in between.

``MALLOC_TRIM_THRESHOLD_``, ``MALLOC_MMAP_THRESHOLD_`` or ``GLIBC_TUNABLES`` in the environment
overrule this, as they overrule glibc's own choice. Other C libraries are left alone.
"""

from __future__ import annotations

import ctypes
import os
import sys

KEPT = 256 << 20  # bytes: what may lie free at the end of the heap
_LARGEST = 32 << 20  # bytes: larger arrays get a mapping of their own; glibc takes no more

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of <malloc.h>


def _overruled() -> bool:
    """Return whether the environment says how glibc is to keep memory."""
    return (
        "MALLOC_TRIM_THRESHOLD_" in os.environ
        or "MALLOC_MMAP_THRESHOLD_" in os.environ
        or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "")
    )


def keep_freed() -> bool:
    """Tell glibc to keep freed memory; return whether it does."""
    if sys.platform != "linux" or _overruled():
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST) and mallopt(_TRIM_THRESHOLD, KEPT))
