"""Update functions that take what their formula needs: each argument is found by its name."""

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from velodrome.checks import ConfigurationError, closest

# What a step has to offer, in the order in which both loops hand it over, after the memory.
UPDATE = (
    "state", "action", "reward", "next_state", "terminated", "ended", "next_action", "parameter", "learning_rate",
    "discount", "rng", "mask", "next_mask",
)  # fmt: skip
VISIT = ("state", "action", "rng")


@lru_cache(maxsize=256)
def by_name(function: Callable[..., Any], offered: tuple[str, ...], fields: tuple[str, ...]) -> Callable[..., Any]:
    """`function` as one that is called with the memory and with everything that is offered, by position.

    Its attributes `function` and `arguments` say what it calls and with what, for the compiled loop.

    Args:
        function: plain function; its arguments are among the three below.
        offered: names of what is offered beside the memory, `UPDATE` or `VISIT`.
        fields: names of the arrays of the memory; each can be an argument, as can `memory`, all of them.

    Raises:
        ConfigurationError: an argument has another name.
    """
    arguments = []
    for name in inspect.signature(function).parameters:
        if name in fields:
            arguments.append(f"memory.{name}")
        elif name in ("memory", *offered):
            arguments.append(name)
        else:
            known = ("memory", *fields, *offered)
            raise ConfigurationError(
                f"{function.__name__}: an update cannot take {name!r}{closest(name, known)}; "
                f"there are {', '.join(known)}"
            )
    source = f"def update(memory, {', '.join(offered)}):\n    return function({', '.join(arguments)})\n"
    # Numba compiles no call whose arguments are unpacked from a dictionary, so the call is written out.
    namespace: dict[str, Any] = {"function": function, "__name__": function.__module__}
    exec(source, namespace)
    update: Any = namespace["update"]
    update.function, update.arguments = function, tuple(arguments)
    named: Callable[..., Any] = update
    return named


def takes(function: Callable[..., Any], name: str) -> bool:
    """Whether a function has an argument of this name."""
    return name in inspect.signature(function).parameters
