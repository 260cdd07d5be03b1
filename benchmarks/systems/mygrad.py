"""The workloads in mygrad, an automatic differentiation of NumPy; Adam is NumPy by hand.

Every function takes the arrays that a workload starts from and returns its step.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext as active
from typing import Any

import mygrad
import numpy as np
from mygrad import nnet
from mygrad.nnet.layers import conv_nd, max_pool

from benchmarks.systems import by_hand
from benchmarks.systems.numpy import Flat, adam, sgd
from benchmarks.workloads import Work

__all__ = ["active", "make"]

mygrad.turn_memory_guarding_off()  # as it advises for speed

Tensor = Any
Step = Callable[[], Any]


def differentiating(function: Callable[..., Tensor], count: int, *start: Any) -> Step:
    """Return the step that computes gradients of ``function(x..., *rest)`` for `count` x's.

    The gradient of its result comes after the x's.
    """
    leaves = [mygrad.tensor(a, copy=False) for a in start[:count]]
    g, *rest = start[count:]

    def step() -> Any:
        function(*leaves, *rest).backward(g)
        grad = leaves[0].grad
        for leaf in leaves:
            leaf.null_grad()
        return grad

    return step


def training(model: Any, criterion: Any, optimizer: Any, *start: Any) -> Step:
    *arrays, x, y = start
    flat = Flat(arrays)
    update = optimizer(flat)
    parameters = [mygrad.tensor(view, copy=False) for view in flat.views]

    def step() -> Any:
        loss = criterion(model(parameters, x), y)
        loss.backward()
        for parameter, grad in zip(parameters, flat.grads, strict=True):
            grad[...] = parameter.grad
            parameter.null_grad()
        update()
        return loss.data

    return step


def links(x: Tensor, y: Tensor) -> Tensor:
    h = x
    for _ in range(50):
        h = h * y
        h = h + x
    return h


def chain_forward(x: Any, y: Any) -> Step:
    x, y = mygrad.tensor(x), mygrad.tensor(y)
    return lambda: links(x, y).data


def chain(x: Any, y: Any) -> Step:
    return differentiating(lambda y, x: links(x, y).sum(), 2, y, x, None)


def perceptron(parameters: Any, x: Any) -> Tensor:
    for i in range(0, len(parameters), 2):
        x = nnet.relu(x) if i else x
        x = mygrad.matmul(x, parameters[i].T) + parameters[i + 1]
    return x


def bce_with_logits(out: Tensor, y: Any) -> Tensor:
    return (mygrad.logaddexp(np.float32(0), out) - out * y).mean()


def cnn(parameters: Any, x: Any) -> Tensor:
    for kernel, bias in (parameters[:2], parameters[2:4]):
        x = conv_nd(x, kernel, stride=1, padding=1) + bias.reshape(-1, 1, 1)
        x = max_pool(nnet.relu(x), (2, 2), 2)
    return mygrad.matmul(x.reshape(len(x), -1), parameters[4].T) + parameters[5]


def layer_norm(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    x = x - x.mean(-1, keepdims=True)
    return x / mygrad.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * w + b


MAKERS: dict[str, Callable[..., Step]] = {
    "chain_forward": chain_forward,
    "chain": chain,
    "moons": lambda *start: training(
        perceptron, bce_with_logits, lambda flat: sgd(flat, 0.1), *start
    ),
    "mnist64": lambda *start: training(perceptron, nnet.softmax_crossentropy, adam, *start),
    "mnist512": lambda *start: training(perceptron, nnet.softmax_crossentropy, adam, *start),
    "cnn": lambda *start: training(cnn, nnet.softmax_crossentropy, adam, *start),
    "softmax": lambda *start: differentiating(nnet.softmax, 1, *start),
    "layernorm": lambda *start: differentiating(layer_norm, 3, *start),
    "embedding": lambda *start: differentiating(lambda table, ids: table[ids], 1, *start),
    "matmul": lambda *start: differentiating(mygrad.matmul, 2, *start),
}


def make(workload: str) -> Work:
    return by_hand(workload, MAKERS)
