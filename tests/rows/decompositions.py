"""Rows for `tinygrad_like.ops.decompositions`, `distances` and what `linalg` builds of them.

Decompositions that are unique only up to signs are shown through functions that do not see the signs.
"""

from tests.rows.base import Real, Row

R = Real


def _definite(torch, x):
    """Return symmetric matrices with positive eigenvalues, well apart."""
    eye = torch.eye(x.shape[-1], dtype=x.dtype)
    return x @ x.mT + eye * torch.arange(1, x.shape[-1] + 1, dtype=x.dtype)


def _regular(torch, x):
    """Return square matrices far from singular."""
    return x + 4 * torch.eye(x.shape[-1], dtype=x.dtype)


def _symmetric(torch, x):
    """Return symmetric matrices with eigenvalues well apart."""
    return x + x.mT + torch.diag(5 * torch.arange(x.shape[-1], dtype=x.dtype))


def _spread(torch, x):
    """Return matrices with singular values well apart."""
    rows, columns = x.shape[-2:]
    steps = torch.arange(1, min(rows, columns) + 1, dtype=x.dtype) * 3
    return (
        x
        + torch.eye(rows, columns, dtype=x.dtype) * steps.sum() * steps[:1] / 6
        + (
            torch.nn.functional.pad(
                torch.diag(steps), (0, columns - len(steps), 0, rows - len(steps))
            )
        )
    )


def _eigenspaces(torch, a, **options):
    values, vectors = torch.linalg.eigh(a, **options)
    weights = torch.arange(1, a.shape[-1] + 1, dtype=a.dtype)
    return [values, (vectors * weights) @ vectors.mT]


def _singular_spaces(torch, a, **options):
    U, S, Vh = torch.linalg.svd(a, **options)
    size = S.shape[-1]
    U, Vh = U[..., :size], Vh[..., :size, :]
    weights = torch.arange(1, size + 1, dtype=a.dtype)
    return [S, (U * weights) @ U.mT, (U * weights) @ Vh, (Vh.mT * weights) @ Vh]


def _adjusted_qr(torch, a, **options):
    """Return Q and R with the signs that make R's diagonal positive."""
    Q, R = torch.linalg.qr(a, **options)
    size = min(a.shape[-2:])
    signs = torch.sign(torch.linalg.diagonal(R.detach()))[..., :size]
    return [Q[..., :size] * signs[..., None, :], R[..., :size, :] * signs[..., :, None]]


square = [(R((3, 3), -1, 1),), (R((2, 3, 3), -1, 1),), (R((1, 1), -1, 1),)]
rectangles = [(R((4, 3)),), (R((3, 4)),), (R((3, 3)),), (R((2, 4, 2)),), (R((2, 1, 2, 3)),)]
loose = {"rtol": (1e-9, 2e-3)}

ROWS = [
    # ----- Equations ------------------------------------------------------------------------------
    Row(
        "solve",
        lambda torch, x, y: torch.linalg.solve(_regular(torch, x), y),
        [
            (R((3, 3), -1, 1), R((3, 2))),
            (R((3, 3), -1, 1), R((3,))),
            (R((2, 3, 3), -1, 1), R((2, 3))),
            (R((2, 3, 3), -1, 1), R((3, 2))),
            (R((3, 3), -1, 1), R((2, 3, 2))),
            (R((2, 1, 2, 2), -1, 1), R((3, 2, 1))),
        ],
        **loose,
    ),
    Row(
        "solve",
        lambda torch, x, y: torch.linalg.solve(_regular(torch, x), y, left=False),
        [(R((3, 3), -1, 1), R((2, 3))), (R((2, 3, 3), -1, 1), R((4, 3)))],
        name="from the right",
        **loose,
    ),
    Row(
        "solve",
        lambda torch, x, y: [
            torch.linalg.tensorsolve(_regular(torch, x).reshape(2, 3, 6), y),
            torch.linalg.solve_ex(_regular(torch, x), y.reshape(6, 1)).result,
        ],
        [(R((6, 6), -1, 1), R((2, 3)))],
        name="tensorsolve",
        **loose,
    ),
    *(
        Row(
            "triangular",
            lambda torch, x, y, o=options: torch.linalg.solve_triangular(
                _regular(torch, x), y, **o
            ),
            [
                (R((3, 3), -1, 1), R((3, 3))),
                (R((2, 3, 3), -1, 1), R((3, 3))),
                (R((3, 3), -1, 1), R((2, 3, 3))),
                (R((19, 19), -0.1, 0.1), R((19, 19))),
            ],
            name=f"{options}",
            **loose,
        )
        for options in (
            {"upper": True},
            {"upper": False},
            {"upper": True, "unitriangular": True},
            {"upper": False, "left": False},
            {"upper": True, "left": False, "unitriangular": True},
        )
    ),
    Row(
        "triangular",
        lambda torch, b, a: [
            torch.triangular_solve(b, _regular(torch, a))[0],
            torch.triangular_solve(b, _regular(torch, a), upper=False, transpose=True)[0],
            torch.cholesky_solve(b, torch.tril(_regular(torch, a))),
            torch.cholesky_solve(b, torch.triu(_regular(torch, a)), upper=True),
        ],
        [(R((3, 2)), R((3, 3), -1, 1))],
        name="triangular_solve",
        **loose,
    ),
    Row(
        "triangular",
        lambda torch, a: [
            torch.cholesky_inverse(torch.tril(_regular(torch, a))),
            torch.cholesky_inverse(torch.triu(_regular(torch, a)), upper=True),
        ],
        [(R((3, 3), -1, 1),), (R((2, 2, 2), -1, 1),)],
        name="cholesky_inverse",
        **loose,
    ),
    Row(
        "inverse",
        lambda torch, x: [
            torch.linalg.inv(_regular(torch, x)),
            _regular(torch, x).inverse(),
            torch.linalg.inv_ex(_regular(torch, x))[0],
            torch.linalg.matrix_power(_regular(torch, x), -2),
        ],
        square,
        **loose,
    ),
    Row(
        "inverse",
        lambda torch, x: torch.linalg.tensorinv(_regular(torch, x).reshape(2, 3, 6), 2),
        [(R((6, 6), -1, 1),)],
        name="tensorinv",
        **loose,
    ),
    Row(
        "pseudoinverse",
        lambda torch, x: [torch.linalg.pinv(_spread(torch, x)), _spread(torch, x).pinverse()],
        rectangles,
        **loose,
    ),
    Row(
        "pseudoinverse",
        lambda torch, x: torch.linalg.pinv(_symmetric(torch, x) + 1, hermitian=True),
        [(R((3, 3)),)],
        name="hermitian",
        rtol=(1e-8, 5e-3),
    ),
    Row(
        "least_squares",
        lambda torch, x, y: torch.linalg.lstsq(_spread(torch, x), y)[0],
        [
            (R((4, 3)), R((4, 2))),
            (R((3, 4)), R((3, 2))),
            (R((3, 3)), R((3, 2))),
            (R((2, 4, 2)), R((2, 4))),
            (R((4, 2)), R((4,))),
        ],
        **loose,
    ),
    # ----- Determinants ---------------------------------------------------------------------------
    Row("determinant", lambda torch, x: [torch.det(x), torch.linalg.det(x)], square[:2], **loose),
    Row(
        "cofactors",
        lambda torch, x, y, z: torch.linalg.det(torch.stack([x + z, x - x, y[:, None] * y])),
        [(R((2, 2)), R((2,)), R((2, 2)))],
        order=1,
        name="singular",
        rtol=(1e-6, 1e-2),
    ),
    Row(
        "log_determinant",
        lambda torch, x: [
            *torch.slogdet(_regular(torch, x)),
            *torch.linalg.slogdet(-_regular(torch, x)),
            torch.logdet(_regular(torch, x)),
        ],
        square,
        **loose,
    ),
    # ----- Decompositions -------------------------------------------------------------------------
    Row(
        "cholesky",
        lambda torch, x: [
            torch.linalg.cholesky(_definite(torch, x)),
            torch.linalg.cholesky(_definite(torch, x), upper=True),
            torch.cholesky(_definite(torch, x)),
            torch.linalg.cholesky_ex(_definite(torch, x)).L,
        ],
        square,
        **loose,
    ),
    Row(
        "qr",
        lambda torch, x: _adjusted_qr(torch, _spread(torch, x)),
        rectangles,
        **loose,
    ),
    Row(
        "qr",
        lambda torch, x: _adjusted_qr(torch, _spread(torch, x), mode="complete"),
        [(R((3, 3)),), (R((2, 2, 3)),)],
        name="complete",
        **loose,
    ),
    Row(
        "eigh",
        lambda torch, x: _eigenspaces(torch, _symmetric(torch, x)),
        square,
        **loose,
    ),
    Row(
        "eigvalsh",
        lambda torch, x: [
            torch.linalg.eigvalsh(_symmetric(torch, x)),
            torch.linalg.eigvalsh(_symmetric(torch, x), UPLO="U"),
        ],
        square,
        **loose,
    ),
    Row(
        "svd",
        lambda torch, x: _singular_spaces(torch, _spread(torch, x), full_matrices=False),
        rectangles,
        **loose,
    ),
    Row(
        "svd",
        lambda torch, x: _singular_spaces(torch, _spread(torch, x)),
        rectangles,
        order=1,
        name="full",
        **loose,
    ),
    Row(
        "svdvals",
        lambda torch, x: [
            torch.linalg.svdvals(_spread(torch, x)),
            torch.svd(_spread(torch, x), compute_uv=False).S,
            torch.linalg.matrix_norm(_spread(torch, x), "nuc"),
            torch.nuclear_norm(_spread(torch, x), (-2, -1)),
            torch.linalg.cond(_spread(torch, x)),
            torch.linalg.cond(_spread(torch, x), -2),
        ],
        rectangles,
        **loose,
    ),
    Row(
        "lu",
        lambda torch, x: [*torch.linalg.lu(_spread(torch, x))[1:], torch.lu(_spread(torch, x))[0]],
        [*rectangles, (R((12, 9), -1, 1),), (R((9, 12), -1, 1),)],
        **loose,
    ),
    Row(
        "lu, triangular",
        lambda torch, x, b: [
            torch.linalg.lu_solve(*torch.linalg.lu_factor(_regular(torch, x)), b),
            torch.linalg.lu_solve(*torch.linalg.lu_factor(_regular(torch, x)), b, left=False),
            torch.linalg.lu_solve(*torch.linalg.lu_factor(_regular(torch, x)), b, adjoint=True),
            b.lu_solve(*torch.lu(_regular(torch, x))),
            *torch.lu_unpack(*torch.lu(_regular(torch, x)))[1:],
        ],
        [(R((3, 3)), R((3, 3))), (R((2, 3, 3)), R((2, 3, 3)))],
        name="lu_solve",
        **loose,
    ),
    Row(
        "matrix_exp",
        lambda torch, x: [torch.matrix_exp(x), torch.linalg.matrix_exp(4 * x)],
        [(R((3, 3), -1, 1),), (R((2, 2, 2), -1, 1),)],
        **loose,
    ),
    Row(
        "matmul",
        lambda torch, x, tau: torch.linalg.householder_product(x, tau),
        [(R((4, 3)), R((3,))), (R((3, 2)), R((1,))), (R((2, 3, 3)), R((2, 2)))],
        name="householder_product",
        **loose,
    ),
    # ----- Norms and products ---------------------------------------------------------------------
    *(
        Row(
            "norm",
            lambda torch, x, o=order: [
                torch.linalg.matrix_norm(_spread(torch, x), o),
                torch.linalg.matrix_norm(_spread(torch, x), o, keepdim=True),
                torch.linalg.norm(_spread(torch, x), o, dim=(-1, -2)),
            ],
            [(R((4, 3)),), (R((2, 3, 3)),)],
            name=f"matrix_norm {order}",
            **loose,
        )
        for order in ("fro", 1, -1, float("inf"), -float("inf"))
    ),
    Row(
        "svdvals",
        lambda torch, x: [
            torch.linalg.matrix_norm(_spread(torch, x), 2),
            torch.linalg.matrix_norm(_spread(torch, x), -2, dim=(0, 1)),
        ],
        [(R((4, 3)),), (R((3, 3)),)],
        name="matrix_norm 2",
        **loose,
    ),
    Row(
        "norm, inverse",
        lambda torch, x: [torch.linalg.cond(_regular(torch, x), p) for p in (1, -1, "fro")],
        square,
        order=0,  # PyTorch can't: it overwrites what its backward needs
        name="cond",
        **loose,
    ),
    Row(
        "norm",
        lambda torch, x: [
            torch.linalg.vector_norm(x, 3, dim=-1),
            torch.linalg.norm(x),
            torch.linalg.norm(x, 1, dim=0),
            torch.frobenius_norm(x, (0, 1)),
        ],
        [(R((2, 3)),)],
        name="vector_norm",
    ),
    Row(
        "matmul",
        lambda torch, x, y, z: [
            torch.linalg.multi_dot([x, y, z]),
            torch.linalg.multi_dot([x[0], y, z[:, 0]]),
            torch.linalg.multi_dot([x, y]),
            torch.linalg.matmul(x, y),
        ],
        [(R((2, 3)), R((3, 4)), R((4, 2)))],
        name="multi_dot",
    ),
    Row(
        "multiply",
        lambda torch, x, y: [torch.linalg.vecdot(x, y), torch.linalg.vecdot(x, y, dim=0)],
        [(R((2, 3)), R((2, 3))), (R((2, 3)), R((3,)))],
        name="vecdot",
    ),
    Row(
        "cumprod",
        lambda torch, x: [
            torch.linalg.vander(x),
            torch.linalg.vander(x, N=4),
            torch.linalg.vander(x, N=2),
        ],
        [(R((3,)),), (R((2, 3)),)],
        name="linalg.vander",
    ),
    Row(
        "cross_of, diagonal",
        lambda torch, x, y: [torch.linalg.cross(x, y), torch.linalg.diagonal(x, offset=1)],
        [(R((2, 3)), R((2, 3)))],
        name="linalg.cross",
    ),
    # ----- Distances ------------------------------------------------------------------------------
    *(
        Row(
            "distances",
            lambda torch, x, y, p=p: torch.cdist(x, y, p),
            [
                (R((3, 4)), R((2, 4), 2.1, 4)),
                (R((2, 1, 3, 2)), R((2, 2, 2), 2.1, 4)),
                (R((30, 3)), R((4, 3), 2.1, 4)),
            ],
            order=1,
            rtol=(1e-9, 2e-4),
            name=f"cdist {p}",
        )
        for p in (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, float("inf"))
    ),
    Row(
        "distances",
        lambda torch, x, y: torch.cdist(x, y, compute_mode="use_mm_for_euclid_dist"),
        [(R((3, 4)), R((2, 4))), (R((2, 3, 4)), R((2, 4)))],
        rtol=(1e-9, 2e-4),
        name="cdist by products",
    ),
    *(
        Row(
            "pdist",
            lambda torch, x, p=p: [torch.pdist(x, p), torch.nn.functional.pdist(x, p)],
            [(R((4, 3)),), (R((1, 3)),), (R((2, 5)),), (R((27, 3)),)],
            order=1,
            rtol=(1e-9, 2e-4),
            finite=p >= 1,  # below, slopes change too much within a step
            name=f"pdist {p}",
        )
        for p in (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, float("inf"))
    ),
    # ----- Statistics -----------------------------------------------------------------------------
    Row(
        "matmul",
        lambda torch, x: [torch.cov(x), torch.cov(x[0], correction=0), x.cov(correction=2)],
        [(R((3, 4)),)],
        name="cov",
    ),
    Row(
        "matmul",
        lambda torch, x, w: [
            torch.cov(x, aweights=w),
            torch.cov(x, correction=2, fweights=torch.tensor([1, 2, 0, 3]), aweights=w),
        ],
        [(R((3, 4)), R((4,), 0.5, 1))],
        name="cov weighted",
    ),
    Row(
        "matmul",
        lambda torch, x: [torch.corrcoef(x)[0, 1:], torch.corrcoef(x[0])],
        [(R((3, 4)),)],
        name="corrcoef",
    ),
    Row(
        "multiply",
        lambda torch, y: [
            torch.trapezoid(y),
            torch.trapezoid(y, dx=0.5, dim=0),
            torch.trapz(y, y, dim=0),
            torch.cumulative_trapezoid(y, dx=2, dim=0),
        ],
        [(R((2, 4)),), (R((3, 2, 1)),)],
        name="trapezoid, dx",
    ),
    Row(
        "multiply",
        lambda torch, y, x: [torch.trapezoid(y, x), torch.cumulative_trapezoid(y, x)],
        [(R((2, 4)), R((4,))), (R((3, 2, 4)), R((2, 4)))],
        name="trapezoid",
    ),
    Row(
        "divide",
        lambda torch, y, x: [
            *torch.gradient(y, edge_order=1),
            *torch.gradient(y, dim=-1, edge_order=2, spacing=0.5),
            *torch.gradient(y, spacing=(2.0, 3.0)),
            *torch.gradient(y, dim=1, spacing=(x,)),
            *torch.gradient(y, dim=(1,), spacing=(x,), edge_order=2),
        ],
        [(R((2, 4)), R((4,), distinct=True, grad=False)), (R((2, 3)), R((3,), grad=False))],
        name="gradient",
    ),
    *(
        Row(
            "norm, where",
            lambda torch, x, p=p: [torch.renorm(x, p, 0, 1.5), x.renorm(p, -1, 2.5)],
            [(R((3, 4)),), (R((2, 3, 2)),)],
            name=f"renorm {p}",
        )
        for p in (1, 2, 3.0, float("inf"))
    ),
    Row(
        "cumprod",
        lambda torch, x: [
            torch.vander(x),
            torch.vander(x, 4, increasing=True),
            torch.vander(x, N=1),
        ],
        [(R((3,)),)],
        order=0,  # PyTorch can't: it overwrites what its backward needs
        name="vander",
    ),
    Row(
        "svdvals",
        lambda torch, x: [torch.norm(x, "nuc"), x.norm("nuc", dim=(1, 0), keepdim=True)],
        [(R((3, 4)),)],
        name="norm nuc",
        **loose,
    ),
]
