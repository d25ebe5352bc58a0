"""Builds and keeps the compiled loops; the only door to Numba."""

import hashlib
import linecache
import re
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from velodrome.agents.engine.code_fingerprint import code_fingerprint, reachable_functions
from velodrome.agents.engine.compile_clock import COMPILE_CLOCK
from velodrome.agents.engine.interruption import not_counted
from velodrome.checks import VelodromeError

_loops: dict[tuple[Any, ...], Callable[..., Any]] = {}
# Every loop is called with arrays of the same types, so it is compiled once.
_compiled: WeakSet[Any] = WeakSet()
_refused: dict[Callable[..., Any], str] = {}
_fingerprints: WeakKeyDictionary[Callable[..., Any], str] = WeakKeyDictionary()
_lock = threading.Lock()


class NotCompilableError(VelodromeError):
    """Numba cannot compile a policy or learner; the message says which line and why."""


def compiled_loop(
    select: Callable[..., Any],
    learn: Callable[..., Any],
    visits_of: Callable[..., Any] | None,
    *,
    has_masks: bool,
    takes_turns: bool,
    is_on_policy: bool,
    needs_next_parameter: bool,
    is_bandit: bool,
    num_actions: int,
    tables: int,
    parameter_clock: str,
    rate_clock: str,
    shown_counts: str,
) -> Callable[..., Any]:
    """The compiled loop of a pair of functions, from memory, from disk or newly built.

    Numba, imported here, compiles on the first call for the given array types and keeps the result on disk
    where it can.
    """
    if not isinstance(select, FunctionType):
        raise NotCompilableError(f"its select is a {type(select).__name__}, not a plain function")
    fingerprint = "".join(_fingerprint(function) for function in (select, learn, visits_of) if function is not None)
    options = {
        "has_masks": has_masks,
        "takes_turns": takes_turns,
        "is_on_policy": is_on_policy,
        "needs_next_parameter": needs_next_parameter,
        "checks_actions": not is_ours(select),
        "draws": visits_of is not None or any(name in ("rng", "memory") for name in learn.arguments),  # type: ignore[attr-defined]
        "is_bandit": is_bandit,
        "num_actions": num_actions,
        "tables": tables,
        "parameter_clock": parameter_clock,
        "rate_clock": rate_clock,
    }
    key = (fingerprint, shown_counts, *options.values())
    with _lock:
        loop = _loops.get(key)
        if loop is None:
            loop = _loops[key] = _build(select, learn, visits_of, shown_counts, fingerprint=fingerprint, **options)
    if loop in _refused:
        raise NotCompilableError(_refused[loop])
    return loop


def compiled_vector_step(
    select: Callable[..., Any],
    learn: Callable[..., Any],
    visits_of: Callable[..., Any] | None,
    memory_type: type,
    **options: Any,
) -> Callable[..., Any]:
    """As `compiled_loop`, the step of tables that learn side by side in a vector form; see `build_step`."""
    if not isinstance(select, FunctionType):
        raise NotCompilableError(f"its select is a {type(select).__name__}, not a plain function")
    fingerprint = "".join(_fingerprint(function) for function in (select, learn, visits_of) if function is not None)
    key = ("vector step", fingerprint, memory_type, *options.values())
    with _lock:
        step = _loops.get(key)
        if step is None:
            from velodrome.agents.engine.vector_step import build_step

            fingerprint += _inlined(select, learn, visits_of)
            step = build_step(select, learn, visits_of, memory_type, fingerprint=fingerprint, **options)
            _loops[key] = step
    if step in _refused:
        raise NotCompilableError(_refused[step])
    return step


def inlined_policy(select: Callable[..., Any]) -> str:
    """Let compiled loops inline a policy's own selection function; returns the fingerprint of what is inlined."""
    with _lock:
        return _fingerprint(select) + _inlined(select)


def compiled_greedy(greedy: Callable[..., Any], ties: str) -> Callable[..., Any]:
    """The compiled function by which tables act greedily side by side; see `build_greedy`."""
    with _lock:
        act = _loops.get(("greedy", ties))
        if act is None:
            from velodrome.agents.engine.vector_step import build_greedy

            _inlined(greedy)
            act = _loops["greedy", ties] = build_greedy(greedy, ties)
    return act


def _fingerprint(function: Callable[..., Any]) -> str:
    """Fingerprint of a function, remembered for our own, which nobody edits while the program runs."""
    if not is_ours(function):
        return code_fingerprint(function)
    known = _fingerprints.get(function)
    if known is None:
        known = _fingerprints[function] = code_fingerprint(function)
    return known


def is_ours(function: Callable[..., Any]) -> bool:
    """Whether a function is the package's own, with all that it captured."""
    captured = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    return function.__module__.startswith("velodrome.") and all(is_ours(value) for value in captured if callable(value))


def _report_not_compilable(
    loop: Callable[..., Any], error: Exception, select: Callable[..., Any]
) -> NotCompilableError:
    """Remember that Numba refused a loop, so that it is not asked again; returns the error to raise."""
    _refused[loop] = compile_error_line(error, select)
    return NotCompilableError(_refused[loop])


def compile_now(loop: Any, arguments: tuple[Any, ...], select: Callable[..., Any]) -> float:
    """Compile a loop for these arguments, or load it from disk, unless that was done; returns the seconds taken.

    Raises:
        NotCompilableError: Numba refuses the policy `select`.
    """
    if loop in _compiled:
        return 0.0
    started = time.perf_counter()
    with not_counted(), COMPILE_CLOCK, warnings.catch_warnings():
        import numba
        from numba.core.errors import NumbaWarning

        # Advice to Numba's own users; what matters to ours is in the error.
        warnings.simplefilter("ignore", NumbaWarning)
        try:
            if loop not in _compiled:
                loop.compile(tuple(numba.typeof(argument) for argument in arguments))
        except Exception as error:
            # Compiling runs none of the user's code: whatever goes wrong, this policy cannot be compiled.
            raise _report_not_compilable(loop, error, select) from error
    _compiled.add(loop)
    return time.perf_counter() - started


def _build(
    select: Callable[..., Any],
    learn: Callable[..., Any],
    visits_of: Callable[..., Any] | None,
    shown_counts: str,
    **options: Any,
) -> Callable[..., Any]:
    from velodrome.agents.engine.compiled_loop import loop_builder

    options["fingerprint"] += _inlined(select, learn, visits_of) + shown_counts
    return loop_builder(learn.arguments, shown_counts)(select, learn.function, visits_of, **options)  # type: ignore[attr-defined]


def _inlined(*parts: Callable[..., Any] | None) -> str:
    """Let compiled loops inline these functions and all that they reach; returns the fingerprint of their stream."""
    from numba.extending import register_jitable

    from velodrome.agents.engine import branch_free, compiled_arrays, compiled_stream
    from velodrome.envs import bandit

    for function in [reached for part in parts if part is not None for reached in reachable_functions(part)]:
        if not hasattr(function, "_velodrome_inlined"):
            register_jitable(forceinline=True)(function)
            function._velodrome_inlined = True  # type: ignore[attr-defined]
    files = [str(module.__file__) for module in (compiled_stream, compiled_arrays, branch_free, bandit)]
    return "".join(hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in files)


def compile_error_line(error: Exception, function: Callable[..., Any]) -> str:
    """One line from Numba's report: the file, the line, its text and the reason."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    code = function.__code__
    name = Path(code.co_filename).name
    # The report nests: the first part is about our loop's call of the function, the next about the function.
    parts = re.split(r"Failed in \w+ mode pipeline[^\n]*\n", text)
    inner = parts[2] if len(parts) > 2 else parts[-1]
    reason = next((line.strip() for line in inner.splitlines() if line.strip()), type(error).__name__)
    reason = reason.removesuffix("found for signature:").partition(". Raised from")[0].strip(" .")
    places = [int(line) for path, line in re.findall(r'File "([^"]+)", line (\d+)', text) if Path(path).name == name]
    line_number = places[0] if places else code.co_firstlineno
    source = linecache.getline(code.co_filename, line_number).strip()
    return f"{name}:{line_number}: {source}: {reason}" if source else f"{name}:{line_number}: {reason}"
