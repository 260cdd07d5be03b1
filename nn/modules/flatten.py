"""Joining dimensions, and parting them again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tinygrad_like.lines import told
from tinygrad_like.nn.module import Module


class Flatten(Module):
    """Return the input with a range of dimensions joined: `(N, *)` to `(N, product)`.

    Args:
        start_dim: the first to join.
        end_dim: the last to join.

    >>> import tinygrad_like as torch
    >>> torch.nn.Flatten()(torch.zeros(32, 5, 5)).shape
    torch.Size([32, 25])
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Any) -> Any:
        """Return the input with the dimensions joined."""
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Return the input with one dimension parted into several.

    Args:
        dim: the dimension.
        unflattened_size: the sizes to part it into.

    Raises:
        TypeError: if the sizes are not a tuple or list of integers.

    >>> import tinygrad_like as torch
    >>> torch.nn.Unflatten(1, (2, 5))(torch.zeros(3, 10)).shape
    torch.Size([3, 2, 5])
    """

    def __init__(self, dim: int, unflattened_size: Iterable[int]) -> None:
        super().__init__()
        if not isinstance(dim, int):
            raise told(
                TypeError, "Unflatten: dim must be an int, named dimensions are not supported"
            )
        if not isinstance(unflattened_size, tuple | list):
            raise told(
                TypeError,
                "unflattened_size must be a tuple of ints, but found type "
                f"{type(unflattened_size).__name__}",
            )
        for position, size in enumerate(unflattened_size):
            if not isinstance(size, int):
                raise told(
                    TypeError,
                    "unflattened_size must be tuple of ints, but found element of type "
                    f"{type(size).__name__} at pos {position}",
                )
        self.dim = dim
        self.unflattened_size = unflattened_size

    def forward(self, input: Any) -> Any:
        """Return the input with the dimension parted."""
        return input.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
