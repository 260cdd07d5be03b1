"""Rows for `tinygrad_like.ops.ctc` and `tinygrad_like.ops.bags`."""

from tests.rows.base import Ints, Real, Row


def _ctc(reduction, targets, lengths):
    def call(torch, scores):
        log_probs = torch.log_softmax(scores, -1)
        inputs = torch.tensor([5, 4])
        return torch.nn.functional.ctc_loss(
            log_probs, torch.tensor(targets), inputs, torch.tensor(lengths), reduction=reduction
        )

    return call


ROWS = (
    [
        Row(
            "ctc_loss, ctc_gradient",
            _ctc(reduction, targets, lengths),
            [(Real((5, 2, 4)),)],
            order=1,
            name=reduction,
        )
        for reduction, targets, lengths in (
            ("none", [[1, 2], [3, 3]], [2, 2]),
            ("mean", [[1, 2], [3, 0]], [2, 0]),
            ("sum", [1, 2, 2, 3], [1, 3]),
        )
    ]
    + [
        Row(
            "embedding",
            lambda torch, weight, index, mode=mode: torch.nn.functional.embedding_bag(
                index, weight, mode=mode, padding_idx=1
            ),
            [(Real((6, 3), distinct=True), Ints((4, 5), 0, 6))],
            order=1,
            name=f"bags-{mode}",
        )
        for mode in ("sum", "mean", "max")
    ]
    + [
        Row(
            "embedding",
            lambda torch, weight, index, factors: torch.nn.functional.embedding_bag(
                index, weight, torch.tensor([0, 2, 2]), mode="sum", per_sample_weights=factors
            ),
            [(Real((6, 3)), Ints((7,), 0, 6), Real((7,)))],
            order=1,
            name="weighted bags",
        ),
    ]
)
