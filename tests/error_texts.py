"""The texts of errors, whole: `error_texts.toml` has the situations, ``docs/errors.md`` shows them.

``python -m tests.error_texts`` runs every situation and writes the texts into the table and the page.
"""

from __future__ import annotations

import linecache
import tomllib
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_like as torch

TABLE = Path(__file__).with_suffix(".toml")
PAGE = Path(__file__).parent.parent / "docs" / "errors.md"
FILE = "train.py"  # what the file of a situation's lines is called

HEAD = """\
# Errors

Every error says what it got and what it wanted in one sentence, as PyTorch's do. The lines below it say
in which module it happened, on which line, what the operands were and where they were made, what was
expected and what to try. They are notes of the exception (`error.__notes__`), which tracebacks show;
`torch.debug.text(error)` returns all of it, and `str(error)` the sentence alone.

Where an operand was made is noted if a gradient is recorded for it, which `torch.debug.set_trace_lines(False)`
turns off. For any other the program's own code tells where its name was assigned, as far as that is certain.
What Python refuses before a function is entered, such as an argument that a constructor does not have, keeps
Python's own text.

This page is written by `python -m tests.error_texts`, which runs all of it.
"""


@dataclass(frozen=True)
class Situation:
    """A program that goes wrong, and all that is said about it."""

    section: str
    name: str
    code: str
    text: str


def situations() -> list[Situation]:
    """Return the table."""
    with TABLE.open("rb") as file:
        rows = tomllib.load(file)["situation"]
    return [Situation(**{key: value.strip("\n") for key, value in row.items()}) for row in rows]


def text_of(code: str, torch: Any = torch) -> str:
    """Run a program with this package or PyTorch, and return the end of its traceback."""
    lines = [line + "\n" for line in code.splitlines()]
    linecache.cache[FILE] = (len(code), None, lines, FILE)
    namespace: dict[str, Any] = {
        **{"torch": torch, "nn": torch.nn, "F": torch.nn.functional, "np": np},
        "__name__": "train",
    }
    try:
        exec(compile(code, FILE, "exec"), namespace)
    except Exception as error:
        text = "".join(traceback.format_exception_only(error)).strip("\n")
        return "\n".join(line.rstrip() for line in text.expandtabs(4).splitlines())
    finally:
        del linecache.cache[FILE]
    return "no error"


def page(rows: list[Situation]) -> str:
    """Return the page that shows the table."""
    parts = [HEAD]
    section = ""
    for row in rows:
        if row.section != section:
            section = row.section
            parts.append(f"\n## {section}\n")
        title = row.name[0].upper() + row.name[1:]
        parts.append(f"\n### {title}\n\n```python\n{row.code}\n```\n\n```text\n{row.text}\n```\n")
    return "".join(parts)


def table(rows: list[Situation]) -> str:
    """Return the table as it is written."""
    parts = [
        f'[[situation]]\nsection = "{row.section}"\nname = "{row.name}"\n'
        f"code = '''\n{row.code}\n'''\ntext = '''\n{row.text}\n'''\n"
        for row in rows
    ]
    return "\n".join(parts)


def main() -> None:
    """Run every situation, and write its text into the table and the page."""
    rows = [Situation(r.section, r.name, r.code, text_of(r.code)) for r in situations()]
    TABLE.write_text(table(rows), encoding="utf-8")
    PAGE.write_text(page(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
