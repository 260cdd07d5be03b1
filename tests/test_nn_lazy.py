"""Layers that learn their sizes from the first input, against PyTorch's."""

import copy
import pickle

import numpy as np
import pytest

import tinygrad_like as tg
from tests.nn_parity import DTYPES, alike, close, kind, ours, outcome, pytorch, theirs

LAYERS = [
    (lambda nn, **k: nn.LazyLinear(4, **k), (5, 3)),
    (lambda nn, **k: nn.LazyLinear(4, bias=False, **k), (2, 5, 3)),
    (lambda nn, **k: nn.LazyConv1d(4, 3, padding="same", **k), (2, 3, 7)),
    (lambda nn, **k: nn.LazyConv2d(4, 3, 2, 1, 1, 2, **k), (2, 6, 7, 7)),
    (lambda nn, **k: nn.LazyConv2d(4, (1, 2), bias=False, padding_mode="circular", **k), (3, 7, 7)),
    (lambda nn, **k: nn.LazyConv3d(2, 2, **k), (1, 3, 4, 4, 4)),
    (lambda nn, **k: nn.LazyConvTranspose1d(4, 3, 2, 1, 1, **k), (2, 3, 7)),
    (lambda nn, **k: nn.LazyConvTranspose2d(4, 3, groups=2, dilation=2, **k), (2, 6, 4, 4)),
    (lambda nn, **k: nn.LazyConvTranspose3d(2, 2, bias=False, **k), (1, 3, 2, 2, 2)),
    (lambda nn, **k: nn.LazyBatchNorm1d(**k), (5, 3)),
    (lambda nn, **k: nn.LazyBatchNorm2d(1e-3, None, bias=False, **k), (5, 3, 2, 2)),
    (lambda nn, **k: nn.LazyBatchNorm3d(affine=False, **k), (5, 3, 2, 2, 2)),
    (lambda nn, **k: nn.LazyBatchNorm1d(track_running_stats=False, **k), (5, 3, 2)),
    (lambda nn, **k: nn.LazyInstanceNorm1d(**k), (5, 3, 4)),
    (lambda nn, **k: nn.LazyInstanceNorm2d(affine=False, **k), (5, 3, 4, 4)),
    (lambda nn, **k: nn.LazyInstanceNorm3d(track_running_stats=False, **k), (5, 3, 2, 2, 2)),
]


def names():
    return [f"{i}-{type(make(pytorch.nn)).__name__}" for i, (make, _) in enumerate(LAYERS)]


def state(module):
    return [(name, str(value.dtype)) for name, value in module.state_dict().items()]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("make", "shape"), LAYERS, ids=names())
def test_layer(make, shape, dtype):
    values = np.random.default_rng(0).normal(size=shape).astype(dtype)

    def run(torch, tensor):
        torch.manual_seed(0)
        layer = make(torch.nn, dtype=getattr(torch, dtype))
        before = [repr(layer), state(layer), layer.has_uninitialized_params()]
        x = tensor(values, True)
        out = layer(x)
        out.sum().backward()
        grads = [p.grad for p in layer.parameters()]
        after = [repr(layer), state(layer), hasattr(layer, "has_uninitialized_params")]
        return before + after, [out, x.grad, *grads, *layer.parameters(), *layer.buffers()]

    (words, found), (expected, wanted) = run(tg, ours), run(pytorch, theirs)
    assert words == expected
    for x, y in zip(found, wanted, strict=True):
        close(x, y)
    assert type(make(tg.nn)).cls_to_become.__name__ == repr(make(tg.nn)).split("(")[0][4:]


def test_identity_of_parameters_stays_for_an_optimizer():
    def run(torch):
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.LazyLinear(3), torch.nn.ReLU(), torch.nn.LazyLinear(1))
        before = list(net.parameters())
        optimizers = [torch.optim.SGD(net.parameters(), 0.1), torch.optim.Adam(net.parameters())]
        net(torch.ones(2, 4)).sum().backward()
        for optimizer in optimizers:
            optimizer.step()
        return [
            [a is b for a, b in zip(before, net.parameters(), strict=True)],
            [type(p).__name__ for p in before],
            [p.is_leaf for p in before],
            [[round(v, 4) for v in p.detach().numpy().ravel().tolist()] for p in before],
        ]

    alike(run)


def test_states_pass_between_lazy_and_ordinary_layers():
    def run(torch):
        nn = torch.nn
        torch.manual_seed(0)
        whole, results = nn.Linear(2, 3), []
        loaded = nn.LazyLinear(3)
        results += [repr(loaded.load_state_dict(whole.state_dict())), loaded.weight, repr(loaded)]
        results += [loaded(torch.ones(1, 2)), repr(loaded)]
        wrong = nn.LazyLinear(3)
        wrong.load_state_dict(whole.state_dict())
        results += [outcome(lambda: wrong(torch.ones(1, 5)))]
        assigned = nn.LazyLinear(3)
        results += [repr(assigned.load_state_dict(whole.state_dict(), assign=True))]
        results += [assigned.weight, type(assigned.weight).__name__]
        still = nn.LazyLinear(3)
        results += [repr(still.load_state_dict(nn.LazyLinear(3).state_dict()))]
        results += [still.has_uninitialized_params()]
        results += [kind(lambda: whole.load_state_dict(nn.LazyLinear(3).state_dict()))]
        norm = nn.LazyBatchNorm1d()
        results += [repr(norm.load_state_dict(nn.BatchNorm1d(4).state_dict()))]
        results += [norm.running_var, norm.has_uninitialized_params()]
        missing = nn.LazyLinear(3)
        results += [repr(missing.load_state_dict({"weight": whole.weight}, strict=False))]
        results += [missing.has_uninitialized_params(), missing.weight]
        return results

    alike(run)


def test_what_may_be_asked_of_a_parameter_that_is_not_there():
    def run(torch):
        layer = torch.nn.LazyLinear(3)
        weight = layer.weight
        return [
            repr(weight),
            str(weight.dtype),
            weight.requires_grad,
            weight.is_leaf,
            repr(weight.grad),
            str(weight.device),
            weight.is_floating_point(),
            weight.data,
            repr(list(layer.parameters())),
            repr(dict(layer.state_dict())),
            repr(torch.nn.UninitializedBuffer()),
            torch.nn.UninitializedBuffer(persistent=False).persistent,
            torch.nn.UninitializedParameter(False).requires_grad,
            isinstance(weight, torch.nn.Parameter),
            isinstance(torch.nn.UninitializedBuffer(), torch.nn.Buffer),
            outcome(lambda: weight.shape),
            *(
                kind(call)
                for call in (
                    lambda: weight + 1,
                    lambda: weight.dim(),
                    lambda: weight.zero_(),
                    lambda: len(weight),
                    lambda: torch.zeros(3) @ weight,
                    lambda: weight.share_memory_(),
                    lambda: layer.share_memory(),
                    lambda: layer.forward(torch.ones(2)),
                )
            ),
        ]

    alike(run)


def test_conversions_and_copies_wait_too():
    def run(torch):
        nn = torch.nn
        layer = nn.LazyBatchNorm1d().double()
        results = [repr(layer), state(layer)]
        results += [str(layer.half().running_var.dtype), layer.to(torch.float64).weight.is_leaf]
        layer.zero_grad()
        line = nn.LazyLinear(3).double()
        made = copy.deepcopy(line)
        made(torch.ones(2, 3, dtype=torch.float64))
        results += [repr(made), state(made), repr(line)]
        read = pickle.loads(pickle.dumps(nn.LazyLinear(3)))
        read(torch.ones(2, 3))
        results += [repr(read), list(read.weight.shape)]
        return results

    alike(run)


def test_materializing():
    def run(torch):
        weight = torch.nn.UninitializedParameter(dtype=torch.float64)
        weight.materialize((2, 3))
        buffer = torch.nn.UninitializedBuffer()
        buffer.materialize((4,), dtype=torch.int64)
        return [
            [type(weight).__name__, list(weight.shape), str(weight.dtype), weight.requires_grad],
            [type(buffer).__name__, list(buffer.shape), str(buffer.dtype)],
        ]

    alike(run)


def test_a_lazy_module_of_ones_own():
    def run(torch):
        mixin = torch.nn.modules.lazy.LazyModuleMixin
        calls = []

        class Scale(mixin, torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.factor = torch.nn.UninitializedParameter()

            def initialize_parameters(self, x, *, extra):
                calls.append(extra)
                if extra:
                    self.factor.materialize(x.shape)
                    torch.nn.init.ones_(self.factor)

            def forward(self, x, *, extra):
                return x * self.factor * extra

        class Empty(mixin, torch.nn.Module):
            pass

        scale = Scale()
        return [
            outcome(lambda: scale(torch.ones(2), extra=0)),
            scale(torch.ones(2), extra=2),
            scale(torch.ones(2), extra=3),
            calls,
            type(scale).__name__,
            outcome(lambda: Empty()(1)),
            Empty().has_uninitialized_params(),
        ]

    alike(run)


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda nn: nn.LazyConv2d(3, 3), (2, 3)),
        (lambda nn: nn.LazyConvTranspose1d(3, 3), (2, 3, 4, 5)),
        (lambda nn: nn.LazyConv1d(4, 3, groups=2), (2, 3, 5)),
        (lambda nn: nn.LazyConv1d(3, 3, groups=0), (2, 3, 5)),
        (lambda nn: nn.LazyConvTranspose1d(3, 3, padding_mode="reflect"), (2, 3, 5)),
        (lambda nn: nn.LazyBatchNorm2d(), (2, 3)),
    ],
)
def test_what_does_not_fit_is_refused_in_pytorchs_words(make, shape):
    def run(torch):
        found = outcome(lambda: make(torch.nn)(torch.ones(*shape)))
        return [part.replace("Lazy", "") if isinstance(part, str) else part for part in found]

    alike(run)
