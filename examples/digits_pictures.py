"""The pictures that ``digits.py`` writes: curves, misread digits, and the graph of one step."""

import numpy as np
from helpers import OUT, subplots

from tinygrad_like import viz


def draw_curves(runs):
    """Plot loss and test accuracy of each run, as SVG and PNG."""
    figure, (left, right) = subplots(1, 2, figsize=(10, 4))
    for (name, (_, losses, accuracies)), style in zip(runs.items(), ("-", "--"), strict=False):
        left.semilogy(losses, style, label=name, linewidth=1)
        right.plot(range(1, len(accuracies) + 1), accuracies, style, label=name, marker="o")
    left.set(title="training loss", xlabel="step")
    right.set(title="test accuracy", xlabel="epoch")
    right.xaxis.get_major_locator().set_params(integer=True)
    right.legend()
    for ending in ("svg", "png"):
        figure.savefig(OUT / f"digits-curve.{ending}")


def draw_mistakes(torch, model, images, labels):
    """Show the test images that the model reads wrongly, up to ten."""
    with torch.no_grad():
        read = model(torch.from_numpy(images).to(model[1][-1].weight.dtype)).argmax(1).numpy()
    wrong = np.flatnonzero(read != labels)[:10]
    count = max(len(wrong), 1)
    figure, axes = subplots(1, count, figsize=(1.4 * count, 1.8), squeeze=False)
    for axis in axes[0]:
        axis.axis("off")
    for axis, index in zip(axes[0], wrong, strict=False):
        axis.imshow(images[index, 0], cmap="gray_r")
        axis.set_title(f"{labels[index]} read as {read[index]}", fontsize=8)
    figure.savefig(OUT / "digits-mistakes.png", dpi=120, bbox_inches="tight")


def draw_step(torch, model, images, labels):
    """Draw the graph of one training step, a frame around each module."""
    batch = torch.from_numpy(images[:64]).to(model[1][-1].weight.dtype)
    target = torch.from_numpy(labels[:64])
    model.train()
    graph = viz.draw(lambda: torch.nn.functional.cross_entropy(model(batch), target))
    viz.render(graph, OUT / "digits-graph.svg")
    model.eval()
