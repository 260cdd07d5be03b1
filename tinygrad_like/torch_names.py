"""Functions of ``nn.functional`` that PyTorch also has at its top, with other arguments there."""

from __future__ import annotations

from typing import Any

from tinygrad_like.nn import functional
from tinygrad_like.nn.functional import bilinear, cosine_similarity, pairwise_distance

__all__ = [
    "alpha_dropout",
    "bilinear",
    "cosine_embedding_loss",
    "cosine_similarity",
    "dropout",
    "embedding",
    "feature_alpha_dropout",
    "hinge_embedding_loss",
    "kl_div",
    "margin_ranking_loss",
    "pairwise_distance",
    "poisson_nll_loss",
    "triplet_margin_loss",
]

_REDUCTIONS = ("none", "mean", "sum")  # PyTorch numbers them here


def _renamed(name: str, *order: str) -> Any:
    """Return the function with its arguments in this order, and numbers for names of reductions."""
    function = getattr(functional, name)

    def renamed(*args: Any, **kwargs: Any) -> Any:
        if len(args) > len(order):
            raise TypeError(f"{name}() takes {len(order)} positional arguments, got {len(args)}")
        given = dict(zip(order, args, strict=False))
        twice = sorted(given.keys() & kwargs.keys())
        if twice:
            raise TypeError(f"{name}() got several values for argument {twice[0]!r}")
        given |= kwargs
        for theirs, ours in (("train", "training"), ("indices", "input")):
            if theirs in given and theirs in order:
                given[ours] = given.pop(theirs)
        if "reduction" in order:
            number = given.get("reduction", 0)  # as PyTorch does, whatever its signature says
            if not isinstance(number, int):
                raise TypeError(
                    f"{name}(): argument 'reduction' must be int, not {type(number).__name__}; "
                    "0, 1 and 2 are none, mean and sum"
                )
            given["reduction"] = _REDUCTIONS[number]
        try:
            return function(**given)
        except ValueError as error:  # what is a ValueError there is a RuntimeError here
            raise RuntimeError(str(error)) from None

    renamed.__name__ = renamed.__qualname__ = name
    renamed.__doc__ = f"Do `nn.functional.{name}`, called with ({', '.join(order)})."
    return renamed


_DROPOUT = ("input", "p", "train")
_PAIR = ("input1", "input2", "target", "margin", "reduction")

alpha_dropout = _renamed("alpha_dropout", *_DROPOUT)
dropout = _renamed("dropout", *_DROPOUT)
feature_alpha_dropout = _renamed("feature_alpha_dropout", *_DROPOUT)
embedding = _renamed(
    "embedding", "weight", "indices", "padding_idx", "scale_grad_by_freq", "sparse"
)
cosine_embedding_loss = _renamed("cosine_embedding_loss", *_PAIR)
margin_ranking_loss = _renamed("margin_ranking_loss", *_PAIR)
hinge_embedding_loss = _renamed("hinge_embedding_loss", "input", "target", "margin", "reduction")
kl_div = _renamed("kl_div", "input", "target", "reduction")
poisson_nll_loss = _renamed(
    "poisson_nll_loss", "input", "target", "log_input", "full", "eps", "reduction"
)
triplet_margin_loss = _renamed(
    "triplet_margin_loss",
    *("anchor", "positive", "negative", "margin", "p", "eps", "swap", "reduction"),
)
