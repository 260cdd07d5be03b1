"""What the examples share: a progress bar that shows the loss, and pictures in a folder."""

from pathlib import Path

import matplotlib
from tqdm import tqdm

matplotlib.use("Agg")
from matplotlib import pyplot as plt

OUT = Path(__file__).parent / "out"
OUT.mkdir(exist_ok=True)


class Progress:
    """A bar over `items` that shows the latest loss and keeps all of them in ``losses``.

    A list given for that goes on where it is, for example from the epoch before.
    """

    def __init__(self, items, name="", total=None, losses=None):
        self.bar = tqdm(items, desc=name, total=total, mininterval=0.3, leave=False)
        self.losses = [] if losses is None else losses

    def __iter__(self):
        yield from self.bar

    def note(self, loss):
        """Keep and show the loss of a step."""
        self.losses.append(loss.item())
        self.bar.set_postfix(loss=f"{self.losses[-1]:.4f}", refresh=False)


def curves(name, title="loss", **losses):
    """Plot a line for each list of losses, and write it to ``out/name``."""
    figure, axis = plt.subplots(figsize=(6, 3.5), layout="constrained")
    for label, values in losses.items():
        axis.plot(values, linewidth=1, label=label)
    axis.set(title=title, xlabel="step")
    axis.legend()
    save(figure, name)


def images(name, rows, labels=None):
    """Write pictures, a list of rows of arrays (H, W), to ``out/name``."""
    height, width = len(rows), max(len(row) for row in rows)
    figure, axes = plt.subplots(
        height, width, figsize=(width, 1.1 * height + 0.3), squeeze=False, layout="constrained"
    )
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
    plt.close(figure)
    print(f"picture: {OUT / name}")
