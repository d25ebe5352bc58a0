"""Environments with native vector forms of their own, exact and not, for tests of trials that run side by side."""

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

SIZE = 6


class Corridor(gym.Env):
    """Walk right to the end; a step may slip, and every square has a reward."""

    def __init__(self, fails_with=None):
        self.observation_space, self.action_space = spaces.Discrete(SIZE, start=2), spaces.Discrete(2)
        # Seed of the environment that breaks down.
        self.fails_with = fails_with

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = int(self.np_random.integers(SIZE - 1))
        return self.place + 2, {}

    def step(self, action):
        if self.np_random_seed == self.fails_with:
            raise RuntimeError("the corridor caved in")
        slips = self.np_random.random() < 0.2
        self.place = max(0, self.place + (1 if (action == 1) != slips else -1))
        is_over = self.place >= SIZE - 1
        return self.place + 2, -0.1 * (self.place + 1), is_over, False, {"is_success": True} if is_over else {}


class Corridors(VectorEnv):
    """Corridors with a stream each, as their list of seeds says."""

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012
    dtype = np.float64

    def __init__(self, num_envs=1, max_episode_steps=30, fails_with=None):
        self.num_envs, self.max_episode_steps, self.fails_with = num_envs, max_episode_steps, fails_with
        self.single_observation_space, self.single_action_space = spaces.Discrete(SIZE, start=2), spaces.Discrete(2)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(self, *, seed=None, options=None):
        self.seeds = list(seed)
        self.streams = [np.random.Generator(np.random.PCG64(one)) for one in seed]
        self.places = np.array([stream.integers(SIZE - 1) for stream in self.streams])
        self.steps, self.were_over = np.zeros(self.num_envs, np.int64), np.zeros(self.num_envs, np.bool_)
        return self.places + 2, {}

    def step(self, actions):
        if self.fails_with in self.seeds:
            raise RuntimeError("the corridors caved in")
        begins = self.were_over
        slips = np.zeros(self.num_envs, np.bool_)
        for copy, stream in enumerate(self.streams):
            if begins[copy]:
                self.places[copy], self.steps[copy] = stream.integers(SIZE - 1), 0
            else:
                slips[copy] = stream.random() < 0.2
                self.steps[copy] += 1
        moves = np.where((actions == 1) != slips, 1, -1) * ~begins
        self.places = np.maximum(0, self.places + moves)
        rewards = np.where(begins, 0.0, -0.1 * (self.places + 1)).astype(self.dtype)
        terminated = ~begins & (self.places >= SIZE - 1)
        truncated = ~begins & (self.steps >= self.max_episode_steps)
        self.were_over = terminated | truncated
        return self.places + 2, rewards, terminated, truncated, {"is_success": terminated, "_is_success": terminated}


class RoundedCorridors(Corridors):
    """Rewards in single precision are others than alone."""

    dtype = np.float32


for name, form in (("Corridor", Corridors), ("RoundedCorridor", RoundedCorridors)):
    gym.register(f"tests/{name}-v0", Corridor, max_episode_steps=30, vector_entry_point=form)
