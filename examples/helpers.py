"""What the examples share: a progress bar that shows the loss, and pictures in a folder."""

import sys
import time
from pathlib import Path

try:
    from tqdm import tqdm
except ImportError:  # then `Lines` stands in
    tqdm = None

OUT = Path(__file__).parent / "out"
OUT.mkdir(exist_ok=True)


class Progress:
    """A bar over `items` that shows the latest loss and keeps all of them in ``losses``.

    A list given for that goes on where it is, for example from the epoch before.
    """

    def __init__(self, items, name="", total=None, losses=None):
        self.bar = (tqdm or Lines)(items, desc=name, total=total, mininterval=0.3, leave=False)
        self.losses = [] if losses is None else losses

    def __iter__(self):
        yield from self.bar

    def note(self, loss):
        """Keep and show the loss of a step."""
        self.losses.append(loss.item())
        self.bar.set_postfix(loss=f"{self.losses[-1]:.4f}", refresh=False)


class Lines:
    """Stands in for tqdm where it is not installed: prints a line every two seconds, and the last."""

    def __init__(self, items, desc="", total=None, **_):
        self.items, self.name, self.loss = items, desc, "?"
        self.total = len(items) if total is None else total

    def __iter__(self):
        due = time.monotonic() + 2
        for count, item in enumerate(self.items, 1):
            yield item
            if count == self.total or time.monotonic() > due:
                line = f"{self.name} step {count} of {self.total}, loss {self.loss}"
                print(line.strip(), file=sys.stderr)
                due = time.monotonic() + 2

    def set_postfix(self, loss, **_):
        """Note the loss for the next line."""
        self.loss = loss


def subplots(rows=1, columns=1, **options):
    """Return a new figure and its axes. No window is opened."""
    from matplotlib.figure import Figure  # an example that draws nothing does not need it

    figure = Figure(layout="constrained", figsize=options.pop("figsize", None))
    return figure, figure.subplots(rows, columns, **options)


def curves(name, title="loss", **losses):
    """Plot a line for each list of losses, and write it to ``out/name``."""
    figure, axis = subplots(figsize=(6, 3.5))
    for label, values in losses.items():
        axis.plot(values, linewidth=1, label=label)
    axis.set(title=title, xlabel="step")
    axis.legend()
    save(figure, name)


def images(name, rows, labels=None):
    """Write pictures, a list of rows of arrays (H, W), to ``out/name``."""
    height, width = len(rows), max(len(row) for row in rows)
    figure, axes = subplots(height, width, figsize=(width, 1.1 * height + 0.3), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis_row, row in zip(axes, rows, strict=True):
        for axis, image in zip(axis_row, row, strict=False):
            axis.imshow(image, cmap="gray_r")
    for axis, label in zip(axes[0], labels or [], strict=False):
        axis.set_title(label, fontsize=7)
    save(figure, name)


def save(figure, name):
    """Write a figure to ``out/name`` and say so."""
    figure.savefig(OUT / name, dpi=110)
    print(f"picture: {OUT / name}")
