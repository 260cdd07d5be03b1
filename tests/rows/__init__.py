"""The op table: one row per op, one module per module of ``tinygrad_like.ops``."""

import importlib
import pkgutil

from tests.rows.base import Row


def collect() -> list[tuple[str, Row]]:
    """Return every row with an id that starts with its op's name."""
    found = []
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda m: m.name):
        for row in getattr(importlib.import_module(f"{__name__}.{module.name}"), "ROWS", ()):
            found.append(
                (f"{row.op.replace(',', '+').replace(' ', '')}:{row.name}".rstrip(":"), row)
            )
    return found
