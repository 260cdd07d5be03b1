"""What docs/coverage.md says is so: every spelling of every function, and no name too many."""

from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_like as ours
from tests import spelled
from tests.both import compare, flat
from tests.coverage_page import COLUMNS, PAGE, absences
from tests.plain_calls import CALLS
from tests.public_names import OUT_OF_SCOPE, SPACES, classified, public
from tests.recording import Array, Call
from tests.spelled import FORMS, ROWS, call_again, known, sharing, spelling

try:
    import torch
except ImportError:
    torch = None

in_checkout = pytest.mark.skipif(not PAGE.parent.exists(), reason="runs beside the sources only")

# What PyTorch raises where a form takes other arguments than the call that was recorded.
OTHER_ARGUMENTS = (TypeError, RuntimeError, AttributeError, ValueError, IndexError)

Holds = Callable[[str, Any], None]


SPELLINGS = [
    (line, form)
    for line in (sorted(known().calls) if torch is not None else ())
    for form in FORMS
    if spelling(torch, line, form) is not None
]


@pytest.mark.parametrize("number", range(len(CALLS)))
def test_calls_without_gradient_are_torchs(number: int, record_property: Holds) -> None:
    compare(CALLS[number])
    for line, numbers in known().plain.items():
        if number in numbers:
            record_property("holds", f"{line} value")


def _lacks(line: str, form: str, call: Call) -> bool:
    function = spelling(ours, line, form)
    if function is None or form != "out=":
        return function is None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _with_out(ours, line, call)
    except TypeError as error:
        return "out" in str(error)
    except (RuntimeError, NotImplementedError):
        pass
    return False


def _with_out(package: Any, line: str, call: Call) -> tuple[Any, list[Any], Any]:
    """Return the result, the arguments, and what was passed as ``out``."""
    types = [package_type(package, t) for t in spelled.tensors(call.result)]
    outs = [package.empty(0, dtype=dtype) for dtype in types]
    out = outs[0] if len(outs) == 1 else tuple(outs)
    extended = call._replace(kwargs={**call.kwargs, "out": out})
    result, arguments = call_again(package, line, "out=", extended)
    return result, arguments, out


def package_type(package: Any, t: Any) -> Any:
    return getattr(package, str(t.dtype).partition(".")[2])


SIGNS_ARE_FREE = ("svd", "linalg.svd", "linalg.eigh")  # of vectors: LAPACKs differ


def _close(actual: Any, expected: Any) -> None:
    assert len(actual) == len(expected), f"{actual}, not {expected}"
    for a, e in zip(actual, expected, strict=True):
        if isinstance(e, np.ndarray) and e.dtype.kind == "f":
            rtol = 1e-9 if e.dtype == np.float64 else 1e-5
            np.testing.assert_allclose(a, e, rtol, rtol)
        elif isinstance(e, np.ndarray):
            np.testing.assert_array_equal(a, e)
        else:
            assert a == e, f"{actual}, not {expected}"


def _seen(line: str, result: Any) -> list[Any]:
    if "empty" in line:  # what stands there is nobody's concern
        return [part for t in spelled.tensors(result) for part in (tuple(t.shape), str(t.dtype))]
    if line in SIGNS_ARE_FREE:
        return [np.abs(v) if isinstance(v, np.ndarray) else v for v in flat(result)]
    return flat(result)


def _run(package: Any, line: str, form: str, call: Call) -> tuple[list[Any], list[str]]:
    """Return everything that can be compared of one call."""
    if form == "out=":
        result, _, out = _with_out(package, line, call)
        same = [r is o for r, o in zip(spelled.tensors(result), spelled.tensors(out), strict=True)]
        return [*_seen(line, result), *same], []
    result, arguments = call_again(package, line, form, call)
    seen = _seen(line, result)
    if form == "in-place":
        seen += [result is arguments[0], *flat(arguments[0])]
    return seen, sharing(result, arguments)


@pytest.mark.parametrize(("line", "form"), SPELLINGS)
def test_spelling(line: str, form: str, record_property: Holds) -> None:
    ran = False
    viewed = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for call in known().calls[line]:
            try:
                expected, shared = _run(torch, line, form, call)
            except OTHER_ARGUMENTS:
                continue
            if _lacks(line, form, call):
                record_property("lacks", f"{line} {form}")
                return
            actual, ours_shared = _run(ours, line, form, call)
            _close(actual, expected)
            assert ours_shared == shared
            ran = True
            viewed |= set(shared)
    if ran:
        record_property("holds", f"{line} {form}")
        record_property("holds", f"{line} value")
    if form in ("function", "method") and viewed & {"view", "same"}:
        record_property("holds", f"{line} view")


# ----- What has no derivative here has none in PyTorch --------------------------------------------


def _leaf(value: Any) -> Any:
    """Return an argument for PyTorch that requires a gradient if it can."""
    if isinstance(value, Array) and value.array.dtype.kind == "f":
        return torch.from_numpy(np.copy(value.array)).requires_grad_()
    if type(value) in (list, tuple):
        return type(value)(map(_leaf, value))
    return spelled.given(torch, value)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "line",
    [line for line in sorted(known().calls) if not any(use.order for use in known().uses[line])],
)
def test_what_has_no_gradient_has_none_in_pytorch(line: str) -> None:
    pytest.importorskip("torch")
    function = spelling(torch, line, "function") or spelling(torch, line, "method")
    for call in known().calls[line] if callable(function) else ():
        leaves = [_leaf(a) for a in call.args]
        try:
            results = spelled.tensors(function(*leaves, **call.kwargs))
        except (*OTHER_ARGUMENTS, KeyError, BufferError):
            continue
        wanted = [t for t in spelled.tensors(leaves) if t.requires_grad and t.is_leaf]
        for result in results:
            if wanted and result.requires_grad and not any(result is leaf for leaf in wanted):
                with pytest.raises(RuntimeError):
                    torch.autograd.grad(result.sum(), wanted)


# ----- The page as it stands ----------------------------------------------------------------------

STALE = "docs/coverage.md is no longer so: make coverage-page writes it anew"


@functools.cache
def _written() -> dict[str, str]:
    """Return the mark of each ``"name column"`` in the tables of the page."""
    found = {}
    for row in PAGE.read_text(encoding="utf-8").splitlines() if PAGE.exists() else ():
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if len(cells) == 1 + len(COLUMNS) and cells[0].startswith("`") and cells[1] in "✓✗·":
            line = cells[0].strip("`").replace("F.", "nn.functional.")
            found |= {f"{line} {c}": mark for c, mark in zip(COLUMNS, cells[1:], strict=True)}
    return found


@in_checkout
def test_names_and_forms_on_the_page_exist() -> None:
    pytest.importorskip("scipy")  # calls of special functions are known with it only
    assert len(_written()) > 4000
    for entry, mark in _written().items():
        line, _, column = entry.rpartition(" ")
        if mark == "✓" and column in FORMS:
            lacking = [_lacks(line, column, call) for call in known().calls.get(line, ())]
            assert False in lacking, f"{entry}: {STALE}"


@in_checkout
def test_derivatives_on_the_page_are_those_of_the_op_table() -> None:
    pytest.importorskip("scipy")  # calls of special functions are known with it only
    for entry, mark in _written().items():
        line, _, column = entry.rpartition(" ")
        if mark == "✓" and column in ("gradient", "second"):
            orders = [use.order for use in known().uses.get(line, ())]
            assert max(orders, default=0) >= COLUMNS.index(column), f"{entry}: {STALE}"


@in_checkout
def test_what_the_page_lists_as_absent_is_what_is_absent() -> None:
    pytest.importorskip("torch")
    text = PAGE.read_text(encoding="utf-8")
    if f"PyTorch {torch.__version__.partition('+')[0]} " not in text:
        return  # written with another release, which has other names
    assert "\n".join(absences(*classified(torch))) in text, STALE


def test_ids_of_rows_are_unique() -> None:
    names = [name for name, _ in ROWS]
    assert len(set(names)) == len(names), "the page tells rows apart by their ids"


def test_every_reason_to_leave_out_has_names() -> None:
    pytest.importorskip("torch")
    names = [name for space in SPACES for name in public(space, torch)]
    for group in OUT_OF_SCOPE:
        assert any(re.fullmatch(group.pattern, name) for name in names), group.title
