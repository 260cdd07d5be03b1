"""Optimizers follow PyTorch's trajectories in every way of computing, and keep its state."""

import copy
import pickle

import numpy as np
import pytest

import tinygrad_like as ours
from tests.optimizers import BOTH, CONFIGURATIONS, EVERY, LARGE, Pair, trained, translated
from tinygrad_like import jit
from tinygrad_like.nn.optim import adam, layout, passes
from tinygrad_like.nn.optim.blocks import BlockOptimizer
from tinygrad_like.nn.optim.layout import CHUNK, PACK, SMALL
from tinygrad_like.nn.optim.rules import LEAST

# ----- Trajectories -------------------------------------------------------------------------------


@pytest.fixture(params=["compiled", "by_blas", "by_numpy"])
def way(request, monkeypatch):
    """Each of the ways in which a rule can be computed."""
    if request.param == "by_numpy":
        monkeypatch.setattr(passes, "_function", lambda kind: None)
    if request.param == "compiled":
        yield
    else:
        with jit.disabled():
            yield


@pytest.mark.parametrize(("name", "options"), EVERY)
def test_trajectories_are_pytorchs(name, options):
    pair = Pair(name, options)
    for _ in range(25):
        pair.step()
    pair.check()


@pytest.mark.parametrize(("name", "options"), EVERY)
def test_thirty_steps_in_groups_that_go_on_from_each_others_state(name, options):
    pair = Pair(name, options)
    other = {
        "SGD": {"momentum": 0.3},
        "Adam": {"amsgrad": True},
        "Rprop": {"step_sizes": (0.0, 1.0)},
    }
    pair.regroup({}, {"lr": 0.1, **other.get(name, {})}, {"maximize": True})
    for step in range(30):
        pair.step()
        if step == 14:
            pair.exchange()
        if step == 19:
            pair.check(rtol=1e-9)
    pair.check(rtol=1e-9)


@pytest.mark.parametrize(("name", "options"), CONFIGURATIONS)
def test_large_parameters(way, name, options):
    pair = Pair(name, options, LARGE)
    for _ in range(4):
        pair.step()
    pair.check()


@pytest.mark.parametrize(("name", "options"), EVERY)
def test_parameters_without_gradient_are_skipped(name, options):
    pair = Pair(name, options)
    rng = np.random.default_rng(5)
    for step in range(20):
        pair.step(skip={0, 1} if step < 3 else set(rng.choice(len(pair.params[0]), 3)))
    pair.step(skip=set(range(len(pair.params[0]))))
    pair.check()


@pytest.mark.parametrize(("name", "options"), CONFIGURATIONS)
def test_single_precision(way, name, options):
    pair = Pair(name, options, dtype=np.float32)
    for _ in range(10):
        pair.step()
    pair.check(rtol=1e-4, atol=1e-4)
    for p in pair.params[0]:
        assert p.array.dtype == np.float32


def test_real_gradients_lead_downhill():
    for name, _ in CONFIGURATIONS:
        w = ours.tensor([1.0, -2.0, 3.0], requires_grad=True)
        optimizer = getattr(ours.optim, name)([w], lr=0.1)
        before = (w * w).sum().item()
        for _ in range(20):
            optimizer.zero_grad()
            (w * w).sum().backward()
            optimizer.step()
        assert (w * w).sum().item() < before


def test_options_changed_between_steps_are_obeyed():
    pair = Pair("SGD")
    changes = [
        {},
        {"lr": 0.5},
        {"momentum": 0.9},
        {"dampening": 0.6},
        {"dampening": 0, "nesterov": True},
        {"weight_decay": 0.1, "nesterov": False},
        {"maximize": True},
        {"momentum": 0},
        {"momentum": 0.5, "dampening": 0.3},
    ]
    for change in changes:
        pair.each(lambda _, o, __, change=change: o.param_groups[0].update(change))
        pair.step()
        pair.step(skip={1})
    pair.check()


def test_groups_have_options_of_their_own():
    pair = Pair("Adam")
    pair.each(lambda _, o, p: o.param_groups.clear())
    pair.each(lambda _, o, p: o.add_param_group({"params": p[:3], "lr": 0.1}))
    pair.each(lambda _, o, p: o.add_param_group({"params": p[3], "betas": (0.5, 0.6)}))
    pair.each(lambda _, o, p: o.add_param_group({"params": p[4:], "weight_decay": 0.1}))
    for _ in range(5):
        pair.step()
    pair.check()


def test_groups_added_later():
    pair = Pair("Adam", {"lr": 0.1})
    extra = [p.tensor([1.0, 2.0], dtype=p.float64, requires_grad=True) for p in BOTH]
    pair.step()
    for optimizer, params, tensor in zip(pair.optimizers, pair.params, extra, strict=True):
        optimizer.add_param_group({"params": [tensor], "lr": 1.0})
        params.append(tensor)
    for _ in range(3):
        pair.step()
    pair.check()


@pytest.mark.parametrize("name", [*dict(EVERY), "Muon"])
def test_options_may_be_tensors(name):
    results = []
    for package in BOTH:
        w = package.tensor([[1.0, 2.0]], requires_grad=True, dtype=package.float64)
        lr = package.tensor(0.125, dtype=package.float64)
        optimizer = getattr(package.optim, name)([w], lr=lr)
        for step in range(3):
            w.grad = w.detach().clone()
            optimizer.step()
            if step == 1:
                with package.no_grad():
                    lr.mul_(0.5)
        results.append(w.detach().numpy())
    np.testing.assert_allclose(*results, rtol=1e-12)


def test_options_that_are_pytorchs_tensors_can_be_loaded():
    weights, saved = [package.ones(3, requires_grad=True) for package in BOTH], None
    for package, w in zip(reversed(BOTH), reversed(weights), strict=True):
        lr = package.tensor(0.125)
        optimizer = package.optim.Adam([w], lr=lr, betas=(package.tensor(0.5), package.tensor(0.9)))
        if saved is not None:
            optimizer = package.optim.Adam([w])
            optimizer.load_state_dict(saved)
            assert isinstance(optimizer.param_groups[0]["lr"], package.Tensor)
        saved = optimizer.state_dict()
        w.grad = package.ones(3)
        optimizer.step()
    np.testing.assert_allclose(*[w.detach().numpy() for w in weights], rtol=1e-6)


def test_betas_may_be_tensors():
    pair = Pair("Adam", shapes=[(3,)])
    pair.each(
        lambda package, o, _: o.param_groups[0].update(
            betas=tuple(package.tensor(b, dtype=package.float64) for b in (0.8, 0.9))
        )
    )
    for _ in range(3):
        pair.step()
    pair.check()


def test_types_may_be_mixed_in_a_group():
    for name, options in CONFIGURATIONS:
        pair = Pair(name, options, shapes=[(3,)] * 4, single={1, 2})
        for _ in range(5):
            pair.step()
        pair.check(rtol=1e-5, atol=1e-5)


def test_half_precision_trains():
    w = ours.tensor([1.0, -2.0], dtype=ours.float16, requires_grad=True)
    optimizer = ours.optim.SGD([w], lr=0.25, momentum=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()
    assert w.array.dtype == np.float16
    assert optimizer.state[w]["momentum_buffer"].array.dtype == np.float16


# ----- Ways to compute ----------------------------------------------------------------------------


def test_a_kernel_is_taken_where_it_pays(monkeypatch):
    pytest.importorskip("numba")
    monkeypatch.setattr(jit._switch, "on", True)
    sizes = []
    kernel = jit.load("optim.adam")
    monkeypatch.setattr(
        jit, "load", lambda name: lambda *args: (sizes.append(args[0].size), kernel(*args))
    )
    compiled = jit.compiled("optim.adam", least=LEAST)(jit.plain(adam.rule))
    monkeypatch.setattr(ours.optim.Adam, "rule", staticmethod(compiled))
    results = []
    for package in BOTH:
        params, optimizer = trained(package, [[1.0], [2.0] * LEAST, [3.0] * 2 * SMALL])
        optimizer.step()
        results.append(np.concatenate([p.detach().numpy() for p in params]))
    np.testing.assert_allclose(*results, rtol=1e-6)
    assert sizes == [LEAST + 1, 2 * SMALL] * 2


def test_blas_is_taken_where_it_pays(monkeypatch):
    function = passes._function("f")
    assert function is not None
    sizes = []
    monkeypatch.setattr(
        passes, "_function", lambda kind: lambda n, *args: (sizes.append(n), function(n, *args))
    )
    x, y = np.ones((2, passes._LEAST), np.float32)
    passes.axpby(np.float32(2), x, np.float32(3), y, np.empty_like(y))
    passes.axpby(np.float32(2), x, None, y, np.empty_like(y))
    assert (y == 7).all()
    assert sizes == [passes._LEAST] * 2
    # Not for little, not where 0 * nan is to be nan, not for memory that hides its address.
    passes.axpby(np.float32(2), x[1:], np.float32(3), y[1:], np.empty_like(y[1:]))
    x[:] = np.nan
    passes.axpby(np.float32(0), x, None, y, np.empty_like(y))
    assert np.isnan(y).all()
    x[:] = y[:] = 1
    x.flags.writeable = False
    passes.axpby(np.float32(2), x, np.float32(3), y, np.empty_like(y))
    assert (y == 5).all()
    passes.axpby(np.float32(2), x.astype(float), np.float32(3), y, np.empty_like(y))
    assert (y == 17).all()
    assert len(sizes) == 2


def test_a_blas_that_computes_something_else_is_not_taken():
    assert not passes._works(lambda *args: None, "f")


@pytest.mark.parametrize(("name", "options"), CONFIGURATIONS)
def test_results_do_not_depend_on_how_work_is_shared_out(way, monkeypatch, name, options):
    def update():
        pair = Pair(name, options, [(CHUNK + 77,), (4,), (2 * SMALL,)], np.float32)
        for _ in range(2):
            pair.grads()
            pair.optimizers[0].step()
        return [p.array.copy() for p in pair.params[0]]

    def in_pieces(count, work, bytes_):
        pieces.append(count)
        for start in reversed(range(count)):
            work(start, start + 1)

    pieces = []
    whole = update()
    monkeypatch.setattr(layout, "split", in_pieces)
    for a, b in zip(whole, update(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert pieces == [3, 3]


def test_large_parameters_are_updated_by_several_threads():
    former = ours.get_num_threads()
    results = []
    try:
        for threads in (1, 2):
            ours.set_num_threads(threads)
            (w,), optimizer = trained(ours, [np.linspace(0, 1, 1 << 19, dtype=np.float32)])
            optimizer.step()
            results.append(w.array.copy())
    finally:
        ours.set_num_threads(former)
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_large_gradients_with_gaps_in_memory(way, name):
    results = []
    for package in BOTH:
        w = package.ones(2 * SMALL, requires_grad=True)
        optimizer = getattr(package.optim, name)([w], lr=0.1)
        for _ in range(2):
            w.grad = package.linspace(1.0, 2.0, 4 * SMALL)[::2]
            optimizer.step()
        results.append(w.detach().numpy())
    np.testing.assert_allclose(*results, rtol=1e-6)


# ----- State --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "options"), EVERY)
def test_state_dicts_have_pytorchs_layout(name, options):
    pair = Pair(name, options)
    for skip in ((), {1}):
        first, second = (optimizer.state_dict() for optimizer in pair.optimizers)
        assert first["param_groups"] == second["param_groups"]
        assert list(first) == list(second)
        assert {k: list(v) for k, v in first["state"].items()} == {
            k: list(v) for k, v in second["state"].items()
        }
        pair.step(skip)


@pytest.mark.parametrize(("name", "options"), EVERY)
def test_pytorchs_state_can_be_loaded_and_goes_on(name, options):
    pair = Pair(name, options)
    # PyTorch casts loaded numbers such as ASGD's step size to the parameter's type, but not new ones.
    alike = name not in ("ASGD", "NAdam")
    for _ in range(3):
        pair.step(skip={1} if alike else ())
    other = Pair(name, {"lr": 7.0})

    saved = pair.optimizers[1].state_dict()
    for optimizer in other.optimizers:
        optimizer.load_state_dict(copy.deepcopy(saved))
    assert other.optimizers[0].param_groups[0]["lr"] == saved["param_groups"][0]["lr"]
    for _ in range(3):
        other.step()
    other.check()


def test_loaded_state_is_a_copy_in_the_parameters_type():
    w = ours.ones(2, requires_grad=True)
    optimizer = ours.optim.Adam([w])
    w.grad = ours.ones(2)
    optimizer.step()
    x = ours.ones(2, dtype=ours.float64, requires_grad=True)
    other = ours.optim.Adam([x])
    other.load_state_dict(optimizer.state_dict())
    assert other.state[x]["exp_avg"].dtype == ours.float64
    assert other.state[x]["step"].dtype == ours.float32
    x.grad = ours.ones(2, dtype=ours.float64)
    other.step()
    assert optimizer.state[w]["step"].item() == 1


def test_step_counts_are_of_the_default_type():
    ours.set_default_dtype(ours.float64)
    try:
        w = ours.ones(1, requires_grad=True)
        optimizer = ours.optim.Adam([w])
        w.grad = ours.ones(1)
        optimizer.step()
        assert optimizer.state[w]["step"].dtype == ours.float64
    finally:
        ours.set_default_dtype(ours.float32)


@pytest.mark.parametrize("name", dict(EVERY))
def test_states_of_older_versions_are_understood(name):
    """Counts were numbers then, and some options did not exist."""
    pair = Pair(name)
    for _ in range(2):
        pair.step()
    later = ["foreach"]
    if name != "Adafactor":
        later += ["maximize", "differentiable", "capturable", "fused", "decoupled_weight_decay"]
    for i, (package, optimizer) in enumerate(zip(BOTH, pair.optimizers, strict=True)):
        saved = translated(optimizer.state_dict(), package)
        for group in saved["param_groups"]:
            for option in later:
                group.pop(option, None)
        for state in saved["state"].values():
            for key in {"step", "mu_product", "eta", "mu"} & set(state):
                state[key] = state[key].item()
        pair.optimizers[i] = getattr(package.optim, name)(pair.params[i], lr=3.0)
        pair.optimizers[i].load_state_dict(saved)
    for _ in range(2):
        pair.step()
    pair.check()


def test_states_that_do_not_fit_are_refused():
    for package in BOTH:
        make = [lambda package=package: package.zeros(1, requires_grad=True)] * 2
        one = package.optim.SGD([make[0]()])
        two = package.optim.SGD([make[0](), make[1]()])
        groups = package.optim.SGD([{"params": [f()]} for f in make])
        with pytest.raises(ValueError, match="different number of parameter groups"):
            one.load_state_dict(groups.state_dict())
        with pytest.raises(ValueError, match="doesn't match the size of optimizer's group"):
            one.load_state_dict(two.state_dict())


def test_names_of_parameters_are_kept():
    for package in BOTH:
        params = {name: package.zeros(1, requires_grad=True) for name in "ab"}
        optimizer = package.optim.SGD(params.items())
        assert optimizer.param_groups[0]["param_names"] == ["a", "b"]
        saved = optimizer.state_dict()
        assert saved["param_groups"][0]["param_names"] == ["a", "b"]
        del saved["param_groups"][0]["param_names"]
        optimizer.load_state_dict(saved)
        assert optimizer.param_groups[0]["param_names"] == ["a", "b"]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_copies_go_their_own_way(copied):
    for name, options in EVERY:
        pair = Pair(name, options, shapes=[(3,), (PACK + 1,)])
        pair.step()
        again = copied(pair.optimizers[0])
        params = again.param_groups[0]["params"]
        before = [p.detach().clone() for p in pair.params[0]]
        for p, g in zip(params, pair.params[0], strict=True):
            p.grad = g.grad.clone()
        again.step()
        for p, same, moved in zip(pair.params[0], before, params, strict=True):
            assert (p == same).all()
            assert not (moved == same).all()


def test_own_optimizers_can_be_written():
    def make(package):
        class Signed(package.optim.Optimizer):
            def __init__(self, params, lr):
                super().__init__(params, {"lr": lr})

            def step(self, closure=None):
                with package.no_grad():
                    for group in self.param_groups:
                        for p in group["params"]:
                            state = self.state[p]
                            state["count"] = state.get("count", 0) + 1
                            p.add_(p.grad.sign(), alpha=-group["lr"])

        return Signed

    for package in BOTH:
        w = package.tensor([1.0, -1.0], requires_grad=True)
        optimizer = make(package)([w], lr=0.5)
        calls = []
        optimizer.register_step_post_hook(lambda o, args, kwargs, calls=calls: calls.append(o))
        w.grad = package.tensor([2.0, -3.0])
        optimizer.step()
        assert w.tolist() == [0.5, -0.5]
        assert optimizer.state[w]["count"] == 1
        assert calls == [optimizer]
        with pytest.raises(NotImplementedError):
            package.optim.Optimizer([w], {}).step()


def test_own_rules_can_be_written(way):
    @passes.blockwise
    def follow_signs(p, g, kept, numbers):
        (lr,) = numbers
        np.subtract(p, np.multiply(np.sign(g, passes.scratch(p)), lr), p)

    class Signed(BlockOptimizer):
        rule = staticmethod(follow_signs)
        slots = {}
        switches = ()
        scalars = ()

        def numbers(self, group, step):
            return (group["lr"],)

    for size in (3, 2 * LEAST, 2 * CHUNK):
        w = ours.ones(size, requires_grad=True)
        optimizer = Signed([w], {"lr": 0.5})
        w.grad = ours.full((size,), -3.0)
        for lr in (0.5, 0.25):
            optimizer.param_groups[0]["lr"] = lr
            optimizer.step()
        assert (w == 1.75).all()


# ----- Around the step ----------------------------------------------------------------------------


def test_zero_grad():
    for package in BOTH:
        w, v = (package.ones(2, requires_grad=True) for _ in range(2))
        optimizer = package.optim.SGD([w, v])
        w.grad = package.ones(2)
        kept = w.grad
        optimizer.zero_grad(set_to_none=False)
        assert w.grad is kept
        assert kept.tolist() == [0.0, 0.0]
        assert v.grad is None
        w.grad = v * 2
        optimizer.zero_grad(set_to_none=False)
        assert w.grad.tolist() == [0.0, 0.0]
        assert not w.grad.requires_grad
        optimizer.zero_grad()
        assert w.grad is None


def test_closures():
    for package in BOTH:
        w = package.tensor([2.0], requires_grad=True)
        optimizer = package.optim.SGD([w], lr=0.25)

        def closure(package=package, w=w, optimizer=optimizer):
            optimizer.zero_grad()
            loss = (w * w).sum()
            loss.backward()
            return loss

        with package.no_grad():
            assert optimizer.step(closure).item() == 4.0
        assert w.tolist() == [1.0]
        assert optimizer.step() is None


def test_hooks_around_steps():
    for package in BOTH:
        seen = []
        w = package.tensor([2.0], requires_grad=True)
        optimizer = package.optim.SGD([w], lr=0.25)
        every = package.optim.Optimizer.__module__
        module = __import__(every, fromlist=["*"])
        handles = [
            optimizer.register_step_pre_hook(lambda o, a, k: seen.append(("pre", len(a)))),
            optimizer.register_step_post_hook(lambda o, a, k: seen.append(("post", len(a)))),
            module.register_optimizer_step_pre_hook(lambda o, a, k: seen.append("every pre")),
            module.register_optimizer_step_post_hook(lambda o, a, k: seen.append("every post")),
        ]
        optimizer.step()
        assert seen == ["every pre", ("pre", 1), ("post", 1), "every post"]
        for handle in handles:
            handle.remove()
        optimizer.step()
        assert len(seen) == 4
        replace = optimizer.register_step_pre_hook(lambda o, a, k: ((o, lambda: 7), {}))
        assert optimizer.step() == 7
        replace.remove()
        optimizer.register_step_pre_hook(lambda o, a, k: 3)
        with pytest.raises(RuntimeError, match="must return None or a tuple of"):
            optimizer.step()


def test_hooks_around_state_dicts():
    for package in BOTH:
        seen = []
        optimizer = package.optim.SGD([package.zeros(1, requires_grad=True)])
        optimizer.register_state_dict_pre_hook(lambda o: seen.append("save 2"))
        optimizer.register_state_dict_pre_hook(lambda o: seen.append("save 1"), prepend=True)
        optimizer.register_state_dict_post_hook(lambda o, s: s | {"extra": 1})
        optimizer.register_load_state_dict_pre_hook(
            lambda o, s: {k: v for k, v in s.items() if k != "extra"}
        )
        optimizer.register_load_state_dict_post_hook(lambda o: seen.append("loaded"))
        saved = optimizer.state_dict()
        assert saved["extra"] == 1
        optimizer.load_state_dict(saved)
        assert seen == ["save 1", "save 2", "loaded"]


@pytest.mark.parametrize(("name", "options"), EVERY)
def test_reprs_are_pytorchs(name, options):
    first, second = Pair(name, options).optimizers
    assert repr(first) == repr(second)
    for package, optimizer in zip(BOTH, (first, second), strict=True):
        optimizer.add_param_group({"params": [package.zeros(1, requires_grad=True)], "lr": 3.0})
    assert repr(first) == repr(second)
