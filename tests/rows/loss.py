"""Rows for `tinygrad_like.ops.loss` and `tinygrad_like.ops.cross_entropy`."""

from tests.rows.base import Ints, Real, Row

REDUCTIONS = ("mean", "sum", "none")
SCORES, CLASSES = Real((6, 5)), Ints((6,), 0, 5)
PLANES, PLANE_CLASSES = Real((2, 4, 3, 2)), Ints((2, 3, 2), 0, 4)
PAIR = (Real((3, 4)), Real((3, 4)))
# The difference stays away from the places where the formula changes.
NEAR, FAR = Real((3, 4), 0.0, 0.2), Real((3, 4), 2.0, 3.0)
PROBABILITY = Real((3, 4), 0.05, 0.95)


def _functional(name, reduction, **options):
    return lambda torch, *operands: getattr(torch.nn.functional, name)(
        *operands, reduction=reduction, **options
    )


def _weighted(name, reduction, **options):
    return lambda torch, x, t, w: getattr(torch.nn.functional, name)(
        x, t, w, reduction=reduction, **options
    )


def _rows(reduction):
    weights = Real((5,), 0.5, 1.5, grad=False)
    elementwise = Real((3, 4), 0.5, 1.5, grad=False)
    positive = Real((4,), 0.5, 1.5, grad=False)
    return [
        Row(
            "cross_entropy",
            _functional("cross_entropy", reduction),
            [(SCORES, CLASSES), (PLANES, PLANE_CLASSES)],
            name=reduction,
        ),
        Row(
            "cross_entropy",
            _weighted("cross_entropy", reduction, ignore_index=2, label_smoothing=0.2),
            [(SCORES, CLASSES, weights), (Real((2, 5, 3)), Ints((2, 3), 0, 5), weights)],
            name=f"weighted-{reduction}",
        ),
        Row(
            "soft_cross_entropy",
            _functional("cross_entropy", reduction, label_smoothing=0.1),
            [
                (SCORES, Real((6, 5), 0.1, 0.9)),
                (PLANES, Real((2, 4, 3, 2), 0.1, 0.9)),
                (Real((5,)), Real((5,), 0.1, 0.9)),
            ],
            name=reduction,
        ),
        Row(
            "nll_loss, nll_loss_backward",
            _weighted("nll_loss", reduction, ignore_index=1),
            [(SCORES, CLASSES, weights), (Real((2, 5, 3)), Ints((2, 3), 0, 5), weights)],
            name=reduction,
        ),
        Row("mse_loss", _functional("mse_loss", reduction), [PAIR], name=reduction),
        Row("l1_loss", _functional("l1_loss", reduction), [(NEAR, FAR)], name=reduction),
        Row(
            "smooth_l1_loss",
            _functional("smooth_l1_loss", reduction, beta=0.7),
            [(NEAR, FAR), (NEAR, NEAR)],
            name=reduction,
        ),
        Row(
            "huber_loss",
            _functional("huber_loss", reduction, delta=0.7),
            [(NEAR, FAR), (NEAR, NEAR)],
            name=reduction,
        ),
        Row(
            "binary_cross_entropy",
            _weighted("binary_cross_entropy", reduction),
            [(PROBABILITY, PROBABILITY, elementwise)],
            rtol=(1e-9, 1e-4),
            name=reduction,
        ),
        Row(
            "binary_cross_entropy_with_logits",
            lambda torch, x, t, w, p: torch.nn.functional.binary_cross_entropy_with_logits(
                x, t, w, reduction=reduction, pos_weight=p
            ),
            [(Real((3, 4), -5, 5, apart=(0.0,)), PROBABILITY, elementwise, positive)],
            name=reduction,
        ),
    ]


ROWS = [
    *(row for reduction in REDUCTIONS for row in _rows(reduction)),
    Row(
        "binary_cross_entropy_with_logits",
        lambda torch, x, t: torch.nn.functional.binary_cross_entropy_with_logits(x, t),
        [(Real((3, 4), -5, 5, apart=(0.0,)), PROBABILITY)],
        name="plain",
    ),
]
