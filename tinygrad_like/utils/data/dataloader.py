"""DataLoader: batches of a data set, in the process that asks for them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from typing import Any, Generic, TypeVar

import numpy as np

from tinygrad_like.graph import result_type
from tinygrad_like.utils.data.collate import default_collate, default_convert
from tinygrad_like.utils.data.dataset import (
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    items_of,
)
from tinygrad_like.utils.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    draw_seed,
)

T_co = TypeVar("T_co", covariant=True)


def get_worker_info() -> None:
    """Return None, which stands for the main process; there are no others."""
    return


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
        num_workers: must be 0, everything happens in the calling process.
        collate_fn: makes a batch out of a list of items; see `default_collate`.
        pin_memory: accepted with a warning, since there is no accelerator.
        drop_last: leave out a last batch that is smaller.
        timeout: must be 0.
        worker_init_fn: not used.
        multiprocessing_context: must be None.
        generator: where randomness comes from; by default the global generator.
        prefetch_factor: must be None.
        persistent_workers: must be False.
        pin_memory_device: not used.
        in_order: not used.

    Raises:
        ValueError: if options contradict each other.
        NotImplementedError: if `num_workers` is not 0.

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
        _refuse_workers(
            num_workers, timeout, prefetch_factor, persistent_workers, multiprocessing_context
        )
        self._is_stream = isinstance(dataset, IterableDataset)
        if self._is_stream:
            given = {"shuffle": shuffle or None, "sampler": sampler, "batch_sampler": batch_sampler}
            for name, value in given.items():
                if value is not None:
                    raise ValueError(
                        f"DataLoader with IterableDataset: expected unspecified {name} option, but "
                        f"got {name}={value}"
                    )
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, "
                    "and drop_last"
                )
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError(
                "batch_size=None option disables auto-batching and is mutually exclusive with "
                "drop_last"
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
        self.prefetch_factor = prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.persistent_workers = persistent_workers
        self.in_order = in_order
        self._announced: int | None = None  # what `len` said of a stream
        self._made = True

    def __setattr__(self, name: str, value: Any) -> None:
        fixed = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset")
        if self._made and name in (*fixed, "persistent_workers"):
            raise ValueError(
                f"{name} attribute should not be set after {type(self).__name__} is initialized"
            )
        super().__setattr__(name, value)

    def __iter__(self) -> Iterator[Any]:
        if self.pin_memory:
            warnings.warn(
                "'pin_memory' argument is set as true but no accelerator is found, then device "
                "pinned memory won't be used.",
                stacklevel=2,
            )
        return (_StreamBatches if self._is_stream else _Batches)(self)

    def __len__(self) -> int:
        if not self._is_stream:
            return len(self.sampler if self.batch_sampler is None else self.batch_sampler)
        length: int = len(self.dataset)
        self._announced = length
        if self.batch_size is None:
            return length
        return (math.floor if self.drop_last else math.ceil)(length / self.batch_size)


def _refuse_workers(
    num_workers: int,
    timeout: float,
    prefetch_factor: int | None,
    persistent_workers: bool,
    multiprocessing_context: Any,
) -> None:
    if num_workers < 0:
        raise ValueError(
            "num_workers option should be non-negative; use num_workers=0 to disable multiprocessing."
        )
    if num_workers > 0:
        raise NotImplementedError(
            f"DataLoader: num_workers={num_workers} is not supported, since batches are made in the "
            "calling process; use num_workers=0"
        )
    if timeout != 0:
        raise ValueError(
            "timeout option should be non-negative"
            if timeout < 0
            else f"DataLoader: timeout={timeout} needs num_workers > 0; leave it at 0"
        )
    if prefetch_factor is not None:
        raise ValueError(
            "prefetch_factor option could only be specified in multiprocessing."
            "let num_workers > 0 to enable multiprocessing, otherwise set prefetch_factor to None."
        )
    if persistent_workers:
        raise ValueError("persistent_workers option needs num_workers > 0")
    if multiprocessing_context is not None:
        raise ValueError(
            "multiprocessing_context can only be used with multi-process loading (num_workers > 0), "
            f"but got num_workers={num_workers}"
        )


class _Batches:
    """One epoch of a data set with items by number."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        self.dataset = loader.dataset
        self.collate = loader.collate_fn
        self.batched = loader.batch_sampler is not None
        self.order = loader.batch_sampler if self.batched else loader.sampler
        self.wanted = iter(self.order)
        # PyTorch draws a seed for its workers even if there are none: the next draw depends on it.
        draw_seed(loader.generator)

    def __iter__(self) -> _Batches:
        return self

    def __len__(self) -> int:
        return len(self.order)

    def __next__(self) -> Any:
        wanted = next(self.wanted)
        if not self.batched:
            return self.collate(self.dataset[wanted])
        if self.collate is default_collate:
            rows = _rows(self.dataset, wanted)
            if rows is not None:
                return rows
        return self.collate(items_of(self.dataset, wanted))


def _rows(dataset: Any, indices: Any) -> list[Any] | None:
    """Return the batch of a `TensorDataset` by one gather for each tensor, or None if it is none."""
    while type(dataset) is Subset:
        indices = [dataset.indices[i] for i in indices]
        dataset = dataset.dataset
    if type(dataset) is not TensorDataset or not indices:
        return None
    if any(tensor.node is not None for tensor in dataset.tensors):
        return None
    try:
        where = np.array(indices)
        if where.dtype.kind not in "iu" or where.ndim != 1:
            return None
        return [result_type.make(tensor.array[where]) for tensor in dataset.tensors]
    except (IndexError, ValueError):
        return None


class _StreamBatches:
    """One pass over a stream."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        self.dataset = loader.dataset
        self.collate = loader.collate_fn
        self.size = loader.batch_size
        self.drop_last = loader.drop_last
        self.announced = loader._announced
        self.given = 0
        draw_seed(loader.generator)
        self.items = iter(loader.dataset)

    def __iter__(self) -> _StreamBatches:
        return self

    def __next__(self) -> Any:
        if self.size is None:
            batch = self.collate(next(self.items))
        else:
            taken = [item for _, item in zip(range(self.size), self.items, strict=False)]
            if not taken or (self.drop_last and len(taken) < self.size):
                self.items = iter(())
                raise StopIteration
            batch = self.collate(taken)
        self.given += 1
        if self.announced is not None and self.given > self.announced:
            warnings.warn(
                f"Length of IterableDataset {self.dataset} was reported to be {self.announced}"
                f"(when accessing len(dataloader)), but {self.given} samples have been fetched. ",
                stacklevel=2,
            )
        return batch
