"""PyTorch's path to the optimizers, which live in ``tinygrad_like.nn.optim``."""

from tinygrad_like.nn.optim import *
from tinygrad_like.nn.optim import __all__ as __all__
