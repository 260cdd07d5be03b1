"""Losses: how far an input is from its target, as one number or one for each sample."""

from __future__ import annotations

from typing import Any

from tinygrad_like.nn import functional as F
from tinygrad_like.nn.module import Module
from tinygrad_like.ops.cross_entropy import check_reduction


class _Loss(Module):
    """What losses share: "mean", "sum" or "none" of the parts."""

    reduction: str

    def __init__(
        self, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
    ) -> None:
        super().__init__()
        flagged = size_average is not None or reduce is not None
        # A wrong name is refused when the loss is computed, as in PyTorch.
        self.reduction = check_reduction(size_average, reduce, reduction) if flagged else reduction


class _WeightedLoss(_Loss):
    """A loss with a weight for each class, kept as a buffer."""

    weight: Any

    def __init__(
        self,
        weight: Any = None,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)


class L1Loss(_Loss):
    """Return ``abs(input - target)``, reduced.

    Args:
        size_average: an older way to say `reduction`.
        reduce: an older way to say `reduction`.
        reduction: "mean", "sum" or "none".
    """

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss of `input`."""
        return F.l1_loss(input, target, reduction=self.reduction)


class MSELoss(_Loss):
    """Return ``(input - target)**2``, reduced.

    Args:
        size_average: an older way to say `reduction`.
        reduce: an older way to say `reduction`.
        reduction: "mean", "sum" or "none".

    >>> import tinygrad_like as torch
    >>> torch.nn.MSELoss()(torch.tensor([1.0, 3.0]), torch.tensor([0.0, 0.0]))
    tensor(5.)
    """

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss of `input`."""
        return F.mse_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """Return half the squared error over `beta` where the error is below `beta`, else its size less beta/2.

    Args:
        size_average: an older way to say `reduction`.
        reduce: an older way to say `reduction`.
        reduction: "mean", "sum" or "none".
        beta: where the parabola ends.
    """

    def __init__(
        self,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
        beta: float = 1.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = beta

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss of `input`."""
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """Return half the squared error where the error is below `delta`, else ``delta * (size - delta/2)``.

    Args:
        reduction: "mean", "sum" or "none".
        delta: where the parabola ends.
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss of `input`."""
        return F.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class CrossEntropyLoss(_WeightedLoss):
    """Return minus the log-softmax of logits at the target class: `(N, C)` or `(N, C, *)`.

    Args:
        weight: a factor for each class, `(C,)`.
        size_average: an older way to say `reduction`.
        ignore_index: a target class to leave out.
        reduce: an older way to say `reduction`.
        reduction: "mean" (over what is not left out, weighted), "sum" or "none".
        label_smoothing: how much of the target to spread over all classes.

    >>> import tinygrad_like as torch
    >>> torch.nn.CrossEntropyLoss()(torch.zeros(1, 4), torch.tensor([2]))
    tensor(1.3863)
    """

    def __init__(
        self,
        weight: Any = None,
        size_average: Any = None,
        ignore_index: int = -100,
        reduce: Any = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss of `input`."""
        return F.cross_entropy(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(_WeightedLoss):
    """Return minus the log-probability at the target class: `(N, C)` or `(N, C, *)`.

    Args:
        weight: a factor for each class, `(C,)`.
        size_average: an older way to say `reduction`.
        ignore_index: a target class to leave out.
        reduce: an older way to say `reduction`.
        reduction: "mean" (over what is not left out, weighted), "sum" or "none".
    """

    def __init__(
        self,
        weight: Any = None,
        size_average: Any = None,
        ignore_index: int = -100,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss of `input`."""
        return F.nll_loss(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
        )


class BCELoss(_WeightedLoss):
    """Return the binary cross entropy of probabilities, reduced; logarithms stop at -100.

    Args:
        weight: a factor for each element.
        size_average: an older way to say `reduction`.
        reduce: an older way to say `reduction`.
        reduction: "mean", "sum" or "none".
    """

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss of `input`."""
        return F.binary_cross_entropy(input, target, weight=self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    """Return the binary cross entropy of logits, reduced.

    Args:
        weight: a factor for each element.
        size_average: an older way to say `reduction`.
        reduce: an older way to say `reduction`.
        reduction: "mean", "sum" or "none".
        pos_weight: a factor for positive targets.
    """

    weight: Any
    pos_weight: Any

    def __init__(
        self,
        weight: Any = None,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
        pos_weight: Any = None,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss of `input`."""
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, pos_weight=self.pos_weight, reduction=self.reduction
        )


class KLDivLoss(_Loss):
    """Return ``target * (log(target) - input)``, reduced: `input` holds log-probabilities.

    Args:
        size_average: an older way to say `reduction`.
        reduce: an older way to say `reduction`.
        reduction: "mean", "batchmean" (the sum over the number of samples), "sum" or "none".
        log_target: the target holds log-probabilities too.
    """

    def __init__(
        self,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
        log_target: bool = False,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss of `input`."""
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class PoissonNLLLoss(_Loss):
    """Return minus the log-likelihood of counts with the expectation `input`, reduced.

    Args:
        log_input: the input is the logarithm of the expectation.
        full: add Stirling's approximation of the logarithm of the factorial.
        size_average: an older way to say `reduction`.
        eps: absolute, added to the input before its logarithm.
        reduce: an older way to say `reduction`.
        reduction: "mean", "sum" or "none".
    """

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        size_average: Any = None,
        eps: float = 1e-8,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps

    def forward(self, log_input: Any, target: Any) -> Any:
        """Return the loss of `log_input`."""
        return F.poisson_nll_loss(
            log_input,
            target,
            log_input=self.log_input,
            full=self.full,
            eps=self.eps,
            reduction=self.reduction,
        )


class GaussianNLLLoss(_Loss):
    """Return minus the log-likelihood of the target with expectation `input` and variance `var`, reduced.

    Args:
        full: add the constant that does not matter to training.
        eps: absolute, the smallest variance.
        reduction: "mean", "sum" or "none".
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full = full
        self.eps = eps

    def forward(self, input: Any, target: Any, var: Any) -> Any:
        """Return the loss of `input`."""
        return F.gaussian_nll_loss(
            input, target, var, full=self.full, eps=self.eps, reduction=self.reduction
        )


class CTCLoss(_Loss):
    """Return minus the log-likelihood of label sequences that are not aligned with the frames.

    From Graves et al., 2006: Connectionist temporal classification.

    Args:
        blank: the label that means none.
        reduction: "mean" (each divided by its target's length), "sum" or "none".
        zero_infinity: give 0 where no alignment is possible.

    >>> import tinygrad_like as torch
    >>> scores = torch.zeros(2, 1, 3).log_softmax(2)
    >>> torch.nn.CTCLoss()(scores, torch.tensor([[1]]), torch.tensor([2]), torch.tensor([1]))
    tensor(1.0986)
    """

    def __init__(
        self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False
    ) -> None:
        super().__init__(reduction=reduction)
        self.blank = blank
        self.zero_infinity = zero_infinity

    def forward(self, log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any) -> Any:
        """Return the loss.

        Args:
            log_probs: ``(T, N, C)``, or ``(T, C)`` for one sequence.
            targets: labels ``(N, S)``, padded, or all sequences one after the other.
            input_lengths: how many frames each sequence has, ``(N,)``.
            target_lengths: how many labels each sequence has, ``(N,)``.

        Raises:
            RuntimeError: if lengths do not fit.
        """
        return F.ctc_loss(
            log_probs,
            targets,
            input_lengths,
            target_lengths,
            self.blank,
            self.reduction,
            self.zero_infinity,
        )
