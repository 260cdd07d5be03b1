"""Switches of a library for GPUs, which programs set for the same results from run to run.

Convolutions give the same results from run to run here in any case.

>>> import tinygrad_like as torch
>>> torch.backends.cudnn.deterministic = False
>>> torch.backends.cudnn.benchmark = False
"""

__all__ = ["is_available", "version"]

enabled = True
deterministic = False
benchmark = False
allow_tf32 = True


def is_available() -> bool:
    """Return False."""
    return False


def version() -> int | None:
    """Return None: there is none."""
    return None
