"""What a row of the kernels' table says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class KernelRow:
    """One kernel: the declared function, and arguments to call it with.

    Attributes:
        function: what `tinygrad_like.jit.compiled` returned.
        arguments: ``arguments(rng, dtype)`` gives fresh arguments, the same for the same state of `rng`.
            Everything that the kernel writes is among them.
        dtypes: the types to try.
        rtol: relative tolerance for each of them, of the largest number in an array.
        scratch: the places of arguments in which anything may be left.
    """

    function: Callable[..., Any]
    arguments: Callable[[np.random.Generator, Any], tuple[Any, ...]]
    dtypes: tuple[str, ...] = ("float32", "float64")
    rtol: tuple[float, ...] = (2e-6, 1e-14)
    scratch: tuple[int, ...] = ()
