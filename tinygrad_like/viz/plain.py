"""A layered SVG written without Graphviz: plainer, but always at hand.

Layers are longest paths, after K. Sugiyama, S. Tagawa and M. Toda (1981), Methods for visual
understanding of hierarchical system structures: long arrows get a stand-in on each layer they
cross, and each layer is put in the order of its neighbours' mean places, down and up in turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

from tinygrad_like.viz.drawing import classes_of, paint_of
from tinygrad_like.viz.picture import Box, Picture
from tinygrad_like.viz.styles import FONT, LIGHT, Style

GAP, LAYER_GAP, MARGIN, LINE_HEIGHT = 24.0, 40.0, 36.0, 13.0
SWEEPS = 6


@dataclass
class _Place:
    """Where a box, or a stand-in of width 0, lies: the middle of it."""

    layer: int
    width: float
    height: float
    cluster: int | None = None
    x: float = 0.0
    y: float = 0.0
    up: list[int] = field(default_factory=list)
    down: list[int] = field(default_factory=list)
    label: list[str] = field(default_factory=list)  # of a stand-in: what stands at its arrow


def _size(box: Box) -> tuple[float, float]:
    widths = [6.6 * len(box.title) if box.title else 0.0, *(5.1 * len(line) for line in box.lines)]
    rows = bool(box.title) + len(box.lines)
    extra = 26.0 if box.kind == "operation" else 16.0
    return max(widths, default=0.0) + extra, rows * LINE_HEIGHT + 9.0


def _layers(picture: Picture) -> list[int]:
    """Return the layer of each box: below all its operands, and operands close to their use."""
    count = len(picture.boxes)
    users: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    operands: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    for index, (source, target) in enumerate(picture.arrows):
        step = 2 if index in picture.labels else 1  # a label takes a layer of its own
        users[source].append((target, step))
        operands[target].append((source, step))
    layer = [0] * count
    for number in range(count):  # operands come first in a picture
        layer[number] = max((layer[o] + step for o, step in operands[number]), default=0)
    for number in range(count):
        if users[number] and not operands[number]:
            layer[number] = min(layer[user] - step for user, step in users[number])
    return layer


def _routes(picture: Picture, places: list[_Place]) -> list[list[int]]:
    """Return for each arrow the places it passes, adding stand-ins where it crosses a layer."""
    routes = []
    for index, (source, target) in enumerate(picture.arrows):
        route = [source]
        for layer in range(places[source].layer + 1, places[target].layer):
            places.append(_Place(layer, 4.0, 0.0, places[source].cluster))
            route.append(len(places) - 1)
        if index in picture.labels:
            _write(places[route[1 + (len(route) - 1) // 2]], picture.labels[index])
        route.append(target)
        for before, after in pairwise(route):
            places[before].down.append(after)
            places[after].up.append(before)
        routes.append(route)
    return routes


def _write(place: _Place, label: str) -> None:
    """Give a stand-in the room that a label takes."""
    place.label = label.split("\n")
    place.width = max(5.1 * len(line) for line in place.label) + 8.0
    place.height = len(place.label) * LINE_HEIGHT + 2.0


def _arrange(places: list[_Place], aside: set[int]) -> None:
    """Order each layer and give every place its coordinates; those `aside` stand in a column."""
    layers: list[list[int]] = [[] for _ in range(max(p.layer for p in places) + 1)]
    for number, place in enumerate(places):
        if number not in aside:
            layers[place.layer].append(number)
    layers = [layer for layer in layers if layer]
    for sweep in range(SWEEPS):
        downwards = sweep % 2 == 0
        for layer in layers if downwards else reversed(layers):
            _place_layer(places, layer, downwards, order=sweep < SWEEPS - 2)
    top = MARGIN
    for layer in layers:
        height = max(places[number].height for number in layer)
        for number in layer:
            places[number].y = top + height / 2
        top += height + LAYER_GAP
    members = [place for number, place in enumerate(places) if number not in aside]
    left = min((p.x - p.width / 2 for p in members), default=0.0)
    for place in members:
        place.x += MARGIN - left
    right = max((p.x + p.width / 2 for p in members), default=0.0) + 2 * GAP
    widest, top = max((places[n].width for n in aside), default=0.0), MARGIN
    for number in sorted(aside):
        place = places[number]
        place.x, place.y = right + widest / 2, top + place.height / 2
        top += place.height + 12.0


def _place_layer(places: list[_Place], layer: list[int], downwards: bool, order: bool) -> None:
    """Put each member where its neighbours' mean is, then push apart what overlaps."""
    wanted = {}
    for number in layer:
        near = places[number].up if downwards else places[number].down
        near = near or (places[number].down if downwards else places[number].up)
        if near:
            wanted[number] = sum(places[n].x for n in near) / len(near)
        else:
            wanted[number] = places[number].x
    if order:
        layer.sort(key=wanted.__getitem__)
    right: float | None = None
    shift = 0.0
    for number in layer:
        place = places[number]
        place.x = wanted[number]
        if right is not None:
            place.x = max(place.x, right + GAP + place.width / 2)
        shift += place.x - wanted[number]
        right = place.x + place.width / 2
    for number in layer:  # what was pushed to the right is shared out, so layers stay centred
        places[number].x -= shift / len(layer)


def _text(place: _Place, box: Box, style: Style) -> Iterator[str]:
    rows = [(box.title, 11, style.ink, "")] if box.title else []
    for line in box.lines:
        tone = getattr(line, "tone", "faint")
        weight = ' font-weight="bold"' if tone == "alarm" else ""
        rows.append((line, 9, style.tones[tone], weight))
    y = place.y - (len(rows) - 1) * LINE_HEIGHT / 2 + 3.5
    for text, size, color, weight in rows:
        yield (
            f'<text x="{place.x:.1f}" y="{y:.1f}" font-size="{size}" fill="{color}"{weight} '
            f'text-anchor="middle">{escape(text)}</text>'
        )
        y += LINE_HEIGHT


def _shape(place: _Place, box: Box, style: Style) -> str:
    shape, line, fill, border, width = paint_of(box, style)
    if shape == "plain":
        return ""
    paint = f'fill="{fill}" stroke="{border}"'
    if "dashed" in line:
        paint += ' stroke-dasharray="4 3"'
    if width > 1:
        paint += f' stroke-width="{width:g}"'
    if shape == "ellipse":
        return (
            f'<ellipse cx="{place.x:.1f}" cy="{place.y:.1f}" rx="{place.width / 2:.1f}" '
            f'ry="{place.height / 2:.1f}" {paint}/>'
        )
    radius = 6 if "rounded" in line else 0
    return (
        f'<rect x="{place.x - place.width / 2:.1f}" y="{place.y - place.height / 2:.1f}" '
        f'width="{place.width:.1f}" height="{place.height:.1f}" rx="{radius}" {paint}/>'
    )


def _frames(picture: Picture, places: list[_Place], style: Style) -> tuple[list[str], list[str]]:
    """Return a frame for each module call, outermost first, and their titles, to be written on top."""
    frames, titles = [], []
    bounds: dict[int, list[float]] = {}
    for number, box in enumerate(picture.boxes):
        place, index, border = places[number], box.cluster, 8.0
        while index is not None:
            found = bounds.setdefault(index, [1e9, 1e9, -1e9, -1e9])
            found[0] = min(found[0], place.x - place.width / 2 - border)
            found[1] = min(found[1], place.y - place.height / 2 - 1.6 * border - 4)
            found[2] = max(found[2], place.x + place.width / 2 + border)
            found[3] = max(found[3], place.y + place.height / 2 + border)
            index, border = picture.clusters[index].parent, border + 7.0
    for index, (left, top, right, bottom) in sorted(bounds.items()):
        cluster = picture.clusters[index]
        right = max(right, left + 10 + 5.1 * len(cluster.title))
        frames.append(
            f'<g class="cluster"><rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" '
            f'height="{bottom - top:.1f}" rx="8" fill="{style.frames[min(cluster.depth, 2)]}" '
            f'fill-opacity="0.6" stroke="{style.frame}"/></g>'
        )
        titles.append(
            f'<text x="{left + 5:.1f}" y="{top + 9:.1f}" {_rim(style)} '
            f'font-size="9" fill="{style.tones["faint"]}">{escape(cluster.title)}</text>'
        )
    return frames, titles


def _rim(style: Style) -> str:
    """Return what gives letters a rim of the paper's colour, where they stand on lines."""
    return f'stroke="{style.paper}" stroke-width="3" paint-order="stroke"'


def _labels(places: list[_Place], style: Style) -> Iterator[str]:
    for place in places:
        y = place.y - (len(place.label) - 1) * LINE_HEIGHT / 2 + 3.0
        for text in place.label:
            yield (
                f'<text x="{place.x:.1f}" y="{y:.1f}" font-size="9" fill="{style.tones["faint"]}" '
                f'{_rim(style)} text-anchor="middle">{escape(text)}</text>'
            )
            y += LINE_HEIGHT


def _path(points: list[tuple[float, float]], vertical: bool) -> str:
    """Return a smooth path through the points, leaving and arriving along the layers' axis."""
    x, y = points[0]
    parts = [f"M{x:.1f},{y:.1f}"]
    for to_x, to_y in points[1:]:
        if vertical:
            half = (y + to_y) / 2
            parts.append(f"C{x:.1f},{half:.1f} {to_x:.1f},{half:.1f} {to_x:.1f},{to_y:.1f}")
        else:
            half = (x + to_x) / 2
            parts.append(f"C{half:.1f},{y:.1f} {half:.1f},{to_y:.1f} {to_x:.1f},{to_y:.1f}")
        x, y = to_x, to_y
    return " ".join(parts)


def plain_svg(
    picture: Picture, *, vertical: bool = True, direction: str = "forward", style: Style = LIGHT
) -> str:
    """Return the picture as an SVG document."""
    places = [
        _Place(layer, *_size(box), box.cluster)
        for layer, box in zip(_layers(picture), picture.boxes, strict=True)
    ]
    if not vertical:
        for place in places:
            place.width, place.height = place.height, place.width
    routes = _routes(picture, places)
    if not vertical:
        for place in places[len(picture.boxes) :]:
            place.width, place.height = max(place.height, 4.0), place.width
    if places:
        _arrange(places, {number for pair in picture.columns for number in pair})
    if not vertical:
        for place in places:
            place.x, place.y = place.y, place.x
            place.width, place.height = place.height, place.width
    width = max((p.x + p.width / 2 for p in places), default=0.0) + MARGIN
    height = max((p.y + p.height / 2 for p in places), default=0.0) + MARGIN
    captions = []
    for caption in picture.captions:
        captions.append(
            f'<text x="{MARGIN:.1f}" y="{height:.1f}" font-size="10" '
            f'fill="{style.tones["faint"]}">{escape(caption)}</text>'
        )
        height += LINE_HEIGHT
        width = max(width, 2 * MARGIN + 5.6 * len(caption))
    frames, titles = _frames(picture, places, style)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="{FONT}">',
        "<defs>"
        + "".join(
            f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
            f'markerHeight="7" orient="auto-start-reverse"><path d="M0,0.5L8,4L0,7.5z" fill="{color}"/></marker>'
            for name, color in (("forward", style.line), ("backward", style.backward))
        )
        + "</defs>",
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="{style.paper}"/>',
        *frames,
    ]
    for route in routes:
        points = [(places[n].x, places[n].y) for n in route]
        first, last = places[route[0]], places[route[-1]]
        if vertical:
            points[0] = (first.x, first.y + first.height / 2)
            points[-1] = (last.x, last.y - last.height / 2)
        else:
            points[0] = (first.x + first.width / 2, first.y)
            points[-1] = (last.x - last.width / 2, last.y)
        path = _path(points, vertical)
        kinds = picture.boxes[route[0]].kind, picture.boxes[route[-1]].kind
        ends = "" if kinds[1] == "flow" else ' marker-end="url(#forward)"'
        starts = "" if kinds[0] == "flow" else ' marker-start="url(#backward)"'
        if direction != "backward":
            lines.append(f'<path class="edge" d="{path}" fill="none" stroke="{style.line}"{ends}/>')
        if direction != "forward" and kinds[0] not in (
            "constant",
            "input",
        ):
            aside = ' transform="translate(5 0)"' if direction == "both" else ""
            lines.append(
                f'<path class="edge" d="{path}" fill="none" stroke="{style.backward}" '
                f'stroke-dasharray="4 3"{starts}{aside}/>'
            )
    lines += [*titles, *_labels(places, style)]
    for box, place in zip(picture.boxes, places, strict=False):
        lines.append(f'<g class="{classes_of(box)}">')
        if box.note:
            lines.append(f"<title>{escape(box.note)}</title>")
        lines += [_shape(place, box, style), *_text(place, box, style), "</g>"]
    return "\n".join([*lines, *captions, "</svg>"]) + "\n"
