"""Gradients held against finite differences."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_like.autograd.grad_mode import enable_grad, no_grad
from tinygrad_like.backward import grad
from tinygrad_like.graph import Traced, result_type
from tinygrad_like.lines import told

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]

Arrays = list[np.ndarray[Any, Any]]


class GradcheckError(RuntimeError):
    """Raised where a gradient is not what finite differences say."""


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Return True if the gradients of `func` agree with central differences at `inputs`.

    Args:
        func: takes tensors and returns a tensor or several.
        inputs: a tensor or a sequence; those that require a gradient (float64, please) are checked.
        eps: how far an element is moved to either side.
        atol: absolute tolerance.
        rtol: relative tolerance.
        raise_exception: raise instead of returning False.
        nondet_tol: how much two backward passes may differ.
        check_undefined_grad: check that results that were not used count as zeros.
        check_grad_dtypes: check that gradients have the dtype of their inputs.
        check_batched_grad: not supported.
        check_batched_forward_grad: not supported.
        check_forward_ad: not supported.
        check_backward_ad: False checks nothing.
        fast_mode: compare along one random direction for each input instead of every element.
        masked: accepted for sparse tensors, of which there are none.

    Raises:
        GradcheckError: if they do not agree; the message names result, input and element.
        ValueError: if no input requires a gradient.

    >>> import tinygrad_like as torch
    >>> x = torch.tensor([0.5, 2.0], dtype=torch.float64, requires_grad=True)
    >>> torch.autograd.gradcheck(lambda x: x.log() * x, x)
    True
    """
    del masked
    for name, asked in (
        ("check_batched_grad", check_batched_grad),
        ("check_batched_forward_grad", check_batched_forward_grad),
        ("check_forward_ad", check_forward_ad),
    ):
        if asked:
            raise told(
                NotImplementedError, f"gradcheck: {name}=True is not supported; leave it out"
            )
    if not check_backward_ad:
        return True
    try:
        _check(
            func,
            _checked_inputs(inputs),
            eps=eps,
            atol=atol,
            rtol=rtol,
            nondet_tol=nondet_tol,
            undefined=check_undefined_grad,
            dtypes=check_grad_dtypes,
            fast=fast_mode,
        )
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _checked_inputs(inputs: Any) -> list[Any]:
    given = [inputs] if isinstance(inputs, Traced) else list(inputs)
    watched = [i for i, t in enumerate(given) if _is_watched(t)]
    if not watched:
        raise told(
            ValueError,
            "gradcheck expects at least one input tensor to require gradient, but none of them have "
            "requires_grad=True.",
        )
    for i in watched:
        if given[i].array.dtype != np.float64:
            warnings.warn(
                f"Input #{i} requires gradient and is not a double precision floating point. This check "
                "will likely fail if all the inputs are not of double precision floating point.",
                stacklevel=3,
            )
        if 0 in given[i].array.strides and given[i].array.size > 1:
            raise told(
                RuntimeError,
                f"The {i}th input has a dimension with stride 0. gradcheck only supports inputs that are "
                "non-overlapping to be able to compute the numerical gradients correctly. You should "
                "call .contiguous on the input before passing it to gradcheck.",
            )
    return given


def _is_watched(value: Any) -> bool:
    return isinstance(value, Traced) and value.node is not None


def _results(func: Callable[..., Any], given: Sequence[Any]) -> list[Any]:
    out = func(*given)
    return [t for t in (out if isinstance(out, tuple | list) else [out]) if isinstance(t, Traced)]


def _check(
    func: Callable[..., Any],
    given: list[Any],
    *,
    eps: float,
    atol: float,
    rtol: float,
    nondet_tol: float,
    undefined: bool,
    dtypes: bool,
    fast: bool,
) -> None:
    watched = [i for i, t in enumerate(given) if _is_watched(t)]
    leaves = [given[i] for i in watched]
    with enable_grad():
        results = _results(func, given)
    rng = np.random.default_rng(0)
    for o, result in enumerate(results):
        if result.array.dtype.kind != "f":
            continue
        if result.node is None:
            _check_constant(func, given, watched, o, eps, atol)
            continue
        directions = [_direction(leaf, rng, fast) for leaf in leaves]
        starts = _starts(result.array, rng, fast)
        analytic = _analytic(result, leaves, starts, directions, dtypes, o)
        again = _analytic(result, leaves, starts, directions, False, o)
        for position, i in enumerate(watched):
            numeric = _numeric(func, given, i, o, eps, starts, directions[position])
            _compare(analytic[position], numeric, atol, rtol, o, i, fast)
            if analytic[position].size and (
                np.abs(analytic[position] - again[position]).max() > nondet_tol
            ):
                raise GradcheckError(
                    "Backward is not reentrant, i.e., running backward with same input and grad_output "
                    "multiple times gives different values, although analytical gradient matches "
                    f"numerical gradient: output {o}, input {i}. The tolerance for nondeterminism was "
                    f"{nondet_tol}."
                )
    if undefined:
        _check_undefined(results, leaves, watched)


def _direction(leaf: Any, rng: np.random.Generator, fast: bool) -> np.ndarray[Any, Any]:
    """Return the directions to move `leaf` in, one a row: each element, or one at random."""
    size = leaf.array.size
    if not fast:
        return np.eye(size)
    direction = rng.standard_normal((1, size))
    return direction / max(float(np.linalg.norm(direction)), 1e-30)


def _starts(array: np.ndarray[Any, Any], rng: np.random.Generator, fast: bool) -> Arrays:
    """Return the gradients to start from: each element of the result by itself, or a random mix."""
    if fast:
        return [np.asarray(rng.standard_normal(array.shape)).astype(array.dtype)]
    return [row.reshape(array.shape) for row in np.eye(array.size, dtype=array.dtype)]


def _analytic(
    result: Any, leaves: Sequence[Any], starts: Arrays, directions: Arrays, dtypes: bool, o: int
) -> Arrays:
    """Return for each leaf the Jacobian by backward: (directions, starts)."""
    found = [np.zeros((len(d), len(starts))) for d in directions]
    for column, start in enumerate(starts):
        grads = grad(
            [result], leaves, [result_type.make(start)], retain_graph=True, allow_unused=True
        )
        for i, (g, leaf) in enumerate(zip(grads, leaves, strict=True)):
            if g is None:
                continue
            if g.array.shape != leaf.array.shape:
                raise GradcheckError(
                    f"Gradient of input {i} has shape {g.array.shape}, expected {leaf.array.shape}"
                )
            if dtypes and g.array.dtype != leaf.array.dtype:
                raise GradcheckError(
                    f"Gradient of output {o} with respect to input {i} has dtype {g.array.dtype}, expected "
                    f"{leaf.array.dtype}"
                )
            found[i][:, column] = directions[i] @ g.array.astype(np.float64).reshape(-1)
    return found


def _numeric(
    func: Callable[..., Any],
    given: Sequence[Any],
    i: int,
    o: int,
    eps: float,
    starts: Arrays,
    directions: np.ndarray[Any, Any],
) -> np.ndarray[Any, Any]:
    """Return the Jacobian of result `o` by input `i`, by central differences."""
    found = np.zeros((len(directions), len(starts)))
    for row, direction in enumerate(directions):
        step = (eps * direction).reshape(given[i].array.shape).astype(given[i].array.dtype)
        ends = []
        for sign in (1, -1):
            moved = [_copy(t) for t in given]
            moved[i].array += sign * step
            with no_grad():
                ends.append(_results(func, moved)[o].array.astype(np.float64))
        slope = (ends[0] - ends[1]) / (2 * eps)
        found[row] = [float((start * slope).sum()) for start in starts]
    return found


def _copy(value: Any) -> Any:
    """Return a leaf of its own for each tensor, so that `func` may write where it likes."""
    if not isinstance(value, Traced):
        return value
    copied = result_type.make(value.array.copy())
    if value.node is not None:
        copied.requires_grad_()
    return copied


def _check_constant(
    func: Callable[..., Any],
    given: Sequence[Any],
    watched: list[int],
    o: int,
    eps: float,
    atol: float,
) -> None:
    """Raise if a result that claims not to depend on any input does."""
    for i in watched:
        size = given[i].array.size
        result = _results(func, given)[o].array
        starts = [row.reshape(result.shape) for row in np.eye(result.size)]
        numeric = _numeric(func, given, i, o, eps, starts, np.eye(size))
        if numeric.size and np.abs(numeric).max() > atol:
            raise GradcheckError(
                f"Numerical gradient for function expected to be zero: output {o} does not require grad, "
                f"but depends on input {i}"
            )


def _compare(
    analytic: np.ndarray[Any, Any],
    numeric: np.ndarray[Any, Any],
    atol: float,
    rtol: float,
    o: int,
    i: int,
    fast: bool,
) -> None:
    wrong = ~(np.abs(analytic - numeric) <= atol + rtol * np.abs(numeric))
    if not wrong.any():
        return
    difference = np.where(np.isfinite(analytic - numeric), np.abs(analytic - numeric), np.inf)
    row, column = np.unravel_index(int(np.argmax(np.where(wrong, difference, -1))), wrong.shape)
    place = (
        "along a random direction"
        if fast
        else f"worst at element {row} of the input and element {column} of the output (both flattened)"
    )
    raise GradcheckError(
        f"Jacobian mismatch for output {o} with respect to input {i},\n"
        f"{place}: numerical {numeric[row, column]:.9g}, analytical {analytic[row, column]:.9g}; "
        f"{int(wrong.sum())} of {wrong.size} entries differ\n"
        f"numerical:{numeric}\nanalytical:{analytic}"
    )


def _check_undefined(results: list[Any], leaves: list[Any], watched: list[int]) -> None:
    """Raise if a result that is not used counts as anything but zeros."""
    live = [t for t in results if t.node is not None]
    if len(live) < 2:
        return
    for o, result in enumerate(live):
        start = result_type.make(np.ones_like(result.array))
        alone = grad([result], leaves, [start], retain_graph=True, allow_unused=True)
        zeros = [result_type.make(np.zeros_like(t.array)) for t in live]
        zeros[o] = start
        all_of_them = grad(live, leaves, zeros, retain_graph=True, allow_unused=True)
        for i, a, b in zip(watched, alone, all_of_them, strict=True):
            x = 0.0 if a is None else a.array
            y = 0.0 if b is None else b.array
            if not np.allclose(x, y, equal_nan=True):
                raise GradcheckError(
                    f"Expected backward function to handle undefined output grads: with only output {o} used, "
                    f"the gradient of input {i} differs from that with zeros for the other outputs"
                )


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """Return True if the second derivatives of `func` agree with central differences of the first.

    Takes the arguments of `gradcheck`, and `grad_outputs`, the gradients of the results to start from
    (random if not given; transposed in memory if `gen_non_contig_grad_outputs`).

    >>> import tinygrad_like as torch
    >>> x = torch.tensor([0.5, 2.0], dtype=torch.float64, requires_grad=True)
    >>> torch.autograd.gradgradcheck(lambda x: x.log() * x, x)
    True
    """
    if check_fwd_over_rev:
        raise told(
            NotImplementedError,
            "gradgradcheck: check_fwd_over_rev=True is not supported; leave it out",
        )
    if not check_rev_over_rev:
        return True
    given = _checked_inputs(inputs)
    with enable_grad():
        results = [t for t in _results(func, given) if t.node is not None]
    if grad_outputs is None:
        rng = np.random.default_rng(0)
        starts = []
        for t in results:
            array = np.asarray(rng.standard_normal(t.array.shape)).astype(t.array.dtype)
            if gen_non_contig_grad_outputs:
                array = np.asfortranarray(array)
            starts.append(result_type.make(array).requires_grad_())
    else:
        starts = [grad_outputs] if isinstance(grad_outputs, Traced) else list(grad_outputs)
    count = len(starts)

    def first(*args: Any) -> tuple[Any, ...]:
        arguments, begin = args[:-count] if count else args, args[len(args) - count :]
        arguments = tuple(
            t.requires_grad_() if _is_watched(g) and t.node is None else t
            for t, g in zip(arguments, given, strict=True)
        )
        with enable_grad():
            outputs = [t for t in _results(func, arguments) if t.node is not None]
            leaves = [t for t in arguments if _is_watched(t)]
            found = grad(outputs, leaves, begin, create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None)

    return gradcheck(
        first,
        [*given, *starts],
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad,
        fast_mode=fast_mode,
        masked=masked,
    )
