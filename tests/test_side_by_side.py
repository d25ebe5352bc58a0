"""Trials side by side in an environment's native vector form: the bits of trials alone, or not used at all."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest
import vector_environments  # noqa: F401  registers its environments
from conftest import _learnt, _logged

import velodrome as vd
from velodrome.agents import Discretized, DoubleQLearning, ExpectedSarsa, NStepQ, QLambda, QLearning, Sarsa
from velodrome.agents.engine.seeding import environment_seed
from velodrome.agents.engine.vector_step import bins_of
from velodrome.agents.side_by_side import compiled_form, train_side_by_side
from velodrome.envs.discretize import Discretize
from velodrome.envs.vector_form import VectorForm
from velodrome.experiments.errors import ExperimentWarning
from velodrome.experiments.storage import Store
from velodrome.experiments.trials import side_by_side
from velodrome.policies import UCB, EpsilonGreedy, Exponential, Harmonic, RandomNoise, Softmax

CART_POLE, CORRIDOR = "CartPole-v1", "tests/Corridor-v0"
FADING = EpsilonGreedy(epsilon=Exponential(1.0, 0.9, 0.05))
AGENTS = [
    QLearning(policy=FADING),
    pytest.param(
        Sarsa(policy=Softmax(temperature=0.5), learning_rate=Harmonic(clock="visits")), marks=pytest.mark.slow
    ),
    pytest.param(ExpectedSarsa(policy=EpsilonGreedy(ties="first")), marks=pytest.mark.slow),
    pytest.param(NStepQ(policy=UCB()), marks=pytest.mark.slow),
    pytest.param(QLambda(policy=RandomNoise()), marks=pytest.mark.slow),
    pytest.param(DoubleQLearning(learning_rate=Harmonic(clock="visits")), marks=pytest.mark.slow),
]


def make(environment):
    return lambda: gym.make(environment)


def form_of(environment):
    form = VectorForm.of(make(environment))
    assert isinstance(form, VectorForm), form
    return form


@pytest.mark.parametrize("budget", [{"episodes": 40, "steps": None}, {"episodes": None, "steps": 700}])
@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)
@pytest.mark.parametrize("environment", [CART_POLE, CORRIDOR])
def test_agents_side_by_side_learn_what_each_learns_alone(environment, agent, budget):
    seeds = [3, 141, 59, 26, 5]

    def fresh():
        agents = [dataclasses.replace(agent) for _ in seeds]
        return [Discretized(agent=one, bins=6) for one in agents] if environment == CART_POLE else agents

    together, alone, form = fresh(), fresh(), form_of(environment)
    if environment == CART_POLE and budget["steps"] is None:
        form = compiled_form(form, make(environment))
        assert form.spec.vector_entry_point.endswith("CartPoleCopies")
    logs = train_side_by_side(together, gym.make(environment), form, seeds, **budget)
    for one, other, log, seed in zip(together, alone, logs, seeds, strict=True):
        log_alone = other.train(gym.make(environment), seed=seed, **budget)
        assert _learnt(one) == _learnt(other)
        assert _logged(log) == _logged(log_alone)
        assert (log.unfinished_return, log.notes) == (log_alone.unfinished_return, log_alone.notes)
        assert one.state()[0] == other.state()[0]


def test_bins_are_those_of_one_observation_at_a_time():
    env = Discretize(gym.make(CART_POLE), bins=[3, 1, 9, 4])
    rows = np.random.default_rng(0).normal(0, 2, (500, 4)).astype(np.float32)
    rows[:3, 0] = [-2.4, 2.4, np.inf]
    states = np.zeros(len(rows), np.int64)
    bins_of(rows.astype(np.float64), *env.binning.looked_at, states)
    assert states.tolist() == [env.binning.number_of(row) for row in rows]


def test_an_environment_that_was_changed_is_not_its_vector_form():
    def heavier():
        env = gym.make(CART_POLE)
        env.unwrapped.gravity = 12.0
        return env

    assert VectorForm.of(heavier) == "gravity of the environment was changed"
    assert "RecordEpisodeStatistics" in VectorForm.of(lambda: gym.wrappers.RecordEpisodeStatistics(gym.make(CART_POLE)))
    assert VectorForm.of(make("Acrobot-v1")) is None
    minus_zero = VectorForm.of(lambda: gym.make(CART_POLE, sutton_barto_reward=True))
    assert minus_zero == "the reward of copy 1 at step 1 is another than alone: -0.0 instead of 0.0"


def test_an_agent_that_acts_in_its_own_way_is_trained_alone():
    class Stubborn(QLearning):
        def act(self, observation, **options):
            return 1

    assert QLearning().trains_side_by_side
    assert Discretized(agent=Sarsa()).trains_side_by_side
    for agent in (Stubborn(), Discretized(agent=Stubborn()), QLearning(action_mask=True)):
        assert not agent.trains_side_by_side


@pytest.fixture
def _few_are_enough(monkeypatch):
    monkeypatch.setattr(side_by_side, "FEWEST_COPIES", 2)
    monkeypatch.setattr(side_by_side, "FEWEST_STEPS", 0)


def compared(folder, environment, workers=0, **settings):
    given = {"seeds": 6, "episodes": 25, "evaluation_episodes": 7, "workers": workers, "out": folder} | settings
    results = vd.compare(["q_learning"], environment, **given)
    with Store.open_for_reading(folder) as store:
        return results, store.content_digest()


@pytest.mark.usefixtures("_few_are_enough")
@pytest.mark.parametrize("environment", ["discretize(CartPole-v1, bins=5)", CORRIDOR])
def test_a_comparison_is_the_same_to_the_byte(tmp_path, monkeypatch, environment):
    trained, train = [], side_by_side.train_side_by_side

    def counted(agents, *arguments, **named):
        logs = train(agents, *arguments, **named)
        trained.append(len(logs))
        return logs

    monkeypatch.setattr(side_by_side, "train_side_by_side", counted)
    _, digest = compared(tmp_path / "together", environment)
    assert trained == [6]
    monkeypatch.setattr(side_by_side, "FEWEST_COPIES", 7)
    _, digest_alone = compared(tmp_path / "alone", environment)
    assert trained == [6]
    assert digest == digest_alone


@pytest.mark.usefixtures("_few_are_enough")
def test_a_vector_form_that_rounds_is_not_used_and_the_log_says_so(tmp_path):
    results, _ = compared(tmp_path, "tests/RoundedCorridor-v0")
    assert any("not in the environment's vector form: the reward of copy 1" in note for note in results.notes)


@pytest.mark.usefixtures("_few_are_enough")
def test_where_a_copy_fails_its_trial_alone_does(tmp_path):
    environment = f"{CORRIDOR}(fails_with={environment_seed(2)})"
    with pytest.warns(ExperimentWarning, match="failed"):
        results, _ = compared(tmp_path, environment)
    ended = [(record.seed, record.status, record.error) for record in results.records]
    assert [seed for seed, status, _ in ended if status != "done"] == [2]
    assert "the corridor caved in" in ended[2][2]


@pytest.mark.slow
@pytest.mark.usefixtures("_few_are_enough")
def test_it_is_the_same_in_worker_processes(tmp_path):
    _, here = compared(tmp_path / "here", CORRIDOR)
    results, elsewhere = compared(tmp_path / "elsewhere", CORRIDOR, workers=2)
    assert here == elsewhere
    # They have shared the time equally.
    assert len({record.train_seconds for record in results.records}) == 1
