"""A PCG64 random stream for compiled code that reproduces `numpy.random.Generator` bit for bit.

The stream lives in local variables of the compiled loop (the pointer to it never leaves the loop, so the
optimiser keeps the 128-bit state in registers), and is read from and written back to a NumPy generator at
the loop's ends. Compiled functions call the same methods on it that they call on a generator in plain
Python: `random`, `standard_normal`, `normal`, `uniform`, `standard_exponential`, `exponential`, `integers`.

Source: O'Neill (2014), "PCG: A family of simple fast space-efficient statistically good algorithms for
random number generation", XSL-RR 128/64, as in NumPy's `PCG64`.
"""

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, overload_method, register_model
from numba.np.random import distributions, random_methods
from numba.np.random._constants import ki_double, wi_double
from numba.np.random.generator_core import next_double, next_uint32, next_uint64

_MULTIPLIER = 0x2360ED051FC65DA44385DF649FCCF645
_I32, _I64, _I128 = ir.IntType(32), ir.IntType(64), ir.IntType(128)
_LAYOUT = ir.LiteralStructType([_I128, _I128, _I32, _I32])
_STATE, _INCREMENT, _HAS_HALF, _HALF = range(4)
STATE_WORDS = 6


class _Stream(types.Type):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(name="random stream")


_stream_type = _Stream()


@register_model(_Stream)
class _StreamModel(models.OpaqueModel):  # type: ignore[misc]
    pass


def _field(builder, stream, index):
    struct = builder.bitcast(stream, _LAYOUT.as_pointer())
    return builder.gep(struct, [_I32(0), _I32(index)], inbounds=True)


def _word_pointers(context, builder, array_type, array, first):
    data = context.make_array(array_type)(context, builder, array).data
    data = builder.gep(data, [first], inbounds=True)
    return [builder.gep(data, [_I64(word)], inbounds=True) for word in range(STATE_WORDS)]


@intrinsic
def open_stream(typing_context, words, first):
    """Stream in local variables, filled from the six `words` (uint64) from `first` on: see `read_generator`."""

    def build(context, builder, signature, arguments):
        struct = cgutils.alloca_once(builder, _LAYOUT)
        stream = builder.bitcast(struct, ir.IntType(8).as_pointer())
        values = [builder.load(p) for p in _word_pointers(context, builder, words, *arguments)]
        wide = [builder.zext(value, _I128) for value in values]
        for index, high, low in ((_STATE, 0, 1), (_INCREMENT, 2, 3)):
            joined = builder.or_(builder.shl(wide[high], _I128(64)), wide[low])
            builder.store(joined, _field(builder, stream, index))
        builder.store(builder.trunc(values[4], _I32), _field(builder, stream, _HAS_HALF))
        builder.store(builder.trunc(values[5], _I32), _field(builder, stream, _HALF))
        return stream

    return _stream_type(words, types.intp), build


@intrinsic
def close_stream(typing_context, stream, words, first):
    """Write the stream's state back to the words from `first` on; its increment never changes."""

    def build(context, builder, signature, arguments):
        pointers = _word_pointers(context, builder, words, *arguments[1:])
        _store_state(builder, arguments[0], pointers)
        for index, word in ((_HAS_HALF, 4), (_HALF, 5)):
            builder.store(builder.zext(builder.load(_field(builder, arguments[0], index)), _I64), pointers[word])
        return context.get_dummy_value()

    return types.void(stream, words, types.intp), build


@intrinsic
def close_uniforms(typing_context, stream, words, first):
    """The same for a stream of which nothing but `random` was asked: it has no half of a word to keep."""

    def build(context, builder, signature, arguments):
        _store_state(builder, arguments[0], _word_pointers(context, builder, words, *arguments[1:]))
        return context.get_dummy_value()

    return types.void(stream, words, types.intp), build


def _store_state(builder, stream, pointers):
    value = builder.load(_field(builder, stream, _STATE))
    builder.store(builder.trunc(builder.lshr(value, _I128(64)), _I64), pointers[0])
    builder.store(builder.trunc(value, _I64), pointers[1])


@intrinsic
def _copy_stream(typing_context, stream):
    def build(context, builder, signature, arguments):
        struct = cgutils.alloca_once(builder, _LAYOUT)
        builder.store(builder.load(builder.bitcast(arguments[0], _LAYOUT.as_pointer())), struct)
        return builder.bitcast(struct, ir.IntType(8).as_pointer())

    return _stream_type(stream), build


@intrinsic
def _assign_stream(typing_context, stream, source):
    def build(context, builder, signature, arguments):
        target, value = (builder.bitcast(argument, _LAYOUT.as_pointer()) for argument in arguments)
        builder.store(builder.load(value), target)
        return context.get_dummy_value()

    return types.void(stream, source), build


def _advanced(builder, stream):
    increment = builder.load(_field(builder, stream, _INCREMENT))
    state = builder.load(_field(builder, stream, _STATE))
    return builder.add(builder.mul(state, _I128(_MULTIPLIER)), increment)


def _draw(builder, stream):
    state = _advanced(builder, stream)
    builder.store(state, _field(builder, stream, _STATE))
    return _output(builder, state)


def _output(builder, state):
    high = builder.trunc(builder.lshr(state, _I128(64)), _I64)
    low = builder.trunc(state, _I64)
    folded = builder.xor(high, low)
    turn = builder.trunc(builder.lshr(state, _I128(122)), _I64)
    back = builder.and_(builder.sub(_I64(64), turn), _I64(63))
    return builder.or_(builder.lshr(folded, turn), builder.shl(folded, back))


def _as_double(builder, word):
    bits = builder.lshr(word, _I64(11))
    return builder.fmul(builder.uitofp(bits, ir.DoubleType()), ir.DoubleType()(2.0**-53))


@intrinsic
def _next_uint64(typing_context, stream):
    def build(context, builder, signature, arguments):
        return _draw(builder, arguments[0])

    return types.uint64(stream), build


@intrinsic
def _peek_uint64(typing_context, stream):
    def build(context, builder, signature, arguments):
        return _output(builder, _advanced(builder, arguments[0]))

    return types.uint64(stream), build


@intrinsic
def _next_double(typing_context, stream):
    def build(context, builder, signature, arguments):
        return _as_double(builder, _draw(builder, arguments[0]))

    return types.float64(stream), build


@intrinsic
def _next_uint32(typing_context, stream):
    def build(context, builder, signature, arguments):
        has_half, half = (_field(builder, arguments[0], index) for index in (_HAS_HALF, _HALF))
        result = cgutils.alloca_once(builder, _I32)
        with builder.if_else(builder.icmp_unsigned("!=", builder.load(has_half), _I32(0))) as (kept, fresh):
            with kept:
                builder.store(builder.load(half), result)
                builder.store(_I32(0), has_half)
            with fresh:
                drawn = _draw(builder, arguments[0])
                builder.store(_I32(1), has_half)
                builder.store(builder.trunc(builder.lshr(drawn, _I64(32)), _I32), half)
                builder.store(builder.trunc(drawn, _I32), result)
        return builder.load(result)

    return types.uint32(stream), build


def _bind(public, implementation):
    @overload(public, jit_options={"forceinline": True})
    def _overload(bitgen):
        if isinstance(bitgen, _Stream):
            return lambda bitgen: implementation(bitgen)
        return None


_bind(next_double, _next_double)
_bind(next_uint32, _next_uint32)
_bind(next_uint64, _next_uint64)


@overload_method(_Stream, "random", jit_options={"forceinline": True})
def _random(stream):
    return lambda stream: _next_double(stream)


@overload_method(_Stream, "standard_normal", jit_options={"forceinline": True})
def _standard_normal(stream):
    def standard_normal(stream):
        # The ziggurat's first test, which 98.8 % of the draws pass, from the word that the next draw would give.
        word = _peek_uint64(stream)
        layer = word & np.uint64(0xFF)
        magnitude = (word >> np.uint64(9)) & np.uint64(0x000FFFFFFFFFFFFF)
        if magnitude < ki_double[layer]:
            _next_uint64(stream)
            value = magnitude * wi_double[layer]
            return -value if (word >> np.uint64(8)) & np.uint64(1) else value
        # Numba's function is not inlined: handing it a copy keeps this stream in registers.
        spare = _copy_stream(stream)
        value = distributions.random_standard_normal(spare)
        _assign_stream(stream, spare)
        return value

    return standard_normal


@overload_method(_Stream, "normal")
def _normal(stream, loc=0.0, scale=1.0):
    return lambda stream, loc=0.0, scale=1.0: loc + scale * stream.standard_normal()


@overload_method(_Stream, "uniform", jit_options={"forceinline": True})
def _uniform(stream, low=0.0, high=1.0):
    return lambda stream, low=0.0, high=1.0: low + (high - low) * _next_double(stream)


@overload_method(_Stream, "standard_exponential")
def _standard_exponential(stream):
    return lambda stream: distributions.random_standard_exponential(stream)


@overload_method(_Stream, "exponential")
def _exponential(stream, scale=1.0):
    return lambda stream, scale=1.0: scale * distributions.random_standard_exponential(stream)


@overload_method(_Stream, "integers")
def _integers(stream, low, high=None):
    if isinstance(high, types.NoneType | types.Omitted) or high is None:
        return lambda stream, low, high=None: _bounded_integer(stream, 0, low)
    return lambda stream, low, high=None: _bounded_integer(stream, low, high)


@numba.extending.register_jitable
def _bounded_integer(stream, low, high):
    if low >= high:
        raise ValueError("low >= high")
    return random_methods.random_bounded_uint64_fill(stream, low, np.uint64(high - low - 1), 1, np.int64)[0]


def read_generator(generator: np.random.Generator) -> np.ndarray:
    """State of a PCG64 generator as uint64 (6,): state high, low, increment high, low, has_uint32, uinteger."""
    state = generator.bit_generator.state
    inner, mask = state["state"], 2**64 - 1
    return np.array(
        [
            inner["state"] >> 64,
            inner["state"] & mask,
            inner["inc"] >> 64,
            inner["inc"] & mask,
            state["has_uint32"],
            state["uinteger"],
        ],
        dtype=np.uint64,
    )


def write_generator(generator: np.random.Generator, words: np.ndarray) -> None:
    """Set a PCG64 generator to the state in `words` (uint64 (6,))."""
    w = [int(word) for word in words]
    generator.bit_generator.state = {
        "bit_generator": "PCG64",
        "state": {"state": w[0] << 64 | w[1], "inc": w[2] << 64 | w[3]},
        "has_uint32": w[4],
        "uinteger": w[5],
    }
