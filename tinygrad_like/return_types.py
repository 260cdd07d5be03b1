"""The named tuples that some functions return."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

# The fields of each, all made when first asked for: making a class takes a while.
_FIELDS = {
    "_lu_with_info": ("LU", "pivots", "info"),
    "aminmax": ("min", "max"),
    "cummax": ("values", "indices"),
    "cummin": ("values", "indices"),
    "frexp": ("mantissa", "exponent"),
    "geqrf": ("a", "tau"),
    "histogram": ("hist", "bin_edges"),
    "histogramdd": ("hist", "bin_edges"),
    "kthvalue": ("values", "indices"),
    "linalg_cholesky_ex": ("L", "info"),
    "linalg_eigh": ("eigenvalues", "eigenvectors"),
    "linalg_inv_ex": ("inverse", "info"),
    "linalg_lstsq": ("solution", "residuals", "rank", "singular_values"),
    "linalg_lu": ("P", "L", "U"),
    "linalg_lu_factor": ("LU", "pivots"),
    "linalg_lu_factor_ex": ("LU", "pivots", "info"),
    "linalg_qr": ("Q", "R"),
    "linalg_slogdet": ("sign", "logabsdet"),
    "linalg_solve_ex": ("result", "info"),
    "linalg_svd": ("U", "S", "Vh"),
    "lu_unpack": ("P", "L", "U"),
    "max": ("values", "indices"),
    "median": ("values", "indices"),
    "min": ("values", "indices"),
    "mode": ("values", "indices"),
    "nanmedian": ("values", "indices"),
    "qr": ("Q", "R"),
    "slogdet": ("sign", "logabsdet"),
    "sort": ("values", "indices"),
    "svd": ("U", "S", "V"),
    "topk": ("values", "indices"),
    "triangular_solve": ("solution", "cloned_coefficient"),
}


def __getattr__(name: str) -> Any:
    fields = _FIELDS.get(name.removesuffix("_out"))  # what a call with `out` returns has a type too
    if fields is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    base: Any = namedtuple(name, fields)  # type: ignore[misc]
    count = len(fields)

    def __new__(cls: Any, *values: Any) -> Any:
        given = values[0] if len(values) == 1 else values
        if len(given) != count:
            raise TypeError(f"{name}() takes a {count}-sequence ({len(given)}-sequence given)")
        return tuple.__new__(cls, given)

    def __repr__(self: Any) -> str:
        shown = ",\n".join(f"{field}={getattr(self, field)!r}" for field in fields)
        return f"torch.return_types.{name}(\n{shown})"

    namespace = {
        "__slots__": (),
        "__new__": __new__,
        "__repr__": __repr__,
        "__doc__": f"What `{name}` returns: {' and '.join(fields)}.",
        "__module__": __name__,
        "n_fields": count,
        "n_sequence_fields": count,
        "n_unnamed_fields": 0,
    }
    made = type(name, (base,), namespace)
    globals()[name] = made
    return made


def __dir__() -> list[str]:
    return sorted(_FIELDS)
