"""Looking a model and its optimizer over for mistakes that raise no error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tinygrad_like.graph import AccumulateGrad, Traced
from tinygrad_like.nn.module import Module
from tinygrad_like.nn.modules.batchnorm import _BatchNorm


def check(model: Any, optimizer: Any = None) -> list[str]:
    """Return what is most likely wrong with a model and its optimizer, a sentence for each.

    Looks for parameters that the optimizer doesn't have, or has though the model lost them; tensors in
    the place of parameters that are results of operations; modules in plain lists; after a backward,
    parameters that got no gradient; batch norms that are left in eval mode.

    >>> import tinygrad_like as torch
    >>> model = torch.nn.Linear(2, 2)
    >>> torch.debug.check(model, torch.optim.SGD([model.weight], lr=0.1))
    ['bias is not in the optimizer, so it stays as it is; try model.parameters()']
    """
    found = [*_replaced(model), *_unregistered(model), *_left_in_eval(model)]
    if optimizer is not None:
        found += _optimized(model, optimizer)
        if not model.training:
            found.append(
                "the model is in eval mode: dropout is off and batch norms learn no statistics; try "
                "model.train() before training"
            )
    return [*found, *_without_gradient(model)]


def _optimized(model: Any, optimizer: Any) -> Iterator[str]:
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    names = {id(p): name for name, p in model.named_parameters()}
    outside = [n for n, p in model.named_parameters() if p.requires_grad and id(p) not in held]
    if outside:
        many = len(outside) > 1
        yield (
            f"{_listed(outside)} {'are' if many else 'is'} not in the optimizer, so "
            f"{'they stay as they are' if many else 'it stays as it is'}; try model.parameters()"
        )
    strangers = [
        tuple(p.shape) for g in optimizer.param_groups for p in g["params"] if id(p) not in names
    ]
    for shape in strangers:
        yield (
            f"the optimizer has a parameter of shape {shape} that is not the model's: was it replaced "
            "after the optimizer was made? try making the optimizer last, or writing into the parameter"
        )


def _replaced(model: Any) -> Iterator[str]:
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            node = value.node if isinstance(value, Traced) else None
            if node is not None and not isinstance(node, AccumulateGrad):
                full = f"{path}.{name}" if path else name
                yield (
                    f"{full} is the result of an operation ({node.name()}) and not a parameter: its "
                    ".grad stays None; try nn.Parameter(value.detach()), or computing it in forward"
                )


def _unregistered(model: Any) -> Iterator[str]:
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            values = value.values() if type(value) is dict else value
            if type(value) in (list, tuple, dict) and any(isinstance(v, Module) for v in values):
                full = f"{path}.{name}" if path else name
                kind = "nn.ModuleDict" if type(value) is dict else "nn.ModuleList"
                yield (
                    f"{full} is a plain {type(value).__name__} of modules, whose parameters are not "
                    f"registered; try {kind}"
                )


def _left_in_eval(model: Any) -> Iterator[str]:
    left = [
        name
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm)
        and model.training > module.training
        and (module.weight is None or module.weight.requires_grad)
    ]
    if left:
        many = len(left) > 1
        yield (
            f"{_listed(left)} {'are' if many else 'is'} in eval mode while the model is trained: "
            f"{'their' if many else 'its'} statistics stay as they are; try model.train(), or "
            f"requires_grad_(False) if {'they are' if many else 'it is'} to be frozen"
        )


def _without_gradient(model: Any) -> Iterator[str]:
    wanting = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    lacking = [name for name, p in wanting if p.grad is None]
    if lacking and len(lacking) < len(wanting):
        yield (
            f"{_listed(lacking)} got no gradient from the last backward: the loss does not depend on "
            f"{'them' if len(lacking) > 1 else 'it'}; try looking for a detach(), or for a part of the "
            "model that forward does not use"
        )


def _listed(names: list[str]) -> str:
    """Return ``a, b and c``, or ``a, b, c and 7 more``."""
    shown = [*names[:3], f"{len(names) - 3} more"] if len(names) > 4 else names
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else shown[0]
