"""Derivatives of functions: products with vectors, Jacobians and Hessians.

Each takes a function of one tensor or several, computes it once and differentiates. Forward products
(`jvp`, `hvp`) run backward twice: the gradient ``u -> v J`` of the first is linear in the dummy
``u``, so differentiating it by ``u`` gives ``J v``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_like.autograd.grad_mode import enable_grad
from tinygrad_like.backward import grad
from tinygrad_like.graph import Traced, result_type
from tinygrad_like.lines import told
from tinygrad_like.ops.joining import stack

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Tensors = tuple[Any, ...]


def _as_tuple(given: Any, argument: str, name: str) -> tuple[bool, Tensors]:
    """Return whether several tensors were given, and all of them."""
    several = isinstance(given, tuple)
    parts = given if several else (given,)
    for position, part in enumerate(parts):
        if not isinstance(part, Traced):
            if several:
                raise told(
                    TypeError,
                    f"The {argument} given to {name} must be either a Tensor or a tuple of Tensors but the "
                    f"value at index {position} has type {type(part)}.",
                )
            raise told(
                TypeError,
                f"The {argument} given to {name} must be either a Tensor or a tuple of Tensors but the "
                f"given {argument} has type {type(part)}.",
            )
    return several, parts


def _start(inputs: Tensors, create_graph: bool) -> Tensors:
    """Return tensors to differentiate by: in the callers' graph if `create_graph`, else outside."""
    return tuple(
        x.view_as(x) if create_graph and x.requires_grad else x.detach().requires_grad_()
        for x in inputs
    )


def _finish(results: Sequence[Any], create_graph: bool) -> Tensors:
    return tuple(results) if create_graph else tuple(r.detach() for r in results)


def _zeros_like(x: Any) -> Any:
    return result_type.make(np.zeros_like(x.array))


def _gradients(
    outputs: Tensors, inputs: Tensors, grad_outputs: Tensors | None, create_graph: bool
) -> Tensors:
    """Return the gradients by `inputs`, None where an input was not used."""
    used = [i for i, out in enumerate(outputs) if out.requires_grad]
    if not used:
        return (None,) * len(inputs)
    given = None if grad_outputs is None else [grad_outputs[i] for i in used]
    return grad(
        [outputs[i] for i in used],
        inputs,
        given,
        retain_graph=True,
        create_graph=create_graph,
        allow_unused=True,
    )


_STRICT = (
    "Output {0} of the user-provided function {1}. The outputs must be computed in a differentiable "
    "manner from the input when running in strict mode."
)


def _filled(found: Sequence[Any], wanted: Tensors, strict: bool, what: str) -> Tensors:
    """Return `found` with zeros where it is None, which is an error in strict mode."""
    for position, part in enumerate(found):
        if part is None and strict:
            raise told(
                RuntimeError,
                f"{what} input {position}: it is not used. This is not allowed in strict mode; pass "
                "strict=False to get zeros",
            )
    return tuple(
        _zeros_like(x) if part is None else part for part, x in zip(found, wanted, strict=True)
    )


def _call(
    func: Callable[..., Any], inputs: Tensors, name: str, strict: bool
) -> tuple[bool, Tensors]:
    several, outputs = _as_tuple(func(*inputs), "outputs of the user-provided function", name)
    if strict:
        for position, out in enumerate(outputs):
            if not out.requires_grad:
                raise told(RuntimeError, _STRICT.format(position, "does not require gradients"))
    return several, outputs


def _vector(v: Any, like: Tensors, several: bool, name: str, of: str) -> Tensors:
    """Return the vector to multiply by: ones where it may be left out."""
    if v is None:
        if len(like) != 1 or like[0].array.size != 1:
            raise told(
                RuntimeError,
                f"The vector v can only be None if {of} a single Tensor with a single element.",
            )
        return (result_type.make(np.ones_like(like[0].array)),)
    _, parts = _as_tuple(v, "v", name)
    if len(parts) != len(like):
        if several:
            raise told(
                RuntimeError,
                f"v is a tuple of invalid length: should be {len(like)} but got {len(parts)}.",
            )
        raise told(RuntimeError, "The given v should contain a single Tensor.")
    for position, (part, x) in enumerate(zip(parts, like, strict=True)):
        if part.shape != x.shape:
            entry = f"Entry {position} in " if several else ""
            raise told(
                RuntimeError,
                f"{entry}v has invalid size: should be {x.shape} but got {part.shape}.",
            )
    return parts


def _shaped(results: Tensors, several: bool) -> Any:
    return results if several else results[0]


def vjp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """Return ``func(*inputs)`` and the product of the vector `v` with its Jacobian.

    Args:
        func: takes tensors and returns one or several.
        inputs: a tensor, or a tuple of them.
        v: shaped as the outputs; may be left out for an output of one element.
        create_graph: let the results be differentiated in their turn.
        strict: raise where an output or an input has no part in it, instead of giving zeros.

    Raises:
        TypeError: for inputs, outputs or `v` that are not tensors.
        RuntimeError: for a `v` of another shape, and in strict mode.

    >>> import tinygrad_like as torch
    >>> x = torch.tensor([1.0, 2.0])
    >>> torch.autograd.functional.vjp(lambda x: x * x, x, torch.tensor([1.0, 10.0]))
    (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    with enable_grad():
        several, given = _as_tuple(inputs, "inputs", "vjp")
        start = _start(given, create_graph)
        several_out, outputs = _call(func, start, "vjp", strict)
        parts = _vector(v, outputs, several_out, "vjp", "the user-provided function returns")
        found = _gradients(outputs, start, parts, create_graph)
        products = _filled(found, start, strict, "The output of the function is independent of")
    return (
        _shaped(_finish(outputs, create_graph), several_out),
        _shaped(_finish(products, create_graph), several),
    )


def _forward_product(
    outputs: Tensors, start: Tensors, v: Tensors, create_graph: bool, strict: bool
) -> Tensors:
    """Return the Jacobian times `v`."""
    dummies = tuple(_zeros_like(out).requires_grad_() for out in outputs)
    rows = _filled(
        _gradients(outputs, start, dummies, True),
        start,
        strict,
        "The output of the function is independent of",
    )
    found = _gradients(rows, dummies, v, create_graph)
    return _filled(found, outputs, strict, "The derivative is independent of the dummy of")


def jvp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """Return ``func(*inputs)`` and the product of its Jacobian with the vector `v`.

    `v` is shaped as the inputs; for the other arguments and errors see `vjp`.

    >>> import tinygrad_like as torch
    >>> x = torch.tensor([1.0, 2.0])
    >>> torch.autograd.functional.jvp(lambda x: x * x, x, torch.tensor([1.0, 10.0]))
    (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    with enable_grad():
        several, given = _as_tuple(inputs, "inputs", "jvp")
        start = _start(given, create_graph)
        parts = _vector(v, start, several, "jvp", "the input to the user-provided function is")
        several_out, outputs = _call(func, start, "jvp", strict)
        products = _forward_product(outputs, start, parts, create_graph, strict)
    return (
        _shaped(_finish(outputs, create_graph), several_out),
        _shaped(_finish(products, create_graph), several_out),
    )


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """Return the derivatives of every element of every output by every element of every input.

    The Jacobian of an output by an input has the shape of the output, then that of the input; for
    several outputs or inputs they come in tuples, outputs first.

    Args:
        func: takes tensors and returns one or several.
        inputs: a tensor, or a tuple of them.
        create_graph: let the result be differentiated in its turn.
        strict: raise where an output does not depend on an input, instead of giving zeros.
        vectorize: accepted; rows are computed one by one anyway.
        strategy: "reverse-mode" (a backward for each output element), or "forward-mode" (for each
            input element).

    Raises:
        TypeError: for inputs or outputs that are not tensors.
        RuntimeError: in strict mode.

    >>> import tinygrad_like as torch
    >>> torch.autograd.functional.jacobian(lambda x: x * x, torch.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    if strategy not in ("forward-mode", "reverse-mode"):
        raise told(
            AssertionError,
            f"jacobian: strategy is {strategy!r}, expected 'forward-mode' or 'reverse-mode'",
        )
    if strict and vectorize:
        raise told(
            RuntimeError,
            "jacobian: strict=True and vectorize=True are not supported together; set one to False",
        )
    with enable_grad():
        several, given = _as_tuple(inputs, "inputs", "jacobian")
        start = _start(given, create_graph)
        several_out, outputs = _call(func, start, "jacobian", strict)
        by_column = strategy == "forward-mode"
        blocks = (_columns if by_column else _rows)(outputs, start, create_graph, strict)
    shaped = tuple(_shaped(_finish(row, create_graph), several) for row in blocks)
    return shaped if several_out else shaped[0]


def _one_hot(x: Any, index: int) -> Any:
    unit = np.zeros(x.array.size, x.array.dtype)
    unit[index] = 1
    return result_type.make(unit.reshape(x.array.shape))


def _joined(parts: list[Any], shape: Any, like: Any) -> Any:
    return (
        stack(parts).reshape(*shape)
        if parts
        else result_type.make(np.zeros(shape, like.array.dtype))
    )


def _rows(outputs: Tensors, start: Tensors, create_graph: bool, strict: bool) -> list[Tensors]:
    """Return the Jacobian's blocks, found by a backward for each element of the outputs."""
    blocks = []
    for position, out in enumerate(outputs):
        rows = []
        for index in range(out.array.size):
            found = _gradients((out,), start, (_one_hot(out, index),), create_graph)
            what = f"Output {position} of the user-provided function is independent of"
            rows.append(_filled(found, start, strict, what))
        blocks.append(
            tuple(
                _joined([row[i] for row in rows], (*out.shape, *x.shape), x)
                for i, x in enumerate(start)
            )
        )
    return blocks


def _columns(outputs: Tensors, start: Tensors, create_graph: bool, strict: bool) -> list[Tensors]:
    """Return the Jacobian's blocks, found by a product for each element of the inputs."""
    found: list[list[Any]] = [[] for _ in outputs]
    for i, x in enumerate(start):
        columns = []
        for index in range(x.array.size):
            v = tuple(_one_hot(x, index) if j == i else _zeros_like(s) for j, s in enumerate(start))
            columns.append(_forward_product(outputs, start, v, create_graph, strict))
        for o, out in enumerate(outputs):
            flat = _joined([c[o].reshape(-1) for c in columns], (x.array.size, out.array.size), out)
            found[o].append(flat.t().reshape(*out.shape, *x.shape))
    return [tuple(row) for row in found]


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """Return the second derivatives of a function of one element by every pair of input elements.

    For the arguments and errors see `jacobian`.

    >>> import tinygrad_like as torch
    >>> torch.autograd.functional.hessian(lambda x: (x**3).sum(), torch.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    several, _ = _as_tuple(inputs, "inputs", "hessian")

    def single(*given: Any) -> Any:
        _, outputs = _as_tuple(func(*given), "outputs of the user-provided function", "hessian")
        if len(outputs) != 1 or isinstance(outputs[0], tuple):
            raise told(RuntimeError, "The function given to hessian should return a single Tensor")
        if outputs[0].array.size != 1:
            raise told(
                RuntimeError,
                "The Tensor returned by the function given to hessian should contain a single element, got "
                f"shape {tuple(outputs[0].shape)}",
            )
        return outputs[0].squeeze()

    def slope(*given: Any) -> Any:
        found = jacobian(single, given if several else given[0], True, strict)
        parts = found if several else (found,)
        for position, part in enumerate(parts):
            if strict and not part.requires_grad:
                raise told(
                    RuntimeError,
                    "hessian: the jacobian of the user-provided function with respect to input "
                    f"{position} is independent of the inputs. This is not allowed in strict mode.",
                )
        return found

    return jacobian(slope, inputs, create_graph, strict, vectorize, outer_jacobian_strategy)


def _second(
    name: str, func: Callable[..., Any], inputs: Any, create_graph: bool, strict: bool
) -> tuple[bool, Tensors, Any, Tensors]:
    """Return the inputs, the value of `func`, which has one element, and its recorded gradients."""
    several, given = _as_tuple(inputs, "inputs", name)
    start = _start(given, create_graph)
    several_out, outputs = _call(func, start, name, strict)
    if several_out:
        raise told(RuntimeError, f"The function given to {name} should return a single Tensor")
    if outputs[0].array.size != 1:
        raise told(
            RuntimeError,
            f"The Tensor returned by the function given to {name} should contain a single element",
        )
    slopes = _filled(
        _gradients(outputs, start, None, True),
        start,
        strict,
        "The output of the function is independent of",
    )
    return several, start, outputs[0], slopes


def vhp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """Return ``func(*inputs)`` and the product of the vector `v` with its Hessian.

    `v` is shaped as the inputs; for the other arguments and errors see `vjp`.

    >>> import tinygrad_like as torch
    >>> x = torch.tensor([1.0, 2.0])
    >>> torch.autograd.functional.vhp(lambda x: (x**3).sum(), x, torch.ones(2))
    (tensor(9.), tensor([ 6., 12.]))
    """
    with enable_grad():
        several, start, value, slopes = _second("vhp", func, inputs, create_graph, strict)
        parts = _vector(v, start, several, "vhp", "the input to the user-provided function is")
        found = _gradients(slopes, start, parts, create_graph)
        products = _filled(found, start, strict, "The jacobian of the function is independent of")
    return _finish((value,), create_graph)[0], _shaped(_finish(products, create_graph), several)


def hvp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """Return ``func(*inputs)`` and the product of its Hessian with the vector `v`.

    The Hessian of a smooth function is symmetric, so `vhp` gives the same at less cost.

    >>> import tinygrad_like as torch
    >>> x = torch.tensor([1.0, 2.0])
    >>> torch.autograd.functional.hvp(lambda x: (x**3).sum(), x, torch.ones(2))
    (tensor(9.), tensor([ 6., 12.]))
    """
    with enable_grad():
        several, start, value, slopes = _second("hvp", func, inputs, create_graph, strict)
        parts = _vector(v, start, several, "hvp", "the input to the user-provided function is")
        products = _forward_product(slopes, start, parts, create_graph, strict)
    return _finish((value,), create_graph)[0], _shaped(_finish(products, create_graph), several)
