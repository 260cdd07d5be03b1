"""Wrong calls raise PyTorch's kind of error, in one clear sentence, and change no operand."""

from __future__ import annotations

import builtins
import importlib
import pkgutil
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

import tinygrad_like as ours
from tests import wrong_calls
from tests.wrong_calls.base import Wrong

FAMILIES = [m.name for m in pkgutil.iter_modules(wrong_calls.__path__) if m.name != "base"]
ROWS: list[tuple[str, Wrong]] = [
    (family, row)
    for family in FAMILIES
    for row in importlib.import_module(f"tests.wrong_calls.{family}").ROWS
]
MODES = ["plain", "recorded", "no_grad"]

# Arguments that a message may name instead of the op.
ARGUMENT = re.compile(
    r"\b(\w+_\w+|learning rate|"
    r"alpha|approximate|argument|axis|beta|bias|bins|blank|boundaries|buffer|"
    r"count|data|delta|device|dilation|dim|dim1|dimension|dims|divisor|dropout|"
    r"dtype|end|epsilon|generator|grad|gradient|gradients|grid|groups|hidden|"
    r"ind|index|indices|input|inputs|kernel|lambda|lengths|margin|mask|mode|"
    r"module|momentum|n|nonlinearity|other|out|output|p|padding|parameter|"
    r"params|q|query|reduce|reduction|repeats|scale|size|sizes|start|step|"
    r"stride|target|targets|tensor|tensors|theta|uplo|value|values|var|vec2|"
    r"weight"
    r")\b"
)

# Words of NumPy and Python that tell of this package's inside and not of what the user did.
INSIDE = (
    "ufunc",
    "for axis",
    "operands could not",
    "not subscriptable",
    "_stub",
    "setting an array element",
    "tuple index",
    "list index",
    "as an integer",
    "Could this error message",
)


def plain(text: str) -> str:
    """Return a message in which shapes and dtypes are written in one way."""
    for torchs, numpys in (("Float", "float32"), ("Double", "float64"), ("Long", "int64")):
        text = text.replace(torchs, numpys)
    return text.replace("[", "(").replace("]", ")").replace(",)", ")").replace("Bool", "bool")


def outcome(row: Wrong, module: Any, mode: str, operands: list[Any]) -> Exception | None:
    """Return what calling the row raises."""
    try:
        if mode == "no_grad":
            with module.no_grad():
                row.run(module, operands)
        else:
            row.run(module, operands)
    except Exception as error:  # which kind is what is tested
        return error
    return None


def builtin(error: Exception) -> type:
    """Return the class of an error, or the one of Python's own that it derives from."""
    return next(c for c in type(error).__mro__ if c in vars(builtins).values())


def states(operands: list[Any]) -> list[Any]:
    """Return all there is to know of each operand, in order."""
    found = []
    for x in operands:
        about = x.shape, x.stride(), x.dtype, x._version, x.requires_grad, x.is_leaf, x.data_ptr()
        found.append(
            (about, x.detach().numpy().tobytes(), x.grad_fn, x.grad if x.is_leaf else None)
        )
    return found


@pytest.fixture(autouse=True)
def _seeds_and_defaults() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def parametrized() -> list[Any]:
    return [pytest.param(row, id=f"{family}/{row.name}") for family, row in ROWS]


@pytest.mark.parametrize("row", parametrized())
def test_refused_in_one_clear_sentence(row: Wrong) -> None:
    operands = [operand.make(ours, graph=False) for operand in row.operands]
    before = states(operands)
    error = outcome(row, ours, "plain", operands)
    assert states(operands) == before
    assert error is not None, "not refused"
    assert builtin(error) is row.kind, repr(error)
    message = str(error)
    assert "\n" not in message.strip() or "state_dict" in row.name, message
    assert 10 < len(message) < 500, message
    for word in filter(None, row.says.split("|")):
        assert plain(word) in plain(message), message
    op = row.name.partition(":")[0].rstrip("_").rpartition(".")[2].lower()
    if row.kind is AttributeError:
        return
    assert op in message.lower() or ARGUMENT.search(message.lower()), message
    for words in (*INSIDE, "has no attribute"):
        assert words not in message, message


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("row", parametrized())
def test_refused_as_torch_refuses(row: Wrong, mode: str) -> None:
    torch = pytest.importorskip("torch")
    graph = mode != "plain"
    operands = [operand.make(ours, graph) for operand in row.operands]
    before = states(operands)
    error = outcome(row, ours, mode, operands)
    if error is not None:
        assert states(operands) == before
    expected = outcome(row, torch, mode, [operand.make(torch, graph) for operand in row.operands])
    if row.differs:
        assert expected is None or builtin(expected) is not row.kind, "it does not differ"
        return
    if mode == "plain":
        assert expected is not None, "PyTorch does not refuse this"
    if expected is None:
        assert error is None, f"{error!r}; PyTorch does not refuse this here"
        return
    assert error is not None, f"not refused; PyTorch: {expected!r}"
    assert issubclass(builtin(error), builtin(expected)), f"{error!r}\nPyTorch: {expected!r}"


def test_the_table_is_large_and_its_names_are_distinct() -> None:
    names = Counter(row.name for _, row in ROWS)
    assert [name for name, count in names.items() if count > 1] == []
    assert len(ROWS) >= 450


def test_every_row_says_what_its_message_must_say() -> None:
    assert [row.name for _, row in ROWS if not row.says] == []
