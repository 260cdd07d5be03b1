"""What changes a whole module at once, and how members are found and named, against PyTorch."""

import pytest

import tinygrad_like as tg
from tests.nn_parity import alike, outcome


def network(torch):
    """Return a module with a shared layer, buffers of both kinds, and gaps."""
    nn = torch.nn
    torch.manual_seed(0)
    net = nn.Module()
    net.first = nn.Linear(2, 3)
    net.again = net.first
    net.scale = nn.Parameter(torch.ones(2))
    net.register_buffer("lasting", torch.zeros(2))
    net.register_buffer("passing", torch.zeros(2, dtype=torch.int64), persistent=False)
    net.register_buffer("gap", None)
    net.register_parameter("none", None)
    net.inner = nn.Sequential(nn.Linear(1, 1), nn.ReLU())
    return net


def test_members_met_twice():
    def run(torch):
        net = network(torch)
        return [
            [name for name, _ in net.named_parameters(remove_duplicate=False)],
            [name for name, _ in net.named_parameters("x", recurse=False)],
            [name for name, _ in net.named_modules(remove_duplicate=False)],
            [name for name, _ in net.named_modules(prefix="x")],
            [name for name, _ in net.named_buffers(remove_duplicate=False)],
            [name for name, _ in net.named_children()],
            list(net.state_dict()),
        ]

    alike(run)


@pytest.mark.parametrize(
    "call",
    [
        lambda net, torch: net.to_empty(device="cpu"),
        lambda net, torch: net.to_empty(device=None, recurse=False),
        lambda net, torch: net.type(torch.float64),
        lambda net, torch: net.type("torch.HalfTensor"),
        lambda net, torch: net.to(torch.float64),
        lambda net, torch: net.to("cpu", torch.float16, True),
        lambda net, torch: net.to(torch.zeros(1, dtype=torch.float64)),
        lambda net, torch: net.to("cpu"),
        lambda net, torch: net.half().float(),
        lambda net, torch: net.double().cpu(),
        lambda net, torch: net.requires_grad_(False),
    ],
)
def test_conversions(call):
    def run(torch):
        net = network(torch)
        parameters = list(net.parameters())
        found = call(net, torch)
        same = zip(parameters, net.parameters(), strict=True)
        return [
            found is net,
            [a is b for a, b in same],
            [(str(p.dtype), list(p.shape), p.requires_grad, p.is_leaf) for p in parameters],
            [(name, str(b.dtype), list(b.shape)) for name, b in net.named_buffers()],
        ]

    alike(run)


def test_compiling_changes_nothing():
    net = network(tg)
    before = repr(net)
    assert net.compile(fullgraph=True, mode="max-autotune") is None
    assert repr(net) == before


def test_memory_is_not_shared_between_processes():
    with pytest.raises(RuntimeError, match="share_memory_"):
        network(tg).share_memory()


def test_places_of_modules_in_the_package():
    def run(torch):
        nn = torch.nn
        return [
            nn.modules.module.Module is nn.Module,
            nn.modules.linear.Linear is nn.Linear,
            nn.modules.transformer.Transformer is nn.Transformer,
            nn.parameter.Parameter is nn.Parameter,
            nn.parameter.is_lazy(nn.UninitializedParameter()),
            "Transformer" in dir(nn),
            {"Linear", "LazyLinear", "Parameter"} <= set(dir(nn)),
            outcome(lambda: nn.Nothing),
            outcome(lambda: nn.modules.Nothing),
        ]

    alike(run)


def test_every_layer_of_pytorch_is_there():
    import torch

    # For GPUs, for several processes, deprecated long ago, or not layers.
    left_out = {"DataParallel", "Container", "NLLLoss2d"}
    left_out |= {"LinearCrossEntropyLoss", "LinearCrossEntropyOptions"}
    theirs = {name for name in dir(torch.nn) if isinstance(getattr(torch.nn, name), type)}
    assert {name for name in theirs if not hasattr(tg.nn, name)} == left_out


def test_setting_a_module_at_a_dotted_name():
    def run(torch):
        nn, net = torch.nn, network(torch)
        calls = [
            lambda: net.set_submodule("inner.0", nn.Tanh()),
            lambda: net.set_submodule("inner.9", nn.Tanh(), strict=True),
            lambda: net.set_submodule("inner.9", nn.Tanh()),
            lambda: net.set_submodule("no.9", nn.Tanh()),
            lambda: net.set_submodule("scale", nn.Tanh()),
            lambda: net.set_submodule("inner.0", 3),
            lambda: net.set_submodule("", nn.Tanh()),
            lambda: net.set_submodule("inner..0", nn.Tanh()),
        ]
        return [*(outcome(call) for call in calls), repr(net)]

    alike(run)


def test_layers_imported_late_are_the_same_each_time():
    assert tg.nn.Transformer is tg.nn.modules.Transformer
    assert tg.nn.modules.transformer.Transformer is tg.nn.Transformer
    names: dict[str, object] = {}
    exec("from tinygrad_like.nn import *", names)
    assert names["LazyConv2d"] is tg.nn.LazyConv2d


def test_hooks_see_what_is_registered_and_may_replace_it():
    def run(torch):
        nn, seen = torch.nn, []
        module = nn.modules.module

        def note(kind, replacement=None):
            def hook(owner, name, value):
                seen.append((kind, type(owner).__name__, name, value is None))
                return replacement

            return hook

        handles = [
            module.register_module_parameter_registration_hook(note("parameter")),
            module.register_module_buffer_registration_hook(note("buffer")),
            module.register_module_module_registration_hook(note("module")),
        ]
        net = nn.Sequential(nn.BatchNorm1d(2, affine=False), nn.Linear(1, 2, bias=False))
        net.more = nn.Buffer(torch.ones(1))
        net.more = torch.zeros(1)
        net.more = None
        net.other = nn.ReLU()
        net.other = None
        swap = module.register_module_module_registration_hook(note("swapped", nn.Tanh()))
        net.other = nn.ReLU()
        net.add_module("third", nn.ReLU())
        for handle in (*handles, swap):
            handle.remove()
        net.last = nn.ReLU()
        return [seen, repr(net)]

    alike(run)


def test_a_prefix_is_taken_off_states():
    def run(torch):
        outer = torch.nn.Sequential()
        outer.module = torch.nn.Sequential(torch.nn.BatchNorm1d(2), torch.nn.Linear(2, 3))
        state = outer.state_dict()
        strip = torch.nn.modules.utils.consume_prefix_in_state_dict_if_present
        strip(state, "module.")
        results = [list(state), dict(state._metadata)]
        results += [repr(outer.module.load_state_dict(state))]
        plain = {"weight": 1, "module.bias": 2, "modules": 3}
        strip(plain, "module.")
        return [*results, plain]

    alike(run)
