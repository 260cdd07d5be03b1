"""Objects go to and come from paths, open files, mapped files and files of other devices."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

import tinygrad_like as ours
from tests.test_serialization import renamed, saved, there_and_back
from tinygrad_like import serialization
from tinygrad_like.serialization.archive import Writer


def test_paths_and_open_files(tmp_path):
    value = {"x": ours.arange(3.0)}
    for path in (tmp_path / "a.pt", str(tmp_path / "b.pt"), tmp_path / "größe.pt", tmp_path / "c"):
        ours.save(value, path)
        assert ours.load(path)["x"].tolist() == [0.0, 1.0, 2.0]
        assert zipfile.ZipFile(path).namelist()[0] == f"{Path(path).stem}/data.pkl"
    with open(tmp_path / "d", "wb") as file:
        ours.save(value, file)
    with open(tmp_path / "d", "rb") as file:
        assert ours.load(file)["x"].tolist() == [0.0, 1.0, 2.0]
    with gzip.open(tmp_path / "e.gz", "wb") as file:
        ours.save(value, file)
    with gzip.open(tmp_path / "e.gz", "rb") as file:
        assert ours.load(file)["x"].tolist() == [0.0, 1.0, 2.0]


def test_a_file_may_start_behind_something_else():
    file = io.BytesIO(b"a header")
    file.seek(0, io.SEEK_END)
    ours.save(ours.arange(3.0), file)
    file.seek(8)
    assert ours.load(file).tolist() == [0.0, 1.0, 2.0]


class OnlyRead:
    """An open file that offers the least that is asked for."""

    def __init__(self, content):
        self._file = io.BytesIO(content)
        self.read, self.seek, self.tell = self._file.read, self._file.seek, self._file.tell


def test_files_that_offer_little():
    content = saved(ours.arange(300000.0), ours.save).getvalue()
    assert ours.load(OnlyRead(content)).sum() == ours.arange(300000.0).sum()

    class Pipe(io.RawIOBase):
        def readable(self):
            return True

    with pytest.raises(io.UnsupportedOperation, match="load from a file that is seekable"):
        ours.load(Pipe())
    with pytest.raises(AttributeError, match="load from a file that is seekable"):
        ours.load(5)
    with pytest.raises(AttributeError, match="expected 'f' to be string, path, or a file-like"):
        ours.save(1, 5)
    with pytest.raises(FileNotFoundError):
        ours.load("/nowhere/at/all.pt")
    with pytest.raises(EOFError, match="empty"):
        ours.load(io.BytesIO())


@pytest.mark.parametrize("writer", ["here", "PyTorch"])
def test_files_can_be_looked_into(tmp_path, writer):
    value = {"x": np.arange(1000.0), "i": np.arange(5), "e": np.zeros(0), "b": np.array([True])}
    path = tmp_path / "m.pt"
    if writer == "PyTorch":
        torch = pytest.importorskip("torch")
        torch.save({name: torch.from_numpy(array) for name, array in value.items()}, path)
    else:
        ours.save({name: ours.from_numpy(array) for name, array in value.items()}, path)
    before = path.read_bytes()
    found = ours.load(path, mmap=True)
    for name, array in value.items():
        np.testing.assert_array_equal(found[name].numpy(), array)
    found["x"][0] = 5.0
    assert found["x"][0] == 5.0
    assert path.read_bytes() == before
    assert found["x"].untyped_storage().nbytes() == 8000
    assert found["x"].data_ptr() % 64 == 0
    with pytest.raises(ValueError, match="f must be a file path"):
        ours.load(io.BytesIO(before), mmap=True)


def test_a_file_that_is_looked_into_can_be_replaced(tmp_path):
    path = tmp_path / "m.pt"
    ours.save(ours.arange(100_000.0), path)
    found = ours.load(path, mmap=True)
    ours.save(found[:10].clone(), path)
    assert ours.equal(found, ours.arange(100_000.0))
    ours.save(found, path)
    assert ours.equal(ours.load(path), found)


def test_pytorch_can_look_into_files(tmp_path):
    torch = pytest.importorskip("torch")
    from torch.utils.serialization import config

    path = tmp_path / "m.pt"
    value = [ours.arange(1000.0), ours.arange(7, dtype=ours.uint8), ours.zeros(0), ours.ones(3, 3)]
    ours.save([*value, value[0][2:]], path)
    for calculated in (False, True):
        with config.patch({"load.calculate_storage_offsets": calculated}):
            found = torch.load(path, mmap=True)
        assert found[0].tolist() == value[0].tolist()
        assert found[1].tolist() == value[1].tolist()
        assert found[3].tolist() == value[3].tolist()
        assert found[4].tolist() == value[0][2:].tolist()


def test_old_files_cannot_be_looked_into(tmp_path):
    ours.save(1, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(RuntimeError, match="mmap can only be used with files saved with"):
        ours.load(tmp_path / "old.pt", mmap=True)


def on_gpu(content=None):
    """Return a file whose tensor and device were on a GPU."""
    value = {"x": ours.arange(2.0), "device": ours.device("cpu")}
    return io.BytesIO(
        renamed(saved(value, ours.save).getvalue(), b"X\3\0\0\0cpu", b"X\6\0\0\0cuda:1")
    )


def test_what_was_on_another_device():
    with pytest.raises(RuntimeError, match="deserialize object on device 'cuda:1'"):
        ours.load(on_gpu())
    seen = []

    def keep(storage, location):
        seen.append((location, storage.tolist(), storage.nbytes()))

    def put(storage, location):
        return storage

    for mapped in ("cpu", ours.device("cpu"), {"cuda:1": "cpu"}, "cpu:0"):
        found = ours.load(on_gpu(), map_location=mapped)
        assert found["x"].tolist() == [0.0, 1.0]
        assert found["device"] == ours.device("cpu")
    with pytest.raises(RuntimeError, match="cuda:1"):
        ours.load(on_gpu(), map_location=keep)
    assert seen == [("cuda:1", [0.0, 1.0], 8)]
    assert ours.load(saved(ours.ones(2), ours.save), map_location=put).tolist() == [1.0, 1.0]
    with pytest.raises(TypeError, match="map_location returned a int"):
        ours.load(on_gpu(), map_location=lambda storage, location: 5)
    with pytest.raises(TypeError, match="map_location is a int"):
        ours.load(on_gpu(), map_location=5)
    with pytest.raises(RuntimeError, match="'cuda'"):
        ours.load(saved(ours.ones(2), ours.save), map_location="cuda")


def test_programs_are_refused():
    file = io.BytesIO()
    writer = Writer(file.write, "archive")
    writer.add("data.pkl", b"N.")
    writer.add("constants.pkl", b"N.")
    writer.finish()
    with pytest.raises(RuntimeError, match="TorchScript"):
        ours.load(file.seek(0) or file)


def test_checksums_can_be_left_out():
    try:
        serialization.set_crc32_options(False)
        assert serialization.get_crc32_options() is False
        file = saved({"x": ours.arange(3.0)}, ours.save)
    finally:
        serialization.set_crc32_options(True)
    assert {info.CRC for info in zipfile.ZipFile(file).infolist()} == {0}
    assert ours.load(file.seek(0) or file)["x"].tolist() == [0.0, 1.0, 2.0]


def test_storages_tell_what_they_hold():
    x = ours.arange(4, dtype=ours.int16)
    storage = x[1:].untyped_storage()
    assert storage.data_ptr() == x.data_ptr()
    assert (storage.nbytes(), len(storage), storage.size(), storage.element_size()) == (8, 8, 8, 1)
    assert list(storage) == storage.tolist() == [0, 0, 1, 0, 2, 0, 3, 0]
    assert storage[2] == 1
    assert repr(storage).endswith("[torch.storage.UntypedStorage of size 8]")
    typed = ours.TypedStorage(storage.memory, ours.int16)
    assert typed.tolist() == [0, 1, 2, 3]
    assert typed.untyped().nbytes() == 8
    found = there_and_back({"storage": typed, "x": x})
    assert found["storage"].dtype == ours.int16
    found["x"][0] = 9
    assert found["storage"].tolist() == [9, 1, 2, 3]
    assert isinstance(found["storage"], ours.TypedStorage)
