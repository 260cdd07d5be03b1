"""One module per workload: ``make(torch, fast)`` builds it and returns a `Work`.

The same code runs with either package as `torch`; `fast` holds what makes PyTorch's optimizers
fastest (``{"fused": True}``), and is empty for this package.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

NAMES = (
    "chain_forward",
    "chain",
    "moons",
    "mnist64",
    "mnist512",
    "cnn",
    "gpt",
    "lstm",
    "gelu",
    "softmax",
    "layernorm",
    "embedding",
    "matmul",
    "adam",
    "adam_default",
)


class Work(NamedTuple):
    """A workload, ready to run.

    Attributes:
        step: does one step, and returns a tensor which is right only if all of the step is.
        start: the tensors that the steps start from, trained parameters first.
        flops: floating-point operations of the matrix products of a step.
        bytes: what a step must at least read and write, if it is bound by memory.
    """

    step: Callable[[], Any]
    start: Sequence[Any]
    flops: float = 0
    bytes: float = 0
