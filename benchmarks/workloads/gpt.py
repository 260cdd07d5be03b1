"""A character model like nanoGPT: 4 layers, 4 heads, width 128, blocks of 64, batch 12, AdamW."""

from typing import Any

import numpy as np

from benchmarks.workloads import Work

LAYERS, HEADS, WIDTH, BLOCK, BATCH, VOCABULARY = 4, 4, 128, 64, 12, 65


def gpt(torch: Any) -> Any:
    """Return the model."""
    nn, F = torch.nn, torch.nn.functional

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Linear(WIDTH, 3 * WIDTH)
            self.project = nn.Linear(WIDTH, WIDTH)

        def forward(self, x: Any) -> Any:
            b, t, c = x.shape
            q, k, v = (
                part.view(b, t, HEADS, c // HEADS).transpose(1, 2)
                for part in self.mix(x).split(c, dim=2)
            )
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            return self.project(y.transpose(1, 2).contiguous().view(b, t, c))

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1 = nn.LayerNorm(WIDTH)
            self.attention = Attention()
            self.norm2 = nn.LayerNorm(WIDTH)
            self.mlp = nn.Sequential(
                nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH)
            )

        def forward(self, x: Any) -> Any:
            x = x + self.attention(self.norm1(x))
            return x + self.mlp(self.norm2(x))

    class GPT(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(VOCABULARY, WIDTH)
            self.positions = nn.Embedding(BLOCK, WIDTH)
            self.blocks = nn.ModuleList([Block() for _ in range(LAYERS)])
            self.norm = nn.LayerNorm(WIDTH)
            self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)
            for name, parameter in self.named_parameters():
                if name.endswith("weight") and parameter.ndim == 2:
                    nn.init.normal_(parameter, std=0.02)

        def forward(self, ids: Any, targets: Any) -> Any:
            positions = torch.arange(ids.shape[1])
            x = self.tokens(ids) + self.positions(positions)
            for block in self.blocks:
                x = block(x)
            logits = self.head(self.norm(x))
            return F.cross_entropy(logits.view(-1, VOCABULARY), targets.view(-1))

    return GPT()


def make(torch: Any, fast: dict[str, Any]) -> Work:
    torch.manual_seed(0)
    model = gpt(torch)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1, **fast)
    text = np.random.default_rng(0).integers(0, VOCABULARY, (BATCH, BLOCK + 1))
    ids, targets = torch.tensor(text[:, :-1].copy()), torch.tensor(text[:, 1:].copy())

    def step() -> Any:
        optimizer.zero_grad()
        loss = model(ids, targets)
        loss.backward()
        optimizer.step()
        return loss

    linear = LAYERS * 12 * WIDTH**2 + WIDTH * VOCABULARY
    attention = LAYERS * BLOCK * WIDTH  # two products, of which half is masked
    flops = 3 * 2 * BATCH * BLOCK * (linear + attention)
    return Work(step, [*model.parameters(), ids, targets], flops)
