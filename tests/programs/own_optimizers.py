import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor, optim
from torch.nn.modules.loss import _WeightedLoss
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    ExponentialLR,
    MultiStepLR,
)
from torch.utils.data import (
    DataLoader,
    IterableDataset,
    SubsetRandomSampler,
    get_worker_info,
)


class LabelSmooth(_WeightedLoss):
    def __init__(self, weight=None, reduction="mean", smoothing=0.1):
        super().__init__(weight=weight, reduction=reduction)
        self.smoothing = smoothing

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        with torch.no_grad():
            t = (
                torch.empty(size=(targets.size(0), inputs.size(-1)), device=targets.device)
                .fill_(self.smoothing / (inputs.size(-1) - 1))
                .scatter_(1, targets.data.unsqueeze(1), 1.0 - self.smoothing)
            )
        lsm = F.log_softmax(inputs, -1)
        if self.weight is not None:
            lsm = lsm * self.weight.unsqueeze(0)
        loss = -(t * lsm).sum(-1)
        return loss.mean() if self.reduction == "mean" else loss.sum()


class Stream(IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        info = get_worker_info()
        lo, step = (0, 1) if info is None else (info.id, info.num_workers)
        return iter(range(lo, self.n, step))


class SAM(torch.optim.Optimizer):
    def __init__(self, params, base_optimizer, rho=0.05, **kwargs):
        defaults = dict(rho=rho, **kwargs)
        super().__init__(params, defaults)
        self.base_optimizer = base_optimizer(self.param_groups, **kwargs)
        self.param_groups = self.base_optimizer.param_groups
        self.defaults.update(self.base_optimizer.defaults)

    @torch.no_grad()
    def first_step(self, zero_grad=False):
        grad_norm = torch.norm(
            torch.stack(
                [
                    p.grad.norm(p=2)
                    for group in self.param_groups
                    for p in group["params"]
                    if p.grad is not None
                ]
            ),
            p=2,
        )
        for group in self.param_groups:
            scale = group["rho"] / (grad_norm + 1e-12)
            for p in group["params"]:
                if p.grad is None:
                    continue
                self.state[p]["old_p"] = p.data.clone()
                p.add_(p.grad * scale.to(p))
        if zero_grad:
            self.zero_grad()

    @torch.no_grad()
    def second_step(self, zero_grad=False):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                p.data = self.state[p]["old_p"]
        self.base_optimizer.step()
        if zero_grad:
            self.zero_grad()


class Lion(optim.Optimizer):
    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                p.data.mul_(1 - group["lr"] * group["weight_decay"])
                state = self.state[p]
                if len(state) == 0:
                    state["exp_avg"] = torch.zeros_like(p)
                m = state["exp_avg"]
                b1, b2 = group["betas"]
                p.add_((m * b1 + p.grad * (1 - b1)).sign_(), alpha=-group["lr"])
                m.mul_(b2).add_(p.grad, alpha=1 - b2)
        return loss


class NoisyLinear(nn.Linear):
    def __init__(self, i, o, sigma=0.017, bias=True):
        super().__init__(i, o, bias=bias)
        self.sigma_weight = nn.Parameter(torch.full((o, i), sigma))
        self.register_buffer("epsilon_weight", torch.zeros(o, i))
        self.reset_parameters()

    def reset_parameters(self):
        std = (3 / self.in_features) ** 0.5
        self.weight.data.uniform_(-std, std)
        if self.bias is not None:
            self.bias.data.uniform_(-std, std)

    def forward(self, x):
        self.epsilon_weight.normal_()
        return F.linear(x, self.weight + self.sigma_weight * self.epsilon_weight.data, self.bias)


def mixup(x, y, lam=0.3):
    idx = torch.randperm(x.size()[0])
    return lam * x + (1 - lam) * x[idx, :], y, y[idx], lam


def main():
    torch.manual_seed(0)
    out = []
    net = nn.Sequential(NoisyLinear(4, 8), nn.ELU(), nn.Linear(8, 3))
    crit = LabelSmooth(torch.tensor([1.0, 2.0, 3.0]))
    x, y = torch.randn(16, 4), torch.randint(3, (16,))
    sam = SAM(net.parameters(), SGD, lr=0.1, momentum=0.9)
    for _ in range(5):
        crit(net(x), y).backward()
        sam.first_step(zero_grad=True)
        loss = crit(net(x), y)
        loss.backward()
        sam.second_step(zero_grad=True)
        out.append(loss.item())
    lion = Lion(net.parameters(), lr=1e-3, weight_decay=0.1)
    sch = MultiStepLR(lion, [2, 4], 0.5)
    for _ in range(5):
        a, y1, y2, lam = mixup(x, y)

        def closure():
            lion.zero_grad()
            o = net(a)
            loss = lam * crit(o, y1) + (1 - lam) * crit(o, y2)
            loss.backward()
            return loss

        out.append(lion.step(closure).item())
        sch.step()
    out += [lion.state_dict()["state"][0]["exp_avg"], sch.get_last_lr(), len(sam.state)]
    for mk in (
        lambda o: CyclicLR(o, 1e-3, 1e-1, step_size_up=3, mode="triangular2", cycle_momentum=False),
        lambda o: CosineAnnealingWarmRestarts(o, 3, 2),
        lambda o: ChainedScheduler([ExponentialLR(o, 0.9), MultiStepLR(o, [3])]),
    ):
        o = Adam(net.parameters(), lr=0.01)
        s = mk(o)
        r = []
        for _i in range(8):
            o.step()
            s.step()
            r.append(o.param_groups[0]["lr"])
        out.append(r)
    out += [
        list(DataLoader(Stream(10), batch_size=4)),
        [b.tolist() for b in DataLoader(Stream(10), batch_size=3, num_workers=0, drop_last=True)],
    ]
    split = int(0.8 * 16)
    ind = list(range(16))
    out += [
        [b.tolist() for b in DataLoader(y, batch_size=5, sampler=SubsetRandomSampler(ind[:split]))]
    ]
    with torch.autograd.set_grad_enabled(False):
        out.append(net(x).requires_grad)

    @torch.no_grad()
    def ev():
        return net(x)

    out.append(ev().requires_grad)
    m = nn.MultiheadAttention(8, 2, batch_first=True)
    q = torch.randn(2, 5, 8)
    o, w = m(q, q, q, attn_mask=torch.triu(torch.ones(5, 5), 1).bool(), average_attn_weights=False)
    out += [o, w]
    return out
