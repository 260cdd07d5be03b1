"""Rows for functions made of several ops, under the name that is called."""

import warnings

from tests.rows.base import Bools, Ints, Real, Row

R = Real
X = R((3, 4))
IMAGES = (R((2, 3, 6), distinct=True), R((2, 3, 6, 4), distinct=True), R((1, 2, 4, 6, 4)))


def _functional(op, name, samples, *args, order=2, finite=True, exact=False, **options):
    """Return the row of a function of ``nn.functional`` with these arguments after its operands."""

    def call(torch, *operands):
        return getattr(torch.nn.functional, name)(*operands, *args, **options)

    names = "_".join([f"F.{name}", *map(str, options.values())])
    return Row(op, call, samples, order, exact, finite=finite, name=names)


def _top(op, name, samples, *args, order=2, finite=True, **options):
    """Return the row of a function of the package itself."""

    def call(torch, *operands):
        return getattr(torch, name)(*operands, *args, **options)

    return Row(op, call, samples, order, finite=finite, name=f"torch.{name}")


def _method(op, name, samples, *args, order=2, **options):
    """Return the row of a method."""

    def call(torch, x, *operands):
        return getattr(x, name)(*operands, *args, **options)

    return Row(op, call, samples, order, name=name)


def _deprecated(name):
    def call(torch, x):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return getattr(torch.nn.functional, name)(x, 5)

    return call


def _signs(torch, x):
    return torch.tensor((1.0, -1.0, 1.0), dtype=x.dtype)


POOLING = [
    *(
        row
        for n, image in zip((1, 2, 3), IMAGES, strict=True)
        for row in (
            _functional("avg_pool", f"avg_pool{n}d", [(image,)], 2),
            _functional("avg_pool", f"adaptive_avg_pool{n}d", [(image,)], 2),
            _functional("max_pool", f"max_pool{n}d", [(image,)], 2),
            _functional("max_pool_with_indices", f"max_pool{n}d_with_indices", [(image,)], 2),
            _functional("max_pool_with_indices", f"adaptive_max_pool{n}d", [(image,)], 2),
            _functional(
                "max_pool_with_indices", f"adaptive_max_pool{n}d_with_indices", [(image,)], 2
            ),
        )
    ),
    _top("avg_pool", "adaptive_avg_pool1d", [(IMAGES[0],)], 2),
    _top("max_pool_with_indices", "adaptive_max_pool1d", [(IMAGES[0],)], 2),
    _functional("avg_pool", "lp_pool1d", [(R((2, 3, 6), 0.5, 2.0),)], 2.0, 2),
    _functional("avg_pool", "lp_pool3d", [(R((1, 2, 4, 4, 4), 0.5, 2.0),)], 2.0, 2),
    Row(
        "scatter_planes",
        lambda torch, x: [
            torch.nn.functional.max_unpool1d(x, torch.tensor([[[0, 3]]]), 2),
            torch.nn.functional.max_unpool3d(
                x[:, :, None, None], torch.tensor([[[[[0, 3]]]]]), (1, 1, 2)
            ),
        ],
        [(R((1, 1, 2)),)],
        name="max_unpool",
    ),
]

LOSSES = [
    *(
        _functional("exp", "poisson_nll_loss", [(X, R((3, 4), 1.5, 3.0))], reduction=reduction)
        for reduction in ("none", "mean", "sum")
    ),
    _functional(
        "log",
        "poisson_nll_loss",
        [(R((3, 4), 0.5, 2.0), R((3, 4), 1.5, 3.0))],
        log_input=False,
        full=True,
    ),
    _functional("multiply", "kl_div", [(X, R((3, 4), 0.1, 1.0))], reduction="batchmean"),
    _functional("exp", "kl_div", [(X, X)], reduction="sum", log_target=True),
    _functional("log", "gaussian_nll_loss", [(X, X, R((3, 4), 0.5, 2.0))], full=True),
    _functional("mean", "multilabel_soft_margin_loss", [(X, R((3, 4), 0.0, 1.0, grad=False))]),
    _functional("margin_sums", "multi_margin_loss", [(X, Ints((3,), 0, 4))], margin=0.5, order=1),
    _functional("mean", "triplet_margin_loss", [(X, X, X)], swap=True),
    _functional("mean", "triplet_margin_with_distance_loss", [(X, X, X)]),
    *(
        Row(
            "clip",
            lambda torch, x, y, place=place: [
                place(torch).cosine_embedding_loss(x, y, _signs(torch, x), 0.1),
                place(torch).margin_ranking_loss(x[:, 0], y[:, 0], _signs(torch, x), 0.1),
                place(torch).hinge_embedding_loss(x[:, 0] * y[:, 0], _signs(torch, x), 2.0),
            ],
            [(X, X)],
            name=name,
        )
        for name, place in (
            ("functional_signs", lambda torch: torch.nn.functional),
            ("signs", lambda torch: torch),
        )
    ),
    Row(
        "margin_sums",
        lambda torch, x: torch.nn.functional.multi_margin_loss(
            x, torch.tensor([2, 0, 1]), 2, 0.7, torch.tensor([0.5, 1, 2, 3], dtype=x.dtype)
        ),
        [(X,)],
        order=1,
        name="squared",
    ),
    Row(
        "margin_sums",
        lambda torch, x: torch.nn.functional.multilabel_margin_loss(
            x, torch.tensor([[1, 3, -1, 0], [2, -1, 0, 0], [0, 1, 2, -1]])
        ),
        [(X,)],
        order=1,
        name="multilabel_margin_loss",
    ),
    Row(
        "mean",
        lambda torch, x: torch.nn.functional.soft_margin_loss(x[:, 0], _signs(torch, x)),
        [(X,)],
        name="soft_margin_loss",
    ),
    *(
        Row("multiply", call, [operands], name=f"{name}_by_number")
        for name, call, operands in (
            (
                "poisson_nll_loss",
                lambda torch, x, y: torch.poisson_nll_loss(x, y, True, False, 1e-8, 1),
                (X, R((3, 4), 1.5, 3.0)),
            ),
            ("kl_div", lambda torch, x, y: torch.kl_div(x, y, 2), (X, R((3, 4), 0.1, 1.0))),
            (
                "triplet_margin_loss",
                lambda torch, *xs: torch.triplet_margin_loss(*xs, reduction=1),
                (X, X, X),
            ),
        )
    ),
    _top(
        "binary_cross_entropy_with_logits",
        "binary_cross_entropy_with_logits",
        [(X, R((3, 4), 0.0, 1.0), None, R((4,), 0.5, 2.0, grad=False), 2)],
    ),
    Row(
        "log_softmax, ctc_loss",
        lambda torch, x: torch.ctc_loss(
            x.log_softmax(-1), torch.tensor([[1, 2]]), (4,), (2,), 0, 1
        ),
        [(R((4, 1, 3)),)],
        order=1,
        name="ctc_loss",
    ),
]

DISTANCES = [
    _functional("divide", "cosine_similarity", [(X, X)]),
    _functional("norm", "pairwise_distance", [(X, X)], 3.0),
    _top("divide", "cosine_similarity", [(X, X)]),
    _top("norm", "pairwise_distance", [(X, X)], 3.0),
    *(
        make("matmul", "bilinear", [(X, R((3, 5)), R((2, 4, 5)), R((2,)))])
        for make in (_functional, _top)
    ),
]

LAYERS = [
    *(
        _functional("convolution", f"conv{n}d", [(R((1, 2, *(4,) * n)), R((3, 2, *(2,) * n)))])
        for n in (1, 2, 3)
    ),
    *(
        _functional(
            "convolution_input",
            f"conv_transpose{n}d",
            [(R((1, 2, *(3,) * n)), R((2, 3, *(2,) * n)))],
        )
        for n in (1, 2, 3)
    ),
    _functional("linear", "linear", [(X, R((2, 4)), R((2,)))]),
    _functional("layer_norm", "layer_norm", [(X, (4,), R((4,)), R((4,)))]),
    _functional("group_norm", "group_norm", [(R((2, 4, 3)), 2, R((4,)), R((4,)))]),
    _functional("layer_norm", "rms_norm", [(X, (4,), R((4,)))], eps=1e-3),
    _functional("prelu", "prelu", [(R((2, 3, 4), apart=(0.0,)), R((3,)))]),
    _functional("softmax", "softmax", [(X,)], -1),
    _functional("log_softmax", "log_softmax", [(X,)], -1),
    _functional("softmax", "gumbel_softmax", [(R((9,)),)], finite=False),
    _functional("sigmoid", "sigmoid", [(X,)]),
    _functional("tanh", "tanh", [(X,)]),
    _functional("permute", "pixel_shuffle", [(R((1, 4, 2, 3)),)], 2, exact=True),
    _functional("permute", "pixel_unshuffle", [(R((1, 2, 2, 4)),)], 2, exact=True),
    _functional("permute", "channel_shuffle", [(R((1, 4, 2, 3)),)], 2, exact=True),
    *(
        Row("resample", _deprecated(name), [(R((1, 2, 3, 3)),)], name=name)
        for name in ("upsample", "upsample_nearest", "upsample_bilinear")
    ),
    _top("batch_norm", "batch_norm", [(X, None, None, None, None, True, 0.1, 1e-5, False)]),
    _top(
        "group_norm",
        "instance_norm",
        [(R((2, 3, 4)), None, None, None, None, True, 0.1, 1e-5, False)],
    ),
    *(
        make("multiply", name, [(R(shape), 0.4, True)], finite=False)
        for make in (_functional, _top)
        for name, shape in (
            ("dropout", (20,)),
            ("alpha_dropout", (20,)),
            ("feature_alpha_dropout", (2, 3, 4)),
        )
    ),
    *(
        _functional("multiply", f"dropout{n}d", [(R((2, 3, *(2,) * n)), 0.4, True)], finite=False)
        for n in (1, 2, 3)
    ),
    _top("embedding", "embedding", [(X, Ints((5,), 0, 3))]),
    *(
        _top(op, name, [(X, *rest)])
        for op, name, *rest in (
            ("elu", "celu"),
            ("hardshrink", "hardshrink"),
            ("elu", "selu"),
            ("threshold", "threshold", 0.1, 0.5),
        )
    ),
    _top("leaky_relu", "rrelu", [(R((3, 4), apart=(0.0,)),)], order=1),
]

ARITHMETIC = [
    _top("divide", "true_divide", [(X, R((4,), 0.5, 2.0))]),
    Row("cast", lambda torch, x: x.half(), [(X,)], rtol=(1e-3, 1e-3), finite=False, name="half"),
    _top("subtract", "rsub", [(X, X)]),
    _top("ldexp", "ldexp", [(X, Ints((4,), 0, 3))]),
    _top("sign", "sgn", [(R((3, 4), apart=(0.0,)),)]),
    _top("remainder", "remainder", [(R((2, 3), -3.9, -3.1), R((3,), 1.05, 1.45))]),
    _top(
        "floor_divide",
        "floor_divide",
        [(R((2, 3), 3.1, 3.9, grad=False), R((3,), 1.05, 1.45, grad=False))],
        order=0,
    ),
    _top("bitwise_not", "bitwise_not", [(Ints((3,)),), (Bools((3,)),)], order=0),
    _top("left_shift", "bitwise_left_shift", [(Ints((3,)), Ints((3,), 0, 4))], order=0),
    _top("right_shift", "bitwise_right_shift", [(Ints((3,)), Ints((3,), 0, 4))], order=0),
    _top("matmul", "matmul", [(X, R((4, 2))), (R((4,)), R((4,)))]),
    Row(
        "matmul",
        lambda torch, x, y: torch.chain_matmul(x, y, x),
        [(X, R((4, 3)))],
        name="chain_matmul",
    ),
]

ARRANGING = [
    *(
        Row(
            "concatenate",
            lambda torch, x, y, name=name: getattr(torch, name)((x, y)),
            [(X, X)],
            name=name,
        )
        for name in ("concatenate", "row_stack")
    ),
    Row(
        "transpose",
        lambda torch, x: [torch.swapdims(x, 0, 1), x.swapdims(0, 1)],
        [(X,)],
        name="swapdims",
    ),
    Row(
        "add",
        lambda torch, x: [
            x.conj() + 1,
            x.resolve_conj() + 1,
            torch.conj(x) + 1,
            torch.resolve_conj(x) + 1,
            x.cpu() + 1,
        ],
        [(X,)],
        name="conj",
    ),
    *(_top("region", name, [(R((2, 4, 2)), 2)]) for name in ("hsplit", "vsplit", "dsplit")),
    _top("split_with_sizes", "split_with_sizes", [(X, [1, 3], 1)]),
    _method("broadcast_to", "expand_as", [(R((3, 1)), X)]),
    _method("reshape", "reshape_as", [(X, R((2, 6)))]),
    Row(
        "view",
        lambda torch, x, y: (x * 1).contiguous().view_as(y),
        [(X, R((2, 6)))],
        name="view_as",
    ),
    _method("sum_to", "sum_to_size", [(X,)], 1, 4),
    Row("transpose", lambda torch, x: [x.H, x.mH], [(X,)], name="H"),
    Row("add", lambda torch, x: [torch.real(x) + 1, x.real + 1], [(X,)], name="real"),
    Row(
        "index_put",
        lambda torch, x, y: (x * 1).index_put_((torch.tensor([0, 2]),), y, True),
        [(X, R((2, 4)))],
        name="accumulated",
    ),
    *(
        Row(
            "divide",
            lambda torch, x, y, reduce=reduce: torch.index_reduce(
                x, 0, torch.tensor([0, 2, 0]), y, reduce
            ),
            [(R((3, 4), apart=(0.0,)), R((3, 4), apart=(0.0,)))],
            name=f"index_reduce_{reduce}",
            order=1,
        )
        for reduce in ("mean",)
    ),
]

# Forms that PyTorch made for compilers and for its own modules.
INNER = [
    *(
        _top("clone", name, [(R((2, 4)), *rest)])
        for name, *rest in (
            ("alias_copy",),
            ("diagonal_copy", 1),
            ("expand_copy", (3, 2, 4)),
            ("narrow_copy", 1, 1, 2),
            ("permute_copy", (1, 0)),
            ("select_copy", 0, 1),
            ("slice_copy", 1, 0, 4, 2),
            ("split_copy", 2, 1),
            ("split_with_sizes_copy", (1, 3), 1),
            ("squeeze_copy",),
            ("t_copy",),
            ("transpose_copy", 0, 1),
            ("unbind_copy", 1),
            ("unfold_copy", 1, 2, 1),
            ("unsqueeze_copy", 1),
        )
    ),
    _top("region", "unsafe_chunk", [(R((2, 4)), 2, 1)]),
    _top("region", "unsafe_split", [(R((2, 4)), 3, 1)]),
    _top("split_with_sizes", "unsafe_split_with_sizes", [(R((2, 4)), (1, 3), 1)]),
    _top(
        "convolution",
        "convolution",
        [(R((1, 2, 5)), R((3, 2, 2)), None, (1,), (0,), (1,), False, (0,), 1)],
    ),
    _top("constant_pad", "constant_pad_nd", [(X, (1, 2), 0.5)]),
    _top("norm", "norm_except_dim", [(X, 2, 0)]),
]

LINALG = [
    Row(
        "lu",
        lambda torch, x: torch.linalg.lu_factor_ex(x + 4 * torch.eye(3, dtype=x.dtype)),
        [(R((3, 3)),)],
        name="lu_factor_ex",
    ),
    Row("qr", lambda torch, x: torch.qr(x), [(R((4, 3)),)], name="torch_qr"),
    *(
        Row(
            op,
            lambda torch, *x, name=name, rest=rest: getattr(torch.special, name)(*x, *rest),
            [(R((3, 4), 0.2, 0.8),) * count],
            name=name,
            order=order,
        )
        for op, name, count, order, *rest in (
            ("erf", "erf", 1, 2),
            ("erfc", "erfc", 1, 2),
            ("exp2", "exp2", 1, 2),
            ("expm1", "expm1", 1, 2),
            ("log1p", "log1p", 1, 2),
            ("sinc", "sinc", 1, 2),
            ("round", "round", 1, 2),
            ("logit", "logit", 1, 2),
            ("sigmoid", "expit", 1, 2),
            ("xlogy", "xlogy", 2, 2),
            ("softmax", "softmax", 1, 2, 0),
            ("log_softmax", "log_softmax", 1, 2, 0),
            ("logsumexp", "logsumexp", 1, 2, 0),
            ("erfinv", "erfinv", 1, 2),
        )
    ),
]

ROWS = POOLING + LOSSES + DISTANCES + LAYERS + ARITHMETIC + ARRANGING + INNER + LINALG
