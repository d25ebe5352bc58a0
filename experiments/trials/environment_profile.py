"""An environment as every agent of an experiment meets it: its model, its success rule and the limits on it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import gymnasium as gym
import numpy as np

from velodrome.agents.agent import Agent
from velodrome.agents.engine.sampled_model import SampledModel
from velodrome.agents.errors import BudgetError
from velodrome.agents.planning.dynamic_programming import (
    ExactValue,
    NotConvergedError,
    best_possible,
    random_value,
)
from velodrome.agents.side_by_side import compiled_form
from velodrome.envs.bandit import Bandit, reason_not_compiled
from velodrome.envs.linear_contextual_bandit import LinearContextualBandit
from velodrome.envs.model.known_dynamics import DYNAMICS, reason_changed
from velodrome.envs.model.model_sampling import reason_not_sampled_from_model
from velodrome.envs.model.transition_model import NoTransitionModelError, TransitionModel, UntrueModelError
from velodrome.envs.regret_bound import lai_robbins_constant
from velodrome.envs.success_rules import SuccessRule, success_rule
from velodrome.envs.vector_form import VectorForm
from velodrome.envs.wrapper_chain import is_transparent, layers_of, wrappers_of
from velodrome.experiments.trials.contents import Contents
from velodrome.experiments.trials.evaluation_environment import may_hold_state


@dataclass(frozen=True, eq=False)
class EnvironmentProfile:
    """All that is known of an environment before anyone learns.

    Attributes:
        label: the environment's expression.
        make: makes a new environment.
        rule: decides which episodes succeed.
        model: its transition model, or None.
        success: outcomes with which a successful episode ends, bool (num_outcomes,), or None.
        best: the best possible values, or None where neither a model, labelled examples nor a bandit's arms say.
        random: the uniformly random policy's values, likewise.
        generic_reason: why the compiled loop cannot run it, or None where it can.
        model_reason: why the transitions that it lists are not its model, where that is not because of what is around
            it; None elsewhere.
        transitions: "untrue" where there is such a reason, "without start" where the model's start is that of its
            resets, None elsewhere; for trials' keys.
        keeps_open: the caller's own environment, which is never closed.
        classes: of the environment and the wrappers around it.
        contents: images or texts that it has.
        spec_id: id with which it is registered, or None.
        arguments: with which it is made by that id.
        bandit: the environment without its wrappers, where it is a `Bandit` whose arms are known; None of others.
    """

    label: str
    make: Callable[[], gym.Env[Any, Any]]
    rule: SuccessRule
    model: TransitionModel | None
    success: np.ndarray | None
    best: ExactValue | None
    random: ExactValue | None
    generic_reason: str | None
    keeps_open: gym.Env[Any, Any] | None = None
    classes: tuple[type, ...] = ()
    contents: Contents = Contents()
    model_reason: str | None = None
    transitions: str | None = None
    spec_id: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    bandit: Bandit | None = None

    @classmethod
    def of(
        cls,
        label: str,
        make: Callable[[], gym.Env[Any, Any]],
        success: str | None = None,
        keeps_open: gym.Env[Any, Any] | None = None,
    ) -> "EnvironmentProfile":
        """Look at an environment once, for all trials on it; `keeps_open` is the caller's own, never closed.

        Args:
            label: of the environment.
            make: makes it.
            success: rule that decides whether an episode succeeded; the environment's own if None.
            keeps_open: environment to look at instead of a new one; it is not closed.

        Raises:
            UnknownEnvironmentError: it cannot be made.
            TransitionModelError: its P is not valid.
        """
        env = make() if keeps_open is None else keeps_open
        try:
            rule = success_rule(env, success)
            model, model_reason, transitions = _model_of(env)
            bandit = known_bandit(env)
            reason = reason_not_sampled_from_model(env) if bandit is None else reason_not_compiled(env)
            classes = tuple(type(layer) for layer in layers_of(env))
            contents = Contents.of(env, rule)
            spec_id, arguments = (None, {}) if env.spec is None else (env.spec.id, dict(env.spec.kwargs))
        finally:
            if env is not keeps_open:
                env.close()
        known = (keeps_open, classes, contents, model_reason, transitions, spec_id, arguments)
        if bandit is not None:
            best, random = (None, None) if bandit.has_own_arms else limits_of(bandit)
            return cls(label, make, rule, None, None, best, random, reason, *known, bandit.fresh())
        if model is None:
            best, random = limits_with_contexts(env) or (contents.best, contents.random)
            return cls(label, make, rule, None, None, best, random, reason, *known)
        outcomes = rule.success_outcomes(model)
        try:
            best = best_possible(model, outcomes)
        except NotConvergedError:
            best = None
        random = random_value(model, outcomes)
        return cls(label, make, rule, model, outcomes, best, random, reason, *known)

    @cached_property
    def vector_form(self) -> VectorForm | str | None:
        """Its native vector form, found to be exact; None where it has none, and why where it cannot be used."""
        return None if self.keeps_open is not None else VectorForm.of(self.make)

    @cached_property
    def quickest_vector_form(self) -> VectorForm:
        """The native vector form, or one that takes its place; only where `vector_form` is one."""
        assert isinstance(self.vector_form, VectorForm)
        return compiled_form(self.vector_form, self.make)

    @cached_property
    def lai_robbins(self) -> float | None:
        """Factor of the Lai-Robbins bound on pseudo-regret; see `lai_robbins_constant`.

        None where there is none, and where each seed has arms of its own: their factors have no mean.
        """
        known = self.model if self.bandit is None else self.bandit
        has_own_arms = self.bandit is not None and self.bandit.has_own_arms
        return None if known is None or has_own_arms else lai_robbins_constant(known)

    @cached_property
    def exact_values(self) -> dict[tuple[tuple[int, ...], bytes], ExactValue]:
        """Exact values of policies on the model so far, by shape and bytes of the policy."""
        return {}

    @property
    def judged_by(self) -> dict[str, str]:
        """Rules by which its trials are judged beside those asked for, JSON-ready; empty of most environments."""
        judged = {"success_rule": self.rule.description} if self.rule.why else {}
        if any(may_hold_state(kind) for kind in self.classes):
            judged["wrappers"] = "as training left them"
        return judged

    def episodes_of(self, agent: Agent, epochs: int) -> int:
        """Episodes of so many passes of an agent through the labelled examples.

        Args:
            agent: that learns from labelled examples.
            epochs: passes through them.

        Raises:
            BudgetError: there are none.
        """
        number = self.contents.num_examples
        if number is None:
            raise BudgetError(
                f"epochs are passes through labelled examples, and {self.label} has none: give episodes or steps"
            )
        return epochs * agent.episodes_per_epoch(number)

    def sampled_model(self) -> SampledModel:
        """The model for one trial of the compiled loop; the agent seeds its stream."""
        if self.bandit is not None:
            bandit = self.bandit.fresh()
            return SampledModel(bandit.model_of_expected_rewards(), self.rule, self.label, bandit=bandit)
        assert self.model is not None
        return SampledModel(self.model, self.rule, self.label)

    def after(self, agent: Agent) -> "EnvironmentProfile":
        """The profile of the environment as an agent's training left it: of a bandit, with the arms as they then are.

        Others are themselves.

        Args:
            agent: trained on the environment.
        """
        if self.bandit is None:
            return self
        bandit = trained_bandit(agent)
        if bandit is None:
            return self
        model = bandit.model_of_expected_rewards()
        best, random = limits_of(bandit)
        success = self.rule.success_outcomes(model)
        return replace(self, bandit=bandit, model=model, success=success, best=best, random=random)


def trained_bandit(agent: Agent) -> Bandit | None:
    """The bandit whose arms an agent has pulled, as training left it, wrapped or not; None where it is none."""
    place = None if agent.binding is None else agent.binding.environment
    bandit = place.bandit if isinstance(place, SampledModel) else getattr(place, "unwrapped", None)
    if not isinstance(bandit, Bandit) or reason_changed(bandit, Bandit, DYNAMICS) is not None:
        return None
    return bandit


def known_bandit(env: gym.Env[Any, Any]) -> Bandit | None:
    """The environment without its wrappers, where these change nothing and it is a `Bandit`; else None."""
    unwrapped = env.unwrapped
    if not isinstance(unwrapped, Bandit) or any(not is_transparent(wrapper) for wrapper in wrappers_of(env)):
        return None
    return unwrapped if reason_changed(unwrapped, Bandit, DYNAMICS) is None else None


def limits_with_contexts(env: gym.Env[Any, Any]) -> tuple[ExactValue, ExactValue] | None:
    """Values of always pulling the best arm for the context, and of pulling any at random; None where not known."""
    bandit = env.unwrapped
    if not isinstance(bandit, LinearContextualBandit) or not all(map(is_transparent, wrappers_of(env))):
        return None
    if reason_changed(bandit, LinearContextualBandit, ("step", "reset")) is not None:
        return None
    # A context and its opposite are as likely, so that every arm pays 0 on average.
    return ExactValue(1.0, bandit.best_return), ExactValue(1.0 / len(bandit.parameters), 0.0)


def limits_of(bandit: Bandit) -> tuple[ExactValue, ExactValue]:
    """Values of always pulling a best arm, and of pulling any at random, with the arms as they are."""
    expected, best = bandit.model_of_expected_rewards().rewards, bandit.best_arms
    return ExactValue(1.0, float(expected[best].max())), ExactValue(float(best.mean()), float(expected.mean()))


def _model_of(env: gym.Env[Any, Any]) -> tuple[TransitionModel | None, str | None, str | None]:
    """The model, or None with the reason why the transitions that an environment lists are none; `transitions`."""
    try:
        model = TransitionModel.of(env)
    except UntrueModelError as error:
        return None, str(error), "untrue"
    except NoTransitionModelError:
        return None, None, None
    has_start = any(hasattr(env.unwrapped, name) for name in ("initial_state_distrib", "model"))
    return model, None, None if has_start else "without start"
