"""What starts a walk: `backward` adds gradients to tensors, `grad` returns them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_like.graph import (
    AccumulateGrad,
    Node,
    Traced,
    accumulate,
    result_type,
    run_post_hooks,
    walk,
)
from tinygrad_like.lines import told
from tinygrad_like.modes import set_mode, thread_mode
from tinygrad_like.noticed import looks, lost

_SUMS = frozenset(("Mean", "Norm", "Sum"))
_SCALINGS = frozenset(("Div", "Mul", "Neg"))
_COMBINING = _SUMS | _SCALINGS


def _sequence(value: Any) -> list[Any]:
    return [value] if value is None or isinstance(value, Traced) else list(value)


def _roots(
    outputs: Sequence[Any], gradients: Sequence[Any], create_graph: bool
) -> list[tuple[Node, Any]]:
    """Return the nodes to start from, each with the gradient that enters there."""
    for gradient in gradients:
        if gradient is not None and not isinstance(gradient, Traced):
            raise told(
                TypeError,
                f"gradients can be either Tensors or None, but got {type(gradient).__name__}",
            )
    if len(gradients) != len(outputs):
        raise told(
            RuntimeError,
            f"Mismatch in number of tensors and gradients: got {len(outputs)} tensors and "
            f"{len(gradients)} gradients; give one gradient, or None, for each tensor",
        )
    roots = []
    for position, (output, gradient) in enumerate(zip(outputs, gradients, strict=True)):
        if not isinstance(output, Traced):
            raise told(
                TypeError,
                f"backward: element {position} of tensors is {type(output).__name__}, expected a Tensor",
            )
        if output.node is None:
            raise told(
                RuntimeError,
                f"element {position} of tensors does not require grad and does not have a grad_fn: "
                "set requires_grad=True on what you differentiate by, before computing this tensor",
            )
        array = output.array
        g: Any
        if gradient is None:
            if array.size != 1:
                raise told(
                    RuntimeError,
                    "grad can be implicitly created only for scalar outputs: got shape "
                    f"{tuple(array.shape)}; reduce it with .sum() or .mean(), or give gradient=",
                )
            g = np.array(1, array.dtype, ndmin=array.ndim)
        else:
            g = gradient.array
            if g.shape != array.shape:
                raise told(
                    RuntimeError,
                    f"Mismatch in shape: grad_output[{position}] has a shape of {tuple(g.shape)} and "
                    f"output[{position}] has a shape of {tuple(array.shape)}.",
                )
            if g.dtype != array.dtype:
                g = g.astype(array.dtype)
            elif create_graph:
                g = gradient
        if create_graph and not isinstance(g, Traced):
            g = result_type.make(g)
        roots.append((output.node, g))
    return roots


def _run(
    outputs: Sequence[Any],
    gradients: Sequence[Any],
    retain_graph: bool | None,
    create_graph: bool,
    targets: Sequence[Node] | None,
) -> dict[Node, Any]:
    roots = _roots(outputs, gradients, create_graph)
    keep = create_graph if retain_graph is None else retain_graph
    if not create_graph and targets is None:
        return walk(roots, retain_graph=keep)
    former = set_mode(create_graph or thread_mode.grad, thread_mode.inference)
    targeted = thread_mode.targeted
    thread_mode.targeted = targeted or targets is not None
    try:
        return walk(roots, retain_graph=keep, create_graph=create_graph, targets=targets)
    finally:
        thread_mode.targeted = targeted
        set_mode(*former)


def _show(outputs: Sequence[Any]) -> None:
    for reference in list(looks):
        look = reference()
        if look is not None:
            look.see(outputs)


def _look_for_pairs(root: Any) -> None:
    """Have a trap told of if a loss is the sum of a matrix that was most likely to be a vector."""
    if root.label in _SCALINGS:
        root = root.parents[0] or root.parents[1]
    if root.label in _SUMS and len(root.parents[0].shape) == 2:
        from tinygrad_like.debug.losses import see_sum

        see_sum(root)


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add the gradients of `tensors` to the ``.grad`` of the leaves they were computed from.

    Args:
        tensors: a tensor, or several.
        grad_tensors: for each of them the gradient to start from; None means 1, for scalars.
        retain_graph: keep the graph for a second backward (default: `create_graph`).
        create_graph: record the gradients' own computation, for derivatives of higher order.
        inputs: add gradients only to these tensors, which need not be leaves.

    Raises:
        RuntimeError: if a tensor has no graph or no gradient to start from, or if the graph was
            freed, or a value it needs overwritten.

    >>> import tinygrad_like as torch
    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> torch.autograd.backward((x * x).sum())
    >>> x.grad
    tensor([2., 4.])
    """
    outputs = _sequence(tensors)
    gradients = [None] * len(outputs) if grad_tensors is None else _sequence(grad_tensors)
    if inputs is None:
        if looks:
            _show(outputs)
        if lost:
            lost.clear()
        _run(outputs, gradients, retain_graph, create_graph, None)
        if outputs and outputs[0].node.label in _COMBINING:
            _look_for_pairs(outputs[0].node)
        return
    wanted = _sequence(inputs)
    if not wanted:
        raise told(RuntimeError, "'inputs' argument to 'backward' cannot be empty.")
    captured = _run(outputs, gradients, retain_graph, create_graph, _nodes(wanted, "backward"))
    for tensor in wanted:
        g = captured.pop(tensor.node, None)
        if g is not None:
            accumulate(tensor, g if isinstance(g, Traced) else np.array(g))
            if isinstance(tensor.node, AccumulateGrad):
                run_post_hooks(tensor, create_graph)


def _nodes(inputs: Sequence[Any], name: str) -> list[Node]:
    for position, tensor in enumerate(inputs):
        if not isinstance(tensor, Traced):
            raise told(
                RuntimeError,
                f"all inputs have to be Tensors, but got {type(tensor).__name__}: inputs[{position}] of {name}",
            )
        if tensor.node is None:
            raise told(
                RuntimeError,
                f"One of the differentiated Tensors does not require grad: inputs[{position}] of shape "
                f"{tuple(tensor.array.shape)}; call requires_grad_() on it before computing with it",
            )
    return [tensor.node for tensor in inputs]


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """Return the gradients of `outputs` with respect to `inputs`, leaving every ``.grad`` alone.

    Args:
        outputs: a tensor, or several, whose gradients are added up.
        inputs: the tensors to differentiate by; they need not be leaves.
        grad_outputs: for each output the gradient to start from; None means 1, for scalars.
        retain_graph: keep the graph for a second backward (default: `create_graph`).
        create_graph: record the gradients' own computation, for derivatives of higher order.
        allow_unused: give None for an input the outputs do not depend on, instead of raising.
        is_grads_batched: not supported.
        materialize_grads: give zeros instead of None for such an input.

    Raises:
        RuntimeError: as `backward`, and if an input was not used.

    >>> import tinygrad_like as torch
    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> (slope,) = torch.autograd.grad(x**2, x, create_graph=True)
    >>> torch.autograd.grad(slope, x)
    (tensor(2.),)
    """
    if is_grads_batched:
        raise told(
            NotImplementedError,
            "grad: is_grads_batched=True is not supported; call grad once for each row of grad_outputs",
        )
    if materialize_grads and allow_unused is False:
        raise told(
            ValueError,
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: "
            "allow_unused=False.",
        )
    results = _sequence(outputs)
    gradients = [None] * len(results) if grad_outputs is None else _sequence(grad_outputs)
    wanted = _sequence(inputs)
    if not wanted:
        raise told(RuntimeError, "`inputs` argument to `grad()` cannot be empty.")
    captured = _run(results, gradients, retain_graph, create_graph, _nodes(wanted, "grad"))
    found = []
    for position, tensor in enumerate(wanted):
        g = captured.get(tensor.node)
        if g is None:
            if materialize_grads:
                found.append(result_type.make(np.zeros_like(tensor.array)))
                continue
            if not allow_unused:
                raise told(
                    RuntimeError,
                    "One of the differentiated Tensors appears to not have been used in the graph: "
                    f"inputs[{position}] of shape {tuple(tensor.array.shape)}; set allow_unused=True if "
                    "this is the desired behavior",
                )
            found.append(None)
        elif isinstance(g, Traced):
            found.append(g)
        else:
            found.append(result_type.make(_own(g, tensor)))
    return tuple(found)


def _own(g: Any, tensor: Any) -> np.ndarray[Any, Any]:
    """Return a gradient that shares no memory with the graph."""
    return np.array(g, tensor.array.dtype)
