"""How functions come to take ``out`` and further names, and what that leaves as it was."""

from __future__ import annotations

import inspect
import pickle
import re

import numpy as np
import pytest

import tinygrad_like as ours
from tests.test_out import CALLS
from tinygrad_like import deferred, generate, keywords, outs

# ----- What stays as it was -----------------------------------------------------------------------


def test_every_name_of_the_table_is_there_and_tried():
    tried = {re.match(r"(t\.linalg|t\.special|t|F)\.(\w+)", call).groups() for call in CALLS}
    homes = {"t": "torch", "t.linalg": "linalg", "t.special": "special", "F": "functional"}
    tried = {(homes[home], name) for home, name in tried}
    table = {(home, name) for home, names_ in outs.HOW.items() for name in names_}
    modules = {
        "torch": ours,
        "linalg": ours.linalg,
        "special": ours.special,
        "functional": ours.nn.functional,
    }
    for home, name in table:
        assert hasattr(modules[home], name), f"{home}.{name}"
        assert (home, name) in keywords.PLAIN or getattr(modules[home], name)
    assert not table - tried


def test_a_write_by_out_is_noticed_by_backward():
    x = ours.ones(3, requires_grad=True)
    factor = ours.full((3,), 2.0)
    y = (x * factor).sum()
    ours.add(factor, 1, out=factor)
    with pytest.raises(RuntimeError, match="inplace"):
        y.backward()


def test_out_advances_the_version_and_keeps_shared_memory():
    memory = np.zeros((2, 3), np.float32)
    base = ours.from_numpy(memory)
    before = base._version
    row = base[1]
    assert ours.add(ours.ones(3), 1, out=row) is row
    assert memory[1].tolist() == [2, 2, 2]
    assert base._version > before


def test_a_smaller_out_stays_in_its_memory():
    out = ours.zeros(2, 3)
    flat = out.view(-1)
    with pytest.warns(UserWarning, match="An output with one or more elements was resized"):
        ours.add(ours.ones(4), 1, out=out)
    assert out.shape == (4,)
    assert flat.tolist() == [2, 2, 2, 2, 0, 0]


def test_nothing_is_written_if_one_result_does_not_fit():
    values, indices = ours.zeros(2), ours.zeros(2)
    with pytest.raises(RuntimeError, match="dtype"):
        ours.max(ours.ones(2, 3), 1, out=(values, indices))
    assert values.tolist() == [0, 0]


def test_aliases_stay_one_function_and_can_be_pickled():
    assert ours.abs is ours.absolute
    assert ours.mul is ours.multiply
    for function in (ours.add, ours.mul, ours.cat, ours.linalg.inv, ours.nn.functional.gelu):
        assert pickle.loads(pickle.dumps(function)) is function
        assert function.__doc__


def test_methods_take_no_out():
    with pytest.raises(TypeError):
        ours.ones(2).add(1, out=ours.ones(2))


def test_every_listed_function_can_be_written_out():
    homes = {"torch": ours, "linalg": ours.linalg, "special": ours.special}
    homes |= {"functional": ours.nn.functional, "Tensor": ours.Tensor}
    written = 0
    for home, name in keywords.PLAIN:
        function = getattr(homes[home], name)
        if "_written" in function.__kwdefaults__:  # as a first call does
            function.__kwdefaults__["_written"]()
        assert function.__code__.co_filename == f"<op {function.__name__} respelled>"
        written += 1
    assert written > 300


@pytest.fixture
def own_table():
    """Let a test enter functions of its own."""
    before = dict(keywords.PLAIN)
    yield
    keywords.PLAIN.clear()
    keywords.PLAIN.update(before)


def test_what_is_given_is_handed_on(own_table):
    def double(x, *more, by=2, **rest):
        return x * by if not more else (x, more, by, rest)

    made = keywords.extended("torch", "add", double, __name__)
    out = ours.zeros(2)
    assert made(ours.ones(2)).tolist() == [2, 2]
    assert made(1, 2, 3, by=4, also=5) == (1, (2, 3), 4, {"also": 5})
    assert made(ours.ones(2), by=3, out=out) is out
    assert out.tolist() == [3, 3]


def test_arguments_that_are_missing_or_unknown(own_table):
    def double(dim, x=1, *, by=2):
        return dim * by, x

    made = keywords.extended("torch", "amax", double, __name__)
    assert made(3) == made(axis=3) == made(dim=3) == (6, 1)
    assert made(3, 4, by=1) == (3, 4)
    with pytest.raises(TypeError, match=r"amax\(\) missing required argument 'dim'"):
        made()
    with pytest.raises(TypeError, match="unexpected keyword argument 'dims'"):
        made(3, dims=1)


# ----- What `help` shows --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mul", "exp", "amax", "tril"])
def test_parameters_are_known_before_the_code_is_written(name):
    plain = inspect.unwrap(getattr(ours, name))
    op_ = plain.__globals__["op"]
    call = generate.generate_call(op_)
    before = inspect.signature(call)
    generate.source(op_)
    code = plain.__code__
    written = code.co_varnames[: code.co_argcount]
    assert tuple(before.parameters) == written
    assert str(inspect.signature(plain)) == str(before)
    assert [p.name for p in before.parameters.values() if p.default is not p.empty] == list(
        written[len(written) - len(plain.__defaults__ or ()) :]
    )


@pytest.mark.parametrize(
    ("method", "names"), [("mul_", "input other"), ("clamp_", "input min max")]
)
def test_methods_in_place_show_what_they_take(method, names):
    assert [*inspect.signature(getattr(ours.Tensor, method)).parameters] == names.split()


def test_what_comes_later_is_listed():
    torch = pytest.importorskip("torch")
    assert {"linalg", "func", "special", "signal", "backends"} < set(dir(ours))

    for name in deferred.HOMES.keys() - {"explain"}:  # which PyTorch has not
        assert hasattr(ours, name) == (name in dir(ours)) == hasattr(torch, name), name
