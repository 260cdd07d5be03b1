"""Losses over sequences and over many classes, against PyTorch's."""

import warnings

import numpy as np
import pytest

import tinygrad_like as tg
from tests.nn_parity import (
    DTYPES,
    alike,
    check_layer,
    close,
    kind,
    names,
    ours,
    outcome,
    pytorch,
    real,
    theirs,
    whole,
)

TARGETS = np.array([[1, 2, 2, 3], [3, 1, 1, 1], [2, 4, 1, 3]])
LENGTHS, SIZES = np.array([9, 7, 3]), np.array([4, 1, 3])

LOSSES = [
    *(
        (
            lambda nn, how=how, **k: nn.CTCLoss(reduction=how),
            [real(9, 3, 5), TARGETS, LENGTHS, SIZES],
        )
        for how in ("mean", "sum", "none")
    ),
    (
        lambda nn, **k: nn.CTCLoss(blank=4, zero_infinity=True),
        [real(9, 3, 5), np.array([0, 1, 1, 3, 3, 1, 0, 2]), np.array([9, 7, 2]), SIZES],
    ),
    (lambda nn, **k: nn.CTCLoss(), [real(6, 5), np.array([1, 2, 2]), np.array(6), np.array(3)]),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("make", "kinds"), LOSSES, ids=names(LOSSES))
def test_loss(make, kinds, dtype):
    check_layer(make, kinds, dtype)


# ----- Many classes -------------------------------------------------------------------------------

CLASSES = [
    (
        lambda nn, **k: nn.AdaptiveLogSoftmaxWithLoss(16, 20, [5, 10], **k),
        [real(7, 16), whole(20, 7)],
    ),
    (
        lambda nn, **k: nn.AdaptiveLogSoftmaxWithLoss(16, 20, (2, 4, 19), 2.0, True, **k),
        [real(7, 16), whole(20, 7)],
    ),
    (
        lambda nn, **k: nn.AdaptiveLogSoftmaxWithLoss(16, 20, [10], **k),
        [real(3, 16), np.array([12, 19, 10])],
    ),
    (
        lambda nn, **k: nn.AdaptiveLogSoftmaxWithLoss(16, 20, [10], **k),
        [real(3, 16), np.array([2, 9, 0])],
    ),
    (lambda nn, **k: nn.AdaptiveLogSoftmaxWithLoss(16, 20, [10], **k), [real(16), np.array(12)]),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("make", "kinds"), CLASSES, ids=names(CLASSES))
def test_softmax_over_many_classes(make, kinds, dtype):
    check_layer(make, kinds, dtype, spread=0.5)


def test_the_loss_trains_and_all_classes_have_probabilities():
    generator = np.random.default_rng(0)
    values, target = generator.normal(size=(50, 16)), generator.integers(0, 20, 50)

    def run(torch, tensor):
        torch.manual_seed(0)
        layer = torch.nn.AdaptiveLogSoftmaxWithLoss(16, 20, [5, 10], 2.0, dtype=torch.float64)
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter *= 5
        x = tensor(values)
        found = layer(x, tensor(target))
        found.loss.backward()
        every = layer.log_prob(x)
        few = layer.predict(x[:0])
        return [
            found.output,
            found.loss,
            *(p.grad for p in layer.parameters()),
            every,
            layer.predict(x),
            every.exp().sum(1),
            few,
        ]

    found, wanted = run(tg, ours), run(pytorch, theirs)
    for x, y in zip(found, wanted, strict=True):
        close(x, y, 1e-6)
    assert np.array_equal(found[-3].numpy(), found[-4].detach().numpy().argmax(1))
    assert 1 < (found[-3].numpy() >= 5).sum() < 50


def test_resetting_draws_again():
    def run(torch):
        torch.manual_seed(0)
        layer = torch.nn.AdaptiveLogSoftmaxWithLoss(16, 20, [5, 10], head_bias=True)
        layer.reset_parameters()
        return [
            [round(v, 5) for v in p.detach().numpy().ravel()[:3].tolist()]
            for p in layer.parameters()
        ]

    alike(run)


@pytest.mark.parametrize("cutoffs", [[], [5, 5], [10, 5], [0, 5], [5, 20], [2.5], [20]])
def test_wrong_cutoffs_are_refused_with_pytorchs_words(cutoffs):
    alike(lambda t: outcome(lambda: t.nn.AdaptiveLogSoftmaxWithLoss(16, 20, cutoffs)))


@pytest.mark.parametrize(
    ("shape", "target"),
    [((3, 16), [1, 2]), ((16,), [1]), ((2, 16), 3), ((2, 16), [[1], [2]]), ((2, 16), [1, 20])],
)
def test_wrong_targets_are_refused_with_pytorchs_words(shape, target):
    def run(torch):
        layer = torch.nn.AdaptiveLogSoftmaxWithLoss(16, 20, [5])
        return outcome(lambda: layer(torch.ones(*shape), torch.tensor(target)))

    alike(run)


# ----- What all losses share ----------------------------------------------------------------------

EVERY = [name for name in dir(pytorch.nn) if name.endswith("Loss") and name not in ("_Loss",)]
# Computes its logits itself, a piece at a time, which is of use where memory is a GPU's.
EVERY.remove("LinearCrossEntropyLoss")


@pytest.mark.parametrize("name", EVERY)
def test_every_loss_is_there_and_says_what_pytorchs_says(name):
    options = {"in_features": 16, "n_classes": 20, "cutoffs": [5]} if "Adaptive" in name else {}

    def run(torch):
        loss = getattr(torch.nn, name)(**options)
        known = {key: value for key, value in vars(loss).items() if not key.startswith("_")}
        plain = {k: v for k, v in known.items() if isinstance(v, int | float | str | bool)}
        return [repr(loss), plain, list(loss.state_dict()), getattr(loss, "reduction", None)]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        alike(run)


CALLS = [
    ("MSELoss", [(2, 3), (2, 3)]),
    ("L1Loss", [(2, 3), (2, 3)]),
    ("SmoothL1Loss", [(2, 3), (2, 3)]),
    ("HuberLoss", [(2, 3), (2, 3)]),
    ("BCELoss", [(2, 3), (2, 3)]),
    ("BCEWithLogitsLoss", [(2, 3), (2, 3)]),
    ("KLDivLoss", [(2, 3), (2, 3)]),
    ("PoissonNLLLoss", [(2, 3), (2, 3)]),
    ("GaussianNLLLoss", [(2, 3), (2, 3), (2, 3)]),
    ("HingeEmbeddingLoss", [(2, 3), (2, 3)]),
    ("MarginRankingLoss", [(3,), (3,), (3,)]),
    ("CosineEmbeddingLoss", [(2, 3), (2, 3), (2,)]),
    ("SoftMarginLoss", [(2, 3), (2, 3)]),
    ("MultiLabelSoftMarginLoss", [(2, 3), (2, 3)]),
    ("TripletMarginLoss", [(2, 3), (2, 3), (2, 3)]),
    ("TripletMarginWithDistanceLoss", [(2, 3), (2, 3), (2, 3)]),
    ("MultiMarginLoss", [(2, 3), "classes"]),
    ("CrossEntropyLoss", [(2, 3), "classes"]),
    ("NLLLoss", [(2, 3), "classes"]),
]


@pytest.mark.parametrize(("name", "shapes"), CALLS, ids=[name for name, _ in CALLS])
def test_a_wrong_reduction_is_refused_when_the_loss_is_computed(name, shapes):
    def run(torch):
        def call(reduction):
            given = [torch.tensor([0, 1]) if s == "classes" else torch.full(s, 0.5) for s in shapes]
            return getattr(torch.nn, name)(reduction=reduction)(*given)

        return [kind(lambda: call("some")), kind(lambda: call("sum"))]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        alike(run)


SHAPES = [
    *((name, [(2, 3), (2, 4)]) for name in ("MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss")),
    *((name, [(2, 3), (2, 4)]) for name in ("BCELoss", "BCEWithLogitsLoss", "KLDivLoss")),
    ("BCELoss", [(2, 3), (3,)]),
    ("BCEWithLogitsLoss", [(2, 3), (3,)]),
    ("PoissonNLLLoss", [(2, 3), (2, 4)]),
    ("GaussianNLLLoss", [(2, 3), (2, 3), (2, 2)]),
    ("GaussianNLLLoss", [(2, 3), (2, 3), (4, 3)]),
    ("HingeEmbeddingLoss", [(2, 3), (4, 5)]),
    ("MarginRankingLoss", [(3,), (3,), (3, 1)]),
    ("CosineEmbeddingLoss", [(2, 3), (2, 3), (2, 3)]),
    ("CosineEmbeddingLoss", [(2, 3), (2, 4), (2,)]),
    ("CosineEmbeddingLoss", [(2, 2, 3), (2, 2, 3), (2,)]),
    ("SoftMarginLoss", [(2, 3), (2, 4)]),
    ("MultiLabelMarginLoss", [(2, 3), (2, 3)]),
    ("MultiLabelSoftMarginLoss", [(2, 3), (2, 4)]),
    ("TripletMarginLoss", [(2, 3), (2, 4), (2, 3)]),
    ("TripletMarginLoss", [(2, 3), (3,), (2, 3)]),
    ("MultiMarginLoss", [(2, 3), "classes3"]),
    ("MultiMarginLoss", [(2, 3), (2,)]),
    ("MultiMarginLoss", [(1, 1), "large"]),
    ("CrossEntropyLoss", [(2, 3), "classes3"]),
    ("CrossEntropyLoss", [(2, 3), "large"]),
    ("NLLLoss", [(2, 3), "classes3"]),
    ("NLLLoss", [(2, 3), "large"]),
    ("NLLLoss", [(2, 3), (2,)]),
    ("CTCLoss", [(4, 2, 3), "classes", "large"]),
]
NUMBERS = {"classes": [0, 1], "classes3": [0, 1, 2], "large": [0, 7]}


@pytest.mark.parametrize(
    ("name", "shapes"), SHAPES, ids=[f"{i}-{name}" for i, (name, _) in enumerate(SHAPES)]
)
def test_shapes_that_do_not_fit_are_refused(name, shapes):
    def run(torch):
        given = [
            torch.tensor(NUMBERS[s]) if isinstance(s, str) else torch.full(s, 0.5) for s in shapes
        ]
        if name == "CTCLoss":
            given.append(torch.tensor([1, 1]))
        return kind(lambda: getattr(torch.nn, name)()(*given))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        alike(run)
