"""Rows for `tinygrad_like.ops.recurrent`: each op in both directions, with the same weights."""

import tinygrad_like
from tests.rows.base import Real, Row
from tinygrad_like.ops import recurrent

EVEN, RAGGED, ONE = (2, 2, 2), (3, 2, 2, 1), (2,)


def _both_ways(layer, arguments, sizes, *options):
    """Return what `layer` gives in both directions, as PyTorch gives it for a bidirectional layer."""
    results = [layer(*arguments, sizes, reverse, *options) for reverse in (False, True)]
    out, *ends = zip(*results, strict=True)
    return (tinygrad_like.cat(out, 1), *(tinygrad_like.stack(end) for end in ends))


def _theirs(torch, name, x, states, weights, sizes):
    both = [torch.stack([state, state]) for state in states]
    given = [weight for weight in weights if weight is not None]
    hx = both if len(both) == 2 else both[0]
    biases = weights[2] is not None
    sizes = torch.tensor(sizes)
    return getattr(torch, name)(x, sizes, hx, given * 2, biases, 1, 0.0, False, True)


def _lstm(torch, x, hx, cx, *rest):
    *weights, sizes = rest
    if torch.__name__ == "torch":
        return _theirs(torch, "lstm", x, (hx, cx), weights, sizes)
    weights += [None] * (5 - len(weights))
    return _both_ways(recurrent.lstm_layer, (x, hx, cx, *weights), sizes)


def _gru(torch, x, hx, *rest):
    *weights, sizes = rest
    if torch.__name__ == "torch":
        return _theirs(torch, "gru", x, (hx,), weights, sizes)
    return _both_ways(recurrent.gru_layer, (x, hx, *weights), sizes)


def _rnn(nonlinearity):
    def call(torch, x, hx, *rest):
        *weights, sizes = rest
        if torch.__name__ == "torch":
            return _theirs(torch, f"rnn_{nonlinearity}", x, (hx,), weights, sizes)
        rectified = nonlinearity == "relu"
        return _both_ways(recurrent.rnn_layer, (x, hx, *weights), sizes, rectified)

    return call


def _samples(gates, states=1, size=3, into=2, projected=None):
    """Return operands for one layer: with equal lengths, with different ones, and without biases."""
    samples = []
    for sizes, biases in ((EVEN, True), (RAGGED, True), (RAGGED, False), (ONE, True)):
        shown = projected or size
        before = [Real((sizes[0], shown)), Real((sizes[0], size))][:states]
        weights = [Real((gates * size, into)), Real((gates * size, shown))]
        weights += [Real((gates * size,)) if biases else None] * 2
        if projected:
            weights.append(Real((projected, size)))
        samples.append((Real((sum(sizes), into)), *before, *weights, sizes))
    return samples


ROWS = [
    Row("lstm_layer", _lstm, _samples(4, states=2)),
    Row("lstm_layer", _lstm, _samples(4, states=2, projected=2), name="projected"),
    Row("gru_layer", _gru, _samples(3)),
    Row("rnn_layer", _rnn("tanh"), _samples(1), name="tanh"),
    Row("rnn_layer", _rnn("relu"), _samples(1), name="relu"),
]
