"""Errors between an agent and an environment; every message is one line."""

from typing import Any

import numpy as np

from velodrome.checks import VelodromeError, one_line


class UnsupportedEnvironmentError(VelodromeError, ValueError):
    """The agent cannot handle the environment's spaces, or lacks something that it learns from."""


class BudgetError(VelodromeError, ValueError):
    """The training budget is missing, doubled or not positive."""


class EnvironmentFailureError(VelodromeError, RuntimeError):
    """The environment raised, or returned a reward or observation that is not allowed."""


class PolicyFailureError(VelodromeError, RuntimeError):
    """The policy raised, or chose an action that does not exist."""


class AgentFailureError(VelodromeError, RuntimeError):
    """A method of an agent returned something that is not allowed; the message names the method."""


def policy_failure(error: Exception) -> PolicyFailureError:
    """The error to raise where a policy raised `error`."""
    return PolicyFailureError(f"the policy raised {one_line(error)}")


def no_such_action(action: Any, num_actions: int) -> PolicyFailureError:
    """The error to raise where a policy chose an action that does not exist."""
    return PolicyFailureError(f"the policy chose action {action!r}, but there are actions 0 to {num_actions - 1}")


def call_failure(env: Any, call: str, where: str, error: Exception) -> EnvironmentFailureError:
    """The error to raise where an environment raised `error` in a `call` of its "reset" or "step"."""
    reason = one_line(error)
    if isinstance(error, TypeError | ValueError) and "unpack" in reason:
        # Most likely a wrapper around an environment that returned too little.
        reason += "; reset must return (observation, info), step (observation, reward, terminated, truncated, info)"
    return EnvironmentFailureError(f"{call} of {environment_label(env)} raised in {where}: {reason}")


def environment_label(env: Any) -> str:
    """Name of an environment for messages: its id, else its class."""
    spec = getattr(env, "spec", None)
    return str(spec.id) if spec is not None else type(getattr(env, "unwrapped", env)).__name__


def check_budget(episodes: Any, steps: Any) -> tuple[int | None, int | None]:
    """Require exactly one positive budget; returns both as plain ints.

    Raises:
        BudgetError: none, both, or not a whole number of at least 1.
    """
    budget = _one_count({"episodes": episodes, "steps": steps})
    return budget["episodes"], budget["steps"]


def check_budget_or_epochs(episodes: Any, steps: Any, epochs: Any) -> tuple[int | None, int | None, int | None]:
    """The same of three budgets.

    Raises:
        BudgetError: none, several, or not a whole number of at least 1.
    """
    budget = _one_count({"episodes": episodes, "steps": steps, "epochs": epochs})
    return budget["episodes"], budget["steps"], budget["epochs"]


def _one_count(budgets: dict[str, Any]) -> dict[str, int | None]:
    given = {name: amount for name, amount in budgets.items() if amount is not None}
    *first, last = budgets
    names = f"{', '.join(first)} or {last}"
    if len(given) > 1:
        got = ", ".join(f"{name}={amount}" for name, amount in given.items())
        raise BudgetError(f"give {names}, {'not both' if len(budgets) == 2 else 'one of them'} (got {got})")
    if not given:
        raise BudgetError(f"give a budget: {names}, a whole number of at least 1")
    return {name: check_count(name, given[name]) if name in given else None for name in budgets}


def check_count(field: str, value: Any) -> int:
    """`value` as a plain int.

    Raises:
        BudgetError: not a whole number of at least 1.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise BudgetError(f"{field} must be a whole number of at least 1, got {value!r}")
    return int(value)
