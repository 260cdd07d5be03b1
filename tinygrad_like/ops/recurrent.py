"""Recurrent layers: the ops that take a whole sequence through one layer in one direction.

A batch of sequences lies as the rows of one matrix: first the first element of every sequence, then
the second of all that have one, and so on (as in a `PackedSequence`; where all are equally long, it
is just ``(T, N, ...)`` without its first division). `sizes` says how many sequences there are at each
step. It never grows, so the sequences still running are always the first rows of the state, and a
walk in either direction is the same loop.

The product of all inputs with their weights is taken at once. Each rule goes the steps back, notes the
gradients of all gates, and gets those of weights and inputs by one product each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from tinygrad_like.arrays.recurrent_steps import gru_step, gru_step_back, lstm_step, lstm_step_back
from tinygrad_like.backward import grad
from tinygrad_like.graph import Array, Traced, as_tensor
from tinygrad_like.op import op
from tinygrad_like.ops.joining import concatenate
from tinygrad_like.ops.linalg import linear
from tinygrad_like.ops.rectifiers import relu
from tinygrad_like.ops.shaping import reshape
from tinygrad_like.ops.unary import sigmoid, tanh

__all__: list[str] = []

# ----- The way through a sequence -----------------------------------------------------------------


class _Walk:
    """The steps of a batch of sequences, in the order in which they are taken."""

    def __init__(self, sizes: Sequence[int], reverse: bool) -> None:
        ends = list(accumulate(sizes))
        self.rows = [(end - n, end) for n, end in zip(sizes, ends, strict=True)]
        if reverse:
            self.rows.reverse()
        self.total, self.most = ends[-1], sizes[0]
        self.reverse, self.even = reverse, sizes[0] == sizes[-1]

    def states(self, start: Any) -> tuple[Any, Any]:
        """Return space for the states before and after each step, with what is before the first.

        If all sequences are equally long, that is the same memory one step apart.
        """
        total, most = self.total, self.most
        if not self.even:
            before, after = (np.empty((total, start.shape[1]), start.dtype) for _ in range(2))
            for begin, stop in self.rows:
                before[begin:stop] = start[: stop - begin]
            return before, after
        space = np.empty((total + most, start.shape[1]), start.dtype)
        before, after = space[:total], space[most:]
        if self.reverse:
            before, after = after, before
        before[slice(*self.rows[0])] = start
        return before, after

    def carry(self, step: int, before: Any, after: Any) -> None:
        """Hand the states after a step on to the next, where its sequences had one."""
        if self.even or step + 1 == len(self.rows):
            return
        (begin, stop), (next_begin, next_stop) = self.rows[step : step + 2]
        n = min(stop - begin, next_stop - next_begin)
        before[next_begin : next_begin + n] = after[begin : begin + n]

    def last(self, after: Any) -> Any:
        """Return the states after the last step of each sequence."""
        if self.even or self.reverse:  # all of them end at the same step
            return after[slice(*self.rows[-1])].copy()
        found = np.empty((self.most, after.shape[1]), after.dtype)
        for begin, stop in self.rows:
            found[: stop - begin] = after[begin:stop]
        return found


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
    for begin, stop in _Walk(sizes, reverse).rows:
        n = stop - begin
        before = [s[:n] for s in states]
        after = cell(products[begin:stop], linear(before[0], w_hh, b_hh), before)
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


def _by_gate(w: Any, gates: Sequence[tuple[int, int]]) -> Any:
    """Return weights ``(G * H, K)`` as ``(G, H, K)``, for each of `gates`: its place and its sign."""
    places, signs = zip(*gates, strict=True)
    parts = w.reshape(len(gates), -1, w.shape[1])[list(places)]
    parts *= np.array(signs, w.dtype)[:, None, None]
    return parts


def _input_products(x: Any, w: Any, bias: Any, gates: Sequence[tuple[int, int]], out: Any) -> None:
    """Write the products of all inputs for each of `gates`, with the bias, into `out`."""
    if bias is not None:  # the weight of one more input, which is 1: cheaper than another pass
        w = np.concatenate([w, bias[:, None]], axis=1)
        given, x = x, np.ones((x.shape[0], w.shape[1]), x.dtype)
        x[:, :-1] = given
    np.matmul(x, _by_gate(w, gates).swapaxes(1, 2), out=out)


def _state_weights(w: Any, gates: Sequence[tuple[int, int]]) -> Any:
    """Return what states are multiplied with for all of `gates` at once, ``(K, G * H)``."""
    return _by_gate(w, gates).reshape(w.shape).T


def _input_gradients(d: Any, x: Any, w_ih: Any, needs: Sequence[bool]) -> list[Any]:
    """Return the gradients for `x`, `w_ih` and the bias from those of the products `d`."""
    return [
        np.matmul(d, w_ih) if needs[0] else None,
        np.matmul(d.T, x) if needs[1] else None,
        _row_sum(d) if needs[2] else None,
    ]


def _row_sum(d: Any) -> Any:
    return np.matmul(np.ones(d.shape[0], d.dtype), d)  # faster than a reduction


# ----- LSTM ---------------------------------------------------------------------------------------

_INPUT, _FORGET, _CANDIDATE, _OUTPUT = range(4)
_LSTM_GATES = ((_CANDIDATE, 1), (_INPUT, -1), (_FORGET, -1), (_OUTPUT, -1))


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
    gates: Any,
    cells: Any,
    states: Any,
    sizes: Any,
    reverse: bool,
    needs: Any,
) -> Any:
    if isinstance(x, Traced):

        def run(x: Any, hx: Any, cx: Any, *weights: Any) -> list[Any]:
            return layer_by_ops(_lstm_cell, x, (hx, cx), weights, sizes, reverse)

        return _recorded(run, g, (x, hx, cx, w_ih, w_hh, b_ih, b_hh, w_hr))
    size = cells.shape[1]
    d_out, d_h, d_c = g[0], g[1].copy(), g[2].copy()
    d = np.empty((x.shape[0], 4 * size), x.dtype)
    d_states = np.empty_like(d_h)
    d_projected: Any = None if w_hr is None else np.empty(d_out.shape, x.dtype)
    for begin, stop in reversed(_Walk(sizes, reverse).rows):
        n = stop - begin
        dh = np.add(d_h[:n], d_out[begin:stop], out=d_states[:n])
        if w_hr is not None:
            d_projected[begin:stop] = dh
            dh = np.matmul(dh, w_hr)
        lstm_step_back(gates, cells, d, dh, d_c, begin, stop)
        np.matmul(d[begin:stop], w_hh, out=d_h[:n])
    d_x, d_w_ih, d_bias = _input_gradients(d, x, w_ih, (needs[0], needs[3], needs[5] or needs[6]))
    d_w_hh = np.matmul(d.T, states) if needs[4] else None
    d_w_hr = np.matmul(d_projected.T, gates[0] * gates[4]) if needs[7] else None
    return d_x, d_h, d_c, d_w_ih, d_w_hh, d_bias, d_bias, d_w_hr


@op(
    joint=(("x", "hx", "cx", "w_ih", "w_hh", "b_ih", "b_hh", "w_hr"), _lstm_rule),
    keeps=("gates", "cells", "states"),
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
    walk = _Walk(sizes, reverse)
    size = cx.shape[1]
    gates = np.empty((5, x.shape[0], size), x.dtype)
    bias = b_ih if b_hh is None else b_hh if b_ih is None else b_ih + b_hh
    _input_products(x, w_ih, bias, _LSTM_GATES, gates[1:])
    w = _state_weights(w_hh, _LSTM_GATES)
    states, out = walk.states(hx)
    cells, cells_after = walk.states(cx)
    hidden = out if w_hr is None else np.empty_like(cells)
    products = np.empty((walk.most, 4 * size), x.dtype)
    with np.errstate(over="ignore"):
        for step, (begin, stop) in enumerate(walk.rows):
            np.matmul(states[begin:stop], w, out=products[: stop - begin])
            lstm_step(gates, products, cells, cells_after, hidden, begin, stop)
            if w_hr is not None:
                np.matmul(hidden[begin:stop], w_hr.T, out=out[begin:stop])
            walk.carry(step, states, out)
            walk.carry(step, cells, cells_after)
    return (out, walk.last(out), walk.last(cells_after)), gates, cells, states


# ----- GRU ----------------------------------------------------------------------------------------

_RESET, _UPDATE, _NEW = range(3)
_GRU_INPUTS = ((_NEW, 1), (_RESET, -1), (_UPDATE, -1))
_GRU_STATES = ((_RESET, -1), (_UPDATE, -1), (_NEW, 1))


def _gru_rule(
    g: Any,
    x: Any,
    hx: Any,
    w_ih: Any,
    w_hh: Any,
    b_ih: Any,
    b_hh: Any,
    gates: Any,
    states: Any,
    sizes: Any,
    reverse: bool,
    needs: Any,
) -> Any:
    if isinstance(x, Traced):

        def run(x: Any, hx: Any, *weights: Any) -> list[Any]:
            return layer_by_ops(_gru_cell, x, (hx,), weights, sizes, reverse)

        return _recorded(run, g, (x, hx, w_ih, w_hh, b_ih, b_hh))
    size = w_hh.shape[1]
    d_out, d_h = g[0], g[1].copy()
    # Gradients of candidates, reset and update gates, and the states' part of the candidates: the
    # first three are those of the inputs' products, the last three those of the states'.
    d = np.empty((x.shape[0], 4 * size), x.dtype)
    for begin, stop in reversed(_Walk(sizes, reverse).rows):
        n = stop - begin
        d_h[:n] += d_out[begin:stop]
        gru_step_back(gates, states, d, d_h, begin, stop)
        d_h[:n] += np.matmul(d[begin:stop, size:], w_hh)
    w_ih = np.roll(w_ih, size, axis=0)
    wanted = (needs[0], needs[2], needs[4])
    d_x, d_w_ih, d_b_ih = _input_gradients(d[:, : 3 * size], x, w_ih, wanted)
    return (
        d_x,
        d_h,
        None if d_w_ih is None else np.roll(d_w_ih, -size, axis=0),
        np.matmul(d[:, size:].T, states) if needs[3] else None,
        None if d_b_ih is None else np.roll(d_b_ih, -size),
        _row_sum(d[:, size:]) if needs[5] else None,
    )


@op(
    joint=(("x", "hx", "w_ih", "w_hh", "b_ih", "b_hh"), _gru_rule),
    keeps=("gates", "states"),
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
    walk = _Walk(sizes, reverse)
    size = hx.shape[1]
    bias_of_new = np.zeros(size, x.dtype) if b_hh is None else b_hh[2 * size :]
    bias = b_ih
    if b_hh is not None:
        bias = np.concatenate([b_hh[: 2 * size], np.zeros(size, x.dtype)])
        bias = bias if b_ih is None else bias + b_ih
    gates = np.empty((4, x.shape[0], size), x.dtype)
    _input_products(x, w_ih, bias, _GRU_INPUTS, gates[:3])
    w = _state_weights(w_hh, _GRU_STATES)
    states, after = walk.states(hx)
    products = np.empty((walk.most, 3 * size), x.dtype)
    with np.errstate(over="ignore"):
        for step, (begin, stop) in enumerate(walk.rows):
            np.matmul(states[begin:stop], w, out=products[: stop - begin])
            gru_step(gates, products, bias_of_new, states, after, begin, stop)
            walk.carry(step, states, after)
    # A copy: what is returned may be written to, as PyTorch allows it, and `states` are kept.
    return (after.copy(), walk.last(after)), gates, states


# ----- Plain RNN ----------------------------------------------------------------------------------


def _rnn_rule(
    g: Any,
    x: Any,
    hx: Any,
    w_ih: Any,
    w_hh: Any,
    b_ih: Any,
    b_hh: Any,
    states: Any,
    after: Any,
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
    d_out, d_h = g[0], g[1].copy()
    d = np.greater(after, 0).astype(x.dtype) if rectified else 1 - after * after
    for begin, stop in reversed(_Walk(sizes, reverse).rows):
        n = stop - begin
        d_h[:n] += d_out[begin:stop]
        d[begin:stop] *= d_h[:n]
        np.matmul(d[begin:stop], w_hh, out=d_h[:n])
    d_x, d_w_ih, d_bias = _input_gradients(d, x, w_ih, (needs[0], needs[2], needs[4] or needs[5]))
    d_w_hh = np.matmul(d.T, states) if needs[3] else None
    return d_x, d_h, d_w_ih, d_w_hh, d_bias, d_bias


@op(
    joint=(("x", "hx", "w_ih", "w_hh", "b_ih", "b_hh"), _rnn_rule),
    keeps=("states", "after"),
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
    """Return a plain recurrent layer's outputs and its state at the end; its function is tanh or ReLU.

    Source: Elman, "Finding Structure in Time", 1990.
    """
    walk = _Walk(sizes, reverse)
    products = np.matmul(x, w_ih.T)
    for bias in (b_ih, b_hh):
        if bias is not None:
            products += bias
    states, after = walk.states(hx)
    for step, (begin, stop) in enumerate(walk.rows):
        z = np.matmul(states[begin:stop], w_hh.T, out=after[begin:stop])
        z += products[begin:stop]
        if rectified:
            np.maximum(z, 0, out=z)
        else:
            np.tanh(z, out=z)
        walk.carry(step, states, after)
    return (after.copy(), walk.last(after)), states, after
