"""Mistakes of updates, planned action values and policies are named."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

from velodrome.agents.planning import optimal_action_values
from velodrome.envs.model import TransitionModel
from velodrome.experiments.grading.diagnosis import diagnose_update, diagnose_values
from velodrome.experiments.grading.diagnosis.replay import NEXT_ACTION
from velodrome.experiments.grading.diagnosis.rule import Rule
from velodrome.experiments.grading.diagnosis.update import _case
from velodrome.experiments.grading.diagnosis.update_mistakes import mistakes_of
from velodrome.experiments.grading.probes import UpdateReference
from velodrome.experiments.specification.catalogue import build_agent

LAKE = TransitionModel.of(gym.make("FrozenLake-v1"))
CLIFF = TransitionModel.of(gym.make("CliffWalking-v1", max_episode_steps=100))
PLANNER = build_agent("value_iteration(discount=0.9)")
P = gym.make("FrozenLake-v1").unwrapped.P
CLIFF_P = gym.make("CliffWalking-v1").unwrapped.P

AGENTS = [build_agent(f"{name}(discount=0.9, learning_rate=0.1)") for name in ("q_learning", "sarsa")]


def answered(agent, function):
    """Probes with the answers of a function of a table, a transition, and a next action where there is one."""
    probes = UpdateReference(agent).probes(LAKE)
    answers = []
    for probe in probes:
        table = probe.before.copy()
        known = [probe.state, probe.action, probe.reward, probe.next_state, probe.terminated, probe.truncated]
        function(table, *known, *([] if probe.next_action is None else [probe.next_action]))
        answers.append(replace(probe, answer=table))
    return answers


def right(Q, s, a, r, s2, terminated, truncated):
    Q[s, a] = Q[s, a] * 0.9 + 0.1 * (r + 0.9 * max(Q[s2]) * (1 - terminated))


def ends_both(Q, s, a, r, s2, terminated, truncated):
    future = 0 if terminated or truncated else Q[s2].max()
    Q[s, a] += 0.1 * (r + 0.9 * future - Q[s, a])


def no_end(Q, s, a, r, s2, terminated, truncated):
    Q[s, a] += 0.1 * (r + 0.9 * Q[s2].max() - Q[s, a])


def wrong_row(Q, s, a, r, s2, terminated, truncated):
    Q[s2, a] += 0.1 * (r + 0.9 * Q[s2].max() * (not terminated) - Q[s2, a])


def whole_row(Q, s, a, r, s2, terminated, truncated):
    Q[s] += 0.1 * (r + 0.9 * Q[s2].max() * (not terminated) - Q[s])


def elsewhere(Q, s, a, r, s2, terminated, truncated):
    Q = Q.copy()
    Q[s, a] += 1


def rounded(Q, s, a, r, s2, terminated, truncated):
    right(Q, s, a, r, s2, terminated, truncated)
    Q[s, a] = round(Q[s, a], 3)


def two_at_once(Q, s, a, r, s2, terminated, truncated):
    Q[s, a] += 0.1 * (r + Q[s2].max() - Q[s, a])


def other_numbers(Q, s, a, r, s2, terminated, truncated):
    Q[s, a] += 0.5 * (r + 0.99 * Q[s2].max() * (not terminated) - Q[s, a])


def odd(Q, s, a, r, s2, terminated, truncated):
    Q[s, a] += 0.123


UPDATES = [
    (right, []), (ends_both, ["no bootstrap on truncation"]), (no_end, ["bootstrap on termination"]),
    (wrong_row, ["update of the next state"]), (whole_row, ["other values changed too"]),
    (elsewhere, ["table left as it was"]), (rounded, ["values rounded"]),
    (two_at_once, ["bootstrap on termination", "discount forgotten"]),
    (other_numbers, ["other learning rate", "other discount"]), (odd, ["update differs"]),
]  # fmt: skip


@pytest.mark.parametrize(("function", "names"), UPDATES, ids=lambda one: getattr(one, "__name__", ""))
def test_the_mistake_of_an_update_is_named(function, names):
    findings = diagnose_update(answered(AGENTS[0], function), AGENTS[0])
    assert [one.name for one in findings] == names
    assert all(one.certain and one.evidence for one in findings)


@pytest.mark.parametrize("agent", [AGENTS[0], pytest.param(AGENTS[1], marks=pytest.mark.slow)], ids=str)
def test_probes_tell_all_mistakes_of_an_update_apart(agent):
    rule = Rule.of(agent)
    probes = UpdateReference(agent).probes(LAKE)
    cases = [_case(rule, probe) for probe in probes]
    for mistake in mistakes_of(rule):
        changed = [mistake.change(one, case) for case, one in cases]
        if not mistake.of_one_step or (changed[0].value == NEXT_ACTION and rule.kind != "sarsa"):
            continue
        answers = [replace(probe, answer=one.table()) for probe, one in zip(probes, changed, strict=True)]
        findings = diagnose_update(answers, agent)
        assert [(one.name, one.certain) for one in findings] == [(mistake.name, True)]


def planned(P, update, sweeps=2_000, gamma=0.9):
    """Value iteration as a student writes it, with the backup of one outcome."""
    V = np.zeros(len(P))
    for _ in range(sweeps):
        Q = np.array([[sum(update(gamma, V, *one) for one in P[s][a]) for a in P[s]] for s in P])
        V = Q.max(axis=1)
        if np.abs(V).max() > 1e9:
            break
    return Q


def backup(gamma, V, p, s2, r, done):
    return p * (r + gamma * V[s2] * (not done))


VALUES = [
    (LAKE, lambda: planned(P, backup, 400), []),
    (CLIFF, lambda: planned(CLIFF_P, backup, 300), []),
    (LAKE, lambda: planned(P, backup, 400, 0.95), ["other discount"]),
    (LAKE, lambda: planned(P, backup, 7), ["too few sweeps"]),
    (LAKE, lambda: planned(P, backup, 400)[:, ::-1], ["actions in another order"]),
    (LAKE, lambda: np.roll(planned(P, backup, 400), 1, axis=0), ["states shifted"]),
    (LAKE, lambda: np.round(planned(P, backup, 400), 2), ["values rounded"]),
    (LAKE, lambda: planned(P, lambda g, V, p, s, r, d: p * g * (r + V[s]), 400), ["discount on the reward too"]),
    (LAKE, lambda: planned(P, lambda g, V, p, s, r, d: r + p * g * V[s], 400),
     ["reward left out of the probabilities"]),
    (CLIFF, lambda: planned(CLIFF_P, lambda g, V, p, s, r, d: p * (r + g * V[s]), 300), ["bootstrap on termination"]),
    (CLIFF, lambda: planned(CLIFF_P, lambda g, V, p, s, r, d: p * r, 2), ["immediate reward alone", "too few sweeps"]),
    (CLIFF, lambda: planned(CLIFF_P, backup, 300) + 0.1, ["action values differ"]),
]  # fmt: skip


@pytest.mark.parametrize(("model", "submitted", "names"), VALUES)
def test_the_mistake_of_planned_values_is_named(model, submitted, names):
    findings = diagnose_values(submitted(), is_policy=False, reference=PLANNER, model=model, ties="first")
    assert [one.name for one in findings] == names
    assert all("Look at" in one.sentence and one.evidence for one in findings)


def policy_of(values):
    policy = np.zeros(values.shape)
    policy[np.arange(len(values)), values.argmax(axis=1)] = 1.0
    return policy


def named(policy, model):
    return diagnose_values(policy, is_policy=True, reference=PLANNER, model=model, ties="first")


@pytest.mark.parametrize("model", [LAKE, CLIFF], ids=["lake", "cliff"])
def test_a_policy_of_the_optimum_is_accused_of_nothing_however_it_breaks_ties(model):
    values = optimal_action_values(model, 0.9, 1e-12)
    assert named(policy_of(values), model) == []
    assert named(policy_of(np.round(values, 9)[:, ::-1])[:, ::-1], model) == []


def test_the_mistake_of_a_policy_is_named():
    values = optimal_action_values(CLIFF, 0.9, 1e-12)
    (finding,) = named(policy_of(-values), CLIFF)
    assert finding.name == "worst action taken"
    assert finding.certain
    shifted = named(policy_of(values[:, [2, 3, 0, 1]]), CLIFF)
    assert [one.name for one in shifted] == ["actions in another order"]
    assert "[2, 3, 0, 1]" in shifted[0].evidence
    found = named(policy_of(np.zeros((48, 4))), CLIFF)
    assert "first action everywhere" in [one.name for one in found]
    assert not any(one.certain for one in found)


def test_a_policy_for_a_lake_without_slipping_is_named():
    dry = TransitionModel.of(gym.make("FrozenLake-v1", map_name="8x8", is_slippery=False))
    wet = TransitionModel.of(gym.make("FrozenLake-v1", map_name="8x8"))
    findings = named(policy_of(optimal_action_values(dry, 0.9, 1e-12)), wet)
    assert "slipping ignored" in [one.name for one in findings]


def test_a_policy_that_is_merely_bad_is_named_nothing():
    rng = np.random.default_rng(0)
    assert named(policy_of(rng.random((48, 4))), CLIFF) == []
