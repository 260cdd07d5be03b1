"""Modules as functions of their parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_like.lines import told
from tinygrad_like.nn.module import Module
from tinygrad_like.ops.joining import stack


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: Any,
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call a module with other tensors in the places of its parameters and buffers.

    Args:
        module: the module; it is as before afterwards.
        parameter_and_buffer_dicts: dotted names and tensors, or several such dictionaries.
        args: the argument, or a tuple of them.
        kwargs: named arguments.
        tie_weights: where a parameter has several names, replace it under all of them.
        strict: raise unless every parameter and buffer is given, and nothing else.

    Raises:
        ValueError: if several dictionaries share a name, or tied parameters are given different tensors.
        RuntimeError: in strict mode, for missing or unknown names.
        TypeError: if `module` is no module.

    >>> import tinygrad_like as torch
    >>> net = torch.nn.Linear(1, 1)
    >>> given = {"weight": torch.tensor([[2.0]]), "bias": torch.tensor([1.0])}
    >>> torch.func.functional_call(net, given, torch.tensor([[3.0]]))
    tensor([[7.]])
    """
    if not isinstance(module, Module):
        raise told(
            TypeError, f"functional_call: module is {type(module).__name__}, expected a Module"
        )
    given = _merged(parameter_and_buffer_dicts)
    known = dict(module.named_parameters(remove_duplicate=False))
    known |= dict(module.named_buffers(remove_duplicate=False))
    if strict:
        missing, unexpected = sorted(known.keys() - given), sorted(given.keys() - known)
        if missing or unexpected:
            raise told(
                RuntimeError,
                f"functional_call: missing key(s): {missing}; unexpected key(s): {unexpected}; give a "
                "tensor for every parameter and buffer, or strict=False",
            )
    if tie_weights:
        given = _tied(known, given)
    positional = () if args is None else args if isinstance(args, tuple) else (args,)
    replaced: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for name, tensor in given.items():
            path, _, own = name.rpartition(".")
            owner = module.get_submodule(path)
            for register in (owner._parameters, owner._buffers):
                if own in register:
                    replaced.append((register, own, register[own]))
                    register[own] = tensor
                    break
            else:
                raise AttributeError(
                    f"functional_call: {type(module).__name__} has no parameter or buffer {name!r}"
                )
        return module(*positional, **(kwargs or {}))
    finally:
        for register, own, former in reversed(replaced):
            register[own] = former


def _merged(dicts: Any) -> dict[str, Any]:
    if isinstance(dicts, dict):
        return dict(dicts)
    if not isinstance(dicts, Sequence):
        raise told(
            ValueError,
            "functional_call: expected a dictionary or a sequence of them, got "
            f"{type(dicts).__name__}",
        )
    merged: dict[str, Any] = {}
    for part in dicts:
        repeated = merged.keys() & part.keys()
        if repeated:
            raise told(
                ValueError,
                f"functional_call: {sorted(repeated)} appear in several dictionaries; give each once",
            )
        merged |= part
    return merged


def _tied(known: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return `given` with every other name of the tensors that are replaced."""
    names: dict[int, list[str]] = {}
    for name, tensor in known.items():
        names.setdefault(id(tensor), []).append(name)
    spread = dict(given)
    for group in names.values():
        chosen = [name for name in group if name in given]
        if len({id(given[name]) for name in chosen}) > 1:
            raise told(
                ValueError,
                f"functional_call: {chosen} are one tied parameter but were given different tensors; give "
                "one, or tie_weights=False",
            )
        if chosen:
            spread |= dict.fromkeys(group, given[chosen[0]])
    return spread


def stack_module_state(models: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the parameters, and the buffers, of models of one kind, stacked under their names.

    Args:
        models: modules of the same class, all in training or all in evaluation mode.

    Raises:
        RuntimeError: for no models, or models of different classes or modes.

    >>> import tinygrad_like as torch
    >>> params, buffers = torch.func.stack_module_state([torch.nn.Linear(2, 3) for _ in range(5)])
    >>> {name: tuple(p.shape) for name, p in params.items()}
    {'weight': (5, 3, 2), 'bias': (5, 3)}
    """
    models = list(models)
    if not models:
        raise told(RuntimeError, "stack_module_state: Expected at least one model, got 0.")
    if len({model.training for model in models}) > 1:
        raise told(
            RuntimeError,
            "stack_module_state: Expected all models to have the same training/eval mode.",
        )
    if any(type(model) is not type(models[0]) for model in models):
        raise told(RuntimeError, "stack_module_state: Expected all models to be of the same class.")
    every = [dict(model.named_parameters()) for model in models]
    params = {}
    for name, first in every[0].items():
        tensors = [part[name] for part in every]
        if len({t.requires_grad for t in tensors}) > 1:
            raise told(
                RuntimeError,
                f"stack_module_state: Expected {name} from each model to have the same .requires_grad",
            )
        params[name] = stack(tensors).detach().requires_grad_(first.requires_grad)
    kept = [dict(model.named_buffers()) for model in models]
    return params, {name: stack([part[name] for part in kept]) for name in kept[0]}
