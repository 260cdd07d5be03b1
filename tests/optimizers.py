"""Optimizers of both packages side by side."""

import numpy as np
import pytest

import tinygrad_like as ours
from tinygrad_like.nn.optim.layout import CHUNK, PACK, SMALL

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
    ("AdamW", {"betas": (0.7, 0.95), "eps": 1e-3, "maximize": True}),
    ("RMSprop", {}),
    ("RMSprop", {"momentum": 0.9, "weight_decay": 0.1}),
    ("RMSprop", {"centered": True, "maximize": True, "eps": 1e-3}),
    ("RMSprop", {"centered": True, "momentum": 0.5, "alpha": 0.3}),
    ("Adagrad", {}),
    ("Adagrad", {"lr_decay": 0.1, "initial_accumulator_value": 0.5, "weight_decay": 0.1}),
    ("Adagrad", {"maximize": True, "eps": 0.1}),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 1.0, "rho": 0.5, "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    ("Adamax", {}),
    ("Adamax", {"betas": (0.3, 0.6), "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    ("ASGD", {}),
    ("ASGD", {"lambd": 0.1, "alpha": 0.5, "t0": 3, "weight_decay": 0.1, "maximize": True}),
    ("NAdam", {}),
    ("NAdam", {"weight_decay": 0.1, "momentum_decay": 0.1, "eps": 1e-3, "maximize": True}),
    ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "betas": (0.5, 0.8)}),
    ("RAdam", {}),
    ("RAdam", {"betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    ("RAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("Rprop", {}),
    ("Rprop", {"etas": (0.3, 1.7), "step_sizes": (1e-3, 0.1), "maximize": True}),
]

# Those that look at a whole parameter.
WHOLE = [
    ("Adafactor", {}),
    ("Adafactor", {"lr": 0.1, "beta2_decay": -0.5, "eps": (1e-3, 0.1), "d": 2.0, "maximize": True}),
    ("Adafactor", {"weight_decay": 0.1, "eps": (None, 0.5)}),
]
EVERY = CONFIGURATIONS + WHOLE


class Pair:
    """The same parameters and the same optimizer in both packages."""

    def __init__(self, name, options=None, shapes=None, dtype=np.float64, single=()):
        if shapes is None:  # PyTorch's Adafactor divides by the number of elements
            shapes = [s for s in SHAPES if name != "Adafactor" or 0 not in s]
        self.rng = np.random.default_rng(0)
        self.dtype = dtype
        values = [
            self.rng.standard_normal(shape).astype(np.float32 if i in single else dtype)
            for i, shape in enumerate(shapes)
        ]
        self.name, self.options = name, {"lr": 0.01} | (options or {})
        self.params = [
            [package.tensor(value.copy(), requires_grad=True) for value in values]
            for package in BOTH
        ]
        self.optimizers = [
            getattr(package.optim, name)(params, **self.options)
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

    def regroup(self, *options):
        """Make the optimizers anew, with a group of parameters for each dict of options."""
        for place, package in enumerate(BOTH):
            params, count = self.params[place], len(options)
            groups = [{"params": params[i::count], **o} for i, o in enumerate(options)]
            self.optimizers[place] = getattr(package.optim, self.name)(groups, **self.options)

    def exchange(self):
        """Have each package go on with fresh optimizers, from the state the other one saved."""
        saved = [optimizer.state_dict() for optimizer in self.optimizers]
        groups = [[{"params": g["params"]} for g in o.param_groups] for o in self.optimizers]
        self.optimizers = [
            getattr(package.optim, self.name)(own, **(self.options | {"lr": 7.0}))
            for package, own in zip(BOTH, groups, strict=True)
        ]
        for package, optimizer, state in zip(BOTH, self.optimizers, reversed(saved), strict=True):
            optimizer.load_state_dict(translated(state, package))

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


def translated(value, package):
    """Return nested values with all tensors as copies that are `package`'s."""
    if isinstance(value, dict):
        return {key: translated(v, package) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(translated(v, package) for v in value)
    if isinstance(value, ours.Tensor | torch.Tensor):
        return package.tensor(value.detach().numpy().copy())
    return value


def trained(package, values, name="Adam", **options):
    """Return parameters after one step, nothing else of which is held, and their optimizer."""
    params = [package.tensor(value, requires_grad=True) for value in values]
    optimizer = getattr(package.optim, name)(params, **({"lr": 0.1} | options))
    for p in params:
        p.grad = package.ones_like(p)
    optimizer.step()
    return params, optimizer
