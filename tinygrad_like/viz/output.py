"""Pictures written to files, by the best means at hand."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from tinygrad_like.graph import Traced
from tinygrad_like.viz.drawing import Drawing
from tinygrad_like.viz.plain import plain_svg
from tinygrad_like.viz.styles import with_patterns

ENGINES = ("dot", "graphviz-pure", "plain")


def _program(engine: str) -> str | None:
    """Return the path of `dot` or `graphviz-pure`, which pip puts beside Python itself."""
    found = shutil.which(engine)
    if found is None and engine == "graphviz-pure":
        name = engine + (".exe" if os.name == "nt" else "")
        beside = Path(sysconfig.get_path("scripts"), name)
        found = str(beside) if beside.exists() else None
    return found


def _run(program: str, source: str, form: str) -> bytes:
    done = subprocess.run(
        [program, f"-T{form}"], input=source.encode(), capture_output=True, check=False
    )
    if done.returncode != 0:
        message = done.stderr.decode(errors="replace").strip()
        raise RuntimeError(f"render: {Path(program).name} failed: {message:.300}")
    return done.stdout


def _produce(drawing: Any, form: str, engine: str | None) -> bytes:
    """Return the drawing in a format, by the named engine or the first one there is."""
    if engine is not None and engine not in ENGINES:
        raise ValueError(f"render: engine is {engine!r}, expected one of {', '.join(ENGINES)}")
    failure: Exception | None = None
    for name in ENGINES[:2] if engine is None else [engine]:
        if name != "plain" and (program := _program(name)) is not None:
            try:
                return _finished(drawing, form, _run(program, drawing.source, form))
            except (OSError, RuntimeError) as error:  # a broken installation: try the next
                failure = failure or error
        if engine in ENGINES[:2]:
            raise failure or RuntimeError(f"render: the program {engine} is not installed")
    if not isinstance(drawing, Drawing) or form != "svg":
        if failure is not None:
            raise failure
        what = f"the format {form}" if isinstance(drawing, Drawing) else "a graph not made by draw"
        raise RuntimeError(
            f"render: {what} needs Graphviz: pip install graphviz-pure, or install dot; "
            "without them, .svg of what draw returns is what can be written"
        )
    svg = plain_svg(
        drawing.picture,
        vertical=drawing.vertical,
        direction=drawing.direction,
        style=drawing.look,
    )
    return _finished(drawing, form, svg.encode())


def _finished(drawing: Any, form: str, content: bytes) -> bytes:
    """Centre the words of an SVG, and put patterns in the place of colours if it is to be printed."""
    if form != "svg" or not isinstance(drawing, Drawing):
        return content
    text = _NODE.sub(_centred, content.decode())
    if drawing.look.name == "print":
        text = with_patterns(text, {str(box.kind) for box in drawing.picture.boxes})
    return text.encode()


_NODE = re.compile(r'<g id="node\d+" class="node.*?</g>', re.DOTALL)
_OUTLINE = re.compile(r'<(?:polygon|path)[^>]*? (?:points|d)="([^"]*)"')
_WORDS = re.compile(r'(<text [^>]*?)text-anchor="start" x="[^"]*"')


def _centred(found: re.Match[str]) -> str:
    """Return a box whose lines are centred, however wide the reader's font makes them.

    Graphviz writes where each line begins, by the widths of the font that it knows.
    """
    node = found[0]
    ellipse = re.search(r'<ellipse[^>]*? cx="([^"]*)"', node)
    outline = _OUTLINE.search(node)
    if ellipse is not None:
        middle = float(ellipse[1])
    elif outline is not None:
        columns = [float(x) for x in re.findall(r"(-?[\d.]+),-?[\d.]+", outline[1])]
        middle = (min(columns) + max(columns)) / 2
    else:
        return node
    return _WORDS.sub(rf'\1text-anchor="middle" x="{middle:g}"', node)


def svg_of(drawing: Drawing) -> str:
    """Return the drawing as SVG, to be shown in a notebook."""
    return _produce(drawing, "svg", None).decode()


def render(graph: Any, path: Any, *, engine: str | None = None, **options: Any) -> Path:
    """Write a drawing to a file and return its path.

    SVG always works: by ``dot`` if it is installed and runs, else by the package ``graphviz-pure``, else by
    a plain layout of our own. Other formats, such as ``.png``, need one of the first two; ``.dot``
    and ``.gv`` give Graphviz's source.

    Args:
        graph: what `draw` returned, a tensor (or several), which is drawn first.
        path: where to write; its ending tells the format. Folders are made if need be.
        engine: "dot", "graphviz-pure" or "plain", to insist on one.
        options: given to `draw`, for a tensor.

    Raises:
        RuntimeError: if the program insisted on is missing, or the format needs one and none is.
        TypeError: if `graph` can't be drawn, or options are given for what is drawn already.
        ValueError: if the path has no ending or `engine` is unknown.

    >>> import os, tempfile
    >>> import tinygrad_like as torch
    >>> from tinygrad_like import viz
    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     viz.render((x * x).sum(), os.path.join(folder, "graph.svg")).name
    'graph.svg'
    """
    from tinygrad_like.viz import draw

    if isinstance(graph, Traced | list | tuple):
        graph = draw(graph, **options)
    elif options:
        raise TypeError(f"render: {', '.join(options)} can only be given with a tensor")
    elif not hasattr(graph, "source"):
        raise TypeError(f"render: expected a drawing or a tensor, got {type(graph).__name__}")
    target = Path(path)
    form = target.suffix.lstrip(".").lower()
    if not form:
        raise ValueError(f"render: {str(path)!r} has no ending to tell the format; try .svg")
    if form in ("dot", "gv"):
        content = graph.source.encode()
    else:
        content = _produce(graph, form, engine)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    return target
