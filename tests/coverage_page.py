"""Writes docs/coverage.md from a run of the tests: ``make coverage-page``.

As a plugin (``pytest -p tests.coverage_page``) it notes which tests passed and what they said of
themselves, with or without pytest-xdist, and writes the page when all is done.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import textwrap
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parent.parent / "docs" / "coverage.md"
ORACLE = "tests/test_ops.py::test_value_and_gradients_are_torchs"
FORMS = "tests/test_coverage_page.py::test_spelling"
COLUMNS = ("value", "gradient", "second", "function", "method", "in-place", "out=", "view")
HOLDS, LACKS, NONE = "✓", "✗", "·"

INTRODUCTION = """\
# What is here, and what is not

PyTorch {version} is the measure. `make coverage-page` runs the tests and writes this page from what passed;
nothing is marked that was not run and found equal to PyTorch in that run.

* **value**: results equal PyTorch's, for the operands of the op table (`tests/rows/`) in float64 and float32, or for
  the calls of `tests/plain_calls.py`;
* **gradient**, **second**: so do first and second derivatives, with any mix of operands that require them;
* **function**, **method**, **in-place**, **out=**: these spellings give the same too. In-place is `x.name_()`, for a
  function of `nn.functional` `name_()`;
* **view**: results share memory with an argument, or are it, in the very calls in which PyTorch's do. Where there is no
  mark they are new in all calls, as PyTorch's are.

`✓` holds. `✗` PyTorch has it and this package lacks it. `·` PyTorch has no such form, or there is no derivative.
Names stand below `torch.`; a method is in the line of its function.
"""

# Which modules of the package make up a table.
FAMILIES = {
    "Making tensors": "creation ranges interchange signal",
    "Random numbers": "random draws dropout",
    "Questions and conversions": "questions conversion protocols tensor dtypes modes functions device graph",
    "Operators": "operators",
    "Arithmetic": "arithmetic integers",
    "Functions of one number": "unary pointwise special",
    "Functions of several numbers, and comparisons": "elementwise comparison",
    "Activations": "activation rectifiers softmax gelu",
    "Reductions and norms": "reduction extrema norms scanning",
    "Statistics and counting": "statistics counting",
    "Sorting and searching": "sorting",
    "Shapes and views": "shaping expanding diagonals strided",
    "Joining and arranging": "joining arranging regions channels",
    "Indexing": "indexing scattering reducing masking",
    "Products and distances": "linalg products einsum distances",
    "Linear algebra": "matrix_functions decompositions linalg_package",
    "Convolution": "convolution windows",
    "Pooling": "pooling fractional",
    "Normalisation and embedding": "normalization embedding bags",
    "Attention": "attention",
    "Losses": "loss cross_entropy ctc composites",
    "Images": "resampling",
    "Special functions": "special_package deferred",
    "Forms for compilers, and rare ones": "copies rare",
}


class Notes:
    """What a run of the tests has shown."""

    def __init__(self) -> None:
        self.passed: set[str] = set()
        self.said: dict[str, set[str]] = defaultdict(set)
        self.failed = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed += report.failed
        if report.when == "call" and report.passed:
            self.passed.add(report.nodeid)
            for key, value in report.user_properties:
                self.said[key].add(str(value))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.failed or session.config.option.collectonly:
            return
        missed = expected() - self.passed
        if missed:
            print(
                f"\n{PAGE.name} was not written: {len(missed)} tests did not run, {min(missed)} for one"
            )
        else:
            PAGE.write_text(page(self), encoding="utf-8")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # a worker's reports reach the main process
        config.pluginmanager.register(Notes())


def expected() -> set[str]:
    """Return the tests without which the page would say too little."""
    from tests.spelled import ROWS
    from tests.test_coverage_page import SPELLINGS

    cases = [f"{name}-{number}" for name, row in ROWS for number in range(len(row.samples))]
    found = {f"{ORACLE}[{case}-{dtype}]" for case in cases for dtype in ("float64", "float32")}
    return found | {f"{FORMS}[{line}-{form}]" for line, form in SPELLINGS}


# ----- What holds ---------------------------------------------------------------------------------


def holding(notes: Notes) -> set[str]:
    """Return ``"name column"`` for everything that was shown."""
    from tests.spelled import known

    found = set(notes.said["holds"])
    for line, uses in known().uses.items():
        for use in uses:
            tests = {f"{ORACLE}[{use.case}-{dtype}]" for dtype in ("float64", "float32")}
            if tests <= notes.passed:
                found |= {f"{line} {column}" for column in COLUMNS[: use.order + 1]}
    return found


# ----- Which table --------------------------------------------------------------------------------


@functools.cache
def _homes() -> dict[str, str]:
    """Return the module that exports a name, for functions and then for methods."""
    import tinygrad_like as ours

    found: dict[str, str] = {}
    for package in ("ops", "nn", ""):
        path = Path(str(ours.__file__)).parent / package
        for info in pkgutil.iter_modules([str(path)]):
            if package == "nn" and info.name != "composites":
                continue
            name = ".".join(filter(None, ("tinygrad_like", package, info.name)))
            module = importlib.import_module(name)
            for public in (*getattr(module, "FUNCTIONAL", ()), *getattr(module, "__all__", ())):
                found.setdefault(public, info.name)
    for cls in ours.Tensor.__mro__:
        for method in vars(cls):
            found.setdefault(method, cls.__module__.rpartition(".")[2])
    return found


def _origin(line: str) -> str:
    import tinygrad_like as ours
    from tests.spelled import find

    return str(getattr(find(ours, line), "__module__", "")).rpartition(".")[2]


def family(line: str) -> str:
    """Return the title of the table a line belongs to."""
    space, _, name = line.rpartition(".")
    home = (
        {
            "linalg": "linalg_package",
            "special": "special_package",
            "signal.windows": "signal",
        }.get(space)
        or _homes().get(name)
        or _origin(line)
    )
    if name.startswith("__"):
        home = "operators"
    if name.endswith("_window"):
        home = "signal"
    for title, modules in FAMILIES.items():
        if home in modules.split():
            return title
    return "Others"


# ----- The page -----------------------------------------------------------------------------------


def page(notes: Notes) -> str:
    """Return the text of the page."""
    import torch

    from tests.public_names import classified

    holds, lacks = holding(notes), notes.said["lacks"]
    lines = sorted({entry.rpartition(" ")[0] for entry in holds})
    tables: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        tables[family(line)].append(line)
    missing, outside = classified(torch)
    parts = [INTRODUCTION.format(version=_release(torch)), *_counts(holds, lacks, missing, outside)]
    for title in (*FAMILIES, "Others"):
        if tables[title]:
            parts += [f"\n## {title}\n", *_table(tables[title], holds, lacks)]
    parts += ["", *others(torch, lines), *absences(missing, outside)]
    return "\n".join(parts) + "\n"


def _release(torch: Any) -> str:
    return str(torch.__version__).partition("+")[0]


def _counts(
    holds: set[str], lacks: set[str], missing: dict[str, Any], outside: dict[str, Any]
) -> Iterator[str]:
    yield "| | holds | lacking |"
    yield "|---|--:|--:|"
    for column in COLUMNS:
        count, lacking = (sum(e.endswith(f" {column}") for e in s) for s in (holds, lacks))
        yield f"| {column} | {count} | {lacking or ''} |"
    yield (
        f"\n{sum(map(len, missing.values()))} names of PyTorch are missing, "
        f"{sum(map(len, outside.values()))} are out of scope: both are listed at the end."
    )


def _table(lines: list[str], holds: set[str], lacks: set[str]) -> Iterator[str]:
    names = [f"`{line.replace('nn.functional.', 'F.')}`" for line in lines]
    width = max(map(len, [*names, "`F.` is `nn.functional`"]))
    corner = "`F.` is `nn.functional`" if any("nn.f" in line for line in lines) else ""
    yield "| " + " | ".join([corner.ljust(width), *COLUMNS]) + " |"
    yield "|" + "|".join(["-" * (width + 2), *(f":{'-' * len(c)}:" for c in COLUMNS)]) + "|"
    for name, line in zip(names, lines, strict=True):
        marks = []
        for column in COLUMNS:
            entry = f"{line} {column}"
            mark = HOLDS if entry in holds else LACKS if entry in lacks else NONE
            marks.append(mark.center(len(column)))
        yield "| " + " | ".join([name.ljust(width), *marks]) + " |"


def _wrapped(head: str, names: list[str]) -> str:
    text = f"{head} {', '.join(f'`{name}`' for name in names)}"
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False) + "\n"


def others(torch: Any, lines: list[str]) -> Iterator[str]:
    """Yield what is here besides the tables, which other tests look after."""
    import tinygrad_like as ours
    from tests.public_names import SPACES, public
    from tests.spelled import find

    yield "## Here as well\n"
    yield (
        "Classes, settings and the like, and spellings that no table has. Their own tests look after them; this page\n"
        "has only looked whether the names are there.\n"
    )
    for space in SPACES:
        here = find(ours, space)
        prefix = f"{space}." if space not in ("", "Tensor") else ""
        names = [
            name
            for name in public(space, torch)
            if hasattr(here, name)
            and not {prefix + name, prefix + name.removesuffix("_")} & set(lines)
        ]
        if names:
            yield _wrapped(f"**{f'torch.{space}'.rstrip('.')}** ({len(names)}):", names)


def absences(missing: dict[str, list[str]], outside: dict[str, list[str]]) -> Iterator[str]:
    """Yield what is not here: what is missing, and what is out of scope with the reason."""
    from tests.public_names import OUT_OF_SCOPE

    yield "## Missing\n"
    for space, names in missing.items():
        yield _wrapped(f"**{f'torch.{space}'.rstrip('.')}** ({len(names)}):", names)
    yield "## Out of scope\n"
    for group in OUT_OF_SCOPE:
        names = outside.get(group.title, [])
        if names:
            yield _wrapped(f"**{group.title}** ({len(names)}): {group.reason}.", names)
