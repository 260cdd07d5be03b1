"""Damaged and hostile files end in a clear error: nothing is run, nothing hangs, memory stays bounded."""

from __future__ import annotations

import io
import pickle
import struct
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import tinygrad_like as ours
from tests.fixtures import objects
from tinygrad_like.serialization.archive import Writer

FIXTURES = Path(objects.__file__).parent
EXPECTED = (pickle.UnpicklingError, RuntimeError, EOFError, ValueError)


def archive_of(pickled, storages=(b"",), **records):
    """Return an archive around a pickle, whole and with right checksums."""
    file = io.BytesIO()
    writer = Writer(file.write, "archive")
    writer.add("data.pkl", pickled)
    for name, data in records.items():
        writer.add(name, data)
    for number, data in enumerate(storages):
        writer.add(f"data/{number}", data)
    writer.finish()
    return file.getvalue()


def load(pickled, *storages):
    return ours.load(io.BytesIO(archive_of(pickled, storages)))


def refused(pickled, *storages, match):
    with pytest.raises(pickle.UnpicklingError, match=match):
        load(pickled, *storages)


def survives(content):
    """Return what a file holds, None if it is refused with a sentence."""
    try:
        return ours.load(io.BytesIO(content))
    except EXPECTED as error:
        if not str(error).startswith(("load: ", "Attempting", "Unknown endianness", "device: got")):
            raise AssertionError("an unexpected error") from error
        return None


# ----- A small assembler of pickles ---------------------------------------------------------------


def word(text):
    data = text.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(n):
    data = n.to_bytes((n.bit_length() + 8) // 8, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def name(module, title):
    return b"c" + f"{module}\n{title}\n".encode()


def numbers(*values):
    return b"(" + b"".join(number(n) for n in values) + b"t"


def storage(key="0", count=6, kind="FloatStorage", location="cpu"):
    parts = word("storage") + name("torch", kind) + word(key) + word(location) + number(count)
    return b"(" + parts + b"tQ"


def tensor(
    kept=None, offset=None, size=None, stride=None, requires_grad=b"\x89", hooks=b"N", more=b""
):
    parts = [
        storage() if kept is None else kept,
        number(0) if offset is None else offset,
        numbers(2, 3) if size is None else size,
        numbers(3, 1) if stride is None else stride,
        requires_grad,
        hooks,
        more,
    ]
    return name("torch._utils", "_rebuild_tensor_v2") + b"(" + b"".join(parts) + b"tR."


SIX = np.arange(6, dtype=np.float32).tobytes()


def test_the_assembler_makes_files_that_load():
    assert load(tensor(), SIX).tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert load(numbers(0, -1, 2**70) + b".") == (0, -1, 2**70)


# ----- Names --------------------------------------------------------------------------------------

DANGEROUS = [
    ("os", "system"),
    ("posix", "system"),
    ("nt", "system"),
    ("sys", "exit"),
    ("subprocess", "Popen"),
    ("builtins", "eval"),
    ("builtins", "exec"),
    ("builtins", "getattr"),
    ("builtins", "__import__"),
    ("builtins", "open"),
    ("__builtin__", "eval"),
    ("builtins", "list"),
    ("importlib", "import_module"),
    ("collections", "OrderedDict.__init__"),
    ("collections", "namedtuple"),
    ("_codecs", "lookup"),
    ("torch", "load"),
    ("torch", "nn"),
    ("torch.hub", "load"),
    ("torch.serialization", "os.system"),
    ("torch._utils", "_rebuild_sparse_tensor"),
    ("torch._utils", "__builtins__"),
    ("numpy", "load"),
    ("tinygrad_like", "load"),
    ("tinygrad_like.serialization.rebuild", "np.load"),
    ("tinygrad_like.serialization.unpickler", "trusting"),
    ("runpy", "run_path"),
    ("pty", "spawn"),
    ("", ""),
]


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize(("module", "title"), DANGEROUS)
def test_names_are_refused_before_anything_is_called(module, title, stacked, tmp_path):
    trace = tmp_path / "trace"
    wanted = word(module) + word(title) + b"\x93" if stacked else name(module, title)
    call = wanted + b"(" + word(f"touch {trace}") + b"tR."
    shown = rf"asks for .*{title or 'a'}"
    refused(call, match=shown.replace("__", "__"))
    assert not trace.exists()


def test_names_are_listed_without_being_called():
    def names(pickled):
        return ours.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(archive_of(pickled)))

    call = name("os", "system") + b"(" + word("touch") + b"tR."
    stacked = word("pty") + b"q\0" + word("spawn") + b"q\1" + b"00h\0h\1\x93."
    assert names(call) == ["os.system"]
    assert names(stacked) == ["pty.spawn"]
    assert names(tensor()) == []
    for damaged in (b"\xff", b"\x93.", b"X\xff\xff\xff\x7f", b""):
        with pytest.raises(pickle.UnpicklingError, match="makes no sense"):
            names(damaged)


def test_the_name_is_shown_without_control_characters():
    refused(word("a\x1b[2J") + word("b\r") + b"\x93.", match=r"asks for 'a\\x1b\[2J\.b\\r', which")
    refused(word("a" * 5000) + word("b") + b"\x93.", match="asks for 'a{100}', which")


@pytest.mark.parametrize("code", sorted({*range(256)} - set(b"\x80\x95(012N\x88\x89JKM\x8a\x8bGX")))
def test_every_instruction_alone_is_an_error(code):
    for operands in (b"", b"\xff" * 8, b"\0" * 8, b"os\nsystem\n"):
        content = io.BytesIO(archive_of(bytes([code]) + operands + b"."))
        found = survives(content.getvalue())
        assert found in (None, [], {}, (), set(), "", b"", bytearray()), found


@pytest.mark.parametrize(
    "code", [b"ios\nsystem\n", b"(cos\nsystem\no", b"\x82\1", b"P0\n", b"I1\n"]
)
def test_instructions_of_old_protocols_are_refused(code):
    with pytest.raises(pickle.UnpicklingError, match=r"instruction|asks for os\.system"):
        load(b"(" + word("true") + code + b".")


def test_only_functions_of_the_list_are_called():
    for target in (b"N", word("x"), b"]", name("torch", "float32"), name("torch", "FloatStorage")):
        refused(target + b")R.", match="calls .*, which is nothing that may be called")
    for target in (name("torch", "Tensor"), name("torch.nn.parameter", "Parameter")):
        refused(target + b")R.", match="calls .*, which is nothing that may be called")
        refused(target + b")\x81.", match="makes a new .*, which is not allowed")
    refused(name("collections", "OrderedDict") + b"]R.", match="nothing that may be called")
    refused(b"})R.", match="calls a dict")


def test_state_is_given_to_ordered_dicts_only():
    refused(tensor()[:-1] + b"}b.", SIX, match="gives state to a Tensor")
    refused(name("torch", "float32") + b"}b.", match="gives state to a dtype")
    refused(name("torch._utils", "_rebuild_tensor") + b"}b.", match="gives state to a function")
    empty = name("collections", "OrderedDict") + b")R"
    refused(empty + b"}" + word("items") + b"Nsb.", match="can't be given the attribute 'items'")
    refused(empty + b"}" + word("__class__") + b"Nsb.", match="the attribute '__class__'")
    refused(empty + b"]b.", match="expected a dictionary of attributes")


@pytest.mark.parametrize("attribute", ["numpy", "array", "__class__", "node", "requires_grad"])
def test_tensors_keep_their_own_attributes(attribute):
    state = b"}" + word(attribute) + b"Ns"
    refused(with_state(state), SIX, match="can't be given the attribute")


def with_state(state):
    """Return a pickle of a tensor of a subclass with attributes."""
    call = name("torch._tensor", "_rebuild_from_type_v2") + b"("
    call += name("torch._utils", "_rebuild_tensor_v2") + name("torch", "Tensor")
    return call + tensor().split(b"\n", 2)[2][:-2] + state + b"tR."


def test_attributes_are_two_dictionaries_at_most():
    own, slots = b"}" + word("note") + number(1) + b"s", b"}" + word("more") + number(2) + b"s"
    assert load(with_state(own), SIX).note == 1
    found = load(with_state(own + slots + b"\x86"), SIX)
    assert (found.note, found.more) == (1, 2)
    assert load(with_state(b"N" + slots + b"\x86"), SIX).more == 2
    assert vars(load(with_state(b"}" + word("_views") + b"Ns"), SIX)) == {}
    refused(with_state(own + b"N\x86N\x86"), SIX, match="expected a dictionary of attributes")
    refused(with_state(b"N" + b"N\x86" * 5000), SIX, match="expected a dictionary of attributes")


def test_functions_of_old_files_and_dtypes():
    old = name("torch._utils", "_rebuild_tensor") + b"(" + storage() + number(1)
    assert load(old + numbers(2) + numbers(3) + b"tR.", SIX).tolist() == [1.0, 4.0]
    late = tensor(storage(kind="ByteStorage", count=24)).replace(b"_v2", b"_v3")[:-3]
    found = load(late + name("torch", "int32") + b"tR.", SIX)
    assert (found.dtype, found.shape) == (ours.int32, (2, 3))
    refused(late + b"NtR.", SIX, match="expected a dtype")
    assert load(storage(kind="BoolStorage", count=4) + b".", b"\0\1\2\xff").tolist() == [
        *(False, True, True, True)
    ]
    layout = name("torch.serialization", "_get_layout") + b"("
    assert repr(load(layout + word("torch.strided") + b"tR.")) == "torch.strided"


def test_only_makers_of_tensors_are_passed_on():
    def call(function, kind, arguments):
        head = name("torch._tensor", "_rebuild_from_type_v2")
        return head + b"(" + function + kind + arguments + b"}tR."

    cls = name("torch", "Tensor")
    refused(call(name("_codecs", "encode"), cls, b")"), match="expected a function that makes")
    refused(call(b"N", cls, b")"), match="expected a function that makes a tensor")
    own = name("torch._tensor", "_rebuild_from_type_v2")
    refused(call(own, cls, b")"), match="expected a function that makes a tensor")
    maker = name("torch._utils", "_rebuild_tensor_v2")
    refused(call(maker, name("torch", "Size"), b")"), match="expected a class of tensors")
    refused(call(maker, cls, b"]"), match="expected a function that makes a tensor")


# ----- Tensors that look beyond their storage -----------------------------------------------------

BEYOND = {
    "offset": {"offset": number(1)},
    "offset at the end": {"offset": number(7), "size": numbers(0), "stride": numbers(1)},
    "huge offset": {"offset": number(2**62)},
    "size": {"size": numbers(3, 3)},
    "huge size": {"size": numbers(2**40, 3)},
    "one huge size": {"size": numbers(2**62), "stride": numbers(1)},
    "stride": {"stride": numbers(4, 1)},
    "huge stride": {"stride": numbers(2**62, 1)},
    "product that overflows": {"size": numbers(2**32, 2**32), "stride": numbers(2**32, 2**32)},
}
SENSELESS = {
    "negative offset": {"offset": number(-1)},
    "negative size": {"size": numbers(-2, 3)},
    "negative sizes": {"size": numbers(-2, -3)},
    "negative stride": {"stride": numbers(-3, 1)},
    "number of more than 64 bits": {"size": numbers(2**64, 3)},
    "word as size": {"size": word("23")},
    "words as sizes": {"size": b"(" + word("2") + word("3") + b"t"},
    "float": {"offset": b"G" + struct.pack(">d", 1.0)},
    "truth": {"offset": b"\x88"},
    "nothing": {"size": b"N"},
    "too few strides": {"stride": numbers(3)},
    "65 dimensions": {"size": numbers(*[1] * 65), "stride": numbers(*[1] * 65)},
    "storage": {"kept": numbers(1, 2)},
    "list as requires_grad": {"requires_grad": b"]"},
    "marks": {"more": b"}" + word("neg") + b"\x88s"},
    "too many arguments": {"more": b"NN"},
    "expanded without end": {"size": numbers(2**62, 2), "stride": numbers(0, 1)},
    "empty without end": {"size": numbers(2**62, 2**62, 0), "stride": numbers(1, 1, 1)},
}


@pytest.mark.parametrize("what", BEYOND)
def test_tensors_beyond_their_storage_are_refused(what):
    refused(tensor(**BEYOND[what]), SIX, match="reaches beyond its storage of 6 elements")


@pytest.mark.parametrize("what", SENSELESS)
def test_tensors_that_make_no_sense_are_refused(what):
    refused(tensor(**SENSELESS[what]), SIX, match=r"^load: ")


def test_expanded_tensors_take_no_memory():
    found = load(tensor(size=numbers(2**40, 6), stride=numbers(0, 1)), SIX)
    assert found.shape == (2**40, 6)
    assert found.untyped_storage().nbytes() == 24


def test_gradients_of_whole_numbers_are_refused():
    kept = storage(kind="IntStorage")
    refused(tensor(kept, requires_grad=b"\x88"), SIX, match="int32 is to require a gradient")


def test_parameters_are_made_of_tensors():
    head = name("torch._utils", "_rebuild_parameter") + b"("
    refused(head + b"]\x88NtR.", match="expected a tensor for a parameter")
    refused(head + tensor()[:-1] + b"NNtR.", SIX, match="True or False for requires_grad")


# ----- Storages -----------------------------------------------------------------------------------

STORAGES = {
    "nothing": b"NQ",
    "number": number(3) + b"Q",
    "word": word("storage") + b"Q",
    "empty": b")Q",
    "short": b"(" + word("storage") + b"tQ",
    "other kind": b"(" + word("module") + name("torch", "FloatStorage") + b"NNNtQ",
    "no type": b"(" + word("storage") + b"N" + word("0") + word("cpu") + number(6) + b"tQ",
    "dtype as type": storage(kind="float32"),
    "class as type": storage(kind="Size"),
    "key": b"("
    + word("storage")
    + name("torch", "FloatStorage")
    + number(0)
    + word("cpu")
    + number(6)
    + b"tQ",
    "count": b"("
    + word("storage")
    + name("torch", "FloatStorage")
    + word("0")
    + word("cpu")
    + b"]tQ",
    "negative count": storage(count=-1),
    "huge count": storage(count=2**62),
}


@pytest.mark.parametrize("what", STORAGES)
def test_descriptions_of_storages_are_checked(what):
    refused(STORAGES[what] + b".", SIX, match="expected .* the file gives")


@pytest.mark.parametrize(
    ("count", "kind"), [(7, "FloatStorage"), (2**50, "ByteStorage"), (1, "CharStorage")]
)
def test_records_have_the_size_of_their_storage(count, kind):
    with pytest.raises(RuntimeError, match="record 'data/0' has 24 bytes, expected"):
        load(storage(count=count, kind=kind) + b".", SIX)


@pytest.mark.parametrize("key", ["1", "../data.pkl", "../../etc/passwd", "/etc/passwd", "", "0/"])
def test_storages_are_records_of_the_archive(key):
    with pytest.raises(RuntimeError, match="the archive has no record"):
        load(storage(key) + b".", SIX)


# ----- Making much of little ----------------------------------------------------------------------


@pytest.fixture
def bounded():
    """Fail if a test takes long or much memory."""
    tracemalloc.start()
    start = time.monotonic()
    yield
    elapsed = time.monotonic() - start
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert elapsed < 60, "took minutes"
    assert peak < 200_000_000, f"took {peak} bytes"


LONG = {
    "text": b"\x8d" + struct.pack("<Q", 2**62),
    "bytes": b"\x8e" + struct.pack("<Q", 2**62),
    "array": b"\x96" + struct.pack("<Q", 2**63),
    "short text": b"X\xff\xff\xff\xffabc",
    "number": b"\x8b\xff\xff\xff\x7f1",
    "frame": b"\x95" + struct.pack("<Q", 2**63) + b"c",
    "name": b"c" + b"a" * 2000,
    "old text": b"T\xff\xff\xff\x7f",
}


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize("what", LONG)
def test_sizes_beyond_the_file_are_refused(what):
    refused(LONG[what], match="cut off|no end")


@pytest.mark.usefixtures("bounded")
def test_the_memo_has_no_gaps_to_pay_for():
    places = b"".join(b"r" + struct.pack("<I", 2**32 - 1 - n) for n in range(1000))
    assert load(b"N" + places + b"0j" + struct.pack("<I", 2**32 - 1000) + b".") is None
    refused(b"j\xff\xff\xff\xff.", match="makes no sense")


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize("codes", [b"]", b"}", b"(", b"\x8f", b")"])
def test_many_containers(codes):
    load(codes * 100_000 + b"N.")


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize("wrap", [b"\x85", b"q\0]h\0a", b"q\0}Nh\0s"])
def test_deep_nesting_does_not_recurse(wrap):
    found = load(b"]" + wrap * 50_000 + b".")
    depth = 0
    while found:
        found = found[None] if isinstance(found, dict) else found[0]
        depth += 1
    assert depth == 50_000


@pytest.mark.usefixtures("bounded")
def test_keys_are_not_nested_deeply():
    deep = b")" + b"\x85" * 30_000
    wide = b")" + b"2\x86" * 100
    for key in (deep, wide):
        refused(b"}" + key + b"Ns.", match="a tuple with too many parts")
        refused(b"\x8f(" + key + b"\x90.", match="a tuple with too many parts")
        refused(name("builtins", "set") + b"(](" + key + b"etR.", match="too many parts")
        pairs = b"(](" + key + b"Ntat"
        refused(name("collections", "OrderedDict") + pairs + b"R.", match="too many parts")
    long = b"".join(word("a" * 200_000) + bytes([0x71, place]) for place in (0, 1))
    refused(
        b"(" + long + b"}" + b"h\0Nsh\1Ns" * 10_000 + b".", match="makes far more than it holds"
    )
    wide = numbers(*[1] * 900) + b"q\0"
    refused(b"(" + wide + b"}" + b"h\0Ns" * 10_000 + b".", match="makes far more than it holds")
    refused(b"}" + number(2**61 * 1000) + b"Ns.", match="integer of more than 64 bits")
    assert load(b"}" + numbers(1, 2) + b"Ns.") == {(1, 2): None}
    refused(b"}]Ns.", match="unhashable")


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize(
    "function", ["encode", "bytearray", "set", "Size", "OrderedDict", "Counter"]
)
def test_calls_do_not_multiply_what_the_file_holds(function):
    word_of = word("a" * 100_000) + b"q\0" + word("latin1") + b"q\1"
    flat = b"(" + b"K\1" * 64
    start, call = {
        "encode": (name("_codecs", "encode") + b"q\2" + word_of, b"h\2h\0h\1\x86R"),
        "bytearray": (
            name("_codecs", "encode")
            + word_of
            + b"\x86Rq\3"
            + name("builtins", "bytearray")
            + b"q\2",
            b"h\2h\3\x85R",
        ),
        "set": (
            b"](" + b"K\1" * 20_000 + b"eq\0" + name("builtins", "set") + b"q\2",
            b"h\2h\0\x85R",
        ),
        "Size": (flat + b"tq\0" + name("torch", "Size") + b"q\2", b"h\2h\0\x85R"),
        "OrderedDict": (
            b"](" + b"K\1K\1\x86" * 5_000 + b"eq\0" + name("collections", "OrderedDict") + b"q\2",
            b"h\2h\0\x85R",
        ),
        "Counter": (
            b"}("
            + b"".join(b"J" + struct.pack("<i", n) + b"N" for n in range(5_000))
            + b"uq\0"
            + name("collections", "Counter")
            + b"q\2",
            b"h\2h\0\x85R",
        ),
    }[function]
    refused(b"(" + start + call * 3_000 + b"t.", match="makes far more than it holds")


def test_names_of_functions_are_not_ordinary_arguments():
    for arguments in (number(2**40), numbers(2**40)):
        refused(name("builtins", "bytearray") + b"(" + arguments + b"tR.", match="expected bytes")
        refused(
            name("builtins", "set") + b"(" + arguments + b"tR.", match="^load: expected|makes no"
        )
    refused(name("_codecs", "encode") + b"(" + word("a") + word("bz2") + b"tR.", match="latin1")
    refused(name("_codecs", "encode") + b"(" + word("中") + word("latin1") + b"tR.", match="sense")
    refused(name("torch", "device") + b"(" + number(3) + b"tR.", match="the name of a device")
    refused(name("torch", "Size") + b"(" + word("ab") + b"tR.", match="numbers for a tensor's size")
    refused(name("builtins", "complex") + b"(" + word("1") + b"NtR.", match="two floats")
    refused(name("torch.serialization", "_get_layout") + b"(" + word("x") + b"tR.", match="layout")
    refused(name("collections", "OrderedDict") + b"(" + word("ab") + b"tR.", match="list of pairs")
    refused(name("collections", "Counter") + b"(" + word("ab") + b"tR.", match="a dictionary")


def test_containers_are_what_they_should_be():
    refused(b"}Na.", match="expected a list")
    refused(b"](e", match="no end")
    refused(b"N(Ne.", match="expected a list")
    refused(b"]NNs.", match="expected a dictionary")
    refused(b"](NNu.", match="expected a dictionary")
    refused(b"}(Nu.", match="a key without a value")
    refused(b"](N\x90.", match="expected a set")
    refused(b"N\x86.", match="too few items")
    refused(b"e.", match="makes no sense")
    refused(b"\x80\x63N.", match="protocol 99 is unknown")
    refused(b"", match="no end")
    refused(b".", match="makes no sense")
