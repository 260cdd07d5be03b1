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
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and id(parameter) not in held:
            yield f"{name} is not in the optimizer, so it stays as it is; try model.parameters()"
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
    for name, module in model.named_modules():
        if not isinstance(module, _BatchNorm) or module.training or not model.training:
            continue
        if module.weight is None or module.weight.requires_grad:
            yield (
                f"{name} is in eval mode while the model is trained: its statistics stay as they "
                "are; try model.train(), or requires_grad_(False) if it is to be frozen"
            )


def _without_gradient(model: Any) -> Iterator[str]:
    wanting = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    lacking = [name for name, p in wanting if p.grad is None]
    if lacking and len(lacking) < len(wanting):
        for name in lacking:
            yield (
                f"{name} got no gradient from the last backward: the loss does not depend on it; try "
                "looking for a detach(), or for a part of the model that forward does not use"
            )
