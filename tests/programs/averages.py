import copy

import torch
from torch import nn
from torch.optim.swa_utils import SWALR, AveragedModel, get_ema_multi_avg_fn, update_bn
from torch.utils.data import DataLoader, TensorDataset


class EMA:
    def __init__(self, model, decay):
        self.model, self.decay = model, decay
        self.shadow, self.backup = {}, {}
        for name, param in model.named_parameters():
            if param.requires_grad:
                self.shadow[name] = param.data.clone()

    def update(self):
        for name, param in self.model.named_parameters():
            if param.requires_grad:
                assert name in self.shadow
                new_average = (1.0 - self.decay) * param.data + self.decay * self.shadow[name]
                self.shadow[name] = new_average.clone()

    def apply_shadow(self):
        for name, param in self.model.named_parameters():
            if param.requires_grad:
                self.backup[name] = param.data
                param.data = self.shadow[name]

    def restore(self):
        for name, param in self.model.named_parameters():
            if param.requires_grad:
                param.data = self.backup[name]
        self.backup = {}


@torch.no_grad()
def ema_update(ema_model, model, decay=0.9):
    for e, p in zip(ema_model.parameters(), model.parameters(), strict=False):
        e.mul_(decay).add_(p, alpha=1 - decay)
    for e, b in zip(ema_model.buffers(), model.buffers(), strict=False):
        e.copy_(b)


def main():
    torch.manual_seed(0)
    ds = TensorDataset(torch.randn(64, 5), torch.randn(64, 1))
    loader = DataLoader(ds, batch_size=16, shuffle=True, generator=torch.Generator().manual_seed(5))
    model = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 1))
    swa = AveragedModel(model)
    ema2 = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    ema3 = copy.deepcopy(model).requires_grad_(False)
    ema = EMA(model, 0.95)
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=10)
    swa_sched = SWALR(opt, swa_lr=0.05, anneal_epochs=3)
    losses, lrs = [], []
    for epoch in range(8):
        for x, y in loader:
            opt.zero_grad(set_to_none=False)
            loss = nn.functional.mse_loss(model(x), y)
            loss.backward()
            opt.step()
            ema.update()
            ema2.update_parameters(model)
            ema_update(ema3, model)
            losses.append(loss.item())
        if epoch > 3:
            swa.update_parameters(model)
            swa_sched.step()
        else:
            sched.step()
        lrs.append(opt.param_groups[0]["lr"])
    update_bn(loader, swa)
    for m in (model, swa, ema2, ema3):
        m.eval()
    before = model(ds.tensors[0]).sum()
    ema.apply_shadow()
    with torch.no_grad():
        inside = model(ds.tensors[0]).sum()
    ema.restore()
    assert torch.equal(before, model(ds.tensors[0]).sum())
    return (
        losses,
        lrs,
        inside,
        [m(ds.tensors[0]).mean() for m in (model, swa, ema2, ema3)],
        swa.state_dict(),
        int(swa.n_averaged),
    )
