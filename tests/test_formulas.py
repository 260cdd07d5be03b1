# ruff: noqa: RUF001
"""Formulas of gradient rules: evaluated, they give the engine's gradients."""

from __future__ import annotations

import importlib
import math
import pkgutil
import re

import numpy as np
import pytest

import tinygrad_like as torch
from tinygrad_like.op import REGISTRY
from tinygrad_like.viz import formulas
from tinygrad_like.viz.formulas import (
    argument_names,
    formula,
    formula_of,
    passed_on,
    result_of,
    rule_source,
)
from tinygrad_like.viz.textbook import ELEMENTWISE, RESULTS, RULES

for _info in pkgutil.iter_modules(importlib.import_module("tinygrad_like.ops").__path__):
    importlib.import_module(f"tinygrad_like.ops.{_info.name}")
importlib.import_module("tinygrad_like.linalg")
for _info in pkgutil.iter_modules(importlib.import_module("tinygrad_like.special").__path__):
    importlib.import_module(f"tinygrad_like.special.{_info.name}")

# ----- Evaluating ---------------------------------------------------------------------------------


def _value_of(name):
    """Return the function a formula means by `name`: the engine's own, on arrays."""

    def call(*arrays):
        return getattr(torch, name)(*(torch.tensor(np.asarray(a)) for a in arrays)).numpy()

    return call


def _softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


_erf = np.vectorize(math.erf)

FUNCTIONS = {
    **{name: getattr(np, name) for name in ("cos", "cosh", "exp", "floor", "log", "mean", "sign")},
    **{name: getattr(np, name) for name in ("sin", "sinh", "sqrt", "tanh", "trunc", "tan", "abs")},
    **{name: getattr(np, name) for name in ("expm1", "hypot", "prod")},
    **{name: _value_of(name) for name in ("erfinv", "sinc", "digamma")},
    "sum": np.sum,
    "std": lambda x: np.std(x, ddof=1),
    "softmax": _softmax,
    "σ": lambda x: 1 / (1 + np.exp(-x)),
    "Φ": lambda x: 0.5 * (1 + _erf(x / math.sqrt(2))),
    "φ": lambda x: np.exp(-x * x / 2) / math.sqrt(2 * math.pi),
    "norm": lambda x: np.sqrt((x * x).sum()),
    "π": math.pi,
}


def _python(text):
    """Return an expression of a formula as Python writes it."""
    text = text.replace("xⁿ⁻¹", "x**(n - 1)").replace("‖x‖", "norm(x)")
    text = text.replace("²", "**2").replace("³", "**3").replace("≤", "<=").replace("≥", ">=")
    text = re.sub(r"√\(", "sqrt(", text)
    text = re.sub(r"√([\wπ])", r"sqrt(\1)", text)
    text = re.sub(r"\|([^|]+)\|", r"abs(\1)", text)
    text = re.sub(r"Σ ([\w*]+)", r"sum(\1)", text)
    text = re.sub(r"([\w)]+)ᵀ", lambda m: f"{m[1]}.T", text)
    return re.sub(r"(\w+) (<=?) x \2 (\w+)", r"(\1 \2 x) & (x \2 \3)", text)


def evaluate(text, values):
    """Return the number an expression of a formula stands for: see the notation in `formulas`."""
    text, _, letters = text.partition("; ")
    scope = {**FUNCTIONS, **values}
    for letter in reversed(re.findall(r"(\w) = ([^,]+(?:\([^)]*\))?)", letters)):
        if re.search(r"[(+*]", letter[1]):
            scope[letter[0]] = eval(_python(letter[1]), scope)
    text = re.sub(r" \([a-z ]+\)$| for every element$", "", text.replace(" (for p = 2)", ""))
    *choices, otherwise = text.split(", else ")
    result = eval(_python(otherwise), scope)
    if choices:
        for choice in reversed(choices[0].split(", ")):
            chosen, condition = choice.split(" where ")
            result = np.where(eval(_python(condition), scope), eval(_python(chosen), scope), result)
    return result


# Name, domain, options as the op takes them, and what the formula calls them.
ANY, POSITIVE, UNIT, ABOVE_1 = (-4.0, 4.0), (0.2, 3.0), (-0.9, 0.9), (1.2, 3.0)
SHARE = (0.1, 0.9)

UNARY = [
    *((name, ANY, (), {}) for name in ("absolute", "atan", "asinh", "ceil", "clone", "cos")),
    *((name, ANY, ((), True), {}) for name in ("cosh", "sinh")),
    *((name, ANY, (), {}) for name in ("deg2rad", "exp", "exp2", "expm1", "floor")),
    *((name, ANY, (), {}) for name in ("frac", "negative", "rad2deg", "reciprocal", "relu")),
    *((name, ANY, (), {}) for name in ("sigmoid", "sign", "sin", "sinc", "square")),
    *((name, ANY, (), {}) for name in ("tan", "tanh", "trunc")),
    *((name, POSITIVE, (), {}) for name in ("log", "log10", "log1p", "log2", "rsqrt", "sqrt")),
    *((name, UNIT, (), {}) for name in ("acos", "asin", "atanh")),
    ("erf", ANY, (), {}),
    ("erfinv", UNIT, (), {}),
    ("acosh", ABOVE_1, (), {}),
    ("logit", SHARE, (None,), {}),
    ("round", ANY, (0,), {}),
    ("log_ndtr", ANY, (), {}),
    ("power_number", POSITIVE, (2.5,), {"n": 2.5}),
    ("clip", ANY, (-1.0, 2.0), {"min": -1.0, "max": 2.0}),
    ("hardtanh", ANY, ((-1.0, 2.0),), {"min": -1.0, "max": 2.0}),
    ("leaky_relu", ANY, ((0.1,),), {"slope": 0.1}),
    ("threshold", ANY, ((0.5, 9.0),), {"threshold": 0.5}),
    ("hardsigmoid", ANY, ((),), {}),
    ("hardswish", ANY, ((),), {}),
    ("hardshrink", ANY, ((0.5,),), {"λ": 0.5}),
    ("softshrink", ANY, ((0.5,),), {"λ": 0.5}),
    ("elu", ANY, ((1.5, 1.0, 1.0), True), {"α": 1.5}),
    ("gelu", ANY, ((), True), {}),
    ("gelu_tanh", ANY, ((), True), {"c": math.sqrt(2 / math.pi)}),
    ("silu", ANY, ((), True), {}),
    ("mish", ANY, ((), True), {}),
    ("softplus", ANY, ((1.5, 20.0), True), {"β": 1.5}),
    ("logsigmoid", ANY, ((), True), {}),
    ("erfc", ANY, ((), True), {}),
]
BINARY = [
    *((name, POSITIVE, (), {}) for name in ("add", "atan2", "copysign", "divide", "fmax")),
    *((name, POSITIVE, (), {}) for name in ("fmin", "fmod", "hypot", "logaddexp", "maximum")),
    *((name, POSITIVE, (), {}) for name in ("minimum", "multiply", "power", "remainder")),
    *((name, POSITIVE, (), {}) for name in ("subtract", "xlogy", "logaddexp2", "floor_divide")),
    *((name, ANY, (), {}) for name in ("copysign", "fmod", "remainder", "multiply", "divide")),
    ("trunc_divide", ANY, (), {}),
    ("lerp_number", ANY, (0.3,), {"weight": 0.3}),
    ("lerp", SHARE, (), {}),
    ("addcmul", ANY, (2.0,), {"value": 2.0}),
    ("addcdiv", POSITIVE, (2.0,), {"value": 2.0}),
]
# Not elementwise, but written in what can be evaluated.
SUMS = [
    ("softmax", ANY, (0,), {}),
    ("log_softmax", ANY, (0,), {}),
    ("logsumexp", ANY, ((0,), False), {}),
    ("sum", ANY, (None, False), {}),
    ("prod", ANY, (None, False), {}),
    ("var", ANY, (None, 1, False), {"n": 12}),
    ("std", ANY, (None, 1, False), {"n": 12}),
    ("norm", ANY, (2.0, None, False), {}),
    ("mse_loss", ANY, ("mean",), {"n": 12}),
    ("l1_loss", ANY, ("mean",), {"n": 12}),
    ("huber_loss", ANY, ("mean", 1.5), {"n": 12, "δ": 1.5}),
    ("smooth_l1_loss", ANY, ("mean", 1.5), {"n": 12, "β": 1.5}),
    ("dot", ANY, (), {}),
]


@pytest.mark.parametrize(
    ("name", "domain", "options", "letters"),
    [pytest.param(*row, id=f"{row[0]}{row[1]}") for row in [*UNARY, *BINARY, *SUMS]],
)
def test_an_evaluated_formula_is_the_gradient(name, domain, options, letters):
    op = REGISTRY[name]
    random = np.random.default_rng(0)
    operands = {n: random.uniform(*domain, 12) for n in op.arrays}
    tensors = {n: torch.tensor(v, requires_grad=True) for n, v in operands.items()}
    out = op.call(*tensors.values(), *options)
    g = random.normal(size=out.shape)
    wanted = torch.autograd.grad(out, list(tensors.values()), torch.tensor(g))
    assert len(wanted) == len(op.differentiable) == len(op.arrays)
    for argument, gradient in zip(op.arrays, wanted, strict=True):
        found = evaluate(passed_on(name, argument), {"g": g, **operands, **letters})
        np.testing.assert_allclose(
            np.broadcast_to(found, 12), gradient.numpy(), rtol=1e-9, atol=1e-12
        )


@pytest.mark.parametrize("name", ["matmul", "transposed_product", "linear"])
def test_products_of_matrices(name):
    random = np.random.default_rng(0)
    shapes = {
        "matmul": {"x": (2, 3), "y": (3, 4)},
        "transposed_product": {"x": (3, 2), "y": (3, 4)},
        "linear": {"x": (2, 3), "weight": (4, 3)},
    }[name]
    operands = {n: random.normal(size=shape) for n, shape in shapes.items()}
    tensors = [torch.tensor(v, requires_grad=True) for v in operands.values()]
    given = [*tensors, None] if name == "linear" else tensors
    out = REGISTRY[name].call(*given)
    g = random.normal(size=out.shape)
    values = {"g": g, **operands, "W": operands.get("weight")}
    gradients = torch.autograd.grad(out, tensors, torch.tensor(g))
    for argument, gradient in zip(operands, gradients, strict=True):
        found = evaluate(passed_on(name, argument), values)
        np.testing.assert_allclose(found, gradient.numpy(), rtol=1e-12)


F = torch.nn.functional
LOSSES = {
    "binary_cross_entropy": (lambda x, y: F.binary_cross_entropy(x, y), SHARE, {"n": 12}),
    "binary_cross_entropy_with_logits": (
        lambda x, y: F.binary_cross_entropy_with_logits(x, y),
        SHARE,
        {"n": 12},
    ),
    "layer_norm": (
        lambda x, weight, bias: F.layer_norm(x, (12,), weight, bias, eps=0.1),
        ANY,
        {"ε": 0.1},
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_formulas_of_losses_and_norms(name):
    function, domain, letters = LOSSES[name]
    random = np.random.default_rng(0)
    names = REGISTRY[name].differentiable
    operands = {n: random.uniform(*domain, 12) for n in names}
    tensors = [torch.tensor(v, requires_grad=True) for v in operands.values()]
    out = function(*tensors)
    g = random.normal(size=out.shape)
    x = operands["x"]
    values = {"g": g, **operands, "W": operands.get("weight"), "μ": x.mean(), "var": x.var()}
    for n, gradient in zip(names, torch.autograd.grad(out, tensors, torch.tensor(g)), strict=True):
        text = passed_on(name, n)
        if text.startswith("Σ g"):  # of a single row
            text = text.replace(" over all but its own dimensions", "").removeprefix("Σ ")
        found = evaluate(text, {**values, **letters})
        np.testing.assert_allclose(found, gradient.numpy(), rtol=1e-9, atol=1e-12)


def test_the_formula_of_cross_entropy():
    x = torch.tensor(np.random.default_rng(0).normal(size=(3, 4)), requires_grad=True)
    (gradient,) = torch.autograd.grad(F.cross_entropy(x, torch.tensor([2, 0, 1])), x)
    assert passed_on("cross_entropy", "x") == "g*(softmax(x) - onehot(target))/N; N = rows"
    wanted = (np.apply_along_axis(_softmax, 1, x.detach().numpy()) - np.eye(4)[[2, 0, 1]]) / 3
    np.testing.assert_allclose(gradient.numpy(), wanted, rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "domain", "options"),
    [pytest.param(*row[:3], id=f"{row[0]}{row[1]}") for row in [*UNARY, *BINARY]],
)
def test_elementwise_ops_are(name, domain, options):
    assert name in ELEMENTWISE
    op = REGISTRY[name]
    random = np.random.default_rng(0)
    x = [torch.tensor(random.uniform(*domain, 3), requires_grad=True) for _ in op.arrays]
    jacobians = torch.autograd.functional.jacobian(lambda *x: op.call(*x, *options), tuple(x))
    for jacobian in jacobians:
        off = jacobian.numpy()[~np.eye(3, dtype=bool)]
        np.testing.assert_array_equal(off, np.zeros(6))


def test_all_elementwise_ops_are_tried():
    tried = {row[0] for row in [*UNARY, *BINARY]}
    assert ELEMENTWISE - tried == {"cast", "clip_between", "keep_where", "where"}


def test_a_wrong_formula_would_not_pass(monkeypatch):
    monkeypatch.setitem(RULES, "cos", {"x": "g*sin(x)"})
    passed_on.cache_clear()
    try:
        with pytest.raises(AssertionError):
            test_an_evaluated_formula_is_the_gradient("cos", ANY, (), {})
    finally:
        passed_on.cache_clear()


def test_choices_are_evaluated_in_order():
    x = np.array([-4.0, 0.0, 4.0])
    found = evaluate("0 where x ≤ -3, g where x ≥ 3, else g*x", {"x": x, "g": 2.0})
    np.testing.assert_array_equal(found, [0.0, 0.0, 2.0])


# ----- The table ----------------------------------------------------------------------------------


def test_the_tables_name_what_there_is():
    assert set(RESULTS) <= set(REGISTRY)
    for name, rules in RULES.items():
        assert set(rules) <= set(REGISTRY[name].differentiable), name


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_every_rule_has_a_formula(name):
    for argument in REGISTRY[name].arrays:
        text = formula(name, argument)
        assert text.startswith(f"d({result_of(name)})/d")
        assert "\n" not in text
        wanted = argument in REGISTRY[name].differentiable
        assert text.endswith(" = no gradient") is not wanted


@pytest.mark.parametrize(
    ("name", "argument", "text"),
    [
        ("multiply", "x", "d(x*y)/dx = g*y"),
        ("multiply", "input", "d(x*y)/dx = g*y"),
        ("multiply", "other", "d(x*y)/dy = g*x"),
        ("tanh", "x", "d(tanh(x))/dx = g*(1 - tanh(x)²)"),
        ("sqrt", "x", "d(√x)/dx = g/(2*√x)"),
        ("acos", "x", "d(acos(x))/dx = -g/√(1 - x²)"),
        ("deg2rad", "x", "d(deg2rad(x))/dx = g*π/180"),
        ("floor", "x", "d(floor(x))/dx = 0"),
        ("matmul", "y", "d(x @ y)/dy = xᵀ @ g"),
        ("linear", "weight", "d(x @ Wᵀ + b)/dW = gᵀ @ x"),
        ("stack", "xs", "d(stack(xs))/dxsᵢ = this operand's part of g"),
        ("cross_entropy", "target", "d(cross_entropy(x, target))/dtarget = no gradient"),
        (
            "gru_layer",
            "hx",
            "d(gru(x, hx, w_ih, w_hh, b_ih, b_hh))/dhx = what arrives at the first "
            "step, going back from the last",
        ),
        (
            "lstm_layer",
            "w_ih",
            "d(lstm(x, hx, cx, w_ih, w_hh, b_ih, b_hh, w_hr))/dw_ih = Gᵀ @ x, added "
            "up over all steps; G = the gradients of what gates add up, found step by step from the last",
        ),
        ("qr", "x", "d(qr(x))/dx = _qr_rule(g, out, mode)"),
    ],
)
def test_formulas(name, argument, text):
    assert formula(name, argument) == text


def test_a_long_rule_is_shown_by_its_place():
    assert re.fullmatch(
        r"d\(least_squares\(.*\)\)/dx = _lstsq_rule\(g, \.\.\.\), decompositions\.py:\d+",
        formula("least_squares", "x"),
    )
    assert re.search(r" = a lambda, scanning\.py:\d+$", formula("place_along", "x"))


def test_formulas_of_distances_and_cross_products():
    random = np.random.default_rng(0)
    x, y = (torch.tensor(random.normal(size=(n, 4)), requires_grad=True) for n in (3, 5))
    g = random.normal(size=(3, 5))
    found = torch.autograd.grad(torch.cdist(x, y), (x, y), torch.tensor(g))
    apart = x.detach().numpy()[:, None] - y.detach().numpy()
    terms = g[..., None] * apart / np.linalg.norm(apart, axis=2, keepdims=True)
    assert passed_on("distances", "x") == "Σ g*(x - y)/‖x - y‖ over all y (for p = 2)"
    np.testing.assert_allclose(found[0].numpy(), terms.sum(1), rtol=1e-9)
    assert passed_on("distances", "y") == "Σ g*(y - x)/‖x - y‖ over all x (for p = 2)"
    np.testing.assert_allclose(found[1].numpy(), -terms.sum(0), rtol=1e-9)
    a, b = (torch.tensor(random.normal(size=3), requires_grad=True) for _ in range(2))
    g = random.normal(size=3)
    found = torch.autograd.grad(torch.linalg.cross(a, b), (a, b), torch.tensor(g))
    assert (passed_on("cross_of", "x"), passed_on("cross_of", "y")) == ("y × g", "g × x")
    np.testing.assert_allclose(found[0].numpy(), np.cross(b.detach().numpy(), g))
    np.testing.assert_allclose(found[1].numpy(), np.cross(g, a.detach().numpy()))


def test_unknown_names():
    with pytest.raises(KeyError, match="there is no op called 'nonsense'"):
        formula("nonsense", "x")
    with pytest.raises(KeyError, match="op add has no argument 'z' that is an array; it has x, y"):
        formula("add", "z")


# ----- Of nodes -----------------------------------------------------------------------------------


class Scale(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values, factor):
        ctx.factor = factor
        return values * factor

    @staticmethod
    def backward(ctx, g):
        return g * ctx.factor, None


def test_of_nodes():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    assert formula_of((x * 2).grad_fn, 0) == "d(x*y)/dx = g*y"
    assert rule_source((x * 2).grad_fn, 1) == "lambda g, x: g * x"
    joined = torch.cat([x, x]).grad_fn
    assert argument_names(joined) == ("xs[0]", "xs[1]")
    assert formula_of(joined, 1) == "d(cat(xs))/dxs[1] = this operand's part of g"
    assert rule_source(joined, 1).startswith("lambda g, i, xs_shapes, starts, dim: _joined_part(g")
    assert formula_of(x.sum().grad_fn, 0) == "d(Σ x)/dx = g for every element"
    assert formula_of(x.node, 0) == "grad = grad + g"
    assert rule_source(x.node, 0) == ""
    first = x.unbind()[1].node
    assert formula_of(first, 0) == "result 1 of several: g is put in its place"
    assert argument_names(first) == ("results",)


def test_of_functions():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    node = Scale.apply(x, 3.0).grad_fn
    assert argument_names(node) == ("values", "factor")
    assert formula_of(node, 0) == "d(Scale(values, factor))/dvalues = g * ctx.factor"
    assert rule_source(node, 0).splitlines()[1:] == [
        "def backward(ctx, g):",
        "    return g * ctx.factor, None",
    ]


def function(backward, count=2):
    namespace = {
        "forward": staticmethod(lambda ctx, *xs: sum(xs[1:], xs[0])),
        "backward": staticmethod(backward),
    }
    own = type("Own", (torch.autograd.Function,), namespace)
    return own.apply(*[torch.ones(2, requires_grad=True) for _ in range(count)]).grad_fn


def test_what_a_function_returns_is_its_formula_if_that_is_plain():
    def plain(ctx, g):
        half = g / 2
        return 2 * half, -half

    def named(ctx, g):
        result = (g, g)
        return result

    def branching(ctx, g):
        if ctx.needs_input_grad[1]:
            return g, g
        return g, None

    assert formula_of(function(plain), 1) == "d(Own(input 0, input 1))/dinput 1 = -half"
    assert formula_of(function(named), 1).endswith(" = Own.backward(ctx, g)[1]")
    assert formula_of(function(branching), 1).endswith(" = Own.backward(ctx, g)[1]")
    node = function(eval("lambda ctx, g: (g, g)"))
    assert formula_of(node, 0).endswith(" = Own.backward(ctx, g)[0]")


def test_names_of_a_function_whose_context_is_set_up_apart():
    class Apart(torch.autograd.Function):
        @staticmethod
        def forward(values, factor):
            return values * factor

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.factor = inputs[1]

        @staticmethod
        def backward(ctx, g):
            return g * ctx.factor, None

    node = Apart.apply(torch.ones(2, requires_grad=True), 3.0).grad_fn
    assert argument_names(node) == ("values", "factor")


def test_rules_that_are_functions():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    norm = torch.nn.functional.layer_norm(x, (2,)).grad_fn
    assert rule_source(norm, 0).startswith("lambda g, ")
    logits = torch.nn.functional.binary_cross_entropy_with_logits(x, torch.ones(2)).grad_fn
    assert re.fullmatch(r"def _logits_slope\(g, .*\) in loss\.py:\d+", rule_source(logits, 0))


def test_a_rule_whose_source_is_gone():
    rule = eval("lambda g, x: g * x")
    assert formulas._body(rule) == ""
    assert formulas._spoken(rule) == "lambda g, x: ..."
