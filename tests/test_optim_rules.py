"""The passes that are written out for NumPy do what the formula says."""

import itertools

import numpy as np
import pytest

import tinygrad_like as ours
from tests.kernels.optim import RULES
from tinygrad_like.nn.optim import adam, passes, rules, sgd

BINARY = (np.add, np.subtract, np.multiply, np.divide, np.maximum, np.minimum, np.add, np.subtract)
UNARY = (np.negative, np.abs, np.sign, np.sqrt)


def random_formula(seed):
    """Return a formula of random operations, much like those of optimizers."""

    def formula(p, g, kept, numbers, flags):
        del flags
        rng = np.random.default_rng(seed)
        values = [p, g, *kept]

        def some():
            return values[rng.integers(max(0, len(values) - 6), len(values))]

        for _ in range(rng.integers(0, 12)):
            kind = rng.integers(0, 5)
            if kind == 0:
                values.append(UNARY[rng.integers(len(UNARY))](np.abs(some())))
            elif kind == 1:
                values.append(rules.where(some() > some(), some(), numbers[0]))
            elif kind == 2:
                values.append(numbers[rng.integers(2)] * some())
            else:
                values.append(BINARY[rng.integers(len(BINARY))](some(), some()))
        new = []
        for old in (p, *kept):
            if rng.integers(3):  # as running means are
                y, step = (numbers[0] * old if rng.integers(2) else old), numbers[1] * some()
                values.append(step)
                values.append(y + step if rng.integers(2) else y - step)
                new.append(values[-1])
            else:
                new.append(values[rng.integers(len(values))])
        return new[0], tuple(new[1:])

    return formula


@pytest.mark.parametrize("size", [5, passes._LEAST])
@pytest.mark.parametrize("seed", range(150))
def test_random_formulas(monkeypatch, seed, size):
    monkeypatch.setattr(passes, "_MOST", 16)
    monkeypatch.setattr(passes, "_scratch", passes._Scratch())
    rng = np.random.default_rng(seed)
    p, g, *kept = rng.standard_normal((4, size)) + 0.1
    numbers = tuple(np.array(value) for value in (0.75, 0.5))
    formula = random_formula(seed)
    with np.errstate(all="ignore"):
        wanted_p, wanted = formula(p.copy(), g.copy(), [k.copy() for k in kept], numbers, ())
        before = g.copy()
        rules.write(formula, len(kept), len(numbers), ())(p, g, tuple(kept), numbers)
    np.testing.assert_array_equal(g, before)
    for got, value in zip((p, *kept), (wanted_p, *wanted), strict=True):
        np.testing.assert_allclose(got, value, rtol=1e-13, atol=1e-13)


def lines(rule, slots, count, flags):
    text = rules.source(rule.formula, slots, count, flags)
    return [line.strip() for line in text.splitlines() if "(" in line and "scratch" not in line][1:]


def test_few_passes_and_arrays():
    assert lines(sgd.rule, 1, 4, (False, True, False, False)) == [
        "axpby(n3, g, n2, k0, t0)",
        "axpby(n0, k0, None, p, t0, np.subtract)",
    ]
    assert lines(adam.rule, 3, 7, (True, True, False, False)) == [
        "axpby(n2, g, n1, k0, t0)",
        "np.multiply(g, g, t0)",
        "axpby(n4, t0, n3, k1, t0)",
        "np.sqrt(k1, t0)",
        "np.add(t0, n5, t0)",
        "np.divide(k0, t0, t0)",
        "axpby(n6, t0, n0, p, t0, np.subtract)",
    ]


def test_no_rule_needs_more_scratch_than_there_is():
    for name, (slots, numbers, count) in RULES.items():
        for flags in itertools.product((False, True), repeat=count):
            text = rules.source(rules.FORMULAS[name], slots, len(numbers), flags)
            assert text.count("scratch(") <= passes._MOST, (name, flags)


def test_formulas_know_no_numpy_of_their_own():
    w = ours.tensor([3.0, 4.0])
    new, (kept,) = sgd.rule.formula(
        w, w * 0.5, (w * 0,), (0.5, 0.0, 0.9, 1.0), (False, True, False, False)
    )
    assert new.tolist() == [2.25, 3.0]
    assert kept.tolist() == [1.5, 2.0]
