"""Recurrent layers over whole sequences."""

from __future__ import annotations

import inspect
import math
import numbers
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_like.graph import result_type
from tinygrad_like.keywords import Parameters
from tinygrad_like.lines import told
from tinygrad_like.nn import functional as F
from tinygrad_like.nn import init
from tinygrad_like.nn.module import Module
from tinygrad_like.nn.parameter import Parameter
from tinygrad_like.nn.utils.rnn import PackedSequence
from tinygrad_like.ops.creation import empty
from tinygrad_like.ops.joining import concatenate, stack
from tinygrad_like.ops.recurrent import gru_layer, lstm_layer, rnn_layer
from tinygrad_like.ops.scattering import index_select
from tinygrad_like.ops.shaping import reshape, squeeze, transpose, unsqueeze

__all__ = ["GRU", "LSTM", "RNN", "RNNBase"]

_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}
_KINDS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")


def _type_error(name: str, kind: str, value: Any) -> TypeError:
    return told(TypeError, f"{name} should be of type {kind}, got: {type(value).__name__}")


class RNNBase(Module):
    """What `RNN`, `LSTM` and `GRU` share: parameters, checks, and the way through the layers.

    Args:
        mode: "RNN_TANH", "RNN_RELU", "LSTM" or "GRU".
        input_size: features of an element of the input.
        hidden_size: features of the state.
        num_layers: how many layers, each of which reads the outputs of the one before.
        bias: have biases.
        batch_first: batches are ``(N, T, *)`` instead of ``(T, N, *)``; states are not affected.
        dropout: the probability with which outputs between layers are zeroed in training.
        bidirectional: have a second set of layers that read backwards.
        proj_size: if positive, the LSTM's output is projected to this size.
        device: the CPU.
        dtype: of the parameters.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if a size or a probability makes no sense.
    """

    mode: str

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self._check(dropout)
        self._all_weights: list[list[str]] = []
        rows = _GATES[mode] * hidden_size
        out = proj_size or hidden_size
        directions = 2 if bidirectional else 1
        for layer in range(num_layers):
            into = input_size if layer == 0 else out * directions
            shapes: dict[str, tuple[int, ...]] = {
                "weight_ih": (rows, into),
                "weight_hh": (rows, out),
            }
            if bias:
                shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
            if proj_size:
                shapes["weight_hr"] = (proj_size, hidden_size)
            for suffix in ("", "_reverse")[:directions]:
                names = [f"{kind}_l{layer}{suffix}" for kind in shapes]
                for name, shape in zip(names, shapes.values(), strict=True):
                    setattr(self, name, Parameter(empty(shape, device=device, dtype=dtype)))
                self._all_weights.append(names)
        self.reset_parameters()

    def _check(self, dropout: Any) -> None:
        if (
            not isinstance(dropout, numbers.Number)
            or not 0 <= dropout <= 1  # type: ignore[operator]
            or isinstance(dropout, bool)
        ):
            raise told(
                ValueError,
                "dropout should be a number in range [0, 1] representing the probability of an "
                "element being zeroed",
            )
        if self.dropout > 0 and self.num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero dropout "
                f"expects num_layers greater than 1, but got dropout={dropout} and "
                f"num_layers={self.num_layers}",
                stacklevel=4,
            )
        for name, kind in (
            ("bias", bool),
            ("batch_first", bool),
            ("input_size", int),
            ("hidden_size", int),
        ):
            if not isinstance(getattr(self, name), kind):
                raise _type_error(name, kind.__name__, getattr(self, name))
        for name in ("input_size", "hidden_size", "num_layers"):
            if getattr(self, name) <= 0:
                raise told(ValueError, f"{name} must be greater than zero")
        if self.proj_size < 0:
            raise told(
                ValueError, "proj_size should be a positive integer or zero to disable projections"
            )
        if self.proj_size >= self.hidden_size:
            raise told(ValueError, "proj_size has to be smaller than hidden_size")
        if self.mode not in _GATES:
            raise told(ValueError, f"Unrecognized RNN mode: {self.mode}")

    def reset_parameters(self) -> None:
        """Draw all parameters uniformly from ±1/sqrt(hidden_size)."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def flatten_parameters(self) -> None:
        """Do nothing: this is for GPUs."""

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        parts = [f"{self.input_size}, {self.hidden_size}"]
        usual = {
            "proj_size": 0,
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0,
            "bidirectional": False,
        }
        for name, value in usual.items():
            if getattr(self, name) != value:
                parts.append(f"{name}={getattr(self, name)}")
        return ", ".join(parts)

    # ----- The way through ------------------------------------------------------------------------

    def _check_input(self, input: Any, dims: int) -> None:
        dtype = self.weight_ih_l0.dtype
        if input.dtype != dtype:
            raise told(
                ValueError,
                f"RNN input dtype ({input.dtype}) does not match weight dtype ({dtype}). "
                f"Convert input: input.to({dtype}), or convert model: model.to({input.dtype})",
            )
        if input.ndim != dims:
            raise told(RuntimeError, f"input must have {dims} dimensions, got {input.ndim}")
        if input.shape[-1] != self.input_size:
            raise told(
                RuntimeError,
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got "
                f"{input.shape[-1]}",
            )

    def _check_dims(self, states: Sequence[Any], batched: bool) -> None:
        """Raise RuntimeError unless the states have a dimension for the batch where the input has."""
        wanted = 3 if batched else 2
        dims = [state.ndim for state in states]
        if dims == [wanted] * len(dims):
            return
        both = "hx and cx" if self.mode == "LSTM" else "hx"
        got = ", ".join(f"{d}-D" for d in dims)
        got = f"({got}) tensors" if self.mode == "LSTM" else f"{got} tensor"
        raise told(
            RuntimeError,
            f"For {'' if batched else 'un'}batched {wanted}-D input, {both} should also be {wanted}-D "
            f"but got {got}",
        )

    def _states(self, states: Sequence[Any] | None, batch: int, dtype: Any) -> Sequence[Any]:
        """Return the states to begin with: those given, or else zeros.

        Raises:
            RuntimeError: if they have the wrong shapes.
        """
        count = self.num_layers * (2 if self.bidirectional else 1)
        shapes = [(count, batch, self.proj_size or self.hidden_size)]
        if self.mode == "LSTM":
            shapes.append((count, batch, self.hidden_size))
        if states is None:
            return [result_type.make(np.zeros(shape, dtype)) for shape in shapes]
        for index, (state, shape) in enumerate(zip(states, shapes, strict=True)):
            if tuple(state.shape) != shape:
                which = f"[{index}]" if self.mode == "LSTM" else ""
                raise told(
                    RuntimeError, f"Expected hidden{which} size {shape}, got {list(state.shape)}"
                )
        return states

    def _through_layers(
        self, x: Any, states: Sequence[Any], sizes: tuple[int, ...]
    ) -> tuple[Any, Any]:
        """Return the last layer's outputs, as rows like those of `x`, and all states at the end."""
        ends: list[Any] = []
        for layer in range(self.num_layers):
            outs = []
            for reverse in (False, True) if self.bidirectional else (False,):
                suffix = f"_l{layer}{'_reverse' if reverse else ''}"
                weights = [getattr(self, kind + suffix, None) for kind in _KINDS]
                before = [state[len(ends)] for state in states]
                out, *end = self._layer(x, before, weights, sizes, reverse)
                outs.append(out)
                ends.append(end)
            x = outs[0] if len(outs) == 1 else concatenate(outs, 1)
            if self.dropout and self.training and layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout)
        if len(ends) == 1:
            return x, [unsqueeze(end, 0) for end in ends[0]]
        return x, [stack(of_all) for of_all in zip(*ends, strict=True)]

    def _layer(
        self,
        x: Any,
        states: Sequence[Any],
        weights: Sequence[Any],
        sizes: tuple[int, ...],
        reverse: bool,
    ) -> Any:
        """Return one layer's outputs in one direction, and its states at the end."""
        raise NotImplementedError

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """Return the last layer's outputs, and the states of all layers at the end.

        Args:
            input: a batch ``(T, N, input_size)``, one sequence ``(T, input_size)`` or packed ones.
            hx: the states to begin with, ``(layers * directions, N, hidden_size)`` or without N as
                the input (for an LSTM two of them), by default zeros.

        Raises:
            ValueError: if the input has other dimensions, or another dtype than the parameters.
            RuntimeError: if shapes do not fit, or there is no step.
        """
        given = None if hx is None else list(hx) if self.mode == "LSTM" else [hx]
        if isinstance(input, PackedSequence):
            out, ends = self._forward_packed(input, given)
        else:
            out, ends = self._forward_padded(input, given)
        return out, tuple(ends) if self.mode == "LSTM" else ends[0]

    def _forward_packed(self, input: PackedSequence, states: Sequence[Any] | None) -> Any:
        x, batch_sizes, order, inverse = input
        if states is not None and order is not None:
            states = [index_select(state, 1, order) for state in states]
        self._check_input(x, 2)
        sizes = tuple(batch_sizes.tolist())
        states = self._states(states, sizes[0], x.array.dtype)
        out, ends = self._through_layers(x, states, sizes)
        if inverse is not None:
            ends = [index_select(end, 1, inverse) for end in ends]
        return PackedSequence(out, batch_sizes, order, inverse), ends

    def _forward_padded(self, input: Any, states: Sequence[Any] | None) -> Any:
        batched = input.ndim == 3
        if not batched and input.ndim != 2:
            kind = self.mode.partition("_")[0]
            raise told(
                ValueError, f"{kind}: Expected input to be 2D or 3D, got {input.ndim}D instead"
            )
        if states is not None:
            self._check_dims(states, batched)
        if not batched:
            input = unsqueeze(input, 1)
            states = None if states is None else [unsqueeze(state, 1) for state in states]
        elif self.batch_first:
            input = transpose(input, 0, 1)
        self._check_input(input, 3)
        steps, batch, features = input.shape
        states = self._states(states, batch, input.array.dtype)
        if not steps:
            raise told(RuntimeError, "Expected sequence length to be larger than 0 in RNN")
        rows = reshape(input, (steps * batch, features))
        out, ends = self._through_layers(rows, states, (batch,) * steps)
        out = reshape(out, (steps, batch, out.shape[1]))
        if not batched:
            return squeeze(out, 1), [squeeze(end, 1) for end in ends]
        return (transpose(out, 0, 1) if self.batch_first else out), ends


class RNN(RNNBase):
    """Elman's recurrent layers: ``h_t = tanh(w_ih x_t + b_ih + w_hh h_(t-1) + b_hh)``.

    Arguments and shapes are those of `RNNBase`, without `mode` and `proj_size`; `nonlinearity` is
    "tanh" or "relu".

    Raises:
        ValueError: for another nonlinearity, a `proj_size`, and as `RNNBase`.

    >>> import tinygrad_like as torch
    >>> out, h = torch.nn.RNN(10, 20, 2)(torch.zeros(5, 3, 10))
    >>> out.shape, h.shape
    (torch.Size([5, 3, 20]), torch.Size([2, 3, 20]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        *args: Any,
        **kwargs: Any,
    ) -> None:
        _refuse_projection(kwargs)
        if nonlinearity not in ("tanh", "relu"):
            raise told(
                ValueError, f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'."
            )
        mode = f"RNN_{nonlinearity.upper()}"
        super().__init__(mode, input_size, hidden_size, num_layers, *args, **kwargs)
        self.nonlinearity = nonlinearity

    def _layer(
        self,
        x: Any,
        states: Sequence[Any],
        weights: Sequence[Any],
        sizes: tuple[int, ...],
        reverse: bool,
    ) -> Any:
        return rnn_layer(x, *states, *weights[:4], sizes, reverse, self.nonlinearity == "relu")


class LSTM(RNNBase):
    """Layers of long short-term memory: gates say what is kept, what is written and what is shown.

    With i, f, o the sigmoids and g the tanh of ``w_ih x_t + b_ih + w_hh h_(t-1) + b_hh``, in the order
    i, f, g, o: ``c_t = f c_(t-1) + i g`` and ``h_t = o tanh(c_t)``, times ``weight_hr`` with `proj_size`.
    Arguments and shapes are those of `RNNBase`, without `mode`.

    Raises:
        TypeError, ValueError: as `RNNBase`.

    >>> import tinygrad_like as torch
    >>> out, (h, c) = torch.nn.LSTM(10, 20, bidirectional=True, proj_size=5)(torch.zeros(7, 3, 10))
    >>> out.shape, h.shape, c.shape
    (torch.Size([7, 3, 10]), torch.Size([2, 3, 5]), torch.Size([2, 3, 20]))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)

    def _layer(
        self,
        x: Any,
        states: Sequence[Any],
        weights: Sequence[Any],
        sizes: tuple[int, ...],
        reverse: bool,
    ) -> Any:
        return lstm_layer(x, *states, *weights, sizes, reverse)


class GRU(RNNBase):
    """Layers of gated recurrent units.

    With r, z the sigmoids of ``w_ih x_t + b_ih + w_hh h_(t-1) + b_hh`` and n the tanh of its last
    third, where r is multiplied with ``w_hh h_(t-1) + b_hh``: ``h_t = (1 - z) n + z h_(t-1)``.
    Arguments and shapes are those of `RNNBase`, without `mode` and `proj_size`.

    Raises:
        TypeError, ValueError: as `RNNBase`, and for a `proj_size`.

    >>> import tinygrad_like as torch
    >>> out, h = torch.nn.GRU(10, 20, batch_first=True)(torch.zeros(3, 5, 10))
    >>> out.shape, h.shape
    (torch.Size([3, 5, 20]), torch.Size([1, 3, 20]))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse_projection(kwargs)
        super().__init__("GRU", *args, **kwargs)

    def _layer(
        self,
        x: Any,
        states: Sequence[Any],
        weights: Sequence[Any],
        sizes: tuple[int, ...],
        reverse: bool,
    ) -> Any:
        return gru_layer(x, *states, *weights[:4], sizes, reverse)


def _show(layer: type[RNNBase], *names: str) -> None:
    """Have `help` and editors show these parameters of `RNNBase`, or of the layer itself."""

    def parameters() -> inspect.Signature:
        own = inspect.signature(layer.__init__, follow_wrapped=False).parameters
        known = {**inspect.signature(RNNBase.__init__).parameters, **own}
        return inspect.Signature([known[name] for name in names])

    layer.__init__.__wrapped__ = Parameters(parameters)  # type: ignore[attr-defined]


_SIZES = ("self", "input_size", "hidden_size", "num_layers")
_OPTIONS = ("bias", "batch_first", "dropout", "bidirectional")
_show(RNN, *_SIZES, "nonlinearity", *_OPTIONS, "device", "dtype")
_show(LSTM, *_SIZES, *_OPTIONS, "proj_size", "device", "dtype")
_show(GRU, *_SIZES, *_OPTIONS, "device", "dtype")


def _refuse_projection(options: dict[str, Any]) -> None:
    if "proj_size" in options:
        raise told(ValueError, "proj_size argument is only supported for LSTM, not RNN or GRU")
