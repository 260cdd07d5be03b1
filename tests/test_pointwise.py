"""Functions of one number on large arrays: chunks, kernels, layouts and what gradients are left."""

import numpy as np
import pytest

import tinygrad_like as ours
from tinygrad_like import jit, threads
from tinygrad_like.arrays.passes import CHUNK

torch = pytest.importorskip("torch")

FUNCTIONS = {
    "exp": lambda t, x: t.exp(x),
    "expm1": lambda t, x: t.expm1(x),
    "log": lambda t, x: t.log(x + 9),
    "log1p": lambda t, x: t.log1p(x + 8.5),
    "sigmoid": lambda t, x: t.sigmoid(x),
    "tanh": lambda t, x: t.tanh(x),
    "sinh": lambda t, x: t.sinh(x),
    "cosh": lambda t, x: t.cosh(x),
    "atanh": lambda t, x: t.atanh(x / 10),
    "erf": lambda t, x: t.erf(x),
    "erfc": lambda t, x: t.erfc(x),
    "gelu": lambda t, x: t.nn.functional.gelu(x),
    "gelu_tanh": lambda t, x: t.nn.functional.gelu(x, approximate="tanh"),
    "silu": lambda t, x: t.nn.functional.silu(x),
    "mish": lambda t, x: t.nn.functional.mish(x),
    "softplus": lambda t, x: t.nn.functional.softplus(x, 2.0, 5.0),
    "logsigmoid": lambda t, x: t.nn.functional.logsigmoid(x),
    "elu": lambda t, x: t.nn.functional.celu(x, 0.5),
    "relu": lambda t, x: t.relu(x),
    "hardtanh": lambda t, x: t.nn.functional.hardtanh(x, -1.5, 2.0),
    "leaky_relu": lambda t, x: t.nn.functional.leaky_relu(x, 0.1),
    "threshold": lambda t, x: t.nn.functional.threshold(x, 0.5, 7.0),
    "hardsigmoid": lambda t, x: t.nn.functional.hardsigmoid(x),
    "hardswish": lambda t, x: t.nn.functional.hardswish(x),
    "hardshrink": lambda t, x: t.nn.functional.hardshrink(x, 0.3),
    "softshrink": lambda t, x: t.nn.functional.softshrink(x, 0.3),
}


@pytest.fixture
def mode(request):
    if request.param == "numpy":
        with jit.disabled():
            yield "numpy"
    else:
        pytest.importorskip("numba")
        former = jit.enabled()
        jit.enable()
        yield "jit"
        jit.enable(former)


modes = pytest.mark.parametrize("mode", ["numpy", "jit"], indirect=True)


def test_every_kernel_is_among_these():
    kernels = {name.removeprefix("pointwise.") for name in jit.KERNELS if "pointwise." in name}
    assert {name.removesuffix("_backward") for name in kernels} == set(FUNCTIONS)


@modes
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_gradients_are_pytorchs(name, dtype, mode):
    rng = np.random.default_rng(0)
    x = np.clip(rng.normal(size=CHUNK + 4200) * rng.choice([0.1, 1, 3], CHUNK + 4200), -8, 8)
    results = []
    for t in (ours, torch):
        leaf = t.tensor(x.astype(dtype), requires_grad=True)
        out = FUNCTIONS[name](t, leaf)
        weights = t.tensor(np.cos(x).astype(dtype))
        (gradient,) = t.autograd.grad((out * weights).sum(), leaf)
        results.append((out.detach().numpy(), gradient.numpy()))
    rtol = 5e-6 if dtype == "float32" else 1e-13
    if name == "hardsigmoid":
        rtol = 1e-7  # PyTorch has a sixth of float32
    atol = 1e-6 if dtype == "float32" else 1e-14
    for mine, theirs in zip(*results, strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_allclose(mine, theirs, rtol=rtol, atol=atol)


@pytest.mark.parametrize("mode", ["jit"], indirect=True)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_kernels_are_taken_for_large_arrays(name, mode, monkeypatch):
    taken = []
    for kernel in (name, f"{name}_backward"):
        run = jit.KERNELS.get(f"pointwise.{kernel}")
        if run is not None:
            cells = dict(zip(run.__code__.co_freevars, run.__closure__, strict=True))
            monkeypatch.setattr(
                cells["found"], "cell_contents", lambda *args, kernel=kernel: taken.append(kernel)
            )
    for size in (100, 10000):
        x = ours.zeros(size, requires_grad=True)
        FUNCTIONS[name](ours, x).sum().backward()
        if size == 100:
            assert not taken
    assert taken[0] == name
    assert (f"{name}_backward" in taken) == (f"pointwise.{name}_backward" in jit.KERNELS)


LAYOUTS = {
    "permuted": lambda x: x.permute(2, 0, 1),
    "strided": lambda x: x[:, ::2],
    "expanded": lambda x: x[:1].expand(20, 30, 40),
    "reversed": lambda x: x.flip(0),
    "half": lambda x: x.half(),
    "empty": lambda x: x[:0],
    "single": lambda x: x[0, 0, 0],
}


@modes
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_layouts(name, layout, mode):
    x = ours.randn(20, 30, 40).clamp(-3, 3)
    leaf = x.clone().requires_grad_()
    out = FUNCTIONS[name](ours, LAYOUTS[layout](leaf))
    plain = LAYOUTS[layout](x).contiguous().requires_grad_()
    wanted = FUNCTIONS[name](ours, plain)
    assert out.dtype == wanted.dtype
    np.testing.assert_allclose(out.detach(), wanted.detach(), rtol=1e-6, atol=1e-7)
    if layout == "permuted":
        assert out.stride() == LAYOUTS[layout](x).stride()
    if layout in ("permuted", "strided"):
        out.sum().backward()
        wanted.sum().backward()
        np.testing.assert_allclose(LAYOUTS[layout](leaf.grad), plain.grad, rtol=2e-6, atol=1e-7)


@modes
def test_nothing_is_kept_where_no_gradient_is_wanted(mode):
    x = ours.randn(5000)
    assert ours.nn.functional.gelu(x).node is None
    with ours.no_grad():
        assert ours.nn.functional.gelu(x.requires_grad_()).node is None
    out = ours.nn.functional.gelu(x)
    (first,) = ours.autograd.grad(out.sum(), x, create_graph=True)
    (again,) = ours.autograd.grad(ours.nn.functional.gelu(x).sum(), x)
    np.testing.assert_allclose(first.detach(), again, rtol=1e-5, atol=1e-6)


@modes
@pytest.mark.parametrize("name", ["exp", "gelu", "hardswish"])
def test_pieces_on_several_threads_give_the_same(name, mode, monkeypatch):
    pieces = []
    split = threads.split

    def spy(count, work, bytes_):
        split(count, lambda start, stop: (pieces.append(start), work(start, stop)), bytes_)

    monkeypatch.setattr(threads, "split", spy)
    monkeypatch.setattr(threads, "LEAST_BYTES", 1 << 18)
    x = ours.randn(1 << 20)
    found = []
    former = ours.get_num_threads()
    for count in (1, 2):
        ours.set_num_threads(count)
        leaf = x.clone().requires_grad_()
        out = FUNCTIONS[name](ours, leaf)
        out.sum().backward()
        found.append((out.detach().numpy(), leaf.grad.numpy()))
    ours.set_num_threads(former)
    assert len(set(pieces)) > 1
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6, atol=1e-7)
