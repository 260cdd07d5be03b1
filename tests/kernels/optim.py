"""Rows for the rules of optimizers."""

import importlib
import itertools

import numpy as np

from tests.kernels.base import KernelRow
from tinygrad_like import jit

SIZE = 70001  # more than a block of float32, and not a multiple of a vector

# For each rule: how many arrays it may keep, its numbers, and how many flags there are.
RULES = {
    "sgd": (1, (0.1, 0.2, 0.9, 0.7), 4),
    "adam": (3, (0.3, 0.9, 0.1, 0.99, 0.01, 1e-3, 0.1), 4),
    "rmsprop": (3, (0.1, 0.2, 0.9, 0.1, 1e-3, 0.8), 4),
    "adagrad": (1, (0.1, 0.2, 1e-3), 2),
    "adadelta": (2, (0.1, 0.2, 0.9, 0.1, 1e-3), 2),
    "adamax": (2, (0.3, 0.9, 0.1, 0.99, 1e-3, 0.1), 2),
    "asgd": (1, (0.9, 0.1, 0.2, 0.3), 3),
    "nadam": (2, (0.3, 0.9, 0.1, 0.99, 0.01, 1e-3, 0.1, 0.2), 3),
    "radam": (2, (0.3, 0.9, 0.1, 0.99, 0.01, 1e-3, 0.1), 4),
    "rprop": (2, (1.2, 1.0, 0.5, 0.0, 1e-3, 4.5), 1),
}
for _name in RULES:
    importlib.import_module(f"tinygrad_like.nn.optim.{_name}")


def row(name, flags):
    """Return the row of a rule with some of its parts."""
    count, numbers, _ = RULES[name]

    def arguments(rng, dtype):
        p, g = rng.normal(size=(2, SIZE)).astype(dtype)
        kept = rng.random((count, SIZE)).astype(dtype)
        kept[0] += 4  # the square of the mean of gradients is less than the mean of their squares
        return p, g, tuple(kept), tuple(np.array(numbers, dtype)), *flags

    return KernelRow(jit.KERNELS[f"optim.{name}"], arguments)


ROWS = [
    row(name, flags)
    for name, (_, _, count) in RULES.items()
    for flags in itertools.product((False, True), repeat=count)
]
