"""Schedules of the learning rate, all in the place where PyTorch has them."""

from tinygrad_like.nn.optim.lr_base import LRScheduler
from tinygrad_like.nn.optim.lr_combined import ChainedScheduler, SequentialLR
from tinygrad_like.nn.optim.lr_cyclic import CosineAnnealingWarmRestarts, CyclicLR, OneCycleLR
from tinygrad_like.nn.optim.lr_decay import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from tinygrad_like.nn.optim.lr_plateau import ReduceLROnPlateau

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]

_LRScheduler = LRScheduler  # what schedules were derived from until PyTorch 2.0
