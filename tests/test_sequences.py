"""CTC and bags of embeddings beside PyTorch's, over lengths and options."""

import numpy as np
import pytest

import tinygrad_like as tg

torch = pytest.importorskip("torch")


def close(ours, theirs):
    np.testing.assert_allclose(
        ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-9, atol=1e-11
    )


@pytest.mark.parametrize("trial", range(40))
def test_ctc_of_many_lengths(trial):
    rng = np.random.default_rng(trial)
    steps, batch, classes, longest = (
        int(rng.integers(*r)) for r in ((1, 9), (1, 4), (2, 5), (0, 5))
    )
    blank = int(rng.integers(0, classes))
    scores = rng.normal(size=(steps, batch, classes))
    labels = [c for c in range(classes) if c != blank]
    targets = rng.choice(labels, size=(batch, longest)).astype(np.int64)
    inputs = rng.integers(1, steps + 1, size=batch)
    lengths = rng.integers(0, longest + 1, size=batch)
    if trial % 3 == 0 and lengths.sum():
        targets = np.concatenate([targets[i, :n] for i, n in enumerate(lengths)])
    for reduction in ("none", "mean", "sum"):
        for zero_infinity in (False, True):
            found = []
            for t in (tg, torch):
                x = t.tensor(scores, requires_grad=True)
                loss = t.nn.functional.ctc_loss(
                    t.log_softmax(x, 2),
                    t.tensor(targets),
                    t.tensor(inputs),
                    t.tensor(lengths),
                    blank,
                    reduction,
                    zero_infinity,
                )
                loss.sum().backward()
                found.append((loss, x.grad))
            for ours, theirs in zip(*found, strict=True):
                close(ours, theirs)


def test_ctc_of_one_sequence_and_lengths_as_tuples():
    scores = np.random.default_rng(0).normal(size=(5, 3))
    for reduction in ("none", "mean"):
        ours, theirs = (
            t.nn.functional.ctc_loss(
                t.log_softmax(t.tensor(scores), 1),
                t.tensor([1, 2]),
                (5,),
                (2,),
                reduction=reduction,
            )
            for t in (tg, torch)
        )
        assert ours.shape == theirs.shape
        close(ours, theirs)


def test_the_gradient_of_ctc_has_no_derivative():
    x = tg.randn(4, 1, 3, requires_grad=True)
    loss = tg.nn.functional.ctc_loss(x.log_softmax(2), tg.tensor([[1]]), (4,), (1,))
    (slope,) = tg.autograd.grad(loss, x, create_graph=True)
    with pytest.raises(RuntimeError, match="not implemented"):
        slope.sum().backward()


def bag(t, mode, **options):
    weight = t.tensor(np.arange(12.0).reshape(6, 2) % 5, requires_grad=True)
    index = t.tensor([4, 0, 2, 2, 5, 1])
    return weight, t.nn.functional.embedding_bag(index, weight, mode=mode, **options)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("padding_idx", [None, 2, -1])
@pytest.mark.parametrize("last", [False, True])
def test_bags(mode, padding_idx, last):
    found = []
    for t in (tg, torch):
        offsets = t.tensor([0, 3, 3, 6] if last else [0, 3, 3])
        weight, out = bag(
            t, mode, offsets=offsets, padding_idx=padding_idx, include_last_offset=last
        )
        (out * t.arange(1.0, 7.0).reshape(3, 2)).sum().backward()
        found.append((out, weight.grad))
    for ours, theirs in zip(*found, strict=True):
        close(ours, theirs)


def test_long_rows_are_scaled_in_place():
    found = []
    for t in (tg, torch):
        weight = t.tensor(np.arange(12.0).reshape(6, 2))
        out = t.nn.functional.embedding_bag(t.tensor([[1, 5]]), weight, max_norm=2.0, mode="sum")
        found.append((out, weight))
    for ours, theirs in zip(*found, strict=True):
        close(ours, theirs)


def test_gradients_by_frequency_count_how_often_a_row_was_looked_up():
    weight = tg.ones(3, 2, requires_grad=True)
    index = tg.tensor([[0, 0, 1]])
    tg.nn.functional.embedding_bag(
        index, weight, mode="sum", scale_grad_by_freq=True
    ).sum().backward()
    assert weight.grad.tolist() == [[1.0, 1.0], [1.0, 1.0], [0.0, 0.0]]


WRONG = [
    lambda t: bag(t, "sum"),
    lambda t: bag(t, "product", offsets=t.tensor([0])),
    lambda t: bag(t, "sum", offsets=t.tensor([1, 2])),
    lambda t: bag(t, "sum", offsets=t.tensor([0, 7])),
    lambda t: bag(t, "sum", offsets=t.tensor([[0]])),
    lambda t: bag(t, "max", offsets=t.tensor([0]), scale_grad_by_freq=True),
    lambda t: bag(t, "mean", offsets=t.tensor([0]), per_sample_weights=t.ones(6).double()),
    lambda t: bag(t, "sum", offsets=t.tensor([0]), per_sample_weights=t.ones(5).double()),
    lambda t: bag(t, "sum", offsets=t.tensor([0]), per_sample_weights=t.ones(6)),
    lambda t: bag(t, "sum", offsets=t.tensor([0]), padding_idx=6),
    lambda t: t.nn.functional.embedding_bag(t.tensor([[0]]), t.ones(2, 2), t.tensor([0])),
    lambda t: t.nn.functional.embedding_bag(t.tensor([[[0]]]), t.ones(2, 2)),
    lambda t: t.nn.functional.embedding_bag(t.tensor([[2]]), t.ones(2, 2)),
    lambda t: t.nn.functional.embedding_bag(t.ones(1, 1), t.ones(2, 2)),
    lambda t: t.nn.functional.ctc_loss(t.zeros(4, 1, 3), t.tensor([[1]]), (5,), (1,)),
    lambda t: t.nn.functional.ctc_loss(t.zeros(4, 1, 3), t.tensor([[1]]), (4, 4), (1,)),
    lambda t: t.nn.functional.ctc_loss(t.zeros(4, 1, 3), t.tensor([[1]]), (4,), (2,)),
    lambda t: t.nn.functional.ctc_loss(t.zeros(4, 1, 3), t.tensor([[1]]), (4,), (1,), blank=3),
    lambda t: t.nn.functional.ctc_loss(t.zeros(4, 2, 3), t.tensor([[1]]), (4, 4), (1, 1)),
]


@pytest.mark.parametrize("call", WRONG)
def test_wrong_calls_raise_what_pytorch_raises(call):
    with pytest.raises(Exception) as theirs:  # noqa: PT011
        call(torch)
    with pytest.raises(theirs.type):
        call(tg)
