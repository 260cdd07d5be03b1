import copy
from collections import OrderedDict

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.autograd.functional import hessian, hvp, jacobian
from torch.func import functional_call, grad, stack_module_state
from torch.nn.utils import parameters_to_vector, vector_to_parameters

TOLERANCE = 1e-9  # in double precision


def main():
    torch.set_default_dtype(torch.float64)
    try:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(1, 10), nn.Tanh(), nn.Linear(10, 1))
        meta = torch.optim.Adam(net.parameters(), lr=1e-2)
        log = []
        for _it in range(6):
            meta.zero_grad()
            outer = 0.0
            for _task in range(3):
                amp, ph = torch.rand(2).tolist()
                x = torch.rand(10, 1) * 10 - 5
                y = amp * torch.sin(x + ph)
                fast = OrderedDict(net.named_parameters())
                for _k in range(2):
                    loss = F.mse_loss(functional_call(net, fast, (x[:5],)), y[:5])
                    grads = torch.autograd.grad(loss, fast.values(), create_graph=True)
                    fast = OrderedDict(
                        (n, p - 0.1 * g) for (n, p), g in zip(fast.items(), grads, strict=False)
                    )
                outer = outer + F.mse_loss(functional_call(net, fast, (x[5:],)), y[5:])
            outer.backward()
            meta.step()
            log.append(outer.item())
        # Physics informed: u'' = -u
        t = torch.linspace(0, 1, 20).view(-1, 1).requires_grad_(True)
        opt = torch.optim.LBFGS(
            net.parameters(), lr=0.5, max_iter=8, history_size=10, line_search_fn="strong_wolfe"
        )

        def closure():
            opt.zero_grad()
            u = net(t)
            du = torch.autograd.grad(u, t, torch.ones_like(u), create_graph=True)[0]
            ddu = torch.autograd.grad(du.sum(), t, create_graph=True)[0]
            loss = ((ddu + u) ** 2).mean() + (u[0] - 1).pow(2).squeeze() + du[0, 0] ** 2
            loss.backward()
            return loss

        for _ in range(3):
            log.append(opt.step(closure).item())
        v = parameters_to_vector(net.parameters())

        def f(vec):
            ps = {}
            i = 0
            for n, p in net.named_parameters():
                ps[n] = vec[i : i + p.numel()].view_as(p)
                i += p.numel()
            return (functional_call(net, ps, t.detach()) ** 2).sum()

        H = hessian(f, v.detach())
        ev = torch.linalg.eigvalsh(H)
        _, hv = hvp(f, v.detach(), torch.ones_like(v))
        g = grad(f)(v.detach())
        fisher = torch.outer(g, g) + 1e-2 * torch.eye(len(g))
        step = torch.linalg.solve(fisher, g)
        vector_to_parameters(v - 0.01 * step, net.parameters())
        J = jacobian(lambda a: net(a).squeeze(), t.detach(), vectorize=False)
        params, _buffers = stack_module_state([net, copy.deepcopy(net)])
        return log, H, ev, hv, g, J, [tuple(p.shape) for p in params.values()], f(v)
    finally:
        torch.set_default_dtype(torch.float32)
