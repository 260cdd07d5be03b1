"""PyTorch's path to the optimizers, which live in ``tinygrad_like.nn.optim``."""

from tinygrad_like.nn.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop, lr_scheduler

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "lr_scheduler"]
