"""Orders of large arrays, which are found by packed integers, beside PyTorch's."""

import numpy as np
import pytest

import tinygrad_like as ours
from tinygrad_like.ops import sorting

torch = pytest.importorskip("torch")

DTYPES = ["float16", "float32", "float64", "int8", "uint8", "int16", "int32", "int64", "bool"]


def sample(dtype, seed=0):
    """Return elements with many ties, and extremes of the type."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-20, 20, (40, 60))
    if dtype == "bool":
        return x > 0
    if dtype[0] == "f":
        x = (x / 8).astype(dtype)
        ends = [np.inf, -np.inf, -0.0, 0.0, np.finfo(dtype).max, np.finfo(dtype).tiny]
    else:
        x = np.abs(x).astype(dtype) if dtype[0] == "u" else x.astype(dtype)
        ends = [np.iinfo(dtype).max, np.iinfo(dtype).min]
    places = rng.choice(x.size, (len(ends), 20), replace=False)
    for end, place in zip(ends, places, strict=True):
        x.reshape(-1)[place] = end
    return x


def both(call, x):
    return [call(t.tensor(x)) for t in (ours, torch)]


def same(mine, theirs):
    np.testing.assert_array_equal(mine.numpy(), theirs.numpy())


@pytest.mark.parametrize("nans", [False, True])
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("dtype", DTYPES)
def test_sort_is_stable_with_nan_as_the_largest(dtype, dim, descending, nans):
    x = sample(dtype)
    if nans and dtype[0] == "f":
        x[::3, ::5] = np.nan
        x[1::3, ::7] = -np.nan
    mine, theirs = both(lambda x: x.sort(dim=dim, descending=descending, stable=True), x)
    same(mine.indices, theirs.indices)
    same(mine.values, theirs.values)
    assert mine.indices.is_contiguous()
    mine, theirs = both(lambda x: x.argsort(dim=dim, descending=descending, stable=True), x)
    same(mine, theirs)


@pytest.mark.parametrize("largest", [False, True])
@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("dtype", [d for d in DTYPES if d != "bool"])
def test_ranks(dtype, dim, largest):
    x = sample(dtype)
    if dtype[0] == "f":
        x[3, 5] = np.nan
    n = x.shape[dim]
    for k in (0, 1, 3, n - 1, n):
        for is_sorted in (True, False):
            mine, theirs = both(lambda x: x.topk(k, dim, largest, is_sorted), x)
            if not is_sorted:
                mine, theirs = mine[0].sort(dim), theirs[0].sort(dim)
            same(mine[0], theirs[0])
        taken = ours.tensor(x).topk(k, dim, largest)
        same(taken.values, ours.gather(ours.tensor(x), dim, taken.indices))
        if k:
            mine, theirs = both(lambda x: x.kthvalue(k, dim), x)
            same(mine.values, theirs.values)
            found = ours.gather(ours.tensor(x), dim, mine.indices.unsqueeze(dim))
            same(found.squeeze(dim), theirs.values)


@pytest.mark.parametrize("nans", [False, True])
@pytest.mark.parametrize("dtype", [d for d in DTYPES if d != "bool"])
def test_medians_and_modes(dtype, nans):
    x = sample(dtype)
    if nans and dtype[0] == "f":
        x[::3, ::5] = np.nan
        x[4] = np.nan
    for name in ("median", "nanmedian"):
        same(*both(lambda x: getattr(x, name)(), x))
        for dim in (0, 1):
            mine, theirs = both(lambda x: getattr(x, name)(dim), x)
            same(mine.values, theirs.values)
            found = ours.gather(ours.tensor(x), dim, mine.indices.unsqueeze(dim)).squeeze(dim)
            same(found, theirs.values)
    if not (nans and dtype[0] == "f"):
        same(*[m.values for m in both(lambda x: x.mode(1), x)])


@pytest.mark.parametrize("nans", [False, True])
@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("dtype", DTYPES)
def test_running_extrema(dtype, dim, nans):
    x = sample(dtype)
    if nans and dtype[0] == "f":
        x[::3, 30::7] = np.nan
        x[20:, 3] = -np.nan
    for name in ("cummax", "cummin"):
        mine, theirs = both(lambda x: getattr(x, name)(dim), x)
        same(mine.values, theirs.values)
        same(mine.indices, theirs.indices)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.cummax(1)[0],
        lambda x: x.cummin(0)[0],
        lambda x: x.sort(0, descending=True)[0],
        lambda x: x.topk(7, 1)[0],
        lambda x: x.kthvalue(9, 0)[0],
        lambda x: x.median(1)[0],
        lambda x: x.median(),
        lambda x: x.nanmedian(),
    ],
)
def test_gradients_go_to_where_values_came_from(call):
    x = np.random.default_rng(1).permutation(1200).reshape(30, 40).astype("f")
    gradients = []
    for t in (ours, torch):
        leaf = t.tensor(x, requires_grad=True)
        out = call(leaf)
        weights = t.arange(1, out.numel() + 1, dtype=t.float32).reshape(out.shape)
        (out * weights).sum().backward()
        gradients.append(leaf.grad)
    same(*gradients)


def test_packed_integers_are_used(monkeypatch):
    packed = []
    plain = sorting.packed
    monkeypatch.setattr(sorting, "packed", lambda x, d=False: packed.append(d) or plain(x, d))
    x = ours.randn(30, 40)
    x.sort()
    x.topk(3)
    x.kthvalue(3)
    x.median(0)
    assert packed == [False, True, False, False]
    ours.randn(4).sort()  # few
    assert len(packed) == 4
