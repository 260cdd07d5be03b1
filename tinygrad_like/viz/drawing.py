"""A picture written in Graphviz's language."""

from __future__ import annotations

from html import escape
from typing import Any

import graphviz

from tinygrad_like.viz.picture import Box, Picture

FONT = "Helvetica,Arial,sans-serif"
INK, FAINT, LINE, BACKWARD = "#1f2933", "#616e7c", "#7b8794", "#c2410c"

# shape, style, fill, border
LOOKS: dict[str, tuple[str, str, str, str]] = {
    "operation": ("ellipse", "filled", "#ffedd5", "#ea9a4b"),
    "parameter": ("box", "filled,rounded", "#dbeafe", "#4f83cc"),
    "leaf": ("box", "filled,rounded", "#e0f2fe", "#5aa9c9"),
    "constant": ("box", "filled,dashed", "#f5f7fa", "#9aa5b1"),
    "result": ("box", "filled", "#ffffff", "#b8c1cc"),
    "output": ("box", "filled,bold", "#dcfce7", "#3f9b5f"),
    "group": ("box3d", "filled", "#ede9fe", "#8468c4"),
}
FRAME, FRAMES = "#b8c1cc", ("#f8fafc", "#f1f5f9", "#e9eef4")


class Drawing(graphviz.Digraph):  # type: ignore[misc]  # graphviz has no annotations
    """A `graphviz.Digraph` that shows itself in a notebook even where no ``dot`` is installed.

    Attributes:
        picture: what it shows: boxes, arrows and modules.
    """

    picture: Picture
    vertical: bool
    direction: str

    def _repr_svg_(self) -> str:
        from tinygrad_like.viz.output import svg_of

        return svg_of(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **_: Any) -> Any:
        del include, exclude
        return {"image/svg+xml": self._repr_svg_()}


def label_of(box: Box) -> str:
    """Return the label as Graphviz's HTML: the title in bold, the rest small."""
    small = "<br/>".join(
        f'<font point-size="9" color="{FAINT}">{escape(line)}</font>' for line in box.lines
    )
    bold = box.kind not in ("operation", "constant")
    title = escape(box.title)
    title = f"<b>{title}</b>" if title and bold else title
    return f"<{'<br/>'.join(part for part in (title, small) if part)}>"


def to_digraph(picture: Picture, *, direction: str, rankdir: str) -> Drawing:
    """Return the drawing of a picture."""
    drawing = Drawing("graph")
    drawing.picture = picture
    drawing.vertical, drawing.direction = rankdir == "TB", direction
    drawing.attr(
        "graph", rankdir=rankdir, fontname=FONT, fontsize="10", nodesep="0.22", ranksep="0.28"
    )
    drawing.attr(
        "node", fontname=FONT, fontsize="11", fontcolor=INK, height="0.28", margin="0.2,0.06"
    )
    drawing.attr("edge", color=LINE, arrowsize="0.6")
    children: dict[int | None, list[int]] = {}
    for index, cluster in enumerate(picture.clusters):
        children.setdefault(cluster.parent, []).append(index)
    members: dict[int | None, list[int]] = {}
    for number, box in enumerate(picture.boxes):
        members.setdefault(box.cluster, []).append(number)
    _add_boxes(drawing, picture, members.get(None, []))
    # Frames are opened and closed from a stack, since modules may be nested without end.
    stack: list[tuple[int, bool]] = [(index, True) for index in reversed(children.get(None, []))]
    while stack:
        index, opening = stack.pop()
        if not opening:
            drawing.body.append("}\n")
            continue
        cluster = picture.clusters[index]
        fill = FRAMES[min(cluster.depth, len(FRAMES) - 1)]
        drawing.body.append(f"subgraph cluster_{index} {{\n")
        drawing.body.append(
            f'label=<<font color="{FAINT}">{escape(cluster.title)}</font>> labeljust=l '
            f'style="rounded,filled" color="{FRAME}" fillcolor="{fill}"\n'
        )
        _add_boxes(drawing, picture, members.get(index, []))
        stack.append((index, False))
        stack += [(child, True) for child in reversed(children.get(index, []))]
    for source, target in picture.arrows:
        if direction != "backward":
            drawing.edge(f"n{source}", f"n{target}")
        if direction == "backward":
            # Laid out as the forward arrow, so that the picture keeps its shape.
            drawing.edge(f"n{source}", f"n{target}", dir="back", style="dashed", color=BACKWARD)
        elif direction == "both" and picture.boxes[source].kind != "constant":
            drawing.edge(
                f"n{target}", f"n{source}", style="dashed", color=BACKWARD, constraint="false"
            )
    return drawing


def _add_boxes(drawing: Drawing, picture: Picture, numbers: list[int]) -> None:
    for number in numbers:
        box = picture.boxes[number]
        shape, style, fill, border = LOOKS[box.kind]
        drawing.node(
            f"n{number}",
            label_of(box),
            shape=shape,
            style=style,
            fillcolor=fill,
            color=border,
            tooltip=box.note or box.title or box.kind,
            **{"class": box.kind},
        )
