"""How kernels are compiled: numba with a cache on disk that is this package's own.

Importing this module imports numba.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

# A product and a sum may become one instruction, and sums may be taken in another order, which is
# what lets them use vectors. Infinities, nans and the sign of zero keep their meaning.
_FLAGS = {"contract", "reassoc"}


def cache_folder() -> str | None:
    """Return the folder of the compiled kernels, None where none can be written.

    It is ``$TINYGRAD_LIKE_CACHE``, or ``tinygrad_like`` among the user's caches. In it the kernels
    of each state of their sources have a folder: numba itself would not see that a function that a
    kernel calls has changed.
    """
    named = os.environ.get("TINYGRAD_LIKE_CACHE")
    if named:
        base = Path(named)
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", "~")).expanduser() / "tinygrad_like"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "tinygrad_like"
    state = hashlib.sha256(numba.__version__.encode())
    here = Path(__file__).parent
    for path in sorted([*here.glob("*.py"), *here.parent.glob("nn/optim/*.py")]):
        state.update(path.read_bytes())
    folder = base / state.hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return None
    return str(folder)


_FOLDER = cache_folder()
_PROCESS = uuid.uuid4().hex
_config: Any = numba.config
_typeof: Any = numba.typeof


def kernel(function: Callable[..., Any]) -> Any:
    """Compile the decorated function when it is first called with arrays of new types.

    It lets other threads run meanwhile. It must not raise, and must not allocate.
    """
    former, _config.CACHE_DIR = _config.CACHE_DIR, _FOLDER or ""
    try:
        made = numba.njit(
            nogil=True, error_model="numpy", fastmath=_FLAGS, cache=_FOLDER is not None
        )(function)
    finally:
        _config.CACHE_DIR = former
    _share_cache(made)
    return made


def _share_cache(made: Any, process: str = _PROCESS) -> None:
    """Let several processes, and several copies of the same sources, fill a kernel's cache at once.

    numba counts the files of a kernel: two processes that compile it for two dtypes at the same time
    would write one file, and the code for one dtype would later be run on arrays of the other.
    And it takes a file's time for its state, which the folder's name tells better.
    """
    file: Any = getattr(getattr(made, "_cache", None), "_cache_file", None)
    if hasattr(file, "_data_name_pattern") and hasattr(file, "_source_stamp"):
        file._data_name_pattern = file._data_name_pattern.replace(".nbc", f".{process}.nbc")
        file._source_stamp = "the folder's name"


def kernel_of_views(*, reads: int) -> Callable[[Callable[..., Any]], Callable[..., None]]:
    """Compile the decorated kernel once for each dtype, for arrays of any strides.

    Args:
        reads: how many arrays, the first ones, are only read.
    """

    def declare(function: Callable[..., Any]) -> Callable[..., None]:
        made = kernel(function)
        known: set[Any] = set()
        lock = threading.Lock()

        def prepare(args: tuple[Any, ...]) -> None:
            kinds = [_typeof(a) for a in args]
            for i, kind in enumerate(kinds):
                if isinstance(kind, numba.types.Array):
                    kinds[i] = kind.copy(layout="A", readonly=i < reads)
            with lock:  # else one thread forbids compiling before another has begun to
                made.disable_compile(False)
                made.compile(tuple(kinds))
                made.disable_compile()
            known.add(args[0].dtype)

        def run(*args: Any) -> None:
            if args[0].dtype not in known:
                prepare(args)
            made(*args)

        return run

    return declare


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a part of kernels, put in the place of every call of it.

    Its arithmetic is done in the order written (a product and a sum may become one instruction).
    """
    return numba.njit(error_model="numpy", fastmath={"contract"}, forceinline=True)(function)


def inlined_sum(function: Callable[..., Any]) -> Any:
    """Compile a part of kernels like `inlined`, whose sums may be taken in another order."""
    return numba.njit(error_model="numpy", fastmath=_FLAGS, forceinline=True)(function)
