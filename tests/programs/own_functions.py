import torch
from torch.autograd import Function, Variable, gradcheck, gradgradcheck
from torch.autograd.function import once_differentiable


class MyReLU(Function):
    @staticmethod
    def forward(ctx, input):
        ctx.save_for_backward(input)
        return input.clamp(min=0)

    @staticmethod
    def backward(ctx, grad_output):
        (input,) = ctx.saved_tensors
        grad_input = grad_output.clone()
        grad_input[input < 0] = 0
        return grad_input


class LinearFunction(Function):
    @staticmethod
    def forward(input, weight, bias):
        output = input.mm(weight.t())
        if bias is not None:
            output += bias.unsqueeze(0).expand_as(output)
        return output

    @staticmethod
    def setup_context(ctx, inputs, output):
        input, weight, bias = inputs
        ctx.save_for_backward(input, weight, bias)

    @staticmethod
    def backward(ctx, grad_output):
        input, weight, bias = ctx.saved_tensors
        gi = gw = gb = None
        if ctx.needs_input_grad[0]:
            gi = grad_output.mm(weight)
        if ctx.needs_input_grad[1]:
            gw = grad_output.t().mm(input)
        if bias is not None and ctx.needs_input_grad[2]:
            gb = grad_output.sum(0)
        return gi, gw, gb


class STE(Function):
    @staticmethod
    def forward(ctx, x, levels):
        ctx.set_materialize_grads(False)
        ctx.levels = levels
        return (x * levels).round() / levels, x.sign()

    @staticmethod
    @once_differentiable
    def backward(ctx, g, unused):
        assert unused is None
        return g, None


class GradReverse(Function):
    @staticmethod
    def forward(ctx, x, lambd=1.0):
        ctx.lambd = lambd
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad_output):
        return grad_output.neg() * ctx.lambd, None


class InplaceExp(Function):
    @staticmethod
    def forward(ctx, x):
        x.exp_()
        ctx.mark_dirty(x)
        ctx.save_for_backward(x)
        return x

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return g * y


class MyLinear(torch.nn.Module):
    def __init__(self, i, o, bias=True):
        super().__init__()
        self.input_features, self.output_features = i, o
        self.weight = torch.nn.Parameter(torch.empty(o, i))
        if bias:
            self.bias = torch.nn.Parameter(torch.empty(o))
        else:
            self.register_parameter("bias", None)
        torch.nn.init.uniform_(self.weight, -0.1, 0.1)
        if self.bias is not None:
            torch.nn.init.uniform_(self.bias, -0.1, 0.1)

    def forward(self, input):
        return LinearFunction.apply(input, self.weight, self.bias)

    def extra_repr(self):
        return f"input_features={self.input_features}, output_features={self.output_features}, bias={self.bias is not None}"


def main():
    torch.manual_seed(0)
    dtype = torch.float
    x = torch.randn(16, 20, dtype=dtype)
    y = torch.randn(16, 3, dtype=dtype)
    l1, l2 = MyLinear(20, 12), MyLinear(12, 3, bias=False)
    opt = torch.optim.RMSprop([*l1.parameters(), *l2.parameters()], lr=1e-3)
    losses = []
    for t in range(20):
        h = MyReLU.apply(l1(x))
        q, _sign = STE.apply(h, 16)
        out = l2(GradReverse.apply(q, 0.5) if t % 2 else q)
        loss = (out - y).pow(2).sum()
        losses.append(loss.item())
        opt.zero_grad()
        loss.backward()
        opt.step()
    a = Variable(torch.randn(3, dtype=torch.double), requires_grad=True)
    b = InplaceExp.apply(a * 2)
    b.sum().backward()
    ok = gradcheck(
        LinearFunction.apply,
        (
            torch.randn(4, 5, dtype=torch.double, requires_grad=True),
            torch.randn(3, 5, dtype=torch.double, requires_grad=True),
            None,
        ),
        eps=1e-6,
        atol=1e-4,
    )
    ok2 = gradgradcheck(MyReLU.apply, (torch.randn(4, dtype=torch.double, requires_grad=True),))
    return losses, a.grad, ok, ok2, str(l1), str(l2), q.grad_fn.name(), b.grad_fn.__class__.__name__
