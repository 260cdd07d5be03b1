"""PyTorch's path to the base of optimizers, which lives in ``tinygrad_like.nn.optim.optimizer``."""

from tinygrad_like.nn.optim.optimizer import (
    Optimizer,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
    required,
)

__all__ = [
    "Optimizer",
    "register_optimizer_step_post_hook",
    "register_optimizer_step_pre_hook",
    "required",
]
