"""Environments that list their transitions, changed in every way we could think of, and what may be said of them.

Each member is a function of pytest's monkeypatch, which returns what makes the environment.
"""

import copy
import functools
import types

import gymnasium as gym
import numpy as np
from gymnasium import spaces, wrappers
from gymnasium.envs.toy_text import frozen_lake
from gymnasium.envs.toy_text.cliffwalking import CliffWalkingEnv
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv, generate_random_map
from gymnasium.envs.toy_text.taxi import TaxiEnv
from gymnasium.wrappers import TimeLimit

from velodrome.envs import BernoulliBandit, Chain, DeepSea, GridWorld, ModelEnvironment, RiverSwim, TransitionModel

EXACT, SAMPLED = {}, {}
MAP = "S..G/.X../...X"


def exact(make):
    """Member that steps by its transitions, so that its values are computed."""
    EXACT[make.__name__] = make
    return make


def sampled(make):
    """Member that does not, so that nothing may be computed from them."""
    SAMPLED[make.__name__] = make
    return make


def lake(**kwargs):
    return gym.make("FrozenLake-v1", **({"max_episode_steps": 40} | kwargs))


def solid(**kwargs):
    return lake(is_slippery=False, **kwargs)


def grid(kind=GridWorld, limit=30, **kwargs):
    return TimeLimit(kind(MAP, **kwargs), limit)


def limited(kind, limit=40, **kwargs):
    return lambda: TimeLimit(kind(**kwargs), limit)


# Environments as they are, and edited where their own step looks.


@exact
def slippery_lake(_):
    return lake


@exact
def solid_lake(_):
    return solid


@exact
def lake_8x8(_):
    return lambda: solid(map_name="8x8")


@exact
def cliff(_):
    return lambda: gym.make("CliffWalking-v1", max_episode_steps=60)


@exact
def slippery_cliff(_):
    return lambda: gym.make("CliffWalkingSlippery-v1", max_episode_steps=60, disable_env_checker=True)


@exact
def taxi(_):
    return lambda: gym.make("Taxi-v4", max_episode_steps=30)


@exact
def grid_world(_):
    return lambda: grid(slip=0.2)


@exact
def chain(_):
    return limited(Chain)


@exact
def deep_sea(_):
    return lambda: DeepSea(4)


@exact
def river_swim(_):
    return limited(RiverSwim, 20)


@exact
def bandit(_):
    return BernoulliBandit


@exact
def lake_with_edited_rewards(_):
    def make():
        env = lake()
        table = env.unwrapped.P
        for state in table:
            for action in table[state]:
                table[state][action] = [(p, n, 5 * r - (n % 4) * end, end) for p, n, r, end in table[state][action]]
        return env

    return make


@exact
def lake_with_edited_start(_):
    def make():
        env = lake()
        env.unwrapped.initial_state_distrib = np.eye(16)[[4, 8]].mean(axis=0)
        return env

    return make


@exact
def lake_with_another_table(_):
    def make():
        env = lake()
        env.unwrapped.P = copy.deepcopy(solid().unwrapped.P)
        return env

    return make


@exact
def lake_that_keeps_a_model_of_another(_):
    def make():
        env = lake()
        env.unwrapped.model = TransitionModel.of(solid())
        return env

    return make


@exact
def grid_world_with_another_model(_):
    def make():
        env = grid()
        env.unwrapped.model = GridWorld(MAP, slip=0.4, step_reward=-0.1).model
        return env

    return make


@exact
def lake_subclass_with_its_own_map(_):
    class Lake(FrozenLakeEnv):
        def __init__(self):
            super().__init__(desc=["SFF", "FHF", "FFG"])

    return limited(Lake)


@exact
def lake_with_statistics(_):
    return lambda: wrappers.RecordEpisodeStatistics(lake())


@exact
def wrapper_that_does_nothing(_):
    class Nothing(gym.Wrapper):
        pass

    return lambda: Nothing(lake())


@exact
def two_time_limits(_):
    return lambda: TimeLimit(lake(max_episode_steps=12), 30)


@exact
def edited_time_limit(_):
    def make():
        env = lake()
        env._max_episode_steps = 9
        return env

    return make


@exact
def another_generator(_):
    def make():
        env = lake()
        env.unwrapped.np_random = np.random.Generator(np.random.MT19937(3))
        return env

    return make


# Code of the user's own that steps by the transitions all the same.


@exact
def subclass_that_counts_its_steps(_):
    class Counting(FrozenLakeEnv):
        steps = 0

        def step(self, action):
            self.steps += 1
            return super().step(action)

    return limited(Counting)


@exact
def grid_subclass_that_counts_its_resets(_):
    class Counting(GridWorld):
        resets = 0

        def reset(self, *, seed=None, options=None):
            self.resets += 1
            return super().reset(seed=seed)

    return lambda: grid(Counting, slip=0.3)


@exact
def class_patched_without_effect(monkeypatch):
    step = FrozenLakeEnv.step

    def logged(self, action):
        return step(self, action)

    monkeypatch.setattr(FrozenLakeEnv, "step", logged)
    return lake


class Walk(gym.Env):
    """Three states in a row, drawn as a user would: with `choice`, and without the distribution of the first state."""

    P = {  # noqa: RUF012 - as users write it
        0: {0: [(0.8, 0, -0.1, False), (0.2, 1, 0.0, False)], 1: [(0.7, 1, 0.0, False), (0.3, 0, 0.0, False)]},
        1: {0: [(1.0, 0, -0.5, False)], 1: [(0.6, 2, 0.0, False), (0.4, 0, -1.0, True)]},
        2: {0: [(0.5, 2, 0.0, False), (0.5, 1, 0.0, False)], 1: [(0.9, 2, 5.0, True), (0.1, 2, -1.0, True)]},
    }

    def __init__(self):
        self.observation_space, self.action_space = spaces.Discrete(3), spaces.Discrete(2)

    def outcomes(self, action):
        return self.P[self.s][action]

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.s, self.t = 0, 0
        return self.s, {}

    def step(self, action):
        self.t += 1
        outcomes = self.outcomes(action)
        index = self.np_random.choice(len(outcomes), p=[p for p, _, _, _ in outcomes])
        _, self.s, reward, terminated = outcomes[index]
        return self.s, reward, terminated, False, {}


@exact
def own_environment_without_initial_distribution(_):
    return limited(Walk, 20)


@exact
def own_environment_with_initial_distribution(_):
    class Started(Walk):
        initial_state_distrib = np.array([0.25, 0.75, 0.0])

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.s = int(self.np_random.random() > 0.25)
            return self.s, {}

    return limited(Started, 20)


# Steps that are not those of the transitions.


@sampled
def holes_hurt(_):
    class HoleHurts(FrozenLakeEnv):
        def step(self, action):
            state, reward, terminated, truncated, info = super().step(action)
            return state, -1.0 if terminated and reward == 0 else reward, terminated, truncated, info

    return limited(HoleHurts)


@sampled
def steps_cost_in_a_grid(_):
    class Costly(GridWorld):
        def step(self, action):
            state, reward, *rest = super().step(action)
            return state, reward - 0.01, *rest

    return lambda: grid(Costly)


@sampled
def other_actions_in_a_model_environment(_):
    class Reversed(Chain):
        def step(self, action):
            return super().step(1 - action)

    return limited(Reversed)


@sampled
def mirrored_observations(_):
    class Mirrored(GridWorld):
        def step(self, action):
            state, *rest = super().step(action)
            return 11 - state, *rest

        def reset(self, *, seed=None, options=None):
            state, info = super().reset(seed=seed)
            return 11 - state, info

    return lambda: grid(Mirrored)


@sampled
def cliff_that_ends_the_episode(_):
    class Deadly(CliffWalkingEnv):
        def step(self, action):
            state, reward, terminated, *rest = super().step(action)
            return state, reward, terminated or reward == -100, *rest

    return limited(Deadly)


@sampled
def taxi_that_reads_its_state_otherwise(_):
    class Fickle(TaxiEnv):
        def step(self, action):
            state, *rest = super().step(action)
            if self.np_random.random() < 0.02:
                self.s = state = int(self.np_random.integers(500))
            return state, *rest

    return limited(Fickle, 30)


@sampled
def fickle_passenger(_):
    return lambda: gym.make("Taxi-v4", fickle_passenger=True, max_episode_steps=30)


@sampled
def a_wind_that_blows_seldom(_):
    class Windy(FrozenLakeEnv):
        def step(self, action):
            if self.np_random.random() < 0.01:
                self.s = 0
                return 0, 0.0, False, False, {}
            return super().step(action)

    return limited(Windy)


@sampled
def every_tenth_step_pays(_):
    class Paying(FrozenLakeEnv):
        taken = 0

        def step(self, action):
            self.taken += 1
            state, reward, *rest = super().step(action)
            return state, reward + (self.taken % 10 == 0), *rest

    return limited(Paying)


@sampled
def nights_fall_after_twenty_steps(_):
    class Dark(Walk):
        def outcomes(self, action):
            return [(1.0, self.s, -1.0, True)] if self.t > 20 else super().outcomes(action)

    return limited(Dark)


@sampled
def own_time_limit(_):
    class Short(Walk):
        def step(self, action):
            state, reward, terminated, _, info = super().step(action)
            return state, reward, terminated, self.t >= 6, info

    return Short


@sampled
def other_probabilities(_):
    class Slippery(Walk):
        def outcomes(self, action):
            (p, *first), *rest = super().outcomes(action)
            return super().outcomes(action) if p == 1 else [(p - 0.1, *first), (rest[0][0] + 0.1, *rest[0][1:])]

    return limited(Slippery, 20)


@sampled
def actions_that_stick(_):
    class Sticky(FrozenLakeEnv):
        last = 0

        def step(self, action):
            self.last = action if self.np_random.random() > 0.25 else self.last
            return super().step(self.last)

    return limited(Sticky, is_slippery=False)


@sampled
def a_new_map_in_each_reset(_):
    class Changing(FrozenLakeEnv):
        def reset(self, *, seed=None, options=None):
            gym.Env.reset(self, seed=seed)
            number = int(self.np_random.integers(1000))
            FrozenLakeEnv.__init__(self, desc=generate_random_map(size=4, seed=number), is_slippery=False)
            return super().reset()

    return limited(Changing)


@sampled
def starts_elsewhere(_):
    class Elsewhere(FrozenLakeEnv):
        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.s = 8
            return 8, {}

    return limited(Elsewhere)


@sampled
def starts_seldom_elsewhere(_):
    class Elsewhere(GridWorld):
        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.s = 2 if self.np_random.random() < 0.1 else self.s
            return self.s, {}

    return lambda: grid(Elsewhere)


@sampled
def own_environment_that_starts_anywhere(_):
    class Anywhere(Walk):
        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.s = int(self.np_random.integers(2))
            return self.s, {}

    return limited(Anywhere, 20)


@sampled
def a_mixin_below_the_class(_):
    class FromEight(gym.Env):
        def reset(self, *, seed=None, options=None):
            gym.Env.reset(self, seed=seed)
            self.initial_state_distrib = np.eye(16)[8]
            return 8, {}

    class Lake(FrozenLakeEnv, FromEight):
        pass

    return limited(Lake)


@sampled
def transitions_that_are_only_told(_):
    class Told(FrozenLakeEnv):
        asked_by_step = making = False

        @property
        def P(self):
            return self.true if self.asked_by_step or self.making else self.told

        @P.setter
        def P(self, table):
            self.true = table

        def __init__(self):
            self.making = True
            super().__init__()
            self.making, self.told = False, solid().unwrapped.P

        def step(self, action):
            self.asked_by_step = True
            result = super().step(action)
            self.asked_by_step = False
            return result

    return limited(Told)


@sampled
def a_start_that_is_only_told(_):
    class Told(FrozenLakeEnv):
        asked = 0

        @property
        def initial_state_distrib(self):
            self.asked += 1
            return np.eye(16)[8 if self.asked % 2 else 0]

        @initial_state_distrib.setter
        def initial_state_distrib(self, _):
            pass

    return limited(Told)


@sampled
def attributes_that_are_set_otherwise(_):
    class Shifted(FrozenLakeEnv):
        def __setattr__(self, name, value):
            super().__setattr__(name, 4 if name == "s" and value == 1 else value)

    return limited(Shifted)


@sampled
def edited_transitions_that_the_step_does_not_use(_):
    def make():
        env = TimeLimit(Walk(), 20)
        table = {s: {a: [(1.0, 2, 0.0, False)] for a in range(2)} for s in range(3)}
        env.unwrapped.outcomes = types.MethodType(lambda self, action: Walk.P[self.s][action], env.unwrapped)
        env.unwrapped.P = table
        return env

    return make


@sampled
def edited_probabilities_without_their_sums(_):
    def make():
        env = grid(slip=0.5)
        model = env.unwrapped.model
        model.probabilities.setflags(write=True)
        model.probabilities.reshape(-1, 3)[:] = [0.0, 1.0, 0.0]
        return env

    return make


@sampled
def success_that_only_the_step_knows(_):
    class Reporting(FrozenLakeEnv):
        def step(self, action):
            *result, info = super().step(action)
            return *result, info | {"is_success": self.s > 10}

    return limited(Reporting)


# Steps replaced on an instance, on a class, in a module.


@sampled
def step_replaced_on_the_instance(_):
    def make():
        env = lake()
        step = env.unwrapped.step

        def replaced(action):
            state, reward, *rest = step(action)
            return state, reward - 0.01, *rest

        env.unwrapped.step = replaced
        return env

    return make


@sampled
def bound_step_on_the_instance(_):
    def make():
        env = grid()
        env.unwrapped.step = types.MethodType(
            lambda self, action: GridWorld.step(self, (action + 1) % 4), env.unwrapped
        )
        return env

    return make


@sampled
def step_replaced_on_a_wrapper(_):
    def make():
        env = solid()
        step = env.step
        env.step = lambda action: step((action + 2) % 4)
        return env

    return make


@sampled
def step_patched_on_the_class(monkeypatch):
    step = FrozenLakeEnv.step

    @functools.wraps(step)
    def patched(self, action):
        state, reward, *rest = step(self, action)
        return state, reward - 0.01, *rest

    monkeypatch.setattr(FrozenLakeEnv, "step", patched)
    return solid


@sampled
def code_exchanged_in_the_class(monkeypatch):
    def step(self, a):
        self.s = (self.s + a) % 16
        self.lastaction = a
        return int(self.s), float(self.s == 15), bool(self.s == 15), False, {}

    monkeypatch.setattr(FrozenLakeEnv.step, "__code__", step.__code__)
    return solid


@sampled
def reset_patched_on_our_class(monkeypatch):
    def reset(self, *, seed=None, options=None):
        gym.Env.reset(self, seed=seed)
        self.s, self.lastaction = 5, None
        return 5, {}

    monkeypatch.setattr(ModelEnvironment, "reset", reset)
    return lambda: grid()


@sampled
def wrapper_patched_on_its_class(monkeypatch):
    step = TimeLimit.step

    def patched(self, action):
        state, reward, *rest = step(self, action)
        return state, reward - 0.5, *rest

    monkeypatch.setattr(TimeLimit, "step", patched)
    return solid


@sampled
def sampling_patched_in_the_module(monkeypatch):
    monkeypatch.setattr(frozen_lake, "categorical_sample", lambda probabilities, rng: len(probabilities) - 1)
    return lake


@sampled
def property_patched_onto_the_class(monkeypatch):
    def get(self):
        return vars(self)["s"]

    def put(self, state):
        vars(self)["s"] = 4 if state == 1 else state

    monkeypatch.setattr(FrozenLakeEnv, "s", property(get, put), raising=False)
    return solid


# Wrappers that change spaces, observations, rewards or transitions.


@sampled
def fewer_actions(_):
    class NeverUp(gym.Wrapper):
        def __init__(self, env):
            super().__init__(env)
            self.action_space = spaces.Discrete(3)

    return lambda: NeverUp(solid())


@sampled
def more_observations(_):
    class Padded(gym.Wrapper):
        def __init__(self, env):
            super().__init__(env)
            self.observation_space = spaces.Discrete(64)

    return lambda: Padded(solid())


@sampled
def larger_space_on_the_instance(_):
    def make():
        env = grid()
        env.unwrapped.observation_space = spaces.Discrete(100)
        return env

    return make


@sampled
def observations_counted_from_one(_):
    class FromOne(gym.ObservationWrapper):
        def __init__(self, env):
            super().__init__(env)
            self.observation_space = spaces.Discrete(16, start=1)

        def observation(self, observation):
            return observation + 1

    return lambda: FromOne(solid())


@sampled
def pairs_observed_by_the_class(_):
    class Pairs(FrozenLakeEnv):
        def __init__(self):
            super().__init__(is_slippery=False)
            self.observation_space = spaces.MultiDiscrete([4, 4])

        def reset(self, *, seed=None, options=None):
            state, info = super().reset(seed=seed)
            return np.array(divmod(state, 4)), info

        def step(self, action):
            state, *rest = super().step(action)
            return np.array(divmod(state, 4)), *rest

    return limited(Pairs)


@sampled
def shaped_rewards(_):
    class Shaped(gym.RewardWrapper):
        def reward(self, reward):
            return reward - 0.05

    return lambda: Shaped(lake())


@sampled
def turned_actions(_):
    class Turned(gym.ActionWrapper):
        def action(self, action):
            return (action + 1) % 4

    return lambda: Turned(solid())


@sampled
def sticky_actions(_):
    return lambda: wrappers.StickyAction(solid(), repeat_action_probability=0.3)


@sampled
def automatic_resets(_):
    return lambda: wrappers.Autoreset(TimeLimit(FrozenLakeEnv(is_slippery=False), 15))


@sampled
def halved_time_limit(_):
    class Half(TimeLimit):
        def step(self, action):
            *result, truncated, info = super().step(action)
            return *result, truncated or self._elapsed_steps >= 5, info

    return lambda: Half(FrozenLakeEnv(is_slippery=False), 10)


@sampled
def transitions_edited_while_resetting(_):
    class Melting(gym.Wrapper):
        def reset(self, *, seed=None, options=None):
            result = super().reset(seed=seed)
            self.unwrapped.P = lake().unwrapped.P
            return result

    return lambda: Melting(solid())
