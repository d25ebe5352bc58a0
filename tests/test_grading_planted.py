"""Mistakes that are planted in students' learners are named by the whole of `velodrome grade`; right ones are not."""

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
