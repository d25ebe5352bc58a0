"""Assignments and grades: scores are exact, points follow them, and what a teacher types is checked."""

import csv
import json
import os

import gymnasium as gym
import numpy as np
import pytest

import velodrome as vd
from velodrome.agents.planning import optimal_action_values
from velodrome.envs.model import TransitionModel
from velodrome.experiments.cli.application import main
from velodrome.experiments.grading import Assignment, Grade, Grader, Question, grade, read_assignment

LAKE = "FrozenLake-v1(is_slippery=False)"
Q_LEARNING = "q_learning(learning_rate=0.85, policy=random_noise, discount=0.99)"
PATH = [1, 2, 1, 0, 1, 0, 1, 0, 2, 1, 1, 0, 0, 2, 2, 0]
UPDATE = """
def update(q, state, action, reward, next_state, terminated, truncated):
    target = reward if terminated else reward + 0.99 * q[next_state].max()
    q[state, action] += 0.85 * (target - q[state, action])
"""
LEARNER = """
import numpy as np
def learn(env, episodes, seed):
    q = np.zeros((env.observation_space.n, env.action_space.n))
    for episode in range(episodes):
        state, _ = env.reset()
        ended = False
        while not ended:
            noise = np.random.randn(env.action_space.n) / (episode + 1)
            action = int(np.argmax(q[state] + noise))
            next_state, reward, terminated, truncated, _ = env.step(action)
            target = reward if terminated else reward + 0.99 * q[next_state].max()
            q[state, action] += 0.85 * (target - q[state, action])
            state, ended = next_state, terminated or truncated
    return q
"""


def graded(source: str, **fields: object) -> Grade:
    return Grader(Assignment.of({"name": "lab", "environment": LAKE} | fields)).grade_source(source.encode())


def question_of(source: str, **fields: object):
    (question,) = graded(source, **fields).questions.values()
    return question


def played(environment: str, policy: list[int], episodes: int) -> float:
    """Mean return of a policy, by playing."""
    name, _, arguments = environment.partition("(")
    env = gym.make(name, **({"is_slippery": False} if arguments else {}))
    total, _ = 0.0, env.reset(seed=0)
    for _ in range(episodes):
        state, _ = env.reset()
        ended = False
        while not ended:
            state, reward, terminated, truncated, _ = env.step(policy[state])
            total, ended = total + reward, terminated or truncated
    return total / episodes


def test_a_right_solution_gets_all_points_and_no_reproach() -> None:
    source = (
        f"policy = {PATH}\ndef action_values():\n    import numpy\n    return numpy.eye(4)[policy]\n{UPDATE}{LEARNER}"
    )
    questions = {
        "policy": {"kind": "policy", "points": 2},
        "values": {"kind": "action_values"},
        "update": {"kind": "update", "points": 3},
        "learner": {"kind": "learner", "points": 4, "episodes": 500, "seeds": [0], "hidden_environments": [
            "FrozenLake-v1(desc=['SFFF', 'FHFH', 'FFFF', 'HHFG'], is_slippery=False)"
        ]},
    }  # fmt: skip
    grade = graded(source, reference=Q_LEARNING, questions=questions)
    assert str(grade).splitlines()[0] == "submission: 10 of 10 points"
    assert grade.points == grade.of == 10
    assert grade.findings == ()
    assert grade.mistakes == ()
    assert [run.environment for run in grade.questions["learner"].runs] == [LAKE, "hidden environment 1"]
    assert "desc" not in str(grade)


@pytest.mark.parametrize(
    "policy",
    ["policy = {path}", "import numpy\npolicy = numpy.array({path})",
     "path = {path}\ndef policy(state): return path[state]",
     "policy = [[float(a == b) for b in range(4)] for a in {path}]", "score = 10**400\npolicy = {path}",
     "import numpy\npolicy = numpy.array({path}, dtype=object)"],
)  # fmt: skip
def test_a_policy_is_an_array_or_a_function(policy: str) -> None:
    assert question_of(policy.format(path=PATH), kind="policy").score == 1.0


def test_scores_are_those_of_playing() -> None:
    model = TransitionModel.of(gym.make("FrozenLake-v1"))
    policy = optimal_action_values(model, 0.99, 1e-10).argmax(axis=1).tolist()
    question = question_of(f"policy = {policy}", kind="policy", environment="FrozenLake-v1")
    assert question.score == pytest.approx(played("FrozenLake-v1", policy, 2000), abs=0.03)
    assert question.best >= question.score > 0.7
    assert question.points == pytest.approx((question.score - question.random) / (question.best - question.random))
    assert played(LAKE, PATH, 1) == question_of(f"policy = {PATH}", kind="policy").score


def test_a_claim_above_the_best_possible_is_said_to_be_impossible() -> None:
    grade = graded("score = 14.0\npolicy = [0] * 500", kind="policy", environment="Taxi-v4")
    (finding,) = grade.findings
    assert (finding.name, finding.certain) == ("impossible score", True)
    assert finding.evidence == "14 is claimed, 7.93 is possible, and -200 is the exact score."
    assert graded("score = 7.9\npolicy = [0] * 500", kind="policy", environment="Taxi-v4").findings == ()


@pytest.mark.parametrize("claim", ["numpy.float32(14)", "10**400"])
def test_claims_of_any_numbers_are_read(claim: str) -> None:
    (finding,) = graded(f"import numpy\nscore = {claim}\npolicy = [0] * 16", kind="policy").findings
    assert finding.name == "impossible score"


def test_ties_are_broken_as_the_assignment_says() -> None:
    values = "def action_values():\n    return [[1, 1, 0, 0]] * 16"
    first = question_of(values, kind="action_values")
    at_random = question_of(values, kind="action_values", ties="random")
    assert first.score == 0.0
    assert at_random.score == question_of("policy = [[0.5, 0.5, 0, 0]] * 16", kind="policy").score


def test_states_in_which_no_step_is_taken_do_not_count() -> None:
    path = list(PATH)
    path[5] = path[15] = -1
    assert question_of(f"policy = {path}", kind="policy").points == 1.0


def test_an_update_has_a_third_of_its_points_for_each_kind_of_transition() -> None:
    wrong = UPDATE.replace("if terminated else", "if terminated or truncated else")
    question = question_of(wrong, kind="update", points=3, reference=Q_LEARNING)
    assert question.points == pytest.approx(2.0)
    assert [finding.name for finding in question.findings] == ["no bootstrap on truncation"]
    returned = UPDATE.replace("    q[state", "    q = q.copy()\n    q[state") + "    return q\n"
    assert question_of(returned, kind="update", points=3, reference=Q_LEARNING).points == 3.0
    sarsa = UPDATE.replace("truncated)", "truncated, next_action)")
    sarsa = sarsa.replace("q[next_state].max()", "q[next_state, next_action]")
    reference = "sarsa(learning_rate=0.85, discount=0.99)"
    assert question_of(sarsa, kind="update", points=3, reference=reference).points == 3.0


def test_the_same_submission_gets_the_same_grade() -> None:
    source = LEARNER.replace("np.random.randn(", "np.random.default_rng().normal(size=")
    fields = {"kind": "learner", "episodes": 5, "seeds": [3, 4], "environment": "FrozenLake-v1"}
    first, again = (graded(source, **fields) for _ in range(2))
    assert first == again
    assert {run.seed for run in first.questions["learner"].runs} == {3, 4}


def test_a_budget_is_kept_to_the_step() -> None:
    source = (
        "def learn(env, budget, seed):\n    env.reset()\n    seen = 0\n    for _ in range(50):\n"
        "        _, _, terminated, truncated, _ = env.step(0)\n        if truncated:\n            break\n"
        "        seen += 1\n"
        "    print(seen)\n    return [0] * 16"
    )
    question = question_of(source, kind="learner", steps=20, seeds=[0])
    assert question.output == "20\n"
    source = (
        "def learn(env, episodes, seed):\n    steps = []\n    for _ in range(episodes + 2):\n        env.reset()\n"
        "        steps.append(sum(not any(env.step(0)[2:4]) for _ in range(3)))\n    print(steps)\n    return [0] * 16"
    )
    assert question_of(source, kind="learner", episodes=2, seeds=[0]).output == "[3, 3, 0, 0]\n"


def test_full_points_are_a_share_of_the_way_to_the_best_or_the_reference() -> None:
    source = "policy = [[0.25] * 4] * 16"
    assert question_of(source, kind="policy").points == 0.0
    better = "policy = [[0.2, 0.3, 0.3, 0.2]] * 16"
    whole = question_of(better, kind="policy")
    assert question_of(better, kind="policy", full_share=whole.share).points == 1.0
    reference = question_of(
        f"policy = {PATH}", kind="policy", full_of="reference", reference="value_iteration(discount=0.9)"
    )
    assert reference.points == 1.0
    rate = question_of(f"policy = {PATH}", kind="policy", metric="success_rate")
    assert (rate.score, rate.best) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"kind": "polcy"}, "a.toml: questions.polcy.kind: input should be 'policy', 'action_values', 'update' or"),
        ({"kind": "policy", "episods": 3},
         "a.toml: unknown field 'questions.policy.episods': did you mean 'episodes'?"),
        ({"kind": "policy", "episodes": 3},
         "a.toml: questions.policy: episodes is for learners, and the kind is 'policy'"),
        ({"kind": "learner"}, "a.toml: questions.learner: a learner needs episodes or steps, one of them"),
        ({"kind": "update"}, "a.toml: questions.update.reference: is missing: an agent such as"),
        ({"kind": "policy", "reference": "q_lerning"}, "unknown agent 'q_lerning': did you mean 'q_learning'?"),
        ({"kind": "policy", "environment": ["a-v1", "b-v1"]}, "a question of kind 'policy' has one"),
        ({"kind": "policy", "limits": {"memory": "3"}}, 'a.toml: limits.memory: must be a size such as "2GB"'),
        ({"kind": "policy", "limits": {"seconds": 0}}, "a.toml: limits.seconds: input should be greater than 0, got 0"),
        ({"kind": "policy", "name": ""}, "a.toml: name:"),
        ({"kind": "learner", "episodes": 3, "seeds": [1, 1]},
         "a.toml: questions.learner.seeds: must be different whole"),
        ({}, "a.toml: questions: field required: a table of questions: [questions.policy]"),
        ({"questions": {}}, "a.toml: questions: an assignment has at least one question"),
    ],
)  # fmt: skip
def test_mistakes_of_assignments_are_told_in_a_line_each(fields: dict[str, object], told: str) -> None:
    with pytest.raises(vd.VelodromeError) as error:
        Assignment.of({"name": "lab", "environment": LAKE} | fields, "a.toml")
    assert told in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"kind": "policy", "environment": "CartPole-v1"}, "questions.policy: CartPole-v1 cannot be graded, for exact"),
        ({"kind": "policy", "environment": "FrozenLak-v1"}, "did you mean"),
        ({"kind": "update", "reference": "q_lambda"}, "has no update of one transition to compare with"),
        ({"kind": "policy", "reference": "q_learning", "full_of": "reference"}, "must be one that plans, such as"),
        ({"kind": "policy", "environment": "velodrome/Chain-v0", "metric": "success_rate"}, "has no success rule"),
    ],
)
def test_what_cannot_be_graded_exactly_is_refused_in_a_line(fields: dict[str, object], told: str) -> None:
    with pytest.raises(vd.VelodromeError, match=told) as error:
        Grader(Assignment.of({"name": "lab", "environment": LAKE} | fields))
    assert len(str(error.value).splitlines()) == 1


ASSIGNMENT = f"""
name = "lab"
environment = "{LAKE}"
kind = "policy"
points = 4
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with an assignment and submissions, in which commands run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.toml").write_text(ASSIGNMENT)
    (tmp_path / "class" / "kim").mkdir(parents=True)
    (tmp_path / "class" / "kim" / "answer.py").write_text(f"policy = {PATH}")
    (tmp_path / "class" / "lee.py").write_text("policy = [9] * 16")
    return tmp_path


def test_the_command_grades_a_file(folder, capsys) -> None:
    assert main(["grade", "a.toml", "class/kim/answer.py", "--json", "g.json"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "class/kim/answer.py: 4 of 4 points", "", "policy: 4 of 4 points",
        "  exact return 1; best possible 1, random 0.01394",
    ]  # fmt: skip
    found = json.loads((folder / "g.json").read_text())
    assert (found["points"], found["questions"]["policy"]["score"]) == (4.0, 1.0)
    assert main(["grade", "a.toml", "class/lee.py", "--language", "ko"]) == 0
    assert "policy는 0부터 3까지의 행동으로 이루어져야 하는데 상태 0에 9가" in capsys.readouterr().out
    assert str(grade("a.toml", "class/lee.py")).startswith("class/lee.py: 0 of 4 points")
    assert isinstance(read_assignment("a.toml").questions["policy"], Question)


def test_the_command_grades_a_folder_with_a_line_for_each_student(folder, capsys) -> None:
    (folder / "class" / "max.py").symlink_to(folder / "class" / "lee.py")
    (folder / "class" / "=one").mkdir()
    for name in ("a.py", "b.py"):
        (folder / "class" / "=one" / name).write_text("")
    assert main(["grade", "a.toml", "class", "--out", "grades.csv"]) == 0
    several, first, second, link = capsys.readouterr().out.splitlines()
    assert several == "=one  submission =one: one Python file is graded, got a.py, b.py"
    assert link.startswith("max  submission class/max.py: it is a link, which may lead")
    assert first == "kim  4 of 4 points"
    assert second == "lee  0 of 4 points; policy must hold actions from 0 to 3, got 9 in state 0"
    with open("grades.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["student"], row["points"], row["policy: score"]) for row in rows] == [
        ("kim", "4.0", "1.0"),
        ("lee", "0.0", ""),
        ("'=one", "", ""),
        ("max", "", ""),
    ]


def test_names_and_messages_of_any_characters_cost_nobody_a_grade(folder, capsys) -> None:
    (folder / "class" / "bad\n\x1b[2J.py").write_text("raise ValueError('\\ud800 \\u202e')")
    assert main(["grade", "a.toml", "class", "--out", "grades.csv", "--json", "grades.json"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == r"bad\n\x1b[2J  0 of 4 points; line 1: ValueError: \ud800 \u202e"
    texts = [(folder / name).read_text(encoding="utf-8") for name in ("grades.csv", "grades.json")]
    assert not any(letter in text for text in texts for letter in "\x1b\u202e")
    assert texts[0].splitlines()[1].startswith(r"bad\n\x1b[2J,0.0,4.0")
    assert set(json.loads(texts[1])) == {"bad\n\x1b[2J", "kim", "lee"}
    os.mkfifo(folder / "class" / "pipe.py")
    with pytest.raises(vd.VelodromeError, match=r"pipe\.py: is no file"):
        grade("a.toml", "class/pipe.py")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["none.toml", "class"], "velodrome: assignment none.toml: No such file or directory"),
        (["a.toml", "none.py"], "velodrome: submission none.py: No such file or directory"),
        (["a.toml", "empty"], "velodrome: submission empty: there is no Python file in the folder"),
        (["class/lee.py", "class/lee.py"], "velodrome: class/lee.py: Invalid value"),
    ],
)
def test_what_the_command_cannot_read_is_told_in_a_line(folder, capsys, arguments, told) -> None:
    (folder / "empty").mkdir()
    assert main(["grade", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(told.partition(": Inv")[0])
    assert len(error.splitlines()) == 1


def test_values_that_a_submission_cannot_reach_are_not_in_its_process() -> None:
    source = f"import sys\nprint([name for name in sys.modules if name.startswith('velodrome')])\npolicy = {PATH}"
    assert question_of(source, kind="policy").output == "[]\n"
    assert np.isfinite(question_of(source, kind="policy").best)


@pytest.mark.slow
@pytest.mark.parametrize("value", ["1e308", "-1e308", "1e-320", "float('nan')", "float('inf')", "10**400", "1j", "'x'"])
def test_any_values_have_a_grade(value: str) -> None:
    source = (
        f"def learn(env, episodes, seed):\n    env.reset()\n    env.step(0)\n    return [[{value}] * 4] * 16\n"
        f"def action_values():\n    return [[{value}] * 4] * 16\ndef update(q, *_):\n    q[0] = {value}\n"
    )
    questions = {
        "values": {"kind": "action_values", "reference": "value_iteration(discount=0.99)"},
        "update": {"kind": "update"},
        "learner": {"kind": "learner", "episodes": 5, "seeds": [0], "full_of": "best"},
    }  # fmt: skip
    assert graded(source, reference=Q_LEARNING, questions=questions).points == 0.0


def test_an_assignment_says_which_score_gives_no_points():
    doing_nothing = "policy = [0] * 500"
    fields = {"environment": "Taxi-v4", "kind": "policy", "points": 10}
    assert graded(doing_nothing, **fields).points > 7
    assert graded(doing_nothing, **fields, least_score=-2000).points > 8
    assert graded(doing_nothing, **fields, least_score=-200).points == 0
    with pytest.raises(vd.VelodromeError, match=r"least_score 8 is not below 7\.93, which gives all points"):
        graded(doing_nothing, **fields, least_score=8)
