"""Arrays of many seeds in compiled code: each seed's own, found without counting references.

Numba counts references to every array that is sliced. What is made here refers to memory that the caller keeps.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import impl_ret_new_ref
from numba.extending import intrinsic, lower_builtin, type_callable

from velodrome.policies.softmax import room_for

# Numbers that have their place on the stack.
MOST_ON_STACK = 64
_BYTE_POINTER = ir.IntType(8).as_pointer()


def _array_over(context, builder, array_type, data, shape, strides, item_size):
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
        return _array_over(context, builder, result, data, shape, sizes[1:], item_size)

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
            arrays.append(_array_over(context, builder, kind, data, shape, strides, size))
        return context.make_tuple(builder, pattern, arrays)

    return pattern(pattern, addresses, tables, num_actions), build


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
        return _array_over(context, builder, result, source.data, shape, strides, _item_size(context, result))

    return result(words), build


@intrinsic
def pick(typing_context, condition, first, second):
    """`first` where the condition holds, else `second`, without a branch; both of the same type."""
    if first != second:
        return None

    def build(context, builder, signature, arguments):
        return builder.select(arguments[0], arguments[1], arguments[2])

    return first(types.boolean, first, second), build


@intrinsic
def borrowed(typing_context, arrays):
    """`arrays`, an array or a tuple of arrays and other values, whose memory the caller keeps for as long as it runs.

    Numba counts a reference to an array for each row that is taken of it and each function that is handed one, by an
    atomic instruction of five nanoseconds. It removes most of these pairs, but not where something between the two may
    raise, and a division may.
    """

    def build(context, builder, signature, arguments):
        return _uncounted(context, builder, arrays, arguments[0])

    return arrays(arrays), build


def _uncounted(context, builder, kind, value):
    if isinstance(kind, types.Array):
        struct = cgutils.create_struct_proxy(kind)(context, builder, value=value)
        struct.meminfo = cgutils.get_null_value(struct.meminfo.type)
        struct.parent = cgutils.get_null_value(struct.parent.type)
        return struct._getvalue()
    if isinstance(kind, types.BaseTuple):
        parts = [
            _uncounted(context, builder, part, builder.extract_value(value, place)) for place, part in enumerate(kind)
        ]
        return context.make_tuple(builder, kind, parts)
    return value


# Numba is to take the function below instead of compiling the source.
room_for._velodrome_inlined = True  # type: ignore[attr-defined]
_room = types.Array(types.float64, 1, "C")


@type_callable(room_for)
def _type_of_room(context):
    return lambda size: _room if isinstance(size, types.Integer) else None


@lower_builtin(room_for, types.Integer)
def _room_for(context, builder, signature, arguments):
    size = context.cast(builder, arguments[0], signature.args[0], types.intp)
    double, meminfo_type = ir.DoubleType(), ir.IntType(8).as_pointer()
    on_stack = cgutils.alloca_once(builder, double, size=MOST_ON_STACK)
    data, meminfo = cgutils.alloca_once_value(builder, on_stack), cgutils.alloca_once(builder, meminfo_type)
    builder.store(ir.Constant(meminfo_type, None), meminfo)
    with cgutils.if_unlikely(builder, builder.icmp_signed(">", size, size.type(MOST_ON_STACK))):
        allocated = context.nrt.meminfo_alloc(builder, builder.mul(size, size.type(8)))
        builder.store(allocated, meminfo)
        builder.store(builder.bitcast(context.nrt.meminfo_data(builder, allocated), double.as_pointer()), data)
    array = context.make_array(_room)(context, builder)
    context.populate_array(
        array,
        data=builder.load(data),
        shape=[size],
        strides=[size.type(8)],
        itemsize=size.type(8),
        meminfo=builder.load(meminfo),
    )
    return impl_ret_new_ref(context, builder, _room, array._getvalue())
