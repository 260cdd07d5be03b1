"""Scaled dot product attention: what the op table does not say."""

import tracemalloc

import numpy as np
import pytest

import tinygrad_like as ours
from tinygrad_like import jit
from tinygrad_like.arrays import attention_blocks as blocks
from tinygrad_like.nn import functional as F
from tinygrad_like.ops import attention as module

torch = pytest.importorskip("torch")
TF = torch.nn.functional

attend, reference = F.scaled_dot_product_attention, TF.scaled_dot_product_attention


def draw(*shapes, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def gradients(library, function, arrays, **options):
    """Return the result and the gradients of all arrays of floats."""
    tensors = [
        library.tensor(a).requires_grad_() if a.dtype.kind == "f" else library.tensor(a)
        for a in arrays
    ]
    library.manual_seed(5)
    out = function(*tensors, **options)
    out.backward(library.tensor(draw(tuple(out.shape), dtype=arrays[0].dtype, seed=9)[0]))
    return [out.detach().numpy(), *(t.grad.numpy() for t in tensors if t.requires_grad)]


def same(arrays, rtol=1e-10, **options):
    found = gradients(ours, attend, arrays, **options)
    wanted = gradients(torch, reference, arrays, **options)
    for a, b in zip(found, wanted, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)
    return found


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "_BLOCK", 64)
    monkeypatch.setattr(blocks, "_LEAST_ROWS", 3)


OPTIONS = [{}, {"is_causal": True}, {"dropout_p": 0.3}, {"scale": 30.0}, {"dropout_p": 1.0}]
SHAPES = [
    [(2, 3, 7, 4), (2, 3, 9, 4), (2, 3, 9, 2)],  # the weights are kept
    [(2, 3, 30, 4), (2, 3, 40, 4), (2, 3, 40, 2)],  # they are computed anew
    [(50, 4), (23, 4), (23, 4)],
    [(9, 1, 20, 4), (1, 3, 8, 4), (8, 5)],
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("mask", [None, "bool", "float", "infinite"])
def test_many_small_blocks(small_blocks, shapes, options, mask):
    arrays = draw(*shapes)
    if mask:
        if "is_causal" in options:
            return
        (extra,) = draw((shapes[0][-2], shapes[1][-2]), seed=1)
        made = {"bool": extra > -0.5, "float": extra, "infinite": np.where(extra > 0, -np.inf, 0)}
        arrays.append(made[mask])
        arrays[3][0] = -np.inf if mask == "infinite" else arrays[3][0]
        if mask == "bool":
            arrays[3][1] = False
    same(arrays, **options)


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("columns", [1, 50])
def test_second_derivatives_without_kept_weights(small_blocks, is_causal, columns):
    arrays = draw((2, 9, 3), (2, columns, 3), (2, columns, 2), (9, columns))
    if is_causal:
        arrays = arrays[:3]

    def second(library, function):
        tensors = [library.tensor(a).requires_grad_() for a in arrays]
        out = function(*tensors, is_causal=is_causal)
        weights = library.tensor(draw((2, 9, 2), seed=3)[0]).requires_grad_()
        first = library.autograd.grad(out, tensors, weights, create_graph=True)
        total = sum((g * g).sum() for g in first)
        return [*first, *library.autograd.grad(total, [*tensors, weights])]

    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        wanted = second(torch, reference)
    for a, b in zip(second(ours, attend), wanted, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-9, atol=1e-9)


def test_where_nothing_is_seen_the_result_is_zero():
    arrays = [*draw((2, 2, 3, 4), (2, 2, 5, 4), (2, 2, 5, 4)), np.zeros((3, 5), bool)]
    for found in same(arrays):
        assert not found.any()


def test_without_keys_or_queries():
    assert not attend(*map(ours.tensor, draw((2, 3), (0, 3), (0, 4)))).any()
    found = gradients(ours, attend, draw((2, 0, 3), (2, 5, 3), (2, 5, 3)), is_causal=True)
    assert [f.shape for f in found] == [(2, 0, 3), (2, 0, 3), (2, 5, 3), (2, 5, 3)]
    assert not any(f.any() for f in found)


def test_nan_and_infinite_scores():
    for shape in ((1, 4, 5), (1, 1, 4, 5)):
        q, k, v = draw(shape, shape, shape)
        q[..., 0, 0], k[..., 2, 1] = np.nan, np.inf
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            wanted = reference(*map(torch.tensor, (q, k, v)))
        np.testing.assert_allclose(attend(*map(ours.tensor, (q, k, v))).numpy(), wanted)


def test_scores_that_would_overflow():
    arrays = [
        a * s for a, s in zip(draw((3, 6, 4), (3, 6, 4), (3, 6, 4)), (500, 1, 1), strict=True)
    ]
    same(arrays, is_causal=True, rtol=1e-8)


def test_half_precision():
    arrays = draw((2, 3, 20, 8), (2, 3, 30, 8), (2, 3, 30, 8), dtype="float16")
    found = gradients(ours, attend, arrays)
    wanted = gradients(ours, attend, [a.astype("float32") for a in arrays])
    for a, b in zip(found, wanted, strict=True):
        assert a.dtype == np.float16
        np.testing.assert_allclose(a, b, rtol=2e-2, atol=4e-3)


@pytest.mark.parametrize("heads", [(6, 2, 2), (6, 2, 3), (6, 1, 6), (6, 6, 6)])
@pytest.mark.parametrize("mask", [None, (6, 4, 5), (1, 4, 5), (4, 5), (2, 1, 4, 5)])
def test_heads_that_share_keys(heads, mask):
    query, key, value = heads
    arrays = draw((2, query, 4, 3), (2, key, 5, 3), (2, value, 5, 3))
    if mask:
        arrays += draw(mask, seed=1)
    same(arrays, enable_gqa=True)
    same(arrays, enable_gqa=True, dropout_p=0.4)


def test_masks_of_another_type():
    arrays = [*draw((2, 3), (4, 3), (4, 3)), *draw((2, 4), dtype="float32")]
    same(arrays, rtol=1e-6)


def test_results_lie_like_their_arguments():
    """Where heads lie side by side in a projection they do in the result: merging takes no copy."""
    arrays = draw((2, 4, 3, 5), (2, 6, 3, 5), (2, 6, 3, 5))
    mine, theirs = (
        [library.tensor(a).transpose(1, 2).requires_grad_() for a in arrays]
        for library in (ours, torch)
    )
    out, wanted = attend(*mine), reference(*theirs)
    assert out.stride() == wanted.stride()
    assert out.transpose(1, 2).is_contiguous()
    assert out.grad_fn.name() == wanted.grad_fn.name()
    for grad, x in zip(ours.autograd.grad(out.sum(), mine), mine, strict=True):
        assert grad.stride() == x.stride()
    arrays = draw((2, 3, 4, 5), (2, 3, 6, 5), (2, 3, 6, 5))
    assert attend(*map(ours.tensor, arrays)).is_contiguous()
    assert reference(*map(torch.tensor, arrays)).is_contiguous()


@pytest.mark.parametrize("swapped", [(0, 1), (1, 2), (1, 3), (2, 3)])
@pytest.mark.parametrize("enabled", [False, True])
def test_any_strides(monkeypatch, swapped, enabled):
    if enabled:
        pytest.importorskip("numba")
    monkeypatch.setattr(jit._switch, "on", enabled)
    arrays = draw((20, 20, 20, 20), (20, 20, 20, 20), (20, 20, 20, 20))
    found, wanted = [], []
    for library, function, results in ((ours, attend, found), (torch, reference, wanted)):
        given = [library.tensor(a).transpose(*swapped)[:3, :3].requires_grad_() for a in arrays]
        function(*given, is_causal=True).sin().sum().backward()
        results += [x.grad.numpy() for x in given]
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_memory_does_not_grow_with_the_product_of_lengths():
    length = 2048
    x = ours.tensor(draw((1, 2, length, 16), dtype="float32")[0]).requires_grad_()
    with jit.disabled():
        tracemalloc.start()
        attend(x, x, x, is_causal=True).sum().backward()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < length * length * 4 / 2  # half a score matrix of one of the two heads


def test_weights_are_kept_only_where_few_and_wanted(monkeypatch):
    calls = []
    plain = module.reweigh
    monkeypatch.setattr(module, "reweigh", lambda *args: (calls.append(1), plain(*args)))
    short = [ours.tensor(a).requires_grad_() for a in draw((4, 3, 8), (4, 32, 8), (4, 32, 8))]
    attend(*short).sum().backward()
    assert not calls
    saved = attend(*(x.detach() for x in short))
    assert saved.grad_fn is None
    long = [ours.tensor(a).requires_grad_() for a in draw((4, 3, 8), (4, 33, 8), (4, 33, 8))]
    attend(*long).sum().backward()
    assert calls


@pytest.mark.parametrize("name", ["weigh", "reweigh", "slope"])
def test_kernels_are_taken_and_agree(monkeypatch, name):
    pytest.importorskip("numba")
    monkeypatch.setattr(jit._switch, "on", True)
    arrays = draw((2, 2, 80, 8), (2, 2, 80, 8), (2, 2, 80, 8), dtype="float32")
    with jit.disabled():
        plain = gradients(ours, attend, arrays, is_causal=True)
    seen = []
    declared = getattr(module, name)

    def watched(*args):
        seen.extend(a.flags.c_contiguous for a in args if isinstance(a, np.ndarray))
        declared(*args)

    monkeypatch.setattr(module, name, watched)
    found = gradients(ours, attend, arrays, is_causal=True)
    assert jit.enabled()  # it would be off if numba had failed
    assert seen
    assert all(seen)
    for a, b in zip(found, plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(7, 2, 100, 8), (1, 9, 100, 8), (90, 8)])
def test_any_number_of_threads(monkeypatch, shape):
    from tinygrad_like import threads

    arrays = draw(shape, shape, shape)
    whole = gradients(ours, attend, arrays, is_causal=True)
    pieces = []

    def split(count, work, bytes_):
        for i in range(count):
            pieces.append(i)
            work(i, i + 1)

    monkeypatch.setattr(blocks, "split", split)
    assert threads.split is not split
    for a, b in zip(gradients(ours, attend, arrays, is_causal=True), whole, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    assert len(pieces) == 2 * max(shape[:-2], default=1)


# ----- Errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shapes", "options"),
    [
        ([(3,), (4, 3), (4, 5)], {}),
        ([(2, 3), (4, 5), (4, 5)], {}),
        ([(2, 3), (4, 3), (5, 5)], {}),
        ([(3, 2, 3), (2, 4, 3), (2, 4, 3)], {}),
        ([(2, 3), (4, 3), (4, 3), (3, 4)], {}),
        ([(2, 3), (4, 3), (4, 3), (7, 2, 4)], {}),
        ([(2, 3), (4, 3), (4, 3), (2, 4)], {"is_causal": True}),
        ([(2, 3), (4, 3), (4, 3)], {"dropout_p": 1.5}),
        ([(2, 3), (4, 3), (4, 3)], {"enable_gqa": True}),
        ([(2, 4, 2, 3), (2, 3, 4, 3), (2, 3, 4, 3)], {"enable_gqa": True}),
        ([(2, 3), (4, 3), (4, 3)], {"scale": "1"}),
    ],
)
def test_errors_are_pytorchs(shapes, options):
    arrays = draw(*shapes)
    with pytest.raises(Exception) as wanted:  # noqa: PT011
        reference(*map(torch.tensor, arrays), **options)
    with pytest.raises(wanted.type):
        attend(*map(ours.tensor, arrays), **options)


@pytest.mark.parametrize(
    "dtypes",
    [
        ("float32", "float32", "float64", None),
        ("int64", "int64", "int64", None),
        ("float32", "float32", "float32", "int64"),
        ("float32", "float32", "float32", "float64"),
    ],
)
def test_errors_of_types_are_pytorchs(dtypes):
    arrays = [np.ones((2, 2), d) for d in dtypes if d]
    with pytest.raises(RuntimeError):
        reference(*map(torch.tensor, arrays))
    with pytest.raises(RuntimeError):
        attend(*map(ours.tensor, arrays))


def test_arguments_that_are_no_tensors():
    x = ours.ones(2, 2)
    for arguments in ((x, x, None), ([1.0], x, x), (x, x, x, 3)):
        with pytest.raises(TypeError, match="must be Tensor"):
            attend(*arguments)
