"""What PyTorch programs ask before they choose a device: there is no GPU here."""

__all__ = ["device_count", "is_available", "manual_seed", "manual_seed_all"]


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


def manual_seed(seed: int) -> None:
    """Do nothing, as PyTorch does where there is no GPU."""
    int(seed)


def manual_seed_all(seed: int) -> None:
    """Do nothing, as PyTorch does where there is no GPU."""
    int(seed)
