"""grad, vjp, jacrev and hessian: transforms of functions that nest to any depth.

A transform gives the function tensors of its own to differentiate by. Where the arguments are
themselves in a graph, the outer transform's or the user's, the new ones are views of them, so that
what is computed stays in that graph too; results that depend on nothing outside are cut off.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from tinygrad_like import backward
from tinygrad_like.autograd.grad_mode import enable_grad
from tinygrad_like.func.tree import leaves_of, mapped, refilled, same_form
from tinygrad_like.graph import AccumulateGrad, Node, Traced, reachable, result_type
from tinygrad_like.lines import told
from tinygrad_like.ops.joining import stack

Argnums = int | tuple[int, ...]


def _chosen(args: tuple[Any, ...], argnums: Argnums) -> tuple[Any, ...]:
    """Return the arguments to differentiate by.

    Raises:
        RuntimeError: for positions that there are not, or that come twice.
    """
    positions = (argnums,) if isinstance(argnums, int) else argnums
    if not isinstance(positions, tuple):
        raise told(RuntimeError, f"argnums must be int or Tuple[int, ...], got: {type(argnums)}")
    if not positions:
        raise told(RuntimeError, "argnums must be non-empty")
    if len({p % len(args) if args else p for p in positions}) != len(positions):
        raise told(RuntimeError, f"argnums elements must be unique, got {positions}")
    for p in positions:
        if not isinstance(p, int):
            raise told(RuntimeError, f"argnums must be int or Tuple[int, ...], got: {p!r}")
        if not -len(args) <= p < len(args):
            raise told(RuntimeError, f"Got argnum={p}, but only {len(args)} positional inputs")
    return tuple(args[p] for p in positions)


def _replaced(args: tuple[Any, ...], argnums: Argnums, chosen: Sequence[Any]) -> tuple[Any, ...]:
    positions = (argnums,) if isinstance(argnums, int) else argnums
    given = list(args)
    for p, argument in zip(positions, chosen, strict=True):
        given[p] = argument
    return tuple(given)


def _fresh(x: Any) -> Any:
    """Return a tensor to differentiate by, in the graph of `x` if it has one."""
    if not isinstance(x, Traced):
        raise told(ValueError, f"Thing passed to transform API must be Tensor, got {type(x)}")
    tensor: Any = x
    return tensor.view_as(tensor) if x.node is not None else tensor.detach().requires_grad_()


# Leaves that transforms made for themselves: they do not count as something outside.
_inner: weakref.WeakSet[Node] = weakref.WeakSet()


class _Level:
    """One transform at work: the tensors it differentiates by."""

    def __init__(self, primals: Any) -> None:
        self.primals = mapped(_fresh, primals)
        self.leaves = leaves_of(self.primals)
        self._own: set[Node] = {x.node for x in self.leaves}

    def cut(self, tree: Any) -> Any:
        """Return `tree` with the tensors that depend on nothing but this level out of the graph."""
        _inner.update(node for node in self._own if isinstance(node, AccumulateGrad))
        return mapped(self._cut, tree)

    def _cut(self, x: Any) -> Any:
        if not isinstance(x, Traced) or x.node is None:
            return x
        for node in reachable([x.node]):
            if isinstance(node, AccumulateGrad) and node not in self._own and node not in _inner:
                return x
        return result_type.make(x.array)

    def gradients(self, outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """Return the recorded gradients by each of `leaves`, zeros where one was not used."""
        used = [(o, c) for o, c in zip(outputs, cotangents, strict=True) if o.node is not None]
        found: Sequence[Any] = (None,) * len(self.leaves)
        if used and self.leaves:
            found = backward.grad(
                [o for o, _ in used],
                self.leaves,
                [c for _, c in used],
                create_graph=True,
                allow_unused=True,
            )
        return [
            result_type.make(np.zeros_like(x.array)) if g is None else g
            for x, g in zip(self.leaves, found, strict=True)
        ]


def _tensors(name: str, tree: Any) -> list[Any]:
    leaves = leaves_of(tree)
    for leaf in leaves:
        if not isinstance(leaf, Traced):
            raise told(
                RuntimeError, f"{name}: expected f(*args) to return only tensors, got {type(leaf)}"
            )
    return leaves


def _with_aux(name: str, output: Any, has_aux: bool) -> tuple[Any, Any]:
    if not has_aux:
        return output, None
    if not (isinstance(output, tuple) and len(output) == 2):
        raise told(
            RuntimeError,
            f"{name}: output of function f should be a tuple: (output, aux) if has_aux is True",
        )
    return output


def grad_and_value(
    func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """Return a function that gives the gradient of `func` and its value.

    Args:
        func: returns a scalar tensor; its arguments may be nested lists, tuples and dictionaries.
        argnums: the argument, or the arguments, to differentiate by.
        has_aux: `func` returns ``(value, aux)``; the new function ``(gradient, (value, aux))``.

    Raises:
        RuntimeError: by the returned function, if `func` does not return a scalar tensor.

    >>> import tinygrad_like as torch
    >>> torch.func.grad_and_value(lambda x: (x * x).sum())(torch.tensor([1.0, 2.0]))
    (tensor([2., 4.]), tensor(5.))
    """
    name = "grad_and_value(f)(*args)"

    @wraps(func)
    def run(*args: Any, **kwargs: Any) -> Any:
        with enable_grad():
            level = _Level(_chosen(args, argnums))
            output = func(*_replaced(args, argnums, level.primals), **kwargs)
            output, aux = _with_aux(name, output, has_aux)
            if not isinstance(output, Traced):
                raise told(
                    RuntimeError,
                    f"{name}: Expected f(*args) to return a Tensor, got {type(output)}",
                )
            if output.array.ndim:
                raise told(
                    RuntimeError,
                    f"{name}: Expected f(*args) to return a scalar Tensor, got tensor with "
                    f"{output.array.ndim} dims. Maybe you wanted to use the vjp or jacrev APIs instead?",
                )
            found = level.gradients([output], [None])
            slopes = level.cut(refilled(level.primals, found))
            value = level.cut((output, aux) if has_aux else output)
        return (slopes[0] if isinstance(argnums, int) else slopes), value

    return run


def grad(
    func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """Return a function that gives the gradient of `func`; with `has_aux` also what is aside.

    For the arguments and errors see `grad_and_value`.

    >>> import tinygrad_like as torch
    >>> from tinygrad_like.func import grad
    >>> grad(grad(torch.sin))(torch.tensor(1.0))  # -sin(1)
    tensor(-0.8415)
    """
    both = grad_and_value(func, argnums, has_aux)

    @wraps(func)
    def run(*args: Any, **kwargs: Any) -> Any:
        slopes, value = both(*args, **kwargs)
        return (slopes, value[1]) if has_aux else slopes

    return run


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """Return ``func(*primals)`` and a function from cotangents to gradients by each of `primals`.

    Args:
        func: takes and returns tensors, nested lists, tuples and dictionaries of them.
        primals: what to call it with.
        has_aux: `func` returns ``(output, aux)``, and `aux` is returned as a third value.

    Raises:
        RuntimeError: if `func` does not return tensors, or for cotangents of another form.

    >>> import tinygrad_like as torch
    >>> value, pull = torch.func.vjp(lambda x: x * x, torch.tensor([1.0, 2.0]))
    >>> pull(torch.tensor([1.0, 10.0]))
    (tensor([ 2., 40.]),)
    """
    name = "vjp(f, *primals)"
    with enable_grad():
        level = _Level(primals)
        output, aux = _with_aux(name, func(*level.primals), has_aux)
        outputs = _tensors(name, output)

    def pull(cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> Any:
        del retain_graph, create_graph
        if not same_form(output, cotangents):
            raise told(
                RuntimeError,
                f"{name}: expected cotangents of the same structure as the output, got "
                f"{type(cotangents).__name__}",
            )
        with enable_grad():
            found = level.gradients(outputs, leaves_of(cotangents))
            slopes: Any = level.cut(refilled(level.primals, found))
        return slopes

    shown = level.cut(output)
    return (shown, pull, level.cut(aux)) if has_aux else (shown, pull)


def jacrev(
    func: Callable[..., Any],
    argnums: Argnums = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """Return a function that gives the Jacobian of `func`, by a backward for each output element.

    For each output it has the form of the arguments, and a tensor of it the output's shape followed
    by the argument's.

    Args:
        func: returns tensors, or nested lists, tuples and dictionaries of them.
        argnums: the argument, or the arguments, to differentiate by.
        has_aux: `func` returns ``(output, aux)``; the new function ``(jacobian, aux)``.
        chunk_size: accepted; rows are computed one by one anyway.

    Raises:
        ValueError: if `chunk_size` is not positive.

    >>> import tinygrad_like as torch
    >>> torch.func.jacrev(torch.sin)(torch.tensor([0.0, 0.0]))
    tensor([[1., 0.],
            [0., 1.]])
    """
    if chunk_size is not None and chunk_size <= 0:
        raise told(ValueError, "jacrev: `chunk_size` should be greater than 0.")

    @wraps(func)
    def run(*args: Any, **kwargs: Any) -> Any:
        with enable_grad():
            level = _Level(_chosen(args, argnums))
            output = func(*_replaced(args, argnums, level.primals), **kwargs)
            output, aux = _with_aux("jacrev", output, has_aux)
            blocks = [_block(level, out) for out in _tensors("jacrev", output)]
            if isinstance(argnums, int):
                blocks = [block[0] for block in blocks]
            jacobian = level.cut(refilled(output, blocks))
        return (jacobian, level.cut(aux)) if has_aux else jacobian

    return run


def _block(level: _Level, out: Any) -> Any:
    """Return the derivatives of one output in the form of the arguments."""
    rows = []
    for index in range(out.array.size):
        unit = np.zeros(out.array.size, out.array.dtype)
        unit[index] = 1
        rows.append(level.gradients([out], [result_type.make(unit.reshape(out.array.shape))]))
    columns = [
        stack([row[i] for row in rows]).reshape(*out.shape, *x.shape)
        if rows
        else result_type.make(np.zeros((*out.array.shape, *x.array.shape), x.array.dtype))
        for i, x in enumerate(level.leaves)
    ]
    return refilled(level.primals, columns)


def hessian(func: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """Return a function that gives the second derivatives of `func`: ``jacrev(jacrev(func))``.

    >>> import tinygrad_like as torch
    >>> torch.func.hessian(lambda x: (x**3).sum())(torch.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacrev(jacrev(func, argnums), argnums)
