"""Results with the batch innermost in memory are viewed like PyTorch's, unless somebody looks on."""

import numpy as np
import pytest

import tinygrad_like as ours
from tinygrad_like.layout import batch_innermost

torch = pytest.importorskip("torch")
X = np.random.default_rng(0).normal(size=(4, 2, 6, 6)).astype(np.float32)
W = np.random.default_rng(1).normal(size=(3, 2, 3, 3)).astype(np.float32)


def convolved(t=ours, grad=False):
    return t.relu(t.conv2d(t.tensor(X), t.tensor(W).requires_grad_(grad)))


@pytest.mark.parametrize(
    "shape", [(-1,), (12, 4, 4), (4, -1), (-1, 48), (4, 3, 16), (2, 2, 3, 4, 4)]
)
def test_views_are_those_of_contiguous_rows(shape):
    mine, theirs = convolved(grad=True), convolved(torch, grad=True)
    assert batch_innermost(mine.array)
    view = mine.view(*shape)
    np.testing.assert_allclose(view.detach().numpy(), theirs.view(*shape).detach(), rtol=1e-5)
    assert np.shares_memory(view.array, mine.array)
    view.mul_(3)
    theirs.view(*shape).mul_(3)
    np.testing.assert_allclose(mine.detach().numpy(), theirs.detach().numpy(), rtol=1e-5)


def test_gradients_through_a_view_of_moved_memory():
    gradients = []
    for t in (ours, torch):
        w = t.tensor(W).requires_grad_()
        out = t.relu(t.conv2d(t.tensor(X), w)).exp()
        (out.view(-1) * out.view(-1)).sum().backward()
        gradients.append(w.grad.numpy())
    np.testing.assert_allclose(*gradients, rtol=1e-4)


def test_a_view_that_keeps_the_order_moves_nothing():
    out = convolved()
    memory = out.array
    out.view(4, -1)
    assert out.array is memory


@pytest.mark.parametrize(
    "look",
    [
        lambda t: t.detach(),
        lambda t: t.data,
        lambda t: t.numpy(),
        lambda t: np.asarray(t),
        lambda t: np.from_dlpack(t),
        lambda t: t[1:],
        lambda t: t.permute(0, 2, 3, 1),
    ],
)
def test_memory_that_others_look_at_stays(look):
    out = convolved()
    other = look(out)
    with pytest.raises(RuntimeError, match=r"Use .reshape"):
        out.view(-1)
    out.mul_(2)
    np.testing.assert_array_equal(np.asarray(other).sum(), np.asarray(look(out)).sum())


def test_a_user_s_own_order_is_no_business_of_ours():
    for t in (ours, torch):
        channels_last = t.zeros(2, 4, 4, 3).permute(0, 3, 1, 2).clone()
        with pytest.raises(RuntimeError, match=r"Use .reshape"):
            channels_last.view(-1)
        leaf = t.zeros(3, 4, 4, 2).permute(3, 0, 1, 2).detach().requires_grad_()
        with pytest.raises(RuntimeError, match=r"Use .reshape"):
            leaf.view(-1)


def test_wrong_sizes_are_refused_all_the_same():
    with pytest.raises(RuntimeError, match="invalid for input of size"):
        convolved().view(5, -1)
