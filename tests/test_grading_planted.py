"""Mistakes that are planted in students' learners are named by the whole of `velodrome grade`; right ones are not."""

from pathlib import Path

import pytest
from student_learners import PLANTED, Q_LEARNING, RIGHT

from velodrome.experiments.grading import Assignment, Grader

pytestmark = pytest.mark.slow


def graded(source, reference, environment, *, episodes=300):
    name, _, limit = environment.partition(", limit ")
    assignment = {
        "name": "planted", "environment": f"{name}(max_episode_steps={limit})" if limit else name, "kind": "learner",
        "reference": reference, "episodes": episodes, "seeds": [0], "ties": "random", "full_of": "best",
    }  # fmt: skip
    return Grader(Assignment.of(assignment)).grade_source(source.encode())


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
def test_a_planted_mistake_is_named(planted):
    grade = graded(planted.code, planted.agent, planted.environment)
    assert planted.name in [finding.name for finding in grade.findings]
    assert f"mistake: {planted.name}." in str(grade)


@pytest.mark.parametrize("source", RIGHT.values(), ids=RIGHT)
def test_a_right_learner_gets_all_points_and_no_reproach(source):
    reference = Q_LEARNING.replace("discount=0.9", "discount=0.9, initial_value=0")
    fields = {
        "name": "right", "environment": "FrozenLake-v1(is_slippery=False)", "kind": "learner", "reference": reference,
        "episodes": 1000, "seeds": [0, 1], "ties": "random",
    }  # fmt: skip
    grade = Grader(Assignment.of(fields)).grade_source(source.encode())
    assert grade.findings == ()
    assert grade.points == grade.of


def test_exploring_that_stops_is_not_taken_for_an_old_table():
    solution = Path(__file__).parents[1] / "teaching" / "solutions" / "3_exploration.py"
    source = solution.read_text(encoding="utf-8").replace("1.0 / (episode // 100 + 1)", "1 // (episode // 100 + 1)")
    reference = "epsilon_greedy_q(ties='random')"
    grade = graded(source, reference, "FrozenLake-v1(is_slippery=False)", episodes=700)
    assert grade.findings
    assert not any(finding.name.startswith("acts with") for finding in grade.findings)


def test_what_one_seed_leaves_open_another_decides():
    source = RIGHT["plain"].replace("alpha, gamma, epsilon = 0.1, 0.9", "alpha, gamma, epsilon = 1, 0.99")
    fields = {
        "name": "two seeds", "environment": "FrozenLake-v1(is_slippery=False)", "kind": "learner", "episodes": 500,
        "reference": Q_LEARNING.replace("learning_rate=0.1", "learning_rate=1"), "seeds": [0, 1], "full_of": "best",
    }  # fmt: skip
    grade = Grader(Assignment.of(fields)).grade_source(source.encode())
    assert [(finding.name, finding.certain) for finding in grade.findings] == [("other discount", True)]
