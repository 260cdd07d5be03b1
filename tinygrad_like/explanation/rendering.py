"""A lesson as text of 80 columns, and as HTML."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from html import escape

from tinygrad_like.explanation.lesson import Part, Section

WIDTH = 80


def as_text(sections: Sequence[Section]) -> str:
    """Return a lesson as text, wrapped at 80 columns."""
    blocks = []
    for section in sections:
        lines = [section.title]
        if section.kind == "introduction":
            lines.append("=" * len(section.title))
        for part in section.parts:
            lines += [""] if section.kind == "introduction" else []
            lines += _wrapped(part)
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _wrapped(part: Part) -> list[str]:
    indent = "  " * part.depth
    if part.kind == "code":
        room = WIDTH - len(indent)
        text = part.text if len(part.text) <= room else part.text[: room - 4].rstrip() + " ..."
        return [indent + text]
    hanging = indent + ("    " if part.kind in ("formula", "send", "contribution") else "")
    written = _fill(part.text, indent, hanging)
    for label, text in part.rows:
        start = f"{indent}  {label:<10}"
        written += _fill(text, start, " " * len(start))
    return written


def _fill(text: str, first: str, later: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=later, break_on_hyphens=False
    )


_STYLE = """
.backward-lesson{font:14px/1.5 system-ui,sans-serif;max-width:46em;color:inherit}
.backward-lesson h3{font-size:1.2em;margin:0 0 .4em}
.backward-lesson p{margin:.15em 0}
.backward-lesson details{border-left:3px solid #8a94a6;padding:.1em 0 .1em .9em;margin:.7em 0}
.backward-lesson details.leaf{border-color:#3b82c4}
.backward-lesson details.bad{border-color:#d0342c}
.backward-lesson summary{font-weight:600;cursor:pointer}
.backward-lesson .place,.backward-lesson .none,.backward-lesson .count{opacity:.72;font-size:.92em}
.backward-lesson .code,.backward-lesson .formula,.backward-lesson .gradient,
.backward-lesson .contribution,.backward-lesson .local,.backward-lesson .send{
font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.92em}
.backward-lesson .formula{margin-top:.55em;font-weight:600}
.backward-lesson code{background:rgba(130,140,160,.18);border-radius:3px;padding:0 .25em}
.backward-lesson p.code{background:rgba(130,140,160,.12);border-radius:3px;padding:.1em .5em}
.backward-lesson .gradient{margin-top:.3em}
.backward-lesson .sum{border-left:2px solid #c98a1b;padding-left:.5em}
.backward-lesson .right::before{content:"\\2713  ";color:#2c8a4b}
.backward-lesson .wrong{border:1px solid #d0342c;border-radius:4px;padding:.3em .6em;margin:.4em 0}
.backward-lesson .d2{margin-left:1.6em}
.backward-lesson .operands{opacity:.85}
"""


def as_html(sections: Sequence[Section]) -> str:
    """Return a lesson as a piece of HTML that needs nothing from outside."""
    pieces = [f'<div class="backward-lesson"><style>{_STYLE}</style>']
    for section in sections:
        parts = "".join(_paragraph(part) for part in section.parts)
        if section.kind == "introduction":
            pieces.append(f"<h3>{escape(section.title)}</h3>{parts}")
            continue
        bad = " bad" if any(part.kind == "wrong" for part in section.parts) else ""
        pieces.append(
            f'<details open class="{section.kind}{bad}"><summary>{_marked(section.title)}</summary>'
            f"{parts}</details>"
        )
    return "\n".join(pieces) + "\n</div>"


def _paragraph(part: Part) -> str:
    if part.rows:
        rows = "".join(f"<dt>{escape(a)}</dt><dd>{_marked(b)}</dd>" for a, b in part.rows)
        title = f"<p>{_marked(part.text)}</p>"
        return f'<div class="{part.kind} d{part.depth}">{title}<dl>{rows}</dl></div>'
    return f'<p class="{part.kind} d{part.depth}">{_marked(part.text)}</p>'


def _marked(text: str) -> str:
    """Return text as HTML, names in backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def page(sections: Sequence[Section]) -> str:
    """Return a lesson as a page of HTML, which opens from disk."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{escape(sections[0].title)}</title>\n"
        "<style>:root{color-scheme:light dark}body{margin:2em auto;max-width:50em;padding:0 1em}"
        f"</style>\n</head>\n<body>\n{as_html(sections)}\n</body>\n</html>\n"
    )
