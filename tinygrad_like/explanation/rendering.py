"""A lesson as text of 80 columns, and as HTML."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING

from tinygrad_like.explanation.folding import Row
from tinygrad_like.explanation.lesson import Part, Section
from tinygrad_like.explanation.steps import BackwardStep

if TYPE_CHECKING:
    from tinygrad_like.explanation import Explanation

WIDTH = 80
UNFOLDED = 300  # steps; the overview of more can't be unfolded on a page


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
        if section.overview:
            lines += ["", *_table(section.overview)]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _table(rows: Sequence[Row]) -> list[str]:
    """Return an overview as lines: as wide as there is room, the end of where it is if that is long."""
    heads = ("step", "operation", "gradient", "largest", "sends to", "in")
    cells = [(r.number, r.what, r.shape, f"{r.largest:.2g}", r.receivers, r.where) for r in rows]
    longest = (9, 17, 12, 8, 13, WIDTH)
    widths = [
        min(most, max(len(row[i]) for row in (heads, *cells))) for i, most in enumerate(longest)
    ]
    widths[-1] = WIDTH - sum(widths[:-1]) - 2 * (len(widths) - 1)
    lines = []
    for row in (heads, *cells):
        if row[2]:
            parts = [_cut(row[i], widths[i]).ljust(widths[i]) for i in range(5)]
            parts[0] = parts[0].strip().rjust(widths[0])
        else:  # many steps: what they are takes two columns
            wide = widths[1] + widths[2] + 2
            parts = [row[0].rjust(widths[0]), _cut(row[1], wide).ljust(wide)]
            parts += [_cut(row[i], widths[i]).ljust(widths[i]) for i in (3, 4)]
        where = row[5]
        parts.append(where if len(where) <= widths[5] else "…" + where[-widths[5] + 1 :])
        lines.append("  ".join(parts).rstrip())
    return lines


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _wrapped(part: Part) -> list[str]:
    indent = "  " * part.depth
    if part.kind == "code":
        room = WIDTH - len(indent)
        text = part.text if len(part.text) <= room else part.text[: room - 4].rstrip() + " ..."
        return [indent + text]
    hanging = indent + ("    " if part.kind in ("formula", "send", "contribution") else "")
    written = _fill(part.text, indent, hanging)
    return written + table(part.rows, indent + "  ")


def table(rows: Sequence[tuple[str, str]], indent: str) -> list[str]:
    """Return labels and texts side by side, wrapped."""
    lines = []
    for label, text in rows:
        start = f"{indent}{label:<10}"
        lines += _fill(text, start, " " * len(start))
    return lines


def _fill(text: str, first: str, later: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=later, break_on_hyphens=False
    )


_STYLE = """
.backward-lesson{font:14px/1.5 system-ui,sans-serif;max-width:54em;color:inherit;--line:rgba(128,138,155,.3);
--soft:rgba(128,138,155,.12);--blue:#3b82c4;--amber:#c98a1b;--red:#d0342c;--green:#2c8a4b}
.backward-lesson h3{font-size:1.25em;margin:0 0 .4em}
.backward-lesson h4{font-size:1.05em;margin:1.2em 0 .2em}
.backward-lesson h5{font-size:1em;margin:.2em 0}
.backward-lesson p{margin:.15em 0}
.backward-lesson>p.order{max-width:46em}
.backward-lesson>details{border:1px solid var(--line);border-left:4px solid #8a94a6;border-radius:6px;
padding:.35em .9em .5em;margin:.7em 0}
.backward-lesson>details.leaf{border-left-color:var(--blue)}
.backward-lesson>details.bad{border-left-color:var(--red)}
.backward-lesson summary{font-weight:600;cursor:pointer}
.backward-lesson .place,.backward-lesson .none,.backward-lesson .count{opacity:.72;font-size:.92em}
.backward-lesson .code,.backward-lesson .formula,.backward-lesson .gradient,.backward-lesson dd,
.backward-lesson .contribution,.backward-lesson .local,.backward-lesson .send,.backward-lesson .row span{
font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.92em}
.backward-lesson .formula{margin-top:.6em;font-weight:600}
.backward-lesson code{background:rgba(130,140,160,.18);border-radius:3px;padding:0 .25em;font-size:.95em}
.backward-lesson p.code{background:var(--soft);border-radius:3px;padding:.1em .5em;margin:.2em 0;
white-space:pre-wrap}
.backward-lesson .gradient{margin:.3em 0;padding:.1em .5em;background:rgba(59,130,196,.12);border-radius:3px;
display:table}
.backward-lesson .sum{border-left:3px solid var(--amber);padding-left:.5em}
.backward-lesson .right::before{content:"\\2713  ";color:var(--green)}
.backward-lesson .wrong{border:1px solid var(--red);border-left-width:4px;border-radius:4px;
padding:.4em .7em;margin:.5em 0;background:rgba(208,52,44,.07)}
.backward-lesson .wrong>p{font-weight:600}
.backward-lesson dl{display:grid;grid-template-columns:max-content 1fr;gap:.1em 1em;margin:.3em 0 0}
.backward-lesson dt{opacity:.72}
.backward-lesson dd{margin:0}
.backward-lesson .d2{margin-left:1.6em}
.backward-lesson .operands{opacity:.85}
.backward-lesson .overview{border:1px solid var(--line);border-radius:6px;overflow-x:auto;margin:.6em 0}
.backward-lesson .row{display:grid;gap:0 1em;padding:.12em .8em;min-width:46em;font-weight:400;
grid-template-columns:5.5em minmax(9em,2fr) 8em 8em minmax(6em,1fr) minmax(9em,2fr)}
.backward-lesson .row span{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.backward-lesson .row span:first-child{text-align:right;opacity:.72}
.backward-lesson .row span:last-child{direction:rtl;text-align:left;opacity:.85}
.backward-lesson .row.head span{font-weight:600;opacity:1;font-family:inherit}
.backward-lesson .row.head{border-bottom:1px solid var(--line)}
.backward-lesson .row b{position:relative;font-weight:400;padding-left:.3em}
.backward-lesson .row .bar{position:relative}
.backward-lesson .row .several{grid-column:span 2}
.backward-lesson .row i{position:absolute;left:0;top:.15em;bottom:.15em;background:rgba(59,130,196,.28);
border-radius:2px}
.backward-lesson .line>summary{display:grid;list-style:none}
.backward-lesson .line>summary:hover,.backward-lesson .line[open]>summary{background:var(--soft)}
.backward-lesson .line>summary span:first-child::before{content:"\\25b8";float:left;opacity:.7}
.backward-lesson .line[open]>summary span:first-child::before{content:"\\25be"}
.backward-lesson .line.bad>summary,.backward-lesson .row.bad{background:rgba(208,52,44,.12)}
.backward-lesson .line>div{margin:.3em .8em .6em 6.2em;padding-left:.8em;border-left:3px solid var(--line)}
.backward-lesson .line>div.bad{border-color:var(--red)}
.backward-lesson .line>div.leaf{border-color:var(--blue)}
"""


Slice = Callable[[list[BackwardStep]], "Explanation"]


def as_html(sections: Sequence[Section], lesson_of: Slice) -> str:
    """Return a lesson as a piece of HTML that needs nothing from outside.

    Args:
        sections: the lesson's.
        lesson_of: gives the lesson of some of its steps, to be unfolded in an overview.
    """
    pieces = [f'<div class="backward-lesson"><style>{_STYLE}</style>']
    for section in sections:
        if section.kind in ("introduction", "overview"):
            level = "h3" if section.kind == "introduction" else "h4"
            pieces.append(f"<{level}>{escape(section.title)}</{level}>{_paragraphs(section)}")
            pieces.append(_rows(section.overview, lesson_of))
            continue
        pieces.append(
            f'<details open class="{_class(section)}"><summary>{_marked(section.title)}</summary>'
            f"{_paragraphs(section)}</details>"
        )
    return "\n".join(pieces) + "\n</div>"


def _class(section: Section) -> str:
    return section.kind + " bad" * any(part.kind == "wrong" for part in section.parts)


def _paragraphs(section: Section) -> str:
    return "".join(map(_paragraph, section.parts))


def _rows(rows: Sequence[Row], lesson_of: Slice) -> str:
    """Return the rows of an overview, which unfold: a step to its section, several to theirs."""
    if not rows:
        return ""
    sizes = [math.log10(r.largest) for r in rows if 0 < r.largest < math.inf]
    low, high = min(sizes, default=0.0) - 0.5, max(sizes, default=1.0)
    few = sum(len(r.steps) for r in rows) <= UNFOLDED
    heads = ("step", "operation", "gradient", "largest", "sends to", "in")
    pieces = [f'<div class="row head">{"".join(f"<span>{head}</span>" for head in heads)}</div>']
    for row in rows:
        size = math.log10(row.largest) if 0 < row.largest < math.inf else low
        share = (size - low) / (high - low) if high > low else 1.0
        bar = f'<i style="width:{max(share, 0.0):.0%}"></i>'
        cells = (row.number, row.what, row.shape, f"{row.largest:.2g}", row.receivers, row.where)
        spans = [f"<span>{escape(cell)}</span>" for cell in cells]
        spans[3] = f'<span class="bar">{bar}<b>{escape(cells[3])}</b></span>'
        if not row.shape:
            spans[1:3] = [f'<span class="several">{escape(row.what)}</span>']
        line = " ".join(spans)
        sections = lesson_of(row.steps)._sections if few and len(row.steps) <= 30 else []
        inner = "".join(
            f'<div class="{_class(section)}"><h5>{_marked(section.title)}</h5>{_paragraphs(section)}</div>'
            for section in sections
        )
        bad = " bad" if row.what.startswith("WRONG") else ""
        pieces.append(
            f'<details class="line{bad}"><summary class="row">{line}</summary>{inner}</details>'
            if inner
            else f'<div class="row{bad}">{line}</div>'
        )
    return f'<div class="overview">{"".join(pieces)}</div>'


def _paragraph(part: Part) -> str:
    if part.rows:
        rows = "".join(f"<dt>{escape(a)}</dt><dd>{_marked(b)}</dd>" for a, b in part.rows)
        title = f"<p>{_marked(part.text)}</p>"
        return f'<div class="{part.kind} d{part.depth}">{title}<dl>{rows}</dl></div>'
    return f'<p class="{part.kind} d{part.depth}">{_marked(part.text)}</p>'


def _marked(text: str) -> str:
    """Return text as HTML, names in backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def page(sections: Sequence[Section], lesson_of: Slice) -> str:
    """Return a lesson as a page of HTML, which opens from disk."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{escape(sections[0].title)}</title>\n"
        "<style>:root{color-scheme:light dark}body{margin:2em auto;max-width:56em;padding:0 1em}"
        f"</style>\n</head>\n<body>\n{as_html(sections, lesson_of)}\n</body>\n</html>\n"
    )
