"""Samplers: the order in which the items of a data set are taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import islice
from typing import Any, Generic, TypeVar

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.graph import as_array, result_type
from tinygrad_like.lines import told
from tinygrad_like.ops.creation import empty
from tinygrad_like.ops.random import multinomial, randint, randperm
from tinygrad_like.random import Generator

T_co = TypeVar("T_co", covariant=True)


def draw_seed(generator: Any = None) -> int:
    """Return a random number as PyTorch draws it to seed another generator with."""
    return int(empty((), dtype=dtypes.int64).random_(generator=generator).item())


class Sampler(Generic[T_co]):
    """The base of samplers; a subclass defines ``__iter__``, and ``__len__`` if it knows."""

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError


class SequentialSampler(Sampler[int]):
    """The numbers of all items in order."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """The numbers of all items in random order, PyTorch's for the same seed.

    Args:
        data_source: the data set.
        replacement: draw each number anew, so that some come twice.
        num_samples: how many numbers, by default as many as there are items.
        generator: where randomness comes from; by default a new one seeded from the global one.

    Raises:
        TypeError: if `replacement` is no bool.
        ValueError: if there are no numbers to draw.
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Any = None,
    ) -> None:
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator
        if not isinstance(replacement, bool):
            raise told(
                TypeError,
                f"replacement should be a boolean value, but got replacement={replacement}",
            )
        if not isinstance(self.num_samples, int) or self.num_samples <= 0:
            raise told(
                ValueError,
                "num_samples should be a positive integer value, but got "
                f"num_samples={self.num_samples}",
            )

    @property
    def num_samples(self) -> int:
        """How many numbers there will be."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        n = len(self.data_source)
        generator = self.generator
        if generator is None:
            generator = Generator()
            generator.manual_seed(draw_seed())
        if self.replacement:
            for start in range(0, self.num_samples, 32):
                size = (min(32, self.num_samples - start),)
                yield from randint(0, n, size, generator=generator).tolist()
            return
        for _ in range(self.num_samples // n):
            yield from randperm(n, generator=generator).tolist()
        # Drawn even if nothing is left to take, as PyTorch does.
        yield from randperm(n, generator=generator).tolist()[: self.num_samples % n]

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """The given numbers in random order."""

    def __init__(self, indices: Sequence[int], generator: Any = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        for i in randperm(len(self.indices), generator=self.generator).tolist():
            yield self.indices[i]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """Numbers drawn with the given weights, which need not add up to 1.

    Args:
        weights: one for each item.
        num_samples: how many numbers to draw.
        replacement: False if no number may come twice.
        generator: where randomness comes from.

    Raises:
        ValueError: if an argument is of the wrong kind.
    """

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator: Any = None,
    ) -> None:
        if not isinstance(num_samples, int) or isinstance(num_samples, bool) or num_samples <= 0:
            raise told(
                ValueError,
                f"num_samples should be a positive integer value, but got num_samples={num_samples}",
            )
        if not isinstance(replacement, bool):
            raise told(
                ValueError,
                f"replacement should be a boolean value, but got replacement={replacement}",
            )
        array = np.asarray(as_array(weights), np.float64)
        if array.ndim != 1:
            raise told(
                ValueError,
                f"weights should be a 1d sequence but given weights have shape {tuple(array.shape)}",
            )
        self.weights = result_type.make(array)
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        drawn = multinomial(
            self.weights, self.num_samples, self.replacement, generator=self.generator
        )
        yield from drawn.tolist()

    def __len__(self) -> int:
        return self.num_samples


class DistributedSampler(Sampler[int]):
    """The share of one of several processes in the numbers of all items.

    Args:
        dataset: the data set.
        num_replicas: how many processes there are.
        rank: which of them this is, from 0.
        shuffle: take items in random order, another one for each epoch that `set_epoch` is told.
        seed: what the order depends on, the same in all processes.
        drop_last: leave out items so that all shares are the same; else some come twice.

    Raises:
        RuntimeError: if the number or the rank is not given: there is nobody else to ask.
        ValueError: if there is no such rank.

    >>> import tinygrad_like as torch
    >>> list(torch.utils.data.DistributedSampler(range(5), 2, 1, shuffle=False))
    [1, 3, 0]
    """

    def __init__(
        self,
        dataset: Any,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if num_replicas is None or rank is None:
            raise told(
                RuntimeError,
                "Requires distributed package to be available: DistributedSampler can't ask for "
                "num_replicas and rank here; give both",
            )
        if not 0 <= rank < num_replicas:
            raise told(
                ValueError,
                f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]",
            )
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0
        self.drop_last = drop_last
        count = len(dataset)
        self.num_samples = count // num_replicas if drop_last else -(-count // num_replicas)
        self.total_size = self.num_samples * num_replicas
        self.shuffle = shuffle
        self.seed = seed

    def __iter__(self) -> Iterator[int]:
        count = len(self.dataset)
        if self.shuffle:
            generator = Generator().manual_seed(self.seed + self.epoch)
            order = randperm(count, generator=generator).tolist()
        else:
            order = list(range(count))
        if count:
            order = (order * -(-self.total_size // count))[: self.total_size]
        return iter(order[self.rank :: self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next: in all processes the same."""
        self.epoch = epoch


class BatchSampler(Sampler[list[int]]):
    """The numbers of another sampler in lists of `batch_size`.

    Args:
        sampler: a sampler, or any iterable.
        batch_size: the length of a list.
        drop_last: leave out a last list that is shorter.

    Raises:
        ValueError: if an argument is of the wrong kind.

    >>> import tinygrad_like as torch
    >>> list(torch.utils.data.BatchSampler(range(5), batch_size=2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[Any], batch_size: int, drop_last: bool) -> None:
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size <= 0:
            raise told(
                ValueError,
                f"batch_size should be a positive integer value, but got batch_size={batch_size}",
            )
        if not isinstance(drop_last, bool):
            raise told(
                ValueError, f"drop_last should be a boolean value, but got drop_last={drop_last}"
            )
        self.sampler: Any = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        numbers = iter(self.sampler)
        while batch := list(islice(numbers, self.batch_size)):
            if len(batch) < self.batch_size and self.drop_last:
                return
            yield batch

    def __len__(self) -> int:
        return len(self.sampler) // self.batch_size + (
            not self.drop_last and len(self.sampler) % self.batch_size > 0
        )
