"""What a worker of a `DataLoader` does: it makes the batches it is asked for."""

from __future__ import annotations

import os
import queue
import random
import signal
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_like.random import manual_seed
from tinygrad_like.threads import set_num_threads
from tinygrad_like.utils.data.fetching import WorkerInfo, set_worker_info
from tinygrad_like.utils.data.sharing import Sender, receive_handout

_GRACE = 5.0  # seconds to finish an item when there is nobody left to take it


@dataclass
class Job:
    """What a worker is started with: how to make batches, and how to begin."""

    fetch: Any
    worker_init_fn: Any


@dataclass
class Failure:
    """An exception in a worker, as it is told to the main process."""

    kind: type[BaseException]
    text: str
    number: int

    def error(self) -> BaseException:
        """Return the exception to raise in the main process: of the same type if that takes a text."""
        text = (
            f"Caught {self.kind.__name__} in DataLoader worker process {self.number}.\n"
            f"Original {self.text}"
        )
        if self.kind is KeyError:
            return KeyError(_Text(text))
        try:
            return self.kind(text)
        except Exception:
            return RuntimeError(text)


class _Text(str):
    """A text that is shown as it is in a `KeyError`, which shows its argument's ``repr``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _failure(number: int) -> Failure:
    kind = sys.exc_info()[0] or RuntimeError
    return Failure(kind, traceback.format_exc(), number)


def _read(connection: Any, tasks: queue.SimpleQueue[Any]) -> None:
    """Pass on what the main process says, and see to it that this one ends when that has."""
    parent = os.getppid()
    while True:
        try:
            # A forked worker has copies of the other end, so that it would not see it closed.
            while not connection.poll(_GRACE):
                if os.getppid() != parent:
                    raise EOFError
            task = connection.recv()
        except (EOFError, OSError):
            task = None
        tasks.put(task)
        if task is None:
            time.sleep(_GRACE)
            os._exit(1)


def run(connection: Any, number: int, count: int, base_seed: int, job: Job | None) -> None:
    """Be worker `number` of `count` until told to stop, or the other end of `connection` is closed."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # whoever interrupts the main process ends this one
    set_num_threads(1)
    seed = base_seed + number
    random.seed(seed)
    manual_seed(seed)
    words = np.random.SeedSequence([number, base_seed & 0xFFFFFFFF, base_seed >> 32, 0])
    np.random.seed(words.generate_state(4))  # noqa: NPY002  # what data sets draw from
    sender = Sender(connection)
    broken: Failure | None = None
    fetch: Any = None
    try:
        if job is None:
            job = receive_handout(connection)
        fetch = job.fetch
        set_worker_info(WorkerInfo(number, count, seed, fetch.dataset))
        if job.worker_init_fn is not None:
            job.worker_init_fn(number)
    except Exception:
        broken = _failure(number)
    tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(connection, tasks), daemon=True).start()
    epoch = None
    while (task := tasks.get()) is not None:
        task_epoch, task_number, wanted, released = task
        sender.release(released)
        result: Any = broken
        if result is None:
            try:
                if task_epoch != epoch:
                    epoch = task_epoch
                    fetch.start()
                result = fetch(wanted)
            except StopIteration:
                result = StopIteration
            except Exception:
                result = _failure(number)
        if not _send(sender, (task_epoch, task_number), result, number):
            return


def _send(sender: Sender, head: Any, result: Any, number: int) -> bool:
    """Send a result, or why that can't be done; return False if there is nobody to take it."""
    try:
        sender.send(head, result)
    except (BrokenPipeError, ConnectionResetError):
        return False
    except Exception:
        failure = _failure(number)
        try:
            sender.send(head, failure)
        except (BrokenPipeError, ConnectionResetError):
            return False
        except Exception:  # the exception's own type can't be sent
            sender.send(head, Failure(RuntimeError, failure.text, number))
    return True
