"""Neural networks: modules, the functions they are made of, and how their weights start."""

from typing import TYPE_CHECKING, Any

from tinygrad_like.nn import functional, init, modules, utils
from tinygrad_like.nn.modules import *  # noqa: F403
from tinygrad_like.nn.parameter import (
    Buffer,
    Parameter,
    UninitializedBuffer,
    UninitializedParameter,
)

if TYPE_CHECKING:
    from tinygrad_like.nn.modules.adaptive import *  # noqa: F403
    from tinygrad_like.nn.modules.attention import *  # noqa: F403
    from tinygrad_like.nn.modules.distance import *  # noqa: F403
    from tinygrad_like.nn.modules.instancenorm import *  # noqa: F403
    from tinygrad_like.nn.modules.lazy import *  # noqa: F403
    from tinygrad_like.nn.modules.margin_loss import *  # noqa: F403
    from tinygrad_like.nn.modules.padding import *  # noqa: F403
    from tinygrad_like.nn.modules.rare_pooling import *  # noqa: F403
    from tinygrad_like.nn.modules.rearranging import *  # noqa: F403
    from tinygrad_like.nn.modules.rnn import *  # noqa: F403
    from tinygrad_like.nn.modules.rnn_cell import *  # noqa: F403
    from tinygrad_like.nn.modules.transformer import *  # noqa: F403

__all__ = ["Buffer", "Parameter", "UninitializedBuffer", "UninitializedParameter"]
__all__ += ["functional", "init", "modules", "utils"]
__all__ += modules.__all__
__all__ += [name for names in modules.DEFERRED.values() for name in names]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = getattr(modules, name)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted(__all__)  # those not imported yet, too
