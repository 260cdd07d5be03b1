"""Freed memory is kept for the next arrays, unless the environment says otherwise."""

import os
import platform
import subprocess
import sys

import pytest

from tinygrad_like.memory import keep_freed

STEPS = """
import resource
import numpy as np
{imports}

def step():
    arrays = [np.ones(600_000, np.float32) for _ in range(8)]  # 2.4 MB each
    return arrays[0][0]

for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
GLIBC = platform.libc_ver()[0] == "glibc"


def faults(imports: str, **environment: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", STEPS.format(imports=imports)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


def test_memory_is_not_cleared_anew_in_every_step():
    assert keep_freed() == GLIBC
    if GLIBC:
        assert faults("import tinygrad_like") < 500
        assert faults("") > 10_000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MALLOC_TRIM_THRESHOLD_", "131072"),
        ("MALLOC_MMAP_THRESHOLD_", "131072"),
        ("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=131072"),
    ],
)
def test_the_environment_overrules(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert not keep_freed()


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert not keep_freed()
