"""Rules of success: which episodes count as successful."""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from numpy.typing import NDArray

from velodrome.checks import VelodromeError, did_you_mean
from velodrome.envs.bandit import Bandit
from velodrome.envs.goals import goal_states, is_at_goal, knows_goal
from velodrome.envs.model.model_environment import ModelEnvironment
from velodrome.envs.model.transition_model import TransitionModel
from velodrome.envs.own_rewards import reason_other_rewards

Source = Literal["experiment", "info", "known environment", "goal", "reward_threshold", "none"]

INFO = "info['is_success']"
NO_RULE = "no success rule"
GOAL = "terminated at the goal"

# What an episode's end says of its success: 0 or 1 as reported, else one of these.
NOT_REPORTED = -1
NOT_REPORTED_AT_GOAL = -2

# By id; CartPole's is 95 % of the longest episode, as its reward_threshold.
_KNOWN_ENVIRONMENTS = {
    "FrozenLake-v1": "return > 0",
    "FrozenLake8x8-v1": "return > 0",
    "Taxi-v3": "terminated",
    "Taxi-v4": "terminated",
    "CliffWalking-v1": "terminated",
    "CliffWalkingSlippery-v1": "terminated",
    "CartPole-v0": "return >= 195",
    "CartPole-v1": "return >= 475",
    "MountainCar-v0": "terminated",
    "Acrobot-v1": "terminated",
    "Blackjack-v1": "return > 0",
    "LunarLander-v3": "return >= 200",
    "velodrome/AssetPosition-v0": "return > 0",
}
_RETURN = re.compile(r"return\s*(>=|>)\s*(\S+)")
_WORDS = {
    "terminated": "terminated",
    "is_success": INFO,
    INFO: INFO,
    'info["is_success"]': INFO,
    "none": NO_RULE,
    NO_RULE: NO_RULE,
}


class SuccessRuleError(VelodromeError, ValueError):
    """A success rule that cannot be read, said in one line."""


@dataclass(frozen=True)
class SuccessRule:
    """Decides which episodes succeeded, and says how.

    Unless the experiment gave the rule, info["is_success"] wins over it in every episode that reports one.

    Args:
        description: the rule in words, as it stands in a table's footnote: "return > 0", "return >= 475",
            "terminated", "terminated at the goal", "info['is_success']" or "no success rule".
        source: who gave it: "experiment", "info", "known environment", "goal", "reward_threshold" or "none".
        goals: states that are the goal, where the rule asks for it and states have numbers.
        why: reason for which the rule kept for the environment's id is not used; empty where it is, or is none.
    """

    description: str
    source: Source
    goals: tuple[int, ...] = ()
    why: str = ""

    def successes(
        self,
        returns: NDArray[np.float64],
        lengths: NDArray[np.int64],
        terminated: NDArray[np.bool_],
        reported: NDArray[np.int8],
    ) -> NDArray[np.bool_] | None:
        """Which episodes succeeded, bool (num_episodes,), or None where no rule says so.

        Args:
            returns: undiscounted returns, (num_episodes,).
            lengths: steps, (num_episodes,).
            terminated: whether the last step terminated, (num_episodes,).
            reported: is_success of the last step's info as 0 or 1, -1 where it had none, -2 where it had none and
                the environment stood at its goal, (num_episodes,). An episode without one failed where nothing else
                decides it.
        """
        says = np.asarray(reported) >= 0
        succeeded = np.asarray(reported) == 1
        own = self._own(np.asarray(returns), np.asarray(terminated), np.asarray(reported))
        if own is not None:
            return own if self.source == "experiment" else np.where(says, succeeded, own)
        if self.description == NO_RULE and self.source == "experiment":
            return None
        return succeeded if says.any() or (says.size == 0 and self.description == INFO) else None

    def as_used(self, reported: NDArray[np.int8]) -> SuccessRule:
        """The rule that decided episodes with these reports: info's where all had one, or both in words.

        Args:
            reported: what info said of each episode, int8: 1 a success, 0 none, negative where it said nothing.
        """
        says = np.asarray(reported) >= 0
        if self.source in ("experiment", "info") or not says.any():
            return self
        if says.all():
            return SuccessRule(INFO, "info")
        return dataclasses.replace(self, description=f"{INFO}, where absent {self.description}")

    def success_outcomes(self, model: TransitionModel) -> NDArray[np.bool_] | None:
        """Which final outcomes make an episode a success, bool (num_outcomes,).

        None where the final outcome alone does not decide: a rule on returns does only where every
        outcome that does not terminate has reward 0, and a return of 0 is no success.

        Args:
            model: transition model of the environment.
        """
        if self.description == "terminated":
            return model.terminated
        if self.description == GOAL:
            at_goal: NDArray[np.bool_] = model.terminated & np.isin(model.next_states, self.goals)
            return at_goal
        if self.description == INFO:
            return model.success
        comparison = _parse_return(self.description)
        if comparison is None:
            return None
        strict, threshold = comparison
        passes_at_zero = threshold < 0.0 if strict else threshold <= 0.0
        possible = model.probabilities > 0.0
        if passes_at_zero or np.any(model.rewards[possible & ~model.terminated] != 0.0):
            return None
        enough = model.rewards > threshold if strict else model.rewards >= threshold
        return model.terminated & enough

    def _own(self, returns: NDArray[Any], terminated: NDArray[Any], reported: NDArray[Any]) -> NDArray[np.bool_] | None:
        if self.description == "terminated":
            return terminated.astype(np.bool_)
        if self.description == GOAL:
            at_goal: NDArray[np.bool_] = terminated.astype(np.bool_) & (reported == NOT_REPORTED_AT_GOAL)
            return at_goal
        return self.successes_of_returns(returns)

    def successes_of_returns(self, returns: NDArray[Any]) -> NDArray[np.bool_] | None:
        """Which episodes succeeded, bool (num_episodes,), by a rule on returns; None of other rules.

        Args:
            returns: of episodes, (num_episodes,).
        """
        comparison = _parse_return(self.description)
        if comparison is None:
            return None
        strict, threshold = comparison
        passed: NDArray[np.bool_] = returns > threshold if strict else returns >= threshold
        return passed


def success_rule(env: gym.Env[Any, Any], success: str | None = None) -> SuccessRule:
    """The rule for `env`: the experiment's own, else its info's, else its id's, else its reward threshold.

    What is kept for an id counts while the rewards are those of that id; else an environment whose goal is known
    succeeds there, and of others nothing is known.

    Args:
        env: the environment.
        success: the experiment's rule as `parse_success_rule` reads it, or None.

    Raises:
        ValueError: if `success` is no rule.
    """
    if success is not None:
        return parse_success_rule(success)
    unwrapped = env.unwrapped
    has_success = isinstance(unwrapped, ModelEnvironment) and unwrapped.model.success is not None
    if has_success or isinstance(unwrapped, Bandit):
        return SuccessRule(INFO, "info")
    kept = _kept_for(env.spec)
    if kept is None:
        return SuccessRule(NO_RULE, "none")
    why = reason_other_rewards(env, kept.description)
    if why is None:
        return kept
    why = f"{kept.description!r} is the rule of {env.spec.id if env.spec is not None else ''}, but {why}"
    if kept.source == "known environment" and knows_goal(env):
        return SuccessRule(GOAL, "goal", goal_states(env), why)
    return SuccessRule(NO_RULE, "none", why=why)


def report_of(env: gym.Env[Any, Any], reported: int) -> int:
    """Return what the end of an episode says of its success, as `SuccessRule.successes` takes it.

    Args:
        env: as it stands after the last step.
        reported: is_success of the last step's info, 1 or 0; `NOT_REPORTED` where it had none.
    """
    return NOT_REPORTED_AT_GOAL if reported == NOT_REPORTED and is_at_goal(env) else reported


def _kept_for(spec: EnvSpec | None) -> SuccessRule | None:
    if spec is None:
        return None
    if spec.id in _KNOWN_ENVIRONMENTS:
        return SuccessRule(_KNOWN_ENVIRONMENTS[spec.id], "known environment")
    if spec.reward_threshold is None:
        return None
    return SuccessRule(f"return >= {_number(float(spec.reward_threshold))}", "reward_threshold")


def parse_success_rule(text: str) -> SuccessRule:
    """Read an experiment's rule: "return > X", "return >= X", "terminated", "is_success" or "none".

    Args:
        text: the rule.

    Raises:
        SuccessRuleError: in one line, with the closest match.
    """
    stripped = text.strip() if isinstance(text, str) else text
    if stripped in _WORDS:
        return SuccessRule(_WORDS[stripped], "experiment")
    comparison = _parse_return(stripped) if isinstance(stripped, str) else None
    if comparison is None:
        near = "return > 0" if str(text).strip().lower().startswith("ret") else None
        hint = f": did you mean {near!r}?" if near else did_you_mean(text, ("terminated", "is_success", "none"))
        raise SuccessRuleError(
            f"unknown success rule {text!r}{hint or ':'} allowed are 'return > NUMBER', 'return >= NUMBER', "
            "'terminated', 'is_success' and 'none'"
        )
    strict, threshold = comparison
    return SuccessRule(f"return {'>' if strict else '>='} {_number(threshold)}", "experiment")


def _parse_return(text: str) -> tuple[bool, float] | None:
    """(whether strictly above, threshold), or None where `text` compares no return with a finite number."""
    match = _RETURN.fullmatch(text)
    if match is None:
        return None
    try:
        threshold = float(match[2])
    except ValueError:
        return None
    return (match[1] == ">", threshold) if math.isfinite(threshold) else None


def _number(value: float) -> str:
    return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
