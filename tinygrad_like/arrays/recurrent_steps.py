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

_LEAST = 4096  # elements of all gates, below which loading a kernel does not pay


def _sigmoid(z: Any, out: Any) -> None:
    """Write the sigmoid of -z, which is lost, into `out`."""
    np.exp(z, out=z)  # inf for very large z, whose reciprocal is the right 0
    z += 1
    np.reciprocal(z, out=out)


def _by_gate(rows: Any, like: Any) -> Any:
    """Return a view ``(G, n, H)`` of ``(n, G * H)``, where `like` has H columns."""
    size = like.shape[1]
    return rows.reshape(len(rows), rows.shape[1] // size, size).swapaxes(0, 1)


@compiled("recurrent.lstm_step", least=_LEAST)
def lstm_step(
    gates: Any, products: Any, before: Any, after: Any, hidden: Any, start: int, stop: int
) -> None:
    """Take one step of an LSTM.

    Args:
        gates: ``(5, R, H)``: space for the tanh of the cells, then the products of the inputs for
            candidates and input, forget and output gates, which become those.
        products: the products of the states for those four, ``(N, 4 * H)``.
        before: the cells before each step, ``(R, H)``.
        after: space for the cells after it.
        hidden: space for the hidden states after it.
        start: the first row of the step.
        stop: the row after its last.
    """
    tanh_cells, candidates, inputs, forgets, shown = gates[:, start:stop]
    z = np.add(gates[1:, start:stop], _by_gate(products[: stop - start], before), order="C")
    np.tanh(z[0], out=candidates)
    _sigmoid(z[1:], gates[2:, start:stop])
    cells = np.multiply(forgets, before[start:stop], out=after[start:stop])
    cells += inputs * candidates
    np.tanh(cells, out=tanh_cells)
    np.multiply(shown, tanh_cells, out=hidden[start:stop])


@compiled("recurrent.lstm_step_back", least=_LEAST)
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
    n = stop - start
    tanh_cells, candidates, inputs, forgets, shown = gates[:, start:stop]
    d_inputs, d_forgets, d_candidates, d_shown = _by_gate(d[start:stop], before)
    dc = dc[:n]
    through = dh[:n] * shown
    part = through * tanh_cells
    np.subtract(part, part * shown, out=d_shown)
    part *= tanh_cells
    through -= part
    dc += through
    np.multiply(dc, inputs, out=through)
    np.multiply(through, candidates, out=part)
    np.subtract(part, part * inputs, out=d_inputs)
    part *= candidates
    np.subtract(through, part, out=d_candidates)
    dc *= forgets
    np.multiply(dc, before[start:stop], out=part)
    np.subtract(part, part * forgets, out=d_forgets)


@compiled("recurrent.gru_step", least=_LEAST)
def gru_step(
    gates: Any, products: Any, bias: Any, before: Any, after: Any, start: int, stop: int
) -> None:
    """Take one step of a GRU.

    Args:
        gates: ``(4, R, H)``: the products of the inputs for candidates and reset and update gates,
            which become those, then space for the states' part of the candidates before its reset.
        products: the products of the states for reset and update gates and candidates,
            ``(N, 3 * H)``.
        bias: of the states' part of the candidates, ``(H,)``.
        before: the states before each step, ``(R, H)``.
        after: space for the states after it.
        start: the first row of the step.
        stop: the row after its last.
    """
    products = _by_gate(products[: stop - start], before)
    candidates, resets, updates, recurrent = gates[:, start:stop]
    z = np.add(gates[1:3, start:stop], products[:2], order="C")
    _sigmoid(z, gates[1:3, start:stop])
    np.add(products[2], bias, out=recurrent)
    candidates += resets * recurrent
    np.tanh(candidates, out=candidates)
    states = np.subtract(before[start:stop], candidates, out=after[start:stop])
    states *= updates
    states += candidates


@compiled("recurrent.gru_step_back", least=_LEAST)
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
    n = stop - start
    candidates, resets, updates, recurrent = gates[:, start:stop]
    d_candidates, d_resets, d_updates, d_recurrent = _by_gate(d[start:stop], before)
    dh = dh[:n]
    through = dh * updates
    part = before[start:stop] - candidates
    part *= through
    np.subtract(part, part * updates, out=d_updates)
    dh -= through
    np.multiply(dh, candidates, out=part)
    part *= candidates
    np.subtract(dh, part, out=part)
    d_candidates[...] = part
    part *= resets
    d_recurrent[...] = part
    part *= recurrent
    np.subtract(part, part * resets, out=d_resets)
    np.multiply(through, 1, out=dh)
