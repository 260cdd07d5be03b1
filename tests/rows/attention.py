"""Rows for `tinygrad_like.ops.attention`."""

import importlib

from tests.rows.base import Bools, Real, Row

R = Real

_NAMES = "attention, attention_backward"


def _attend(torch, q, k, v, mask=None, **options):
    functional = torch.nn.functional
    if torch.__name__ == "torch":  # its fused kernel has no second derivative
        attention = importlib.import_module("torch.nn.attention")
        with attention.sdpa_kernel(attention.SDPBackend.MATH):
            return functional.scaled_dot_product_attention(q, k, v, mask, **options)
    return functional.scaled_dot_product_attention(q, k, v, mask, **options)


def _with(**options):
    return lambda torch, *operands: _attend(torch, *operands, **options)


_QKV = (R((2, 3, 5, 4)), R((2, 3, 6, 4)), R((2, 3, 6, 2)))

ROWS = [
    Row(
        _NAMES,
        _attend,
        [
            _QKV,
            (R((3, 2)), R((4, 2)), R((4, 5))),
            (R((2, 3, 2)), R((2, 4, 2)), R((2, 4, 5))),
            (R((2, 1, 3, 2)), R((3, 4, 2)), R((2, 3, 4, 5))),
            (R((2, 1, 2, 3, 2)), R((2, 2, 1, 4, 2)), R((4, 5))),
            (R((2, 9, 2)), R((2, 20, 2)), R((2, 20, 1))),  # too many keys to keep the weights
        ],
    ),
    Row(
        _NAMES,
        _with(is_causal=True),
        [_QKV, (R((3, 20, 2)), R((3, 20, 2)), R((3, 20, 2))), (R((6, 2)), R((4, 2)), R((4, 2)))],
        name="causal",
    ),
    Row(
        _NAMES,
        _with(),
        [
            (*_QKV, R((5, 6))),
            (*_QKV, R((2, 1, 1, 6))),
            (*_QKV, R((3, 5, 1))),
            (R((3, 2)), R((4, 2)), R((4, 5)), R((4,))),
            (*_QKV, Bools((5, 6))),
            (*_QKV, Bools((2, 1, 5, 1))),
        ],
        name="mask",
    ),
    Row(_NAMES, _with(scale=0.25, dropout_p=0.4), [_QKV], name="dropout"),
    Row(
        _NAMES,
        _with(enable_gqa=True, is_causal=True),
        [
            (R((2, 4, 5, 2)), R((2, 2, 6, 2)), R((2, 2, 6, 3))),
            (R((4, 5, 2)), R((1, 6, 2)), R((1, 6, 3))),
            (R((4, 5, 2)), R((2, 6, 2)), R((4, 6, 3))),
        ],
        name="grouped",
    ),
]
