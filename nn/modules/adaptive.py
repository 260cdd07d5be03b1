"""A softmax over many classes, most of them rare."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_like.graph import result_type
from tinygrad_like.lines import told
from tinygrad_like.nn import functional as F
from tinygrad_like.nn.module import Module
from tinygrad_like.nn.modules.container import ModuleList, Sequential
from tinygrad_like.nn.modules.linear import Linear
from tinygrad_like.ops.joining import cat

__all__ = ["AdaptiveLogSoftmaxWithLoss"]


class _ASMoutput(NamedTuple):
    output: Any
    loss: Any


class AdaptiveLogSoftmaxWithLoss(Module):
    """Return log-probabilities of target classes, and the mean of minus them.

    Classes are sorted by how frequent they are. The first make up the head; each further cluster is
    one more output of the head, and is itself computed only where a target is in it, from fewer
    features (Grave et al., arXiv:1609.04309).

    Args:
        in_features: features of an input.
        n_classes: how many classes.
        cutoffs: the first class of each further cluster, increasing.
        div_value: what the number of features is divided by from one cluster to the next.
        head_bias: have a bias in the head.
        device: the CPU.
        dtype: of the parameters.

    Raises:
        ValueError: if the cutoffs are not increasing numbers between 1 and n_classes - 1.

    >>> import tinygrad_like as torch
    >>> net = torch.nn.AdaptiveLogSoftmaxWithLoss(16, 20, cutoffs=[5, 10])
    >>> output, loss = net(torch.ones(3, 16), torch.tensor([0, 7, 19]))
    >>> output.shape, loss.shape
    (torch.Size([3]), torch.Size([]))
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        cutoffs = list(cutoffs)
        if not cutoffs:
            raise told(ValueError, "cutoffs should be a sequence of length larger than 0")
        increasing = all(a < b for a, b in itertools.pairwise([0, *cutoffs, n_classes]))
        if not increasing or any(int(c) != c for c in cutoffs):
            raise told(
                ValueError,
                "cutoffs should be a sequence of unique, positive integers sorted in an increasing "
                "order, where each value is between 1 and n_classes-1",
            )
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*cutoffs, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = cutoffs[0]
        self.n_clusters = len(cutoffs)
        self.head_size = self.shortlist_size + self.n_clusters
        made = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, bias=head_bias, **made)
        self.tail = ModuleList()
        for cluster, (low, high) in enumerate(itertools.pairwise(self.cutoffs)):
            width = int(in_features // div_value ** (cluster + 1))
            narrow = Linear(in_features, width, bias=False, **made)
            self.tail.append(Sequential(narrow, Linear(width, high - low, bias=False, **made)))

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        self.head.reset_parameters()
        for narrow, wide in self.tail:
            narrow.reset_parameters()
            wide.reset_parameters()

    def forward(self, input_: Any, target_: Any) -> _ASMoutput:
        """Return the targets' log-probabilities ``(N,)``, and the loss.

        Args:
            input_: ``(N, in_features)``, or ``(in_features)`` for one.
            target_: classes ``(N,)``, or one.

        Raises:
            RuntimeError: if shapes do not fit, or a target is no class.
        """
        if target_.ndim > 1:
            raise told(RuntimeError, "0D or 1D target tensor expected, multi-target not supported")
        if target_.ndim and input_.shape[0] != target_.shape[0]:
            raise told(
                RuntimeError, "Input and target should have the same size in the batch dimension."
            )
        if input_.ndim != target_.ndim + 1:
            raise told(
                RuntimeError,
                f"{target_.ndim}D target tensor expects {target_.ndim + 1}D input tensors, but found "
                f"inputs with size {input_.shape}",
            )
        single = target_.ndim == 0
        input = input_.unsqueeze(0) if single else input_
        target = target_.array.reshape(-1)
        if target.size and not (target.min() >= 0 and target.max() < self.n_classes):
            raise told(
                RuntimeError,
                f"Target values should be in [0, {self.n_classes - 1}], but values in range "
                f"[{target.min()}, {target.max()}] were found. ",
            )
        cluster = np.searchsorted(self.cutoffs, target, side="right")
        column = np.where(cluster == 0, target, self.shortlist_size + cluster - 1)
        head = F.log_softmax(self.head(input), dim=1)
        output = head.gather(1, result_type.make(column[:, None])).squeeze(1)
        for index, low in enumerate(self.cutoffs[:-1]):
            rows = np.flatnonzero(cluster == index + 1)
            if rows.size:
                where = result_type.make(rows)
                inside = F.log_softmax(self.tail[index](input.index_select(0, where)), dim=1)
                place = result_type.make((target[rows] - low)[:, None])
                output = output.index_add(0, where, inside.gather(1, place).squeeze(1))
        loss = (-output).mean()
        return _ASMoutput(output.squeeze(0) if single else output, loss)

    def log_prob(self, input: Any) -> Any:
        """Return the log-probabilities of all classes: ``(N, in_features)`` to ``(N, n_classes)``."""
        head = F.log_softmax(self.head(input), dim=1)
        parts = [head[:, : self.shortlist_size]]
        for index, cluster in enumerate(self.tail):
            of_cluster = head[:, self.shortlist_size + index].unsqueeze(1)
            parts.append(F.log_softmax(cluster(input), dim=1) + of_cluster)
        return cat(parts, 1)

    def predict(self, input: Any) -> Any:
        """Return the most probable class of each input: ``(N, in_features)`` to ``(N,)``."""
        head = self.head(input).argmax(1)
        rare = head.array >= self.shortlist_size
        if rare.any():
            rows = result_type.make(np.flatnonzero(rare))
            head = head.index_copy(0, rows, self.log_prob(input.index_select(0, rows)).argmax(1))
        return head
