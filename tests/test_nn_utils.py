"""Clipping gradients, and parameters as one vector."""

import numpy as np
import pytest

import tinygrad_like as tg
from tests.nn_parity import alike, close, kind, ours, outcome, pytorch, theirs


def pair(dtype="float32", scale=1.0):
    """Return parameters with gradients in both packages, one of them without."""
    generator = np.random.default_rng(1)
    made = ([], [])
    for shape in ((3, 4), (5,), ()):
        values = np.asarray(generator.normal(size=shape)).astype(dtype)
        grads = np.asarray(scale * generator.normal(size=shape)).astype(dtype)
        for found, tensor in zip(made, (ours, theirs), strict=True):
            parameter = tensor(values, True)
            parameter.grad = tensor(grads)
            found.append(parameter)
    made[0].append(ours(np.ones(2, dtype), True))
    made[1].append(theirs(np.ones(2, dtype), True))
    return made


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("order", [2.0, 1, 3.0, float("inf"), 0.5])
@pytest.mark.parametrize("bound", [0.5, 1e6])
def test_gradients_are_clipped_as_by_pytorch(dtype, order, bound):
    mine, wanted = pair(dtype)
    close(
        tg.nn.utils.clip_grad_norm_(mine, bound, order),
        pytorch.nn.utils.clip_grad_norm_(wanted, bound, order),
    )
    for p, q in zip(mine, wanted, strict=True):
        close(p.grad, q.grad)


@pytest.mark.parametrize("make", [iter, list, lambda parameters: parameters[0]])
def test_parameters_may_be_given_in_any_way(make):
    mine, wanted = pair()
    close(
        tg.nn.utils.clip_grad_norm_(make(mine), 0.1),
        pytorch.nn.utils.clip_grad_norm_(make(wanted), 0.1),
    )
    tg.nn.utils.clip_grad_value_(make(mine) if make is not iter else mine, 0.01)
    pytorch.nn.utils.clip_grad_value_(make(wanted) if make is not iter else wanted, 0.01)
    for p, q in zip(mine, wanted, strict=True):
        close(p.grad, q.grad)


def test_norms_that_are_not_finite():
    def run(torch):
        p = torch.ones(2, requires_grad=True)
        p.grad = torch.tensor([float("inf"), 1.0])
        q = torch.ones(2, requires_grad=True)
        q.grad = torch.tensor([float("nan"), 1.0])
        clip = torch.nn.utils.clip_grad_norm_
        return [
            kind(lambda: clip([p], 1.0, error_if_nonfinite=True)),
            kind(lambda: clip([q], 1.0, error_if_nonfinite=True)),
            clip([p], 1.0),
            str(p.grad),
            str(clip([q], 1.0)),
            str(q.grad),
        ]

    alike(run)


def test_nothing_to_clip():
    alike(lambda torch: torch.nn.utils.clip_grad_norm_([torch.ones(2)], 1.0))


def test_large_float32_gradients_do_not_overflow_where_pytorchs_do_not():
    mine, wanted = pair(scale=1e15)
    close(tg.nn.utils.clip_grad_norm_(mine, 1.0), pytorch.nn.utils.clip_grad_norm_(wanted, 1.0))


@pytest.mark.parametrize("order", [2.0, 0, float("inf"), -1.0])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_norms_of_large_small_and_transposed_gradients(dtype, order):
    generator = np.random.default_rng(2)
    values = [
        generator.normal(size=shape).astype(dtype) for shape in ((90, 70), (4,), (2, 3), (5000,))
    ]
    mine, wanted = (
        [tensor(v).T if v.ndim == 2 else tensor(v) for v in values] for tensor in (ours, theirs)
    )
    found = tg.nn.utils.get_total_norm(mine, order)
    assert kind(found) == kind(pytorch.nn.utils.get_total_norm(wanted, order))
    np.testing.assert_allclose(
        found.item(), pytorch.nn.utils.get_total_norm(wanted, order).item(), rtol=2e-3
    )


def test_only_gradients_that_are_clipped_count_as_written():
    p = tg.ones(2, requires_grad=True)
    p.grad = tg.ones(2)
    x = tg.ones(2, requires_grad=True)
    loss = (x * p.grad).sum()
    tg.nn.utils.clip_grad_norm_(p, 10.0)
    loss.backward(retain_graph=True)
    tg.nn.utils.clip_grad_norm_(p, 1.0)
    with pytest.raises(RuntimeError, match=r"modified by an inplace operation.*test_nn_utils\.py"):
        loss.backward()


def test_the_norm_alone():
    mine, wanted = pair()
    grads = [p.grad for p in mine[:3]]
    expected = pytorch.nn.utils.get_total_norm([p.grad for p in wanted[:3]])
    close(tg.nn.utils.get_total_norm(grads), expected)
    tg.nn.utils.clip_grads_with_norm_(mine, 0.2, tg.tensor(2.0))
    pytorch.nn.utils.clip_grads_with_norm_(wanted, 0.2, pytorch.tensor(2.0))
    close(mine[0].grad, wanted[0].grad)


def test_parameters_become_a_vector_and_come_back():
    def run(torch):
        net = torch.nn.Linear(2, 3)
        with torch.no_grad():
            net.weight.fill_(2.0)
            net.bias.fill_(1.0)
        vector = torch.nn.utils.parameters_to_vector(net.parameters())
        (vector * vector).sum().backward()
        weight = net.weight
        torch.nn.utils.vector_to_parameters(vector.detach() * 3, net.parameters())
        return [vector, net.weight, net.weight is weight, net.weight.grad, net.bias.grad]

    alike(run)


def test_vectors_that_do_not_fit():
    def run(torch):
        net = torch.nn.Linear(2, 3)
        return [
            kind(lambda: torch.nn.utils.vector_to_parameters(torch.ones(4), net.parameters())),
            outcome(lambda: torch.nn.utils.vector_to_parameters(3, net.parameters())),
        ]

    alike(run)
