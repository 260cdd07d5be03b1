"""Functions without a layer of their own, or called past it: values, seeds and refusals."""

import warnings

import pytest

import tinygrad_like as tg
from tests.nn_parity import kind, pytorch


def both(call):
    """Return what `call` gives with either package, after the same seed, and the kinds of warnings."""
    results = []
    for torch in (tg, pytorch):
        torch.manual_seed(0)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = kind(lambda: call(torch.nn.functional, torch))
        results.append((result, [warning.category for warning in caught]))
    return results


DROPOUTS = [
    lambda F, t: F.dropout(t.ones(4, 5), 0.3),
    lambda F, t: F.dropout(t.ones(4, 5).T, 0.3),
    lambda F, t: F.dropout(t.ones(4, 5).permute(1, 0), 0.3, inplace=True),
    lambda F, t: F.dropout(t.ones(0, 5), 0.3),
    lambda F, t: F.dropout(t.ones(4), 0.0),
    lambda F, t: F.dropout(t.ones(4), 1.0),
    lambda F, t: F.dropout(t.ones(4), 0.3, training=False),
    lambda F, t: F.dropout(t.ones(4), 1.5),
    lambda F, t: F.dropout(t.ones(4), -0.5),
    lambda F, t: F.dropout([1.0, 2.0], 0.3),
    lambda F, t: F.dropout(t.ones(4, dtype=t.int64), 0.3),
    lambda F, t: F.alpha_dropout(t.ones(4, 5), 0.0, training=True),
    lambda F, t: F.alpha_dropout(t.ones(4, 5), 1.0, training=True),
    lambda F, t: F.alpha_dropout(t.ones(4, 5)),
    lambda F, t: F.feature_alpha_dropout(t.ones(4), training=True),
    lambda F, t: F.feature_alpha_dropout(t.ones(4, 5)),
    lambda F, t: F.dropout1d(t.ones(4, 5, 2), 0.3),
    lambda F, t: F.dropout1d(t.ones(4, 5), 0.3),
    lambda F, t: F.dropout1d(t.ones(4, 5), 0.3, training=False),
    lambda F, t: F.dropout1d(t.ones(4), 0.3),
    lambda F, t: F.dropout2d(t.ones(4, 5, 2, 2), 0.3),
    lambda F, t: F.dropout2d(t.ones(4, 5, 2), 0.3),
    lambda F, t: F.dropout2d(t.ones(4, 5), 0.3),
    lambda F, t: F.dropout3d(t.ones(4, 5, 2, 1, 2), 0.3),
    lambda F, t: F.dropout3d(t.ones(4, 5, 2, 1), 0.3),
    lambda F, t: F.dropout3d(t.ones(4, 5, 2), 0.3),
]


@pytest.mark.parametrize("number", range(len(DROPOUTS)))
def test_dropout(number):
    found, expected = both(DROPOUTS[number])
    assert found == expected


def test_in_place_dropout_keeps_its_gradient():
    def run(F, t):
        x = t.ones(6, requires_grad=True)
        y = F.dropout(x * 2, 0.5, inplace=True)
        y.sum().backward()
        return [y, x.grad]

    found, expected = both(run)
    assert found == expected


OTHERS = [
    lambda F, t: F.pdist(t.arange(6.0).reshape(3, 2)),
    lambda F, t: F.kl_div(t.zeros(2, 2), t.ones(2, 2)),
    lambda F, t: F.kl_div(t.zeros(2, 2), t.ones(2, 2), reduction="batchmean"),
    lambda F, t: F.gaussian_nll_loss(t.ones(2, 3), t.zeros(2, 3), 2.0),
    lambda F, t: F.gaussian_nll_loss(t.ones(2, 3), t.zeros(2, 3), -2.0),
    lambda F, t: F.gaussian_nll_loss(t.ones(2, 3), t.zeros(2, 3), t.tensor([1.0, 2.0])),
    lambda F, t: F.gaussian_nll_loss(t.ones(2, 3), t.zeros(2, 3), t.tensor([[1.0], [2.0]])),
    lambda F, t: F.gaussian_nll_loss(t.ones(2, 3), t.zeros(2, 3), t.ones(3)),
    lambda F, t: F.gaussian_nll_loss(t.ones(2, 3), t.zeros(2, 3), -t.ones(2, 3)),
    lambda F, t: F.gaussian_nll_loss(t.ones(2, 3), t.zeros(2, 3), t.ones(2, 3), reduction="x"),
    lambda F, t: F.margin_ranking_loss(t.ones(2), t.ones(2, 1), t.ones(2)),
    lambda F, t: F.multi_margin_loss(t.eye(2), t.tensor([0, 0]), weight=t.tensor([1.0, 2.0])),
    lambda F, t: F.multi_margin_loss(t.tensor([0.5, 1.0]), t.tensor(0)),
    lambda F, t: F.multilabel_soft_margin_loss(t.eye(2), t.eye(2), weight=t.tensor([1.0, 2.0])),
    lambda F, t: F.triplet_margin_loss(t.ones(2, 2), t.ones(2, 2), t.zeros(2, 2), margin=0.0),
    lambda F, t: F.triplet_margin_with_distance_loss(
        t.ones(2, 2), t.ones(2, 2), t.zeros(2, 2), margin=-1.0
    ),
    lambda F, t: F.triplet_margin_with_distance_loss(t.ones(2, 2), t.eye(2), t.zeros(2, 2)),
    lambda F, t: F.cross_entropy(t.eye(2), t.full((2, 2), 0.5)),
    lambda F, t: F.cross_entropy(t.eye(2), t.full((2, 2), 0.5), ignore_index=1),
]


@pytest.mark.parametrize("number", range(len(OTHERS)))
def test_losses_and_distances(number):
    (found, warned), (expected, expected_warned) = both(OTHERS[number])
    assert warned == expected_warned
    if isinstance(expected, str):
        assert found == expected
    else:
        assert found[:3] == expected[:3]
        assert found[3] == pytest.approx(expected[3], rel=1e-6)


def test_there_is_no_gpu():
    assert not tg.cuda.is_available()
    assert tg.cuda.device_count() == 0
    state = tg.get_rng_state()
    tg.cuda.manual_seed(1)
    tg.cuda.manual_seed_all(1)
    assert tg.equal(tg.get_rng_state(), state)


@pytest.mark.parametrize(
    "asked",
    [
        *("accelerator.is_available()", "accelerator.current_accelerator()"),
        *("accelerator.device_count()", "backends.mps.is_available()", "backends.mps.is_built()"),
        *("backends.cudnn.is_available()", "backends.cudnn.enabled", "backends.cudnn.benchmark"),
        *("backends.cudnn.deterministic", "backends.cudnn.allow_tf32", "backends.cudnn.version()"),
        *("backends.cuda.is_built()", "backends.cuda.matmul.allow_tf32", "cuda.empty_cache()"),
        *("cuda.is_initialized()", "cuda.is_bf16_supported()", "cuda.memory_allocated()"),
        *("cuda.max_memory_allocated()", "cuda.get_rng_state_all()", "cuda.set_rng_state_all([])"),
    ],
)
def test_what_programs_ask_before_they_choose_a_device(asked):
    assert eval(f"torch.{asked}", {"torch": tg}) == eval(f"torch.{asked}", {"torch": pytorch})


def test_states_of_generators_without_their_gpu_are_refused():
    with pytest.raises(RuntimeError, match="no GPU"):
        tg.cuda.set_rng_state_all([tg.get_rng_state()])
