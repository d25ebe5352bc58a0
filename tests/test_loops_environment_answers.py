"""What an environment returns is read strictly, in training and evaluation: Python would take much for right."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

import velodrome as vd
from velodrome import agents, envs
from velodrome.agents.engine.environment_answers import as_whole_number, read_flag, read_reward
from velodrome.agents.errors import EnvironmentFailureError
from velodrome.experiments.trials.environment_profile import EnvironmentProfile
from velodrome.experiments.trials.evaluation import evaluate

GOOD = {"observation": 1, "reward": 0.5, "terminated": True, "truncated": False, "info": {}}


class Answering(gym.Env):
    """Episodes of two steps; from the given episode on, the second returns something else."""

    def __init__(self, episode=2, observations=None, **answers):
        self.observation_space, self.action_space = observations or spaces.Discrete(5), spaces.Discrete(2)
        self.first, self.answers, self.episode, self.steps = episode, answers, 0, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode, self.steps = self.episode + 1, 0
        return self.answers.get("reset", (0, {}))

    def step(self, action):
        self.steps += 1
        if self.steps == 1:
            return 2, 0.0, False, False, {}
        answer = GOOD | (self.answers if self.episode >= self.first else {"info": self.answers.get("before", {})})
        return answer["whole"] if "whole" in answer else tuple(answer[name] for name in GOOD)


ALLOWED = "is outside the observation space: whole numbers from 0 to 4 are allowed"
REFUSED = {
    "fraction": ({"observation": 2.7}, f"observation 2.7 {ALLOWED}"),
    "NumPy's fraction": ({"observation": np.float32(0.5)}, ALLOWED),
    "text": ({"observation": "3"}, f"observation '3' {ALLOWED}"),
    "array of text": ({"observation": np.array("3")}, ALLOWED),
    "none": ({"observation": None}, f"observation None {ALLOWED}"),
    "NaN": ({"observation": float("nan")}, f"observation nan {ALLOWED}"),
    "too large": ({"observation": 10**400}, ALLOWED),
    "array of one": (
        {"observation": np.array([1])},
        "observation array([1]) has shape (1,), but the",
    ),
    "reward in text": ({"reward": "1"}, "reward '1' is not a number"),
    "reward in bytes": ({"reward": b"1"}, "is not a number"),
    "reward in an array of text": ({"reward": np.array("1")}, "is not a number"),
    "no reward": ({"reward": None}, "reward None is not a number"),
    "array of rewards": ({"reward": np.ones(1)}, "reward array([1.]) is not a number"),
    "complex reward": ({"reward": 1j}, "reward 1j is not a number"),
    "NaN reward": ({"reward": np.float32("nan")}, "is not finite"),
    "reward beyond floats": ({"reward": 10**400}, "is not"),
    "terminated in text": ({"terminated": "False"}, "terminated 'False' is not True or False"),
    "terminated unknown": ({"terminated": None}, "terminated None is not True or False"),
    "two terminated": ({"terminated": np.zeros(2, bool)}, "terminated array([False, False]) is not True or False"),
    "terminated 2": ({"terminated": 2}, "terminated 2 is not True or False"),
    "truncated in text": ({"truncated": "no"}, "truncated 'no' is not True or False"),
    "success in text": ({"info": {"is_success": "False"}}, "info['is_success'] 'False' is not True or False"),
    "two successes": ({"info": {"is_success": np.ones(2)}}, "info['is_success'] array([1., 1.]) is not True or False"),
    "half a success": ({"info": {"is_success": 0.5}}, "info['is_success'] 0.5 is not True or False"),
    "info is none": ({"info": None}, "info None of step is not a dictionary"),
    "four values": (
        {"whole": (1, 0.0, True, {})},
        "step must return (observation, reward, terminated, truncated, info)",
    ),
    "one value": ({"whole": 1}, "got int 1"),
}


@pytest.mark.parametrize("agent", [agents.QLearning, agents.Sarsa])
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_answer_is_refused_in_training(case, agent):
    answers, said = REFUSED[case]
    with pytest.raises(EnvironmentFailureError, match=r"^Answering: [^\n]*\(episode 2, step 2\)$") as caught:
        agent().train(Answering(**answers), episodes=5, seed=0)
    assert said in str(caught.value)


# An agent is asked of an array of one as of a batch; training refuses it.
@pytest.mark.parametrize("case", [case for case in REFUSED if case != "array of one"])
def test_what_is_no_answer_is_refused_in_evaluation(case):
    answers, said = REFUSED[case]
    if "observation" in answers:
        # The last observation of an episode is not acted on.
        answers = {"reset": (answers["observation"], {})}
    env = Answering()
    agent = agents.QLearning()
    agent.train(env, episodes=4, seed=0)
    env.answers, env.first = answers, 5
    profile = EnvironmentProfile.of("answering", lambda: env, keeps_open=env)
    with pytest.raises(EnvironmentFailureError, match=r"^Answering: [^\n]* of the evaluation[^\n]*$") as caught:
        evaluate(agent, profile, seed=0, episodes=3)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (0, "reset must return (observation, info), got int 0"),
        (np.zeros(2), "reset must return (observation, info), got ndarray array([0., 0.])"),
        ((0, {}, 1), "got 3 values"),
        ((0, None), "info None of reset is not a dictionary"),
        (None, "got NoneType None"),
    ],
    ids=str,
)
def test_a_reset_that_returns_too_little_is_said_so(answer, said):
    with pytest.raises(EnvironmentFailureError, match=r"^Answering: [^\n]*$") as caught:
        agents.QLearning().train(Answering(reset=answer), episodes=5, seed=0)
    assert said in str(caught.value)


def test_a_wrapper_around_a_reset_without_info_says_what_is_missing():
    env = gym.wrappers.TransformObservation(Answering(reset=0), lambda seen: seen, spaces.Discrete(5))
    with pytest.raises(EnvironmentFailureError, match=r"^[^\n]*unpack[^\n]*reset must return \(observation, info\)"):
        agents.QLearning().train(env, episodes=5, seed=0)


SAME = [
    {"observation": np.int64(1)}, {"observation": np.array(1)}, {"observation": 1.0}, {"observation": True},
    {"reward": np.float64(0.5)}, {"reward": np.array(0.5)}, {"reward": np.float32(0.5)},
    {"terminated": np.True_}, {"terminated": 1}, {"terminated": np.array(True)}, {"terminated": np.int8(1)},
    {"truncated": np.False_}, {"truncated": 0},
]  # fmt: skip


@pytest.mark.parametrize("answers", SAME, ids=str)
def test_numbers_and_flags_of_numpy_are_what_they_say(answers):
    first, second = agents.QLearning(), agents.QLearning()
    plain = first.train(Answering(), episodes=20, seed=0)
    log = second.train(Answering(episode=0, **answers), episodes=20, seed=0)
    assert first.action_values.tobytes() == second.action_values.tobytes()
    assert (plain.returns.tobytes(), plain.terminated.tobytes()) == (log.returns.tobytes(), log.terminated.tobytes())


@pytest.mark.parametrize("yes", [True, np.True_, 1, 1.0, np.float32(1), np.array(True)], ids=repr)
@pytest.mark.parametrize("no", [False, np.False_, 0, 0.0, np.float32(0), np.array(False)], ids=repr)
def test_success_is_counted_as_reported(yes, no):
    env = Answering(info={"is_success": yes}, episode=4, before={"is_success": no})
    log = agents.RandomAgent().train(env, episodes=6, seed=0, success="is_success")
    assert log.successes.tolist() == [False] * 3 + [True] * 3
    assert (
        agents.RandomAgent().train(Answering(info={"is_success": no}, episode=0), episodes=3, seed=0).success_rate == 0
    )


def test_a_return_that_grows_beyond_floats_is_not_called_a_reward():
    class Rich(Answering):
        def step(self, action):
            return 1, 1e308, False, False, {}

    def train(env):
        agents.RandomAgent().train(env, episodes=2, seed=0)

    def evaluate_only(env):
        vd.run("random", env, steps=1)

    for attempt in (train, evaluate_only):
        with pytest.raises(EnvironmentFailureError, match=r"^Rich: the return of the episode is not finite"):
            attempt(Rich())


PAIR = spaces.Tuple((spaces.Discrete(5), spaces.Discrete(2)))


@pytest.mark.parametrize(
    ("space", "observation", "said"),
    [
        (PAIR, (np.array([0]), np.array(0)), "part 1 of observation (array([0]), array(0)) has shape (1,)"),
        (PAIR, (0,), "has 1 parts, but the observation space has 2"),
        (
            PAIR,
            (0, 2),
            "is outside the observation space: 2 in part 2, but whole numbers from 0 to 1",
        ),
        (PAIR, (0.5, 0), "0.5 in part 1, but whole numbers from 0 to 4 are allowed"),
        (spaces.MultiDiscrete([3, 3]), np.zeros(3, int), "has shape (3,), but the observation space has (2,)"),
        (spaces.MultiDiscrete([3, 3]), np.zeros((2, 1), int), "has shape (2, 1), but the observation space has (2,)"),
        (spaces.MultiBinary(2), np.zeros(()), "has shape (), but the observation space has (2,)"),
        (spaces.MultiDiscrete([3, 3]), np.array(["1", "1"]), "is outside the observation space: '1' in part 1"),
    ],
    ids=str,
)
def test_the_shape_of_an_observation_is_named(space, observation, said):
    env = Answering(observations=space, reset=(observation, {}))
    with pytest.raises(EnvironmentFailureError, match=r"^Answering: [^\n]*$") as caught:
        vd.run("q_learning", env, episodes=5, seed=0)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        ((np.array([0, 1]), np.array(0)), "a batch of observations"),
        ((np.array([0, 1]), np.array([0, 1, 0])), "a batch of observations"),
        ((np.array([0.5, 1]), np.array([0, 1])), "not all whole numbers"),
        ((np.array(["0", "1"]), np.array([0, 1])), "not all whole numbers"),
        ((np.array([0, 5]), np.array([0, 1])), "outside the observation space"),
    ],
    ids=str,
)
def test_a_batch_that_is_none_is_refused_in_one_line(batch, said):
    class Pairs(Answering):
        def step(self, action):
            return ((1, 1), *super().step(action)[1:])

    agent = agents.QLearning()
    agent.train(Pairs(observations=PAIR, reset=((0, 0), {})), episodes=2, seed=0)
    assert agent.act((np.array([0, 1]), np.array([0.0, 1.0]))).shape == (2,)
    with pytest.raises(EnvironmentFailureError, match=r"^[^\n]*$") as caught:
        agent.act(batch)
    assert said in str(caught.value)


def test_one_who_steps_himself_is_read_as_strictly():
    agent = agents.QLearning()
    agent.train(Answering(), episodes=2, seed=0)
    for wrong in ({"reward": "1"}, {"terminated": "False"}, {"truncated": None}):
        answer = {"reward": 1.0, "terminated": False, "truncated": False} | wrong
        with pytest.raises(EnvironmentFailureError):
            agent.observe(0, 1, next_observation=1, **answer)


def test_reading_gives_pythons_own_types():
    assert type(as_whole_number(np.int8(3))) is int
    assert type(read_flag("terminated", np.True_)) is bool
    assert type(read_reward(np.float32(0.1))) is float


def test_observations_in_bins_are_numbers():
    class Words(Answering):
        def step(self, action):
            return (np.array(["0.1", "0.2"]), *super().step(action)[1:])

    box = spaces.Box(-1, 1, (2,))
    env = envs.Discretize(Words(observations=box, reset=(np.zeros(2, np.float32), {})), bins=3)
    with pytest.raises(EnvironmentFailureError, match="observation must hold numbers"):
        agents.QLearning().train(env, episodes=2, seed=0)
