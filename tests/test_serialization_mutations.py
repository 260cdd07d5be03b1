"""Files with bytes changed, at random: each loads or ends in a clear error, and nothing else happens."""

from __future__ import annotations

import io
import subprocess
import sys

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.test_serialization_hostile import FIXTURES, archive_of, survives
from tinygrad_like.serialization.archive import Reader

SOURCES = [path.name for path in sorted(FIXTURES.glob("*.pt")) if path.stat().st_size < 7000]


def mutated(content, changes):
    content = bytearray(content)
    for kind, place, value in changes:
        at = place % max(len(content), 1)
        if kind == "set":
            content[at : at + 1] = bytes([value])
        elif kind == "insert":
            content[at:at] = bytes([value]) * (value % 9)
        elif kind == "delete":
            del content[at : at + value % 17]
        elif kind == "cut":
            del content[at:]
        else:
            content[at:at] = content[(place * 7) % max(len(content), 1) :][:value]
    return bytes(content)


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["set", "set", "set", "insert", "delete", "cut", "copy"]),
        st.integers(0, 10_000),
        st.integers(0, 255),
    ),
    min_size=1,
    max_size=6,
)


@hypothesis.settings(max_examples=300)
@hypothesis.given(st.sampled_from(SOURCES), CHANGES)
def test_mutated_files(source, changes):
    survives(mutated((FIXTURES / source).read_bytes(), changes))


@hypothesis.settings(max_examples=300)
@hypothesis.given(st.sampled_from([s for s in SOURCES if "before" not in s]), CHANGES)
def test_mutated_pickles_with_right_checksums(source, changes):
    reader = Reader(io.BytesIO((FIXTURES / source).read_bytes()))
    records = {title: reader.read(title, 10**6) for title in reader.records}
    pickled = mutated(records.pop("data.pkl"), changes)
    for title in ("version", ".data/serialization_id"):
        records.pop(title)
    survives(archive_of(pickled, (), **records))


CAGE = """
import io, linecache, os, random, resource, signal, sys
import tinygrad_like as t
from tests.test_serialization_hostile import FIXTURES, archive_of, survives
from tests.test_serialization_mutations import SOURCES, mutated
from tinygrad_like.debug import advice, errors
from tinygrad_like.serialization.archive import Reader

contents = [(FIXTURES / name).read_bytes() for name in SOURCES]
for content in contents:
    t.load(io.BytesIO(content))  # imports what it needs

def forbid(event, arguments):
    if event in ("import", "exec", "compile", "open", "os.system", "os.exec", "os.fork", "os.remove",
                 "subprocess.Popen", "socket.connect", "ctypes.dlopen", "shutil.rmtree"):
        sys.stdout.write(f"{event} {arguments}\\n")
        sys.stdout.flush()
        os._exit(3)

random.seed(5)
cases = []
for number in range(1500):
    content = random.choice(contents)
    changes = [(random.choice(["set", "set", "insert", "delete", "cut", "copy"]),
                random.randrange(10000), random.randrange(256)) for _ in range(random.randint(1, 5))]
    if content[:2] == b"PK" and number % 3:
        reader = Reader(io.BytesIO(content))
        records = {title: reader.read(title, 10**6) for title in reader.records}
        pickled = mutated(records.pop("data.pkl"), changes)
        for title in ("version", ".data/serialization_id"):
            records.pop(title)
        cases.append(archive_of(pickled, (), **records))
    else:
        cases.append(mutated(content, changes))
# What errors are told with: imported, and the files whose lines they quote read.
linecache.getlines(sys.modules[survives.__module__].__file__)
advice.table()
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 300_000_000,) * 2)
signal.alarm(120)
sys.addaudithook(forbid)
for case in cases:
    survives(case)
sys.stdout.write("survived")
sys.stdout.flush()
os._exit(0)
"""


def in_cage(code):
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=FIXTURES.parent.parent,
    )
    return done.stdout, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are read from /proc")
def test_mutations_in_a_cage():
    """Nothing is imported, opened or started, in 300 MB and bounded time."""
    out, errors = in_cage(CAGE)
    assert out == "survived", out + errors


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are read from /proc")
def test_the_cage_notices_what_is_run():
    hostile = r'archive_of(b"cos\nsystem\n(X\4\0\0\0truetR.")'
    loaded = f"t.load(io.BytesIO({hostile}), weights_only=False)"
    out, errors = in_cage(CAGE.replace("survives(case)", loaded))
    assert out.startswith("os.system"), out + errors
