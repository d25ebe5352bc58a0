"""Mistakes of learners are named by replaying what they did, and right learners are accused of nothing."""

import re
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from student_learners import (
    DECAYED,
    DECAYED_AGENT,
    LAKE,
    NOISE,
    NOISE_AGENT,
    PLAIN,
    PLANTED,
    Q_LEARNING,
    RIGHT,
    SARSA,
    SARSA_AGENT,
    SHORT_LAKE,
    findings_of,
)

from velodrome.envs.model import TransitionModel
from velodrome.experiments.grading import Assignment, Grader
from velodrome.experiments.grading.diagnosis import (
    choices,
    diagnose_learner,
    interaction_mistakes,
    learner,
    learns_as_asked,
    planning,
    table_mistakes,
    update,
    update_mistakes,
)
from velodrome.experiments.grading.diagnosis.learner import diagnose_table
from velodrome.experiments.grading.diagnosis.replay import Replay
from velodrome.experiments.grading.diagnosis.rule import Experience, Rule
from velodrome.experiments.grading.diagnosis.update_mistakes import MISTAKES, RATE_MISTAKES, Case, mistakes_of
from velodrome.experiments.grading.findings import Evidence
from velodrome.experiments.grading.interaction import Interaction
from velodrome.experiments.reporting.languages import Words
from velodrome.experiments.specification.catalogue import build_agent

EPISODES = 300
CLIFF = "CliffWalking-v1, limit 60"
ALL_RIGHT = [(code, Q_LEARNING) for code in RIGHT.values()] + [
    (SARSA, SARSA_AGENT), (DECAYED, DECAYED_AGENT), (NOISE, NOISE_AGENT),
]  # fmt: skip
# The others are as fast, and there are many.
FAST = [one for one in PLANTED if one.environment != CLIFF][::2]


def check_planted(planted):
    findings = findings_of(planted.code, planted.agent, planted.environment, episodes=EPISODES)
    assert [(one.name, one.certain) for one in findings] == [(planted.name, True)]
    assert findings[0].evidence
    assert "Look at" in findings[0].sentence


@pytest.mark.parametrize("planted", FAST, ids=lambda planted: planted.name)
def test_a_planted_mistake_is_named(planted):
    check_planted(planted)


@pytest.mark.slow
@pytest.mark.parametrize("planted", [one for one in PLANTED if one not in FAST], ids=lambda planted: planted.name)
def test_a_planted_mistake_of_the_rest_is_named(planted):
    check_planted(planted)


def test_at_least_forty_mistakes_are_planted():
    assert len({one.name for one in PLANTED}) >= 40


@pytest.mark.parametrize(("code", "agent"), ALL_RIGHT)
def test_a_right_learner_is_accused_of_nothing(code, agent):
    assert findings_of(code, agent, LAKE, episodes=100, seed=3) == []


@pytest.mark.slow
@pytest.mark.parametrize("environment", [LAKE, SHORT_LAKE, CLIFF])
@pytest.mark.parametrize(("code", "agent"), ALL_RIGHT)
def test_right_learners_are_accused_of_nothing_with_many_seeds(code, agent, environment):
    for seed in range(10):
        assert findings_of(code, agent, environment, episodes=60, seed=seed) == []


def tape_of(rng, *, num_states=6, num_actions=3, episodes=30):
    """What a learner could have met: any states, actions, rewards and ends."""
    rows, resets, places = [], [], []
    for episode in range(episodes):
        state = int(rng.integers(num_states))
        resets.append(state)
        places.append(len(rows))
        length = int(rng.integers(1, 12))
        for step in range(length):
            following = int(rng.integers(num_states))
            is_last = step == length - 1
            terminated = is_last and bool(rng.random() < 0.6)
            reward = float(np.round(rng.normal() * 2, 2))
            rows.append((state, int(rng.integers(num_actions)), reward, following, terminated,
                         is_last and not terminated, episode))  # fmt: skip
            state = following
    kinds = (np.int64, np.int64, np.float64, np.int64, np.bool_, np.bool_, np.int64)
    columns = [np.array(column, dtype=kind) for column, kind in zip(zip(*rows, strict=True), kinds, strict=True)]
    return Interaction((None,) * episodes, np.array(resets), np.array(places), *columns)


def case_of(rng, expression):
    rule = Rule.of(build_agent(expression))
    experience = Experience(tape_of(rng), 6, 3)
    right = experience.replay(rule)
    return Case(rule, experience, right.table(), np.ones(6, dtype=np.bool_)), right


EXPRESSIONS = [
    "q_learning(discount=0.9, learning_rate=0.1)",
    "q_learning(discount=0.8, learning_rate=harmonic(clock='visits'), initial_value=2)",
    "sarsa(discount=0.9, learning_rate=0.3, initial_value=-1)",
    "expected_sarsa(discount=0.7, learning_rate=0.2, policy=epsilon_greedy(epsilon=0.3))",
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize("seed", range(3))
def test_a_right_table_of_any_experience_is_right(expression, seed):
    case, right = case_of(np.random.default_rng(seed), expression)
    assert diagnose_table(case, right) == ([], right)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_mistake_of_a_table_is_named_or_said_to_be_like_others(expression):
    case, right = case_of(np.random.default_rng(7), expression)
    for mistake in mistakes_of(case.rule):
        if mistake.name == "other first values":
            continue
        with np.errstate(all="ignore"):
            wrong = mistake.change(right, case).table()
        changed = replace(case, submitted=wrong)
        findings, _ = diagnose_table(changed, right)
        if changed.agrees(right, everywhere=False):
            assert findings == []
            continue
        names = [one.name for one in findings]
        assert mistake.name in names, mistake.name
        for one in findings:
            assert not one.certain or len(names) == 1
            assert all(other in one.evidence for other in names if other != one.name)


def test_two_common_mistakes_at_once_are_named_together():
    case, right = case_of(np.random.default_rng(5), EXPRESSIONS[0])
    by_name = {mistake.name: mistake for mistake in MISTAKES}
    changed = right
    for name in ("bootstrap on termination", "discount forgotten"):
        changed = by_name[name].change(changed, case)
    findings, _ = diagnose_table(replace(case, submitted=changed.table()), right)
    assert [one.name for one in findings] == ["bootstrap on termination", "discount forgotten"]
    assert "together with discount forgotten" in findings[0].evidence


def test_the_evidence_names_the_first_step_and_both_values():
    planted = next(one for one in PLANTED if one.name == "learning rate forgotten")
    (finding,) = findings_of(planted.code, planted.agent, planted.environment, episodes=EPISODES)
    assert re.search(
        r"at step [\d,]+ \(episode \d+, state 14, action \d, reward 1, next state 15, terminated\) "
        r"yours left Q\(14, \d\) = 1, the rule says 0\.1$",
        finding.evidence,
    )
    assert isinstance(finding.evidence, Evidence)
    assert re.search(
        r"종료\)에서 제출물은 Q\(14, \d\) = 1, 규칙대로면 0\.1$", finding.evidence.in_words(Words.of("ko"))
    )


def test_a_table_that_nothing_explains_is_said_to_be_wrong_and_where():
    code = PLAIN.replace("return Q", "Q[0, 1] = 0.3\n    return Q")
    (finding,) = findings_of(code, Q_LEARNING, LAKE, episodes=50)
    assert finding.name == "action values differ"
    assert "1 of 64 values differ, in 1 states; the largest difference is at Q(0, 1)" in finding.evidence


def test_a_planned_table_is_not_taken_for_a_learnt_one():
    code = PLAIN.replace("return Q", "from velodrome.agents.planning import optimal_action_values as solve\n"
                         "    from velodrome.envs.model import TransitionModel\n"
                         "    return solve(TransitionModel.of(env.env), 0.9, 1e-12)")  # fmt: skip
    (finding,) = findings_of(code, Q_LEARNING, LAKE, episodes=50)
    assert finding.name == "table not learnt from its steps"


def test_a_transposed_table_is_named():
    (finding,) = findings_of(PLAIN.replace("return Q", "return Q.T"), Q_LEARNING, LAKE, episodes=EPISODES)
    assert (finding.name, finding.certain) == ("table transposed", True)


def test_agents_that_cannot_be_replayed_are_judged_by_their_loop_alone():
    agent = "double_q_learning(discount=0.9, learning_rate=0.1)"
    assert findings_of(PLAIN, agent, LAKE, episodes=20) == []
    (finding,) = findings_of(PLAIN.replace("range(episodes)", "range(1, episodes)"), agent, LAKE, episodes=20)
    assert finding.name == "one episode too few"


def test_a_learner_that_handed_in_nothing_is_judged_by_its_loop():
    tape = tape_of(np.random.default_rng(0), episodes=1)
    names = ("states", "actions", "rewards", "next_states", "terminated", "truncated", "episodes")
    empty = replace(tape, **{name: getattr(tape, name)[:0] for name in names})
    model = TransitionModel.of(gym.make(LAKE))
    reference = build_agent(Q_LEARNING)
    (finding,) = diagnose_learner(empty, None, is_policy=False, reference=reference, model=model, episodes=3)
    assert finding.name == "no step taken"


def test_a_learner_that_follows_the_rule_to_the_last_step_is_known_to_be_right():
    rng = np.random.default_rng(0)
    model = TransitionModel.of(gym.make(LAKE))
    tape = tape_of(rng, num_states=16, num_actions=4)
    agent = build_agent(Q_LEARNING)
    table = Experience(tape, 16, 4).replay(Rule.of(agent)).table()
    assert learns_as_asked(tape, table, agent, model)
    assert not learns_as_asked(tape, table + 0.01, agent, model)


def test_replay_is_the_agents_own_update():
    agent = build_agent("sarsa(discount=0.9, learning_rate=0.3)")
    tape = tape_of(np.random.default_rng(1))
    experience = Experience(tape, 6, 3)
    replayed = experience.replay(Rule.of(agent))
    assert isinstance(replayed, Replay)
    table = np.zeros((6, 3))
    following = experience.next_actions
    for step in range(experience.steps):
        if following[step] < 0 and not tape.terminated[step]:
            # The action after a truncation was never taken.
            break
        agent.update(
            table, tape.states[step], tape.actions[step], tape.rewards[step], tape.next_states[step],
            tape.terminated[step], following[step], 0.3, 0.9,
        )  # fmt: skip
    cut = {
        name: getattr(replayed, name)[:step]
        for name in ("states", "actions", "rewards", "next_states", "next_actions", "discounts", "rates", "kept",
                     "exploration", "skipped", "chosen_in", "starts")
    }  # fmt: skip
    np.testing.assert_allclose(replace(replayed, **cut).table(), table, rtol=0, atol=1e-12)


def named_mistakes():
    """Name and sentence of every mistake that can be named."""
    found = {(mistake.name, mistake.sentence) for mistake in (*MISTAKES, *RATE_MISTAKES)}
    for module in (choices, interaction_mistakes, planning, table_mistakes, learner, update, update_mistakes):
        found |= set(getattr(module, "SENTENCES", {}).items())
        values = [value for name, value in vars(module).items() if name.isupper() and isinstance(value, tuple)]
        found |= {value for value in values if len(value) == 2 and all(isinstance(one, str) for one in value)}
    return sorted(found)


def test_every_mistake_stands_on_the_page_and_has_korean():
    page = (Path(__file__).parents[1] / "docs" / "how_to" / "student_mistakes.md").read_text(encoding="utf-8")
    korean = Words.of("ko")
    assert len({name for name, _ in named_mistakes()}) > 100
    for name, sentence in named_mistakes():
        assert name in page
        assert korean(name) != name
        assert korean(sentence) != sentence
        assert "Look at" in sentence or "Hand in" in sentence


@pytest.mark.slow
@pytest.mark.parametrize("name", RIGHT)
def test_a_right_learner_gets_all_points_and_a_wrong_one_the_name_of_its_mistake(name):
    learner_question = {
        "kind": "learner", "environment": LAKE, "reference": Q_LEARNING, "episodes": EPISODES, "seeds": [0, 1],
    }  # fmt: skip
    grader = Grader(Assignment.of({"name": "Lake", "questions": {"learner": learner_question}}))
    grade = grader.grade_source(RIGHT[name].encode()).questions["learner"]
    assert (grade.points, grade.findings) == (1.0, ())
    if name == "plain":
        planted = next(one for one in PLANTED if one.name == "learning rate forgotten")
        grade = grader.grade_source(planted.code.encode()).questions["learner"]
        assert [one.name for one in grade.findings] == [planted.name]
        assert grade.points < 1.0
