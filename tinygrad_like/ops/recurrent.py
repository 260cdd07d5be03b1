"""Recurrent layers: the ops that take a whole sequence through one layer in one direction.

A batch of sequences lies as the rows of one matrix: first the first element of every sequence, then
the second of all that have one, and so on (as in a `PackedSequence`; where all are equally long, it
is just ``(T, N, ...)`` without its first division). `sizes` says how many sequences there are at each
step. It never grows, so the sequences still running are always the first rows of the state, and a
walk in either direction is the same loop.

The rows' product with the input's weights is one product for all steps. Each rule runs the loop
backwards, notes the gradients of all gates, and gets those of weights and input by one product each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from tinygrad_like.backward import grad
from tinygrad_like.graph import Array, Traced, as_tensor
from tinygrad_like.op import op
from tinygrad_like.ops.activation import relu
from tinygrad_like.ops.joining import concatenate
from tinygrad_like.ops.linalg import linear
from tinygrad_like.ops.shaping import reshape
from tinygrad_like.ops.unary import sigmoid, tanh

__all__: list[str] = []

Steps = list[tuple[slice, int]]


def _steps(sizes: Sequence[int], reverse: bool) -> Steps:
    """Return each step's rows and how many they are, in the order in which steps are taken."""
    steps = [(slice(end - n, end), n) for n, end in zip(sizes, accumulate(sizes), strict=True)]
    return steps[::-1] if reverse else steps


# ----- By ops -------------------------------------------------------------------------------------


def _tanh_cell(x: Any, h: Any, states: Sequence[Any]) -> list[Any]:
    del states
    return [tanh(x + h)]


def _relu_cell(x: Any, h: Any, states: Sequence[Any]) -> list[Any]:
    del states
    return [relu(x + h)]


def _lstm_cell(x: Any, h: Any, states: Sequence[Any]) -> list[Any]:
    size = states[1].shape[1]
    z = x + h
    i, f, o = (sigmoid(z[:, k * size : (k + 1) * size]) for k in (0, 1, 3))
    c = f * states[1] + i * tanh(z[:, 2 * size : 3 * size])
    return [o * tanh(c), c]


def _gru_cell(x: Any, h: Any, states: Sequence[Any]) -> list[Any]:
    size = states[0].shape[1]
    r, z = (sigmoid((x + h)[:, k * size : (k + 1) * size]) for k in (0, 1))
    n = tanh(x[:, 2 * size :] + r * h[:, 2 * size :])
    return [n + z * (states[0] - n)]


def layer_by_ops(
    cell: Callable[..., list[Any]],
    x: Any,
    states: Sequence[Any],
    weights: Sequence[Any],
    sizes: Sequence[int],
    reverse: bool,
) -> list[Any]:
    """Return what a layer does to a sequence, step by step: its outputs and the states at the end.

    Args:
        cell: the states after a step, from the products of input and state and the states before.
        x: the inputs, rows as the module describes.
        states: the states to begin with, each ``(N, H)``.
        weights: ``w_ih, w_hh, b_ih, b_hh`` and, where there is one, the projection of the output.
        sizes: how many sequences there are at each step.
        reverse: begin at the end of each sequence.
    """
    w_ih, w_hh, b_ih, b_hh, *projection = weights
    products = linear(x, w_ih, b_ih)
    states, outs = list(states), []
    for rows, n in _steps(sizes, reverse):
        before = [s[:n] for s in states]
        after = cell(products[rows], linear(before[0], w_hh, b_hh), before)
        if projection and projection[0] is not None:
            after[0] = linear(after[0], projection[0])
        outs.append(after[0])
        states = [
            a if n == s.shape[0] else concatenate([a, s[n:]])
            for a, s in zip(after, states, strict=True)
        ]
    return [concatenate(outs[::-1] if reverse else outs), *states]


def _recorded(
    run: Callable[..., Sequence[Any]], g: Sequence[Any], arguments: Sequence[Any]
) -> list[Any]:
    """Return the gradients of ``run(*arguments)`` as a graph of their own.

    Arguments pass through a node each, so that one which depends on another stays apart from it.
    """
    entered = [a if a is None else reshape(a, tuple(a.shape)) for a in arguments]
    pairs = [(o, as_tensor(d)) for o, d in zip(run(*entered), g, strict=True) if o.node is not None]
    outs, starts = zip(*pairs, strict=True)
    wanted = [a for a in entered if a is not None and a.node is not None]
    found = iter(grad(outs, wanted, starts, create_graph=True, allow_unused=True))
    return [next(found) if a is not None and a.node is not None else None for a in entered]


# ----- What all layers share ----------------------------------------------------------------------


def _products(x: Any, w_ih: Any, b_ih: Any, b_hh: Any) -> Any:
    """Return the rows of `x` times the input's weights, plus what biases are given."""
    out = np.dot(x, w_ih.T)
    for bias in (b_ih, b_hh):
        if bias is not None:
            out += bias
    return out


def _product_gradients(d: Any, x: Any, w_ih: Any, needs: Sequence[bool]) -> list[Any]:
    """Return the gradients of `_products` for `x`, `w_ih` and the biases, None where not needed."""
    d_bias = d.sum(axis=0) if needs[2] or needs[3] else None
    return [
        np.dot(d, w_ih) if needs[0] else None,
        np.dot(d.T, x) if needs[1] else None,
        d_bias if needs[2] else None,
        d_bias if needs[3] else None,
    ]


def _states_before(start: Any, states: Any, steps: Steps) -> Any:
    """Return the state before each step as rows, from the one at the start and those after each."""
    before = np.empty_like(states)
    current = start.copy()
    for rows, n in steps:
        before[rows] = current[:n]
        current[:n] = states[rows]
    return before


# ----- LSTM ---------------------------------------------------------------------------------------


def _lstm_rule(
    g: Any,
    x: Any,
    hx: Any,
    cx: Any,
    w_ih: Any,
    w_hh: Any,
    b_ih: Any,
    b_hh: Any,
    w_hr: Any,
    out: Any,
    gates: Any,
    cells: Any,
    sizes: Any,
    reverse: bool,
    needs: Any,
) -> Any:
    if isinstance(x, Traced):

        def run(x: Any, hx: Any, cx: Any, *weights: Any) -> list[Any]:
            return layer_by_ops(_lstm_cell, x, (hx, cx), weights, sizes, reverse)

        return _recorded(run, g, (x, hx, cx, w_ih, w_hh, b_ih, b_hh, w_hr))
    steps = _steps(sizes, reverse)
    size = w_hh.shape[0] // 4
    d_out, d_h, d_c = g[0], g[1].copy(), g[2].copy()
    cells_before = _states_before(cx, cells, steps)
    d = np.empty_like(gates)
    hidden = np.empty_like(cells) if w_hr is not None else None
    d_projected = np.empty_like(d_out) if w_hr is not None else None
    for rows, n in reversed(steps):
        i, f, c, o = (gates[rows, k * size : (k + 1) * size] for k in range(4))
        d_i, d_f, d_g, d_o = (d[rows, k * size : (k + 1) * size] for k in range(4))
        dh = d_h[:n] + d_out[rows]
        t = np.tanh(cells[rows])
        if w_hr is not None:
            hidden[rows] = o * t
            d_projected[rows] = dh
            dh = dh @ w_hr
        dc = d_c[:n] + dh * o * (1 - t * t)
        np.multiply(dh * t, o * (1 - o), out=d_o)
        np.multiply(dc * c, i * (1 - i), out=d_i)
        np.multiply(dc * cells_before[rows], f * (1 - f), out=d_f)
        np.multiply(dc * i, 1 - c * c, out=d_g)
        np.multiply(dc, f, out=d_c[:n])
        np.dot(d[rows], w_hh, out=d_h[:n])
    d_w_hh = np.dot(d.T, _states_before(hx, out[0], steps)) if needs[4] else None
    d_x, d_w_ih, d_b_ih, d_b_hh = _product_gradients(
        d, x, w_ih, (needs[0], needs[3], needs[5], needs[6])
    )
    d_w_hr = np.dot(d_projected.T, hidden) if needs[7] else None
    return d_x, d_h, d_c, d_w_ih, d_w_hh, d_b_ih, d_b_hh, d_w_hr


@op(
    joint=(("x", "hx", "cx", "w_ih", "w_hh", "b_ih", "b_hh", "w_hr"), _lstm_rule),
    keeps=("gates", "cells"),
    several=True,
    dtype="same",
)
def lstm_layer(
    x: Array,
    hx: Array,
    cx: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None,
    b_hh: Array | None,
    w_hr: Array | None,
    sizes: tuple[int, ...],
    reverse: bool,
) -> Any:
    """Return an LSTM layer's outputs and its two states at the end.

    Source: Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997; forget gates: Gers et al.,
    "Learning to Forget", 2000; projection: Sak et al., "Long Short-Term Memory Based Recurrent Neural
    Network Architectures", 2014.
    """
    steps = _steps(sizes, reverse)
    size = w_hh.shape[0] // 4
    gates = _products(x, w_ih, b_ih, b_hh)
    # sigmoid(z) = (1 + tanh(z / 2)) / 2: one tanh for all gates.
    scale = np.full(4 * size, 0.5, x.dtype)
    scale[2 * size : 3 * size] = 1
    shift = 1 - scale
    w = np.ascontiguousarray((w_hh * scale[:, None]).T)
    gates *= scale
    out = np.empty((x.shape[0], hx.shape[1]), x.dtype)
    cells = np.empty((x.shape[0], size), x.dtype)
    h, c = hx.copy(), cx.copy()
    for rows, n in steps:
        z = gates[rows]
        z += h[:n] @ w
        np.tanh(z, out=z)
        z *= scale
        z += shift
        cell = np.multiply(z[:, size : 2 * size], c[:n], out=cells[rows])
        cell += z[:, :size] * z[:, 2 * size : 3 * size]
        hidden = np.tanh(cell)
        hidden *= z[:, 3 * size :]
        out[rows] = hidden if w_hr is None else hidden @ w_hr.T
        h[:n], c[:n] = out[rows], cell
    return (out, h, c), gates, cells


# ----- GRU ----------------------------------------------------------------------------------------


def _gru_rule(
    g: Any,
    x: Any,
    hx: Any,
    w_ih: Any,
    w_hh: Any,
    b_ih: Any,
    b_hh: Any,
    out: Any,
    gates: Any,
    candidates: Any,
    sizes: Any,
    reverse: bool,
    needs: Any,
) -> Any:
    if isinstance(x, Traced):

        def run(x: Any, hx: Any, *weights: Any) -> list[Any]:
            return layer_by_ops(_gru_cell, x, (hx,), weights, sizes, reverse)

        return _recorded(run, g, (x, hx, w_ih, w_hh, b_ih, b_hh))
    steps = _steps(sizes, reverse)
    size = w_hh.shape[1]
    d_out, d_h = g[0], g[1].copy()
    before = _states_before(hx, out[0], steps)
    d, d_hidden = np.empty_like(gates), np.empty_like(gates)  # of the products of input and state
    for rows, n in reversed(steps):
        r, z, c = (gates[rows, k * size : (k + 1) * size] for k in range(3))
        dh = d_h[:n] + d_out[rows]
        d_c = dh * (1 - z) * (1 - c * c)
        d[rows, :size] = d_c * candidates[rows] * r * (1 - r)
        d[rows, size : 2 * size] = dh * (before[rows] - c) * z * (1 - z)
        d[rows, 2 * size :] = d_c
        d_hidden[rows] = d[rows]
        d_hidden[rows, 2 * size :] *= r
        d_h[:n] = dh * z + d_hidden[rows] @ w_hh
    d_x, d_w_ih, d_b_ih, _ = _product_gradients(d, x, w_ih, (needs[0], needs[2], needs[4], False))
    d_w_hh = np.dot(d_hidden.T, before) if needs[3] else None
    d_b_hh = d_hidden.sum(axis=0) if needs[5] else None
    return d_x, d_h, d_w_ih, d_w_hh, d_b_ih, d_b_hh


@op(
    joint=(("x", "hx", "w_ih", "w_hh", "b_ih", "b_hh"), _gru_rule),
    keeps=("gates", "candidates"),
    several=True,
    dtype="same",
)
def gru_layer(
    x: Array,
    hx: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None,
    b_hh: Array | None,
    sizes: tuple[int, ...],
    reverse: bool,
) -> Any:
    """Return a GRU layer's outputs and its state at the end.

    Source: Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder for Statistical
    Machine Translation", 2014, with the reset gate after the product.
    """
    size = w_hh.shape[1]
    gates = _products(x, w_ih, b_ih, None)
    out = np.empty((x.shape[0], size), x.dtype)
    candidates = np.empty_like(out)  # the state's part of the candidates, before it is reset
    h = hx.copy()
    for rows, n in _steps(sizes, reverse):
        z = gates[rows]
        product = h[:n] @ w_hh.T
        if b_hh is not None:
            product += b_hh
        rz = z[:, : 2 * size]
        rz += product[:, : 2 * size]
        rz *= 0.5
        np.tanh(rz, out=rz)
        rz *= 0.5
        rz += 0.5
        candidates[rows] = product[:, 2 * size :]
        c = z[:, 2 * size :]
        c += z[:, :size] * candidates[rows]
        np.tanh(c, out=c)
        h[:n] -= c
        h[:n] *= z[:, size : 2 * size]
        h[:n] += c
        out[rows] = h[:n]
    return (out, h), gates, candidates


# ----- Plain RNN ----------------------------------------------------------------------------------


def _rnn_rule(
    g: Any,
    x: Any,
    hx: Any,
    w_ih: Any,
    w_hh: Any,
    b_ih: Any,
    b_hh: Any,
    out: Any,
    sizes: Any,
    reverse: bool,
    rectified: bool,
    needs: Any,
) -> Any:
    if isinstance(x, Traced):

        def run(x: Any, hx: Any, *weights: Any) -> list[Any]:
            cell = _relu_cell if rectified else _tanh_cell
            return layer_by_ops(cell, x, (hx,), weights, sizes, reverse)

        return _recorded(run, g, (x, hx, w_ih, w_hh, b_ih, b_hh))
    steps = _steps(sizes, reverse)
    states, d_h = out[0], g[1].copy()
    d = np.greater(states, 0).astype(x.dtype) if rectified else 1 - states * states
    for rows, n in reversed(steps):
        d[rows] *= d_h[:n] + g[0][rows]
        np.dot(d[rows], w_hh, out=d_h[:n])
    d_x, d_w_ih, d_b_ih, d_b_hh = _product_gradients(
        d, x, w_ih, (needs[0], needs[2], needs[4], needs[5])
    )
    d_w_hh = np.dot(d.T, _states_before(hx, states, steps)) if needs[3] else None
    return d_x, d_h, d_w_ih, d_w_hh, d_b_ih, d_b_hh


@op(
    joint=(("x", "hx", "w_ih", "w_hh", "b_ih", "b_hh"), _rnn_rule),
    several=True,
    dtype="same",
)
def rnn_layer(
    x: Array,
    hx: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None,
    b_hh: Array | None,
    sizes: tuple[int, ...],
    reverse: bool,
    rectified: bool,
) -> Any:
    """Return a plain recurrent layer's outputs and its state at the end; the function is tanh or ReLU.

    Source: Elman, "Finding Structure in Time", 1990.
    """
    out = _products(x, w_ih, b_ih, b_hh)
    h = hx.copy()
    for rows, n in _steps(sizes, reverse):
        z = out[rows]
        z += h[:n] @ w_hh.T
        if rectified:
            np.maximum(z, 0, out=z)
        else:
            np.tanh(z, out=z)
        h[:n] = z
    return (out, h)
