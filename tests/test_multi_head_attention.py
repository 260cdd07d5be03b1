"""`multi_head_attention_forward` beside PyTorch's, over every kind of mask and option."""

import itertools

import numpy as np
import pytest

import tinygrad_like as tg

torch = pytest.importorskip("torch")

L, S, N, E, HEADS = 3, 4, 2, 6, 2


def run(t, same, batched, masks, extra, zero, need, average, separate):
    rng = np.random.default_rng(1)

    def leaf(*shape):
        return t.tensor(rng.normal(size=shape), requires_grad=True)

    batch = (N,) if batched else ()
    query = leaf(L, *batch, E)
    key = query if same else leaf(S, *batch, E)
    value = key if same else leaf(S, *batch, E)
    source, count = (L if same else S), (N if batched else 1)
    weight, bias, out_weight, out_bias = leaf(3 * E, E), leaf(3 * E), leaf(E, E), leaf(E)
    bias_k, bias_v = (leaf(1, 1, E), leaf(1, 1, E)) if extra else (None, None)
    mask = padding = None
    if masks == "bool":
        mask = t.tensor(np.triu(np.ones((L, source)), 1) > 0)
        padding = t.tensor((np.arange(count * source) % 5 == 3).reshape(count, source))
        padding = padding if batched else padding[0]
    elif masks == "added":
        mask = t.tensor(rng.normal(size=(count * HEADS, L, source)))
    parts = dict(zip("qkv", (weight[:E], weight[E : 2 * E], weight[2 * E :]), strict=True))
    out, weights = t.nn.functional.multi_head_attention_forward(
        query,
        key,
        value,
        E,
        HEADS,
        None if separate else weight,
        bias,
        bias_k,
        bias_v,
        zero,
        0.1,
        out_weight,
        out_bias,
        training=False,
        key_padding_mask=padding,
        need_weights=need,
        attn_mask=mask,
        average_attn_weights=average,
        use_separate_proj_weight=separate,
        **({f"{n}_proj_weight": w for n, w in parts.items()} if separate else {}),
    )
    (out.sin().sum() + (0 if weights is None else (weights**2).sum())).backward()
    leaves = (query, key, value, weight, bias, out_weight, out_bias, bias_k, bias_v)
    return [out, weights, *(x.grad for x in leaves if x is not None)]


FLAGS = (False, True)


@pytest.mark.parametrize("masks", [None, "bool", "added"])
@pytest.mark.parametrize("batched", FLAGS)
@pytest.mark.parametrize("same", FLAGS)
@pytest.mark.parametrize("need", FLAGS)
def test_value_and_gradients(same, batched, masks, need):
    for extra, zero, average, separate in itertools.product(FLAGS, repeat=4):
        given = (same, batched, masks, extra, zero, need, average, separate)
        for ours, theirs in zip(run(tg, *given), run(torch, *given), strict=True):
            if theirs is None:
                assert ours is None
                continue
            assert tuple(ours.shape) == tuple(theirs.shape)
            np.testing.assert_allclose(
                ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-9, atol=1e-11
            )


def call(t, query=(3, 2, 6), key=(4, 2, 6), value=(4, 2, 6), embed=6, heads=2, **options):
    return t.nn.functional.multi_head_attention_forward(
        t.ones(query),
        t.ones(key),
        t.ones(value),
        embed,
        heads,
        t.ones(18, 6),
        None,
        None,
        None,
        False,
        0.0,
        t.ones(6, 6),
        None,
        **options,
    )


WRONG = [
    lambda t: call(t, embed=8),
    lambda t: call(t, heads=4),
    lambda t: call(t, key=(4, 6)),
    lambda t: call(t, value=(5, 2, 6)),
    lambda t: call(t, query=(3, 2, 1, 6)),
    lambda t: call(t, is_causal=True),
    lambda t: call(t, attn_mask=t.zeros(3, 3)),
    lambda t: call(t, attn_mask=t.zeros(3)),
    lambda t: call(t, attn_mask=t.zeros(3, 4).long()),
    lambda t: call(t, key_padding_mask=t.zeros(2, 3)),
    lambda t: call(t, key_padding_mask=t.zeros(4)),
    lambda t: call(t, use_separate_proj_weight=True),
]


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_calls_raise_what_pytorch_raises(wrong):
    with pytest.raises(Exception) as theirs:  # noqa: PT011
        wrong(torch)
    with pytest.raises(theirs.type):
        wrong(tg)


def test_dropout_of_attention_weights_takes_pytorchs_numbers():
    found = []
    for t in (tg, torch):
        t.manual_seed(3)
        x = t.ones(3, 2, 6)
        args = (E, HEADS, t.ones(18, 6), None, None, None, False, 0.5, t.ones(6, 6), None)
        found.append(t.nn.functional.multi_head_attention_forward(x, x, x, *args)[0].numpy())
    np.testing.assert_allclose(*found, rtol=1e-5)
