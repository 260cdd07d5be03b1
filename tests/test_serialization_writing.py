"""Files are written whole or not at all, and as PyTorch's writer would, the largest included."""

from __future__ import annotations

import io
import os
import signal
import stat
import subprocess
import sys
import zipfile

import numpy as np
import pytest

import tinygrad_like as ours
from tests.fixtures.objects import packages
from tinygrad_like.serialization import archive, atomic, files


@pytest.fixture(params=["without name where the system can", "with a name"])
def way(request, monkeypatch):
    """Both ways to write a new file before it takes the old one's place."""
    if request.param == "with a name":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)


def nameless(folder):
    temporary = str(folder / "probe")
    descriptor, named = atomic._open(str(folder), temporary)
    os.close(descriptor)
    if named:
        os.unlink(temporary)
    return not named


def content(path):
    return ours.load(path).tolist()


@pytest.mark.usefixtures("way")
def test_a_file_that_can_not_be_finished_leaves_the_former_one(tmp_path, monkeypatch):
    path = tmp_path / "x.pt"
    ours.save(ours.ones(2), path)
    before = path.read_bytes()

    class Full(archive.Writer):
        def _put(self, data):
            if self._place > 500:
                raise OSError(28, "No space left on device")
            super()._put(data)

    monkeypatch.setattr(files, "Writer", Full)
    with pytest.raises(OSError, match="No space left"):
        ours.save(ours.zeros(1000), path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["x.pt"]
    with pytest.raises(OSError, match="No space left"):
        ours.save(ours.zeros(1000), tmp_path / "y.pt")
    assert os.listdir(tmp_path) == ["x.pt"]


class Unpicklable:
    def __reduce__(self):
        raise KeyboardInterrupt


@pytest.mark.usefixtures("way")
def test_an_object_that_can_not_be_saved_leaves_the_former_file(tmp_path):
    path = tmp_path / "x.pt"
    ours.save(ours.ones(2), path)
    with pytest.raises(KeyboardInterrupt):
        ours.save([ours.zeros(2), Unpicklable()], path)
    assert content(path) == [1.0, 1.0]
    assert os.listdir(tmp_path) == ["x.pt"]


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_errors_at_the_end_leave_the_former_file(tmp_path, monkeypatch, step):
    path = tmp_path / "x.pt"
    ours.save(ours.ones(2), path)

    def fail(*args):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="Input/output"):
        ours.save(ours.zeros(2), path)
    monkeypatch.undo()
    assert content(path) == [1.0, 1.0]
    assert os.listdir(tmp_path) == ["x.pt"]


def test_new_bytes_are_on_the_disk_before_the_file_is_replaced(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(
        os, "fsync", lambda d: calls.append(("fsync", os.fstat(d).st_size)) or fsync(d)
    )
    monkeypatch.setattr(os, "replace", lambda a, b: calls.append(("replace", b)) or replace(a, b))
    path = tmp_path / "x.pt"
    ours.save(ours.ones(100), path)
    assert calls == [("fsync", path.stat().st_size), ("replace", str(path))]


LIMITED = """
import resource, sys
import tinygrad_like as t
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    t.save(t.zeros(1_000_000), sys.argv[1])
except OSError as error:
    print(error.errno)
"""

KILLED = """
import sys, time
import tinygrad_like as t
from tinygrad_like.serialization import archive
put = archive.Writer._put
def slow(self, data):
    put(self, data)
    if self._place > 2_000_000:
        print("half", flush=True)
        time.sleep(60)
archive.Writer._put = slow
t.save(t.zeros(1_000_000), sys.argv[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of file sizes are POSIX's")
def test_a_real_limit_leaves_the_former_file(tmp_path):
    path = tmp_path / "x.pt"
    ours.save(ours.ones(2), path)
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, path], capture_output=True, text=True, check=False
    )
    assert done.stdout == "27\n", done.stderr  # EFBIG
    assert content(path) == [1.0, 1.0]
    assert os.listdir(tmp_path) == ["x.pt"]


def test_a_killed_process_leaves_the_former_file(tmp_path):
    path = tmp_path / "x.pt"
    ours.save(ours.ones(2), path)
    without_litter = nameless(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, path], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "half\n"
        process.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    assert content(path) == [1.0, 1.0]
    left = [name for name in os.listdir(tmp_path) if name != "x.pt"]
    assert len(left) == (0 if without_litter else 1)


@pytest.mark.usefixtures("way")
def test_permissions_and_links_stay(tmp_path):
    former = os.umask(0o027)
    try:
        path = tmp_path / "x.pt"
        ours.save(1, path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        ours.save(2, path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o604
    finally:
        os.umask(former)
    link = tmp_path / "link.pt"
    link.symlink_to("x.pt")
    ours.save(3, link)
    assert link.is_symlink()
    assert ours.load(path) == 3
    assert sorted(os.listdir(tmp_path)) == ["link.pt", "x.pt"]


def test_devices_are_written_into(tmp_path):
    ours.save(ours.ones(3), "/dev/null")
    assert not os.path.isfile("/dev/null")
    with pytest.raises(OSError, match="No such file"):
        ours.save(1, tmp_path / "missing" / "x.pt")
    with pytest.raises(OSError, match="directory"):
        ours.save(1, tmp_path)


def test_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ours.save(5, "x.pt")
    assert ours.load("x.pt") == 5


def test_open_files_are_written_into_and_flushed():
    class Log(io.BytesIO):
        flushed = 0

        def flush(self):
            self.flushed += 1

    file = Log()
    ours.save(5, file)
    assert file.flushed == 1
    assert ours.load(file.seek(0) or file) == 5


# ----- Archives -----------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 100, 1000, 5000])
def test_sizes_and_places_of_64_bits(monkeypatch, tmp_path, limit):
    monkeypatch.setattr(archive, "LIMIT", limit)
    value = {"x": ours.arange(1000.0), "e": ours.zeros(0), "y": ours.arange(10)}
    path = tmp_path / "x.pt"
    ours.save(value, path)
    for package in packages():
        for mmap in (False, True):
            found = package.load(path, mmap=mmap)
            np.testing.assert_array_equal(found["x"].numpy(), value["x"].numpy())
            np.testing.assert_array_equal(found["y"].numpy(), value["y"].numpy())
    with zipfile.ZipFile(path) as other:
        assert other.testzip() is None
        assert other.read("x/data/0") == value["x"].numpy().tobytes()


def test_data_is_aligned():
    file = io.BytesIO()
    ours.save([ours.arange(n, dtype=ours.uint8) for n in range(1, 70, 7)], file)
    reader = archive.Reader(file.seek(0) or file)
    assert len(reader.records) == 16
    assert all(reader.place(name) % 64 == 0 for name in reader.records)


def test_a_comment_may_follow():
    file = io.BytesIO()
    ours.save(5, file)
    with zipfile.ZipFile(file, "a") as other:
        other.comment = b"PK\5\6" + b"x" * 60000
    assert ours.load(file.seek(0) or file) == 5


def test_archives_of_other_programs_load():
    file = io.BytesIO()
    ours.save(ours.arange(5.0), file)
    other = io.BytesIO()
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(other, "w") as packed:
        for name in reversed(source.namelist()):
            if name.endswith(("data.pkl", "data/0")):
                packed.writestr(name, source.read(name))
    assert ours.load(other.seek(0) or other).tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
