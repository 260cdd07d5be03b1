"""What PyTorch programs ask before they choose a device: there is only the CPU."""

from tinygrad_like.device import Device

__all__ = ["current_accelerator", "device_count", "is_available"]


def is_available() -> bool:
    """Return False.

    >>> import tinygrad_like as torch
    >>> accelerator = torch.accelerator
    >>> accelerator.current_accelerator().type if accelerator.is_available() else "cpu"
    'cpu'
    """
    return False


def current_accelerator(check_available: bool = False) -> Device | None:  # noqa: ARG001
    """Return None."""
    return None


def device_count() -> int:
    """Return 0."""
    return 0
