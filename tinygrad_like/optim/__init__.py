"""PyTorch's path to the optimizers, which live in ``tinygrad_like.nn.optim``."""

from typing import TYPE_CHECKING
from typing import Any as _Any

from tinygrad_like.nn import optim as _optim

if TYPE_CHECKING:
    from tinygrad_like.nn.optim import *  # noqa: F403

__all__ = _optim.__all__


if not TYPE_CHECKING:  # or any name would pass for one of this module

    def __getattr__(name: str) -> _Any:
        """Return the optimizer called `name`, which may be imported only now."""
        return getattr(_optim, name)


def __dir__() -> list[str]:
    """Return all names, those not imported yet too."""
    return __all__
