"""Products of many small matrices, for which calls of BLAS cost more than they compute.

A product is made of tiles of 6 rows and as many columns as two vectors of 256 bits hold. A tile's
sums stay in registers while a loop goes through the inner dimension, which takes vector instructions
that are spelled out: numba would keep such sums in memory.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils as _cgutils
from numba.extending import intrinsic

from tinygrad_like.jit.compiler import inlined, kernel_of_views

_ROWS = 6
_BLOCK = 1 << 13  # vectors of the left matrix that stay in cache

cgutils: Any = _cgutils


def _lanes(array: Any) -> int:
    return 512 // int(array.dtype.bitwidth)


def _place(context: Any, builder: Any, kind: Any, array: Any, row: Any, column: Any) -> Any:
    """Return the address of an element of a matrix, in bytes."""
    fields = context.make_array(kind)(context, builder, array)
    steps = cgutils.unpack_tuple(builder, fields.strides)
    offset = builder.add(builder.mul(row, steps[0]), builder.mul(column, steps[1]))
    return builder.gep(builder.bitcast(fields.data, ir.IntType(8).as_pointer()), [offset])


def _declare_tile(typing, x, i, begin, end, panel, start, out, n):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Set a tile of `out`, at row `i` and column `n`, to that of `start` plus rows of `x` @ the panel."""
    del typing, i, begin, end, n
    place_, range_ = types.intp, (types.intp, types.intp)
    signature = types.void(x, place_, *range_, panel, start, out, place_)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del signature
        xs, first, begin, end, panels, starts, outs, column = args
        whole, real = ir.IntType(64), context.get_value_type(x.dtype)
        vector = ir.VectorType(real, _lanes(x))
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), _lanes(x)), None)
        missing = ir.Constant(vector, ir.Undefined)
        size = x.dtype.bitwidth // 8

        def place(kind: Any, array: Any, row: Any, column: Any, target: Any) -> Any:
            address = _place(context, builder, kind, array, row, column)
            return builder.bitcast(address, target.as_pointer())

        rows = [builder.add(first, ir.Constant(whole, r)) for r in range(_ROWS)]
        fields = context.make_array(start)(context, builder, starts)
        begun = builder.bitcast(builder.gep(fields.data, [column]), vector.as_pointer())
        begun = builder.load(begun, align=size)
        sums = [cgutils.alloca_once_value(builder, begun) for _ in rows]
        zero, one = ir.Constant(whole, 0), ir.Constant(whole, 1)
        with cgutils.for_range_slice(builder, begin, end, one, whole) as (k, _):
            across = builder.load(place(panel, panels, k, zero, vector), align=size)
            for row, total in zip(rows, sums, strict=True):
                number = builder.load(place(x, xs, row, k, real))
                number = builder.insert_element(missing, number, ir.Constant(ir.IntType(32), 0))
                repeated = builder.shuffle_vector(number, missing, lanes)
                term = builder.fmul(repeated, across, flags=("contract",))
                term = builder.fadd(builder.load(total), term, flags=("contract",))
                builder.store(term, total)
        for row, total in zip(rows, sums, strict=True):
            target = place(out, outs, row, column, vector)
            builder.store(builder.load(total), target, align=size)
        return context.get_dummy_value()

    return signature, generate


def _declare_copy(typing, panel, k, y, n):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Copy neighbours from row `k` of a matrix, from column `n` on, to that of a panel."""
    del typing, k, n

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del signature
        panels, row, ys, column = args
        vector = ir.VectorType(context.get_value_type(y.dtype), _lanes(y)).as_pointer()
        size = y.dtype.bitwidth // 8
        source = _place(context, builder, y, ys, row, column)
        target = _place(context, builder, panel, panels, row, ir.Constant(ir.IntType(64), 0))
        found = builder.load(builder.bitcast(source, vector), align=size)
        builder.store(found, builder.bitcast(target, vector), align=size)
        return context.get_dummy_value()

    return types.void(panel, types.intp, y, types.intp), generate


def _declare_turn(typing, panel, k, c, y, n):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Copy a square block of a matrix whose columns are in order, from row `k` on, to a panel."""
    del typing, k, c, n

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        del signature
        panels, row, column, ys, first = args
        count = _lanes(y) // 2
        vector = ir.VectorType(context.get_value_type(y.dtype), count).as_pointer()
        size = y.dtype.bitwidth // 8
        numbers = [ir.Constant(ir.IntType(64), i) for i in range(count)]

        def at(kind: Any, array: Any, row: Any, column: Any) -> Any:
            return builder.bitcast(_place(context, builder, kind, array, row, column), vector)

        block = [
            builder.load(at(y, ys, row, builder.add(builder.add(first, column), i)), align=size)
            for i in numbers
        ]
        # Each turn moves one bit of the place of every element from its row to its column.
        for _ in range(count.bit_length() - 1):
            pairs = zip(block[: count // 2], block[count // 2 :], strict=True)
            block = [
                builder.shuffle_vector(p, q, _mixed(start, count))
                for p, q in pairs
                for start in (0, count // 2)
            ]
        for i, found in zip(numbers, block, strict=True):
            builder.store(found, at(panel, panels, builder.add(row, i), column), align=size)
        return context.get_dummy_value()

    return types.void(panel, types.intp, types.intp, y, types.intp), generate


def _mixed(start: int, count: int) -> Any:
    """Return the order that takes elements from `start` on in turn from two vectors."""
    order = [i + other for i in range(start, start + count // 2) for other in (0, count)]
    return ir.Constant(ir.VectorType(ir.IntType(32), count), order)


_tile: Any = intrinsic(_declare_tile)
_copy: Any = intrinsic(_declare_copy)
_turn: Any = intrinsic(_declare_turn)


@inlined
def _fill(panel, y, n):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Copy columns of a matrix to a panel."""
    count, width = panel.shape
    side = width // 2
    k = 0
    if y.strides[1] == y.itemsize:
        while k < count:
            _copy(panel, k, y, n)
            k += 1
    elif y.strides[0] == y.itemsize:
        while k <= count - side:
            _turn(panel, k, 0, y, n)
            _turn(panel, k, side, y, n)
            k += side
    while k < count:
        for c in range(width):
            panel[k, c] = y[k, n + c]
        k += 1


@kernel_of_views(reads=3)
def multiply(x, y, start, out, panel, below, above):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Set `out` to ``start + x @ y``: `tinygrad_like.ops.linalg.multiply_into`."""
    first, second, rows, inner = x.shape
    columns, width = y.shape[3], panel.shape[1]
    block = max(_BLOCK * width // max(inner, 1) // _ROWS, 1) * _ROWS
    for a in range(first):
        for b in range(second):
            left, right, target = x[a, b], y[a, b], out[a, b]
            for row in range(0, rows, block):
                for column in range(0, columns, width):
                    # The last tile may overlap the one before.
                    n = min(column, columns - width)
                    _fill(panel, right, n)
                    for place in range(row, min(row + block, rows), _ROWS):
                        i = min(place, rows - _ROWS)
                        begin, end = max(i - below, 0), min(i + _ROWS + above, inner)
                        _tile(left, i, begin, end, panel, start, target, n)
