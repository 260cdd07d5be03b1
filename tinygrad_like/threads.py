"""How many threads work, and the pool that shares large pieces of work out between them.

There are two kinds of workers, and one number for both. Matrix products are left to the threads of
the BLAS that NumPy brings, which starts them in a microsecond. All else that is large (elementwise
passes, norms, convolutions, compiled kernels, batched products) is cut by rows with `split` and
done by Python threads, for NumPy and compiled kernels let others run while they compute. The two
never work at once: while pieces run, BLAS is told to use one thread.

A hand-over to a Python thread takes 30 to 50 microseconds if its core is asleep, so only work that
takes several times as long is cut. The caller works too and takes pieces like everybody else: where
a worker comes late, because its core is busy, the caller has done its pieces instead of waiting.
"""

from __future__ import annotations

import contextvars
import itertools
import os
import threading
from _thread import allocate_lock
from collections.abc import Callable
from functools import partial
from operator import itemgetter

from tinygrad_like.blas import blas

__all__ = [
    "get_num_interop_threads",
    "get_num_threads",
    "set_num_interop_threads",
    "set_num_threads",
]

Work = Callable[[int, int], object]

LEAST_BYTES = 1 << 22  # less than this is not worth a hand-over, see `split`


# ----- How many -----------------------------------------------------------------------------------


def _wished() -> int | None:
    """Return the number of threads the environment asks for."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        first = os.environ.get(name, "").partition(",")[0].strip()
        if first.isdigit() and int(first):
            return int(first)
    return None


def _available() -> int:
    """Return the number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    try:  # a container's share of the machine
        with open("/sys/fs/cgroup/cpu.max") as file:
            quota, period = file.read().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))


def _at_start() -> int:
    """Return the number of threads to begin with, no more than BLAS has been limited to."""
    count = _wished() or _available()
    allowed = blas.get()
    if allowed is not None and allowed <= count:
        return allowed
    blas.set(count)
    return count


_threads = _at_start()
_interop_threads = 1


def get_num_threads() -> int:
    """Return how many threads one operation may use.

    At first that is ``OMP_NUM_THREADS`` or ``OPENBLAS_NUM_THREADS`` if the environment has one of
    them, otherwise the number of cores this process may use.
    """
    return _threads


def set_num_threads(num: int) -> None:
    """Let one operation use `num` threads: those of BLAS for products, the package's own otherwise.

    NumPy uses the same BLAS, so this holds for products of plain arrays as well.

    Raises:
        RuntimeError: if `num` is not a positive integer.

    >>> import tinygrad_like as torch
    >>> former = torch.get_num_threads()
    >>> torch.set_num_threads(1)
    >>> torch.get_num_threads()
    1
    >>> torch.set_num_threads(former)
    """
    global _threads
    _threads = _positive("set_num_threads", num)
    blas.set(num)


def get_num_interop_threads() -> int:
    """Return what `set_num_interop_threads` was told, at first 1."""
    return _interop_threads


def set_num_interop_threads(num: int) -> None:
    """Take a number of operations to run at once, for PyTorch's sake: it is always one.

    Raises:
        RuntimeError: if `num` is not a positive integer.
    """
    global _interop_threads
    _interop_threads = _positive("set_num_interop_threads", num)


def _positive(name: str, num: int) -> int:
    if type(num) is not int:
        raise RuntimeError(f"{name} expects an int, but got {type(num).__name__}")
    if num < 1:
        raise RuntimeError(f"{name} expects a positive integer, but got {num}")
    return num


# ----- The pool -----------------------------------------------------------------------------------


class _Worker:
    """A Python thread that waits for a task.

    Locks hand over fastest. A task that was not begun yet can be taken back.
    """

    __slots__ = ("_done", "_given", "_wake")

    def __init__(self) -> None:
        self._given: list[Callable[[], object]] = []  # at most one: taking it out is atomic
        self._wake, self._done = allocate_lock(), allocate_lock()
        self._wake.acquire()
        self._done.acquire()
        threading.Thread(target=self._run, name="tinygrad_like", daemon=True).start()

    def _run(self) -> None:
        while True:
            self._wake.acquire()
            try:
                task = self._given.pop()
            except IndexError:  # taken back
                continue
            task()
            del task  # nothing of it may be held once it is said to be done
            self._done.release()

    def give(self, task: Callable[[], object]) -> None:
        """Have `task`, which must not raise, done."""
        self._given.append(task)
        if self._wake.locked():  # or else it is still about to wake up for a task taken back
            self._wake.release()

    def finish(self) -> None:
        """Return when the task is done, or was taken back."""
        try:
            self._given.pop()
        except IndexError:
            self._done.acquire()


class _Pool:
    """The workers of this process, started when they are first needed; one caller at a time."""

    __slots__ = ("busy", "workers")

    def __init__(self) -> None:
        self.busy = allocate_lock()
        self.workers: list[_Worker] = []

    def enlist(self, count: int) -> list[_Worker]:
        """Return that many workers, or fewer where no thread can be started."""
        try:
            while len(self.workers) < count:
                self.workers.append(_Worker())
        except RuntimeError:  # a platform without threads, or an interpreter that is shutting down
            pass
        return self.workers[:count]


_pool = _Pool()


def _forget() -> None:
    """Begin with an empty pool: the threads of the former stayed in another process, or in a task."""
    global _pool
    _pool = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def split(count: int, work: Work, bytes_: int) -> None:
    """Do ``work(start, stop)`` for all of ``range(count)``, in pieces on several threads if that pays.

    What `work` does for one number must not depend on what it does for others. Inside a piece (and
    where another thread is sharing out work) everything is done at once, on the caller's thread.

    Args:
        count: into how many parts the work can be cut, usually rows.
        work: does the parts from `start` up to `stop`; NumPy or compiled code, on arrays only. A
            few long calls share out well; between many short ones threads wait for each other's Python.
        bytes_: what it costs, told by the memory it reads and writes. Compiled exponentials were
            measured: `LEAST_BYTES` take them a quarter of a millisecond, where two threads gain a
            third. Give several times the memory for several passes, or for products, and a third
            of it for what hardly computes, like a sum or a ReLU.

    Raises:
        BaseException: what `work` raised, for the first of the pieces that failed.
    """
    if bytes_ < LEAST_BYTES or _threads == 1 or count < 2:
        work(0, count)
        return
    pool = _pool
    if not pool.busy.acquire(blocking=False):
        work(0, count)
        return
    try:
        _share_out(pool, count, work, bytes_)
    finally:
        pool.busy.release()


class _Job:
    """Work cut into pieces that whoever is free takes.

    They grow smaller, so that threads that began at different times, or are not equally fast, end
    together. Where they lie does not depend on who takes them.
    """

    __slots__ = ("_bounds", "_next", "_work", "failed")

    def __init__(self, count: int, work: Work, threads: int) -> None:
        self._work = work
        bounds, start, least = [0], 0, max(1, count // (3 * threads))
        while start < count:
            start = min(count, start + max(least, 2 * (count - start) // (3 * threads)))
            bounds.append(start)
        self._bounds = bounds
        self._next = itertools.count(1).__next__  # atomic, as a list's `append` is
        self.failed: list[tuple[int, BaseException]] = []

    def run(self) -> None:
        """Do one piece after the other until none is left or one has failed."""
        bounds = self._bounds
        while not self.failed and (piece := self._next()) < len(bounds):
            try:
                self._work(bounds[piece - 1], bounds[piece])
            except BaseException as error:
                self.failed.append((piece, error))


def _share_out(pool: _Pool, count: int, work: Work, bytes_: int) -> None:
    threads = _threads
    workers = pool.enlist(min(threads, count, 2 * bytes_ // LEAST_BYTES) - 1)
    job = _Job(count, work, len(workers) + 1)
    for_products = blas.get()
    blas.set(1)
    try:
        for worker in workers:  # a context of its own for each: NumPy's errstate is kept there
            worker.give(partial(contextvars.copy_context().run, job.run))
        job.run()
        for worker in workers:
            worker.finish()
    except BaseException:  # interrupted while waiting: who knows which workers will be free
        _forget()
        raise
    finally:
        if for_products is not None:
            blas.set(for_products if threads == _threads else _threads)
    if job.failed:
        error = min(job.failed, key=itemgetter(0))[1]
        job.failed.clear()  # an error refers to this frame: no cycle
        try:
            raise error
        finally:
            del error
