import torch
import torch.nn.functional as F
from torch import einsum, nn


def info_nce(q, k, queue, T=0.07):
    l_pos = torch.einsum("nc,nc->n", [q, k]).unsqueeze(-1)
    l_neg = torch.einsum("nc,ck->nk", [q, queue.clone().detach()])
    logits = torch.cat([l_pos, l_neg], dim=1) / T
    labels = torch.zeros(logits.shape[0], dtype=torch.long, device=logits.device)
    return F.cross_entropy(logits, labels)


class MoCo(nn.Module):
    def __init__(self, dim=8, K=32, m=0.9):
        super().__init__()
        mk = lambda: nn.Sequential(nn.Linear(12, 16), nn.ReLU(inplace=True), nn.Linear(16, dim))
        self.encoder_q, self.encoder_k = mk(), mk()
        self.m, self.K = m, K
        for pq, pk in zip(self.encoder_q.parameters(), self.encoder_k.parameters(), strict=False):
            pk.data.copy_(pq.data)
            pk.requires_grad = False
        self.register_buffer("queue", torch.randn(dim, K))
        self.queue = F.normalize(self.queue, dim=0)
        self.register_buffer("queue_ptr", torch.zeros(1, dtype=torch.long))

    @torch.no_grad()
    def _momentum(self):
        for pq, pk in zip(self.encoder_q.parameters(), self.encoder_k.parameters(), strict=False):
            pk.data = pk.data * self.m + pq.data * (1.0 - self.m)

    @torch.no_grad()
    def _enqueue(self, keys):
        n = keys.shape[0]
        ptr = int(self.queue_ptr)
        self.queue[:, ptr : ptr + n] = keys.T
        self.queue_ptr[0] = (ptr + n) % self.K

    def forward(self, a, b):
        q = F.normalize(self.encoder_q(a), dim=1)
        with torch.no_grad():
            self._momentum()
            idx = torch.randperm(b.shape[0])
            k = F.normalize(self.encoder_k(b[idx]), dim=1)
            k = k[torch.argsort(idx)]
        loss = info_nce(q, k, self.queue)
        self._enqueue(k)
        return loss


class EinsumAttention(nn.Module):
    def __init__(self, dim, heads=2, dim_head=4):
        super().__init__()
        self.heads, self.scale = heads, dim_head**-0.5
        self.to_qkv = nn.Linear(dim, heads * dim_head * 3, bias=False)
        self.rel = nn.Parameter(torch.randn(heads, 11, 11) * 0.02)
        self.gate = nn.Parameter(torch.zeros(()))
        self.to_out = nn.Sequential(nn.Linear(heads * dim_head, dim), nn.LayerNorm(dim))

    def forward(self, x, mask=None):
        b, n, _ = x.shape
        h = self.heads
        q, k, v = self.to_qkv(x).chunk(3, dim=-1)
        q, k, v = (t.reshape(b, n, h, -1).permute(0, 2, 1, 3) for t in (q, k, v))
        sim = einsum("b h i d, b h j d -> b h i j", q, k) * self.scale + self.rel[:, :n, :n]
        if mask is not None:
            sim = sim.masked_fill(~mask[:, None, None, :], -torch.finfo(sim.dtype).max)
        sim = sim - sim.amax(dim=-1, keepdim=True).detach()
        attn = sim.softmax(dim=-1)
        out = torch.einsum("bhij,bhjd->bhid", attn, v)
        out = out.permute(0, 2, 1, 3).flatten(2)
        return self.to_out(out) * self.gate.sigmoid() + x


def rope(x):
    _b, n, d = x.shape
    freqs = 1.0 / (10000 ** (torch.arange(0, d, 2)[: d // 2].float() / d))
    ang = torch.outer(torch.arange(n), freqs)
    cos, sin = ang.cos().repeat_interleave(2, -1), ang.sin().repeat_interleave(2, -1)
    x1, x2 = x[..., ::2], x[..., 1::2]
    rot = torch.stack((-x2, x1), dim=-1).flatten(-2)
    return x * cos + rot * sin


def main():
    torch.manual_seed(0)
    model = MoCo()
    opt = torch.optim.SGD(
        filter(lambda p: p.requires_grad, model.parameters()), 0.03, momentum=0.9, weight_decay=1e-4
    )
    losses = []
    for _i in range(10):
        x = torch.randn(8, 12)
        loss = model(x + 0.1 * torch.randn_like(x), x + 0.1 * torch.randn_like(x))
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss)
    att = EinsumAttention(10)
    x = torch.randn(3, 9, 10)
    mask = torch.arange(9)[None] < torch.tensor([9, 5, 2])[:, None]
    opt = torch.optim.NAdam(att.parameters(), lr=1e-2)
    for _i in range(10):
        opt.zero_grad()
        y = att(rope(x), mask)
        pooled = (y * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        loss = (pooled.std(0) - 1).abs().sum() + y[mask].pow(2).mean()
        loss.backward()
        opt.step()
        losses.append(loss)
    return (
        [loss.item() for loss in losses],
        model.queue,
        model.queue_ptr,
        att.state_dict(),
        y.detach().numpy().sum().item(),
    )
