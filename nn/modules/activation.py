"""Activations: functions of each element, and the softmax family."""

from __future__ import annotations

import warnings
from typing import Any

from tinygrad_like.lines import told
from tinygrad_like.nn import functional as F
from tinygrad_like.nn import init
from tinygrad_like.nn.module import Module
from tinygrad_like.nn.parameter import Parameter
from tinygrad_like.ops.creation import empty


class _InPlace(Module):
    """An activation that can be asked to overwrite its input."""

    inplace: bool

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return "inplace=True" if self.inplace else ""

    def _inplace_repr(self) -> str:
        return ", inplace=True" if self.inplace else ""


class ReLU(_InPlace):
    """Return ``max(0, input)``.

    >>> import tinygrad_like as torch
    >>> torch.nn.ReLU()(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def forward(self, input: Any) -> Any:
        """Return ``max(0, input)``."""
        return F.relu(input, inplace=self.inplace)


class SiLU(_InPlace):
    """Return ``input * sigmoid(input)``."""

    def forward(self, input: Any) -> Any:
        """Return ``input * sigmoid(input)``."""
        return F.silu(input, inplace=self.inplace)


class Mish(_InPlace):
    """Return ``input * tanh(softplus(input))`` (Misra, arXiv:1908.08681)."""

    def forward(self, input: Any) -> Any:
        """Return ``input * tanh(softplus(input))`` (Misra, arXiv:1908.08681)."""
        return F.mish(input, inplace=self.inplace)


class SELU(_InPlace):
    """Return the self-normalising ELU (Klambauer et al., arXiv:1706.02515)."""

    def forward(self, input: Any) -> Any:
        """Return the self-normalising ELU (Klambauer et al., arXiv:1706.02515)."""
        return F.selu(input, inplace=self.inplace)


class Hardsigmoid(_InPlace):
    """Return ``relu6(input + 3) / 6``."""

    def forward(self, input: Any) -> Any:
        """Return ``relu6(input + 3) / 6``."""
        return F.hardsigmoid(input, self.inplace)

    def extra_repr(self) -> str:
        """Return nothing, as PyTorch does for this one."""
        return ""


class Hardswish(_InPlace):
    """Return ``input * relu6(input + 3) / 6`` (Howard et al., arXiv:1905.02244)."""

    def forward(self, input: Any) -> Any:
        """Return ``input * relu6(input + 3) / 6`` (Howard et al., arXiv:1905.02244)."""
        return F.hardswish(input, self.inplace)

    def extra_repr(self) -> str:
        """Return nothing, as PyTorch does for this one."""
        return ""


class Sigmoid(Module):
    """Return ``1 / (1 + exp(-input))``."""

    def forward(self, input: Any) -> Any:
        """Return ``1 / (1 + exp(-input))``."""
        return F.sigmoid(input)


class Tanh(Module):
    """Return the hyperbolic tangent."""

    def forward(self, input: Any) -> Any:
        """Return the hyperbolic tangent."""
        return F.tanh(input)


class LogSigmoid(Module):
    """Return ``log(sigmoid(input))``."""

    def forward(self, input: Any) -> Any:
        """Return ``log(sigmoid(input))``."""
        return F.logsigmoid(input)


class Softsign(Module):
    """Return ``input / (1 + abs(input))``."""

    def forward(self, input: Any) -> Any:
        """Return ``input / (1 + abs(input))``."""
        return F.softsign(input)


class Tanhshrink(Module):
    """Return ``input - tanh(input)``."""

    def forward(self, input: Any) -> Any:
        """Return ``input - tanh(input)``."""
        return F.tanhshrink(input)


class Threshold(_InPlace):
    """Return the input where it is above `threshold`, else `value`.

    Args:
        threshold: the border.
        value: what stands below it.
        inplace: overwrite the input.
    """

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.threshold = threshold
        self.value = value

    def forward(self, input: Any) -> Any:
        """Return the input where it is above the threshold, else the value."""
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return f"threshold={self.threshold}, value={self.value}{self._inplace_repr()}"


class RReLU(_InPlace):
    """Return the leaky ReLU with a slope drawn anew for each element (Xu et al., arXiv:1505.00853).

    Args:
        lower: smallest slope.
        upper: largest slope; in evaluation the mean of both is taken.
        inplace: overwrite the input.
    """

    def __init__(
        self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False
    ) -> None:
        super().__init__(inplace)
        self.lower = lower
        self.upper = upper

    def forward(self, input: Any) -> Any:
        """Return the leaky ReLU with random slopes."""
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return f"lower={self.lower}, upper={self.upper}{self._inplace_repr()}"


class Hardtanh(_InPlace):
    """Return the input clamped to `[min_val, max_val]`.

    Args:
        min_val: smallest value.
        max_val: largest value.
        inplace: overwrite the input.
        min_value: an older name of `min_val`.
        max_value: an older name of `max_val`.

    Raises:
        AssertionError: if the interval is empty.
    """

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:
        super().__init__(inplace)
        for name, value in (("min", min_value), ("max", max_value)):
            if value is not None:
                warnings.warn(
                    f"keyword argument `{name}_value` is deprecated and rename to `{name}_val`",
                    FutureWarning,
                    stacklevel=2,
                )
        self.min_val = min_val if min_value is None else min_value
        self.max_val = max_val if max_value is None else max_value
        if self.max_val <= self.min_val:
            raise told(
                AssertionError,
                f"max_val must be larger than min_val, but got {self.max_val=} and {self.min_val=}",
            )

    def forward(self, input: Any) -> Any:
        """Return the input clamped."""
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return f"min_val={self.min_val}, max_val={self.max_val}{self._inplace_repr()}"


class ReLU6(Hardtanh):
    """Return ``min(max(0, input), 6)``."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return "inplace=True" if self.inplace else ""


class ELU(_InPlace):
    """Return the input where it is positive, else ``alpha * (exp(input) - 1)``.

    Args:
        alpha: minus the limit on the left.
        inplace: overwrite the input.
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.alpha = alpha

    def forward(self, input: Any) -> Any:
        """Return the exponential linear unit."""
        return F.elu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return f"alpha={self.alpha}{self._inplace_repr()}"


class CELU(ELU):
    """Return the input where it is positive, else ``alpha * (exp(input / alpha) - 1)``.

    Args:
        alpha: minus the limit on the left.
        inplace: overwrite the input.
    """

    def forward(self, input: Any) -> Any:
        """Return the continuously differentiable ELU."""
        return F.celu(input, self.alpha, self.inplace)


class LeakyReLU(_InPlace):
    """Return the input where it is positive, else ``negative_slope * input``.

    Args:
        negative_slope: the slope on the left.
        inplace: overwrite the input.
    """

    def __init__(self, negative_slope: float = 1e-2, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.negative_slope = negative_slope

    def forward(self, input: Any) -> Any:
        """Return the leaky ReLU."""
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return f"negative_slope={self.negative_slope}{self._inplace_repr()}"


class GLU(Module):
    """Return the first half of the input times the sigmoid of the second: `(*, 2N, *)` to `(*, N, *)`.

    Args:
        dim: the dimension to halve.
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Any) -> Any:
        """Return the gated linear unit."""
        return F.glu(input, self.dim)

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return f"dim={self.dim}"


class GELU(Module):
    """Return the input times the normal distribution function of it (arXiv:1606.08415).

    Args:
        approximate: "none", or "tanh" for the faster formula with tanh.
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Any) -> Any:
        """Return the Gaussian error linear unit."""
        return F.gelu(input, approximate=self.approximate)

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return f"approximate={self.approximate!r}"


class Hardshrink(Module):
    """Return the input where its size is above `lambd`, else 0.

    Args:
        lambd: the border.
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Any) -> Any:
        """Return the input where its size is above the border, else 0."""
        return F.hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return f"{self.lambd}"


class Softshrink(Module):
    """Return the input moved by `lambd` towards 0, and 0 where it would pass it.

    Args:
        lambd: how far; not negative.
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Any) -> Any:
        """Return the input moved towards 0."""
        return F.softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return str(self.lambd)


class Softplus(Module):
    """Return ``log(1 + exp(beta * input)) / beta``, and the input itself far to the right.

    Args:
        beta: how sharp the bend is.
        threshold: the value of ``beta * input`` above which the input is returned.
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Any) -> Any:
        """Return the smooth ReLU."""
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return f"beta={self.beta}, threshold={self.threshold}"


class PReLU(Module):
    """Return the leaky ReLU with slopes that are trained (He et al., arXiv:1502.01852).

    Args:
        num_parameters: 1, or the number of channels (dimension 1 of the input).
        init: the slopes at the start.
        device: the CPU.
        dtype: of the slopes.
    """

    weight: Parameter

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.init = init
        self.weight = Parameter(empty(num_parameters, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the slopes to what they were at the start."""
        init.constant_(self.weight, self.init)

    def forward(self, input: Any) -> Any:
        """Return the leaky ReLU with the module's slopes."""
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return f"num_parameters={self.num_parameters}"


class _AlongDim(Module):
    """A function of the elements along one dimension."""

    dim: int | None

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        return f"dim={self.dim}"


class Softmax(_AlongDim):
    """Return ``exp(input)`` divided by its sum along `dim`.

    Args:
        dim: the dimension along which the result sums to 1.

    >>> import tinygrad_like as torch
    >>> torch.nn.Softmax(dim=1)(torch.zeros(1, 4))
    tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """

    def forward(self, input: Any) -> Any:
        """Return the softmax."""
        return F.softmax(input, self.dim, _stacklevel=5)


class Softmin(_AlongDim):
    """Return the softmax of minus the input.

    Args:
        dim: the dimension along which the result sums to 1.
    """

    def forward(self, input: Any) -> Any:
        """Return the softmin."""
        return F.softmin(input, self.dim, _stacklevel=5)


class LogSoftmax(_AlongDim):
    """Return the logarithm of the softmax.

    Args:
        dim: the dimension along which the exponentials of the result sum to 1.
    """

    def forward(self, input: Any) -> Any:
        """Return the logarithm of the softmax."""
        return F.log_softmax(input, self.dim, _stacklevel=5)


class Softmax2d(Module):
    """Return the softmax over the channels of `(N, C, H, W)` or `(C, H, W)`.

    Raises:
        ValueError: for another number of dimensions.
    """

    def forward(self, input: Any) -> Any:
        """Return the softmax over the channels."""
        if input.ndim not in (3, 4):
            raise told(
                ValueError, f"Softmax2d: expected input to be 3D or 4D, got {input.ndim}D instead"
            )
        return F.softmax(input, -3, _stacklevel=5)
