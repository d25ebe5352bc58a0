"""Mistakes of a learning rule, each as a change of the right replay."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from velodrome.experiments.grading.diagnosis import replay as replaying
from velodrome.experiments.grading.diagnosis.replay import Replay
from velodrome.experiments.grading.diagnosis.rule import Experience, Rule
from velodrome.policies.schedules import Constant

RATES = (0.001, 0.01, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99, 1.0)
DISCOUNTS = (0.0, 0.1, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999, 1.0)


@dataclass(frozen=True, eq=False)
class Case:
    """What a mistake is judged by.

    Attributes:
        rule: of the assignment.
        experience: of the learner.
        submitted: table that was handed in.
        rows: those of states in which steps are taken, bool (S,).
    """

    rule: Rule
    experience: Experience
    submitted: np.ndarray
    rows: np.ndarray

    def agrees(self, changed: Replay, *, everywhere: bool = True) -> bool:
        """Whether the table is that of a replay, in all rows or in those of states in which steps are taken."""
        rows = None if everywhere or len(self.rows) != len(self.submitted) else self.rows
        with np.errstate(all="ignore"):
            return changed.agrees(self.submitted, rows)


@dataclass(frozen=True)
class UpdateMistake:
    """A mistake of the learning rule.

    Attributes:
        name: of its finding.
        sentence: likewise.
        change: makes a right replay a mistaken one.
        is_common: whether it is also looked for together with a second one.
        of_one_step: whether a single update can show it.
    """

    name: str
    sentence: str
    change: Callable[[Replay, Case], Replay]
    is_common: bool = False
    of_one_step: bool = True


def _terminated_too(right: Replay, case: Case) -> Replay:
    ended = case.experience.interaction.terminated
    return replace(right, discounts=np.where(ended, case.rule.discount, right.discounts))


def _not_where_truncated(right: Replay, case: Case) -> Replay:
    return replace(right, discounts=np.where(case.experience.interaction.truncated, 0.0, right.discounts))


def _ends_swapped(right: Replay, case: Case) -> Replay:
    return replace(right, discounts=np.where(case.experience.interaction.truncated, 0.0, case.rule.discount))


def _discount_is(function: Callable[[float], float]) -> Callable[[Replay, Case], Replay]:
    def change(right: Replay, case: Case) -> Replay:
        return replace(right, discounts=np.where(right.discounts != 0.0, function(case.rule.discount), 0.0))

    return change


def _discounts_by_time(right: Replay, case: Case) -> Replay:
    return replace(right, discounts=right.discounts * case.rule.discount**case.experience.step_of_episode)


def _discounts_reward(right: Replay, case: Case) -> Replay:
    return replace(right, rewards=right.rewards * case.rule.discount)


def _discounts_reward_alone(right: Replay, case: Case) -> Replay:
    return _discounts_reward(_discount_is(lambda discount: 1.0)(right, case), case)


def _rates_are(
    rates: Callable[[np.ndarray], np.ndarray], kept: Callable[[np.ndarray], np.ndarray]
) -> Callable[[Replay, Case], Replay]:
    def change(right: Replay, case: Case) -> Replay:
        return replace(right, rates=rates(right.rates), kept=kept(right.rates))

    return change


def _rate_and_discount_swapped(right: Replay, case: Case) -> Replay:
    return replace(
        right,
        rates=np.full_like(right.rates, case.rule.discount),
        kept=np.full_like(right.rates, 1.0 - case.rule.discount),
        discounts=np.where(right.discounts != 0.0, right.rates, 0.0),
    )


def _reward_without_rate(right: Replay, case: Case) -> Replay:
    # Where the rate is 0 nothing is learnt by either.
    return replace(right, rewards=right.rewards / np.where(right.rates > 0.0, right.rates, 1.0))


def _value_is(value: int) -> Callable[[Replay, Case], Replay]:
    return lambda right, case: replace(right, value=value)


def _reads_present_state(right: Replay, case: Case) -> Replay:
    return replace(right, next_states=right.states)


def _writes_next_state(right: Replay, case: Case) -> Replay:
    return replace(right, states=right.next_states)


def _moved(array: np.ndarray) -> np.ndarray:
    return np.append(np.zeros(1, array.dtype), array[:-1])[: len(array)]


def _keeps_last_state(right: Replay, case: Case) -> Replay:
    last = np.where(case.experience.starts, _moved(right.next_states), right.states)
    last[:1] = right.states[:1]
    return replace(right, states=last, chosen_in=last)


def _never_moves_on(right: Replay, case: Case) -> Replay:
    first = right.states[np.arange(case.experience.steps) - case.experience.step_of_episode]
    return replace(right, states=first, chosen_in=first)


def _earlier_reward(right: Replay, case: Case) -> Replay:
    return replace(right, rewards=_moved(right.rewards))


def _earlier_reward_of_episode(right: Replay, case: Case) -> Replay:
    return replace(right, rewards=np.where(case.experience.starts, 0.0, _moved(right.rewards)))


def _earlier_action(right: Replay, case: Case) -> Replay:
    moved = _moved(right.actions)
    return replace(right, actions=np.where(case.experience.starts, right.actions, moved))


def _summed_rewards(right: Replay, case: Case) -> Replay:
    sums = np.cumsum(right.rewards)
    before = np.where(case.experience.starts, _moved(sums), 0.0)
    starts = np.arange(case.experience.steps) - case.experience.step_of_episode
    return replace(right, rewards=sums - before[starts])


def _rewards_are(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[Replay, Case], Replay]:
    return lambda right, case: replace(right, rewards=function(right.rewards))


def _reward_of_ends(right: Replay, case: Case) -> Replay:
    return replace(right, rewards=np.where(case.experience.is_last, right.rewards, 0.0))


def _skips(which: Callable[[Case], np.ndarray]) -> Callable[[Replay, Case], Replay]:
    return lambda right, case: replace(right, skipped=right.skipped | which(case))


def _before_last_episode(case: Case) -> np.ndarray:
    episode = case.experience.episode
    return np.asarray(episode == episode.max(initial=0))


def _before_last_step(case: Case) -> np.ndarray:
    return np.asarray(np.arange(case.experience.steps) == case.experience.steps - 1)


def _all_but_last_episode(case: Case) -> np.ndarray:
    return ~_before_last_episode(case)


def _other_action(by: int) -> Callable[[Replay, Case], Replay]:
    return lambda right, case: replace(right, actions=(right.actions + by) % case.experience.num_actions)


def _backwards(right: Replay, case: Case) -> Replay:
    experience = case.experience
    order = np.lexsort((-experience.step_of_episode, experience.episode))
    names = (
        "states", "actions", "rewards", "next_states", "next_actions", "discounts", "rates", "kept", "exploration",
        "skipped", "chosen_in",
    )  # fmt: skip
    return replace(right, **{name: getattr(right, name)[order] for name in names})


def _stored_as(storage: int) -> Callable[[Replay, Case], Replay]:
    return lambda right, case: replace(right, storage=storage)


def _rate_index(ahead: int) -> Callable[[Replay, Case], Replay]:
    def change(right: Replay, case: Case) -> Replay:
        rates = case.experience.scheduled(case.rule.learning_rate, ahead)
        return replace(right, rates=rates, kept=1.0 - rates)

    return change


def _rate_clock(clock: str) -> Callable[[Replay, Case], Replay]:
    def change(right: Replay, case: Case) -> Replay:
        rates = case.experience.scheduled(case.rule.learning_rate, clock=clock)
        return replace(right, rates=rates, kept=1.0 - rates)

    return change


def _first_rate(right: Replay, case: Case) -> Replay:
    rates = np.full_like(right.rates, case.rule.learning_rate(0))
    return replace(right, rates=rates, kept=1.0 - rates)


def _other_initial(right: Replay, case: Case) -> Replay:
    """Start from the value that pairs without an update have in the table that was handed in."""
    new = np.ones(right.initial.shape, dtype=np.bool_)
    new[right.states, right.actions] = False
    values = case.submitted[new] if case.submitted.shape == new.shape else np.zeros(0)
    if not len(values) or not np.isfinite(values).all():
        return right
    first = np.array(right.initial)
    # Where they are all one value, so were the others; else nobody knows where those began.
    first[:] = np.where(np.ptp(values) == 0.0, values[0], first)
    return replace(right, initial=first)


def _episode_before(right: Replay, case: Case) -> Replay:
    return replace(right, skipped=right.skipped | (case.experience.episode == 0))


def _same(rates: np.ndarray) -> np.ndarray:
    return rates


def _one(rates: np.ndarray) -> np.ndarray:
    return np.ones_like(rates)


_LOOK_AT_DONE = "Look at the flag that decides whether the next state's value is added."

MISTAKES: tuple[UpdateMistake, ...] = (
    UpdateMistake(
        "bootstrap on termination",
        "The value of the next state is added although the episode has terminated there and nothing more can be "
        "earned. Look at the line with the target: a terminal step's target is the reward alone.",
        _terminated_too, True,
    ),
    UpdateMistake(
        "no bootstrap on truncation",
        "A step that the time limit cut is treated as if the world had ended there. Look at the flag: only "
        "`terminated` makes the next state worth nothing, `truncated` does not.",
        _not_where_truncated, True,
    ),
    UpdateMistake(
        "terminated and truncated swapped",
        "Terminated and truncated have changed places. Look at the order in which `env.step` returns them: "
        "next state, reward, terminated, truncated, info.",
        _ends_swapped, True,
    ),
    UpdateMistake(
        "learning rate forgotten",
        "The target replaces the old value; the learning rate is not used. Look at the update: it moves the old value "
        "by only a share α of the error.",
        _rates_are(_one, np.zeros_like), True,
    ),
    UpdateMistake(
        "old value not subtracted",
        "The target is added to the old value; the error is the target minus the old value. Look at the brackets of "
        "the update: Q + α (target − Q).",
        _rates_are(_same, _one), True,
    ),
    UpdateMistake(
        "old value dropped",
        "The new value is α times the target, and the old value is lost. Look at the left side of the update: "
        "(1 − α) Q is missing, or `=` stands where `+=` should.",
        _rates_are(_same, np.zeros_like), True,
    ),
    UpdateMistake(
        "learning rate and its rest swapped",
        "The old value is weighted by α and the target by 1 − α. Look at which of the two the learning rate belongs "
        "to: the target.",
        _rates_are(lambda rates: 1.0 - rates, _same), True,
    ),
    UpdateMistake(
        "learning rate not on the target",
        "The target is added in full to (1 − α) Q. Look at the target's factor: it is α.",
        _rates_are(_one, lambda rates: 1.0 - rates), True,
    ),
    UpdateMistake(
        "learning rate applied twice",
        "The error is multiplied by the learning rate twice. Look at whether α is already in the error when it is "
        "applied again.",
        _rates_are(np.square, lambda rates: 1.0 - rates**2), True,
    ),
    UpdateMistake(
        "learning rate not on the reward",
        "The reward is added in full, without the learning rate. Look at the brackets: α multiplies the whole error, "
        "the reward too.",
        _reward_without_rate, True,
    ),
    UpdateMistake(
        "discount forgotten",
        "The next state's value is not discounted. Look at the target: γ multiplies the value of the next state.",
        _discount_is(lambda discount: 1.0), True,
    ),
    UpdateMistake(
        "discount applied twice",
        "The next state's value is multiplied by γ twice. Look at whether γ is already in the value when it is "
        "applied again.",
        _discount_is(np.square), True,
    ),
    UpdateMistake(
        "discount on the reward too",
        "The reward is discounted as well as the next state's value. Look at the brackets of the target: "
        "reward + γ value, not γ (reward + value).",
        _discounts_reward, True,
    ),
    UpdateMistake(
        "discount on the reward alone",
        "γ multiplies the reward instead of the next state's value. Look at the target: reward + γ value.",
        _discounts_reward_alone, True,
    ),
    UpdateMistake(
        "discount taken from 1",
        "The next state's value is multiplied by 1 − γ. Look at the target: its factor is γ.",
        _discount_is(lambda discount: 1.0 - discount), True,
    ),
    UpdateMistake(
        "discount by the time of the episode",
        "The discount shrinks with every step of the episode, as γ to the power of t. Look at the target: one step "
        "ahead is one factor γ, whatever the time.",
        _discounts_by_time, of_one_step=False,
    ),
    UpdateMistake(
        "no bootstrap at all",
        "Only the reward is learnt; the next state's value is never added. Look at the target: γ times that value is "
        "missing.",
        _discount_is(lambda discount: 0.0), True,
    ),
    UpdateMistake(
        "learning rate and discount swapped",
        "α and γ have changed places. Look at the order of the arguments and of the names that they are given.",
        _rate_and_discount_swapped,
    ),
    UpdateMistake(
        "sign of the error",
        "The values move away from the target. Look at the sign: the error is the target minus the old value, and it "
        "is added.",
        _rates_are(np.negative, lambda rates: 1.0 + rates), True,
    ),
    UpdateMistake(
        "old value added to the error",
        "The old value is added to the target where it should be subtracted. Look at the sign before Q in the error.",
        _rates_are(_same, lambda rates: 1.0 + rates), True,
    ),
    UpdateMistake(
        "sign of the bootstrap",
        "The next state's value is subtracted from the reward. Look at the target: reward plus γ times the value.",
        _discount_is(lambda discount: -discount),
    ),
    UpdateMistake(
        "sign of the reward",
        "The reward is counted with the opposite sign. Look at where the reward enters the target.",
        _rewards_are(np.negative), True,
    ),
    UpdateMistake(
        "value of the present state",
        "The target bootstraps from the state that was left, where it should be the state that was reached. Look at "
        "the index inside the maximum.",
        _reads_present_state, True,
    ),
    UpdateMistake(
        "maximum over the whole table",
        "The maximum is taken over all states. Look at the maximum: it is over the actions of the next state, one row.",
        _value_is(replaying.TABLE_MAX), True,
    ),
    UpdateMistake(
        "minimum for maximum",
        "The smallest value of the next state is taken where the rule takes the largest. Look at the function that "
        "reduces the row.",
        _value_is(replaying.MIN), True,
    ),
    UpdateMistake(
        "mean for maximum",
        "The mean of the next state's values is taken, as if every action were equally likely. Look at the function "
        "that reduces the row.",
        _value_is(replaying.MEAN), True,
    ),
    UpdateMistake(
        "sum for maximum",
        "The next state's values are summed over the actions. Look at the function that reduces the row.",
        _value_is(replaying.SUM),
    ),
    UpdateMistake(
        "argmax for maximum",
        "The index of the best action is used as if it were its value. Look at whether `argmax` stands where `max` "
        "should.",
        _value_is(replaying.BEST_INDEX), True,
    ),
    UpdateMistake(
        "next value of the same action",
        "The target takes the value of the action that was just done, in the next state. Look at the second index of "
        "the next state's value.",
        _value_is(replaying.SAME_ACTION), True,
    ),
    UpdateMistake(
        "next value of the first action",
        "The target always takes the value of action 0 in the next state. Look at the index of the next state's value.",
        _value_is(replaying.FIRST_VALUE),
    ),
    UpdateMistake(
        "Sarsa instead",
        "The target takes the value of the action that was done next, which is Sarsa. Look at what the assignment asks "
        "to bootstrap from.",
        _value_is(replaying.NEXT_ACTION), True,
    ),
    UpdateMistake(
        "Q-learning instead",
        "The target takes the largest value of the next state, which is Q-learning. Look at what the assignment asks "
        "to bootstrap from.",
        _value_is(replaying.MAX), True,
    ),
    UpdateMistake(
        "expected Sarsa instead",
        "The target takes the mean over the exploring policy, which is expected Sarsa. Look at what the assignment "
        "asks to bootstrap from.",
        _value_is(replaying.EXPECTED),
    ),
    UpdateMistake(
        "update of the next state",
        "The value that changes is the next state's, where it should be that of the state that was left. Look at the "
        "index on the left side, and at whether `state = next_state` comes before the update.",
        _writes_next_state, True,
    ),
    UpdateMistake(
        "episode starts from the last state",
        "A new episode begins with the state in which the one before ended. Look at the reset: its observation must be "
        "kept, `state, info = env.reset()`, in every episode.",
        _keeps_last_state, True, of_one_step=False,
    ),
    UpdateMistake(
        "state never moves on",
        "All steps of an episode are learnt as steps of its first state. Look at the end of the loop: "
        "`state = next_state` is missing.",
        _never_moves_on, True, of_one_step=False,
    ),
    UpdateMistake(
        "reward of the step before",
        "Every step is learnt with the reward of the step before it. Look at where the reward is kept until it is "
        "used.",
        _earlier_reward, of_one_step=False,
    ),
    UpdateMistake(
        "reward of the step before",
        "Every step is learnt with the reward of the step before it. Look at where the reward is kept until it is "
        "used.",
        _earlier_reward_of_episode, of_one_step=False,
    ),
    UpdateMistake(
        "action of the step before",
        "Every step is learnt for the action of the step before it. Look at where the action is kept until it is used.",
        _earlier_action, of_one_step=False,
    ),
    UpdateMistake(
        "sum of rewards for reward",
        "The sum of the episode's rewards is learnt where it should be the reward of the step. Look at which variable "
        "enters the target.",
        _summed_rewards, True, of_one_step=False,
    ),
    UpdateMistake(
        "rewards clipped to [-1, 1]",
        "Rewards are clipped to [-1, 1]. Look at what happens to the reward between `env.step` and the target.",
        _rewards_are(lambda rewards: np.clip(rewards, -1.0, 1.0)),
    ),
    UpdateMistake(
        "negative rewards ignored",
        "Negative rewards are learnt as 0. Look at the condition around the reward.",
        _rewards_are(lambda rewards: np.maximum(rewards, 0.0)),
    ),
    UpdateMistake(
        "reward of the last step alone",
        "Only the reward of an episode's last step is learnt. Look at the condition around the reward.",
        _reward_of_ends, of_one_step=False,
    ),
    UpdateMistake(
        "last step not learnt",
        "The last step of every episode is not learnt, and it is often the one with the reward. Look at whether the "
        "loop is left before the update.",
        _skips(lambda case: case.experience.is_last), True, of_one_step=False,
    ),
    UpdateMistake(
        "terminal step not learnt",
        "Steps that terminate are not learnt, and they often carry the reward. Look at whether the loop is left before "
        "the update.",
        _skips(lambda case: case.experience.interaction.terminated), True,
    ),
    UpdateMistake(
        "truncated step not learnt",
        "Steps that the time limit cut are not learnt. Look at the condition before the update.",
        _skips(lambda case: case.experience.interaction.truncated), True,
    ),
    UpdateMistake(
        "first step not learnt",
        "The first step of every episode is not learnt. Look at where the loop of an episode begins.",
        _skips(lambda case: case.experience.starts), of_one_step=False,
    ),
    UpdateMistake(
        "only rewarded steps learnt",
        "Only steps with a reward other than 0 are learnt, so that no value travels back. Look at the condition before "
        "the update.",
        _skips(lambda case: case.experience.interaction.rewards == 0.0), True,
    ),
    UpdateMistake(
        "steps that stay not learnt",
        "Steps that stay in the same state are not learnt. Look at the condition before the update.",
        _skips(lambda case: case.experience.interaction.states == case.experience.interaction.next_states),
    ),
    UpdateMistake(
        "table of before the last episode",
        "What the last episode taught is not in the table. Look at where the table is copied, and whether the copy is "
        "what is returned.",
        _skips(_before_last_episode), True, of_one_step=False,
    ),
    UpdateMistake(
        "table of before the last step",
        "The very last step is not in the table. Look at where the last loop ends.",
        _skips(_before_last_step), of_one_step=False,
    ),
    UpdateMistake(
        "first episode not learnt",
        "The first episode is not learnt. Look at where learning begins.",
        _episode_before, of_one_step=False,
    ),
    UpdateMistake(
        "table made anew in every episode",
        "The table holds only what the last episode taught. Look at where the table is made: once, before the loop "
        "over episodes.",
        _skips(_all_but_last_episode), True, of_one_step=False,
    ),
    UpdateMistake(
        "nothing learnt",
        "The table is as it was made: no step changed it. Look at whether the update is called, and on this table.",
        _skips(lambda case: np.ones(case.experience.steps, dtype=np.bool_)), of_one_step=False,
    ),
    UpdateMistake(
        "value of the next action index",
        "Values are written one action too high. Look at the action's index: actions count from 0.",
        _other_action(1),
    ),
    UpdateMistake(
        "value of the action index before",
        "Values are written one action too low. Look at the action's index: actions count from 0.",
        _other_action(-1),
    ),
    UpdateMistake(
        "episode learnt backwards",
        "The steps of an episode are learnt from the last to the first. Look at the order of the updates: each step is "
        "learnt when it happens.",
        _backwards, of_one_step=False,
    ),
    UpdateMistake(
        "whole numbers in the table",
        "The table holds whole numbers, so that every value loses its decimals. Look at how it is made: "
        "`np.zeros((states, actions))` holds decimals, a `dtype` of int does not.",
        _stored_as(replaying.WHOLE), True,
    ),
    UpdateMistake(
        "other first values",
        "The table starts from other values than the assignment asks for. Look at how it is made.",
        _other_initial, True, of_one_step=False,
    ),
)  # fmt: skip

RATE_MISTAKES: tuple[UpdateMistake, ...] = (
    UpdateMistake(
        "learning rate one index ahead",
        "The learning rate's schedule is read one index too late, as if counting began at 1. Look at its index: it "
        "counts from 0.",
        _rate_index(1), of_one_step=False,
    ),
    UpdateMistake(
        "learning rate one index behind",
        "The learning rate's schedule is read one index too early. Look at its index, and at where it is counted up.",
        _rate_index(-1), of_one_step=False,
    ),
    UpdateMistake(
        "learning rate never decays",
        "The learning rate stays at its first value. Look at where the schedule is read.",
        _first_rate, of_one_step=False,
    ),
    UpdateMistake(
        "learning rate by steps",
        "The learning rate's schedule is read by the number of steps. Look at which counter it is given.",
        _rate_clock("step"), of_one_step=False,
    ),
    UpdateMistake(
        "learning rate by episodes",
        "The learning rate's schedule is read by the number of episodes. Look at which counter it is given.",
        _rate_clock("episode"), of_one_step=False,
    ),
    UpdateMistake(
        "learning rate by visits",
        "The learning rate's schedule is read by the visits of the pair. Look at which counter it is given.",
        _rate_clock("visits"), of_one_step=False,
    ),
)  # fmt: skip

OTHER_DISCOUNT = (
    "other discount",
    "Another discount than the assignment's was used. Look at the value of γ.",
)
OTHER_RATE = (
    "other learning rate",
    "Another learning rate than the assignment's was used. Look at the value of α.",
)


def mistakes_of(rule: Rule) -> tuple[UpdateMistake, ...]:
    """Mistakes that a rule allows, the commonest first."""
    own = {"sarsa": "Sarsa instead", "q_learning": "Q-learning instead", "expected_sarsa": "expected Sarsa instead"}
    known = tuple(mistake for mistake in MISTAKES if mistake.name != own[rule.kind])
    return known if isinstance(rule.learning_rate, Constant) else known + RATE_MISTAKES


Numbers = tuple[float | None, float | None]


def other_numbers(
    right: Replay, rule: Rule, tried: Sequence[Numbers] | None = None
) -> Iterator[tuple[float | None, float | None, Replay]]:
    """Replays with another learning rate, another discount or both, the first two numbers, None where it is right."""
    own_rate = rule.learning_rate(0) if isinstance(rule.learning_rate, Constant) else None
    for rate, discount in itertools.product((None, *RATES), (None, *DISCOUNTS)) if tried is None else tried:
        if (rate is None and discount is None) or rate == own_rate or discount == rule.discount:
            continue
        changed = right
        if rate is not None:
            rates = np.full_like(right.rates, rate)
            changed = replace(changed, rates=rates, kept=1.0 - rates)
        if discount is not None:
            changed = replace(changed, discounts=np.where(right.discounts != 0.0, discount, 0.0))
        yield rate, discount, changed
