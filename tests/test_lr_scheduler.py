"""Schedules of the learning rate give PyTorch's rates, errors and warnings."""

import copy
import importlib
import inspect
import math
import pickle
import warnings

import numpy as np
import pytest

import tinygrad_like as ours

torch = pytest.importorskip("torch")


def optimizer_of(package, name="SGD", groups=2, **options):
    defaults = {"momentum": 0.9} if name == "SGD" else {}
    params = [
        {"params": [package.zeros(1, requires_grad=True)], "lr": 0.4 / (i + 1)}
        for i in range(groups)
    ]
    return getattr(package.optim, name)(params, lr=0.1, **(defaults | options))


def trace(package, make, steps=40, name="SGD", **options):
    """Return rates and momentums over some steps."""
    optimizer = optimizer_of(package, name, **options)
    scheduler = make(package.optim.lr_scheduler, optimizer)
    seen = []
    for step in range(steps):
        momentum = [
            group["betas"][0] if "betas" in group else group["momentum"]
            for group in optimizer.param_groups
        ]
        rates = [float(lr) for lr in scheduler.get_last_lr()]
        assert rates == [float(group["lr"]) for group in optimizer.param_groups]
        seen.append(rates + momentum)
        optimizer.step()
        if type(scheduler).__name__ == "ReduceLROnPlateau":
            scheduler.step(math.sin(step / 4) + 2)
        else:
            scheduler.step()
    return seen


def halve(epoch):
    return 0.5 ** (epoch // 3)


def averages(schedules):
    """Return the module `swa_utils` beside `lr_scheduler`."""
    return importlib.import_module(schedules.__name__.replace("lr_scheduler", "swa_utils"))


SCHEDULES = {
    "swa": lambda s, o: averages(s).SWALR(o, 0.05),
    "swa linear": lambda s, o: averages(s).SWALR(o, [0.05, 0.6], 7, "linear"),
    "swa at once": lambda s, o: averages(s).SWALR(o, 0.05, anneal_epochs=0),
    "nested": lambda s, o: s.SequentialLR(
        o,
        [
            s.SequentialLR(o, [s.ConstantLR(o, 0.1, total_iters=3), s.ExponentialLR(o, 0.9)], [4]),
            s.StepLR(o, 4, 0.5),
        ],
        [12],
    ),
    "chained in a sequence": lambda s, o: s.SequentialLR(
        o,
        [s.ChainedScheduler([s.StepLR(o, 4, 0.5), s.ExponentialLR(o, 0.95)]), s.StepLR(o, 3)],
        [6],
    ),
    "restarts later": lambda s, o: s.SequentialLR(
        o, [s.LinearLR(o, 0.1, total_iters=4), s.CosineAnnealingWarmRestarts(o, 6)], [4]
    ),
    "cosine beyond its end": lambda s, o: s.CosineAnnealingLR(o, T_max=4, eta_min=0.02),
    "multi step in any order": lambda s, o: s.MultiStepLR(o, [11, 4], gamma=0.5),
    "constant from the start": lambda s, o: s.ConstantLR(o, factor=1.0, total_iters=0),
    "lambda": lambda s, o: s.LambdaLR(o, halve),
    "lambdas": lambda s, o: s.LambdaLR(o, [halve, lambda epoch: 1 / (1 + epoch)]),
    "multiplicative": lambda s, o: s.MultiplicativeLR(o, lambda epoch: 0.95 + epoch / 1000),
    "step": lambda s, o: s.StepLR(o, 7, gamma=0.3),
    "multi step": lambda s, o: s.MultiStepLR(o, [3, 10, 10, 22]),
    "constant": lambda s, o: s.ConstantLR(o, factor=0.25, total_iters=6),
    "linear": lambda s, o: s.LinearLR(o, 0.1, 0.7, total_iters=12),
    "exponential": lambda s, o: s.ExponentialLR(o, 0.9),
    "polynomial": lambda s, o: s.PolynomialLR(o, total_iters=30, power=1.7),
    "cosine": lambda s, o: s.CosineAnnealingLR(o, T_max=9, eta_min=0.01),
    "cosine to zero": lambda s, o: s.CosineAnnealingLR(o, T_max=40),
    "restarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 5, T_mult=2, eta_min=0.01),
    "restarts alike": lambda s, o: s.CosineAnnealingWarmRestarts(o, 6),
    "one cycle": lambda s, o: s.OneCycleLR(o, 1.0, total_steps=41),
    "one cycle linear": lambda s, o: s.OneCycleLR(
        o, [1.0, 0.5], epochs=8, steps_per_epoch=5, anneal_strategy="linear", pct_start=0.4
    ),
    "one cycle in three": lambda s, o: s.OneCycleLR(
        o, 1.0, total_steps=45, three_phase=True, div_factor=10.0, final_div_factor=100.0
    ),
    "one cycle without momentum": lambda s, o: s.OneCycleLR(
        o, 1.0, total_steps=41, cycle_momentum=False
    ),
    "cyclic": lambda s, o: s.CyclicLR(o, 0.1, 0.9, step_size_up=4, step_size_down=7),
    "cyclic 2": lambda s, o: s.CyclicLR(o, [0.1, 0.2], 0.9, step_size_up=5, mode="triangular2"),
    "cyclic exp": lambda s, o: s.CyclicLR(
        o, 0.1, 0.9, step_size_up=5, mode="exp_range", gamma=0.95, cycle_momentum=False
    ),
    "cyclic own": lambda s, o: s.CyclicLR(
        o, 0.1, 0.9, step_size_up=5, scale_fn=lambda x: 1 / (x + 1), scale_mode="iterations"
    ),
    "sequential": lambda s, o: s.SequentialLR(
        o,
        [s.LinearLR(o, 0.1, total_iters=5), s.CosineAnnealingLR(o, 20), s.ExponentialLR(o, 0.5)],
        [5, 25],
    ),
    "chained": lambda s, o: s.ChainedScheduler(
        [s.ConstantLR(o, 0.1, total_iters=4), s.ExponentialLR(o, 0.9)]
    ),
    "plateau": lambda s, o: s.ReduceLROnPlateau(o, factor=0.5, patience=2, cooldown=3),
    "plateau max": lambda s, o: s.ReduceLROnPlateau(
        o, "max", factor=0.7, patience=1, threshold=0.05, threshold_mode="abs", min_lr=[0.1, 0.15]
    ),
    "plateau max relative": lambda s, o: s.ReduceLROnPlateau(o, "max", patience=1, threshold=0.1),
    "plateau min absolute": lambda s, o: s.ReduceLROnPlateau(
        o, "min", patience=1, threshold=0.1, threshold_mode="abs", min_lr=0.001
    ),
}


@pytest.mark.filterwarnings("ignore:Detected call")  # by some made of others, as in PyTorch
@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_are_pytorchs(name):
    make = SCHEDULES[name]
    for optimizer in ("SGD", "Adam"):
        got, wanted = trace(ours, make, name=optimizer), trace(torch, make, name=optimizer)
        assert [pytest.approx(row, rel=1e-12, abs=1e-16) for row in wanted] == got


WITH_MOMENTUM = {
    "SGD": {"momentum": 0.9, "nesterov": True},
    "RMSprop": {"momentum": 0.9},
    **{name: {} for name in ("Adam", "AdamW", "Adamax", "NAdam", "RAdam")},
}


@pytest.mark.parametrize("schedule", ["one cycle", "cyclic"])
@pytest.mark.parametrize("name", WITH_MOMENTUM)
def test_momentum_cycles_with_every_optimizer_that_has_it(name, schedule):
    found = []
    for package in (ours, torch):
        weights = [package.ones(3, dtype=package.float64, requires_grad=True) for _ in range(2)]
        optimizer = getattr(package.optim, name)(
            [{"params": [w], "lr": 0.1} for w in weights], **WITH_MOMENTUM[name]
        )
        scheduler = SCHEDULES[schedule](package.optim.lr_scheduler, optimizer)
        momentums = set()
        for step in range(30):
            optimizer.zero_grad()
            sum((w * w).sum() * (1 + step) for w in weights).backward()
            optimizer.step()
            scheduler.step()
            group = optimizer.param_groups[0]
            momentums.add(group["betas"][0] if "betas" in group else group["momentum"])
        assert len(momentums) > 5
        found.append([w.detach().numpy() for w in weights])
    for mine, wanted in zip(*found, strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=1e-6)


@pytest.mark.filterwarnings("ignore:Detected call")  # by some made of others, as in PyTorch
@pytest.mark.parametrize("name", SCHEDULES)
def test_saved_state_is_pytorchs_and_resumes(name):
    def run(package, saved=None):
        optimizer = optimizer_of(package)
        scheduler = SCHEDULES[name](package.optim.lr_scheduler, optimizer)
        if saved is not None:
            optimizer.load_state_dict(saved[0])
            scheduler.load_state_dict(saved[1])
        for step in range(10):
            optimizer.step()
            scheduler.step(*([1.0 + step] if name.startswith("plateau") else []))
        return optimizer, scheduler

    states = [[part.state_dict() for part in run(package)] for package in (ours, torch)]
    internal = {"_scale_fn_ref"}
    assert set(states[0][1]) - internal == set(states[1][1]) - internal
    assert set(states[0][0]["param_groups"][0]) == set(states[1][0]["param_groups"][0])
    rates = []
    for package, state in zip((ours, torch), states, strict=True):
        optimizer, scheduler = run(package, copy.deepcopy(state))
        rates.append([group["lr"] for group in optimizer.param_groups])
        assert scheduler.get_last_lr() == rates[-1]
    assert rates[0] == pytest.approx(rates[1], rel=1e-12, abs=1e-16)


@pytest.mark.parametrize("name", ["step", "multi step", "constant", "linear", "exponential"])
def test_going_to_an_epoch_uses_the_closed_form(name):
    rates = []
    for package in (ours, torch):
        optimizer = optimizer_of(package)
        scheduler = SCHEDULES[name](package.optim.lr_scheduler, optimizer)
        optimizer.step()
        with pytest.warns(UserWarning, match="The epoch parameter"):
            scheduler.step(11)
        rates.append(scheduler.get_last_lr())
    assert rates[0] == pytest.approx(rates[1], rel=1e-12)


@pytest.mark.parametrize("name", ["polynomial", "cosine", "lambda"])
def test_going_to_an_epoch_with_other_forms(name):
    test_going_to_an_epoch_uses_the_closed_form(name)


def test_restarts_go_to_fractions_of_epochs():
    for name in ("restarts", "restarts alike"):
        rates = []
        for package in (ours, torch):
            scheduler = SCHEDULES[name](package.optim.lr_scheduler, optimizer_of(package))
            seen = []
            for epoch in (0, 0.5, 3.25, 7.5, 40, 2):
                scheduler.step(epoch)
                seen += scheduler.get_last_lr()
            rates.append(seen)
            with pytest.raises(ValueError, match="Expected non-negative epoch, but got -1"):
                scheduler.step(-1)
        assert rates[0] == pytest.approx(rates[1], rel=1e-12)


def test_schedules_can_be_mixed():
    def both(package):
        optimizer = optimizer_of(package)
        schedules = package.optim.lr_scheduler
        first, second = schedules.StepLR(optimizer, 3), schedules.LinearLR(optimizer, 0.5)
        for _ in range(8):
            optimizer.step()
            first.step()
            second.step()
        return first.get_last_lr() + second.get_last_lr()

    assert both(ours) == pytest.approx(both(torch), rel=1e-12)


def test_resuming_with_last_epoch():
    rates = []
    for package in (ours, torch):
        optimizer = optimizer_of(package)
        with pytest.raises(KeyError, match="param 'initial_lr' is not specified"):
            package.optim.lr_scheduler.StepLR(optimizer, 3, last_epoch=4)
        for group in optimizer.param_groups:
            group["initial_lr"] = 0.5
        scheduler = package.optim.lr_scheduler.CosineAnnealingLR(optimizer, 9, last_epoch=4)
        for _ in range(3):
            optimizer.step()
            scheduler.step()
        rates.append(scheduler.get_last_lr())
    assert rates[0] == pytest.approx(rates[1], rel=1e-12)


def test_rate_as_a_tensor_stays_the_same_tensor():
    rates = []
    for package in (ours, torch):
        lr = package.tensor(0.5)
        optimizer = package.optim.SGD([package.zeros(1, requires_grad=True)], lr=lr)
        scheduler = package.optim.lr_scheduler.StepLR(optimizer, 2)
        for _ in range(5):
            optimizer.step()
            scheduler.step()
        assert optimizer.param_groups[0]["lr"] is lr
        assert optimizer.param_groups[0]["initial_lr"].item() == 0.5
        rates.append(scheduler.get_last_lr()[0].item())
    assert rates[0] == pytest.approx(rates[1], rel=1e-6)


@pytest.mark.filterwarnings("ignore:Detected call")
@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_as_tensors(name):
    rates = []
    for package in (ours, torch):
        tensors = [package.tensor(lr, dtype=package.float64) for lr in (0.4, 0.2)]
        groups = [{"params": [package.zeros(1, requires_grad=True)], "lr": lr} for lr in tensors]
        optimizer = package.optim.SGD(groups, momentum=0.9)
        scheduler = SCHEDULES[name](package.optim.lr_scheduler, optimizer)
        seen = []
        for step in range(15):
            optimizer.step()
            scheduler.step(*([math.sin(step / 4) + 2] if name.startswith("plateau") else []))
            last = scheduler.get_last_lr()
            assert [lr.item() for lr in last] == [lr.item() for lr in tensors]
            assert not any(copied is lr for copied, lr in zip(last, tensors, strict=True))
            seen += [lr.item() for lr in last]
        assert [group["lr"] is lr for group, lr in zip(groups, tensors, strict=True)] == [True] * 2
        rates.append(seen)
    assert rates[0] == pytest.approx(rates[1], rel=1e-12, abs=1e-16)


def test_stepping_in_the_wrong_order_warns():
    for package in (ours, torch):
        optimizer = optimizer_of(package)
        optimizer.step()  # before there is a schedule: does not count
        scheduler = package.optim.lr_scheduler.StepLR(optimizer, 3)
        with pytest.warns(UserWarning, match=r"Detected call of `lr_scheduler.step\(\)` before"):
            scheduler.step()
        scheduler.step()  # says it once


def test_a_step_replaced_later_warns():
    for package in (ours, torch):
        optimizer = optimizer_of(package)
        scheduler = package.optim.lr_scheduler.StepLR(optimizer, 3)
        optimizer.step = lambda: None
        with pytest.warns(
            UserWarning, match=r"Seems like `optimizer.step\(\)` has been overridden"
        ):
            scheduler.step()


def test_schedules_made_of_others_warn_as_often():
    for name in ("nested", "chained in a sequence", "sequential"):
        counts = []
        for package in (ours, torch):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                SCHEDULES[name](package.optim.lr_scheduler, optimizer_of(package))
            counts.append(len(caught))
        assert counts[0] == counts[1]


@pytest.mark.filterwarnings("ignore:Detected call")
def test_get_lr_outside_step_warns():
    for package in (ours, torch):
        for make in SCHEDULES.values():
            scheduler = make(package.optim.lr_scheduler, optimizer_of(package))
            if hasattr(scheduler, "mode_worse") or hasattr(scheduler, "_schedulers"):
                continue
            with pytest.warns(UserWarning, match=r"please use `get_last_lr\(\)`"):
                scheduler.get_lr()


REFUSED = [
    (TypeError, lambda s, o: s.StepLR("optimizer", 3)),
    (TypeError, lambda s, o: s.OneCycleLR("optimizer", 1.0, 3)),
    (TypeError, lambda s, o: s.CyclicLR("optimizer", 1.0, 3)),
    (TypeError, lambda s, o: s.ReduceLROnPlateau("optimizer")),
    (ValueError, lambda s, o: s.LambdaLR(o, [halve])),
    (TypeError, lambda s, o: s.MultiplicativeLR(o, 3)),
    (ValueError, lambda s, o: s.MultiplicativeLR(o, [halve])),
    (ValueError, lambda s, o: s.ConstantLR(o, 2.0)),
    (ValueError, lambda s, o: s.LinearLR(o, 0.0)),
    (ValueError, lambda s, o: s.LinearLR(o, 0.5, 2.0)),
    (ValueError, lambda s, o: s.CosineAnnealingWarmRestarts(o, 0)),
    (ValueError, lambda s, o: s.CosineAnnealingWarmRestarts(o, 2, 0)),
    (ValueError, lambda s, o: s.CosineAnnealingWarmRestarts(o, 2, eta_min="a")),
    (ValueError, lambda s, o: s.OneCycleLR(o, 1.0)),
    (ValueError, lambda s, o: s.OneCycleLR(o, 1.0, total_steps=0)),
    (ValueError, lambda s, o: s.OneCycleLR(o, 1.0, epochs=0, steps_per_epoch=2)),
    (ValueError, lambda s, o: s.OneCycleLR(o, 1.0, epochs=2, steps_per_epoch=-1)),
    (ValueError, lambda s, o: s.OneCycleLR(o, 1.0, 10, pct_start=2.0)),
    (ValueError, lambda s, o: s.OneCycleLR(o, 1.0, 10, anneal_strategy="square")),
    (ValueError, lambda s, o: s.OneCycleLR(o, [1.0], 10)),
    (ValueError, lambda s, o: s.CyclicLR(o, 0.1, 0.2, mode="square")),
    (ValueError, lambda s, o: s.SequentialLR(o, [], [])),
    (ValueError, lambda s, o: s.SequentialLR(o, [s.StepLR(o, 3)], [3])),
    (ValueError, lambda s, o: s.SequentialLR(o, [s.ReduceLROnPlateau(o)], [])),
    (TypeError, lambda s, o: s.SequentialLR(o, [3], [])),
    (ValueError, lambda s, o: s.ChainedScheduler([])),
    (ValueError, lambda s, o: s.ChainedScheduler([s.StepLR(o, 3), s.ReduceLROnPlateau(o)])),
    (ValueError, lambda s, o: s.ReduceLROnPlateau(o, factor=1.0)),
    (ValueError, lambda s, o: s.ReduceLROnPlateau(o, mode="middle")),
    (ValueError, lambda s, o: s.ReduceLROnPlateau(o, threshold_mode="none")),
    (ValueError, lambda s, o: s.ReduceLROnPlateau(o, min_lr=[1.0])),
    (ValueError, lambda s, o: averages(s).SWALR(o, 0.1, anneal_strategy="square")),
    (ValueError, lambda s, o: averages(s).SWALR(o, 0.1, anneal_epochs=-1)),
    (ValueError, lambda s, o: averages(s).SWALR(o, 0.1, anneal_epochs=1.5)),
    (ValueError, lambda s, o: averages(s).SWALR(o, [0.1])),
    (ValueError, lambda s, o: s.LambdaLR(o, [])),
    (ValueError, lambda s, o: s.CyclicLR(o, [0.1], 0.2)),
    (ValueError, lambda s, o: s.CyclicLR(o, 0.1, [0.2] * 3)),
    (ValueError, lambda s, o: s.OneCycleLR(o, 1.0, 10, base_momentum=[0.1])),
]


@pytest.mark.parametrize(("error", "make"), REFUSED)
def test_refusals_are_pytorchs(error, make):
    messages = []
    for package in (ours, torch):
        with pytest.raises(error) as caught:
            make(package.optim.lr_scheduler, optimizer_of(package))
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_schedules_of_different_optimizers_are_refused():
    for package in (ours, torch):
        schedules = package.optim.lr_scheduler
        first, second = optimizer_of(package), optimizer_of(package)
        with pytest.raises(ValueError, match="expects all schedulers to belong to the same"):
            schedules.ChainedScheduler([schedules.StepLR(first, 3), schedules.StepLR(second, 3)])


def test_momentum_needs_an_optimizer_that_has_it():
    for package in (ours, torch):
        optimizer = package.optim.Adagrad([package.zeros(1, requires_grad=True)])
        with pytest.raises(ValueError, match="optimizer must support momentum or beta1"):
            package.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, 10)


def test_more_steps_than_announced_are_refused():
    for package in (ours, torch):
        optimizer = optimizer_of(package)
        scheduler = package.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, 3)
        for _ in range(3):
            optimizer.step()
            scheduler.step()
        with pytest.raises(ValueError, match=r"Tried to step 4 times\. The specified number of"):
            scheduler.step()


def test_plateau_follows_groups_added_later():
    for package in (ours, torch):
        optimizer = optimizer_of(package, groups=1)
        scheduler = package.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
        strict = package.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, min_lr=[0.0])
        optimizer.add_param_group({"params": [package.zeros(1, requires_grad=True)]})
        for _ in range(2):
            scheduler.step(1.0)
        assert scheduler.get_last_lr() == pytest.approx([0.04, 0.01])
        strict.step(1.0)
        with pytest.raises(RuntimeError, match="The number of param groups"):
            strict.step(1.0)


class Halving:
    """A factor with a state of its own."""

    def __init__(self, by):
        self.by = by

    def __call__(self, epoch):
        return self.by**epoch


def test_factors_that_are_objects_are_saved():
    for package in (ours, torch):
        schedules = package.optim.lr_scheduler
        for make in (schedules.LambdaLR, schedules.MultiplicativeLR):
            saved = make(optimizer_of(package), [Halving(0.5), halve]).state_dict()
            assert saved["lr_lambdas"] == [{"by": 0.5}, None]
            other = make(optimizer_of(package), [Halving(0.25), halve])
            other.load_state_dict(saved)
            assert other.lr_lambdas[0].by == 0.5
        cyclic = [
            schedules.CyclicLR(optimizer_of(package), 1, 2, scale_fn=Halving(b)) for b in (1, 2)
        ]
        cyclic[0].load_state_dict(cyclic[1].state_dict())
        assert cyclic[0].scale_fn(3) == 8


def test_optimizer_and_schedule_survive_pickling_together():
    optimizer = optimizer_of(ours)
    scheduler = ours.optim.lr_scheduler.StepLR(optimizer, 2)
    again = pickle.loads(pickle.dumps(scheduler))
    assert again.optimizer is not optimizer
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            again.optimizer.step()
            again.step()
    assert again.get_last_lr() == pytest.approx([0.04, 0.02])


def test_both_import_paths_lead_to_the_same_classes():
    import tinygrad_like.nn.optim.lr_scheduler as own
    import tinygrad_like.optim.lr_scheduler as path

    assert path.__all__ == own.__all__
    assert all(getattr(path, name) is getattr(own, name) for name in own.__all__)
    assert set(own.__all__) == set(torch.optim.lr_scheduler.__all__)


def test_signatures_are_pytorchs():
    for package, names in (("lr_scheduler", torch.optim.lr_scheduler.__all__), ("swa_utils", None)):
        mine, theirs = (getattr(p.optim, package) for p in (ours, torch))
        for name in names or theirs.__all__:
            pair = [inspect.signature(getattr(m, name)).parameters.values() for m in (mine, theirs)]
            first, second = ([(p.name, p.kind, p.default) for p in values] for values in pair)
            assert first == second, name


def test_schedules_of_ones_own_by_the_old_name():
    rates = []
    for package in (ours, torch):

        class Halving(
            importlib.import_module(f"{package.__name__}.optim.lr_scheduler")._LRScheduler
        ):
            def __init__(self, optimizer, every, last_epoch=-1):
                self.every = every
                super().__init__(optimizer, last_epoch)

            def get_lr(self):
                return [lr * 0.5 ** (self.last_epoch // self.every) for lr in self.base_lrs]

        rates.append(trace(package, lambda _, optimizer, cls=Halving: cls(optimizer, 3)))
    assert rates[0] == rates[1]
