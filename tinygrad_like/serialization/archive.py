"""The outer layer of a file: a zip archive whose records are stored as they are, each at an aligned place.

Any program that reads zip archives can look into one. What is particular to PyTorch's:

* nothing is compressed, so that a record can be mapped into memory where it lies;
* the data of each record starts at a multiple of 64 bytes: a filler in the record's header (a field
  ``FB`` of letters Z) takes up the space before;
* checksum and size stand behind the data, in a descriptor, and again in the directory at the end;
* all names start with one folder, which readers skip.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

ALIGNMENT = 64
CHUNK = 1 << 20  # bytes that are summed up while they are in the cache
LIMIT = 0xFFFFFFFF  # sizes and places from here on stand in fields of 64 bits
_ELSEWHERE = 0xFFFFFFFF  # what stands in the field of 32 bits then

# signature, version, flags, method, time, date, checksum, size, size, length of name, of extra field
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
# signature, versions, flags, method, time, date, checksum, size, size, three lengths, disk, 2 x
# attributes, where its header starts
_ENTRY = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
_END64 = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR = struct.Struct("<4sIQI")

_DESCRIBED = 0x0008  # checksum and sizes follow the data
_UTF8 = 0x0800
_DAMAGED = "the file is damaged or was not written to its end"


class Record(NamedTuple):
    """What the directory says of a record."""

    header: int  # where its header starts, in bytes from the start of the archive
    size: int
    checksum: int


# ----- Writing ------------------------------------------------------------------------------------


class Writer:
    """Writes an archive from its start to its end, without going back.

    Args:
        write: takes the next bytes.
        folder: what names start with.
        checksums: compute them; else they are 0, as PyTorch writes them then.
    """

    def __init__(self, write: Callable[[Any], Any], folder: str, checksums: bool = True) -> None:
        self._write = write
        self._folder = folder
        self._checksums = checksums
        self._place = 0
        self._records: list[tuple[bytes, Record]] = []

    def _put(self, data: Any) -> None:
        self._write(data)
        self._place += len(data)

    def add(self, name: str, data: Any) -> None:
        """Write a record: `data` is bytes, or a view of memory as bytes."""
        title = f"{self._folder}/{name}".encode()
        view = memoryview(data)
        header, size = self._place, len(view)
        wide = _wide_field(size, size, header)
        start = header + _LOCAL.size + len(title) + len(wide) + 4
        filler = -start % ALIGNMENT
        extra = wide + struct.pack("<2sH", b"FB", filler) + b"Z" * filler
        flags = _UTF8 | (_DESCRIBED if size else 0)
        self._put(_LOCAL.pack(b"PK\3\4", 0, flags, 0, 0, 0, 0, 0, 0, len(title), len(extra)))
        self._put(title + extra)
        checksum = 0
        for at in range(0, size, CHUNK):
            chunk = view[at : at + CHUNK]
            if self._checksums:
                checksum = zlib.crc32(chunk, checksum)
            self._put(chunk)
        if size:
            sizes = struct.pack("<QQ" if wide else "<II", size, size)
            self._put(struct.pack("<4sI", b"PK\7\x08", checksum) + sizes)
        self._records.append((title, Record(header, size, checksum)))

    def finish(self) -> None:
        """Write what identifies the content, and the directory of all records."""
        self.add("version", b"3\n")
        names = zlib.crc32(b"\n".join(title for title, _ in self._records))
        content = zlib.crc32(b"".join(b"%d\n" % record.checksum for _, record in self._records))
        self.add(".data/serialization_id", b"%020d%020d" % (names, content))
        start = self._place
        for title, record in self._records:
            extra = _wide_field(record.size, record.size, record.header)
            header, size = _narrow(record.header), _narrow(record.size)
            flags = _UTF8 | (_DESCRIBED if size else 0)
            lengths = (len(title), len(extra), 0)
            entry = (b"PK\1\2", 0, 0, flags, 0, 0, 0, record.checksum, size, size, *lengths)
            self._put(_ENTRY.pack(*entry, 0, 0, 0, header) + title + extra)
        end, count = self._place, len(self._records)
        size = end - start
        self._put(_END64.pack(b"PK\6\6", 44, 0x031E, 45, 0, 0, count, count, size, start))
        self._put(_LOCATOR.pack(b"PK\6\7", 0, end, 1))
        count, size, start = min(count, 0xFFFF), _narrow(size), _narrow(start)
        self._put(_END.pack(b"PK\5\6", 0, 0, count, count, size, start, 0))


def _narrow(number: int) -> int:
    """Return what stands for a number in its field of 32 bits."""
    return number if number < LIMIT else _ELSEWHERE


def _wide_field(*numbers: int) -> bytes:
    """Return the extra field that holds those numbers that need 64 bits; nothing if none does."""
    wide = [number for number in numbers if number >= LIMIT]
    return struct.pack(f"<HH{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""


# ----- Reading ------------------------------------------------------------------------------------


class Reader:
    """Reads records of an archive, after all that its directory says has been checked.

    Records neither overlap nor lie outside the file, so that all of them together are no larger.

    Args:
        file: an open file at the start of the archive, which reaches to the end of the file.

    Attributes:
        records: the records by name, without the folder.

    Raises:
        RuntimeError: if it is no whole archive, or a kind PyTorch doesn't write.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self._base = file.tell()
        self._size = file.seek(0, os.SEEK_END) - self._base
        self.records = self._directory()
        self._places: dict[str, int] = {}
        self._check_overlap()

    def _bytes(self, place: int, size: int) -> bytes:
        if not 0 <= place <= place + size <= self._size:
            raise RuntimeError(f"load: the archive points outside the file; {_DAMAGED}")
        self._file.seek(self._base + place)
        found = bytearray(size)
        _fill(self._file, memoryview(found))
        return bytes(found)

    def _end(self) -> tuple[int, int, int]:
        """Return where the directory starts, its size and the number of entries."""
        last = min(self._size, _END.size + 0xFFFF)  # a comment may follow
        tail = self._bytes(self._size - last, last)
        at = last - _END.size + 1
        while True:
            at = tail.rfind(b"PK\5\6", 0, max(0, at + 3))
            if at < 0:
                raise RuntimeError(f"load: found no directory of a zip archive; {_DAMAGED}")
            *_, count, size, start, comment = _END.unpack_from(tail, at)
            if at + _END.size + comment == last:  # else the letters stand in the comment
                break
        place = self._size - last + at - _LOCATOR.size
        if place >= 0 and self._bytes(place, 4) == b"PK\6\7":
            _, _, place, _ = _LOCATOR.unpack(self._bytes(place, _LOCATOR.size))
            fields = _END64.unpack(self._bytes(place, _END64.size))
            if fields[0] != b"PK\6\6":
                raise RuntimeError(f"load: found no directory of a zip archive; {_DAMAGED}")
            *_, count, size, start = fields
        return start, size, count

    def _directory(self) -> dict[str, Record]:
        start, size, count = self._end()
        directory = self._bytes(start, size)
        records: dict[str, Record] = {}
        folder: bytes | None = None
        at = 0
        for _ in range(count):
            if at + _ENTRY.size > size:
                raise RuntimeError(f"load: the archive's directory is cut off; {_DAMAGED}")
            entry = _ENTRY.unpack_from(directory, at)
            signature, _, _, flags, method, _, _, checksum, packed, unpacked = entry[:10]
            name_size, extra_size, comment_size, _, _, _, header = entry[10:]
            at += _ENTRY.size
            title = directory[at : at + name_size]
            extra = directory[at + name_size : at + name_size + extra_size]
            at += name_size + extra_size + comment_size
            if signature != b"PK\1\2" or at > size:
                raise RuntimeError(f"load: the archive's directory makes no sense; {_DAMAGED}")
            own, _, name = title.partition(b"/")
            if folder is None:
                folder = own
            if own != folder or not name:
                raise RuntimeError(
                    f"load: record {title!r} is not in the archive's folder {folder!r}; save wrote no such file"
                )
            unpacked, packed, header = _widened(extra, unpacked, packed, header)
            text = name.decode("utf-8", "backslashreplace")
            if method != 0 or flags & 1 or packed != unpacked:
                raise RuntimeError(
                    f"load: record {text!r} is compressed or encrypted, expected one stored as it is; save the "
                    "object again, or pack the archive without compression"
                )
            if text in records:
                raise RuntimeError(f"load: record {text!r} is there twice; {_DAMAGED}")
            records[text] = Record(header, unpacked, checksum)
        return records

    def _check_overlap(self) -> None:
        """Raise if two records share bytes, or one lies outside the file."""
        end = 0
        for name, record in sorted(self.records.items(), key=lambda item: item[1].header):
            if record.header < end or self.place(name) + record.size > self._size:
                raise RuntimeError(
                    f"load: record {name!r} overlaps another or lies outside the file; {_DAMAGED}"
                )
            end = self.place(name) + record.size

    def size(self, name: str) -> int:
        """Return how many bytes a record has."""
        return self._record(name).size

    def place(self, name: str) -> int:
        """Return where the data of a record starts, in bytes from the start of the archive."""
        if name not in self._places:
            record = self.records[name]
            fields = _LOCAL.unpack(self._bytes(record.header, _LOCAL.size))
            title = self._bytes(record.header + _LOCAL.size, fields[-2])
            if fields[0] != b"PK\3\4" or title.partition(b"/")[2].decode(errors="replace") != name:
                raise RuntimeError(f"load: record {name!r} is not where it should be; {_DAMAGED}")
            self._places[name] = record.header + _LOCAL.size + fields[-2] + fields[-1]
        return self._places[name]

    def read(self, name: str, most: int) -> bytes:
        """Return the bytes of a small record.

        Raises:
            RuntimeError: if it is missing, longer than `most` bytes, or damaged.
        """
        record = self._record(name)
        if record.size > most:
            raise RuntimeError(
                f"load: record {name!r} has {record.size} bytes, expected at most {most}"
            )
        found = self._bytes(self.place(name), record.size)
        self._check(name, zlib.crc32(found))
        return found

    def read_into(self, name: str, memory: memoryview) -> None:
        """Fill `memory` with the first bytes of a record."""
        record = self._record(name)
        self._file.seek(self._base + self.place(name))
        checksum = 0
        for at in range(0, len(memory), CHUNK):
            chunk = memory[at : at + CHUNK]
            _fill(self._file, chunk)
            checksum = zlib.crc32(chunk, checksum)
        if len(memory) == record.size:
            self._check(name, checksum)

    def _record(self, name: str) -> Record:
        if name not in self.records:
            raise RuntimeError(f"load: the archive has no record {name!r}; {_DAMAGED}")
        return self.records[name]

    def _check(self, name: str, checksum: int) -> None:
        expected = self.records[name].checksum
        if expected not in (0, checksum):  # 0: written without checksums
            raise RuntimeError(
                f"load: record {name!r} has checksum {checksum:08x}, expected {expected:08x}; the file is damaged"
            )


def _fill(file: Any, memory: memoryview) -> None:
    """Read as many bytes from a file as `memory` takes."""
    done = 0
    while done < len(memory):
        if hasattr(file, "readinto"):
            count = file.readinto(memory[done:])
        else:
            found = file.read(len(memory) - done)
            count = len(found)
            memory[done : done + count] = found
        if not count:
            raise RuntimeError(f"load: the file ended early; {_DAMAGED}")
        done += count


def _widened(extra: bytes, *numbers: int) -> list[int]:
    """Return the numbers of an entry, those of 64 bits taken from its extra fields."""
    wide: list[int] = []
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            wide = [
                number
                for (number,) in struct.iter_unpack("<Q", extra[at + 4 : at + 4 + size // 8 * 8])
            ]
        at += 4 + size
    found = []
    for number in numbers:
        if number == _ELSEWHERE:
            if not wide:
                raise RuntimeError(
                    f"load: a size is missing in the archive's directory; {_DAMAGED}"
                )
            number = wide.pop(0)
        found.append(number)
    return found
