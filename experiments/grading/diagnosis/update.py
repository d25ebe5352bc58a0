"""Mistakes of an update function, from what it makes of hand-made transitions."""

import itertools
from collections.abc import Sequence

import numpy as np

from velodrome.agents.agent import Agent
from velodrome.experiments.grading.diagnosis.replay import NEXT_ACTION, Replay, within
from velodrome.experiments.grading.diagnosis.rule import Experience, Rule
from velodrome.experiments.grading.diagnosis.update_mistakes import (
    OTHER_DISCOUNT,
    OTHER_RATE,
    Case,
    UpdateMistake,
    mistakes_of,
    other_numbers,
)
from velodrome.experiments.grading.findings import Evidence, Finding
from velodrome.experiments.grading.interaction import Interaction, Probe

UNCHANGED = (
    "table left as it was",
    "The table is neither changed nor returned. Look at whether the new value is written into the table that was "
    "given, and whether a changed copy is returned.",
)
OTHER_PAIRS = (
    "other values changed too",
    "Values change that have nothing to do with the transition. Look at the index on the left side: one state and one "
    "action, Q[state, action].",
)
ROUNDED = ("values rounded", "The new value is right but for having been rounded. Look at what happens to it last.")
UNEXPLAINED = (
    "update differs",
    "The new value is not that of the assignment's rule, and no mistake that is known explains it. Look at the "
    "transition that is named, and compute its new value by hand.",
)


def diagnose_update(probes: Sequence[Probe], reference: Agent) -> list[Finding]:
    """Mistakes of an update function; empty where its answers are right.

    Args:
        probes: transitions, each with the answer of the function and the right one.
        reference: the assignment's agent, untrained.
    """
    misshapen = [probe for probe in probes if probe.answer.shape != probe.before.shape]
    if misshapen:
        evidence = Evidence(
            "its shape is {shape}, that of the table {right}",
            shape=misshapen[0].answer.shape, right=misshapen[0].before.shape,
        )  # fmt: skip
        return [Finding(*UNEXPLAINED, evidence, True)]
    wrong = [probe for probe in probes if not within(probe.answer, probe.expected, probe.expected)]
    if not wrong:
        return []
    first = wrong[0]
    if all(np.array_equal(probe.answer, probe.before) for probe in probes):
        evidence = Evidence("{number} transitions, and no value changed", number=len(probes))
        return [Finding(*UNCHANGED, evidence, True)]
    rule = Rule.of(reference)
    if rule is not None:
        cases = [_case(rule, probe) for probe in probes]
        matches = _single(rule, cases) or _pairs(rule, cases) or _numbers(rule, cases)
        if matches:
            return _findings(matches, first)
    for decimals in range(9):
        if all(_is_rounded(probe, decimals) for probe in probes):
            evidence = Evidence("to {decimals} decimals; {shown}", decimals=decimals, shown=_shown(first))
            return [Finding(*ROUNDED, evidence, True)]
    others = [probe for probe in probes if _changes_others(probe)]
    if others:
        changed = np.argwhere(others[0].answer != others[0].before)
        places = ", ".join(f"Q({state}, {action})" for state, action in changed[:5])
        evidence = Evidence(
            "of state {state} and action {action} it changed {places}",
            state=others[0].state, action=others[0].action, places=places,
        )  # fmt: skip
        return [Finding(*OTHER_PAIRS, evidence, True)]
    return [Finding(*UNEXPLAINED, _shown(first), True)]


def _others(probe: Probe) -> np.ndarray:
    others = np.ones(probe.before.shape, dtype=np.bool_)
    others[probe.state, probe.action] = False
    return others


def _changes_others(probe: Probe) -> bool:
    others = _others(probe)
    return not np.array_equal(probe.answer[others], probe.before[others])


def _is_rounded(probe: Probe, decimals: int) -> bool:
    pair = probe.state, probe.action
    return not _changes_others(probe) and bool(probe.answer[pair] == np.round(probe.expected[pair], decimals))


def _case(rule: Rule, probe: Probe) -> tuple[Case, Replay]:
    """A transition as an experience of one step, from the table that it was tried on."""
    one = Interaction(
        reset_seeds=(None,),
        reset_states=np.array([probe.state]),
        reset_steps=np.zeros(1, dtype=np.int64),
        states=np.array([probe.state]),
        actions=np.array([probe.action]),
        rewards=np.array([probe.reward]),
        next_states=np.array([probe.next_state]),
        terminated=np.array([probe.terminated]),
        truncated=np.array([probe.truncated]),
        episodes=np.zeros(1, dtype=np.int64),
    )
    experience = Experience(one, *probe.before.shape)
    right = experience.replay(rule)
    chosen = np.array([-1 if probe.next_action is None else probe.next_action])
    values = {**vars(right), "initial": probe.before, "next_actions": chosen}
    return Case(rule, experience, probe.answer, np.ones(len(probe.before), dtype=np.bool_)), Replay(**values)


Cases = list[tuple[Case, Replay]]
Match = tuple[tuple[tuple[str, str], ...], str]


def _mistakes(rule: Rule) -> list[UpdateMistake]:
    return [mistake for mistake in mistakes_of(rule) if mistake.of_one_step]


def _explains(cases: Cases, *mistakes: UpdateMistake) -> bool:
    for case, right in cases:
        changed = right
        for mistake in mistakes:
            changed = mistake.change(changed, case)
        if changed.value == NEXT_ACTION and changed.next_actions[0] < 0 and changed.discounts[0] != 0.0:
            return False
        if not case.agrees(changed):
            return False
    return True


def _single(rule: Rule, cases: Cases) -> list[Match]:
    return [
        (((mistake.name, mistake.sentence),), "") for mistake in _mistakes(rule) if _explains(cases, mistake)
    ]  # fmt: skip


def _pairs(rule: Rule, cases: Cases) -> list[Match]:
    common = [mistake for mistake in _mistakes(rule) if mistake.is_common]
    return [
        (((first.name, first.sentence), (second.name, second.sentence)), "")
        for first, second in itertools.combinations(common, 2)
        if _explains(cases, first, second)
    ]


def _numbers(rule: Rule, cases: Cases) -> list[Match]:
    kept = [(rate, discount) for rate, discount, _ in other_numbers(cases[0][1], rule)]
    for case, right in cases:
        agreeing = {(rate, discount) for rate, discount, one in other_numbers(right, rule, kept) if case.agrees(one)}
        kept = [numbers for numbers in kept if numbers in agreeing]
    matches: list[Match] = []
    for rate, discount in kept:
        known = [(OTHER_RATE, f"α = {rate:g}")] if rate is not None else []
        known += [(OTHER_DISCOUNT, f"γ = {discount:g}")] if discount is not None else []
        matches.append((tuple(text for text, _ in known), ", ".join(remark for _, remark in known)))
    return matches


def _findings(matches: list[Match], first: Probe) -> list[Finding]:
    findings: dict[str, Finding] = {}
    labels = [
        Evidence.joined([Evidence(name) for name, _ in mistakes], "{one} with {other}") for mistakes, _ in matches
    ]
    for (mistakes, remark), label in zip(matches, labels, strict=True):
        others = [other for other in dict.fromkeys(labels) if other != label]
        for name, sentence in mistakes:
            said = [remark] if remark else []
            if len(mistakes) > 1 and not remark:
                together = Evidence.names(other for other, _ in mistakes if other != name)
                said.append(Evidence("together with {names}", names=together))
            said.append(_shown(first))
            if others:
                said.append(Evidence("its answers agree as well with: {names}", names=Evidence.names(others)))
            findings.setdefault(name, Finding(name, sentence, Evidence.joined(said), not others))
    return list(findings.values())


def _shown(probe: Probe) -> Evidence:
    end = "terminated" if probe.terminated else "truncated" if probe.truncated else "going on"
    wrong = np.argwhere(~np.isclose(probe.answer, probe.expected, rtol=1e-9, atol=1e-9))
    state, action = wrong[0] if len(wrong) else (probe.state, probe.action)
    return Evidence(
        "of state {state}, action {action}, reward {reward}, next state {next_state}, {end}, yours made "
        "{place} {yours}, the rule says {right}",
        state=probe.state, action=probe.action, reward=f"{probe.reward:g}", next_state=probe.next_state,
        end=Evidence(end), place=f"Q({state}, {action})", yours=f"{probe.answer[state, action]:.6g}",
        right=f"{probe.expected[state, action]:.6g}",
    )  # fmt: skip
