"""Attention and transformers against PyTorch's: every option and mask, training and evaluation."""

import copy
import itertools
import pickle

import numpy as np
import pytest

import tinygrad_like as tg
from tests.nn_parity import (
    DTYPES,
    alike,
    check_layer,
    close,
    kind,
    names,
    ours,
    outcome,
    pytorch,
    real,
    theirs,
)

# PyTorch says at length why a shortcut of its own cannot be taken.
pytestmark = pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")

L, S, N, E, HEADS = 3, 4, 2, 6, 2
QUERY, SOURCE = [real(L, N, E)], [real(S, N, E)]


class Itself:
    """Makes a layer that attends to its input, as PyTorch's shortcuts expect."""

    def __init__(self, **options):
        self.options = options

    def __call__(self, nn, **kwargs):
        module = nn.MultiheadAttention(E, HEADS, **self.options, **kwargs)
        forward = module.forward
        module.forward = lambda x, **given: forward(x, x, x, **given)
        return module


ATTENTION = [
    (lambda nn, **k: nn.MultiheadAttention(E, HEADS, **k), [*QUERY, *SOURCE, *SOURCE]),
    (lambda nn, **k: nn.MultiheadAttention(E, 3, bias=False, **k), [*QUERY, *SOURCE, *SOURCE]),
    (
        lambda nn, **k: nn.MultiheadAttention(E, HEADS, 0.0, True, True, True, **k),
        [*QUERY, *SOURCE, *SOURCE],
    ),
    (
        lambda nn, **k: nn.MultiheadAttention(E, HEADS, kdim=5, vdim=7, **k),
        [*QUERY, real(S, N, 5), real(S, N, 7)],
    ),
    (
        lambda nn, **k: nn.MultiheadAttention(
            E, HEADS, bias=False, kdim=5, add_bias_kv=True, batch_first=True, **k
        ),
        [real(N, L, E), real(N, S, 5), real(N, S, E)],
    ),
    (lambda nn, **k: nn.MultiheadAttention(E, HEADS, **k), [real(L, E), real(S, E), real(S, E)]),
    (Itself(), [real(L, N, E)]),
    (Itself(batch_first=True), [real(N, L, E)]),
    (Itself(batch_first=True), [real(L, E)]),
    (Itself(add_zero_attn=True), [real(L, N, E)]),
    (Itself(dropout=0.4), [real(L, N, E)]),
]

OPTIONS = [
    {},
    {"need_weights": False},
    {"average_attn_weights": False},
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(("make", "kinds"), ATTENTION, ids=names(ATTENTION))
def test_attention(make, kinds, options, dtype):
    check_layer(make, kinds, dtype, options)


def masks(torch, source, batch, which):
    """Return keyword arguments for one kind of mask."""
    generator = np.random.default_rng(2)
    later = np.triu(np.ones((L, source)), 1) > 0
    padding = np.arange(batch * source).reshape(batch, source) % 5 == 4
    numbers = generator.normal(size=(batch * HEADS, L, source))
    return {
        "later": lambda: {"attn_mask": torch.tensor(later)},
        "padding": lambda: {"key_padding_mask": torch.tensor(padding)},
        "both": lambda: {
            "attn_mask": torch.tensor(later),
            "key_padding_mask": torch.tensor(padding),
        },
        "numbers": lambda: {
            "attn_mask": torch.tensor(numbers),
            "key_padding_mask": torch.tensor(np.where(padding, -np.inf, 0.5)),
        },
        "one of each": lambda: {"attn_mask": torch.tensor(numbers[0])},
        "promise": lambda: {"attn_mask": torch.tensor(later), "is_causal": True},
        "promise and padding": lambda: {
            "attn_mask": torch.tensor(later),
            "key_padding_mask": torch.tensor(padding),
            "is_causal": True,
        },
    }[which]()


@pytest.mark.parametrize("which", ["later", "padding", "both", "numbers", "one of each", "promise"])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("need", [False, True])
def test_masks(which, first, need):
    values = np.random.default_rng(1).normal(size=(N, L, E) if first else (L, N, E))

    def run(torch, tensor):
        torch.manual_seed(0)
        layer = torch.nn.MultiheadAttention(E, HEADS, batch_first=first, dtype=torch.float64)
        results = []
        for training in (True, False):
            layer.train(training)
            x = tensor(values, True)
            out, weights = layer(x, x, x, need_weights=need, **masks(torch, L, N, which))
            out.sin().sum().backward()
            results += [out, weights, x.grad, layer.in_proj_weight.grad]
        with torch.no_grad():
            results += layer(x, x, x, need_weights=need, **masks(torch, L, N, which))
        return results

    for found, wanted in zip(run(tg, ours), run(pytorch, theirs), strict=True):
        close(found, wanted, 1e-7)


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4), (0, 4)])
@pytest.mark.parametrize("need", [False, True])
def test_nothing_to_attend_to(shape, need):
    def run(torch):
        layer = torch.nn.MultiheadAttention(4, 2, dropout=0.1)
        x = torch.ones(*shape, requires_grad=True)
        out, weights = layer(x, x, x, need_weights=need)
        out.sum().backward()
        whole = torch.nn.TransformerEncoderLayer(4, 2, 8)(x)
        return [out, weights, x.grad, whole]

    alike(run)


def test_a_query_that_may_see_nothing():
    values = np.random.default_rng(1).normal(size=(L, N, E))
    nothing = np.tile(np.array([[True], [False], [False]]), (1, L))

    def run(torch, tensor):
        torch.manual_seed(0)
        layer = torch.nn.MultiheadAttention(E, HEADS, dtype=torch.float64)
        x = tensor(values)
        return [layer(x, x, x, None, need, tensor(nothing))[0] for need in (False, True)]

    for found, wanted in zip(run(tg, ours), run(pytorch, theirs), strict=True):
        close(found, wanted, 1e-7)


@pytest.mark.parametrize("which", ["promise", "promise and padding"])
def test_a_promise_about_the_mask_is_believed(which):
    values = np.random.default_rng(1).normal(size=(L, N, E))

    def run(torch, tensor):
        torch.manual_seed(0)
        layer = torch.nn.MultiheadAttention(E, HEADS, dtype=torch.float64)
        x = tensor(values)
        given = masks(torch, L, N, which)
        given["attn_mask"] = torch.zeros(L, L, dtype=torch.bool)  # not what is promised
        return [layer(x, x, x, need_weights=need, **given)[0] for need in (False, True)]

    for found, wanted in zip(run(tg, ours), run(pytorch, theirs), strict=True):
        close(found, wanted, 1e-7)


def test_weights_are_dropped_in_training_only():
    tg.manual_seed(0)
    layer = tg.nn.MultiheadAttention(E, HEADS, dropout=0.5)
    x = tg.randn(20, N, E)
    _, weights = layer(x, x, x, average_attn_weights=False)
    dropped = float((weights == 0).float().mean())
    assert 0.4 < dropped < 0.6
    assert not bool((layer.eval()(x, x, x)[1] == 0).any())
    assert not np.array_equal(layer.train()(x, x, x)[0].detach(), layer.eval()(x, x, x)[0].detach())


@pytest.mark.parametrize(
    "call",
    [
        lambda t: t.nn.MultiheadAttention(0, 1),
        lambda t: t.nn.MultiheadAttention(6, -1),
        lambda t: t.nn.MultiheadAttention(6, 4),
        lambda t: t.nn.MultiheadAttention(6, 2)(*[t.ones(3, 2, 5)] * 3),
        lambda t: t.nn.MultiheadAttention(6, 2)(*[t.ones(3)] * 3),
        lambda t: t.nn.MultiheadAttention(6, 2)(t.ones(3, 2, 6), t.ones(4, 6), t.ones(4, 6)),
        lambda t: t.nn.MultiheadAttention(6, 2)(t.ones(3, 2, 6), t.ones(4, 2, 6), t.ones(5, 2, 6)),
        lambda t: t.nn.MultiheadAttention(6, 2)(
            *[t.ones(3, 2, 6)] * 3, attn_mask=t.ones(3, 3, dtype=t.int64)
        ),
        lambda t: t.nn.MultiheadAttention(6, 2)(*[t.ones(3, 2, 6)] * 3, attn_mask=t.ones(3, 4)),
        lambda t: t.nn.MultiheadAttention(6, 2)(*[t.ones(3, 2, 6)] * 3, is_causal=True),
        lambda t: t.nn.MultiheadAttention(6, 2)(
            *[t.ones(3, 2, 6)] * 3, key_padding_mask=t.ones(3, 2) > 0
        ),
        lambda t: t.nn.Transformer(8, 2, 1, 1, 16)(t.ones(3, 2, 8), t.ones(3, 4, 8)),
        lambda t: t.nn.Transformer(8, 2, 1, 1, 16, batch_first=True)(
            t.ones(3, 2, 8), t.ones(2, 2, 8)
        ),
        lambda t: t.nn.Transformer(8, 2, 1, 1, 16)(t.ones(3, 2, 8), t.ones(3, 2, 7)),
        lambda t: t.nn.TransformerEncoderLayer(8, 3),
        lambda t: t.nn.TransformerEncoderLayer(8, 2, activation="tanh"),
        lambda t: t.nn.TransformerEncoderLayer(8, 2, 16)(t.ones(3, 2, 7)),
    ],
)
def test_wrong_calls_are_refused_as_by_pytorch(call):
    alike(lambda torch: kind(lambda: call(torch)))


@pytest.mark.parametrize(
    "call",
    [
        lambda t: t.nn.MultiheadAttention(6, 4),
        lambda t: t.nn.TransformerDecoderLayer(8, 2, activation="tanh"),
        lambda t: t.nn.Transformer(8, 2, 1, 1, 16)(t.ones(3, 2, 8), t.ones(3, 4, 8)),
        lambda t: t.nn.Transformer(8, 2, 1, 1, 16)(t.ones(3, 2, 8), t.ones(3, 2, 7)),
    ],
)
def test_refusals_in_pytorchs_words(call):
    alike(lambda torch: outcome(lambda: call(torch)))


# ----- Transformers -------------------------------------------------------------------------------

WIDE, INNER = 8, 12
BATCH = [real(5, 3, WIDE)]
PAIR = [real(5, 3, WIDE), real(4, 3, WIDE)]

TRANSFORMERS = [
    *(
        (
            lambda nn, first=first, bias=bias, activation=activation, **k: (
                nn.TransformerEncoderLayer(
                    WIDE, 2, INNER, 0.2, activation, norm_first=first, bias=bias, **k
                )
            ),
            BATCH,
        )
        for first, bias, activation in itertools.product(
            (False, True), (False, True), ("relu", "gelu")
        )
    ),
    (
        lambda nn, **k: nn.TransformerEncoderLayer(
            WIDE, 4, INNER, 0.2, nn.functional.silu, 1e-3, True, **k
        ),
        [real(3, 5, WIDE)],
    ),
    (
        lambda nn, **k: nn.TransformerEncoderLayer(WIDE, 2, INNER, 0.2, nn.GELU("tanh"), **k),
        [real(5, WIDE)],
    ),
    *(
        (
            lambda nn, first=first, bias=bias, **k: nn.TransformerDecoderLayer(
                WIDE, 2, INNER, 0.2, "gelu", norm_first=first, bias=bias, **k
            ),
            PAIR,
        )
        for first, bias in itertools.product((False, True), (False, True))
    ),
    (
        lambda nn, **k: nn.TransformerDecoderLayer(WIDE, 2, INNER, 0.2, batch_first=True, **k),
        [real(3, 5, WIDE), real(3, 4, WIDE)],
    ),
    (
        lambda nn, **k: nn.TransformerEncoder(
            nn.TransformerEncoderLayer(WIDE, 2, INNER, 0.2, batch_first=True, **k),
            2,
            nn.LayerNorm(WIDE, **k),
        ),
        [real(3, 5, WIDE)],
    ),
    (
        lambda nn, **k: nn.TransformerEncoder(
            nn.TransformerEncoderLayer(WIDE, 2, INNER, 0.2, **k), 3, enable_nested_tensor=False
        ),
        [real(5, WIDE)],
    ),
    (
        lambda nn, **k: nn.TransformerDecoder(
            nn.TransformerDecoderLayer(WIDE, 2, INNER, 0.2, **k), 2, nn.LayerNorm(WIDE, **k)
        ),
        PAIR,
    ),
    (lambda nn, **k: nn.Transformer(WIDE, 2, 2, 1, INNER, 0.2, **k), PAIR),
    (
        lambda nn, **k: nn.Transformer(
            WIDE,
            2,
            1,
            2,
            INNER,
            0.0,
            "gelu",
            layer_norm_eps=1e-3,
            batch_first=True,
            norm_first=True,
            bias=False,
            **k,
        ),
        [real(3, 5, WIDE), real(3, 4, WIDE)],
    ),
    (
        lambda nn, **k: nn.Transformer(
            WIDE,
            2,
            dropout=0.2,
            dim_feedforward=INNER,
            num_encoder_layers=1,
            custom_decoder=nn.TransformerDecoder(
                nn.TransformerDecoderLayer(WIDE, 4, INNER, 0.2, **k), 1
            ),
            **k,
        ),
        PAIR,
    ),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("make", "kinds"), TRANSFORMERS, ids=names(TRANSFORMERS))
def test_transformers(make, kinds, dtype):
    check_layer(make, kinds, dtype, spread=0.3)


@pytest.mark.parametrize("dtype", ["bool", "float64"])
@pytest.mark.parametrize("hint", [None, False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_masks_of_transformers(dtype, hint, padded):
    generator = np.random.default_rng(0)
    source, target = generator.normal(size=(5, 3, WIDE)), generator.normal(size=(4, 3, WIDE))
    across = generator.uniform(size=(4, 5)) > 0.7
    away = np.arange(15).reshape(3, 5) % 6 == 4

    def run(torch, tensor):
        torch.manual_seed(0)
        net = torch.nn.Transformer(WIDE, 2, 1, 1, INNER, 0.0, dtype=torch.float64)
        later = net.generate_square_subsequent_mask(4, dtype=torch.float64)
        before = net.generate_square_subsequent_mask(5, dtype=torch.float64)
        if dtype == "bool":
            later, before = later < 0, before < 0
        kinds = {"bool": bool, "float64": np.float64}
        given = np.where(across, -np.inf, 0.0) if dtype == "float64" else across
        options = {}
        if padded:
            hidden = np.where(away, -np.inf, 0.0) if dtype == "float64" else away
            options = {
                "src_key_padding_mask": tensor(hidden.astype(kinds[dtype])),
                "memory_key_padding_mask": tensor(hidden.astype(kinds[dtype])),
                "tgt_key_padding_mask": tensor(hidden[:, :4].astype(kinds[dtype])),
            }
        x, y = tensor(source, True), tensor(target, True)
        out = net(
            x,
            y,
            src_mask=before,
            tgt_mask=later,
            memory_mask=tensor(given),
            src_is_causal=hint,
            tgt_is_causal=hint,
            **options,
        )
        out.sin().sum().backward()
        return [out, x.grad, y.grad, *(p.grad for p in net.parameters())]

    for found, wanted in zip(run(tg, ours), run(pytorch, theirs), strict=True):
        close(found, wanted, 1e-7)


def test_the_causal_mask_is_recognized_and_left_to_attention(monkeypatch):
    from tinygrad_like.nn import attention

    seen = []
    plain = attention.scaled_dot_product_attention

    def spy(q, k, v, mask, rate, is_causal):
        seen.append((mask is None, is_causal))
        return plain(q, k, v, mask, rate, is_causal)

    monkeypatch.setattr(attention, "scaled_dot_product_attention", spy)
    nn = tg.nn
    net = nn.TransformerEncoder(nn.TransformerEncoderLayer(WIDE, 2, INNER, 0.0), 1)
    x = tg.randn(4, 2, WIDE)
    later = nn.Transformer.generate_square_subsequent_mask(4)
    for mask in (later, later < 0):
        causal = net(x, mask)
        assert seen.pop() == (True, True)
        other = net(x, mask, is_causal=False)
        assert seen.pop() == (False, False)
        np.testing.assert_allclose(causal.detach(), other.detach(), atol=1e-6)
    net(x, later.T)
    assert seen.pop() == (False, False)


def test_the_causal_mask():
    def run(torch):
        mask = torch.nn.Transformer.generate_square_subsequent_mask
        return [mask(3), mask(1), mask(0), mask(2, dtype=torch.float64)]

    alike(run)


def test_dropout_acts_in_training_only():
    tg.manual_seed(0)
    net = tg.nn.Transformer(WIDE, 2, 1, 1, INNER, 0.5)
    x = tg.randn(5, 3, WIDE)
    assert not np.array_equal(net(x, x).detach(), net(x, x).detach())
    net.eval()
    assert np.array_equal(net(x, x).detach(), net(x, x).detach())


def test_a_transformer_can_be_copied_pickled_and_loaded():
    tg.manual_seed(0)
    net = tg.nn.Transformer(WIDE, 2, 1, 1, INNER).eval()
    x = tg.randn(5, 3, WIDE)
    expected = net(x, x).detach().numpy()
    loaded = tg.nn.Transformer(WIDE, 2, 1, 1, INNER).eval()
    assert repr(loaded.load_state_dict(net.state_dict())) == "<All keys matched successfully>"
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), loaded):
        assert np.array_equal(other(x, x).detach().numpy(), expected)


def test_a_transformer_trains_as_pytorchs():
    generator = np.random.default_rng(0)
    words = generator.integers(0, 11, (6, 4))

    def run(torch, tensor):
        torch.manual_seed(0)
        nn = torch.nn
        table, last = nn.Embedding(11, WIDE), nn.Linear(WIDE, 11)
        layer = nn.TransformerEncoderLayer(WIDE, 2, INNER, 0.1, "gelu", norm_first=True)
        net = nn.TransformerEncoder(layer, 2, nn.LayerNorm(WIDE), enable_nested_tensor=False)
        mask = nn.Transformer.generate_square_subsequent_mask(6)
        every = nn.ModuleList([table, last, net])
        optimizer = torch.optim.Adam(every.parameters(), lr=0.01)
        losses = []
        for _ in range(10):
            scores = last(net(table(tensor(words)), mask))
            loss = nn.functional.cross_entropy(scores.reshape(-1, 11), tensor(words.reshape(-1)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    np.testing.assert_allclose(run(tg, ours), run(pytorch, theirs), rtol=1e-3)
