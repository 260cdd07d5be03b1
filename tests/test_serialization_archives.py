"""Archives and old files that are damaged, cut off or lie about their records are refused."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile

import pytest

import tinygrad_like as ours
from tests.test_serialization_hostile import FIXTURES, SIX, archive_of, tensor
from tinygrad_like import serialization
from tinygrad_like.serialization.archive import Writer


def test_compressed_archives_are_refused():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("archive/data.pkl", b"N.")
        packed.writestr("archive/data/0", bytes(50_000_000))
    with pytest.raises(RuntimeError, match=r"'data\.pkl' is compressed or encrypted"):
        ours.load(io.BytesIO(file.getvalue()))


def patched(content, name_of, field, form, value):
    """Return an archive whose directory says something else of a record."""
    content = bytearray(content)
    at = content.rindex(f"archive/{name_of}".encode()) - 46
    struct.pack_into(form, content, at + field, value)
    return bytes(content)


WRONG = {
    "size": (24, "<I", 10**9),
    "both sizes": (20, "<II", (10**9, 10**9)),
    "size elsewhere": (24, "<I", 2**32 - 1),
    "place": (42, "<I", 5),
    "place outside": (42, "<I", 2**31),
    "method": (10, "<H", 12),
    "encryption": (8, "<H", 1),
    "length of the name": (28, "<H", 60000),
    "signature": (0, "<I", 0),
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("record", ["data.pkl", "data/0"])
def test_directories_that_lie_are_refused(what, record):
    field, form, value = WRONG[what]
    content = archive_of(tensor(), [SIX])
    content = bytearray(content)
    at = content.rindex(f"archive/{record}".encode()) - 46
    values = value if isinstance(value, tuple) else (value,)
    struct.pack_into(form, content, at + field, *values)
    with pytest.raises(RuntimeError, match=r"^load: "):
        ours.load(io.BytesIO(content))


def test_directories_with_too_few_entries_are_refused():
    content = bytearray(archive_of(b"N."))
    at = content.rindex(b"PK\6\6")
    struct.pack_into("<QQ", content, at + 24, 10**9, 10**9)
    with pytest.raises(RuntimeError, match="directory is cut off"):
        ours.load(io.BytesIO(content))


def test_files_that_shrink_are_noticed():
    class Shrinking(io.BytesIO):
        def readinto(self, memory):
            return 0 if len(memory) == len(SIX) else super().readinto(memory)

    with pytest.raises(RuntimeError, match="the file ended early"):
        ours.load(Shrinking(archive_of(tensor(), [SIX])))


def test_records_that_overlap_are_refused():
    content = bytearray(archive_of(tensor(), [SIX, SIX]))
    entries = [content.rindex(f"archive/data/{n}".encode()) - 46 for n in (0, 1)]
    place = struct.unpack_from("<I", content, entries[0] + 42)
    struct.pack_into("<I", content, entries[1] + 42, *place)
    with pytest.raises(RuntimeError, match=r"overlaps another|not where it should be"):
        ours.load(io.BytesIO(content))


def test_one_record_inside_another_is_refused():
    inner = io.BytesIO()
    writer = Writer(inner.write, "archive")
    writer.add("data/1", bytes(10))
    content = bytearray(archive_of(b"N.", [inner.getvalue(), b"x" * 10]))
    outer = struct.unpack_from("<I", content, content.rindex(b"archive/data/0") - 46 + 42)[0]
    inside = content.index(b"PK\3\4", outer + 4)
    struct.pack_into("<I", content, content.rindex(b"archive/data/1") - 46 + 42, inside)
    with pytest.raises(RuntimeError, match="overlaps another"):
        ours.load(io.BytesIO(content))


@pytest.mark.parametrize(
    "names",
    [
        ["archive/data.pkl", "archive/data.pkl"],
        ["archive/data.pkl", "other/data/0"],
        ["data.pkl"],
        ["archive/"],
        ["../data.pkl", "/etc/passwd"],
    ],
)
def test_names_of_records_are_checked(names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed, pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *args, **kwargs: None)
        for title in names:
            packed.writestr(title, b"N.")
    with pytest.raises(RuntimeError, match=r"^load: "):
        ours.load(file.seek(0) or file)


def test_nothing_is_ever_extracted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = archive_of(b"N.", [], **{"../../escaped": b"x", "/absolute": b"x"})
    assert ours.load(io.BytesIO(content)) is None
    assert list(tmp_path.rglob("*")) == []


def test_archives_without_what_they_need():
    file = io.BytesIO()
    writer = Writer(file.write, "archive")
    writer.finish()
    with pytest.raises(RuntimeError, match=r"no record 'data\.pkl'"):
        ours.load(file.seek(0) or file)
    with pytest.raises(RuntimeError, match="record 'byteorder' has 2000 bytes"):
        ours.load(io.BytesIO(archive_of(b"N.", byteorder=b"x" * 2000)))


@pytest.mark.parametrize("fixture", ["views", "module"])
def test_every_truncation_is_an_error(fixture):
    content = (FIXTURES / f"{fixture}.pt").read_bytes()
    for end in range(0, len(content), 7):
        with pytest.raises((RuntimeError, EOFError, pickle.UnpicklingError)):
            ours.load(io.BytesIO(content[:end]))
    old = (FIXTURES / f"{fixture}_before_1_6.pt").read_bytes()
    for end in range(0, len(old), 7):
        with pytest.raises((EOFError, pickle.UnpicklingError)):
            ours.load(io.BytesIO(old[:end]))


@pytest.mark.parametrize("fixture", ["views", "module"])
def test_damaged_numbers_are_noticed(fixture):
    content = bytearray((FIXTURES / f"{fixture}.pt").read_bytes())
    reader = serialization.files.Reader(io.BytesIO(content))
    for title, record in reader.records.items():
        if title.startswith("data/") and record.size:
            damaged = bytearray(content)
            damaged[reader.place(title) + record.size // 2] ^= 4
            with pytest.raises(RuntimeError, match=f"record '{title}' has checksum .* damaged"):
                ours.load(io.BytesIO(damaged))


@pytest.mark.parametrize(
    "content", [b"x", b"garbage" * 100, b"PK\3\4", b"PK\3\4" * 100, b"\x80\x02N."]
)
def test_other_files_are_refused(content):
    with pytest.raises((RuntimeError, pickle.UnpicklingError), match=r"^load: "):
        ours.load(io.BytesIO(content))


def test_storages_of_old_files_are_checked():
    file = io.BytesIO()
    ours.save(ours.arange(6.0), file, _use_new_zipfile_serialization=False)
    content = file.getvalue()

    def changed(old, new):
        assert content.count(old) == 1
        return io.BytesIO(content.replace(old, new))

    count = struct.pack("<Q", 6)
    keys, other = b"\x80\2]q\0X\1\0\0\x000q\1a.", b"\x80\2]q\0X\1\0\0\x001q\1a."
    cases = {
        "another size": changed(count, struct.pack("<Q", 5)),
        "larger than the file": changed(b"cpuq\4K\6", b"cpuq\4J\0\0\0\x7f"),
        "views of storages": changed(b"K\6Ntq\5Q", b"K\6)tq\5Q"),
        "byte order": changed(b"little_endianq\2\x88", b"little_endianq\2\x89"),
        "keys of all storages": changed(keys, other),
        "nothing refers to": changed(keys, keys[:-1] + b"Na."),
    }
    for match, damaged in cases.items():
        with pytest.raises(pickle.UnpicklingError, match=match):
            ours.load(damaged)
