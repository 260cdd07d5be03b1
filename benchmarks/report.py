"""Turn results into tables, and put them into the README."""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import layer_table
from benchmarks.op_table import LIMIT, REASONS
from benchmarks.systems import TITLES, USUAL
from benchmarks.timing import spread

MARKS = ("<!-- benchmark table -->", "<!-- end of benchmark table -->")
PAGES = {
    "ops": "Every op at (64, 1000), forward and backward, one thread, time over torch's:",
    "layers": "Every layer at a usual size, forward and backward, one thread, time over torch's:",
}
Results = Mapping[str, Any]  # by name of workload, or by expression


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table: the first column to the left, the others to the right."""
    widths = [max(len(line[i]) for line in [head, *rows]) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        first, *others = (
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return f"| {' | '.join([first, *others])} |"

    rule = ["-" * width if i == 0 else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    return "\n".join([title, "", line(head), line(rule), *map(line, rows)])


def time(seconds: float | None) -> str:
    """Return a time in a suitable unit, or nothing."""
    if seconds is None:
        return ""
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f} us"


def over(a: float | None, b: float | None, digits: int = 2) -> str:
    """Return a ratio, or nothing where one side is missing."""
    return f"{a / b:.{digits}f}" if a and b else ""


def best(result: Results) -> dict[str, float]:
    """Return the best block's time of every system."""
    return {system: min(times) for system, times in result["times"].items()}


def ratios(title: str, results: Results, limits: bool = False) -> str:
    """Return the table of ratios of best blocks to torch's.

    With `limits` also how many times a workload's least time, by this machine's measured flops or
    bandwidth, each of the usual systems takes.
    """
    present = [s for s in TITLES if any(s in result["times"] for result in results.values())]
    others = [s for s in present if s != "torch"]
    bound = [s for s in USUAL if s in present] if limits else []
    rows = []
    for name, result in results.items():
        found = best(result)
        base, least = found.get("torch"), result.get("limit")
        rows.append(
            [
                name,
                time(base),
                *(over(found.get(s), base) for s in others),
                *(over(found.get(s), least, 1) for s in bound),
            ]
        )
    head = ["", "torch", *(TITLES[s] for s in others), *(f"{TITLES[s]}, x limit" for s in bound)]
    return table(title, head, rows)


def op_summary(title: str, results: Results, worst: int = 10) -> str:
    """Return the median over all ops of every system, and the worst ones beneath with reasons."""
    rows, largest = [], []
    slow: set[str] = set()
    for system in (s for s in TITLES if s != "torch"):
        found = {
            expression: all_best[system] / all_best["torch"]
            for expression, result in results.items()
            if {system, "torch"} <= (all_best := best(result)).keys()
        }
        if found:
            above = sum(ratio > 1 for ratio in found.values())
            median = f"{statistics.median(found.values()):.2f}"
            rows.append([TITLES[system], median, f"{above} of {len(found)}"])
            order = sorted(found, key=found.__getitem__, reverse=True)
            last = ", ".join(f"`{name}` {found[name]:.1f}" for name in order[:worst])
            largest.append(f"Largest, {TITLES[system]}: {last}.")
            if system in USUAL:
                slow |= {name for name, ratio in found.items() if ratio > LIMIT}
    known = layer_table.REASONS | REASONS
    reasons = [f"* `{name}`: {known.get(name, 'no reason is known')}" for name in sorted(slow)]
    if reasons:
        largest.append("\n".join([f"Above {LIMIT}:", "", *reasons]))
    return "\n\n".join([table(title, ["", "median", "above 1"], rows), *largest])


def blocks(title: str, results: Results) -> str:
    """Return the table of best block, median and spread of every system, and who is absent."""
    rows, gaps = [], []
    for name, result in results.items():
        base = result["times"].get("torch")
        for system, times in result["times"].items():
            # Rounds are compared each with itself, so that what slows the machine cancels.
            pairs = [a / b for a, b in zip(times, base, strict=False)] if base else []
            rows.append(
                [
                    f"{name}: {TITLES[system]}",
                    time(min(times)),
                    time(statistics.median(times)),
                    f"{spread(times):.0%}",
                    over(min(times), min(base) if base else None),
                    f"{statistics.median(pairs):.2f}" if pairs else "",
                ]
            )
        gaps += [f"{name}: {TITLES[s]} is absent: {why}" for s, why in result["absent"].items()]
    head = ["", "best", "median", "spread", "ratio", "median ratio"]
    return "\n".join([table(title, head, rows), "", *gaps])


def looking(results: Results) -> str:
    """Return the table of what lines and hooks cost, in microseconds."""
    rows = []
    for title, result in results.items():
        found, share = best(result), result["share"]
        numbers = (found["off"], found["on"], (found["on"] - found["off"]) / share)
        rows.append([title, *(f"{1e6 * n:.2f}" for n in numbers)])
    title = "What looking costs, on tensors of 8 numbers, one thread, in microseconds:"
    return table(title, ["", "off", "on", "more, for each"], rows)


def sizes(result: Results) -> str:
    """Return the table of imports, size on disk and peak memory."""
    cpu, disk = result["import"], result["installed"]
    rows = [
        [
            "CPU seconds of the import",
            f"{cpu['torch']:.2f}",
            *[f"{cpu['numpy']:.2f} + {cpu['ours']:.3f}"] * 2,
        ],
        [
            "size on disk, MB",
            f"{disk['torch']:.0f}",
            *[f"{disk['numpy']:.0f} + {disk['ours']:.1f}"] * 2,
        ],
    ]
    for workload, found in result["memory"].items():
        peaks = [f"{found[s]:.0f}" if s in found else "" for s in USUAL]
        rows.append([f"peak memory of {workload}, MB", *peaks])
    title = "Import, size and memory (NumPy's share + this package's own):"
    return table(title, ["", *(TITLES[s] for s in USUAL)], rows)


def summary(result: Results) -> str:
    """Return the tables for the README, of what was measured."""
    versions = ", ".join(f"{k} {v}" for k, v in result["machine"].items() if k != "processor")
    texts = [f"{result['machine']['processor']}, {os.cpu_count()} cores; {versions}."]
    if "one thread" in result:
        title = "One thread, time over torch's:"
        texts.append(ratios(title, result["one thread"], limits=True))
    if "default threads" in result:
        title = "Default threads, each system alone:"
        texts.append(ratios(title, result["default threads"]))
    for page, title in PAGES.items():
        if page in result:
            texts.append(op_summary(title, result[page]))
    if "looking" in result:
        texts.append(looking(result["looking"]))
    if "memory" in result:
        texts.append(sizes(result))
    return "\n\n".join(texts)


def details(result: Results) -> str:
    """Return what is printed before the summary: every system's blocks, and every op."""
    texts = [
        blocks(f"{key}:", result[key]) for key in ("one thread", "default threads") if key in result
    ]
    for page in PAGES:
        results = result.get(page, {})
        if results:
            quoted = {f"`{expression}`": found for expression, found in results.items()}
            texts.append(ratios(f"{page}:", quoted))
        texts += [
            f"{expression}: {TITLES[system]} is absent: {why}"
            for expression, found in results.items()
            for system, why in found["absent"].items()
        ]
    return "\n\n".join(texts)


def write_readme(text: str, path: Path) -> None:
    """Put the tables between the marks of a README."""
    begin, end = MARKS
    old = path.read_text()
    if begin not in old or end not in old:
        raise SystemExit(f"{path} has no place between {begin} and {end}")
    head, rest = old.split(begin, 1)
    tail = rest.split(end, 1)[1]
    path.write_text(f"{head}{begin}\n\n{text}\n\n{end}{tail}")
