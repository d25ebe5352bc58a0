"""Mistakes of a learner, from what it did with the environment and the table that it handed in."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from velodrome.agents.agent import Agent
from velodrome.agents.planning import NotConvergedError, optimal_action_values
from velodrome.envs.model import TransitionModel
from velodrome.experiments.grading.diagnosis.choices import can_be_judged, diagnose_choices
from velodrome.experiments.grading.diagnosis.interaction_mistakes import diagnose_interaction
from velodrome.experiments.grading.diagnosis.replay import Replay, within
from velodrome.experiments.grading.diagnosis.rule import Experience, Rule
from velodrome.experiments.grading.diagnosis.states import living_states
from velodrome.experiments.grading.diagnosis.table_mistakes import misplaced_tables
from velodrome.experiments.grading.diagnosis.update_mistakes import (
    OTHER_DISCOUNT,
    OTHER_RATE,
    Case,
    mistakes_of,
    other_numbers,
)
from velodrome.experiments.grading.findings import Evidence, Finding
from velodrome.experiments.grading.interaction import Interaction

# A table that differs from the right one in fewer values may agree with a mistake by chance.
FEWEST_VALUES = 3

UNEXPLAINED = (
    "action values differ",
    "The table is not what these steps teach by the assignment's rule, and no mistake that is known explains it. Look "
    "at the first of the values that are named, and compute it by hand.",
)
NOT_LEARNT = (
    "table not learnt from its steps",
    "The table is the exact solution, which these steps cannot teach. Hand in what was learnt.",
)
OTHER_FIRST_VALUES = (
    "other first values",
    "The table starts from other values than the assignment asks for. Look at how it is made.",
)


@dataclass(frozen=True)
class _Match:
    """Mistakes that explain a table: name and sentence of each, what is added to the evidence, and their replay."""

    mistakes: tuple[tuple[str, str], ...]
    replay: Replay
    remark: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.mistakes)


def diagnose_learner(
    interaction: Interaction,
    submitted: np.ndarray | None,
    *,
    is_policy: bool,
    reference: Agent,
    model: TransitionModel,
    episodes: int | None,
) -> list[Finding]:
    """Mistakes of a learner, those of its loop first; empty where none is seen.

    Args:
        interaction: all that it did with the environment.
        submitted: action values float64 (S, A) that it learnt, or a policy's probabilities; None where it handed in
            nothing that can be read, and only its loop can be judged.
        is_policy: which of the two.
        reference: the assignment's agent, untrained.
        model: of the environment.
        episodes: number that the assignment asks for; None where it asks for steps.
    """
    # What was stopped did not choose its number of episodes.
    findings = diagnose_interaction(interaction, None if submitted is None else episodes)
    rule = Rule.of(reference)
    if rule is None or submitted is None or not len(interaction.states):
        return findings
    experience = Experience(interaction, model.num_states, model.num_actions)
    right = experience.replay(rule)
    if is_policy:
        used: Replay | None = right
    else:
        submitted = np.asarray(submitted, dtype=np.float64)
        case = Case(rule, experience, submitted, living_states(model))
        found, used = diagnose_table(case, right)
        # What was learnt of steps that were not carried out is not known.
        if used is None and not interaction.steps_after_end and not interaction.steps_beyond_budget:
            found.extend(_known_at_least(case, right, model))
        findings.extend(found)
    if used is not None and np.isfinite(used.table()).all():
        findings.extend(diagnose_choices(rule, experience, used))
    return findings


def learns_as_asked(interaction: Interaction, submitted: np.ndarray, reference: Agent, model: TransitionModel) -> bool:
    """Whether a table is what the reference's rule makes of every step: right, however well it then acts.

    False, too, of a reference whose exploration cannot be judged, and of a learner that took no step.

    Args:
        interaction: all that the learner did with the environment.
        submitted: action values that it learnt, float64 (S, A).
        reference: the assignment's agent, untrained.
        model: of the environment.
    """
    rule = Rule.of(reference)
    if rule is None or not can_be_judged(rule) or not len(interaction.states):
        return False
    experience = Experience(interaction, model.num_states, model.num_actions)
    case = Case(rule, experience, np.asarray(submitted, dtype=np.float64), living_states(model))
    right = experience.replay(rule)
    return any(case.agrees(same, everywhere=False) for same in (right, right.in_single_precision()))


def diagnose_table(case: Case, right: Replay) -> tuple[list[Finding], Replay | None]:
    """Mistakes of a learnt table, and the replay that explains it; None where nothing does."""
    for same in (right, right.in_single_precision()):
        if case.agrees(same, everywhere=False):
            return [], same
    table, submitted = right.table(), case.submitted
    if submitted.shape == table.shape:
        # Whatever stands in other rows is nobody's mistake.
        submitted = np.where(case.rows[:, None], submitted, table)
    # Other rows tell some mistakes apart, where they were not left out.
    found = list(_single(case, right, True)) or list(_single(case, right, False))
    if not found:
        misplaced = misplaced_tables(table, submitted)
        if misplaced:
            alone = len(misplaced) == 1 and _count_different(table, submitted) >= FEWEST_VALUES
            return [Finding(name, text, evidence, alone) for name, text, evidence in misplaced], right
    found = found or list(_numbers(case, right)) or list(_pairs(case, right))
    return (_findings(case, right, table, found), found[0].replay) if found else ([], None)


def _count_different(table: np.ndarray, other: np.ndarray) -> int:
    if table.shape != other.shape:
        return table.size
    return int((~np.isclose(table, other, rtol=1e-9, atol=1e-9, equal_nan=True)).sum())


def _single(case: Case, right: Replay, everywhere: bool) -> Iterator[_Match]:
    for mistake in mistakes_of(case.rule):
        changed = mistake.change(right, case)
        if case.agrees(changed, everywhere=everywhere):
            yield _Match(((mistake.name, mistake.sentence),), changed)


def _numbers(case: Case, right: Replay) -> Iterator[_Match]:
    for rate, discount, changed in other_numbers(right, case.rule):
        if case.agrees(changed, everywhere=False):
            pairs = ((OTHER_RATE, rate, "α"), (OTHER_DISCOUNT, discount, "γ"))
            known = [(text, f"{letter} = {number:g}") for text, number, letter in pairs if number is not None]
            yield _Match(tuple(text for text, _ in known), changed, ", ".join(remark for _, remark in known))


def _pairs(case: Case, right: Replay) -> Iterator[_Match]:
    common = [mistake for mistake in mistakes_of(case.rule) if mistake.is_common]
    for first, second in itertools.combinations(common, 2):
        changed = second.change(first.change(right, case), case)
        if case.agrees(changed, everywhere=False):
            yield _Match(((first.name, first.sentence), (second.name, second.sentence)), changed)


def _findings(case: Case, right: Replay, table: np.ndarray, matches: list[_Match]) -> list[Finding]:
    """Findings of the matches with the fewest mistakes, all of them where several explain the table."""
    evidence = first_difference(case.experience, right, matches[0].replay)
    differing = _count_different(table[case.rows], case.submitted[case.rows])
    names = dict.fromkeys(match.names for match in matches)
    findings: dict[str, Finding] = {}
    for match in matches:
        others = [
            Evidence.joined(map(Evidence, other), "{one} with {other}") for other in names if other != match.names
        ]
        together = [name for name in match.names if name not in ("other discount", "other learning rate")]
        for name, sentence in match.mistakes:
            said = [match.remark] if match.remark else []
            if len(together) > 1:
                beside = Evidence.names(other for other in match.names if other != name)
                said.append(Evidence("together with {names}", names=beside))
            said.append(evidence)
            if others:
                said.append(Evidence("these steps agree as well with: {names}", names=Evidence.names(others)))
            is_certain = not others and differing >= FEWEST_VALUES
            findings.setdefault(name, Finding(name, sentence, Evidence.joined(said), is_certain))
    return list(findings.values())


def first_difference(experience: Experience, right: Replay, wrong: Replay) -> str:
    """The first step after which two replays hold other tables, with the values of both."""
    if not np.array_equal(right.initial, wrong.initial):
        return Evidence(
            "the table starts from {yours}, the assignment's from {right}",
            yours=f"{wrong.initial.flat[0]:.6g}", right=f"{right.initial.flat[0]:.6g}",
        )  # fmt: skip
    ours, theirs = right.trace(), wrong.trace()
    same_pair = (right.states == wrong.states) & (right.actions == wrong.actions)
    changed = (ours.before != ours.written) | (theirs.before != theirs.written)
    with np.errstate(invalid="ignore"):
        far = np.abs(ours.written - theirs.written) > 1e-9 * np.maximum(1.0, np.abs(ours.written))
    different = np.flatnonzero(np.where(same_pair, far, changed))
    if not len(different):
        return ""
    step = int(different[0])
    done = experience.interaction
    end = "terminated" if done.terminated[step] else "truncated" if done.truncated[step] else "going on"
    says = f"{ours.written[step]:.6g}"
    if not same_pair[step]:
        says = f"Q({right.states[step]}, {right.actions[step]}) = {says}"
    return Evidence(
        "at step {step} (episode {episode}, state {state}, action {action}, reward {reward}, next state {next_state}, "
        "{end}) yours left {yours}, the rule says {right}",
        step=f"{step + 1:,}", episode=f"{experience.episode[step] + 1:,}", state=done.states[step],
        action=done.actions[step], reward=f"{done.rewards[step]:g}", next_state=done.next_states[step],
        end=Evidence(end), yours=f"Q({wrong.states[step]}, {wrong.actions[step]}) = {theirs.written[step]:.6g}",
        right=says,
    )  # fmt: skip


def _known_at_least(case: Case, right: Replay, model: TransitionModel) -> list[Finding]:
    """What can be said of a table that no mistake explains."""
    low, high = right.bounds()
    submitted = case.submitted
    if submitted.shape != low.shape:
        return [Finding(*UNEXPLAINED, f"its shape is {submitted.shape}, the assignment's {low.shape}", True)]
    if not np.isfinite(submitted).all():
        bad = np.argwhere(~np.isfinite(submitted))[0]
        return [Finding(*UNEXPLAINED, f"Q({bad[0]}, {bad[1]}) = {submitted[tuple(bad)]}", True)]
    findings = []
    new = np.ones(low.shape, dtype=np.bool_)
    new[right.states, right.actions] = False
    odd = new & (np.abs(submitted - right.initial) > 1e-12)
    if new.any() and (odd == new).all():
        state, action = np.argwhere(odd)[0]
        evidence = (
            f"{int(odd.sum()):,} pairs were never tried and hold other values than {right.initial[state, action]:g}, "
            f"such as Q({state}, {action}) = {submitted[state, action]:.6g}"
        )
        return [Finding(*OTHER_FIRST_VALUES, evidence, int(odd.sum()) >= FEWEST_VALUES)]
    if _is_exact(submitted, model, case.rule.discount, case.rows):
        return [Finding(*NOT_LEARNT, "its values are those of dynamic programming to six digits", True)]
    off = np.maximum(low - submitted, submitted - high)
    off[~case.rows] = -np.inf
    wrong = off > 1e-9 * np.maximum(1.0, np.abs(high))
    state, action = np.unravel_index(int(np.argmax(np.where(new, -np.inf, off))), off.shape)
    visits = int(((right.states == state) & (right.actions == action)).sum())
    evidence = Evidence(
        "{wrong} of {all} values differ, in {states} states; the largest difference is at {place}, updated {visits} "
        "times: yours {yours}, the rule says {right}",
        wrong=f"{int(wrong.sum()):,}", all=f"{wrong.size:,}", states=f"{int(wrong.any(axis=1).sum()):,}",
        place=f"Q({state}, {action})", visits=f"{visits:,}", yours=f"{submitted[state, action]:.6g}",
        right=f"{high[state, action]:.6g}",
    )  # fmt: skip
    findings.append(Finding(*UNEXPLAINED, evidence, True))
    return findings


def _is_exact(submitted: np.ndarray, model: TransitionModel, discount: float, rows: np.ndarray) -> bool:
    try:
        exact = optimal_action_values(model, discount, 1e-10, 20_000)
    except NotConvergedError:
        return False
    return within(submitted[rows], exact[rows], exact[rows], 1e-6)
