"""Evaluation with what training left in the wrappers: running statistics, counts and tables of a user's own."""

import copy

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import NormalizeObservation, NormalizeReward, TransformObservation
from made_up import plan_of

import velodrome as vd
from velodrome.agents import QLearning
from velodrome.envs import Discretize
from velodrome.experiments.trials.checkpoints import train_with_checkpoints
from velodrome.experiments.trials.environment_profile import EnvironmentProfile
from velodrome.experiments.trials.evaluation import evaluate
from velodrome.experiments.trials.evaluation_environment import WrapperState

pytestmark = pytest.mark.filterwarnings("ignore:.*too few to tell better")


class Line(gym.Env):
    """Observes 100, 101, 102 or 103 and wants to go right; three steps to the goal."""

    observation_space, action_space = gym.spaces.Box(0.0, 200.0, (1,)), gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.cell, self.taken = 0, 0
        return self._seen(), {}

    def step(self, action):
        self.cell, self.taken = max(0, self.cell + (1 if action else -1)), self.taken + 1
        return self._seen(), 10.0 * (self.cell == 3), self.cell == 3, self.taken == 30, {}

    def _seen(self):
        return np.array([100.0 + self.cell], dtype=np.float32)


class RunningMean(gym.ObservationWrapper):
    """A user's own: subtracts the mean of all that was seen."""

    def __init__(self, env):
        super().__init__(env)
        self.count, self.total = 0, np.zeros(1)

    def observation(self, observation):
        self.count, self.total = self.count + 1, self.total + observation
        return (observation - self.total / self.count).astype(np.float32)


class LastSeen(gym.Wrapper):
    """Remembers within an episode only."""

    last = None

    def reset(self, *, seed=None, options=None):
        observation, info = self.env.reset(seed=seed, options=options)
        self.last = observation
        return observation, info

    def step(self, action):
        observation, *rest = self.env.step(action)
        self.last, before = observation, self.last
        return np.maximum(observation, before), *rest


def enclosed():
    """The statistics live in a function."""
    seen = {"count": 0, "total": np.zeros(1)}

    def centred(observation):
        seen["count"] += 1
        seen["total"] = seen["total"] + observation
        return (observation - seen["total"] / seen["count"]).astype(np.float32)

    return binned(TransformObservation(Line(), centred, None))


def binned(env):
    return Discretize(env, bins=8, low=-2.5, high=2.5)


def normalized():
    return binned(NormalizeObservation(Line()))


def own():
    return binned(RunningMean(Line()))


AGENT = QLearning(learning_rate=0.3, policy=vd.policies.EpsilonGreedy(epsilon=0.2))
MAKERS = {"NormalizeObservation.obs_rms": normalized, "RunningMean.count": own, "TransformObservation.func": enclosed}


def held(env):
    layer = env
    while not isinstance(layer, NormalizeObservation | RunningMean):
        layer = layer.env
    return copy.deepcopy({name: value for name, value in vars(layer).items() if name != "env"})


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("is_object", [False, True])
def test_wrappers_are_evaluated_with_what_training_left_in_them(name, is_object):
    make = MAKERS[name]
    trial = vd.run(AGENT, make() if is_object else make, episodes=400, seed=0)
    assert trial.log.lengths[-100:].mean() < 6
    # With new statistics the agent would not know where it is.
    assert trial.evaluation.mean_return == 10.0
    assert any("its wrappers" in note and "frozen" in note for note in trial.log.notes), trial.log.notes
    if not is_object:
        assert any(name in note for note in trial.log.notes)


@pytest.mark.parametrize("make", [normalized, own])
@pytest.mark.parametrize("has_spec", [False, True])
def test_evaluation_leaves_the_environment_of_training_as_it_was(make, has_spec):
    twins = [make(), make()]
    if has_spec:
        twins = [Discretize(NormalizeObservation(gym.make("CartPole-v1")), bins=3, low=-2, high=2) for _ in range(2)]
    plain = QLearning()
    plain.train(twins[0], episodes=20, seed=3, loop="generic", success="none")
    trial = vd.run(QLearning(), twins[1], episodes=20, seed=3, evaluation_episodes=5)
    one, other = (held(env) for env in twins)
    assert one.keys() == other.keys()
    for name in one:
        if name in ("obs_rms",):
            assert (one[name].mean == other[name].mean).all()
            assert one[name].count == other[name].count
        elif name in ("count", "_update_running_mean"):
            assert one[name] == other[name]
    more = plain.train(twins[0], episodes=5, success="none"), trial.trained.train(twins[1], episodes=5, success="none")
    assert more[0].returns.tobytes() == more[1].returns.tobytes()
    assert (plain.action_values == trial.trained.action_values).all()


def test_it_is_the_same_in_comparisons_wherever_they_run():
    places = {"gymnasium's": normalized, "own": own}
    rows = [
        vd.compare({"q": AGENT}, places, seeds=2, episodes=300, workers=workers, evaluation_episodes=5).records
        for workers in (0, 1)
    ]
    for one, other in zip(*rows, strict=True):
        assert one.number("greedy_mean_return") == other.number("greedy_mean_return") == 10.0


@pytest.mark.parametrize("make", [normalized, own])
def test_a_trial_with_checkpoints_hands_on_the_environment_of_training(make, tmp_path):
    seen = []
    _, log = train_with_checkpoints(
        QLearning(), make, folder=tmp_path, key="one", every_seconds=0.001, seed=0, episodes=30,
        after_training=lambda env: seen.append(held(env)),
    )  # fmt: skip
    whole = make()
    alone = QLearning().train(whole, episodes=30, seed=0)
    assert log.returns.tobytes() == alone.returns.tobytes()
    count = seen[0]["obs_rms"].count if make is normalized else seen[0]["count"]
    assert count == (held(whole)["obs_rms"].count if make is normalized else held(whole)["count"])


def test_what_an_episode_alone_remembers_is_not_carried_over():
    trial = vd.run(AGENT, lambda: Discretize(LastSeen(Line()), bins=8, low=99.5, high=107.5), episodes=200, seed=0)
    assert not any("wrappers" in note for note in trial.log.notes)
    assert trial.evaluation.mean_return == 10.0


def test_returns_of_the_evaluation_are_the_environments_own_where_rewards_were_normalized():
    trial = vd.run(AGENT, lambda: NormalizeReward(binned_line()), episodes=200, seed=0)
    assert trial.evaluation.mean_return == 10.0
    assert (trial.log.returns != 10.0).any()
    assert any(
        "NormalizeReward: returns in evaluation are of the rewards before it" in note for note in trial.log.notes
    )
    env = NormalizeReward(binned_line())
    kept = vd.run(AGENT, env, episodes=50, seed=0)
    assert kept.evaluation.mean_return == 10.0
    assert env.update_running_mean
    assert "step" not in vars(env)


def binned_line():
    return Discretize(Line(), bins=8, low=99.5, high=107.5)


class Uncopiable(RunningMean):
    def __deepcopy__(self, memo):
        raise TypeError("only one of me")


def test_what_cannot_be_copied_is_evaluated_itself_and_put_back():
    env = binned(Uncopiable(Line()))
    trial = vd.run(AGENT, env, episodes=300, seed=0)
    assert trial.evaluation.mean_return == 10.0
    assert any("which has a way of its own to be copied (Uncopiable.__deepcopy__)" in note for note in trial.log.notes)
    # One observation for every step and every reset.
    assert env.env.count == trial.log.steps + 300


@pytest.mark.parametrize("is_object", [False, True])
def test_examples_are_seen_through_what_training_left_in_the_wrappers(is_object):
    def make():
        return NormalizeObservation(gym.make("velodrome/Classification-v0"))

    seen = []

    class Watching(QLearning):
        def act(self, observation, **options):
            seen.append(np.array(observation))
            return np.zeros(len(observation), dtype=np.int64)

    env = make()
    env.reset(seed=0)
    for _ in range(300):
        env.step(0)
        env.reset()
    trained_in = WrapperState.of(env)
    keeps_open = env if is_object else None
    profile = EnvironmentProfile.of("digits", make, keeps_open=keeps_open)
    evaluation = evaluate(Watching(), profile, seed=0, trained_in=trained_in)
    images, statistics = env.unwrapped.evaluation_environment().examples.inputs, env.obs_rms
    expected = (images - statistics.mean) / np.sqrt(statistics.var + env.epsilon)
    np.testing.assert_allclose(np.concatenate(seen), expected, atol=1e-4)
    assert any("frozen" in note for note in evaluation.notes)


def keys_of(environment):
    return [trial.key for trial in plan_of("random", environment, seeds=2, episodes=1).trials]


def test_trials_judged_otherwise_than_by_the_first_release_have_other_keys(monkeypatch):
    shaped = "FrozenLake-v1(reward_schedule=(1, 0, 0.01))"
    places = ["FrozenLake-v1", "discretize(CartPole-v1, bins=2)", shaped, normalized, own]
    now = [keys_of(place) for place in places]
    monkeypatch.setattr(EnvironmentProfile, "judged_by", {})
    assert [keys_of(place) == key for place, key in zip(places, now, strict=True)] == [True, True, False, False, False]
