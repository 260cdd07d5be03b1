"""A table of a model's layers: output shapes, parameters, multiply-adds and memory, like torchinfo's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import singledispatch
from math import prod
from typing import Any

from tinygrad_like.autograd.grad_mode import no_grad
from tinygrad_like.graph import Traced
from tinygrad_like.lines import told
from tinygrad_like.nn.module import (
    Module,
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from tinygrad_like.nn.modules.conv import _Conv, _ConvTranspose
from tinygrad_like.nn.modules.linear import Bilinear, Linear
from tinygrad_like.ops.creation import ones

__all__ = ["ModelSummary", "multiply_adds", "summary"]


@singledispatch
def multiply_adds(module: Module, inputs: Sequence[Any], output: Any) -> int:
    """Return how many multiplications, each with an addition, a call of `module` took by itself.

    Counted are the products with weights; other kinds of modules can be registered.
    """
    del module, inputs, output
    return 0


@multiply_adds.register
def _(module: Linear, inputs: Sequence[Any], output: Any) -> int:
    del inputs
    return int(output.array.size * module.in_features)


@multiply_adds.register
def _(module: Bilinear, inputs: Sequence[Any], output: Any) -> int:
    del inputs
    return int(output.array.size * module.in1_features * module.in2_features)


@multiply_adds.register
def _(module: _Conv, inputs: Sequence[Any], output: Any) -> int:
    del inputs
    return int(output.array.size * prod(module.weight.shape[1:]))


@multiply_adds.register
def _(module: _ConvTranspose, inputs: Sequence[Any], output: Any) -> int:
    del output
    return int(inputs[0].array.size * prod(module.weight.shape[1:]))


class _Row:
    """One call of a module, and the calls made meanwhile."""

    def __init__(self, module: Module, name: str, again: bool) -> None:
        self.module, self.name, self.again = module, name, again
        self.rows: list[_Row] = []
        self.shape: Any = None
        self.output_bytes = 0
        self.own_adds = 0

    @property
    def adds(self) -> int:
        """The multiply-adds of this call and all inside it."""
        return self.own_adds + sum(row.adds for row in self.rows)

    def total_output_bytes(self) -> int:
        """Return the bytes of what the innermost modules returned."""
        if self.rows:
            return sum(row.total_output_bytes() for row in self.rows)
        return self.output_bytes

    def label(self, depth: int, index: int) -> str:
        kind = self.module._get_name()
        if depth == 0:
            return kind
        return f"{kind} ({self.name}): {depth}-{index}" if self.name else f"{kind}: {depth}-{index}"

    def parameters(self, shown: bool) -> str:
        """Return the column of parameters, without those of the rows inside if they are shown."""
        if self.again:
            return "(recursive)"
        mine = {id(p): p.array.size for p in self.module.parameters()}
        for row in self.rows if shown else ():
            for p in row.module.parameters():
                mine.pop(id(p), None)
        return f"{sum(mine.values()):,}" if mine else "--"


class _Tracer:
    """Makes rows out of what modules' hooks tell."""

    def __init__(self, model: Module) -> None:
        self.names = {id(m): path.rpartition(".")[2] for path, m in model.named_modules()}
        self.seen: set[int] = set()
        self.stack: list[_Row] = []
        self.root: _Row | None = None

    def row(self, module: Module) -> _Row:
        made = _Row(module, self.names.get(id(module), ""), id(module) in self.seen)
        self.seen.add(id(module))
        if self.stack:
            self.stack[-1].rows.append(made)
        elif self.root is None:
            self.root = made
        return made

    def before(self, module: Module, args: Any) -> None:
        del args
        self.stack.append(self.row(module))

    def after(self, module: Module, args: Any, output: Any) -> None:
        row = self.stack.pop()
        tensors = list(_tensors(output))
        row.output_bytes = sum(t.array.nbytes for t in tensors)
        row.shape = _shape(output)
        row.own_adds = multiply_adds(module, list(_tensors(args)), output)

    def without_calls(self, module: Module) -> None:
        """Make the rows of a model that is not run, in the order of registration."""
        self.stack.append(self.row(module))
        for child in module.children():
            self.without_calls(child)
        self.stack.pop()


def _tensors(value: Any) -> Iterator[Any]:
    if isinstance(value, Traced):
        yield value
    elif isinstance(value, Mapping):
        yield from _tensors(list(value.values()))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _tensors(inner)


def _shape(value: Any) -> Any:
    shapes = [list(tensor.array.shape) for tensor in _tensors(value)]
    return shapes[0] if len(shapes) == 1 else shapes or None


_RULE = 90
_COLUMNS = "{:<41}{:<26}{:>12}{:>11}"


class ModelSummary:
    """What `summary` found; printing it shows the table.

    Attributes:
        total_params: elements of all parameters, each counted once.
        trainable_params: those that want a gradient.
        total_mult_adds: multiply-adds of one forward pass with the given input.
        input_bytes: size of the input.
        output_bytes: size of what the innermost modules returned, with as much again for gradients.
        param_bytes: size of all parameters and buffers.
    """

    def __init__(self, model: Module, root: _Row, depth: int, input_bytes: int, run: bool) -> None:
        self._root, self._depth, self._run = root, depth, run
        parameters = list(model.parameters())
        self.total_params = sum(p.array.size for p in parameters)
        self.trainable_params = sum(p.array.size for p in parameters if p.requires_grad)
        self.total_mult_adds: int = root.adds
        self.input_bytes = input_bytes
        self.output_bytes = 2 * root.total_output_bytes()
        self.param_bytes: int = sum(t.array.nbytes for t in (*parameters, *model.buffers()))

    @property
    def total_bytes(self) -> int:
        """The sum of the three sizes."""
        return self.input_bytes + self.output_bytes + self.param_bytes

    def __str__(self) -> str:
        rule = "=" * _RULE
        heading = _COLUMNS.format(
            "Layer (type (name):depth-idx)", "Output Shape", "Param #", "Mult-Adds"
        )
        lines = [rule, heading.rstrip(), rule]
        for branch, label, shape, parameters, adds in self.rows():
            shown = "--" if shape is None else str(shape)
            lines.append(_COLUMNS.format(branch + label, shown, parameters, adds).rstrip())
        fixed = self.total_params - self.trainable_params
        lines += [
            rule,
            f"Total params: {self.total_params:,}",
            f"Trainable params: {self.trainable_params:,}",
            f"Non-trainable params: {fixed:,}",
        ]
        if self._run:
            lines += [
                f"Total mult-adds: {_scaled(self.total_mult_adds)}",
                rule,
                f"Input size (MB): {self.input_bytes / 1e6:.2f}",
                f"Forward/backward pass size (MB): {self.output_bytes / 1e6:.2f}",
                f"Params size (MB): {self.param_bytes / 1e6:.2f}",
                f"Estimated Total Size (MB): {self.total_bytes / 1e6:.2f}",
            ]
        return "\n".join([*lines, rule])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from tinygrad_like.notebook import summary_html

        return summary_html(self)

    def rows(self) -> Iterator[tuple[str, str, Any, str, str]]:
        """Yield the lines of the table: branch of the tree, layer, shape, parameters, multiply-adds."""
        yield from self._rows(self._root, [], [0] * (self._depth + 1))

    def _rows(
        self, row: _Row, last: list[bool], counts: list[int]
    ) -> Iterator[tuple[str, str, Any, str, str]]:
        depth = len(last)
        counts[depth] += 1
        branch = "".join("    " if end else "│   " for end in last[:-1])
        if last:
            branch += "└─" if last[-1] else "├─"
        inner = row.rows if depth < self._depth else []
        adds = row.own_adds if inner else row.adds
        label, parameters = row.label(depth, counts[depth]), row.parameters(bool(inner))
        yield branch, label, row.shape, parameters, _scaled(adds) if adds else "--"
        for position, child in enumerate(inner, 1):
            yield from self._rows(child, [*last, position == len(inner)], counts)


def _scaled(number: int) -> str:
    """Return a number with a letter for thousands and so on."""
    for letter, unit in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("K", 1e3)):
        if number >= unit:
            return f"{number / unit:.2f} {letter}"
    return str(number)


def summary(
    model: Module,
    input_size: Any = None,
    input_data: Any = None,
    depth: int = 3,
    dtypes: Sequence[Any] | None = None,
) -> ModelSummary:
    """Return a table of the layers that `model` calls for an input, in evaluation.

    Args:
        model: the model.
        input_size: the shape of its input, or a list of shapes, samples first; or what `input_data`
            may be.
        input_data: the input itself instead: a tensor, a list of them, or a dict of keywords.
        depth: how many levels of modules inside modules to show.
        dtypes: for each shape the dtype of that input (default: the first parameter's).

    Raises:
        TypeError: if `model` is not a module.
        ValueError: if both a size and data are given.

    >>> import tinygrad_like as torch
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU())
    >>> torch.summary(net, input_size=(2, 4)).total_mult_adds
    24
    """
    if not isinstance(model, Module):
        raise told(TypeError, f"summary: model is {type(model).__name__}, expected a Module")
    if input_size is not None and input_data is not None:
        raise told(ValueError, "summary: got both input_size and input_data; give one of them")
    if next(_tensors(input_size), None) is not None:
        input_size, input_data = None, input_size
    tracer = _Tracer(model)
    args, kwargs = _inputs(model, input_size, input_data, dtypes)
    run = input_size is not None or input_data is not None
    if run:
        _run(model, tracer, args, kwargs)
    else:
        tracer.without_calls(model)
    assert tracer.root is not None
    input_bytes = sum(tensor.array.nbytes for tensor in _tensors([args, kwargs]))
    return ModelSummary(model, tracer.root, depth, input_bytes, run)


def _inputs(
    model: Module, input_size: Any, input_data: Any, dtypes: Sequence[Any] | None
) -> tuple[Sequence[Any], Mapping[str, Any]]:
    if isinstance(input_data, Mapping):
        return (), input_data
    if input_data is not None:
        return ([input_data] if isinstance(input_data, Traced) else list(input_data)), {}
    if input_size is None:
        return (), {}
    sizes = [input_size] if not input_size or isinstance(input_size[0], int) else input_size
    default = next((p.dtype for p in model.parameters()), None)
    kinds = [default] * len(sizes) if dtypes is None else dtypes
    made = [ones(tuple(size), dtype=kind) for size, kind in zip(sizes, kinds, strict=True)]
    # An index of 0 is valid for any table.
    return [tensor if tensor.dtype.is_floating_point else tensor * 0 for tensor in made], {}


def _run(model: Module, tracer: _Tracer, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    training = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with (
            no_grad(),
            register_module_forward_pre_hook(tracer.before),
            register_module_forward_hook(tracer.after),
        ):
            model(*args, **kwargs)
    except Exception as error:
        calling = " > ".join(
            row.label(i, 1).partition(":")[0] for i, row in enumerate(tracer.stack)
        )
        error.add_note(f"summary: this happened in {calling}")
        raise
    finally:
        for module, mode in training:
            module.training = mode
