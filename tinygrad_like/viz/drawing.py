"""A picture written in Graphviz's language."""

from __future__ import annotations

from html import escape
from typing import Any

import graphviz

from tinygrad_like.viz.picture import Box, Picture
from tinygrad_like.viz.styles import FONT, LIGHT, Style


class Drawing(graphviz.Digraph):  # type: ignore[misc]  # graphviz has no annotations
    """A `graphviz.Digraph` that shows itself in a notebook even where no ``dot`` is installed.

    Attributes:
        picture: what it shows: boxes, arrows and modules.
        look: the style it is drawn in.
    """

    picture: Picture
    vertical: bool
    direction: str
    look: Style

    def _repr_svg_(self) -> str:
        from tinygrad_like.viz.output import svg_of

        return svg_of(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **_: Any) -> Any:
        del include, exclude
        return {"image/svg+xml": self._repr_svg_()}


def label_of(box: Box, style: Style = LIGHT) -> str:
    """Return the label as Graphviz's HTML: the title in bold, the rest small."""
    small = "<br/>".join(_small(line, style) for line in box.lines)
    bold = box.kind not in ("operation", "constant")
    title = escape(box.title)
    title = f"<b>{title}</b>" if title and bold else title
    return f"<{'<br/>'.join(part for part in (title, small) if part)}>"


def _small(line: str, style: Style) -> str:
    tone = getattr(line, "tone", "faint")
    text = escape(line)
    if tone == "alarm":
        text = f"<b>{text}</b>"
    return f'<font point-size="9" color="{style.tones[tone]}">{text}</font>'


def to_digraph(picture: Picture, *, direction: str, rankdir: str, style: Style = LIGHT) -> Drawing:
    """Return the drawing of a picture."""
    drawing = Drawing("graph")
    drawing.picture, drawing.look = picture, style
    drawing.vertical, drawing.direction = rankdir == "TB", direction
    faint = style.tones["faint"]
    drawing.attr(
        "graph", rankdir=rankdir, fontname=FONT, fontsize="10", nodesep="0.22", ranksep="0.28"
    )
    if style is not LIGHT:
        drawing.attr("graph", bgcolor=style.paper, fontcolor=faint)
    if picture.captions:
        caption = "<br/>".join(
            f'<font color="{faint}">{escape(c)}</font>' for c in picture.captions
        )
        drawing.attr("graph", label=f"<<br/>{caption}>", labelloc="b")
    drawing.attr(
        "node", fontname=FONT, fontsize="11", fontcolor=style.ink, height="0.28", margin="0.2,0.06"
    )
    drawing.attr(
        "edge", color=style.line, arrowsize="0.6", fontname=FONT, fontsize="9", fontcolor=faint
    )
    children: dict[int | None, list[int]] = {}
    for index, cluster in enumerate(picture.clusters):
        children.setdefault(cluster.parent, []).append(index)
    members: dict[int | None, list[int]] = {}
    for number, box in enumerate(picture.boxes):
        members.setdefault(box.cluster, []).append(number)
    _add_boxes(drawing, members.get(None, []))
    # Frames are opened and closed from a stack, since modules may be nested without end.
    occupied = picture.occupied()
    stack: list[tuple[int, bool]] = [(index, True) for index in reversed(children.get(None, []))]
    while stack:
        index, opening = stack.pop()
        if not opening:
            drawing.body.append("}\n")
            continue
        if index not in occupied:
            continue
        cluster = picture.clusters[index]
        fill = style.frames[min(cluster.depth, len(style.frames) - 1)]
        drawing.body.append(f"subgraph cluster_{index} {{\n")
        drawing.body.append(
            f'label=<<font color="{faint}">{escape(cluster.title)}</font>> labeljust=l labelloc=t '
            f'style="rounded,filled" color="{style.frame}" fillcolor="{fill}"\n'
        )
        _add_boxes(drawing, members.get(index, []))
        stack.append((index, False))
        stack += [(child, True) for child in reversed(children.get(index, []))]
    for index, (source, target) in enumerate(picture.arrows):
        label = {}
        if index in picture.labels:
            label = {"label": " " + graphviz.escape(picture.labels[index]).replace("\n", "\\n ")}
        if direction != "backward":
            drawing.edge(f"n{source}", f"n{target}", **label)
        if direction == "backward":
            # Laid out as the forward arrow, so that the picture keeps its shape.
            drawing.edge(
                f"n{source}",
                f"n{target}",
                dir="back",
                style="dashed",
                color=style.backward,
                **label,
            )
        elif direction == "both" and picture.boxes[source].kind not in ("constant", "input"):
            drawing.edge(
                f"n{target}", f"n{source}", style="dashed", color=style.backward, constraint="false"
            )
    return drawing


def paint_of(box: Box, style: Style) -> tuple[str, str, str, str, float]:
    """Return shape, Graphviz style, fill, border and the border's width."""
    shape, line, fill, border = style.look(box.kind)
    width = 2.0 if "bold" in line else 1.0
    if box.heat is not None:
        fill = style.warmed(box.heat)
    alarm = style.alarm(box.marks)
    if alarm is not None:
        border, width = alarm, 3.0
        line = ",".join(part for part in line.split(",") if part not in ("dashed", "bold"))
        if alarm == style.cold:
            line += ",dashed"
    return shape, line, fill, border, width


def classes_of(box: Box) -> str:
    """Return the classes of a box in an SVG: its marks, and at the end its kind."""
    return " ".join([*dict.fromkeys(box.marks), box.kind])


def _add_boxes(drawing: Drawing, numbers: list[int]) -> None:
    picture, look = drawing.picture, drawing.look
    for number in numbers:
        box = picture.boxes[number]
        shape, line, fill, border, width = paint_of(box, look)
        more = {} if width <= 2.0 else {"penwidth": f"{width:g}"}
        if look.name == "print" and box.kind == "parameter":
            more["peripheries"] = "2"
        drawing.node(
            f"n{number}",
            label_of(box, look),
            shape=shape,
            style=line,
            fillcolor=fill,
            color=border,
            tooltip=box.note or box.title or box.kind,
            **{"class": classes_of(box)},
            **more,
        )
