"""The house: what is packaged, what is imported, how rules may be written, and that examples run."""

from __future__ import annotations

import ast
import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path
from typing import Any

import pytest

import tinygrad_like
import tinygrad_like.nn
from tinygrad_like.op import REGISTRY

ROOT = Path(__file__).resolve().parent.parent
PROJECT = ROOT / "pyproject.toml"
PACKAGE = Path(tinygrad_like.__file__).parent

in_checkout = pytest.mark.skipif(not PROJECT.exists(), reason="runs beside the sources only")


def module_names() -> list[str]:
    found = ["tinygrad_like"]
    for info in pkgutil.walk_packages(tinygrad_like.__path__, "tinygrad_like."):
        found.append(info.name)
    return sorted(found)


# ----- Packaging ----------------------------------------------------------------------------------


def folders(root: Path, name: str) -> set[str]:
    """Return the names of the packages in a folder, links not followed."""
    found = {name}
    for path in root.rglob("__init__.py"):
        inside = path.parent.relative_to(root)
        if inside.parts and (name != "tinygrad_like" or inside.parts[0] != "nn"):
            found.add(".".join((name, *inside.parts)))
    return found


@in_checkout
def test_the_package_list_is_what_is_on_disk() -> None:
    with PROJECT.open("rb") as file:
        listed = tomllib.load(file)["tool"]["setuptools"]["packages"]
    assert listed == sorted(listed)
    on_disk = folders(ROOT / "tinygrad_like", "tinygrad_like")
    on_disk |= folders(ROOT / "nn", "tinygrad_like.nn")
    assert set(listed) == on_disk


@in_checkout
def test_the_version_is_the_packaged_one() -> None:
    with PROJECT.open("rb") as file:
        assert tomllib.load(file)["project"]["version"] == tinygrad_like.__version__


@in_checkout
def test_every_folder_of_modules_is_a_package() -> None:
    for name in ("tinygrad_like", "nn"):
        for path in (ROOT / name).rglob("*.py"):
            assert (path.parent / "__init__.py").exists(), path


@in_checkout
def test_array_code_knows_nothing_of_graphs() -> None:
    for path in (ROOT / "tinygrad_like" / "arrays").glob("*.py"):
        known = set(
            re.findall(r"^from tinygrad_like(?:\.(\w+)|(?= import))", path.read_text(), re.M)
        )
        assert known <= {"", "arrays", "dtypes", "jit", "lines", "random", "threads"}, path


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_bare_nn_never_appears() -> None:
    code = (
        "import sys, tinygrad_like as torch, tinygrad_like.nn.functional, tinygrad_like.optim\n"
        "from tinygrad_like import nn\n"
        "from tinygrad_like.nn import functional\n"
        "print([name for name in sys.modules if name == 'nn' or name.startswith('nn.')])"
    )
    assert run_python(code) == "[]"


def test_the_import_brings_nothing_optional() -> None:
    optional = [
        *("torch", "hypothesis", "matplotlib", "scipy", "sklearn", "graphviz", "graphviz_pure"),
        *("numba", "tqdm", "pytest", "ml_dtypes", "pandas", "IPython", "PIL"),
        *("tensorboard", "tensorboardX", "visdom", "nbclient"),
    ]
    code = (
        "import sys, tinygrad_like, tinygrad_like.nn, tinygrad_like.optim, tinygrad_like.testing\n"
        f"print([name for name in {optional!r} if name in sys.modules])"
    )
    assert run_python(code) == "[]"


def test_public_names_exist() -> None:
    for name in module_names():
        module = importlib.import_module(name)
        for public in getattr(module, "__all__", ()):
            assert hasattr(module, public), f"{name}.__all__ names {public}"


# ----- Rules --------------------------------------------------------------------------------------

# Methods that mean one thing for an array and another for a tensor, or that only one of them has.
FORBIDDEN = {
    *(
        "transpose",
        "max",
        "min",
        "std",
        "var",
        "repeat",
        "sort",
        "argsort",
        "astype",
        "copy",
        "view",
    ),
    *("to", "type", "float", "double", "long", "item", "clone", "detach", "contiguous", "expand"),
    *("permute", "unsqueeze", "squeeze", "split", "size", "numel", "dim", "t", "flatten", "take"),
    *(
        "choose",
        "put",
        "partition",
        "nonzero",
        "clamp",
        "amax",
        "amin",
        "chunk",
        "unbind",
        "gather",
    ),
}


def rules() -> list[tuple[str, ast.Lambda]]:
    """Return every rule that is a lambda, with the place where it stands."""
    found = []
    for path in sorted((PACKAGE / "ops").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or getattr(node.func, "id", "") != "op":
                continue
            for value in [*node.args, *(keyword.value for keyword in node.keywords)]:
                for inner in ast.walk(value):
                    if isinstance(inner, ast.Lambda):
                        found.append((f"{path.name}:{inner.lineno}", inner))
    return found


def test_rules_call_no_method_that_means_two_things() -> None:
    wrong = []
    for place, rule in rules():
        for node in ast.walk(rule.body):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in FORBIDDEN
                and not (isinstance(node.func.value, ast.Name) and node.func.value.id == "np")
            ):
                wrong.append(f"{place} calls .{node.func.attr}()")
    assert not wrong


def test_rules_are_found() -> None:
    assert len(rules()) > 50


# ----- Examples in docstrings ---------------------------------------------------------------------


# doctest passes over functions that were generated, as those of ops are.
GENERATED = [name for name, op in sorted(REGISTRY.items()) if ">>>" in (op.call.__doc__ or "")]


def run_examples(tests: list[doctest.DocTest]) -> None:
    """Run doctests; an error in one is raised as it is."""
    tinygrad_like.manual_seed(0)
    runner = doctest.DebugRunner(optionflags=doctest.ELLIPSIS)
    for test in tests:
        try:
            runner.run(test)
        except doctest.UnexpectedException as error:
            raise error.exc_info[1] from None
        except doctest.DocTestFailure as failure:
            source, want = failure.example.source, failure.example.want
            pytest.fail(f"{test.name}: {source}expected {want!r}, got {failure.got!r}")


@pytest.mark.parametrize("name", GENERATED)
def test_examples_of_ops(name: str) -> None:
    found = doctest.DocTestFinder().find(REGISTRY[name].call, name, module=False, globs={})
    assert found
    run_examples(found)


@pytest.mark.parametrize("name", module_names())
def test_examples_in_docstrings(name: str) -> None:
    module: Any = importlib.import_module(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"tinygrad_like\b")
        # At the package's top `float` is a dtype.
        globs = {} if name == "tinygrad_like" else None
        run_examples(doctest.DocTestFinder(exclude_empty=True).find(module, globs=globs))
