"""Kernels of `tinygrad_like.arrays.recurrent_steps`: each gate's row in a loop that uses vectors."""

from __future__ import annotations

from typing import Any

from tinygrad_like.jit.compiler import kernel
from tinygrad_like.jit.mathematics import exp, tanh


@kernel
def lstm_step(
    gates: Any, products: Any, before: Any, after: Any, hidden: Any, start: int, stop: int
) -> None:
    """Take one step of an LSTM."""
    size = before.shape[1]
    one = gates.dtype.type(1)
    for k in range(stop - start):
        row = start + k
        for j in range(size):
            gates[1, row, j] = tanh(gates[1, row, j] + products[k, j])
        for gate in range(1, 4):
            for j in range(size):
                z = gates[gate + 1, row, j] + products[k, gate * size + j]
                gates[gate + 1, row, j] = one / (one + exp(z))
        for j in range(size):
            kept = gates[3, row, j] * before[row, j]
            after[row, j] = kept + gates[2, row, j] * gates[1, row, j]
        for j in range(size):
            gates[0, row, j] = tanh(after[row, j])
        for j in range(size):
            hidden[row, j] = gates[4, row, j] * gates[0, row, j]


@kernel
def lstm_step_back(
    gates: Any, before: Any, d: Any, dh: Any, dc: Any, start: int, stop: int
) -> None:
    """Go one step of an LSTM back."""
    size = before.shape[1]
    one = gates.dtype.type(1)
    for k in range(stop - start):
        row = start + k
        for j in range(size):
            t, shown = gates[0, row, j], gates[4, row, j]
            dc[k, j] += dh[k, j] * shown * (one - t * t)
            d[row, 3 * size + j] = dh[k, j] * t * (shown - shown * shown)
        for j in range(size):
            candidate, written, kept = gates[1, row, j], gates[2, row, j], gates[3, row, j]
            d[row, j] = dc[k, j] * candidate * (written - written * written)
            d[row, 2 * size + j] = dc[k, j] * written * (one - candidate * candidate)
            d[row, size + j] = dc[k, j] * before[row, j] * (kept - kept * kept)
            dc[k, j] *= kept


@kernel
def gru_step(
    gates: Any, products: Any, bias: Any, before: Any, after: Any, start: int, stop: int
) -> None:
    """Take one step of a GRU."""
    size = before.shape[1]
    one = gates.dtype.type(1)
    for k in range(stop - start):
        row = start + k
        for gate in range(2):
            for j in range(size):
                z = gates[gate + 1, row, j] + products[k, gate * size + j]
                gates[gate + 1, row, j] = one / (one + exp(z))
        for j in range(size):
            gates[3, row, j] = products[k, 2 * size + j] + bias[j]
        for j in range(size):
            z = gates[0, row, j] + gates[1, row, j] * gates[3, row, j]
            gates[0, row, j] = tanh(z)
        for j in range(size):
            candidate = gates[0, row, j]
            after[row, j] = (before[row, j] - candidate) * gates[2, row, j] + candidate


@kernel
def gru_step_back(gates: Any, before: Any, d: Any, dh: Any, start: int, stop: int) -> None:
    """Go one step of a GRU back."""
    size = before.shape[1]
    one = gates.dtype.type(1)
    for k in range(stop - start):
        row = start + k
        for j in range(size):
            candidate, reset, update = gates[0, row, j], gates[1, row, j], gates[2, row, j]
            slope = dh[k, j] * (update - update * update)
            d[row, 2 * size + j] = slope * (before[row, j] - candidate)
            kept = dh[k, j] * update
            inner = (dh[k, j] - kept) * (one - candidate * candidate)
            dh[k, j] = kept
            d[row, j] = inner
            d[row, 3 * size + j] = inner * reset
            d[row, size + j] = inner * gates[3, row, j] * (reset - reset * reset)
