"""The named tuples that some functions return."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

__all__ = [
    "aminmax",
    "cummax",
    "cummin",
    "kthvalue",
    "max",
    "median",
    "min",
    "mode",
    "nanmedian",
    "sort",
    "topk",
]


def _result(name: str, *fields: str) -> Any:
    base: Any = namedtuple(name, fields)  # type: ignore[misc]

    def __repr__(self: Any) -> str:
        shown = ",\n".join(f"{field}={getattr(self, field)!r}" for field in fields)
        return f"torch.return_types.{name}(\n{shown})"

    doc = f"What `{name}` returns: {' and '.join(fields)}."
    return type(
        name,
        (base,),
        {"__slots__": (), "__repr__": __repr__, "__doc__": doc, "__module__": __name__},
    )


aminmax = _result("aminmax", "min", "max")
cummax = _result("cummax", "values", "indices")
cummin = _result("cummin", "values", "indices")
kthvalue = _result("kthvalue", "values", "indices")
max = _result("max", "values", "indices")
median = _result("median", "values", "indices")
min = _result("min", "values", "indices")
mode = _result("mode", "values", "indices")
nanmedian = _result("nanmedian", "values", "indices")
sort = _result("sort", "values", "indices")
topk = _result("topk", "values", "indices")
