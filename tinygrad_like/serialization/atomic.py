"""Writing a file so that it is either as it was or whole: what happens in between is never seen."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def replacing(path: str) -> Iterator[Any]:
    """Return a file to write; at the end of the block it takes the place of the one at `path`.

    If the block raises, or the disk is full, the former file stays and nothing else does. Where the
    system can (Linux), the new file has no name until it is whole, so that not even a killed process
    leaves a piece of it.

    Raises:
        OSError: if there is no such folder, or it may not be written into.

    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "numbers"
    >>> with replacing(str(path)) as file:
    ...     _ = file.write(b"1 2 3")
    >>> path.read_bytes()
    b'1 2 3'
    """
    target = os.path.realpath(path)  # what a link points to is replaced, not the link
    if os.path.exists(target) and not os.path.isfile(target):
        with open(target, "wb") as file:  # a device or a pipe
            yield file
        return
    folder, name = os.path.split(target)
    temporary = os.path.join(folder, f".{name[:100]}.{secrets.token_hex(6)}.tmp")
    descriptor, named = _open(folder, temporary)
    try:
        with open(descriptor, "wb") as file:
            yield file
            file.flush()
            if os.path.exists(target) and hasattr(os, "fchmod"):
                os.fchmod(descriptor, os.stat(target).st_mode & 0o7777)
            os.fsync(descriptor)
            if not named:
                _name(descriptor, temporary)
                named = True
        os.replace(temporary, target)
    except BaseException:
        if named:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        raise


def _open(folder: str, temporary: str) -> tuple[int, bool]:
    """Return an empty file in a folder, and whether it has a name already."""
    if hasattr(os, "O_TMPFILE") and os.path.isdir("/proc/self/fd"):
        # Not every file system knows such files.
        with contextlib.suppress(OSError):
            return os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o666), False
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
    flags |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    return os.open(temporary, flags, 0o666), True


def _name(descriptor: int, path: str) -> None:
    """Give a file without name one (open(2) of Linux, on O_TMPFILE)."""
    folder = os.open("/proc/self/fd", os.O_RDONLY)
    try:
        os.link(str(descriptor), path, src_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)
