"""Arrays of a caller in compiled code, used without counting references to them."""

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


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
