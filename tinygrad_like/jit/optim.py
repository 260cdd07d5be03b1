"""The optimizers' rules, each in one pass over a parameter and all that is kept of it.

`numbers` and what else the arguments mean: see the NumPy versions in ``tinygrad_like/nn/optim``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like.jit.compiler import inlined, kernel


@inlined
def _gradient(p: Any, g: Any, decay: Any, decays: Any, maximize: Any) -> Any:
    """Return the gradient that counts, of one element."""
    d = -g if maximize else g
    return d + decay * p if decays else d


@kernel
def sgd(
    p: Any,
    g: Any,
    kept: Any,
    numbers: Any,
    decays: Any,
    moves: Any,
    nesterov: Any,
    maximize: Any,
) -> None:
    """Update a parameter and its momentum."""
    lr, decay, momentum, share = numbers[0], numbers[1], numbers[2], numbers[3]
    if not moves:
        for i in range(p.size):
            p[i] += lr * _gradient(p[i], g[i], decay, decays, maximize)
        return
    buffer = kept[0]
    for i in range(p.size):
        d = _gradient(p[i], g[i], decay, decays, maximize)
        moved = momentum * buffer[i] + share * d
        buffer[i] = moved
        p[i] += lr * (d + momentum * moved if nesterov else moved)


@kernel
def adam(
    p: Any,
    g: Any,
    kept: Any,
    numbers: Any,
    decays: Any,
    decoupled: Any,
    amsgrad: Any,
    maximize: Any,
) -> None:
    """Update a parameter and its running means."""
    decay, beta1, share1, beta2 = numbers[0], numbers[1], numbers[2], numbers[3]
    share2, eps, size = numbers[4], numbers[5], numbers[6]
    mean, square, largest = kept
    shrinks, adds = decays and decoupled, decays and not decoupled
    if not amsgrad:
        for i in range(p.size):
            d = _gradient(p[i], g[i], decay, adds, maximize)
            m = beta1 * mean[i] + share1 * d
            v = beta2 * square[i] + share2 * (d * d)
            mean[i], square[i] = m, v
            p[i] = (p[i] * decay if shrinks else p[i]) + size * (m / (np.sqrt(v) + eps))
        return
    for i in range(p.size):
        d = _gradient(p[i], g[i], decay, adds, maximize)
        m = beta1 * mean[i] + share1 * d
        v = beta2 * square[i] + share2 * (d * d)
        mean[i], square[i] = m, v
        v = largest[i] if largest[i] > v else v
        largest[i] = v
        p[i] = (p[i] * decay if shrinks else p[i]) + size * (m / (np.sqrt(v) + eps))


@kernel
def rmsprop(
    p: Any,
    g: Any,
    kept: Any,
    numbers: Any,
    decays: Any,
    moves: Any,
    centered: Any,
    maximize: Any,
) -> None:
    """Update a parameter, its running means and its momentum."""
    lr, decay, alpha = numbers[0], numbers[1], numbers[2]
    share, eps, momentum = numbers[3], numbers[4], numbers[5]
    square, buffer, mean = kept
    for i in range(p.size):
        d = _gradient(p[i], g[i], decay, decays, maximize)
        v = alpha * square[i] + share * (d * d)
        square[i] = v
        if centered:
            m = alpha * mean[i] + share * d
            mean[i] = m
            v -= m * m
        moved = d / (np.sqrt(v) + eps)
        if moves:
            moved += momentum * buffer[i]
            buffer[i] = moved
        p[i] += lr * moved


@kernel
def adagrad(p: Any, g: Any, kept: Any, numbers: Any, decays: Any, maximize: Any) -> None:
    """Update a parameter and its sum of squares."""
    lr, decay, eps = numbers[0], numbers[1], numbers[2]
    total = kept[0]
    for i in range(p.size):
        d = _gradient(p[i], g[i], decay, decays, maximize)
        v = total[i] + d * d
        total[i] = v
        p[i] += lr * (d / (np.sqrt(v) + eps))
