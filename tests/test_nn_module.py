"""Parameters, and everything a module does apart from computing: rules and messages are PyTorch's."""

import copy
import gc
import pickle
import weakref
from collections import OrderedDict

import pytest

import tinygrad_like as tg
from tests.nn_parity import alike, kind, outcome, plain, pytorch
from tinygrad_like.nn.module import module_of, record_modules


def small(torch):
    """Return a module with a bit of everything, always with the same values."""
    nn = torch.nn

    class Small(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.tensor([2.0, 3.0]))
            self.register_buffer("offset", torch.tensor([1.0, -1.0]))
            self.register_buffer("scratch", torch.tensor([7.0]), persistent=False)
            self.register_buffer("missing", None)
            self.register_parameter("nothing", None)
            self.inner = nn.Sequential(nn.Identity(), nn.ReLU())
            self.again = self.inner
            self.table = nn.ModuleDict({"a": nn.Identity()})

        def forward(self, x):
            return self.inner(x * self.scale + self.offset)

    return Small()


# ----- Parameters ---------------------------------------------------------------------------------


def test_a_parameter_looks_and_behaves_like_pytorchs():
    def run(torch):
        p = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
        frozen = torch.nn.Parameter(torch.tensor([1, 2]), requires_grad=False)
        return [
            repr(p),
            repr(frozen),
            p.is_leaf,
            type(p * 2).__name__,
            type(p.detach()).__name__,
            type(p.data).__name__,
            isinstance(p, torch.Tensor),
            torch.nn.Parameter().shape == (0,),
            kind(lambda: torch.nn.Parameter(torch.tensor([1]))),
            kind(lambda: torch.nn.Parameter([1.0])),
        ]

    alike(run)


def test_a_parameter_shares_the_memory_of_its_data():
    data = tg.tensor([1.0, 2.0])
    p = tg.nn.Parameter(data)
    data[0] = 5.0
    assert p.tolist() == [5.0, 2.0]
    assert not data.requires_grad


def test_a_parameter_wants_gradients_even_where_they_are_off():
    with tg.no_grad():
        p = tg.nn.Parameter(tg.tensor([1.0]))
    assert p.requires_grad


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
def test_copies_of_parameters_are_independent_parameters(clone):
    p = tg.nn.Parameter(tg.tensor([1.0, 2.0]), requires_grad=True)
    (p * p).sum().backward()
    q = clone(p)
    assert type(q) is tg.nn.Parameter
    assert q.requires_grad
    assert q.grad is None
    assert q.tolist() == [1.0, 2.0]
    with tg.no_grad():
        q[0] = 9.0
    assert p.tolist() == [1.0, 2.0]


def test_a_parameter_shared_by_two_modules_is_still_shared_in_a_copy():
    net = tg.nn.Module()
    net.a = tg.nn.Module()
    net.b = tg.nn.Module()
    net.a.w = net.b.w = tg.nn.Parameter(tg.tensor([1.0]))
    clone = copy.deepcopy(net)
    assert clone.a.w is clone.b.w
    assert clone.a.w is not net.a.w


def test_buffers_register_themselves():
    def run(torch):
        m = torch.nn.Module()
        m.kept = torch.nn.Buffer(torch.tensor([1.0]))
        m.fleeting = torch.nn.Buffer(torch.tensor([2.0]), persistent=False)
        m.kept = torch.tensor([3.0])
        return [
            dict(m.named_buffers()),
            list(m.state_dict()),
            outcome(lambda: setattr(m, "kept", 3)),
            outcome(lambda: setattr(m, "training", torch.nn.Buffer(torch.tensor([1.0])))),
        ]

    alike(run)


# ----- Registering --------------------------------------------------------------------------------


def test_registration_rules_and_messages():
    def run(torch):
        nn = torch.nn
        m = small(torch)
        tensor, parameter = torch.tensor([1.0]), nn.Parameter(torch.tensor([1.0]))
        calls = [
            lambda: m.register_parameter("a.b", None),
            lambda: m.register_parameter("", None),
            lambda: m.register_parameter(3, None),
            lambda: m.register_parameter("training", None),
            lambda: m.register_parameter("p", tensor),
            lambda: m.register_parameter("p", parameter * 2),
            lambda: m.register_parameter("offset", parameter),
            lambda: m.register_buffer("a.b", None),
            lambda: m.register_buffer("", None),
            lambda: m.register_buffer(3, None),
            lambda: m.register_buffer("inner", None),
            lambda: m.register_buffer("b", 3),
            lambda: m.register_buffer("b", "text"),
            lambda: m.register_buffer("offset", tensor),
            lambda: m.add_module("a.b", None),
            lambda: m.add_module("", None),
            lambda: m.add_module(3, None),
            lambda: m.add_module("scale", None),
            lambda: m.add_module("m", tensor),
            lambda: m.register_module("m", nn.Identity()),
            lambda: setattr(m, "scale", tensor),
            lambda: setattr(m, "scale", nn.Identity()),
            lambda: setattr(m, "inner", tensor),
            lambda: setattr(m, "inner", 3),
            lambda: setattr(m, "offset", 3),
            lambda: setattr(m, "offset", nn.Identity()),
            lambda: setattr(m, "scale", None),
            lambda: setattr(m, "offset", None),
            lambda: setattr(m, "inner", None),
            lambda: m.absent,
            lambda: delattr(m, "absent"),
            lambda: setattr(m, "training", parameter),
            lambda: setattr(m, "again", parameter),
        ]
        return [
            *(outcome(call) for call in calls),
            list(m._parameters),
            list(m._buffers),
            list(m._modules),
        ]

    alike(run)


def test_nothing_can_be_registered_before_init():
    def run(torch):
        class Early(torch.nn.Module):
            def __init__(self, what):
                self.x = what

        parameter = torch.nn.Parameter(torch.tensor([1.0]))
        results = [
            outcome(lambda: Early(parameter)),
            outcome(lambda: Early(torch.nn.Identity())),
            outcome(lambda: Early(torch.nn.Buffer(torch.tensor([1.0])))),
        ]
        return [*results, Early(3).x]

    alike(run)


def test_init_takes_no_arguments():
    def run(torch):
        return [outcome(lambda: torch.nn.Module(1)), outcome(lambda: torch.nn.Module(size=1))]

    alike(run)


def test_forward_must_be_written():
    alike(lambda torch: outcome(lambda: torch.nn.Module()(1)))


def test_attributes_can_be_deleted():
    def run(torch):
        m = small(torch)
        for name in ("scale", "offset", "scratch", "inner", "training"):
            delattr(m, name)
        return [list(m._parameters), list(m._buffers), list(m._modules), m.state_dict()]

    alike(run)


def test_dir_lists_what_is_registered():
    def run(torch):
        m = small(torch)
        sequence = torch.nn.Sequential(torch.nn.Identity())
        return [
            {"scale", "offset", "inner", "training", "forward"} <= set(dir(m)),
            "0" in dir(sequence),
        ]

    alike(run)


# ----- Looking around -----------------------------------------------------------------------------


def test_names_come_in_pytorchs_order():
    def run(torch):
        m = small(torch)
        m.tied = torch.nn.Module()
        m.tied.scale = m.scale

        def names(pairs):
            return [name for name, _ in pairs]

        return [
            names(m.named_parameters()),
            names(m.named_parameters(prefix="net", remove_duplicate=False)),
            names(m.named_parameters(recurse=False)),
            names(m.named_buffers()),
            names(m.named_buffers(prefix="net", recurse=False)),
            names(m.named_modules()),
            names(m.named_modules(prefix="net", remove_duplicate=False)),
            names(m.named_children()),
            len(list(m.modules())),
            len(list(m.children())),
            len(list(m.parameters())),
            len(list(m.buffers())),
        ]

    alike(run)


def test_members_are_found_by_dotted_names():
    def run(torch):
        m = small(torch)
        calls = [
            lambda: m.get_submodule(""),
            lambda: m.get_submodule("inner.1"),
            lambda: m.get_submodule("inner.7"),
            lambda: m.get_submodule("scale"),
            lambda: m.get_parameter("scale"),
            lambda: m.get_parameter("absent"),
            lambda: m.get_parameter("offset"),
            lambda: m.get_buffer("offset"),
            lambda: m.get_buffer("inner.absent"),
            lambda: m.get_buffer("scale"),
            lambda: m.set_submodule("inner.1", torch.nn.Tanh()),
            lambda: m.set_submodule("table.b", torch.nn.Tanh()),
            lambda: m.set_submodule("table.c", torch.nn.Tanh(), strict=True),
            lambda: m.set_submodule("", torch.nn.Tanh()),
            lambda: m.set_submodule("scale", torch.nn.Tanh()),
            lambda: m.set_submodule("x.y", torch.nn.Tanh()),
            lambda: m.inner,
            lambda: m.table,
        ]
        return [outcome(call) for call in calls]

    alike(run)


def test_repr_is_pytorchs():
    def run(torch):
        nn = torch.nn

        class Extra(nn.Module):
            def __init__(self, text):
                super().__init__()
                self.text = text
                self.inner = nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Sequential(nn.Tanh())])

            def extra_repr(self):
                return self.text

        leaf = Extra("two\nlines")
        del leaf.inner
        return [repr(m) for m in (small(torch), Extra(""), Extra("one"), leaf, nn.Module())]

    alike(run)


# ----- Changing all at once -----------------------------------------------------------------------


def test_apply_visits_children_first():
    def run(torch):
        seen = []
        m = small(torch)
        same = m.apply(lambda module: seen.append(type(module).__name__)) is m
        return [seen, same]

    alike(run)


def test_train_and_eval_reach_every_module():
    def run(torch):
        m = small(torch)
        m.eval()
        off = [module.training for module in m.modules()]
        m.inner.train()
        return [off, [module.training for module in m.modules()], outcome(lambda: m.train(1))]

    alike(run)


def test_requires_grad_and_zero_grad():
    def run(torch):
        m = small(torch)
        m(torch.ones(2)).sum().backward()
        gradients = [m.scale.grad]
        m.zero_grad(set_to_none=False)
        gradients.append(m.scale.grad)
        m.zero_grad()
        gradients.append(m.scale.grad)
        m.requires_grad_(False)
        return [gradients, m.scale.requires_grad]

    alike(run)


@pytest.mark.parametrize(
    "convert",
    [
        lambda torch, m: m.double(),
        lambda torch, m: m.half(),
        lambda torch, m: m.double().float(),
        lambda torch, m: m.to(torch.float64),
        lambda torch, m: m.to("cpu", torch.float64),
        lambda torch, m: m.to(torch.device("cpu")),
        lambda torch, m: m.to(torch.zeros(1, dtype=torch.float64)),
        lambda torch, m: m.to(dtype=torch.float16, non_blocking=True),
        lambda torch, m: m.type(torch.float64),
        lambda torch, m: m.cpu(),
    ],
)
def test_conversions_keep_parameters_and_convert_gradients(convert):
    def run(torch):
        m = small(torch)
        m.register_buffer("count", torch.tensor(3))
        m(torch.ones(2)).sum().backward()
        p = m.scale
        same = convert(torch, m) is m
        return [
            same,
            m.scale is p,
            str(p.dtype),
            str(p.grad.dtype),
            p.grad.tolist(),
            p.requires_grad,
            str(m.offset.dtype),
            str(m.count.dtype),
            str((p * 2).dtype),
        ]

    alike(run)


def test_a_converted_module_trains_on():
    def run(torch):
        m = small(torch).double()
        m(torch.ones(2, dtype=torch.float64)).sum().backward()
        return [m.scale.grad]

    alike(run)


def test_conversions_that_make_no_sense_are_refused():
    def run(torch):
        return [outcome(lambda: small(torch).to(torch.int64))]

    alike(run)
    with pytest.raises(RuntimeError, match="expected 'cpu'"):
        small(tg).cuda()
    with pytest.raises(RuntimeError, match="expected 'cpu'"):
        small(tg).to("cuda:0")


# ----- State --------------------------------------------------------------------------------------


def test_state_dict_has_pytorchs_keys_and_metadata():
    def run(torch):
        m = torch.nn.Sequential(small(torch), torch.nn.Identity())
        state = m.state_dict()
        return [
            state,
            list(state),
            isinstance(state, OrderedDict),
            dict(state._metadata),
            m.state_dict(prefix="net."),
            m.state_dict(keep_vars=True)["0.scale"] is m[0].scale,
            state["0.scale"].requires_grad,
        ]

    alike(run)


def test_state_dict_shares_memory():
    m = small(tg)
    state = m.state_dict()
    state["scale"][0] = 10.0
    assert m.scale.tolist() == [10.0, 3.0]


def test_state_dict_fills_a_given_dictionary():
    def run(torch):
        destination = {"before": 1}
        same = small(torch).state_dict(destination=destination) is destination
        return [same, list(destination)]

    alike(run)


def test_state_can_be_loaded():
    def run(torch):
        source, target = small(torch), small(torch)
        with torch.no_grad():
            source.scale.fill_(5.0)
            source.offset.fill_(6.0)
        p = target.scale
        loaded = target.load_state_dict(source.state_dict())
        return [repr(loaded), target.scale is p, target.state_dict(), target.scale.requires_grad]

    alike(run)


@pytest.mark.parametrize("assign", [False, True])
def test_pytorchs_state_can_be_loaded(assign):
    net, theirs = (t.nn.Sequential(t.nn.Linear(2, 3), t.nn.BatchNorm1d(3)) for t in (tg, pytorch))
    theirs(pytorch.randn(5, 2))
    assert not any(net.load_state_dict(theirs.state_dict(), assign=assign))
    assert plain(net.state_dict()) == plain(theirs.state_dict())
    assert all(isinstance(p, tg.nn.Parameter) and p.requires_grad for p in net.parameters())


def test_messages_about_states_that_do_not_fit():
    def run(torch):
        t = torch.tensor
        m = small(torch)
        states = [
            {},
            {"scale": t([1.0, 2.0])},
            {"scale": t([1.0, 2.0]), "offset": t([1.0, 2.0]), "more": t([1.0])},
            {"scale": t([1.0]), "offset": t([1.0, 2.0])},
            {"scale": t([1.0]), "inner.0.weight": t([1.0]), "x.y": t([1.0])},
            {"scale": 3, "offset": t([1.0, 2.0])},
            {"scale": [1.0, 2.0], "offset": t([1.0, 2.0])},
            {"scratch": t([1.0]), "missing": t([1.0])},
            [("scale", t([1.0, 2.0]))],
            3,
        ]
        results = [outcome(lambda: m.load_state_dict(state)) for state in states]
        loose = [outcome(lambda: repr(m.load_state_dict(s, strict=False))) for s in states[:8]]
        return [results, loose, m.state_dict()]

    alike(run)


def test_what_fits_is_loaded_even_if_something_else_does_not():
    def run(torch):
        m = small(torch)
        state = {"scale": torch.tensor([8.0, 9.0]), "offset": torch.tensor([1.0])}
        return [kind(lambda: m.load_state_dict(state)), m.scale, m.offset]

    alike(run)


def test_loading_converts_and_reads_single_elements_as_scalars():
    def run(torch):
        m = torch.nn.Module()
        m.w = torch.nn.Parameter(torch.tensor(1.0))
        m.load_state_dict({"w": torch.tensor([4.0], dtype=torch.float64)})
        return [m.w, str(m.w.dtype)]

    alike(run)


def test_loading_by_assignment():
    def run(torch):
        m = small(torch)
        m.scale.requires_grad_(False)
        state = {
            "scale": torch.tensor([1.0, 2.0], dtype=torch.float64),
            "offset": torch.tensor([1, 2]),
        }
        m.load_state_dict(state, assign=True)
        return [
            type(m.scale).__name__,
            str(m.scale.dtype),
            m.scale.requires_grad,
            m.offset is state["offset"],
        ]

    alike(run)


def test_extra_state_travels_along():
    def run(torch):
        class Counting(torch.nn.Module):
            count = 0

            def get_extra_state(self):
                return {"count": self.count}

            def set_extra_state(self, state):
                self.count = state["count"]

        outer = torch.nn.Sequential(Counting())
        outer[0].count = 7
        state = outer.state_dict()
        other = torch.nn.Sequential(Counting())
        other.load_state_dict(state)
        return [
            list(state),
            other[0].count,
            outcome(lambda: other.load_state_dict({})),
            outcome(lambda: torch.nn.Sequential(torch.nn.Identity()).load_state_dict(state)),
            kind(lambda: torch.nn.Identity().get_extra_state()),
            kind(lambda: torch.nn.Identity().set_extra_state(1)),
        ]

    alike(run)


def test_state_hooks_are_called_in_pytorchs_order():
    def run(torch):
        calls = []
        m = small(torch)
        m.register_state_dict_pre_hook(lambda mod, prefix, keep: calls.append(("pre", prefix)))
        m.register_state_dict_post_hook(
            lambda mod, state, prefix, meta: calls.append(("post", prefix, list(state), meta))
        )
        m._register_state_dict_hook(lambda mod, state, prefix, meta: {"only": 1})
        m.register_load_state_dict_pre_hook(
            lambda mod, state, prefix, *rest: state.update({prefix + "offset": state["renamed"]})
        )
        m._register_load_state_dict_pre_hook(lambda state, prefix, *rest: state.pop("renamed"))
        handle = m.register_load_state_dict_post_hook(
            lambda mod, keys: keys.missing_keys.remove("scale")
        )
        state = m.state_dict()
        loaded = m.load_state_dict({"renamed": torch.tensor([4.0, 4.0])})
        handle.remove()
        failed = kind(lambda: m.load_state_dict({"renamed": torch.tensor([4.0, 4.0])}))
        return [calls, state, repr(loaded), m.offset, failed]

    alike(run)


def test_hooks_may_not_return_what_would_be_ignored():
    def run(torch):
        m = small(torch)
        m.register_state_dict_post_hook(lambda *args: {})
        n = small(torch)
        n.register_load_state_dict_post_hook(lambda *args: 1)
        return [outcome(m.state_dict), kind(lambda: n.load_state_dict(n.state_dict()))]

    alike(run)


def test_positional_arguments_of_state_dict_are_deprecated():
    m = small(tg)
    with pytest.warns(FutureWarning, match="Positional args"):
        state = m.state_dict({}, "net.")
    assert list(state) == ["net.scale", "net.offset"]


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_modules_can_be_copied_and_pickled(clone):
    m = tg.nn.Sequential(tg.nn.Linear(3, 2), tg.nn.ReLU())
    m[0].register_forward_hook(_double)
    n = clone(m)
    x = tg.ones(1, 3)
    assert n(x).tolist() == m(x).tolist()
    with tg.no_grad():
        n[0].weight.fill_(0.0)
    assert m[0].weight.tolist() != n[0].weight.tolist()


def _double(module, args, output):
    return output * 2


def test_states_saved_by_pickle_are_plain_dictionaries():
    state = tg.nn.Linear(2, 1).state_dict()
    copied = pickle.loads(pickle.dumps(state))
    assert type(copied) is OrderedDict
    assert copied._metadata == state._metadata
    assert copied["weight"].tolist() == state["weight"].tolist()


# ----- Hooks --------------------------------------------------------------------------------------


def test_forward_hooks_see_and_change_what_pytorchs_do():
    def run(torch):
        calls = []

        class Scaled(torch.nn.Module):
            def forward(self, x, factor=1.0):
                calls.append("forward")
                return x * factor

        m = Scaled()
        m.register_forward_pre_hook(lambda mod, args: calls.append("pre 1"))
        m.register_forward_pre_hook(lambda mod, args: (args[0] + 1,))
        m.register_forward_pre_hook(
            lambda mod, args, kwargs: (args, {**kwargs, "factor": 3.0}), with_kwargs=True
        )
        m.register_forward_pre_hook(lambda mod, args: calls.append("pre 0"), prepend=True)
        m.register_forward_pre_hook(lambda mod, args: args[0] * 2)
        m.register_forward_hook(lambda mod, args, out: calls.append(("post 1", out)))
        m.register_forward_hook(
            lambda mod, args, kwargs, out: calls.append(("post 2", kwargs)), with_kwargs=True
        )
        m.register_forward_hook(lambda mod, args, out: out * 10)
        m.register_forward_hook(lambda mod, args, out: calls.append("post 0"), prepend=True)
        return [m(torch.ones(2), factor=2.0), calls]

    alike(run)


def test_hooks_that_must_be_called_are_called_though_forward_raises():
    def run(torch):
        calls = []

        class Failing(torch.nn.Module):
            def forward(self, x):
                raise ValueError("no")

        m = Failing()
        m.register_forward_hook(
            lambda mod, args, out: calls.append(("always", out)), always_call=True
        )
        m.register_forward_hook(lambda mod, args, out: calls.append("never"))
        return [outcome(lambda: m(torch.ones(1))), calls]

    alike(run)


def test_an_error_in_a_hook_called_after_an_error_is_a_warning():
    class Failing(tg.nn.Module):
        def forward(self, x):
            raise ValueError("first")

    def hook(*args):
        raise KeyError("second")

    m = Failing()
    m.register_forward_hook(hook, always_call=True)
    with pytest.warns(UserWarning, match="second"), pytest.raises(ValueError, match="first"):
        m(1)


def test_a_pre_hook_with_kwargs_must_return_both():
    def run(torch):
        m = torch.nn.Identity()
        m.register_forward_pre_hook(lambda mod, args, kwargs: 3, with_kwargs=True)
        return outcome(lambda: m(1))

    alike(run)


def test_removed_hooks_are_gone_and_calls_plain_again():
    m = tg.nn.Identity()
    handles = [
        m.register_forward_hook(lambda *args: 1, with_kwargs=True, always_call=True),
        m.register_forward_pre_hook(lambda *args: 1),
        m.register_full_backward_hook(lambda *args: None),
        m.register_full_backward_pre_hook(lambda *args: None),
    ]
    for handle in handles:
        handle.remove()
        handle.remove()
    assert m(5) == 5
    assert not m._hooked
    assert not m._hooks_with_kwargs
    with m.register_forward_hook(lambda *args: 1):
        assert m(5) == 1
    assert m(5) == 5


def test_hooks_of_all_modules_come_first():
    def run(torch):
        from importlib import import_module

        name = "torch.nn.modules.module" if torch is pytorch else "tinygrad_like.nn.module"
        module = import_module(name)
        calls = []
        net = torch.nn.Sequential(torch.nn.ReLU())
        net[0].register_forward_hook(lambda *args: calls.append("own"))
        handles = [
            module.register_module_forward_pre_hook(
                lambda m, args: calls.append(("pre", type(m).__name__))
            ),
            module.register_module_forward_hook(
                lambda m, args, out: calls.append(("post", type(m).__name__))
            ),
            module.register_module_full_backward_hook(
                lambda m, into, out: calls.append(("backward", type(m).__name__))
            ),
            module.register_module_full_backward_pre_hook(
                lambda m, out: calls.append(("backward pre", type(m).__name__))
            ),
        ]
        x = torch.ones(2, requires_grad=True)
        net(x).sum().backward()
        for handle in handles:
            handle.remove()
        count = len(calls)
        net(x).sum().backward()
        return [calls[:count], calls[count:]]

    alike(run)


def backward_hook_calls(torch, net, x, order=1):
    calls = []
    for name, module in net.named_modules():
        module.register_full_backward_pre_hook(
            lambda m, out, name=name: calls.append(("pre", name, out))
        )
        module.register_full_backward_hook(
            lambda m, into, out, name=name: calls.append(("hook", name, into, out))
        )
    out = net(x)
    out.sum().backward(create_graph=order > 1)
    return [calls, x.grad]


def test_full_backward_hooks_see_pytorchs_gradients():
    def run(torch):
        x = torch.tensor([1.0, -2.0], requires_grad=True)
        return backward_hook_calls(torch, small(torch), x)

    alike(run)


def test_full_backward_hooks_with_several_arguments_and_results():
    def run(torch):
        class Mixing(torch.nn.Module):
            def forward(self, x, label, y, z):
                return x * y, label, y + z

        m = Mixing()
        calls = []
        m.register_full_backward_hook(lambda mod, into, out: calls.append((into, out)))
        x = torch.tensor([1.0, 2.0], requires_grad=True)
        y = torch.tensor([3.0, 4.0], requires_grad=True)
        z = torch.tensor([5.0, 6.0])
        first, label, second = m(x, "label", y, z)
        (first * 2).sum().backward(retain_graph=True)
        (first.sum() + 3 * second.sum()).backward()
        return [calls, label, x.grad, y.grad]

    alike(run)


def test_backward_hooks_can_replace_gradients():
    def run(torch):
        m = torch.nn.ReLU()
        m.register_full_backward_pre_hook(lambda mod, out: (out[0] * 5,))
        m.register_full_backward_hook(lambda mod, into, out: (into[0] + out[0],))
        m.register_full_backward_hook(lambda mod, into, out: (into[0] * 10,), prepend=True)
        x = torch.tensor([1.0, -2.0], requires_grad=True)
        m(x).sum().backward()
        return [x.grad]

    alike(run)


@pytest.mark.parametrize("result", [(), (None, None)])
def test_backward_hooks_must_return_as_many_gradients(result):
    def run(torch):
        results = []
        for register in ("register_full_backward_hook", "register_full_backward_pre_hook"):
            m = torch.nn.ReLU()
            getattr(m, register)(lambda *args: result)
            x = torch.tensor([1.0], requires_grad=True)
            results.append(outcome(lambda: m(x).backward()))
        return results

    alike(run)


def test_a_backward_hook_without_gradients_for_inputs_warns():
    def run(torch):
        calls = []
        m = small(torch)
        m.register_full_backward_hook(lambda mod, into, out: calls.append((into, out)))
        with pytest.warns(UserWarning, match="no inputs require gradients"):
            m(torch.ones(2)).sum().backward()
        return [calls, m.scale.grad]

    alike(run)


def test_backward_hooks_are_part_of_a_recorded_backward():
    def run(torch):
        m = torch.nn.Tanh()
        m.register_full_backward_hook(lambda mod, into, out: (into[0] * 2,))
        x = torch.tensor([0.5, -1.0], requires_grad=True)
        (g,) = torch.autograd.grad(m(x).sum(), x, create_graph=True)
        (h,) = torch.autograd.grad(g.sum(), x)
        return [[round(v, 5) for v in t.detach().tolist()] for t in (g, h)]

    alike(run)


def test_backward_hooks_refuse_in_place_writes_around_them():
    def run(torch):
        class Writing(torch.nn.Module):
            def forward(self, x):
                x += 1
                return x

        m = Writing()
        m.register_full_backward_hook(lambda mod, into, out: None)
        x = torch.ones(2, requires_grad=True)
        return [kind(lambda: m(x * 2))]

    alike(run)


def test_backward_hooks_want_tensors_for_results():
    m = tg.nn.Identity()
    m.register_full_backward_hook(lambda *args: None)
    with pytest.warns(UserWarning, match="module output should be a Tensor"):
        assert m({"a": 1}) == {"a": 1}


def test_backward_hooks_leave_no_cycles():
    m = tg.nn.ReLU()
    m.register_full_backward_hook(lambda *args: None)
    x = tg.ones(2, requires_grad=True)
    gc.collect()
    gc.disable()
    try:
        out = m(x).sum()
        out.backward()
        node = weakref.ref(out.node)
        del out
        assert node() is None
    finally:
        gc.enable()


def test_nothing_is_gated_without_gradients():
    m = tg.nn.Identity()
    m.register_full_backward_hook(lambda *args: None)
    x = tg.ones(2)
    assert m(x) is x
    y = tg.ones(2, requires_grad=True)
    with tg.no_grad():
        assert m(y) is y


# ----- Which module recorded a node ---------------------------------------------------------------


def test_nodes_are_traced_to_their_innermost_module():
    net = tg.nn.Sequential(tg.nn.Linear(2, 3), tg.nn.Sequential(tg.nn.Tanh()))
    x = tg.ones(1, 2)
    with record_modules() as scopes:
        y = net(x)
        outside = y * 2
    assert module_of(scopes, y.grad_fn.tick) is net[1][0]
    linear = y.grad_fn.next_functions[0][0]
    assert module_of(scopes, linear.tick) is net[0]
    assert module_of(scopes, outside.grad_fn.tick) is None
    assert scopes[-1].module is net
    assert not net._hooked
    count = len(scopes)
    net(x)
    assert len(scopes) == count


def test_recorders_can_be_nested_and_survive_errors():
    class Failing(tg.nn.Module):
        def forward(self, x):
            raise ValueError("no")

    with record_modules() as outer:
        with record_modules() as inner:
            tg.nn.Identity()(1)
        tg.nn.Identity()(1)
        with pytest.raises(ValueError, match="no"):
            Failing()(1)
    assert (len(outer), len(inner)) == (2, 1)
    assert not tg.nn.Identity()._hooked


def test_other_threads_are_not_recorded():
    import threading

    with record_modules() as scopes:
        thread = threading.Thread(target=lambda: tg.nn.Identity()(1))
        thread.start()
        thread.join()
    assert scopes == []


def test_plain_reads_both_packages_alike():
    assert plain(tg.ones(1)) == plain(pytorch.ones(1))


# ----- What is registered is an attribute too -----------------------------------------------------


def _with_all_kinds():
    net = tg.nn.Module()
    net.weight = tg.nn.Parameter(tg.ones(2))
    net.register_buffer("mean", tg.zeros(2))
    net.inner = tg.nn.Linear(2, 2)
    return net


def _attributes_follow(net):
    for own in ("_parameters", "_buffers", "_modules"):
        for name, value in getattr(net, own).items():
            assert getattr(net, name) is value
            assert net.__dict__[name] is value


def test_attributes_follow_the_dictionaries_of_a_module():
    net = _with_all_kinds()
    _attributes_follow(net)
    other = tg.nn.Parameter(tg.zeros(3))
    net._parameters["weight"] = other
    assert net.weight is other
    net._parameters.update(bias=other)
    assert net.bias is other
    assert net._parameters.pop("bias") is other
    assert not hasattr(net, "bias")
    assert net._parameters.pop("bias", None) is None
    with pytest.raises(KeyError):
        net._parameters.pop("bias")
    net._parameters |= {"bias": other}
    assert net.bias is other
    assert net._parameters.popitem() == ("bias", other)
    assert net._buffers.setdefault("mean", None) is net.mean
    assert net._buffers.setdefault("new", None) is net.new is None
    del net._buffers["new"]
    assert not hasattr(net, "new")
    net._modules.clear()
    assert not hasattr(net, "inner")
    net._modules = {"a": tg.nn.ReLU()}
    assert isinstance(net.a, tg.nn.ReLU)
    net._modules = {"b": net.a}
    assert not hasattr(net, "a")
    del net.weight
    assert not hasattr(net, "weight")
    _attributes_follow(net)


def test_copies_of_a_module_have_dictionaries_of_their_own():
    net = _with_all_kinds()
    for made in (copy.copy(net), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        _attributes_follow(made)
        former = net.weight
        made.weight = tg.nn.Parameter(tg.zeros(5))
        assert made.weight.shape == (5,)
        assert net.weight is former
        _attributes_follow(made)


def test_a_second_init_forgets_what_was_registered():
    net = _with_all_kinds()
    tg.nn.Module.__init__(net)
    for name in ("weight", "mean", "inner"):
        assert not hasattr(net, name)
    assert list(net.parameters()) == []


def test_a_module_dies_with_its_last_reference():
    gc.disable()
    try:
        net = _with_all_kinds()
        alive = weakref.ref(net)
        del net
        assert alive() is None
    finally:
        gc.enable()
