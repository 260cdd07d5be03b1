"""Whole numbers drawn from the Poisson and the binomial distribution, as PyTorch draws them.

Sources: Hoermann, "The transformed rejection method for generating Poisson random variables", 1993,
and "The generation of binomial random variates", 1993.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_like.random import chosen

Draw = Callable[[], float]


def _draws(generator: Any) -> Draw:
    """Return a function that gives the next number of ``[0, 1)``."""
    source = chosen(generator)
    return lambda: float(source.uniform(1, np.dtype(np.float64))[0])


def poisson_counts(rates: Any, generator: Any) -> Any:
    """Return a number of events for each rate."""
    draw = _draws(generator)
    counts = [_poisson(rate, draw) for rate in rates.ravel().astype(np.float64).tolist()]
    return np.asarray(counts, rates.dtype).reshape(rates.shape)


def _poisson(rate: float, draw: Draw) -> float:
    if rate == 0:
        return 0.0
    if rate < 10:
        limit, product, count = math.exp(-rate), draw(), 0
        while product > limit:
            product *= draw()
            count += 1
        return count
    root, log_rate = math.sqrt(rate), math.log(rate)
    b = 0.931 + 2.53 * root
    a = -0.059 + 0.02483 * b
    inverse = 1.1239 + 1.1328 / (b - 3.4)
    enough = 0.9277 - 3.6224 / (b - 2)
    while True:
        u = draw() - 0.5
        v = draw()
        us = 0.5 - abs(u)
        k = math.floor((2 * a / us + b) * u + rate + 0.43)
        if us >= 0.07 and v <= enough:
            return k
        if k < 0 or (us < 0.013 and v > us):
            continue
        left = math.log(v) + math.log(inverse) - math.log(a / (us * us) + b)
        if left <= -rate + k * log_rate - math.lgamma(k + 1):
            return k


def binomial_counts(counts: Any, chances: Any, generator: Any) -> Any:
    """Return a number of successes for each count of trials and chance, which broadcast."""
    draw = _draws(generator)
    pairs = np.broadcast(counts, chances)
    found = [_binomial(float(n), float(p), draw) for n, p in pairs]
    return np.asarray(found, counts.dtype).reshape(pairs.shape)


def _binomial(n: float, p: float, draw: Draw) -> float:
    if n <= 0 or p <= 0:
        return 0.0
    if p >= 1:
        return n
    if math.isnan(n) or math.isnan(p):
        return math.nan
    if p > 0.5:
        return n - _successes(n, 1.0 - p, draw)
    return _successes(n, p, draw)


def _successes(n: float, p: float, draw: Draw) -> float:
    if n * p >= 10:
        return _by_rejection(n, p, draw)
    log_failure, passed, count = math.log1p(-p), 0.0, 0
    while True:
        passed += math.ceil(math.log(draw()) / log_failure)
        if passed > n:
            return count
        count += 1


_TAILS: tuple[float, ...] = (
    0.0810614667953272,
    0.0413406959554092,
    0.0276779256849983,
    0.02079067210376509,
)
_TAILS += (0.0166446911898211, 0.0138761288230707, 0.0118967099458917, 0.0104112652619720)
_TAILS += (0.00925546218271273, 0.00833056343336287)


def _tail(k: float) -> float:
    """Return what Stirling's formula lacks of the logarithm of k!."""
    if k <= 9:
        return _TAILS[int(k)]
    square = (k + 1) * (k + 1)
    return (1 / 12 - (1 / 360 - 1 / 1260 / square) / square) / (k + 1)


def _by_rejection(n: float, p: float, draw: Draw) -> float:
    spread = math.sqrt(n * p * (1 - p))
    b = 1.15 + 2.53 * spread
    a = -0.0873 + 0.0248 * b + 0.01 * p
    middle = n * p + 0.5
    enough = 0.92 - 4.2 / b
    ratio = p / (1 - p)
    alpha = (2.83 + 5.1 / b) * spread
    m = math.floor((n + 1) * p)
    while True:
        u = draw() - 0.5
        v = draw()
        us = 0.5 - abs(u)
        k = math.floor((2 * a / us + b) * u + middle)
        if us >= 0.07 and v <= enough:
            return k
        if k < 0 or k > n:
            continue
        bound = (
            (m + 0.5) * math.log((m + 1) / (ratio * (n - m + 1)))
            + (n + 1) * math.log((n - m + 1) / (n - k + 1))
            + (k + 0.5) * math.log(ratio * (n - k + 1) / (k + 1))
            + (_tail(m) + _tail(n - m) - _tail(k) - _tail(n - k))
        )
        if math.log(v * alpha / (a / (us * us) + b)) <= bound:
            return k
