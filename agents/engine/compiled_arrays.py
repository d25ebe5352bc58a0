"""Arrays in compiled code without counting references to them: the caller's, and small ones on the stack."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import impl_ret_new_ref
from numba.extending import intrinsic, lower_builtin, type_callable

from velodrome.policies.softmax import room_for

# Numbers that have their place on the stack.
MOST_ON_STACK = 64


@intrinsic
def borrowed(typing_context, arrays):
    """`arrays`, an array or a tuple of arrays and other values, whose memory the caller keeps for as long as it runs.

    Numba counts a reference to an array for each row that is taken of it and each function that is handed one, by an
    atomic instruction of five nanoseconds. It removes most of these pairs, but not where something between the two may
    raise, and a division may.
    """

    def build(context, builder, signature, arguments):
        return _borrowed(context, builder, arrays, arguments[0])

    return arrays(arrays), build


def _borrowed(context, builder, kind, value):
    if isinstance(kind, types.Array):
        struct = cgutils.create_struct_proxy(kind)(context, builder, value=value)
        struct.meminfo = cgutils.get_null_value(struct.meminfo.type)
        struct.parent = cgutils.get_null_value(struct.parent.type)
        return struct._getvalue()
    if isinstance(kind, types.BaseTuple):
        parts = [
            _borrowed(context, builder, part, builder.extract_value(value, place)) for place, part in enumerate(kind)
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
