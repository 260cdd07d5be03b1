"""Every option of every loss against PyTorch's, with weights, in one and several dimensions."""

import itertools
import sys
import warnings

import numpy as np
import pytest

from tests.nn_parity import DTYPES, check_layer, labels, probability, real, signs, whole

WEIGHTS = [0.5, 2.0, 1.5, 0.7]
BOTH = (False, True)
TABLE, PAIR, TRIPLE = [real(6, 4)], [real(6, 4)] * 2, [real(6, 4)] * 3
SCORES, SHARES = [real(6, 4), whole(4, 6)], [real(6, 4), probability(6, 4)]
SINGLE = [real(4), np.array(2)]


def weighted(nn, dtype, values=WEIGHTS):
    """Return factors as a tensor of the package that `nn` belongs to."""
    return sys.modules[nn.__name__.rpartition(".")[0]].tensor(values, dtype=dtype)


def rows(how):
    """Yield a description, what makes the loss, and what to call it with, for one reduction."""

    def loss(name, kinds, *args, weight=False, **options):
        def make(nn, dtype=None):
            given = {"weight": weighted(nn, dtype)} if weight else {}
            return getattr(nn, name)(*args, reduction=how, **given, **options)

        return f"{name}-{args}-{options}-{len(kinds)}x{kinds[0][1]}".replace(" ", ""), make, kinds

    for ignored, smoothing in itertools.product((-100, 1), (0.0, 0.2)):
        options = {"ignore_index": ignored, "label_smoothing": smoothing, "weight": True}
        yield loss("CrossEntropyLoss", SCORES, **options)
        yield loss("CrossEntropyLoss", [real(2, 4, 3, 2), whole(4, 2, 3, 2)], **options)
    for smoothing in (0.0, 0.2):
        options = {"label_smoothing": smoothing, "weight": True}
        yield loss("CrossEntropyLoss", SHARES, **options)
        yield loss("CrossEntropyLoss", [real(2, 4, 3), probability(2, 4, 3)], **options)
        yield loss("CrossEntropyLoss", SINGLE, **options)
    yield loss("CrossEntropyLoss", [real(0, 4), whole(4, 0)])
    yield loss("CrossEntropyLoss", [real(3, 4), np.zeros(3, np.int64)], ignore_index=0)
    yield loss("NLLLoss", [real(2, 4, 3), whole(4, 2, 3)], ignore_index=2, weight=True)
    yield loss("NLLLoss", SINGLE)
    yield loss("BCELoss", [probability(6, 4)] * 2, weight=True)
    for kinds in (SCORES, SINGLE):
        yield loss("MultiMarginLoss", kinds, 2, 0.5, weight=True)
        yield loss("MultiMarginLoss", kinds, margin=0.5)
    yield loss("MultiLabelMarginLoss", [real(3, 5), labels(3, 5)])
    yield loss("MultiLabelSoftMarginLoss", SHARES, weight=True)
    for given in BOTH:
        yield loss("KLDivLoss", SHARES, log_target=given)
    for given, full in itertools.product(BOTH, BOTH):
        yield loss("PoissonNLLLoss", [probability(6, 4), whole(5, 6, 4)], given, full, eps=1e-3)
    for full, shape in itertools.product(BOTH, ((6, 4), (6, 1), (6,))):
        yield loss("GaussianNLLLoss", [*PAIR, probability(*shape)], full=full, eps=0.2)
    yield loss("HingeEmbeddingLoss", [real(6, 4), signs(6, 4)], 0.3)
    yield loss("SoftMarginLoss", [real(6, 4), signs(6, 4)])
    yield loss("MarginRankingLoss", [*PAIR, signs(6, 4)], 0.3)
    yield loss("CosineEmbeddingLoss", [*PAIR, signs(6)], 0.3)
    yield loss("CosineEmbeddingLoss", [real(4), real(4), np.array(1)], 0.3)
    for p, swap in itertools.product((1, 2, 3), BOTH):
        yield loss("TripletMarginLoss", TRIPLE, 0.5, p, swap=swap)
    yield loss("TripletMarginLoss", [real(4)] * 3)
    distance = lambda x, y: (x - y).abs().sum(-1)
    yield loss("TripletMarginWithDistanceLoss", TRIPLE, distance_function=distance, margin=0.4)
    yield loss("HuberLoss", PAIR, delta=0.5)
    for beta in (0.0, 0.5):
        yield loss("SmoothL1Loss", PAIR, beta=beta)
    yield loss("L1Loss", [real(0, 4)] * 2)
    yield loss("MSELoss", [real(0, 4)] * 2)
    yield loss("MSELoss", [real(6, 4), real(4)])


ROWS = [
    (f"{how}-{name}"[:70], *rest) for how in ("mean", "sum", "none") for name, *rest in rows(how)
]
ROWS += [
    (
        f"pos_weight-{how}",
        lambda nn, dtype=None, how=how: nn.BCEWithLogitsLoss(
            weighted(nn, dtype), pos_weight=weighted(nn, dtype, WEIGHTS[::-1]), reduction=how
        ),
        SHARES,
    )
    for how in ("mean", "sum", "none")
]
ROWS += [
    (
        f"batchmean-{given}",
        lambda nn, given=given, **k: nn.KLDivLoss(reduction="batchmean", log_target=given),
        SHARES,
    )
    for given in BOTH
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("make", "kinds"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_loss(make, kinds, dtype):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*reduction: 'mean' divides.*")
        warnings.filterwarnings("ignore", message="Using a target size.*")
        check_layer(make, kinds, dtype)
