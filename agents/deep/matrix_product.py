"""Products of matrices for the kernels of Q-networks: the same bits on every processor, at the speed of vectors.

A tile of the result, some rows by 16 columns, stays in registers while all terms are added to it. Written as a loop,
the compiler would load and store every sum each time, and first look whether the arrays overlap.
"""

from functools import partial

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

from velodrome.agents.engine.numba_cache import compiled

_compiled = partial(compiled, error_model="numpy")

# Columns of a tile, and rows where there are as many.
_LANES, _ROWS = 16, 4
_FLOAT, _INT = ir.FloatType(), ir.IntType(64)
_VECTOR = ir.VectorType(_FLOAT, _LANES)
_EVERYWHERE = ir.Constant(ir.VectorType(ir.IntType(32), _LANES), [0] * _LANES)


def _build_tile(context, builder, signature, arguments, num_rows):
    left, right, result = (
        context.make_array(kind)(context, builder, array)
        for kind, array in zip(signature.args[:3], arguments[:3], strict=True)
    )
    row, column, terms = arguments[3:]
    left_width = cgutils.unpack_tuple(builder, left.shape)[1]
    right_width = cgutils.unpack_tuple(builder, right.shape)[1]
    rows = [builder.add(row, _INT(number)) for number in range(num_rows)]
    factors = [builder.gep(left.data, [builder.mul(number, left_width)]) for number in rows]
    places = [
        builder.bitcast(
            builder.gep(result.data, [builder.add(builder.mul(number, right_width), column)]), _VECTOR.as_pointer()
        )
        for number in rows
    ]
    sums = [cgutils.alloca_once(builder, _VECTOR) for _ in rows]
    for place, total in zip(places, sums, strict=True):
        builder.store(builder.load(place, align=4), total)
    with cgutils.for_range_slice(builder, _INT(0), terms, _INT(4)) as (term, _):
        four = [builder.add(term, _INT(number)) for number in range(4)]
        columns = []
        for number in four:
            place = builder.gep(right.data, [builder.add(builder.mul(number, right_width), column)])
            columns.append(builder.load(builder.bitcast(place, _VECTOR.as_pointer()), align=4))
        for own, total in zip(factors, sums, strict=True):
            together = None
            for number, numbers in zip(four, columns, strict=True):
                factor = builder.load(builder.gep(own, [number]))
                lanes = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), factor, ir.IntType(32)(0))
                lanes = builder.shuffle_vector(lanes, ir.Constant(_VECTOR, ir.Undefined), _EVERYWHERE)
                product = builder.fmul(lanes, numbers)
                together = product if together is None else builder.fadd(together, product)
            builder.store(builder.fadd(builder.load(total), together), total)
    for place, total in zip(places, sums, strict=True):
        builder.store(builder.load(total), place, align=4)
    return context.get_dummy_value()


def _check(*matrices):
    for matrix in matrices:
        if matrix.dtype != types.float32 or matrix.layout != "C":
            raise TypingError(f"a product needs float32 in rows, got {matrix}")


@intrinsic
def _add_to_rows(typing_context, left, right, result, row, column, terms):
    """Add the products of so many terms, a multiple of 4, to a tile of 4 rows."""
    _check(left, right, result)

    def build(context, builder, signature, arguments):
        return _build_tile(context, builder, signature, arguments, _ROWS)

    return types.void(left, right, result, types.intp, types.intp, types.intp), build


@intrinsic
def _add_to_row(typing_context, left, right, result, row, column, terms):
    """The same for a tile of one row."""
    _check(left, right, result)

    def build(context, builder, signature, arguments):
        return _build_tile(context, builder, signature, arguments, 1)

    return types.void(left, right, result, types.intp, types.intp, types.intp), build


@_compiled
def add_product(left, right, result):
    """Add left (M, K) times right (K, N) to result (M, N): four terms at a time, each from the first to the last."""
    number, terms, width = left.shape[0], left.shape[1], right.shape[1]
    fours, rows, columns = terms // 4 * 4, number // _ROWS * _ROWS, width // _LANES * _LANES
    for row in range(0, rows, _ROWS):
        for column in range(0, columns, _LANES):
            _add_to_rows(left, right, result, row, column, fours)
    for row in range(rows, number):
        for column in range(0, columns, _LANES):
            _add_to_row(left, right, result, row, column, fours)
    if columns < width:
        for row in range(number):
            factors, sums = left[row], result[row]
            for term in range(0, fours, 4):
                a, b, c, d = factors[term], factors[term + 1], factors[term + 2], factors[term + 3]
                first, second, third, fourth = right[term], right[term + 1], right[term + 2], right[term + 3]
                for column in range(columns, width):
                    sums[column] += a * first[column] + b * second[column] + c * third[column] + d * fourth[column]
    for term in range(fours, terms):
        rest = right[term]
        for row in range(number):
            factor, sums = left[row, term], result[row]
            for column in range(width):
                sums[column] += factor * rest[column]
