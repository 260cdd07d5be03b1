"""Parametrized tensors, normalized weights, pruning and fusion, each beside PyTorch's."""

import builtins
import copy
import importlib
import pickle
import warnings

import numpy as np
import pytest

import tinygrad_like as tg
from tests.nn_parity import alike, close, kind, outcome, plain, pytorch

importlib.import_module("torch.nn.utils.prune")
BOTH = [tg, pytorch]
pytestmark = pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")


def copied(value):
    """Return a tensor of PyTorch, with the values of one of this package."""
    return pytorch.tensor(value.detach().numpy())


def twins(make, seed=0):
    """Return what ``make(torch)`` makes with either package, the states of both the same."""
    tg.manual_seed(seed)
    pytorch.manual_seed(seed)
    mine, theirs = make(tg), make(pytorch)
    assert list(mine.state_dict()) == list(theirs.state_dict())
    for key, value in mine.state_dict().items():
        close(value, theirs.state_dict()[key], 1e-5)
    theirs.load_state_dict({key: copied(value) for key, value in mine.state_dict().items()})
    return mine, theirs


def check_training(mine, theirs, shape, steps=3, rtol=1e-5):
    """Assert that both do the same for a few steps of training, and then in evaluation."""
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    for _ in range(steps):
        for torch, net in zip(BOTH, (mine, theirs), strict=True):
            net.zero_grad()
            net(torch.tensor(x)).square().sum().backward()
            for p in net.parameters():
                with torch.no_grad():
                    p -= 0.01 * p.grad
        named = dict(theirs.named_parameters())
        assert [name for name, _ in mine.named_parameters()] == list(named)
        for name, parameter in mine.named_parameters():
            close(parameter.grad, named[name].grad, 1e-4)
        for key, value in mine.state_dict().items():
            close(value, theirs.state_dict()[key], rtol)
    close(mine.eval()(tg.tensor(x)), theirs.eval()(pytorch.tensor(x)), 1e-4)


def normalized(kind, layer, **options):
    return lambda torch: getattr(torch.nn.utils.parametrizations, kind)(layer(torch), **options)


LINEAR = (lambda torch: torch.nn.Linear(4, 6), (3, 4))
CONV = (lambda torch: torch.nn.Conv2d(2, 3, 3), (2, 2, 5, 5))
TRANSPOSED = (lambda torch: torch.nn.ConvTranspose1d(2, 3, 2), (2, 2, 5))
SQUARE = (lambda torch: torch.nn.Linear(4, 4), (3, 4))
WIDE = (lambda torch: torch.nn.Linear(6, 4), (3, 6))


@pytest.mark.parametrize(
    ("kind", "layer", "options"),
    [
        ("weight_norm", LINEAR, {}),
        ("weight_norm", LINEAR, {"dim": 1}),
        ("weight_norm", LINEAR, {"dim": None}),
        ("weight_norm", LINEAR, {"name": "bias"}),
        ("weight_norm", CONV, {}),
        ("weight_norm", CONV, {"dim": 1}),
        ("weight_norm", TRANSPOSED, {}),
        ("spectral_norm", LINEAR, {}),
        ("spectral_norm", LINEAR, {"n_power_iterations": 3, "eps": 1e-6}),
        ("spectral_norm", LINEAR, {"name": "bias"}),
        ("spectral_norm", CONV, {}),
        ("spectral_norm", CONV, {"dim": 1}),
        ("spectral_norm", TRANSPOSED, {}),
        ("orthogonal", SQUARE, {}),
        ("orthogonal", SQUARE, {"orthogonal_map": "cayley"}),
        ("orthogonal", SQUARE, {"orthogonal_map": "householder"}),
        ("orthogonal", LINEAR, {}),
        ("orthogonal", LINEAR, {"orthogonal_map": "cayley"}),
        ("orthogonal", LINEAR, {"orthogonal_map": "matrix_exp"}),
        ("orthogonal", WIDE, {}),
        ("orthogonal", WIDE, {"orthogonal_map": "matrix_exp"}),
        ("orthogonal", SQUARE, {"use_trivialization": False}),
        ("orthogonal", LINEAR, {"use_trivialization": False}),
        ("orthogonal", WIDE, {"use_trivialization": False}),
        ("orthogonal", WIDE, {"use_trivialization": False, "orthogonal_map": "cayley"}),
    ],
)
def test_parametrizations(kind, layer, options):
    make, shape = layer
    mine, theirs = twins(normalized(kind, make, **options))
    assert repr(mine) == repr(theirs)
    check_training(mine, theirs, shape)


@pytest.mark.parametrize("kind", ["weight_norm", "spectral_norm"])
@pytest.mark.parametrize("layer", [LINEAR, CONV, TRANSPOSED])
def test_hooks(kind, layer):
    make, shape = layer
    mine, theirs = twins(lambda torch: getattr(torch.nn.utils, kind)(make(torch)))
    assert plain(mine.state_dict()._metadata) == plain(theirs.state_dict()._metadata)
    check_training(mine, theirs, shape)
    remove = f"remove_{kind}"
    for torch, net in zip(BOTH, (mine, theirs), strict=True):
        getattr(torch.nn.utils, remove)(net)
    assert list(mine.state_dict()) == list(theirs.state_dict())
    close(mine.weight, theirs.weight, 1e-5)
    assert not mine._state_dict_hooks
    assert not mine._forward_pre_hooks
    assert outcome(lambda: getattr(tg.nn.utils, remove)(mine)) == outcome(
        lambda: getattr(pytorch.nn.utils, remove)(theirs)
    )


def test_a_normalized_weight_is_normalized_once():
    def again(torch, kind):
        layer = getattr(torch.nn.utils, kind)(torch.nn.Linear(2, 2))
        return outcome(lambda: getattr(torch.nn.utils, kind)(layer))

    alike(lambda torch: [again(torch, "weight_norm"), again(torch, "spectral_norm")])


def test_the_state_of_the_older_weight_norm_can_be_loaded():
    old = tg.nn.utils.weight_norm(tg.nn.Linear(3, 2))
    new = tg.nn.utils.parametrizations.weight_norm(tg.nn.Linear(3, 2))
    new.load_state_dict(old.state_dict())
    assert tg.equal(new.weight, old.weight)


def symmetric(torch):
    class Symmetric(torch.nn.Module):
        def forward(self, x):
            return x.triu() + x.triu(1).T

        def right_inverse(self, x):
            return x.triu()

    return Symmetric()


def rank_one(torch):
    class RankOne(torch.nn.Module):
        def forward(self, x, y):
            return x.unsqueeze(-1) @ y.unsqueeze(-2)

        def right_inverse(self, z):
            return z[:, 0], z[0]

    return RankOne()


def doubled(torch):
    class Double(torch.nn.Module):
        def forward(self, x):
            return 2 * x

    return Double()


def whole(torch):
    class Whole(torch.nn.Module):
        def forward(self, x):
            return x.int()

    return Whole()


def layer(torch):
    made = torch.nn.Linear(3, 3)
    with torch.no_grad():
        made.weight.copy_(torch.arange(9.0).reshape(3, 3))
        made.bias.fill_(0.5)
    return made


def test_registering_and_removing():
    def run(torch):
        p = torch.nn.utils.parametrize
        net = layer(torch)
        weight = net.weight
        found = []
        p.register_parametrization(net, "weight", symmetric(torch))
        found += [net.weight, list(net.state_dict()), repr(net), p.is_parametrized(net)]
        found += [p.is_parametrized(net, "bias"), p.type_before_parametrizations(net).__name__]
        p.register_parametrization(net, "weight", doubled(torch))
        p.register_parametrization(net, "bias", doubled(torch))
        found += [net.weight, net.bias, len(net.parametrizations.weight)]
        with p.cached():
            found += [net.weight is net.weight]
            with p.cached():
                pass
            found += [net.weight is net.weight]
        found += [net.weight is net.weight]
        p.remove_parametrizations(net, "bias", leave_parametrized=False)
        found += [net.bias, type(net).__name__]
        p.remove_parametrizations(net, "weight")
        found += [net.weight, net.weight is weight, type(net) is torch.nn.Linear]
        found += [list(net.state_dict()), hasattr(net, "parametrizations")]
        p.register_parametrization(net, "weight", rank_one(torch))
        found += [list(net.state_dict()), net.weight]
        net.weight = torch.ones(3, 3)
        found += [net.weight, net.parametrizations.weight.original0]
        found += [outcome(lambda: p.remove_parametrizations(net, "weight", False))]
        p.remove_parametrizations(net, "weight")
        found += [net.weight.requires_grad, type(net.weight).__name__]
        return found

    alike(run)


@pytest.mark.parametrize(
    "call",
    [
        lambda torch, p: p.register_parametrization(layer(torch), "bias", symmetric(torch)),
        lambda torch, p: p.register_parametrization(layer(torch), "nothing", doubled(torch)),
        lambda torch, p: p.register_parametrization(layer(torch), "in_features", doubled(torch)),
        lambda torch, p: p.register_parametrization(layer(torch), "weight", whole(torch)),
        lambda torch, p: p.register_parametrization(
            p.register_parametrization(layer(torch), "weight", doubled(torch)),
            "weight",
            whole(torch),
        ),
        lambda torch, p: p.remove_parametrizations(layer(torch), "weight"),
        lambda torch, p: p.ParametrizationList([], torch.ones(2)),
        lambda torch, p: setattr(
            p.register_parametrization(layer(torch), "weight", doubled(torch)),
            "weight",
            torch.ones(3, 3),
        ),
        lambda torch, p: pickle.dumps(
            p.register_parametrization(layer(torch), "weight", doubled(torch))
        ),
        lambda torch, p: torch.nn.utils.parametrizations.orthogonal(layer(torch), "bias"),
        lambda torch, p: torch.nn.utils.parametrizations.orthogonal(layer(torch), "nothing"),
        lambda torch, p: torch.nn.utils.parametrizations.orthogonal(
            layer(torch), orthogonal_map="polar"
        ),
        lambda torch, p: torch.nn.utils.parametrizations.spectral_norm(layer(torch), "nothing"),
        lambda torch, p: torch.nn.utils.parametrizations.spectral_norm(layer(torch), dim=2),
        lambda torch, p: torch.nn.utils.parametrizations.spectral_norm(
            layer(torch), n_power_iterations=0
        ),
        lambda torch, p: torch.nn.utils.spectral_norm(layer(torch), n_power_iterations=0),
        lambda torch, p: torch.nn.utils.spectral_norm(torch.nn.Linear(2, 2, False), "bias"),
    ],
)
def test_wrong_calls(call):
    def result(torch):
        return kind(lambda: call(torch, torch.nn.utils.parametrize))

    assert issubclass(getattr(builtins, result(tg)), Exception)
    assert result(tg) == result(pytorch)


def test_a_refused_parametrization_leaves_the_module_as_it_was():
    net = layer(tg)
    before = net.weight.detach().clone()

    class Cut(tg.nn.Module):
        def forward(self, x):
            return x[0]

        def right_inverse(self, x):
            return 2 * x

    with pytest.raises(ValueError, match="may not change the shape"):
        tg.nn.utils.parametrize.register_parametrization(net, "weight", Cut())
    assert type(net) is tg.nn.Linear
    assert tg.equal(net.weight, before)
    assert list(net.state_dict()) == ["weight", "bias"]


def test_copies_of_a_parametrized_module_are_on_their_own():
    p = tg.nn.utils.parametrize
    net = p.register_parametrization(layer(tg), "weight", doubled(tg))
    other = copy.deepcopy(net)
    assert tg.equal(other.weight, net.weight)
    p.remove_parametrizations(net, "weight")
    assert p.is_parametrized(other)
    other.parametrizations.weight.original.data.zero_()
    assert other.weight.sum() == 0
    assert net.weight.sum() == 72


def test_transferring():
    def run(torch):
        p = torch.nn.utils.parametrize
        one = p.register_parametrization(layer(torch), "weight", doubled(torch))
        p.register_parametrization(one, "bias", doubled(torch))
        two, three = torch.nn.Linear(3, 3), torch.nn.Module()
        p.transfer_parametrizations_and_params(one, two, "weight")
        p.transfer_parametrizations_and_params(one, three)
        shared = two.parametrizations.weight.original is one.parametrizations.weight.original
        return [two.weight, shared, list(two.state_dict()), list(three.state_dict()), three.bias]

    alike(run)


# ----- Pruning ------------------------------------------------------------------------------------


def conv(torch):
    generator = np.random.default_rng(3)
    made = torch.nn.Conv1d(4, 5, 3)
    with torch.no_grad():
        made.weight.copy_(torch.tensor(generator.normal(size=(5, 4, 3)).astype("float32")))
        made.bias.copy_(torch.tensor(generator.normal(size=5).astype("float32")))
    return made


PRUNINGS = {
    "identity": lambda prune, net: prune.identity(net, "weight"),
    "random": lambda prune, net: prune.random_unstructured(net, "weight", 0.4),
    "random count": lambda prune, net: prune.random_unstructured(net, "weight", 7),
    "none": lambda prune, net: prune.random_unstructured(net, "bias", 0),
    "l1": lambda prune, net: prune.l1_unstructured(net, "weight", 0.4),
    "l1 all": lambda prune, net: prune.l1_unstructured(net, "bias", 1.0),
    "l1 scores": lambda prune, net: prune.l1_unstructured(net, "weight", 5, net.weight.exp()),
    "channels": lambda prune, net: prune.random_structured(net, "weight", 2, 1),
    "last channels": lambda prune, net: prune.random_structured(net, "weight", 1, -1),
    "l2 channels": lambda prune, net: prune.ln_structured(net, "weight", 2, 2, 0),
    "inf channels": lambda prune, net: prune.ln_structured(net, "weight", 0.5, float("inf"), 1),
    "mask": lambda prune, net: prune.custom_from_mask(net, "weight", net.weight > 0),
}


@pytest.mark.parametrize("second", [None, *PRUNINGS])
@pytest.mark.parametrize("first", PRUNINGS)
def test_pruning(first, second):
    def run(torch):
        prune = torch.nn.utils.prune
        torch.manual_seed(4)
        net = conv(torch)
        PRUNINGS[first](prune, net)
        if second:
            PRUNINGS[second](prune, net)
        found = [dict(net.state_dict()), prune.is_pruned(net), net.weight, net.bias]
        net(torch.ones(1, 4, 6)).sum().backward()
        found += [p.grad for p in net.parameters()]
        for name in ("weight", "bias"):
            if hasattr(net, f"{name}_mask"):
                prune.remove(net, name)
        found += [dict(net.state_dict()), prune.is_pruned(net), net.weight.requires_grad]
        return found

    alike(run)


def test_pruning_several_parameters():
    def run(torch):
        prune = torch.nn.utils.prune
        net = torch.nn.Sequential(conv(torch), conv(torch))
        pairs = [(net[0], "weight"), (net[1], "weight"), (net[1], "bias")]
        scores = {(net[0], "weight"): 3 * net[0].weight.detach()}
        prune.global_unstructured(pairs, prune.L1Unstructured, scores, amount=0.3)
        found = [dict(net.state_dict())]
        prune.global_unstructured(pairs, prune.L1Unstructured, amount=10)
        return [*found, dict(net.state_dict()), prune.L1Unstructured(2).prune(torch.arange(4.0))]

    alike(run)


@pytest.mark.parametrize(
    "call",
    [
        lambda p, net: p.l1_unstructured(net, "weight", "all"),
        lambda p, net: p.l1_unstructured(net, "weight", -1),
        lambda p, net: p.l1_unstructured(net, "weight", 1.5),
        lambda p, net: p.l1_unstructured(net, "weight", 1000),
        lambda p, net: p.l1_unstructured(net, "nothing", 1),
        lambda p, net: p.l1_unstructured(net, "weight", 1, net.bias),
        lambda p, net: p.random_structured(net, "bias", 1, 0),
        lambda p, net: p.random_structured(net, "weight", 1, 3),
        lambda p, net: p.custom_from_mask(net, "weight", net.bias),
        lambda p, net: p.remove(net, "weight"),
        lambda p, net: p.global_unstructured(3, p.L1Unstructured, amount=1),
        lambda p, net: p.global_unstructured([(net, "weight")], p.L1Unstructured, [], amount=1),
        lambda p, net: p.global_unstructured([(net, "weight")], p.LnStructured, amount=1, n=1),
    ],
)
def test_wrong_prunings_change_nothing(call):
    def result(torch):
        net = conv(torch)
        found = kind(lambda: call(torch.nn.utils.prune, net))
        assert sorted(net.state_dict()) == ["bias", "weight"]
        assert not net._forward_pre_hooks
        return found

    assert issubclass(getattr(builtins, result(tg)), Exception)
    assert result(tg) == result(pytorch)


# ----- Fusion, and the rest -----------------------------------------------------------------------


def normalization(torch, kind, features, affine=True):
    made = getattr(torch.nn, kind)(features, affine=affine)
    generator = np.random.default_rng(features)
    with torch.no_grad():
        for tensor in made.state_dict().values():
            if tensor.ndim:
                values = generator.uniform(0.5, 2, tensor.shape).astype("float32")
                tensor.copy_(torch.tensor(values))
    return made.eval()


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", ["Conv2d", "ConvTranspose2d"])
def test_fusion(kind, bias, affine):
    def run(torch):
        torch.manual_seed(0)
        layer = getattr(torch.nn, kind)(2, 3, 2, bias=bias).eval()
        bn = normalization(torch, "BatchNorm2d", 3, affine)
        fused = torch.nn.utils.fuse_conv_bn_eval(layer, bn, kind == "ConvTranspose2d")
        x = torch.ones(1, 2, 4, 4)
        assert torch.allclose(fused(x), bn(layer(x)), atol=1e-5)
        return fused

    check_same(run(tg), run(pytorch))


@pytest.mark.parametrize("features", [3, 1])
def test_fusion_of_linear_layers(features):
    def run(torch):
        torch.manual_seed(0)
        layer = torch.nn.Linear(4, 3).eval()
        bn = normalization(torch, "BatchNorm1d", features)
        return torch.nn.utils.fuse_linear_bn_eval(layer, bn)

    check_same(run(tg), run(pytorch))


def check_same(mine, theirs):
    for name in ("weight", "bias"):
        close(getattr(mine, name), getattr(theirs, name), 1e-5)
        assert getattr(mine, name).requires_grad == getattr(theirs, name).requires_grad


def test_what_cannot_be_fused():
    def run(torch):
        fuse = torch.nn.utils.fuse_linear_bn_eval
        layer, bn = torch.nn.Linear(4, 3).eval(), normalization(torch, "BatchNorm1d", 2)
        bare = torch.nn.BatchNorm1d(3, track_running_stats=False).eval()
        return [
            outcome(lambda: fuse(layer, bn)),
            outcome(lambda: fuse(layer, bare)),
            outcome(lambda: fuse(layer.train(), normalization(torch, "BatchNorm1d", 3))),
        ]

    alike(run)


def test_a_module_without_its_initial_values():
    def run(torch):
        torch.manual_seed(1)
        made = torch.nn.utils.skip_init(torch.nn.Linear, 5, out_features=2)
        return [tuple(made.weight.shape), made.weight.requires_grad, torch.rand(2)]

    alike(run)
    for wrong in (3, tg.nn.Identity, tg.nn.ReLU):
        with pytest.raises(RuntimeError):
            tg.nn.utils.skip_init(wrong)


def test_the_older_functional_call():
    net = tg.nn.Linear(1, 1)
    given = {"weight": tg.tensor([[2.0]]), "bias": tg.tensor([1.0])}
    with pytest.warns(FutureWarning, match="deprecated"):
        out = tg.nn.utils.stateless.functional_call(net, given, tg.tensor([[3.0]]))
    assert out.item() == 7


def test_the_older_weight_norm_says_so():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tg.nn.utils.weight_norm(tg.nn.Linear(1, 1))
    assert [w.category for w in caught] == [FutureWarning]
    assert caught[0].filename == __file__
