"""Sums of products written as an equation of dimension labels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import prod
from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.arrays.products import product
from tinygrad_like.arrays.sums import total
from tinygrad_like.graph import Array, Traced, as_tensor
from tinygrad_like.lines import told
from tinygrad_like.op import Arrays, op
from tinygrad_like.ops.comparison import unsupported
from tinygrad_like.ops.conversion import convert
from tinygrad_like.ops.diagonals import diagonal
from tinygrad_like.ops.expanding import broadcast_to
from tinygrad_like.ops.reduction import _sum, sum_to
from tinygrad_like.ops.shaping import permute, reshape

__all__ = ["einsum"]

Labels = tuple[int, ...]
_FREE = (
    1 << 20
)  # labels from here on stand for the dimensions of an ellipsis, counted from the right


# ----- One product of several arrays --------------------------------------------------------------


def _contract_rule(g: Array, i: int, xs: Any, inputs: Any, output: Labels) -> Array:
    """Return the gradient of operand `i`: the same sum of products with `g` in the operand's place."""
    mine = inputs[i]
    shape = tuple(xs[i].shape)
    others = [x for j, x in enumerate(xs) if j != i]
    labels = [label for j, label in enumerate(inputs) if j != i]
    known = {label for group in (output, *labels) for label in group}
    found = tuple(label for label in mine if label in known)
    out = contract([g, *others], (output, *labels), found)
    if found != mine:  # the rest was summed over by itself
        kept = iter(out.shape)
        out = reshape(out, tuple(next(kept) if label in known else 1 for label in mine))
    wide = tuple(n if m == 1 else m for m, n in zip(out.shape, shape, strict=True))
    out = out if out.shape == wide else broadcast_to(out, wide)
    return out if out.shape == shape else sum_to(out, shape)


@op(xs=lambda g, i, xs, inputs, output: _contract_rule(g, i, xs, inputs, output), label="Einsum")
def contract(xs: Arrays, inputs: tuple[Labels, ...], output: Labels) -> Array:
    """Return the product of arrays whose dimensions bear labels, summed over those not in `output`.

    No array bears a label twice. Dimensions of size 1 are broadcast.
    """
    parts = list(zip(xs, inputs, strict=True))
    while len(parts) > 1:
        first, second = _cheapest(parts, output) if len(parts) > 2 else (0, 1)
        b, a = parts.pop(second), parts.pop(first)
        keep = set(output).union(*(labels for _, labels in parts))
        parts.append(_pair(*a, *b, keep))
    array, labels = parts[0]
    array, labels = _summed(array, labels, set(output))
    return array.transpose([labels.index(label) for label in output])


def _cheapest(parts: list[tuple[Array, Labels]], output: Labels) -> tuple[int, int]:
    """Return the two parts whose product is smallest."""

    def size(pair: tuple[int, int]) -> int:
        i, j = pair
        rest = [labels for k, (_, labels) in enumerate(parts) if k not in pair]
        keep = set(output).union(*rest)
        sizes = {
            label: n
            for k in (i, j)
            for label, n in zip(parts[k][1], parts[k][0].shape, strict=True)
            if label in keep
        }
        return prod(sizes.values())

    return min(combinations(range(len(parts)), 2), key=size)


def _summed(x: Array, labels: Labels, keep: set[int]) -> tuple[Array, Labels]:
    """Return `x` summed over the dimensions whose label is not in `keep`."""
    axes = tuple(i for i, label in enumerate(labels) if label not in keep)
    if not axes:
        return x, labels
    return np.asarray(total(x, axes)).astype(x.dtype, copy=False), tuple(
        label for label in labels if label in keep
    )


def _without_ones(x: Array, labels: Labels, sizes: dict[int, int]) -> tuple[Array, Labels]:
    """Return `x` without the dimensions of size 1 that another operand's larger one is to broadcast."""
    axes = [i for i, label in enumerate(labels) if x.shape[i] == 1 and sizes.get(label, 1) != 1]
    if not axes:
        return x, labels
    return x.squeeze(tuple(axes)), tuple(label for i, label in enumerate(labels) if i not in axes)


def _pair(
    x: Array, x_labels: Labels, y: Array, y_labels: Labels, keep: set[int]
) -> tuple[Array, Labels]:
    """Return the product of two arrays, summed over labels not in `keep`, and its labels."""
    x_sizes = dict(zip(x_labels, x.shape, strict=True))
    y_sizes = dict(zip(y_labels, y.shape, strict=True))
    x, x_labels = _without_ones(x, x_labels, y_sizes)
    y, y_labels = _without_ones(y, y_labels, x_sizes)
    x, x_labels = _summed(x, x_labels, keep.union(y_labels))
    y, y_labels = _summed(y, y_labels, keep.union(x_labels))
    batch = tuple(label for label in x_labels if label in y_labels and label in keep)
    inner = tuple(label for label in x_labels if label in y_labels and label not in keep)
    rows = tuple(label for label in x_labels if label not in y_labels)
    columns = tuple(label for label in y_labels if label not in x_labels)
    out_labels = (*batch, *rows, *columns)
    if not inner:
        x = x.transpose([x_labels.index(label) for label in (*batch, *rows)])
        y = y.transpose([y_labels.index(label) for label in (*batch, *columns)])
        left = x.reshape((*x.shape, *([1] * len(columns))))
        head, tail = y.shape[: len(batch)], y.shape[len(batch) :]
        return left * y.reshape((*head, *([1] * len(rows)), *tail)), out_labels
    x = x.transpose([x_labels.index(label) for label in (*batch, *rows, *inner)])
    y = y.transpose([y_labels.index(label) for label in (*batch, *inner, *columns)])
    lead = x.shape[: len(batch)]
    row_shape = x.shape[len(batch) : len(batch) + len(rows)]
    column_shape = y.shape[len(batch) + len(inner) :]
    length = prod(x.shape[len(batch) + len(rows) :])
    left = x.reshape((*lead, prod(row_shape), length))
    right = y.reshape((*lead, length, prod(column_shape)))
    if not rows and not columns and batch:  # many small products of vectors
        out = np.einsum("...rk,...kc->...rc", left, right)
    else:
        out = product(left, right)
    return out.reshape((*lead, *row_shape, *column_shape)), out_labels


# ----- Equations ----------------------------------------------------------------------------------


def _wrong(text: str) -> RuntimeError:
    return told(RuntimeError, f"einsum(): {text}")


def _parse(term: str, where: str) -> list[int | None]:
    """Return the labels of one term, None for its ellipsis."""
    labels: list[int | None] = []
    position = 0
    while position < len(term):
        character = term[position]
        if term.startswith("...", position):
            if None in labels:
                raise _wrong(f"found '.' for {where} for which an ellipsis was already found")
            labels.append(None)
            position += 3
            continue
        if character == ".":
            raise _wrong(f"found '.' for {where} that is not part of any ellipsis")
        if not (character.isascii() and character.isalpha()):
            raise _wrong(
                f"invalid subscript given at index {position} in the equation string, subscripts must be "
                f"in [a-zA-Z]: got {character!r}"
            )
        labels.append(ord(character))
        position += 1
    return labels


def _terms(args: Sequence[Any]) -> tuple[list[Any], list[list[int | None]], Any]:
    """Return operands, their labels and the output's (None if not given), from either way to call."""
    if isinstance(args[0], str):
        if "." in args[0].replace("...", "") or "- >" in args[0]:
            raise _wrong(f"found '.' or '-' in {args[0]!r} that is not part of '...' or '->'")
        equation = args[0].replace(" ", "")
        operands = list(args[1:])
        if len(operands) == 1 and isinstance(operands[0], list | tuple):
            operands = list(operands[0])
        left, arrow, right = equation.partition("->")
        if ">" in left or ">" in right or "-" in left:
            raise _wrong(f"found an arrow that is not '->' in {equation!r}")
        names = left.split(",")
        inputs = [_parse(name, f"operand {i}") for i, name in enumerate(names)]
        output = _parse(right, "the output") if arrow else None
    else:
        operands = list(args[0 : len(args) - len(args) % 2 : 2])
        lists = [list(a) for a in args[1::2]]
        inputs = [_parse_list(a) for a in lists]
        output = _parse_list(list(args[-1])) if len(args) % 2 else None
    if not operands:
        raise told(
            ValueError,
            "einsum(): must specify the equation string and at least one operand, or at least one operand "
            "and its subscripts list",
        )
    if len(inputs) != len(operands):
        kind = "fewer" if len(operands) < len(inputs) else "more"
        raise _wrong(
            f"{kind} operands were provided than specified in the equation, {len(operands)} for "
            f"{len(inputs)}"
        )
    return operands, inputs, output


def _parse_list(labels: list[Any]) -> list[int | None]:
    for label in labels:
        if label is not Ellipsis and not (isinstance(label, int) and 0 <= label < 52):
            raise told(
                ValueError,
                f"einsum(): subscript in subscript list is not within the valid range [0, 52): {label!r}",
            )
    if labels.count(Ellipsis) > 1:
        raise _wrong("found a second ellipsis in a list of subscripts")
    # The order in which an output that is not given lists its labels is A-Za-z, as for letters.
    return [None if label is Ellipsis else label + 65 + 6 * (label > 25) for label in labels]


def _without_repeats(x: Any, labels: Sequence[int], operand: int) -> tuple[Any, Labels]:
    """Return the diagonal over labels that an operand bears twice."""
    found = list(labels)
    for label in dict.fromkeys(labels):
        while found.count(label) > 1:
            first = found.index(label)
            second = found.index(label, first + 1)
            if x.shape[first] != x.shape[second]:
                raise _wrong(
                    f"subscript {chr(label)} is repeated for operand {operand} but the sizes don't match, "
                    f"{x.shape[second]} != {x.shape[first]}"
                )
            x = diagonal(x, 0, first, second)
            del found[second], found[first]
            found.append(label)
    return x, tuple(found)


def _check(operands: list[Any], inputs: list[Labels], output: Labels) -> None:
    sizes: dict[int, int] = {}
    for operand, (x, labels) in enumerate(zip(operands, inputs, strict=True)):
        for label, size in zip(labels, x.shape, strict=True):
            former = sizes.get(label, 1)
            if size not in (former, 1) and former != 1:
                name = f"subscript {chr(label)}" if label < _FREE else "a dimension of the ellipsis"
                raise _wrong(
                    f"{name} has size {size} for operand {operand} which does not broadcast with "
                    f"previously seen size {former}"
                )
            sizes[label] = max(size, former) if size else 0
    for label in output:
        if label not in sizes:
            raise _wrong(
                f"output subscript {chr(label)} does not appear in the equation for any input operand"
            )
        if output.count(label) > 1:
            raise _wrong(f"output subscript {chr(label)} appears more than once in the output")


def _of_one_type(operands: list[Any], inputs: list[Labels], output: Labels) -> list[Any]:
    """Return the operands in one dtype: elements mix as in a product, but sums of products do not."""
    target = dtypes.result([x.array for x in operands])
    pairs = zip(operands, inputs, strict=True)
    named = [
        label for x, labels in pairs for label, n in zip(labels, x.shape, strict=True) if n > 1
    ]
    summed = {label for label in named if named.count(label) > 1 and label not in output}
    found = []
    for operand, x in enumerate(operands):
        if summed and x.array.dtype.kind == "b":
            raise unsupported("bmm", x.array.dtype)
        if summed and x.dtype is not operands[0].dtype:
            raise _wrong(
                f"expected scalar type {operands[0].dtype} but found {x.dtype} for operand {operand}; "
                "convert one with .to(dtype)"
            )
        found.append(convert(x, target))
    return found


def einsum(*args: Any) -> Any:
    """Return the sum of products that an equation such as ``"ij,jk->ik"`` describes.

    Each letter labels a dimension of an operand; a letter twice in one operand takes its diagonal; what
    the output does not name is summed over; ``...`` stands for further dimensions, which are broadcast.
    Without ``->`` the output has the letters that occur once, in alphabetical order. Instead of an
    equation, lists of numbers may follow the operands: ``einsum(x, [0, 1], y, [1, 2], [0, 2])``.

    Raises:
        RuntimeError: if the equation is malformed or does not fit the operands.

    >>> import tinygrad_like as torch
    >>> x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> torch.einsum("ij,ij->i", x, x)
    tensor([ 5., 25.])
    >>> torch.einsum("ii", x)
    tensor(5.)
    """
    if not args:
        raise told(
            ValueError, "einsum(): must specify the equation string and at least one operand"
        )
    given, terms, right = _terms(args)
    operands = []
    for position, x in enumerate(given):
        if not isinstance(x, Traced | np.ndarray):
            raise told(
                TypeError, f"einsum(): operand {position} must be Tensor, not {type(x).__name__}"
            )
        operands.append(as_tensor(x))
    inputs: list[Labels] = []
    widest = 0
    for position, (x, term) in enumerate(zip(operands, terms, strict=True)):
        hidden = x.ndim - len(term) + (None in term)
        if hidden < 0 or (hidden and None not in term):
            raise _wrong(
                f"the number of subscripts in the equation ({len(term) - (None in term)}) does not match "
                f"the number of dimensions ({x.ndim}) for operand {position}"
                + ("" if None in term else " and no ellipsis was given")
            )
        widest = max(widest, hidden)
        inputs.append(_filled(term, hidden))
    if right is None:
        named = [label for labels in inputs for label in labels if label < _FREE]
        output = (
            *_filled([None], widest),
            *sorted(label for label in set(named) if named.count(label) == 1),
        )
    else:
        output = _filled(right, widest)
    for position, labels in enumerate(inputs):
        operands[position], inputs[position] = _without_repeats(
            operands[position], labels, position
        )
    _check(operands, inputs, output)
    operands = _of_one_type(operands, inputs, output)
    if len(operands) == 1:
        (x,), (labels,) = operands, inputs
        summed = tuple(i for i, label in enumerate(labels) if label not in output)
        x = _sum(x, summed) if summed else x
        left = [label for label in labels if label in output]
        return permute(x, tuple(left.index(label) for label in output))
    return contract(operands, tuple(inputs), output)


def _filled(term: Sequence[int | None], hidden: int) -> Labels:
    """Return labels with those of the ellipsis in its place."""
    labels: list[int] = []
    for label in term:
        if label is None:
            labels.extend(_FREE + place for place in range(hidden - 1, -1, -1))
        else:
            labels.append(label)
    return tuple(labels)
