"""The graph as users see it: its nodes, the edges that gradients take, and what is kept for them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tinygrad_like.graph import Node, Pick, Traced
from tinygrad_like.lines import told
from tinygrad_like.modes import depart, thread_mode

__all__ = [
    "GradientEdge",
    "Node",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "save_on_cpu",
    "saved_tensors_hooks",
]


class GradientEdge(NamedTuple):
    """Where a gradient enters the graph: a node, and which of its results it belongs to."""

    node: Node
    output_nr: int


def get_gradient_edge(tensor: Any) -> GradientEdge:
    """Return the edge by which a gradient of `tensor` enters the graph.

    Raises:
        RuntimeError: if `tensor` requires no gradient.
    """
    node = tensor.node if isinstance(tensor, Traced) else None
    if node is None:
        raise told(
            RuntimeError,
            "It is not possible to get the gradient edge for a Tensor that does not require gradients",
        )
    if isinstance(node, Pick):
        (made_by,) = node.parents
        assert made_by is not None
        return GradientEdge(made_by, node.index)
    return GradientEdge(node, 0)


class saved_tensors_hooks:
    """Context manager inside which what is saved for backward goes through two functions.

    ``pack_hook(tensor)`` is called whenever an operation saves a tensor, and what it returns is kept
    instead; ``unpack_hook(packed)`` is called whenever a backward needs the values, and returns a
    tensor of them. Only the innermost pair is used. A `pack_hook` that keeps the very tensor, and
    not a ``detach()`` of it, keeps the graph alive from inside.

    Raises:
        TypeError: where it is entered, if one of them can't be called.
        RuntimeError: where it is entered, if `disable_saved_tensors_hooks` forbids it.

    >>> import tinygrad_like as torch
    >>> def pack(x):
    ...     print("packing", x)
    ...     return x.detach().half()
    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x.float()):
    ...     y = x.exp()
    packing tensor([2.7183, 7.3891], grad_fn=<ExpBackward0>)
    >>> y.sum().backward()
    >>> x.grad
    tensor([2.7188, 7.3906])
    """

    def __init__(self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]) -> None:
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook

    def __enter__(self) -> None:
        for name in ("pack_hook", "unpack_hook"):
            if not callable(getattr(self, name)):
                raise told(
                    TypeError,
                    f"saved_tensors_hooks: {name} must be a function of one argument, got "
                    f"{type(getattr(self, name)).__name__}",
                )
        if thread_mode.saving_refused is not None:
            raise RuntimeError(thread_mode.saving_refused)
        thread_mode.saving = (*thread_mode.saving, (self.pack_hook, self.unpack_hook))
        depart(1)

    def __exit__(self, *_: object) -> None:
        thread_mode.saving = thread_mode.saving[:-1]
        depart(-1)


class save_on_cpu(saved_tensors_hooks):
    """Context manager inside which tensors are saved on the CPU, where they are anyway.

    Args:
        pin_memory: accepted for GPUs, of which there are none.
        device_type: likewise.
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        del pin_memory, device_type
        super().__init__(lambda tensor: tensor.detach(), lambda tensor: tensor)


@contextlib.contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """Context manager inside which entering `saved_tensors_hooks` raises.

    Args:
        error_message: what the error says.

    Raises:
        RuntimeError: if there are such hooks already.

    >>> import tinygrad_like as torch
    >>> graph = torch.autograd.graph
    >>> with graph.disable_saved_tensors_hooks("not in here"), graph.save_on_cpu():
    ...     pass
    Traceback (most recent call last):
    ...
    RuntimeError: not in here
    """
    if thread_mode.saving:
        raise told(RuntimeError, error_message)
    former = thread_mode.saving_refused
    thread_mode.saving_refused = error_message
    try:
        yield
    finally:
        thread_mode.saving_refused = former
