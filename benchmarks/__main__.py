"""Measure every workload beside PyTorch and print the table of ratios.

    python -m benchmarks                 everything
    python -m benchmarks --short         a quick look
    python -m benchmarks chain moons     these workloads only
    python -m benchmarks --ops           every op at (64, 1000)
    python -m benchmarks --ops exp sort  those with one of these words in their expression
    python -m benchmarks --readme        everything, and write the tables into README.md

With one thread all systems run in one process, block by block in turn, so that what slows the
machine slows all. With default threads each system has a process of its own, since two thread
pools in one process disturb each other. A ratio is a system's time over PyTorch's: below 1 is
faster. The best block counts; the median and the spread tell how quiet the machine was.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import systems
from benchmarks.workloads import NAMES

ROOT = Path(__file__).resolve().parent.parent
POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def child(function: str, *arguments: Any, threads: int | None = 1) -> Any:
    """Call ``module.function`` of this package in a new process, at one thread or the default."""
    environment = {k: v for k, v in os.environ.items() if k not in (*POOLS, "OPENBLAS_CORETYPE")}
    if threads:
        environment |= {name: str(threads) for name in POOLS}
    call = json.dumps([function, arguments, threads])
    command = [sys.executable, "-m", "benchmarks", "--child", call]
    done = subprocess.run(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{function}{arguments} failed")
    return json.loads(done.stdout.splitlines()[-1])


def answer(call: str) -> None:
    """Do what `child` asked of this process."""
    import importlib

    function, arguments, threads = json.loads(call)
    if threads == 1 and hasattr(os, "sched_setaffinity"):  # some pools count processors instead
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    module, _, name = function.partition(".")
    result = getattr(importlib.import_module(f"benchmarks.{module}"), name)(*arguments)
    print(json.dumps(result))


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--short", action="store_true", help="a fraction of a second each")
    parser.add_argument("--seconds", type=float, help="per workload and system (default: 2)")
    parser.add_argument("--threads", choices=("one", "default"), help="only so (default: both)")
    parser.add_argument("--ops", action="store_true", help="the page of ops alone")
    parser.add_argument("--systems", help=f"of {','.join(systems.TITLES)}")
    parser.add_argument("--readme", action="store_true", help="write the tables into README.md")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "out" / "times.json")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        answer(options.child)
        return
    from benchmarks import report

    for name in options.names:
        if name not in NAMES and not options.ops:
            parser.error(f"unknown workload {name!r}, expected one of {', '.join(NAMES)}")
    chosen = options.systems.split(",") if options.systems else list(systems.USUAL)
    for name in chosen:
        if name not in systems.TITLES:
            parser.error(f"unknown system {name!r}, expected one of {', '.join(systems.TITLES)}")
    if options.ops:
        pages = child("ops.page", chosen, options.seconds or 0.03, options.names)
        print(f"{report.op_page(pages)}\n\n{report.op_summary(pages)}")
        return
    names = options.names or NAMES
    seconds = options.seconds or (0.15 if options.short else 2)
    result: dict[str, Any] = {"machine": platform.processor() or platform.machine()}
    one: dict[str, Any] = {}
    default: dict[str, Any] = {}
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        if options.threads != "default":
            one[name] = child("timing.workload", name, chosen, seconds)
        if options.threads != "one":
            alone = [child("timing.workload", name, [s], seconds, threads=None) for s in chosen]
            default[name] = {
                key: {k: v for part in alone for k, v in part[key].items()}
                for key in ("times", "absent")
            }
    texts = []
    if one:
        result["one thread"] = one
        texts.append(report.ratios("One thread, time over torch's:", one, limits=True))
    if default:
        result["default threads"] = default
        title = f"Default threads ({os.cpu_count()} cores), each system alone:"
        texts.append(report.ratios(title, default, limits=False))
    for results in (one, default):
        if results:
            print(report.details(results))
    text = "\n\n".join(texts)
    print(f"\n{text}")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result))
    print(f"\nEvery block's time: {options.output}", file=sys.stderr)
    if options.readme:
        report.write_readme(text, ROOT / "README.md")


if __name__ == "__main__":
    main()
