"""Averages of a model's weights are PyTorch's."""

import copy
import pickle

import numpy as np
import pytest

import tinygrad_like as ours
from tests.optimizers import BOTH


def network(package):
    package.manual_seed(3)
    return package.nn.Sequential(
        package.nn.Linear(4, 3), package.nn.BatchNorm1d(3), package.nn.Linear(3, 2, bias=False)
    )


def batches(package, count=3):
    rng = np.random.default_rng(0)
    return [package.tensor(rng.standard_normal((5, 4)).astype(np.float32)) for _ in range(count)]


def doubled(averaged, current, count):
    return averaged * 0.5 + current * 2 + count


def doubled_lists(averaged, current, count):
    for mine, theirs in zip(averaged, current):  # noqa: B905
        mine.copy_(mine * 0.5 + theirs * 2 + count)


WAYS = {
    "plain": lambda swa: {},
    "plain, by function": lambda swa: {"avg_fn": swa.get_swa_avg_fn()},
    "plain, by lists": lambda swa: {"multi_avg_fn": swa.get_swa_multi_avg_fn()},
    "moving": lambda swa: {"avg_fn": swa.get_ema_avg_fn(0.7)},
    "moving, by lists": lambda swa: {"multi_avg_fn": swa.get_ema_multi_avg_fn(0.7)},
    "own": lambda swa: {"avg_fn": doubled},
    "own, by lists": lambda swa: {"multi_avg_fn": doubled_lists},
}


@pytest.mark.parametrize("use_buffers", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_averages(way, use_buffers):
    if way == "plain, by lists":
        use_buffers = False  # PyTorch's function fails for integers such as a count of batches
    states = []
    for package in BOTH:
        swa = package.optim.swa_utils
        model = network(package)
        averaged = swa.AveragedModel(model, use_buffers=use_buffers, **WAYS[way](swa))
        optimizer = package.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        for x in batches(package, 5):
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
            averaged.update_parameters(model)
        again = copy.deepcopy(averaged)
        again.load_state_dict(averaged.state_dict())
        again.update_parameters(model)
        again.eval()
        out = again(batches(package)[0])
        state = again.state_dict() | {"out": out.detach()}
        states.append({key: (str(t.dtype), t.numpy()) for key, t in state.items()})
    mine, wanted = states
    assert list(mine) == list(wanted)
    for key, (dtype, value) in wanted.items():
        assert mine[key][0] == dtype
        np.testing.assert_allclose(mine[key][1], value, rtol=1e-5, atol=1e-6)


def test_statistics_are_found_anew():
    found = []
    for package in BOTH:
        model = network(package).eval()
        model[1].momentum = 0.3
        loader = [(x, None) if i else x for i, x in enumerate(batches(package))]
        package.optim.swa_utils.update_bn(loader, model, device="cpu")
        assert model[1].momentum == 0.3
        assert not model.training
        assert not model[1].training
        found.append([b.numpy() for b in model.buffers()])
        package.optim.swa_utils.update_bn(None, package.nn.Linear(2, 2))  # nothing to find
    for mine, wanted in zip(*found, strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=1e-5, atol=1e-6)


def test_refusals():
    for package in BOTH:
        swa = package.optim.swa_utils
        for make in (swa.get_ema_avg_fn, swa.get_ema_multi_avg_fn):
            for decay in (-0.1, 1.1):
                with pytest.raises(ValueError, match=f"Invalid decay value {decay} provided"):
                    make(decay)
        with pytest.raises(AssertionError, match="Only one of avg_fn and multi_avg_fn"):
            swa.AveragedModel(network(package), avg_fn=doubled, multi_avg_fn=doubled_lists)


def test_an_average_is_a_model_of_its_own():
    model = network(ours)
    averaged = ours.optim.swa_utils.AveragedModel(model, device="cpu")
    averaged.update_parameters(model)
    with ours.no_grad():
        model[0].weight.zero_()
    assert averaged.module[0].weight.any()
    assert pickle.loads(pickle.dumps(averaged)).n_averaged.item() == 1


def test_both_import_paths_lead_to_the_same():
    import tinygrad_like.nn.optim.swa_utils as own
    import tinygrad_like.optim.optimizer as base
    import tinygrad_like.optim.swa_utils as path

    assert all(getattr(path, name) is getattr(own, name) for name in own.__all__)
    assert base.Optimizer is ours.optim.Optimizer
    for package in BOTH:
        assert package.optim.swa_utils.update_bn
    assert set(own.__all__) == set(BOTH[1].optim.swa_utils.__all__)
    missing = set(BOTH[1].optim.__all__) - set(ours.optim.__all__)
    assert missing == {"SparseAdam", "swap_in_optimizer_params_and_state"}
    with pytest.raises(AttributeError, match="no attribute 'Lion'"):
        _ = ours.optim.Lion
