"""Random streams: the same seed gives the numbers PyTorch gives on a CPU."""

import pickle

import numpy as np
import pytest

import tinygrad_like as ours

torch = pytest.importorskip("torch")

SIZES = [0, 1, 2, 3, 7, 15, 16, 17, 31, 32, 33, 100, 1000]
SEEDS = [0, 1, 1234, 2**31, 2**40 + 5]
DTYPES = ["float32", "float64"]


def both(call, seed=0):
    """Run `call` with both packages from the same seed and return the two results as arrays."""
    results = []
    for package in (ours, torch):
        package.manual_seed(seed)
        results.append(call(package))
    return results


def hold(call, seed=0, ulps=0):
    mine, theirs = both(call, seed)
    mine, theirs = mine.numpy(), theirs.numpy()
    assert mine.dtype == theirs.dtype
    assert mine.shape == theirs.shape
    if ulps == 0:
        np.testing.assert_array_equal(mine, theirs)
    else:
        # PyTorch's own vectorised log and cos differ from machine to machine by as much.
        slack = 2e-6 if mine.dtype == np.float32 else 1e-14
        np.testing.assert_allclose(mine, theirs, rtol=slack, atol=slack)
    # The stream goes on at the same place.
    assert ours.rand(1).item() == torch.rand(1).item()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("n", [1, 100])
def test_seeds(n, seed):
    hold(lambda t: t.rand(n), seed)
    assert ours.initial_seed() == torch.initial_seed() == seed


def test_a_negative_seed():
    for package in (ours, torch):
        package.manual_seed(-5)
    assert ours.initial_seed() == torch.initial_seed()
    assert ours.rand(1).item() == torch.rand(1).item()


@pytest.mark.parametrize("dtype", [*DTYPES, "float16"])
@pytest.mark.parametrize("n", SIZES)
def test_rand(n, dtype):
    hold(lambda t: t.rand(n, dtype=getattr(t, dtype)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", SIZES)
def test_randn(n, dtype):
    hold(lambda t: t.randn(n, dtype=getattr(t, dtype)), ulps=0 if n < 16 else 3)


@pytest.mark.parametrize("n", SIZES)
def test_normal_with_mean_and_deviation(n):
    hold(lambda t: t.empty(n).normal_(3.0, 0.1), ulps=3)
    hold(lambda t: t.empty(n, dtype=t.float64).normal_(-3.0, 7.0), ulps=3)


def test_normal_numbers_are_kept_in_pairs():
    for call in (
        lambda t: t.cat([t.randn(3), t.rand(2), t.randn(3), t.randn(20), t.randn(2)]),
        lambda t: t.cat([t.randn(1), t.randn(1), t.randn(1)]),
    ):
        hold(call, ulps=3)


@pytest.mark.parametrize("n", [5, 1000])
@pytest.mark.parametrize("bounds", [(-0.1, 0.1), (-3, 5), (2.5, 2.5), (0, 1e-3)])
def test_uniform(n, bounds):
    hold(lambda t: t.empty(n).uniform_(*bounds))
    hold(lambda t: t.empty(n, dtype=t.float64).uniform_(*bounds), ulps=1)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_uniform_never_gives_the_end(dtype):
    hold(lambda t: t.empty(300_000, dtype=getattr(t, dtype)).uniform_(1000, 1001))


@pytest.mark.parametrize("shape", [(3, 4), (20, 7), (2, 3, 40)])
def test_filling_what_is_not_contiguous(shape):
    hold(lambda t: t.empty(shape).transpose(0, 1).uniform_())
    hold(lambda t: t.empty(shape).transpose(0, 1).normal_(), ulps=3)
    hold(lambda t: t.zeros((*shape, 2))[..., 0].normal_(), ulps=3)
    hold(lambda t: t.zeros((*shape, 2))[..., 0].bernoulli_(0.3))
    hold(lambda t: t.empty(shape).transpose(0, 1).random_(100))
    hold(lambda t: t.rand_like(t.empty(shape).transpose(0, 1)))


@pytest.mark.parametrize(
    ("low", "high"), [(0, 10), (-5, 5), (0, 2**28 - 1), (0, 2**28), (-(2**40), 2**40), (0, 2**62)]
)
@pytest.mark.parametrize("n", [1, 33])
def test_randint(n, low, high):
    hold(lambda t: t.randint(low, high, (n,)))
    hold(lambda t: t.empty(n, dtype=t.int64).random_(low, high))


def test_spellings_of_randint():
    hold(lambda t: t.randint(7, (2, 3)))
    hold(lambda t: t.randint(high=7, size=(2, 3)))
    hold(lambda t: t.randint(2, 7, size=(2, 3), dtype=t.int32))
    hold(lambda t: t.randint(low=2, high=7, size=[4], dtype=t.float32))
    hold(lambda t: t.randint_like(t.zeros(5), 10))
    hold(lambda t: t.randint_like(t.zeros(5, dtype=t.int32), 3, 10))


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"]
)
def test_random_without_bounds(dtype):
    hold(lambda t: t.zeros(50, dtype=getattr(t, dtype)).random_())


@pytest.mark.parametrize("n", [0, 1, 2, 10, 1000])
def test_randperm(n):
    hold(lambda t: t.randperm(n))
    hold(lambda t: t.randperm(n, dtype=t.int32))


@pytest.mark.parametrize("dtype", DTYPES)
def test_bernoulli(dtype):
    hold(lambda t: t.bernoulli(t.linspace(0, 1, 500, dtype=getattr(t, dtype))))
    hold(lambda t: t.empty(500, dtype=getattr(t, dtype)).bernoulli_(0.3))
    hold(lambda t: t.empty(500, dtype=t.int64).bernoulli_(t.full((500,), 0.3)))
    hold(lambda t: t.bernoulli(t.zeros(500), 0.7))


@pytest.mark.parametrize("dtype", DTYPES)
def test_other_distributions(dtype):
    hold(lambda t: t.empty(300, dtype=getattr(t, dtype)).exponential_(2.5), ulps=3)
    hold(lambda t: t.empty(300, dtype=getattr(t, dtype)).geometric_(0.3))
    hold(lambda t: t.empty(300, dtype=getattr(t, dtype)).cauchy_(0, 1), ulps=3)
    hold(lambda t: t.empty(300, dtype=getattr(t, dtype)).log_normal_(0.5, 0.2), ulps=3)
    hold(lambda t: t.empty(7, dtype=getattr(t, dtype)).log_normal_(), ulps=3)


def test_normal_around_tensors():
    hold(lambda t: t.normal(t.zeros(3, 4), t.full((4,), 2.0)), ulps=3)
    hold(lambda t: t.normal(t.arange(20.0), 0.5), ulps=3)
    hold(lambda t: t.normal(1.0, t.arange(20.0)), ulps=3)
    hold(lambda t: t.normal(1.0, 2.0, (20,)), ulps=3)
    hold(lambda t: t.normal(1, 2, size=(3, 2)), ulps=3)


def test_multinomial():
    weights = np.random.default_rng(0).random((6, 9))
    for dtype in DTYPES:
        for options in ((1,), (4,), (9,), (1, True), (20, True)):

            def call(t, dtype=dtype, options=options):
                return t.multinomial(t.tensor(weights, dtype=getattr(t, dtype)), *options)

            hold(call)
    hold(lambda t: t.multinomial(t.tensor([0.1, 0.0, 3.0]), 2))


@pytest.mark.parametrize(
    "name", ["dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout"]
)
def test_dropout(name):
    from tinygrad_like.ops import dropout

    shapes = {"dropout1d": [(3, 4, 5), (4, 5)], "dropout2d": [(3, 4, 5, 6)]}
    shapes |= {"dropout3d": [(3, 4, 2, 2, 2), (4, 2, 2, 2)]}
    for shape in shapes.get(name, [(7,), (30, 20)]):
        for p in (0.0, 0.1, 0.5, 1.0):
            for training in (True, False):
                results = []
                for t, functional in ((ours, dropout), (torch, torch.nn.functional)):
                    t.manual_seed(3)
                    x = t.linspace(-1, 1, int(np.prod(shape))).reshape(shape)
                    x.requires_grad_()
                    y = getattr(functional, name)(x, p, training)
                    y.sum().backward()
                    results.append((y.detach().numpy(), x.grad.numpy()))
                for mine, theirs in zip(*results, strict=True):
                    np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-6)


def test_dropout_of_a_permuted_tensor_and_in_place():
    from tinygrad_like.ops import dropout

    results = []
    for t, functional in ((ours, dropout), (torch, torch.nn.functional)):
        t.manual_seed(3)
        x = t.arange(1.0, 25.0).reshape(2, 3, 4)
        y = functional.dropout(x.permute(0, 2, 1), 0.5)
        functional.dropout(x, 0.5, inplace=True)
        results.append((y.numpy(), x.numpy()))
    for mine, theirs in zip(*results, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_dropout_refuses_probabilities_out_of_range():
    from tinygrad_like.ops import dropout

    for name in ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout"):
        with pytest.raises(ValueError, match=r"has to be between 0 and 1, but got 1\.5"):
            getattr(dropout, name)(ours.ones(2, 3), 1.5)


# ----- Generators ---------------------------------------------------------------------------------


def test_generators_are_independent():
    g, h = ours.Generator().manual_seed(5), torch.Generator().manual_seed(5)
    ours.manual_seed(1)
    first = ours.rand(3)
    ours.manual_seed(1)
    assert ours.rand(4, generator=g).tolist() == torch.rand(4, generator=h).tolist()
    assert ours.randperm(9, generator=g).tolist() == torch.randperm(9, generator=h).tolist()
    assert (
        ours.empty(3).uniform_(generator=g).tolist()
        == torch.empty(3).uniform_(generator=h).tolist()
    )
    assert ours.rand(3).tolist() == first.tolist()


def test_a_generator_starts_like_pytorchs():
    assert ours.Generator().initial_seed() == torch.Generator().initial_seed()
    assert (
        ours.rand(1, generator=ours.Generator()).item()
        == torch.rand(1, generator=torch.Generator()).item()
    )


@pytest.mark.parametrize("drawn", [0, 1, 623, 624, 625, 2000])
def test_states_have_pytorchs_layout(drawn):
    g, h = ours.Generator().manual_seed(7), torch.Generator().manual_seed(7)
    for package, generator in ((ours, g), (torch, h)):
        package.rand(drawn, generator=generator)
        package.randn(1, generator=generator, dtype=package.float64)
    mine, theirs = g.get_state(), h.get_state()
    # The kept normal number is computed, hence compared with tolerance: it stands near the end.
    kept = slice(24 + 4992 + 8, 24 + 4992 + 16)
    np.testing.assert_allclose(
        mine.numpy()[kept].view(np.float64), theirs.numpy()[kept].view(np.float64), rtol=1e-12
    )
    mine.numpy()[kept] = theirs.numpy()[kept]
    np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
    again = ours.Generator()
    again.set_state(ours.tensor(theirs.numpy()))
    assert ours.randn(5, generator=again).tolist() == torch.randn(5, generator=h).tolist()
    back = torch.Generator()
    back.set_state(torch.tensor(g.get_state().numpy()))
    assert ours.randn(3, generator=g).tolist() == torch.randn(3, generator=back).tolist()


def test_a_fresh_state_equals_pytorchs():
    g, h = ours.Generator().manual_seed(7), torch.Generator().manual_seed(7)
    assert g.get_state().tolist() == h.get_state().tolist()


def test_states_go_round():
    ours.manual_seed(3)
    ours.randn(5)
    state = ours.get_rng_state()
    assert (state.dtype, state.shape) == (ours.uint8, (5056,))
    first = ours.randn(21).tolist()
    ours.set_rng_state(state)
    assert ours.randn(21).tolist() == first
    g = ours.Generator().manual_seed(3)
    h, k = pickle.loads(pickle.dumps(g)), g.clone_state()
    assert ours.rand(2, generator=g).tolist() == ours.rand(2, generator=h).tolist()
    assert ours.rand(2, generator=g).tolist() != ours.rand(2, generator=k).tolist()


def test_fork_rng():
    ours.manual_seed(3)
    with ours.random.fork_rng():
        inside = ours.rand(3).tolist()
    assert ours.rand(3).tolist() == inside
    with ours.random.fork_rng(enabled=False):
        later = ours.rand(3).tolist()
    assert ours.rand(3).tolist() != later


def test_seed_differs_each_time():
    assert ours.seed() != ours.seed()
    assert ours.initial_seed() == ours.random.default_generator.initial_seed()
    g = ours.Generator()
    assert g.seed() == g.initial_seed()


BAD = [
    lambda t: t.Generator().manual_seed(2**64),
    lambda t: t.Generator().manual_seed(1.5),
    lambda t: t.Generator().set_state(t.zeros(3)),
    lambda t: t.Generator().set_state(t.zeros(3, dtype=t.uint8)),
    lambda t: t.Generator().set_state([1]),
    lambda t: t.zeros(3).bernoulli_(1.5),
    lambda t: t.bernoulli(t.tensor([2.0])),
    lambda t: t.bernoulli(t.tensor([1])),
    lambda t: t.zeros(3).normal_(0, -1),
    lambda t: t.zeros(3, dtype=t.int64).normal_(),
    lambda t: t.zeros(3, dtype=t.int64).uniform_(),
    lambda t: t.zeros(3).uniform_(2, 1),
    lambda t: t.zeros(3).exponential_(-1),
    lambda t: t.zeros(3).geometric_(2),
    lambda t: t.zeros(3).cauchy_(0, -1),
    lambda t: t.zeros(3).log_normal_(0, -1),
    lambda t: t.randint(3, 3, (2,)),
    lambda t: t.randint(2.5, (2,)),
    lambda t: t.randint(0, 10, 3),
    lambda t: t.randperm(-1),
    lambda t: t.multinomial(t.tensor([0.5, 0.5]), 3),
    lambda t: t.multinomial(t.tensor([-0.5, 0.5]), 1),
    lambda t: t.multinomial(t.tensor([0.0, 0.0]), 1),
    lambda t: t.multinomial(t.tensor([1, 1]), 2),
    lambda t: t.multinomial(t.ones(2, 2, 2), 2),
    lambda t: t.multinomial(t.tensor([0.5, 0.5]), 0),
    lambda t: t.rand(2, dtype=t.int64),
    lambda t: t.randn(2, dtype=t.int64),
    lambda t: t.rand(2, generator=3),
    lambda t: t.randn(-1),
    lambda t: t.zeros(3).random_(5, 5),
    lambda t: t.zeros(3, dtype=t.uint8).random_(0, 300),
    lambda t: t.normal(t.zeros(2), -1.0),
    lambda t: t.normal(t.zeros(2), t.tensor([1.0, -1.0])),
    lambda t: t.normal(t.zeros(2), t.ones(3)),
    lambda t: t.zeros(3).uniform_(low=1),
    lambda t: t.zeros(3, requires_grad=True).normal_(),
]


@pytest.mark.parametrize("call", BAD, ids=range(len(BAD)))
def test_what_is_refused(call):
    with pytest.raises(Exception) as theirs:  # noqa: PT011 (PyTorch decides which)
        call(torch)
    with pytest.raises(theirs.type):
        call(ours)


def test_a_refused_fill_changes_nothing():
    x = ours.zeros(3)
    ours.manual_seed(0)
    before = ours.get_rng_state().tolist()
    with pytest.raises(RuntimeError):
        x.normal_(0, -1)
    assert x.tolist() == [0, 0, 0]
    assert ours.get_rng_state().tolist() == before


def test_gradients_end_at_random_writes():
    x = ours.ones(3, requires_grad=True)
    for fill in ("normal_", "uniform_", "bernoulli_", "exponential_"):
        y = x * 2
        getattr(y, fill)()
        assert not y.requires_grad or ours.autograd.grad(y.sum(), x)[0].tolist() == [0, 0, 0]
    (g,) = ours.autograd.grad(ours.bernoulli(x * 0.5).sum(), x)
    assert g.tolist() == [0, 0, 0]


def test_forms_of_size_and_requires_grad():
    for shape in (ours.rand(2, 3), ours.rand((2, 3)), ours.rand([2, 3]), ours.rand(size=(2, 3))):
        assert shape.shape == (2, 3)
    assert ours.randn(2, requires_grad=True).requires_grad
    assert ours.rand(()).shape == ()
    assert ours.randn(3, dtype=ours.float64).dtype == ours.float64
