"""Looking rows up in a table that is trained, one by one or in bags."""

from __future__ import annotations

from typing import Any, Self

from tinygrad_like.autograd.grad_mode import no_grad
from tinygrad_like.lines import told
from tinygrad_like.nn import functional as F
from tinygrad_like.nn import init
from tinygrad_like.nn.module import Module
from tinygrad_like.nn.parameter import Parameter
from tinygrad_like.ops.creation import empty


class _Table(Module):
    """What embeddings share: a table, perhaps with a row for padding."""

    weight: Parameter
    num_embeddings: int
    embedding_dim: int
    padding_idx: int | None

    def _make_table(self, given: Any, freeze: bool, device: Any, dtype: Any) -> None:
        """Register the table `given`, or a new one."""
        shape = (self.num_embeddings, self.embedding_dim)
        if given is not None and tuple(given.shape) != shape:
            raise told(
                AssertionError, "Shape of weight does not match num_embeddings and embedding_dim"
            )
        table = empty(shape, device=device, dtype=dtype) if given is None else given
        self.weight = Parameter(table, requires_grad=not freeze)
        if given is None:
            self.reset_parameters()

    def _row(self, index: int | None, name: str) -> int | None:
        """Return the index of a row counted from the front."""
        if index is None:
            return None
        if not -self.num_embeddings <= index < self.num_embeddings:
            raise told(AssertionError, f"{name} must be within num_embeddings")
        return index % self.num_embeddings

    def reset_parameters(self) -> None:
        """Draw the rows normally, but for the padding row, which is 0."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx].fill_(0)

    def _repr(self, usual: dict[str, Any]) -> str:
        """Return what to print: the table's sizes and what is not as usual."""
        parts = [f"{self.num_embeddings}, {self.embedding_dim}"]
        for name, value in usual.items():
            if getattr(self, name) != value:
                parts.append(f"{name}={getattr(self, name)!r}")
        return ", ".join(parts)


class Embedding(_Table):
    """Return the weight's rows at the given indices: `(*)` to `(*, embedding_dim)`.

    Args:
        num_embeddings: number of rows.
        embedding_dim: size of a row.
        padding_idx: a row that starts as zeros and gets no gradient.
        max_norm: shorten rows longer than this, in place, when they are looked up.
        norm_type: which norm, for that.
        scale_grad_by_freq: divide gradients by how often the row was looked up.
        sparse: not supported here: gradients are dense.
        _weight: the table, instead of a new one.
        _freeze: do not train it.
        device: the CPU.
        dtype: of the weight.

    Raises:
        AssertionError: if `padding_idx` is no row, or `_weight` has another shape.

    >>> import tinygrad_like as torch
    >>> table = torch.nn.Embedding.from_pretrained(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    >>> table(torch.tensor([1, 0, 1]))
    tensor([[3., 4.],
            [1., 2.],
            [3., 4.]])
    """

    weight: Parameter

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Any = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = self._row(padding_idx, "Padding_idx")
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.sparse = sparse
        self._make_table(_weight, _freeze, device, dtype)

    def forward(self, input: Any) -> Any:
        """Return the rows at these indices."""
        return F.embedding(
            input,
            self.weight,
            self.padding_idx,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.sparse,
        )

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        usual = {
            "padding_idx": None,
            "max_norm": None,
            "norm_type": 2,
            "scale_grad_by_freq": False,
            "sparse": False,
        }
        return self._repr(usual)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Any,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Self:
        """Return a module around the table `embeddings`, whose memory it shares.

        Raises:
            AssertionError: if it is not a matrix.
        """
        if embeddings.ndim != 2:
            raise told(AssertionError, "Embeddings parameter is expected to be 2-dimensional")
        rows, columns = embeddings.shape
        return cls(
            num_embeddings=rows,
            embedding_dim=columns,
            _weight=embeddings,
            _freeze=freeze,
            padding_idx=padding_idx,
            max_norm=max_norm,
            norm_type=norm_type,
            scale_grad_by_freq=scale_grad_by_freq,
            sparse=sparse,
        )


class EmbeddingBag(_Table):
    """Return the sum, mean or maximum of the weight's rows in each bag of indices.

    `(B, N)` to `(B, embedding_dim)`: a bag in each row; or `(N)` and `(B)` offsets, where bags begin.

    Args:
        num_embeddings: number of rows.
        embedding_dim: size of a row.
        max_norm: shorten rows longer than this, in place, when they are looked up.
        norm_type: which norm, for that.
        scale_grad_by_freq: divide gradients by how often the row was looked up.
        mode: "sum", "mean" or "max".
        sparse: not supported here: gradients are dense.
        _weight: the table, instead of a new one.
        include_last_offset: the last offset says where the last bag ends.
        padding_idx: a row that is left out.
        device: the CPU.
        dtype: of the weight.

    Raises:
        AssertionError: if `padding_idx` is no row, or `_weight` has another shape.

    >>> import tinygrad_like as torch
    >>> table = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> bags = torch.nn.EmbeddingBag.from_pretrained(table, mode="sum")
    >>> bags(torch.tensor([0, 1, 1]), torch.tensor([0, 2]))
    tensor([[4., 6.],
            [3., 4.]])
    """

    weight: Parameter

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Any = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.padding_idx = self._row(padding_idx, "padding_idx")
        self._make_table(_weight, False, device, dtype)
        self.mode = mode
        self.sparse = sparse
        self.include_last_offset = include_last_offset

    def forward(self, input: Any, offsets: Any = None, per_sample_weights: Any = None) -> Any:
        """Return one row for each bag.

        Args:
            input: indices, `(B, N)` or `(N)`.
            offsets: where bags begin in `(N)` indices, `(B)`.
            per_sample_weights: factors of the rows, of the input's shape; for the mode "sum".

        Raises:
            ValueError: if the input has other dimensions, or offsets do not fit it.
        """
        return F.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        """Return what to print between the parentheses."""
        usual = {
            "max_norm": None,
            "norm_type": 2,
            "scale_grad_by_freq": False,
            "mode": "",
            "padding_idx": None,
        }
        return self._repr(usual)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Any,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> Self:
        """Return a module around the table `embeddings`, whose memory it shares.

        Raises:
            AssertionError: if it is not a matrix.
        """
        if embeddings.ndim != 2:
            raise told(AssertionError, "Embeddings parameter is expected to be 2-dimensional")
        rows, columns = embeddings.shape
        made = cls(
            num_embeddings=rows,
            embedding_dim=columns,
            _weight=embeddings,
            max_norm=max_norm,
            norm_type=norm_type,
            scale_grad_by_freq=scale_grad_by_freq,
            mode=mode,
            sparse=sparse,
            include_last_offset=include_last_offset,
            padding_idx=padding_idx,
        )
        made.weight.requires_grad_(not freeze)
        return made
