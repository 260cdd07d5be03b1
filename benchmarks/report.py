"""Turn results into tables, and put them into the README."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.systems import TITLES
from benchmarks.timing import summary

MARKS = ("<!-- benchmark table -->", "<!-- end of benchmark table -->")
GAP = ""


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


def ratios(title: str, results: Mapping[str, Any], limits: bool) -> str:
    """Return the table of ratios to torch, of workloads' results by name.

    With `limits` also of how often the least time, by this machine's measured flops or bandwidth,
    fits into each system's.
    """
    systems = [s for s in TITLES if any(s in result["times"] for result in results.values())]
    others = [s for s in systems if s != "torch"]
    head = ["workload", "torch", *(TITLES[s] for s in others)]
    if limits:
        head += [f"{TITLES[s]} / limit" for s in systems if s in ("torch", "ours", "jit")]
    rows = []
    for name, result in results.items():
        best = {system: min(times) for system, times in result["times"].items()}
        base = best.get("torch")
        row = [name, f"{base * 1e3:.3f} ms" if base else GAP]
        row += [f"{best[s] / base:.2f}" if base and s in best else GAP for s in others]
        if limits:
            limit = result["limit"]
            row += [
                f"{best[s] / limit:.1f}" if limit and s in best else GAP
                for s in systems
                if s in ("torch", "ours", "jit")
            ]
        rows.append(row)
    return table(title, head, rows)


def details(results: Mapping[str, Any]) -> str:
    """Return the table of best block, median and spread of every system, and what is absent."""
    rows, gaps = [], []
    for name, result in results.items():
        base = result["times"].get("torch")
        for system, times in result["times"].items():
            best, median, spread = summary(times)
            # Rounds are compared each with itself, so that what slows the machine cancels.
            pairs = [a / b for a, b in zip(times, base, strict=False)] if base else []
            rows.append(
                [
                    f"{name}: {TITLES[system]}",
                    f"{best * 1e3:.3f} ms",
                    f"{median * 1e3:.3f} ms",
                    f"{spread:.0%}",
                    f"{best / min(base):.2f}" if base else GAP,
                    f"{statistics.median(pairs):.2f}" if pairs else GAP,
                ]
            )
        gaps += [f"{name}: {TITLES[s]} is absent: {why}" for s, why in result["absent"].items()]
    head = ["", "best", "median", "spread", "ratio", "median ratio"]
    return "\n".join([table("", head, rows), "", *gaps])


def op_ratios(results: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return the ratios of best blocks to torch's, by system and expression."""
    found: dict[str, dict[str, float]] = {}
    for expression, result in results.items():
        for system, times in result["times"].items():
            if system != "torch" and "torch" in result["times"]:
                base = min(result["times"]["torch"])
                found.setdefault(system, {})[expression] = min(times) / base
    return found


def op_page(results: Mapping[str, Any]) -> str:
    """Return the table of every op."""
    found = op_ratios(results)
    rows = []
    for expression, result in results.items():
        base = result["times"].get("torch")
        ratios = [found[s].get(expression) for s in found]
        rows.append(
            [
                f"`{expression}`",
                f"{min(base) * 1e6:.0f} us" if base else GAP,
                *(f"{ratio:.2f}" if ratio else GAP for ratio in ratios),
            ]
        )
    gaps = [
        f"{expression}: {TITLES[system]} is absent: {why}"
        for expression, result in results.items()
        for system, why in result["absent"].items()
    ]
    title = "Every op at (64, 1000), forward + backward, time over torch's:"
    head = ["op", "torch", *(TITLES[s] for s in found)]
    return "\n".join([table(title, head, rows), "", *gaps])


def op_summary(results: Mapping[str, Any], worst: int = 10) -> str:
    """Return the median over all ops, and the worst ones, of every system."""
    rows = []
    for system, ratios in op_ratios(results).items():
        order = sorted(ratios, key=ratios.__getitem__, reverse=True)
        middle = statistics.median(ratios.values())
        last = ", ".join(f"`{e}` {ratios[e]:.1f}" for e in order[:worst])
        slower = sum(ratio > 1 for ratio in ratios.values())
        rows.append([TITLES[system], f"{middle:.2f}", f"{slower} of {len(ratios)}", last])
    title = "Every op at (64, 1000), forward + backward, one thread, time over torch's:"
    return table(title, ["", "median", "slower than torch", "slowest"], rows)


def write_readme(text: str, path: Path) -> None:
    """Put the tables between the marks of a README."""
    begin, end = MARKS
    old = path.read_text()
    if begin not in old or end not in old:
        raise SystemExit(f"{path} has no place between {begin} and {end}")
    head, rest = old.split(begin, 1)
    tail = rest.split(end, 1)[1]
    path.write_text(f"{head}{begin}\n\n{text}\n\n{end}{tail}")
