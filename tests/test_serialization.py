"""Objects go to files and back, here and between this package and PyTorch, unchanged."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import types
import zipfile
from collections import OrderedDict, namedtuple
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import tinygrad_like as ours
from tests.fixtures import objects
from tests.fixtures.objects import FOREIGN, OBJECTS, assert_alike, packages, plain
from tinygrad_like import serialization
from tinygrad_like.device import strided
from tinygrad_like.graph import result_type
from tinygrad_like.serialization.archive import Writer
from tinygrad_like.serialization.storage import ELEMENTS

# PyTorch's own word on storages, when a test looks into one.
pytestmark = pytest.mark.filterwarnings("ignore:TypedStorage is deprecated:UserWarning")

FIXTURES = Path(objects.__file__).parent
NAMES = sorted(OBJECTS)


def there_and_back(value, save=ours.save, load=ours.load, **options):
    file = io.BytesIO()
    save(value, file, **options)
    file.seek(0)
    return load(file)


def exact(name):
    """Tell whether memory is arranged alike in both packages."""
    return name not in ("optimizers", "module")


def saved(value, save, **options):
    file = io.BytesIO()
    save(value, file, **options)
    file.seek(0)
    return file


# ----- Files written by PyTorch -------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["", "_before_1_6"])
@pytest.mark.parametrize("name", NAMES)
def test_files_of_pytorch_load_without_it(name, suffix):
    found = ours.load(FIXTURES / f"{name}{suffix}.pt")
    assert_alike(plain(found, exact(name)), plain(OBJECTS[name](ours), exact(name)))


def test_pytorch_is_not_imported():
    code = (
        "import sys, tinygrad_like as t\n"
        "assert 'tinygrad_like.serialization' not in sys.modules\n"
        f"t.load({str(FIXTURES / 'module.pt')!r}); t.save(t.ones(2), sys.argv[1])\n"
        "print('torch' in sys.modules, 'safetensors' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, "/dev/null"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "False False\n", done.stderr


def test_dtypes_that_pytorch_alone_has_are_widened():
    found = ours.load(FIXTURES / "foreign.pt")
    for name, (values, dtype) in FOREIGN.items():
        expected = np.array(values, dtype)
        np.testing.assert_array_equal(found[name].numpy(), expected, err_msg=name)
        assert found[name].numpy().dtype == dtype, name
    assert found["sliced"].tolist() == [-2.5, 3.140625, float("inf")]
    assert found["dtype"] == ours.float32
    assert ours.float32 == found["dtype"]
    assert ours.zeros(1, dtype=found["dtype"]).dtype is ours.float32
    assert there_and_back(found["dtype"]) is ours.float32
    found["bfloat16"][1] = 9.0
    assert found["sliced"][0] == 9.0


@pytest.mark.parametrize("name", [n for n in ELEMENTS if "float" in n])
def test_every_float_of_8_and_16_bits_is_converted_as_pytorch_does(name):
    torch = pytest.importorskip("torch")
    kind = getattr(torch, name)
    if kind.itemsize > 2:
        return
    integers = torch.arange(2 ** (8 * kind.itemsize))
    bits = integers.to(torch.uint8 if kind.itemsize == 1 else torch.uint16).view(kind)
    found = there_and_back(bits, torch.save)
    np.testing.assert_array_equal(found.float().numpy(), bits.float().numpy())


def test_integers_that_do_not_fit_are_refused():
    torch = pytest.importorskip("torch")
    file = saved(torch.tensor([2**63], dtype=torch.uint64), torch.save)
    with pytest.raises(RuntimeError, match="do not fit into int64"):
        ours.load(file)


@pytest.mark.parametrize("kind", ["complex64", "sparse", "quantized", "meta"])
def test_tensors_that_do_not_exist_here_are_refused_by_name(kind):
    torch = pytest.importorskip("torch")
    x = torch.ones(2, 2)
    value, name = {
        "complex64": (x.to(torch.complex64), "ComplexFloatStorage"),
        "sparse": (x.to_sparse(), "_rebuild_sparse_tensor"),
        "meta": (x.to("meta"), "_rebuild_meta_tensor_no_storage"),
        "quantized": (x, "QInt8Storage"),
    }[kind]
    file = saved(value, torch.save)
    if kind == "quantized":  # no longer made without a warning, so the name is put in
        file = io.BytesIO(renamed(file.getvalue(), b"torch\nFloatStorage", b"torch\nQInt8Storage"))
    with pytest.raises(pickle.UnpicklingError, match=rf"torch\S*\.{name}, which is not allowed"):
        ours.load(file)


def renamed(content: bytes, old: bytes, new: bytes) -> bytes:
    """Return an archive with other words in its pickle."""
    archive = zipfile.ZipFile(io.BytesIO(content))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as other:
        for name in archive.namelist():
            data = archive.read(name)
            other.writestr(name, data.replace(old, new) if name.endswith(".pkl") else data)
    return file.getvalue()


# ----- Both ways ----------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_saved_here_loads_here(name, zipped, protocol):
    make = OBJECTS[name]
    options = {"pickle_protocol": protocol, "_use_new_zipfile_serialization": zipped}
    found = there_and_back(make(ours), **options)
    assert_alike(plain(found, exact(name)), plain(make(ours), exact(name)))


@pytest.mark.parametrize("weights_only", [True, False])
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_saved_here_loads_in_pytorch(name, zipped, weights_only):
    torch = pytest.importorskip("torch")
    make = OBJECTS[name]
    file = saved(make(ours), ours.save, _use_new_zipfile_serialization=zipped)
    found = torch.load(file, weights_only=weights_only)
    assert_alike(plain(found, exact(name)), plain(make(torch), exact(name)))


@pytest.mark.parametrize("weights_only", [True, False])
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_what_pytorch_saves_loads_here(name, zipped, weights_only):
    torch = pytest.importorskip("torch")
    make = OBJECTS[name]
    file = saved(make(torch), torch.save, _use_new_zipfile_serialization=zipped)
    found = ours.load(file, weights_only=weights_only)
    assert_alike(plain(found, exact(name)), plain(make(ours), exact(name)))


@pytest.mark.parametrize("name", ["dtypes", "views", "module", "tensors"])
def test_files_are_those_of_pytorch_byte_by_byte(name):
    torch = pytest.importorskip("torch")
    make = OBJECTS[name]
    theirs = saved(make(torch), torch.save).getvalue()
    own = saved(make(ours), ours.save).getvalue()
    assert zipfile.ZipFile(io.BytesIO(own)).testzip() is None
    # The last record identifies the content by hashes of PyTorch's own.
    end = theirs.index(b"archive/.data/serialization_id")
    assert own[:end] == theirs[:end]
    digits = slice(own.index(b"0", end), own.index(b"PK", end))
    assert len(own) == len(theirs)
    assert own[end : digits.start] == theirs[end : digits.start]
    directory = theirs.index(b"PK\1\2")
    fields = [own[directory:], theirs[directory:]]
    place = fields[0].index(b"archive/.data/serialization_id") - 30  # its checksum
    assert fields[0][:place] == fields[1][:place]
    assert fields[0][place + 4 :] == fields[1][place + 4 :]


def test_memory_is_shared_again():
    found = there_and_back(objects.views(ours))
    found["whole"][1, 0] = 100.0
    assert found["transposed"][0, 1] == 100.0
    assert found["slice"][0, 0] == 100.0
    assert found["again"] is found["whole"]
    address = found["whole"].untyped_storage().data_ptr()
    assert found["column"].untyped_storage().data_ptr() == address
    assert found["expanded"].stride() == (0, 1)
    tied = there_and_back(objects.module(ours))["tied"]
    tied["0.weight"].fill_(3.0)
    assert tied["1.weight"].sum() == 27.0


def test_memory_is_shared_again_in_pytorch():
    torch = pytest.importorskip("torch")
    found = torch.load(saved(objects.views(ours), ours.save))
    found["whole"][1, 0] = 100.0
    assert found["transposed"][0, 1] == 100.0
    assert found["slice"][0, 0] == 100.0


def test_what_was_loaded_can_be_trained_and_written():
    found = there_and_back({"x": ours.arange(3.0), "p": ours.nn.Parameter(ours.ones(3))})
    (found["p"] * found["x"]).sum().backward()
    assert found["p"].grad.tolist() == [0.0, 1.0, 2.0]
    found["x"] += 1
    assert found["x"].tolist() == [1.0, 2.0, 3.0]
    assert found["x"].array.dtype is ours.float32.dtype


def test_modules_and_their_versions_come_back():
    net = objects.network(ours)
    state = there_and_back(net.state_dict())
    assert state._metadata == net.state_dict()._metadata
    assert state._metadata["1"]["version"] == 2
    other = objects.network(ours)
    for p in other.parameters():
        p.data.zero_()
    other.load_state_dict(state)
    x = ours.randn(2, 2, 4, 4)
    assert ours.equal(other.eval()(x), net.eval()(x))


KINDS = [
    ("Adam", {"amsgrad": True}),
    ("AdamW", {}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("RMSprop", {"momentum": 0.5, "centered": True}),
    ("Adagrad", {}),
]


@pytest.mark.parametrize(("kind", "options"), KINDS)
@pytest.mark.parametrize("source", ["here", "PyTorch"])
def test_optimizers_resume(kind, options, source):
    torch = pytest.importorskip("torch")
    here, there = (ours, torch) if source == "PyTorch" else (torch, ours)
    # `there` trains two steps and saves; `here` goes on, and so does `there`.
    net, optimizer = objects.trained(there, kind, **options)
    file = saved({"net": net.state_dict(), "optimizer": optimizer.state_dict()}, there.save)
    found = here.load(file)
    other, resumed = objects.trained(here, kind, **options)
    other.load_state_dict(found["net"])
    resumed.load_state_dict(found["optimizer"])
    for _ in range(3):
        objects.step(there, net, optimizer)
        objects.step(here, other, resumed)
    for a, b in zip(net.parameters(), other.parameters(), strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), 1e-5, 1e-6)


@pytest.mark.parametrize("order", ["little", "big"])
def test_numbers_of_either_byte_order_load(order):
    values = {"x": np.arange(6.0, dtype=np.float32), "i": np.array([1, -2], np.int16)}
    tensors = {name: ours.from_numpy(array) for name, array in values.items()}
    pickled = zipfile.ZipFile(saved(tensors, ours.save)).read("archive/data.pkl")
    file = io.BytesIO()
    writer = Writer(file.write, "archive")
    writer.add("data.pkl", pickled)
    writer.add("byteorder", order.encode())
    for number, array in enumerate(values.values()):
        writer.add(f"data/{number}", array.astype(array.dtype.newbyteorder(order)).tobytes())
    writer.finish()
    for package in packages():
        found = package.load(io.BytesIO(file.getvalue()))
        for name, array in values.items():
            np.testing.assert_array_equal(found[name].numpy(), array)


def test_an_unknown_byte_order_is_refused():
    file = io.BytesIO()
    writer = Writer(file.write, "archive")
    writer.add("data.pkl", b"N.")
    writer.add("byteorder", b"middle")
    writer.finish()
    with pytest.raises(ValueError, match="'middle', expected little or big"):
        ours.load(file.seek(0) or file)


# ----- What can be saved --------------------------------------------------------------------------


def test_the_same_memory_as_two_dtypes_is_refused():
    x = ours.arange(4.0)
    with pytest.raises(RuntimeError, match="view the same data as different types"):
        ours.save([x, x.view(ours.int32)], io.BytesIO())
    assert there_and_back(x.view(ours.int32)).dtype == ours.int32


def test_arrays_that_no_storage_can_describe_are_copied():
    backwards = result_type.make(np.arange(5.0)[::-1])
    shifted = result_type.make(np.frombuffer(bytes(9), np.uint8)[1:].view(np.float32))
    gaps = result_type.make(np.ndarray((3,), np.float64, bytearray(48), strides=(16,)))
    assert gaps.untyped_storage() is None
    assert there_and_back(gaps).tolist() == [0.0, 0.0, 0.0]
    found = there_and_back([backwards, backwards, shifted])
    assert found[0].tolist() == [4.0, 3.0, 2.0, 1.0, 0.0]
    assert found[0] is found[1]
    assert found[2].tolist() == [0.0, 0.0]


def test_memory_in_any_order():
    columns = ours.from_numpy(np.arange(6.0).reshape(2, 3).copy("F"))
    buffer = bytearray(np.arange(6.0).tobytes())
    parts = [np.frombuffer(buffer, count=n) for n in (6, 4, 6)]
    found = there_and_back([columns, *map(ours.from_numpy, parts)])
    assert found[0].tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert found[0].stride() == (1, 2)
    assert [part.tolist() for part in found[1:]] == [part.tolist() for part in parts]


@pytest.mark.parametrize("content", [b"", b"garbage" * 9, b"PK\3\4 cut off", "own class", "system"])
def test_errors_are_of_the_kinds_that_pytorch_raises(content):
    torch = pytest.importorskip("torch")
    if content == "own class":
        content = saved(Custom(1), ours.save).getvalue()
    elif content == "system":
        content = saved(Opener(), ours.save).getvalue()
    kinds = []
    for package in (ours, torch):
        with pytest.raises(Exception) as caught:  # noqa: PT011
            package.load(io.BytesIO(content))
        kinds.append(caught.type)
    assert kinds[0] is kinds[1]


class Custom:
    """An object of a class that files may not name unless it is allowed."""

    def __init__(self, value):
        self.value = value

    def __eq__(self, other):
        return type(other) is Custom and self.value == other.value

    __hash__ = None


class Slotted:
    __slots__ = ("x",)


class Marked(ours.Tensor):
    """A subclass of tensors."""


Pair = namedtuple("Pair", "a b")


def test_own_classes_need_to_be_allowed():
    value = {"custom": Custom([1, ours.ones(2)])}
    file = saved(value, ours.save)
    name = rf"{Custom.__module__}\.Custom".replace("tests.", r"tests\.")
    with pytest.raises(pickle.UnpicklingError, match=f"asks for {name}, which is not allowed"):
        ours.load(file)
    assert serialization.get_unsafe_globals_in_checkpoint(file.seek(0) or file) == [
        f"{Custom.__module__}.Custom"
    ]
    with serialization.safe_globals([Custom]):
        assert serialization.get_safe_globals() == [Custom]
        found = ours.load(file.seek(0) or file)
        assert serialization.get_unsafe_globals_in_checkpoint(file.seek(0) or file) == []
    assert found["custom"].value[1].tolist() == [1.0, 1.0]
    assert serialization.get_safe_globals() == []
    found = ours.load(file.seek(0) or file, weights_only=False)
    assert found["custom"].value[0] == 1
    with pytest.raises(pickle.UnpicklingError, match="is not allowed"):
        ours.load(file.seek(0) or file)


@pytest.mark.parametrize("protocol", [2, 4])
def test_allowed_classes_of_many_kinds(protocol):
    slotted = Slotted()
    slotted.x = 3
    value = [Pair(1, 2), slotted, Fraction(1, 3), np.float64(2.5)]
    file = saved(value, ours.save, pickle_protocol=protocol)
    unsafe = serialization.get_unsafe_globals_in_checkpoint(file.seek(0) or file)
    module = Pair.__module__
    assert {f"{module}.Pair", f"{module}.Slotted", "fractions.Fraction"} <= set(unsafe)
    import copyreg

    from numpy._core.multiarray import scalar

    allowed = [Pair, Slotted, Fraction, (scalar, "numpy._core.multiarray.scalar")]
    allowed += [(np.dtype, "numpy.dtype"), type(np.dtype("f8")), copyreg.__newobj__]
    with serialization.safe_globals(allowed):
        found = ours.load(file.seek(0) or file)
    assert found[0] == (1, 2)
    assert type(found[0]) is Pair
    assert found[1].x == 3
    assert found[2:] == [Fraction(1, 3), 2.5]


def test_what_cannot_be_allowed():
    with pytest.raises(ValueError, match="a pair of one and its name"):
        serialization.add_safe_globals([(Custom, 3)])
    file = saved(Opener(), ours.save)
    with (
        serialization.safe_globals([(print, "posix.system"), (print, "nt.system")]),
        pytest.raises(pickle.UnpicklingError, match="nothing of module"),
    ):
        ours.load(file)
    serialization.add_safe_globals([Custom])
    serialization.add_safe_globals([Custom])
    assert serialization.get_safe_globals() == [Custom]
    serialization.clear_safe_globals()
    assert serialization.get_safe_globals() == []


class Opener:
    def __reduce__(self):
        import os

        return os.system, ("touch /tmp/must-not-be",)


def test_subclasses_of_tensors():
    marked = object.__new__(Marked)
    marked.array, marked.node, marked._grad, marked._view = np.ones(2), None, None, None
    marked.note = 5
    file = saved(marked, ours.save)
    with pytest.raises(pickle.UnpicklingError, match="Marked, which is not allowed"):
        ours.load(file)
    with serialization.safe_globals([Marked]):
        found = ours.load(file.seek(0) or file)
    assert type(found) is Marked
    assert found.note == 5
    assert found.tolist() == [1.0, 1.0]


def test_whole_modules_come_back_if_the_file_is_trusted():
    net = objects.network(ours)
    found = there_and_back(net, load=lambda file: ours.load(file, weights_only=False))
    x = ours.randn(2, 2, 4, 4)
    assert ours.equal(found(x), net(x))
    with pytest.raises(pickle.UnpicklingError, match="Sequential, which is not allowed"):
        there_and_back(net)


@pytest.mark.parametrize("writer", ["here", "PyTorch"])
def test_whole_modules_come_back_if_their_classes_are_allowed(writer):
    package = ours if writer == "here" else pytest.importorskip("torch")
    net = objects.network(package)
    file = saved(net, package.save)
    names = serialization.get_unsafe_globals_in_checkpoint(file.seek(0) or file)
    assert {name.rpartition(".")[2] for name in names} == {
        *("Sequential", "Conv2d", "BatchNorm2d", "ReLU", "Flatten", "Linear")
    }
    nn = ours.nn
    with serialization.safe_globals(
        [nn.Sequential, nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Flatten, nn.Linear]
    ):
        found = ours.load(file.seek(0) or file)
    x = package.randn(2, 2, 4, 4)
    expected = net(x).detach().numpy()
    np.testing.assert_allclose(found(ours.tensor(x.numpy())).detach().numpy(), expected, 1e-5, 1e-6)


def test_whole_modules_of_pytorch_come_back_if_the_file_is_trusted():
    torch = pytest.importorskip("torch")
    net = objects.network(torch).eval()
    file = saved(net, torch.save)
    found = ours.load(file, weights_only=False)
    assert type(found) is ours.nn.Sequential
    x = torch.randn(2, 2, 4, 4)
    expected = net(x).detach().numpy()
    np.testing.assert_allclose(found(ours.tensor(x.numpy())).detach().numpy(), expected, 1e-5, 1e-6)
    names = [name for name, _ in net.named_parameters()]
    assert [name for name, _ in found.named_parameters()] == names
    missing = io.BytesIO(
        renamed(file.getvalue(), b"nn.modules.conv\nConv2d", b"nn.modules.conv\nConv9d")
    )
    with pytest.raises(pickle.UnpicklingError, match=r"torch\S*Conv9d, which has no counterpart"):
        ours.load(missing, weights_only=False)


def test_another_pickle_module():
    module = types.SimpleNamespace(
        __name__="mine", Pickler=pickle._Pickler, Unpickler=pickle.Unpickler
    )
    file = saved([ours.ones(2), Custom(1)], ours.save, pickle_module=module)
    found = ours.load(file, pickle_module=module)
    assert found[1] == Custom(1)
    with pytest.raises(RuntimeError, match="when explicit pickle_module is specified"):
        ours.load(file.seek(0) or file, pickle_module=module, weights_only=True)
    written_in_c = types.SimpleNamespace(__name__="fast", Pickler=pickle.Pickler)
    with pytest.raises(TypeError, match="Pickler of module fast"):
        ours.save(1, io.BytesIO(), pickle_module=written_in_c)


def test_options_of_pickle():
    file = saved([ours.ones(2)], ours.save)
    assert ours.load(file, weights_only=False, encoding="latin1")[0].tolist() == [1.0, 1.0]
    with pytest.warns(UserWarning, match="errors only works with weights_only=False"):
        ours.load(file.seek(0) or file, encoding="latin1", errors="strict")
    old = io.BytesIO()
    writer = Writer(old.write, "archive")
    writer.add("data.pkl", b"\x80\2U\3gr\xf6.")
    writer.finish()
    for options in ({}, {"weights_only": False}):
        assert ours.load(old.seek(0) or old, encoding="latin1", **options) == "grö"
        assert ours.load(old.seek(0) or old, encoding="bytes", **options) == b"gr\xf6"
        with pytest.raises((pickle.UnpicklingError, UnicodeDecodeError)):
            ours.load(old.seek(0) or old, **options)


def test_attributes_of_ordered_dicts_and_layouts_come_back():
    assert there_and_back(strided) is strided
    value = OrderedDict(a=1)
    value.note = [1, 2]
    assert there_and_back(value).note == [1, 2]


@pytest.mark.parametrize("protocol", [2, 3])
def test_empty_containers_of_bytes(protocol):
    value = [b"", bytearray(), set(), "", OrderedDict()]
    assert there_and_back(value, pickle_protocol=protocol) == value
