"""Corners of losses: ignored and impossible targets, limits, warnings, arguments that do not fit."""

import warnings

import numpy as np
import pytest

import tinygrad_like as ours
from tests.watching import watch
from tinygrad_like import jit, threads
from tinygrad_like.arrays import loss_rows, row_blocks
from tinygrad_like.graph import result_type
from tinygrad_like.nn import functional as F

torch = pytest.importorskip("torch")


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def make(array, grad=False):
    return result_type.make(np.asarray(array)).requires_grad_(grad)


def both(name, x, *args, **options):
    """Compare values and the first operand's gradients of both sides; arrays become tensors."""

    def run(side, tensor):
        first = tensor(x, True)
        given = [tensor(a, False) if isinstance(a, np.ndarray) else a for a in args]
        named = {
            k: tensor(v, False) if isinstance(v, np.ndarray) else v for k, v in options.items()
        }
        out = getattr(side.nn.functional, name)(first, *given, **named)
        out.sum().backward()
        return out, first.grad

    out, grad = run(ours, make)
    expected, expected_grad = run(torch, lambda a, g: torch.tensor(a, requires_grad=g))
    assert tuple(out.shape) == tuple(expected.shape)
    np.testing.assert_allclose(out.array, expected.detach().numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(grad.array, expected_grad.numpy(), rtol=1e-5, atol=1e-6)


REDUCTIONS = pytest.mark.parametrize("reduction", ["none", "mean", "sum"])


@REDUCTIONS
@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_ignored_targets(name, reduction):
    x, t = random(4, 3), np.array([0, -100, 2, 1])
    both(name, x, t, reduction=reduction)
    both(name, x, np.where(t < 0, 1, t), ignore_index=1, reduction=reduction)
    both(name, x, np.full(4, -100), reduction=reduction)


@REDUCTIONS
@pytest.mark.parametrize("smoothing", [0.1, 1.0])
def test_smoothing_with_ignored_targets_and_weights(reduction, smoothing):
    x, t, w = random(4, 3, 2), np.array([[0, 1], [-100, 2], [2, 2], [1, 0]]), random(3) ** 2
    for weight in (None, w):
        options = {} if weight is None else {"weight": weight}
        both("cross_entropy", x, t, label_smoothing=smoothing, reduction=reduction, **options)


def test_an_ignored_target_with_an_infinite_loss_counts_nothing():
    x = np.array([[0.0, -np.inf], [1.0, 2.0]])
    both("nll_loss", x, np.array([-100, 1]))


@REDUCTIONS
def test_one_sample_without_a_batch(reduction):
    both("cross_entropy", random(4), np.array(2), reduction=reduction)
    both("nll_loss", random(4), np.array(2), reduction=reduction)
    both("cross_entropy", random(4), np.array([0.1, 0.2, 0.3, 0.4], "f4"), reduction=reduction)


def test_large_scores_do_not_overflow():
    x = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 3e4]], np.float32)
    both("cross_entropy", x, np.array([0, 1]))
    both("binary_cross_entropy_with_logits", x, (x > 0).astype("f4"))


def test_uint8_targets_and_empty_batches():
    both("cross_entropy", random(2, 3), np.array([0, 2], np.uint8))
    loss = F.cross_entropy(ours.zeros(0, 3), ours.zeros(0, dtype=ours.int64))
    assert np.isnan(loss.array)
    assert F.cross_entropy(ours.zeros(0, 3), ours.zeros(0, dtype=ours.int64), reduction="sum") == 0


X = (3, 5)
WRONG = [
    ("cross_entropy", X, [0, 5, 1], {}, IndexError, "Target 5 is out of bounds"),
    ("cross_entropy", X, [0, -1, 1], {}, IndexError, "Target -1 is out of bounds"),
    ("nll_loss", X, [0, 5, 1], {}, IndexError, "Target 5 is out of bounds"),
    ("cross_entropy", X, [0, 1], {}, ValueError, r"input batch_size \(3\) to match target"),
    ("cross_entropy", X, [0.0, 1.0, 2.0], {}, RuntimeError, "Long or Byte, but got Float"),
    ("cross_entropy", X, [[0], [1], [2]], {}, RuntimeError, "multi-target not supported"),
    ("cross_entropy", X, [1] * 3, {"reduction": "sun"}, ValueError, "sun is not a valid value"),
    ("cross_entropy", X, [1] * 3, {"label_smoothing": 1.5}, RuntimeError, "between 0.0 and 1.0"),
    (
        "cross_entropy",
        (2, 5, 3),
        [[0] * 4] * 2,
        {},
        RuntimeError,
        r"target size \[2, 3\], got \[2, 4\]",
    ),
    (
        "cross_entropy",
        X,
        [[1] * 5] * 3,
        {},
        RuntimeError,
        "Expected floating point type for target",
    ),
    ("smooth_l1_loss", X, [[0.0] * 5] * 3, {"beta": -1}, RuntimeError, "negative values for beta"),
    ("huber_loss", X, [[0.0] * 5] * 3, {"delta": 0}, RuntimeError, "non-positive values for delta"),
    ("mse_loss", X, [[0.0] * 5] * 3, {"reduction": "sun"}, ValueError, "sun is not a valid value"),
    ("binary_cross_entropy", X, [[0.0] * 4] * 3, {}, ValueError, "different to the input size"),
    (
        "binary_cross_entropy_with_logits",
        X,
        [[0.0] * 4] * 3,
        {},
        ValueError,
        "must be the same as input size",
    ),
]


@pytest.mark.parametrize(("name", "shape", "target", "options", "kind", "words"), WRONG)
def test_wrong_arguments_raise_what_torch_raises(name, shape, target, options, kind, words):
    for side in (torch, ours):
        with pytest.raises(kind, match=words):
            getattr(side.nn.functional, name)(side.zeros(shape), side.tensor(target), **options)


def test_wrong_weights_and_dtypes():
    t = [0, 1, 2]
    for side in (torch, ours):
        with pytest.raises(RuntimeError, match="either for all 5 classes or no classes"):
            side.nn.functional.cross_entropy(side.zeros(X), side.tensor(t), side.ones(4))
        with pytest.raises(RuntimeError, match="expected scalar type Double but found Float"):
            side.nn.functional.cross_entropy(side.zeros(X).double(), side.tensor(t), side.ones(5))
        with pytest.raises(NotImplementedError, match="not implemented for 'Long'"):
            side.nn.functional.cross_entropy(side.zeros(X).long(), side.tensor(t))
        with pytest.raises(RuntimeError, match="all elements of input should be between 0 and 1"):
            side.nn.functional.binary_cross_entropy(side.zeros(X) - 1, side.zeros(X))
        with pytest.raises(NotImplementedError, match="\"mse_cpu\" not implemented for 'Long'"):
            side.nn.functional.mse_loss(side.zeros(X).long(), side.zeros(X).long())


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"])
def test_different_sizes_broadcast_with_a_warning(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for reduction in ("none", "mean", "sum"):
            both(name, random(3, 1), random(4, seed=1), reduction=reduction)
    with pytest.warns(UserWarning, match=r"target size \(torch.Size\(\[4\]\)\) that is different"):
        getattr(F, name)(ours.zeros(3, 4), ours.zeros(4))


def test_old_flags_mean_a_reduction():
    x, y = make(random(3)), make(random(3, seed=1))
    for flags, reduction in (
        ({"reduce": False}, "none"),
        ({"size_average": False}, "sum"),
        ({"size_average": True}, "mean"),
    ):
        with pytest.warns(UserWarning, match=f"please use reduction='{reduction}' instead"):
            loss = F.mse_loss(x, y, **flags)
        np.testing.assert_array_equal(loss.array, F.mse_loss(x, y, reduction=reduction).array)


@REDUCTIONS
@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss"])
def test_weights_of_elements(name, reduction):
    both(name, random(3, 4), random(3, 4, seed=1), weight=random(3, 4) ** 2, reduction=reduction)
    with pytest.raises(ValueError, match="must have the same size"):
        getattr(F, name)(ours.zeros(3), ours.zeros(3), weight=ours.ones(2))


def test_kinks_have_torchs_slope():
    x = np.array([0.0, 1.0, -1.0, 2.0], np.float32)
    zeros = np.zeros(4, np.float32)
    both("l1_loss", x, zeros)
    both("smooth_l1_loss", x, zeros)
    both("smooth_l1_loss", x, zeros, beta=0.0)
    both("huber_loss", x, zeros)
    both("mse_loss", x, zeros)


@REDUCTIONS
def test_probabilities_at_the_limits(reduction):
    x = np.array([0.0, 1.0, 0.0, 1.0, 0.5], np.float32)
    both("binary_cross_entropy", x, np.array([0, 0, 1, 1, 0.3], np.float32), reduction=reduction)


def test_many_elements_are_averaged_precisely():
    x = np.full(300_000, 0.1, np.float32)
    exact = float(np.float32(0.1)) ** 2
    loss = F.mse_loss(make(x), make(np.zeros_like(x)))
    assert loss.dtype is ours.float32
    assert abs(float(loss) - exact) < 1e-6 * exact


def test_names_of_nodes():
    x, y = make(random(2, 3), True), make(random(2, 3, seed=1))
    assert F.mse_loss(x, y).grad_fn.name() == "MseLossBackward0"
    assert F.cross_entropy(x, ours.tensor([0, 1])).grad_fn.name() == "NllLossBackward0"


def test_one_hot():
    classes = [[0, 2], [1, 1]]
    for count in (-1, 5):
        out = F.one_hot(ours.tensor(classes), count)
        expected = torch.nn.functional.one_hot(torch.tensor(classes), count)
        assert out.dtype is ours.int64
        np.testing.assert_array_equal(out.array, expected.numpy())
    for side in (torch, ours):
        one_hot = side.nn.functional.one_hot
        with pytest.raises(RuntimeError, match="smaller than num_classes"):
            one_hot(side.tensor([1, 5]), 3)
        with pytest.raises(RuntimeError, match="must be non-negative"):
            one_hot(side.tensor([1, -5]))
        with pytest.raises(RuntimeError, match="only applicable to index tensor"):
            one_hot(side.tensor([1.0]))
        with pytest.raises(RuntimeError, match="Can not infer total number of classes"):
            one_hot(side.zeros(0, dtype=side.int64))
    with pytest.raises(TypeError, match="must be Tensor, not list"):
        F.one_hot([1])


# ----- Ways through memory ------------------------------------------------------------------------

INDICES = np.random.default_rng(0).integers(0, 40, 90)
IGNORED = np.where(INDICES % 5 == 0, -100, INDICES)
SHARES = np.random.default_rng(0).random((90, 40)).astype(np.float32)
# What is called on scores (90, 40), and the routine that then does it.
FUSED = {
    "classes": ("cross_entropy", [INDICES], {}, "cross_entropy_rows"),
    "ignored": ("cross_entropy", [IGNORED], {}, "cross_entropy_rows"),
    "weighted": (
        "cross_entropy",
        [IGNORED],
        {"weight": np.abs(random(40))},
        "cross_entropy_rows",
    ),
    "probabilities": ("cross_entropy", [SHARES], {}, "soft_cross_entropy_rows"),
    "logits": ("binary_cross_entropy_with_logits", [SHARES], {}, "logits"),
    "binary": ("binary_cross_entropy", [SHARES], {}, "binary"),
}


def scores(name):
    return SHARES.T.reshape(90, 40) if name == "binary" else random(90, 40) * 3


@REDUCTIONS
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", FUSED)
def test_fused_losses_are_taken_and_give_what_torch_gives(name, compiled, reduction, monkeypatch):
    function, args, options, routine = FUSED[name]
    if compiled:
        asked = watch(monkeypatch, loss_rows, routine)
        both(function, scores(name), *args, reduction=reduction, **options)
        assert asked() == {routine}
    else:
        with jit.disabled():
            both(function, scores(name), *args, reduction=reduction, **options)


def test_blocks_and_threads_change_nothing(monkeypatch):
    def all_of_them():
        found = []
        for name, (function, args, options, _) in FUSED.items():
            x = make(scores(name), True)
            named = {k: make(v) for k, v in options.items()}
            loss = getattr(F, function)(x, *map(make, args), reduction="none", **named)
            loss.sum().backward()
            found += [loss.array, x.grad.array]
        return found

    pieces = []

    def one_by_one(count, work, bytes_):
        pieces.append(count)
        for i in reversed(range(count)):
            work(i, i + 1)

    whole = all_of_them()
    monkeypatch.setattr(row_blocks, "BLOCK", 1 << 11)
    monkeypatch.setattr(threads, "split", one_by_one)
    for a, b in zip(all_of_them(), whole, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-7)
    assert pieces == [8] * 4


def test_nothing_is_kept_of_losses_that_nobody_differentiates():
    x = make(scores("classes"))
    for tensor, recorded in ((x, False), (x.clone().requires_grad_(), True)):
        loss = F.cross_entropy(tensor, make(INDICES))
        assert (loss.grad_fn is not None) == recorded
    with ours.no_grad():
        assert F.cross_entropy(x.requires_grad_(), make(INDICES)).grad_fn is None


def test_backward_leaves_what_is_kept_as_it_is():
    for name, (function, args, options, _) in FUSED.items():
        x = make(scores(name), True)
        loss = getattr(F, function)(x, *map(make, args), **{k: make(v) for k, v in options.items()})
        loss.backward(retain_graph=True)
        first = x.grad.array.copy()
        loss.backward()
        np.testing.assert_array_equal(x.grad.array, 2 * first)


@REDUCTIONS
def test_few_and_many_logits_have_one_loss(reduction):
    x, y = random(100, 30) * 20, (random(100, 30, seed=1) > 0).astype(np.float32)
    both("binary_cross_entropy_with_logits", x, y, reduction=reduction)
    both("binary_cross_entropy_with_logits", x[:9], y[:9], reduction=reduction)


SPECIAL = np.array(
    [[np.inf, 1, 2], [-np.inf, 1, 2], [-np.inf] * 3, [np.nan, 1, 2], [1, 2, np.inf], [3, 2, 1]]
)


@REDUCTIONS
@pytest.mark.parametrize("times", [1, 400])
@pytest.mark.parametrize("compiled", [False, True])
def test_infinities_and_nans(times, compiled, reduction, monkeypatch):
    monkeypatch.setattr(jit._switch, "on", compiled and jit.enabled())
    x = np.tile(SPECIAL.astype(np.float32), (times, 1))
    target = np.tile([0, 1, 2, 0, 2, 1], times)
    y = (random(*x.shape) > 0).astype(np.float32)
    both("cross_entropy", x, target, reduction=reduction)
    both("cross_entropy", x, np.where(target == 0, -100, target), reduction=reduction)
    both("cross_entropy", x, y, reduction=reduction)
    for name in (
        "binary_cross_entropy_with_logits",
        "mse_loss",
        "l1_loss",
        "smooth_l1_loss",
        "huber_loss",
    ):
        both(name, x, y, reduction=reduction)


@REDUCTIONS
def test_targets_that_all_count_nothing(reduction):
    x, nothing = random(4, 3), np.zeros(3, np.float32)
    both("cross_entropy", x, np.array([0, 1, 2, 0]), weight=nothing, reduction=reduction)
    both("cross_entropy", x, np.array([0, -100, -100, 0]), weight=nothing, reduction=reduction)
    both("nll_loss", x, np.array([0, -100, -100, 0]), weight=nothing, reduction=reduction)


def test_bytes_as_targets_of_many_scores():
    x, t = make(random(3, 40, 5, 4)), np.random.default_rng(0).integers(0, 40, (3, 5, 4))
    for function in (F.cross_entropy, F.nll_loss):
        expected = function(x, make(t)).array
        np.testing.assert_array_equal(function(x, make(t.astype(np.uint8))).array, expected)


@REDUCTIONS
@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 4), (2, 3, 0)])
def test_no_scores(shape, reduction):
    target = np.zeros((shape[0], *shape[2:]), np.int64)
    for name in ("cross_entropy", "nll_loss"):
        both(name, np.zeros(shape, np.float32), target, reduction=reduction)


@REDUCTIONS
@pytest.mark.parametrize("size", [3, 60])
def test_half_precision_is_kept_and_summed_in_single(size, reduction):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(size, 50)).astype("f2"), rng.random((size, 50)).astype("f2")
    calls = [
        ("cross_entropy", rng.integers(0, 50, size), {}),
        ("cross_entropy", rng.integers(0, 50, size), {"label_smoothing": 0.1}),
        *((name, y, {}) for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")),
        ("binary_cross_entropy_with_logits", y, {}),
    ]
    for name, target, options in calls:
        mine, theirs = make(x, True), torch.tensor(x.astype("f8"), requires_grad=True)
        loss = getattr(F, name)(mine, make(target), reduction=reduction, **options)
        wide = target if target.dtype == np.int64 else target.astype("f8")
        exact = getattr(torch.nn.functional, name)(
            theirs, torch.tensor(wide), reduction=reduction, **options
        )
        loss.sum().backward()
        exact.sum().backward()
        assert loss.array.dtype == mine.grad.array.dtype == np.float16
        np.testing.assert_allclose(loss.array, exact.detach().numpy(), rtol=4e-3, atol=2e-3)
        scale = np.abs(theirs.grad.numpy()).max()
        np.testing.assert_allclose(mine.grad.array, theirs.grad.numpy(), atol=5e-3 * scale)


def test_the_second_derivative_at_an_edge_is_torchs():
    for name in ("smooth_l1_loss", "huber_loss"):
        seconds = []
        for side in (ours, torch):
            x = side.tensor([0.0, 1.0, -1.0, 0.5, 2.0], requires_grad=True)
            loss = getattr(side.nn.functional, name)(x, side.zeros(5), reduction="sum")
            (first,) = side.autograd.grad(loss, x, create_graph=True)
            (second,) = side.autograd.grad(first.sum(), x)
            seconds.append(second.numpy())
        np.testing.assert_array_equal(*seconds)


def test_whole_numbers_are_refused():
    for side in (torch, ours):
        for name in ("smooth_l1_loss", "huber_loss"):
            words = f"{name.removesuffix('_loss')}_cpu.* not implemented for 'Long'"
            with pytest.raises(NotImplementedError, match=words):
                getattr(side.nn.functional, name)(side.zeros(3).long(), side.zeros(3).long())


def test_margins_are_differentiated_twice():
    # PyTorch refuses to, and the op table compares with it.
    rng = np.random.default_rng(0)
    scores = ours.tensor(rng.normal(size=(4, 5)), requires_grad=True)
    classes = ours.tensor([3, 0, 0, 2])
    lists = ours.tensor([[3, 1, -1, 0, 0], [-1, 0, 0, 0, 0], [0, 4, 2, 1, -1], [2, -1, 1, 1, 1]])
    for p in (1, 2):
        ours.autograd.gradgradcheck(lambda x, p=p: F.multi_margin_loss(x, classes, p) ** 2, scores)
    ours.autograd.gradgradcheck(lambda x: F.multilabel_margin_loss(x, lists).exp(), scores)
