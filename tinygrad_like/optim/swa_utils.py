"""PyTorch's path to averages of weights, which live in ``tinygrad_like.nn.optim.swa_utils``."""

from tinygrad_like.nn.optim.swa_utils import *  # noqa: F403
from tinygrad_like.nn.optim.swa_utils import __all__  # noqa: F401
