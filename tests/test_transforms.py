"""`autograd.functional` and `func` beside PyTorch's."""

import numpy as np
import pytest

import tinygrad_like as tg
from tinygrad_like.autograd import functional

torch = pytest.importorskip("torch")

X = np.random.default_rng(0).normal(size=(2, 3))
Y = np.random.default_rng(1).normal(size=3)


def arrays(tree):
    if isinstance(tree, dict):
        return {k: arrays(v) for k, v in tree.items()}
    if isinstance(tree, list | tuple):
        return [arrays(v) for v in tree]
    if hasattr(tree, "requires_grad"):
        return (tree.detach().numpy(), tree.requires_grad)
    return tree


def compare(found, wanted):
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        for key in wanted:
            compare(found[key], wanted[key])
    elif isinstance(wanted, list):
        assert len(found) == len(wanted)
        for f, w in zip(found, wanted, strict=True):
            compare(f, w)
    elif isinstance(wanted, tuple):
        assert found[0].shape == wanted[0].shape
        np.testing.assert_allclose(found[0], wanted[0], rtol=1e-10, atol=1e-12)
        assert found[1] == wanted[1]
    else:
        assert found == wanted


def both(run):
    compare(arrays(run(tg)), arrays(run(torch)))


def both_raise(run, kind):
    for package in (tg, torch):
        with pytest.raises(kind):
            run(package)


def several(t):
    return lambda x, y: ((x * y).sin().sum(1), (x**3).sum() * y)


def scalar(t):
    return lambda x, y: (x**3 * y).sum() + (x[0] * y.exp()).prod()


def pair(t):
    return t.tensor(X), t.tensor(Y)


# ----- autograd.functional ------------------------------------------------------------------------


@pytest.mark.parametrize("create_graph", [False, True])
def test_vjp(create_graph):
    def run(t):
        v = (t.ones(2, dtype=t.float64), t.arange(3.0, dtype=t.float64))
        x, y = pair(t)
        if create_graph:
            x.requires_grad_()
        return t.autograd.functional.vjp(several(t), (x, y), v, create_graph=create_graph)

    both(run)


@pytest.mark.parametrize("create_graph", [False, True])
def test_jvp(create_graph):
    def run(t):
        x, y = pair(t)
        if create_graph:
            x.requires_grad_()
        return t.autograd.functional.jvp(several(t), (x, y), (x * 2, y.cos()), create_graph)

    both(run)


@pytest.mark.parametrize("strategy", ["reverse-mode", "forward-mode"])
def test_jacobian(strategy):
    def run(t):
        # PyTorch's forward mode is another machine; its result is the same.
        way = strategy if t is tg else "reverse-mode"
        return t.autograd.functional.jacobian(several(t), pair(t), strategy=way)

    both(run)
    both(lambda t: t.autograd.functional.jacobian(lambda x: x.sin(), t.tensor(X)))
    both(lambda t: t.autograd.functional.jacobian(lambda x: x.new_ones(2), t.tensor(X)))


def test_hessian_and_its_products():
    both(lambda t: t.autograd.functional.hessian(scalar(t), pair(t)))
    both(lambda t: t.autograd.functional.hessian(lambda x: (x**3).sum(), t.tensor(X)))
    for name in ("vhp", "hvp"):
        both(lambda t, n=name: getattr(t.autograd.functional, n)(scalar(t), pair(t), pair(t)))
        both(
            lambda t, n=name: getattr(t.autograd.functional, n)(
                lambda x: x.sum(), t.tensor(X), t.tensor(X)
            )
        )


def test_a_jacobian_can_be_differentiated():
    def run(t):
        x = t.tensor(X, requires_grad=True)
        j = t.autograd.functional.jacobian(lambda x: x**3, x, create_graph=True)
        j.sum().backward()
        return x.grad

    both(run)


@pytest.mark.parametrize("strategy", ["reverse-mode", "forward-mode"])
def test_empty_outputs_have_empty_jacobians(strategy):
    found = functional.jacobian(lambda x: x[:0] * 2, tg.tensor(Y), strategy=strategy)
    assert found.shape == (0, 3)


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda t: t.autograd.functional.vjp(lambda x: x * 2, t.ones(3)), RuntimeError),
        (lambda t: t.autograd.functional.vjp(lambda x: x * 2, t.ones(3), t.ones(2)), RuntimeError),
        (lambda t: t.autograd.functional.vjp(lambda x: x * 2, [t.ones(3)], t.ones(3)), TypeError),
        (lambda t: t.autograd.functional.vjp(lambda x: 2, t.ones(3)), TypeError),
        (lambda t: t.autograd.functional.vjp(lambda x: (x, 2), t.ones(3)), TypeError),
        (lambda t: t.autograd.functional.vjp(lambda x: x, t.ones(3), 3.0), TypeError),
        (
            lambda t: t.autograd.functional.vjp(lambda x: t.ones(()), t.ones(3), strict=True),
            RuntimeError,
        ),
        (
            lambda t: t.autograd.functional.vjp(
                lambda x, y: x.sum(), (t.ones(3), t.ones(3)), strict=True
            ),
            RuntimeError,
        ),
        (lambda t: t.autograd.functional.jvp(lambda x: x, t.ones(3)), RuntimeError),
        (
            lambda t: t.autograd.functional.jvp(lambda x: x, t.ones(3), (t.ones(3),) * 2),
            RuntimeError,
        ),
        (
            lambda t: t.autograd.functional.jacobian(lambda x: x, t.ones(3), strategy="b"),
            AssertionError,
        ),
        (
            lambda t: t.autograd.functional.jacobian(lambda x: t.ones(2), t.ones(3), strict=True),
            RuntimeError,
        ),
        (
            lambda t: t.autograd.functional.jacobian(
                lambda x: x, t.ones(3), strict=True, vectorize=True
            ),
            RuntimeError,
        ),
        (lambda t: t.autograd.functional.hessian(lambda x: x, t.ones(3)), RuntimeError),
        (
            lambda t: t.autograd.functional.hessian(lambda x: x.sum(), t.ones(3), strict=True),
            RuntimeError,
        ),
        (lambda t: t.autograd.functional.hvp(lambda x: x, t.ones(3), t.ones(3)), RuntimeError),
        (
            lambda t: t.autograd.functional.vhp(lambda x: (x.sum(),), t.ones(3), t.ones(3)),
            RuntimeError,
        ),
    ],
)
def test_what_products_and_jacobians_refuse(call, kind):
    both_raise(call, kind)


def test_inputs_are_left_alone():
    x = tg.tensor(X)
    functional.jacobian(lambda x: x.sin(), x)
    assert not x.requires_grad
    x.requires_grad_()
    functional.hessian(lambda x: x.sin().sum(), x)
    assert x.grad is None


# ----- func ---------------------------------------------------------------------------------------


def test_grad():
    both(lambda t: t.func.grad(scalar(t))(*pair(t)))
    both(lambda t: t.func.grad(scalar(t), argnums=1)(*pair(t)))
    both(lambda t: t.func.grad(scalar(t), argnums=(1, 0))(*pair(t)))
    both(lambda t: t.func.grad(scalar(t), argnums=-1)(*pair(t)))
    both(lambda t: t.func.grad(lambda x, k: (x * k).sum())(t.tensor(X), k=t.tensor(Y)))


def test_grad_and_value_with_something_aside():
    def run(t):
        f = lambda x: ((x**2).sum(), {"twice": x * 2})
        return t.func.grad_and_value(f, has_aux=True)(t.tensor(X))

    both(run)
    both(lambda t: t.func.grad(lambda x: (x.sum(), x * 2), has_aux=True)(t.tensor(X)))


def test_nested_arguments():
    def run(t):
        def loss(tree, z):
            return (tree["a"] * tree["b"][0] * z).sum() + tree["b"][1][0].sin().sum()

        tree = {"a": t.tensor(Y), "b": [t.tensor(X), (t.tensor(Y),)]}
        return t.func.grad(loss)(tree, t.tensor(Y)), t.func.jacrev(loss)(tree, t.tensor(Y))

    both(run)


def test_transforms_nest():
    g = lambda t: t.func.grad
    both(lambda t: g(t)(g(t)(g(t)(lambda x: x**5)))(t.tensor(2.0)))
    # The inner derivative's point depends on the outer variable.
    both(lambda t: g(t)(lambda x: x * g(t)(lambda y: x * y**3)(x * 2))(t.tensor(1.5)))
    # The inner one treats the outer's variable as a constant.
    both(lambda t: g(t)(lambda x: g(t)(lambda y: x * x * y)(t.tensor(1.0)))(t.tensor(1.5)))
    both(lambda t: t.func.jacrev(t.func.jacrev(lambda x: (x**3).sum(1)))(t.tensor(X)))
    both(lambda t: t.func.jacrev(g(t)(scalar(t)), argnums=1)(*pair(t)))

    def hessian(t):  # PyTorch's own takes its forward mode, which is another machine
        f, chosen = scalar(t), (0, 1)
        transform = (
            t.func.hessian if t is tg else lambda f, c: t.func.jacrev(t.func.jacrev(f, c), c)
        )
        return transform(f, chosen)(*pair(t))

    both(hessian)


def test_results_stay_in_the_graph_of_what_is_outside():
    def run(t):
        w = t.tensor(Y, requires_grad=True)
        inner = t.func.grad(lambda x: (x * w).sum())(t.tensor(X))
        slope = t.func.grad(lambda x: (x * x).sum())(w)
        (inner.sum() + (slope * slope).sum()).backward()
        alone = t.func.grad(lambda x: (x * x).sum())(t.tensor(X))
        return inner, slope, w.grad, alone

    both(run)


def test_transforms_record_under_no_grad():
    def run(t):
        with t.no_grad():
            return t.func.grad(lambda x: (x * x).sum())(t.tensor(X))

    both(run)

    def inside(t):
        def f(x):
            with t.no_grad():
                constant = x * 2
            return (x * constant).sum()

        return t.func.grad(f)(t.tensor(X))

    both(inside)


def test_vjp_transform():
    def run(t):
        f = lambda x, y: {"a": x * y, "b": (x.sum(), y**2)}
        value, pull = t.func.vjp(f, *pair(t))
        once = pull({"a": t.tensor(X), "b": (t.tensor(1.0, dtype=t.float64), t.tensor(Y))})
        return (
            value,
            once,
            pull({"a": t.tensor(X), "b": (t.tensor(2.0, dtype=t.float64), t.tensor(Y))}),
        )

    both(run)
    both(lambda t: t.func.vjp(lambda x: (x * 2, x * 3), t.tensor(X), has_aux=True)[2])


def test_jacrev():
    both(lambda t: t.func.jacrev(lambda x: {"a": x * 2, "b": x.sum()})(t.tensor(X)))
    both(lambda t: t.func.jacrev(several(t), argnums=(0, 1))(*pair(t)))
    both(lambda t: t.func.jacrev(lambda x: (x * 2, x * 3), has_aux=True)(t.tensor(X)))
    both(lambda t: t.func.jacrev(lambda x: x * 2, chunk_size=2)(t.tensor(X)))
    both(lambda t: t.func.jacrev(lambda x: t.ones(2))(t.tensor(X)))


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda t: t.func.grad(lambda x: x)(t.ones(3)), RuntimeError),
        (lambda t: t.func.grad(lambda x: 2.0)(t.ones(3)), RuntimeError),
        (lambda t: t.func.grad(lambda x: x.sum(), argnums=1)(t.ones(3)), RuntimeError),
        (lambda t: t.func.grad(lambda x: x.sum(), argnums=())(t.ones(3)), RuntimeError),
        (lambda t: t.func.grad(lambda x: x.sum(), argnums=(0, 0))(t.ones(3)), RuntimeError),
        (lambda t: t.func.grad(lambda x: x.sum(), has_aux=True)(t.ones(3)), RuntimeError),
        (lambda t: t.func.grad(lambda x: x.sum())(3.0), ValueError),
        (lambda t: t.func.grad(lambda x: x.sum())(t.ones(2, dtype=t.int64)), RuntimeError),
        (lambda t: t.func.vjp(lambda x: 2, t.ones(3)), RuntimeError),
        (lambda t: t.func.vjp(lambda x: x, t.ones(3))[1]((t.ones(3), t.ones(3))), RuntimeError),
        (lambda t: t.func.vjp(lambda x: x, t.ones(3))[1](t.ones(2)), RuntimeError),
        (lambda t: t.func.jacrev(lambda x: x, chunk_size=0)(t.ones(2)), ValueError),
        (lambda t: t.func.jacrev(lambda x: 2)(t.ones(2)), RuntimeError),
    ],
)
def test_what_transforms_refuse(call, kind):
    both_raise(call, kind)


# ----- Modules ------------------------------------------------------------------------------------


def net_of(t):
    t.manual_seed(0)
    return t.nn.Sequential(t.nn.Linear(3, 4), t.nn.BatchNorm1d(4), t.nn.Linear(4, 1)).double()


def test_functional_call():
    def run(t):
        net = net_of(t)
        given = {name: p.detach() * 2 for name, p in net.named_parameters()}
        before = {name: p.detach().clone() for name, p in net.named_parameters()}

        net.eval()  # PyTorch refuses to update buffers inside a transform

        def loss(params, x):
            return t.func.functional_call(net, params, (x,)).square().mean()

        slopes = t.func.grad(loss)(given, t.tensor(X))
        for name, p in net.named_parameters():
            assert bool((p == before[name]).all())
            assert p.grad is None
        return slopes

    both(run)


def test_functional_call_updates_given_buffers():
    def run(t):
        net = net_of(t)
        buffers = {name: b.clone() for name, b in net.named_buffers()}
        out = t.func.functional_call(net, (dict(net.named_parameters()), buffers), t.tensor(X))
        return out, buffers, dict(net.named_buffers())

    both(run)


def tied(t):
    class Tied(t.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = t.nn.Linear(2, 2, bias=False)
            self.second = t.nn.Linear(2, 2, bias=False)
            self.second.weight = self.first.weight

        def forward(self, x):
            return self.second(self.first(x))

    return Tied()


@pytest.mark.parametrize("tie_weights", [True, False])
def test_functional_call_of_tied_weights(tie_weights):
    def run(t):
        net = tied(t)
        given = {"first.weight": t.eye(2) * 3}
        if not tie_weights:
            given["second.weight"] = t.eye(2)
        return t.func.functional_call(net, given, t.ones(1, 2), tie_weights=tie_weights)

    both(run)


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda t: t.func.functional_call(net_of(t), {}, t.ones(1, 3), strict=True), RuntimeError),
        (
            lambda t: t.func.functional_call(
                tied(t), ({"a": t.ones(1)}, {"a": t.ones(1)}), t.ones(1, 2)
            ),
            ValueError,
        ),
        (
            lambda t: t.func.functional_call(
                tied(t), {"first.weight": t.eye(2), "second.weight": t.ones(2, 2)}, t.ones(1, 2)
            ),
            ValueError,
        ),
        (
            lambda t: t.func.functional_call(tied(t), {"third.weight": t.eye(2)}, t.ones(1, 2)),
            AttributeError,
        ),
        (lambda t: t.func.functional_call(tied(t), 3, t.ones(1, 2)), ValueError),
        (lambda t: t.func.stack_module_state([]), RuntimeError),
        (lambda t: t.func.stack_module_state([tied(t), net_of(t)]), RuntimeError),
        (lambda t: t.func.stack_module_state([tied(t), tied(t).eval()]), RuntimeError),
    ],
)
def test_what_functions_of_modules_refuse(call, kind):
    both_raise(call, kind)


def test_a_failing_call_leaves_the_module_as_it_was():
    net = tied(tg)
    weight = net.first.weight
    with pytest.raises(RuntimeError):
        tg.func.functional_call(net, {"first.weight": tg.ones(5, 5)}, tg.ones(1, 2))
    assert net.first.weight is weight
    assert net.second.weight is weight


def test_stack_module_state():
    def run(t):
        t.manual_seed(0)
        nets = [net_of(t) for _ in range(3)]
        return t.func.stack_module_state(nets)

    both(run)
