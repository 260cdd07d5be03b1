"""Neural networks: modules, the functions they are made of, and how their weights start."""

from tinygrad_like.nn import functional, init, modules, utils
from tinygrad_like.nn.modules import *  # noqa: F403
from tinygrad_like.nn.parameter import Buffer, Parameter

__all__ = ["Buffer", "Parameter", "functional", "init", "modules", "utils"]
__all__ += modules.__all__
