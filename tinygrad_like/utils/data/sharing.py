"""Handing objects to another process: their arrays through memory that both processes map.

The memory is a file without a name (``memfd_create``), so nothing of it is left behind, whatever
happens to the processes. Where a system has no such files, arrays go through the pipe.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import weakref
from collections import deque
from collections.abc import Iterable
from multiprocessing import reduction
from typing import Any

import numpy as np

_ALIGNMENT = 64
_LEAST = 1 << 16  # what fits into a pipe is not worth the memory
_PAGE = mmap.ALLOCATIONGRANULARITY


def _offsets(sizes: Iterable[int]) -> tuple[list[tuple[int, int]], int]:
    """Return where parts of these sizes lie one after the other, and their whole length."""
    places, end = [], 0
    for size in sizes:
        places.append((end, size))
        end += -(-size // _ALIGNMENT) * _ALIGNMENT
    return places, end


def _create(size: int) -> int:
    """Return the descriptor of a new nameless file with room for `size` bytes.

    Raises:
        OSError: if there is not so much memory, or the system has no such files.
    """
    create = getattr(os, "memfd_create", None)
    if create is None:
        raise OSError("the system has no memfd_create")
    descriptor: int = create("tinygrad_like", os.MFD_CLOEXEC)
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _fill(memory: Any, places: list[tuple[int, int]], buffers: list[Any]) -> None:
    for (start, size), buffer in zip(places, buffers, strict=True):
        if size:
            target = np.frombuffer(memory, np.uint8, size, start)
            np.copyto(target, np.frombuffer(buffer, np.uint8))


def _parts(memory: Any, places: list[tuple[int, int]]) -> list[memoryview]:
    whole = memoryview(memory)
    return [whole[start : start + size] for start, size in places]


# ----- Batches, from a worker to the main process -------------------------------------------------


class Sender:
    """Sends objects over a connection, using memory again that its `Receiver` has done with."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.memory: dict[int, mmap.mmap] = {}
        self.free: set[int] = set()
        self.made = 0
        self.refusal = ""

    def release(self, numbers: Iterable[int]) -> None:
        """Take back memory whose contents nobody uses any more."""
        self.free.update(number for number in numbers if number in self.memory)

    def send(self, head: Any, body: Any) -> None:
        """Send two objects, the second one's arrays through shared memory if they are large."""
        collected: list[pickle.PickleBuffer] = []
        data = pickle.dumps(body, protocol=5, buffer_callback=collected.append)
        buffers = [buffer.raw() for buffer in collected]
        places, size = _offsets(buffer.nbytes for buffer in buffers)
        number, descriptor, forgotten = None, None, None
        if size >= _LEAST and not self.refusal:
            try:
                number, descriptor, forgotten = self._memory_for(size)
            except OSError as error:
                self.refusal = f"{size} bytes of shared memory were refused: {error}"
        if number is None:
            places = []
            if buffers:
                data = pickle.dumps(body, protocol=5)
        else:
            _fill(self.memory[number], places, buffers)
        new = len(self.memory[number]) if number is not None and descriptor is not None else 0
        message = (head, data, number, new, places, forgotten, self.refusal)
        self.connection.send_bytes(pickle.dumps(message, protocol=5))
        if descriptor is not None:
            reduction.send_handle(self.connection, descriptor, os.getppid())
            os.close(descriptor)

    def _memory_for(self, size: int) -> tuple[int, int | None, int | None]:
        """Return the number of memory with room, its descriptor if it is new, and what it replaces."""
        fitting = [number for number in self.free if len(self.memory[number]) >= size]
        if fitting:
            number = min(fitting, key=lambda number: len(self.memory[number]))
            self.free.discard(number)
            return number, None, None
        descriptor = _create(-(-size // _PAGE) * _PAGE)
        replaced = self.free.pop() if self.free else None
        if replaced is not None:
            del self.memory[replaced]
        self.made += 1
        self.memory[self.made] = mmap.mmap(descriptor, 0)
        return self.made, descriptor, replaced


class Receiver:
    """Receives what a `Sender` sends.

    Attributes:
        released: the numbers of memory whose contents nobody uses any more, for the sender.
        refusal: why no memory can be shared, "" as long as it can.
    """

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.memory: dict[int, mmap.mmap] = {}
        self.released: deque[int] = deque()
        self.refusal = ""

    def receive(self) -> tuple[Any, Any]:
        """Return the next two objects sent; arrays in the second are the shared memory itself.

        Raises:
            EOFError: if the sender is gone.
        """
        message = pickle.loads(self.connection.recv_bytes())
        head, data, number, new, places, forgotten, self.refusal = message
        if number is None:
            return head, pickle.loads(data)
        self.memory.pop(forgotten, None)
        if new:
            descriptor = reduction.recv_handle(self.connection)
            self.memory[number] = mmap.mmap(descriptor, new)
            os.close(descriptor)
        # This array lives as long as anything that was made of it.
        whole = np.frombuffer(self.memory[number], np.uint8)
        weakref.finalize(whole, self.released.append, number).atexit = False
        return head, pickle.loads(data, buffers=_parts(whole, places))

    def take_released(self) -> list[int]:
        """Return what was released since this was last called."""
        return [self.released.popleft() for _ in range(len(self.released))]


# ----- The data set, from the main process to its workers -----------------------------------------


class _Pickler(pickle.Pickler):
    """Pickles arrays that lie in a mapped file as where they lie."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, np.ndarray) and (found := _place_in_file(obj)) is not None:
            return found
        return NotImplemented


def _place_in_file(array: Any) -> Any:
    """Return how to map the part of a file that an array is, None if it is none."""
    root, base = None, array
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap):
            root = base
        base = base.base
    if root is None or not isinstance(base, mmap.mmap) or root.filename is None:
        return None
    if root.mode not in ("r", "r+", "w+"):
        return None  # "c": what was written is in this process only
    start = array.__array_interface__["data"][0] - root.__array_interface__["data"][0]
    mode = "r" if root.mode == "r" else "r+"
    place = (str(root.filename), mode, root.offset + start)
    return _map_again, (*place, array.dtype, array.shape, array.strides)


def _map_again(
    name: str,
    mode: Any,
    offset: int,
    dtype: Any,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
) -> Any:
    whole = np.memmap(name, np.uint8, mode)
    made: Any = np.ndarray(shape, dtype, whole, offset, strides)
    return made


def pickled(body: Any) -> tuple[bytes, list[Any]]:
    """Return an object pickled, and its large arrays.

    Raises:
        Exception: whatever says that something cannot be pickled.
    """
    buffers: list[Any] = []

    def keep(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < _LEAST or not hasattr(os, "memfd_create"):
            return True
        buffers.append(raw)
        return False

    stream = io.BytesIO()
    _Pickler(stream, protocol=5, buffer_callback=keep).dump(body)
    return stream.getvalue(), buffers


class Handout:
    """An object that is sent to several processes, its large arrays once for all of them."""

    def __init__(self, body: Any) -> None:
        self.data, buffers = pickled(body)
        self.places, size = _offsets(buffer.nbytes for buffer in buffers)
        self.descriptor: int | None = None
        if buffers:
            self.descriptor = _create(size)
            _fill(mmap.mmap(self.descriptor, 0), self.places, buffers)

    def send(self, connection: Any, process: int) -> None:
        """Send the object to a process."""
        connection.send_bytes(pickle.dumps((self.data, self.places)))
        if self.descriptor is not None:
            reduction.send_handle(connection, self.descriptor, process)

    def close(self) -> None:
        """Let the memory go when those who were sent it have."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


def receive_handout(connection: Any) -> Any:
    """Return the object that a `Handout` sent; writing to its arrays changes them here only."""
    data, places = pickle.loads(connection.recv_bytes())
    if not places:
        return pickle.loads(data)
    descriptor = reduction.recv_handle(connection)
    memory = mmap.mmap(descriptor, 0, access=mmap.ACCESS_COPY)
    os.close(descriptor)
    return pickle.loads(data, buffers=_parts(memory, places))
