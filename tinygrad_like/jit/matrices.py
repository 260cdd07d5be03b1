"""Kernels for the small blocks that decompositions of matrices come down to."""

from __future__ import annotations

from typing import Any

from tinygrad_like.jit.compiler import kernel


@kernel
def panel(a: Any, swaps: Any, start: int, stop: int) -> None:
    """Factor some columns of matrices into L and U, swapping whole rows."""
    rows, columns = a.shape[1:]
    for b in range(a.shape[0]):
        for j in range(start, stop):
            chosen, size = j, abs(a[b, j, j])
            for i in range(j + 1, rows):
                if abs(a[b, i, j]) > size:
                    chosen, size = i, abs(a[b, i, j])
            swaps[b, j] = chosen + 1
            if chosen != j:
                for k in range(columns):
                    held = a[b, j, k]
                    a[b, j, k] = a[b, chosen, k]
                    a[b, chosen, k] = held
            pivot = a[b, j, j]
            for i in range(j + 1, rows):
                if pivot != 0:
                    a[b, i, j] /= pivot
                factor = a[b, i, j]
                for k in range(j + 1, stop):
                    a[b, i, k] -= factor * a[b, j, k]


@kernel
def substitute(a: Any, out: Any, upper: bool, unit: bool) -> None:
    """Solve for matrices of triangles, in place."""
    size, columns = out.shape[1:]
    for b in range(a.shape[0]):
        for step in range(size):
            i = size - 1 - step if upper else step
            for other in range(step):
                j = size - 1 - other if upper else other
                factor = a[b, i, j]
                for k in range(columns):
                    out[b, i, k] -= factor * out[b, j, k]
            if not unit:
                pivot = a[b, i, i]
                for k in range(columns):
                    out[b, i, k] /= pivot
