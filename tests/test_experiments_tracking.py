"""Trackers: what they are told, and what the real packages read back from the files that they wrote."""

import builtins
import dataclasses
import importlib.util
import math
import subprocess
import sys
from collections import deque
from unittest.mock import MagicMock

import numpy as np
import pytest

from velodrome.agents.training_log import Curve
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.storage.episode_curves import EpisodeCurves
from velodrome.experiments.tracking.tracker import GuardedTracker, TrackedTrial, TrackingWarning, open_tracker

# Other packages' own deprecated calls.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

SPECIFICATION = {
    "result_version": 1,
    "agent": {"name": "q_learning", "discount": 0.99, "policy": {"name": "ucb", "confidence": 0.5}, "sizes": [3, 4]},
    "environment": "FrozenLake-v1(is_slippery=False)",
    "budget": {"episodes": 250, "steps": None},
    "evaluation": {"episodes": 100, "success": None},
}
LABELS = ("ε-greedy: a/b", "lake, slippery")


def curves_of(returns, lengths, successes=None):
    return EpisodeCurves(
        np.array(returns, dtype=np.float64),
        np.array(lengths, dtype=np.int64),
        None if successes is None else np.array(successes, dtype=np.bool_),
    )


def done(seed=0, curves=None, **changes):
    if curves is None:
        rng = np.random.default_rng(seed)
        curves = curves_of(rng.random(250), rng.integers(1, 50, 250), rng.random(250) < 0.5)
    metrics = {
        "episodes": curves.episodes,
        "steps": int(curves.lengths.sum()) + 7,
        "loop": "compiled",
        "greedy_mean_return": 0.5,
        "greedy_success_rate": 0.25,
        "train_seconds": 2.0,
    }
    parts = {
        "experiment": "lakes",
        "agent": LABELS[0],
        "environment": LABELS[1],
        "seed": seed,
        "key": f"{seed + 1:064x}"[::-1],
        "specification": SPECIFICATION | {"seed": seed},
        "status": "done",
        "error": "",
        "metrics": metrics,
        "curves": curves,
    }
    return TrackedTrial(**(parts | changes))


def failed(seed=1, status="failed"):
    trial = done(seed, status=status, error="KeyError: 'wheel'", metrics={})
    return dataclasses.replace(trial, curves=None)


def expected_curve(trial, tag):
    return [(step, values[tag]) for step, values in trial.rollout()]


# What trackers are told


@pytest.mark.parametrize("num_episodes", [1, 2, 99, 100, 101, 199, 250, 1234])
def test_rollout_means_are_those_of_a_window_of_100_episodes(num_episodes):
    """Against Stable-Baselines3's way: a queue of at most 100 episodes, averaged whenever one ends."""
    rng = np.random.default_rng(num_episodes)
    columns = rng.normal(size=num_episodes), rng.integers(1, 9, num_episodes), rng.random(num_episodes) < 0.5
    episodes = list(zip(*columns, strict=True))
    latest, steps, by_step = deque(maxlen=100), 0, {}
    for episode in episodes:
        latest.append(episode)
        steps += episode[1]
        by_step[steps] = np.mean(np.array(latest, dtype=float), axis=0)
    points = done(curves=curves_of(*columns)).rollout()
    assert len(points) == min(len(episodes), 100)
    assert points[-1][0] == steps
    assert [step for step, _ in points] == sorted({step for step, _ in points})
    for step, values in points:
        assert list(values) == ["rollout/ep_rew_mean", "rollout/ep_len_mean", "rollout/success_rate"]
        np.testing.assert_allclose(list(values.values()), by_step[step], atol=1e-9)


def test_without_a_success_rule_there_is_no_success_curve():
    (point,) = done(curves=curves_of([2.0], [5])).rollout()
    assert point == (5, {"rollout/ep_rew_mean": 2.0, "rollout/ep_len_mean": 5.0})


def test_without_a_finished_episode_there_is_no_curve():
    assert done(curves=curves_of([], [])).rollout() == []


def test_final_numbers_stand_at_the_last_step_of_training():
    trial = done(curves=curves_of([1.0, 2.0], [3, 10]))
    assert trial.final() == (
        20,
        {
            "eval/mean_reward": 0.5,
            "eval/success_rate": 0.25,
            "time/fps": 10.0,
            "time/episodes": 2.0,
            "time/total_timesteps": 20.0,
        },
    )


def test_what_is_not_known_is_not_told():
    trial = done(metrics={"steps": 5, "episodes": 1, "greedy_success_rate": float("nan"), "train_seconds": 0.0})
    assert trial.final() == (5, {"time/episodes": 1.0, "time/total_timesteps": 5.0})


def test_what_was_measured_along_the_training_stands_between_the_rollout():
    steps = np.arange(1, 301) * 10
    measured = (
        Curve("loss", "step", steps, np.linspace(2, 1, 300)),
        Curve("exploration", "step", np.array([10, 20]), np.array([0.5, math.nan])),
        Curve("updates", "step", np.array([10, 20]), np.array([3.0, 4.0])),
        Curve("evaluation_return", "episode", np.array([1, 2]), np.array([0.1, 0.2])),
        Curve("training_cpu_seconds", "episode", np.array([1, 2]), np.array([0.01, 0.02])),
        Curve("surprise", "epoch", np.array([1]), np.array([1.0])),
    )
    curves = curves_of([1.0, 2.0], [3, 10])
    trial = dataclasses.replace(done(curves=curves), measured=measured)
    points = trial.along()
    assert [step for step, _ in points] == sorted({step for step, _ in points})
    told = {tag: [(step, values[tag]) for step, values in points if tag in values] for _, now in points for tag in now}
    assert told["train/loss"][0] == (10, 2.0)
    assert told["train/loss"][-1] == (3000, 1.0)
    assert len(told["train/loss"]) == 100
    assert told["rollout/exploration_rate"] == [(10, 0.5)]
    assert told["train/n_updates"] == [(10, 3.0), (20, 4.0)]
    # Counted in episodes, which ended after 3 and 13 steps; training went on to 20.
    assert told["eval/mean_reward"] == [(3, 0.1), (13, 0.2)]
    assert told["time/training_cpu_seconds"] == [(3, 0.01), (13, 0.02)]
    assert [(step, values["rollout/ep_rew_mean"]) for step, values in trial.rollout()] == told["rollout/ep_rew_mean"]
    assert "train/surprise" not in told
    at_the_end = dataclasses.replace(trial, measured=(Curve("evaluation_return", "step", np.array([20]), np.ones(1)),))
    assert all("eval/mean_reward" not in values for _, values in at_the_end.along())


def test_parameters_are_flat_and_name_the_labels():
    assert done(seed=3).parameters() == {
        "experiment": "lakes",
        "agent": LABELS[0],
        "environment": LABELS[1],
        "agent.name": "q_learning",
        "agent.discount": 0.99,
        "agent.policy.name": "ucb",
        "agent.policy.confidence": 0.5,
        "agent.sizes": "[3, 4]",
        "budget.episodes": 250,
        "evaluation.episodes": 100,
        "seed": 3,
        "environment.expression": "FrozenLake-v1(is_slippery=False)",
    }


# Opening and guarding


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tensorbord", "--track: unknown tracker 'tensorbord': did you mean 'tensorboard'?"),
        ("xyz", "--track: unknown tracker 'xyz'; allowed: mlflow, tensorboard, wandb"),
        ("", "--track: unknown tracker ''; allowed: mlflow, tensorboard, wandb"),
        ("wandb:", "--track: 'wandb:' ends after the colon; write 'wandb' alone for the default"),
    ],
)
def test_a_mistake_is_one_line_with_what_is_allowed(text, message, tmp_path):
    with pytest.raises(ExperimentError) as caught:
        open_tracker(text, tmp_path)
    assert str(caught.value) == message


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_a_missing_package_is_told_with_its_extra(name, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None)
    with pytest.raises(ExperimentError, match=rf"pip install 'velodrome\[{name}\]'$"):
        open_tracker(name, tmp_path)


def test_the_folder_that_wandb_writes_is_not_taken_for_the_package(tmp_path, monkeypatch):
    (tmp_path / "wandb").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    with pytest.raises(ExperimentError, match="needs the package 'wandb'"):
        open_tracker("wandb", tmp_path)


class Recorder:
    """A user's own tracker, which raises `error` in the method named."""

    def __init__(self, method=None, error=None):
        self.method, self.error, self.calls = method, error, []

    def _called(self, name):
        self.calls.append(name)
        if name == self.method:
            raise self.error

    def start(self, experiment, settings):
        self._called("start")

    def trial(self, trial):
        self._called("trial")

    def close(self):
        self._called("close")


def drive(tracker):
    tracker.start("lakes", {"seeds": [0, 1]})
    for seed in range(2):
        tracker.trial(done(seed))
    tracker.close()


def test_a_tracker_that_works_is_told_everything():
    recorder = Recorder()
    drive(GuardedTracker(recorder))
    assert recorder.calls == ["start", "trial", "trial", "close"]


@pytest.mark.parametrize(
    ("method", "calls"),
    [
        ("start", ["start", "close"]),
        ("trial", ["start", "trial", "close"]),
        ("close", ["start", "trial", "trial", "close"]),
    ],
)
def test_a_tracker_that_raises_is_left_out_after_one_warning(method, calls):
    recorder = Recorder(method, OSError("disk full\nand more"))
    with pytest.warns(TrackingWarning) as caught:
        drive(GuardedTracker(recorder))
    assert [str(warning.message) for warning in caught] == [
        f"Recorder failed in {method} and is left out from here on: OSError: disk full"
    ]
    assert recorder.calls == calls


def test_ctrl_c_is_not_swallowed():
    with pytest.raises(KeyboardInterrupt):
        drive(GuardedTracker(Recorder("trial", KeyboardInterrupt())))


# TensorBoard


def read_events(folder):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    return event_accumulator.EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0}).Reload()


def read_scalars(folder):
    events = read_events(folder)
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def tensorboard(directory, *trials, **options):
    pytest.importorskip("tensorboardX")
    from velodrome.experiments.tracking.tensorboard_tracker import TensorBoardTracker

    tracker = TensorBoardTracker(directory, **options)
    tracker.start("lakes", {"seeds": [0, 1]})
    for trial in trials:
        tracker.trial(trial)
    tracker.close()
    return directory / "lakes" / "ε-greedy_ a_b" / LABELS[1]


def test_tensorboard_reads_the_curves_and_the_final_numbers(tmp_path):
    trial = done(4)
    scalars = read_scalars(tensorboard(tmp_path, trial) / f"seed_4_{trial.key[:8]}")
    step, final = trial.final()
    assert scalars.keys() == {"rollout/ep_rew_mean", "rollout/ep_len_mean", "rollout/success_rate", *final}
    for tag, points in scalars.items():
        expected = [(step, final[tag])] if tag in final else expected_curve(trial, tag)
        assert [point[0] for point in points] == [point[0] for point in expected]
        np.testing.assert_allclose([point[1] for point in points], [point[1] for point in expected], rtol=1e-6)


def test_a_trial_written_again_has_its_points_once(tmp_path):
    runs = tensorboard(tmp_path, done(4, curves=curves_of([1.0] * 90, [1] * 90)))
    assert runs == tensorboard(tmp_path, done(4, curves=curves_of([2.0] * 30, [1] * 30)))
    (run,) = runs.iterdir()
    assert read_scalars(run)["rollout/ep_rew_mean"] == [(step, 2.0) for step in range(1, 31)]


def test_the_number_of_points_can_be_chosen(tmp_path):
    (run,) = tensorboard(tmp_path, done(4), max_points=7).iterdir()
    assert len(read_scalars(run)["rollout/ep_len_mean"]) == 7


@pytest.mark.parametrize("status", ["failed", "timed out"])
def test_tensorboard_shows_why_a_trial_failed(tmp_path, status):
    (run,) = tensorboard(tmp_path, failed(status=status)).iterdir()
    events = read_events(run)
    assert events.Tags()["scalars"] == []
    (text,) = events.Tensors("status/text_summary")
    assert text.tensor_proto.string_val[0].decode() == f"**{status}**: KeyError: 'wheel'"


def test_tensorboard_lists_the_hyper_parameters_of_all_agents(tmp_path):
    multiplexer = pytest.importorskip("tensorboard.backend.event_processing.plugin_event_multiplexer")
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.context import RequestContext
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.hparams import api_pb2
    from tensorboard.plugins.hparams.backend_context import Context
    from tensorboard.plugins.hparams.list_session_groups import Handler

    own = SPECIFICATION | {"agent": {"name": "sarsa", "learning_rate": 0.5}, "seed": 2}
    tensorboard(tmp_path, done(0), failed(1), done(2, agent="sarsa", specification=own))
    files = multiplexer.EventMultiplexer().AddRunsFromDirectory(str(tmp_path)).Reload()
    provider = MultiplexerDataProvider(files, str(tmp_path))
    context, request = Context(TBContext(data_provider=provider)), RequestContext()
    tags = context.hparams_metadata(request, "")
    experiment = context.experiment_from_metadata(
        request, "", True, tags, context.hparams_from_data_provider(request, "", None)
    )
    names = {info.name for info in experiment.hparam_infos}
    assert {"agent", "environment", "seed", "agent.discount", "agent.policy.confidence", "agent.learning_rate"} <= names
    metrics = {info.name.tag for info in experiment.metric_infos}
    assert {"eval/mean_reward", "eval/success_rate"} <= metrics
    asked = api_pb2.ListSessionGroupsRequest(
        slice_size=10,
        allowed_statuses=[api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE],
        col_params=[api_pb2.ColParams(hparam=name) for name in names],
    )
    groups = Handler(request, context, "", asked).run().session_groups
    statuses = {group.hparams["seed"].number_value: group.sessions[0].status for group in groups}
    assert statuses == {0: api_pb2.STATUS_SUCCESS, 1: api_pb2.STATUS_FAILURE, 2: api_pb2.STATUS_SUCCESS}


def test_tensorboard_shows_the_settings_of_the_experiment(tmp_path):
    tensorboard(tmp_path)
    (text,) = read_events(tmp_path / "lakes").Tensors("settings/text_summary")
    assert '"seeds"' in text.tensor_proto.string_val[0].decode()


@pytest.mark.parametrize("label", ["../../up", "a\\b:c*d?", "", "..", "각" * 300, "trailing. "])
def test_any_label_stays_within_the_folder(tmp_path, label):
    tensorboard(tmp_path / "runs", done(agent=label, environment=label))
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    (file,) = (tmp_path / "runs" / "lakes").glob("*/*/*/*")
    assert not {*'\\:*?"<>|'} & {*str(file.relative_to(tmp_path))}


def test_writing_for_tensorboard_imports_no_network_library(tmp_path):
    pytest.importorskip("tensorboardX")
    program = (
        "import sys\n"
        "from velodrome.experiments.tracking.tracker import open_tracker\n"
        "before = {*sys.modules}\n"
        f"tracker = open_tracker('tensorboard', {str(tmp_path)!r})\n"
        "assert 'tensorboardX' not in sys.modules\n"
        "tracker.start('lakes', {})\n"
        "heavy = {'tensorflow', 'torch', 'pandas', 'matplotlib', 'tensorboard'} & ({*sys.modules} - before)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert (tmp_path / "tensorboard" / "lakes").is_dir()


# MLflow


def mlflow(directory, *trials, **options):
    pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    from mlflow.tracking import MlflowClient

    from velodrome.experiments.tracking.mlflow_tracker import MLflowTracker

    tracker = MLflowTracker(directory=directory, **options)
    tracker.start("lakes", {})
    for trial in trials:
        tracker.trial(trial)
    tracker.close()
    return MlflowClient(tracking_uri=tracker.tracking_uri)


@pytest.fixture
def no_mlflow_settings(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")


@pytest.mark.usefixtures("no_mlflow_settings")
def test_mlflow_reads_the_runs_back(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    trial = done(4)
    mlflow(tmp_path / "store", trial)
    # Another run of the experiment goes on in the same file. 600 points of 2 tags are more than one call may hold,
    # 9,000 characters more than one value.
    wordy = SPECIFICATION | {"agent": {"name": "n" * 9000}, "seed": 6}
    large = done(6, curves=curves_of([1.0] * 600, [1] * 600), specification=wordy, error="e" * 9000)
    client = mlflow(tmp_path / "store", failed(5), large, max_points=600)
    (experiment,) = [e for e in client.search_experiments() if e.name == "lakes"]
    runs = {int(run.data.params["seed"]): run for run in client.search_runs([experiment.experiment_id])}
    assert {seed: run.info.status for seed, run in runs.items()} == {4: "FINISHED", 5: "FAILED", 6: "FINISHED"}

    run = runs[4]
    assert run.info.run_name == "ε-greedy: a/b · lake, slippery · seed 4"
    assert run.info.end_time - run.info.start_time == 2000
    assert run.data.params == {name: str(value) for name, value in trial.parameters().items()}
    assert {"agent": LABELS[0], "environment": LABELS[1], "key": trial.key}.items() <= run.data.tags.items()
    for tag in ("rollout/ep_rew_mean", "rollout/success_rate"):
        history = client.get_metric_history(run.info.run_id, tag)
        assert [(metric.step, metric.value) for metric in history] == expected_curve(trial, tag)
    (metric,) = client.get_metric_history(run.info.run_id, "eval/mean_reward")
    assert (metric.step, metric.value) == (trial.final()[0], 0.5)

    assert runs[5].data.metrics == {}
    assert runs[5].data.tags["error"] == "KeyError: 'wheel'"
    assert len(client.get_metric_history(runs[6].info.run_id, "rollout/ep_len_mean")) == 600
    assert experiment.artifact_location == (tmp_path / "store" / "mlflow-artifacts").as_uri()
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("no_mlflow_settings")
def test_where_mlflow_writes(tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    assert open_tracker("mlflow", tmp_path).tracking_uri == f"sqlite:///{(tmp_path / 'mlflow.db').as_posix()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://tracking.example")
    assert open_tracker("mlflow", tmp_path).tracking_uri == "https://tracking.example"
    assert open_tracker("mlflow:sqlite:///runs.db", tmp_path).tracking_uri == "sqlite:///runs.db"
    with pytest.raises(ExperimentError, match=r"mlflow: 'runs' is no tracking URI; write sqlite:///FILE\.db"):
        open_tracker("mlflow:runs", tmp_path)


# Weights & Biases


def read_wandb_records(path):
    """Records of an offline run: after W&B's header of 7 bytes, a log in LevelDB's format."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, parts, records = path.read_bytes(), 7, b"", []
    while place + 7 <= len(data):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        length, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        parts += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):
            records.append(Record.FromString(parts))
            parts = b""
    return records


@pytest.fixture
def wandb(tmp_path, monkeypatch):
    """A process without W&B settings, in which being asked for anything is an error."""
    module = pytest.importorskip("wandb")
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DIR", "WANDB_PROJECT", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.chdir(tmp_path)

    def refuse(*_):
        raise AssertionError("asked for input")

    monkeypatch.setattr(builtins, "input", refuse)
    module.teardown()
    yield module
    module.teardown()


def test_wandb_writes_offline_without_a_key(tmp_path, wandb, capfd):
    trial = done(4)
    tracker = open_tracker("wandb:team/lakes-project", tmp_path / "store")
    tracker.start("lakes", {})
    tracker.trial(trial)
    tracker.trial(failed(5))
    tracker.close()
    # Ends W&B's own process, with which the last of the files is written.
    wandb.teardown()
    assert capfd.readouterr() == ("", "")
    files = (tmp_path / "store" / "wandb").glob("offline-run-*/*.wandb")
    by_seed = {}
    for records in map(read_wandb_records, files):
        (run,) = [record.run for record in records if record.HasField("run")]
        config = {item.key: item.value_json for item in run.config.update}
        by_seed[int(config["seed"])] = (run, config, records)
    assert by_seed.keys() == {4, 5}

    run, config, records = by_seed[4]
    assert (run.entity, run.project) == ("team", "lakes-project")
    assert (run.run_group, run.job_type) == LABELS
    assert run.display_name == "ε-greedy: a/b · lake, slippery · seed 4"
    assert float(config["agent.discount"]) == 0.99
    curve = []
    for record in records:
        items = {"/".join(i.nested_key) or i.key: i.value_json for i in record.history.item}
        if "rollout/ep_rew_mean" in items:
            curve.append((record.history.step.num, float(items["rollout/ep_rew_mean"])))
    assert curve == expected_curve(trial, "rollout/ep_rew_mean")
    assert [record.exit.exit_code for record in records if record.HasField("exit")] == [0]

    _, _, records = by_seed[5]
    assert [record.exit.exit_code for record in records if record.HasField("exit")] == [1]
    summary = {item.key: item.value_json for record in records for item in record.summary.update}
    assert (summary["status"], summary["error"]) == ('"failed"', '''"KeyError: 'wheel'"''')


@pytest.mark.parametrize(
    ("credentials", "mode"),
    [
        ({}, "offline"),
        ({"WANDB_API_KEY": "k" * 40}, "online"),
        ({"netrc": "machine api.wandb.ai login user password k"}, "online"),
        ({"netrc": "machine other.example login user password k"}, "offline"),
        ({"netrc": "machine"}, "offline"),
        ({"WANDB_API_KEY": "k" * 40, "WANDB_MODE": "offline"}, "offline"),
        ({"WANDB_MODE": "disabled"}, "disabled"),
    ],
)
def test_wandb_is_online_only_with_a_key(credentials, mode, tmp_path, wandb, monkeypatch):
    for name, value in credentials.items():
        if name == "netrc":
            (tmp_path / "netrc").write_text(value)
        else:
            monkeypatch.setenv(name, value)
    asked = []
    monkeypatch.setattr(wandb, "init", lambda **options: asked.append(options) or MagicMock())
    tracker = open_tracker("wandb", tmp_path)
    tracker.start("lakes: 50 %", {})
    tracker.trial(done())
    (options,) = asked
    assert options["mode"] == mode
    assert options["project"] == "lakes- 50 -"
