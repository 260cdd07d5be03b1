"""The library NumPy multiplies matrices with: asked and told its number of threads.

NumPy has no function for it, but the libraries do, and those it is linked with can be looked up in
its own extension module. Where none of the known functions is found, BLAS does as it likes.
"""

from __future__ import annotations

import ctypes
import glob
import os
import sys
import threading
from collections.abc import Callable

import numpy as np

_PAIRS = (
    ("scipy_openblas_set_num_threads64_", "scipy_openblas_get_num_threads64_"),
    ("scipy_openblas_set_num_threads", "scipy_openblas_get_num_threads"),
    ("openblas_set_num_threads64_", "openblas_get_num_threads64_"),
    ("openblas_set_num_threads", "openblas_get_num_threads"),
    ("MKL_Set_Num_Threads", "MKL_Get_Max_Threads"),
)
_PTHREADS = 1  # what OpenBLAS calls its own threads, as opposed to OpenMP's
_PATIENCE = "20"


def _libraries() -> list[str]:
    """Return the files in which functions of NumPy's BLAS may be found."""
    if sys.platform == "win32":
        folder = os.path.dirname(os.path.dirname(np.__file__))
        return glob.glob(os.path.join(folder, "numpy.libs", "*openblas*.dll"))
    # A name is looked up in what the extension module is linked with, too.
    return [str(sys.modules["numpy._core._multiarray_umath"].__file__)]


class Blas:
    """How many threads BLAS uses.

    Args:
        files: the libraries to look for its functions in.
    """

    def __init__(self, files: list[str]) -> None:
        self._get: Callable[[], int] | None = None
        self._set: Callable[[int], object] | None = None
        for file in files:
            try:
                library = ctypes.CDLL(file)
            except OSError:
                continue
            for setter, getter in _PAIRS:
                if hasattr(library, setter) and hasattr(library, getter):
                    self._set, self._get = library[setter], library[getter]
                    _shorten_patience(library, getter.replace("num_threads", "parallel"))
                    return

    def get(self) -> int | None:
        """Return the number of threads BLAS uses, None where it can't be asked."""
        return None if self._get is None else self._get()

    def set(self, count: int) -> None:
        """Have BLAS use `count` threads, where it can be told."""
        if self._set is not None:
            self._set(count)


def _shorten_patience(library: ctypes.CDLL, kind: str) -> None:
    """Have idle threads of OpenBLAS fall asleep after half a millisecond, not a tenth of a second.

    They wait for the next product by spinning, and would take turns on their cores with whoever
    works there meanwhile. Two to the power of 20 cycles are longer than what lies between the
    products of a small model, and short beside the work that is worth another thread. OpenBLAS
    reads its settings only at its start, so its threads are ended as they are before a fork; the
    next product starts new ones. That is left out where another thread might be using them, and
    where the functions are hidden, as in NumPy 2.5: there the setting is for the user to make.
    """
    setting = "OPENBLAS_THREAD_TIMEOUT"
    needed = ("openblas_read_env", "openblas_thread_timeout", "blas_thread_shutdown_", kind)
    if (
        sys.platform == "win32"
        or setting in os.environ
        or threading.active_count() > 1
        or not all(hasattr(library, name) for name in needed)
        or library[kind]() != _PTHREADS
    ):
        return
    os.putenv(setting, _PATIENCE)
    library.openblas_read_env()
    os.unsetenv(setting)
    library.blas_thread_shutdown_()


blas = Blas(_libraries())
