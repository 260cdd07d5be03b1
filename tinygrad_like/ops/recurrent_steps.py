"""One step of a recurrent layer after the product with its weights, forwards and backwards.

Everything about a sequence lies in matrices with a row for each of its elements, a step being the
rows from `start` to `stop`. What there is of each gate lies in a matrix of its own, so that NumPy
does several of them in one call. Products and biases come with the sign turned where a sigmoid is
to follow, for that is ``1 / (1 + exp(-z))``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_like.jit import compiled

LEAST = 4096  # elements of all gates, below which loading a kernel does not pay


def _finish_sigmoid(z: Any) -> None:
    """Replace -z by the sigmoid of z."""
    np.exp(z, out=z)  # inf for very negative z, whose reciprocal is the right 0
    z += 1
    np.reciprocal(z, out=z)


@compiled("recurrent.lstm_step", least=LEAST)
def lstm_step(
    gates: Any,
    products: Any,
    bias: Any,
    before: Any,
    after: Any,
    hidden: Any,
    start: int,
    stop: int,
) -> None:
    """Take one step of an LSTM.

    Args:
        gates: ``(5, R, H)``: space for the tanh of the cells, then the products of the inputs for
            candidates and input, forget and output gates, which become those.
        products: ``(4, N, H)``: the products of the states.
        bias: ``(4, 1, H)``.
        before: the cells before each step, ``(R, H)``.
        after: space for the cells after it.
        hidden: space for the hidden states after it.
        start: the first row of the step.
        stop: the row after its last.
    """
    z = gates[1:, start:stop]
    z += products[:, : stop - start]
    z += bias
    candidates, inputs, forgets, shown = z
    np.tanh(candidates, out=candidates)
    _finish_sigmoid(z[1:])
    cells, tanh_cells = after[start:stop], gates[0, start:stop]
    np.multiply(forgets, before[start:stop], out=cells)
    cells += inputs * candidates
    np.tanh(cells, out=tanh_cells)
    np.multiply(shown, tanh_cells, out=hidden[start:stop])


@compiled("recurrent.lstm_step_back", least=LEAST)
def lstm_step_back(
    gates: Any, before: Any, d: Any, dh: Any, dc: Any, start: int, stop: int
) -> None:
    """Go one step of an LSTM back.

    Args:
        gates: what `lstm_step` has left there.
        before: the cells before each step, ``(R, H)``.
        d: space for the gradients of the gates before their functions, ``(R, 4 * H)``, in the order
            of the parameters: input, forget, candidate, output.
        dh: the gradients of the hidden states after the step, ``(N, H)``.
        dc: those of the cells after the step, which become those of the cells before, ``(N, H)``.
        start: the first row of the step.
        stop: the row after its last.
    """
    n, size = stop - start, dh.shape[1]
    z = gates[:, start:stop]
    tanh_cells, candidates, inputs, forgets, shown = z
    dh, dc = dh[:n], dc[:n]
    slopes = z * z
    np.subtract(1, slopes[:2], out=slopes[:2])
    np.subtract(z[2:], slopes[2:], out=slopes[2:])
    s_cells, s_candidates, s_inputs, s_forgets, s_shown = slopes
    s_cells *= shown
    s_cells *= dh
    dc += s_cells
    s_candidates *= inputs
    s_inputs *= candidates
    s_forgets *= before[start:stop]
    s_shown *= tanh_cells
    parts = d[start:stop].reshape(n, 4, size).swapaxes(0, 1)
    np.multiply(slopes[2:4], dc, out=parts[:2])
    np.multiply(s_candidates, dc, out=parts[2])
    np.multiply(s_shown, dh, out=parts[3])
    dc *= forgets


@compiled("recurrent.gru_step", least=LEAST)
def gru_step(
    gates: Any, products: Any, bias: Any, before: Any, after: Any, start: int, stop: int
) -> None:
    """Take one step of a GRU.

    Args:
        gates: ``(4, R, H)``: the products of the inputs for candidates and reset and update gates,
            which become those, then space for the states' part of the candidates before its reset.
        products: ``(3, N, H)``: the products of the states for reset and update gates and
            candidates.
        bias: ``(4, 1, H)``: of candidates (input's part), reset, update, candidates (state's part).
        before: the states before each step, ``(R, H)``.
        after: space for the states after it.
        start: the first row of the step.
        stop: the row after its last.
    """
    z = gates[:, start:stop]
    products = products[:, : stop - start]
    candidates, resets, _, kept = z
    z[1:3] += products[:2]
    z[:3] += bias[:3]
    _finish_sigmoid(z[1:3])
    np.add(products[2], bias[3], out=kept)
    candidates += resets * kept
    np.tanh(candidates, out=candidates)
    states = after[start:stop]
    np.subtract(before[start:stop], candidates, out=states)
    states *= z[2]
    states += candidates


@compiled("recurrent.gru_step_back", least=LEAST)
def gru_step_back(gates: Any, before: Any, d: Any, dh: Any, start: int, stop: int) -> None:
    """Go one step of a GRU back.

    Args:
        gates: what `gru_step` has left there.
        before: the states before each step, ``(R, H)``.
        d: space for the gradients before the gates' functions, ``(R, 4 * H)``: of candidates, reset,
            update, and of the states' part of the candidates.
        dh: the gradients of the states after the step, which become the part of those before it
            that does not come through the products, ``(N, H)``.
        start: the first row of the step.
        stop: the row after its last.
    """
    n, size = stop - start, dh.shape[1]
    z = gates[:3, start:stop]
    candidates, resets, updates = z
    dh = dh[:n]
    slopes = z * z
    np.subtract(1, slopes[0], out=slopes[0])
    np.subtract(z[1:], slopes[1:], out=slopes[1:])
    s_candidates, s_resets, s_updates = slopes
    parts = d[start:stop].reshape(n, 4, size).swapaxes(0, 1)
    s_updates *= dh
    np.subtract(before[start:stop], candidates, out=parts[2])
    parts[2] *= s_updates
    np.multiply(dh, updates, out=s_updates)
    dh -= s_updates
    s_candidates *= dh
    np.multiply(s_candidates, 1, out=parts[0])
    np.multiply(s_candidates, resets, out=parts[3])
    s_resets *= s_candidates
    np.multiply(s_resets, gates[3, start:stop], out=parts[1])
    np.multiply(s_updates, 1, out=dh)
