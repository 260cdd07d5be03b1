# ruff: noqa: RUF001, RUF002
"""Gradient rules in formula form: ``d(x*y)/dx = g*y``, where `g` is the gradient that arrived.

What stands after the equals sign is what a rule passes on: `g` times the derivative of the result
for that argument. Where a rule is a lambda of plain arithmetic it is read from the lambda's own
source, so it can't differ from what the engine does. `RULES` words the others as a textbook would, and
those that read better so. The notation: ``A where C, else B`` chooses by element, ``Σ`` sums, ``ᵀ``
transposes, ``σ`` is the sigmoid, ``Φ`` and ``φ`` are the normal distribution and its density, and
what follows a semicolon says what a letter stands for.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import linecache
import pkgutil
import re
from collections.abc import Callable
from typing import Any

from tinygrad_like.autograd.function import Function
from tinygrad_like.graph import AccumulateGrad, Node, Pick
from tinygrad_like.lines import location
from tinygrad_like.registry import REGISTRY
from tinygrad_like.viz.textbook import RESULTS, RULES, SYMBOLS

__all__ = ["argument_names", "formula", "formula_of", "result_of", "rule_source"]


# ----- Reading rules ------------------------------------------------------------------------------


def _op(name: str) -> Any:
    """Return the op of that name.

    Raises:
        KeyError: if there is none.
    """
    if name not in REGISTRY:
        for package in ("ops", "linalg", "special"):  # some are imported when first asked for
            found = importlib.import_module(f"tinygrad_like.{package}")
            for info in pkgutil.iter_modules(found.__path__):
                importlib.import_module(f"{found.__name__}.{info.name}")
    if name not in REGISTRY:
        raise KeyError(f"formula: there is no op called {name!r}; see tinygrad_like.op.REGISTRY")
    return REGISTRY[name]


def _body(rule: Callable[..., Any]) -> str:
    """Return the text of a lambda's expression in one line, "" if it can't be found."""
    code = rule.__code__
    lines = [position for position in code.co_positions() if None not in position]
    spans = [p for p in lines if (p[0], p[2]) != (p[1], p[3])]
    # Without spans Python was told to keep no columns; what `eval` is given shares its file's name
    # with the program of ``python -c``.
    if not spans or code.co_filename == "<string>":
        return ""
    first, column = min((p[0], p[2]) for p in spans)
    last, end = max((p[1], p[3]) for p in spans)
    text = [linecache.getline(code.co_filename, n) for n in range(first, last + 1)]  # type: ignore[arg-type, operator]
    if not all(text):
        return ""
    text[-1] = text[-1].encode()[:end].decode()  # columns count bytes
    text[0] = text[0].encode()[column:].decode()
    return " ".join("".join(text).split())


def _rule(op: Any, argument: str) -> Callable[..., Any] | None:
    if op.joint and argument in op.joint[0]:
        return op.joint[1]  # type: ignore[no-any-return]
    return op.rules.get(argument)  # type: ignore[no-any-return]


def _spoken(rule: Callable[..., Any]) -> str:
    """Return a rule as it stands in its file: a lambda, or the head of a function and its place."""
    code = rule.__code__
    names = ", ".join(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
    if code.co_name == "<lambda>":
        return f"lambda {names}: {_body(rule) or '...'}"
    where = location(code.co_filename, code.co_firstlineno, short=True)
    return f"def {code.co_name}({names}) in {where}"


_FUNCTIONS = frozenset(
    {"cos", "cosh", "digamma", "exp", "isfinite", "log", "sigmoid", "sign", "sin", "sinh", "sqrt"}
)


class _Tidy(ast.NodeTransformer):
    """Turns a rule's expression into a textbook's; `readable` tells if it was plain arithmetic."""

    def __init__(self, known: set[str], out: str) -> None:
        self.known, self.out, self.readable = known, out, True

    def generic_visit(self, node: ast.AST) -> ast.AST:
        plain = (ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop, ast.expr_context, ast.Constant)
        if not isinstance(node, plain):
            self.readable = False
        return super().generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id not in self.known:
            self.readable = False
        return ast.Name(self.out) if node.id == "out" else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if ast.unparse(node) != "math.pi":
            self.readable = False
        return ast.Name("π")

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = ast.unparse(node.func).rpartition(".")[2]
        if name == "zeros_like":
            return ast.Constant(0)
        if name not in _FUNCTIONS or len(node.args) != 1 or node.keywords:
            self.readable = False
            return node
        called = {"sigmoid": "σ", "sqrt": "√"}.get(name, name)
        return ast.Call(ast.Name(called), [self.visit(node.args[0])], [])

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        left, right = node.left, node.right
        if not isinstance(node.op, ast.Mult | ast.Div):
            return node
        if isinstance(right, ast.UnaryOp) and isinstance(right.op, ast.USub):
            return self.visit_BinOp(
                ast.BinOp(ast.UnaryOp(ast.USub(), left), node.op, right.operand)
            )
        if isinstance(node.op, ast.Mult) and isinstance(left, ast.Name):
            if ast.dump(left) == ast.dump(right):
                return ast.BinOp(left, ast.Pow(), ast.Constant(2))
            if isinstance(right, ast.BinOp) and isinstance(right.op, ast.Mult | ast.Div):
                # g*(a*b) is g*a*b to a reader
                inner = ast.BinOp(left, ast.Mult(), right.left)
                return ast.BinOp(inner, right.op, right.right)
        return node


def _derived(op: Any, argument: str) -> str | None:
    """Return what a rule passes on, read from its source; None if that is no plain arithmetic."""
    rule = _rule(op, argument)
    if rule is None or rule.__name__ != "<lambda>" or (op.joint and argument in op.joint[0]):
        return None
    try:
        tree = ast.parse(f"({_body(rule)})", mode="eval").body
    except SyntaxError:
        return None
    result = result_of(op.name)
    out = result if re.fullmatch(r"[\w√]+(\(.*\))?", result) else f"({result})"
    tidy = _Tidy({"g", "out", *op.arrays, *op.options}, out)
    tree = tidy.visit(tree)
    if not tidy.readable:
        return None
    text = ast.unparse(ast.fix_missing_locations(tree))
    text = re.sub(r" \*\* ([23])\b", lambda m: "²³"[int(m[1]) - 2], text)
    return text.replace(" * ", "*").replace(" / ", "/").replace(" ** ", "**")


# ----- Asking for them ----------------------------------------------------------------------------


def _symbol(argument: str) -> str:
    return SYMBOLS.get(argument, argument)


def result_of(op_name: str) -> str:
    """Return what an op computes, as a formula.

    >>> from tinygrad_like.viz.formulas import result_of
    >>> result_of("matmul"), result_of("tanh")
    ('x @ y', 'tanh(x)')
    """
    if op_name in RESULTS:
        return RESULTS[op_name]
    return f"{op_name}({', '.join(_op(op_name).arrays)})"


@functools.cache
def passed_on(op_name: str, argument: str) -> str:
    """Return what the rule of `argument` passes on: the right side of its `formula`."""
    op = _op(op_name)
    names = {op.public(name): name for name in op.arrays}
    argument = names.get(argument, argument)
    if argument not in op.arrays:
        raise KeyError(
            f"formula: op {op_name} has no argument {argument!r} that is an array; it has "
            f"{', '.join(op.arrays)}"
        )
    if argument not in op.differentiable:
        return "no gradient"
    found = RULES.get(op_name, {}).get(argument) or _derived(op, argument)
    if found is not None:
        return found
    rule = _rule(op, argument)
    assert rule is not None
    body = _body(rule) if rule.__name__ == "<lambda>" else ""
    if body and len(body) <= 60 and not (op.joint and argument in op.joint[0]):
        return body
    code = rule.__code__
    called = "a lambda" if body else f"{rule.__name__}(g, ...)"
    return f"{called}, {location(code.co_filename, code.co_firstlineno, short=True)}"


def formula(op_name: str, argument: str) -> str:
    """Return the gradient rule of an op's argument as a formula; `g` is the gradient that arrives.

    Args:
        op_name: the op's name, ``node.op.name``.
        argument: the argument's name in the rules (`x`, `y`) or outside (`input`, `other`).

    Raises:
        KeyError: if there is no such op or argument.

    >>> from tinygrad_like.viz.formulas import formula
    >>> formula("multiply", "x")
    'd(x*y)/dx = g*y'
    >>> formula("tanh", "x")
    'd(tanh(x))/dx = g*(1 - tanh(x)²)'
    >>> formula("linear", "weight")
    'd(x @ Wᵀ + b)/dW = gᵀ @ x'
    """
    right = passed_on(op_name, argument)
    op = _op(op_name)
    argument = {op.public(name): name for name in op.arrays}.get(argument, argument)
    result = result_of(op_name)
    letter = (
        _symbol(argument) if _symbol(argument) in re.findall(r"\w+", result, re.ASCII) else argument
    )
    if argument == op.variadic:
        letter = "xsᵢ"
    return f"d({result})/d{letter} = {right}"


def argument_names(node: Node) -> tuple[str, ...]:
    """Return a name for each operand of the operation that `node` records, in order.

    >>> import tinygrad_like as torch
    >>> from tinygrad_like.viz.formulas import argument_names
    >>> x = torch.ones(2, requires_grad=True)
    >>> argument_names((x * x).grad_fn), argument_names(torch.cat([x, x]).grad_fn)
    (('x', 'y'), ('xs[0]', 'xs[1]'))
    """
    count = len(node.parents)
    if isinstance(node, Pick):
        return ("results",)
    if node.op is not None:
        if node.op.variadic:
            return tuple(f"{node.op.variadic}[{i}]" for i in range(count))
        return tuple(node.op.arrays)
    function = getattr(type(node), "function", None)
    if function is not None:
        parameters = list(inspect.signature(function.forward).parameters.values())
        if function.setup_context is Function.setup_context:  # `ctx` comes first
            parameters = parameters[1:]
        several = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        if len(parameters) == count and not several:
            return tuple(p.name for p in parameters)
    return tuple(f"input {i}" for i in range(count))


@functools.lru_cache(maxsize=256)
def _returned(backward: Callable[..., Any], i: int, count: int) -> str:
    """Return what a user's `backward` returns for operand `i`, as it is written; "" if that isn't one line."""
    try:
        tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(backward)))
    except (OSError, SyntaxError, TypeError):
        return ""
    found = [node.value for node in ast.walk(tree) if isinstance(node, ast.Return)]
    if len(found) != 1 or found[0] is None:
        return ""
    value = found[0]
    if isinstance(value, ast.Tuple) and len(value.elts) == count:
        value = value.elts[i]
    elif count > 1:
        return ""
    text = ast.unparse(value)
    return text if len(text) <= 60 and not isinstance(value, ast.Name) else ""


def formula_of(node: Node, i: int) -> str:
    """Return the rule by which `node` passes a gradient to its parent number `i`, as a formula.

    >>> import tinygrad_like as torch
    >>> from tinygrad_like.viz.formulas import formula_of
    >>> x = torch.tensor(2.0, requires_grad=True)
    >>> formula_of((x - 1).grad_fn, 0)
    'd(x - y)/dx = g'
    """
    if isinstance(node, Pick):
        return f"result {node.index} of several: g is put in its place"
    if isinstance(node, AccumulateGrad):
        return "grad = grad + g"
    if node.name() == "BackwardHookFunctionBackward":
        return "what hooks of the module leave of g"
    argument = argument_names(node)[i]
    if node.op is not None:
        text = formula(node.op.name, argument.partition("[")[0])
        return text.replace("xsᵢ", argument)
    name = node.label if node.label != "Node" else node.name()
    function = getattr(type(node), "function", None)
    right = "its own backward"
    if function is not None:
        right = _returned(function._gradients(), i, len(node.parents))
        right = right or f"{name}.backward(ctx, g)[{i}]"
    return f"d({name}({', '.join(argument_names(node))}))/d{argument} = {right}"


def rule_source(node: Node, i: int) -> str:
    """Return the source of the rule by which `node` passes a gradient to its parent number `i`.

    A lambda is returned as one line, a function by its head and place, a user's `Function` by the
    text of its `backward`; nodes without a rule give "".

    >>> import tinygrad_like as torch
    >>> from tinygrad_like.viz.formulas import rule_source
    >>> x = torch.tensor(2.0, requires_grad=True)
    >>> rule_source((x * x).grad_fn, 0)
    'lambda g, y: g * y'
    """
    if node.op is not None:
        rule = _rule(node.op, argument_names(node)[i].partition("[")[0])
        return "" if rule is None else _spoken(rule)
    function = getattr(type(node), "function", None)
    if function is None:
        return ""
    try:
        return inspect.cleandoc("\n" + inspect.getsource(function._gradients()))
    except (OSError, TypeError):  # typed in, or not Python
        return f"{function.__name__}.backward"
