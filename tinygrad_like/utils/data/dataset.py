"""Data sets: things with items by number, or things to iterate over."""

from __future__ import annotations

import math
import warnings
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any, Generic, TypeVar

from tinygrad_like.lines import told
from tinygrad_like.ops.random import randperm
from tinygrad_like.tensor import Tensor

T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """The base of data sets with items by number; a subclass defines ``__getitem__`` and ``__len__``.

    A subclass may also define ``__getitems__(indices)``, which returns a list of items at once.
    ``first + second`` is a `ConcatDataset`.
    """

    def __getitem__(self, index: Any) -> T_co:
        raise told(NotImplementedError, "Subclasses of Dataset should implement __getitem__.")

    def __add__(self, other: Dataset[Any]) -> Any:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co], Iterable[T_co]):
    """The base of data sets that are streams; a subclass defines ``__iter__``.

    ``first + second`` is a `ChainDataset`.
    """

    def __add__(self, other: Dataset[Any]) -> Any:
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Item i is a tuple of row i of each tensor; all tensors have as many rows.

    Raises:
        AssertionError: if the numbers of rows differ.

    >>> import tinygrad_like as torch
    >>> data = torch.utils.data.TensorDataset(torch.tensor([1.0, 2.0]), torch.tensor([0, 1]))
    >>> data[1]
    (tensor(2.), tensor(1))
    """

    def __init__(self, *tensors: Tensor) -> None:
        if any(tensor.array.shape[0] != tensors[0].array.shape[0] for tensor in tensors):
            raise told(AssertionError, "Size mismatch between tensors")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return int(self.tensors[0].array.shape[0])


class StackDataset(Dataset[Any]):
    """Item i is a tuple (or, for keyword arguments, a dict) of item i of each data set.

    Raises:
        ValueError: if the lengths differ, there are no data sets, or both kinds of arguments.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args and kwargs:
            raise told(
                ValueError,
                "Supported either ``tuple``- (via ``args``) or``dict``- (via ``kwargs``) like "
                "input/output, but both types are given.",
            )
        if not args and not kwargs:
            raise told(ValueError, "At least one dataset should be passed")
        self.datasets: Any = args or kwargs
        lengths = [len(dataset) for dataset in (args or kwargs.values())]
        self._length = lengths[0]
        if any(length != self._length for length in lengths):
            raise told(ValueError, "Size mismatch between datasets")

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {key: dataset[index] for key, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)

    def __getitems__(self, indices: list[int]) -> list[Any]:
        """Return several items, asking each data set once where it can answer at once."""
        if isinstance(self.datasets, dict):
            columns = [self._column(dataset, indices) for dataset in self.datasets.values()]
            return [
                dict(zip(self.datasets, row, strict=True)) for row in zip(*columns, strict=True)
            ]
        columns = [self._column(dataset, indices) for dataset in self.datasets]
        return list(zip(*columns, strict=True))

    @staticmethod
    def _column(dataset: Any, indices: list[int]) -> list[Any]:
        items = items_of(dataset, indices)
        if len(items) != len(indices):
            raise told(
                ValueError,
                f"Nested dataset's output size mismatch. Expected {len(indices)}, got {len(items)}",
            )
        return items

    def __len__(self) -> int:
        return self._length


class ConcatDataset(Dataset[T_co]):
    """The items of several data sets, one after another.

    Raises:
        AssertionError: if there are no data sets, or one is a stream.
    """

    def __init__(self, datasets: Iterable[Dataset[Any]]) -> None:
        self.datasets: list[Any] = list(datasets)
        if not self.datasets:
            raise told(AssertionError, "datasets should not be an empty iterable")
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise told(AssertionError, "ConcatDataset does not support IterableDataset")
        self.cumulative_sizes = list(accumulate(len(dataset) for dataset in self.datasets))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, idx: int) -> Any:
        if idx < 0:
            if -idx > len(self):
                raise told(ValueError, "absolute value of index should not exceed dataset length")
            idx += len(self)
        which = bisect_right(self.cumulative_sizes, idx)
        return self.datasets[which][idx - (self.cumulative_sizes[which - 1] if which else 0)]


class ChainDataset(IterableDataset[T_co]):
    """Several streams, one after another.

    Raises:
        AssertionError: when it is used, if one is no stream.
    """

    def __init__(self, datasets: Iterable[Dataset[Any]]) -> None:
        self.datasets = datasets

    def _streams(self) -> Iterator[Any]:
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise told(AssertionError, "ChainDataset only supports IterableDataset")
            yield dataset

    def __iter__(self) -> Iterator[Any]:
        for dataset in self._streams():
            yield from dataset

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self._streams())


class Subset(Dataset[T_co]):
    """The items of a data set whose numbers are in `indices`."""

    def __init__(self, dataset: Dataset[T_co], indices: Sequence[int]) -> None:
        kind = type(self)
        overrides = kind.__getitem__ is not Subset.__getitem__
        if overrides and kind.__getitems__ is Subset.__getitems__:
            raise told(
                NotImplementedError,
                f"{kind.__name__} overrides __getitem__ but not __getitems__. When subclassing Subset "
                "and overriding __getitem__, you must also override __getitems__ to ensure DataLoader "
                "works correctly with your custom logic.",
            )
        self.dataset: Any = dataset
        self.indices = indices

    def __getitem__(self, idx: Any) -> Any:
        if isinstance(idx, list):
            return self.dataset[[self.indices[i] for i in idx]]
        return self.dataset[self.indices[idx]]

    def __getitems__(self, indices: list[int]) -> list[Any]:
        """Return several items, asked for at once where the data set can answer so."""
        return items_of(self.dataset, [self.indices[idx] for idx in indices])

    def __len__(self) -> int:
        return len(self.indices)


def items_of(dataset: Any, indices: list[int]) -> list[Any]:
    """Return several items of a data set."""
    at_once = getattr(dataset, "__getitems__", None)
    if at_once:
        return at_once(indices)  # type: ignore[no-any-return]
    return [dataset[idx] for idx in indices]


def random_split(
    dataset: Dataset[T_co], lengths: Sequence[int | float], generator: Any = None
) -> list[Subset[T_co]]:
    """Divide a data set at random into parts of the given lengths, or fractions that add up to 1.

    What is left over by fractions goes to the parts in turn, one item each.

    Raises:
        ValueError: if the lengths don't add up to the length of the data set.

    >>> import tinygrad_like as torch
    >>> parts = torch.utils.data.random_split(range(10), [0.7, 0.3])
    >>> [len(part) for part in parts]
    [7, 3]
    """
    count = len(dataset)  # type: ignore[arg-type]
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        sizes = []
        for index, fraction in enumerate(lengths):
            if fraction < 0 or fraction > 1:
                raise told(ValueError, f"Fraction at index {index} is not between 0 and 1")
            sizes.append(math.floor(count * fraction))
        for index in range(count - sum(sizes)):
            sizes[index % len(sizes)] += 1
        for index, size in enumerate(sizes):
            if size == 0:
                warnings.warn(
                    f"Length of split at index {index} is 0. This might result in an empty dataset.",
                    stacklevel=2,
                )
        lengths = sizes
    if sum(lengths) != count:
        raise told(
            ValueError, "Sum of input lengths does not equal the length of the input dataset!"
        )
    order = randperm(count, generator=generator).tolist()
    bounds = pairwise(accumulate(lengths, initial=0))
    return [Subset(dataset, order[start:stop]) for start, stop in bounds]
