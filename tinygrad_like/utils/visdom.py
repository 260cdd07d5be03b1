"""Lines, pictures, histograms and graphs on the page of a running Visdom server.

The library (extra ``visdom``) is imported when a `Visdom` is made. ``python -m visdom.server`` starts a
server; that fetches scripts from the network the first time.
"""

from __future__ import annotations

import functools
import importlib
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_like.graph import Traced
from tinygrad_like.utils.event_files import plain

__all__ = ["Visdom"]


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep the library from warning that it opens a session, and that it doesn't listen."""
    logger = logging.getLogger("visdom")
    former, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            # It says so by a method that Python gave up.
            warnings.filterwarnings("ignore", "The 'warn' method", DeprecationWarning)
            yield
    finally:
        logger.disabled = former


class Visdom:
    """The library's class of that name, which also takes tensors, and draws graphs.

    Each of its methods can be called here (``line``, ``image``, ``images``, ``heatmap``, ``text``, ``close``,
    ...) with tensors in the places of arrays. Each returns the name of its window, `win`, which can be
    given to change that window later.

    Args:
        server: address of the server.
        port: its port.
        env: the environment, a page of the server, to draw on.
        options: further arguments of the library's class.

    Raises:
        ImportError: if visdom is not installed.
        ConnectionError: if no server answers.

    >>> import tinygrad_like as torch
    >>> from tinygrad_like.utils.visdom import Visdom
    >>> vis = Visdom(port=8097)  # doctest: +SKIP
    >>> vis.line(torch.randn(20).cumsum(0), win="walk", opts={"title": "walk"})  # doctest: +SKIP
    >>> vis.draw(loss, model, title="one step")  # doctest: +SKIP
    """

    def __init__(
        self, server: str = "http://localhost", port: int = 8097, env: str = "main", **options: Any
    ) -> None:
        try:
            library = importlib.import_module("visdom")
        except ImportError as error:
            raise ImportError(
                "utils.visdom needs the library visdom, which is not installed: "
                "pip install 'tinygrad-like[visdom]'"
            ) from error
        settings = {"raise_exceptions": True, "use_incoming_socket": False, **options}
        with _quietly():
            try:
                self.client = library.Visdom(server=server, port=port, env=env, **settings)
            except ConnectionError as error:
                raise ConnectionError(
                    f"utils.visdom: no server answers at {server}:{port}; start one with "
                    "python -m visdom.server"
                ) from error

    def __getattr__(self, name: str) -> Any:
        if name == "client":  # not made yet
            raise AttributeError(name)
        method = getattr(self.client, name)
        return functools.partial(_call, method) if callable(method) else method

    def curve(self, name: str, value: Any, step: float, *, env: str | None = None) -> str:
        """Add the number `value` at `step` to the curve `name`, which has a window of its own.

        >>> vis.curve("loss", loss, step)  # doctest: +SKIP
        """
        return str(
            self.line(
                np.array([float(plain(value))]),
                np.array([float(step)]),
                win=name,
                env=env,
                update="append",
                opts={"title": name, "xlabel": "step"},
            )
        )

    def histogram(
        self,
        values: Any,
        *,
        win: str | None = None,
        env: str | None = None,
        opts: dict[str, Any] | None = None,
    ) -> str:
        """Draw the histogram of a tensor of any shape; ``opts["numbins"]`` is the number of bins."""
        array = np.asarray(plain(values)).reshape(-1)
        return str(self.client.histogram(array, win=win, env=env, opts=opts))

    def draw(
        self,
        graph: Any,
        params: Any = None,
        *,
        win: str | None = None,
        env: str | None = None,
        title: str = "",
        **options: Any,
    ) -> str:
        """Draw the graph of a tensor, or what `viz.draw` returned, in a window of its size.

        Args:
            graph: the tensor, or the drawing.
            params: names for the data, as for `viz.draw`.
            win: the window to draw in (default: a new one).
            env: the environment.
            title: the window's title.
            options: given to `viz.draw`.
        """
        from tinygrad_like import viz

        if isinstance(graph, Traced) or not hasattr(graph, "_repr_svg_"):
            graph = viz.draw(graph, params, **options)
        text = graph._repr_svg_()
        opts: dict[str, Any] = {"title": title} if title else {}
        if found := re.search(r'<svg width="([\d.]+)pt"\s+height="([\d.]+)pt"', text):
            width, height = (1.4 * float(size) + 20 for size in found.groups())  # points as pixels
            opts |= {"width": min(width, 1200), "height": min(height, 900)}
        return str(self.client.svg(svgstr=text, win=win, env=env, opts=opts))


def _call(method: Any, *args: Any, **kwargs: Any) -> Any:
    return method(*plain(args), **plain(kwargs))
