"""Optimizers follow PyTorch's trajectories, keep its state, and leave memory where it was."""

import copy
import gc
import pickle
import warnings
import weakref

import numpy as np
import pytest

import tinygrad_like as ours
from tinygrad_like import jit
from tinygrad_like.nn.optim import adam, layout, passes
from tinygrad_like.nn.optim.blocks import SMALL
from tinygrad_like.nn.optim.layout import CHUNK, LEAST, PACK, Block
from tinygrad_like.stamps import owner

torch = pytest.importorskip("torch")

BOTH = (ours, torch)
# Tiny, empty and 0-d parameters, some that fill one pack and a half, one that is updated alone.
SHAPES = [(3, 4), (5,), (), (0,), (2, 3, 4), (SMALL - 1,), (90, 91), (PACK // SMALL, SMALL - 7)]
LARGE = [(PACK + 77,), (4,), (2, CHUNK)]

CONFIGURATIONS = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"momentum": 0.9, "dampening": 0.5, "maximize": True}),
    ("SGD", {"weight_decay": 0.1, "maximize": True}),
    ("Adam", {}),
    ("Adam", {"amsgrad": True, "weight_decay": 0.1}),
    ("Adam", {"betas": (0.3, 0.9), "eps": 1e-3, "maximize": True}),
    ("Adam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("AdamW", {}),
    ("AdamW", {"amsgrad": True, "weight_decay": 0.3}),
    ("RMSprop", {}),
    ("RMSprop", {"momentum": 0.9, "weight_decay": 0.1}),
    ("RMSprop", {"centered": True, "maximize": True}),
    ("RMSprop", {"centered": True, "momentum": 0.5, "alpha": 0.3}),
    ("Adagrad", {}),
    ("Adagrad", {"lr_decay": 0.1, "initial_accumulator_value": 0.5, "weight_decay": 0.1}),
    ("Adagrad", {"maximize": True}),
]


class Pair:
    """The same parameters and the same optimizer in both packages."""

    def __init__(self, name, options=None, shapes=SHAPES, dtype=np.float64, single=()):
        self.rng = np.random.default_rng(0)
        self.dtype = dtype
        values = [
            self.rng.standard_normal(shape).astype(np.float32 if i in single else dtype)
            for i, shape in enumerate(shapes)
        ]
        self.params = [
            [package.tensor(value.copy(), requires_grad=True) for value in values]
            for package in BOTH
        ]
        self.optimizers = [
            getattr(package.optim, name)(params, **({"lr": 0.01} | (options or {})))
            for package, params in zip(BOTH, self.params, strict=True)
        ]

    def grads(self, skip=()):
        """Give all parameters the same new gradients, or none to those in `skip`."""
        for i, tensors in enumerate(zip(*self.params, strict=True)):
            g = self.rng.standard_normal(tuple(tensors[0].shape)).astype(self.dtype)
            for package, p in zip(BOTH, tensors, strict=True):
                p.grad = None if i in skip else package.tensor(g).to(p.dtype)

    def step(self, skip=()):
        self.grads(skip)
        for optimizer in self.optimizers:
            optimizer.step()

    def each(self, change):
        """Do the same to both optimizers."""
        for package, optimizer, params in zip(BOTH, self.optimizers, self.params, strict=True):
            change(package, optimizer, params)

    def check(self, rtol=1e-11, atol=1e-12):
        first, second = self.optimizers
        for mine, theirs in zip(*self.params, strict=True):
            np.testing.assert_allclose(
                mine.detach().numpy(), theirs.detach().numpy(), rtol=rtol, atol=atol
            )
            kept, wanted = first.state.get(mine, {}), second.state.get(theirs, {})
            assert list(kept) == list(wanted)
            for key in wanted:
                assert str(kept[key].dtype) == str(wanted[key].dtype)
                np.testing.assert_allclose(
                    kept[key].numpy(), wanted[key].numpy(), rtol=rtol, atol=atol
                )


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


@pytest.mark.parametrize(("name", "options"), CONFIGURATIONS)
def test_trajectories_are_pytorchs(name, options):
    pair = Pair(name, options)
    for _ in range(25):
        pair.step()
    pair.check()


@pytest.mark.parametrize(("name", "options"), CONFIGURATIONS)
def test_large_parameters(way, name, options):
    pair = Pair(name, options, LARGE)
    for _ in range(4):
        pair.step()
    pair.check()


@pytest.mark.parametrize(("name", "options"), CONFIGURATIONS)
def test_parameters_without_gradient_are_skipped(name, options):
    pair = Pair(name, options)
    rng = np.random.default_rng(5)
    for step in range(20):
        pair.step(skip={0, 1} if step < 3 else set(rng.choice(len(SHAPES), 3)))
    pair.step(skip=set(range(len(SHAPES))))
    pair.check()


@pytest.mark.parametrize(("name", "options"), CONFIGURATIONS)
def test_single_precision(way, name, options):
    pair = Pair(name, options, dtype=np.float32)
    for _ in range(10):
        pair.step()
    pair.check(rtol=1e-4, atol=1e-5)
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


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Adagrad"])
def test_options_may_be_tensors(name):
    results = []
    for package in BOTH:
        w = package.tensor([1.0, 2.0], requires_grad=True, dtype=package.float64)
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


# ----- Memory -------------------------------------------------------------------------------------


def moved(p):
    """Return True if a parameter lies side by side with others."""
    return type(p.array.base) is Block


def trained(package, values, name="Adam", **options):
    """Return parameters after one step, nothing else of which is held, and their optimizer."""
    params = [package.tensor(value, requires_grad=True) for value in values]
    optimizer = getattr(package.optim, name)(params, **({"lr": 0.1} | options))
    for p in params:
        p.grad = package.ones_like(p)
    optimizer.step()
    return params, optimizer


def test_small_parameters_are_moved_side_by_side_and_updated_at_once(monkeypatch):
    calls = []
    monkeypatch.setattr(layout, "unwrap", lambda rule: lambda p, *rest: calls.append(p.size))
    params, _ = trained(ours, [[1.0, 2.0], [[3.0]], [4.0, 5.0, 6.0]])
    assert all(map(moved, params))
    assert calls == [6]
    start = min(p.data_ptr() for p in params)
    assert sorted(p.data_ptr() - start for p in params) == [0, 8, 12]


def test_the_memory_a_parameter_leaves_is_freed():
    w = ours.ones(2, requires_grad=True)
    former = weakref.ref(w.array)
    w.grad = ours.ones(2)
    ours.optim.SGD([w]).step()
    assert former() is None


def test_large_parameters_stay_where_they_are():
    w = ours.ones(4 * SMALL, requires_grad=True)
    address = w.data_ptr()
    optimizer = ours.optim.SGD([w])
    w.grad = ours.ones_like(w)
    optimizer.step()
    assert w.data_ptr() == address


def test_each_moved_parameter_owns_its_memory():
    (a, b, c), _ = trained(ours, [[1.0, 2.0], [3.0, 4.0], [5.0]])
    assert len({id(owner(p.array)) for p in (a, b, c)}) == 3
    assert [p.storage_offset() for p in (a, b, c)] == [0, 0, 0]
    loss = (b * b).sum()
    with ours.no_grad():
        a.mul_(2)
        c[0] = 7.0
    loss.backward()
    assert (b[:1].grad_fn, b[0]._base is b) != (None, False)
    loss = (b * b).sum()
    with ours.no_grad():
        b[1] = 0.0
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_a_parameter_whose_array_the_user_holds_stays_in_its_memory():
    w = ours.tensor([1.0, 2.0], requires_grad=True)
    held = w.detach().numpy()
    optimizer = ours.optim.SGD([w], lr=0.5)
    for _ in range(2):
        w.grad = ours.ones(2)
        optimizer.step()
    assert held.tolist() == [0.0, 1.0]
    held[:] = 7.0
    assert w.tolist() == [7.0, 7.0]
    optimizer.step()
    assert held.tolist() == [6.5, 6.5]


def test_a_parameter_that_stays_is_updated_alone_too():
    a, b = (ours.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    held = a.detach().numpy()
    optimizer = ours.optim.SGD([a, b], lr=0.5)
    a.grad, b.grad = ours.ones(2), ours.ones(2)
    optimizer.step()
    b.grad = None
    optimizer.step()
    assert held.tolist() == [0.0, 1.0]
    held[:] = 7.0
    optimizer.step()
    assert held.tolist() == [6.5, 6.5]


def test_data_replaced_while_another_has_no_gradient_is_noticed():
    (a, b), optimizer = trained(ours, [[1.0, 2.0], [3.0]], "SGD", lr=0.5)
    a.grad, b.data = None, ours.tensor([5.0])
    optimizer.step()
    assert b.tolist() == [4.5]


def test_all_that_can_be_is_moved_again_when_one_has_changed():
    params, optimizer = trained(ours, [[1.0, 2.0], [3.0], [4.0]])
    params[1].data = ours.tensor([5.0])
    optimizer.step()
    assert all(map(moved, params))
    start = min(p.data_ptr() for p in params)
    assert sorted(p.data_ptr() - start for p in params) == [0, 8, 12]


def test_a_parameter_that_takes_no_gradients_stays_in_memory_the_user_holds():
    held = np.ones(2, np.float32)
    w = ours.from_numpy(held)
    w.grad = ours.ones(2)
    ours.optim.SGD([w], lr=0.5).step()
    assert held.tolist() == [0.5, 0.5]


def lend_view():
    array = np.ones(4, np.float32)
    return array, ours.from_numpy(array[1:3]), lambda: array[1:3]


def lend_bytes():
    memory = bytearray(np.ones(2, np.float32).tobytes())
    return (
        None,
        ours.from_numpy(np.frombuffer(memory, np.float32)),
        lambda: np.frombuffer(memory, np.float32),
    )


def lend_to_torch():
    tensor = torch.ones(2)
    return tensor, ours.from_numpy(tensor.numpy()), tensor.numpy


def lend_by_dlpack():
    tensor = torch.ones(2)
    return tensor, ours.from_dlpack(tensor), tensor.numpy


@pytest.mark.parametrize("lend", [lend_view, lend_bytes, lend_to_torch, lend_by_dlpack])
def test_memory_of_others_is_never_moved(lend):
    kept, w, look = lend()
    w.requires_grad_()
    optimizer = ours.optim.SGD([w], lr=0.5)
    for _ in range(2):
        w.grad = ours.ones(2)
        optimizer.step()
    assert look().tolist() == [0.0, 0.0]
    del kept


def test_read_only_memory_stays_read_only():
    w = ours.ones(2, requires_grad=True)
    w.array.flags.writeable = False
    w.grad = ours.ones(2)
    with pytest.raises(ValueError, match="read-only"):
        ours.optim.SGD([w], lr=0.5).step()
    assert w.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    "look",
    [
        lambda w: w.detach(),
        lambda w: w.detach()[:1],
        lambda w: w.data,
        lambda w: memoryview(w.detach().numpy()),
        lambda w: ours.nn.Parameter(w),
        lambda w: w.view(-1),
    ],
)
def test_a_parameter_that_something_looks_at_is_not_moved(look):
    w = ours.ones(2, requires_grad=True)
    view = look(w)
    optimizer = ours.optim.SGD([w], lr=0.5)
    w.grad = ours.ones(2)
    optimizer.step()
    assert not moved(w)
    assert [float(x) for x in view] == [0.5] * len(view)
    del view
    w.data = w.data.clone()
    optimizer.step()
    assert moved(w)


def test_a_graph_that_waits_keeps_a_parameter_in_place():
    w = ours.ones(2, requires_grad=True)
    loss = (w * w).sum()
    loss.backward(retain_graph=True)
    ours.optim.SGD([w], lr=0.5).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_tied_memory_is_written_once_and_for_both():
    results = []
    for package in BOTH:
        (a, b, c), optimizer = trained(package, [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "SGD")
        c.data = a.data
        for _ in range(2):
            optimizer.step()
        c.data.mul_(2)
        optimizer.step()
        assert a.data_ptr() == c.data_ptr()
        results.append([p.tolist() for p in (a, b, c)])
    np.testing.assert_allclose(*results, rtol=1e-6)


def test_modules_are_copied_pickled_loaded_and_converted_after_a_step():
    def make(package):
        package.manual_seed(0)
        net = package.nn.Sequential(package.nn.Linear(3, 4), package.nn.Linear(4, 2))
        optimizer = package.optim.Adam(net.parameters(), lr=0.1)
        x = package.ones(5, 3)

        def step(net, optimizer):
            optimizer.zero_grad()
            net(x.to(next(net.parameters()).dtype)).square().sum().backward()
            optimizer.step()

        return net, optimizer, step

    results = []
    for package in BOTH:
        net, optimizer, step = make(package)
        step(net, optimizer)
        copied = copy.deepcopy(net)
        pickled = pickle.loads(pickle.dumps(net))
        saved = {key: value.clone() for key, value in net.state_dict().items()}
        step(net, optimizer)
        for other in (copied, pickled):
            for p, (_, value) in zip(other.parameters(), saved.items(), strict=True):
                assert (p == value).all()
            step(other, package.optim.Adam(other.parameters(), lr=0.1))
        after = [p.detach().clone() for p in net.parameters()]
        net.load_state_dict(saved)
        step(net, optimizer)
        net.load_state_dict(saved, assign=True)
        for p in net.parameters():
            p.requires_grad_()
        step(net, package.optim.Adam(net.parameters(), lr=0.1))
        net.double()
        step(net, package.optim.Adam(net.parameters(), lr=0.1))
        results.append([p.detach().numpy() for p in [*after, *net.parameters()]])
    for mine, wanted in zip(*results, strict=True):
        assert mine.dtype == wanted.dtype
        np.testing.assert_allclose(mine, wanted, rtol=1e-4, atol=1e-5)


def test_one_optimizer_after_another_and_two_at_once():
    results = []
    for package in BOTH:
        params, first = trained(package, [[1.0, 2.0], [3.0]], "SGD")
        second = package.optim.Adam(params, lr=0.1)
        for optimizer in (second, first, second):
            optimizer.step()
        results.append([p.tolist() for p in params])
        if package is ours:
            del first, second, optimizer
            address = params[0].data_ptr()
            package.optim.SGD(params, lr=0.0).step()
            assert all(map(moved, params))
            assert params[0].data_ptr() != address
    for mine, wanted in zip(*results, strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=1e-6)


def test_a_moved_parameter_outlives_its_optimizer():
    (a, b), optimizer = trained(ours, [[1.0, 2.0], [3.0]])
    before = a.tolist()
    del optimizer, b
    gc.collect()
    ours.ones(100)
    assert a.tolist() == before


def test_hooks_on_a_parameter_outlive_its_move():
    w = ours.tensor([1.0], requires_grad=True)
    seen = []
    w.register_hook(lambda g: seen.append(g.item()))
    w.register_post_accumulate_grad_hook(lambda p: seen.append(p is w))
    optimizer = ours.optim.SGD([w], lr=0.1)
    for _ in range(2):
        (w * 2).sum().backward()
        optimizer.step()
    assert moved(w)
    assert seen == [2.0, True] * 2


@pytest.mark.parametrize("size", [3, PACK + 1])
@pytest.mark.parametrize(("name", "options"), CONFIGURATIONS)
def test_gradients_that_are_held_do_not_change(name, options, size):
    w = ours.ones(size, requires_grad=True)
    optimizer = getattr(ours.optim, name)([w], **({"lr": 0.1} | options))
    held = []
    for factor in (1.0, 2.0, 3.0):
        optimizer.zero_grad()
        (w * factor).sum().backward()
        held.append(w.grad)
        optimizer.step()
    for g, factor in zip(held, (1.0, 2.0, 3.0), strict=True):
        assert (g == factor).all()


def test_gradients_are_added_up_over_steps_if_kept():
    results = []
    for package in BOTH:
        w = package.ones(3, requires_grad=True)
        optimizer = package.optim.SGD([w], lr=0.1)
        for _ in range(3):
            (w * w).sum().backward()
            held = w.grad
            optimizer.step()
        assert held is w.grad
        results.append(w.grad.tolist())
    np.testing.assert_allclose(*results, rtol=1e-6)


def test_a_gradient_of_another_shape_is_refused():
    w = ours.ones(2, 3, requires_grad=True)
    optimizer = ours.optim.SGD([w])
    w.grad = ours.ones(2, 3)
    optimizer.step()
    w.data = ours.ones(3)
    with pytest.raises(
        RuntimeError, match=r"SGD: a gradient has shape \(2, 3\), its parameter \(3,\)"
    ):
        optimizer.step()
    assert w.tolist() == [1.0] * 3


def test_a_group_may_get_another_parameter_on_the_same_memory():
    for package in BOTH:
        (w,), optimizer = trained(package, [[1.0, 2.0]], "SGD")
        other = package.nn.Parameter(w.data)
        optimizer.param_groups[0]["params"][0] = other
        w.grad, other.grad = None, package.ones(2)
        optimizer.step()
        np.testing.assert_allclose(w.tolist(), [0.8, 1.8], rtol=1e-6)


def test_state_that_looks_at_other_memory_is_noticed():
    results = []
    for package in BOTH:
        params, optimizer = trained(package, [[1.0, 2.0], [3.0]])
        state = optimizer.state[params[0]]
        state["exp_avg"].data = package.full((2,), 5.0)
        state["step"].fill_(10.0)
        optimizer.step()
        results.append([p.tolist() for p in params])
    for mine, wanted in zip(*results, strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=1e-6)


def test_step_counts_that_change_in_place_are_read_again():
    results = []
    for package in BOTH:
        params, optimizer = trained(package, [[1.0, 2.0], [3.0]])
        for p in params:
            optimizer.state[p]["step"].fill_(10.0)
        optimizer.step()
        results.append([p.tolist() for p in params])
    for mine, wanted in zip(*results, strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=1e-6)


def test_options_that_change_in_place_are_read_again():
    results = []
    for package in BOTH:
        (w,), optimizer = trained(package, [[1.0, 2.0]], betas=(0.9, 0.99))
        betas = optimizer.param_groups[0]["betas"] = [0.9, 0.99]
        optimizer.step()
        betas[0] = 0.1
        w.grad = package.tensor([1.0, -1.0])
        optimizer.step()
        results.append(w.tolist())
    np.testing.assert_allclose(*results, rtol=1e-6)


def test_an_arrangement_lasts_while_nothing_changes(monkeypatch):
    made = []
    original = layout.Layout.__init__

    def count(self, *args):
        made.append(self)
        original(self, *args)

    monkeypatch.setattr(layout.Layout, "__init__", count)
    for name, _ in CONFIGURATIONS:
        made.clear()
        a, b = (ours.ones(3, requires_grad=True) for _ in range(2))
        optimizer = getattr(ours.optim, name)([a, b], lr=0.1)
        schedule = ours.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        for step in range(8):  # a and b in turn, then both
            optimizer.zero_grad()
            loss = (a.sum() if step % 2 or step > 4 else 0) + (b.sum() if step % 2 == 0 else 0)
            loss.backward()
            optimizer.step()
            schedule.step()
        assert len(made) <= 2, name


# ----- Ways to compute ----------------------------------------------------------------------------


def test_a_kernel_is_taken_where_it_pays(monkeypatch):
    pytest.importorskip("numba")
    monkeypatch.setattr(jit._switch, "on", True)
    sizes = []
    kernel = jit.load("optim.adam")
    monkeypatch.setattr(
        jit, "load", lambda name: lambda *args: (sizes.append(args[0].size), kernel(*args))
    )
    compiled = jit.compiled("optim.adam", least=LEAST)(jit.plain(adam.update))
    monkeypatch.setattr(ours.optim.Adam, "rule", staticmethod(compiled))
    results = []
    for package in BOTH:
        params, optimizer = trained(package, [[1.0], [2.0] * LEAST, [3.0] * 4 * SMALL])
        optimizer.step()
        results.append(np.concatenate([p.detach().numpy() for p in params]))
    np.testing.assert_allclose(*results, rtol=1e-6)
    assert sizes == [LEAST + 1, 4 * SMALL] * 2


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
        pair = Pair(name, options, [(PACK + 77,), (4,), (3, PACK)], np.float32)
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


# ----- Writes -------------------------------------------------------------------------------------


def test_a_step_counts_as_a_write_into_what_it_changed_and_nothing_else():
    a, b = (ours.ones(3, requires_grad=True) for _ in range(2))
    optimizer = ours.optim.Adam([a, b])
    loss = (a * a).sum() + (b * b).sum()
    a.grad = ours.ones(3)
    optimizer.step()
    with pytest.raises(RuntimeError, match=r"modified by an inplace operation.*test_optim\.py:\d+"):
        loss.backward()
    (b * b).sum().backward()
    untouched = (b * b).sum()
    a.grad, b.grad = ours.ones(3), None
    optimizer.step()
    untouched.backward()
    assert b.grad.tolist() == [2.0] * 3


def test_a_step_without_a_gradient_is_no_write():
    (a, b), optimizer = trained(ours, [[1.0], [2.0]])
    losses = [(p * p).sum() for p in (a, b)]
    b.grad = None
    optimizer.step()
    losses[1].backward()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        losses[0].backward()


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_a_large_parameter_is_noted_as_written(name):
    w = ours.ones(PACK + 1, requires_grad=True)
    optimizer = getattr(ours.optim, name)([w], lr=0.1)
    loss = (w * w).sum()
    w.grad = ours.ones(PACK + 1)
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("shape", [(40, 50), (300, 200)])
def test_transposed_parameters(shape):
    for name, options in CONFIGURATIONS[:6]:
        results = []
        for package in BOTH:
            base = package.arange(float(np.prod(shape)), dtype=package.float64)
            w = (base.reshape(shape) / 100).T.detach().requires_grad_()
            optimizer = getattr(package.optim, name)([w], **({"lr": 0.01} | options))
            for _ in range(3):
                w.grad = (w.detach() * 0.5).clone()
                optimizer.step()
            assert not w.is_contiguous()
            results.append(w.detach().numpy())
        np.testing.assert_allclose(*results, rtol=1e-12)


def test_gradients_of_another_layout():
    results = []
    for package in BOTH:
        x = package.arange(12.0).reshape(4, 3)
        w = package.ones(2, 3, requires_grad=True)
        optimizer = package.optim.Adam([w], lr=0.1)
        w.grad = (x.T @ package.arange(8.0).reshape(4, 2)).T
        optimizer.step()
        results.append(w.detach().numpy())
    np.testing.assert_allclose(*results, rtol=1e-6)


@pytest.mark.parametrize("size", [3, PACK + 5])
def test_two_parameters_in_the_same_memory_are_both_applied(monkeypatch, size):
    monkeypatch.setattr(layout, "split", None)  # never by two threads at once
    for name, options in CONFIGURATIONS[:6]:
        results = []
        for package in BOTH:
            a = package.ones(size, dtype=package.float64, requires_grad=True)
            b = package.zeros(1, dtype=package.float64, requires_grad=True)
            c = a.detach().requires_grad_()
            optimizer = getattr(package.optim, name)([a, b, c], **({"lr": 0.1} | options))
            for step in range(3):
                a.grad, c.grad = package.full_like(a, 1.0 + step), package.full_like(c, 0.5)
                b.grad = package.ones_like(b)
                optimizer.step()
            results.append(a.detach().numpy())
        np.testing.assert_allclose(*results, rtol=1e-12)


def test_slices_of_one_array_are_separate_parameters():
    results = []
    for package in BOTH:
        flat = package.arange(10.0, dtype=package.float64)
        parts = [flat[:4].detach().requires_grad_(), flat[4:].detach().requires_grad_()]
        optimizer = package.optim.Adam(parts, lr=0.1)
        for p in parts:
            p.grad = package.ones_like(p)
        optimizer.step()
        results.append(flat.numpy())
    np.testing.assert_allclose(*results, rtol=1e-12)


def test_a_numpy_array_stays_shared():
    array = np.ones(5)
    w = ours.from_numpy(array).requires_grad_()
    optimizer = ours.optim.SGD([w], lr=0.5)
    w.grad = ours.ones(5, dtype=ours.float64)
    optimizer.step()
    assert array.tolist() == [0.5] * 5


@pytest.mark.parametrize(("name", "options"), CONFIGURATIONS)
def test_replaced_data_is_noticed(name, options):
    pair = Pair(name, options, shapes=[(3,), (PACK + 3,)])
    pair.step()
    for i in (0, 1):
        pair.each(lambda _, __, p, i=i: setattr(p[i], "data", p[i].data.clone() * 2))
        pair.step()
    pair.check()


def test_converted_parameters_take_their_state_along():
    w = ours.tensor([1.0, 2.0], requires_grad=True)
    optimizer = ours.optim.Adam([w], lr=0.1)
    w.grad = ours.ones(2)
    optimizer.step()
    w.grad = None
    w.data = w.data.double()
    w.grad = ours.ones(2, dtype=ours.float64)
    optimizer.step()
    assert w.dtype == ours.float64
    assert optimizer.state[w]["exp_avg"].dtype == ours.float64
    assert optimizer.state[w]["step"].item() == 2
    w.grad = None
    w.data = ours.ones(3, dtype=ours.float64)
    w.grad = ours.ones(3, dtype=ours.float64)
    with pytest.raises(
        RuntimeError, match=r"Adam: state 'exp_avg' has shape \(2,\), its parameter"
    ):
        optimizer.step()


@pytest.mark.parametrize(("name", "options"), CONFIGURATIONS)
def test_state_taken_away_or_replaced_is_noticed(name, options):
    pair = Pair(name, options)
    pair.step()
    if name != "Adagrad":  # whose state exists from the start only
        pair.each(lambda _, o, p: o.state.pop(p[1], None))
        pair.step()
        pair.each(lambda _, o, p: o.state.clear())
        pair.step()

    def double(package, optimizer, params):
        for state in (optimizer.state.get(params[0], {}), optimizer.state.get(params[-1], {})):
            for key, value in state.items():
                state[key] = value * 2
        for value in optimizer.state.get(params[2], {}).values():
            value.mul_(3)

    pair.each(double)
    pair.step()
    pair.step()
    pair.check()


def test_parameters_listed_twice_move_twice():
    for package in BOTH:
        w = package.tensor([1.0], requires_grad=True)
        with pytest.warns(UserWarning, match="duplicate parameters"):
            optimizer = package.optim.SGD([w, w], lr=0.25)
        for _ in range(2):
            w.grad = package.ones(1)
            optimizer.step()
        assert w.tolist() == [0.0]


def test_no_cycles():
    gc.disable()
    try:
        w = ours.ones(3, requires_grad=True)
        optimizer = ours.optim.Adam([w])
        w.grad = ours.ones(3)
        optimizer.step()
        gone = weakref.ref(optimizer), weakref.ref(w)
        del optimizer, w
        assert gone[0]() is None
        assert gone[1]() is None
    finally:
        gc.enable()


def test_no_growth_over_many_steps():
    from tinygrad_like import stamps

    w = ours.ones(3, requires_grad=True)
    optimizer = ours.optim.Adam([w])
    sizes = []
    for _ in range(200):
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()
        sizes.append(len(stamps._stamps))
    assert sizes[-1] == sizes[5]


# ----- State --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "options"), CONFIGURATIONS)
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


@pytest.mark.parametrize(("name", "options"), CONFIGURATIONS)
def test_pytorchs_state_can_be_loaded_and_goes_on(name, options):
    pair = Pair(name, options)
    for _ in range(3):
        pair.step(skip={1})
    other = Pair(name, {"lr": 7.0})

    saved = pair.optimizers[1].state_dict()
    for optimizer in other.optimizers:
        optimizer.load_state_dict(copy.deepcopy(saved))
    assert other.optimizers[0].param_groups[0]["lr"] == 0.01
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


def test_step_counts_saved_as_numbers_are_understood():
    for package in BOTH:
        w = package.ones(1, requires_grad=True)
        optimizer = package.optim.Adam([w])
        w.grad = package.ones(1)
        optimizer.step()
        saved = optimizer.state_dict()
        saved["state"][0]["step"] = 4
        optimizer.load_state_dict(saved)
        optimizer.step()
        assert optimizer.state[w]["step"].item() == 5.0


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
    for name, options in CONFIGURATIONS:
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


@pytest.mark.parametrize(("name", "options"), CONFIGURATIONS)
def test_reprs_are_pytorchs(name, options):
    first, second = Pair(name, options).optimizers
    assert repr(first) == repr(second)
    for package, optimizer in zip(BOTH, (first, second), strict=True):
        optimizer.add_param_group({"params": [package.zeros(1, requires_grad=True)], "lr": 3.0})
    assert repr(first) == repr(second)


# ----- Refusals -----------------------------------------------------------------------------------


def tensor(package):
    return package.zeros(2, requires_grad=True)


REFUSED = [
    (TypeError, lambda p: p.optim.SGD(tensor(p))),
    (TypeError, lambda p: p.optim.SGD([1])),
    (TypeError, lambda p: p.optim.SGD([{"params": {tensor(p)}}])),
    (TypeError, lambda p: p.optim.SGD([{"params": [tensor(p)]}, tensor(p)])),
    (ValueError, lambda p: p.optim.SGD([])),
    (ValueError, lambda p: p.optim.SGD([tensor(p) * 2])),
    (ValueError, lambda p: p.optim.SGD([("a", tensor(p)), tensor(p)])),
    (ValueError, lambda p: p.optim.SGD([tensor(p)], lr=-1)),
    (ValueError, lambda p: p.optim.SGD([tensor(p)], lr=p.zeros(2))),
    (ValueError, lambda p: p.optim.SGD([tensor(p)], momentum=-1)),
    (ValueError, lambda p: p.optim.SGD([tensor(p)], weight_decay=-1)),
    (ValueError, lambda p: p.optim.SGD([tensor(p)], nesterov=True)),
    (ValueError, lambda p: p.optim.SGD([tensor(p)], 1, 0.9, 0.1, nesterov=True)),
    (RuntimeError, lambda p: p.optim.SGD([tensor(p)], fused=True, foreach=True)),
    (ValueError, lambda p: p.optim.Adam([tensor(p)], lr=-1)),
    (ValueError, lambda p: p.optim.Adam([tensor(p)], eps=-1)),
    (ValueError, lambda p: p.optim.Adam([tensor(p)], betas=(1.0, 0.9))),
    (ValueError, lambda p: p.optim.Adam([tensor(p)], betas=(0.9, -1.0))),
    (ValueError, lambda p: p.optim.Adam([tensor(p)], betas=(0.9, p.tensor(0.9)))),
    (ValueError, lambda p: p.optim.Adam([tensor(p)], weight_decay=-1)),
    (ValueError, lambda p: p.optim.Adam([tensor(p)], lr=p.tensor(0.1), foreach=True)),
    (RuntimeError, lambda p: p.optim.Adam([tensor(p)], fused=True, foreach=True)),
    (ValueError, lambda p: p.optim.RMSprop([tensor(p)], lr=-1)),
    (ValueError, lambda p: p.optim.RMSprop([tensor(p)], eps=-1)),
    (ValueError, lambda p: p.optim.RMSprop([tensor(p)], alpha=-1)),
    (ValueError, lambda p: p.optim.RMSprop([tensor(p)], momentum=-1)),
    (ValueError, lambda p: p.optim.RMSprop([tensor(p)], weight_decay=-1)),
    (ValueError, lambda p: p.optim.Adagrad([tensor(p)], lr=-1)),
    (ValueError, lambda p: p.optim.Adagrad([tensor(p)], lr_decay=-1)),
    (ValueError, lambda p: p.optim.Adagrad([tensor(p)], weight_decay=-1)),
    (ValueError, lambda p: p.optim.Adagrad([tensor(p)], eps=-1)),
    (ValueError, lambda p: p.optim.Adagrad([tensor(p)], initial_accumulator_value=-1)),
]


@pytest.mark.parametrize(("error", "make"), REFUSED)
def test_refusals_are_pytorchs(error, make):
    messages = []
    for package in BOTH:
        with pytest.raises(error) as caught:
            make(package)
        messages.append(str(caught.value).replace("tinygrad_like.tensor.", "torch."))
    assert messages[0] == messages[1]


def test_groups_are_checked():
    for package in BOTH:
        w = tensor(package)
        optimizer = package.optim.SGD([w])
        with pytest.raises(ValueError, match="some parameters appear in more than one"):
            optimizer.add_param_group({"params": w})
        with pytest.raises(ValueError, match="cannot add param group with names to the optimizer"):
            optimizer.add_param_group({"params": [("a", tensor(package))]})
        with pytest.raises(TypeError, match="param_group must be a dict"):
            optimizer.add_param_group([w])
        assert len(optimizer.param_groups) == 1


def test_differentiable_steps_are_refused():
    with pytest.raises(NotImplementedError, match="SGD: differentiable=True is not supported"):
        ours.optim.SGD([tensor(ours)], differentiable=True)


def test_options_without_meaning_here_are_accepted():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for options in ({"foreach": True}, {"fused": True}, {"capturable": True}):
            w = tensor(ours)
            optimizer = ours.optim.Adam([w], **options)
            w.grad = ours.ones(2)
            optimizer.step()
            assert optimizer.state[w]["step"].item() == 1
