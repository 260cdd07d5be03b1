"""Wrong calls raise PyTorch's kind of error, in one clear sentence, and change no operand."""

from __future__ import annotations

import builtins
import importlib
import pkgutil
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import tinygrad_like as ours
from tests import wrong_calls
from tests.both import compare
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
    r"count|data|delta|deviation|device|dilation|dim|dim1|dimension|dims|divisor|dropout|"
    r"dtype|end|epsilon|generator|grad|gradient|gradients|grid|groups|hidden|"
    r"ind|index|indices|input|inputs|kernel|lambda|lengths|margin|mask|mode|"
    r"module|momentum|n|nonlinearity|other|out|output|p|padding|parameter|"
    r"params|q|query|reduce|reduction|repeats|scale|size|sizes|start|step|"
    r"stride|target|targets|tau|tensor|tensors|theta|uplo|value|values|var|vec2|"
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


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=row.name) for family, row in ROWS if family == "creation"]
)
def test_a_refused_draw_takes_no_random_numbers(row: Wrong) -> None:
    operands = [operand.make(ours, graph=False) for operand in row.operands]
    before = ours.get_rng_state().tolist()
    assert outcome(row, ours, "plain", operands) is not None
    assert ours.get_rng_state().tolist() == before


# Calls that look wrong and aren't: PyTorch takes them.
ACCEPTED: list[tuple[str, Callable[[Any], Any]]] = [
    ("clamp, bounds that are larger", lambda t: t.clamp(t.tensor(0.5), t.zeros(3), t.ones(2, 1))),
    ("cosine_similarity of ints", lambda t: cosine(t)(t.ones(2, 3, dtype=t.int64), t.ones(2, 3))),
    ("cosine_similarity of a scalar", lambda t: cosine(t)(t.ones(()), t.ones(2, 3))),
    ("poisson_nll_loss, one count", lambda t: poisson(t)(t.ones(2), t.tensor(2.0), full=True)),
    ("channel_shuffle of nothing", lambda t: t.channel_shuffle(t.ones(0, 4, 2), 2)),
    ("unfold of nothing", lambda t: t.nn.functional.unfold(t.ones(0, 3, 4, 4), 2)),
    ("fold of nothing", lambda t: t.nn.functional.fold(t.ones(0, 12, 9), (4, 4), 2)),
    ("addr of two dtypes", lambda t: t.addr(t.ones(2, 2, dtype=t.int64), t.ones(2), t.ones(2))),
    ("addr, a wider vector", lambda t: t.addr(t.ones(2, 2), t.ones(2, dtype=t.float64), t.ones(2))),
    ("cov, wider weights", lambda t: t.cov(t.eye(2), aweights=t.ones(2, dtype=t.float64))),
    ("rms_norm, a wider weight", lambda t: t.rms_norm(t.ones(1, 2), (2,), t.ones(2).double())),
    ("rms_norm, a narrower weight", lambda t: t.rms_norm(t.ones(1, 2).double(), (2,), t.ones(2))),
    ("binary_cross_entropy, a weight of ints", lambda t: weighted(t, t.tensor([1, 2]))),
    ("binary_cross_entropy, a wider weight", lambda t: weighted(t, t.ones(2).double())),
    ("multi_margin_loss of one sample", lambda t: margin(t)(t.ones(3), t.tensor(1))),
    ("multi_margin_loss of one sample's row", lambda t: margin(t)(t.ones(3), t.tensor([1]))),
    ("index_put at one place", lambda t: t.zeros(3).index_put((t.tensor(0),), t.tensor(1.0))),
    ("numpy in no_grad", lambda t: without(t, lambda: t.ones(2, requires_grad=True).numpy().sum())),
    ("comparison with None", lambda t: t.ones(2) == None),  # noqa: E711
]


def cosine(t: Any) -> Any:
    return t.nn.functional.cosine_similarity


def poisson(t: Any) -> Any:
    return t.nn.functional.poisson_nll_loss


def margin(t: Any) -> Any:
    return t.nn.functional.multi_margin_loss


def weighted(t: Any, weight: Any) -> Any:
    return t.nn.functional.binary_cross_entropy(t.ones(2) * 0.5, t.ones(2), weight)


def without(t: Any, call: Callable[[], Any]) -> Any:
    with t.no_grad():
        return call()


@pytest.mark.parametrize("call", [pytest.param(call, id=name) for name, call in ACCEPTED])
def test_accepted_as_torch_accepts(call: Callable[[Any], Any]) -> None:
    compare(call)
    torch = pytest.importorskip("torch")
    call(torch)  # does not raise
