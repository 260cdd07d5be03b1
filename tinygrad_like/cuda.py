"""What PyTorch programs ask before they choose a device: there is no GPU here."""

from typing import Any

from tinygrad_like.lines import told

__all__ = [
    "device_count",
    "empty_cache",
    "get_rng_state_all",
    "is_available",
    "is_bf16_supported",
    "is_initialized",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "memory_allocated",
    "set_rng_state_all",
]


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


def is_initialized() -> bool:
    """Return False."""
    return False


def is_bf16_supported() -> bool:
    """Return False."""
    return False


def empty_cache() -> None:
    """Do nothing: there is no memory to free."""


def memory_allocated(device: Any = None) -> int:  # noqa: ARG001
    """Return 0."""
    return 0


def max_memory_allocated(device: Any = None) -> int:  # noqa: ARG001
    """Return 0."""
    return 0


def get_rng_state_all() -> list[Any]:
    """Return the states of all generators on GPUs: none.

    >>> import tinygrad_like as torch
    >>> torch.cuda.set_rng_state_all(torch.cuda.get_rng_state_all())
    """
    return []


def set_rng_state_all(new_states: Any) -> None:
    """Do nothing where nothing is given, which is all that `get_rng_state_all` returns.

    Raises:
        RuntimeError: if a state is given.
    """
    if len(new_states):
        raise told(
            RuntimeError,
            f"cuda.set_rng_state_all: got {len(new_states)} states, but no GPU is here",
        )
