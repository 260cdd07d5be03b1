"""Ordinary PyTorch programs do the same when it is this package that they import."""

import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

# PyTorch says which of its shortcuts it takes.
pytestmark = pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")

PROGRAMS = sorted((Path(__file__).parent / "programs").glob("[a-z]*.py"))


def run(path, package):
    """Run a program with each import of ``torch`` made one of `package`, and return its results."""
    text = path.read_text()
    text = re.sub(r"^import torch$", f"import {package} as torch", text, flags=re.M)
    text = re.sub(r"^(from|import) torch\b", rf"\1 {package}", text, flags=re.M)
    module = types.ModuleType(f"{path.stem}_with_{package}")
    sys.modules[module.__name__] = module  # where saved objects look for their classes
    try:
        exec(compile(text, path, "exec"), module.__dict__)
        assert module.torch.__name__ == package
        return dict(leaves(module.main())), getattr(module, "TOLERANCE", 1e-5)
    finally:
        del sys.modules[module.__name__]


def leaves(results, path=""):
    """Yield what a program returned, lists and dicts taken apart, each with the way to it."""
    if isinstance(results, dict):
        for key, value in results.items():
            yield from leaves(value, f"{path}[{key!r}]")
    elif isinstance(results, list | tuple):
        for i, value in enumerate(results):
            yield from leaves(value, f"{path}[{i}]")
    else:
        yield path, results


def comparable(value):
    """Return the kind of a result, and its numbers in double precision if it has any."""
    if hasattr(value, "detach"):
        array = value.detach().numpy()
        return str(value.dtype).removeprefix("torch."), array.astype(float)
    if isinstance(value, bool | int | float):
        return type(value).__name__, np.asarray(value, float)
    return type(value).__name__, value


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_program(path):
    expected, tolerance = run(path, "torch")
    found, _ = run(path, "tinygrad_like")
    assert list(found) == list(expected)
    assert len(found) > 5
    for way, value in expected.items():
        kind, value = comparable(value)
        found_kind, found_value = comparable(found[way])
        assert found_kind == kind, way
        if isinstance(value, np.ndarray):
            largest = np.abs(value, where=np.isfinite(value), out=np.zeros_like(value)).max(
                initial=0
            )
            np.testing.assert_allclose(
                found_value, value, rtol=0, atol=tolerance * largest, err_msg=way
            )
        else:
            assert found_value == value, way
