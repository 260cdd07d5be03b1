"""Corners of shapes, parts and conversions, held to PyTorch line by line."""

import numpy as np
import pytest

import tinygrad_like as ours
from tests.both import compare

nan, inf = float("nan"), float("inf")


class Operands:
    """Tensors to write lines about, made by either package."""

    def __init__(self, torch):
        self.T = torch
        self.x = torch.arange(24.0).reshape(2, 3, 4)
        self.v = torch.arange(3.0)
        self.s = torch.tensor(2.0)
        self.w = torch.ones(1, 3, requires_grad=True)


LINES = [
    "x.reshape(5, 5)",
    "x.reshape(-1, -1)",
    "x.reshape((2, -1))",
    "x.reshape([6, 4])",
    "x.view(5, -1)",
    "x.view(T.Size([4, 6]))",
    "x.transpose(0, 1).view(-1)",
    "x.transpose(0, 1).reshape(-1)",
    "T.ones(0).reshape(0, -1)",
    "T.ones(0).reshape(3, 0)",
    "x.reshape(-2, 3)",
    "x.view_as(T.ones(4, 6))",
    "x.reshape_as(T.ones(24))",
    "s.reshape(1, 1)",
    "s.reshape(())",
    "x.flatten(2, 1)",
    "x.flatten(5)",
    "s.flatten()",
    "x.flatten(1)",
    "x.flatten(-2, -1)",
    "x.unflatten(1, (2, 2))",
    "x.unflatten(1, (2, -1))",
    "x.unflatten(-1, (2, 2))",
    "x.unflatten(-1, (-1, 2))",
    "v.ravel()",
    "x.squeeze(5)",
    "x[:1].squeeze(0)",
    "x[:1].squeeze((0, 1))",
    "x.squeeze((0, 0))",
    "s.squeeze(0)",
    "s.squeeze(1)",
    "s.squeeze()",
    "x.unsqueeze(5)",
    "x.unsqueeze(-4)",
    "s.unsqueeze(0)",
    "s.unsqueeze(1)",
    "x.transpose(0, 7)",
    "s.transpose(0, 0)",
    "s.transpose(0, -1)",
    "s.transpose(0, 1)",
    "x.permute(0, 1)",
    "x.permute(0, 0, 1)",
    "x.permute(0, 5, 1)",
    "x.permute((2, 0, 1))",
    "x.permute(-1, 0, 1)",
    "s.permute(())",
    "x.movedim((0, 1), (0,))",
    "x.movedim((0, 0), (0, 1))",
    "x.movedim(0, 2)",
    "x.movedim((2, 0), (0, 1))",
    "x.moveaxis(-1, 0)",
    "v.T",
    "x[0].T",
    "x.mT",
    "v.mT",
    "x[0].H",
    "x.H",
    "x[0].t()",
    "x.t()",
    "s.t()",
    "x.swapdims(0, 2)",
    "x.adjoint()",
    "v.adjoint()",
    "v.expand(2, 4)",
    "x.expand(3)",
    "v.expand(-1, 3)",
    "v.expand(2, -1)",
    "v.expand(0, 3)",
    "x[:1].expand(5, -1, -1)",
    "s.expand(2)",
    "s.expand(2, 0)",
    "T.broadcast_to(v, (2, 4))",
    "T.broadcast_to(v, (2, 3))",
    "v.expand_as(x[0, :, :3])",
    "T.broadcast_tensors(v, x)",
    "T.broadcast_tensors(v, s)",
    "T.broadcast_shapes((2, 3), (4,))",
    "tuple(T.broadcast_shapes((2, 1), (4,), 1))",
    "x.repeat(2)",
    "v.repeat(2, -1)",
    "v.repeat(2, 2)",
    "v.repeat((2, 2))",
    "v.repeat(0)",
    "v.tile(2, 2)",
    "x.tile(2)",
    "T.tile(v, (2, 0))",
    "v.repeat_interleave(T.tensor([1, 2]))",
    "v.repeat_interleave(T.tensor([1, 0, 2]))",
    "v.repeat_interleave(-1)",
    "v.repeat_interleave(T.tensor([1, -2, 1]))",
    "v.repeat_interleave(T.tensor([1., 2, 1]))",
    "x.repeat_interleave(2)",
    "x.repeat_interleave(2, dim=1)",
    "x.repeat_interleave(T.tensor([2]), 0)",
    "T.repeat_interleave(T.tensor([1, 2]))",
    "x.flip(0, 0)",
    "x.flip()",
    "x.flip(7)",
    "x.flip(0, -1)",
    "x.flip([1])",
    "v.fliplr()",
    "s.flipud()",
    "x.roll(1, 5)",
    "x.roll((1, 2), 0)",
    "x.roll((1, 2))",
    "x.roll(3)",
    "x.roll(-1, -1)",
    "x.roll((1, 2), (0, 1))",
    "s.roll(1)",
    "x.rot90(1, (0, 0))",
    "x.rot90(1, (0,))",
    "v.rot90(1, (0, 1))",
    "x.rot90(5, (1, 2))",
    "x.rot90(-1)",
    "T.cat([])",
    "T.cat([x, v])",
    "T.cat([x, T.ones(2, 2, 4)])",
    "T.cat([x, T.ones(2, 2, 4)], 1)",
    "T.cat([x, x], 5)",
    "T.cat([x, x], dim=-1)",
    "T.cat([s, s])",
    "T.cat([T.ones(0), x])",
    "T.cat([x, T.ones(0)], 2)",
    "T.cat([T.ones(2, dtype=T.int32), T.ones(2, dtype=T.float16)])",
    "T.cat((v, v.double()))",
    "T.cat(x)",
    "T.cat([x, 3])",
    "T.concat([v, v])",
    "T.cat([T.ones(0), T.ones(0)])",
    "T.stack([])",
    "T.stack([x, v])",
    "T.stack([x, x], 9)",
    "T.stack([x, x], -1)",
    "T.stack([s, s])",
    "T.stack([v, v.int()])",
    "T.hstack([s, s])",
    "T.hstack([v, v])",
    "T.vstack([v, s])",
    "T.vstack([v, v])",
    "T.dstack([v, v])",
    "T.column_stack([v, v])",
    "T.column_stack([s, s])",
    "x.split(0)",
    "x.split([1, 2])",
    "x.split(-1)",
    "s.split(1)",
    "x.split(2, 2)",
    "x.split(3, 2)",
    "x.split([3, -1], 0)",
    "x.split([1, 1])",
    "T.ones(0, 2).split(1)",
    "T.ones(0, 2).split(0)",
    "T.split(x, 1, dim=1)",
    "x.chunk(0)",
    "T.ones(5).chunk(4)",
    "T.ones(0).chunk(3)",
    "s.chunk(2)",
    "x.chunk(2, -1)",
    "s.unbind()",
    "x.unbind(4)",
    "x.unbind(-1)",
    "T.ones(0, 2).unbind()",
    "T.ones(5).tensor_split(3)",
    "T.ones(5).tensor_split((1, 7, 3))",
    "v.tensor_split(0)",
    "s.tensor_split(1)",
    "T.ones(5).tensor_split(T.tensor([2, 3]))",
    "v.narrow(0, 1, 5)",
    "v.narrow(0, -2, 2)",
    "v.narrow(0, 4, 0)",
    "v.narrow(0, 0, -1)",
    "s.narrow(0, 0, 1)",
    "x.narrow(-1, 1, 2)",
    "v.narrow(0, T.tensor(1), 1)",
    "v.select(0, 5)",
    "v.select(0, -1)",
    "s.select(0, 0)",
    "v.select(1, 0)",
    "F.pad(v, (1,))",
    "F.pad(v, (1, 1, 1, 1))",
    "F.pad(v, (-2, -2))",
    "F.pad(v, (-1, 1), value=2)",
    "F.pad(x, (1, 0, 0, 2))",
    "F.pad(x, (0, 0, -1, 1))",
    "F.pad(v, (1, 1), 'reflect')",
    "F.pad(v[None], (2, 1), 'reflect')",
    "F.pad(v[None], (3, 1), 'reflect')",
    "F.pad(v[None], (4, 1), 'circular')",
    "F.pad(v[None], (3, 1), 'circular')",
    "F.pad(v[None], (1, 1), 'wat')",
    "F.pad(v[None], (4, 1), 'replicate')",
    "F.pad(v[None], (4, -2), 'replicate')",
    "F.pad(T.arange(4.)[None], (2, -2), 'reflect')",
    "F.pad(T.arange(4.)[None], (2, -2), 'circular')",
    "F.pad(v[None], (1, 1), 'reflect', 1.0)",
    "F.pad(v[None].int(), (1, 1), value=1)",
    "F.pad(x, (1, 1, 1, 1), 'reflect')",
    "F.pad(x[None], (1, 2, 2, 1), 'circular')",
    "F.pad(x[None, None], (1, 1, 1, 1, 1, 1), 'replicate')",
    "v.tril()",
    "x.tril(-1)",
    "x.triu(1)",
    "T.triu(x.int())",
    "s.diagonal()",
    "v.diagonal()",
    "x.diagonal(0, 1, 1)",
    "x.diagonal(5)",
    "x.diagonal(-5)",
    "x.diagonal(1, -1, 0)",
    "T.diag(x)",
    "T.diag(v, 1)",
    "T.diag(v, -1)",
    "T.diag(x[0])",
    "T.diag(x[0], 1)",
    "T.diag_embed(v, 1, 0, 0)",
    "T.diag_embed(x[0], -1)",
    "T.diagflat(x, -1)",
    "T.diagflat(s)",
    "x.type()",
    "x.bool().type()",
    "x.type('torch.IntTensor')",
    "x.type(T.float64)",
    "x.to('cpu', T.int64)",
    "x.to(T.float32) is x",
    "x.to(s.double())",
    "x.to(dtype=T.float16, copy=True)",
    "x.to() is x",
    "x.to('cpu') is x",
    "x.to(x.dtype, copy=True) is x",
    "x.to('cpu', wat=1)",
    "x.long()",
    "x.bool()",
    "(x * 40).byte()",
    "x.char()",
    "x.short()",
    "x.half()",
    "x.double()",
    "x.int().float()",
    "x.cpu() is x",
    "x.type_as(s.int())",
    "x.contiguous() is x",
    "x.mT.contiguous().stride()",
    "x.clone() is x",
    "T.meshgrid(v, s, indexing='xy')",
    "T.meshgrid(v, T.arange(2.), indexing='ij')",
    "T.meshgrid(v, T.arange(2.), T.arange(4.), indexing='xy')",
    "T.meshgrid(v, x)",
    "T.meshgrid(v, v.int(), indexing='ij')",
    "T.meshgrid(v, v, indexing='a')",
    "T.meshgrid([v, v])",
    "v.unfold(0, 4, 1)",
    "v.unfold(0, 2, 0)",
    "v.unfold(0, 2, 1)",
    "x.unfold(2, 2, 2)",
    "v.unfold(0, 0, 1)",
    "s.unfold(0, 1, 1)",
    "s.unfold(0, 2, 1)",
    "v.unfold(0, -1, 1)",
    "v.unfold(1, 1, 1)",
    "tuple(x.size())",
    "x.size(-1)",
    "x.size(7)",
    "s.size(0)",
    "x.stride()",
    "x.stride(-1)",
    "x.stride(5)",
    "x.mT.stride()",
    "x[1, 1:].storage_offset()",
    "x.numel()",
    "x.nelement()",
    "x.dim()",
    "x.ndimension()",
    "x.element_size()",
    "x.is_contiguous()",
    "x.mT.is_contiguous()",
    "T.numel(x)",
    "x.is_floating_point()",
    "x.int().is_signed()",
    "x.view(T.int32)",
    "x.view(T.float64)",
    "x[..., :3].view(T.float64)",
    "x.view(T.int8)",
    "x.view(dtype=T.int32)",
    "T.atleast_2d(v, s)",
    "T.atleast_3d(v)",
    "T.atleast_1d([s, v])",
    "T.atleast_2d(x)",
    "T.atleast_3d(s)",
    "x.clone().squeeze_()",
    "x[:1].clone().squeeze_(0)",
    "x.clone().unsqueeze_(1)",
    "x[0].clone().t_()",
    "x.clone().transpose_(0, 2)",
    "x.clone().swapaxes_(0, 1)",
    "w.squeeze_()",
    "(w * 1).squeeze_()",
    "(w * 1).unsqueeze_(0) * 2",
]


@pytest.mark.parametrize("line", LINES)
def test_line_does_what_it_does_in_torch(line):
    pytest.importorskip("torch")
    code = compile(line, line, "eval")

    def run(torch):
        names = vars(Operands(torch))
        return eval(code, {"nan": nan, "inf": inf, "F": _functional(torch), **names})

    compare(run)


def _functional(torch):
    import importlib

    return importlib.import_module(f"{torch.__name__}.nn.functional")


VIEWS = [
    lambda x: x.view(3, 4),
    lambda x: x.reshape(2, 6),
    lambda x: x.flatten(),
    lambda x: x.T,
    lambda x: x.mT,
    lambda x: x.t(),
    lambda x: x.transpose(0, 1),
    lambda x: x.permute(1, 0),
    lambda x: x.movedim(0, 1),
    lambda x: x.unsqueeze(1),
    lambda x: x.unsqueeze(0).squeeze(0),
    lambda x: x.select(1, 2),
    lambda x: x.narrow(0, 1, 2),
    lambda x: x.diagonal(),
    lambda x: x.unflatten(0, (2, 2)),
    lambda x: x.unbind(0)[1],
    lambda x: x.split(2, 1)[0],
    lambda x: x.chunk(2)[1],
    lambda x: x.tensor_split(2, 1)[1],
    lambda x: x.unfold(0, 2, 2),
    lambda x: x.expand(4, 3),
    lambda x: x.t().unsqueeze(0).narrow(1, 1, 2).select(2, 3),
    lambda x: x.diagonal().view(3, 1).expand(3, 1),
]


@pytest.mark.parametrize("look", VIEWS)
def test_view_shares_memory(look):
    x = ours.arange(12.0).reshape(4, 3)
    seen = look(x)
    assert np.shares_memory(seen.array, x.array)
    assert seen._base is not None


COPIES = [
    lambda x: x.clone(),
    lambda x: x.flip(0),
    lambda x: x.roll(1),
    lambda x: x.repeat(1, 1),
    lambda x: x.tril(),
    lambda x: x.diag(),
    lambda x: x.T.reshape(-1),
    lambda x: x.T.contiguous(),
    lambda x: x.double(),
    lambda x: x.to(ours.float32, copy=True),
    lambda x: ours.cat([x]),
    lambda x: ours.stack([x]),
    lambda x: ours.rot90(x, 0),
    lambda x: ours.nn.functional.pad(x, (0, 0)),
]


@pytest.mark.parametrize("copied", COPIES)
def test_copy_shares_nothing(copied):
    x = ours.arange(12.0).reshape(4, 3)
    assert not np.shares_memory(copied(x).array, x.array)


def _written(torch, look, number):
    leaf = torch.arange(12.0, dtype=torch.float64).requires_grad_()
    base = (leaf * leaf).reshape(4, 3)
    early = base.t()
    seen = look(base)
    if number in (15, 16, 17):  # one of several
        with pytest.raises(RuntimeError, match="multiple views"):
            seen.mul_(2)
        return []
    seen.mul_(base.sum() * 0.01)
    seen.add_(1)
    loss = (base * base).sum() + (early[0] * 3).sum() + (seen * seen).sum()
    loss.backward()
    return [base, early, seen, leaf.grad]


@pytest.mark.parametrize(("number", "look"), [*enumerate(VIEWS)])
def test_writes_through_views_are_recorded(number, look):
    torch = pytest.importorskip("torch")
    if number in (20, 22):
        return  # nothing to write: see the next test
    expected = _written(torch, look, number)
    actual = _written(ours, look, number)
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), e.detach().numpy(), 1e-12)


def test_expanded_memory_is_not_written():
    x = ours.ones(3, 1) * 1
    with pytest.raises(RuntimeError, match="single memory location"):
        x.expand(3, 4).add_(1)
    assert x.tolist() == [[1.0], [1.0], [1.0]]


def test_reshape_in_place_keeps_the_graph():
    x = ours.ones(2, 1, requires_grad=True)
    y = x * 2
    assert y.squeeze_(1) is y
    assert tuple(y.shape) == (2,)
    y.sum().backward()
    assert x.grad.tolist() == [[2.0], [2.0]]
    with pytest.raises(RuntimeError, match="leaf"):
        x.t_()


def test_gradients_end_at_integers():
    x = ours.ones(2, requires_grad=True)
    assert not x.int().requires_grad
    assert not x.bool().requires_grad
    assert x.half().requires_grad


def test_messages_name_the_op_and_the_operands():
    x = ours.ones(2, 3)
    with pytest.raises(
        RuntimeError, match=r"reshape: input is float32 \(2, 3\): shape '\[4\]' is invalid"
    ):
        x.reshape(4)
    with pytest.raises(RuntimeError, match=r"cat: .*Expected size 3 but got size 2"):
        ours.cat([x, ours.ones(2, 2)])


NUMPY = [
    lambda x: np.reshape(x, (3, 2)),
    lambda x: np.ravel(x),
    lambda x: np.transpose(x),
    lambda x: np.transpose(x, (1, 0)),
    lambda x: np.swapaxes(x, 0, 1),
    lambda x: np.moveaxis(x, 0, 1),
    lambda x: np.squeeze(np.expand_dims(x, (0, 2))),
    lambda x: np.squeeze(np.expand_dims(x, 1), 1),
    lambda x: np.broadcast_to(x, (2, 2, 3)),
    lambda x: np.concatenate([x, x], axis=1),
    lambda x: np.concatenate([x, x], axis=None),
    lambda x: np.stack([x, x], 1),
    lambda x: np.split(x, 3, 1)[1],
    lambda x: np.array_split(x, 2, 1)[0],
    lambda x: np.tril(x),
    lambda x: np.triu(x, 1),
    lambda x: np.diagonal(x, 1),
    lambda x: np.flip(x),
    lambda x: np.flip(x, 1),
    lambda x: np.roll(x, 1),
    lambda x: np.roll(x, 1, 0),
    lambda x: np.tile(x, 2),
    lambda x: np.tile(x, (2, 1)),
    lambda x: np.repeat(x, 2, 1),
    lambda x: np.repeat(x, [1, 2], 0),
    lambda x: np.matrix_transpose(x),
]


@pytest.mark.parametrize("call", NUMPY)
def test_numpy_function_on_a_tensor(call):
    array = np.arange(6.0).reshape(2, 3)
    tensor = ours.tensor(array, requires_grad=True)
    out = call(tensor)
    np.testing.assert_array_equal(out.detach().numpy(), call(array))
    out.sum().backward()
    assert tensor.grad is not None


def test_numpy_questions_about_a_tensor():
    x = ours.ones(2, 3)
    assert (np.shape(x), np.ndim(x), np.size(x), np.size(x, 1)) == ((2, 3), 2, 6, 3)
    assert np.shares_memory(x, x.T)
    assert np.array_equal(x, x.clone())
    assert np.allclose(x, x + 1e-9)
    with pytest.raises(ValueError, match="size 2"):
        np.squeeze(x, 0)
