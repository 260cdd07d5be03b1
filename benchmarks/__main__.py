"""Measure every workload beside PyTorch and print the tables of ratios.

    python -m benchmarks                 everything, a quarter of an hour
    python -m benchmarks --short         a quick look, less than two minutes
    python -m benchmarks chain moons     these workloads only
    python -m benchmarks --ops           every op at (64, 1000)
    python -m benchmarks --ops exp sort  those with one of these words in their expression
    python -m benchmarks --layers        every layer at a usual size, or those with these words
    python -m benchmarks --looking       what noting lines, hooks and the search for nan cost
    python -m benchmarks --readme        everything, and write the tables into README.md

With one thread all systems run in one process, block by block in turn, so that what slows the
machine slows all. With default threads each system has a process of its own, since two thread
pools in one process disturb each other. A ratio is a system's time over PyTorch's: below 1 is
faster. The best block counts; the median and the spread tell how quiet the machine was. JAX and
mygrad are measured where they are installed, and torch.compile wherever it gets ready in time.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import machine, report, systems
from benchmarks.workloads import NAMES

ROOT = Path(__file__).resolve().parent.parent
POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def child(function: str, *arguments: Any, threads: int | None = 1) -> Any:
    """Call ``module.function`` of this package in a new process, at one thread or the default."""
    environment = {k: v for k, v in os.environ.items() if k not in (*POOLS, "OPENBLAS_CORETYPE")}
    if threads:
        environment |= {name: str(threads) for name in POOLS}
    call = json.dumps([function, arguments, threads])
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks", "--child", call]
    done = subprocess.run(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{function}{arguments} failed")
    return json.loads(done.stdout.splitlines()[-1])


def answer(call: str) -> None:
    """Do what `child` asked of this process."""
    function, arguments, threads = json.loads(call)
    if threads == 1 and hasattr(os, "sched_setaffinity"):  # some pools count processors instead
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    module, _, name = function.partition(".")
    result = getattr(importlib.import_module(f"benchmarks.{module}"), name)(*arguments)
    print(json.dumps(result))


def one_thread(groups: list[list[str]], chosen: list[str], seconds: float) -> dict[str, Any]:
    """Time workloads, a process for each group of them."""
    found: dict[str, Any] = {}
    for group in groups:
        print(f"{', '.join(group)} ...", file=sys.stderr, flush=True)
        found |= child("timing.workloads", group, chosen, seconds)
    return found


def default_threads(names: list[str], chosen: list[str], seconds: float) -> dict[str, Any]:
    """Time workloads, a process for each and every system."""
    found: dict[str, Any] = {}
    for name in names:
        print(f"{name}, default threads ...", file=sys.stderr, flush=True)
        parts = [child("timing.workload", name, [s], seconds, threads=None) for s in chosen]
        found[name] = {
            key: {system: value for part in parts for system, value in part[key].items()}
            for key in ("times", "absent")
        }
    return found


def memory(names: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """Return the peak memory of workloads in MB by system."""
    present = [s for s in systems.USUAL if s in systems.installed()]
    return {n: {s: child("machine.peak_memory", n, s) for s in present} for n in names}


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--short", action="store_true", help="a fraction of a second each")
    parser.add_argument(
        "--seconds", type=float, help="for each workload and system (2); of a page for each line"
    )
    parser.add_argument("--threads", choices=("one", "default"), help="only so (default: both)")
    parser.add_argument("--ops", action="store_true", help="the page of ops alone")
    parser.add_argument("--layers", action="store_true", help="the page of layers alone")
    parser.add_argument("--looking", action="store_true", help="the page of hooks and lines alone")
    parser.add_argument("--systems", help=f"of {','.join(systems.TITLES)}")
    parser.add_argument("--readme", action="store_true", help="write the tables into README.md")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "out" / "times.json")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        answer(options.child)
        return

    pages = [page for page in ("ops", "layers") if getattr(options, page)]
    alone = bool(pages or options.looking)
    everything = not (options.names or alone or options.threads)
    present = systems.installed()
    if options.systems:
        chosen = options.systems.split(",")
    elif everything and not options.short:
        chosen = present
    else:
        chosen = [s for s in systems.USUAL if s in present]
    for name in chosen:
        if name not in present:
            parser.error(f"no system {name!r} is installed, only {', '.join(present)}")
    for name in () if alone else options.names:
        if name not in NAMES:
            parser.error(f"unknown workload {name!r}, expected one of {', '.join(NAMES)}")
    if options.readme and not everything:
        parser.error("--readme needs everything: name no workloads or threads")

    result: dict[str, Any] = {"machine": machine.description()}
    if not alone:
        names = options.names or list(NAMES)
        seconds = options.seconds or (0.1 if options.short else 2)
        if options.threads != "default":
            groups = [names] if options.short else [[name] for name in names]
            result["one thread"] = one_thread(groups, chosen, seconds)
        if options.threads != "one" and not options.short:
            result["default threads"] = default_threads(names, chosen, seconds)
    for page in ("ops", "layers") if everything else pages:
        usual = [s for s in chosen if s in systems.USUAL]
        asked = options.seconds if pages else None
        seconds = asked or (0.004 if options.short else 0.03)
        print(f"{page} ...", file=sys.stderr, flush=True)
        result[page] = child("ops.page", page, usual, seconds, options.names)
    if everything or options.looking:
        seconds = options.seconds or (0.05 if options.short else 2)
        print("looking ...", file=sys.stderr, flush=True)
        result["looking"] = child("looking.page", seconds, options.names)
    if everything:
        print("imports, sizes, memory ...", file=sys.stderr, flush=True)
        result["import"] = child("machine.imports")
        result["installed"] = machine.installed_sizes()
        result["memory"] = memory(("gpt",) if options.short else ("gpt", "cnn", "mnist512"))

    print(report.details(result))
    text = report.summary(result)
    print(f"\n{text}")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result))
    print(f"\nEvery block's time: {options.output}", file=sys.stderr)
    if options.readme:
        report.write_readme(text, ROOT / "README.md")


if __name__ == "__main__":
    main()
