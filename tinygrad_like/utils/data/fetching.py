"""How a batch is made from a data set, here or in a worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_like.graph import result_type
from tinygrad_like.utils.data.collate import default_collate
from tinygrad_like.utils.data.dataset import Subset, TensorDataset, items_of


@dataclass(frozen=True)
class WorkerInfo:
    """What `get_worker_info` tells a worker of itself.

    Attributes:
        id: its number, from 0.
        num_workers: how many there are.
        seed: what its random numbers were seeded with.
        dataset: its copy of the data set.
    """

    id: int
    num_workers: int
    seed: int
    dataset: Any


_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """Return who this is if it is a worker of a `DataLoader`, and None in the main process.

    A stream uses it to give each worker another part of itself.

    >>> import tinygrad_like as torch
    >>> torch.utils.data.get_worker_info() is None
    True
    """
    return _info


def set_worker_info(info: WorkerInfo) -> None:
    """Let this process be a worker."""
    global _info
    _info = info


class Fetcher:
    """Makes batches of a data set with items by number.

    Args:
        dataset: the data set.
        collate: makes a batch out of a list of items, or of one.
        batched: whether what is asked for are lists of numbers.
    """

    def __init__(self, dataset: Any, collate: Callable[[Any], Any], batched: bool) -> None:
        self.dataset = dataset
        self.collate = collate
        self.batched = batched

    def start(self) -> None:
        """Begin another epoch."""

    def __call__(self, wanted: Any) -> Any:
        """Return the batch of the items whose numbers are `wanted`."""
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


class StreamFetcher:
    """Makes batches of a stream, one after the other.

    Args:
        dataset: the stream.
        collate: makes a batch out of a list of items, or of one.
        size: items in a batch; None for items themselves.
        drop_last: leave out a last batch that is smaller.
    """

    def __init__(
        self, dataset: Any, collate: Callable[[Any], Any], size: int | None, drop_last: bool
    ) -> None:
        self.dataset = dataset
        self.collate = collate
        self.size = size
        self.drop_last = drop_last
        self.items: Any = None

    def start(self) -> None:
        """Begin the stream."""
        self.items = iter(self.dataset)

    def __call__(self, wanted: Any = None) -> Any:
        """Return the next batch.

        Raises:
            StopIteration: if there is none.
        """
        del wanted
        if self.size is None:
            return self.collate(next(self.items))
        taken = [item for _, item in zip(range(self.size), self.items, strict=False)]
        if not taken or (self.drop_last and len(taken) < self.size):
            self.items = iter(())
            raise StopIteration
        return self.collate(taken)
