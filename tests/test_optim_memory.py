"""Optimizers move only memory that nobody else sees, and notice whatever changes under them."""

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest

import tinygrad_like as ours
from tests.optimizers import BOTH, CONFIGURATIONS, Pair, torch, trained
from tinygrad_like.nn.optim import layout
from tinygrad_like.nn.optim.layout import PACK, SMALL, Block
from tinygrad_like.stamps import owner

# ----- Moving -------------------------------------------------------------------------------------


def moved(p):
    """Return True if a parameter lies side by side with others."""
    return type(p.array.base) is Block


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
    w = ours.ones(2 * SMALL, requires_grad=True)
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


@pytest.mark.parametrize("lend", [lend_view, lend_bytes, lend_to_torch])
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


@pytest.mark.filterwarnings("ignore::tinygrad_like.debug.TrapWarning")  # zero_grad is left out
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


@pytest.mark.filterwarnings("ignore::tinygrad_like.debug.TrapWarning")  # zero_grad is left out
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


def test_state_may_be_laid_out_in_another_order():
    results = []
    for package in BOTH:
        w = package.ones(128, 2 * SMALL // 128, requires_grad=True)
        optimizer = package.optim.SGD([w], lr=0.1, momentum=0.5)
        w.grad = package.ones_like(w)
        optimizer.step()
        optimizer.state[w]["momentum_buffer"] = package.arange(2.0 * SMALL).reshape(-1, 128).T
        for _ in range(3):
            optimizer.step()
        results += [w.detach().numpy(), optimizer.state[w]["momentum_buffer"].numpy()]
    np.testing.assert_allclose(results[0], results[2], rtol=1e-5)
    np.testing.assert_allclose(results[1], results[3], rtol=1e-5)


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


def test_state_of_large_parameters_stays_where_it_is_when_something_else_changes():
    w, v = ours.ones(2 * SMALL, requires_grad=True), ours.ones(1, requires_grad=True)
    optimizer = ours.optim.Adam([w, v])
    for _ in range(2):
        w.grad, v.grad = ours.ones_like(w), ours.ones(1)
        v.data = ours.ones(1)
        optimizer.step()
        addresses = {key: value.data_ptr() for key, value in optimizer.state[w].items()}
    former = addresses.pop("step")
    v.data = ours.ones(1)
    optimizer.step()
    assert optimizer.state[w]["step"].data_ptr() != former  # it was arranged anew
    assert all(optimizer.state[w][key].data_ptr() == value for key, value in addresses.items())


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


# ----- Writes -------------------------------------------------------------------------------------


def test_a_step_counts_as_a_write_into_what_it_changed_and_nothing_else():
    a, b = (ours.ones(3, requires_grad=True) for _ in range(2))
    optimizer = ours.optim.Adam([a, b])
    loss = (a * a).sum() + (b * b).sum()
    a.grad = ours.ones(3)
    optimizer.step()
    with pytest.raises(
        RuntimeError, match=r"modified by an inplace operation.*test_optim_memory\.py:\d+"
    ):
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
