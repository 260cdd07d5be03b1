"""The workloads in JAX, the whole step compiled by ``jax.jit``.

Every function takes the arrays that a workload starts from and returns its step.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext as active
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.systems import by_hand
from benchmarks.workloads import Work, gpt

__all__ = ["active", "make"]

Array = Any
Step = Callable[[], Any]


# ----- Steps --------------------------------------------------------------------------------------


def differentiating(function: Callable[..., Array], count: int, *start: Array) -> Step:
    """Return the step that computes gradients of ``(function(x...) * g).sum()`` for `count` x's.

    The gradient `g` follows the x's; what comes after it are further arguments. With no `g` the
    function is a number already.
    """
    leaves, rest = start[:count], [jnp.asarray(a) for a in start[count:]]
    leaves = tuple(jnp.asarray(a) for a in leaves)

    def scalar(leaves: Any, rest: Any) -> Array:
        return (function(*leaves, *rest[1:]) * rest[0]).sum() if rest else function(*leaves)

    compiled = jax.jit(jax.value_and_grad(scalar))

    def step() -> Array:
        _, grads = jax.block_until_ready(compiled(leaves, rest))
        return grads[0]

    return step


def sgd(lr: float) -> Any:
    def update(w: Array, g: Array, state: Any, _: Array) -> tuple[Array, Any]:
        return w - lr * g, state

    return update


def adam(lr: float = 1e-3, decay: float = 0.0) -> Any:
    def update(w: Array, g: Array, state: Any, t: Array) -> tuple[Array, Any]:
        m, v = state
        m = 0.9 * m + (1 - 0.9) * g
        v = 0.999 * v + (1 - 0.999) * g * g
        root = jnp.sqrt(v) / jnp.sqrt(1 - 0.999**t) + 1e-8
        return w * (1 - lr * decay) - lr / (1 - 0.9**t) * m / root, (m, v)

    return update


def begin(parameters: Any) -> tuple[Any, Any, Array]:
    """Return parameters, the optimizer's state and its clock as JAX's arrays."""
    parameters = [jnp.array(a) for a in parameters]
    state = [(jnp.zeros_like(a), jnp.zeros_like(a)) for a in parameters]
    return parameters, state, jnp.float32(0)


def training(loss: Callable[..., Array], rule: Any, *start: Array) -> Step:
    """Return the step that trains all arrays but the last two, which are the data."""
    *parameters, x, y = start
    x, y = jnp.asarray(x), jnp.asarray(y)
    carried = begin(parameters)

    def whole(parameters: Any, state: Any, t: Array, x: Array, y: Array) -> Any:
        value, grads = jax.value_and_grad(loss)(parameters, x, y)
        t = t + 1
        new = [rule(*each, t) for each in zip(parameters, grads, state, strict=True)]
        return [w for w, _ in new], [s for _, s in new], t, value

    compiled = jax.jit(whole, donate_argnums=(0, 1))

    def step() -> Array:
        nonlocal carried
        *carried, value = jax.block_until_ready(compiled(*carried, x, y))
        return value

    return step


def adam_alone(*start: Array) -> Step:
    count = len(start) // 2
    grads = [jnp.asarray(a) for a in start[count:]]
    carried = begin(start[:count])
    rule = adam()

    def whole(parameters: Any, state: Any, t: Array, grads: Any) -> Any:
        t = t + 1
        new = [rule(*each, t) for each in zip(parameters, grads, state, strict=True)]
        return [w for w, _ in new], [s for _, s in new], t

    compiled = jax.jit(whole, donate_argnums=(0, 1))

    def step() -> Array:
        nonlocal carried
        carried = jax.block_until_ready(compiled(*carried, grads))
        return carried[0][-1]

    return step


# ----- Models -------------------------------------------------------------------------------------


def links(x: Array, y: Array) -> Array:
    h = x
    for _ in range(50):
        h = h * y
        h = h + x
    return h


def chain_forward(x: Array, y: Array) -> Step:
    compiled = jax.jit(links)
    x, y = jnp.asarray(x), jnp.asarray(y)
    return lambda: jax.block_until_ready(compiled(x, y))


def chain(x: Array, y: Array) -> Step:
    return differentiating(lambda y, x: links(x, y).sum(), 2, y, x)


def cross_entropy(logits: Array, labels: Array) -> Array:
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1).mean()


def perceptron(parameters: Any, x: Array) -> Array:
    for i in range(0, len(parameters), 2):
        x = (jax.nn.relu(x) if i else x) @ parameters[i].T + parameters[i + 1]
    return x


def moons(parameters: Any, x: Array, y: Array) -> Array:
    out = perceptron(parameters, x)
    return (jax.nn.softplus(out) - out * y).mean()


def mnist(parameters: Any, x: Array, y: Array) -> Array:
    return cross_entropy(perceptron(parameters, x), y)


def cnn(parameters: Any, x: Array, y: Array) -> Array:
    for kernel, bias in (parameters[:2], parameters[2:4]):
        x = lax.conv(x, kernel, (1, 1), "SAME") + bias[:, None, None]
        windows = (1, 1, 2, 2)
        x = lax.reduce_window(jax.nn.relu(x), -jnp.inf, lax.max, windows, windows, "VALID")
    return cross_entropy(x.reshape(len(x), -1) @ parameters[4].T + parameters[5], y)


def layer_norm(x: Array, w: Array, b: Array) -> Array:
    mean = x.mean(-1, keepdims=True)
    return (x - mean) * lax.rsqrt(x.var(-1, keepdims=True) + 1e-5) * w + b


def transformer(parameters: Any, ids: Array, targets: Array) -> Array:
    tokens, positions, *blocks, norm_w, norm_b, head = parameters
    batch, length = ids.shape
    width = tokens.shape[1]
    mask = jnp.tril(jnp.ones((length, length), bool))
    x = tokens[ids] + positions
    for i in range(0, len(blocks), 12):
        w1, b1, mix, mix_b, out, out_b, w2, b2, up, up_b, down, down_b = blocks[i : i + 12]
        qkv = layer_norm(x, w1, b1) @ mix.T + mix_b
        qkv = qkv.reshape(batch, length, 3, gpt.HEADS, -1).transpose(2, 0, 3, 1, 4)
        q, k, v = qkv
        scores = jnp.where(mask, q @ k.swapaxes(2, 3) * q.shape[-1] ** -0.5, -jnp.inf)
        y = (jax.nn.softmax(scores) @ v).transpose(0, 2, 1, 3).reshape(batch, length, width)
        x = x + y @ out.T + out_b
        h = jax.nn.gelu(layer_norm(x, w2, b2) @ up.T + up_b, approximate=False)
        x = x + h @ down.T + down_b
    logits = layer_norm(x, norm_w, norm_b) @ head.T
    return cross_entropy(logits.reshape(-1, len(head)), targets.ravel())


def lstm(parameters: Any, x: Array, y: Array) -> Array:
    w, u, b, c = parameters

    def cell(carry: Any, a: Array) -> Any:
        h, state = carry
        i, f, m, o = jnp.split(a + h @ u.T, 4, 1)
        state = jax.nn.sigmoid(f) * state + jax.nn.sigmoid(i) * jnp.tanh(m)
        h = jax.nn.sigmoid(o) * jnp.tanh(state)
        return (h, state), h

    zero = jnp.zeros_like(y[0])
    _, out = lax.scan(cell, (zero, zero), x @ w.T + b + c)
    return ((out - y) ** 2).mean()


MAKERS: dict[str, Callable[..., Step]] = {
    "chain_forward": chain_forward,
    "chain": chain,
    "moons": lambda *start: training(moons, sgd(0.1), *start),
    "mnist64": lambda *start: training(mnist, adam(), *start),
    "mnist512": lambda *start: training(mnist, adam(), *start),
    "cnn": lambda *start: training(cnn, adam(), *start),
    "gpt": lambda *start: training(transformer, adam(decay=0.1), *start),
    "lstm": lambda *start: training(lstm, sgd(0.1), *start),
    "gelu": lambda x, w, b: differentiating(
        lambda w, x, b: jax.nn.gelu(x * w + b, approximate=False).sum(), 3, w, x, b
    ),
    "softmax": lambda *start: differentiating(jax.nn.softmax, 1, *start),
    "layernorm": lambda *start: differentiating(layer_norm, 3, *start),
    "embedding": lambda *start: differentiating(lambda table, ids: table[ids], 1, *start),
    "matmul": lambda *start: differentiating(jnp.matmul, 2, *start),
    "adam": adam_alone,
    "adam_default": adam_alone,
}


def make(workload: str) -> Work:
    return by_hand(workload, MAKERS)
