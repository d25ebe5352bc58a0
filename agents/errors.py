"""What can go wrong between an agent and an environment; every message is one line."""

from typing import Any


class UnsupportedEnvironmentError(ValueError):
    """The agent cannot handle the environment's spaces, or lacks something that it learns from."""


class BudgetError(ValueError):
    """The training budget is missing, doubled or not positive."""


class EnvironmentFailureError(RuntimeError):
    """The environment raised, or returned a reward or observation that is not allowed."""


class PolicyFailureError(RuntimeError):
    """The policy raised, or chose an action that does not exist."""


def environment_label(env: Any) -> str:
    """Name of an environment for messages: its id, else its class."""
    spec = getattr(env, "spec", None)
    return str(spec.id) if spec is not None else type(getattr(env, "unwrapped", env)).__name__


def check_budget(episodes: int | None, steps: int | None) -> None:
    """Require exactly one positive budget.

    Raises:
        BudgetError: none, both, or not a whole number of at least 1.
    """
    if episodes is not None and steps is not None:
        raise BudgetError(f"give episodes or steps, not both (got episodes={episodes}, steps={steps})")
    if episodes is None and steps is None:
        raise BudgetError("give a budget: episodes or steps, a whole number of at least 1")
    for name, value in (("episodes", episodes), ("steps", steps)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise BudgetError(f"{name} must be a whole number of at least 1, got {value!r}")
