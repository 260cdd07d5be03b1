"""Wrong calls of ops on diagonals and triangles, in place, and of shuffles."""

from tests.wrong_calls.base import flags, given, real, wrong

ROWS = [
    # Diagonals
    wrong(
        RuntimeError,
        "diagonal: one dim twice",
        lambda t, x: x.diagonal(0, 0, 0),
        real(2, 3),
        says="dim1|dim2|0",
    ),
    wrong(
        IndexError, "diagonal: dim", lambda t, x: x.diagonal(0, 0, 2), real(2, 3), says="[-2, 1]|2"
    ),
    wrong(RuntimeError, "diag: three dims", lambda t, x: x.diag(), real(2, 2, 2), says="diag|3D"),
    wrong(
        RuntimeError,
        "diag_embed: one dim twice",
        lambda t, x: x.diag_embed(0, 1, 1),
        real(2, 3),
        says="dim1|dim2|1",
    ),
    wrong(
        IndexError,
        "diag_embed: dim",
        lambda t, x: x.diag_embed(0, 0, 3),
        real(2, 3),
        says="[-3, 2]|3",
    ),
    wrong(RuntimeError, "trace: a vector", lambda t, x: x.trace(), real(3), says="(3,)"),
    wrong(RuntimeError, "tril: a vector", lambda t, x: x.tril(), real(3), says="(3,)"),
    wrong(RuntimeError, "triu: a scalar", lambda t, x: x.triu(), real(), says="()"),
    wrong(RuntimeError, "tril_indices: negative", lambda t: t.tril_indices(-1, 2), says="row|-1"),
    wrong(
        RuntimeError,
        "diagonal_scatter: shapes",
        lambda t, x, s: x.diagonal_scatter(s),
        real(3, 3),
        real(2),
        says="src|(2,)|(3,)",
    ),
    wrong(
        RuntimeError,
        "select_scatter: shapes",
        lambda t, x, s: x.select_scatter(s, 0, 0),
        real(3, 3),
        real(2),
        says="src|(2,)|(3,)",
    ),
    wrong(
        RuntimeError,
        "slice_scatter: shapes",
        lambda t, x, s: x.slice_scatter(s, 0, 0, 2),
        real(3, 3),
        real(1, 3),
        says="src|(1, 3)|(2, 3)",
    ),
    wrong(
        RuntimeError,
        "slice_scatter: a step of 0",
        lambda t, x, s: x.slice_scatter(s, 0, 0, 2, 0),
        real(3),
        real(2),
        says="step|0",
    ),
    # In place
    wrong(
        IndexError, "unsqueeze_: dim", lambda t, x: x.unsqueeze_(3), real(2, 3), says="[-3, 2]|3"
    ),
    wrong(
        IndexError, "transpose_: dim", lambda t, x: x.transpose_(0, 2), real(2, 3), says="[-2, 1]|2"
    ),
    wrong(IndexError, "squeeze_: dim", lambda t, x: x.squeeze_(2), real(2, 1), says="[-2, 1]|2"),
    wrong(RuntimeError, "t_: three dims", lambda t, x: x.t_(), real(2, 3, 4), says="(2, 3, 4)"),
    wrong(
        RuntimeError,
        "fill_diagonal_: a vector",
        lambda t, x: x.fill_diagonal_(0.0),
        real(3),
        says="(3,)",
    ),
    wrong(
        RuntimeError,
        "fill_diagonal_: sizes that differ",
        lambda t, x: x.fill_diagonal_(0.0),
        real(2, 3, 2),
        says="(2, 3, 2)",
    ),
    wrong(RuntimeError, "tril_: a vector", lambda t, x: x.tril_(), real(3), says="(3,)"),
    wrong(
        RuntimeError,
        "channel_shuffle: groups",
        lambda t, x: t.channel_shuffle(x, 2),
        real(1, 3, 2, 2),
        says="groups|2|3",
    ),
    wrong(
        RuntimeError,
        "channel_shuffle: a vector",
        lambda t, x: t.channel_shuffle(x, 2),
        real(4),
        says="(4,)",
    ),
    wrong(
        RuntimeError,
        "pixel_shuffle: channels",
        lambda t, x: t.pixel_shuffle(x, 2),
        real(1, 3, 2, 2),
        says="3|4",
    ),
    wrong(
        RuntimeError,
        "pixel_shuffle: a matrix",
        lambda t, x: t.pixel_shuffle(x, 2),
        real(2, 2),
        says="pixel_shuffle|2",
    ),
    wrong(
        RuntimeError,
        "pixel_unshuffle: size",
        lambda t, x: t.pixel_unshuffle(x, 2),
        real(1, 1, 3, 2),
        says="3|2",
    ),
    wrong(
        TypeError,
        "unravel_index: floats",
        lambda t, x: t.unravel_index(x, (2, 2)),
        real(2),
        says="float32",
    ),
    wrong(
        RuntimeError,
        "view: bools as floats",
        lambda t, x: x.view(t.float32),
        flags(3),
        says="3|float32",
    ),
    wrong(
        RuntimeError,
        "repeat_interleave: repeats of no dims",
        lambda t, r: t.repeat_interleave(r),
        given(2),
        says="repeats|()",
    ),
]
