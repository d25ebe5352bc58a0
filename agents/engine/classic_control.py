"""Gymnasium's classic control with compiled steps: CartPole, MountainCar and Acrobot, bit for bit.

Episodes begin by the environment's own reset; what is compiled is the step. Whether it is the installed Gymnasium's is
not believed but tried, once a process for every set of constants: sines, cosines and powers are the C library's here,
and whatever NumPy was built with there.
"""

import math
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.classic_control.acrobot import AcrobotEnv
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from gymnasium.envs.classic_control.mountain_car import MountainCarEnv

from velodrome.agents.engine.numba_cache import compiled
from velodrome.envs.model.known_dynamics import DYNAMICS, reason_changed
from velodrome.envs.model.model_sampling import elapsed_steps_of, reason_wrapped, write_wrappers
from velodrome.envs.wrapper_chain import name_of, time_limit_of

CART_POLE, MOUNTAIN_CAR, ACROBOT = range(3)
# Steps of an episode without a time limit.
NO_LIMIT = 1 << 62

_compiled = partial(compiled, error_model="numpy")

_CLASSES: tuple[type, ...] = (CartPoleEnv, MountainCarEnv, AcrobotEnv)
# Attributes that a step reads, in the order in which the compiled one has them.
_CONSTANTS: tuple[tuple[str, ...], ...] = (
    (
        "gravity", "masspole", "total_mass", "length", "polemass_length", "force_mag", "tau", "x_threshold",
        "theta_threshold_radians", "kinematics_integrator", "_sutton_barto_reward",
    ),
    ("min_position", "max_position", "max_speed", "goal_position", "goal_velocity", "force", "gravity"),
    (
        "dt", "LINK_LENGTH_1", "LINK_MASS_1", "LINK_MASS_2", "LINK_COM_POS_1", "LINK_COM_POS_2", "LINK_MOI",
        "MAX_VEL_1", "MAX_VEL_2", "AVAIL_TORQUE", "book_or_nips", "torque_noise_max",
    ),
)  # fmt: skip
# Numbers that are as large as most states come to be, with which steps are tried.
_SPREADS = ((2.0, 1.0, 0.2, 1.0), (0.6, 0.04), (3.0, 3.0, 6.0, 12.0))
_CENTRES = (0.0, -0.3, 0.0)
_NUM_TRIED = 200
_NUM_POWERS = 4000


@_compiled
def moved_cart(x, x_dot, theta, theta_dot, cosine, sine, force, constants):
    """State of a cart with a pole after a push, by Euler's method; source: Gymnasium's CartPole.

    The first seven constants are those of `CartPoleEnv`; the tenth is 0 for semi-implicit steps.
    """
    gravity, pole_mass, mass, length = constants[0], constants[1], constants[2], constants[3]
    pole_moment, tau = constants[4], constants[6]
    push = (force + pole_moment * (theta_dot * theta_dot) * sine) / mass
    turn = (gravity * sine - cosine * push) / (length * (4.0 / 3.0 - pole_mass * (cosine * cosine) / mass))
    acceleration = push - pole_moment * turn * cosine / mass
    if constants[9] != 0.0:
        return x + tau * x_dot, x_dot + tau * acceleration, theta + tau * theta_dot, theta_dot + tau * turn
    x_dot, theta_dot = x_dot + tau * acceleration, theta_dot + tau * turn
    return x + tau * x_dot, x_dot, theta + tau * theta_dot, theta_dot


@_compiled
def has_fallen(x, theta, constants):
    """Whether the cart has left its track, or the pole leans too far."""
    far, tilted = constants[7], constants[8]
    return x < -far or x > far or theta < -tilted or theta > tilted


@_compiled
def _step_cart_pole(constants, state, action, observation):
    force = constants[5] if action == 1 else -constants[5]
    theta = state[2]
    state[0], state[1], state[2], state[3] = moved_cart(
        state[0], state[1], theta, state[3], math.cos(theta), math.sin(theta), force, constants
    )
    for column in range(4):
        observation[column] = np.float32(state[column])
    terminated = has_fallen(state[0], state[2], constants)
    if constants[10] != 0.0:
        return -1.0 if terminated else 0.0, terminated
    return 1.0, terminated


@_compiled
def _step_mountain_car(constants, state, action, observation):
    lowest, highest, fastest, goal, goal_velocity = constants[0], constants[1], constants[2], constants[3], constants[4]
    position, velocity = state[0], state[1]
    velocity += (action - 1) * constants[5] + math.cos(3 * position) * (-constants[6])
    velocity = velocity if velocity > -fastest else -fastest
    velocity = velocity if velocity < fastest else fastest
    position += velocity
    position = position if position > lowest else lowest
    position = position if position < highest else highest
    if position == lowest and velocity < 0:
        velocity = 0.0
    state[0], state[1] = position, velocity
    observation[0], observation[1] = np.float32(position), np.float32(velocity)
    return -1.0, position >= goal and velocity >= goal_velocity


@_compiled
def _slopes_of_acrobot(constants, theta_1, theta_2, speed_1, speed_2, torque):
    """Accelerations of both links, as `AcrobotEnv._dsdt` has them.

    The exponent 2 is a constant to nobody: NumPy calls the C library's power, which is not always the square.
    """
    length, mass_1, mass_2 = constants[1], constants[2], constants[3]
    centre_1, centre_2, moment = constants[4], constants[5], constants[6]
    two, gravity = constants[13], 9.8
    d_1 = (
        mass_1 * centre_1**two
        + mass_2 * (length**two + centre_2**two + 2 * length * centre_2 * math.cos(theta_2))
        + moment
        + moment
    )
    d_2 = mass_2 * (centre_2**two + length * centre_2 * math.cos(theta_2)) + moment
    phi_2 = mass_2 * centre_2 * gravity * math.cos(theta_1 + theta_2 - math.pi / 2.0)
    phi_1 = (
        -mass_2 * length * centre_2 * speed_2**two * math.sin(theta_2)
        - 2 * mass_2 * length * centre_2 * speed_2 * speed_1 * math.sin(theta_2)
        + (mass_1 * centre_1 + mass_2 * length) * gravity * math.cos(theta_1 - math.pi / 2)
        + phi_2
    )
    if constants[12] != 0.0:
        upper = torque + d_2 / d_1 * phi_1 - phi_2
    else:
        upper = torque + d_2 / d_1 * phi_1 - mass_2 * length * centre_2 * speed_1**two * math.sin(theta_2) - phi_2
    acceleration_2 = upper / (mass_2 * centre_2**two + moment - d_2**two / d_1)
    return -(d_2 * acceleration_2 + phi_1) / d_1, acceleration_2


@_compiled
def _wrapped(angle):
    while angle > math.pi:
        angle = angle - 2 * math.pi
    while angle < -math.pi:
        angle = angle + 2 * math.pi
    return angle


@_compiled
def _bound(speed, fastest):
    speed = -fastest if -fastest > speed else speed
    return fastest if fastest < speed else speed


@_compiled
def _step_acrobot(constants, state, action, observation):
    torque, dt = constants[9 + action], constants[0]
    half = dt / 2.0
    a, b, c, d = state[0], state[1], state[2], state[3]
    a_1, b_1 = c, d
    c_1, d_1 = _slopes_of_acrobot(constants, a, b, c, d, torque)
    a_2, b_2 = c + half * c_1, d + half * d_1
    c_2, d_2 = _slopes_of_acrobot(constants, a + half * a_1, b + half * b_1, a_2, b_2, torque)
    a_3, b_3 = c + half * c_2, d + half * d_2
    c_3, d_3 = _slopes_of_acrobot(constants, a + half * a_2, b + half * b_2, a_3, b_3, torque)
    a_4, b_4 = c + dt * c_3, d + dt * d_3
    c_4, d_4 = _slopes_of_acrobot(constants, a + dt * a_3, b + dt * b_3, a_4, b_4, torque)
    sixth = dt / 6.0
    state[0] = first = _wrapped(a + sixth * (a_1 + 2 * a_2 + 2 * a_3 + a_4))
    state[1] = second = _wrapped(b + sixth * (b_1 + 2 * b_2 + 2 * b_3 + b_4))
    state[2] = _bound(c + sixth * (c_1 + 2 * c_2 + 2 * c_3 + c_4), constants[7])
    state[3] = _bound(d + sixth * (d_1 + 2 * d_2 + 2 * d_3 + d_4), constants[8])
    observation[0], observation[1] = np.float32(math.cos(first)), np.float32(math.sin(first))
    observation[2], observation[3] = np.float32(math.cos(second)), np.float32(math.sin(second))
    observation[4], observation[5] = np.float32(state[2]), np.float32(state[3])
    terminated = -math.cos(first) - math.cos(second + first) > 1.0
    return 0.0 if terminated else -1.0, terminated


@_compiled
def step(kind, constants, state, action, observation):
    """One step of an environment; returns its reward and whether the episode terminated.

    Args:
        kind: `CART_POLE`, `MOUNTAIN_CAR` or `ACROBOT`.
        constants: float64, of the environment; see `ClassicControl`.
        state: float64, updated.
        action: int64.
        observation: float32, filled with what follows.
    """
    if kind == CART_POLE:
        return _step_cart_pole(constants, state, action, observation)
    if kind == MOUNTAIN_CAR:
        return _step_mountain_car(constants, state, action, observation)
    return _step_acrobot(constants, state, action, observation)


@_compiled
def _power(base, exponent):
    return base**exponent


@dataclass(frozen=True, eq=False)
class ClassicControl:
    """An environment of classic control whose compiled step is its own.

    Attributes:
        environment: with its wrappers.
        kind: of the three.
        constants: float64, what its step reads of the environment's attributes.
        time_limit: steps of an episode, `NO_LIMIT` where there is none.
    """

    environment: Any
    kind: int
    constants: np.ndarray
    time_limit: int

    @classmethod
    def of(cls, env: gym.Env[Any, Any]) -> "ClassicControl | str":
        """The environment with a compiled step, or the reason why it has none."""
        unwrapped: Any = env.unwrapped
        if type(unwrapped) not in _CLASSES:
            return f"{name_of(env)} has no compiled step"
        kind = _CLASSES.index(type(unwrapped))
        reason = reason_wrapped(env) or reason_changed(unwrapped, _CLASSES[kind], DYNAMICS)
        if reason is None and unwrapped.render_mode is not None:
            reason = "asked to render"
        if reason is not None:
            return reason
        values = tuple(_hashable(getattr(unwrapped, name)) for name in _CONSTANTS[kind])
        reason = (
            _reason_not_plain(kind, values) or _reason_other_spaces(kind, unwrapped) or _reason_unequal(kind, values)
        )
        if reason is not None:
            return reason
        limit = time_limit_of(env)
        return cls(env, kind, _as_numbers(kind, values), NO_LIMIT if limit is None else limit)

    def read(self) -> tuple[np.ndarray, int]:
        """State float64 in which the environment stands, and the steps that its time limit has counted."""
        return np.array(self.environment.unwrapped.state, dtype=np.float64), elapsed_steps_of(self.environment)

    def write(self, state: np.ndarray, elapsed_steps: int, terminated: bool) -> None:
        """Make the environment look as if its own step had brought it to a state."""
        unwrapped = self.environment.unwrapped
        unwrapped.state = tuple(state) if self.kind == MOUNTAIN_CAR else state.copy()
        if self.kind == CART_POLE and terminated:
            unwrapped.steps_beyond_terminated = 0
        write_wrappers(self.environment, elapsed_steps)


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _reason_not_plain(kind: int, values: tuple[Any, ...]) -> str | None:
    """Why constants are no numbers of the precision of the compiled step, None where they are."""
    for name, value in zip(_CONSTANTS[kind], values, strict=True):
        parts = value if name == "AVAIL_TORQUE" else (value,)
        if type(parts) is not tuple or (name == "AVAIL_TORQUE" and len(parts) != 3):
            return f"its {name} is {value!r}"
        if name in ("kinematics_integrator", "book_or_nips"):
            if type(value) is not str:
                return f"its {name} is {value!r}"
        elif not all(type(part) in (float, int, bool, np.float64) and math.isfinite(part) for part in parts):
            return f"its {name} is {value!r}"
        if name == "torque_noise_max" and value > 0:
            return "its torque is noisy"
    return None


def _as_numbers(kind: int, values: tuple[Any, ...]) -> np.ndarray:
    """Constants as the compiled step reads them."""
    numbers = list(values)
    if kind == CART_POLE:
        numbers[9], numbers[10] = numbers[9] == "euler", bool(numbers[10])
    elif kind == ACROBOT:
        # The exponent comes last.
        numbers[9:] = [*numbers[9], numbers[10] == "nips", 2.0]
    return np.array(numbers, dtype=np.float64)


@lru_cache(maxsize=3)
def _spaces_of(kind: int) -> tuple[gym.Space[Any], gym.Space[Any]]:
    made: Any = _CLASSES[kind]()
    return made.observation_space, made.action_space


def _reason_other_spaces(kind: int, unwrapped: Any) -> str | None:
    spaces = unwrapped.observation_space, unwrapped.action_space
    return None if spaces == _spaces_of(kind) else "its spaces were changed"


@lru_cache(maxsize=64)
def _reason_unequal(kind: int, values: tuple[Any, ...]) -> str | None:
    """Why the compiled step is not that of the installed Gymnasium, by trying; None where all bits are equal."""
    reason = f"the compiled step differs from that of Gymnasium {gym.__version__} on this machine"
    made: Any = _CLASSES[kind]()
    for name, value in zip(_CONSTANTS[kind], values, strict=True):
        setattr(made, name, value)
    constants, rng = _as_numbers(kind, values), np.random.default_rng(0)
    spread, actions, terminated = np.array(_SPREADS[kind]), int(made.action_space.n), False
    made.reset(seed=0)
    with np.errstate(all="ignore"):
        for number in range(2 * _NUM_TRIED):
            if number < _NUM_TRIED:
                # States from everywhere; then steps in a row.
                tried = _CENTRES[kind] + spread * rng.uniform(-1.3, 1.3, len(spread))
                made.state = tuple(tried) if kind == MOUNTAIN_CAR else tried
            elif number == _NUM_TRIED or terminated:
                made.reset()
            if kind == CART_POLE:
                made.steps_beyond_terminated = None
            state, action = np.array(made.state, dtype=np.float64), int(rng.integers(actions))
            own = np.zeros(made.observation_space.shape, np.float32)
            own_answer = step(kind, constants, state, action, own)
            observation, reward, terminated, _, _ = made.step(action)
            if own_answer != (reward, terminated) or own.tobytes() != observation.tobytes():
                return reason
            if state.tobytes() != np.array(made.state, dtype=np.float64).tobytes():
                return reason
        # What a library's power makes of a square differs in one of a thousand.
        if kind == ACROBOT and any(_power(base, 2.0) != base**2 for base in rng.uniform(-30.0, 30.0, _NUM_POWERS)):
            return reason
    return None
