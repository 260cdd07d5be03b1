"""Functions of float32 that are computed in float64 vectors: against NumPy's, element by element."""

import numpy as np
import pytest

from tinygrad_like.arrays import single

CORNERS = np.array(
    [
        0,
        -0.0,
        np.inf,
        -np.inf,
        np.nan,
        1,
        -1,
        2,
        0.5,
        1e-09,
        -1e-30,
        1e-44,
        3e38,
        88.9,
        -89.2,
        5,
        -7,
        np.float32(np.pi / 2),
        np.float32(-3 * np.pi / 2),
        2.0**20,
        2.0**25 + 4,
        -1e-05,
        0.0001,
    ],
    np.float32,
)
SIZE = 20000


def any_bits(rng):
    """Return float32 numbers of any size, infinities and nans among them."""
    return rng.integers(0, 2**32, SIZE, dtype=np.uint32).view(np.float32)


def samples():
    rng = np.random.default_rng(0)
    usual = rng.normal(size=(2, SIZE)).astype(np.float32) * np.float32(3)
    yield "any", any_bits(rng), any_bits(rng)
    yield "usual", *usual
    yield "whole", *np.rint(usual)
    yield "small", usual[0] * np.float32(1e-4), usual[1]
    yield "large", usual[0] * np.float32(1e5), usual[1]
    first, second = np.meshgrid(CORNERS, CORNERS)
    yield "corners", np.tile(first.ravel(), 8), np.tile(second.ravel(), 8)


SAMPLES = list(samples())
each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=[name for name, *_ in SAMPLES])


def assert_close(found, exact, units):
    """Compare with float64 results: signs of zeros, infinities and nans too."""
    assert found.dtype == np.float32
    with np.errstate(over="ignore", invalid="ignore"):
        wanted = exact.astype(np.float32)
        spacing = np.spacing(np.maximum(np.abs(wanted), np.finfo(np.float32).tiny))
        error = np.abs(found - exact) / spacing
    finite = np.isfinite(wanted)
    assert (error[finite] <= units).all()
    np.testing.assert_array_equal(found[~finite], wanted[~finite])
    known = ~np.isnan(wanted)
    np.testing.assert_array_equal(np.signbit(found[known]), np.signbit(wanted[known]))


@each_sample
@pytest.mark.parametrize("name", ["tan", "arctan", "expm1", "log1p", "arctanh"])
def test_functions_of_one_number(name, sample):
    x = sample[1]
    with np.errstate(all="ignore"):
        exact = getattr(np, name)(x.astype(np.float64))
        assert_close(getattr(single, name)(x), exact, 1)


@each_sample
@pytest.mark.parametrize("name", ["floor_divide", "remainder", "fmod", "arctan2"])
def test_functions_of_two_numbers(name, sample):
    _, x, y = sample
    ufunc = getattr(np, name)
    with np.errstate(all="ignore"):
        found = getattr(single, name)(x, y)
        if name == "arctan2":
            assert_close(found, ufunc(x.astype(np.float64), y.astype(np.float64)), 1)
        else:
            assert_close(found, ufunc(x, y).astype(np.float64), 0)


@each_sample
def test_hyperbolic_functions(sample):
    x = sample[1]
    with np.errstate(all="ignore"):
        for wanted in [(True, True), (True, False), (False, True)]:
            outs = [np.empty_like(x) if w else None for w in wanted]
            single.sinh_and_cosh(x, *outs)
            for out, ufunc in zip(outs, (np.sinh, np.cosh), strict=True):
                if out is not None:
                    assert_close(out, ufunc(x.astype(np.float64)), 1)


def test_shapes_and_layouts():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 30, 5)).astype(np.float32)
    row = rng.uniform(1, 2, (30, 1)).astype(np.float32)
    for a, b in [(x, row), (row, x), (x.transpose(2, 0, 1), x[:1, :, :1].reshape(30)), (x, 2.5)]:
        np.testing.assert_array_equal(single.remainder(a, b), np.remainder(a, b))
    turned = x.transpose(2, 0, 1)
    assert single.tan(turned).strides == np.tan(turned).strides
    np.testing.assert_allclose(single.tan(x[:, ::2]), np.tan(x[:, ::2]), rtol=1e-6)


def test_vectors_are_taken_for_many_float32():
    @single.in_double(np.sqrt)
    def nine(x):
        x[:] = 9
        return x, x, 10

    many, few = np.ones(single.LEAST, np.float32), np.ones(single.LEAST - 1, np.float32)
    assert (nine(many) == 9).all()
    assert (nine(few) == 1).all()
    assert (nine(many.astype(np.float64)) == 1).all()
    out = np.empty_like(many)
    assert nine(many, out=out) is out
    assert (out == 9).all()


def test_elements_that_are_too_large_are_left_to_numpy():
    @single.in_double(np.sqrt)
    def nine(x):
        return np.full_like(x, 9), x, 10

    x = np.ones(single.LEAST, np.float32)
    x[[3, 4]] = 16, 10
    found = nine(x)
    np.testing.assert_array_equal(found[:6], np.float32([9, 9, 9, 4, np.sqrt(np.float32(10)), 9]))
