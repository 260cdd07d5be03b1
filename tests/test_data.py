"""Data sets, samplers, batches and loaders behave as PyTorch's, the order of shuffling included."""

from collections import OrderedDict, namedtuple
from types import MappingProxyType

import numpy as np
import pytest

import tinygrad_like as ours

torch = pytest.importorskip("torch")

BOTH = (ours, torch)
Point = namedtuple("Point", "x y")


def plain(value):
    """Return nested data with tensors as (dtype, shape, values), comparable across packages."""
    if hasattr(value, "detach"):
        return ("tensor", str(value.dtype), tuple(value.shape), value.detach().numpy().tolist())
    if isinstance(value, np.ndarray):
        return ("ndarray", value.tolist())
    if isinstance(value, dict | MappingProxyType):
        return (type(value).__name__, [(key, plain(part)) for key, part in value.items()])
    if isinstance(value, list | tuple):
        return (type(value).__name__, [plain(part) for part in value])
    return value


def agree(make):
    """Run a function of the package with both, seeded alike, and compare what it gives."""
    results = []
    for package in BOTH:
        package.manual_seed(7)
        results.append(plain(make(package)))
    assert results[0] == results[1]
    return results[0]


def rows(package, count=11):
    x = package.arange(count * 3, dtype=package.float32).reshape(count, 3)
    return package.utils.data.TensorDataset(x, package.arange(count))


class Squares:
    """A data set that is nothing but items by number."""

    def __init__(self, count=10):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        if not -self.count <= i < self.count:
            raise IndexError(i)
        return i * i, float(i)


def stream_of(package, count=7, announced=None):
    class Stream(package.utils.data.IterableDataset):
        def __iter__(self):
            return iter(range(count))

        def __len__(self):
            return count if announced is None else announced

    return Stream()


# ----- Data sets ----------------------------------------------------------------------------------


def test_tensor_data_set():
    agree(lambda p: [len(rows(p)), rows(p)[3], rows(p)[2:5], rows(p)[-1]])
    for package in BOTH:
        with pytest.raises(AssertionError, match="Size mismatch between tensors"):
            package.utils.data.TensorDataset(package.zeros(3), package.zeros(4))
        with pytest.raises(IndexError):
            rows(package)[11]


def test_base_classes():
    for package in BOTH:
        data = package.utils.data
        with pytest.raises(NotImplementedError, match="should implement __getitem__"):
            data.Dataset()[0]
        with pytest.raises((NotImplementedError, TypeError)):
            next(iter(data.Sampler()))
        assert data.Dataset[int] is not None
        assert data.get_worker_info() is None


def test_concatenated():
    def use(p):
        both = rows(p, 3) + rows(p, 5)
        return [len(both), both.cumulative_sizes, [both[i] for i in (0, 2, 3, 7, -1, -8)]]

    agree(use)
    for package in BOTH:
        data = package.utils.data
        with pytest.raises(AssertionError, match="datasets should not be an empty iterable"):
            data.ConcatDataset([])
        with pytest.raises(AssertionError, match="does not support IterableDataset"):
            data.ConcatDataset([stream_of(package)])
        with pytest.raises(ValueError, match="absolute value of index should not exceed"):
            data.ConcatDataset([[1, 2]])[-3]


def test_chained():
    def use(p):
        chain = stream_of(p, 3) + stream_of(p, 2)
        return [len(chain), list(chain)]

    agree(use)
    for package in BOTH:
        chain = package.utils.data.ChainDataset([[1]])
        with pytest.raises(AssertionError, match="only supports IterableDataset"):
            len(chain)
        with pytest.raises(AssertionError, match="only supports IterableDataset"):
            list(chain)


def test_stacked():
    def use(p):
        data = p.utils.data
        stacks = (
            data.StackDataset(rows(p, 4), Squares(4)),
            data.StackDataset(x=rows(p, 4), y=Squares(4)),
            data.StackDataset(data.StackDataset(Squares(4)), data.Subset(Squares(8), [1, 3, 5, 7])),
            data.StackDataset(x=data.Subset(Squares(8), [1, 3, 5, 7])),
        )
        return [[len(s), s[2], s.__getitems__([0, 3])] for s in stacks]

    agree(use)
    for package in BOTH:
        stack = package.utils.data.StackDataset
        with pytest.raises(ValueError, match="Size mismatch between datasets"):
            stack([1], [1, 2])
        with pytest.raises(ValueError, match="Size mismatch between datasets"):
            stack(a=[1], b=[1, 2])
        with pytest.raises(ValueError, match="At least one dataset"):
            stack()
        with pytest.raises(ValueError, match="both types are given"):
            stack([1], a=[1])

        class Wrong(Squares):
            def __getitems__(self, indices):
                return []

        with pytest.raises(ValueError, match=r"output size mismatch\. Expected 2, got 0"):
            stack(Wrong()).__getitems__([0, 1])


def test_subset():
    agree(lambda p: p.utils.data.Subset(rows(p), [3, 1])[0])
    agree(lambda p: p.utils.data.Subset(rows(p), [3, 1, 4])[[0, 2]])
    agree(lambda p: p.utils.data.Subset(Squares(), [3, 1, 4]).__getitems__([2, 0]))
    agree(lambda p: len(p.utils.data.Subset(Squares(), range(4))))
    for package in BOTH:

        class Half(package.utils.data.Subset):
            def __getitem__(self, idx):
                return 1

        with pytest.raises(NotImplementedError, match="Half overrides __getitem__ but not"):
            Half(Squares(), [1])


@pytest.mark.parametrize("lengths", [[7, 3], [0.5, 0.5], [0.35, 0.35, 0.3], [10], [0.25] * 4])
def test_random_split(lengths):
    agree(lambda p: [list(part.indices) for part in p.utils.data.random_split(Squares(), lengths)])
    agree(
        lambda p: [
            list(part.indices)
            for part in p.utils.data.random_split(
                Squares(), lengths, generator=p.Generator().manual_seed(3)
            )
        ]
    )


def test_random_split_refusals():
    for package in BOTH:
        split = package.utils.data.random_split
        with pytest.raises(ValueError, match="Sum of input lengths does not equal"):
            split(Squares(), [3, 3])
        with pytest.raises(ValueError, match="Fraction at index 0 is not between 0 and 1"):
            split(Squares(), [-0.5, 1.5])
        with pytest.warns(UserWarning, match="Length of split at index 1 is 0"):
            split([1], [0.5, 0.5])


# ----- Samplers -----------------------------------------------------------------------------------


SAMPLERS = {
    "sequential": lambda p: p.utils.data.SequentialSampler(range(9)),
    "random": lambda p: p.utils.data.RandomSampler(range(9)),
    "random fewer": lambda p: p.utils.data.RandomSampler(range(9), num_samples=4),
    "random more": lambda p: p.utils.data.RandomSampler(range(9), num_samples=25),
    "replacement": lambda p: p.utils.data.RandomSampler(range(9), True, num_samples=70),
    "replacement even": lambda p: p.utils.data.RandomSampler(range(9), True, num_samples=64),
    "generator": lambda p: p.utils.data.RandomSampler(
        range(9), generator=p.Generator().manual_seed(5)
    ),
    "subset": lambda p: p.utils.data.SubsetRandomSampler([4, 8, 1, 3]),
    "weighted": lambda p: p.utils.data.WeightedRandomSampler([0.1, 3.0, 0.0, 2.0], 40),
    "weighted once": lambda p: p.utils.data.WeightedRandomSampler(
        [0.1, 3.0, 1.0, 2.0], 4, replacement=False
    ),
    "weighted generator": lambda p: p.utils.data.WeightedRandomSampler(
        p.tensor([1.0, 2.0]), 9, generator=p.Generator().manual_seed(5)
    ),
    "batch": lambda p: p.utils.data.BatchSampler(range(10), 4, False),
    "batch dropped": lambda p: p.utils.data.BatchSampler(range(10), 4, True),
    "batch even": lambda p: p.utils.data.BatchSampler(range(8), 4, True),
    "batch random": lambda p: p.utils.data.BatchSampler(
        p.utils.data.RandomSampler(range(9)), 2, False
    ),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers(name):
    def use(p):
        sampler = SAMPLERS[name](p)
        # A second round, and a draw after it, show that as much was drawn as PyTorch draws.
        return [len(sampler), list(sampler), list(sampler), p.rand(3)]

    agree(use)


def test_random_sampler_draws_from_a_shared_generator():
    def use(p):
        generator = p.Generator().manual_seed(2)
        sampler = p.utils.data.RandomSampler(range(6), num_samples=6, generator=generator)
        return [list(sampler), p.randperm(5, generator=generator)]

    agree(use)


SAMPLER_REFUSALS = [
    (TypeError, lambda d: d.RandomSampler(range(3), replacement=1)),
    (ValueError, lambda d: d.RandomSampler(range(3), num_samples=0)),
    (ValueError, lambda d: d.RandomSampler([])),
    (ValueError, lambda d: d.WeightedRandomSampler([1.0], 0)),
    (ValueError, lambda d: d.WeightedRandomSampler([1.0], True)),
    (ValueError, lambda d: d.WeightedRandomSampler([1.0], 2, replacement=1)),
    (ValueError, lambda d: d.WeightedRandomSampler([[1.0]], 2)),
    (ValueError, lambda d: d.BatchSampler(range(3), 0, False)),
    (ValueError, lambda d: d.BatchSampler(range(3), True, False)),
    (ValueError, lambda d: d.BatchSampler(range(3), 2, 1)),
]


@pytest.mark.parametrize(("error", "make"), SAMPLER_REFUSALS)
def test_sampler_refusals_are_pytorchs(error, make):
    messages = []
    for package in BOTH:
        with pytest.raises(error) as caught:
            make(package.utils.data)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


# ----- Batches ------------------------------------------------------------------------------------


BATCHES = [
    lambda p: [p.zeros(2), p.ones(2)],
    lambda p: [p.tensor(1), p.tensor(2)],
    lambda p: [np.zeros((2, 3)), np.ones((2, 3))],
    lambda p: [np.arange(2, dtype=np.int16)] * 3,
    lambda p: [np.float32(1.5), np.float32(2.5)],
    lambda p: [np.float64(1.5), np.float64(2.5)],
    lambda p: [np.int32(1), np.int32(2)],
    lambda p: [np.True_, np.False_],
    lambda p: [1, 2, 3],
    lambda p: [1, 2.5],
    lambda p: [1.5, 2.5],
    lambda p: [True, False],
    lambda p: ["a", "b"],
    lambda p: [b"a", b"b"],
    lambda p: [np.str_("a"), np.str_("b")],
    lambda p: [{"x": 1, "y": [1.0, 2.0]}, {"x": 2, "y": [3.0, 4.0]}],
    lambda p: [OrderedDict(a=1), OrderedDict(a=2)],
    lambda p: [MappingProxyType({"a": 1}), MappingProxyType({"a": 2})],
    lambda p: [(1, p.zeros(2)), (2, p.ones(2))],
    lambda p: [[1, 2], [3, 4]],
    lambda p: [range(3), range(3, 6)],
    lambda p: [Point(1, 2.0), Point(3, 4.0)],
    lambda p: [((1, "a"), {"z": Point(np.zeros(1), 2)})] * 2,
]


@pytest.mark.parametrize("make", BATCHES)
def test_default_collate(make):
    agree(lambda p: p.utils.data.default_collate(make(p)))


@pytest.mark.parametrize("make", BATCHES)
def test_default_convert(make):
    agree(lambda p: p.utils.data.default_convert(make(p)))
    agree(lambda p: p.utils.data.default_convert(make(p)[0]))


def test_default_convert_shares_memory_and_leaves_the_rest():
    array = np.zeros(3)
    text = np.array(["a"])
    for package in BOTH:
        convert = package.utils.data.default_convert
        convert([array])[0][0] = 1
        assert array[0] == 1
        array[0] = 0
        assert convert(text) is text
        assert convert(None) is None
        tensor = package.zeros(1)
        assert convert(tensor) is tensor


@pytest.mark.parametrize(
    "batch",
    [
        [None, None],
        [object()],
        [np.array(["a"])],
        [(1, 2), (1,)],
        [np.datetime64(1, "s")],
        [{1, 2}],
    ],
)
def test_collate_refusals(batch):
    kinds = []
    for package in BOTH:
        with pytest.raises((TypeError, RuntimeError)) as caught:
            package.utils.data.default_collate(batch)
        kinds.append((caught.type, str(caught.value)[:60]))
    assert kinds[0] == kinds[1]


def test_collating_tensors_of_different_shapes_is_refused():
    for package in BOTH:
        with pytest.raises(RuntimeError, match="stack expects each tensor to be equal size"):
            package.utils.data.default_collate([package.zeros(2), package.zeros(3)])


def test_batches_of_tensors_with_gradients_have_gradients():
    def use(p):
        weight = p.arange(6.0).reshape(3, 2).requires_grad_()
        loader = p.utils.data.DataLoader(p.utils.data.TensorDataset(weight), batch_size=2)
        sum((batch * batch).sum() for (batch,) in loader).backward()
        return weight.grad

    agree(use)


# ----- Loaders ------------------------------------------------------------------------------------


LOADERS = {
    "plain": lambda p, d: d.DataLoader(rows(p)),
    "batches": lambda p, d: d.DataLoader(rows(p), batch_size=4),
    "dropped": lambda p, d: d.DataLoader(rows(p), batch_size=4, drop_last=True),
    "shuffled": lambda p, d: d.DataLoader(rows(p), batch_size=4, shuffle=True),
    "shuffled items": lambda p, d: d.DataLoader(Squares(), batch_size=3, shuffle=True),
    "unbatched": lambda p, d: d.DataLoader(rows(p), batch_size=None),
    "unbatched shuffled": lambda p, d: d.DataLoader(Squares(), batch_size=None, shuffle=True),
    "generator": lambda p, d: d.DataLoader(
        rows(p), batch_size=4, shuffle=True, generator=p.Generator().manual_seed(3)
    ),
    "sampler": lambda p, d: d.DataLoader(rows(p), batch_size=2, sampler=[3, 1, -1]),
    "weighted": lambda p, d: d.DataLoader(
        Squares(3), batch_size=2, sampler=d.WeightedRandomSampler([1, 2, 3], 5)
    ),
    "batch sampler": lambda p, d: d.DataLoader(rows(p), batch_sampler=[[1, 2], [0], [5, 5]]),
    "subset": lambda p, d: d.DataLoader(d.Subset(rows(p), [5, 3, 8]), batch_size=2),
    "subset of subset": lambda p, d: d.DataLoader(
        d.Subset(d.Subset(rows(p), [5, 3, 8]), [2, 0]), batch_size=2, shuffle=True
    ),
    "split": lambda p, d: d.DataLoader(d.random_split(rows(p), [0.8, 0.2])[0], 3, shuffle=True),
    "concatenated": lambda p, d: d.DataLoader(rows(p, 3) + rows(p, 2), batch_size=2),
    "stacked": lambda p, d: d.DataLoader(d.StackDataset(x=rows(p, 4), y=Squares(4)), batch_size=3),
    "collate": lambda p, d: d.DataLoader(
        rows(p), batch_size=4, collate_fn=lambda items: [len(item) for item in items]
    ),
    "list": lambda p, d: d.DataLoader([1.5, 2.5, 3.5], batch_size=2),
    "stream": lambda p, d: d.DataLoader(stream_of(p), batch_size=3),
    "stream dropped": lambda p, d: d.DataLoader(stream_of(p), batch_size=3, drop_last=True),
    "stream unbatched": lambda p, d: d.DataLoader(stream_of(p), batch_size=None),
    "stream even": lambda p, d: d.DataLoader(stream_of(p, 6), batch_size=3),
}


@pytest.mark.parametrize("name", LOADERS)
def test_loaders(name):
    def use(p):
        loader = LOADERS[name](p, p.utils.data)
        first = list(loader)
        return [len(loader), first, list(loader), p.rand(3)]

    agree(use)


def test_two_iterations_at_once_are_independent():
    def use(p):
        loader = p.utils.data.DataLoader(rows(p), batch_size=4, shuffle=True)
        one, other = iter(loader), iter(loader)
        return [next(one), next(other), next(one), next(other), len(one), iter(one) is one]

    agree(use)


def test_batches_do_not_share_memory_with_the_data():
    data = rows(ours)
    for x, _ in ours.utils.data.DataLoader(data, batch_size=4):
        x.zero_()
    assert data.tensors[0].sum().item() > 0


def test_a_stream_longer_than_announced_warns():
    for package in BOTH:
        loader = package.utils.data.DataLoader(stream_of(package, 5, announced=3), batch_size=None)
        assert len(loader) == 3
        with pytest.warns(UserWarning, match=r"was reported to be 3\s?\(when accessing len"):
            list(loader)


def test_pinning_memory_warns():
    for package in BOTH:
        loader = package.utils.data.DataLoader([1, 2], pin_memory=True)
        with pytest.warns(UserWarning, match="no accelerator is found"):
            list(loader)


LOADER_REFUSALS = [
    lambda p, d: d.DataLoader([1], num_workers=-1),
    lambda p, d: d.DataLoader([1], timeout=-1),
    lambda p, d: d.DataLoader([1], prefetch_factor=2),
    lambda p, d: d.DataLoader([1], persistent_workers=True),
    lambda p, d: d.DataLoader([1], multiprocessing_context="fork"),
    lambda p, d: d.DataLoader([1], sampler=[0], shuffle=True),
    lambda p, d: d.DataLoader([1], batch_sampler=[[0]], batch_size=2),
    lambda p, d: d.DataLoader([1], batch_sampler=[[0]], shuffle=True),
    lambda p, d: d.DataLoader([1], batch_size=None, drop_last=True),
    lambda p, d: d.DataLoader([1], batch_size=0),
    lambda p, d: d.DataLoader([], shuffle=True),
    lambda p, d: d.DataLoader(stream_of(p), shuffle=True),
    lambda p, d: d.DataLoader(stream_of(p), sampler=[1]),
    lambda p, d: d.DataLoader(stream_of(p), batch_sampler=[[1]]),
]


@pytest.mark.parametrize("make", LOADER_REFUSALS)
def test_loader_refusals_are_pytorchs(make):
    messages = []
    for package in BOTH:
        with pytest.raises(ValueError, match=r"\w") as caught:
            make(package, package.utils.data)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


@pytest.mark.parametrize("count", [0, 1, 2, 10, 11])
@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("shuffle", [True, False])
def test_shares_of_several_processes(count, drop_last, shuffle):
    def shares(package):
        found = []
        for rank in range(3):
            sampler = package.utils.data.DistributedSampler(
                range(count), 3, rank, shuffle, seed=4, drop_last=drop_last
            )
            found += [len(sampler), list(sampler)]
            sampler.set_epoch(2)
            found.append(list(sampler))
        return found

    agree(shares)


def test_shares_that_are_refused():
    for package in BOTH:
        with pytest.raises(ValueError, match="Invalid rank 3"):
            package.utils.data.DistributedSampler(range(4), 3, 3)
    with pytest.raises(RuntimeError, match="give both"):
        ours.utils.data.DistributedSampler(range(4))


def test_fixed_attributes():
    for package in BOTH:
        loader = package.utils.data.DataLoader([1])
        for name in ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset"):
            with pytest.raises(ValueError, match=f"{name} attribute should not be set after"):
                setattr(loader, name, None)
        loader.collate_fn = len
        assert list(loader) == [1]


def test_wrong_numbers_say_so():
    for package in BOTH:
        loader = package.utils.data.DataLoader(rows(package), batch_sampler=[[0, 99]])
        with pytest.raises(IndexError):
            next(iter(loader))
