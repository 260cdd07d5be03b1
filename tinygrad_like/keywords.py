"""Other names for arguments: ``out``, and those that PyTorch knows besides its own, such as ``axis``.

The functions themselves know nothing of them. The public ones are written out, when they are first
called, as functions with a few more parameters that hand on what they are given: a call without
other names pays for one more frame and a comparison.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any

from tinygrad_like.lines import told

# NumPy's names for arguments, which PyTorch's built-in functions know too.
_ALONG = {"axis": "dim", "keepdims": "keepdim"}
_PARTS = dict.fromkeys(("indices", "sections", "tensor_indices_or_sections"), "indices_or_sections")

# Functions and methods that take these.
_ALIKE = """
all amax amin aminmax any argmax argmin argsort chunk count_nonzero cross cummax cummin cumprod
cumsum diff gather index_add index_copy index_fill index_reduce index_select kthvalue log_softmax
logcumsumexp logsumexp mean median mode nanmean nanmedian nanquantile nansum narrow prod quantile
renorm repeat_interleave scatter scatter_add scatter_reduce select select_scatter slice_scatter
softmax sort split_with_sizes squeeze std take_along_dim topk unbind unsqueeze var
"""
_FUNCTIONS_ONLY = """
cat concat concatenate cosine_similarity cumulative_trapezoid frobenius_norm nuclear_norm stack
std_mean trapezoid trapz unflatten var_mean
"""
_METHODS_ONLY = "size stride"

# Each with the other names and the arguments they stand for; "*" stands for all further ones.
OTHERS: dict[str, dict[str, dict[str, str]]] = {
    "torch": {
        **dict.fromkeys((_ALIKE + _FUNCTIONS_ONLY).split(), _ALONG),
        "broadcast_to": {"size": "shape"},
        "cholesky_inverse": {"input": "L"},
        "cholesky_solve": {"input": "B", "input2": "L"},
        "dot": {"tensor": "other"},
        "flip": {"dims": "*"},
        "lu_solve": {"input": "b"},
        "tensor_split": {**_ALONG, **_PARTS},
    },
    "Tensor": {
        **dict.fromkeys((_ALIKE + _METHODS_ONLY).split(), _ALONG),
        "broadcast_to": {"size": "*"},
        "cholesky_solve": {"input2": "L"},
        "dot": {"tensor": "other"},
        "expand": {"size": "*"},
        "flip": {"dims": "*"},
        "permute": {"dims": "*"},
        "repeat": {"repeats": "*"},
        "reshape": {"shape": "*"},
        "split": {"split_size": "split_size_or_sections"},
        "sum_to_size": {"size": "*"},
        "tensor_split": {**_ALONG, **_PARTS},
        "tile": {"dims": "*"},
        "view": {"size": "*"},
    },
    "linalg": dict.fromkeys(("cross", "matrix_norm", "norm", "vecdot", "vector_norm"), _ALONG),
    "special": dict.fromkeys(("log_softmax", "logsumexp", "softmax"), _ALONG),
}


class Parameters:
    """What `inspect.signature` asks for the parameters of a function that has ``*args`` itself.

    Args:
        find: returns them, when they are asked for.
        source: the function that holds the source, if there is one.
    """

    __slots__ = ("__wrapped__", "_find")

    def __init__(self, find: Callable[[], inspect.Signature], source: Any = None) -> None:
        self._find = find
        if source is not None:
            self.__wrapped__ = source

    @property
    def __signature__(self) -> inspect.Signature:
        return self._find()

    def __call__(self) -> None:
        """Do nothing: only what can be called has a signature."""


PLAIN: dict[tuple[str, str], Callable[..., Any]] = {}  # what each function was before


def install(home: str, namespace: dict[str, Any]) -> None:
    """Replace a module's functions by ones that know further names; aliases stay one function."""
    from tinygrad_like.outs import HOW

    made: dict[Any, Any] = {}
    for name in {**HOW.get(home, {}), **OTHERS.get(home, {})}:
        function = namespace.get(name)
        if function is None:  # imported later
            continue
        if function not in made:
            made[function] = extended(home, name, function, namespace["__name__"])
        else:
            PLAIN[home, name] = function
        namespace[name] = made[function]


def install_methods(cls: Any) -> Any:
    """Do the same for the methods of a class, and return it."""
    for name in OTHERS["Tensor"]:
        setattr(cls, name, extended("Tensor", name, getattr(cls, name), None))
    return cls


def extended(home: str, name: str, plain: Any, module: str | None) -> Any:
    """Return a function that does what `plain` does and knows further names of arguments."""
    PLAIN[home, name] = plain
    scope = {"plain": plain, "respelled": respelled, "__name__": __name__}
    function = FunctionType(_stub.__code__, scope, name)
    function.__kwdefaults__ = {"_written": partial(_write, function, home, name, plain)}
    function.__dict__.update(plain.__dict__)
    function.__doc__, function.__wrapped__ = plain.__doc__, plain  # type: ignore[attr-defined]
    if _takes_out(home, name):
        function.__dict__.pop("__signature__", None)
        function.__wrapped__ = Parameters(lambda: _with_out(plain), plain)  # type: ignore[attr-defined]
    function.__module__ = plain.__module__ if module is None else module
    function.__qualname__ = name if module is not None else f"Tensor.{name}"
    return function


def _stub(*args: Any, _written: Callable[[], Any], **kwargs: Any) -> Any:
    """Stand in for a function that is written out when it is first called."""
    return _written()(*args, **kwargs)


# ----- Written out --------------------------------------------------------------------------------


def _write(function: Any, home: str, name: str, plain: Any) -> Any:
    """Give `function` the code of a call of `plain`, with further names, and return it."""
    if "materialise" in plain.__globals__:  # see `generate`
        plain.__globals__["materialise"]()
    parameters = _parameters(plain)
    positional = [
        p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    named = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    star = ["*_rest" for p in parameters if p.kind is p.VAR_POSITIONAL]
    stars = [f"**{p.name}" for p in parameters if p.kind is p.VAR_KEYWORD]
    others = {} if stars else _others(home, name, positional, named)
    defaults = tuple(
        p.default for p in parameters if p.name in positional and p.default is not p.empty
    )
    # A name that may be given otherwise can't be demanded by Python, nor those after it.
    lenient = [i for i, n in enumerate(positional) if n in others.values()]
    spare = max(len(positional) - len(defaults) - lenient[0], 0) if lenient else 0
    defaults = (...,) * spare + defaults
    first = len(positional) - len(defaults)
    further = [*others, *(["out"] if _takes_out(home, name) else [])]

    head = [n if i < first else f"{n}=None" for i, n in enumerate(positional)]
    head += star or (["*"] if named or further else [])
    head += [f"{n}=None" for n in (*named, *further)] + stars
    passed = [*positional, *star, *(f"{n}={n}" for n in named), *stars]
    test = [f"{n} is not None" for n in further] + [
        f"{n} is ..." for n in positional[first:][:spare]
    ]
    more = ", ".join(f"{n!r}: {n}" for n in further)
    options = ", ".join([*(f"{n!r}: {n}" for n in named), *stars])
    scope: dict[str, Any] = {}
    # Errors are told from the user's line, so the file must be known as the package's: see `lines`.
    code = f"""
def {name}({", ".join(head)}):
    if {" or ".join(test) or False}:
        return respelled({home!r}, {name!r}, {{{more}}}, [{", ".join([*positional, *star])}], {{{options}}})
    return plain({", ".join(passed)})
"""
    exec(compile(code, f"<op {name} respelled>", "exec"), function.__globals__, scope)
    keywords = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    keywords = {n: value for n, value in keywords.items() if value is not inspect.Parameter.empty}
    function.__defaults__ = defaults
    function.__kwdefaults__.update(keywords, **dict.fromkeys(further))
    function.__code__ = scope[name].__code__  # last: another thread may be about to call it
    return function


def _parameters(plain: Any) -> list[inspect.Parameter]:
    """Return the parameters of a function, or those that one of ``*args`` says it has."""
    told = getattr(plain, "__signature__", None) or inspect.signature(plain)
    return list(told.parameters.values())


def _with_out(plain: Any) -> inspect.Signature:
    """Return the parameters of a function, and ``out``."""
    signature = inspect.signature(plain)
    parameters = list(signature.parameters.values())
    out = inspect.Parameter("out", inspect.Parameter.KEYWORD_ONLY, default=None)
    further = bool(parameters) and parameters[-1].kind is inspect.Parameter.VAR_KEYWORD
    parameters.insert(len(parameters) - further, out)
    return inspect.Signature(parameters, return_annotation=signature.return_annotation)


def _takes_out(home: str, name: str) -> bool:
    from tinygrad_like.outs import HOW

    return name in HOW.get(home, {})


def _others(home: str, name: str, positional: list[str], named: list[str]) -> dict[str, str]:
    """Return the other names that a function's arguments have, and which arguments these are."""
    known = [*positional, *named]
    return {
        theirs: ours
        for theirs, ours in OTHERS.get(home, {}).get(name, {}).items()
        if theirs not in known and (ours in known or ours == "*")
    }


# ----- What it means ------------------------------------------------------------------------------


def respelled(
    home: str, name: str, more: dict[str, Any], args: list[Any], kwargs: dict[str, Any]
) -> Any:
    """Call a function with arguments some of which have other names, or with ``out``.

    Raises:
        TypeError: if an argument is missing.
    """
    from tinygrad_like.outs import fill

    plain = PLAIN[home, name]
    parameters = _parameters(plain)
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    keywords = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    out = more.pop("out", None)
    for theirs, ours in _others(home, name, names, keywords).items():
        value = more.get(theirs)
        if value is None:
            continue
        if ours == "*":
            args += value if isinstance(value, tuple | list) else [value]
        elif ours in names:
            args[names.index(ours)] = value
        else:
            kwargs[ours] = value
    absent = [n for n, value in zip(names, args, strict=False) if value is ...]
    if absent:
        raise told(TypeError, f"{name}() missing required argument {absent[0]!r}")
    return plain(*args, **kwargs) if out is None else fill(home, name, out, args, kwargs)
