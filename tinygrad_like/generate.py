"""`Op.apply` and the sending of gradients written out, one Python function per op.

At a microsecond an op every loop and every look at what kind of op it is would show; so for ops with
one result and a fixed number of arrays those questions are answered once, the first time that the
op is called. The code is shown in tracebacks; ``print(tinygrad_like.generate.source(op))`` shows it too.
"""

from __future__ import annotations

import inspect
import linecache
import sys
from _thread import get_ident
from collections.abc import Callable, Sequence
from functools import partial
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_like import dtypes
from tinygrad_like.graph import Traced, fill_missing, mark_inference, result_type
from tinygrad_like.lines import calls, files, internal, led_to, tracing
from tinygrad_like.modes import departed, look, thread_mode
from tinygrad_like.reuse import add_up
from tinygrad_like.stamps import tick
from tinygrad_like.views import remember_view

if TYPE_CHECKING:
    from tinygrad_like.op import Op

# The ops that a user's program calls without a function of the package in between, by their own names
# or as methods. Of the others the caller need not be looked at when a line is noted.
# fmt: off
CALLED_DIRECTLY = frozenset((
    "absolute", "acos", "acosh", "asin", "asinh", "atan", "atanh", "bitwise_and",
    "bitwise_not", "bitwise_or", "bitwise_xor", "ceil", "cos", "deg2rad", "diagonal", "erf",
    "erfinv", "exp", "exp2", "expm1", "floor", "frac", "isfinite", "isinf",
    "isnan", "isneginf", "isposinf", "isreal", "left_shift", "log", "log10", "log1p",
    "log2", "logical_not", "matmul", "matrix_exp", "multiply", "negative", "permute", "rad2deg",
    "reciprocal", "remainder", "reshape", "right_shift", "rsqrt", "sigmoid", "sign", "signbit",
    "sin", "sinc", "sqrt", "square", "t", "tan", "tanh", "trace",
    "transpose", "tril", "triu", "trunc", "unfold", "xlogy",
))
# fmt: on

_namespaces: list[dict[str, Any]] = []
_written: list[Callable[[], None]] = []  # each gives a function that notes lines its code anew


def names_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of a Python function's parameters."""
    code = function.__code__
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def source(op_: Op) -> str:
    """Return the code generated for an op's call."""
    op_.call.__globals__["materialise"]()
    return "".join(linecache.getlines(op_.call.__code__.co_filename))


def bind_results(cls: type[Traced]) -> None:
    """Have all generated functions make tensors of this class."""
    for namespace in _namespaces:
        namespace["Tensor"] = cls


class _SignatureOf(inspect.Signature):
    """The parameters of an op as the public sees them, put together when somebody asks."""

    __slots__ = ("op",)

    def __init__(self, op_: Op) -> None:
        self.op = op_
        self._return_annotation = inspect.Signature.empty

    @property
    def _parameters(self) -> dict[str, inspect.Parameter]:
        renamed = [
            p.replace(name=self.op.public(p.name)) if p.name in self.op.arrays else p
            for p in self.op.parameters
        ]
        return {p.name: p for p in renamed}


def trace_lines(on: bool) -> None:
    """Have operations note the line of the user's program, or not: other code, not a look at a flag."""
    tracing.on = on
    for rewrite in _written:
        rewrite()


def _stub(*args: Any, **kwargs: Any) -> Any:
    """Stand in for a function that is written out when it is first called."""
    return materialise()(*args, **kwargs)  # type: ignore[name-defined]  # noqa: F821


def _later(name: str, namespace: dict[str, Any], write: Callable[[], list[str]]) -> Any:
    """Return the function whose lines `write` gives, without asking for them before the first call.

    Python takes a third of a millisecond to compile one, and few programs use every op. The function
    stays the same object, wherever it has been bound by then: it is given new code.
    """
    number = len(_namespaces)
    _namespaces.append(namespace)
    namespace["__name__"] = "tinygrad_like.op"
    namespace["__package__"] = "tinygrad_like"
    namespace["Tensor"] = getattr(result_type, "cls", None)  # see `makes_results`
    function = FunctionType(_stub.__code__, namespace, name)
    function.__qualname__ = name  # what Python calls it in its own errors
    codes: dict[bool, Any] = {}  # with noting of lines and without

    def rewrite() -> None:
        if tracing.on not in codes:
            text = "\n".join(write()) + "\n"
            filename = f"<op {name} {number}>"
            linecache.cache[filename] = (len(text), None, text.splitlines(True), filename)
            scope: dict[str, Any] = {}
            exec(compile(text, filename, "exec"), namespace, scope)
            codes[tracing.on] = scope[name]
        made = codes[tracing.on]
        function.__defaults__ = made.__defaults__
        function.__code__ = made.__code__

    def materialise() -> Any:
        if function.__code__ is _stub.__code__:
            rewrite()
            if "getframe" in function.__code__.co_names or not tracing.on:
                _written.append(rewrite)
        return function

    namespace["materialise"] = materialise
    return function


def _recording(op_: Op, operands: Sequence[Any], out: Any) -> Any:
    if thread_mode.looking:
        look(op_, operands, (out,))
    return op_.recording(operands)


def _unrecorded(op_: Op, tensor: Any, operands: Sequence[Any]) -> None:
    if thread_mode.inference:
        mark_inference(tensor, operands)
    if thread_mode.looking:
        look(op_, operands, (tensor.array,))


def generate_call(op_: Op, readable: str = "apply") -> Callable[..., Any]:
    """Write out `Op.apply` for one result and a fixed number of arrays.

    Rare operands are left to the readable way, the method named `readable`.
    """
    namespace: dict[str, Any] = {
        "op": op_,
        "forward": op_.ufunc or op_.forward,
        "Traced": Traced,
        "new": object.__new__,
        "ndarray": np.ndarray,
        "asarray": np.asarray,
        "tick": tick,
        "departed": departed,
        "calls": calls,
        "get_ident": get_ident,
        "getframe": sys._getframe,
        "files": files,
        "known": None,
        "led_to": led_to,
        "explain": op_.explain,
        "wrong_call": op_.wrong_call,
        "recording": partial(_recording, op_),
        "unrecorded": partial(_unrecorded, op_),
        "remember_view": remember_view,
        "F32": dtypes.F32,
        "F64": dtypes.F64,
        "np_generic": np.generic,
    }
    for p in op_.parameters:
        namespace[f"default_{p.name}"] = p.default

    def write() -> list[str]:
        namespace["NodeClass"] = op_.node
        return _lines_of_call(op_, readable)

    call = _later(op_.name, namespace, write)
    call.__signature__ = _SignatureOf(op_)
    return call  # type: ignore[no-any-return]


def _lines_of_call(op_: Op, readable: str) -> list[str]:
    arrays, options = op_.arrays, op_.options
    public = {n: op_.public(n) for n in arrays}
    parameters = []
    for p in op_.parameters:
        text = public.get(p.name, p.name)
        if p.default is not inspect.Parameter.empty:
            text += f"=default_{p.name}"
        parameters.append(text)
    lines = [f"def {op_.name}({', '.join(parameters)}):"]
    add = lines.append
    if op_.differentiable and tracing.on:
        add("    global known")
    single = len(arrays) == 1
    given_as = dict(public)
    for n in arrays:
        if public[n] == n:  # the name is about to stand for the array
            given_as[n] = f"{n}_operand"
            add(f"    {n}_operand = {n}")
        o = given_as[n]
        add(f"    if type({o}) is Tensor or isinstance({o}, Traced):")
        add(f"        {n} = {o}.array; {n}_node = {o}.node; {n}_traced = True")
        add("    else:")
        add(f"        {n} = {o}; {n}_node = None; {n}_traced = False")
    operands = f"({', '.join(given_as[n] for n in arrays)},)"
    given = f"({', '.join(options)},)" if options else "()"
    call = ", ".join([*arrays, *options])
    traced = " or ".join(f"{n}_traced" for n in arrays)
    add(f"    if not ({traced}):")
    required = [n for n in arrays if n not in op_.optional]
    if not op_.broadcasts or single:
        plain = " and ".join(f"isinstance({n}, (ndarray, np_generic))" for n in required)
        add(f"        if not ({plain}): raise wrong_call({operands})")
    else:  # of Python numbers only: a tensor, as in PyTorch
        plain = " or ".join(f"isinstance({n}, (ndarray, np_generic))" for n in required)
        add(f"        if not ({plain}): return op.{readable}({operands}, {given})")
    add(f"        return forward({call})" + ("[0]" if op_.keeps else ""))
    _add_dtype_check(op_, add, f"return op.{readable}({operands}, {given})")
    if not op_.broadcasts and not single:
        plain = " and ".join(f"({n}_traced or isinstance({n}, ndarray))" for n in required)
        add(f"    if not ({plain}): raise wrong_call({operands})")
    add("    try:")
    kept = "".join(f", {k}" for k in op_.keeps)
    add(f"        out{kept} = forward({call})")
    add("    except Exception as error:")
    add(f"        raise explain(error, {operands}) from None")
    add("    if type(out) is not ndarray: out = asarray(out)")
    add("    tensor = new(Tensor)")
    add("    tensor.array = out; tensor._grad = None; tensor._view = None")
    if op_.differentiable:
        wants = " or ".join(f"{n}_node is not None" for n in op_.differentiable)
        # Only an op that is told a dtype can turn floats into integers, which have no gradient.
        real = " and out.dtype.kind == 'f'" if "dtype" in options else ""
        record = f"(made := recording({operands}, out) if departed.count else NodeClass)"
        add(f"    if ({wants}) and {record}{real}:")
        add("        node = new(made)")
        add("        node.tick = tick(); node.hooks = None; node.shape = out.shape")
        parents = "".join(f"{n}_node, " if n in op_.differentiable else "None, " for n in arrays)
        add(f"        node.parents = ({parents})")
        if tracing.on:
            own = op_.name not in CALLED_DIRECTLY and internal[op_.forward.__code__.co_filename]
            note = _note_line_further_out if own and readable == "apply" else _note_line
            lines += [" " * 8 + line for line in note.splitlines()]
        else:
            add("        node.line = None")
        saved = "".join(f"{_saved(op_, n, users)}, " for n, users in op_.saves.items())
        add(f"        node.saved = ({saved})")  # last: hooks may look at the node
        add("        tensor.node = node")
        add("    else:")
        add("        tensor.node = None")
        add(f"        if departed.count: unrecorded(tensor, {operands})")
    else:
        add("    tensor.node = None")
        add(f"    if departed.count: unrecorded(tensor, {operands})")
    if op_.view:
        add(f"    if out.base is not None or out is {arrays[0]}:")
        add(f"        remember_view(tensor, {given_as[arrays[0]]}, op, {given})")
    add("    return tensor")
    return lines


# The code of the user's that called last is `known`: found out to be the user's, it is known again.
_note_line = """\
frame = getframe(1); code = frame.f_code
if code is known:
    node.line = (code, frame.f_lasti)
else:
    line = node.line = led_to(frame)
    if line is not None and line[0] is code: known = code
"""
_note_line_further_out = """\
call = calls.now
if call is not None and call[1] == get_ident():
    node.line = call[0]
else:
    try:
        frame = getframe(2); code = frame.f_code
        if code is not known:
            while files[code.co_filename]:
                frame = frame.f_back; code = frame.f_code
            known = code
        node.line = (code, frame.f_lasti)
    except (KeyError, AttributeError, ValueError):  # a new file, or no more frames
        node.line = led_to(getframe(1))
"""


def _add_dtype_check(op_: Op, add: Callable[[str], None], slow: str) -> None:
    """Write the test that sends operands of mixed or unsuitable dtypes the readable way."""
    if op_.dtype == "any":
        return
    arrays = [n for n in op_.arrays if n != "condition"]
    x = arrays[0]
    is_float = f"({x}.dtype is F32 or {x}.dtype is F64 or {x}.dtype.kind == 'f')"
    if len(arrays) == 1:
        if op_.dtype == "float":
            add(f"    if not {is_float}: {slow}")
        return
    traced = " and ".join(f"{n}_traced" for n in arrays if n not in op_.optional)
    alike = " and ".join(
        f"({n} is None or {n}_traced and {x}.dtype is {n}.dtype)"
        if n in op_.optional
        else f"{x}.dtype is {n}.dtype"
        for n in arrays[1:]
    )
    add(f"    if {traced}:")
    add(f"        if not ({alike}): {slow}")
    if op_.dtype == "float":
        add(f"        if not {is_float}: {slow}")
    if len(arrays) == 2 and op_.broadcasts:
        y = arrays[1]
        number = (
            "(type({0}) is float or type({0}) is int) and ({1}.dtype is F32 or {1}.dtype is F64)"
        )
        add(f"    elif {x}_traced:")
        add(f"        if not ({number.format(y, x)}): {slow}")
        add(f"    elif not ({number.format(x, y)}): {slow}")
    else:
        add(f"    else: {slow}")


def _saved(op_: Op, name: str, users: list[str]) -> str:
    """Return the expression that puts `name` on the tape, if a rule that will run names it."""
    argument, _, property_ = name.rpartition("_")
    known = {*op_.arrays, *op_.options, *op_.keeps, "out"}
    value = name
    if name not in known:
        value = f"{argument}.{property_}"
        if argument in op_.optional:
            value = f"(None if {argument} is None else {value})"
    if set(users) == set(op_.differentiable) or name in op_.options:
        return value
    wanted = " or ".join(f"{n}_node is not None" for n in dict.fromkeys(users))
    return f"{value} if {wanted} else None"


_passing_on = (lambda g: g).__code__.co_code


def generate_backward(op_: Op) -> Callable[..., None]:
    """Write out how a node of this op sends gradients to its parents."""
    namespace: dict[str, Any] = {
        "mend": op_.mend,
        "fill_missing": fill_missing,
        "add_up": add_up,
    }
    for n, rule in op_.rules.items():
        namespace[f"rule_{n}"] = rule
    if op_.joint:
        namespace["joint"] = op_.joint[1]
    return _later("backward", namespace, lambda: _lines_of_backward(op_))  # type: ignore[no-any-return]


def _lines_of_backward(op_: Op) -> list[str]:
    lines = ["def backward(self, g, saved, grads):"]
    add = lines.append
    if op_.several:
        add("    g = fill_missing(g, self)")
    if op_.saves:
        add(f"    {', '.join(f's_{n}' for n in op_.saves)}, = saved")

    def receive(indent: str, n: str) -> None:
        add(f"{indent}if d_{n} is not None:")
        add(f"{indent}    if d_{n}.shape != parent.shape: d_{n} = mend(d_{n}, parent.shape, {n!r})")
        add(f"{indent}    if grads[parent] is None: grads[parent] = d_{n}")
        add(f"{indent}    else: add_up(grads, parent, d_{n})")

    def arguments(rule: Callable[..., Any]) -> str:
        names = names_of(rule)
        return ", ".join(n if n in ("g", "i", "needs") else f"s_{n}" for n in names)

    def call(n: str, rule: Callable[..., Any]) -> str:
        passes_on = names_of(rule) == ("g",) and rule.__code__.co_code == _passing_on
        return "g" if passes_on else f"rule_{n}({arguments(rule)})"

    if op_.variadic:
        n = op_.variadic
        add("    for i, parent in enumerate(self.parents):")
        add("        if parent in grads:")
        add(f"            d_{n} = rule_{n}({arguments(op_.rules[n])})")
        receive("            ", n)
    else:
        for n, rule in op_.rules.items():
            add(f"    parent = self.parents[{op_.arrays.index(n)}]")
            add("    if parent in grads:")
            add(f"        d_{n} = {call(n, rule)}")
            receive("        ", n)
        if op_.joint:
            names, rule = op_.joint
            indices = {n: op_.arrays.index(n) for n in names}
            add(
                f"    needs = ({''.join(f'self.parents[{i}] in grads, ' for i in indices.values())})"
            )
            add("    if True in needs:")
            add(f"        {', '.join(f'd_{n}' for n in names)}, = joint({arguments(rule)})")
            for n, index in indices.items():
                add(f"        parent = self.parents[{index}]")
                add("        if parent in grads:")
                receive("            ", n)
    return lines
