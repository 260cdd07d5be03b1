"""Single steps of recurrent layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_like.graph import result_type
from tinygrad_like.lines import told
from tinygrad_like.nn import init
from tinygrad_like.nn.module import Module
from tinygrad_like.nn.parameter import Parameter
from tinygrad_like.ops.creation import empty
from tinygrad_like.ops.recurrent import gru_layer, lstm_layer, rnn_layer
from tinygrad_like.ops.shaping import squeeze, unsqueeze

__all__ = ["GRUCell", "LSTMCell", "RNNCell", "RNNCellBase"]


class RNNCellBase(Module):
    """What `RNNCell`, `LSTMCell` and `GRUCell` share: parameters and checks.

    Args:
        input_size: features of the input.
        hidden_size: features of the state.
        bias: have biases.
        num_chunks: how many gates there are.
        device: the CPU.
        dtype: of the parameters.
    """

    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None
    count_of_states = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = num_chunks * hidden_size
        self.weight_ih = Parameter(empty((rows, input_size), device=device, dtype=dtype))
        self.weight_hh = Parameter(empty((rows, hidden_size), device=device, dtype=dtype))
        for name in ("bias_ih", "bias_hh"):
            made = Parameter(empty(rows, device=device, dtype=dtype)) if bias else None
            self.register_parameter(name, made)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters uniformly from ±1/sqrt(hidden_size)."""
        bound = 1 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        parts = [f"{self.input_size}, {self.hidden_size}"]
        if self.bias is not True:
            parts.append(f"bias={self.bias}")
        return ", ".join(parts)

    def _layer(self, x: Any, states: Sequence[Any], weights: Sequence[Any], sizes: Any) -> Any:
        """Return what the recurrent layer of one step gives."""
        raise NotImplementedError

    def _check_sizes(self, x: Any, states: Sequence[Any]) -> None:
        batch, features = x.shape
        if features != self.input_size:
            raise told(
                RuntimeError,
                f"input has inconsistent input_size: got {features} expected {self.input_size}",
            )
        for index, state in enumerate(states):
            if state.shape[0] != batch:
                raise told(
                    RuntimeError,
                    f"Input batch size {batch} doesn't match hidden{index} batch size {state.shape[0]}",
                )
            if state.shape[1] != self.hidden_size:
                raise told(
                    RuntimeError,
                    f"hidden{index} has inconsistent hidden_size: got {state.shape[1]}, expected "
                    f"{self.hidden_size}",
                )

    def _step(self, input: Any, states: Sequence[Any] | None) -> list[Any]:
        """Return the states after a step from those before it, None for zeros."""
        name = type(self).__name__
        if input.ndim not in (1, 2):
            raise told(
                ValueError, f"{name}: Expected input to be 1D or 2D, got {input.ndim}D instead"
            )
        for index, state in enumerate(states or ()):
            if state.ndim not in (1, 2):
                which = f"hx[{index}]" if len(states or ()) > 1 else "hidden"
                raise told(
                    ValueError,
                    f"{name}: Expected {which} to be 1D or 2D, got {state.ndim}D instead",
                )
        single = input.ndim == 1
        x = unsqueeze(input, 0) if single else input
        if states is None:
            zeros = np.zeros((x.shape[0], self.hidden_size), x.array.dtype)
            states = [result_type.make(zeros)] * self.count_of_states
        elif single:
            states = [unsqueeze(state, 0) for state in states]
        self._check_sizes(x, states)
        weights = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        _, *ends = self._layer(x, states, weights, (x.shape[0],))
        return [squeeze(end, 0) for end in ends] if single else ends


class RNNCell(RNNCellBase):
    """One step of Elman's recurrent layer, see `RNN`: `(N, input_size)` to `(N, hidden_size)`.

    Args:
        input_size: features of the input.
        hidden_size: features of the state.
        bias: have biases.
        nonlinearity: "tanh" or "relu".
        device: the CPU.
        dtype: of the parameters.

    >>> import tinygrad_like as torch
    >>> torch.nn.RNNCell(10, 20)(torch.zeros(3, 10), torch.zeros(3, 20)).shape
    torch.Size([3, 20])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        usual = super().extra_repr()
        return (
            usual if self.nonlinearity == "tanh" else f"{usual}, nonlinearity={self.nonlinearity}"
        )

    def _layer(self, x: Any, states: Sequence[Any], weights: Sequence[Any], sizes: Any) -> Any:
        if self.nonlinearity not in ("tanh", "relu"):
            raise told(RuntimeError, f"Unknown nonlinearity: {self.nonlinearity}")
        return rnn_layer(x, *states, *weights, sizes, False, self.nonlinearity == "relu")

    def forward(self, input: Any, hx: Any = None) -> Any:
        """Return the state after the step.

        Args:
            input: ``(N, input_size)`` or ``(input_size)``.
            hx: the state before, likewise, by default zeros.

        Raises:
            ValueError: if they have other dimensions.
            RuntimeError: if sizes do not fit.
        """
        return self._step(input, None if hx is None else [hx])[0]


class LSTMCell(RNNCellBase):
    """One step of an LSTM layer, see `LSTM`.

    Args:
        input_size: features of the input.
        hidden_size: features of both states.
        bias: have biases.
        device: the CPU.
        dtype: of the parameters.

    >>> import tinygrad_like as torch
    >>> h, c = torch.nn.LSTMCell(10, 20)(torch.zeros(3, 10))
    >>> h.shape, c.shape
    (torch.Size([3, 20]), torch.Size([3, 20]))
    """

    count_of_states = 2

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def _layer(self, x: Any, states: Sequence[Any], weights: Sequence[Any], sizes: Any) -> Any:
        return lstm_layer(x, *states, *weights, None, sizes, False)

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """Return the hidden state and the cells after the step.

        Args:
            input: ``(N, input_size)`` or ``(input_size)``.
            hx: both states before, likewise, by default zeros.

        Raises:
            ValueError: if they have other dimensions.
            RuntimeError: if sizes do not fit.
        """
        h, c = self._step(input, None if hx is None else list(hx))
        return h, c


class GRUCell(RNNCellBase):
    """One step of a GRU layer, see `GRU`: `(N, input_size)` to `(N, hidden_size)`.

    Args:
        input_size: features of the input.
        hidden_size: features of the state.
        bias: have biases.
        device: the CPU.
        dtype: of the parameters.

    >>> import tinygrad_like as torch
    >>> torch.nn.GRUCell(10, 20)(torch.zeros(10)).shape
    torch.Size([20])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def _layer(self, x: Any, states: Sequence[Any], weights: Sequence[Any], sizes: Any) -> Any:
        return gru_layer(x, *states, *weights, sizes, False)

    def forward(self, input: Any, hx: Any = None) -> Any:
        """Return the state after the step; arguments and errors are those of `RNNCell.forward`."""
        return self._step(input, None if hx is None else [hx])[0]
