"""Transforms of functions: what takes a function and returns the one that differentiates it."""

from tinygrad_like.func.modules import functional_call, stack_module_state
from tinygrad_like.func.transforms import grad, grad_and_value, hessian, jacrev, vjp

__all__ = [
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "jacrev",
    "stack_module_state",
    "vjp",
]
