"""Einsum equations of every form: values, derivatives and refusals are PyTorch's."""

from __future__ import annotations

import string
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.both import compare

torch = pytest.importorskip("torch")

LETTERS = "ijkAz"
ALPHABET = string.ascii_uppercase + string.ascii_lowercase


@st.composite
def equations(draw: Any) -> tuple[str, list[tuple[int, ...]]]:
    """An equation and the shapes of its operands; one in ten has a mistake."""
    sizes = {letter: draw(st.sampled_from([1, 2, 3, 2, 3, 0])) for letter in LETTERS}
    hidden = [draw(st.sampled_from([1, 2])) for _ in range(draw(st.integers(0, 2)))]
    terms, shapes = [], []
    for _ in range(draw(st.integers(1, 3))):
        letters = draw(st.lists(st.sampled_from(LETTERS[: draw(st.integers(1, 5))]), max_size=3))
        seen: dict[str, int] = {}
        shape = []
        for letter in letters:  # repeated in one operand, a letter has one size there
            size = seen.setdefault(letter, draw(st.sampled_from([sizes[letter]] * 4 + [1])))
            shape.append(size)
        if draw(st.integers(0, 2)) == 0:
            place = draw(st.integers(0, len(letters)))
            parts = hidden[draw(st.integers(0, len(hidden))) :]
            parts = [draw(st.sampled_from([n, 1])) for n in parts]
            letters.insert(place, "...")
            shape[place:place] = parts
        terms.append("".join(letters))
        shapes.append(tuple(shape))
    equation = ",".join(terms)
    if draw(st.integers(0, 2)):
        used = sorted(set(equation) - set(",."))
        order = draw(st.permutations(used))
        output = list(order[: draw(st.integers(0, len(order)))])
        if "..." in equation and draw(st.integers(0, 4)):
            output.insert(draw(st.integers(0, len(output))), "...")
        equation += "->" + "".join(output)
    if draw(st.integers(0, 9)) == 0:
        mistake = draw(st.sampled_from(["q", ".", ",", "->", "1", "i", " ", "....", "-", ">"]))
        place = draw(st.integers(0, len(equation)))
        equation = equation[:place] + mistake + equation[place:]
    elif draw(st.integers(0, 3)) == 0:
        equation = " ".join(equation.replace("->", "\0").replace("...", "\1"))
        equation = equation.replace("\0", "->").replace("\1", "...")
    return equation, shapes


def operands(module: Any, shapes: list[tuple[int, ...]], grad: bool = False) -> list[Any]:
    """Return tensors with small whole numbers, sums of which are exact."""
    rng = np.random.default_rng(len(shapes))
    made = [module.tensor(rng.integers(-3, 4, shape).astype("float64")) for shape in shapes]
    return [t.requires_grad_(grad) for t in made]


def as_lists(equation: str) -> list[Any] | None:
    """Return the lists that say the same as an equation: each operand's, and the output's or None."""

    def numbers(term: str) -> list[Any]:
        parts = term.replace("...", ".")
        return [Ellipsis if c == "." else ALPHABET.index(c) for c in parts]

    left, arrow, right = equation.replace(" ", "").partition("->")
    try:
        found: list[Any] = [numbers(term) for term in left.split(",")]
        return [*found, numbers(right) if arrow else None]
    except ValueError:
        return None


@example(("i.. .->i", [(2, 2)]))
@example(("i- >", [(2,)]))
@example(("i->i->", [(2,)]))
@given(equations())
def test_values(case: Any) -> None:
    equation, shapes = case
    compare(lambda t: t.einsum(equation, *operands(t, shapes)), any_error=True)
    compare(lambda t: t.einsum(equation, operands(t, shapes)), any_error=True)


@example(("......", [(1, 1)]))
@given(equations())
def test_lists_of_labels(case: Any) -> None:
    equation, shapes = case
    labels = as_lists(equation)
    if labels is None or len(labels) != len(shapes) + 1:
        return

    def call(module: Any) -> Any:
        pairs = zip(operands(module, shapes), labels, strict=False)
        given = [part for pair in pairs for part in pair]
        return module.einsum(*given, *([] if labels[-1] is None else [labels[-1]]))

    compare(call, any_error=True)


@example(("zij,->ij", [(0, 0, 1), ()]))
@example(("ii,", [(0, 0), ()]))
@example(("ii,iii->i", [(1, 1), (0, 0, 0)]))
@given(equations())
def test_derivatives(case: Any) -> None:
    equation, shapes = case

    def call(module: Any) -> Any:
        xs = operands(module, shapes, grad=True)
        out = module.einsum(equation, *xs)
        weights = module.tensor(np.arange(1.0, out.numel() + 1).reshape(tuple(out.shape)))
        first = module.autograd.grad((out * out * weights).sum(), xs, create_graph=True)
        total = sum((g * g).sum() for g in first)
        second = (
            module.autograd.grad(total, xs, allow_unused=True) if total.requires_grad else first
        )
        zeros = [module.zeros_like(x) for x in xs]
        return out, first, [z if g is None else g for g, z in zip(second, zeros, strict=True)]

    compare(call, any_error=True)
