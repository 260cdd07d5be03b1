"""Indexing, scattering and masks: PyTorch's values, views, gradients and refusals."""

from __future__ import annotations

import contextlib
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import tinygrad_like as ours
from tinygrad_like import jit
from tinygrad_like.arrays import accumulating

torch = pytest.importorskip("torch")


# ----- Random indices -----------------------------------------------------------------------------


class Tensor:
    """Stands in an index for a tensor, until it is known whose."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __repr__(self) -> str:
        return f"Tensor({self.array.tolist()})"


def _ints(draw: Any, size: int, shape: tuple[int, ...]) -> np.ndarray:
    count = int(np.prod(shape))
    low, high = (-size, size - 1) if size else (0, 0)
    values = draw(st.lists(st.integers(low, high), min_size=count, max_size=count))
    return np.array(values, np.int64).reshape(shape)


def _mask(draw: Any, shape: tuple[int, ...]) -> np.ndarray:
    count = int(np.prod(shape))
    return np.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)), bool).reshape(
        shape
    )


@st.composite
def indexings(draw: Any) -> tuple[tuple[int, ...], Any]:
    """A shape and an index into it, now and then out of range or one too many."""
    shape = tuple(draw(st.lists(st.integers(1, 4), max_size=4)))
    bound = st.none() | st.integers(-6, 6)
    items: list[Any] = []
    dim = 0
    for _ in range(draw(st.integers(0, len(shape) + 1))):
        size = shape[dim] if dim < len(shape) else 1
        kind = draw(
            st.sampled_from(
                [
                    "int",
                    "int",
                    "slice",
                    "slice",
                    "none",
                    "array",
                    "list",
                    "mask",
                    "bool",
                    "ellipsis",
                ]
            )
        )
        if kind == "ellipsis" and Ellipsis in [i for i in items if i is Ellipsis]:
            kind = "slice"
        if kind == "int":
            items.append(draw(st.integers(-size - 1, size)))
        elif kind == "slice":
            items.append(slice(draw(bound), draw(bound), draw(st.none() | st.integers(1, 3))))
        elif kind == "none":
            items.append(None)
        elif kind == "array":
            form = draw(st.sampled_from([(), (0,), (1,), (2,), (2, 1), (3, 2)]))
            items.append(Tensor(_ints(draw, size, form)))
        elif kind == "list":
            items.append(_ints(draw, size, (draw(st.integers(1, 3)),)).tolist())
        elif kind == "bool":
            items.append(draw(st.booleans()))
        elif kind == "mask":
            depth = draw(st.integers(0, max(len(shape) - dim, 0)))
            items.append(Tensor(_mask(draw, shape[dim : dim + depth])))
            dim += depth
            continue
        else:
            items.append(Ellipsis)
        dim += kind in ("int", "slice", "array", "list")
    if len(items) == 1 and draw(st.booleans()):
        return shape, items[0]
    return shape, tuple(items)


def _for(module: Any, index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(_for(module, i) for i in index)
    return module.tensor(index.array) if isinstance(index, Tensor) else index


def _values(shape: Any, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(tuple(shape))


def _both(program: Any) -> tuple[Any, Any]:
    """Return what a program gives with PyTorch and with this package, or the kinds of error."""
    results = []
    for module in (torch, ours):
        try:
            results.append(program(module))
        except (IndexError, RuntimeError, TypeError, ValueError) as error:
            results.append(type(error).__name__)
    return results[0], results[1]


def _same(theirs: Any, mine: Any) -> None:
    if isinstance(theirs, str) or isinstance(mine, str):
        assert mine == theirs
        return
    assert len(theirs) == len(mine)
    for t, m in zip(theirs, mine, strict=True):
        if isinstance(t, np.ndarray):
            assert m is not None
            assert m.shape == t.shape
            np.testing.assert_allclose(m, t, rtol=1e-12, atol=1e-13)
        else:
            assert m == t


@given(indexings())
def test_getting_is_torchs(case: Any) -> None:
    shape, index = case

    def program(module: Any) -> Any:
        x = module.tensor(_values(shape)).requires_grad_()
        y = x * 1
        out = y[_for(module, index)]
        out.backward(module.tensor(_values(out.shape, 1)))
        shares = out._base is not None
        return out.detach().numpy(), x.grad.numpy(), out.grad_fn.name(), shares

    theirs, mine = _both(program)
    # PyTorch lets arrays be out of range where there is nothing to pick.
    if mine != "IndexError" or isinstance(theirs, str) or theirs[0].size:
        _same(theirs, mine)


@given(indexings(), st.sampled_from(["number", "tensor", "recorded"]), st.booleans(), st.data())
def test_setting_is_torchs(case: Any, kind: str, in_graph: bool, data: Any) -> None:
    shape, index = case
    items = index if isinstance(index, tuple) else (index,)
    assume(not any(item is False for item in items))  # PyTorch returns before it looks at the value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            region = torch.zeros(shape)[_for(torch, index)].shape
        except IndexError:
            region = torch.Size(())
    wanted = [1 if data.draw(st.booleans()) else n for n in region]
    wanted = wanted[data.draw(st.integers(0, len(wanted))) :]
    wanted = data.draw(st.sampled_from([[], [1], [2]])) + wanted

    def program(module: Any) -> Any:
        x = module.tensor(_values(shape)).requires_grad_(in_graph)
        y = x * 1
        value: Any = 2.5
        if kind != "number":
            value = module.tensor(_values(wanted, 1)).requires_grad_(kind == "recorded")
        y[_for(module, index)] = value
        if not in_graph and (kind != "recorded" or not y.requires_grad):
            return (y.detach().numpy(),)
        y.backward(module.tensor(_values(shape, 2)))
        grads = [x.grad.numpy() if in_graph else None]
        if kind == "recorded" and value.grad is not None and value.numel():
            grads.append(value.grad.numpy())
        return (y.detach().numpy(), *grads)

    theirs, mine = _both(program)
    if region.numel() or isinstance(mine, str):  # NumPy writes nothing without looking at shapes
        _same(theirs, mine)


# ----- Adding up ----------------------------------------------------------------------------------


def _some_places(rng: Any, places: int, count: int, crowded: int) -> np.ndarray:
    """Return places of which the first few come up far more often than others."""
    idx = np.minimum(rng.integers(0, places, count), rng.integers(0, places, count) // 7)
    idx[rng.random(count) < 0.5] %= crowded
    return idx


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize(
    ("places", "count", "width"),
    [
        (5, 40, 1),
        (5, 40, 3),
        (300, 40, 3),
        (300, 900, 40),
        (5000, 900, 20),
        (70000, 90, 20),
        (3, 1, 8),
        (9, 9, 0),
        (9, 0, 9),
    ],
)
def test_slices_add_up(places: int, count: int, width: int, dim: int, dtype: str) -> None:
    rng = np.random.default_rng(0)
    idx = _some_places(rng, places, count, 3)
    shape = np.insert([2, width] if dim else [width, 2], dim, count)
    rows = (10 * rng.standard_normal(shape)).astype(dtype)
    start = (10 * rng.standard_normal(np.where(np.arange(3) == dim, places, shape))).astype(dtype)
    expected = start.copy()
    np.add.at(expected, (slice(None),) * dim + (idx,), rows)
    slack = 1e-11 if dtype == "float64" else 1e-4
    for switch in (jit.disabled, contextlib.nullcontext):
        found = start.copy()
        with switch():
            accumulating.add_slices(found, dim, idx, rows)
        np.testing.assert_allclose(found, expected, rtol=slack, atol=10 * slack)


def test_an_infinite_row_stays_in_its_place() -> None:
    rows = np.array([[np.inf], [2.0], [np.nan], [1.0]]) * np.ones(40)
    found = np.zeros((3, 40))
    accumulating.add_slices(found, 0, np.array([0, 1, 2, 1]), rows)
    np.testing.assert_array_equal(found[:, 0], [np.inf, 3, np.nan])


KERNELS = {
    "take_along": lambda torch, x, i, j, y: torch.gather(x, 0, i),
    "put_along": lambda torch, x, i, j, y: torch.scatter(x, 1, j, y),
    "add_along": lambda torch, x, i, j, y: torch.scatter_add(x, 0, i, y),
    "add_slices": lambda torch, x, i, j, y: torch.index_add(x, 0, i[:, 0], y),
}


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_are_taken_and_agree(name: str, monkeypatch: Any) -> None:
    pytest.importorskip("numba")
    monkeypatch.setattr(jit._switch, "on", True)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 90, 80))
    i, j = rng.integers(0, 90, (90, 80)), rng.permuted(np.tile(np.arange(80), (90, 1)), axis=1)
    wanted = KERNELS[name](torch, *map(torch.tensor, (x, i, j, y)))
    taken = []
    original = getattr(accumulating, f"_{name}")

    def watched(*args: Any) -> None:
        taken.append(all(a.flags.c_contiguous and a.ndim in (1, 3) for a in args))
        original(*args)

    monkeypatch.setattr(accumulating, f"_{name}", watched)
    found = KERNELS[name](ours, *map(ours.tensor, (x, i, j, y)))
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-12, atol=1e-12)
    assert jit.enabled()  # it would be off if numba had failed
    assert taken == [True]


def test_a_place_out_of_range_is_passed_over_by_kernels() -> None:
    pytest.importorskip("numba")
    x, out = np.ones((2, 3, 2)), np.zeros((2, 2, 2))
    wild = np.full((2, 3, 2), -1)
    wild[1] = 2
    for name in ("put_along", "add_along"):
        jit.load(f"scatter.{name}")(wild, x, out)
    jit.load("scatter.add_slices")(x, np.array([-1, 2, 1 << 40]), out)
    assert not out.any()
    jit.load("scatter.take_along")(wild, np.ones((2, 2, 2)), found := np.zeros((2, 3, 2)))
    assert not found.any()


# ----- Corners ------------------------------------------------------------------------------------


def _run(call: str, module: Any) -> Any:
    """Evaluate a call with `x` (2, 3, 4), `v` (3), `i` (2) and `m` (3)."""
    names = {
        "torch": module,
        "np": np,
        "x": module.arange(24.0).reshape(2, 3, 4),
        "v": module.tensor([1.0, 2.0, 3.0]),
        "i": module.tensor([0, 1]),
        "m": module.tensor([True, False, True]),
        "s": module.tensor(3.0),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if call.startswith("exec:"):
            exec(call.removeprefix("exec:").strip(), names)
            return names["v"]
        return eval(call, names)


@pytest.mark.parametrize(
    "call",
    [
        "x[True, 0]",
        "x[0, :, [0, 1]]",
        "x[[0, 1], :, [0, 1]]",
        "x[[0, slice(None)]]",
        "x[[torch.tensor(0), torch.tensor(1)]]",
        "x[(0, 1),]",
        "x[range(2)]",
        "x[np.array([0, 1])]",
        "x[np.array([True, False])]",
        "x[np.int64(1)]",
        "x[np.array(1)]",
        "x[[True, False]]",
        "x[[]]",
        "x[i.int()]",
        "x[torch.tensor([1, 0], dtype=torch.uint8)]",
        "x[torch.tensor(0) : torch.tensor(1)]",
        "x[..., ...]",
        "s[()]",
        "s[None]",
        "s[True]",
        "x[-3:]",
        "torch.nonzero(x > 21)",
        "x[:0][:, i]",
        "x[:0, :1][..., -1:]",
        "torch.nonzero(s)",
        "torch.nonzero(x > 21, as_tuple=True)[1]",
        "torch.nonzero(s, as_tuple=True)[0]",
        "torch.argwhere(x > 21)",
        "torch.where(x > 21)[2]",
        "torch.take_along_dim(x, torch.tensor([[[1]]]), 2)",
        "torch.scatter(v, 0, i, value=9)",
        "torch.scatter(v, 0, i, torch.tensor([9.0, 8.0]), reduce='add')",
        "v.scatter_(0, i, 1.5)",
        "v.scatter_add_(0, i, torch.ones(2))",
        "v.index_add_(0, i, torch.ones(2), alpha=3)",
        "v.index_copy_(0, i, torch.ones(2))",
        "v.index_fill_(0, i, 7)",
        "v.index_fill(0, torch.tensor([-1]), 7)",
        "v.index_put_((i,), torch.ones(2))",
        "v.masked_fill_(m, 7)",
        "v.masked_scatter_(m, torch.ones(2))",
        "v.masked_fill(m, torch.tensor(2))",
        "v.long().masked_fill(m, 2)",
        "v.put_(i, torch.ones(2), accumulate=True)",
        "v.put(torch.tensor([-1]), torch.ones(1))",
        "s.index_select(0, torch.tensor([0]))",
        "v.long().gather(0, i)",
        "torch.gather(v, 0, torch.tensor([], dtype=torch.int64))",
        "exec: v[0] = torch.tensor([[[5]]])",
        "exec: v.long()[0] = 1.5",
        "exec: v[m] = torch.tensor([[5.0, 6.0]])",
        "exec: v[1:] = 7",
        "exec: v[...] = np.float64(3)",
        "exec: w = v.long(); w[:] = torch.tensor([1.7, -1.7, 0]); v = w",
        "exec: w = v > 0; w[0] = 0; v = w",
    ],
)
def test_values_of_corners(call: str) -> None:
    mine, theirs = _run(call, ours), _run(call, torch)
    assert mine.shape == tuple(theirs.shape)
    assert str(mine.dtype) == str(theirs.dtype)
    np.testing.assert_array_equal(mine.numpy(), theirs.numpy())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("x[5]", "index 5 is out of bounds for dimension 0 with size 2"),
        ("x[0, 0, 0, 0]", "too many indices for tensor of dimension 3"),
        ("x[i.float()]", "tensors used as indices must be long, int, byte or bool tensors"),
        ("x[i.short()]", "tensors used as indices must be long, int, byte or bool tensors"),
        ("x[1.0]", "only integers, slices"),
        ("x[0, 1.0]", "only integers, slices"),
        ("x[{1}]", "only integers, slices"),
        ("x['a']", "invalid data type 'str'"),
        ("x[::-1]", "step must be greater than zero"),
        ("x[::0]", "slice step cannot be zero"),
        ("x[0:1.5]", "slice indices must be integers"),
        ("x[m]", r"The shape of the mask \[3\] at index 0 does not match"),
        ("x[torch.ones(2, 3, 4, 1).bool()]", "too many indices"),
        ("x[[0, 1], [0, 1, 2]]", r"could not be broadcast together with shapes \[2\], \[3\]"),
        ("x[:, [5]]", "index 5 is out of bounds for dimension 1 with size 3"),
        ("x[[-3]]", "index -3 is out of bounds for dimension 0 with size 2"),
        ("s[0]", "invalid index of a 0-dim tensor"),
        ("s[:]", r"slice\(\) cannot be applied to a 0-dim tensor"),
        ("exec: v[0] = None", "can't assign a NoneType"),
        ("exec: v[0] = [1]", "can't assign a list"),
        ("exec: v[i] = torch.ones(3)", "cannot be broadcast to indexing result of shape"),
        ("exec: v[:] = torch.ones(2)", r"\[2\].*\[3\]"),
        ("exec: v[:] = torch.ones(2, 3)", r"\[2, 3\].*\[3\]"),
        ("exec: v[i] = i", "Index put requires the source and destination dtypes match"),
        ("exec: del v[0]", "does not support deleting items"),
        ("exec: v.requires_grad_(); v[0] = 1", "a view of a leaf Variable that requires grad"),
        ("exec: v.requires_grad_(); v[i] = 1", "leaf Variable that requires grad"),
        ("torch.gather(v, 0, torch.tensor([3]))", "out of bounds for dimension 0 with size 3"),
        ("torch.gather(v, 0, torch.tensor([-1]))", "out of bounds"),
        ("torch.gather(v, 1, i)", "Dimension out of range"),
        ("torch.gather(v, 0, i.float())", "for index"),
        ("torch.gather(x, 0, i)", "same number of dimensions"),
        ("torch.gather(v, 0, [0])", "must be Tensor, not list"),
        ("torch.gather(x, 0, torch.zeros(1, 4, 1).long())", "apart from dimension 0"),
        ("torch.scatter(v, 0, i, i)", "dtype"),
        ("torch.scatter(v, 0, i, torch.tensor(9.0))", "src"),
        ("torch.scatter(v, 0, i, torch.ones(1))", "no larger than src|to be smaller than src"),
        ("torch.scatter(v, 0, i, torch.ones(2), reduce='max')", "reduce argument must be either"),
        ("torch.index_select(v, 0, torch.tensor([3]))", "out of (range|bounds)"),
        ("torch.index_select(v, 0, torch.tensor([[1]]))", "Index is supposed to be a vector"),
        ("torch.index_add(v, 0, i, torch.ones(3))", "2 indices"),
        ("torch.index_add(v, 0, i, i)", "same dtype"),
        ("torch.index_copy(v, 0, i, torch.ones(3))", "2 indices"),
        ("torch.index_fill(v, 0, i, torch.ones(2))", "0-dimensional value tensor"),
        ("torch.masked_fill(v, i, 0)", "expected BoolTensor for mask"),
        ("torch.masked_fill(x, torch.ones(3) > 0, 0)", "does not broadcast"),
        ("torch.masked_fill(v, m, torch.ones(2))", "0-dimensional value tensor"),
        ("torch.masked_select(v, i)", "expected BoolTensor for mask"),
        ("torch.masked_scatter(v, m, torch.ones(1))", "2 ones"),
        ("torch.masked_scatter(v, m, i)", "same dtypes"),
        ("torch.take(v, torch.tensor([3]))", "out of range"),
        ("v.put_(i, torch.ones(3))", "same number of elements"),
        ("v.put_(i, i)", "same dtype"),
        ("v.put_(torch.tensor([3]), torch.ones(1))", "out of range"),
        ("torch.nonzero([1])", "must be Tensor"),
        ("torch.take_along_dim(v, torch.tensor([[0]]), 0)", "same number of dimensions"),
        ("v.index_put((i,), i)", "source and destination dtypes match"),
    ],
)
def test_refusals_of_corners(call: str, words: str) -> None:
    with pytest.raises((IndexError, RuntimeError, TypeError, ValueError)) as theirs:
        _run(call, torch)
    with pytest.raises(theirs.type, match=words) as mine:
        _run(call, ours)
    assert mine.type is theirs.type


def test_a_single_element_is_a_view() -> None:
    x = ours.arange(3.0)
    x[1].add_(5)
    assert x.tolist() == [0, 6, 2]
    y = ours.arange(3)
    y[1] += 5
    assert y.tolist() == [0, 6, 2]


def test_a_write_may_overlap_what_it_reads() -> None:
    x = ours.arange(5.0)
    x[1:] = x[:-1]
    assert x.tolist() == [0, 0, 1, 2, 3]
    w = ours.tensor(2.0, requires_grad=True)
    y = ours.zeros(3)
    y[0] = w
    y[1:] = y[:-1]
    y.backward(ours.tensor([1.0, 10.0, 100.0]))
    assert y.tolist() == [2, 2, 0]
    assert w.grad.item() == 11


def test_numpys_spelling() -> None:
    x = ours.tensor([[3.0, 1.0], [2.0, 4.0]], requires_grad=True)
    order = np.array([[1, 0], [0, 1]])
    picked = np.take_along_axis(x, order, 1)
    assert picked.tolist() == [[1, 3], [2, 4]]
    (np.take(x, [0, 0, 3]).sum() + np.take(x, [1], 0).sum()).backward()
    assert x.grad.tolist() == [[2, 0], [1, 2]]
    assert [i.tolist() for i in np.nonzero(ours.tensor([[0, 1]]))] == [[0], [1]]
    assert np.argwhere(ours.tensor([0, 1])).tolist() == [[1]]


def test_indices_overwritten_before_backward_are_noticed() -> None:
    x = ours.arange(3.0).requires_grad_()
    i = ours.tensor([0, 1])
    y = x[i]
    i[0] = 2
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
