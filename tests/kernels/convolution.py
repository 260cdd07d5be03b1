"""Rows for the kernels of convolution."""

import math

import numpy as np

from tests.kernels.base import KernelRow
from tinygrad_like.arrays import correlation, windows

# One row per dimension: elements of a window, first, step, spread, number of windows, of pixels.
AXES = [
    np.array([(1, 0, 1, 1, 1, 1), (3, -1, 1, 1, 6, 6), (3, -1, 1, 1, 7, 7)]),
    np.array([(2, -1, 2, 2, 3, 4), (3, -2, 2, 1, 4, 7), (4, -2, 3, 1, 3, 8)]),
    np.array([(1, 0, 1, 1, 1, 1), (2, 0, 1, 2, 3, 5), (3, -3, 1, 2, 6, 5)]),
]
CHANNELS, OUTPUTS, BATCH = 3, 6, 5


def shapes(axes):
    def shape(count, column):
        return count, int(axes[0, column] * axes[1, column]), int(axes[2, column]) * BATCH

    return shape(CHANNELS, 5), shape(OUTPUTS, 4), math.prod(axes[:, 0])


def single(axes):
    def arguments(rng, dtype):
        images, results, taps = shapes(axes)
        x, out = rng.normal(size=images).astype(dtype), np.zeros(results, dtype)
        weight, bias = rng.normal(size=(OUTPUTS, taps)), rng.normal(size=OUTPUTS)
        return x, weight.astype(dtype), bias.astype(dtype), out, axes, 1, OUTPUTS

    return KernelRow(correlation._single, arguments)


def single_weight(axes):
    def arguments(rng, dtype):
        images, results, taps = shapes(axes)
        x, grad = rng.normal(size=images).astype(dtype), rng.normal(size=results).astype(dtype)
        return x, grad, np.zeros((OUTPUTS, taps), dtype), axes, 0, OUTPUTS - 1

    return KernelRow(correlation._single_weight, arguments)


def transpose(rows, columns):
    def arguments(rng, dtype):
        x = rng.normal(size=(rows, columns)).astype(dtype)
        return x, np.zeros((columns, rows), dtype), 3, columns - 1

    return KernelRow(windows._transpose, arguments, rtol=(0, 0))


ROWS = [
    *map(single, AXES),
    *map(single_weight, AXES),
    *(transpose(*size) for size in [(11, 2048), (8, 300), (3, 1500)]),
]
