"""Steps drawn from the model are those of the environment, and it can be put back into Python."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv

from velodrome.envs import (
    BernoulliBandit,
    Chain,
    ModelEnvironment,
    TransitionModel,
    make_environment,
    read_position,
    reason_not_sampled_from_model,
    write_position,
)

SAMPLED = [
    ("FrozenLake-v1", {}),
    ("FrozenLake-v1", {"is_slippery": False}),
    ("FrozenLake-v1", {"map_name": "8x8"}),
    ("FrozenLake8x8-v1", {}),
    ("Taxi-v4", {}),
    ("Taxi-v4", {"is_rainy": True}),
    ("CliffWalking-v1", {"max_episode_steps": 60}),
    ("CliffWalking-v1", {}),
    ("CliffWalkingSlippery-v1", {"disable_env_checker": True}),
    ("velodrome/BernoulliBandit-v0", {}),
    ("velodrome/Chain-v0", {}),
    ("velodrome/DeepSea-v0", {}),
    ("velodrome/DeepSea-v0", {"deterministic": False}),
    ("velodrome/Garnet-v0", {"terminal_probability": 0.3}),
    ("velodrome/GridWorld-v0", {"slip": 0.4}),
    ("velodrome/RiverSwim-v0", {}),
]


class ModelLoop:
    """Steps of a model by its arrays alone, as a compiled loop takes them."""

    def __init__(self, model, rng):
        self.model, self.rng = model, rng

    def reset(self):
        self.state, self.elapsed, self.last_action = self._draw(self.model.initial_cumulative), 0, None
        return self.state

    def step(self, action):
        model = self.model
        pair = self.state * model.num_actions + action
        start, stop = model.offsets[pair], model.offsets[pair + 1]
        outcome = start + self._draw(model.cumulative[start:stop])
        self.state, self.last_action = int(model.next_states[outcome]), action
        self.elapsed += 1
        truncated = model.time_limit is not None and self.elapsed >= model.time_limit
        return self.state, model.rewards[outcome], bool(model.terminated[outcome]), truncated

    def _draw(self, cumulative):
        return int(np.argmax(cumulative > self.rng.random()))


def walk(reset, step, num_steps, rng, num_actions, observation=None):
    """Observations, rewards and ends of a random walk that starts over after each episode."""
    seen = [reset()] if observation is None else []
    for _ in range(num_steps):
        observation, reward, terminated, truncated = step(int(rng.integers(num_actions)))
        seen.append((observation, float(reward), terminated, truncated))
        if terminated or truncated:
            seen.append(reset())
    return seen


@pytest.mark.parametrize(("identifier", "kwargs"), SAMPLED)
def test_model_and_environment_take_the_same_steps_from_the_same_numbers(identifier, kwargs):
    env = gym.make(identifier, **kwargs)
    env.reset(seed=5)
    assert reason_not_sampled_from_model(env) is None
    model = TransitionModel.of(env)
    loop = ModelLoop(model, np.random.default_rng(0))
    loop.rng.bit_generator.state = env.unwrapped.np_random.bit_generator.state
    choices = [np.random.default_rng(1) for _ in range(2)]
    real = walk(lambda: env.reset()[0], lambda a: env.step(a)[:4], 400, choices[0], model.num_actions)
    drawn = walk(loop.reset, loop.step, 400, choices[1], model.num_actions)
    assert real == drawn
    assert loop.rng.bit_generator.state == env.unwrapped.np_random.bit_generator.state
    if model.time_limit is not None:
        assert read_position(env).elapsed_steps == loop.elapsed
    assert read_position(env).state == loop.state


@pytest.mark.parametrize(("identifier", "kwargs"), SAMPLED)
@pytest.mark.parametrize("num_steps", [0, 1, 37])
def test_python_continues_from_a_written_position(identifier, kwargs, num_steps):
    stepped, written = gym.make(identifier, **kwargs), gym.make(identifier, **kwargs)
    num_actions = int(stepped.action_space.n)
    stepped.reset(seed=9)
    last_action = None
    rng = np.random.default_rng(2)
    for _ in range(num_steps):
        last_action = int(rng.integers(num_actions))
        _, _, terminated, truncated, _ = stepped.step(last_action)
        if terminated or truncated:
            stepped.reset()
            last_action = None
    place = read_position(stepped)
    write_position(written, place.state, place.elapsed_steps, last_action)
    written.unwrapped.np_random = np.random.Generator(np.random.PCG64())
    written.unwrapped.np_random.bit_generator.state = stepped.unwrapped.np_random.bit_generator.state
    assert read_position(written) == place
    assert written.unwrapped.lastaction == stepped.unwrapped.lastaction
    walks = []
    for env in (stepped, written):
        rng = np.random.default_rng(3)
        walks.append(
            walk(
                lambda env=env: env.reset()[0],
                lambda a, env=env: env.step(a)[:4],
                300,
                rng,
                num_actions,
                place,
            )
        )
    assert walks[0] == walks[1]
    assert written.unwrapped.np_random.bit_generator.state == stepped.unwrapped.np_random.bit_generator.state


def test_a_written_position_leaves_no_other_trace():
    for identifier in ("FrozenLake-v1", "Taxi-v4", "CliffWalking-v1", "velodrome/Chain-v0"):
        stepped, written = gym.make(identifier), gym.make(identifier)
        stepped.reset(seed=1)
        stepped.step(0)
        stepped.step(1)
        place = read_position(stepped)
        write_position(written, place.state, place.elapsed_steps, 1)
        generator = {"_np_random", "_np_random_seed", "spec", "P", "model"}
        layers = [(stepped, written)]
        while isinstance(layers[-1][0], gym.Wrapper):
            layers.append((layers[-1][0].env, layers[-1][1].env))
        for one, other in layers:
            skipped = generator | {"env", "_cached_spec"}
            assert [str(v) for k, v in sorted(vars(one).items()) if k not in skipped] == [
                str(v) for k, v in sorted(vars(other).items()) if k not in skipped
            ]


@pytest.mark.parametrize(
    ("state", "elapsed_steps", "words"),
    [(16, 0, "state must be 0 to 15, got 16"), (0, 101, "elapsed_steps must be 0 to 100, got 101")],
)
def test_positions_that_cannot_be(state, elapsed_steps, words):
    with pytest.raises(ValueError, match=words):
        write_position(gym.make("FrozenLake-v1"), state, elapsed_steps, None)


@pytest.mark.parametrize("identifier", ["FrozenLake-v1", "CliffWalking-v1", "velodrome/Chain-v0", "CartPole-v1"])
def test_no_position_before_a_reset(identifier):
    with pytest.raises(ValueError, match=f"{identifier} has no position: reset it first"):
        read_position(gym.make(identifier))


class OtherStep(Chain):
    def step(self, action):
        return super().step(0)


class OtherReset(OtherStep):
    step = Chain.step

    def reset(self, *, seed=None, options=None):
        return super().reset(seed=1)


class StillOtherStep(OtherStep):
    pass


class OwnEnvironment(ModelEnvironment):
    def __init__(self):
        super().__init__(TransitionModel.from_outcomes({0: {0: [(1.0, 0, 1.0, True)]}}, 0))

    def render_text(self):
        return "own"


class SlowLake(FrozenLakeEnv):
    pass


def with_generator(bit_generator):
    env = gym.make("FrozenLake-v1")
    env.unwrapped.np_random = np.random.Generator(bit_generator)
    return env


def with_half_a_draw():
    env = gym.make("FrozenLake-v1")
    env.reset(seed=0)
    env.unwrapped.np_random.integers(0, 3, dtype=np.int32)
    return env


def with_replaced_step():
    env = gym.make("FrozenLake-v1")
    env.unwrapped.step = lambda action: (0, 0.0, False, False, {})
    return env


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: gym.make("Taxi-v4", fickle_passenger=True), "fickle_passenger draws outside P"),
        (lambda: gym.make("CartPole-v1"), "CartPole-v1 has no transition model"),
        (SlowLake, "how SlowLake draws its steps is not known"),
        (OtherStep, "OtherStep overrides step"),
        (StillOtherStep, "OtherStep overrides step"),
        (OtherReset, "OtherReset overrides step"),
        (lambda: gym.make("FrozenLake-v1", render_mode="ansi"), "asked to render"),
        (lambda: gym.make("velodrome/Chain-v0", render_mode="ansi"), "asked to render"),
        (
            lambda: gym.wrappers.RecordEpisodeStatistics(gym.make("FrozenLake-v1")),
            "wrapper RecordEpisodeStatistics may change steps",
        ),
        (lambda: with_generator(np.random.PCG64DXSM(1)), "its random numbers come from PCG64DXSM, not PCG64"),
        (lambda: with_generator(np.random.MT19937(1)), "its random numbers come from MT19937, not PCG64"),
        (with_half_a_draw, "its generator holds back half of a 64-bit draw"),
        (with_replaced_step, "FrozenLakeEnv.step was replaced on this instance"),
    ],
)
def test_reasons_against_the_model(make, reason):
    assert reason_not_sampled_from_model(make()) == reason


def test_own_environments_are_sampled_and_asking_draws_nothing():
    for env in (OwnEnvironment(), BernoulliBandit(), make_environment("velodrome/GridWorld-v0")):
        assert reason_not_sampled_from_model(env) is None
        assert env.unwrapped._np_random is None
