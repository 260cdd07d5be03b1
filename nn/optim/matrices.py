"""Optimizers that look at a whole parameter, not only at one element: Adafactor and Muon."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.graph import result_type
from tinygrad_like.lines import here, told
from tinygrad_like.nn.optim.layout import number
from tinygrad_like.nn.optim.optimizer import Group, Optimizer, Params, settings
from tinygrad_like.stamps import stamp
from tinygrad_like.tensor import Tensor

__all__ = ["Adafactor", "Muon"]

Array = np.ndarray[Any, Any]


def _kept(state: dict[str, Any], name: str, like: Array) -> Array:
    """Return the array that is kept as `name`, zeros of the shape of `like` at first."""
    if name not in state:
        state[name] = result_type.make(np.zeros(like.shape, like.dtype))
    return state[name].array  # type: ignore[no-any-return]


class _OneByOne(Optimizer):
    """An optimizer that updates one parameter after the other, each as a whole."""

    def update(self, p: Array, g: Array, state: dict[str, Any], group: Group) -> None:
        """Update an array in place; a subclass says how."""
        raise NotImplementedError

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters by their gradients.

        Args:
            closure: computes the loss anew, with its gradients, and returns it.

        Returns:
            What `closure` returned, or None.
        """
        loss = self.evaluate(closure)
        line = here()
        for group in self.param_groups:
            for p in group["params"]:
                if p._grad is not None:
                    stamp(p.array, line=line)
                    self.update(p.array, p._grad.array, self.state[p], group)
        return loss


def _refuse(*rules: tuple[Any, bool, str]) -> None:
    """Raise for the first option that is out of range."""
    for value, right, message in rules:
        if not right:
            raise told(ValueError, message.format(value))


def _refuse_lr(lr: Any) -> None:
    if isinstance(lr, Tensor) and lr.array.size != 1:
        raise told(ValueError, "Tensor lr must be 1-element")
    _refuse((lr, lr >= 0.0, "Learning rate should be >= 0 but is: {}"))


# ----- Adafactor ----------------------------------------------------------------------------------


class Adafactor(_OneByOne):
    """Adam without a mean gradient, its mean squares kept as a row times a column.

    What is kept of a matrix ``(..., N, M)`` is ``(..., N, 1)`` and ``(..., 1, M)`` (Shazeer and Stern,
    "Adafactor: adaptive learning rates with sublinear memory cost", 2018).

    Args:
        params: parameters, ``(name, parameter)`` pairs or groups.
        lr: the most that the relative learning rate, ``1 / sqrt(step)``, may be.
        beta2_decay: at each step the mean squares forget a share of ``step ** beta2_decay``.
        eps: the least root of a mean square (None: the type's precision), and the least root mean
            square of a parameter, by which the learning rate is multiplied.
        d: the most that the root mean square of an update may be.
        weight_decay: each step multiplies the parameter by ``1 - lr * weight_decay``.
        foreach: accepted; there is one implementation.
        maximize: go uphill.

    Raises:
        ValueError: if an option is out of range.

    >>> import tinygrad_like as torch
    >>> w = torch.tensor([1.0, 1.0], requires_grad=True)
    >>> optimizer = torch.optim.Adafactor([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.5000, 0.5000], requires_grad=True)
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        options = settings(locals())
        _refuse_lr(lr)
        _refuse(
            (beta2_decay, beta2_decay <= 0.0, "beta2_decay should be <= 0 but is: {}"),
            (eps[0], eps[0] is None or eps[0] >= 0.0, "epsilon1 should be >= 0 but is: {}"),
            (eps[1], eps[1] >= 0.0, "epsilon2 should be >= 0 but is: {}"),
            (d, d >= 1.0, "Clipping threshold d should be >= 1 but is: {}"),
            (weight_decay, weight_decay >= 0.0, "weight_decay should be >= 0 but is: {}"),
        )
        super().__init__(params, options)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("foreach", None)
        for notes in self.state.values():
            if "step" in notes and not isinstance(notes["step"], Tensor):
                notes["step"] = _count(notes["step"])

    def update(self, p: Array, g: Array, state: dict[str, Any], group: Group) -> None:
        """Update an array in place."""
        if "step" not in state:
            state["step"] = _count(0.0)
        state["step"].array += 1
        step = state["step"].item()
        lr, decay = number(group["lr"]), group["weight_decay"]
        least, least_size = group["eps"]
        least = float(np.finfo(p.dtype).eps) if least is None else least
        forgotten = step ** group["beta2_decay"]
        size = max(least_size, _root_mean_square(p)) * min(lr, 1 / step**0.5)
        if decay != 0:
            p *= 1 - lr * decay
        if g.ndim > 1:
            rows = _kept(state, "row_var", g[..., :1])
            columns = _kept(state, "col_var", g[..., :1, :])
            squares = g * g
            rows += forgotten * (squares.mean(-1, keepdims=True) - rows)
            columns += forgotten * (squares.mean(-2, keepdims=True) - columns)
            scale = np.maximum(rows.mean(-2, keepdims=True), least)
            variance = np.multiply(rows / scale, columns, out=squares)
        else:
            kept = _kept(state, "variance", g)
            kept += forgotten * (g * g - kept)
            variance = kept.copy()
        np.maximum(variance, least * least, out=variance)
        change = np.divide(g, np.sqrt(variance, out=variance), out=variance)
        size /= max(1.0, _root_mean_square(change) / group["d"])
        change *= size if group["maximize"] else -size
        p += change


def _count(value: float) -> Any:
    d = dtypes.F64 if dtypes.default() is dtypes.F64 else dtypes.F32
    return result_type.make(np.array(value, d))


def _root_mean_square(x: Array) -> float:
    return math.sqrt(float(np.vdot(x, x)) / x.size) if x.size else math.nan


# ----- Muon ---------------------------------------------------------------------------------------


class Muon(_OneByOne):
    """Momentum whose movements are made orthogonal, for matrices.

    The orthogonalization is computed with the 8 bits of bfloat16, as PyTorch does (Jordan et al.,
    "Muon: an optimizer for hidden layers in neural networks", 2024).

    Args:
        params: matrices, ``(name, matrix)`` pairs or groups.
        lr: learning rate.
        weight_decay: each step multiplies the parameter by ``1 - lr * weight_decay``.
        momentum: how much of the last movement is kept.
        nesterov: look ahead.
        ns_coefficients: of the polynomial ``a x + b x³ + c x⁵`` that drives singular values to 1.
        eps: least norm that is divided by.
        ns_steps: how often the polynomial is applied.
        adjust_lr_fn: how the learning rate depends on the shape ``(N, M)``: ``"original"`` (also
            None) multiplies it by ``sqrt(max(1, N / M))``, ``"match_rms_adamw"`` by
            ``0.2 * sqrt(max(N, M))``.

    Raises:
        ValueError: if an option is out of range or a parameter is no matrix.

    >>> import tinygrad_like as torch
    >>> w = torch.tensor([[1.0, 0.0], [0.0, 2.0]], requires_grad=True)
    >>> optimizer = torch.optim.Muon([w], lr=0.5, weight_decay=0.0)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> bool(w[0, 0] < 1.0)
    True
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        options = settings(locals())
        _refuse_lr(lr)
        known = (None, "original", "match_rms_adamw")
        _refuse(
            (momentum, momentum >= 0.0, "momentum should be >= 0 but is: {}"),
            (weight_decay, weight_decay >= 0.0, "weight decay should be >= 0 but is: {}"),
            (adjust_lr_fn, adjust_lr_fn in known,
             "Adjust learning rate function {} is not supported"),
        )  # fmt: skip
        super().__init__(params, options)
        for group in self.param_groups:
            for p in group["params"]:
                if p.ndim != 2:
                    raise told(
                        ValueError,
                        "Muon only supports 2D parameters whereas we found a parameter with size: "
                        f"{p.size()}",
                    )

    def update(self, p: Array, g: Array, state: dict[str, Any], group: Group) -> None:
        """Update an array in place.

        Raises:
            ValueError: if the gradient is no matrix, or options of the iteration make no sense.
        """
        if g.ndim != 2:
            raise told(ValueError, "Param gradient must be a 2D matrix")
        lr, momentum = number(group["lr"]), group["momentum"]
        buffer = _kept(state, "momentum_buffer", g)
        buffer += (1 - momentum) * (g - buffer)
        moved = g + momentum * (buffer - g) if group["nesterov"] else buffer
        moved = _orthogonal(moved, group["ns_coefficients"], group["ns_steps"], group["eps"])
        n, m = p.shape
        if group["adjust_lr_fn"] == "match_rms_adamw":
            size = lr * 0.2 * math.sqrt(max(n, m))
        else:
            size = lr * math.sqrt(max(1, n / m))
        p *= 1 - lr * group["weight_decay"]
        p -= size * moved.astype(p.dtype)


def _orthogonal(
    g: Array, coefficients: tuple[float, float, float], steps: int, eps: float
) -> Array:
    """Return about ``U V.T`` of a matrix ``U S V.T``, by Newton and Schulz's iteration."""
    if steps >= 100:
        raise told(ValueError, "Number of steps must be less than 100 for computational efficiency")
    if len(coefficients) != 3:
        raise told(ValueError, "Coefficients must be a tuple of exactly 3 values")
    a, b, c = coefficients
    x: Array = _short(g.astype(np.float32))
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    norm = _short(np.sqrt(np.vdot(x, x)))
    x = _short(x / max(norm, _short(np.float32(eps))))
    for _ in range(steps):
        gram = _short(x @ x.T)
        x = _short(np.float32(a) * x + _short(b * gram + c * (gram @ gram)) @ x)
    return x.T if tall else x


def _short(x: Any) -> Any:
    """Return float32 numbers rounded to the 8 bits that bfloat16 has, halves to even."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    rounded = (bits + (np.uint32(0x7FFF) + ((bits >> 16) & 1))) & np.uint32(0xFFFF0000)
    found = rounded.view(np.float32)
    return np.where(np.isnan(x), x, found)
