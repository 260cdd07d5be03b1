"""Rows for `tinygrad_like.ops.linalg`, `products` and `einsum`."""

from tests.rows.base import Real, Row

R = Real


def _einsum(equation):
    return lambda torch, *xs: torch.einsum(equation, *xs)


ROWS = [
    Row(
        "matmul",
        lambda torch, x, y: x @ y,
        [
            (R((3,)), R((3,))),
            (R((3,)), R((3, 2))),
            (R((2, 3)), R((3,))),
            (R((2, 3)), R((3, 4))),
            (R((3,)), R((2, 3, 4))),
            (R((5, 2, 3)), R((3,))),
            (R((5, 2, 3)), R((3, 4))),
            (R((2, 3)), R((5, 3, 4))),
            (R((5, 2, 3)), R((5, 3, 4))),
            (R((2, 1, 2, 3)), R((5, 3, 2))),
            (R((1, 2, 3)), R((4, 3, 2))),
            (R((1, 3)), R((3, 1))),
            (R((2, 5, 2, 3)), R((3,))),
            (R((3,)), R((2, 5, 3, 2))),
        ],
    ),
    Row("matmul", lambda torch, x, y: torch.mm(x, y), [(R((2, 3)), R((3, 2)))], name="mm"),
    Row("matmul", lambda torch, x, y: x.bmm(y), [(R((2, 2, 3)), R((2, 3, 2)))], name="bmm"),
    Row("matmul", lambda torch, x, y: torch.mv(x, y), [(R((2, 3)), R((3,)))], name="mv"),
    Row("dot", lambda torch, x, y: [x.dot(y), torch.vdot(x, y)], [(R((3,)), R((3,)))]),
    Row(
        "matmul",
        lambda torch, x, y: torch.inner(x, y),
        [(R((2, 3)), R((4, 3))), (R((3,)), R((3,))), (R((3,)), R((2, 2, 3)))],
        name="inner",
    ),
    Row(
        "multiply",
        lambda torch, x, y: [torch.outer(x, y), x.ger(y)],
        [(R((2,)), R((3,)))],
        name="outer",
    ),
    Row(
        "matmul",
        lambda torch, b, x, y: [
            torch.addmm(b, x, y),
            torch.addmm(b, x, y, beta=0.5, alpha=2),
            b.addmm(x, y),
        ],
        [(R((2, 4)), R((2, 3)), R((3, 4))), (R((4,)), R((2, 3)), R((3, 4)))],
        name="addmm",
    ),
    Row(
        "matmul",
        lambda torch, b, x, y: torch.addmv(b, x, y, beta=0.5, alpha=2),
        [(R((2,)), R((2, 3)), R((3,)))],
        name="addmv",
    ),
    Row(
        "multiply",
        lambda torch, b, x, y: torch.addr(b, x, y, beta=0.5, alpha=2),
        [(R((2, 3)), R((2,)), R((3,)))],
        name="addr",
    ),
    Row(
        "matmul",
        lambda torch, b, x, y: [
            torch.baddbmm(b, x, y, beta=0.5, alpha=2),
            torch.addbmm(b[0], x, y, beta=0.5, alpha=2),
        ],
        [(R((2, 2, 2)), R((2, 2, 3)), R((2, 3, 2)))],
        name="baddbmm",
    ),
    Row(
        "linear, transposed_product",
        lambda torch, x, w, b: torch.nn.functional.linear(x, w, b),
        [
            (R((2, 3)), R((4, 3)), R((4,))),
            (R((3,)), R((4, 3)), R((4,))),
            (R((2, 5, 3)), R((4, 3)), R((4,))),
            (R((2, 3)), R((4, 3)), R(())),
            (R((2, 3)), R((4, 3)), R((2, 1))),
        ],
    ),
    Row(
        "linear",
        lambda torch, x, w: torch.nn.functional.linear(x, w),
        [
            (R((2, 3)), R((4, 3))),
            (R((3,)), R((4, 3))),
            (R((2, 5, 3)), R((4, 3))),
            (R((2, 3)), R((3,))),
            (R((3,)), R((3,))),
            (R((2, 5, 3)), R((3,))),
        ],
        name="without bias",
    ),
    Row(
        "matmul",
        lambda torch, x, y, w, b: torch.nn.functional.bilinear(x, y, w, b),
        [
            (R((5, 2)), R((5, 3)), R((4, 2, 3)), R((4,))),
            (R((2,)), R((3,)), R((4, 2, 3)), R((4,))),
            (R((2, 3, 2)), R((2, 3, 3)), R((4, 2, 3)), R((4,))),
        ],
        name="bilinear",
    ),
    Row(
        "matmul",
        lambda torch, x, y: [
            torch.tensordot(x, y, 1),
            torch.tensordot(x, y, ([0, 2], [1, 0])),
            torch.tensordot(x, y, 0),
        ],
        [(R((2, 3, 4)), R((4, 2)))],
        name="tensordot",
    ),
    Row(
        "multiply",
        lambda torch, x, y: torch.kron(x, y),
        [(R((2, 3)), R((2, 2))), (R((2,)), R((2, 3))), (R(()), R((2,)))],
        name="kron",
    ),
    Row("trace", lambda torch, x: torch.trace(x), [(R((3, 3)),), (R((2, 3)),)]),
    Row(
        "cross_of",
        lambda torch, x, y: [torch.cross(x, y, dim=-1), torch.cross(x, y, dim=1)],
        [(R((2, 3, 3)), R((2, 3, 3))), (R((2, 3, 3)), R((1, 3, 3)))],
    ),
    Row(
        "matmul",
        lambda torch, x: [torch.matrix_power(x, n) for n in (1, 2, 3, 5)],
        [(R((3, 3)),), (R((2, 2, 2)),)],
        name="matrix_power",
    ),
    *(
        Row("contract", _einsum(equation), [tuple(R(shape) for shape in shapes)], name=equation)
        for equation, shapes in {
            "ij,jk->ik": [(2, 3), (3, 4)],
            "ij,kj": [(2, 3), (4, 3)],
            "i,j->ji": [(2,), (3,)],
            "ij,ij->": [(2, 3), (2, 3)],
            "ij,ij->i": [(2, 3), (2, 3)],
            "ij,ij->ij": [(2, 3), (2, 3)],
            "bqhd,bkhd->bhqk": [(2, 3, 2, 4), (2, 5, 2, 4)],
            "...ij,...jk->...ik": [(2, 1, 2, 3), (4, 3, 2)],
            "...j,j": [(2, 2, 3), (3,)],
            "ij,k->j": [(2, 3), (2,)],
            "ijk,jl,kl->il": [(2, 3, 4), (3, 2), (4, 2)],
            "i,i,i->i": [(3,), (3,), (3,)],
            "ii,jj->ij": [(2, 2), (3, 3)],
            "iij,j->i": [(2, 2, 3), (3,)],
            "ij,jk->ik ": [(2, 1), (3, 4)],
            "bn,anm,bm->ba": [(2, 3), (5, 3, 4), (2, 4)],
        }.items()
    ),
    *(
        Row("permute", _einsum(equation), [(R(shape),)], name=f"einsum {equation}")
        for equation, shape in {
            "ij->ji": (2, 3),
            "ii": (3, 3),
            "ii->i": (3, 3),
            "ij->": (2, 3),
            "...ij->...ji": (2, 2, 3),
            "ijij->ij": (2, 3, 2, 3),
            "ba": (2, 3),
        }.items()
    ),
    Row(
        "contract",
        lambda torch, x, y: torch.einsum(x, [0, 1], y, [1, 2], [2, 0]),
        [(R((2, 3)), R((3, 4)))],
        name="lists",
    ),
    Row(
        "contract",
        lambda torch, x, y: torch.einsum(x, [..., 1], y, [1, 2]),
        [(R((2, 3)), R((3, 4)))],
        name="lists with ellipsis",
    ),
]
