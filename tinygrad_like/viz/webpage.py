"""A page of one file that shows a graph and plays its forward and backward pass.

The page itself, layout included, is the files of the folder ``page``; here they are put together
with the data of one graph. dagre lays the graph out in the browser, anew whenever a module is
folded; it is the smallest layout library that knows frames around boxes (elkjs and Graphviz as
WebAssembly are thirty times as large, most of what a wheel of this package may have).
"""

from __future__ import annotations

import base64
import gzip
import html as markup
import json
import linecache
import os
import re
import sys
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.graph import AccumulateGrad, Node, Traced
from tinygrad_like.lines import cell, line_number
from tinygrad_like.viz.digest import SIDE, brief, digest, with_heat
from tinygrad_like.viz.formulas import argument_names, formula_of, rule_source
from tinygrad_like.viz.grouping import Frames
from tinygrad_like.viz.picture import (
    Call,
    Facts,
    Key,
    Names,
    key_of,
    operation_name,
    operations_of,
)
from tinygrad_like.viz.story import Story, Witness, observe, values_of
from tinygrad_like.viz.subjects import run_function, run_module

LIMIT = 2_000_000  # bytes of a page
SIDES = (SIDE, 16, 8, 4, 0)  # of heat maps, from what is wanted to what always fits
SCRIPTS = ("model.js", "layout.js", "draw.js", "panel.js", "player.js", "main.js")


def html(
    what: Any,
    path: Any,
    inputs: Any = None,
    *,
    params: Any = None,
    modules: Iterable[Call] = (),
    title: str | None = None,
) -> Path:
    """Write a page that shows a graph and plays its forward and backward pass; return its path.

    The page is one file of less than 2 MB that a browser opens from the disk, with nothing loaded
    from elsewhere. Modules fold; a node tells its values, gradient, source line and rule; a slider
    plays the step node by node. Gradients are found by a backward pass of its own, which starts
    with ones, leaves every ``.grad`` as it is and frees nothing. Values that the tape didn't keep
    are computed again where its operands are known.

    Args:
        what: a tensor, or a list of them; a function of no arguments that computes such; or a
            `Module`, which is run with `inputs`. Of what is run here all values and constants are
            known, also those that the tape doesn't keep.
        path: where to write; folders are made if need be.
        inputs: what to call the module with: a tensor, a tuple of arguments or a dict of keyword
            arguments.
        params: names for the data, as for `draw`: besides, the caller's variables name it, and a
            Module names its own.
        modules: calls of modules, as recorded by `tinygrad_like.nn.module.record_modules`; those of
            what is run here are known.
        title: what the page is called; else as the file or the module.

    Raises:
        TypeError: if `what` is or computes something else, or a module comes without inputs.
        RuntimeError: if there is no graph, or its values were freed by a backward.
        ValueError: if the graph is so large that its page would have 2 MB or more.

    >>> import os, tempfile
    >>> import tinygrad_like as torch
    >>> from tinygrad_like import viz
    >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     viz.html((w * w).sum(), os.path.join(folder, "step.html")).name
    'step.html'
    """
    calls, frame, seen = list(modules), sys._getframe(1), Witness()
    if hasattr(what, "named_modules"):
        if inputs is None:
            raise TypeError(
                f"html: give {type(what).__name__} inputs to run it with: html(module, path, x)"
            )
        names = Names.of(what if params is None else params, frame, "html")
        title = title or type(what).__name__
        with seen:
            what, calls = run_module(what, inputs, names)
    elif inputs is not None:
        raise TypeError(f"html: inputs are for a Module, got {type(what).__name__}")
    else:
        if callable(what):
            with seen:
                what, recorded = run_function(what)
            calls += recorded
        names = Names.of(params, frame, "html")
    roots = list(what) if isinstance(what, list | tuple) else [what]
    for root in roots:
        if not isinstance(root, Traced):
            raise TypeError(
                "html: expected a tensor or a list of them, a function that computes one, or a Module "
                f"and its inputs, got {type(root).__name__}"
            )
    roots = [root for root in roots if root.node is not None]
    if not roots:
        raise RuntimeError(
            "html: there is no graph to show: nothing that this was computed from requires a "
            "gradient, or it was computed under no_grad()"
        )
    target = Path(path)
    page = _page(Tale(roots, names, calls, seen).told(), title or target.stem)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(page)
    return target


def _page(told: Any, title: str) -> bytes:
    """Return the page, its heat maps made smaller until it fits.

    Raises:
        ValueError: if it doesn't fit without any.
    """
    folder = files("tinygrad_like.viz") / "page"
    text = {p.name: p.read_text("utf-8") for p in folder.iterdir() if p.is_file()}
    for side in SIDES:
        content = json.dumps(told(side), separators=(",", ":"), allow_nan=False).encode()
        packed = base64.b64encode(gzip.compress(content, mtime=0)).decode()
        parts = {
            "title": markup.escape(title),
            "style": text["page.css"],
            "licence": text["dagre.LICENSE.txt"].replace("--", "- -"),
            "dagre": text["dagre.min.js"],
            "script": "\n".join(text[name] for name in SCRIPTS),
            "data": packed,
        }
        # In one pass, so that nothing that is put in is taken for a slot.
        page = re.sub(r"\{\{(\w+)\}\}", lambda slot: parts[slot[1]], text["page.html"])  # noqa: B023
        found = page.encode()
        if len(found) < LIMIT:
            return found
    raise ValueError(
        f"html: the page would have {len(found):,} bytes, more than {LIMIT:,}; draw fewer steps, or "
        "a part of the graph, or use viz.draw, which summarises"
    )


class Tale:
    """All a page says of a graph, told with heat maps of a size that is settled at the end."""

    def __init__(
        self, roots: Sequence[Any], names: Names, calls: Sequence[Call], seen: Witness | None = None
    ) -> None:
        self.roots, self.names = roots, names
        self.nodes = operations_of(roots)
        # The values of a graph whose backward was run are gone, which this says in plain words.
        self.story: Story = observe(
            [(root.node, np.ones(root.array.shape, root.array.dtype)) for root in roots]
        )
        self.facts = Facts(self.nodes, roots)
        if seen is not None:
            seen.inform(self.facts, self.nodes)
        self.values = values_of(self.nodes, self.facts)
        self.frames = Frames(self.nodes, calls, names)
        self.home = self.frames.home
        self.boxes: list[dict[str, Any]] = []
        self.number: dict[Node, int] = {}
        self.places: dict[tuple[str, int], int] = {}
        self.rules: dict[str, int] = {}

    # ----- Boxes ----------------------------------------------------------------------------------

    def told(self) -> Any:
        """Return a function from the size of heat maps to what the page is told."""
        users: dict[Any, list[int | None]] = {}
        for node in self.nodes:
            for parent in node.parents:
                if isinstance(parent, AccumulateGrad):
                    users.setdefault(parent, []).append(self.home[node])
            for value in self.facts.constants.get(node, ()):
                users.setdefault(id(value), []).append(self.home[node])
        constants: dict[int, int] = {}
        outputs = {key_of(root.node) for root in self.roots}
        for node in self.nodes:
            if isinstance(node, AccumulateGrad):
                if (node, 0) in outputs:
                    self._add_leaf(node, None, outputs)
                continue
            operands = []
            for parent in node.parents:
                if parent is not None:
                    source, index = key_of(parent)
                    if source not in self.number:  # a leaf, which comes before its first use
                        self._add_leaf(source, self.frames.common(users[source]), outputs)
                    operands.append([self.number[source], index])
            for value in self.facts.constants.get(node, ()):
                if id(value) not in constants:
                    constants[id(value)] = len(self.boxes)
                    self._add_constant(value, self.frames.common(users[id(value)]))
                operands.append([constants[id(value)], 0])
            for _ in range(self.facts.missing.get(node, 0)):
                operands.append([len(self.boxes), 0])
                self._add_constant(None, self.home[node])
            self._add("operation", operation_name(node), self.home[node], node, operands, outputs)
        steps = self._steps()

        def told(side: int) -> dict[str, Any]:
            boxes = []
            for box in self.boxes:
                results = [
                    result | {name: with_heat(result.get(name), side) for name in ("value", "grad")}
                    for result in box["results"]
                ]
                boxes.append(box | {"results": results})
            return {
                "boxes": boxes,
                "frames": self.frames.frames,
                "places": [_excerpt(*place) for place in self.places],
                "rules": [json.loads(rule) for rule in self.rules],
                "steps": steps,
            }

        return told

    def _add_leaf(self, leaf: Node, frame: int | None, outputs: set[Key]) -> None:
        given = isinstance(leaf, AccumulateGrad) and id(leaf.array) in self.names.inputs
        kind = "parameter" if leaf in self.names.nodes and not given else "leaf"
        self._add(kind, self.names.nodes.get(leaf, "tensor"), frame, leaf, [], outputs)

    def _add(
        self, kind: str, name: str, frame: int | None, node: Node, operands: Any, outputs: set[Key]
    ) -> None:
        self.number[node] = len(self.boxes)
        shapes = node.shape if isinstance(node.shape, list) else [node.shape]
        box: dict[str, Any] = {
            "kind": kind,
            "name": name,
            "frame": frame,
            "operands": operands,
            "results": [],
        }
        if kind == "operation":
            box |= {"label": node.name(), "tick": node.tick, "called": self.names.nodes.get(node)}
            box["rule"] = self.rules.setdefault(json.dumps(_rules(node)), len(self.rules))
        if node.line is not None:
            place = (node.line[0].co_filename, line_number(node.line))
            box["place"] = self.places.setdefault(place, len(self.places))
        if any((node, index) in outputs for index in range(len(shapes))):
            box["output"] = True
        for index, shape in enumerate(shapes):
            key = (node, index)
            value, grad = self.values.get(key), self.story.gradients.get(key)
            d = value.dtype if value is not None else self.facts.types.get(key)
            found: dict[str, Any] = {
                "shape": list(shape),
                "dtype": "" if d is None else str(dtypes.named(d).name),
                "value": None if value is None else digest(value),
                "grad": None if grad is None else digest(np.asarray(grad)),
            }
            box["results"].append(found)
        self.boxes.append(box)

    def _add_constant(self, value: Any, frame: int | None) -> None:
        """Add a box for what needs no gradient; None is what the tape didn't keep."""
        name, found = "constant", dict[str, Any](shape=None, dtype="", value=None, grad=None)
        if value is not None:
            array = np.asarray(value)
            found["shape"], found["value"] = list(array.shape), digest(array)
        if isinstance(value, np.ndarray):
            name = self.names.arrays.get(id(value), name)
            found["dtype"] = str(dtypes.named(value.dtype).name)
        elif value is not None:
            name = f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)
        self.boxes.append(
            {"kind": "constant", "name": name, "frame": frame, "operands": [], "results": [found]}
        )

    # ----- Steps ----------------------------------------------------------------------------------

    def _steps(self) -> list[dict[str, Any]]:
        """Return what happens, in order, and note in the boxes when each gradient arrives."""
        forward = [n for n in self.nodes if not isinstance(n, AccumulateGrad)]
        steps: list[dict[str, Any]] = [{"do": "compute", "box": self.number[n]} for n in forward]
        first = len(steps)
        steps.append({"do": "start", "to": []})
        when: dict[Node | None, int] = {None: first}
        for node in self.story.order:
            when[node] = len(steps)
            kind = "accumulate" if isinstance(node, AccumulateGrad) else "send"
            steps.append({"do": kind, "box": self.number[node], "to": []})
        for (node, index), arrivals in self.story.arrivals.items():
            told = []
            for i, arrival in enumerate(arrivals):
                step = when[arrival.sender]
                one = {"step": step, "gradient": brief(np.asarray(arrival.gradient))}
                if arrival.sender is not None:
                    one["from"] = self.number[arrival.sender]
                if i:
                    one["total"] = brief(np.asarray(arrival.total))
                steps[step]["to"].append([self.number[node], index])
                told.append(one)
            self.boxes[self.number[node]]["results"][index]["arrivals"] = told
        return [*steps, {"do": "end"}]


def _rules(node: Node) -> list[dict[str, str]]:
    """Return the rule for each operand that a gradient goes to, as a formula and as source."""
    names = argument_names(node)
    return [
        {"of": names[i], "formula": formula_of(node, i), "code": rule_source(node, i)}
        for i, parent in enumerate(node.parents)
        if parent is not None
    ]


def _excerpt(filename: str, line: int) -> dict[str, Any]:
    """Return a line of the user's program with those around it."""
    first = max(1, line - 2)
    lines = [linecache.getline(filename, n).rstrip("\n") for n in range(first, line + 3)]
    while lines and not lines[-1]:
        lines.pop()
    # The folders around the user's program are nobody's affair.
    inside = filename.startswith(os.getcwd() + os.sep)
    name = os.path.relpath(filename) if inside else os.path.basename(filename)
    return {"file": cell(filename) or name, "line": line, "first": first, "code": lines}
