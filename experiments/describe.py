"""What is known of an environment before anyone learns: its facts, and how hard it is to explore."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from velodrome.agents.planning import hardness
from velodrome.agents.planning.dynamic_programming import NotConvergedError
from velodrome.checks import check_number
from velodrome.envs.model.transition_model import TransitionModel
from velodrome.envs.wrapper_chain import time_limit_of
from velodrome.experiments.results.numbers import number
from velodrome.experiments.run import like
from velodrome.experiments.specification.entries import read_environment
from velodrome.experiments.specification.environment_configuration import EnvironmentConfiguration
from velodrome.experiments.trials.environment_profile import EnvironmentProfile


@dataclass(frozen=True)
class EnvironmentDescription:
    """Facts of an environment; None stands for what is not known, and `notes` say why.

    Numbers are exact, by dynamic programming on the transition model.

    Attributes:
        environment: its label.
        observations, actions: its spaces.
        time_limit: steps after which an episode is truncated.
        success_rule: when an episode succeeds.
        states, reachable_states: number of states, and of those in which an episode can ever take a step.
        outcomes: number of listed outcomes of all pairs of state and action.
        is_deterministic: whether every action has one outcome in every state.
        best_return, random_return, worst_return: expected return of the best policy, of uniformly random actions, and
            of the worst policy, within the time limit.
        best_success_rate, random_success_rate: likewise.
        random_steps: expected steps of an episode of random actions.
        random_steps_to_success: expected steps of random actions, episode after episode, until the first success.
        optimal_share: mean over reachable states, and the steps of an episode at which they are, of the share of
            actions that are optimal.
        smallest_gap: the smallest difference between an optimal action's value and that of one that is not.
        sum_of_reciprocal_gaps: the sum of 1 / difference.
        value_norm: largest standard deviation of the best value of the next state.
        discount: of the values that the gaps and the value norm are of.
        diameter: largest over pairs of states of the smallest expected steps from one to the other, in episodes that
            follow each other.
        diameter_without_limit: the same without the time limit.
        arms: expected reward of each arm of a bandit.
        lai_robbins: of a bandit that pays 0 or 1, Σ (best - mean) / KL(mean, best) over the worse arms: regret grows
            at least as fast as this times the logarithm of the pulls.
        notes: why something is not known.
    """

    environment: str
    observations: str
    actions: str
    time_limit: int | None
    success_rule: str
    states: int | None = None
    reachable_states: int | None = None
    outcomes: int | None = None
    is_deterministic: bool | None = None
    best_return: float | None = None
    random_return: float | None = None
    worst_return: float | None = None
    best_success_rate: float | None = None
    random_success_rate: float | None = None
    random_steps: float | None = None
    random_steps_to_success: float | None = None
    optimal_share: float | None = None
    smallest_gap: float | None = None
    sum_of_reciprocal_gaps: float | None = None
    value_norm: float | None = None
    discount: float | None = None
    diameter: float | None = None
    diameter_without_limit: float | None = None
    arms: tuple[float, ...] | None = None
    lai_robbins: float | None = None
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values by name."""
        return dataclasses.asdict(self)

    def lines(self) -> list[tuple[str, str]]:
        """Facts that are known, as pairs of a name and a text; notes last."""
        facts: list[tuple[str, str]] = [
            ("environment", self.environment),
            ("observations", self.observations),
            ("actions", self.actions),
            ("time limit", "none" if self.time_limit is None else f"{self.time_limit:,} steps"),
            ("success", self.success_rule),
        ]
        if self.states is not None:
            facts.append(("states", f"{self.states:,}, of which {self.reachable_states:,} can be reached"))
            chance = "every action has one" if self.is_deterministic else "by chance"
            facts.append(("outcomes", f"{self.outcomes:,}, {chance}"))
        facts.append(("return", _joined(best=self.best_return, random=self.random_return, worst=self.worst_return)))
        facts.append(("success rate", _joined(best=self.best_success_rate, random=self.random_success_rate)))
        if self.random_steps is not None:
            to_success = self.random_steps_to_success
            text = f"{_text(self.random_steps)} an episode"
            facts.append(
                ("random steps", text + (f", {_text(to_success)} until a success" if to_success is not None else ""))
            )
        if self.arms is not None:
            facts.append(("arms", ", ".join(_text(arm) for arm in self.arms)))
        if self.optimal_share is not None:
            facts.append(("optimal actions", f"{_text(100 * self.optimal_share)} % in a state"))
        if self.discount is not None:
            gap = (
                "none: all actions are as good" if self.smallest_gap is None else f"{_text(self.smallest_gap)} at least"
            )
            reciprocals = f", sum of reciprocals {_text(self.sum_of_reciprocal_gaps)}"
            facts.append(("gaps", gap + (reciprocals if self.smallest_gap is not None else "")))
            facts.append(("value norm", f"{_text(self.value_norm)}" + self._of_discount))
        if self.diameter is not None:
            text = f"{_text(self.diameter)} steps"
            if self.time_limit is not None and self.diameter_without_limit is not None:
                text += f", without the time limit {_text(self.diameter_without_limit)}"
            facts.append(("diameter", text))
        if self.lai_robbins is not None:
            facts.append(("Lai-Robbins", f"regret of at least {_text(self.lai_robbins)} x ln(pulls)"))
        return [fact for fact in facts if fact[1]] + [("note", note) for note in self.notes]

    @property
    def _of_discount(self) -> str:
        return "" if self.discount == 1.0 else f"  (values with discount {self.discount:g}, as the gaps)"

    def __str__(self) -> str:
        return "\n".join(f"{name:>16}  {text}" for name, text in self.lines())


def describe(
    env: gym.Env[Any, Any] | EnvironmentConfiguration | Callable[[], gym.Env[Any, Any]] | str,
    *,
    success: str | None = None,
    discount: float | None = None,
) -> EnvironmentDescription:
    """Facts of an environment, and how hard it is to explore: diameter, value norm and gaps, as in Colosseum.

    Args:
        env: an environment, its expression such as "FrozenLake-v1(is_slippery=False)", or a factory.
        success: success rule instead of the environment's own, such as "return > 0".
        discount: of the values of gaps and value norm; by default 1, and without a time limit 0.99 where undiscounted
            values do not settle.

    Raises:
        ValueError: an expression, rule, discount or environment that is not allowed; one line.

    Source: Conserva & Rauber (2022), Hardness in Markov Decision Processes: Theory and Practice.
    """
    if discount is not None:
        discount = check_number("discount", discount, 0.0, 1.0)
    given = env if isinstance(env, gym.Env) else None
    named = like(given) if given is not None else read_environment(env)
    profile = EnvironmentProfile.of(named.label, named.make, success, keeps_open=given)
    made = named.make() if given is None else given
    try:
        spaces, limit = (made.observation_space, made.action_space), time_limit_of(made)
    finally:
        if given is None:
            made.close()
    observations, actions = (" ".join(str(space).split()) for space in spaces)
    known: dict[str, Any] = {}
    if profile.best is not None:
        known |= {"best_return": profile.best.expected_return, "best_success_rate": profile.best.success_rate}
    if profile.random is not None:
        known |= {"random_return": profile.random.expected_return, "random_success_rate": profile.random.success_rate}
    notes: list[str] = []
    if profile.model is None:
        reason = profile.model_reason or profile.generic_reason or f"{named.label} has no transition model"
        notes.append(f"no more is known without a transition model: {reason}")
    else:
        known |= _of_model(profile.model, profile.success, known.get("random_success_rate"), discount, notes)
        if profile.best is None:
            notes.append("the best return does not settle without a time limit: give max_episode_steps")
    return EnvironmentDescription(
        named.label, observations, actions, limit, profile.rule.description, **known, notes=tuple(notes)
    )


def _of_model(
    model: TransitionModel, success: np.ndarray | None, random_rate: float | None, discount: float | None,
    notes: list[str],
) -> dict[str, Any]:  # fmt: skip
    counts = np.add.reduceat((model.probabilities > 0.0).astype(np.int64), model.offsets[:-1])
    known: dict[str, Any] = {
        "states": model.num_states,
        "outcomes": model.num_outcomes,
        "is_deterministic": bool((counts == 1).all()),
        "reachable_states": int(hardness.reachable(model.with_time_limit(None)).sum()),
        "worst_return": hardness.worst_return(model),
    }
    if known["worst_return"] is None:
        notes.append("the worst return does not settle without a time limit")
    known["random_steps"], known["random_steps_to_success"] = hardness.random_steps(model, random_rate)
    is_bandit = model.num_states == 1
    if is_bandit:
        known |= _of_arms(model, notes)
    try:
        # A bandit's gaps are those of one pull.
        gaps = hardness.gaps_of(model.with_time_limit(1) if is_bandit else model, discount)
        known |= {
            "optimal_share": gaps.optimal_share, "smallest_gap": gaps.smallest_gap, "value_norm": gaps.value_norm,
            "sum_of_reciprocal_gaps": gaps.sum_of_reciprocals, "discount": gaps.discount,
        }  # fmt: skip
    except NotConvergedError as error:
        notes.append(f"gaps and value norm are not computed: {error}")
    try:
        known["diameter"] = hardness.diameter(model)
        if model.time_limit is not None:
            known["diameter_without_limit"] = hardness.diameter(model.with_time_limit(None))
    except NotConvergedError as error:
        notes.append(f"the diameter is not computed: {error}")
    return known


def _of_arms(model: TransitionModel, notes: list[str]) -> dict[str, Any]:
    means = model.expected_rewards()
    known: dict[str, Any] = {"arms": tuple(means.tolist())}
    if np.isin(model.rewards[model.probabilities > 0.0], (0.0, 1.0)).all():
        best = float(means.max())
        known["lai_robbins"] = sum((best - mean) / _divergence(mean, best) for mean in means.tolist() if mean < best)
    else:
        notes.append("the Lai-Robbins constant is not computed: the arms pay more than 0 or 1")
    return known


def _divergence(first: float, second: float) -> float:
    """Kullback-Leibler divergence of two Bernoulli distributions, KL(first, second) with first < second."""
    if second == 1.0:
        return math.inf
    least = 0.0 if first == 0.0 else first * math.log(first / second)
    return least + (1.0 - first) * math.log((1.0 - first) / (1.0 - second))


def _text(value: float | None) -> str:
    if value is None:
        return "-"
    # What is less is rounding.
    return "infinite" if math.isinf(value) else number(0.0 if abs(value) < 1e-16 else value)


def _joined(**values: float | None) -> str:
    return ", ".join(f"{_text(value)} {name}" for name, value in values.items() if value is not None)
