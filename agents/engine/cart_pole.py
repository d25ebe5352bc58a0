"""CartPole's copies with a compiled step: Gymnasium's own vector form takes three times as long for a few dozen."""

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from velodrome.agents.engine.classic_control import has_fallen, moved_cart
from velodrome.agents.engine.numba_cache import compiled


class CartPoleCopies(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """Copies of Gymnasium's CartPole, with the numbers of one.

    Sines and cosines are NumPy's, as there; all else are sums, products and quotients in the same order.

    Args:
        num_envs: number of copies.
        max_episode_steps: after which an episode is truncated.
    """

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(self, num_envs: int = 1, max_episode_steps: int = 500) -> None:
        alone = CartPoleEnv()
        self.num_envs, self._limit = num_envs, max_episode_steps
        self.single_observation_space, self.single_action_space = alone.observation_space, spaces.Discrete(2)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._constants = np.array(
            [
                alone.gravity, alone.masspole, alone.total_mass, alone.length, alone.polemass_length, alone.force_mag,
                alone.tau, alone.x_threshold, alone.theta_threshold_radians, alone.kinematics_integrator == "euler",
            ]
        )  # fmt: skip
        # Rows: position, velocity, angle and angular velocity.
        self.state = np.zeros((4, num_envs))
        self._steps, self._were_over = np.zeros(num_envs, np.int64), np.zeros(num_envs, np.bool_)
        self._rewards = np.zeros(num_envs)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.state[...] = self.np_random.uniform(-0.05, 0.05, size=(4, self.num_envs))
        self._steps[:], self._were_over[:] = 0, False
        return self.state.T.astype(np.float32, order="C"), {}

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        number, angles = self.num_envs, self.state[2]
        observations = np.empty((number, 4), np.float32)
        terminated, truncated = np.empty(number, np.bool_), np.empty(number, np.bool_)
        num_begins = _advance(
            self.state, np.cos(angles), np.sin(angles), actions, self._were_over, self._steps, self._limit,
            self._constants, observations, self._rewards, terminated, truncated,
        )  # fmt: skip
        if num_begins:
            begins = np.flatnonzero(self._were_over)
            drawn = self.np_random.uniform(-0.05, 0.05, size=(4, num_begins))
            self.state[:, begins], observations[begins] = drawn, drawn.T
        np.logical_or(terminated, truncated, out=self._were_over)
        return observations, self._rewards, terminated, truncated, {}


@compiled
def _advance(
    state, cosines, sines, actions, were_over, steps, limit, constants, observations, rewards, terminated, truncated
):
    """One step of every copy whose episode goes on; returns how many begin another instead."""
    num_begins = 0
    for copy in range(len(actions)):
        if were_over[copy]:
            num_begins += 1
            steps[copy], rewards[copy], terminated[copy], truncated[copy] = 0, 0.0, False, False
            continue
        x, x_dot, theta, theta_dot = state[0, copy], state[1, copy], state[2, copy], state[3, copy]
        force = constants[5] if actions[copy] == 1 else -constants[5]
        x, x_dot, theta, theta_dot = moved_cart(
            x, x_dot, theta, theta_dot, cosines[copy], sines[copy], force, constants
        )
        state[0, copy], state[1, copy], state[2, copy], state[3, copy] = x, x_dot, theta, theta_dot
        observations[copy, 0], observations[copy, 1] = np.float32(x), np.float32(x_dot)
        observations[copy, 2], observations[copy, 3] = np.float32(theta), np.float32(theta_dot)
        steps[copy] += 1
        rewards[copy] = 1.0
        terminated[copy] = has_fallen(x, theta, constants)
        truncated[copy] = steps[copy] >= limit
    return num_begins
