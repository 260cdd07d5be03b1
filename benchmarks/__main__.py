"""Measure every workload beside PyTorch and print the table of ratios.

    python -m benchmarks                 everything, about four minutes
    python -m benchmarks --short         a quick look
    python -m benchmarks chain moons     these workloads only
    python -m benchmarks --readme        write the table into README.md

With one thread both systems run in one process, block by block in turn, so that what slows the
machine slows both. With default threads each system has a process of its own, since two thread
pools in one process disturb each other. A ratio is this package's time over PyTorch's: below 1 is
faster. The best block counts; the median and the spread tell how quiet the machine was.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.workloads import NAMES

ROOT = Path(__file__).resolve().parent.parent
MARKS = ("<!-- benchmark table -->", "<!-- end of benchmark table -->")
Times = dict[str, list[float]]


def child(arguments: list[str], threads: int | None) -> Any:
    """Run this module in a new process and return what it prints as JSON."""
    environment = dict(os.environ)
    environment.pop("OPENBLAS_CORETYPE", None)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        environment.pop(name, None)
        if threads is not None:
            environment[name] = str(threads)
    command = [sys.executable, "-m", "benchmarks", *arguments]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def make(workload: str, system: str) -> Callable[[], Any]:
    """Return the step function of a workload in a system."""
    from benchmarks.systems import SYSTEMS

    module, fast = SYSTEMS[system]()
    if os.environ.get("OMP_NUM_THREADS") == "1" and system == "torch":
        module.set_num_threads(1)
    return importlib.import_module(f"benchmarks.workloads.{workload}").make(module, fast)  # type: ignore[no-any-return]


def measure(workload: str, systems: list[str], seconds: float) -> Times:
    """Time blocks of steps of each system in turn; return seconds per step of every block."""
    steps = {system: make(workload, system) for system in systems}
    counts = {}
    for system, step in steps.items():
        for _ in range(3):
            step()
        start = time.perf_counter()
        step()
        counts[system] = max(1, min(25, int(0.05 / (time.perf_counter() - start))))
    times: Times = {system: [] for system in systems}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[systems[0]]) < 5:
        for system, step in steps.items():
            start = time.perf_counter()
            for _ in range(counts[system]):
                step()
            times[system].append((time.perf_counter() - start) / counts[system])
    return times


def cpu_of_import(module: str) -> float:
    """Return the CPU seconds that importing a module takes, the best of six."""
    code = (
        f"import time; start = time.process_time(); import {module}; "
        "print(time.process_time() - start)"
    )
    environment = dict(os.environ)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # installed packages are compiled once
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        for _ in range(6)
    ]
    return min(float(run.stdout) for run in runs)


def peak_memory(workload: str, system: str) -> float:
    """Return the largest resident size in MB of a process that takes 20 steps."""
    code = (
        f"import resource; from benchmarks.__main__ import make; step = make({workload!r}, {system!r})\n"
        "for _ in range(20): step()\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        cwd=ROOT,
    )
    return float(run.stdout)


def row(name: str, times: Times) -> tuple[str, ...]:
    """Return a line of the table: name, both best times, ratio of the best, of the medians."""
    best = {system: min(values) for system, values in times.items()}
    median = {system: statistics.median(values) for system, values in times.items()}
    return (
        name,
        f"{best['torch'] * 1e3:.3f} ms",
        f"{best['ours'] * 1e3:.3f} ms",
        f"{best['ours'] / best['torch']:.2f}",
        f"{median['ours'] / median['torch']:.2f}",
    )


def table(title: str, head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    widths = [max(len(line[i]) for line in [head, *rows]) for i in range(len(head))]

    def line(cells: tuple[str, ...]) -> str:
        padded = [
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = tuple(
        "-" * width if i == 0 else "-" * (width - 1) + ":" for i, width in enumerate(widths)
    )
    return "\n".join([f"{title}\n", line(head), line(rule), *map(line, rows)])


def write_readme(text: str) -> None:
    """Put the tables between the marks in README.md."""
    path = ROOT / "README.md"
    begin, end = MARKS
    old = path.read_text()
    if begin not in old or end not in old:
        raise SystemExit(f"README.md has no place between {begin} and {end}")
    head, rest = old.split(begin, 1)
    tail = rest.split(end, 1)[1]
    path.write_text(f"{head}{begin}\n\n{text}\n\n{end}{tail}")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=", ".join(NAMES))
    parser.add_argument("--short", action="store_true", help="half a second per workload")
    parser.add_argument("--readme", action="store_true", help="write the table into README.md")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "out" / "times.json")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        workload, seconds, *systems = options.child
        print(json.dumps(measure(workload, systems, float(seconds))))
        return
    for name in options.workloads:
        if name not in NAMES:
            parser.error(f"unknown workload {name!r}, expected one of {', '.join(NAMES)}")
    names = options.workloads or NAMES
    seconds = "0.5" if options.short else "10"
    head = ("workload", "torch, best", "ours, best", "ratio", "ratio of medians")
    result: dict[str, Any] = {"machine": platform.processor() or platform.machine()}
    one, all_cores = [], []
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        times = child(["--child", name, seconds, "ours", "torch"], 1)
        one.append(row(name, times))
        split = {}
        for system in ("ours", "torch"):
            split |= child(["--child", name, seconds, system], None)
        all_cores.append(row(name, split))
        result[name] = {"one thread": times, "default threads": split}
    texts = [
        table("One thread, forward + backward + optimizer step where there is one:", head, one),
        table(f"Default threads ({os.cpu_count()} cores), each system alone:", head, all_cores),
    ]
    if not options.workloads:
        numpy, own, torch = (cpu_of_import(m) for m in ("numpy", "tinygrad_like", "torch"))
        result["import"] = {"numpy": numpy, "ours": own, "torch": torch}
        memory = {system: peak_memory("mnist512", system) for system in ("ours", "torch")}
        result["peak memory mnist512"] = memory
        rows = [
            ("CPU seconds of the import", f"{torch:.2f}", f"{own:.2f} (NumPy alone {numpy:.2f})"),
            ("peak memory, mnist512, MB", f"{memory['torch']:.0f}", f"{memory['ours']:.0f}"),
        ]
        texts.append(table("Import and memory:", ("", "torch", "ours"), rows))
    text = "\n\n".join(texts)
    print(text)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result))
    print(f"\nEvery block's time: {options.output}", file=sys.stderr)
    if options.readme:
        write_readme(text)


if __name__ == "__main__":
    main()
