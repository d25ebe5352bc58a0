"""Arrays of many seeds in compiled code: each seed's own, found without counting references.

Numba counts references to every array that is sliced. What is made here refers to memory that the caller keeps.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_BYTE_POINTER = ir.IntType(8).as_pointer()


def _borrowed(context, builder, array_type, data, shape, strides, item_size):
    """An array over memory that somebody else keeps."""
    array = context.make_array(array_type)(context, builder)
    pointer = builder.bitcast(data, array.data.type)
    context.populate_array(
        array, data=pointer, shape=shape, strides=strides, itemsize=item_size, meminfo=None, parent=None
    )
    return array._getvalue()


def _item_size(context, array_type):
    return context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(array_type.dtype)))


@intrinsic
def row_of(typing_context, array, row):
    """array[row] of an array of C order, its last axes; `row` is not checked."""
    if not isinstance(row, types.Integer):
        return None
    result = types.Array(array.dtype, array.ndim - 1, "C")

    def build(context, builder, signature, arguments):
        source = context.make_array(array)(context, builder, arguments[0])
        shape = cgutils.unpack_tuple(builder, source.shape)[1:]
        item_size = _item_size(context, array)
        sizes = [item_size]
        for length in reversed(shape):
            sizes.insert(0, builder.mul(sizes[0], length))
        place = context.cast(builder, arguments[1], row, types.intp)
        data = builder.gep(builder.bitcast(source.data, _BYTE_POINTER), [builder.mul(place, sizes[0])])
        return _borrowed(context, builder, result, data, shape, sizes[1:], item_size)

    return result(array, row), build


@intrinsic(prefer_literal=True)
def arrays_at(typing_context, pattern, addresses, tables, num_actions):
    """Named tuple of arrays whose data lie at `addresses`, int64 (num_fields,), of the shapes of `pattern`.

    Rows of the arrays whose numbers are bits of `tables` are known to have `num_actions` columns, so that loops over a
    state's actions are unrolled; 0 for any number. Both are constants.
    """
    if not (isinstance(tables, types.IntegerLiteral) and isinstance(num_actions, types.IntegerLiteral)):
        return None
    known, columns = tables.literal_value, num_actions.literal_value

    def build(context, builder, signature, arguments):
        table = context.make_array(addresses)(context, builder, arguments[1]).data
        arrays = []
        for place, kind in enumerate(pattern.types):
            source = context.make_array(kind)(context, builder, builder.extract_value(arguments[0], place))
            shape, strides = (cgutils.unpack_tuple(builder, each) for each in (source.shape, source.strides))
            size = _item_size(context, kind)
            if columns and known >> place & 1:
                shape = [shape[0], context.get_constant(types.intp, columns)]
                strides = [builder.mul(size, shape[1]), size]
            address = builder.load(builder.gep(table, [context.get_constant(types.intp, place)], inbounds=True))
            data = builder.inttoptr(address, _BYTE_POINTER)
            arrays.append(_borrowed(context, builder, kind, data, shape, strides, size))
        return context.make_tuple(builder, pattern, arrays)

    return pattern(pattern, addresses, tables, num_actions), build


@intrinsic
def borrowed(typing_context, arrays):
    """The same named tuple, of which no references are counted."""

    def build(context, builder, signature, arguments):
        values = []
        for place, kind in enumerate(arrays.types):
            value = builder.extract_value(arguments[0], place)
            if isinstance(kind, types.Array):
                source = context.make_array(kind)(context, builder, value)
                shape, strides = (cgutils.unpack_tuple(builder, each) for each in (source.shape, source.strides))
                value = _borrowed(context, builder, kind, source.data, shape, strides, _item_size(context, kind))
            values.append(value)
        return context.make_tuple(builder, arrays, values)

    return arrays(arrays), build


def addresses_of(arrays: tuple[np.ndarray, ...]) -> list[int]:
    """Where the data of arrays lie; they must be of C order."""
    return [array.ctypes.data for array in arrays]


@intrinsic
def as_floats(typing_context, words):
    """The same words as float64."""
    result = types.Array(types.float64, 1, "C")

    def build(context, builder, signature, arguments):
        source = context.make_array(words)(context, builder, arguments[0])
        shape, strides = (cgutils.unpack_tuple(builder, each) for each in (source.shape, source.strides))
        return _borrowed(context, builder, result, source.data, shape, strides, _item_size(context, result))

    return result(words), build


@intrinsic
def pick(typing_context, condition, first, second):
    """`first` where the condition holds, else `second`, without a branch; both of the same type."""
    if first != second:
        return None

    def build(context, builder, signature, arguments):
        return builder.select(arguments[0], arguments[1], arguments[2])

    return first(types.boolean, first, second), build
