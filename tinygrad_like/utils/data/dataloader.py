"""DataLoader: batches of a data set, made by the process that asks for them or by workers."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from typing import Any, Generic, TypeVar

from tinygrad_like.lines import told
from tinygrad_like.utils.data.collate import default_collate, default_convert
from tinygrad_like.utils.data.dataset import Dataset, IterableDataset
from tinygrad_like.utils.data.fetching import Fetcher, StreamFetcher
from tinygrad_like.utils.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    draw_seed,
)

T_co = TypeVar("T_co", covariant=True)


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Endless(Sampler[None]):
    """Asks a stream for the next item, again and again."""

    def __iter__(self) -> Iterator[None]:
        return repeat(None)


class DataLoader(Generic[T_co]):
    """Batches of a data set, one epoch each time it is iterated over.

    Args:
        dataset: with items by number, or a stream (`IterableDataset`).
        batch_size: items in a batch; None to get the items themselves.
        shuffle: take items in random order, PyTorch's for the same seed.
        sampler: the order in which items are taken; any iterable of numbers.
        batch_sampler: the same for whole batches; any iterable of lists of numbers.
        num_workers: processes that make batches ahead of time; 0 to make them when asked for.
        collate_fn: makes a batch out of a list of items; see `default_collate`.
        pin_memory: accepted with a warning, since there is no accelerator.
        drop_last: leave out a last batch that is smaller.
        timeout: seconds to wait for a batch of a worker; 0 for any time.
        worker_init_fn: called in each worker with its number, after its seeding.
        multiprocessing_context: how workers are started, "forkserver", "spawn" or "fork", or a
            context of `multiprocessing`.
        generator: where randomness comes from; by default the global generator.
        prefetch_factor: batches each worker makes ahead of time, 2 by default.
        persistent_workers: keep the workers, and their copies of the data set, between epochs.
        pin_memory_device: not used.
        in_order: give batches in order; else, with workers, as they are ready.

    Raises:
        ValueError: if options contradict each other.

    While it is iterated over it raises RuntimeError if a worker dies or takes too long, and what a
    worker raised with that worker's traceback. Functions and data sets that are given to workers
    must be importable by them, and the script that is run must do so under
    ``if __name__ == "__main__":``.

    >>> import tinygrad_like as torch
    >>> data = torch.utils.data.TensorDataset(torch.arange(5))
    >>> [batch.tolist() for (batch,) in torch.utils.data.DataLoader(data, batch_size=2)]
    [[0, 1], [2, 3], [4]]
    """

    _made = False

    def __init__(
        self,
        dataset: Dataset[T_co],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[list[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        _check_workers(
            num_workers, timeout, prefetch_factor, persistent_workers, multiprocessing_context
        )
        self._is_stream = isinstance(dataset, IterableDataset)
        if self._is_stream:
            given = {"shuffle": shuffle or None, "sampler": sampler, "batch_sampler": batch_sampler}
            for name, value in given.items():
                if value is not None:
                    raise told(
                        ValueError,
                        f"DataLoader with IterableDataset: expected unspecified {name} option, but "
                        f"got {name}={value}",
                    )
        if sampler is not None and shuffle:
            raise told(ValueError, "sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise told(
                    ValueError,
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, "
                    "and drop_last",
                )
            batch_size = None
        elif batch_size is None and drop_last:
            raise told(
                ValueError,
                "batch_size=None option disables auto-batching and is mutually exclusive with "
                "drop_last",
            )
        if sampler is None:
            if self._is_stream:
                sampler = _Endless()
            elif shuffle:
                sampler = RandomSampler(dataset, generator=generator)  # type: ignore[arg-type]
            else:
                sampler = SequentialSampler(dataset)  # type: ignore[arg-type]
        if batch_size is not None and batch_sampler is None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        if collate_fn is None:
            collate_fn = default_convert if batch_sampler is None else default_collate
        self.dataset: Any = dataset
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler: Any = sampler
        self.batch_sampler: Any = batch_sampler
        self.generator = generator
        self.collate_fn = collate_fn
        self.num_workers = num_workers
        self.prefetch_factor = 2 if num_workers and prefetch_factor is None else prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.persistent_workers = persistent_workers
        self.in_order = in_order
        self._announced: int | None = None  # what `len` said of a stream
        self._iterator: Any = None  # whose workers are kept
        self._made = True

    def __setattr__(self, name: str, value: Any) -> None:
        fixed = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset")
        if self._made and name in (*fixed, "persistent_workers"):
            raise told(
                ValueError,
                f"{name} attribute should not be set after {type(self).__name__} is initialized",
            )
        super().__setattr__(name, value)

    def __iter__(self) -> Iterator[Any]:
        if self.pin_memory:
            warnings.warn(
                "'pin_memory' argument is set as true but no accelerator is found, then device "
                "pinned memory won't be used.",
                stacklevel=2,
            )
        batches: Iterator[Any] = self._in_workers() if self.num_workers else self._batches()
        if self._is_stream and self._announced is not None:
            return _Counted(batches, self.dataset, self._announced)
        return batches

    @property
    def _order(self) -> Any:
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def _fetcher(self) -> Any:
        if self._is_stream:
            return StreamFetcher(self.dataset, self.collate_fn, self.batch_size, self.drop_last)
        return Fetcher(self.dataset, self.collate_fn, self.batch_sampler is not None)

    def _batches(self) -> Any:
        return _Batches(self._fetcher(), self._order, self.generator)

    def _in_workers(self) -> Any:
        from tinygrad_like.utils.data.pool import WorkerBatches  # multiprocessing takes a while

        running = self._iterator
        if running is not None and not running.stopped:
            running.start()
            return running
        made = WorkerBatches(self, self._fetcher(), self._order)
        if self.persistent_workers:
            self._iterator = made
        return made

    def __len__(self) -> int:
        if not self._is_stream:
            return len(self._order)
        length: int = len(self.dataset)
        self._announced = length
        if self.batch_size is None:
            return length
        return (math.floor if self.drop_last else math.ceil)(length / self.batch_size)


def _check_workers(
    num_workers: int,
    timeout: float,
    prefetch_factor: int | None,
    persistent_workers: bool,
    multiprocessing_context: Any,
) -> None:
    if num_workers < 0:
        raise told(
            ValueError,
            "num_workers option should be non-negative; use num_workers=0 to disable multiprocessing.",
        )
    if timeout < 0:
        raise told(ValueError, "timeout option should be non-negative")
    if num_workers > 0:
        if prefetch_factor is not None and prefetch_factor <= 0:
            raise told(ValueError, "prefetch_factor option should be positive")
        if multiprocessing_context is not None:
            from tinygrad_like.utils.data.pool import context_of

            context_of(multiprocessing_context)
        cores = usable_cores()
        if num_workers > cores:
            warnings.warn(
                f"This DataLoader will create {num_workers} worker processes in total. Our suggested "
                f"max number of worker in current system is {cores}, which is smaller than what this "
                "DataLoader is going to create.",
                stacklevel=3,
            )
        return
    if timeout != 0:
        raise told(
            ValueError, f"DataLoader: timeout={timeout} needs num_workers > 0; leave it at 0"
        )
    if prefetch_factor is not None:
        raise told(
            ValueError,
            "prefetch_factor option could only be specified in multiprocessing."
            "let num_workers > 0 to enable multiprocessing, otherwise set prefetch_factor to None.",
        )
    if persistent_workers:
        raise told(ValueError, "persistent_workers option needs num_workers > 0")
    if multiprocessing_context is not None:
        raise told(
            ValueError,
            "multiprocessing_context can only be used with multi-process loading (num_workers > 0), "
            f"but got num_workers={num_workers}",
        )


class _Batches:
    """One epoch, its batches made by the process that asks for them."""

    def __init__(self, fetch: Any, order: Any, generator: Any) -> None:
        self.fetch = fetch
        self.order = order
        self.wanted = iter(order)
        # PyTorch draws a seed for its workers even if there are none: the next draw depends on it.
        draw_seed(generator)
        fetch.start()

    def __iter__(self) -> _Batches:
        return self

    def __len__(self) -> int:
        return len(self.order)

    def __next__(self) -> Any:
        return self.fetch(next(self.wanted))


class _Counted:
    """The batches of a stream, with a warning if there are more than its length promised."""

    def __init__(self, batches: Any, dataset: Any, announced: int) -> None:
        self.batches = batches
        self.dataset = dataset
        self.announced = announced
        self.given = 0

    def __iter__(self) -> _Counted:
        return self

    def __next__(self) -> Any:
        batch = next(self.batches)
        self.given += 1
        if self.given > self.announced:
            warnings.warn(
                f"Length of IterableDataset {self.dataset} was reported to be {self.announced}"
                f"(when accessing len(dataloader)), but {self.given} samples have been fetched. ",
                stacklevel=2,
            )
        return batch
