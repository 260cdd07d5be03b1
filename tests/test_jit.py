"""Every compiled kernel beside its NumPy version, and what happens without numba."""

import importlib
import os
import pkgutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import tests.kernels
from tests.kernels.base import KernelRow
from tinygrad_like import jit

ROWS: list[KernelRow] = []
for _found in pkgutil.iter_modules(tests.kernels.__path__):
    ROWS += getattr(importlib.import_module(f"tests.kernels.{_found.name}"), "ROWS", [])

CASES = [
    pytest.param(row, dtype, rtol, id=f"{row.function.kernel}-{i}-{dtype}")
    for i, row in enumerate(ROWS)
    for dtype, rtol in zip(row.dtypes, row.rtol, strict=True)
]


@pytest.fixture
def numba():
    return pytest.importorskip("numba")


def test_every_kernel_has_a_row():
    missing = set(jit.KERNELS) - {row.function.kernel for row in ROWS}
    assert not missing, f"no row in tests/kernels for {sorted(missing)}"


def flattened(arguments):
    """Return arguments, those in tuples too, in one list."""
    return [part for a in arguments for part in (a if isinstance(a, tuple) else (a,))]


@pytest.mark.parametrize(("row", "dtype", "rtol"), CASES)
def test_kernel_and_numpy_version_agree(numba, row, dtype, rtol):
    given = row.arguments(np.random.default_rng(0), np.dtype(dtype))
    compiled = row.arguments(np.random.default_rng(0), np.dtype(dtype))
    by_numpy = row.arguments(np.random.default_rng(0), np.dtype(dtype))
    jit.load(row.function.kernel)(*compiled)
    jit.plain(row.function)(*by_numpy)
    changed = False
    arrays = zip(*map(flattened, (given, compiled, by_numpy)), strict=True)
    for place, (before, a, b) in enumerate(arrays):
        if isinstance(a, np.ndarray) and place not in row.scratch:
            assert a.dtype == b.dtype
            scale = np.max(np.abs(b[np.isfinite(b)]), initial=0) if b.dtype.kind == "f" else 0
            np.testing.assert_allclose(a, b, rtol=0, atol=rtol * scale)
            changed = changed or not np.array_equal(before, a, equal_nan=a.dtype.kind == "f")
    assert changed, "the kernel wrote nothing"


def test_a_kernel_is_taken_and_can_be_switched_off(numba, monkeypatch):
    calls = []
    monkeypatch.setattr(jit, "load", lambda name: lambda *args: calls.append((name, len(args))))

    @jit.compiled("nowhere.kernel", least=3)
    def double(x, out):
        calls.append("numpy")

    try:
        x = np.ones(4, np.float32)
        double(x, x)
        assert calls == [("nowhere.kernel", 2)]
        double(x[:2], x)  # too few
        double(x[::-1], x)  # not in order
        double(x.astype(np.float16), x)
        with jit.disabled():
            double(x, x)
        assert calls[1:] == ["numpy"] * 4
        double(x, x)
        assert calls[-1] == ("nowhere.kernel", 2)
    finally:
        del jit.KERNELS["nowhere.kernel"]


def test_a_broken_numba_means_numpy(numba, monkeypatch):
    def refuse(name):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(jit, "load", refuse)
    monkeypatch.setattr(jit._switch, "on", True)
    calls = []

    @jit.compiled("nowhere.broken")
    def double(x):
        calls.append("numpy")

    try:
        with pytest.warns(UserWarning, match="kernel nowhere.broken failed.*no compiler"):
            double(np.ones(4))
        assert calls == ["numpy"]
        assert not jit.enabled()
    finally:
        del jit.KERNELS["nowhere.broken"]


def test_two_processes_never_write_one_file_of_the_cache(numba, monkeypatch, tmp_path):
    from tinygrad_like.jit import compiler

    monkeypatch.setattr(compiler, "_FOLDER", str(tmp_path))

    def in_a_process(name):
        made = compiler.kernel(_double)
        compiler._share_cache(made, name)
        return made._cache._cache_file

    ours, theirs = in_a_process("a"), in_a_process("b")
    write_index = ours._save_index

    def write_index_then_wait(overloads):
        write_index(overloads)
        theirs._load_index = dict  # it had looked before
        theirs.save("their types", "their code")

    ours._save_index = write_index_then_wait
    ours.save("our types", "our code")
    anybody = in_a_process("c")
    assert anybody.load("their types") == "their code"
    assert anybody.load("our types") in (None, "our code")


def test_threads_that_want_a_new_kernel_at_once(numba, monkeypatch):
    from tinygrad_like.jit import compiler

    monkeypatch.setattr(compiler, "_FOLDER", None)
    for _ in range(3):
        made = compiler.kernel_of_views(reads=0)(_double)
        arrays = [np.ones(4) for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(made, arrays))
        assert all((array == 2).all() for array in arrays)


def _double(x):
    for i in range(x.size):
        x[i] *= 2


def test_without_numba():
    """In a process where numba cannot be imported everything still works, silently."""
    code = """
import sys
sys.modules["numba"] = None
import tinygrad_like as torch
x = torch.randn(300, 1000, requires_grad=True)
torch.softmax(x, 1).square().sum().backward()
assert x.grad.isfinite().all()
assert not torch.jit.enabled()
try:
    torch.jit.enable()
except ImportError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == ("jit.enable: numba is not installed; pip install 'tinygrad-like[jit]'\n")
    assert done.stderr == ""


def test_numba_is_not_imported_before_a_kernel_is_wanted():
    code = "import sys, tinygrad_like as t; t.ones(9).sum(); assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_switched_off_by_the_environment():
    code = "import tinygrad_like as torch; assert not torch.jit.enabled()"
    subprocess.run(
        [sys.executable, "-c", code], check=True, env=os.environ | {"TINYGRAD_LIKE_JIT": "0"}
    )


def test_kernels_are_kept_on_disk_in_a_folder_of_their_own(numba, tmp_path):
    script = tmp_path / "script.py"  # numba keeps functions of files only
    kept = tmp_path / "kept"
    text = """
import numpy as np
import numba
from tinygrad_like.jit.compiler import kernel

@kernel
def increase(x):
    for i in range(x.size):
        x[i] += 1

increase(np.zeros(3))
assert numba.config.CACHE_DIR == ""
"""
    script.write_text(text)
    environment = os.environ | {"TINYGRAD_LIKE_CACHE": str(kept)}
    subprocess.run([sys.executable, str(script)], check=True, env=environment)
    (folder,) = kept.iterdir()
    assert list(folder.rglob("*.nbc"))


# ----- The mathematics of kernels -----------------------------------------------------------------


def _exact(name):
    mpmath = pytest.importorskip("mpmath")
    if name == "sigmoid":
        return lambda x: 1 / (1 + mpmath.exp(-x))
    return getattr(mpmath, name)


SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, 1.0, -1.0, 88.0, -87.5, -100.0, 5e-324, 709.0, -744.0]  # fmt: skip
ULPS = {"sigmoid": 2.5, "erfc": 4.5}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["exp", "expm1", "tanh", "sigmoid", "log", "log1p", "erf", "erfc"])
def test_functions_of_kernels_are_exact_to_a_few_units_in_the_last_place(numba, name, dtype):
    mpmath = pytest.importorskip("mpmath")
    mathematics = importlib.import_module("tinygrad_like.jit.mathematics")
    function = getattr(mathematics, name)

    @numba.njit(error_model="numpy")
    def run(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    rng = np.random.default_rng(0)
    numbers = np.concatenate([rng.normal(size=600) * s for s in (1e-6, 0.3, 1, 5, 30)])
    x = np.concatenate([numbers.astype(dtype), np.linspace(-1.2, 1.2, 997).astype(dtype)])
    if name == "log1p":
        x = np.maximum(x, -0.9).astype(dtype)
    if name == "log":
        x = np.abs(x) + np.finfo(dtype).tiny
    out = np.empty_like(x)
    run(x, out)
    exact = _exact(name)
    worst = 0.0
    with mpmath.workdps(40):
        for given, got in zip(x, out, strict=True):
            wanted = exact(mpmath.mpf(float(given)))
            if not abs(float(wanted)) < float(np.finfo(dtype).max):
                continue
            unit = np.spacing(np.abs(np.asarray(float(wanted), dtype)))
            worst = max(
                worst, float(abs(mpmath.mpf(float(got)) - wanted) / mpmath.mpf(float(unit)))
            )
    assert worst <= ULPS.get(name, 2.0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["exp", "expm1", "tanh", "sigmoid", "log", "log1p", "erf", "erfc"])
def test_functions_of_kernels_at_infinities_nans_and_zeros(numba, name, dtype):
    torch = pytest.importorskip("torch")
    mathematics = importlib.import_module("tinygrad_like.jit.mathematics")
    function = getattr(mathematics, name)

    @numba.njit(error_model="numpy")
    def run(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    x = np.array(SPECIAL).astype(dtype)
    out = np.empty_like(x)
    run(x, out)
    wanted = getattr(torch, name)(torch.tensor(x)).numpy()
    np.testing.assert_allclose(out, wanted, rtol=4 * np.finfo(dtype).eps, atol=np.finfo(dtype).tiny)
    zero = wanted == 0
    np.testing.assert_array_equal(np.signbit(out[zero]), np.signbit(wanted[zero]))
