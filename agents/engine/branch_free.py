"""Selection functions without a branch on chance, for the compiled loop.

What a random number decides, a processor guesses wrongly, at the cost of a dozen additions. Each function here chooses
what the policy's own does, and draws as many numbers, but computes both ways and selects. It draws the second number
always, and leaves the stream behind it where it was needed.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from velodrome.agents.engine.compiled_arrays import pick
from velodrome.policies.epsilon_greedy import EpsilonGreedy
from velodrome.policies.greedy import Greedy
from velodrome.policies.ties import best_value

MAX_ACTIONS = 8
_inlined = numba.extending.register_jitable(forceinline=True)


def _unrolled_best(num_actions: int) -> Callable[..., Any]:
    """Largest of so many action values; the loop is unrolled, for its end is a constant."""

    def best(action_values):
        best = action_values[0]
        for action in range(1, num_actions):
            best = pick(action_values[action] > best, action_values[action], best)
        return best

    inlined: Callable[..., Any] = _inlined(best)
    return inlined


_best_of_four, _best_of_six = _unrolled_best(4), _unrolled_best(6)


# Q-learning's own maximum: rows of four and six actions are the usual ones.
@numba.extending.overload(best_value, jit_options={"forceinline": True})
def _best_value(action_values):
    def best(action_values):
        if len(action_values) == 4:
            return _best_of_four(action_values)
        if len(action_values) == 6:
            return _best_of_six(action_values)
        best = action_values[0]
        for action in range(1, len(action_values)):
            if action_values[action] > best:
                best = action_values[action]
        return best

    return best


best_value._velodrome_inlined = True  # type: ignore[attr-defined]


# The place of the n-th bit that is set in a number below 256, at 8 times the number plus n.
_NTH_SET = np.array(
    [(*[place for place in range(8) if bits >> place & 1], *[0] * 8)[:8] for bits in range(256)], dtype=np.uint8
).ravel()


def _equal_to(num_actions: int) -> Callable[..., Any]:
    """Function for compiled code: which of so many values equal one value, as bits; the first one where none does."""

    @intrinsic
    def equal_to(typing_context, action_values, value):
        def build(context, builder, signature, arguments):
            lanes = ir.VectorType(ir.DoubleType(), num_actions)
            row = context.make_array(action_values)(context, builder, arguments[0])
            loaded = builder.load(builder.bitcast(row.data, lanes.as_pointer()), align=8)
            same = ir.Constant(lanes, ir.Undefined)
            for lane in range(num_actions):
                same = builder.insert_element(same, arguments[1], ir.IntType(32)(lane))
            equal = builder.bitcast(builder.fcmp_ordered("==", loaded, same), ir.IntType(num_actions))
            bits = builder.zext(equal, ir.IntType(64))
            # NaN equals nothing.
            none = builder.icmp_unsigned("==", bits, ir.IntType(64)(0))
            return builder.add(bits, builder.zext(none, ir.IntType(64)))

        return types.uint64(action_values, types.float64), build

    found: Callable[..., Any] = equal_to
    return found


@intrinsic
def _lowest(typing_context, bits):
    def build(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.IntType(1)(1))

    return types.int64(types.uint64), build


@intrinsic
def _number(typing_context, bits):
    def build(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), build


@_inlined
def _one_of(bits, rng):
    """Place of one of the bits that are set, uniformly at random, by one draw."""
    place = np.uint64(rng.random() * _number(bits))
    return np.int64(_NTH_SET[(bits << np.uint64(3)) + place])


def _forms(num_actions: int) -> dict[Callable[..., Any], Callable[..., Any]]:
    best_of, equal_to = _unrolled_best(num_actions), _equal_to(num_actions)
    all_actions = np.uint64((1 << num_actions) - 1)

    def epsilon_greedy_random(action_values, visit_counts, epsilon, rng):
        explores = rng.random() < epsilon
        bits = pick(explores, all_actions, equal_to(action_values, best_of(action_values)))
        if _number(bits) > 1 or explores:
            return _one_of(bits, rng)
        return _lowest(bits)

    def epsilon_greedy_first(action_values, visit_counts, epsilon, rng):
        explores = rng.random() < epsilon
        if explores:
            return np.int64(rng.random() * num_actions)
        return _lowest(equal_to(action_values, best_of(action_values)))

    def greedy_random(action_values, visit_counts, parameter, rng):
        bits = equal_to(action_values, best_of(action_values))
        if _number(bits) > 1:
            return _one_of(bits, rng)
        return _lowest(bits)

    def greedy_first(action_values, visit_counts, parameter, rng):
        return _lowest(equal_to(action_values, best_of(action_values)))

    return {
        EpsilonGreedy(ties="random").select: epsilon_greedy_random,
        EpsilonGreedy(ties="first").select: epsilon_greedy_first,
        Greedy(ties="random").select: greedy_random,
        Greedy(ties="first").select: greedy_first,
    }


def branch_free(select: Callable[..., Any], num_actions: int) -> Callable[..., Any] | None:
    """The form without branches of a policy's own selection function, which chooses and draws the same.

    None for other functions, and where `num_actions` is 0, which stands for many.
    """
    return _FORMS.get((select, num_actions))


def _named_forms() -> dict[tuple[Callable[..., Any], int], Callable[..., Any]]:
    """All forms, as members of this module: Numba finds what it kept on disk by the names of what a loop calls."""
    found = {}
    for num_actions in range(1, MAX_ACTIONS + 1):
        for select, form in _forms(num_actions).items():
            form.__name__ = form.__qualname__ = f"{form.__name__}_{num_actions}"
            globals()[form.__name__] = found[select, num_actions] = _inlined(form)
    return found


_FORMS = _named_forms()
