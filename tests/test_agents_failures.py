"""What goes wrong is said in one line that names the environment, what happened, the episode and the step."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from velodrome import agents, policies
from velodrome.agents.errors import BudgetError, EnvironmentFailureError

LEARNERS = [agents.QLearning, agents.Sarsa, agents.NStepQ, agents.QLambda, agents.RandomAgent]


class Fragile(gym.Env):
    """Two steps an episode; `fail` says what happens in the second episode's second step, or at its reset."""

    def __init__(self, fail):
        self.observation_space, self.action_space = spaces.Discrete(3), spaces.Discrete(2)
        self.fail, self.episode, self.place, self.healed = fail, 0, 0, False

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode, self.place = self.episode + 1, 0
        if self.fail == "reset" and self.is_second:
            raise OSError("the door\nis locked")
        return (7 if self.fail == "reset observation" and self.is_second else 0), {}

    def step(self, action):
        self.place += 1
        observation, reward, ended = self.place, 1.0, self.place == 2
        if self.is_second and self.place == 2:
            if self.fail == "step":
                raise ZeroDivisionError("division by zero")
            reward = {"NaN": np.nan, "infinite": -np.inf, "no number": "much"}.get(self.fail, reward)
            observation = {"observation": 3, "negative": -1, "no observation": None}.get(self.fail, observation)
        return observation, reward, ended, False, {}

    @property
    def is_second(self):
        return self.episode == 2 and not self.healed


OUTSIDE = "is outside the observation space"
FAILURES = {
    "NaN": ("reward nan is not finite", "episode 2, step 2"),
    "infinite": ("reward -inf is not finite", "episode 2, step 2"),
    "no number": ("'much'", "episode 2, step 2"),
    "observation": (f"observation 3 {OUTSIDE}", "episode 2, step 2"),
    "negative": (f"observation -1 {OUTSIDE}", "episode 2, step 2"),
    "no observation": (f"observation None {OUTSIDE}", "episode 2, step 2"),
    "step": ("ZeroDivisionError: division by zero", "episode 2, step 2"),
    "reset": ("OSError: the door is locked", "episode 2"),
    "reset observation": (f"observation 7 {OUTSIDE}", "episode 2"),
}


@pytest.mark.parametrize("agent", LEARNERS)
@pytest.mark.parametrize("failure", FAILURES)
def test_a_failing_environment_is_named_in_one_line(failure, agent):
    with pytest.raises(EnvironmentFailureError, match=r"^[^\n]*$") as caught:
        agent().train(Fragile(failure), episodes=5, seed=0)
    for part in ("Fragile", *FAILURES[failure]):
        assert part in str(caught.value)


@pytest.mark.parametrize("failure", ["reset", "reset observation"])
def test_a_failing_reset_comes_before_the_first_step(failure):
    with pytest.raises(EnvironmentFailureError) as caught:
        agents.QLearning().train(Fragile(failure), episodes=5, seed=0)
    assert "step 3" not in str(caught.value)


@pytest.mark.parametrize("failure", ["step", "reset"])
def test_the_cause_of_a_failure_is_kept(failure):
    with pytest.raises(EnvironmentFailureError) as caught:
        agents.QLearning().train(Fragile(failure), episodes=5, seed=0)
    assert isinstance(caught.value.__cause__, OSError | ZeroDivisionError)


@pytest.mark.parametrize("failure", FAILURES)
def test_what_was_learnt_before_a_failure_stays_finite_and_usable(failure):
    agent = agents.QLearning(learning_rate=1.0, discount=0.5, policy=policies.Uniform())
    with pytest.raises(EnvironmentFailureError):
        agent.train(Fragile(failure), episodes=5, seed=0)
    assert np.isfinite(agent.action_values).all()
    assert agent.action_values[1].max() == 1.0
    assert agent.act(0) in (0, 1)


@pytest.mark.parametrize("failure", FAILURES)
def test_training_after_a_failure_starts_with_a_new_episode(failure):
    env = Fragile(failure)
    agent = agents.QLearning()
    with pytest.raises(EnvironmentFailureError):
        agent.train(env, episodes=5, seed=0)
    env.healed = True
    log = agent.train(env, episodes=3)
    assert log.lengths.tolist() == [2, 2, 2]
    assert log.returns.tolist() == [2.0, 2.0, 2.0]


def test_an_error_of_ones_own_callback_is_not_the_environments():
    def callback(finished):
        raise LookupError("mine")

    for loop in ("generic", "compiled"):
        with pytest.raises(LookupError, match="mine"):
            agents.QLearning().train(
                "FrozenLake-v1", episodes=5, seed=0, loop=loop, callback=callback, callback_every=1
            )


@pytest.mark.parametrize("agent", LEARNERS)
@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ({}, "episodes or steps"),
        ({"episodes": 5, "steps": 5}, "not both"),
        ({"episodes": 0}, "episodes must be a whole number of at least 1, got 0"),
        ({"steps": 0}, "steps must be a whole number of at least 1, got 0"),
        ({"episodes": -3}, "got -3"),
        ({"episodes": 2.5}, "got 2.5"),
        ({"steps": 1e3}, "got 1000.0"),
        ({"episodes": True}, "got True"),
        ({"steps": "many"}, "got 'many'"),
    ],
    ids=str,
)
def test_a_budget_that_is_none_is_refused_in_one_line(agent, budget, said):
    with pytest.raises(BudgetError, match=r"^[^\n]*$") as caught:
        agent().train("FrozenLake-v1", seed=0, **budget)
    assert said in str(caught.value)


def test_numpys_whole_numbers_are_budgets_and_seeds():
    log = agents.QLearning().train("FrozenLake-v1", episodes=np.int64(4), seed=np.int64(2))
    assert (log.episodes, log.seed) == (4, 2)


@pytest.mark.parametrize("seed", [-1, 1.5, "one", True])
def test_a_seed_that_is_none_is_refused_in_one_line(seed):
    with pytest.raises(ValueError, match=r"^seed must be a whole number of at least 0, got [^\n]*$"):
        agents.QLearning().train("FrozenLake-v1", episodes=1, seed=seed)


def test_an_unknown_loop_is_refused_in_one_line():
    with pytest.raises(ValueError, match=r"^[^\n]*loop must be one of 'auto', 'generic', 'compiled', got 'fast'$"):
        agents.QLearning().train("FrozenLake-v1", episodes=1, seed=0, loop="fast")


class Reporting(Fragile):
    """Known to no rule, but says itself when it succeeded."""

    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, reward, terminated, truncated, info | ({"is_success": action == 1} if terminated else {})


def test_the_log_states_the_rule_that_decided_its_successes():
    log = agents.RandomAgent().train(Reporting(None), episodes=200, seed=0)
    assert 60 < log.successes.sum() < 140
    assert log.success_rule == "info['is_success']"


def test_without_a_rule_nothing_is_guessed():
    log = agents.RandomAgent().train(Fragile(None), episodes=3, seed=0)
    assert log.successes is None
    assert log.success_rule == "no success rule"
    assert np.isnan(log.success_rate)
