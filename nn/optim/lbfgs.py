"""L-BFGS, with a line search if wanted."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from tinygrad_like.graph import result_type
from tinygrad_like.lines import here, told
from tinygrad_like.nn.optim.optimizer import Optimizer, Params, refuse, settings
from tinygrad_like.stamps import stamp
from tinygrad_like.tensor import Tensor

__all__ = ["LBFGS"]

Array = np.ndarray[Any, Any]


# ----- The line search ----------------------------------------------------------------------------


class _Point(NamedTuple):
    """A point on a line: how far along it, the loss, the gradient, and the slope along the line."""

    t: Any
    loss: float
    g: Array
    slope: Any


def _minimum_of_cubic(a: _Point, b: _Point, bounds: tuple[Any, Any] | None = None) -> Any:
    """Return where the cubic through two points has its minimum, within bounds or between them.

    See Nocedal and Wright, "Numerical optimization", 2006, equation 3.59.
    """
    least, most = bounds or ((a.t, b.t) if a.t <= b.t else (b.t, a.t))
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = d1**2 - a.slope * b.slope
    if not square >= 0:
        return (least + most) / 2.0
    if a.t > b.t:
        a, b = b, a
    d2 = np.sqrt(square)
    t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2))
    return min(max(t, least), most)


_C1, _C2 = 1e-4, 0.9


def _strong_wolfe(
    at: Callable[[Any], _Point], start: _Point, t: Any, length: Any, tolerance: float, most: int
) -> tuple[_Point, int]:
    """Return a point that satisfies the strong Wolfe conditions, and how many were looked at.

    See Nocedal and Wright, "Numerical optimization", 2006, algorithms 3.5 and 3.6.

    Args:
        at: gives the point at `t`.
        start: where the line begins.
        t: where to look first.
        length: the largest change of a parameter from one unit of `t`.
        tolerance: a bracket that changes no parameter by more is not divided further.
        most: how often to look for another point.
    """

    def too_high(point: _Point) -> bool:
        return bool(point.loss > start.loss + _C1 * point.t * start.slope)

    def flat(point: _Point) -> bool:
        return bool(abs(point.slope) <= -_C2 * start.slope)

    last, point = start, at(t)
    count = 0
    while count < most:  # until there is a good point, or one on both sides of it
        if too_high(point) or (count > 1 and point.loss >= last.loss):
            break
        if flat(point):
            return point, count + 1
        if point.slope >= 0:
            break
        ahead = (point.t + 0.01 * (point.t - last.t), point.t * 10)
        t = _minimum_of_cubic(last, point, ahead)
        last, point = point, at(t)
        count += 1
    else:
        last = start
    low, high = (last, point) if last.loss <= point.loss else (point, last)
    bracket = [last, point]
    stuck = False
    evaluations = count + 1
    while count < most and not abs(bracket[1].t - bracket[0].t) * length < tolerance:
        t = _minimum_of_cubic(bracket[0], bracket[1])
        left, right = min(p.t for p in bracket), max(p.t for p in bracket)
        margin = 0.1 * (right - left)
        if min(right - t, t - left) < margin:
            if stuck or t >= right or t <= left:
                t = right - margin if abs(t - right) < abs(t - left) else left + margin
                stuck = False
            else:
                stuck = True
        else:
            stuck = False
        point = at(t)
        evaluations += 1
        count += 1
        place = 0 if low is bracket[0] else 1
        if too_high(point) or point.loss >= low.loss:
            bracket[1 - place] = point
            low, high = bracket if bracket[0].loss <= bracket[1].loss else bracket[::-1]
            continue
        done = flat(point)
        if not done and point.slope * (high.t - low.t) >= 0:
            high = bracket[1 - place] = low
        low = bracket[place] = point
        if done:
            break
    return low, evaluations


# ----- The optimizer ------------------------------------------------------------------------------


class LBFGS(Optimizer):
    """Steps by an inverse Hessian known from the last gradients (Liu and Nocedal, 1989).

    All parameters must be in one group. `step` needs a closure, which it calls several times.

    Args:
        params: parameters or ``(name, parameter)`` pairs.
        lr: how far to go each time; with a line search, where it begins.
        max_iter: the most iterations in one step.
        max_eval: the most calls of the closure in one step, 5/4 of `max_iter` by default.
        tolerance_grad: end where no element of the gradient is larger.
        tolerance_change: end where neither the loss nor a parameter changes by more.
        history_size: how many gradients are remembered.
        line_search_fn: ``"strong_wolfe"`` or None.

    Raises:
        ValueError: if `lr` is out of range or there are several groups.

    >>> import tinygrad_like as torch
    >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = torch.optim.LBFGS([w], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = ((w - 3) ** 2).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure)
    tensor(5., grad_fn=<SumBackward0>)
    >>> w
    tensor([3.0000, 3.0000], requires_grad=True)
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        if max_eval is None:
            max_eval = max_iter * 5 // 4
        options = settings(locals())
        refuse(lr=lr)
        super().__init__(params, options)
        if len(self.param_groups) != 1:
            raise told(ValueError, "LBFGS doesn't support per-parameter options (parameter groups)")

    @property
    def _params(self) -> list[Tensor]:
        return self.param_groups[0]["params"]  # type: ignore[no-any-return]

    def _gradient(self) -> Array:
        """Return all gradients in one array."""
        return np.concatenate([
            np.zeros(p.array.size, p.array.dtype) if p._grad is None else p._grad.array.reshape(-1)
            for p in self._params
        ])  # fmt: skip

    def _move(self, t: Any, d: Array) -> None:
        """Move all parameters by ``t * d``."""
        line = here()
        bounds = np.cumsum([0, *(p.array.size for p in self._params)])
        for p, (start, stop) in zip(self._params, pairwise(bounds), strict=True):
            p.array += (t * d[start:stop]).reshape(p.array.shape)
            stamp(p.array, line=line)

    def _restore(self, values: list[Array]) -> None:
        for p, value in zip(self._params, values, strict=True):
            p.array[...] = value

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take up to `max_iter` steps.

        Args:
            closure: computes the loss anew, with its gradients, and returns it.

        Returns:
            The first loss.

        Raises:
            TypeError: if there is no closure.
            RuntimeError: if the line search is unknown.
        """
        if closure is None:
            raise told(TypeError, "LBFGS.step: a closure is needed that computes the loss anew")
        group = self.param_groups[0]
        lr, smallest = group["lr"], group["tolerance_change"]
        if isinstance(lr, Tensor):
            lr = lr.array.reshape(-1)[0]
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first_loss = self.evaluate(closure)
        loss, g = float(first_loss), self._gradient()
        evaluations = 1
        state["func_evals"] += 1
        if np.abs(g).max() <= group["tolerance_grad"]:
            return first_loss
        memory = _Memory(state, group["history_size"])
        d, t = _arrays(state.get("d")), _arrays(state.get("t"))
        former, former_loss = _arrays(state.get("prev_flat_grad")), state.get("prev_loss")
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            first = state["n_iter"] == 1
            if first:
                d = -g
                memory.forget()
            else:
                memory.add(g - former, d * t)
                d = memory.direction(g, state)
            former, former_loss = g, loss
            t = min(1.0, 1.0 / np.abs(g).sum()) * lr if first else lr
            slope = g.dot(d)
            if slope > -smallest:
                break
            more = 0
            if group["line_search_fn"] is not None:
                if group["line_search_fn"] != "strong_wolfe":
                    raise told(RuntimeError, "only 'strong_wolfe' is supported")
                values = [p.array.copy() for p in self._params]

                def at(t: Any, d: Array = d, values: list[Array] = values) -> _Point:
                    self._move(t, d)
                    loss, g = float(self.evaluate(closure)), self._gradient()
                    self._restore(values)
                    return _Point(t, loss, g, g.dot(d))

                found, more = _strong_wolfe(
                    at, _Point(0, loss, g, slope), t, np.abs(d).max(), 1e-9,
                    group["max_eval"] - evaluations,
                )  # fmt: skip
                t, loss, g, _ = found
                self._move(t, d)
            else:
                self._move(t, d)
                if iteration != group["max_iter"]:
                    loss, g = float(self.evaluate(closure)), self._gradient()
                    more = 1
            evaluations += more
            state["func_evals"] += more
            if (
                iteration == group["max_iter"]
                or evaluations >= group["max_eval"]
                or np.abs(g).max() <= group["tolerance_grad"]
                or np.abs(d * t).max() <= smallest
                or abs(loss - former_loss) < smallest
            ):
                break
        state["d"], state["t"] = _tensors(d), _tensors(t)
        memory.save(state)
        state["prev_flat_grad"], state["prev_loss"] = _tensors(former), former_loss
        return first_loss


class _Memory:
    """The last changes of the gradient, and the steps that led to them."""

    def __init__(self, state: dict[str, Any], size: int) -> None:
        self.size = size
        self.changes, self.steps, self.inverses = (
            _arrays(state.get(name)) for name in ("old_dirs", "old_stps", "ro")
        )
        self.scale = _arrays(state.get("H_diag"))

    def forget(self) -> None:
        """Begin anew."""
        self.changes, self.steps, self.inverses, self.scale = [], [], [], 1

    def add(self, change: Array, step: Array) -> None:
        """Remember a step, if the loss curves upwards along it."""
        product = change.dot(step)
        if product > 1e-10:
            if len(self.changes) == self.size:
                for values in (self.changes, self.steps, self.inverses):
                    values.pop(0)
            self.changes.append(change)
            self.steps.append(step)
            self.inverses.append(1.0 / product)
            self.scale = product / change.dot(change)

    def direction(self, g: Array, state: dict[str, Any]) -> Array:
        """Return minus the inverse Hessian times `g`, by two loops (Nocedal, 1980)."""
        d = -g
        weights = state.setdefault("al", [None] * self.size)
        past = list(zip(self.changes, self.steps, self.inverses, strict=True))
        found = []
        for change, step, inverse in reversed(past):
            found.append(step.dot(d) * inverse)
            d -= found[-1] * change
        weights[: len(past)] = _tensors(found[::-1])
        d *= self.scale
        for (change, step, inverse), weight in zip(past, reversed(found), strict=True):
            d += (weight - change.dot(d) * inverse) * step
        return d

    def save(self, state: dict[str, Any]) -> None:
        """Put all into the state."""
        state["old_dirs"], state["old_stps"] = _tensors(self.changes), _tensors(self.steps)
        state["ro"], state["H_diag"] = _tensors(self.inverses), _tensors(self.scale)


def _tensors(value: Any) -> Any:
    """Return arrays, and numbers of NumPy's, as tensors."""
    if isinstance(value, list):
        return [_tensors(v) for v in value]
    if isinstance(value, np.ndarray | np.generic):
        return result_type.make(np.asarray(value))
    return value


def _arrays(value: Any) -> Any:
    """Return tensors as arrays, or numbers of NumPy's."""
    if isinstance(value, list):
        return [_arrays(v) for v in value]
    if isinstance(value, Tensor):
        return value.array if value.array.ndim else value.array[()]
    return value
