"""The workloads written in NumPy by hand, with no graph: what a framework on NumPy can hope for.

Every function takes the arrays that a workload starts from and returns its step.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext as active
from typing import Any

import numpy as np

from benchmarks.systems import by_hand
from benchmarks.workloads import Work, gpt

__all__ = ["active", "make"]

Array = Any
Step = Callable[[], Any]
PIECE = 1 << 15  # elements worked on at a time, so that they stay in cache


# ----- Parameters and optimizers ------------------------------------------------------------------


class Flat:
    """Arrays in one buffer: `views` of it, and `grads`, views of a second one."""

    def __init__(self, arrays: list[Array]) -> None:
        self.memory = np.concatenate([a.ravel() for a in arrays])
        self.gradient = np.zeros_like(self.memory)
        ends = np.cumsum([a.size for a in arrays])[:-1]
        self.views, self.grads = (
            [part.reshape(a.shape) for part, a in zip(np.split(m, ends), arrays, strict=True)]
            for m in (self.memory, self.gradient)
        )


def pieces(*arrays: Array, size: int = PIECE) -> Any:
    """Go through arrays of equal length together, a piece of their first dimension at a time."""
    for start in range(0, len(arrays[0]), size):
        yield [a[start : start + size] for a in arrays]


def sgd(flat: Flat, lr: float) -> Step:
    def update() -> None:
        flat.memory -= lr * flat.gradient

    return update


def adam(flat: Flat, lr: float = 1e-3, decay: float = 0.0) -> Step:
    first, second = np.zeros_like(flat.memory), np.zeros_like(flat.memory)
    room = np.empty(PIECE, np.float32)
    beta1, beta2, epsilon, t = 0.9, 0.999, 1e-8, 0

    def update() -> None:
        nonlocal t
        t += 1
        rate, root = lr / (1 - beta1**t), (1 - beta2**t) ** 0.5
        for w, g, m, v in pieces(flat.memory, flat.gradient, first, second):
            a = room[: len(w)]
            if decay:
                w *= 1 - lr * decay
            np.subtract(g, m, out=a)
            a *= 1 - beta1
            m += a
            np.multiply(g, g, out=a)
            a *= 1 - beta2
            v *= beta2
            v += a
            np.sqrt(v, out=a)
            a /= root
            a += epsilon
            np.divide(m, a, out=a)
            a *= rate
            w -= a

    return update


def adam_alone(*arrays: Array) -> Step:
    count = len(arrays) // 2
    flat = Flat(list(arrays[:count]))
    flat.gradient[:] = np.concatenate([a.ravel() for a in arrays[count:]])
    update = adam(flat)

    def step() -> Array:
        update()
        return flat.views[-1]

    return step


# ----- Losses: the value, and the gradient of their input -----------------------------------------


def cross_entropy(logits: Array, labels: Array) -> tuple[Array, Array]:
    rows = np.arange(len(labels))
    logits -= logits.max(1, keepdims=True)
    picked = logits[rows, labels]
    g = np.exp(logits, out=logits)
    total = g.sum(1, keepdims=True)
    loss = (np.log(total[:, 0]) - picked).mean()
    g /= total * len(labels)
    g[rows, labels] -= 1 / len(labels)
    return loss, g


def bce_with_logits(x: Array, y: Array) -> tuple[Array, Array]:
    e = np.exp(-np.abs(x))
    loss = (np.maximum(x, 0) - x * y + np.log1p(e)).mean()
    sigmoid = np.where(x >= 0, 1, e) / (1 + e)
    return loss, (sigmoid - y) / x.size


# ----- Small workloads ----------------------------------------------------------------------------


def chain_forward(x: Array, y: Array) -> Step:
    def step() -> Array:
        h = x
        for _ in range(50):
            h = h * y
            h = h + x
        return h

    return step


def chain(x: Array, y: Array) -> Step:
    def step() -> Array:
        h, saved = x, []
        for _ in range(50):
            saved.append(h)
            h = h * y
            h = h + x
        h.sum()
        g, x_grad, y_grad = np.ones_like(x), np.zeros_like(x), np.zeros_like(y)
        for h in reversed(saved):
            x_grad += g
            y_grad += g * h
            g = g * y
        x_grad += g
        return y_grad

    return step


def perceptron(criterion: Any, optimizer: Any, *start: Array) -> Step:
    *parameters, x, y = start
    flat = Flat(parameters)
    update = optimizer(flat)
    layers = list(zip(flat.views[::2], flat.views[1::2], strict=True))
    grads = list(zip(flat.grads[::2], flat.grads[1::2], strict=True))

    def step() -> Array:
        inputs, h = [], x
        for w, b in layers:
            if inputs:
                np.maximum(h, 0, out=h)
            inputs.append(h)
            h = h @ w.T
            h += b
        loss, g = criterion(h, y)
        for i in reversed(range(len(layers))):
            np.matmul(g.T, inputs[i], out=grads[i][0])
            g.sum(0, out=grads[i][1])
            if i:
                g = g @ layers[i][0]
                g *= inputs[i] > 0
        update()
        return loss

    return step


# ----- Images, channels first and the batch innermost ---------------------------------------------


def columns(x: Array) -> Array:
    """Return the 3 x 3 windows of (C, H, W, N), padded by one, as (C * 9, H * W * N)."""
    c, h, w, n = x.shape
    padded = np.zeros((c, h + 2, w + 2, n), x.dtype)
    padded[:, 1:-1, 1:-1] = x
    out = np.empty((c, 3, 3, h, w, n), x.dtype)
    for i in range(3):
        for j in range(3):
            out[:, i, j] = padded[:, i : i + h, j : j + w]
    return out.reshape(c * 9, -1)


def image(g: Array, shape: tuple[int, ...]) -> Array:
    """Return the gradient of what `columns` took."""
    c, h, w, n = shape
    g = g.reshape(c, 3, 3, h, w, n)
    padded = np.zeros((c, h + 2, w + 2, n), g.dtype)
    for i in range(3):
        for j in range(3):
            padded[:, i : i + h, j : j + w] += g[:, i, j]
    return padded[:, 1:-1, 1:-1]


def corners(x: Array) -> list[Array]:
    """Return the four views of (C, H, W, N) whose maximum is the pooled image."""
    return [x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]


def cnn(*start: Array) -> Step:
    *parameters, x, y = start
    flat = Flat(parameters)
    update = adam(flat)
    *convolutions, (w, b) = zip(flat.views[::2], flat.views[1::2], strict=True)
    *kernels, (w_grad, b_grad) = zip(flat.grads[::2], flat.grads[1::2], strict=True)

    def step() -> Array:
        saved = []
        h = x.transpose(1, 2, 3, 0)
        for kernel, bias in convolutions:
            windows = columns(h)
            out = (kernel.reshape(len(kernel), -1) @ windows).reshape(-1, *h.shape[1:])
            first, second, third, fourth = corners(out)
            pooled = np.maximum(np.maximum(first, second), np.maximum(third, fourth))
            saved.append((h.shape, windows, out, pooled))
            h = pooled + bias[:, None, None, None]  # the pool commutes with bias and ReLU
            np.maximum(h, 0, out=h)
        features = h.reshape(-1, len(x))
        loss, g = cross_entropy((w @ features).T + b, y)
        np.matmul(g.T, features.T, out=w_grad)
        g.sum(0, out=b_grad)
        g = (w.T @ g.T).reshape(h.shape)
        for i in (1, 0):
            shape, windows, out, pooled = saved[i]
            kernel, bias = convolutions[i]
            g = g * (pooled > -bias[:, None, None, None])
            g.sum((1, 2, 3), out=kernels[i][1])
            spread = np.empty_like(out)
            for part, corner in zip(corners(spread), corners(out), strict=True):
                np.multiply(g, corner == pooled, out=part)
            spread = spread.reshape(len(kernel), -1)
            np.matmul(spread, windows.T, out=kernels[i][0].reshape(len(kernel), -1))
            if i:
                g = image(kernel.reshape(len(kernel), -1).T @ spread, shape)
        update()
        return loss

    return step


# ----- Rows: softmax, norms, gelu -----------------------------------------------------------------


def total(x: Array) -> Array:
    """Return the sums of rows, as a product, which is twice as fast."""
    return (x @ np.ones(x.shape[-1], x.dtype))[..., None]


def softmax_rows(x: Array, out: Array) -> None:
    np.subtract(x, x.max(-1, keepdims=True), out=out)
    np.exp(out, out=out)
    out *= 1 / total(out)


def softmax_gradient(g: Array, y: Array, out: Array) -> None:
    np.multiply(g, y, out=out)
    np.subtract(g, total(out), out=out)
    out *= y


def softmax(x: Array, g: Array) -> Step:
    def step() -> Array:
        y, out = np.empty_like(x), np.empty_like(x)
        for parts in pieces(x, y, size=128):
            softmax_rows(*parts)
        for parts in pieces(g, y, out, size=128):
            softmax_gradient(*parts)
        return out

    return step


def normalize(x: Array, w: Array, b: Array) -> tuple[Array, ...]:
    """Return the layer norm of rows, the rows before weight and bias, and their scale."""
    y, normal = np.empty_like(x), np.empty_like(x)
    scale = np.empty((len(x), 1), x.dtype)
    for a, out, n, s in pieces(x, y, normal, scale, size=128):
        np.subtract(a, total(a) / a.shape[1], out=n)
        np.multiply(n, n, out=out)
        s[:] = 1 / np.sqrt(total(out) / a.shape[1] + 1e-5)
        n *= s
        np.multiply(n, w, out=out)
        out += b
    return y, normal, scale


def normalize_gradient(
    g: Array, normal: Array, scale: Array, w: Array, w_grad: Array, b_grad: Array
) -> Array:
    """Return the gradient of the rows, and fill the weight's and the bias's."""
    out, room = np.empty_like(g), np.empty_like(g[:128])
    w_grad[:] = b_grad[:] = 0
    part = (w / len(w))[:, None]
    for a, n, s, o in pieces(g, normal, scale, out, size=128):
        ones = np.ones(len(a), a.dtype)
        np.multiply(a, n, out=o)
        w_grad += ones @ o
        b_grad += ones @ a
        along = np.multiply(n, o @ part, out=room[: len(n)])
        mean = a @ part
        np.multiply(a, w, out=o)
        o -= mean
        o -= along
        o *= s
    return out


def layernorm(x: Array, w: Array, b: Array, g: Array) -> Step:
    def step() -> Array:
        _, normal, scale = normalize(x, w, b)
        return normalize_gradient(g, normal, scale, w, np.empty_like(w), np.empty_like(b))

    return step


def gelu_and_slope(x: Array, out: Array, slope: Array) -> None:
    """Fill the gelu of a vector and its derivative (erf by Abramowitz and Stegun 7.1.26)."""
    t = np.abs(x)
    t *= 0.3275911 * 0.5**0.5
    t += 1
    np.divide(1, t, out=t)
    bell = x * x
    bell *= -0.5
    np.exp(bell, out=bell)
    tail = t * (0.5 * 1.061405429)  # what the normal distribution has beyond |x|
    for c in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        tail += 0.5 * c
        tail *= t
    tail *= bell
    below = np.subtract(0.5, tail, out=tail)
    below *= np.sign(x, out=t)
    below += 0.5
    bell *= (2 * np.pi) ** -0.5
    bell *= x
    np.add(below, bell, out=slope)
    np.multiply(x, below, out=out)


def gelu(x: Array, w: Array, b: Array) -> Step:
    def step() -> Array:
        x_grad, w_grad, b_grad = (np.empty_like(x) for _ in range(3))
        total = 0.0
        for a, c, d, a_grad, c_grad, d_grad in pieces(x, w, b, x_grad, w_grad, b_grad):
            h = a * c
            h += d
            gelu_and_slope(h, a_grad, d_grad)
            total += a_grad.sum()
            np.multiply(d_grad, a, out=c_grad)
            np.multiply(d_grad, c, out=a_grad)
        return w_grad

    return step


def embedding(table: Array, g: Array, ids: Array) -> Step:
    def step() -> Array:
        table.take(ids, 0)
        order = np.argsort(ids, kind="stable")
        ordered = ids[order]
        starts = np.flatnonzero(np.diff(ordered, prepend=-1))
        times = np.diff(starts, append=len(ids))
        out = np.zeros_like(table)
        for k in range(times.max()):  # every id's k-th row
            rows = starts[times > k] + k
            out[ordered[rows]] += g[order[rows]]
        return out

    return step


def matmul(x: Array, y: Array, g: Array) -> Step:
    def step() -> Array:
        x @ y
        x.T @ g
        return g @ y.T

    return step


# ----- Sequences ----------------------------------------------------------------------------------


def lstm(w: Array, u: Array, b: Array, c: Array, x: Array, y: Array) -> Step:
    flat = Flat([w, u, b, c])
    (w, u, b, c), grads = flat.views, flat.grads
    update = sgd(flat, 0.1)
    steps, batch, width = y.shape

    def step() -> Array:
        gates = x.reshape(-1, x.shape[2]) @ w.T
        gates += b + c
        gates = gates.reshape(steps, batch, 4 * width)
        hidden = np.zeros((steps + 1, batch, width), x.dtype)
        cells, squashed = np.zeros_like(hidden), np.empty_like(y)
        for t in range(steps):
            a = gates[t]
            if t:
                a += hidden[t] @ u.T
            middle = a[:, 2 * width : 3 * width]
            middle *= 2  # tanh(x) = 2 sigmoid(2 x) - 1
            np.negative(a, out=a)
            np.exp(a, out=a)
            a += 1
            np.reciprocal(a, out=a)
            middle *= 2
            middle -= 1
            i, f, m, o = np.split(a, 4, 1)
            np.multiply(f, cells[t], out=cells[t + 1])
            cells[t + 1] += i * m
            np.tanh(cells[t + 1], out=squashed[t])
            np.multiply(o, squashed[t], out=hidden[t + 1])
        g = hidden[1:] - y
        loss = np.vdot(g, g) / g.size
        g *= 2 / g.size
        # What the gates' gradients are made of, for all steps at once.
        parts = gates.reshape(steps, batch, 4, width)
        i, f, m, o = (parts[:, :, k] for k in range(4))
        slopes = parts - parts * parts
        slopes[:, :, 0] *= m
        slopes[:, :, 1] *= cells[:-1]
        np.multiply(i, 1 - m * m, out=slopes[:, :, 2])
        slopes[:, :, 3] *= squashed
        through = o * (1 - squashed * squashed)
        cell = np.zeros((batch, width), x.dtype)
        for t in reversed(range(steps)):
            cell += g[t] * through[t]
            np.multiply(slopes[t, :, :3], cell[:, None], out=slopes[t, :, :3])
            slopes[t, :, 3] *= g[t]
            cell *= f[t]
            if t:
                g[t - 1] += slopes[t].reshape(batch, -1) @ u
        rows = slopes.reshape(-1, 4 * width)
        np.matmul(rows.T, x.reshape(-1, x.shape[2]), out=grads[0])
        np.matmul(rows.T, hidden[:-1].reshape(-1, width), out=grads[1])
        rows.sum(0, out=grads[2])
        grads[3][:] = grads[2]
        update()
        return loss

    return step


def transformer(*start: Array) -> Step:
    *parameters, ids, targets = start
    flat = Flat(parameters)
    update = adam(flat, decay=0.1)
    tokens, positions, *blocks, norm_w, norm_b, head = flat.views
    tokens_grad, positions_grad, *block_grads, norm_w_grad, norm_b_grad, head_grad = flat.grads
    batch, length = ids.shape
    width = tokens.shape[1]
    heads = (batch, length, 3, gpt.HEADS, width // gpt.HEADS)
    mask = np.triu(np.full((length, length), -np.inf, np.float32), 1)
    scale = float(heads[-1] ** -0.5)

    def linear_gradient(
        g: Array, x: Array, w: Array, w_grad: Array, b_grad: Array | None = None
    ) -> Array:
        np.matmul(g.T, x, out=w_grad)
        if b_grad is not None:
            g.sum(0, out=b_grad)
        return g @ w

    def attention(x: Array, mix: Array, mix_b: Array) -> tuple[Array, ...]:
        qkv = x @ mix.T
        qkv += mix_b
        qkv = np.ascontiguousarray(qkv.reshape(heads).transpose(2, 0, 3, 1, 4))
        q, k, v = qkv
        q *= scale
        weights = q @ k.swapaxes(2, 3)
        weights += mask
        softmax_rows(weights, weights)
        return (weights @ v).transpose(0, 2, 1, 3).reshape(-1, width), weights, qkv

    def attention_gradient(g: Array, weights: Array, qkv: Array) -> Array:
        q, k, v = qkv
        out = np.empty_like(qkv)
        g = g.reshape(batch, length, *heads[3:]).transpose(0, 2, 1, 3)
        np.matmul(weights.swapaxes(2, 3), g, out=out[2])
        scores = g @ v.swapaxes(2, 3)
        softmax_gradient(scores, weights, scores)
        np.matmul(scores, k, out=out[0])
        out[0] *= scale
        np.matmul(scores.swapaxes(2, 3), q, out=out[1])
        return out.transpose(1, 3, 0, 2, 4).reshape(-1, 3 * width)

    def step() -> Array:
        saved = []
        x = (tokens[ids] + positions).reshape(-1, width)
        for i in range(0, len(blocks), 12):
            w1, b1, mix, mix_b, out, out_b, w2, b2, up, up_b, down, down_b = blocks[i : i + 12]
            y, *norm1 = normalize(x, w1, b1)
            z, *attended = attention(y, mix, mix_b)
            x = x + z @ out.T
            x += out_b
            u, *norm2 = normalize(x, w2, b2)
            h = u @ up.T
            h += up_b
            slope = np.empty_like(h)
            for a, s in pieces(h, slope, size=64):
                gelu_and_slope(a, a, s)
            saved.append((y, norm1, z, attended, u, norm2, h, slope))
            x = x + h @ down.T
            x += down_b
        y, *norm = normalize(x, norm_w, norm_b)
        loss, g = cross_entropy(y @ head.T, targets.ravel())
        g = linear_gradient(g, y, head, head_grad)
        g = normalize_gradient(g, *norm, norm_w, norm_w_grad, norm_b_grad)
        for i in reversed(range(0, len(blocks), 12)):
            w1, _, mix, _, out, _, w2, _, up, _, down, _ = blocks[i : i + 12]
            grads = block_grads[i : i + 12]
            y, norm1, z, attended, u, norm2, h, slope = saved.pop()
            slope *= linear_gradient(g, h, down, *grads[10:])
            inner = linear_gradient(slope, u, up, *grads[8:10])
            g += normalize_gradient(inner, *norm2, w2, *grads[6:8])
            inner = attention_gradient(linear_gradient(g, z, out, *grads[4:6]), *attended)
            inner = linear_gradient(inner, y, mix, *grads[2:4])
            g += normalize_gradient(inner, *norm1, w1, *grads[:2])
        g.reshape(batch, length, width).sum(0, out=positions_grad)
        tokens_grad[:] = np.eye(len(tokens), dtype=g.dtype)[:, ids.ravel()] @ g
        update()
        return loss

    return step


MAKERS: dict[str, Callable[..., Step]] = {
    "chain_forward": chain_forward,
    "chain": chain,
    "moons": lambda *start: perceptron(bce_with_logits, lambda flat: sgd(flat, 0.1), *start),
    "mnist64": lambda *start: perceptron(cross_entropy, adam, *start),
    "mnist512": lambda *start: perceptron(cross_entropy, adam, *start),
    "cnn": cnn,
    "gpt": transformer,
    "lstm": lstm,
    "gelu": gelu,
    "softmax": softmax,
    "layernorm": layernorm,
    "embedding": embedding,
    "matmul": matmul,
    "adam": adam_alone,
    "adam_default": adam_alone,
}


def make(workload: str) -> Work:
    return by_hand(workload, MAKERS)
