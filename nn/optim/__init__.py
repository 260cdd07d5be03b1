"""Optimizers, and schedules of their learning rates."""

from tinygrad_like.nn.optim import lr_scheduler
from tinygrad_like.nn.optim.adagrad import Adagrad
from tinygrad_like.nn.optim.adam import Adam, AdamW
from tinygrad_like.nn.optim.optimizer import Optimizer
from tinygrad_like.nn.optim.rmsprop import RMSprop
from tinygrad_like.nn.optim.sgd import SGD

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "lr_scheduler"]
