"""Rows for tensors seen through strides, and for pooling at random places."""

import tinygrad_like.ops.strided  # noqa: F401  (which is imported when first asked for)
from tests.rows.base import Real, Row

R = Real


def _seen(size, stride, offset=None):
    # The result depends on where elements lie, which must not depend on the operand's layout.
    return lambda torch, x: (x * 1).contiguous().as_strided(size, stride, offset)


ROWS = [
    *(
        Row("as_strided", _seen(*given), [(R((3, 4)),)], name=name)
        for name, given in {
            "as_strided": ((2, 3), (4, 1)),
            "as_strided_overlapping": ((4, 3), (2, 1), 1),
            "as_strided_repeated": ((3, 2), (0, 5), 2),
            "as_strided_scalar": ((), (), 7),
            "as_strided_empty": ((0, 2), (1, 1)),
        }.items()
    ),
    Row(
        "as_strided",
        lambda torch, x: torch.as_strided((x * 1).contiguous().t()[1:], (2, 2), (1, 3)),
        [(R((3, 4)),)],
        finite=False,  # no gradient goes to elements that the view of a view shows, but the view does not
        name="as_strided_of_view",
    ),
    Row(
        "as_strided, clone",
        lambda torch, x, y: torch.as_strided_scatter(x.contiguous(), y, (2, 2), (4, 2), 1),
        [(R((3, 4)), R((2, 2)))],
        order=0,  # PyTorch's gradient is wrong: it goes to the elements that were replaced
        name="as_strided_scatter",
    ),
    *(
        Row(
            "gather_planes, reshape",
            lambda torch, x, size=size, dims=dims: getattr(
                torch.nn.functional, f"fractional_max_pool{dims}d"
            )(x, 2, size),
            [(R(shape, distinct=True),)],
            name=f"fractional_max_pool{dims}d",
        )
        for dims, size, shape in [(2, (3, 2), (2, 2, 6, 5)), (3, 2, (2, 4, 5, 4))]
    ),
]
