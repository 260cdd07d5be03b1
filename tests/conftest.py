"""Settings every test shares."""

import importlib.util
import os
import warnings
from collections.abc import Generator, Iterator

import hypothesis
import pytest

# Read when NumPy and PyTorch load. Several processes with several threads each slow one another.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

hypothesis.settings.register_profile("dev", max_examples=25, deadline=None)
hypothesis.settings.register_profile("ci", max_examples=50, deadline=None, derandomize=True)
hypothesis.settings.register_profile("intense", max_examples=1000, deadline=None)
hypothesis.settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev")
)


# What the package imports only where it is used, and the extra that brings it.
_OPTIONAL = {"numba": "jit", "llvmlite": "jit", "scipy": "special", "safetensors": "safetensors"}
_OPTIONAL |= {"matplotlib": "viz", "tensorboardX": "tensorboard", "visdom": "visdom"}
_ABSENT = {name for name in _OPTIONAL if importlib.util.find_spec(name) is None}
_NOT_ASKED_FOR = [f"tinygrad-like[{_OPTIONAL[name]}]" for name in _ABSENT]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    """Skip a test that comes upon a library that is optional and not installed."""
    try:
        yield
    except ImportError as error:
        if error.name in _ABSENT or any(extra in str(error) for extra in _NOT_ASKED_FOR):
            pytest.skip(f"not installed: {error}")
        raise


@pytest.fixture(autouse=True)
def _package_filters() -> Iterator[None]:
    """Put back the package's own warning filter, which pytest replaces by "error" for each test."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"tinygrad_like\b")
        yield


@pytest.fixture(autouse=True)
def _kernels_as_before() -> Iterator[None]:
    """Switch kernels back to what they were: one that fails switches all of them off."""
    from tinygrad_like import jit

    former = jit._switch.on
    yield
    jit._switch.on = former
