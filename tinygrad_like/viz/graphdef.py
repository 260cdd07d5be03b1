"""The graph of a model in the format TensorBoard shows: a ``GraphDef``, scopes being calls of modules.

The model runs once in evaluation. What the engine then recorded is the graph: operations, the parameters
and inputs they go back to, and the constants they kept. Operations without a derivative, such as
``argmax``, leave no record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.autograd.grad_mode import enable_grad
from tinygrad_like.graph import AccumulateGrad, Node, Traced
from tinygrad_like.nn.module import Module, record_modules
from tinygrad_like.random import fork_rng
from tinygrad_like.utils.event_files import library
from tinygrad_like.viz.picture import (
    Cluster,
    Facts,
    Key,
    Names,
    assign,
    clusters_of,
    common,
    key_of,
    operation_name,
    operations_of,
    place,
)

__all__ = ["graph_def"]


def graph_def(model: Module, inputs: Any = None) -> Any:
    """Return the graph of ``model(*inputs)`` as a protocol buffer of tensorboardX.

    Args:
        model: the module; modes, buffers, gradients, random numbers: all stays as it is.
        inputs: a tensor, a dict, or a list of arguments, which may hold tensors in lists and dicts.

    Raises:
        TypeError: if `model` is not a module.
        ImportError: if tensorboardX is not installed.

    >>> import tinygrad_like as torch
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU())
    >>> for node in graph_def(net, torch.ones(2, 4)).node:
    ...     print(node.name, list(node.input))
    input []
    Sequential/Linear[0]/weight []
    Sequential/Linear[0]/bias []
    Sequential/Linear[0]/linear ['input', 'Sequential/Linear[0]/weight', 'Sequential/Linear[0]/bias']
    Sequential/ReLU[1]/relu ['Sequential/Linear[0]/linear']
    output ['Sequential/ReLU[1]/relu']
    """
    if not isinstance(model, Module):
        raise TypeError(f"graph_def: model is {type(model).__name__}, expected a Module")
    if isinstance(inputs, Traced | Mapping):
        inputs = (inputs,)
    given = [_copy(argument) for argument in inputs or ()]
    tensors = dict(_tensors("input", given[0] if len(given) == 1 else given))
    sources = {tensor.node: name for name, tensor in tensors.items() if tensor.node is not None}
    with _evaluation(model), enable_grad(), record_modules() as calls:
        names = Names.of(model)
        result = model(*given)
        return _Writer(names, calls, tensors, sources, dict(_tensors("output", result))).write()


def _copy(argument: Any) -> Any:
    """Return a copy of a tensor, or of all in a list or dict, that leads to a leaf if it can."""
    if isinstance(argument, Traced) and argument.array.dtype.kind == "f":
        tensor: Any = argument
        return tensor.detach().requires_grad_().clone()
    if isinstance(argument, Mapping):
        return {key: _copy(inner) for key, inner in argument.items()}
    if isinstance(argument, list | tuple):
        make = getattr(type(argument), "_make", type(argument))  # of a namedtuple, or of a list
        return make(map(_copy, argument))
    return argument


@contextmanager
def _evaluation(model: Module) -> Iterator[None]:
    """Have all modules evaluate and all parameters recorded for a while, and undo all it does."""
    modes = [(module, module.training) for module in model.modules()]
    fixed = [p for p in model.parameters() if not p.requires_grad and p.array.dtype.kind == "f"]
    buffers = [(buffer, buffer.array.copy()) for buffer in model.buffers()]
    model.eval()
    for parameter in fixed:
        parameter.requires_grad_()
    try:
        with fork_rng():
            yield
    finally:
        for buffer, former in buffers:
            if buffer.array.tobytes() != former.tobytes():
                buffer.array[...] = former
        for module, mode in modes:
            module.training = mode
        for parameter in fixed:
            parameter.requires_grad_(False)


def _tensors(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield all tensors in a result with the way to each: ``output/states/2``."""
    if isinstance(value, Traced):
        yield name, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _tensors(f"{name}/{key}", inner)
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value, 1):
            yield from _tensors(f"{name}/{number}", inner)


class _Writer:
    """Writes the nodes of one graph, operands first."""

    def __init__(
        self,
        names: Names,
        calls: Sequence[Any],
        given: Mapping[str, Any],
        sources: Mapping[Node, str],
        results: Mapping[str, Any],
    ) -> None:
        self.names, self.given, self.results, self.sources = names, given, results, sources
        self.nodes = operations_of(list(results.values()))
        self.facts = Facts(self.nodes, list(results.values()))
        self.clusters = clusters_of(calls, names)
        self.inside = assign(self.nodes, self.clusters)
        self.graph = library("proto.graph_pb2").GraphDef()
        self.graph.versions.producer = 22  # what PyTorch writes too
        self.taken: set[str] = set()
        self.scopes = [""] * len(self.clusters)
        for index, cluster in enumerate(self.clusters):
            self.scopes[index] = self.unique(cluster.parent, _scope(cluster))
        self.data: dict[Key, str] = {}  # what the name of a result is
        self.constants: dict[int, str] = {}

    def unique(self, cluster: int | None, name: str) -> str:
        """Return the name within the cluster's scope, with a number if it is there already."""
        whole = name if cluster is None else f"{self.scopes[cluster]}/{name}"
        found, number = whole, 0
        while found in self.taken:
            number += 1
            found = f"{whole}_{number}"
        self.taken.add(found)
        return found

    def within(self, cluster: int | None, name: str) -> str:
        """Return what a parameter's name says beyond the scope it will stand in."""
        if cluster is None:
            return name
        own, found, _ = self.clusters[cluster].title.partition(": ")
        _, inside, rest = f".{name}".rpartition(f".{own}.")
        return rest if found and inside else name

    def add(self, name: str, kind: str, inputs: Sequence[str], shapes: Any, **notes: str) -> str:
        """Add a node with the shapes of its results and with notes, and return its name."""
        node = self.graph.node.add(name=name, op=kind, input=inputs)
        for shape in shapes:
            listed = node.attr["_output_shapes"].list.shape.add()
            for size in shape:
                listed.dim.add(size=int(size))
        for key, text in notes.items():
            if text:
                node.attr[key].s = text.encode()
        return name

    def write(self) -> Any:
        """Return the graph."""
        users: dict[Key, list[int | None]] = {}
        for node in self.nodes:
            for parent in node.parents:
                if parent is not None:
                    users.setdefault(key_of(parent), []).append(self.inside.get(node))
        for path, tensor in self.given.items():
            name = self.unique(None, path)
            self.constants[id(tensor.array)] = self.add_data(name, "input", tensor.array)
        for node, path in self.sources.items():
            self.data[node, 0] = self.constants[id(self.given[path].array)]
        copied = {parent for source in self.sources for parent in source.parents}
        rank = {leaf: number for number, leaf in enumerate(self.names.nodes)}
        leaves = [node for node in self.nodes if isinstance(node, AccumulateGrad)]
        for leaf in sorted(leaves, key=lambda leaf: rank.get(leaf, len(rank))):
            if leaf not in copied:
                self.add_leaf(leaf, users.get((leaf, 0), []))
        for node in self.nodes:
            if node not in self.sources and not isinstance(node, AccumulateGrad):
                self.add_operation(node)
        for path, result in self.results.items():
            name = self.unique(None, path)
            known = result.node is not None
            source = self.data[key_of(result.node)] if known else self.constant(result.array, None)
            self.add_data(name, "output", result.array, source)
        return self.graph

    def add_data(self, name: str, kind: str, array: Any, *inputs: str, **notes: str) -> str:
        """Add a node for an array."""
        return self.add(
            name, kind, inputs, [array.shape], dtype=dtypes.named(array.dtype).name, **notes
        )

    def add_leaf(self, leaf: AccumulateGrad, users: Sequence[int | None]) -> None:
        """Add a parameter, or another leaf, in the scope of the calls that use it."""
        known = self.names.nodes.get(leaf, "")
        cluster = common(self.clusters, users)
        name = self.unique(cluster, self.within(cluster, known) or "tensor")
        self.data[leaf, 0] = self.add_data(name, "Parameter" if known else "Tensor", leaf.array)

    def add_operation(self, node: Node) -> None:
        """Add an operation, after the constants it kept."""
        cluster = self.inside.get(node)
        inputs = [self.data[key_of(parent)] for parent in node.parents if parent is not None]
        inputs += [self.constant(value, cluster) for value in self.facts.constants.get(node, ())]
        several = isinstance(node.shape, list)
        name = self.add(
            self.unique(cluster, operation_name(node)),
            operation_name(node),
            inputs,
            node.shape if several else [node.shape],
            grad_fn=node.name(),
            line=place(node),
        )
        for index in range(len(node.shape) if several else 1):
            self.data[node, index] = f"{name}:{index}" if index else name

    def constant(self, value: Any, cluster: int | None) -> str:
        """Return the name of a constant, which is added when first met."""
        if not isinstance(value, np.ndarray):  # a number of the program
            name = self.unique(cluster, "constant")
            return self.add_data(name, "Const", np.asarray(value), number=f"{value:.4g}")
        if id(value) not in self.constants:
            title = self.within(cluster, self.names.arrays.get(id(value), ""))
            name = self.unique(cluster, title or "constant")
            self.constants[id(value)] = self.add_data(name, "Buffer" if title else "Const", value)
        return self.constants[id(value)]


def _scope(cluster: Cluster) -> str:
    """Return the scope of a module's call as PyTorch writes it: ``Linear[fc]``."""
    name, found, kind = cluster.title.partition(": ")
    return f"{kind}[{name}]" if found else name
