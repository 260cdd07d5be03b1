"""Apple's GPUs, which are not used."""

__all__ = ["is_available", "is_built"]


def is_available() -> bool:
    """Return False.

    >>> import tinygrad_like as torch
    >>> "mps" if torch.backends.mps.is_available() else "cpu"
    'cpu'
    """
    return False


def is_built() -> bool:
    """Return False."""
    return False
