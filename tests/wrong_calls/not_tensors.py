"""Calls of functions on what is no tensor: a list of numbers."""

from tests.wrong_calls.base import given, real, whole, wrong

ONE = [1.0, 2.0]


def functional(call):
    """Return a call of ``nn.functional`` as one of the whole package."""
    return lambda t, *operands: call(t.nn.functional, *operands)


CALLS = [
    ("kl_div", functional(lambda F, x: F.kl_div(x, ONE, reduction="sum")), "target"),
    ("poisson_nll_loss", functional(lambda F, x: F.poisson_nll_loss(ONE, x)), "input"),
    ("cosine_similarity", functional(lambda F, x: F.cosine_similarity(x, ONE)), "x2"),
    (
        "cosine_embedding_loss",
        functional(lambda F, x: F.cosine_embedding_loss(x, x, ONE)),
        "target",
    ),
    ("triplet_margin_loss", functional(lambda F, x: F.triplet_margin_loss(x, ONE, x)), "positive"),
    ("multi_margin_loss", functional(lambda F, x: F.multi_margin_loss(x, ONE)), "target"),
    ("hinge_embedding_loss", functional(lambda F, x: F.hinge_embedding_loss(x, ONE)), "target"),
    ("view_as", lambda t, x: x.view_as(ONE), "other"),
    ("reshape_as", lambda t, x: x.reshape_as(ONE), "other"),
    ("expand_as", lambda t, x: x.expand_as(ONE), "other"),
    ("empty_like", lambda t, x: t.empty_like(ONE), "input"),
    ("addmm", lambda t, x: t.addmm(x, ONE, x), "mat1"),
    ("addmv", lambda t, x: t.addmv(x, x, ONE), "vec"),
    ("addr", lambda t, x: t.addr(x, ONE, ONE), "vec1"),
    ("baddbmm", lambda t, x: t.baddbmm(x, ONE, x), "batch1"),
    ("batch_norm", functional(lambda F, x: F.batch_norm(ONE, x, x)), "input"),
    ("bilinear", functional(lambda F, x: F.bilinear(ONE, x, x)), "input1"),
    ("cdist", lambda t, x: t.cdist(x, ONE), "x2"),
    ("channel_shuffle", lambda t, x: t.channel_shuffle(ONE, 2), "input"),
    ("chunk", lambda t, x: t.chunk(ONE, 2), "input"),
    ("corrcoef", lambda t, x: t.corrcoef(ONE), "input"),
    ("cov", lambda t, x: t.cov(ONE), "input"),
    ("cross_entropy", functional(lambda F, x: F.cross_entropy(ONE, x)), "input"),
    ("diag_embed", lambda t, x: t.diag_embed(ONE), "input"),
    ("gradient", lambda t, x: t.gradient(ONE), "input"),
    ("group_norm", functional(lambda F, x: F.group_norm(x, 2, ONE)), "weight"),
    ("householder_product", lambda t, x: t.linalg.householder_product(x, ONE), "tau"),
    ("inner", lambda t, x: t.inner(x, ONE), "other"),
    ("layer_norm", functional(lambda F, x: F.layer_norm(ONE, (2,))), "input"),
    ("lstsq", lambda t, x: t.linalg.lstsq(x, ONE), "B"),
    ("matrix_power", lambda t, x: t.matrix_power(ONE, 2), "input"),
    ("narrow", lambda t, x: t.narrow(ONE, 0, 0, 1), "input"),
    ("nll_loss", functional(lambda F, x: F.nll_loss(x, ONE)), "target"),
    ("pad", functional(lambda F, x: F.pad(ONE, (1, 1))), "input"),
    ("pdist", lambda t, x: t.pdist(ONE), "input"),
    ("pixel_shuffle", lambda t, x: t.pixel_shuffle(ONE, 2), "input"),
    ("pixel_unshuffle", lambda t, x: t.pixel_unshuffle(ONE, 2), "input"),
    ("renorm", lambda t, x: t.renorm(ONE, 2, 0, 1.0), "input"),
    ("rms_norm", functional(lambda F, x: F.rms_norm(ONE, (2,))), "input"),
    ("roll", lambda t, x: t.roll(ONE, 1), "input"),
    ("rot90", lambda t, x: t.rot90(ONE), "input"),
    ("solve", lambda t, x: t.linalg.solve(x, ONE), "B"),
    ("solve_triangular", lambda t, x: t.linalg.solve_triangular(x, ONE, upper=True), "B"),
    ("sort", lambda t, x: t.sort(ONE), "input"),
    ("split_with_sizes", lambda t, x: t.split_with_sizes(ONE, [1, 1]), "input"),
    ("tensor_split", lambda t, x: t.tensor_split(ONE, 2), "input"),
    ("tile", lambda t, x: t.tile(ONE, (2,)), "input"),
    ("trapezoid", lambda t, x: t.trapezoid(ONE), "y"),
    ("vander", lambda t, x: t.linalg.vander(ONE), "x"),
    ("vecdot", lambda t, x: t.linalg.vecdot(x, ONE), "y"),
]

ROWS = [
    wrong(TypeError, f"{name}: not a tensor", call, real(2, 2), says=f"{argument}|Tensor|list")
    for name, call, argument in CALLS
] + [
    wrong(
        TypeError,
        "linear: a bias that is a list",
        functional(lambda F, x, w: F.linear(x, w, ONE)),
        real(2, 2),
        real(2, 2),
        says="bias|Tensor|list",
    ),
    wrong(
        TypeError,
        "index_put: a number",
        lambda t, x, i: x.index_put((i,), 1.0),
        real(3),
        given([0]),
        says="values|Tensor|float",
    ),
    wrong(
        TypeError,
        "gather: a list of indices",
        lambda t, x: x.gather(0, [0]),
        whole(3),
        says="index|Tensor|list",
    ),
]
