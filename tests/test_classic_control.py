"""The compiled steps of classic control are Gymnasium's own, and are not taken where they might not be."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.classic_control.acrobot import AcrobotEnv
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from hypothesis import given, settings, strategies as st

from velodrome.agents.engine import classic_control
from velodrome.agents.engine.classic_control import ClassicControl

CART, CAR, ACROBOT = "CartPole-v1", "MountainCar-v0", "Acrobot-v1"

CHANGES = {
    "cart": (CART, {}, {}),
    "cart, short": (CART, {"max_episode_steps": 20}, {}),
    "cart, other rewards": (CART, {"sutton_barto_reward": True}, {}),
    "cart, heavy and semi-implicit": (CART, {}, {"kinematics_integrator": "other", "gravity": 20, "length": 0.7}),
    "cart, wide": (CART, {}, {"x_threshold": 0.1, "force_mag": np.float64(3.0)}),
    "car": (CAR, {}, {}),
    "car, slow at the goal": (CAR, {"goal_velocity": 0.02}, {}),
    "car, strong": (CAR, {}, {"force": 0.004, "max_speed": 0.05}),
    "acrobot": (ACROBOT, {}, {}),
    "acrobot of the paper": (ACROBOT, {}, {"book_or_nips": "nips", "dt": 0.1}),
    "acrobot, strong": (ACROBOT, {}, {"AVAIL_TORQUE": [-3, 0, 3.0], "LINK_MASS_2": 0.5, "LINK_LENGTH_1": 1.3}),
}


def made(name, parameters, attributes):
    env = gym.make(name, **parameters)
    for attribute, value in attributes.items():
        setattr(env.unwrapped, attribute, value)
    return env


def steps_in_a_row(env, number, seed, pushes):
    """Whether so many compiled steps are those of the environment, bit for bit; how many episodes ended."""
    place = ClassicControl.of(env)
    assert isinstance(place, ClassicControl), place
    rng = np.random.default_rng(seed)
    env.reset(seed=seed)
    ended = 0
    for _ in range(number):
        state, elapsed = place.read()
        action = int(rng.integers(env.action_space.n))
        if pushes and rng.random() < 0.9:
            action = int(env.action_space.n - 1) if state[-1] > 0 else 0
        observation = np.zeros(env.observation_space.shape, np.float32)
        reward, terminated = classic_control.step(place.kind, place.constants, state, action, observation)
        found = env.step(action)
        assert observation.tobytes() == found[0].tobytes()
        assert (reward, terminated, elapsed + 1 >= place.time_limit) == found[1:4]
        assert state.tobytes() == np.array(env.unwrapped.state, np.float64).tobytes()
        if terminated or found[3]:
            ended += 1
            env.reset()
    return ended


@pytest.mark.parametrize("name", CHANGES)
def test_steps_are_gymnasiums_own(name):
    assert sum(steps_in_a_row(made(*CHANGES[name]), 600, 1, pushes) for pushes in (False, True)) > 0


@settings(max_examples=15)
@given(
    st.floats(0.1, 30.0), st.floats(0.1, 3.0), st.floats(0.1, 20.0), st.floats(0.005, 0.1), st.integers(0, 1000)
)  # fmt: skip
def test_steps_are_gymnasiums_own_for_all_constants(gravity, length, force, tau, seed):
    attributes = {"gravity": gravity, "length": length, "force_mag": force, "tau": tau}
    steps_in_a_row(made(CART, {}, attributes), 60, seed, False)


def test_an_environment_is_left_as_its_own_step_would_have_left_it():
    for name in (CART, CAR, ACROBOT):
        own, written = gym.make(name), gym.make(name)
        for env in (own, written):
            env.reset(seed=3)
        place = ClassicControl.of(written)
        state, _ = place.read()
        for number in range(9):
            classic_control.step(place.kind, place.constants, state, number % 2, np.zeros(6, np.float32))
            own.step(number % 2)
        place.write(state, 9, False)
        for number in range(15):
            one, other = own.step(number % 2), written.step(number % 2)
            assert one[0].tobytes() == other[0].tobytes()
            assert one[1:] == other[1:]
            if one[2]:
                break


class Heavier(CartPoleEnv):
    pass


class Shifted(gym.ObservationWrapper):
    def observation(self, observation):
        return observation + 1


def with_attribute(name, attribute, value):
    return made(name, {}, {attribute: value})


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: gym.make("Pendulum-v1"), "Pendulum-v1 has no compiled step"),
        (Heavier, "Heavier has no compiled step"),
        (lambda: Shifted(gym.make(CART)), "wrapper Shifted may change steps"),
        (lambda: gym.make(CART, render_mode="rgb_array"), "asked to render"),
        (lambda: with_attribute(CART, "step", lambda action: None), "CartPoleEnv.step was replaced on this instance"),
        (lambda: with_attribute(CART, "gravity", np.float32(9.8)), "its gravity is np.float32(9.8)"),
        (lambda: with_attribute(CART, "length", float("nan")), "its length is nan"),
        (lambda: with_attribute(CART, "kinematics_integrator", None), "its kinematics_integrator is None"),
        (lambda: with_attribute(ACROBOT, "torque_noise_max", 0.5), "its torque is noisy"),
        (lambda: with_attribute(ACROBOT, "AVAIL_TORQUE", [1.0]), "its AVAIL_TORQUE is (1.0,)"),
        (lambda: with_attribute(CAR, "action_space", gym.spaces.Discrete(2)), "its spaces were changed"),
    ],
)
def test_what_may_step_otherwise_has_no_compiled_step(make, words):
    env = make()
    assert ClassicControl.of(env) == words
    env.close()


def test_a_method_of_the_class_that_was_replaced_is_noticed(monkeypatch):
    monkeypatch.setattr(AcrobotEnv, "_terminal", lambda self: True)
    assert "_terminal was replaced" in ClassicControl.of(gym.make(ACROBOT))


def test_a_step_that_differs_in_one_bit_is_not_taken(monkeypatch):
    right = classic_control.step

    def wrong(kind, constants, state, action, observation):
        answer = right(kind, constants, state, action, observation)
        state[1] = np.nextafter(state[1], np.inf)
        return answer

    monkeypatch.setattr(classic_control, "step", wrong)
    for name, attribute in ((CART, "gravity"), (CAR, "gravity"), (ACROBOT, "dt")):
        env = with_attribute(name, attribute, 0.123)
        assert ClassicControl.of(env).startswith("the compiled step differs from that of Gymnasium")
