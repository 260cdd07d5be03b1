"""Muon and L-BFGS beside PyTorch's."""

import numpy as np
import pytest

import tinygrad_like as ours
from tests.optimizers import BOTH, Pair, torch, translated

# ----- Muon ---------------------------------------------------------------------------------------

MUON = [
    {},
    {"momentum": 0.5, "nesterov": False, "weight_decay": 0.0, "eps": 1e-3},
    {"adjust_lr_fn": "match_rms_adamw", "ns_steps": 2, "ns_coefficients": (3.0, -3.0, 1.0)},
    {"adjust_lr_fn": "original"},
]


@pytest.mark.parametrize("options", MUON)
def test_muon(options):
    pair = Pair("Muon", options, [(3, 4), (5, 3), (1, 1), (6, 6)])
    pair.regroup({}, {"lr": 0.1})
    for step in range(30):
        pair.step(skip={1} if step == 4 else ())
        if step == 14:
            pair.exchange()
    pair.check(rtol=0.0, atol=1e-3)  # sums in another order may round to another bfloat16
    first, second = (optimizer.state_dict() for optimizer in pair.optimizers)
    assert first["param_groups"] == second["param_groups"]
    assert repr(pair.optimizers[0]) == repr(pair.optimizers[1])


def test_muon_on_larger_matrices():
    pair = Pair("Muon", {"lr": 1.0, "weight_decay": 0.0}, [(70, 30), (40, 50)], np.float32)
    for _ in range(3):
        pair.step()
    pair.check(rtol=0.0, atol=0.02)


def test_muon_makes_movements_orthogonal():
    w = ours.zeros(8, 5, dtype=ours.float64, requires_grad=True)
    optimizer = ours.optim.Muon([w], lr=1.0, weight_decay=0.0, adjust_lr_fn="original")
    w.grad = ours.tensor(np.random.default_rng(0).standard_normal((8, 5)))
    optimizer.step()
    singular = np.linalg.svd(w.array, compute_uv=False) / np.sqrt(8 / 5)
    assert 0.6 < singular.min() < singular.max() < 1.3


def test_muon_refuses_iterations_that_make_no_sense():
    for package in BOTH:
        for options in ({"ns_steps": 100}, {"ns_coefficients": (1.0, 2.0)}):
            w = package.ones(2, 2, requires_grad=True)
            optimizer = package.optim.Muon([w], **options)
            w.grad = package.ones(2, 2)
            with pytest.raises(ValueError, match="must be"):
                optimizer.step()


# ----- L-BFGS -------------------------------------------------------------------------------------


def rosenbrock(w, v):
    return (100 * (w[1:] - w[:-1] ** 2) ** 2 + (1 - w[:-1]) ** 2).sum() + ((v - 1) ** 4).sum()


def waves(w, v):
    return ((3 * w).sin() + 0.1 * w**2).sum() + v.cos().sum()


def steep(w, v):
    return ((w - 1) ** 2).exp().sum() + (v * v).sum()


START = [np.linspace(-1.2, 1.5, 6), np.array([[0.3, 0.4]]), np.ones(2)]


def minimised(package, loss, options, values=START, saved=None):
    """Return values after some steps, all losses on the way, and the optimizer's state."""
    params = [package.tensor(value, requires_grad=True) for value in values]  # the last is not used
    optimizer = package.optim.LBFGS(params, **options)
    if saved is not None:
        optimizer.load_state_dict(translated(saved, package))
    losses, returned = [], []

    def closure():
        optimizer.zero_grad()
        value = loss(*params[:2])
        value.backward()
        losses.append(value.item())
        return value

    for _ in range(3):
        start = len(losses)
        with package.no_grad():
            returned.append(optimizer.step(closure).item() == losses[start])
    assert all(returned)
    return [p.detach().numpy() for p in params], losses, optimizer.state_dict()


def leaves(value, path=()):
    """Return what nested values hold, with where it is."""
    if isinstance(value, dict | list | tuple):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return [leaf for key, v in pairs for leaf in leaves(v, (*path, key))]
    tensor = isinstance(value, ours.Tensor | torch.Tensor)
    return [(path, tensor and str(value.dtype), value.numpy() if tensor else value)]


@pytest.mark.parametrize("loss", [rosenbrock, waves, steep])
@pytest.mark.parametrize(
    "options",
    [
        {"lr": 3e-3},
        {"lr": 1e-3, "history_size": 3, "max_iter": 7},
        {"lr": ours.tensor(0.125, dtype=ours.float64)},
        {"line_search_fn": "strong_wolfe"},
        {"line_search_fn": "strong_wolfe", "history_size": 2, "max_iter": 4},
        {"line_search_fn": "strong_wolfe", "max_eval": 5, "lr": 0.5},
        {"line_search_fn": "strong_wolfe", "lr": 1e-3},
        {"line_search_fn": "strong_wolfe", "lr": 3.0},
        {"line_search_fn": "strong_wolfe", "tolerance_grad": 1e-2},
        {"line_search_fn": "strong_wolfe", "tolerance_change": 1e-2},
    ],
)
def test_lbfgs(loss, options):
    first = [minimised(p, loss, translated(options, p)) for p in BOTH]
    again = [
        minimised(package, loss, translated(options, package), values, saved)
        for package, (values, _, saved) in zip(BOTH, reversed(first), strict=True)
    ]
    for (values, losses, saved), (their_values, their_losses, their_saved) in (first, again):
        np.testing.assert_allclose(losses, their_losses, rtol=1e-6, atol=1e-12)
        for mine, wanted in zip(values, their_values, strict=True):
            np.testing.assert_allclose(mine, wanted, rtol=1e-6, atol=1e-8)
        kept, wanted = leaves(saved["state"]), leaves(their_saved["state"])
        assert [leaf[:2] for leaf in kept] == [leaf[:2] for leaf in wanted]


def test_lbfgs_ends_where_nothing_is_left_to_do():
    for package in BOTH:
        w = package.zeros(2, requires_grad=True)
        optimizer = package.optim.LBFGS([w])

        def closure(w=w):
            w.grad = None
            loss = (w * w).sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        assert optimizer.state_dict()["state"] == {0: {"func_evals": 1, "n_iter": 0}}


def test_lbfgs_refuses():
    for package in BOTH:
        w = package.ones(2, requires_grad=True)
        with pytest.raises(ValueError, match="doesn't support per-parameter options"):
            package.optim.LBFGS([{"params": [w]}, {"params": [w.detach().requires_grad_()]}])
        optimizer = package.optim.LBFGS([w], line_search_fn="golden")
        with pytest.raises(RuntimeError, match="only 'strong_wolfe' is supported"):
            optimizer.step(lambda w=w: (w * w).sum().backward() or (w * w).sum())
        with pytest.raises(TypeError):
            optimizer.step()


def test_lbfgs_notes_what_it_writes():
    w = ours.ones(2, requires_grad=True)
    waiting = (w * w).sum()
    optimizer = ours.optim.LBFGS([w], max_iter=2)

    def closure():
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        waiting.backward()
