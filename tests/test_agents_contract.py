"""What every agent keeps to, whatever it learns from."""

import json
from dataclasses import dataclass

import gymnasium as gym
import numpy as np
import pytest

from velodrome import agents, policies
from velodrome.agents.errors import UnsupportedEnvironmentError
from velodrome.agents.resuming.saving import SavedAgentError

LEARNERS = {
    "q_learning": lambda **p: agents.QLearning(**p),
    "sarsa": lambda **p: agents.Sarsa(**p),
    "expected_sarsa": lambda **p: agents.ExpectedSarsa(**p),
    "double_q_learning": lambda **p: agents.DoubleQLearning(**p),
    "n_step_q": lambda **p: agents.NStepQ(**p),
    "n_step_sarsa": lambda **p: agents.NStepSarsa(**p),
    "q_lambda": lambda **p: agents.QLambda(**p),
    "dyna_q": lambda **p: agents.DynaQ(**p),
    "bootstrapped_q": lambda **p: agents.BootstrappedQ(heads=3, **p),
    "random": lambda **p: agents.RandomAgent(),
}
PLANNERS = {
    "value_iteration": lambda **p: agents.ValueIteration(),
    "policy_iteration": lambda **p: agents.PolicyIteration(),
}
ALL = LEARNERS | PLANNERS
RING = {f"memory.{name}" for name in ("window", "states", "actions", "rewards", "learning_rates")}


def lake(**keywords):
    return gym.make("FrozenLake-v1", **keywords)


def first_ties(name, **parameters):
    return ALL[name](policy=policies.EpsilonGreedy(epsilon=0.3, ties="first"), **parameters)


@pytest.mark.parametrize("name", ALL)
def test_the_catalogue_name_is_the_snake_case_of_the_class(name):
    assert ALL[name]().name == name


@pytest.mark.parametrize("loop", ["generic", "compiled"])
@pytest.mark.parametrize("name", LEARNERS)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(name, loop, result, differences):
    runs = []
    for seed in (3, 3, 4):
        agent, env = LEARNERS[name](), lake()
        runs.append(result(agent, env, agent.train(env, episodes=30, seed=seed, loop=loop)))
    assert differences(runs[0], runs[1]) == []
    assert {"agent stream", "environment stream", "lengths", "memory.visit_counts"} <= set(
        differences(runs[0], runs[2])
    )


@pytest.mark.parametrize("unit", ["episodes", "steps"])
@pytest.mark.parametrize("name", LEARNERS)
def test_acting_without_exploring_changes_nothing_that_training_depends_on(name, unit, result, differences):
    runs = []
    for acts in (False, True):
        agent, env = LEARNERS[name](), lake()
        log = agent.train(env, seed=0, **{unit: 33})
        if acts:
            for observation in (0, 5, np.int64(14), np.arange(16)):
                agent.act(observation)
        runs.append(result(agent, env, log + agent.train(env, **{unit: 33})))
    assert differences(*runs) == []


@pytest.mark.parametrize("loop", ["generic", "compiled"])
@pytest.mark.parametrize("explored", [3, np.array([3, 9])], ids=["one", "a batch"])
def test_exploring_elsewhere_does_not_move_a_paused_episode(explored, loop, result, differences):
    # Exploring draws from the agent's stream, but the episode must go on in the state where it stopped.
    runs = []
    for observation in (explored, None):
        agent, env = agents.RandomAgent(), lake(is_slippery=False)
        log = agent.train(env, steps=1, seed=1, loop=loop)  # no hole is one step away
        stream = agent.learner.rng
        if observation is None:
            stream.random(np.size(explored))
        else:
            agent.act(observation, explore=True)
        runs.append(result(agent, env, log + agent.train(env, steps=60, loop=loop)))
    assert differences(*runs) == []


@pytest.mark.parametrize("name", ALL)
def test_acting_on_a_batch_is_acting_on_each(name):
    agent = first_ties(name)
    agent.train(lake(), episodes=200, seed=0)
    if name == "random":
        batch = agent.act(np.arange(16))
        assert batch.shape == (16,)
        assert set(batch.tolist()) <= {0, 1, 2, 3}
        return
    batch = agent.act(np.arange(16))
    assert isinstance(batch, np.ndarray)
    assert batch.tolist() == [agent.act(state) for state in range(16)]
    assert agent.act([3, 14]).tolist() == [agent.act(3), agent.act(14)]
    assert batch.tolist() == agent.action_values.argmax(axis=1).tolist()


@pytest.mark.parametrize("explore", [False, True])
def test_acting_on_an_empty_batch_gives_no_action(explore):
    agent = agents.QLearning()
    agent.train(lake(), episodes=5, seed=0)
    assert agent.act(np.zeros(0, dtype=np.int64), explore=explore).tolist() == []


def test_exploring_follows_the_policy_and_acting_greedily_does_not():
    agent = agents.QLearning(policy=policies.EpsilonGreedy(epsilon=1.0, ties="first"))
    agent.train(lake(), episodes=300, seed=0)
    explored = agent.act(np.zeros(4000, dtype=np.int64), explore=True)
    assert np.bincount(explored, minlength=4).min() > 850
    assert set(agent.act(np.zeros(100, dtype=np.int64)).tolist()) == {int(agent.action_values[0].argmax())}


def test_greedy_ties_at_random_are_uniform_for_one_observation_and_for_a_batch():
    agent = agents.RandomAgent()
    agent.train(lake(), episodes=1, seed=0)
    singles = [agent.act(0) for _ in range(4000)]
    for actions in (singles, agent.act(np.zeros(4000, dtype=np.int64))):
        assert np.bincount(actions, minlength=4).min() > 850


@pytest.mark.parametrize("name", ALL)
def test_greedy_probabilities_say_what_act_does(name):
    agent = ALL[name]()
    agent.train(lake(), episodes=50, seed=0)
    probabilities = agent.greedy_probabilities()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    for state in (0, 4, 5):
        chosen = np.bincount(agent.act(np.full(2000, state)), minlength=4) / 2000
        np.testing.assert_allclose(chosen, probabilities[state], atol=0.06)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    "use",
    [
        lambda agent, folder: agent.act(0),
        lambda agent, folder: agent.act(np.arange(3)),
        lambda agent, folder: agent.save(folder),
        lambda agent, folder: agent.action_values,
        lambda agent, folder: agent.greedy_probabilities(),
    ],
    ids=["act", "act on a batch", "save", "action_values", "greedy_probabilities"],
)
def test_using_an_agent_before_training_is_refused_in_one_line(name, use, tmp_path):
    with pytest.raises(UnsupportedEnvironmentError, match=rf"^{name}[^\n]*call train first$"):
        use(ALL[name](), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("use", ["act", "save"])
def test_an_agent_whose_training_was_refused_has_not_been_trained(use, tmp_path):
    agent = agents.QLearning()
    with pytest.raises(UnsupportedEnvironmentError):
        agent.train("CartPole-v1", episodes=1, seed=0)
    with pytest.raises(UnsupportedEnvironmentError, match=r"^[^\n]*call train first$"):
        agent.act(0) if use == "act" else agent.save(tmp_path)


@pytest.mark.parametrize("loop", ["generic", "compiled"])
@pytest.mark.parametrize("name", LEARNERS)
def test_a_saved_agent_goes_on_as_the_one_that_was_saved(name, loop, tmp_path, learnt, differences):
    rate = {"learning_rate": policies.Harmonic(clock="visits")} if name != "random" else {}
    policy = policies.EpsilonGreedy(epsilon=policies.Exponential(1.0, 0.97))
    agent = LEARNERS[name](policy=policy, **rate)
    agent.train(lake(), episodes=25, seed=3, loop=loop)
    agent.act(np.arange(16))
    agent.save(tmp_path / "saved")
    loaded = agents.Agent.load(tmp_path / "saved")
    assert type(loaded) is type(agent)
    assert str(loaded) == str(agent)
    assert loaded.action_values.tobytes() == agent.action_values.tobytes()
    logs = [trained.train(lake(), episodes=25, loop=loop) for trained in (agent, loaded)]
    assert logs[0].lengths.tobytes() == logs[1].lengths.tobytes()
    # Where in its ring an n-step learner begins an episode changes nothing, and is not kept.
    assert set(differences(learnt(agent), learnt(loaded))) <= RING
    assert agent.act(np.arange(16)).tolist() == loaded.act(np.arange(16)).tolist()


@pytest.mark.parametrize("name", LEARNERS)
def test_an_agent_saved_within_an_episode_goes_on_in_a_new_one(name, tmp_path, learnt, differences):
    agent = LEARNERS[name]()
    agent.train(lake(), steps=31, seed=3)
    agent.save(tmp_path)
    loaded = agents.Agent.load(tmp_path)
    for trained in (agent, loaded):
        trained.train(lake(), episodes=10)
    assert set(differences(learnt(agent), learnt(loaded))) <= RING


@pytest.mark.parametrize("name", PLANNERS)
def test_a_saved_planner_acts_as_the_one_that_was_saved(name, tmp_path):
    agent = PLANNERS[name]()
    agent.train(lake(), episodes=1, seed=1)
    agent.save(tmp_path)
    loaded = type(agent).load(tmp_path)
    assert loaded.action_values.tobytes() == agent.action_values.tobytes()
    assert loaded.act(np.arange(16)).tolist() == agent.act(np.arange(16)).tolist()
    assert str(loaded) == str(agent)


def test_saving_again_replaces_the_older_agent(tmp_path):
    agent = agents.QLearning()
    for _ in range(2):
        agent.train("FrozenLake-v1", episodes=10, seed=None)
        agent.save(tmp_path)
    assert agents.QLearning.load(tmp_path).visit_counts.tobytes() == agent.visit_counts.tobytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["arrays.npz", "manifest.json"]


@pytest.fixture
def saved(tmp_path):
    agent = agents.QLearning()
    agent.train("FrozenLake-v1", episodes=10, seed=0)
    agent.save(tmp_path)
    return tmp_path


def edit_manifest(folder, **changes):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest.update(changes)
    # Without its own digest, as agents had been saved before there was one.
    del manifest["manifest_sha256"]
    path.write_text(json.dumps({key: value for key, value in manifest.items() if value is not ...}), encoding="utf-8")


def flip_a_bit(folder):
    path = folder / "arrays.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def foreign_arrays(folder):
    other = agents.QLearning()
    other.train("CliffWalking-v1", steps=10, seed=0)
    other.save(folder / "other")
    (folder / "arrays.npz").write_bytes((folder / "other" / "arrays.npz").read_bytes())
    digest = json.loads((folder / "other" / "manifest.json").read_text(encoding="utf-8"))["sha256"]
    edit_manifest(folder, sha256=digest)


DAMAGES = {
    "a flipped bit": (flip_a_bit, "damaged"),
    "a changed manifest": (
        lambda f: (f / "manifest.json").write_text(
            (f / "manifest.json").read_text().replace('"start": 0', '"start": 3')
        ),
        "manifest.json is damaged",
    ),
    "a truncated file": (lambda f: (f / "arrays.npz").write_bytes(b"PK"), "damaged"),
    "no arrays": (lambda f: (f / "arrays.npz").unlink(), "arrays.npz is missing"),
    "no manifest": (lambda f: (f / "manifest.json").unlink(), "manifest.json is missing"),
    "a manifest that is not JSON": (lambda f: (f / "manifest.json").write_text("{"), "cannot be read"),
    "a manifest that is not text": (lambda f: (f / "manifest.json").write_bytes(b"\xff\xfe\x00"), "cannot be read"),
    "a manifest of something else": (lambda f: (f / "manifest.json").write_text("[1]"), "not the manifest"),
    "another format": (lambda f: edit_manifest(f, format="other"), "not the manifest"),
    "a newer version": (lambda f: edit_manifest(f, version=99), "version 99"),
    "an unknown agent": (lambda f: edit_manifest(f, agent={"name": "q_lerning"}), "did you mean 'q_learning'"),
    "an abstract agent": (lambda f: edit_manifest(f, agent={"name": "tabular_agent"}), "tabular"),
    "no agent": (lambda f: edit_manifest(f, agent=...), "stored as an object"),
    "a parameter out of range": (
        lambda f: edit_manifest(f, agent={"name": "q_learning", "discount": 3}),
        "discount",
    ),
    "an unknown parameter": (
        lambda f: edit_manifest(f, agent={"name": "q_learning", "gamma": 0.5}),
        "gamma",
    ),
    "another agent's learner": (lambda f: edit_manifest(f, agent={"name": "dyna_q"}), "dyna_q"),
    "no streams": (lambda f: edit_manifest(f, agent_stream=...), "agent_stream"),
    "a damaged stream": (lambda f: edit_manifest(f, agent_stream={"bit_generator": "PCG64"}), "complete"),
    "negative actions": (lambda f: edit_manifest(f, actions={"number": -4, "start": 0}), "complete"),
    "arrays of another environment": (foreign_arrays, "shape"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_agent_is_refused_in_one_line(saved, damage):
    do, said = DAMAGES[damage]
    do(saved)
    with pytest.raises(SavedAgentError, match=r"^[^\n]*$") as caught:
        agents.Agent.load(saved)
    assert said in str(caught.value)


def test_a_folder_that_does_not_exist_is_refused_in_one_line(tmp_path):
    with pytest.raises(SavedAgentError, match=r"^[^\n]*manifest\.json is missing$"):
        agents.Agent.load(tmp_path / "nowhere")


def test_an_agent_of_another_class_is_refused_in_one_line(saved):
    with pytest.raises(SavedAgentError, match=r"^[^\n]*q_learning[^\n]*sarsa$"):
        agents.Sarsa.load(saved)


def test_nothing_is_pickled(saved):
    with np.load(saved / "arrays.npz", allow_pickle=False) as arrays:
        assert {"action_values", "visit_counts"} <= set(arrays)
        assert all(arrays[name].dtype != object for name in arrays)


@pytest.mark.parametrize(
    ("agent", "parameters", "said"),
    [
        (agents.QLearning, {"discount": 1.5}, "discount must be a number in [0, 1], got 1.5"),
        (agents.QLearning, {"learning_rate": 0.0}, "learning_rate must be a number in (0, 1], got 0.0"),
        (agents.QLearning, {"learning_rate": policies.Harmonic(3.0)}, "learning_rate must stay in [0, 1]"),
        (agents.QLearning, {"initial_value": float("inf")}, "initial_value must be a finite number"),
        (agents.QLearning, {"policy": "greedy"}, "policy must be a policy, got 'greedy'"),
        (agents.QLearning, {"action_mask": 1}, "action_mask must be True or False, got 1"),
        (agents.NStepQ, {"n": 0}, "n must be a whole number of at least 1, got 0"),
        (agents.NStepSarsa, {"n": 1.5}, "n must be a whole number of at least 1, got 1.5"),
        (agents.DynaQ, {"planning_steps": -1}, "planning_steps must be a whole number of at least 0, got -1"),
        (agents.QLambda, {"trace_decay": 1.1}, "trace_decay must be a number in [0, 1], got 1.1"),
        (agents.QLambda, {"traces": "dutch"}, "traces must be one of 'accumulating', 'replacing', got 'dutch'"),
        (agents.ExpectedSarsa, {"policy": policies.RandomNoise()}, "random_noise states no action probabilities"),
        (agents.ValueIteration, {"discount": -0.1}, "discount must be a number in [0, 1], got -0.1"),
        (agents.ValueIteration, {"tolerance": -1.0}, "tolerance must be a number"),
        (agents.PolicyIteration, {"discount": 1.0}, "discount must be a number in [0, 1), got 1.0"),
        (agents.PolicyIteration, {"max_iterations": 0}, "max_iterations must be a whole number"),
    ],
)
def test_a_parameter_out_of_range_is_refused_in_one_line(agent, parameters, said):
    with pytest.raises(policies.ConfigurationError, match=r"^[^\n]*$") as caught:
        agent(**parameters)
    assert str(caught.value).startswith(agent.name)
    assert said in str(caught.value)


@dataclass(frozen=True)
class Growing(policies.Schedule):
    """A user's schedule that is right for the first five hundred indices and knows a thousand."""

    clock: str = "episode"

    def __call__(self, index):
        if index >= 1000:
            raise IndexError("there are 1000 values")
        return 1.0 if index < 500 else 7.0


@pytest.mark.parametrize("loop", ["generic", "compiled"])
def test_a_schedule_is_asked_only_for_the_indices_of_the_run(loop):
    agent = agents.QLearning(policy=policies.EpsilonGreedy(epsilon=Growing()))
    assert agent.train("FrozenLake-v1", episodes=500, seed=0, loop=loop).episodes == 500


@pytest.mark.parametrize("loop", ["generic", "compiled"])
def test_a_schedule_that_leaves_its_range_is_refused_when_it_does(loop):
    agent = agents.QLearning(policy=policies.EpsilonGreedy(epsilon=Growing()))
    with pytest.raises(policies.ConfigurationError, match=r"^epsilon_greedy[^\n]*7 at episode 500[^\n]*\[0, 1\]$"):
        agent.train("FrozenLake-v1", episodes=501, seed=0, loop=loop)


def test_stepping_the_environment_oneself_is_training():
    # The generic loop, written by the user with act and observe.
    trained, by_hand = (agents.Sarsa(policy=policies.EpsilonGreedy(epsilon=0.3)) for _ in range(2))
    trained.train(lake(), episodes=31, seed=2, loop="generic")
    env = lake()
    by_hand.train(env, episodes=1, seed=2, loop="generic")
    for _ in range(30):
        observation, _ = env.reset()
        ended = False
        while not ended:
            action = by_hand.act(observation, explore=True)
            following, reward, terminated, truncated, _ = env.step(action)
            by_hand.observe(observation, action, reward, following, terminated, truncated)
            observation, ended = following, terminated or truncated
    assert by_hand.action_values.tobytes() == trained.action_values.tobytes()
    assert by_hand.visit_counts.tobytes() == trained.visit_counts.tobytes()
