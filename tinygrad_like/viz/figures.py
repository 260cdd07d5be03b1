"""What plots share: figures that need no window, and colours that nobody confuses."""

from __future__ import annotations

import functools
import importlib
import io
from typing import Any

import numpy as np

from tinygrad_like.graph import Traced

INK, FAINT, ACCENT = "#1f2933", "#616e7c", "#c2410c"
FLOWS = "Blues"  # of how many values there are
SIGNED = "RdBu_r"  # of values below and above 0
HEIGHTS = "viridis"  # of the loss


def new_figure(caller: str, width: float, height: float, given: Any = None) -> Any:
    """Return `given`, or an empty figure that a notebook shows as a picture whatever backend is chosen.

    Raises:
        ImportError: if Matplotlib is not installed.
    """
    if given is not None:
        return given
    try:
        figure: Any = importlib.import_module("matplotlib.figure").Figure(
            figsize=(width, height), layout="constrained"
        )
    except ImportError as error:
        raise ImportError(
            f"viz.{caller} needs Matplotlib, which is not installed: pip install 'tinygrad-like[viz]'"
        ) from error
    # Made without pyplot, so that nothing needs to be closed; then IPython would show its name only.
    figure._repr_png_ = functools.partial(_png, figure)
    return figure


def _png(figure: Any) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    return content.getvalue()


def array_of(value: Any) -> np.ndarray[Any, Any]:
    """Return the array of a tensor, or what is an array already."""
    return value.array if isinstance(value, Traced) else np.asarray(value)
