"""A picture written in Graphviz's language."""

from __future__ import annotations

from html import escape
from typing import Any

import graphviz

from tinygrad_like.viz.picture import Box, Picture
from tinygrad_like.viz.styles import FONT, HOT, LIGHT, Style

LEAVES = ("parameter", "input", "constant")


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
        room = ""
        if index not in children and len(members[index]) == 1:
            # The arrow that enters in the middle shall not cross the title.
            room = f"<font>{'&#160;' * (2 * len(cluster.title) + 4)}</font>"
        drawing.body.append(
            f'label=<<font color="{faint}">{escape(cluster.title)}</font>{room}> labeljust=l labelloc=t '
            f'style="rounded,filled" color="{style.frame}" fillcolor="{fill}"\n'
        )
        _add_boxes(drawing, members.get(index, []))
        stack.append((index, False))
        stack += [(child, True) for child in reversed(children.get(index, []))]
    for index in range(len(picture.arrows)):
        _add_arrow(drawing, index)
    for source, target in picture.columns:
        drawing.edge(f"n{source}", f"n{target}", style="invis")
    return drawing


_WITHOUT = ("constant", "input")  # kinds of boxes that no gradient goes to


def _add_arrow(drawing: Drawing, index: int) -> None:
    picture, direction = drawing.picture, drawing.direction
    source, target = picture.arrows[index]
    kinds = picture.boxes[source].kind, picture.boxes[target].kind
    forward: dict[str, str] = {"arrowhead": "none"} if kinds[1] == "flow" else {}
    if kinds[0] not in LEAVES:
        forward["weight"] = "4"  # so the way of the data is straight, and leaves stand aside
    backward = {"style": "dashed", "color": drawing.look.backward}
    if index in picture.labels:
        text = graphviz.escape(picture.labels[index]).replace("\n", "\\n ")
        forward["label"] = f" {text}"
    if direction != "backward":
        drawing.edge(f"n{source}", f"n{target}", **forward)
    if direction == "backward":
        # Laid out as the forward arrow, so that the picture keeps its shape.
        ends = {"dir": "none" if kinds[0] in ("flow", *_WITHOUT) else "back"}
        look = {} if kinds[0] in _WITHOUT else backward
        drawing.edge(f"n{source}", f"n{target}", **look, **(forward | ends))
    elif direction == "both" and kinds[0] not in _WITHOUT:
        ends = {"arrowhead": "none"} if kinds[0] == "flow" else {}
        drawing.edge(f"n{target}", f"n{source}", **backward, constraint="false", **ends)


def paint_of(box: Box, style: Style) -> tuple[str, str, str, str, float]:
    """Return shape, Graphviz style, fill, border and the border's width."""
    shape, line, fill, border = style.look(box.kind)
    alarm = style.alarm(box.marks)
    if shape == "ellipse" and len(box.lines) > 2:  # it would be all corners
        shape, line = "box", f"{line},rounded"
    if shape == "plain" and (alarm or box.heat is not None):
        shape, line = "box", "filled"
    width = 2.0 if "bold" in line else 1.0
    if box.heat is not None:
        fill = style.warmed(box.heat, changed="changed" in box.marks)
    if alarm is not None:
        border, width = alarm, 3.0
        line = ",".join(part for part in line.split(",") if part not in ("dashed", "bold"))
        if not any(mark in HOT for mark in box.marks):
            line += ",dashed"
    return shape, line, fill, border, width


def classes_of(box: Box) -> str:
    """Return the classes of a box in an SVG: its marks, whether it has heat, and its kind at the end."""
    return " ".join([*dict.fromkeys(box.marks), *["warm"] * (box.heat is not None), box.kind])


def _add_boxes(drawing: Drawing, numbers: list[int]) -> None:
    picture, look = drawing.picture, drawing.look
    for number in numbers:
        box = picture.boxes[number]
        shape, line, fill, border, width = paint_of(box, look)
        more = {} if width <= 2.0 else {"penwidth": f"{width:g}"}
        # Room for fonts that are wider than the one Graphviz knows.
        longest = max([round(1.3 * len(box.title)), *map(len, box.lines)])
        room = 0.2 + 0.01 * max(longest - 16, 0)
        if longest > 16:
            more["margin"] = f"{room:.2f},0.06"
        if shape == "plain":
            shape, line, border, more = "box", "", "transparent", {"margin": "0.04,0.02"}
        if shape == "box3d":  # its upper edge is within
            more["margin"] = f"{room:.2f},0.12"
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
