"""Kernels that take from places and write or add to them: `tinygrad_like.arrays.accumulating`.

A place out of range, which only an index changed behind the back of its op can name, is passed over:
as an unsigned number it is too large. Indices and what lies beside them are walked through in one
loop, since the innermost dimension is often of size 1.
"""

import numpy as np

from tinygrad_like.jit.compiler import kernel


@kernel
def take_along(index, x, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Set ``out[a, i, b]`` to ``x[a, index[a, i, b], b]``."""
    before, count, after = index.shape
    places, step, b = np.uint64(x.shape[1]), np.uint64(after), np.uint64(0)
    indices, source = index.reshape(before, count * after), x.reshape(before, x.shape[1] * after)
    target = out.reshape(before, count * after)
    for a in range(before):
        for k in range(count * after):
            p = np.uint64(indices[a, k])
            if p < places:
                target[a, k] = source[a, p * step + b]
            b += np.uint64(1)
            if b == step:
                b = np.uint64(0)


@kernel
def put_along(index, x, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Set ``out[a, index[a, i, b], b]`` to ``x[a, i, b]``."""
    before, count, after = index.shape
    places, step, b = np.uint64(out.shape[1]), np.uint64(after), np.uint64(0)
    indices, source = index.reshape(before, count * after), x.reshape(before, count * after)
    target = out.reshape(before, out.shape[1] * after)
    for a in range(before):
        for k in range(count * after):
            p = np.uint64(indices[a, k])
            if p < places:
                target[a, p * step + b] = source[a, k]
            b += np.uint64(1)
            if b == step:
                b = np.uint64(0)


@kernel
def add_along(index, x, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Add ``x[a, i, b]`` to ``out[a, index[a, i, b], b]``."""
    before, count, after = index.shape
    places, step, b = np.uint64(out.shape[1]), np.uint64(after), np.uint64(0)
    indices, source = index.reshape(before, count * after), x.reshape(before, count * after)
    target = out.reshape(before, out.shape[1] * after)
    for a in range(before):
        for k in range(count * after):
            p = np.uint64(indices[a, k])
            if p < places:
                target[a, p * step + b] += source[a, k]
            b += np.uint64(1)
            if b == step:
                b = np.uint64(0)


@kernel
def add_slices(x, index, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Add ``x[a, i]`` to ``out[a, index[i]]``."""
    before, count, after = x.shape
    places = np.uint64(out.shape[1])
    for a in range(before):
        if after == 1:
            source, target = x[a, :, 0], out[a, :, 0]
            for i in range(count):
                p = np.uint64(index[i])
                if p < places:
                    target[p] += source[i]
        else:
            for i in range(count):
                p = np.uint64(index[i])
                if p < places:
                    for b in range(after):
                        out[a, p, b] += x[a, i, b]
