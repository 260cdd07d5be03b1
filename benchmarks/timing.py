"""Time systems block by block in turn, in this process."""

from __future__ import annotations

import signal
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np

BLOCK = 0.01  # seconds that a block of steps should take
STEPS = 50  # and the most steps in one
PATIENCE = 120  # seconds that a system may take to build and compile a workload

Step = tuple[Callable[[], Any], Callable[[], AbstractContextManager[Any]]]


def rounds(
    steps: Mapping[str, Step], seconds: float, block: float = BLOCK, least: int = 5
) -> dict[str, list[float]]:
    """Time blocks of each step in turn until the time is up; return seconds per step of each."""
    counts = {}
    for name, (step, active) in steps.items():
        with active():
            start = time.perf_counter()
            step()
            counts[name] = max(1, min(STEPS, int(block / (time.perf_counter() - start))))
    times: dict[str, list[float]] = {name: [] for name in steps}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or least > 0:
        least -= 1
        for name, (step, active) in steps.items():
            several = range(counts[name])
            with active():
                step()  # brings back to the caches what the other systems' turns drove out
                start = time.perf_counter()
                for _ in several:
                    step()
                times[name].append((time.perf_counter() - start) / counts[name])
    return times


@contextmanager
def patience(seconds: int) -> Iterator[None]:
    """Raise TimeoutError if what is inside takes longer."""

    def stop(*_: Any) -> None:
        raise TimeoutError(f"not ready after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def reason(error: Exception) -> str:
    """Return why a system is absent, in one line."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:200]


def workloads(names: list[str], systems: list[str], seconds: float) -> dict[str, Any]:
    """Time workloads in several systems, each for so many seconds; return results by name."""
    return {name: workload(name, systems, seconds) for name in names}


def workload(name: str, systems: list[str], seconds: float) -> dict[str, Any]:
    """Time a workload in several systems; tell which are absent, and what the machine can do."""
    from benchmarks.systems import load

    ready, absent, limit = {}, {}, None
    for system in systems:
        try:
            with patience(PATIENCE):
                module = load(system)
                work = module.make(name)
                with module.active():
                    for _ in range(3):
                        work.step()
        except Exception as error:
            absent[system] = reason(error)
        else:
            ready[system] = (work.step, module.active)
            if limit is None and (work.flops or work.bytes):
                limit = least_time(work.flops, work.bytes)
    times = rounds(ready, seconds * len(ready)) if ready else {}
    return {"times": times, "absent": absent, "limit": limit}


def least_time(flops: float, moved: float) -> float:
    """Return the seconds that so many flops, or bytes moved, take at this machine's best."""
    return flops / flops_per_second() if flops else moved / bytes_per_second(moved)


def flops_per_second(size: int = 768) -> float:
    """Measure the speed of a float32 matrix product."""
    a, b, out = np.ones((3, size, size), np.float32)
    return 2 * size**3 / best(lambda: np.matmul(a, b, out=out))


def bytes_per_second(moved: float) -> float:
    """Measure the speed of a copy which reads and writes that many bytes in all."""
    source, target = np.ones((2, int(moved) // 8), np.float32)
    return moved / best(lambda: np.multiply(source, 1, out=target))


def best(step: Callable[[], Any], repeats: int = 15) -> float:
    """Return the seconds of the fastest of several calls."""
    step()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return min(times)


def spread(times: list[float]) -> float:
    """Return the width of the middle half of times over their median."""
    low, middle, high = statistics.quantiles(times, n=4)
    return (high - low) / middle
