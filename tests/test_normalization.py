"""Corners of normalization and embedding: running statistics, precision, arguments that do not fit."""

import numpy as np
import pytest

import tinygrad_like as ours
from tests.watching import watch
from tinygrad_like import jit, threads
from tinygrad_like.arrays import norm_rows, row_blocks
from tinygrad_like.graph import result_type
from tinygrad_like.nn import functional as F

torch = pytest.importorskip("torch")


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def make(array, grad=False):
    return result_type.make(np.asarray(array)).requires_grad_(grad)


@pytest.mark.parametrize("shape", [(8, 3), (4, 3, 5), (4, 3, 2, 5)])
def test_running_statistics_move_in_place(shape):
    x = random(*shape)
    mean, var = make(np.zeros(3, np.float32)), make(np.ones(3, np.float32))
    memory = mean.array
    expected = torch.zeros(3), torch.ones(3)
    for _ in range(2):
        F.batch_norm(make(x), mean, var, training=True, momentum=0.3)
        torch.nn.functional.batch_norm(torch.tensor(x), *expected, training=True, momentum=0.3)
    assert mean.array is memory
    np.testing.assert_allclose(mean.array, expected[0].numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(var.array, expected[1].numpy(), rtol=1e-5)


def test_a_saved_statistic_that_moves_is_noticed():
    mean, var = make(np.zeros(3, np.float32)), make(np.ones(3, np.float32))
    product = mean * make(random(3), True)
    F.batch_norm(make(random(4, 3)), mean, var, training=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.sum().backward()


def test_evaluation_may_be_followed_by_training_before_backward():
    mean, var = make(np.zeros(3, np.float32)), make(np.ones(3, np.float32))
    x = make(random(4, 3), True)
    out = F.batch_norm(x, mean, var)
    F.batch_norm(make(random(4, 3)), mean, var, training=True)
    out.sum().backward()
    np.testing.assert_allclose(x.grad.array, 1 / np.sqrt(1 + 1e-5), rtol=1e-6)


def test_batch_norm_keeps_the_batch_innermost():
    x = make(random(3, 4, 5, 8).transpose(3, 0, 1, 2), True)
    out = F.batch_norm(x, None, None, training=True)
    assert out.array.transpose(1, 2, 3, 0).flags.c_contiguous


def test_a_large_mean_costs_no_precision():
    x = random(64, 3, 8, 8) + 1000
    for mine, theirs in (
        (F.batch_norm, torch.nn.functional.batch_norm),
        (F.instance_norm, torch.nn.functional.instance_norm),
    ):
        options = {"training": True} if mine is F.batch_norm else {}
        exact = theirs(torch.tensor(x.astype(np.float64)), None, None, **options).numpy()
        np.testing.assert_allclose(mine(make(x), None, None, **options).array, exact, atol=2e-3)
    exact = torch.layer_norm(torch.tensor(x.astype(np.float64)), (8, 8)).numpy()
    np.testing.assert_allclose(F.layer_norm(make(x), (8, 8)).array, exact, atol=2e-3)


# ----- Ways through memory ------------------------------------------------------------------------


def _channels_last(a):
    return np.ascontiguousarray(np.moveaxis(a, 1, -1)).transpose(
        0, a.ndim - 1, *range(1, a.ndim - 1)
    )


def _batch_last(a):
    return np.ascontiguousarray(np.moveaxis(a, 0, -1)).transpose(a.ndim - 1, *range(a.ndim - 1))


def _batch_norm(F_, x, w, b):
    return F_.batch_norm(x, None, None, w, b, training=True)


def _evaluated(F_, x, w, b):
    # Of both packages, so that the statistics are alike.
    return F_.batch_norm(x, w.detach() * 0 + 0.5, w.detach() * 0 + 2, w, b)


def _group_norm(F_, x, w, b):
    return F_.group_norm(x, 2, w, b)


LAYER = "standardize standardize_backward"
ROWS = "moments scale products combine"
COLUMNS = "column_moments column_scale column_products column_combine"
# What is called, with which shape and layout, and the routines that then do it.
WAYS = {
    "layer": (lambda F_, x, w, b: F_.layer_norm(x, w.shape, w, b), (70, 40), None, LAYER),
    "rms": (lambda F_, x, w, b: F_.rms_norm(x, w.shape, w) + b, (70, 40), None, LAYER),
    "batch": (_batch_norm, (5, 6, 12, 11), None, ROWS),
    "batch-short": (_batch_norm, (90, 6, 2, 3), None, COLUMNS),
    "batch-columns": (_batch_norm, (70, 40), None, COLUMNS),
    "batch-last": (_batch_norm, (40, 6, 4, 5), _batch_last, ROWS),
    "batch-long": (_batch_norm, (3, 2, 90, 100), _batch_last, ROWS),
    "channels-last": (_batch_norm, (10, 6, 12, 11), _channels_last, COLUMNS),
    "evaluated": (_evaluated, (5, 6, 12, 11), None, "scale products"),
    "group": (_group_norm, (5, 6, 12, 11), None, ROWS),
    "group-short": (_group_norm, (70, 40), None, LAYER),
}
EACH_WAY = pytest.mark.parametrize("way", WAYS)


def through(way, side, tensor, dtype="float32"):
    """Return the result and the gradients of one of `WAYS` as arrays."""
    call, shape, layout, _ = WAYS[way]
    size = shape[-1] if way in ("layer", "rms") else shape[1]
    x, g = random(*shape) + 1, random(*shape, seed=1)
    x, g, w, b = (a.astype(dtype) for a in (x, g, random(size, seed=2), random(size, seed=3)))
    if layout is not None:
        x = layout(x)
    leaves = [tensor(a) for a in (x, w, b)]
    out = call(side.nn.functional, *leaves)
    out.backward(tensor(g).detach())
    return [t.detach().numpy() for t in (out, *(leaf.grad for leaf in leaves))]


def by_us(way):
    return through(way, ours, lambda a: make(a, True))


@EACH_WAY
@pytest.mark.parametrize("compiled", [False, True])
def test_every_way_gives_what_torch_gives(way, compiled, monkeypatch):
    asked = watch(monkeypatch, norm_rows, WAYS[way][3]) if compiled else None
    if compiled:
        found = by_us(way)
        assert asked() == set(WAYS[way][3].split())
    else:
        with jit.disabled():
            found = by_us(way)
    exact = through(way, torch, lambda a: torch.tensor(a, requires_grad=True), "float64")
    for a, b in zip(found, exact, strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=2e-6 * np.abs(b).max())


@EACH_WAY
@pytest.mark.parametrize("compiled", [False, True])
def test_neither_blocks_nor_threads_change_anything(way, compiled, monkeypatch):
    monkeypatch.setattr(jit._switch, "on", compiled and jit.enabled())
    monkeypatch.setattr(row_blocks, "BLOCK", 1 << 11)
    pieces = []

    def one_by_one(count, work, bytes_):
        pieces.append(count)
        for i in reversed(range(count)):
            work(i, i + 1)

    found = by_us(way)
    monkeypatch.setattr(threads, "split", one_by_one)
    for a, b in zip(by_us(way), found, strict=True):
        np.testing.assert_array_equal(a, b)
    # NumPy alone takes a matrix of columns as a whole.
    assert max(pieces, default=1) > 1 or (way == "batch-columns" and not jit.enabled())


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@EACH_WAY
def test_results_keep_their_dtype_and_are_as_precise(way, dtype):
    if way == "evaluated" and dtype == "float16":
        tolerance = 4e-3  # the statistics are rounded, too
    else:
        tolerance = {"float16": 2e-3, "float32": 4e-6, "float64": 1e-13}[dtype]
    found = through(way, ours, lambda a: make(a, True), dtype)
    exact = through(
        way, torch, lambda a: torch.tensor(a.astype(dtype).astype("f8"), requires_grad=True), dtype
    )
    for a, b in zip(found, exact, strict=True):
        assert a.dtype == dtype
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * np.abs(b).max())


@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 4), (2, 3, 0), (0, 3, 4, 4)])
def test_nothing_to_normalize(shape):
    def run(side):
        F_ = side.nn.functional
        x, w, b = (side.zeros(s).requires_grad_() for s in (shape, 3, 3))
        mean, var = side.ones(3), side.ones(3)
        outs = [
            F_.batch_norm(x, mean, var, w, b, training=True),
            F_.batch_norm(x, mean, var, w, b),
            F_.group_norm(x, 3),
            F_.layer_norm(x, shape[1:]),
            *([F_.local_response_norm(x, 2)] if len(shape) > 2 else []),
        ]
        sum(out.sum() for out in outs).backward()
        return [t.detach().numpy() for t in (*outs, x.grad, w.grad, b.grad, mean, var)]

    for a, b in zip(run(ours), run(torch), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.shape == b.shape


def test_layouts_are_kept():
    for layout in (_batch_last, _channels_last):
        x = make(layout(random(10, 6, 12, 11)), True)
        out = F.batch_norm(x, None, None, training=True)
        out.backward(make(random(10, 6, 12, 11)))
        assert out.array.strides == x.array.strides == x.grad.array.strides


def test_rows_are_combined_without_numpys_buffer():
    sizes = []
    routine = row_blocks.unbuffered(lambda x: sizes.append(np.getbufsize()))
    usual = np.getbufsize()
    for shape in ((64, 512), (2, 512), (512, 64), (4, 65536)):
        routine(np.empty(shape))
    assert sizes == [16, usual, usual, usual]
    assert np.getbufsize() == usual


@pytest.mark.parametrize("size", [7, 5000])
def test_blocks_change_nothing(size, monkeypatch):
    x, w, b, g = random(9, size), random(size), random(size), random(9, size, seed=1)
    results = []
    for block in (1 << 19, 64):
        monkeypatch.setattr(row_blocks, "BLOCK", block)
        leaves = make(x, True), make(w, True), make(b, True)
        out = F.layer_norm(leaves[0], (size,), *leaves[1:])
        out.backward(make(g))
        results.append([out.array, *(t.grad.array for t in leaves)])
    for whole, parts in zip(*results, strict=True):
        assert whole.dtype == np.float32
        np.testing.assert_allclose(parts, whole, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (0, 2), (1, 2)])
@pytest.mark.parametrize("name", ["layer_norm", "batch_norm", "batch_norm_2d", "group_norm"])
def test_only_what_is_wanted(name, wanted):
    def run(side, tensor):
        x, w, b = (
            tensor(a, i in wanted)
            for i, a in enumerate((random(3, 4, 5) if "2d" not in name else random(6, 4), w0, b0))
        )
        F_ = side.nn.functional
        if name == "layer_norm":
            out = F_.layer_norm(x, (5,), w, b)
        elif name == "group_norm":
            out = F_.group_norm(x, 2, w, b)
        else:
            out = F_.batch_norm(x, None, None, w, b, training=True)
        (out * out * out).sum().backward()
        return [t.grad for t in (x, w, b)]

    size = 5 if name == "layer_norm" else 4
    w0, b0 = random(size, seed=1), random(size, seed=2)
    mine = run(ours, make)
    theirs = run(torch, lambda a, grad: torch.tensor(a, requires_grad=grad))
    for m, t in zip(mine, theirs, strict=True):
        assert (m is None) == (t is None)
        if m is not None:
            np.testing.assert_allclose(m.array, t.numpy(), rtol=2e-4, atol=2e-4)


def test_names_of_nodes():
    x = make(random(2, 4, 3), True)
    assert F.layer_norm(x, (3,)).grad_fn.name() == "NativeLayerNormBackward0"
    assert F.group_norm(x, 2).grad_fn.name() == "NativeGroupNormBackward0"
    out = F.batch_norm(x, None, None, training=True)
    assert out.grad_fn.name() == "NativeBatchNormBackward0"


X = (2, 4, 8, 8)
WRONG = [
    ("layer_norm", X, lambda t: ((7,),), "expected input with shape"),
    (
        "layer_norm",
        X,
        lambda t: ((8,), t.ones(7)),
        "weight to be of same shape as normalized_shape",
    ),
    ("layer_norm", X, lambda t: ((8,), None, t.ones(7)), "bias to be of same shape"),
    ("layer_norm", X, lambda t: ((),), "at least 1-dimensional"),
    ("layer_norm", X, lambda t: (8,), "'normalized_shape' .* must be tuple of ints, not int"),
    ("rms_norm", X, lambda t: ((8,), t.ones(7)), "weight to be of same shape"),
    ("batch_norm", X, lambda t: (None, None), "running_mean must be defined in evaluation mode"),
    (
        "batch_norm",
        X,
        lambda t: (t.ones(3), t.ones(4)),
        "running_mean should contain 4 elements not 3",
    ),
    ("batch_norm", X, lambda t: (None, None, t.ones(3), None, True), "weight should contain 4"),
    ("batch_norm", (1, 4, 1, 1), lambda t: (None, None, None, None, True), "more than 1 value per"),
    ("group_norm", X, lambda t: (3,), "divisible by num_groups"),
    ("group_norm", X, lambda t: (2, t.ones(3)), "weight to be a vector of size equal"),
    ("instance_norm", (2, 4, 1, 1), lambda t: (), "more than 1 spatial element"),
]


@pytest.mark.parametrize(("name", "shape", "args", "words"), WRONG)
def test_wrong_arguments_raise_what_torch_raises(name, shape, args, words):
    kinds = []
    for side in (torch, ours):
        with pytest.raises((RuntimeError, ValueError, TypeError), match=words) as error:
            getattr(side.nn.functional, name)(side.ones(shape), *args(side))
        kinds.append(error.type)
    assert kinds[0] is kinds[1]


# ----- Embedding ----------------------------------------------------------------------------------


def test_the_row_of_the_padding_has_no_gradient():
    w = make(random(5, 3), True)
    F.embedding(ours.tensor([1, 4, 4, 0]), w, padding_idx=-1).sum().backward()
    np.testing.assert_array_equal(w.grad.array[:, 0], [1, 1, 0, 0, 0])


@pytest.mark.parametrize("rows", [5, 400])
def test_gradients_divided_by_frequency(rows):
    i = np.random.default_rng(0).integers(0, rows, (30, 20))
    i[:, :5] = 1
    w, theirs = random(rows, 4), torch.tensor(random(rows, 4), requires_grad=True)
    leaf, g = make(w, True), random(30, 20, 4, seed=1)
    F.embedding(make(i), leaf, scale_grad_by_freq=True).backward(make(g))
    out = torch.nn.functional.embedding(torch.tensor(i), theirs, scale_grad_by_freq=True)
    out.backward(torch.tensor(g))
    assert leaf.grad.array.dtype == np.float32
    np.testing.assert_allclose(leaf.grad.array, theirs.grad.numpy(), rtol=1e-4, atol=1e-5)


def test_long_rows_are_scaled_in_place():
    w = random(5, 4)
    table, theirs, i = make(w.copy()), torch.tensor(w), [1, 1, 2]
    out = F.embedding(ours.tensor(i), table, max_norm=1.0)
    expected = torch.nn.functional.embedding(torch.tensor(i), theirs, max_norm=1.0)
    np.testing.assert_allclose(out.array, expected.numpy(), rtol=1e-5)
    np.testing.assert_allclose(table.array, theirs.numpy(), rtol=1e-5)


def test_int32_and_0d_indices():
    w = make(random(5, 3))
    assert F.embedding(ours.tensor(2), w).shape == (3,)
    assert F.embedding(ours.tensor([2], dtype=ours.int32), w).shape == (1, 3)
    assert F.embedding(ours.zeros(0, dtype=ours.int64), w).shape == (0, 3)


@pytest.mark.parametrize("index", [5, -1])
def test_index_out_of_range(index):
    for side in (torch, ours):
        with pytest.raises(IndexError, match="index out of range in self"):
            side.nn.functional.embedding(side.tensor([1, index]), side.zeros(5, 3))


def test_wrong_arguments_of_embedding():
    for side in (torch, ours):
        embedding = side.nn.functional.embedding
        with pytest.raises(RuntimeError, match="scalar types: Long, Int; but got"):
            embedding(side.tensor([1.0]), side.zeros(5, 3))
        with pytest.raises(AssertionError, match="Padding_idx must be within num_embeddings"):
            embedding(side.tensor([1]), side.zeros(5, 3), padding_idx=5)
        with pytest.raises(RuntimeError, match="'weight' must be 2-D"):
            embedding(side.tensor([1]), side.zeros(5))
