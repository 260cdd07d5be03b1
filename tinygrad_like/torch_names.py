"""Functions of ``nn.functional`` that PyTorch also has at its top, with other arguments there."""

from __future__ import annotations

import inspect
from typing import Any

from tinygrad_like.keywords import Parameters
from tinygrad_like.lines import told
from tinygrad_like.nn import functional
from tinygrad_like.nn.functional import (
    adaptive_max_pool1d_with_indices as adaptive_max_pool1d,
)
from tinygrad_like.nn.functional import bilinear, cosine_similarity, pairwise_distance

__all__ = [
    "adaptive_max_pool1d",
    "alpha_dropout",
    "batch_norm",
    "bilinear",
    "binary_cross_entropy_with_logits",
    "cosine_embedding_loss",
    "cosine_similarity",
    "ctc_loss",
    "dropout",
    "embedding",
    "feature_alpha_dropout",
    "group_norm",
    "hinge_embedding_loss",
    "instance_norm",
    "kl_div",
    "layer_norm",
    "margin_ranking_loss",
    "pairwise_distance",
    "poisson_nll_loss",
    "triplet_margin_loss",
]

_REDUCTIONS = ("none", "mean", "sum")  # PyTorch numbers them here
_OTHERWISE = (("train", "training"), ("indices", "input"))  # names that differ


def _renamed(name: str, *order: str) -> Any:
    """Return the function with its arguments in this order, and numbers for names of reductions."""
    function = getattr(functional, name)

    def renamed(*args: Any, **kwargs: Any) -> Any:
        if len(args) > len(order):
            raise told(
                TypeError, f"{name}() takes {len(order)} positional arguments, got {len(args)}"
            )
        given = dict(zip(order, args, strict=False))
        twice = sorted(given.keys() & kwargs.keys())
        if twice:
            raise told(TypeError, f"{name}() got several values for argument {twice[0]!r}")
        given |= kwargs
        for theirs, ours in _OTHERWISE:
            if theirs in given and theirs in order:
                given[ours] = given.pop(theirs)
        for backend in ("cudnn_enable", "cudnn_enabled"):
            if backend in order:
                given.pop(backend, None)
        if "reduction" in order:
            number = given.get("reduction", 0)  # as PyTorch does, whatever its signature says
            if not isinstance(number, int):
                raise told(
                    TypeError,
                    f"{name}(): argument 'reduction' must be int, not {type(number).__name__}; "
                    "0, 1 and 2 are none, mean and sum",
                )
            given["reduction"] = _REDUCTIONS[number]
        try:
            return function(**given)
        except ValueError as error:  # what is a ValueError there is a RuntimeError here
            raise told(RuntimeError, str(error)) from None

    renamed.__name__ = renamed.__qualname__ = name
    differ = "some arguments differ"
    if "reduction" in order:
        differ = "`reduction` is 0, 1 or 2 here, for none, mean and sum"
    renamed.__doc__ = f"Return what `nn.functional.{name}` does; {differ}."
    renamed.__wrapped__ = Parameters(lambda: _signature(function, order))  # type: ignore[attr-defined]
    return renamed


def _signature(function: Any, order: tuple[str, ...]) -> inspect.Signature:
    """Return the parameters in this order, with the defaults that `function` has for them."""
    known = inspect.signature(function).parameters
    found: list[inspect.Parameter] = []
    for name in reversed(order):
        of = known.get(dict(_OTHERWISE).get(name, name))
        default = True if of is None else of.default  # True: whether to use a backend
        if name == "reduction":
            default = 0
        if found and found[-1].default is inspect.Parameter.empty:
            default = inspect.Parameter.empty
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        found.append(inspect.Parameter(name, kind, default=default))
    return inspect.Signature(found[::-1])


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
_NORM = ("input", "weight", "bias", "running_mean", "running_var")

batch_norm = _renamed("batch_norm", *_NORM, "training", "momentum", "eps", "cudnn_enabled")
instance_norm = _renamed(
    "instance_norm", *_NORM, "use_input_stats", "momentum", "eps", "cudnn_enabled"
)
layer_norm = _renamed(
    "layer_norm", "input", "normalized_shape", "weight", "bias", "eps", "cudnn_enable"
)
group_norm = _renamed("group_norm", "input", "num_groups", "weight", "bias", "eps", "cudnn_enabled")
binary_cross_entropy_with_logits = _renamed(
    "binary_cross_entropy_with_logits", "input", "target", "weight", "pos_weight", "reduction"
)
ctc_loss = _renamed(
    "ctc_loss",
    *("log_probs", "targets", "input_lengths", "target_lengths"),
    *("blank", "reduction", "zero_infinity"),
)
kl_div = _renamed("kl_div", "input", "target", "reduction")
poisson_nll_loss = _renamed(
    "poisson_nll_loss", "input", "target", "log_input", "full", "eps", "reduction"
)
triplet_margin_loss = _renamed(
    "triplet_margin_loss",
    *("anchor", "positive", "negative", "margin", "p", "eps", "swap", "reduction"),
)
