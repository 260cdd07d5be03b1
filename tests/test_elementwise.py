"""Corners of the elementwise ops: mixes of dtypes, nan and infinities, ties, errors, writes."""

import math
import warnings
from decimal import Decimal, getcontext

import numpy as np
import pytest

import tinygrad_like as ours
from tinygrad_like.stamps import version

torch = pytest.importorskip("torch")

EXPRESSIONS = """
b-b
1-b
b-1
b-True
True-b
b+b
b*b
b/b
b//b
b%b
-b
+b
~b
~f
~i
abs(b)
i//0
i%0
i/0
f//0
f%0
torch.fmod(i,0)
i**2
i**-1
i**2.5
i**i
2**i
2**torch.tensor([-1,2])
torch.pow(2,torch.tensor([-1,2]))
torch.pow(2,2)
b**2
b**b
True**b
f**0
u== -1
u+300
u*1.5
i<<1
f<<1
1<<i
b<<1
i>>1
i&1
f&1
b&1
b&True
1&b
i|b
torch.logical_not(i)
f==None
f!=None
f=='a'
f==[1,2]
f<None
f+None
f+'a'
torch.floor(i)
torch.floor(b)
torch.ceil(i)
torch.round(i)
torch.round(torch.tensor([2.5,3.5,-0.125]),decimals=2)
torch.round(torch.tensor([25,-15]),decimals=-1)
torch.trunc(i)
torch.frac(i)
torch.sign(b)
torch.sign(torch.tensor(float('nan')))
torch.clamp(i,0.5)
torch.clamp(i,min=0,max=torch.tensor(1))
torch.clamp(f)
torch.clamp(f,min=torch.tensor([0.,0.]),max=1)
torch.clamp(b,0,1)
torch.relu(b)
torch.relu(i)
torch.maximum(i,f)
torch.fmax(f,i)
torch.lerp(f,f,0.5)
torch.lerp(i,i,0.5)
torch.addcmul(f,f,f,value=2)
torch.addcmul(f,i,i)
torch.addcdiv(i,i,i)
torch.addcdiv(f,i,i)
torch.logaddexp(i,i)
torch.isclose(i,f)
torch.isclose(f,f)
torch.nan_to_num(i)
torch.hypot(i,i)
torch.copysign(i,-1)
torch.copysign(f,torch.tensor([-0.,1]))
torch.add(b,b,alpha=2)
torch.add(i,i,alpha=1.5)
torch.add(f,f,alpha=True)
torch.add(2,f)
torch.mul(2,f)
torch.sub(2,f)
torch.div(2,f)
torch.add(f,'a')
torch.exp(2)
torch.exp(i)
torch.exp(b)
torch.div(i,2,rounding_mode='floor')
torch.div(i,2.,rounding_mode='trunc')
torch.div(f,0,rounding_mode='trunc')
torch.div(i,2,rounding_mode='x')
torch.floor_divide(i,2)
torch.true_divide(i,2)
torch.remainder(2,i)
torch.fmod(f,-1)
torch.where(b,1.0,0)
torch.where(b,1,0)
torch.where(b,f,0)
torch.where(b,i,0.5)
torch.where(i,f,f)
torch.where(u,f,f)
torch.where(b,f,i)
torch.where(True,f,i)
torch.where(b)
torch.equal(i,f)
torch.equal(i,i)
torch.allclose(f,i)
torch.bitwise_not(b)
torch.bitwise_and(f,f)
torch.isnan(i)
torch.isfinite(i)
torch.atan2(i,i)
torch.square(i)
torch.square(b)
torch.sqrt(i)
torch.reciprocal(i)
torch.reciprocal(b)
torch.neg(b)
torch.eq(f,'a')
torch.gt(f,1)
torch.heaviside(f,f)
torch.erf(i)
torch.sigmoid(i)
torch.logit(f)
torch.logit(f,0.1)
i+0.5
i.add(torch.tensor(0.5))
i.add(torch.tensor(0.5,dtype=torch.float64))
i+True
b+1
b+1.5
b*2
f.add_(i)
i.add_(f)
i.add_(0.5)
b.add_(1)
b.mul_(b)
i.div_(2)
i.pow_(2.)
i.exp_()
f.copy_(torch.tensor([1,2,3]))
f.copy_(i)
i.copy_(torch.tensor([1.7,-1.7]))
f.fill_(torch.tensor([1.,2]))
f.fill_(torch.tensor(2))
f.fill_('a')
i.fill_(2.5)
b.fill_(2)
u.fill_(300)
u.fill_(-1)
r.add_(1)
f.add_(torch.zeros(2,2))
f.gt_(0)
i.clamp_(0.5)
i.sub_(1,alpha=2)
f.mul_('a')
1 & f
i // 2.5
7 // i
7 % i
-7 // i
f // 2
i // 0.0
7 // f
divmod(f,2)
round(f)
abs(i)
i ** f
2 ** f
2.5**i
torch.pow(f,b)
f.__rpow__(2)
(-f)**0.5
f.__floordiv__(2)
torch.rsub(f,1)
torch.rsub(b,1)
torch.sub(b,1)
torch.signbit(f)
torch.positive(b)
torch.float_power(i,2)
torch.xlogy(f,f)
torch.isposinf(f)
torch.deg2rad(i)
f.isreal()
torch.logical_and(f,i)
torch.bitwise_left_shift(i,70)
torch.bitwise_right_shift(i,70)
torch.clip(f,min=0)
torch.clamp(f,max=None,min=None)
torch.clamp_min(f,torch.tensor([1.,2]))
torch.add(f,1,alpha=2)
f.zero_()
torch.maximum(torch.tensor([float('nan'),1.]),f)
torch.fmin(torch.tensor([float('nan'),1.]),f)
torch.clamp(torch.tensor([float('nan'),1.]),0,1)
torch.clamp(f,2,1)
u-2
u*2
u/2
u//2
-u
abs(u)
u**2
u+torch.tensor([-1,2])
u+torch.tensor(-1)
torch.tensor(1,dtype=torch.int32)+torch.tensor(2)
torch.tensor(1.)+torch.tensor(2.,dtype=torch.float64)
f+torch.tensor(2.,dtype=torch.float64)
f.double()+1
f.half()+1
f.half()*2.5
f.half()+f
f.half()**2
f.half()/3
torch.sqrt(f.half())
torch.tensor([1.,2.])**torch.tensor([0.,0.])
torch.tensor([0.,2.])**0.5
torch.tensor([0.,2.])**-1
0.0**torch.tensor([0.,2.])
torch.nan_to_num(torch.tensor([float('nan'),float('inf'),-float('inf')]))
torch.nan_to_num(torch.tensor([float('nan'),float('inf'),-float('inf')]),nan=1.,posinf=2.)
torch.round(torch.tensor([1234.5678]),decimals=-2)
torch.where(b,f.double(),f)
torch.where(b,torch.tensor(1.,dtype=torch.float64),f)
torch.where(b,f,torch.tensor(0))
torch.where(b,b,f)
torch.where(f>0,f,'a')
torch.lerp(f,f.double(),0.5)
torch.heaviside(torch.tensor([0.,1.,-1.]),torch.tensor([.5]))
torch.sign(f)
torch.sgn(i)
f > i
i > 2.5
b > 0
b == True
b == 1
f >= f
torch.ne(f,f)
b & b
b ^ b
~u
i ^ 3
torch.logical_xor(b,~b)
torch.equal(f,torch.zeros(3))
f.logical_not_()
i.bitwise_and_(1)
i.__iand__(1)
f.eq_(f)
b.logical_and_(b)
i.__ilshift__(2)
f.pow_(2)
f.pow_(-1)
f.div_(2,rounding_mode='floor')
f.floor_divide_(2)
f.remainder_(2)
f.lerp_(f,0.3)
f.addcmul_(f,f,value=-1)
f.addcdiv_(f,f,value=-1)
f.clamp_(min=0)
f.clamp_max_(0)
f.atan2_(f)
f.round_(decimals=1)
f.nan_to_num_()
f.logit_(0.1)
f.sigmoid_()
f.rsqrt_()
f.sub_(f,alpha=0.5)
f.add_(2,alpha=3)
i.mul_(2.5)
i.mul_(True)
f.double().add_(f)
f.add_(f.double())
torch.zeros(2,2).add_(f)
f.copy_(1)
f.copy_([1,2])
i.add_(torch.tensor(1,dtype=torch.int8))
torch.logaddexp2(f,f)
torch.copysign(f,-1.)
torch.hypot(f,f)
torch.tensor([5,-5])//2
torch.tensor([5,-5])%3
torch.fmod(torch.tensor([5,-5]),3)
torch.tensor([5.,-5.])//2
torch.tensor([5.,-5.])%3
torch.tensor([5.,-5.])%-3
torch.fmod(torch.tensor([5.,-5.]),-3)
torch.div(torch.tensor([5,-5]),torch.tensor([-2,2]),rounding_mode='trunc')
torch.div(torch.tensor([5,-5]),torch.tensor([-2,2]),rounding_mode='floor')
torch.maximum(f,torch.zeros(3))
f+torch.zeros(3)
torch.erfc(f)
torch.erfinv(torch.tensor([.5,1.,-1.,2.]))
torch.sinc(torch.tensor([0.,.5]))
torch.acos(i)
f.divide(2)
f.multiply(2)
f.not_equal(1)
f.absolute_()
f.arccos()
f.clip_(0)
f.arctan2(f)
f.subtract_(1)
f.rsub(1)
torch.relu_(f)
torch.logical_and(input=f,other=f)
torch.add(input=f,other=f)
torch.add(f,other=2)
torch.sub(input=f,other=1,alpha=2)
torch.mul(input=f,other=2)
torch.div(input=f,other=2)
torch.pow(input=f,exponent=2)
torch.where(condition=b,input=f,other=f)
torch.clamp(input=f,min=0)
torch.exp(input=f)
torch.maximum(input=f,other=f)
torch.lerp(input=f,end=f,weight=0.5)
torch.addcmul(input=f,tensor1=f,tensor2=f,value=1)
torch.eq(input=f,other=1)
torch.fmod(f,2)
torch.remainder(input=f,other=2)
torch.softmax(input=f,dim=0)
torch.bitwise_not(input=i)
torch.heaviside(input=f,values=f)
torch.atan2(input=f,other=f)
f.pow(exponent=2)
f.add(other=1)
f.add_(other=1)
f.mul_(other=2)
f.clamp_(min=0,max=1)
f.lerp(f,weight=0.1)
f.softmax(-1)
f.softmax(dim=-1,dtype=torch.float64)
f.log_softmax(0)
f.exp2_()
f.where(b,0)
f.where(b,f)
torch.floor_divide(input=f,other=2)
torch.true_divide(f,f)
torch.xlogy(f,2.)
torch.xlogy(2.,f)
torch.copysign(f,i)
torch.rsub(f,f)
torch.round(f,decimals=1)
torch.isclose(f,f,equal_nan=True)
torch.allclose(f,f,1e-3,1e-3)
torch.sinc(i)
""".strip().splitlines()


def names(package):
    """Return what the expressions talk of."""
    f = package.tensor([1.5, -2.5])
    return {
        "torch": package,
        "b": package.tensor([True, False]),
        "i": package.tensor([3, -2]),
        "u": package.tensor([1, 255], dtype=package.uint8),
        "f": f,
        "r": f.clone().requires_grad_(),
    }


def outcome(package, expression):
    """Return the value, or the type of the error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            value = eval(expression, names(package))
        except Exception as error:
            return type(error)
    if isinstance(value, tuple):
        return [v.tolist() for v in value]
    if isinstance(value, package.Tensor):
        return value.numpy()
    return value


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_corners_are_pytorchs(expression):
    mine, theirs = outcome(ours, expression), outcome(torch, expression)
    if isinstance(theirs, np.ndarray):
        assert isinstance(mine, np.ndarray), mine
        assert (mine.dtype, mine.shape) == (theirs.dtype, theirs.shape)
        np.testing.assert_allclose(mine, theirs, rtol=2e-6)
    else:
        assert mine == theirs


SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -2.0, 1e-30, 1e30, math.inf, -math.inf, math.nan]

UNARY = [
    "abs",
    "neg",
    "sign",
    "reciprocal",
    "square",
    "sqrt",
    "rsqrt",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log2",
    "log10",
    "log1p",
    "sigmoid",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
    "floor",
    "ceil",
    "trunc",
    "round",
    "frac",
    "nan_to_num",
    "erf",
    "erfc",
    "erfinv",
    "isnan",
    "isinf",
    "isfinite",
    "isposinf",
    "isneginf",
    "signbit",
    "logical_not",
    "deg2rad",
    "rad2deg",
    "relu",
    "selu",
]
BINARY = [
    "add",
    "sub",
    "mul",
    "div",
    "pow",
    "atan2",
    "hypot",
    "maximum",
    "minimum",
    "fmax",
    "fmin",
    "fmod",
    "remainder",
    "floor_divide",
    "logaddexp",
    "copysign",
    "xlogy",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "logical_and",
    "logical_or",
    "logical_xor",
    "isclose",
]


def hold(mine, theirs, rtol):
    assert mine.dtype == theirs.dtype
    np.testing.assert_allclose(mine, theirs, rtol=rtol, atol=1e-300)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", UNARY)
def test_special_values_of_one_operand(name, dtype):
    values = [v for v in SPECIAL if not (abs(v) == 1e30 and name in ("sin", "cos", "tan"))]
    results = []
    for t in (ours, torch):
        x = t.tensor(values, dtype=getattr(t, dtype))
        results.append(getattr(t, name)(x).numpy())
    hold(*results, 1e-14 if dtype == "float64" else 2e-6)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", BINARY)
def test_special_values_of_two_operands(name, dtype):
    results = []
    for t in (ours, torch):
        x = t.tensor(SPECIAL, dtype=getattr(t, dtype))
        results.append(getattr(t, name)(x[:, None], x).numpy())
    hold(*results, 1e-13 if dtype == "float64" else 2e-6)


GRADIENTS = [
    lambda t, x, y: t.maximum(x, y),
    lambda t, x, y: t.minimum(x, y),
    lambda t, x, y: t.fmax(x, y),
    lambda t, x, y: t.fmin(x, y),
    lambda t, x, y: t.clamp(x, -1, 1),
    lambda t, x, y: t.clamp(x, min=0),
    lambda t, x, y: t.clamp(x, y, y + 1),
    lambda t, x, y: x.abs(),
    lambda t, x, y: x.sign() + y,
    lambda t, x, y: t.relu(x),
    lambda t, x, y: x**2,
    lambda t, x, y: x**0,
    lambda t, x, y: x**y,
    lambda t, x, y: 0.0**y,
    lambda t, x, y: x**0.5,
    lambda t, x, y: t.where(x > y, x, y),
    lambda t, x, y: t.log(t.relu(x)),
    lambda t, x, y: t.sqrt(t.clamp(x, min=0) + 0.0),
    lambda t, x, y: t.xlogy(x, y),
    lambda t, x, y: t.copysign(x, y),
    lambda t, x, y: t.nan_to_num(x),
    lambda t, x, y: t.logit(x),
    lambda t, x, y: t.logit(t.nan_to_num(x), 0.25),
    lambda t, x, y: t.sinc(x),
    lambda t, x, y: x % y,
    lambda t, x, y: t.fmod(x, y),
    lambda t, x, y: t.prelu(x, y[:1]),
]


@pytest.mark.parametrize("call", GRADIENTS, ids=range(len(GRADIENTS)))
def test_gradients_at_kinks_ties_and_nan_are_pytorchs(call):
    grid = [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 0.25, 0.75, math.nan, math.inf]
    a, b = np.meshgrid(grid, grid)
    results = []
    for t in (ours, torch):
        x = t.tensor(a.ravel(), requires_grad=True)
        y = t.tensor(b.ravel(), requires_grad=True)
        out = call(t, x, y)
        out.backward(t.ones_like(out))
        results.append([None if v.grad is None else v.grad.numpy() for v in (x, y)])
    for mine, theirs in zip(*results, strict=True):
        if theirs is None or mine is None:
            assert mine is None or not mine.any()
            assert theirs is None or not theirs.any()
        else:
            np.testing.assert_allclose(mine, theirs, rtol=1e-12)


def test_large_tensors_take_the_same_values():
    """Ways that only large tensors go: masks by bits, limits as arrays, chunks."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 130, 301)).astype("f") * 2
    results = []
    for t in (ours, torch):
        f = t.nn.functional
        x, y = t.tensor(a, requires_grad=True), t.tensor(b, requires_grad=True)
        outs = [
            t.where(x > y, x, y),
            t.where(x > y, x, 0.5),
            t.where((x > y)[:, :1], 2.0, y),
            t.relu(x),
            t.sigmoid(x),
            t.clamp(x, -1, 1),
            f.relu6(x),
            f.leaky_relu(x, 0.1),
            f.gelu(x),
            f.gelu(x, approximate="tanh"),
            f.silu(x),
            f.elu(x),
            t.softmax(x, 1),
            t.softmax(x, 0),
            t.log_softmax(x, -1),
            t.erf(x),
            f.threshold(x, 0.1, 3.0),
        ]
        weights = t.tensor(b)
        sum((o * weights).sum() for o in outs).backward()
        results.append([o.detach().numpy() for o in outs] + [x.grad.numpy(), y.grad.numpy()])
    for mine, theirs in zip(*results, strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_allclose(mine, theirs, rtol=2e-5, atol=3e-6)


def test_gelu_in_half_precision_and_far_out():
    x = np.array([-40.0, -6.0, -5.0, 5.0, 6.0, 40.0, np.nan, np.inf])
    for dtype in ("float16", "float32", "float64"):
        for approximate in ("none", "tanh"):
            mine, theirs = (
                t.nn.functional.gelu(t.tensor(x, dtype=getattr(t, dtype)), approximate=approximate)
                for t in (ours, torch)
            )
            np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_rows_of_infinities_in_softmax(name):
    inf, nan = math.inf, math.nan
    rows = [[-inf] * 3, [-inf, 0, 1], [inf, 0, 1], [nan, 0, 1], [1e38, -1e38, 0], [inf, inf, 0]]
    results = [getattr(t, name)(t.tensor(rows), 1).numpy() for t in (ours, torch)]
    np.testing.assert_allclose(*results, rtol=1e-6)
    for scalar in (1.0, inf, nan):
        results = [getattr(t, name)(t.tensor(scalar), 0).numpy() for t in (ours, torch)]
        np.testing.assert_array_equal(*results)


def test_softmax_converts_first_and_refuses_what_it_can_not():
    x = ours.tensor([1, 2])
    assert ours.softmax(x, 0, dtype=ours.float64).dtype == ours.float64
    with pytest.raises(NotImplementedError):
        ours.softmax(x, 0)
    for t in (ours, torch):
        with pytest.raises(IndexError):
            t.softmax(t.ones(2), 1)
        with pytest.warns(UserWarning, match="Implicit dimension choice for softmax"):
            t.nn.functional.softmax(t.ones(2, 2))


def test_gumbel_softmax_and_rrelu_draw_pytorchs_numbers():
    results = []
    for t in (ours, torch):
        t.manual_seed(0)
        x = t.linspace(-2, 2, 20).reshape(4, 5).requires_grad_()
        soft = t.nn.functional.gumbel_softmax(x, tau=0.7)
        hard = t.nn.functional.gumbel_softmax(x, hard=True)
        leaky = t.nn.functional.rrelu(x, training=True)
        (soft * x + hard * x + leaky).sum().backward()
        results.append([v.detach().numpy() for v in (soft, hard, leaky, x.grad)])
    for mine, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=2e-5, atol=1e-6)


# ----- The error function -------------------------------------------------------------------------


def exact_erf(x):
    """Return erf as a Decimal of 60 digits, by its Taylor series."""
    getcontext().prec = 60
    x = Decimal(x)
    term = total = x
    n = 0
    while abs(term) > Decimal(10) ** -70:
        n += 1
        term = -term * x * x / n
        total += term / (2 * n + 1)
    pi = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640629")
    return total * 2 / pi.sqrt()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_erf_and_erfc_are_right_to_the_last_places(dtype):
    rng = np.random.default_rng(0)
    x = np.concatenate(
        [rng.uniform(-1, 1, 150), rng.uniform(-5, 5, 250), [0.5, 1.0, 1e-20, 1e-300]]
    )
    x = x.astype(dtype)
    erf, erfc = (getattr(ours, n)(ours.tensor(x)).numpy() for n in ("erf", "erfc"))
    for value, one, rest in zip(x, erf, erfc, strict=True):
        exact = exact_erf(float(value))
        for found, wanted, limit in ((one, exact, 2), (rest, 1 - exact, 3)):
            unit = Decimal(float(np.spacing(np.abs(np.asarray(float(wanted), dtype)))))
            assert abs(Decimal(float(found)) - wanted) <= limit * unit, value


def test_erfinv_undoes_erf():
    y = ours.linspace(-0.999, 0.999, 501, dtype=ours.float64)
    np.testing.assert_allclose(ours.erf(ours.erfinv(y)).numpy(), y.numpy(), rtol=1e-14, atol=1e-16)


# ----- NumPy's functions --------------------------------------------------------------------------


def test_numpy_functions_are_answered():
    x = ours.tensor([0.25, -0.5], requires_grad=True)
    y = np.array([1.0, 2.0], np.float32)
    for got, expected in (
        (np.exp(x), ours.exp(x)),
        (np.add(x, 1), x + 1),
        (np.subtract(1, x), 1 - x),
        (np.hypot(x, 2.0), ours.hypot(x, ours.tensor(2.0))),
        (y * x, x * ours.tensor(y)),
        (y - x, ours.tensor(y) - x),
        (np.float64(2) * x, 2 * x),
        (np.power(x, 2), x**2),
        (np.clip(x, 0, None), ours.clamp(x, min=0)),
        (np.where(x > 0, x, 0), ours.relu(x)),
        (np.maximum(x, 0), ours.relu(x)),
        (np.nan_to_num(x), x),
        (np.abs(x), x.abs()),
        (np.rint(x), ours.round(x)),
    ):
        assert isinstance(got, ours.Tensor)
        assert got.dtype == ours.float32
        assert got.requires_grad
        assert got.tolist() == expected.tolist()
    assert np.greater(x, 0).tolist() == [True, False]
    with pytest.raises(TypeError, match="out="):
        np.exp(x, out=np.zeros(2))
    with pytest.raises(TypeError, match="not supported"):
        np.frexp(x)


# ----- Writing in place ---------------------------------------------------------------------------

WRITES = [
    ("add_", (2.0,), {}),
    ("add_", ("y",), {"alpha": -0.5}),
    ("sub_", ("y",), {"alpha": 3}),
    ("sub_", (1,), {}),
    ("mul_", ("y",), {}),
    ("mul_", (0.5,), {}),
    ("div_", ("y",), {}),
    ("div_", (3,), {}),
    ("div_", ("y",), {"rounding_mode": "floor"}),
    ("pow_", (2,), {}),
    ("pow_", (0.5,), {}),
    ("pow_", (1.5,), {}),
    ("pow_", ("y",), {}),
    ("addcmul_", ("y", "z"), {"value": 0.3}),
    ("addcdiv_", ("y", "z"), {"value": -0.3}),
    ("addcmul_", ("y", "z"), {}),
    ("addcdiv_", ("y", "z"), {}),
    ("lerp_", ("y", 0.1), {}),
    ("lerp_", ("y", 0.9), {}),
    ("lerp_", ("y", "z"), {}),
    ("clamp_", (0.5, 1.0), {}),
    ("clamp_", (), {"min": 0.7}),
    ("clamp_", (), {"max": 0.7}),
    ("clamp_min_", (1.0,), {}),
    ("clamp_max_", (1.0,), {}),
    ("copy_", ("y",), {}),
    ("fill_", (3,), {}),
    ("zero_", (), {}),
    ("sqrt_", (), {}),
    ("exp_", (), {}),
    ("neg_", (), {}),
    ("relu_", (), {}),
    ("round_", (), {"decimals": 1}),
    ("floor_", (), {}),
    ("__iadd__", ("y",), {}),
    ("__isub__", ("y",), {}),
    ("__imul__", ("y",), {}),
    ("__itruediv__", ("y",), {}),
]


@pytest.mark.parametrize(("name", "arguments", "options"), WRITES)
@pytest.mark.parametrize(
    "mode", ["plain", "recorded", "no_grad", "view", "transposed", "other dtype"]
)
def test_writes_are_pytorchs(name, arguments, options, mode):
    if name == "lerp_" and mode == "other dtype":
        for t in (ours, torch):
            with pytest.raises(RuntimeError):
                t.ones(3).lerp_(t.ones(3, dtype=t.float64), 0.5)
        return
    rng = np.random.default_rng(0)
    a, b, c = rng.uniform(0.5, 1.5, (3, 3, 4)).astype("f")
    results = []
    for t in (ours, torch):
        wider = {"dtype": t.float64} if mode == "other dtype" else {}
        operands = {"y": t.tensor(b, **wider), "z": t.tensor(c[:1], **wider)}
        leaf = t.tensor(a, requires_grad=mode in ("recorded", "view"))
        x = leaf * 1 if leaf.requires_grad else leaf
        target = x[:, 1:3] if mode == "view" else x.t() if mode == "transposed" else x
        if mode == "view":
            operands = {k: v[:, 1:3] for k, v in operands.items()}
        if mode == "transposed":
            operands = {k: v.t() for k, v in operands.items()}
        given = [operands.get(o, o) if isinstance(o, str) else o for o in arguments]
        if mode == "no_grad":
            leaf.requires_grad_()
            with t.no_grad():
                returned = getattr(target, name)(*given, **options)
        else:
            returned = getattr(target, name)(*given, **options)
        assert returned is target
        out = [x.detach().numpy()]
        if leaf.requires_grad and mode != "no_grad":
            (x * x).sum().backward()
            out.append(leaf.grad.numpy())
        results.append(out)
    for mine, theirs in zip(*results, strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


def test_every_write_is_stamped():
    for name, arguments, options in WRITES:
        x, y = ours.ones(3, 4), ours.ones(3, 4)
        given = [y if isinstance(o, str) else o for o in arguments]
        before = version(x.array)
        getattr(x, name)(*given, **options)
        assert version(x.array) > before, name


def test_a_write_into_what_a_gradient_needs_is_noticed():
    w = ours.ones(3, requires_grad=True)
    x = ours.ones(3)
    y = w * x
    x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_refused_writes_change_nothing():
    y = ours.zeros(2, 3)
    for x, call in (
        (ours.ones(3), lambda x: x.add_(y)),
        (ours.ones(3), lambda x: x.addcmul_(y, y)),
        (ours.ones(3), lambda x: x.lerp_(y, 0.5)),
        (ours.ones(1).expand(3), lambda x: x.mul_(2)),
        (ours.ones(3, dtype=ours.int64), lambda x: x.mul_(0.5)),
        (ours.ones(3, requires_grad=True), lambda x: x.mul_(2)),
        (ours.ones(3), lambda x: x.copy_(y)),
        (ours.ones(3), lambda x: x.fill_(ours.zeros(3))),
    ):
        with pytest.raises(RuntimeError):
            call(x)
        assert x.tolist() == [1, 1, 1]


def test_a_write_whose_operand_overlaps_its_target():
    x = ours.arange(9.0).reshape(3, 3)
    x.add_(x.t())
    assert x.tolist() == [[0, 4, 8], [4, 8, 12], [8, 12, 16]]


def test_copy_passes_the_gradient_to_its_source():
    source = ours.tensor([1.0, 2.0], dtype=ours.float64, requires_grad=True)
    target = ours.zeros(3, 2)
    target.copy_(source)
    assert target.dtype == ours.float32
    (target * 2).sum().backward()
    assert source.grad.tolist() == [6, 6]
    assert source.grad.dtype == ours.float64


def test_fill_passes_the_gradient_to_its_value():
    value = ours.tensor(2.0, requires_grad=True)
    x = ours.zeros(4)
    x.fill_(value)
    x.sum().backward()
    assert value.grad.item() == 4


def test_infinite_gradients_stay_where_they_belong():
    x = ours.tensor([-1.0, 4.0], requires_grad=True)
    ours.sqrt(ours.relu(x)).sum().backward()
    assert x.grad.tolist() == [0, 0.25]


def test_slope_of_an_angle_at_the_origin_is_zero():
    x = ours.tensor([0.0, 1.0, -2.0], requires_grad=True)
    y = ours.tensor([0.0, 0.0, 2.0], requires_grad=True)
    ours.atan2(x, y).sum().backward()
    assert x.grad.tolist() == [0, 0, 0.25]
    assert y.grad.tolist() == [0, -1, 0.25]


@pytest.mark.parametrize("dtype", ["int8", "int64", "float32"])
def test_heaviside_keeps_the_dtype(dtype):
    x = ours.tensor([1, 0, -1], dtype=getattr(ours, dtype))
    out = ours.heaviside(x, x + 5)
    assert out.dtype == x.dtype
    assert out.tolist() == [1, 5, 0]


def test_a_number_to_a_power_leaves_gradients_their_dtype():
    x = ours.tensor([1.0, 2.0], requires_grad=True)
    y = x * 1
    seen = []
    y.register_hook(lambda g: seen.append(g.dtype))
    (2.5**y).sum().backward()
    assert seen == [ours.float32]
