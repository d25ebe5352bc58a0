"""Learning snapshots: the same in both loops, without any trace in the training, stored, and bounded."""

import gymnasium as gym
import numpy as np
import pytest

import velodrome as vd
from velodrome.agents import QLearning, snapshots
from velodrome.agents.resuming.checkpointing import Checkpoint
from velodrome.agents.snapshots import snapshot_moments
from velodrome.experiments.cli.application import main
from velodrome.experiments.storage.episode_curves import CurvesError
from velodrome.experiments.storage.snapshot_rows import pack_snapshots, unpack_snapshots
from velodrome.experiments.storage.store import Store, StoreError
from velodrome.experiments.trials import checkpoints
from velodrome.experiments.trials.checkpoints import train_with_checkpoints

LAKE = "FrozenLake-v1"
DECAYING = "q_learning(policy=epsilon_greedy(epsilon=linear(start=1.0, end=0.1, over=40)))"


def same(one, other):
    return all(
        (mine is None and theirs is None) or (mine.dtype == theirs.dtype and mine.tobytes() == theirs.tobytes())
        for mine, theirs in zip(vars(one).values(), vars(other).values(), strict=True)
    )


@pytest.mark.parametrize("agent", [DECAYING, "sarsa", "double_q_learning", "q_lambda", "n_step_q(n=3)"])
@pytest.mark.parametrize("budget", [{"episodes": 60}, {"steps": 500}], ids=["episodes", "steps"])
def test_both_loops_give_the_same_bits(agent, budget):
    compiled = vd.run(agent, LAKE, **budget, snapshots=7, loop="compiled")
    generic = vd.run(agent, LAKE, **budget, snapshots=7, loop="generic")
    assert same(compiled.snapshots, generic.snapshots)


@pytest.mark.parametrize("loop", ["compiled", "generic"])
def test_nothing_of_the_training_changes_and_the_last_is_what_was_learnt(loop):
    with_them = vd.run(DECAYING, LAKE, episodes=60, snapshots=7, loop=loop)
    without = vd.run(DECAYING, LAKE, episodes=60, loop=loop)
    assert without.snapshots is None
    np.testing.assert_array_equal(with_them.log.returns, without.log.returns)
    np.testing.assert_array_equal(with_them.trained.action_values, without.trained.action_values)
    found = with_them.snapshots
    assert found.episodes.tolist() == [0, 10, 20, 30, 40, 50, 60]
    assert found.steps[0] == 0
    assert found.steps[-1] == with_them.log.steps
    assert found.action_values.dtype == np.float32
    assert not found.action_values[0].any()
    np.testing.assert_array_equal(found.action_values[-1], without.trained.action_values.astype(np.float32))
    np.testing.assert_array_equal(found.visits[-1], without.trained.visit_counts.sum(axis=1))
    assert found.visits.sum(axis=1).tolist() == found.steps.tolist()
    assert found.exploration[[0, -1]].tolist() == pytest.approx([1.0, 0.1])


def test_each_is_what_a_shorter_training_learnt():
    found = vd.run("sarsa", LAKE, episodes=40, snapshots=5, seed=3).snapshots
    shorter = vd.run("sarsa", LAKE, episodes=20, seed=3).trained
    np.testing.assert_array_equal(found.action_values[2], shorter.action_values.astype(np.float32))


def test_trainings_in_a_row_have_the_snapshots_of_one():
    env = gym.make(LAKE)
    whole = QLearning().train(env, episodes=30, seed=1, snapshots=[0, 10, 20, 30]).snapshots
    agent = QLearning()
    first = agent.train(env, episodes=10, seed=1, snapshots=[0, 10, 20, 30])
    second = agent.train(env, episodes=20, snapshots=[0, 10, 20, 30])
    assert same((first + second).snapshots, whole)


def test_a_trial_that_goes_on_from_a_checkpoint_has_them_all(tmp_path, monkeypatch):
    moments = snapshot_moments(60, 7)
    options = {"folder": tmp_path / "trial", "key": "k", "seed": 4, "episodes": 60, "snapshots": moments}
    options["loop"] = "generic"
    _, undisturbed = train_with_checkpoints(QLearning(), lambda: gym.make(LAKE), every_seconds=1e9, **options)
    write, written = Checkpoint.write, []

    def kill_after_the_second(*arguments):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(write(*arguments))
        return written[-1]

    monkeypatch.setattr(Checkpoint, "write", kill_after_the_second)
    monkeypatch.setattr(checkpoints, "LARGEST_SHARE", 1.0)
    with pytest.raises(KeyboardInterrupt):
        train_with_checkpoints(QLearning(), lambda: gym.make(LAKE), every_seconds=0.0, **options)
    monkeypatch.undo()
    _, resumed = train_with_checkpoints(QLearning(), lambda: gym.make(LAKE), every_seconds=1e9, **options)
    assert same(resumed.snapshots, undisturbed.snapshots)
    assert same(undisturbed.snapshots, vd.run("q_learning", LAKE, episodes=60, seed=4, snapshots=7).snapshots)


def test_other_agents_have_them_too():
    network = vd.run("dqn(network=mlp(hidden=[8]))", LAKE, steps=40, snapshots=3)
    assert network.snapshots.action_values.shape == (3, 16, 4)
    assert network.snapshots.visits is None
    plan = vd.run("value_iteration", LAKE, episodes=1, snapshots=5)
    assert len(plan.snapshots) == 1
    np.testing.assert_allclose(plan.snapshots.action_values[0], plan.trained.action_values, rtol=1e-6)


class Remembering(vd.Agent):
    """Keeps a table of its own, and draws from its stream when it acts."""

    def begin(self, observation_space, action_space, rng):
        self.action_values, self.rng = np.zeros((observation_space.n, action_space.n)), rng

    def act(self, observation, *, explore=False):
        return int(self.rng.integers(4))

    def learn(self, observation, action, reward, next_observation, terminated, truncated):
        self.action_values[observation, action] += 1.0


def test_an_agent_of_ones_own_with_a_table_has_them():
    trial = vd.run(Remembering(), LAKE, steps=50, snapshots=6)
    assert trial.snapshots.action_values.sum(axis=(1, 2)).tolist() == [0, 10, 20, 30, 40, 50]
    assert np.isnan(trial.snapshots.exploration).all()
    np.testing.assert_array_equal(trial.log.returns, vd.run(Remembering(), LAKE, steps=50).log.returns)


@pytest.mark.parametrize(
    ("agent", "env", "reason"),
    [
        ("discretized(q_learning)", "CartPole-v1", "they are of a Discrete observation space, not of Box("),
        ("constant(0)", LAKE, "constant has no action values of all states"),
    ],
)
def test_where_there_are_none_a_note_says_why(agent, env, reason):
    trial = vd.run(agent, env, episodes=3, snapshots=2)
    assert trial.snapshots is None
    assert [note for note in trial.log.notes if f"has no snapshots: {reason}" in note]


def test_their_size_is_bounded(monkeypatch):
    monkeypatch.setattr(snapshots, "LARGEST_MIB", 0.01)
    trial = vd.run("q_learning", LAKE, episodes=50, snapshots=50)
    assert trial.snapshots is None
    line = "has no snapshots: 50 of 16 states and 4 actions take 0 MiB, more than 0.01: ask for fewer"
    assert line in trial.log.notes
    assert vd.run("q_learning", LAKE, episodes=50, snapshots=5).snapshots is not None


@pytest.mark.parametrize(("budget", "number"), [(10, 11), (3, 50), (7, 4), (1, 2), (0, 2)])
def test_moments_are_spread_from_the_start_to_the_end(budget, number):
    moments = snapshot_moments(budget, number)
    assert moments[0] == 0
    assert moments[-1] == budget
    assert len(moments) == len(set(moments)) == min(number, budget + 1)


def test_a_number_that_is_none(capsys):
    with pytest.raises(vd.VelodromeError, match="snapshots must be at least 2, before training and at its end, got 1"):
        vd.run("q_learning", LAKE, episodes=3, snapshots=1)
    assert main(["compare", "q_learning", "--on", LAKE, "--episodes", "3", "--snapshots", "1"]) == 2
    assert "snapshots: must be at least 2, before training and at its end, got 1" in capsys.readouterr().err


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("snapshots")
    vd.compare(["q_learning", "dummy_q"], LAKE, episodes=50, seeds=3, snapshots=6, out=folder, workers=0)
    return folder


def test_they_are_stored_with_the_trial(stored):
    results = vd.Results.load(stored)
    found = results.snapshots(LAKE, "q_learning")
    assert list(found) == [0, 1, 2]
    assert same(found[2], vd.run("q_learning", LAKE, episodes=50, seed=2, snapshots=6).snapshots)
    # They are no curves.
    with Store.open_for_reading(stored) as store:
        assert [curves for _, curves in store.measured_curves(store.keys())] == [{}] * 6
    assert vd.verify(stored, workers=0).has_reproduced


def test_they_are_copied_and_joined(stored, tmp_path):
    results = vd.Results.load(stored)
    results.save(tmp_path)
    assert same(vd.Results.load(tmp_path).snapshots(LAKE, "dummy_q")[1], results.snapshots(LAKE, "dummy_q")[1])
    both = vd.Results.joined([results, vd.Results.load(tmp_path)], ["one", "other"])
    assert len(both.snapshots(LAKE, "q_learning")) == 3


def test_trials_without_are_run_again_only_where_snapshots_are_asked_for(stored, tmp_path):
    arguments = (["q_learning", "dummy_q"], LAKE)
    asked = {"episodes": 50, "seeds": 3, "workers": 0}
    vd.compare(*arguments, **asked, out=tmp_path)
    with Store.open_for_reading(tmp_path) as store:
        plain, digest = set(store.keys()), store.content_digest()
    vd.compare(*arguments, **asked, snapshots=6, out=tmp_path)
    with Store.open_for_reading(tmp_path) as store:
        keys = set(store.keys())
        rows = store.trials(sorted(keys))
    assert plain < keys
    # The results are the same.
    numbers = {
        key: (row["agent"], row["seed"], row["greedy_success_rate"], row["curves_sha256"]) for key, row in rows.items()
    }
    assert {numbers[key] for key in plain} == {numbers[key] for key in keys - plain}
    with Store.open_for_reading(tmp_path) as store:
        # What was stored keeps its key.
        vd.compare(*arguments, **asked, out=tmp_path)
        assert set(store.keys()) == keys
        assert store.content_digest() != digest


def test_damage_is_found(stored, tmp_path):
    vd.Results.load(stored).save(tmp_path)
    with Store.open(tmp_path) as store:
        store.connection.execute("UPDATE measured_curves SET num_points = 5 WHERE name = 'snapshots.action_values'")
        with pytest.raises(StoreError, match="do not match"):
            dict(store.snapshots(store.keys()))
    rows = pack_snapshots(vd.Results.load(stored).snapshots(LAKE, "q_learning")[0])
    assert same(unpack_snapshots(rows), vd.Results.load(stored).snapshots(LAKE, "q_learning")[0])
    for bad in (
        [rows[0]],
        [rows[0]._replace(num_points=99), *rows[1:]],
        [rows[0]._replace(num_points=10**12), *rows[1:]],
    ):
        with pytest.raises(CurvesError, match="snapshots"):
            unpack_snapshots(bad)


def test_an_experiment_file_asks_for_them(tmp_path):
    path = tmp_path / "e.toml"
    path.write_text(
        f'name = "e"\nepisodes = 5\nseeds = 2\nsnapshots = 3\nagents = ["q_learning"]\nenvironments = ["{LAKE}"]\n'
    )
    results = vd.compare(path, workers=0)
    assert len(results.snapshots(LAKE, "q_learning")[0]) == 3
