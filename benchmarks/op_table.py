"""The samples of the page of ops, one expression a line, and the operands that they speak of.

An expression is measured forward and backward, to every float operand that it names. `t` is the
package, `F` its ``nn.functional``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

SHAPE = N, C = 64, 1000


def operands(torch: Any) -> dict[str, Any]:
    """Return the operands by name; the float ones, which are in the first part, want gradients."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(size=shape)

    def between(low: float, high: float, *shape: int) -> np.ndarray:
        return rng.uniform(low, high, shape)

    leaves = {
        "x": rng.permutation(np.linspace(-3, 3, N * C)).reshape(SHAPE),  # no ties
        "y": normal(N, C),
        "z": normal(N, C),
        "p": between(0.5, 2, N, C),  # positive
        "q": between(0.5, 2, N, C),
        "u": between(0.05, 0.95, N, C),  # a probability
        "near": 1 + between(-0.01, 0.01, N, C),  # so that products stay finite
        "row": normal(C),
        "shift": normal(C),
        "column": normal(N, 1),
        "number": normal(1)[0],
        "half": normal(N, C // 2),
        "weight": normal(128, C),
        "bias": normal(128),
        "right": normal(C, N),
        "batch": normal(8, 8, C),
        "batched": normal(8, C, 8),
        "triples": normal(N, C // 3, 3),
        "other": normal(N, C // 3, 3),
        "kernel": normal(N, N, 3),
        "patches": normal(9, 62 * 998),
        "square": normal(4, 32, 32),
        "definite": (definite := np.eye(32) + normal(4, 32, 32) / 30),
        "regular": definite[:, ::-1],  # whose pivots are not where they should be
    }
    found = {k: torch.tensor(v.astype(np.float32)).requires_grad_() for k, v in leaves.items()}
    fixed = {
        "mask": rng.random(SHAPE) < 0.5,
        "goal": between(0.05, 0.95, N, C).astype(np.float32),
        "signs": np.sign(normal(N, C)).astype(np.float32),
        "sign": np.sign(normal(N)).astype(np.float32),
        "means": normal(C).astype(np.float32),
        "variances": between(0.5, 2, C).astype(np.float32),
        "labels": rng.integers(0, C, N),
        "lists": np.where(rng.random(SHAPE) < 0.9, rng.integers(0, C, SHAPE), -1),
        "counts": rng.integers(0, 3, N),
        "rows": rng.integers(0, N, N),
        "columns": rng.permutation(C)[: C // 2],
        "places": rng.integers(0, N, SHAPE),
        "across": rng.integers(0, C, SHAPE),
        "flat": rng.integers(0, N * C, SHAPE),
        "pairs": 2 * np.arange(C // 2) + rng.integers(0, 2, (N, C // 2)),
    }
    return found | {k: torch.tensor(v) for k, v in fixed.items()}


ARITHMETIC = """
x + y
x + row
x + 2
x - y
x * y
x * column
x * 2
p / q
x / 2
2 / p
t.div(p, q, rounding_mode="floor")
t.div(p, q, rounding_mode="trunc")
t.remainder(x, p)
t.fmod(x, p)
x ** 2
x ** 3
p ** 0.5
p ** 2.5
p ** x
2.5 ** x
t.addcmul(x, y, z, value=0.5)
t.addcdiv(x, y, p, value=0.5)
t.lerp(x, y, u)
t.lerp(x, y, 0.3)
t.maximum(x, y)
t.minimum(x, y)
t.fmax(x, y)
t.fmin(x, y)
t.clamp(x, -1, 1)
t.clamp_min(x, 0)
t.clamp(x, y, p)
t.where(mask, x, y)
t.where(mask, x, 0.0)
t.atan2(x, y)
t.hypot(x, y)
t.logaddexp(x, y)
t.logaddexp2(x, y)
t.copysign(x, y)
t.xlogy(x, p)
t.nextafter(x, y)
"""

UNARY = """
-x
t.positive(x)
t.abs(x)
t.sign(x)
t.reciprocal(p)
t.square(x)
t.sqrt(p)
t.rsqrt(p)
t.exp(x)
t.exp2(x)
t.expm1(x)
t.log(p)
t.log2(p)
t.log10(p)
t.log1p(p)
t.sigmoid(x)
t.logit(u)
t.sin(x)
t.cos(x)
t.tan(x)
t.asin(u)
t.acos(u)
t.atan(x)
t.sinh(x)
t.cosh(x)
t.tanh(x)
t.asinh(x)
t.acosh(p + 1)
t.atanh(u)
t.deg2rad(x)
t.rad2deg(x)
t.sinc(p)
t.floor(x)
t.ceil(x)
t.trunc(x)
t.round(x)
t.frac(x)
t.nan_to_num(x)
t.erf(x)
t.erfc(x)
t.erfinv(u)
t.special.ndtr(x)
t.special.entr(p)
t.special.xlog1py(x, p)
t.lgamma(p)
t.digamma(p)
t.frexp(x)[0]
t.ldexp(x, counts[:, None])
"""

ACTIVATION = """
F.relu(x)
F.relu6(x)
F.leaky_relu(x)
F.prelu(x, row)
F.rrelu(x, training=True)
F.elu(x)
F.celu(x)
F.selu(x)
F.gelu(x)
F.gelu(x, approximate="tanh")
F.silu(x)
F.mish(x)
F.softplus(x)
F.softsign(x)
F.tanhshrink(x)
F.softshrink(x)
F.hardshrink(x)
F.hardtanh(x)
F.hardsigmoid(x)
F.hardswish(x)
F.logsigmoid(x)
F.threshold(x, 0.5, 0.1)
F.glu(x)
F.softmax(x, -1)
F.softmax(x, 0)
F.softmin(x, -1)
F.log_softmax(x, -1)
F.gumbel_softmax(x)
F.dropout(x)
F.alpha_dropout(x, training=True)
"""

REDUCTION = """
x.sum()
x.sum(0)
x.sum(1)
x.mean()
x.mean(0)
x.mean(1)
x.nansum(1)
x.nanmean(1)
near.prod()
near.prod(1)
x.var()
x.var(0)
x.var(1)
x.std(1)
x.norm()
x.norm(dim=1)
x.norm(1, 1)
x.norm(3, 1)
x.norm(float("inf"), 1)
t.dist(x, y)
x.logsumexp(1)
x.logsumexp(0)
x.max()
x.max(1)[0]
x.max(0)[0]
x.min()
x.min(1)[0]
x.amax(1)
x.amin(1)
x.aminmax(dim=1)
x.median()
x.median(1)[0]
x.nanmedian()
x.nanmedian(1)[0]
x.mode(1)[0]
x.kthvalue(10, 1)[0]
x.cumsum(1)
x.cumsum(0)
near.cumprod(1)
x.logcumsumexp(1)
x.cummax(1)[0]
x.cummin(1)[0]
x.trace()
"""

SHAPING = """
x.clone()
x.double()
x.reshape(1000, 64)
x.view(-1)
x.flatten()
x.unflatten(1, (10, 100))
x.squeeze()
x.unsqueeze(0)
x.permute(1, 0)
x.transpose(0, 1)
x.t()
x.t().contiguous()
x.movedim(0, 1)
row.expand(64, 1000)
x.diagonal()
t.diag_embed(row[:64])
t.diagflat(row[:64])
x.repeat(2, 1)
x.tile(2)
x.repeat_interleave(2, 1)
x.repeat_interleave(counts, 0)
x.flip(1)
x.roll(1, 1)
t.rot90(x)
x.tril()
x.triu()
x.unfold(1, 10, 5)
t.as_strided(x, (100, 640), (640, 1))
F.pad(x, (1, 1))
F.pad(x, (1, 1), "reflect")
F.pad(x, (1, 1), "replicate")
F.pad(x[None], (1, 1), "circular")
t.cat([x, y])
t.cat([x, y], 1)
t.stack([x, y])
t.hstack([x, y])
t.split(x, 16)
t.split(x, [300, 700], 1)
t.chunk(x, 4, 1)
t.unbind(x)
t.unbind(x)[1]
t.narrow(x, 1, 100, 500)
x.select(0, 1)
x.sort()[0]
x.sort(0)[0]
x.topk(10)[0]
"""

INDEXING = """
x[1]
x[10:50]
x[:, ::2]
x[..., None]
x[rows]
x[:, columns]
x[rows, rows]
x[mask]
t.index_put(x, (rows,), y)
t.index_put(x, (rows,), y, accumulate=True)
x.put(flat, y)
t.gather(x, 0, places)
t.gather(x, 1, across)
t.take_along_dim(x, across, 1)
t.scatter(x, 1, pairs, half)
t.scatter(x, 0, places, 2.5)
t.scatter_add(x, 0, places, y)
t.scatter_reduce(x, 0, places, y, "amax")
t.scatter_reduce(x, 0, places, y, "prod")
t.index_select(x, 0, rows)
t.index_select(x, 1, columns)
t.index_add(x, 0, rows, y)
t.index_copy(x, 1, columns, half)
t.index_fill(x, 1, columns, 0.5)
t.index_fill(x, 0, rows, number)
t.masked_fill(x, mask, 0.5)
t.masked_fill(x, mask, number)
t.masked_select(x, mask)
t.masked_scatter(x, mask, y)
t.take(x, flat)
F.embedding(rows, x)
"""

IN_PLACE = """
x.clone().add_(y)
x.clone().mul_(y)
x.clone().exp_()
x.clone().copy_(y)
x.clone().zero_()
x.clone().masked_fill_(mask, 0.5)
x.clone()[:, ::2].mul_(half)
x.clone().index_put_((rows,), y)
"""

PRODUCTS = """
x @ right
x.t() @ y
x @ row
x.view(-1).dot(y.view(-1))
t.inner(x, y)
t.outer(row, shift)
t.addmm(number, x, right)
t.bmm(batch, batched)
t.tensordot(x, y, 2)
t.einsum("ij,kj->ik", x, y)
t.einsum("ij,ij->i", x, y)
t.kron(row, column)
t.matrix_power(square, 5)
t.cross(triples, other, dim=-1)
F.linear(x, weight, bias)
F.linear(x, weight)
F.scaled_dot_product_attention(x.view(8, 125, 64), y.view(8, 125, 64), z.view(8, 125, 64))
"""

MATRICES = """
t.linalg.inv(regular)
t.linalg.solve(regular, square)
t.linalg.solve_triangular(definite, square, upper=True)
t.linalg.det(regular)
t.linalg.cholesky(definite)
t.linalg.lu_factor(regular)[0]
t.linalg.lu(regular)[2]
t.linalg.qr(regular)[0]
t.linalg.svdvals(regular)
t.linalg.eigvalsh(definite)
t.linalg.matrix_exp(definite)
t.linalg.pinv(regular)
"""

NORMS = """
F.layer_norm(x, (1000,), row, shift)
F.layer_norm(x, (1000,))
F.rms_norm(x, (1000,), row)
F.batch_norm(x, None, None, row, shift, True)
F.batch_norm(x, means, variances, row, shift)
F.group_norm(x, 10, row, shift)
F.instance_norm(x[None])
F.local_response_norm(x[None], 3)
F.normalize(x)
F.cosine_similarity(x, y)
F.pairwise_distance(x, y)
F.pdist(x)
F.pdist(x, 1)
F.pdist(x, float("inf"))
t.cdist(x, y, 1)
F.interpolate(x[None], 500)
"""

WINDOWS = """
F.conv1d(x, kernel)
F.conv_transpose1d(x, kernel)
F.max_pool1d(x, 2)
F.max_pool1d(x, 3, 2, 1)
F.max_pool1d(x, 2, return_indices=True)[0]
F.max_unpool1d(half[None], pairs[None], 2)
F.avg_pool1d(x, 2)
F.lp_pool1d(x, 2, 2)
F.adaptive_avg_pool1d(x, 30)
F.adaptive_max_pool1d(x, 30)
F.unfold(x[None, None], 3)
F.fold(patches[None], (64, 1000), 3)
"""

LOSSES = """
F.mse_loss(x, y)
F.l1_loss(x, y)
F.smooth_l1_loss(x, y)
F.huber_loss(x, y)
F.cross_entropy(x, labels)
F.cross_entropy(x, goal)
F.cross_entropy(x, labels, label_smoothing=0.1)
F.nll_loss(x, labels)
F.kl_div(x, goal, reduction="batchmean")
F.binary_cross_entropy(u, goal)
F.binary_cross_entropy_with_logits(x, goal)
F.poisson_nll_loss(x, goal)
F.gaussian_nll_loss(x, y, p)
F.soft_margin_loss(x, signs)
F.hinge_embedding_loss(x, signs)
F.margin_ranking_loss(x, y, signs)
F.multi_margin_loss(x, labels)
F.multilabel_margin_loss(x, lists)
F.multilabel_soft_margin_loss(x, goal)
F.triplet_margin_loss(x, y, z)
F.cosine_embedding_loss(x, y, sign)
"""

FAMILIES = {
    "arithmetic": ARITHMETIC,
    "unary": UNARY,
    "activation": ACTIVATION,
    "reduction": REDUCTION,
    "shaping": SHAPING,
    "indexing": INDEXING,
    "in place": IN_PLACE,
    "products": PRODUCTS,
    "matrices": MATRICES,
    "norms": NORMS,
    "windows": WINDOWS,
    "losses": LOSSES,
}
# Why an op takes more than `LIMIT` times as long as PyTorch's without kernels, which the page prints.
LIMIT = 3
_ALL_PAIRS = "nine passes over two million differences, where a loop keeps each in a register"
_LU = "NumPy's LAPACK gives away no LU, so each column is a few calls"
REASONS = {
    "F.pdist(x, 1)": _ALL_PAIRS,
    'F.pdist(x, float("inf"))': _ALL_PAIRS,
    "t.linalg.lu_factor(regular)[0]": _LU,
    "t.linalg.lu(regular)[2]": _LU,
    "t.nextafter(x, y)": "NumPy calls the C library for each number",
    "t.erfc(x)": "a dozen passes of a rational function, where a loop needs one",
}

EXPRESSIONS = [line for text in FAMILIES.values() for line in text.split("\n") if line]
