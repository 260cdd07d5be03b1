"""The machinery of the op table: what every row of `tests.rows` is held to.

Run one op's rows with ``pytest tests/test_ops.py -k name``.
"""

from __future__ import annotations

import sys
import warnings
import zlib
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import tinygrad_like as ours
from tests.rows import Row, collect
from tests.rows.base import Bools, Ints, Real
from tinygrad_like.graph import result_type
from tinygrad_like.op import REGISTRY
from tinygrad_like.testing import assert_close

try:
    import torch
except ImportError:  # what needs no oracle still runs
    torch = None

needs_torch = pytest.mark.skipif(torch is None, reason="the oracle is not installed")
RTOL = {"float64": 1e-11, "float32": 2e-5}
ROWS = collect()


class Case(NamedTuple):
    """One row with one of its samples."""

    row: Row
    specs: tuple[Any, ...]
    seed: int

    def draw(self, dtype: str, shapes: Any = None) -> list[Any]:
        rng = np.random.default_rng(self.seed)
        return [
            spec.draw(rng, dtype, None if shapes is None else shapes[i])
            if isinstance(spec, Real | Ints | Bools)
            else spec
            for i, spec in enumerate(self.specs)
        ]

    def differentiable(self) -> list[int]:
        if self.row.order == 0:
            return []
        return [i for i, spec in enumerate(self.specs) if isinstance(spec, Real) and spec.grad]


def _cases(order: int = 0, broadcast: bool = False, operands: int = 0) -> Any:
    found = []
    for name, row in ROWS:
        for number, specs in enumerate(row.samples):
            case = Case(row, specs, zlib.crc32(f"{name}{number}".encode()))
            if row.order < order or (broadcast and not row.broadcast):
                continue
            if len(case.differentiable()) < operands:
                continue
            found.append(pytest.param(case, id=f"{name}-{number}"))
    return pytest.mark.parametrize("case", found)


both_dtypes = pytest.mark.parametrize("dtype", ["float64", "float32"])


# ----- The two sides, spoken to in one language ---------------------------------------------------


class Ours:
    """Calls rows with this package."""

    module = ours

    @staticmethod
    def leaf(array: Any, grad: bool) -> Any:
        if not isinstance(array, np.ndarray):
            return array
        return result_type.make(array).requires_grad_(grad)

    @staticmethod
    def array(t: Any) -> Any:
        return t.array if isinstance(t, ours.Tensor) else t

    @staticmethod
    def wants(t: Any) -> bool:
        return isinstance(t, ours.Tensor) and t.requires_grad

    @staticmethod
    def grad(*args: Any, **kwargs: Any) -> Any:
        from tinygrad_like.backward import grad

        return grad(*args, **kwargs)

    @staticmethod
    def seed() -> None:
        getattr(ours, "manual_seed", int)(0)


class Theirs:
    """Calls rows with PyTorch."""

    module = torch

    @staticmethod
    def leaf(array: Any, grad: bool) -> Any:
        if not isinstance(array, np.ndarray):
            return array
        return torch.tensor(array).requires_grad_(grad)

    @staticmethod
    def array(t: Any) -> Any:
        return t.numpy(force=True) if isinstance(t, torch.Tensor) else t

    @staticmethod
    def wants(t: Any) -> bool:
        return isinstance(t, torch.Tensor) and t.requires_grad

    @staticmethod
    def grad(*args: Any, **kwargs: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.autograd.grad(*args, **kwargs)

    @staticmethod
    def seed() -> None:
        torch.default_generator.manual_seed(0)  # alone, which is ten times faster


def _outputs(side: Any, row: Row, operands: list[Any]) -> list[Any]:
    side.seed()
    if side is Theirs:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            out = row.call(side.module, *operands)
    else:
        out = row.call(side.module, *operands)
    return list(out) if isinstance(out, tuple | list) else [out]


class Result(NamedTuple):
    """What one run of a case gave, as arrays."""

    operands: list[Any]
    outputs: list[Any]
    wants: list[bool]
    grads: list[Any]
    second: list[Any]


def _weights(case: Case, outputs: list[Any], dtype: str, salt: int) -> list[np.ndarray]:
    rng = np.random.default_rng(case.seed + salt)
    return [rng.uniform(0.5, 1.5, np.shape(o)).astype(o.dtype) for o in outputs]


def _run(
    side: Any,
    case: Case,
    arrays: list[Any],
    *,
    dtype: str = "float64",
    order: int = 1,
    create_graph: bool = False,
    only: list[int] | None = None,
) -> Result:
    wanted = case.differentiable() if only is None else only
    operands = [side.leaf(a, i in wanted) for i, a in enumerate(arrays)]
    outputs = _outputs(side, case.row, operands)
    wants = [side.wants(o) for o in outputs]
    differentiable = [o for o in outputs if side.wants(o)]
    leaves = [operands[i] for i in wanted]
    grads: list[Any] = []
    second: list[Any] = []
    plain = [side.array(o) for o in outputs]
    if differentiable and leaves and order:
        weights = _weights(case, [side.array(o) for o in differentiable], dtype, 1)
        starts = [side.leaf(w, order == 2) for w in weights]
        graph = create_graph or order == 2
        found = side.grad(differentiable, leaves, starts, create_graph=graph, allow_unused=True)
        grads = [None if g is None else side.array(g) for g in found]
        live = [g for g in found if g is not None and side.wants(g)]
        if order == 2 and live:
            starts2 = [
                side.leaf(w, False) for w in _weights(case, [side.array(g) for g in live], dtype, 2)
            ]
            second = side.grad(live, [*leaves, *starts], starts2, allow_unused=True)
            second = [None if g is None else side.array(g) for g in second]
    return Result(operands, plain, wants, grads, second)


def _close(actual: Any, expected: Any, rtol: float, what: str) -> None:
    is_array = isinstance(expected, np.ndarray | np.generic)
    if is_array and expected.dtype.kind == "f":
        finite = np.abs(expected[np.isfinite(expected)])
        atol = rtol * max(1.0, float(finite.max(initial=0.0)))
    else:
        rtol = atol = 0.0
    if is_array or isinstance(expected, bool | int | float | None):
        words = lambda message: f"{what}: {message}"
        assert_close(actual, expected, rtol=rtol, atol=atol, equal_nan=True, msg=words)
    else:
        assert actual == expected, f"{what}: {actual} instead of {expected}"


def _close_lists(
    actual: list[Any], expected: list[Any], rtol: float, what: str, missing_is_zero: bool = True
) -> None:
    assert len(actual) == len(expected), f"{what}: {len(actual)} of them, not {len(expected)}"
    for i, (a, e) in enumerate(zip(actual, expected, strict=True)):
        if missing_is_zero and (a is None or e is None):
            found = a if e is None else e
            assert found is None or not np.any(found), f"{what} {i}: one side has none"
            continue
        _close(a, e, rtol, f"{what} {i}")


def _tolerance(row: Row, dtype: str) -> float:
    return row.rtol[dtype == "float32"] if row.rtol else RTOL[dtype]


def _compare_sides(case: Case, arrays: list[Any], dtype: str, order: int) -> None:
    a = _run(Ours, case, arrays, dtype=dtype, order=order)
    e = _run(Theirs, case, arrays, dtype=dtype, order=order)
    rtol = _tolerance(case.row, dtype)
    _close_lists(a.outputs, e.outputs, 0.0 if case.row.exact else rtol, "output", False)
    assert a.wants == e.wants, f"requires_grad of the outputs: {a.wants}, not {e.wants}"
    _close_lists(a.grads, e.grads, rtol, "gradient")
    if order == 2 and (a.second or e.second):
        zeros = [None] * max(len(a.second), len(e.second))
        _close_lists(a.second or zeros, e.second or zeros, 10 * rtol, "second-order gradient")


# ----- What every row is held to ------------------------------------------------------------------


@needs_torch
@both_dtypes
@_cases()
def test_value_and_gradients_are_torchs(case: Case, dtype: str) -> None:
    _compare_sides(case, case.draw(dtype), dtype, case.row.order)


@both_dtypes
@_cases(order=1)
def test_rules_give_the_same_on_arrays_and_on_tensors(case: Case, dtype: str) -> None:
    arrays = case.draw(dtype)
    plain = _run(Ours, case, arrays, dtype=dtype)
    recorded = _run(Ours, case, arrays, dtype=dtype, create_graph=True)
    _close_lists(recorded.grads, plain.grads, 1e-13 if dtype == "float64" else 1e-6, "gradient")
    for i, g in zip(case.differentiable(), plain.grads, strict=bool(plain.grads)):
        assert g is None or g.dtype == arrays[i].dtype


def _objective(case: Case, arrays: list[Any], wants: list[bool], weights: list[Any]) -> float:
    outputs = _outputs(Ours, case.row, [Ours.leaf(a, False) for a in arrays])
    picked = [Ours.array(o) for o, w in zip(outputs, wants, strict=True) if w]
    return sum(float((w * o).sum()) for w, o in zip(weights, picked, strict=True))


@_cases(order=1)
def test_gradient_is_what_finite_differences_say(case: Case) -> None:
    if not case.row.finite:
        return
    arrays = case.draw("float64")
    result = _run(Ours, case, arrays)
    wanted = [o for o, w in zip(result.outputs, result.wants, strict=True) if w]
    weights = _weights(case, wanted, "float64", 1)
    rng = np.random.default_rng(case.seed + 4)
    step = 1e-5
    for i, g in zip(case.differentiable(), result.grads, strict=bool(result.grads)):
        g = np.zeros_like(arrays[i]) if g is None else g
        places = rng.permutation(arrays[i].size)[
            :12
        ]  # enough: a wrong rule is wrong nearly everywhere
        numeric = np.zeros(len(places))
        for number, place in enumerate(places):
            sides = []
            for sign in (1, -1):
                moved = [a.copy() if isinstance(a, np.ndarray) else a for a in arrays]
                moved[i].flat[place] += sign * step
                sides.append(_objective(case, moved, result.wants, weights))
            numeric[number] = (sides[0] - sides[1]) / (2 * step)
        _close(g.reshape(-1)[places], numeric, 1e-6, f"gradient of operand {i}")


@_cases(order=2)
def test_second_order_is_what_finite_differences_say(case: Case) -> None:
    if not case.row.finite:
        return
    arrays = case.draw("float64")
    result = _run(Ours, case, arrays, order=2)
    rng = np.random.default_rng(case.seed + 3)
    direction = [rng.uniform(-1, 1, arrays[i].shape) for i in case.differentiable()]

    def along(step: float) -> float:
        moved = list(arrays)
        for i, d in zip(case.differentiable(), direction, strict=True):
            moved[i] = np.asarray(arrays[i] + step * d)
        r = _run(Ours, case, moved, order=2)
        live = [g for g in r.grads if g is not None]
        return sum(
            float((w * g).sum())
            for w, g in zip(_weights(case, live, "float64", 2), live, strict=True)
        )

    if any(g is None for g in result.grads) or not result.second:
        return  # linear in every operand, or one of them unused: PyTorch is the judge of that
    analytic = sum(
        float((g * d).sum())
        for g, d in zip(result.second, direction, strict=False)
        if g is not None
    )
    numeric = (along(1e-5) - along(-1e-5)) / 2e-5
    assert analytic == pytest.approx(numeric, rel=1e-5, abs=1e-5)


def _transposed(a: Any) -> Any:
    if not isinstance(a, np.ndarray) or a.ndim < 2:
        return a
    return np.ascontiguousarray(a.T).T


def _strided(a: Any) -> Any:
    if not isinstance(a, np.ndarray) or a.ndim == 0:
        return a
    room = np.zeros((*a.shape[:-1], 2 * a.shape[-1] + 1), a.dtype)
    view = room[..., 1::2]
    view[...] = a
    return view


@_cases()
def test_layout_of_operands_does_not_matter(case: Case) -> None:
    arrays = case.draw("float64")
    order = min(case.row.order, 2)
    plain = _run(Ours, case, arrays, order=order)
    for layout in (_transposed, _strided):
        other = _run(Ours, case, [layout(a) for a in arrays], order=order)
        _close_lists(other.outputs, plain.outputs, 1e-12, f"{layout.__name__}: output", False)
        _close_lists(other.grads, plain.grads, 1e-12, f"{layout.__name__}: gradient")
        _close_lists(other.second, plain.second, 1e-11, f"{layout.__name__}: second order")


@needs_torch
@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3)], ids=["0-d", "empty", "empty-3-d"])
@_cases(broadcast=True)
def test_zero_dimensions_and_no_elements(case: Case, shape: tuple[int, ...]) -> None:
    for dtype in ("float64", "float32"):
        _compare_sides(case, case.draw(dtype, [shape] * len(case.specs)), dtype, case.row.order)


@needs_torch
@_cases(broadcast=True)
def test_random_shapes_broadcast(case: Case) -> None:
    shapes = npst.mutually_broadcastable_shapes(
        num_shapes=len(case.specs), max_dims=4, max_side=4, min_side=0
    )

    @settings(max_examples=max(settings.default.max_examples // 2, 1), database=None)
    @given(shapes, st.sampled_from(["float64", "float32"]))
    def run(shapes: Any, dtype: str) -> None:
        arrays = case.draw(dtype, shapes.input_shapes)
        _compare_sides(case, arrays, dtype, min(case.row.order, 1))

    run()


@_cases(order=1, operands=2)
def test_gradients_of_some_operands_only(case: Case) -> None:
    arrays = case.draw("float64")
    complete = _run(Ours, case, arrays, order=case.row.order)
    for position, i in enumerate(case.differentiable()):
        alone = _run(Ours, case, arrays, order=case.row.order, only=[i])
        expected = complete.grads[position] if complete.grads else None
        _close_lists(alone.grads or [None], [expected], 1e-12, f"gradient of operand {i} alone")


@_cases(order=1)
def test_gradients_are_owned_by_their_leaves(case: Case) -> None:
    from tinygrad_like.backward import backward

    arrays = case.draw("float64")
    leaves = [Ours.leaf(a, i in case.differentiable()) for i, a in enumerate(arrays)]
    outputs = [o for o in _outputs(Ours, case.row, leaves) if Ours.wants(o)]
    if not outputs:
        return
    before = [np.copy(a) for a in arrays if isinstance(a, np.ndarray)]
    weights = _weights(case, [o.array for o in outputs], "float64", 1)
    backward(outputs, [result_type.make(w) for w in weights])
    grads = [t.grad.array for t in leaves if isinstance(t, ours.Tensor) and t.grad is not None]
    others = [*weights, *(a for a in arrays if isinstance(a, np.ndarray))]
    others += [o.array for o in outputs]
    for position, g in enumerate(grads):
        for other in [*others, *grads[:position]]:
            assert not np.shares_memory(g, other)
    after = [a for a in arrays if isinstance(a, np.ndarray)]
    for a, b in zip(after, before, strict=True):
        np.testing.assert_array_equal(a, b, "an operand was written to")


# ----- The table is complete ----------------------------------------------------------------------


def test_every_op_has_a_row() -> None:
    named = {name for _, row in ROWS for name in row.ops}
    assert not sorted(set(REGISTRY) - named), "ops without a row in tests/rows"


def test_every_row_names_ops() -> None:
    named = {name for _, row in ROWS for name in row.ops}
    assert not sorted(named - set(REGISTRY)), "rows that name no registered op"


@pytest.mark.parametrize("row", [pytest.param(row, id=name) for name, row in ROWS])
def test_a_row_runs_the_ops_it_names(row: Row) -> None:
    codes = {code: name for name in row.ops for code in [REGISTRY[name].forward.__code__]}
    seen: set[str] = set()

    def profile(frame: Any, event: str, argument: Any) -> None:
        code = frame.f_code
        if event == "call":
            if code.co_filename.startswith("<op "):
                seen.add(code.co_name)
            seen.add(codes.get(code, ""))

    for specs in row.samples:
        case = Case(row, specs, 0)
        arrays = case.draw("float64")
        sys.setprofile(profile)
        try:
            _run(Ours, case, arrays, order=row.order)
        finally:
            sys.setprofile(None)
    assert not set(row.ops) - seen, "ops the row names, but does not run"
