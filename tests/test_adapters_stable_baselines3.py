# ruff: noqa: NPY002 (what all of a process shares is what is looked at)
"""Stable-Baselines3 and sb3-contrib as agents, where they are installed."""

import pickle
import random

import gymnasium as gym
import numpy as np
import pytest

import velodrome as vd
from velodrome.agents import Agent, SavedAgentError
from velodrome.experiments.specification.catalogue import build_agent
from velodrome.experiments.storage.store import Store
from velodrome.testing import check_agent

pytest.importorskip("stable_baselines3")
torch = pytest.importorskip("torch")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")

DQN = "sb3('DQN', learning_starts=50)"
PPO = "sb3('PPO', n_steps=64)"
QRDQN = "sb3('sb3_contrib:QRDQN', learning_starts=50, policy_kwargs=dict(n_quantiles=10))"
LAKE = "FrozenLake-v1"


@pytest.mark.parametrize("budget", [{"steps": 203}, {"episodes": 11}], ids=["steps", "episodes"])
@pytest.mark.parametrize("text", [DQN, PPO, "sb3('A2C')", QRDQN])
def test_budgets_are_exact_and_values_are_computed(text, budget):
    trial = vd.run(text, LAKE, seed=0, **budget)
    ((unit, number),) = budget.items()
    assert (getattr(trial.log, unit), trial.evaluation.method) == (number, "exact")
    # One answer for all states is that for each.
    states = np.arange(16)
    assert trial.trained.act(states).tolist() == [int(trial.trained.act(state)) for state in states]


@pytest.mark.slow
@pytest.mark.parametrize("text", [DQN, PPO, "sb3('A2C')", QRDQN, "sb3('sb3_contrib:TRPO', n_steps=64)"])
def test_the_contract_is_kept(text):
    check_agent(text)


@pytest.mark.slow
def test_a_memory_of_the_episode_keeps_the_contract_and_is_sampled():
    text = "sb3('sb3_contrib:RecurrentPPO', 'MlpLstmPolicy', n_steps=32)"
    check_agent(text, steps=64, episodes=3, elsewhere=False)
    assert vd.run(text, LAKE, steps=64, seed=0, evaluation_episodes=3).evaluation.method == "monte-carlo"


def test_what_all_of_the_process_shares_is_as_it_was_and_decides_nothing():
    torch.set_num_threads(2)
    logs = []
    for shared in (1, 2):
        random.seed(shared)
        np.random.seed(shared)
        torch.manual_seed(shared)
        before = random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes()
        logs.append(build_agent(DQN).train(LAKE, steps=120, seed=3))
        after = random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes()
        assert before == after
        assert torch.get_num_threads() == 2
    assert logs[0].lengths.tobytes() == logs[1].lengths.tobytes()


def test_schedules_fall_over_total_steps_and_never_below_their_end():
    agent = build_agent("sb3('DQN', learning_starts=5, total_steps=100, exploration_fraction=1.0)")
    agent.train(LAKE, steps=50, seed=0)
    assert agent.learner.model.exploration_rate == pytest.approx(1 - 0.95 * 0.5, abs=0.01)
    agent.train(LAKE, steps=100)
    assert agent.learner.model.exploration_rate == pytest.approx(0.05)
    assert agent.learner.model._current_progress_remaining == 0.0
    # A rate of one's own is asked for what remains of the same total.
    agent = build_agent("sb3('PPO', n_steps=50, total_steps=200, learning_rate='test_adapters_stable_baselines3:rate')")
    agent.train(LAKE, steps=100, seed=0)
    assert agent.learner.model.policy.optimizer.param_groups[0]["lr"] == pytest.approx(rate(0.5))


def rate(remaining):
    return 0.01 * remaining + 0.001


def test_a_budget_of_episodes_says_over_what_schedules_fall():
    notes = build_agent(DQN).train(LAKE, episodes=3, seed=0).notes
    assert notes == ("the schedules of DQN fall over 300 steps, the most that 3 episodes can have: give total_steps",)
    agent = build_agent("sb3('DQN', learning_starts=50, total_steps=60)")
    assert agent.train(LAKE, episodes=3, seed=0).notes == ()


def test_steps_that_were_not_learnt_from_are_told():
    notes = build_agent(PPO).train(LAKE, steps=100, seed=0).notes
    assert notes == ("the last 36 steps were not learnt from: PPO learns after each 64",)
    assert build_agent(PPO).train(LAKE, steps=128, seed=0).notes == ()


def test_saved_arrays_are_those_of_the_networks_and_nothing_is_unpickled(tmp_path, monkeypatch):
    trained = vd.run(DQN, LAKE, steps=120, seed=1).trained
    trained.save(tmp_path)
    with np.load(tmp_path / "arrays.npz", allow_pickle=False) as arrays:
        names = set(arrays.files)
        weight = arrays["policy.q_net.q_net.0.weight"]
    assert weight.dtype == np.float32
    assert {"policy.q_net.q_net.0.bias", "policy.optimizer.state.0.exp_avg"} <= names

    def refused(*given, **named):
        raise AssertionError("a pickle was read")

    for place in (pickle, torch):
        monkeypatch.setattr(place, "load", refused)
    monkeypatch.setattr(pickle, "loads", refused)
    monkeypatch.setattr(pickle, "Unpickler", refused)
    loaded = Agent.load(tmp_path)
    assert [int(loaded.act(state)) for state in range(16)] == [int(trained.act(state)) for state in range(16)]
    assert str(loaded) == str(trained)
    monkeypatch.undo()
    assert loaded.train(LAKE, steps=20).steps == 20


def test_box_actions_and_their_noise(tmp_path):
    noise = "dict(make='stable_baselines3.common.noise:NormalActionNoise', mean=[0.0], sigma=[0.1])"
    trained = vd.run(f"sb3('TD3', learning_starts=20, action_noise={noise}, policy_kwargs=dict(net_arch=[8]))",
                     "Pendulum-v1", steps=60, seed=0, evaluation_episodes=1).trained  # fmt: skip
    trained.save(tmp_path)
    observation = np.array([0.5, 0.5, 0.1], dtype=np.float32)
    assert Agent.load(tmp_path).act(observation) == trained.act(observation)
    sac = vd.run("sb3('SAC', learning_starts=20, policy_kwargs=dict(net_arch=[8]))", "Pendulum-v1", steps=40, seed=0,
                 evaluation_episodes=1).trained  # fmt: skip
    sac.save(tmp_path)
    loaded = Agent.load(tmp_path)
    assert loaded.act(observation) == sac.act(observation)
    assert torch.equal(loaded.learner.model.log_ent_coef, sac.learner.model.log_ent_coef)


def test_a_saved_agent_calls_nothing_that_is_no_part_of_a_network(tmp_path):
    import json

    from velodrome.agents.resuming.saving import read_agent, write_agent

    trained = vd.run(PPO, LAKE, steps=64, seed=0).trained
    trained.save(tmp_path)
    for forged in (
        {"policy_kwargs": {"name": "dict", "features_extractor_class": "subprocess:Popen"}},
        {"learning_rate": "os:system"},
        {"policy_kwargs": {"name": "dict", "make": "os:system", "command": "touch forged"}},
    ):
        manifest, arrays = read_agent(tmp_path)
        manifest["agent"] |= forged
        place = tmp_path / "forged"
        kept = {
            name: value
            for name, value in manifest.items()
            if name not in ("format", "version", "sha256", "manifest_sha256")
        }
        write_agent(place, json.loads(json.dumps(kept)), arrays)
        with pytest.raises(SavedAgentError, match="is no part of a network"):
            Agent.load(place)


def test_masks_are_honoured_or_told():
    class Masked(gym.Wrapper):
        def reset(self, *, seed=None, options=None):
            observation, info = self.env.reset(seed=seed, options=options)
            return observation, info | {"action_mask": np.array([0, 1, 1, 0], dtype=np.int8)}

        def step(self, action):
            assert action in (1, 2) or not self.is_strict
            observation, reward, terminated, truncated, info = self.env.step(action)
            return (
                observation,
                reward,
                terminated,
                truncated,
                info | {"action_mask": np.array([0, 1, 1, 0], dtype=np.int8)},
            )

    def make(is_strict=True):
        env = Masked(gym.make(LAKE))
        env.is_strict = is_strict
        return env

    masked = "sb3('sb3_contrib:MaskablePPO', n_steps=32)"
    trial = vd.run(masked, make, steps=64, seed=0, evaluation_episodes=3)
    assert (trial.evaluation.method, trial.log.steps) == ("monte-carlo", 64)
    trial = vd.run(PPO, lambda: make(False), steps=64, seed=0, evaluation_episodes=3)
    assert "PPO chose among all actions, whatever action_mask said" in trial.log.notes


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("sb3('DQM')", LAKE, "sb3: stable-baselines3 has no algorithm 'DQM': did you mean 'DQN'?"),
        ("sb3('QRDQN')", LAKE, "sb3: QRDQN is one of sb3-contrib's: write 'sb3_contrib:QRDQN'"),
        ("sb3('DQN', learning_rat=1)", LAKE, "sb3: DQN has no argument 'learning_rat': did you mean 'learning_rate'?"),
        ("sb3('DQN', 'MlpPolcy')", LAKE, "sb3: DQN has no policy 'MlpPolcy': did you mean 'MlpPolicy'?"),
        ("sb3('DQN')", "Pendulum-v1", "sb3: DQN cannot take actions Box("),
        ("sb3('SAC')", LAKE, "sb3: SAC cannot take actions Discrete(4), only Box: give algorithm='DQN', 'PPO'"),
        ("sb3('PPO')", "Blackjack-v1", "sb3: Stable-Baselines3 cannot read observations Tuple("),
        ("sb3('PPO', 'CnnPolicy')", "CartPole-v1", "sb3: CnnPolicy reads pictures, not Box("),
        ("sb3('PPO', 'MultiInputPolicy')", LAKE, "sb3: MultiInputPolicy reads Dict observations, not Discrete(16)"),
        ("sb3('PPO', policy_kwargs=dict(activation_fn='torch.nn:ReLy'))", LAKE, "sb3: policy_kwargs: module"),
    ],
)  # fmt: skip
def test_what_cannot_be_learnt_is_one_line(text, place, message):
    with pytest.raises(vd.VelodromeError) as caught:
        build_agent(text).train(place, steps=10, seed=0)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_observations_of_several_parts_need_their_policy():
    class Parts(gym.Env):
        observation_space = gym.spaces.Dict({"place": gym.spaces.Discrete(3), "speed": gym.spaces.Box(-1, 1, (2,))})
        action_space = gym.spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return self.seen(), {}

        def seen(self):
            return {"place": int(self.np_random.integers(3)), "speed": np.zeros(2, dtype=np.float32)}

        def step(self, action):
            return self.seen(), float(action), False, bool(self.np_random.random() < 0.1), {}

    with pytest.raises(vd.VelodromeError, match=r"MlpPolicy cannot read observations Dict.*policy='MultiInputPolicy'"):
        build_agent("sb3('PPO')").train(Parts(), steps=10, seed=0)
    agent = build_agent("sb3('PPO', 'MultiInputPolicy', n_steps=16)")
    assert agent.train(Parts(), steps=40, seed=0).steps == 40
    assert agent.act(Parts().reset(seed=0)[0]) in (0, 1)


@pytest.mark.slow
def test_one_worker_or_many_give_the_same_bytes(tmp_path):
    digests = set()
    for workers in (0, 2):
        out = tmp_path / str(workers)
        vd.compare({"dqn": DQN, "ppo": PPO}, LAKE, seeds=5, steps=100, workers=workers, out=out)
        with Store.open_for_reading(out) as store:
            digests.add(store.content_digest())
    assert len(digests) == 1
