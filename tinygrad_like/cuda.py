"""What PyTorch programs ask before they choose a device: there is no GPU here."""

__all__ = ["device_count", "is_available"]


def is_available() -> bool:
    """Return False.

    >>> import tinygrad_like as torch
    >>> "cuda" if torch.cuda.is_available() else "cpu"
    'cpu'
    """
    return False


def device_count() -> int:
    """Return 0."""
    return 0
