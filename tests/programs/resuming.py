import io
import os
import random
import tempfile

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LinearLR,
    ReduceLROnPlateau,
    SequentialLR,
)


def set_seed(seed):
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(seed)


def make():
    model = nn.Sequential(
        nn.Linear(6, 16), nn.BatchNorm1d(16), nn.GELU(), nn.Dropout(0.3), nn.Linear(16, 3)
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05)
    warm = LinearLR(optimizer, start_factor=0.1, total_iters=4)
    cosine = CosineAnnealingLR(optimizer, T_max=16, eta_min=1e-5)
    scheduler = SequentialLR(optimizer, [warm, cosine], milestones=[4])
    return model, optimizer, scheduler


def run(model, optimizer, scheduler, plateau, steps, best):
    out = []
    for _ in range(steps):
        x = torch.randn(12, 6)
        y = torch.randint(3, (12,))
        loss = nn.functional.cross_entropy(model(x), y, label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        plateau.step(loss.item())
        best = min(best, loss.item())
        out.append((loss.item(), optimizer.param_groups[0]["lr"]))
    return out, best


def main():
    set_seed(7)
    model, optimizer, scheduler = make()
    other = torch.optim.SGD(model.parameters(), lr=1.0)
    plateau = ReduceLROnPlateau(other, "min", factor=0.5, patience=2)
    first, best = run(model, optimizer, scheduler, plateau, 10, float("inf"))
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "checkpoint.pth.tar")
        torch.save(
            {
                "epoch": 10,
                "arch": "mlp",
                "best_acc1": best,
                "state_dict": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "scheduler": scheduler.state_dict(),
                "plateau": plateau.state_dict(),
                "rng": torch.get_rng_state(),
                "np": np.random.get_state(),
                "py": random.getstate(),
            },
            path,
        )
        straight, _ = run(model, optimizer, scheduler, plateau, 8, best)
        set_seed(99)
        model2, optimizer2, scheduler2 = make()
        other2 = torch.optim.SGD(model2.parameters(), lr=1.0)
        plateau2 = ReduceLROnPlateau(other2, "min", factor=0.5, patience=2)
        ck = torch.load(path, map_location="cpu", weights_only=False)
    keys = model2.load_state_dict(ck["state_dict"])
    optimizer2.load_state_dict(ck["optimizer"])
    scheduler2.load_state_dict(ck["scheduler"])
    plateau2.load_state_dict(ck["plateau"])
    torch.set_rng_state(ck["rng"])
    np.random.set_state(ck["np"])
    random.setstate(ck["py"])
    resumed, _ = run(model2, optimizer2, scheduler2, plateau2, 8, ck["best_acc1"])
    assert resumed == straight, (resumed, straight)
    buffer = io.BytesIO()
    torch.save(model2.state_dict(), buffer)
    buffer.seek(0)
    again = torch.load(buffer)
    return first, straight, str(keys), list(again), other2.param_groups[0]["lr"], str(optimizer2)
