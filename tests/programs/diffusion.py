import math

import torch
import torch.nn as nn
import torch.nn.functional as F


class SinusoidalPositionEmbeddings(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, time):
        device = time.device
        half_dim = self.dim // 2
        embeddings = math.log(10000) / (half_dim - 1)
        embeddings = torch.exp(torch.arange(half_dim, device=device) * -embeddings)
        embeddings = time[:, None] * embeddings[None, :]
        return torch.cat((embeddings.sin(), embeddings.cos()), dim=-1)


class Block(nn.Module):
    def __init__(self, i, o, t):
        super().__init__()
        self.mlp = nn.Sequential(nn.SiLU(), nn.Linear(t, o * 2))
        self.proj, self.norm, self.act = (
            nn.Conv2d(i, o, 3, padding=1),
            nn.GroupNorm(2, o),
            nn.SiLU(),
        )
        self.res = nn.Conv2d(i, o, 1) if i != o else nn.Identity()

    def forward(self, x, t):
        scale, shift = self.mlp(t)[:, :, None, None].chunk(2, dim=1)
        h = self.norm(self.proj(x)) * (scale + 1) + shift
        return self.act(h) + self.res(x)


class Unet(nn.Module):
    def __init__(self, c=8):
        super().__init__()
        self.time = nn.Sequential(
            SinusoidalPositionEmbeddings(c), nn.Linear(c, 16), nn.GELU(), nn.Linear(16, 16)
        )
        self.downs = nn.ModuleList(
            [
                nn.ModuleList([Block(1, c, 16), nn.Conv2d(c, c, 4, 2, 1)]),
                nn.ModuleList([Block(c, 2 * c, 16), nn.Identity()]),
            ]
        )
        self.attn = nn.MultiheadAttention(2 * c, 2, batch_first=True)
        self.ups = nn.ModuleList(
            [
                nn.ModuleList([Block(4 * c, c, 16), nn.ConvTranspose2d(c, c, 4, 2, 1)]),
                nn.ModuleList([Block(2 * c, c, 16), nn.Identity()]),
            ]
        )
        self.final = nn.Conv2d(c, 1, 1)

    def forward(self, x, time):
        t = self.time(time)
        h = []
        for block, down in self.downs:
            x = block(x, t)
            h.append(x)
            x = down(x)
        b, c, hh, ww = x.shape
        s = x.flatten(2).transpose(1, 2)
        x = x + self.attn(s, s, s, need_weights=False)[0].transpose(1, 2).reshape(b, c, hh, ww)
        for block, up in self.ups:
            x = up(block(torch.cat((x, h.pop()), dim=1), t))
        return self.final(x)


def extract(a, t, x_shape):
    out = a.gather(-1, t.cpu())
    return out.reshape(t.shape[0], *((1,) * (len(x_shape) - 1))).to(t.device)


def main():
    torch.manual_seed(0)
    timesteps = 20
    betas = torch.linspace(0.0001, 0.02, timesteps)
    alphas = 1.0 - betas
    acp = torch.cumprod(alphas, axis=0)
    prev = F.pad(acp[:-1], (1, 0), value=1.0)
    sra, s1 = torch.sqrt(1.0 / alphas), torch.sqrt(1.0 - acp)
    post = betas * (1.0 - prev) / (1.0 - acp)
    model = Unet()
    opt = torch.optim.Adam(model.parameters(), lr=1e-3)
    log = []
    for _step in range(6):
        x0 = torch.rand(4, 1, 8, 8) * 2 - 1
        t = torch.randint(0, timesteps, (4,)).long()
        noise = torch.randn_like(x0)
        xt = extract(acp.sqrt(), t, x0.shape) * x0 + extract(s1, t, x0.shape) * noise
        loss = F.smooth_l1_loss(noise, model(xt, t))
        opt.zero_grad()
        loss.backward()
        opt.step()
        log.append(loss.item())

    @torch.no_grad()
    def p_sample(x, t, i):
        mean = extract(sra, t, x.shape) * (
            x - extract(betas, t, x.shape) * model(x, t) / extract(s1, t, x.shape)
        )
        return (
            mean if i == 0 else mean + torch.sqrt(extract(post, t, x.shape)) * torch.randn_like(x)
        )

    img = torch.randn((2, 1, 8, 8))
    for i in reversed(range(0, timesteps)):
        img = p_sample(img, torch.full((2,), i, dtype=torch.long), i)
    return log, img
