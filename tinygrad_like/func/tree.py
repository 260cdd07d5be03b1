"""Nested lists, tuples and dictionaries, taken apart and put together again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any


def leaves_of(tree: Any) -> list[Any]:
    """Return the leaves of a tree, in order.

    >>> from tinygrad_like.func.tree import leaves_of
    >>> leaves_of({"a": [1, (2, 3)], "b": 4})
    [1, 2, 3, 4]
    """
    if isinstance(tree, dict):
        return [leaf for part in tree.values() for leaf in leaves_of(part)]
    if isinstance(tree, list | tuple):
        return [leaf for part in tree for leaf in leaves_of(part)]
    return [tree]


def refilled(tree: Any, leaves: Iterable[Any]) -> Any:
    """Return a tree of the same form with other leaves.

    >>> from tinygrad_like.func.tree import refilled
    >>> refilled({"a": [1, (2, 3)], "b": 4}, "wxyz")
    {'a': ['w', ('x', 'y')], 'b': 'z'}
    """
    return _refilled(tree, iter(leaves))


def _refilled(tree: Any, leaves: Iterator[Any]) -> Any:
    if isinstance(tree, dict):
        parts = [(key, _refilled(part, leaves)) for key, part in tree.items()]
        return OrderedDict(parts) if isinstance(tree, OrderedDict) else dict(parts)
    if isinstance(tree, list):
        return [_refilled(part, leaves) for part in tree]
    if isinstance(tree, tuple):
        parts = [_refilled(part, leaves) for part in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)
    return next(leaves)


def mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    """Return a tree of the same form with `function` of each leaf."""
    return refilled(tree, map(function, leaves_of(tree)))


def same_form(a: Any, b: Any) -> bool:
    """Return True if two trees differ in their leaves only."""
    if isinstance(a, dict):
        return (
            isinstance(b, dict)
            and list(a) == list(b)
            and all(same_form(a[key], b[key]) for key in a)
        )
    if isinstance(a, list | tuple):
        return (
            type(a) is type(b)
            and len(a) == len(b)
            and all(same_form(x, y) for x, y in zip(a, b, strict=True))
        )
    return not isinstance(b, dict | list | tuple)
