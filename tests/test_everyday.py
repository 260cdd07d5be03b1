"""Counting, scattering, regions and whole numbers, held to PyTorch corner by corner."""

import numpy as np
import pytest

import tinygrad_like as ours
from tests.both import compare

torch = pytest.importorskip("torch")

NAN, INF = float("nan"), float("inf")


def lines(table):
    """Return a test that runs every line of a table with both."""
    return pytest.mark.parametrize(
        "line", [line.strip() for line in table.strip().splitlines() if line.strip()]
    )


def run(line):
    """Compare what a line, an expression in `t`, gives with both."""

    def call(t):
        names = {
            "t": t,
            "nan": NAN,
            "inf": INF,
            "v": t.arange(6.0),
            "m": t.arange(6.0).reshape(2, 3),
        }
        names |= {"i": t.tensor([0, 2]), "F": t.nn.functional}
        return eval(line, names)

    compare(call)


def gradients(call, *shapes, values=None):
    """Compare the gradients of a weighted sum of what a call gives."""
    rng = np.random.default_rng(0)
    given = values or [rng.standard_normal(shape) for shape in shapes]
    found = []
    for t in (ours, torch):
        leaves = [t.tensor(x, requires_grad=True) for x in given]
        out = call(t, *leaves)
        weights = np.cos(np.arange(out.numel())).reshape(tuple(out.shape))
        (out * t.tensor(weights)).sum().backward()
        found.append([np.asarray(x.grad.detach().numpy()) for x in leaves])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, 1e-10, 1e-12)


# ----- Counting -----------------------------------------------------------------------------------


@lines("""
t.diff(t.tensor(1.0))
t.diff(v, n=-1)
t.diff(v, n=0)
t.diff(v, n=2)
t.diff(v, n=9)
t.diff(v[:0])
t.diff(m, dim=0)
t.diff(m, 1, 2)
m.diff(dim=0, prepend=t.ones(1, 3), append=m)
t.diff(v, prepend=t.zeros(2, 2))
t.diff(m, prepend=t.tensor(1.0))
t.diff(t.tensor([True, False, False]))
t.diff(t.tensor([1, 3], dtype=t.uint8), append=t.zeros(1))
t.isin(v, 2)
t.isin(2, v)
t.isin(2, 2)
t.isin(v, [2])
t.isin(m, i)
t.isin(m, i, invert=True)
t.isin(t.tensor(1), t.tensor([1, 2]), invert=True)
t.isin(t.tensor([True]), t.tensor([True]))
t.isin(t.tensor([nan, 1.0]), t.tensor([nan]))
t.isin(v, v[:0])
t.isin(t.tensor([1, 1, 2]), t.tensor([1, 1]), assume_unique=False)
t.bincount(i[:0])
t.bincount(i[:0], minlength=3)
t.bincount(i[:0], t.zeros(0))
t.bincount(i - 1)
t.bincount(v)
t.bincount(i.reshape(1, 2))
t.bincount(t.tensor(1))
t.bincount(i, i)
i.bincount(v[:2], 5)
t.bincount(i, v[:2].double())
t.bincount(i, v[:2].half())
t.bincount(i, v)
t.bincount(i, minlength=-1)
t.bincount(i.to(t.uint8))
t.bincount(i.bool())
t.unravel_index(t.tensor([3, 5]), (2, 3))
t.unravel_index(t.tensor(3), t.Size([2, 3]))
t.unravel_index(t.tensor(9), (2, 3))
t.unravel_index(t.tensor(-1), (2, 3))
t.unravel_index(t.tensor(1), 6)
t.unravel_index(t.tensor(1.0), (2, 3))
t.unravel_index(t.tensor(1), (2, -3))
""")
def test_counting(line):
    run(line)


@lines("""
t.histc(v, 4)
t.histc(m)
t.histc(v, 0)
t.histc(i)
t.histc(v, 3, 5, 2)
t.histc(v, 3, 1, 4)
v.histc(3, min=-1, max=7)
t.histc(v.half(), 3)
t.histc(t.tensor([nan, 1.0]))
t.histc(t.tensor([nan, 1.0]), 3, 0, 2)
t.histc(t.zeros(0), 3)
t.histc(t.tensor(2.0), 3)
t.histc(t.ones(4), 5)
t.histogram(v, 3)
t.histogram(m, t.tensor([0.0, 2, 5]))
v.histogram(3, range=(1.0, 4.0), weight=v, density=True)
t.histogram(i, 3)
t.histogram(v, 0)
t.histogram(t.ones(3), 2)
t.histogram(t.zeros(0), 2)
t.histogram(v, 3, range=(4.0, 1.0))
t.histogram(v, 3, weight=t.ones(2))
t.histogram(v.double(), 7)
""")
def test_histograms(line):
    run(line)


@lines("""
t.quantile(v, 1.5)
t.quantile(v, nan)
t.quantile(v, t.tensor(1.5))
t.quantile(v, [0.5])
t.quantile(v[:0], 0.5)
t.quantile(t.zeros(0, 3), 0.5, dim=1)
t.quantile(i, 0.5)
t.quantile(v.half(), 0.5)
t.quantile(v, t.zeros(2, 2))
t.quantile(v, t.zeros(2).double())
t.quantile(v, t.zeros(0))
t.quantile(v, 0.5, interpolation="cubic")
t.quantile(v, 0.5, 1)
t.quantile(v, 1)
t.quantile(v.double(), 0.3)
t.quantile(t.tensor(3.0), 0.5)
t.quantile(t.tensor(3.0), t.tensor([0.5]), 0, keepdim=True)
t.quantile(m, t.tensor([0.1, 0.5]), keepdim=True)
t.quantile(m, t.tensor([0.1, 0.5]), 0)
m.quantile(0.4, 1, True)
m.quantile(t.tensor([0.4]), 1, True)
t.quantile(t.tensor([1.0, nan, 2.0]), t.tensor([0.0, 0.5]))
t.quantile(t.tensor([[1.0, nan], [2.0, 3.0]]), 0.5, 1)
t.quantile(t.tensor([1.0, inf, 2.0]), t.tensor([0.0, 0.75]))
t.nanquantile(v * nan, 0.5)
t.nanquantile(t.tensor([[1.0, nan, 4.0], [2.0, 3.0, 9.0]]), 0.3, 1)
t.tensor([[1.0, nan, 4.0], [2.0, 3.0, 9.0]]).nanquantile(t.tensor([0.3, 0.9]), keepdim=True)
""")
def test_quantiles(line):
    run(line)


@pytest.mark.parametrize("how", ["linear", "lower", "higher", "midpoint", "nearest"])
def test_interpolations_of_quantiles(how):
    run(f"t.quantile(m, t.tensor([0.0, 0.2, 0.25, 0.5, 0.75, 1.0]), 1, interpolation={how!r})")
    gradients(lambda t, x: t.quantile(x, 0.3, 1, interpolation=how), (3, 5))
    holes = np.where(np.arange(10) % 4 == 1, NAN, np.arange(10.0)).reshape(2, 5)
    gradients(lambda t, x: t.nanquantile(x, 0.3, 1, interpolation=how), values=[holes])


def test_the_share_of_a_quantile_has_a_gradient():
    gradients(lambda t, x, q: t.quantile(x, q), values=[np.arange(5.0) ** 2, np.array([0.3, 0.6])])


# ----- Scattering with a reduction ----------------------------------------------------------------

REDUCTIONS = ["sum", "prod", "mean", "amax", "amin"]
DATA = "(t.arange(12.0).reshape(3, 4) - 5)"
PLACES = "t.tensor([[0, 2, 0], [1, 1, 0]])"


@pytest.mark.parametrize("include", [True, False])
@pytest.mark.parametrize("reduce", REDUCTIONS)
@pytest.mark.parametrize("to", ["", ".long()", ".double()", ".bool()"])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_scatter_reduce(reduce, include, to, dim):
    options = f"{reduce!r}, include_self={include}"
    run(f"t.scatter_reduce({DATA}{to}, {dim}, {PLACES}, ({DATA} * 3 + 1){to}, {options})")
    run(f"{DATA}{to}.clone().scatter_reduce_({dim}, {PLACES}, {DATA}{to}, {options})")
    if to != ".bool()":
        run(f"{DATA}{to}.index_reduce({dim}, i[:1], {DATA}.narrow({dim}, 0, 1){to}, {options})")
        run(f"{DATA}{to}.index_reduce_(0, t.tensor([1, 1, 0]), {DATA}{to} - 3, {options})")


@pytest.mark.parametrize("include", [True, False])
@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_gradients_of_scatter_reduce(reduce, include):
    places = [[0, 2, 0], [1, 1, 0]]

    def scattered(t, x, y):
        return t.scatter_reduce(x, 1, t.tensor(places), y, reduce, include_self=include)

    def indexed(t, x, y):
        return t.index_reduce(x, 1, t.tensor([2, 0, 2]), y, reduce, include_self=include)

    gradients(scattered, (3, 4), (2, 3))
    ties = [np.array([[1.0, 2, 3]] * 2), np.array([[1.0, 3, 1], [2, 2, 7]])]
    if include:
        gradients(scattered, values=ties)
    if reduce != "sum":
        gradients(indexed, (3, 4), (3, 3))


def test_gradients_of_products_with_zeros():
    def product(t, x, y):
        return t.scatter_reduce(x, 0, t.tensor([0, 0, 1, 1, 2]), y, "prod")

    gradients(product, values=[np.array([2.0, 3.0, 0.0]), np.array([0.0, 5.0, 4.0, 7.0, 6.0])])


@lines("""
v[:3].scatter_reduce(0, t.tensor([0, 2, 0]), v, "add")
v[:3].scatter_reduce(0, t.tensor([0, 2, 0]), v.double(), "sum")
v[:3].scatter_reduce(0, i, v)
v[:2].scatter_reduce(0, i, v, "sum")
v.scatter_reduce(0, i, v[:1], "sum")
v.scatter_reduce(0, i[None], v, "sum")
v.scatter_reduce(1, i, v, "sum")
v.scatter_reduce(0, i.float(), v, "sum")
v.scatter_reduce(0, i.int(), v, "sum")
v.scatter_reduce(0, i[:0], v, "amax")
v.scatter_reduce(0, i, v * nan, "amax")
t.tensor(2.0).scatter_reduce(0, t.tensor(0), t.tensor(3.0), "prod")
t.tensor(2.0).scatter_reduce(0, t.tensor(0), t.tensor(3.0), "mean", include_self=False)
v.index_reduce(0, i, v[:2], "sum")
v.index_reduce(0, i, v, "prod")
v.index_reduce(0, i + 9, v[:2], "prod")
v.index_reduce(0, i - 1, v[:2], "prod")
v.index_reduce(0, i, v[:2].double(), "prod")
m.index_reduce(1, i[None], m[:, :1], "amax")
t.tensor(2.0).index_reduce(0, t.tensor([0]), t.tensor(3.0), "prod")
v.index_reduce(0, t.tensor(1), t.tensor([3.0]), "amin")
""")
def test_corners_of_scatter_reduce(line):
    run(line)


# ----- Regions ------------------------------------------------------------------------------------


@lines("""
m.select_scatter(t.zeros(2), 1, 0)
m.select_scatter(t.zeros(3), 1, 0)
m.select_scatter(t.zeros(2).double() + 0.5, -1, -1)
m.select_scatter(t.zeros(2), 1, 5)
m.select_scatter(t.zeros(2), 2, 0)
m.select_scatter(1.0, 0, 0)
m.slice_scatter(t.zeros(2, 1), 1, 1, 2)
m.slice_scatter(t.zeros(2, 2), 1, 0, None, 2)
m.slice_scatter(t.zeros(2, 1), 1, 0, None, 2)
m.slice_scatter(-m)
m.slice_scatter(t.zeros(1, 3), 0, -1)
m.slice_scatter(m, 0, 0, 2, 0)
t.tensor(1.0).slice_scatter(t.tensor(2.0))
m.diagonal_scatter(t.ones(2))
m.diagonal_scatter(t.ones(2), 1, 0, 1)
m.diagonal_scatter(t.ones(3))
t.fill(m, 2)
t.fill(m, t.tensor(2.0))
t.fill(m, t.tensor([2.0]))
t.fill(i, 2.5)
t.fill(m.bool(), 2)
m.sum_to_size(1, 3)
m.sum_to_size(3)
m.sum_to_size((2, 1))
m.sum_to_size(2)
m.sum_to_size()
m.sum_to_size(1, 2, 3)
m.sum_to_size(2, 3) is m
v.hsplit(2)
m.hsplit(2)
m.hsplit(0)
m.hsplit([1])
m.hsplit(t.tensor([1]))
t.hsplit(m, indices=[1, 2])
t.hsplit(m, sections=3)
m.hsplit()
m.hsplit(1.5)
t.tensor(1.0).hsplit(1)
m.vsplit(2)
v.vsplit(2)
m.dsplit(1)
m.reshape(1, 2, 3).dsplit((1,))
t.block_diag()
t.block_diag(v, t.tensor(2), m)
t.block_diag(t.zeros(1, 1, 1))
t.block_diag(m, t.zeros(0, 2), m.double())
t.cartesian_prod()
t.cartesian_prod(i)
t.cartesian_prod(i, i + 5, i[:1])
t.cartesian_prod(i, v)
t.cartesian_prod(m)
t.cartesian_prod(t.tensor(1))
t.cartesian_prod(i[:0], i)
t.combinations(i)
t.combinations(v[:4], 3)
t.combinations(i, 3, True)
t.combinations(i, 0)
t.combinations(i, 4)
t.combinations(m)
t.combinations(i, -1)
t.combinations(i, 1)
t.row_stack((v, v))
""")
def test_regions(line):
    run(line)


def test_splits_are_views():
    x = ours.zeros(2, 4)
    x.hsplit(2)[1].fill_(1.0)
    assert x.sum() == 4


@pytest.mark.parametrize(
    "call",
    [
        lambda t, x, y: t.select_scatter(x, y[0], 0, 1),
        lambda t, x, y: t.slice_scatter(x, y, 0, 1, 3),
        lambda t, x, y: t.diagonal_scatter(x, y[:, 0], 1),
        lambda t, x, y: t.block_diag(x, y, y[0]),
        lambda t, x, y: t.cartesian_prod(x[0], y[0]),
        lambda t, x, y: t.combinations(x[0] * y[1]),
        lambda t, x, y: x.hsplit(3)[1] + y[0, 0],
        lambda t, x, y: x.sum_to_size(1, 3) + y,
        lambda t, x, y: t.fill(x, y[0, 0]) + x,
    ],
)
def test_gradients_of_regions(call):
    gradients(call, (3, 3), (2, 3))


# ----- Whole numbers, and the pieces of others ----------------------------------------------------


@lines("""
t.gcd(v, v)
t.gcd(t.tensor([4, -6, 0]), t.tensor(10, dtype=t.int32))
t.gcd(i, 2)
t.gcd(i.bool(), i.bool())
t.lcm(t.tensor([-4, 0, 6]), t.tensor([[6], [5]]))
t.lcm(v, v)
(i + 4).gcd_(i + 2)
(i + 4).lcm_(i + 2)
t.ldexp(i, i)
t.ldexp(v.half(), i[:1])
t.ldexp(v, t.tensor(200.0))
t.ldexp(v, t.tensor([1.5]).double())
t.ldexp(v, 2)
v.ldexp_(t.tensor(3))
t.frexp(t.tensor([0.0, 1, -3, inf, nan]))
t.frexp(i)
t.frexp(v.half())
m.double().frexp()
t.nextafter(v, v.double() + 1)
t.nextafter(v, -v)
t.nextafter(i, i)
t.nextafter(v, 2)
t.nextafter(v.half(), -v.half())
v.nextafter_(v + 1)
t.range(1, 4)
t.range(1, 4, 0.5)
t.range(3, 1)
t.range(3)
t.range(1, 2, 0)
t.range(0, 3, dtype=t.int64)
t.real(v) is v
t.conj(v) is v
v.real is v
v.conj() is v
v.resolve_conj() is v
t.resolve_conj(i) is i
t.is_conj(v)
m.is_conj()
t.real(1)
""")
def test_whole_numbers_and_pieces(line):
    run(line)


def test_gradients_of_pieces():
    gradients(lambda t, x: t.frexp(x).mantissa, (5,))
    gradients(lambda t, x, y: t.ldexp(x, y), (5,), (5,))


# ----- Functions of nn.functional at the top ------------------------------------------------------


@lines("""
t.dropout(v, 0.5, False)
t.dropout(input=v, p=0.0, train=True)
t.dropout(v, 2.0, True)
t.alpha_dropout(v, 0.5, False)
t.feature_alpha_dropout(m, 0.5, train=False)
t.embedding(m, i[:1])
t.embedding(m, indices=i[:1], padding_idx=0)
t.bilinear(m, m, t.ones(2, 3, 3))
t.cosine_similarity(m, m + 1)
t.pairwise_distance(m, m + 1, 1.0)
t.kl_div(m, m + 1)
t.kl_div(m, m + 1, 2, log_target=True)
t.kl_div(m, m + 1, "mean")
t.kl_div(m, m, 0, False, 1)
t.hinge_embedding_loss(v, v.sign() * 2 - 1, 0.5, 0)
t.margin_ranking_loss(v, v + 1, t.ones(6), 0.5, reduction=2)
t.margin_ranking_loss(v, v, t.ones(6), 0.5, margin=1.0)
t.cosine_embedding_loss(m, m + 1, t.ones(2))
t.poisson_nll_loss(v, v + 1, True, False, 1e-8, 1)
t.triplet_margin_loss(m, m + 1, m - 2, 0.5, 2.0, 1e-6, True, 0)
""")
def test_functions_at_the_top(line):
    run(line)
