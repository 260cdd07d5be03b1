"""The filters of a layer as images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_like.nn.module import Module
from tinygrad_like.viz.figures import INK, SIGNED, array_of, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["weights"]

Array = np.ndarray[Any, Any]


def weights(
    source: Any,
    *,
    shape: tuple[int, int] | None = None,
    limit: int = 64,
    title: str = "",
    figure: Any = None,
) -> Figure:
    """Draw the filters of a layer as images, blue below 0 and red above.

    A convolution's weight ``(O, C, H, W)`` gives `O` images if it sees one channel, or three, which are
    taken for colours; otherwise a row of `C` images for each of the `O`. The weight of a linear layer ``(O, I)``
    is drawn as one table, or with `shape` as `O` images.

    Args:
        source: a module, of which the first weight with two dimensions or more is drawn; or a tensor.
        shape: height and width of the images a linear layer sees.
        limit: how many images to draw at most.
        title: the title (default: the name and shape of the weight).
        figure: a figure to draw in, or a part of one (default: a new figure).

    Returns:
        A Matplotlib figure.

    Raises:
        ImportError: if Matplotlib is not installed.
        ValueError: if there is no such weight, or `shape` doesn't fit it.

    >>> import tinygrad_like as torch
    >>> from tinygrad_like import viz
    >>> figure = viz.weights(torch.nn.Conv2d(1, 8, 3))
    """
    name, weight = _weight_of(source)
    if shape is not None:
        if weight[0].size != shape[0] * shape[1]:
            raise ValueError(
                f"viz.weights: shape is {shape}, but a row of the weight {weight.shape} has "
                f"{weight[0].size} numbers"
            )
        weight = weight.reshape(len(weight), *shape)
    images, rows, columns = _images(weight, limit)
    mosaic = _mosaic(images, columns)
    tall, wide = mosaic.shape[:2]
    width = min(max(0.25 * wide, 3.0), 7.0) if len(images) == 1 else min(0.7 * columns, 9.0)
    height = min(width * tall / wide, 9.0)
    figure = new_figure("weights", max(width, 3.0) + 1.2, max(height, 1.2) + 0.7, figure)
    axis = figure.add_subplot()
    bound = max(float(np.abs(weight).max(initial=0)), 1e-12)
    painted = axis.imshow(mosaic, cmap=SIGNED, vmin=-bound, vmax=bound, interpolation="nearest")
    axis.set(xticks=[], yticks=[])
    axis.set_frame_on(False)
    if rows * columns == 1:
        axis.set_aspect("auto")
    if not _is_list(weight):
        axis.set(xlabel="inputs", ylabel="outputs")
    if mosaic.ndim == 2:
        figure.colorbar(painted, ax=axis, shrink=0.85)
    heading = title or f"{name} {' x '.join(map(str, weight.shape))}".strip()
    count = len(weight) * (1 if _is_list(weight) else int(np.prod(weight.shape[1:-2])))
    if weight.ndim > 2 and len(images) < count:
        heading += f", {len(images)} of {count} images"
    figure.suptitle(heading, color=INK)
    return figure  # type: ignore[no-any-return]


def _weight_of(source: Any) -> tuple[str, Array]:
    """Return a name and an array of two dimensions or more."""
    if isinstance(source, Module):
        for name, parameter in source.named_parameters():
            if parameter.array.ndim > 1 and parameter.array.size:
                return name, parameter.array
        raise ValueError(f"viz.weights: {type(source).__name__} has no weight with two dimensions")
    array = array_of(source)
    if array.ndim < 2 or not array.size:
        raise ValueError(
            f"viz.weights: expected numbers in two dimensions or more, got shape {array.shape}"
        )
    return "", array


def _is_list(weight: Array) -> bool:
    """Tell whether a weight is one image after the other, not a table of outputs and inputs."""
    return weight.ndim == 3 or (weight.ndim > 3 and weight.shape[1] in (1, 3))


def _images(weight: Array, limit: int) -> tuple[list[Array], int, int]:
    """Return what to draw row by row, images ``(H, W)`` or ``(H, W, 3)``, and how many each way."""
    if weight.ndim > 4:  # one depth below the other
        weight = weight.reshape(*weight.shape[:2], -1, weight.shape[-1])
    if weight.ndim == 2:
        return [weight], 1, 1
    if not _is_list(weight):
        columns = min(weight.shape[1], max(limit, 1), 16)
        rows = min(len(weight), max(limit // columns, 1))
        return list(weight[:rows, :columns].reshape(-1, *weight.shape[2:])), rows, columns
    if weight.ndim == 4 and weight.shape[1] == 3:
        low, high = weight.min(), weight.max()
        weight = ((weight - low) / ((high - low) or 1)).transpose(0, 2, 3, 1)
    elif weight.ndim == 4:
        weight = weight[:, 0]
    count = min(len(weight), max(limit, 1))
    columns = min(count, max(8, round(count**0.5)))
    return list(weight[:count]), -(-count // columns), columns


def _mosaic(images: Sequence[Array], columns: int) -> Array:
    """Return the images as one, a gap between them."""
    tall, wide = images[0].shape[:2]
    down, across = tall + 1 + tall // 8, wide + 1 + wide // 8
    rows = -(-len(images) // columns)
    empty = np.nan if images[0].ndim == 2 else 1.0
    size = (rows * down - (down - tall), columns * across - (across - wide), *images[0].shape[2:])
    whole = np.full(size, empty)
    for number, image in enumerate(images):
        row, column = divmod(number, columns)
        top, left = row * down, column * across
        whole[top : top + tall, left : left + wide] = image
    return whole
