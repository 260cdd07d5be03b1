"""Batches made by worker processes, ahead of time and in order."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import multiprocessing.context
import signal
import sys
import warnings
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from tinygrad_like.lines import told
from tinygrad_like.utils.data.sampler import draw_seed
from tinygrad_like.utils.data.sharing import Handout, Receiver
from tinygrad_like.utils.data.worker import Failure, Job, run

_PATIENCE = 5.0  # seconds that a worker is given to finish its last item


def context_of(chosen: Any) -> Any:
    """Return the way to start processes that was chosen, or the default one.

    The default is "forkserver" where there is one, on macOS and Windows "spawn": a process that has
    threads, as this one, can't be forked safely.

    Raises:
        ValueError: if there is no such way.
        TypeError: if it is neither a name nor a context.
    """
    if chosen is None:
        chosen = "forkserver" if sys.platform.startswith("linux") else "spawn"
    if isinstance(chosen, str):
        known = multiprocessing.get_all_start_methods()
        if chosen not in known:
            raise told(
                ValueError,
                "multiprocessing_context option should specify a valid start method in "
                f"{known}, but got multiprocessing_context={chosen!r}",
            )
        return multiprocessing.get_context(chosen)
    if not isinstance(chosen, multiprocessing.context.BaseContext):
        raise told(
            TypeError,
            "multiprocessing_context option should be a valid context object or a string specifying "
            f"the start method, but got multiprocessing_context={chosen}",
        )
    return chosen


@dataclass
class _Worker:
    """A worker as the main process sees it."""

    process: Any
    connection: Any
    receiver: Receiver
    active: bool = True  # its stream has not ended


def _start(context: Any, count: int, seed: int, job: Job) -> list[_Worker]:
    """Start `count` workers and give each the job."""
    forks = context.get_start_method() == "fork"
    handout = None if forks else _handout(job, count)
    if context.get_start_method() == "forkserver":
        # What the server has imported, workers need not; it has not started yet the first time.
        context.set_forkserver_preload(["__main__", "tinygrad_like.utils.data.worker"])
    workers: list[_Worker] = []
    try:
        for number in range(count):
            ours, theirs = context.Pipe()
            arguments = (theirs, number, count, seed, job if forks else None)
            process = context.Process(target=run, args=arguments, daemon=True)
            workers.append(_Worker(process, ours, Receiver(ours)))
            process.start()
            theirs.close()
        if handout is not None:
            for worker in workers:
                _tell(partial(handout.send, worker.connection, worker.process.pid))
    except BaseException:
        _stop(workers)
        raise
    finally:
        if handout is not None:
            handout.close()
    return workers


def _handout(job: Job, count: int) -> Handout:
    try:
        return Handout(job)
    except Exception as error:
        raise type(error)(
            f"DataLoader: with num_workers={count} the data set, collate_fn and worker_init_fn are "
            f"sent to other processes, and something of them cannot be pickled: {error}; define "
            "functions and classes at the top of a module, or use multiprocessing_context='fork'"
        ) from error


def _tell(send: Callable[[], Any]) -> None:
    """Send something to a worker; that it is gone is noticed when its answer is waited for."""
    with suppress(BrokenPipeError, ConnectionResetError):
        send()


def _stop(workers: list[_Worker]) -> None:
    """End all workers: at once those that wait, soon those that work, by force those that hang."""
    try:
        for worker in workers:
            if worker.process.pid is not None and not worker.connection.closed:
                with suppress(OSError):
                    worker.connection.send(None)
                worker.connection.close()
        for worker in workers:
            if worker.process.pid is not None:
                worker.process.join(_PATIENCE)
    finally:
        for worker in workers:
            if worker.process.pid is not None and worker.process.is_alive():
                worker.process.kill()
                worker.process.join()


class WorkerBatches:
    """One epoch after another of a `DataLoader` with workers."""

    def __init__(self, loader: Any, fetch: Any, order: Any) -> None:
        self.loader_name = type(loader).__name__
        self.order = order
        self.timeout = loader.timeout or None
        self.in_order = loader.in_order
        self.persistent = loader.persistent_workers
        self.ahead = loader.prefetch_factor * loader.num_workers
        self.epoch = 0
        self.heard = False  # from any worker, at any time
        self.warned = False
        seed = draw_seed(loader.generator)
        context = context_of(loader.multiprocessing_context)
        job = Job(fetch, loader.worker_init_fn)
        self.workers = _start(context, loader.num_workers, seed, job)
        self._end = weakref.finalize(self, _stop, self.workers)
        self.start()

    def start(self) -> None:
        """Begin an epoch: workers are asked for their first batches."""
        self.epoch += 1
        self.wanted = iter(self.order)
        self.sent = 0
        self.turn = 0
        self.waiting: dict[int, _Worker] = {}  # the worker that was given each task
        self.results: dict[int, Any] = {}  # of tasks that came before their turn
        for worker in self.workers:
            worker.active = True
        for _ in range(self.ahead):
            self._ask()

    @property
    def stopped(self) -> bool:
        """Whether the workers have been ended."""
        return not self._end.alive

    def __iter__(self) -> WorkerBatches:
        return self

    def __len__(self) -> int:
        return len(self.order)

    def __next__(self) -> Any:
        while True:
            if not self.waiting:
                if not self.persistent:
                    self._end()
                raise StopIteration
            first = next(iter(self.waiting if self.in_order else self.results), None)
            if first in self.results:
                del self.waiting[first]
                result = self.results.pop(first)
                self._ask()
                if isinstance(result, Failure):
                    raise result.error()
                return result
            self._listen()

    def _ask(self) -> None:
        """Give the next task to the worker whose turn it is."""
        for _ in self.workers:
            worker = self.workers[self.turn]
            self.turn = (self.turn + 1) % len(self.workers)
            if worker.active:
                break
        else:
            return
        try:
            wanted = next(self.wanted)
        except StopIteration:
            return
        task = (self.epoch, self.sent, wanted, worker.receiver.take_released())
        self.waiting[self.sent] = worker
        self.sent += 1
        _tell(partial(worker.connection.send, task))

    def _listen(self) -> None:
        """Wait for a worker to say something.

        Raises:
            RuntimeError: if that takes too long, or a worker has died.
        """
        by_connection = {worker.connection: worker for worker in self.workers}
        sentinels = [worker.process.sentinel for worker in self.workers]
        ready = multiprocessing.connection.wait([*by_connection, *sentinels], self.timeout)
        if not ready:
            self._end()
            raise told(
                RuntimeError,
                f"{self.loader_name} timed out after {self.timeout} seconds: no batch came from its "
                "workers; give it more time (timeout=), or more workers",
            )
        talking = [by_connection[r] for r in ready if r in by_connection]
        if not talking:
            self._mourn([w for w in self.workers if not w.process.is_alive()])
        for worker in talking:
            try:
                (epoch, task), result = worker.receiver.receive()
            except (EOFError, OSError):
                worker.process.join(_PATIENCE)
                self._mourn([worker])
            self.heard = True
            if worker.receiver.refusal and not self.warned:
                self.warned = True
                warnings.warn(
                    f"{self.loader_name}: {worker.receiver.refusal}; batches come through a pipe, which "
                    "copies them twice more",
                    stacklevel=4,
                )
            if epoch != self.epoch or task not in self.waiting:
                continue
            if result is StopIteration:
                worker.active = False
                left = self.waiting.items()
                self.waiting = {t: w for t, w in left if w is not worker or t in self.results}
                self._ask()
            else:
                self.results[task] = result

    def _mourn(self, dead: list[_Worker]) -> None:
        """Raise the error that tells of dead workers, once the others have been ended."""
        causes = []
        for worker in dead:
            pid, code = worker.process.pid, worker.process.exitcode
            if code is not None and code < 0:
                name = signal.Signals(-code).name
                causes.append(f"DataLoader worker (pid {pid}) is killed by signal: {name}.")
            else:
                causes.append(
                    f"DataLoader worker (pid {pid}) exited unexpectedly with exit code {code}. Details "
                    "are lost due to multiprocessing. Rerunning with num_workers=0 may give better "
                    "error trace."
                )
        if not self.heard:
            causes.append(
                "Workers import the script that was started: what it does at its top level belongs "
                "under `if __name__ == '__main__':`. What a notebook defines they cannot import: "
                "there, use multiprocessing_context='fork'."
            )
        self._end()
        raise told(RuntimeError, " ".join(causes))
