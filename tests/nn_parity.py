"""Running the same code with this package and with PyTorch, and comparing what comes out."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

import tinygrad_like

pytorch = pytest.importorskip("torch")


def plain(value: Any) -> Any:
    """Return `value` as something that both packages' versions of it compare equal as."""
    if hasattr(value, "requires_grad"):
        values = value.detach().numpy()
        return ("tensor", str(values.dtype), values.shape, values.tolist(), value.requires_grad)
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if hasattr(value, "named_parameters") or isinstance(value, str):
        return neutral(str(value))
    return value


def neutral(text: str) -> str:
    """Return `text` without what tells the packages apart."""
    text = re.sub(r"\btinygrad_like\.", "torch.", text)
    return re.sub(r"torch\.nn\.module\b", "torch.nn.modules.module", text)


def outcome(call: Callable[[], Any]) -> Any:
    """Return what `call` returns, or the name and message of the exception it raises."""
    try:
        return plain(call())
    except Exception as error:
        return (type(error).__name__, neutral(str(error)))


def kind(call: Callable[[], Any]) -> Any:
    """Return what `call` returns, or the name of the exception it raises."""
    try:
        return plain(call())
    except Exception as error:
        return type(error).__name__


def alike(run: Callable[[Any], Any]) -> None:
    """Assert that ``run(torch)`` gives the same with either package as `torch`."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="torch")
        expected = plain(run(pytorch))
    found = plain(run(tinygrad_like))
    if isinstance(expected, list):
        assert len(found) == len(expected)
        for index, (got, wanted) in enumerate(zip(found, expected, strict=True)):
            assert got == wanted, f"result {index}:\ngot      {got}\nexpected {wanted}"
    assert found == expected, f"\ngot      {found}\nexpected {expected}"


def ours(array: Any, requires_grad: bool = False) -> Any:
    """Return a tensor of this package with its own copy of an array."""
    return tinygrad_like.tensor(np.array(array), requires_grad=requires_grad)


def theirs(array: Any, requires_grad: bool = False) -> Any:
    """Return a tensor of PyTorch with its own copy of an array."""
    made = pytorch.from_numpy(np.array(array))
    return made.requires_grad_(requires_grad)


def close(tensor: Any, expected: Any, tolerance: float | None = None, what: str = "") -> None:
    """Assert that a tensor has the dtype, shape and about the values of PyTorch's."""
    if expected is None or tensor is None:
        assert tensor is None, f"{what}: expected None"
        assert expected is None, f"{what}: got None"
        return
    values, wanted = tensor.detach().numpy(), expected.detach().numpy()
    assert values.dtype == wanted.dtype, f"{what}: dtype {values.dtype}, expected {wanted.dtype}"
    assert values.shape == wanted.shape, f"{what}: shape {values.shape}, expected {wanted.shape}"
    if tolerance is None:
        tolerance = 1e-10 if wanted.dtype == np.float64 else 2e-5
    largest = np.abs(wanted[np.isfinite(wanted)]).max(
        initial=1.0
    )  # sums of large ones are rounded more
    absolute = tolerance * float(largest)
    np.testing.assert_allclose(values, wanted, rtol=tolerance, atol=absolute, err_msg=what)


# ----- Layers -------------------------------------------------------------------------------------

DTYPES = ["float32", "float64"]

Kind = tuple[Any, ...]


def real(*shape: int) -> Kind:
    """Ask for normally distributed numbers."""
    return ("real", shape)


def probability(*shape: int) -> Kind:
    """Ask for numbers between 0.05 and 0.95."""
    return ("probability", shape)


def whole(high: int, *shape: int) -> Kind:
    """Ask for whole numbers below `high`."""
    return ("whole", shape, high)


def signs(*shape: int) -> Kind:
    """Ask for 1 and -1."""
    return ("signs", shape)


def labels(*shape: int) -> Kind:
    """Ask for different whole numbers in each row, with a -1 as third."""
    return ("labels", shape)


def samples(generator: Any, kinds: list[Kind], dtype: str) -> list[Any]:
    """Return arrays of the kinds asked for, the same for both packages; an array is passed on."""
    arrays = []
    for asked in kinds:
        if isinstance(asked, np.ndarray):
            arrays.append(asked)
            continue
        name, shape, *high = asked
        if name == "whole":
            arrays.append(generator.integers(0, high[0], shape))
        elif name == "signs":
            arrays.append(generator.choice([-1, 1], shape))
        elif name == "labels":
            chosen = np.argsort(generator.normal(size=shape), axis=-1)
            chosen[..., 2] = -1
            arrays.append(chosen)
        elif name == "probability":
            arrays.append(generator.uniform(0.05, 0.95, shape).astype(dtype))
        else:
            arrays.append(generator.normal(size=shape).astype(dtype))
    return arrays


def names(layers: list[Any]) -> list[str]:
    """Return what the rows of a table of layers are called."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        texts = [repr(make(pytorch.nn)) for make, *_ in layers]
    return [f"{i}-{text}".replace(" ", "").replace("\n", "")[:60] for i, text in enumerate(texts)]


def check_layer(
    make: Callable[..., Any],
    kinds: list[Kind],
    dtype: str,
    options: dict[str, Any] | None = None,
    spread: float = 1.0,
) -> None:
    """Assert that a layer is built, computes, trains and keeps statistics as PyTorch's.

    Args:
        make: given a package's ``nn``, and a ``dtype``, makes the layer.
        kinds: what to call it with.
        dtype: of parameters and inputs.
        options: more to call it with.
        spread: deviation of the parameters.
    """
    options = options or {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*enable_nested_tensor.*")
        warnings.filterwarnings("ignore", message=".*padding='same' with even kernel.*")
        warnings.filterwarnings("ignore", message=".*Initializing zero-element.*")
        _check_layer(make, kinds, dtype, options, spread)


def _check_layer(make: Any, kinds: Any, dtype: str, options: Any, spread: float) -> None:
    pytorch.manual_seed(7)
    expected = make(pytorch.nn, dtype=getattr(pytorch, dtype))
    tinygrad_like.manual_seed(7)
    layer = make(tinygrad_like.nn, dtype=getattr(tinygrad_like, dtype))
    assert repr(layer) == repr(expected)
    assert list(layer.state_dict()) == list(expected.state_dict())
    for name, value in expected.state_dict().items():
        close(layer.state_dict()[name], value, 1e-6, f"initial {name}")
    # From here on with PyTorch's state, none of whose parameters is at a special value.
    generator = np.random.default_rng(3)
    for parameter in expected.parameters():
        values = generator.normal(0.0, spread, parameter.shape).astype(dtype)
        parameter.data.copy_(pytorch.from_numpy(np.asarray(values)))
    assert repr(layer.load_state_dict(expected.state_dict())) == "<All keys matched successfully>"
    # PyTorch has the slope 1/6 as a float32 number even in float64.
    tolerance = 1e-7 if "Hardsigmoid" in repr(layer) and dtype == "float64" else None
    for mode in (True, True, False):
        layer.train(mode)
        expected.train(mode)
        arrays = samples(generator, kinds, dtype)
        xs = [ours(a, a.dtype.kind == "f") for a in arrays]
        ys = [theirs(a, a.dtype.kind == "f") for a in arrays]
        out, wanted = layer(*xs, **options), expected(*ys, **options)
        if isinstance(wanted, tuple):
            assert len(out) == len(wanted)
            for index, (x, y) in enumerate(zip(out, wanted, strict=True)):
                close(x, y, what=f"output {index}, training={mode}")
            out, wanted = out[0], wanted[0]
        close(out, wanted, what=f"output, training={mode}")
        if not wanted.requires_grad:
            continue
        upstream = generator.normal(size=tuple(wanted.shape)).astype(dtype)
        layer.zero_grad()
        expected.zero_grad()
        out.backward(ours(upstream))
        wanted.backward(theirs(upstream))
        for index, (x, y) in enumerate(zip(xs, ys, strict=True)):
            close(x.grad, y.grad, tolerance, f"gradient of input {index}, training={mode}")
        for name, parameter in expected.named_parameters():
            close(layer.get_parameter(name).grad, parameter.grad, what=f"gradient of {name}")
            close(layer.get_parameter(name), parameter, what=name)
        for name, buffer in expected.named_buffers():
            close(layer.get_buffer(name), buffer, what=name)
