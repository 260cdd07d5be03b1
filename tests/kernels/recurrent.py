"""Rows for the kernels of recurrent layers: the second of three steps, and one of fewer sequences."""

from tests.kernels.base import KernelRow
from tinygrad_like.arrays.recurrent_steps import gru_step, gru_step_back, lstm_step, lstm_step_back

BATCH, SIZE = 5, 19  # a size that leaves a rest after every vector


def drawn(rng, dtype, *shape):
    return rng.normal(size=shape).astype(dtype)


def forwards(function, gates, biases, states):
    """Return rows of a step: with `gates` matrices, the products of which are one fewer."""

    def arguments(count):
        def make(rng, dtype):
            z = drawn(rng, dtype, gates, 3 * BATCH, SIZE)
            products = drawn(rng, dtype, BATCH, (gates - 1) * SIZE)
            bias = drawn(rng, dtype, biases, SIZE)
            rows = drawn(rng, dtype, states, 3 * BATCH, SIZE)
            return z, products, *bias, *rows, BATCH, BATCH + count

        return make

    return [KernelRow(function, arguments(count)) for count in (BATCH, 2)]


def backwards(function, gates, states):
    """Return rows of a step back; gates lie between 0 and 1."""

    def arguments(count):
        def make(rng, dtype):
            z = rng.random((gates, 3 * BATCH, SIZE)).astype(dtype)
            before = drawn(rng, dtype, 3 * BATCH, SIZE)
            d = drawn(rng, dtype, 3 * BATCH, 4 * SIZE)
            return z, before, d, *drawn(rng, dtype, states, BATCH, SIZE), BATCH, BATCH + count

        return make

    return [KernelRow(function, arguments(count)) for count in (BATCH, 2)]


ROWS = [
    *forwards(lstm_step, 5, 0, 3),
    *forwards(gru_step, 4, 1, 2),
    *backwards(lstm_step_back, 5, 2),
    *backwards(gru_step_back, 4, 1),
]
