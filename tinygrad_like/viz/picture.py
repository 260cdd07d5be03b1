"""What a drawing of a graph shows, before anything is drawn: boxes, arrows and the modules around them.

The engine's nodes are operations. Here each becomes a box, and so does each piece of data that goes
in or comes out. Everything is found by loops over the engine's list of nodes, oldest first, so a
graph may be as deep as it likes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Literal

import numpy as np

from tinygrad_like import dtypes, lines
from tinygrad_like.graph import AccumulateGrad, Node, Pick, Traced, reachable, result_type
from tinygrad_like.stamps import find

Kind = Literal[
    "operation",
    "parameter",
    "input",
    "constant",
    "result",
    "saved",
    "output",
    "group",
    "gradient",
    "state",
    "flow",
]
Key = tuple[Node, int]  # one result of one operation, or a leaf
Call = tuple[Any, int, int]  # a module, and the ticks before and after its forward

# Leaves and constants with more uses than this are drawn once for each: a fan of a hundred arrows
# across the page tells a reader nothing, and takes a layout program minutes.
MANY = 6


class Line(str):
    """A line of a box that is about something special, which gives it a colour of its own.

    Attributes:
        tone: "faint" like any other, "rule", "order", "cost", "alarm" or "change".
    """

    tone: str

    def __new__(cls, text: str, tone: str) -> Line:
        """Return the line `text`."""
        line = super().__new__(cls, text)
        line.tone = tone
        return line


@dataclass
class Box:
    """One box of the drawing.

    Attributes:
        kind: what it stands for.
        title: its name, empty for a result that has none.
        lines: what is said of it below the title.
        cluster: the innermost module call it belongs to, an index into `Picture.clusters`.
        note: a hint shown when the pointer rests on it.
        marks: what is the matter with it: "nan", "inf", "exploding", "zero", "dead", "vanishing",
            or that it "changed" or is "new".
        heat: how much of the cost, or of the change, is here: from 0 to 1.
    """

    kind: Kind
    title: str
    lines: list[str] = field(default_factory=list)
    cluster: int | None = None
    note: str = ""
    marks: tuple[str, ...] = ()
    heat: float | None = None


@dataclass
class Cluster:
    """A frame around the boxes of the operations of a call of a module, or of a round of a loop.

    Attributes:
        title: what stands at its upper edge.
        first, last: the ticks of the clock between which its operations were recorded.
        parent: the frame it lies in.
        depth: how many frames it lies in.
        level: how many of them are calls of modules.
        folded: whether it is shown as one box.
        round: whether it stands for one or several rounds of a loop.
    """

    title: str
    first: int = 0
    last: int = 0
    parent: int | None = None
    depth: int = 0
    level: int = 0
    folded: bool = False
    round: bool = False


@dataclass
class Picture:
    """Boxes, every operand before the operations that use it, and arrows between them.

    Attributes:
        boxes: what is joined by arrows.
        arrows: pairs of numbers of boxes.
        clusters: the frames.
        labels: what stands at an arrow, by its index.
        captions: lines below the picture.
        columns: pairs of boxes that stand below each other though no arrow joins them.
    """

    boxes: list[Box] = field(default_factory=list)
    arrows: list[tuple[int, int]] = field(default_factory=list)
    clusters: list[Cluster] = field(default_factory=list)
    labels: dict[int, str] = field(default_factory=dict)
    captions: list[str] = field(default_factory=list)
    columns: list[tuple[int, int]] = field(default_factory=list)

    def add(self, box: Box) -> int:
        """Add a box and return its number."""
        self.boxes.append(box)
        return len(self.boxes) - 1

    def join(self, source: int, target: int, label: str = "") -> None:
        """Add an arrow."""
        if label:
            self.labels[len(self.arrows)] = label
        self.arrows.append((source, target))

    def occupied(self) -> set[int]:
        """Return the frames that have a box in them, or in a frame of theirs."""
        found: set[int] = set()
        for box in self.boxes:
            index = box.cluster
            while index is not None and index not in found:
                found.add(index)
                index = self.clusters[index].parent
        return found


@dataclass
class Names:
    """What the user calls things: tensors by their node or their memory, modules by identity."""

    nodes: dict[Node, str] = field(default_factory=dict)
    arrays: dict[int, str] = field(default_factory=dict)  # by id(); the user keeps them alive
    modules: dict[int, str] = field(default_factory=dict)
    inputs: set[int] = field(default_factory=set)  # those of `arrays` that are given, not learnt

    @classmethod
    def of(cls, params: Any, frame: FrameType | None = None, asked: str = "draw") -> Names:
        """Return the names in a dict, a Module, or an iterable of named parameters.

        The variables of the user's function that led to `frame` name what has no name yet. `asked`
        is the function that wants to know.

        Raises:
            TypeError: if `params` is something else, or names what is not a tensor.
        """
        names = cls()
        if hasattr(params, "named_parameters"):
            names.note("", params)
        elif params is not None:
            for pair in params.items() if isinstance(params, Mapping) else params:
                if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[1], Traced)):
                    raise lines.told(
                        TypeError,
                        f"{asked}: params must be a dict of names and tensors, a Module, or an iterable "
                        f"of (name, tensor) pairs; found {pair!r:.60}",
                    )
                names.note(str(pair[0]), pair[1])
        while frame is not None and lines.internal[frame.f_code.co_filename]:
            frame = frame.f_back
        if frame is not None:
            home = sys.modules.get("tinygrad_like.nn.module")  # else there are no modules yet
            kinds = (Traced,) if home is None else (Traced, home.Module)
            for variables in (frame.f_locals, frame.f_globals):
                for name, value in list(variables.items()):
                    if not name.startswith("_") and isinstance(value, kinds):
                        names.note(name, value)
        return names

    def note(self, name: str, value: Any) -> None:
        """Note what a variable names, be it a tensor or a module, unless it has a name."""
        if isinstance(value, Traced):
            if hasattr(value, "materialize"):  # of a lazy module: there is nothing yet
                return
            if value.node is not None:
                self.nodes.setdefault(value.node, name)
            elif type(value) is result_type.cls and id(value.array) not in self.arrays:
                self.inputs.add(id(value.array))
            self.arrays.setdefault(id(value.array), name)
        else:
            start = f"{name}." if name else ""
            for inner, module in value.named_modules():
                self.modules.setdefault(id(module), f"{start}{inner}".rstrip("."))
            for inner, parameter in value.named_parameters():
                self.note(f"{start}{inner}", parameter)
            for inner, buffer in value.named_buffers():
                if not hasattr(buffer, "materialize"):
                    self.arrays.setdefault(id(buffer.array), f"{start}{inner}")


def key_of(node: Node) -> Key:
    """Return which result `node` stands for."""
    if isinstance(node, Pick):
        (parent,) = node.parents
        assert parent is not None
        return parent, node.index
    return node, 0


def operations_of(roots: Sequence[Any]) -> list[Node]:
    """Return the operations and leaves the tensors `roots` were computed from, oldest first."""
    order = reachable([root.node for root in roots if root.node is not None])
    return [node for node in order if not isinstance(node, Pick)]


# ----- What is known of the data ------------------------------------------------------------------


class Facts:
    """Values, types and gradients of the data in a graph, as far as the graph still has them.

    A leaf has its own. Any other value is known if some operation saved it, be it as its result or
    as an operand of the next.
    """

    def __init__(self, nodes: Sequence[Node], roots: Sequence[Any]) -> None:
        self.values: dict[Key, np.ndarray[Any, Any]] = {}
        self.types: dict[Key, np.dtype[Any]] = {}
        self.gradients: dict[Key, Any] = {}
        self.constants: dict[Node, list[Any]] = {}
        self.missing: dict[Node, int] = {}  # how many constants of an operation were not kept
        self.saved: set[Key] = set()  # results that the tape keeps for backward
        for root in roots:
            if root.node is not None:
                self.values[key_of(root.node)] = root.array
                self._note_gradient(key_of(root.node), root)
        for node in nodes:
            if isinstance(node, AccumulateGrad):
                self.values[node, 0] = node.array
                self._note_gradient((node, 0), node.variable)
            elif node.op is not None and not node.packs and node.saved is not None:
                self._read_saved(node)
            for place in (node, *node.parents):
                if place is not None and place.hooks is not None and place.hooks.retain is not None:
                    self._note_gradient(key_of(place), place.hooks.retain())
        for key, value in self.values.items():
            self.types[key] = value.dtype
        for node in nodes:
            self._infer_type(node)

    def _note_gradient(self, key: Key, tensor: Any) -> None:
        if tensor is not None and tensor._grad is not None:
            self.gradients[key] = tensor._grad.array

    def _read_saved(self, node: Node) -> None:
        op = node.op
        arguments = op.arrays * len(node.parents) if op.variadic else op.arrays
        self.missing[node] = sum(
            parent is None and name not in op.saves and name not in op.optional
            for name, parent in zip(arguments, node.parents, strict=True)
        )
        for name, saved in zip(op.saves, node.saved or (), strict=True):
            if name == op.variadic:
                for parent, value in zip(node.parents, saved, strict=True):
                    self._note_operand(node, parent, value)
            elif name in op.arrays:
                self._note_operand(node, node.parents[op.arrays.index(name)], saved)
            elif name == "out":
                for index, value in enumerate(saved if op.several else (saved,)):
                    if isinstance(value, np.ndarray):
                        self.values[node, index] = value
                        self.saved.add((node, index))
            elif name.endswith("_dtype") and isinstance(saved, np.dtype):
                argument = name.removesuffix("_dtype")
                if argument in op.arrays:
                    parent = node.parents[op.arrays.index(argument)]
                    if parent is not None:
                        self.types.setdefault(key_of(parent), saved)

    def _note_operand(self, node: Node, parent: Node | None, value: Any) -> None:
        if parent is None:
            if isinstance(value, np.ndarray | np.generic | float | int):
                self.constants.setdefault(node, []).append(value)
        elif isinstance(value, np.ndarray):
            self.values.setdefault(key_of(parent), value)
            self.saved.add(key_of(parent))

    def _infer_type(self, node: Node) -> None:
        """Take an operation's result to be of its operands' type, which only a cast is not."""
        if (node, 0) in self.types or node.op is None or node.op.name == "cast":
            return
        found = {self.types.get(key_of(parent)) for parent in node.parents if parent is not None}
        if len(found) == 1 and (d := found.pop()) is not None:
            for index in range(len(node.shape) if node.op.several else 1):
                self.types.setdefault((node, index), d)


def written_since(array: Any, ticked: int) -> bool:
    """Return whether an array was written into after that tick of the clock."""
    note = find(array)
    return note is not None and max(note.tick, note.silent_tick) > ticked


def describe_values(value: Any) -> str:
    """Return the numbers of a small array, mean and standard deviation of a larger one."""
    array = np.asarray(value)
    if array.size == 0:
        return "empty"
    if array.size <= 6:
        text = np.array2string(array, precision=3, separator=",", max_line_width=10**6)
        return "".join(text.split()).replace(",", ", ")
    numbers = array.astype(np.float64)
    with np.errstate(all="ignore"):
        return f"mean {numbers.mean():.3g}, std {numbers.std():.3g}"


def describe_kind(shape: Any, d: np.dtype[Any] | None) -> str:
    """Return shape and type in one short phrase."""
    size = "scalar" if tuple(shape) == () else " x ".join(map(str, shape))
    return size if d is None else f"{size}, {dtypes.named(d).name}"


def place(node: Node) -> str:
    """Return file and line of the user's program that recorded `node`, without the folder."""
    if node.line is None:
        return ""
    code, _ = node.line
    return lines.location(code.co_filename, lines.line_number(node.line), short=True)


def counted(number: int, noun: str) -> str:
    """Return ``1,234 operations`` or ``1 operation``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def operation_name(node: Node) -> str:
    """Return the name of the operation that `node` records."""
    name = node.op.spoken if node.op is not None else node.name().removesuffix("Backward")
    return str(name)


# ----- Modules ------------------------------------------------------------------------------------


def clusters_of(calls: Iterable[Call], names: Names) -> list[Cluster]:
    """Return a cluster for each call of a module, each knowing the call it happened in."""
    found = []
    for module, first, last in calls:
        name = names.modules.get(id(module), "").rpartition(".")[2]
        kind = type(module).__name__
        found.append(Cluster(f"{name}: {kind}" if name else kind, first, last))
    return nested(found)


def nested(clusters: Iterable[Cluster]) -> list[Cluster]:
    """Return clusters, outer ones first, each knowing the one that it lies in."""
    ordered = sorted(
        clusters, key=lambda cluster: (cluster.first, -cluster.last, not cluster.round)
    )
    around: list[int] = []
    for index, cluster in enumerate(ordered):
        while around and ordered[around[-1]].last < cluster.last:
            around.pop()
        cluster.parent, cluster.depth, cluster.level = None, len(around), 0
        if around:
            outer = ordered[around[-1]]
            cluster.parent, cluster.level = around[-1], outer.level + (not outer.round)
        around.append(index)
    return ordered


def assign(nodes: Sequence[Node], clusters: Sequence[Cluster]) -> dict[Node, int]:
    """Return for each operation the innermost call during which it was recorded."""
    inside: dict[Node, int] = {}
    open_calls: list[int] = []
    upcoming = 0
    for node in nodes:
        while upcoming < len(clusters) and clusters[upcoming].first < node.tick:
            open_calls.append(upcoming)
            upcoming += 1
        while open_calls and clusters[open_calls[-1]].last < node.tick:
            open_calls.pop()
        if open_calls and not isinstance(node, AccumulateGrad):
            inside[node] = open_calls[-1]
    return inside


def common(clusters: Sequence[Cluster], indices: Iterable[int | None]) -> int | None:
    """Return the innermost cluster that contains all of the given ones."""
    shared: int | None = None
    for position, index in enumerate(indices):
        if position == 0:
            shared = index
            continue
        other = index
        while shared is not None and other != shared:
            if other is None or clusters[other].depth < clusters[shared].depth:
                shared = clusters[shared].parent
            else:
                other = clusters[other].parent
    return shared
