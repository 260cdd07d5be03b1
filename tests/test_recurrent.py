"""Recurrent layers, their single steps and packed sequences, against PyTorch and by plain ops."""

import copy
import itertools
import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_like as tg
from tests.nn_parity import alike, close, kind, outcome, pytorch
from tinygrad_like import jit
from tinygrad_like.ops import recurrent

INTO, SIZE, STEPS, BATCH = 4, 6, 5, 3
LENGTHS = [3, 5, 1]

MODELS = [
    *((name, {}) for name in ("LSTM", "GRU", "RNN")),
    *((name, {"bias": False, "batch_first": True}) for name in ("LSTM", "GRU", "RNN")),
    *((name, {"num_layers": 2, "bidirectional": True}) for name in ("LSTM", "GRU", "RNN")),
    *((name, {"num_layers": 3, "dropout": 0.4}) for name in ("LSTM", "GRU", "RNN")),
    ("LSTM", {"num_layers": 2, "dropout": 1.0, "bidirectional": True, "batch_first": True}),
    ("LSTM", {"proj_size": 2, "num_layers": 2, "bidirectional": True}),
    ("RNN", {"nonlinearity": "relu", "num_layers": 2}),
]
INPUTS = ["padded", "unbatched", "packed"]


@pytest.fixture(params=["numpy", "compiled"])
def either(request):
    """Run with kernels and without; which are taken is tested below."""
    if request.param == "numpy":
        with jit.disabled():
            yield
    else:
        pytest.importorskip("numba")
        yield


def train(torch, name, options, form, states_given):
    """Return what some steps of training give: all states, gradients and parameters."""
    torch.manual_seed(0)
    model = getattr(torch.nn, name)(INTO, SIZE, **options).double()
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    rng = np.random.default_rng(0)
    tensor = lambda *shape: torch.tensor(rng.normal(size=shape)).requires_grad_()
    batch = () if form == "unbatched" else (BATCH,)
    first = options.get("batch_first", False)
    x = tensor(*batch, STEPS, INTO) if first else tensor(STEPS, *batch, INTO)
    count = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
    states = [tensor(count, *batch, options.get("proj_size") or SIZE)]
    if name == "LSTM":
        states.append(tensor(count, *batch, SIZE))
    hx = (tuple(states) if name == "LSTM" else states[0]) if states_given else None
    results = []
    for _ in range(4):
        if form == "packed":
            packed = torch.nn.utils.rnn.pack_padded_sequence(x, LENGTHS, first, False)
            out, ends = model(packed, hx)
            out, _ = torch.nn.utils.rnn.pad_packed_sequence(out, first, 0.3, STEPS + 1)
        else:
            out, ends = model(x, hx)
        ends = ends if isinstance(ends, tuple) else (ends,)
        loss = (out**2).sum() + sum((end**3).sum() for end in ends)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        results += [out, *ends]
    inputs = [x, *states] if states_given else [x]
    results += [tensor.grad for tensor in (*inputs, *model.parameters())]
    return model, [*results, *model.parameters()]


@pytest.mark.parametrize("form", INPUTS)
@pytest.mark.parametrize(("name", "options"), MODELS)
def test_training_is_pytorchs(name, options, form):
    for states_given in (True, False):
        model, results = train(tg, name, options, form, states_given)
        expected_model, expected = train(pytorch, name, options, form, states_given)
        assert repr(model) == repr(expected_model)
        assert list(model.state_dict()) == list(expected_model.state_dict())
        for index, (tensor, wanted) in enumerate(zip(results, expected, strict=True)):
            close(tensor, wanted, 1e-9, f"result {index}")


@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
def test_long_training_in_float32_stays_with_pytorch(either, name):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 16, 8)).astype(np.float32)
    y = np.tanh(np.cumsum(x, 0)[..., :1] / 4)
    losses = []
    for torch in (tg, pytorch):
        torch.manual_seed(1)
        model, head = getattr(torch.nn, name)(8, 48), torch.nn.Linear(48, 1)
        parameters = [*model.parameters(), *head.parameters()]
        optimizer = torch.optim.SGD(parameters, 0.02, momentum=0.5)
        inputs, targets = torch.tensor(x), torch.tensor(y)
        seen = []
        for _ in range(100):
            loss = torch.nn.functional.mse_loss(head(model(inputs)[0]), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            seen.append(loss.item())
        losses.append(seen)
    assert losses[0][-1] < losses[0][0] * 0.8
    np.testing.assert_allclose(*losses, rtol=1e-4)


@pytest.mark.parametrize(("name", "options"), MODELS)
def test_parameters_are_pytorchs(name, options):
    models = []
    for torch in (tg, pytorch):
        torch.manual_seed(3)
        models.append(getattr(torch.nn, name)(INTO, SIZE, **options))
    ours, theirs = (dict(model.named_parameters()) for model in models)
    assert list(ours) == list(theirs)
    for key, parameter in ours.items():
        np.testing.assert_array_equal(parameter.detach().numpy(), theirs[key].detach().numpy())
    shapes = [[[tuple(w.shape) for w in ws] for ws in model.all_weights] for model in models]
    assert shapes[0] == shapes[1]


# ----- Plain and fast paths -----------------------------------------------------------------------

CELLS = {
    "lstm": (recurrent.lstm_layer, recurrent._lstm_cell, 4, 2),
    "gru": (recurrent.gru_layer, recurrent._gru_cell, 3, 1),
    "tanh": (recurrent.rnn_layer, recurrent._tanh_cell, 1, 1),
    "relu": (recurrent.rnn_layer, recurrent._relu_cell, 1, 1),
}


def both_paths(name, sizes, reverse, dtype, into, size, projected=0):
    """Return outputs and gradients of a layer, as a fused op and step by step."""
    layer, cell, gates, states = CELLS[name]
    rng = np.random.default_rng(len(sizes))
    draw = lambda *shape: tg.tensor(rng.normal(size=shape).astype(dtype), requires_grad=True)
    shown = projected or size
    x = draw(sum(sizes), into)
    before = [draw(sizes[0], shown), draw(sizes[0], size)][:states]
    weights = [draw(gates * size, into), draw(gates * size, shown)]
    weights += [draw(gates * size), draw(gates * size)]
    if name == "lstm":
        weights.append(draw(projected, size) if projected else None)
    options = (name == "relu",) if layer is recurrent.rnn_layer else ()
    fused = layer(x, *before, *weights, sizes, reverse, *options)
    stepwise = recurrent.layer_by_ops(cell, x, before, weights, sizes, reverse)
    leaves = [leaf for leaf in (x, *before, *weights) if leaf is not None]
    results = []
    for outs in (fused, stepwise):
        starts = [
            tg.tensor(np.sin(np.arange(o.numel())).reshape(o.shape), dtype=o.dtype) for o in outs
        ]
        results.append([*outs, *tg.autograd.grad(list(outs), leaves, starts)])
    return results


def assert_equal(fused, stepwise, tolerance):
    for index, (a, b) in enumerate(zip(fused, stepwise, strict=True)):
        scale = max(1, abs(b.detach().numpy()).max(initial=0))
        np.testing.assert_allclose(
            a.detach().numpy(), b.detach().numpy(), 0, tolerance * scale, err_msg=f"result {index}"
        )


@pytest.mark.parametrize("name", CELLS)
@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=6).map(
        lambda sizes: tuple(sorted(sizes, reverse=True))
    ),
    reverse=st.booleans(),
    into=st.integers(1, 4),
    size=st.integers(2, 9),
    projected=st.integers(0, 1),
)
def test_fused_layers_do_what_single_steps_do(name, sizes, reverse, into, size, projected):
    projected = projected if name == "lstm" else 0
    with jit.disabled():
        assert_equal(*both_paths(name, sizes, reverse, "float64", into, size, projected), 1e-11)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("sizes", [(8, 8, 8), (8, 7, 7, 1)])
@pytest.mark.parametrize(("name", "kernels"), [("lstm", "lstm"), ("gru", "gru")])
def test_kernels_are_taken_once_a_step_and_agree(monkeypatch, name, kernels, sizes, reverse):
    pytest.importorskip("numba")
    taken = []

    def counted(name):
        kernel = found(name)
        return lambda *args: (taken.append(name), kernel(*args))

    found = jit.load
    for step in (f"{kernels}_step", f"{kernels}_step_back"):
        # Declared anew, for a kernel once found is not looked up again.
        plain = jit.plain(getattr(recurrent, step))
        monkeypatch.setitem(jit.KERNELS, f"recurrent.{step}", None)
        declared = jit.compiled(f"recurrent.{step}", least=1000)(plain)
        monkeypatch.setattr(recurrent, step, declared)
    monkeypatch.setattr(jit, "load", counted)
    results = both_paths(name, sizes, reverse, "float32", 5, 37)
    steps = len(sizes)
    assert (
        taken == [f"recurrent.{kernels}_step"] * steps + [f"recurrent.{kernels}_step_back"] * steps
    )
    assert_equal(*results, 2e-5)
    taken.clear()
    both_paths(name, (1, 1), reverse, "float32", 5, 7)  # too little to be worth it
    assert not taken


@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
def test_extreme_inputs_saturate_silently(either, name):
    model, theirs = (getattr(torch.nn, name)(2, 64) for torch in (tg, pytorch))
    model.load_state_dict({k: tg.tensor(v.numpy() * 50) for k, v in theirs.state_dict().items()})
    theirs.load_state_dict({k: v * 50 for k, v in theirs.state_dict().items()})
    x = np.array([[[1e4, -1e4]], [[-1e30, 1e30]], [[0, 0]]], "float32").repeat(32, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = model(tg.tensor(x))[0]
        ours.sum().backward()
    close(ours, theirs(pytorch.tensor(x))[0], 1e-5)
    assert all(np.isfinite(p.grad.numpy()).all() for p in model.parameters())


@pytest.mark.parametrize("name", ["GRU", "RNN"])
def test_outputs_may_be_written_to(name):
    def run(torch):
        torch.manual_seed(0)
        model = getattr(torch.nn, name)(3, 4).double()
        out, _ = model(torch.ones(5, 2, 3, dtype=torch.float64))
        (out.mul_(2) ** 2).sum().backward()
        return [(p.grad * 1e8).round() for p in model.parameters()]

    alike(run)


def test_outputs_of_an_lstm_may_not_be_written_to_before_backward():
    out, _ = tg.nn.LSTM(3, 4)(tg.ones(5, 2, 3))
    out.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
def test_second_derivatives_where_arguments_depend_on_each_other(name):
    def run(torch):
        torch.manual_seed(0)
        model = getattr(torch.nn, name)(3, 4).double()
        parameters = list(model.parameters())
        x = parameters[0][:2, None] + torch.ones(2, 3, 3, dtype=torch.float64)
        h = torch.tanh(parameters[1][None, :3] * 2)
        out, _ = model(x, (h, h * h) if name == "LSTM" else h)
        gradients = torch.autograd.grad((out**3).sum(), parameters, create_graph=True)
        sum((g**2).sum() for g in gradients).backward()
        return [*gradients, *(p.grad for p in parameters)]

    for ours, theirs in zip(run(tg), run(pytorch), strict=True):
        close(ours, theirs, 1e-9)


def test_frozen_parts_get_no_gradient():
    for name, frozen in itertools.product(("LSTM", "GRU", "RNN"), range(4)):
        model = getattr(tg.nn, name)(3, 4)
        parameters = list(model.parameters())
        for index, parameter in enumerate(parameters):
            parameter.requires_grad_(index != frozen)
        model(tg.ones(2, 2, 3))[0].sum().backward()
        assert [p.grad is None for p in parameters] == [index == frozen for index in range(4)]


def test_modules_can_be_copied_pickled_and_moved():
    model = tg.nn.LSTM(3, 4, 2, bidirectional=True)
    x = tg.ones(2, 2, 3)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(other(x)[0].detach(), model(x)[0].detach())
        assert other.weight_ih_l0 is not model.weight_ih_l0
    model.flatten_parameters()
    assert model.double()(x.double())[0].dtype is tg.float64


def test_a_parameter_may_be_replaced():
    model = tg.nn.GRU(3, 4)
    model.weight_hh_l0 = tg.nn.Parameter(tg.zeros(12, 4))
    model(tg.ones(2, 2, 3))[0].sum().backward()
    assert model.weight_hh_l0.grad is not None


# ----- Refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda nn: nn.LSTM(0, 4),
        lambda nn: nn.LSTM(4, 0),
        lambda nn: nn.LSTM(4, 4, 0),
        lambda nn: nn.LSTM(4.0, 4),
        lambda nn: nn.LSTM(4, "4"),
        lambda nn: nn.LSTM(4, 4, bias=1),
        lambda nn: nn.LSTM(4, 4, batch_first=1),
        lambda nn: nn.LSTM(4, 4, 2, dropout=1.5),
        lambda nn: nn.LSTM(4, 4, 2, dropout=True),
        lambda nn: nn.LSTM(4, 4, proj_size=-1),
        lambda nn: nn.LSTM(4, 4, proj_size=4),
        lambda nn: nn.LSTM(4, 4, size=4),
        lambda nn: nn.GRU(4, 4, proj_size=2),
        lambda nn: nn.RNN(4, 4, proj_size=0),
        lambda nn: nn.RNN(4, 4, nonlinearity="gelu"),
        lambda nn: nn.RNNBase("CNN", 4, 4),
    ],
)
def test_constructors_refuse_what_pytorch_refuses(make):
    assert outcome(lambda: make(tg.nn)) == outcome(lambda: make(pytorch.nn))


def test_dropout_with_one_layer_warns():
    with pytest.warns(UserWarning, match="num_layers greater than 1"):
        tg.nn.LSTM(3, 4, dropout=0.5)


REFUSED = [
    lambda t, m: m(t.ones(2)),
    lambda t, m: m(t.ones(2, 3, 4)),
    lambda t, m: m(t.ones(0, 2, 3)),
    lambda t, m: m(t.ones(2, 2, 3, 1)),
    lambda t, m: m(t.ones(2, 2, 3).double()),
    lambda t, m: m(t.ones(2, 2, 3).long()),
]


@pytest.mark.parametrize("call", REFUSED)
@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_layers_refuse_what_pytorch_refuses(name, call):
    ours, theirs = (getattr(torch.nn, name)(3, 4) for torch in (tg, pytorch))
    assert outcome(lambda: call(tg, ours)) == outcome(lambda: call(pytorch, theirs))


@pytest.mark.parametrize(
    "shapes",
    [
        ((2, 2, 3), (1, 2, 5), (1, 2, 4)),
        ((2, 2, 3), (1, 2, 4), (1, 2, 5)),
        ((2, 2, 3), (2, 4), (2, 4)),
        ((2, 3), (1, 2, 4), (1, 2, 4)),
        ((2, 3), (2, 4), (1, 4)),
    ],
)
def test_layers_refuse_states_that_pytorch_refuses(shapes):
    def lstm(torch):
        x, h, c = (torch.ones(*shape) for shape in shapes)
        return torch.nn.LSTM(3, 4)(x, (h, c))

    def gru(torch):
        x, h = (torch.ones(*shape) for shape in shapes[:2])
        return torch.nn.GRU(3, 4)(x, h)

    assert outcome(lambda: lstm(tg)) == outcome(lambda: lstm(pytorch))
    if shapes[1] != (1, 2, 4) or len(shapes[0]) == 2:
        assert outcome(lambda: gru(tg)) == outcome(lambda: gru(pytorch))


def test_states_of_another_dtype_are_refused():
    with pytest.raises(RuntimeError, match="same dtype"):
        tg.nn.GRU(3, 4)(tg.ones(2, 2, 3), tg.ones(1, 2, 4).double())


def test_an_empty_batch_passes():
    for torch in (tg, pytorch):
        out, h = torch.nn.GRU(3, 4)(torch.ones(2, 0, 3))
        assert (tuple(out.shape), tuple(h.shape)) == ((2, 0, 4), (1, 0, 4))


# ----- Single steps -------------------------------------------------------------------------------


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("states_given", [True, False])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("LSTMCell", {}),
        ("LSTMCell", {"bias": False}),
        ("GRUCell", {}),
        ("GRUCell", {"bias": False}),
        ("RNNCell", {}),
        ("RNNCell", {"nonlinearity": "relu", "bias": False}),
    ],
)
def test_cells_are_pytorchs(name, options, states_given, batched):
    results = []
    for torch in (tg, pytorch):
        torch.manual_seed(0)
        cell = getattr(torch.nn, name)(3, 4, dtype=torch.float64, **options)
        rng = np.random.default_rng(0)
        batch = (2,) if batched else ()
        tensor = lambda size: torch.tensor(rng.normal(size=(*batch, size))).requires_grad_()
        x, h, c = tensor(3), tensor(4), tensor(4)
        hx = ((h, c) if name == "LSTMCell" else h) if states_given else None
        for _ in range(3):
            hx = cell(x, hx)
        ends = hx if isinstance(hx, tuple) else (hx,)
        sum((end**2).sum() for end in ends).backward()
        leaves = [x, h] if states_given else [x]
        results.append((repr(cell), [*ends, *(t.grad for t in (*leaves, *cell.parameters()))]))
    (text, ours), (expected_text, theirs) = results
    assert text == expected_text
    for tensor, expected in zip(ours, theirs, strict=True):
        close(tensor, expected)


@pytest.mark.parametrize(
    "call",
    [
        lambda t: t.nn.LSTMCell(3, 4)(t.ones(2, 5)),
        lambda t: t.nn.LSTMCell(3, 4)(t.ones(2, 3, 1)),
        lambda t: t.nn.LSTMCell(3, 4)(t.ones(2, 3), (t.ones(2, 5), t.ones(2, 4))),
        lambda t: t.nn.LSTMCell(3, 4)(t.ones(2, 3), (t.ones(2, 4), t.ones(2, 5))),
        lambda t: t.nn.LSTMCell(3, 4)(t.ones(2, 3), (t.ones(3, 4), t.ones(2, 4))),
        lambda t: t.nn.LSTMCell(3, 4)(t.ones(2, 3), (t.ones(2, 4, 1), t.ones(2, 4))),
        lambda t: t.nn.GRUCell(3, 4)(t.ones(2, 3), t.ones(3, 4)),
        lambda t: t.nn.GRUCell(3, 4)(t.ones(2, 3), t.ones(2, 4, 1)),
        lambda t: t.nn.RNNCell(3, 4)(t.ones(2, 3), t.ones(2, 3)),
        lambda t: t.nn.RNNCell(3, 4, nonlinearity="gelu")(t.ones(2, 3)),
    ],
)
def test_cells_refuse_what_pytorch_refuses(call):
    assert outcome(lambda: call(tg)) == outcome(lambda: call(pytorch))


# ----- Packed and padded sequences ----------------------------------------------------------------

WHOLE = np.arange(24).reshape(4, 3, 2)


def sequences(torch, *lengths):
    return [torch.arange(length * 2).reshape(length, 2) + 10 * length for length in lengths]


@pytest.mark.parametrize(
    "call",
    [
        lambda t, r: r.pack_padded_sequence(t.tensor(WHOLE), [4, 2, 1]),
        lambda t, r: r.pack_padded_sequence(t.tensor(WHOLE), t.tensor([3, 3, 3])),
        lambda t, r: r.pack_padded_sequence(t.tensor(WHOLE), [1, 3, 3], enforce_sorted=False),
        lambda t, r: r.pack_padded_sequence(t.tensor(WHOLE), [1, 3, 2, 3], True, False),
        lambda t, r: r.pack_padded_sequence(t.tensor(WHOLE[..., 0]), [4.7, 2.0, 1.0]),
        lambda t, r: r.pack_sequence(sequences(t, 3, 2, 2)),
        lambda t, r: r.pack_sequence(sequences(t, 1, 3, 2), enforce_sorted=False),
        lambda t, r: r.pad_sequence(sequences(t, 1, 3, 2)),
        lambda t, r: r.pad_sequence(sequences(t, 1, 3, 2), True, 1.5),
        lambda t, r: r.pad_sequence(sequences(t, 1, 3, 2), padding_side="left"),
        lambda t, r: r.pad_sequence([t.ones(2).long(), t.ones(3)], padding_value=1.5),
        lambda t, r: r.pad_sequence(iter(sequences(t, 1, 3))),
        lambda t, r: r.pad_sequence(t.ones(2, 3)),
        lambda t, r: r.unpad_sequence(t.tensor(WHOLE), t.tensor([1, 4, 2])),
        lambda t, r: r.unpad_sequence(t.tensor(WHOLE), t.tensor([1, 3, 2, 0]), batch_first=True),
        lambda t, r: r.invert_permutation(t.tensor([2, 0, 1])),
        lambda t, r: r.invert_permutation(None),
        lambda t, r: r.PackedSequence(t.ones(4), t.tensor([3, 1]), t.tensor([2, 0, 1])),
        lambda t, r: r.PackedSequence((t.ones(4), t.tensor([3, 1]))),
    ],
)
def test_packing_is_pytorchs(call):
    alike(lambda torch: call(torch, torch.nn.utils.rnn))


@pytest.mark.parametrize(
    "call",
    [
        lambda r, p: r.pad_packed_sequence(p),
        lambda r, p: r.pad_packed_sequence(p, True, -1.0, 6),
        lambda r, p: r.unpack_sequence(p),
        lambda r, p: p.double(),
        lambda r, p: p.long(),
        lambda r, p: [
            q.data for q in (p.half(), p.float(), p.int(), p.short(), p.char(), p.byte())
        ],
        lambda r, p: [p.to(p.data.dtype) is p, p.cpu() is p, p.is_cuda, p.is_pinned()],
        lambda r, p: repr(p),
    ],
)
def test_packed_sequences_are_pytorchs(call):
    def run(torch):
        rnn = torch.nn.utils.rnn
        return call(rnn, rnn.pack_sequence(sequences(torch, 1, 3, 2), enforce_sorted=False))

    alike(run)


@pytest.mark.parametrize(
    "call",
    [
        lambda t, r: r.pack_padded_sequence(t.tensor(WHOLE), [1, 2, 1]),
        lambda t, r: r.pack_padded_sequence(t.tensor(WHOLE), [3, 2, 0]),
        lambda t, r: r.pack_padded_sequence(t.tensor(WHOLE), [3, 2]),
        lambda t, r: r.pack_padded_sequence(t.tensor(WHOLE), t.tensor([[3, 2, 1]])),
        lambda t, r: r.pack_padded_sequence(t.zeros(0, 3), [3, 2, 1]),
        lambda t, r: r.pack_sequence(sequences(t, 1, 2)),
        lambda t, r: r.pack_sequence([]),
        lambda t, r: r.pad_sequence([]),
        lambda t, r: r.pad_sequence(3),
        lambda t, r: r.pad_sequence([3]),
        lambda t, r: r.pad_sequence(sequences(t, 2), padding_side="top"),
        lambda t, r: r.pad_packed_sequence(r.pack_sequence(sequences(t, 3, 2)), total_length=2),
        lambda t, r: r.PackedSequence(t.ones(2)),
    ],
)
def test_packing_refuses_what_pytorch_refuses(call):
    ours = outcome(lambda: call(tg, tg.nn.utils.rnn))
    assert ours == outcome(lambda: call(pytorch, pytorch.nn.utils.rnn))


@pytest.mark.parametrize(
    "call",
    [
        lambda t, r: r.pad_sequence([t.ones(2), t.ones(3, 2)]),
        lambda t, r: r.pad_sequence([t.ones(2, 3), t.ones(3, 2)]),
        lambda t, r: r.unpad_sequence(t.ones(3, 2), t.tensor([1])),
    ],
)
def test_packing_refuses_in_other_words(call):
    assert kind(lambda: call(tg, tg.nn.utils.rnn)) == kind(
        lambda: call(pytorch, pytorch.nn.utils.rnn)
    )


def test_lengths_beyond_the_input_are_refused():
    # PyTorch returns elements of other sequences here.
    with pytest.raises(RuntimeError, match="longest length is 5, but the input has only 4 steps"):
        tg.nn.utils.rnn.pack_padded_sequence(tg.tensor(WHOLE), [5, 2, 1])


def test_unpadding_leaves_its_input_alone():
    # PyTorch transposes it in place.
    padded = tg.tensor(WHOLE)
    tg.nn.utils.rnn.unpad_sequence(padded, tg.tensor([1, 4, 2]))
    assert tuple(padded.shape) == WHOLE.shape


def test_gradients_pass_through_packing():
    def run(torch):
        rnn = torch.nn.utils.rnn
        x = torch.tensor(WHOLE.astype("float64"), requires_grad=True)
        packed = rnn.pack_padded_sequence(x, [1, 4, 2], enforce_sorted=False)
        padded, _ = rnn.pad_packed_sequence(packed, padding_value=2.0)
        joined = rnn.pad_sequence([x[:, 0], x[:2, 1]])
        ((padded**3).sum() + (joined**2).sum()).backward()
        return x.grad

    alike(run)


def test_packing_and_unpacking_again_changes_nothing():
    lists = [
        tg.tensor(np.random.default_rng(i).normal(size=(n, 3))) for i, n in enumerate((2, 5, 1))
    ]
    packed = tg.nn.utils.rnn.pack_sequence(lists, enforce_sorted=False)
    for before, after in zip(lists, tg.nn.utils.rnn.unpack_sequence(packed), strict=True):
        np.testing.assert_array_equal(before.numpy(), after.numpy())
