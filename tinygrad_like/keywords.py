"""Other names for arguments: ``out``, and those that PyTorch knows besides its own, such as ``axis``.

The functions themselves know nothing of them. A wrapper would cost every call a tenth of a
microsecond; so the first time that one of the functions listed here is called its source is compiled
anew, with room for other names and two lines at its head. A call without any pays for a comparison.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import textwrap
from collections.abc import Callable
from functools import partial
from types import CodeType, FunctionType
from typing import Any

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
    closed = plain.__closure__ is not None
    scope = {"plain": plain, "__name__": "tinygrad_like.keywords"} if closed else plain.__globals__
    function = FunctionType(_stub.__code__, scope, name)
    function.__kwdefaults__ = {"_written": partial(_write, function, home, name, plain)}
    function.__dict__.update(plain.__dict__)
    function.__doc__, function.__wrapped__ = plain.__doc__, plain  # type: ignore[attr-defined]
    function.__module__ = plain.__module__ if module is None else module
    function.__qualname__ = name if module is not None else f"Tensor.{name}"
    return function


def _stub(*args: Any, _written: Callable[[], Any], **kwargs: Any) -> Any:
    """Stand in for a function that is written out when it is first called."""
    return _written()(*args, **kwargs)


# ----- Written out --------------------------------------------------------------------------------


def _write(function: Any, home: str, name: str, plain: Any) -> Any:
    """Give `function` the code of `plain` with further names, and return it."""
    if "materialise" in plain.__globals__:  # see `generate`
        plain.__globals__["materialise"]()
    tree = _wrapping(plain) if plain.__closure__ else _source(home, name, plain)
    definition = tree.body[0]
    given = definition.args
    positional = [a.arg for a in (*given.posonlyargs, *given.args)]
    others = _others(home, name, positional, [a.arg for a in given.kwonlyargs])
    defaults = _defaults(plain)
    # A name that may be given otherwise can't be demanded by Python, nor those after it.
    lenient = [i for i, n in enumerate(positional) if n in others.values()]
    spare = max(len(positional) - len(defaults) - lenient[0], 0) if lenient else 0
    given.defaults = [ast.Constant(None)] * (spare + len(defaults))
    defaults = (...,) * spare + defaults
    arguments = ", ".join(positional + ([f"*{given.vararg.arg}"] if given.vararg else []))
    parts = [f"{a.arg!r}: {a.arg}" for a in given.kwonlyargs]
    parts += [f"**{given.kwarg.arg}"] if given.kwarg else []
    named = "{" + ", ".join(parts) + "}"
    if others and not given.kwarg:
        given.kwarg = ast.arg("more")
        test, more = "more", "more"
    else:
        given.kwonlyargs.append(ast.arg("out"))
        given.kw_defaults.append(ast.Constant(None))
        test, more = "out is not None", "{'out': out}"
    checked = positional[len(positional) - len(defaults) :][:spare]
    test += "".join(f" or {n} is ..." for n in checked)
    head = ast.parse(
        f"if {test}:\n    from tinygrad_like.keywords import respelled\n"
        f"    return respelled({home!r}, {name!r}, {more}, [{arguments}], {named})"
    ).body
    for statement in head:
        for node in ast.walk(statement):
            ast.copy_location(node, definition.body[0])
    definition.body[:0] = head
    _locate(tree)
    # Errors are told from the user's line, so the file must be known as the package's: see `lines`.
    filename = f"<op {name} respelled>" if plain.__closure__ else plain.__code__.co_filename
    made = _compiled(tree, filename, function.__globals__)
    function.__defaults__ = defaults
    function.__kwdefaults__.update(plain.__kwdefaults__ or {}, out=None)
    function.__code__ = made.__code__  # last: another thread may be about to call it
    return function


def _others(home: str, name: str, positional: list[str], named: list[str]) -> dict[str, str]:
    """Return the other names that a function's arguments have, and which arguments these are."""
    known = [*positional, *named]
    return {
        theirs: ours
        for theirs, ours in OTHERS.get(home, {}).get(name, {}).items()
        if theirs not in known and (ours in known or ours == "*")
    }


def _signature(plain: Any) -> inspect.Signature | None:
    """Return the signature that a function of ``*args`` says it has."""
    return getattr(plain, "__signature__", None)


def _defaults(plain: Any) -> tuple[Any, ...]:
    """Return the defaults of a function's positional arguments."""
    told = _signature(plain)
    if told is None:
        return plain.__defaults__ or ()
    values = [p.default for p in told.parameters.values()]
    return tuple(value for value in values if value is not inspect.Parameter.empty)


def _source(home: str, name: str, plain: Any) -> Any:
    """Return a function's definition as a tree, each node on its line of the file."""
    code = plain.__code__
    first = code.co_firstlineno
    lines = linecache.getlines(code.co_filename, plain.__globals__)[first - 1 :]
    try:
        tree = _bare(ast.parse(textwrap.dedent("".join(inspect.getblock(lines)))))
        ast.increment_lineno(tree, first - 1)
        if _looks(_compiled(tree, code.co_filename, plain.__globals__).__code__) == _looks(code):
            return tree
    except (IndexError, SyntaxError):
        pass
    # There is no source, or it is no longer what runs.
    return _wrapping(
        plain, f"__import__('tinygrad_like.keywords').keywords.PLAIN[{home!r}, {name!r}]"
    )


def _looks(code: CodeType) -> Any:
    """Return what tells a function's code from others'; calls of what is imported compile in two ways."""
    constants = [c for c in code.co_consts[1:] if not isinstance(c, CodeType)]  # past the docstring
    lines = {line for _, _, line in code.co_lines()}
    return code.co_names, code.co_varnames, constants, lines


def _bare(tree: Any) -> Any:
    """Return a definition without what is found out when it is run: decorators, defaults, types."""
    definition = tree.body[0]
    given = definition.args
    given.defaults = [ast.Constant(None) for _ in given.defaults]
    given.kw_defaults = [ast.Constant(None) for _ in given.kw_defaults]
    for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg):
        if argument is not None:
            argument.annotation = None
    definition.returns, definition.decorator_list = None, []
    _locate(tree)
    return tree


def _locate(tree: Any) -> None:
    """Give the nodes that were added a line; Python's own function for it leaves a cycle behind."""
    definition = tree.body[0]
    for node in ast.walk(definition):
        if "lineno" in node._attributes and not hasattr(node, "lineno"):
            ast.copy_location(node, definition)


def _compiled(tree: Any, filename: str, scope: dict[str, Any]) -> Any:
    """Return the function that a tree defines."""
    made: dict[str, Any] = {}
    exec(compile(tree, filename, "exec", dont_inherit=True), scope, made)
    return made[tree.body[0].name]


def _wrapping(plain: Any, callee: str = "plain") -> Any:
    """Return the definition of a function that only calls `plain`, as a tree."""
    told = _signature(plain)
    code = plain.__code__
    count, total = code.co_argcount, code.co_argcount + code.co_kwonlyargcount
    names = code.co_varnames
    rest = iter(names[total:])
    positional = list(names[:count]) if told is None else list(told.parameters)
    parameters, passed = list(positional), list(positional)
    if told is None and code.co_flags & inspect.CO_VARARGS:
        star = f"*{next(rest)}"
        parameters.append(star)
        passed.append(star)
    elif total > count:
        parameters.append("*")
    parameters += [f"{n}=None" for n in names[count:total]]
    passed += [f"{n}={n}" for n in names[count:total]]
    if told is None and code.co_flags & inspect.CO_VARKEYWORDS:
        star = f"**{next(rest)}"
        parameters.append(star)
        passed.append(star)
    head = f"def {plain.__name__}({', '.join(parameters)}):"
    return ast.parse(f"{head}\n    return {callee}({', '.join(passed)})")


# ----- What it means ------------------------------------------------------------------------------


def respelled(
    home: str, name: str, more: dict[str, Any], args: list[Any], kwargs: dict[str, Any]
) -> Any:
    """Call a function with arguments some of which have other names, or with ``out``.

    Raises:
        TypeError: for a name that it does not know, or an argument that is missing.
    """
    from tinygrad_like.outs import HOW, fill

    plain = PLAIN[home, name]
    code, told = plain.__code__, _signature(plain)
    names = list(told.parameters) if told else list(code.co_varnames[: code.co_argcount])
    keywords = code.co_varnames[code.co_argcount :][: code.co_kwonlyargcount]
    out = more.pop("out", None) if name in HOW.get(home, {}) else None
    for theirs, ours in _others(home, name, names, list(keywords)).items():
        if theirs not in more:
            continue
        value = more.pop(theirs)
        if ours == "*":
            args += value if isinstance(value, tuple | list) else [value]
        elif ours in names:
            args[names.index(ours)] = value
        else:
            kwargs[ours] = value
    if more:
        raise TypeError(f"{name}() got an unexpected keyword argument {next(iter(more))!r}")
    absent = [n for n, value in zip(names, args, strict=False) if value is ...]
    if absent:
        raise TypeError(f"{name}() missing required argument {absent[0]!r}")
    return plain(*args, **kwargs) if out is None else fill(home, name, out, args, kwargs)
