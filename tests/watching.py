"""Sees whether kernels are taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_like import jit


def watch(monkeypatch: pytest.MonkeyPatch, module: Any, names: str) -> Callable[[], set[str]]:
    """Switch kernels on and return a function that tells which of these of a module have run.

    Args:
        monkeypatch: the fixture.
        module: where the ops look for what `jit.compiled` returned.
        names: the names they have there, separated by spaces.
    """
    pytest.importorskip("numba")
    monkeypatch.setattr(jit._switch, "on", True)
    taken = set()

    def watched(name: str) -> Callable[..., None]:
        declared = getattr(module, name)

        def run(*args: Any) -> None:
            arrays = [a for a in args if isinstance(a, np.ndarray)]
            if all(a.flags.c_contiguous and a.dtype.char in "fdlqi?bB" for a in arrays):
                taken.add(name)
            declared(*args)

        run.plain, run.kernel = declared.plain, declared.kernel  # type: ignore[attr-defined]
        return run

    for name in names.split():
        monkeypatch.setattr(module, name, watched(name))

    def asked() -> set[str]:
        assert jit.enabled()  # it would be off if numba had failed
        return taken

    return asked
