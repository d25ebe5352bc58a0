"""Programs of one file as trials: what they are given, what is read of them, and what becomes of those that fail."""

import json
import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import gymnasium as gym
import numpy as np
import psutil
import pytest

import velodrome as vd
from velodrome.agents import Agent, BudgetError, Script, UnsupportedEnvironmentError
from velodrome.agents.adapters.episode_files import EpisodeFileError, EpisodeTable, read_event_episodes
from velodrome.agents.engine.seeding import environment_seed
from velodrome.agents.errors import AgentFailureError
from velodrome.envs import Discretize
from velodrome.experiments.cli.application import main
from velodrome.experiments.specification.catalogue import build_known_agent
from velodrome.policies import ConfigurationError

LAKE = "FrozenLake-v1"
COMMAND = "train.py {env} {seed} {steps}"
# A program without imports that take their time; what it does is its fourth argument's.
PROGRAM = """
import json, os, sys, time
env, seed, budget, *what = sys.argv[1:]
seed, budget, what = int(seed), int(budget), what[0] if what else ""
rows = [(float((seed + number) % 2), 10) for number in range(budget // 10)]
"""
WRITE = """
with open("episodes.csv", "w") as file:
    file.write("r,l\\n" + "".join(f"{r},{l}\\n" for r, l in rows))
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(PROGRAM + WRITE)
    return tmp_path


def write(text, name="train.py"):
    Path(name).write_text(text, encoding="utf-8")


def one_line(error, function, *arguments, **keywords):
    with pytest.raises(error) as caught:
        function(*arguments, **keywords)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def log_of(program, command=COMMAND, *, steps=100, **parameters):
    """Log of a training of a program, and the agent."""
    write(PROGRAM + program)
    agent = Script(command, **parameters)
    return agent.train(gym.make(LAKE), steps=steps, seed=3), agent


def failure_of(program, command=COMMAND, **parameters):
    return one_line(AgentFailureError, log_of, program, command, **parameters)


def test_a_program_gets_the_environment_the_seed_and_the_budget(place):
    told = """
print(json.dumps([os.getcwd(), os.listdir(), sys.argv[1:], sys.executable]))
sys.exit(3)
"""
    write(PROGRAM + told)
    with pytest.raises(AgentFailureError) as caught:
        Script("python train.py {env} {seed} {steps} 'a  b' $HOME").train(gym.make(LAKE), steps=70, seed=3)
    folder, files, arguments, python = json.loads(caught.value.__notes__[0].splitlines()[1])
    assert arguments == [LAKE, str(environment_seed(3)), "70", "a  b", "$HOME"]
    assert files == []
    assert python == sys.executable
    assert not Path(folder).exists()
    assert Path(folder) != place


def test_its_episodes_are_the_training(place):
    log, _ = log_of(WRITE)
    parity = environment_seed(3) % 2
    assert log.returns.tolist() == [float((parity + number) % 2) for number in range(10)]
    assert log.lengths.tolist() == [10] * 10
    assert (log.steps, log.loop, log.notes) == (100, "external", ())
    assert log.successes.tolist() == (log.returns > 0).tolist()
    assert log.terminated.all()
    again, _ = log_of(WRITE)
    assert again.returns.tolist() == log.returns.tolist()


def test_a_program_cannot_act_and_nothing_takes_it_for_zero(place, capsys):
    expression = f"script('{COMMAND}')"
    trial = vd.run(expression, LAKE, steps=100)
    assert trial.evaluation.method == ""
    assert np.isnan([trial.evaluation.mean_return, trial.evaluation.success_rate]).all()
    assert "script cannot act" in one_line(UnsupportedEnvironmentError, trial.trained.act, 0)
    assert main(["run", expression, LAKE, "--steps", "100"]) == 0
    said = capsys.readouterr().out
    assert "greedy success  –\n" in said
    assert "greedy return  –  (best possible 0.7442)" in said
    assert "note  has no greedy numbers: script cannot act; train_return and train_success_rate compare it" in said
    assert main(["run", expression, LAKE, "--steps", "100", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["greedy_mean_return"] is None
    assert main(["run", expression, LAKE, "--steps", "100", "--render", "ansi"]) == 2
    assert capsys.readouterr().err == "velodrome: --render ansi: script cannot act, so that there is nothing to show\n"


def test_a_table_a_plot_and_a_report_say_that_greedy_numbers_are_absent(place, capsys):
    agents = {"the program": f"script('{COMMAND}')", "still": "constant(0)", "stay": "constant(1)"}
    results = vd.compare(agents, LAKE, seeds=2, steps=100, evaluate_every=50, out="kept", workers=0)
    assert not results.failures
    rows = results.table(full=True).set_index("agent")
    assert np.isnan(
        rows.loc["the program", ["greedy_success_rate_mean", "greedy_return_mean", "difference"]].tolist()
    ).all()
    assert (rows.loc["the program", "no_score"], rows.loc["the program", "verdict"]) == (2, "not compared")
    assert rows.loc["stay", "verdict"] != "not compared"
    by_training = results.table(full=True, metric="train_return").set_index("agent")
    assert by_training.loc["the program", "rank"] == 1
    assert by_training.loc["the program", "no_score"] == 0
    capsys.readouterr()
    assert main(["table", "kept", "--format", "markdown"]) == 0
    said = capsys.readouterr().out
    assert "| the program | 2 | – | – |" in said
    assert "No score: the program on FrozenLake-v1, 2 of 2 trials have no greedy success." in said
    assert "the program on FrozenLake-v1 has no greedy numbers: script cannot act" in said
    assert "the program on FrozenLake-v1 was not evaluated along the training: script cannot act" in said


@pytest.mark.slow
def test_pictures_and_a_report_say_that_greedy_numbers_are_absent(place, capsys):
    agents = {"the program": f"script('{COMMAND}')", "still": "constant(0)", "stay": "constant(1)"}
    vd.compare(agents, LAKE, seeds=6, steps=100, evaluate_every=50, out="kept", workers=0)
    for kind in ("evaluation", "scores", "profiles", "improvement", "regret"):
        assert main(["plot", "kept", "--kind", kind]) == 0, capsys.readouterr().err
    Path("train.py").write_text("open('ran', 'w')")
    assert main(["plot", "kept"]) == main(["report", "kept"]) == 0
    assert not Path("ran").exists()
    assert "cannot act" in Path("kept/comparison/report.html").read_text(encoding="utf-8")


def test_what_is_read_runs_nothing(place):
    vd.compare({"mine": f"script('{COMMAND}')"}, LAKE, seeds=2, steps=100, out="kept", workers=0)
    trained = Script(COMMAND)
    trained.train(gym.make(LAKE), steps=100, seed=0)
    trained.save("agent")
    ran = place / "ran"
    write(f"open({str(ran)!r}, 'w')")
    assert main(["table", "kept"]) == 0
    assert build_known_agent(f"script('{COMMAND}')").command == COMMAND
    loaded = Agent.load("agent")
    assert (loaded.command, loaded.is_trained) == (COMMAND, True)
    assert not ran.exists()
    # Nor does verify run a program that is not the one that ran.
    found = vd.verify("kept", workers=0)
    assert found.not_verified[0].remarks == ("its own code has changed: file train.py",)
    assert not ran.exists()


def test_an_edited_program_runs_again_and_its_neighbours_too(place):
    def keys():
        frame = vd.compare(
            "script('train.py {env} {seed} {steps} settings.json')", LAKE, seeds=1, steps=20, workers=0, out="kept"
        )
        return frame.frame()["key"].tolist()

    write("{}", "settings.json")
    first = keys()
    assert keys() == first
    write('{"alpha": 1}', "settings.json")
    second = keys()
    write(PROGRAM + WRITE + "\n# edited\n")
    assert len({*first, *second, *keys()}) == 3


def test_a_program_says_how_good_its_greedy_policy_is(place):
    program = WRITE + 'open("evaluation.csv", "w").write("episodic_return\\n1\\n0\\n1\\n1\\n")'
    write(PROGRAM + program)
    trial = vd.run(Script(COMMAND), LAKE, steps=100)
    found = trial.evaluation
    assert (found.method, found.episodes, found.mean_return, found.success_rate) == ("monte-carlo", 4, 0.75, 0.75)
    assert found.success_low < 0.75 < found.success_high
    assert "has greedy numbers of 4 episodes that script played itself" in trial.log.notes
    trial.trained.save("agent")
    assert Agent.load("agent").greedy_returns.tolist() == [1.0, 0.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("lengths", "steps", "counted", "note"),
    [
        ("[60]", 100, 100, None),
        ("[90, 10]", 100, 100, None),
        ("[10]", 500, 10, "train.py logged 10 steps for a budget of 500"),
        ("[100, 100]", 150, 200, "train.py logged 200 steps for a budget of 150"),
    ],
)
def test_another_number_of_steps_is_told_and_nothing_is_cut(place, lengths, steps, counted, note):
    log, _ = log_of(f"rows = [(1.0, length) for length in {lengths}]" + WRITE, steps=steps)
    assert log.steps == counted
    assert log.notes == ((note,) if note else ())
    assert log.lengths.tolist() == json.loads(lengths)


def test_budgets_of_episodes_must_be_in_the_command(place):
    env = gym.make(LAKE)
    message = one_line(BudgetError, Script(COMMAND).train, env, episodes=5, seed=0)
    assert message.startswith(
        "script: a budget of episodes must be in the command as {episodes}: give a budget of steps"
    )
    agent = Script("train.py {env} {seed} {episodes}")
    log = agent.train(env, episodes=70, seed=0)
    assert log.episodes == 7
    assert log.notes == ("train.py logged 7 episodes for a budget of 70",)
    with pytest.raises(vd.experiments.ExperimentError, match=r"a budget of steps must be in the command as \{steps\}"):
        vd.compare(agent, LAKE, seeds=1, steps=10, workers=0)


def test_a_second_training_needs_a_seed(place):
    log, agent = log_of(WRITE)
    env = agent.binding.environment
    assert "cannot go on where its program ended" in one_line(UnsupportedEnvironmentError, agent.train, env, steps=10)
    assert agent.train(env, steps=100, seed=3).returns.tolist() == log.returns.tolist()


ENDS = {
    "a traceback": ("raise ValueError('no such layer')", "train.py ended with exit code 1: ValueError: no such layer"),
    "a code": ("sys.exit(7)", "train.py ended with exit code 7"),
    "a signal": ("os.kill(os.getpid(), 9)", "train.py ended by SIGKILL"),
    "nothing": ("", "train.py was to write an event file of TensorBoard or a CSV file, and wrote nothing"),
    "else": ("open('model.zip', 'w')", "train.py was to write an event file of TensorBoard or a CSV file, and wrote m"),
    "no episode": ("rows = []" + WRITE, "train.py wrote no episode into episodes.csv"),
    "no number": (
        "rows = [(1.0, 5), (float('nan'), 5)]" + WRITE,
        "train.py wrote episodes.csv, line 3: column 'r' holds no number",
    ),
    "infinity": (
        "rows = [(float('inf'), 5)]" + WRITE,
        "train.py wrote episodes.csv, line 2: column 'r' must be a finite number, got inf",
    ),
    "half a step": (
        "rows = [(1.0, 0.5)]" + WRITE,
        "train.py wrote episodes.csv, line 2: column 'l' must be a whole number of steps from 1, got 0.5",
    ),
    "other columns": (
        WRITE.replace("r,l", "rewards,l"),
        "train.py wrote episodes.csv: has no column of returns 'r' or 'episodic_return' or 'return'; name it with",
    ),
    "two files": (WRITE + WRITE.replace("episodes", "b"), "train.py wrote 2 CSV files (b.csv, episodes.csv): name one"),
    "a wrong evaluation": (
        WRITE + "open('evaluation.csv', 'w').write('r\\nmuch\\n')",
        "train.py wrote evaluation.csv, line 2: column 'r' holds no number",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ENDS)
def test_a_program_that_fails_says_so_in_one_line(place, case):
    program, message = ENDS[case]
    assert failure_of(program).startswith(message)


def test_a_trial_that_fails_fails_alone_and_keeps_what_was_printed(place):
    write(PROGRAM + "print('episode 1 of many')\nif seed % 2: raise ValueError('odd')" + WRITE)
    results = vd.compare(
        {"mine": f"script('{COMMAND}')", "still": "constant(0)"}, LAKE, seeds=4, steps=20, workers=0, out="kept"
    )
    odd = [seed for seed in range(4) if environment_seed(seed) % 2]
    assert [one.seed for one in results.failures] == odd
    assert {one.error for one in results.failures} == {"train.py ended with exit code 1: ValueError: odd"}
    from velodrome.experiments.storage.store import Store

    with Store.open_for_reading("kept") as store:
        text = store.trials([results.failures[0].key])[results.failures[0].key]["error_traceback"]
    assert "episode 1 of many" in text
    assert "raise ValueError('odd')" in text


def test_files_are_named_by_pattern_and_columns_by_name(place):
    program = """
os.makedirs("logs/one")
open("logs/one/run.csv", "w").write("score,steps,is_success\\n1.5,4,True\\n2.5,6,0\\n")
open("other.csv", "w").write("x\\n")
"""
    log, _ = log_of(program, results="logs/*/*.csv", column="score", length_column="steps")
    assert (log.returns.tolist(), log.lengths.tolist()) == ([1.5, 2.5], [4, 6])
    assert log.successes.tolist() == [True, False]
    assert "was to write runs/*.csv, and wrote logs/one/run.csv, other.csv" in failure_of(program, results="runs/*.csv")


def test_a_monitor_of_stable_baselines3_is_read(place):
    program = """open("monitor.csv", "w").write('#{"t_start": 1.0, "env_id": "x"}\\nr,l,t\\n1,7,0.1\\n\\n0,9,0.2\\n')"""
    log, _ = log_of(program)
    assert (log.returns.tolist(), log.lengths.tolist()) == ([1.0, 0.0], [7, 9])
    assert EpisodeTable.read(_file(place, "a,b\n\n1,2\n")).lines == [3]
    with pytest.raises(EpisodeFileError, match="line 3: has 1 values, but there are 2 columns"):
        EpisodeTable.read(_file(place, "a,b\n1,2\n1\n"))


def _file(place, text):
    path = place / "table.csv"
    path.write_text(text, encoding="utf-8")
    return path


def events(path, scalars):
    """An event file of TensorBoard, with (tag, step, value) each in a record."""
    event_pb2 = pytest.importorskip("tensorboard.compat.proto.event_pb2")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for tag, step, value in scalars:
            event = event_pb2.Event(step=step)
            event.summary.value.add(tag=tag, simple_value=value)
            record = event.SerializeToString()
            file.write(struct.pack("<QI", len(record), 0) + record + struct.pack("<I", 0))
    return path


RETURNS, LENGTHS = "charts/episodic_return", "charts/episodic_length"


def test_event_files_of_tensorboard_are_read_as_cleanrl_writes_them(place):
    scalars = [
        ("losses/td_loss", 5, 0.5),
        (RETURNS, 9, 1.0),
        (LENGTHS, 9, 10.0),
        (RETURNS, 29, 0.0),
        (LENGTHS, 29, 20.0),
    ]
    kept = events(place / "kept", scalars)
    program = f"""
os.makedirs("runs/lake__dqn__1")
import shutil
shutil.copy({str(kept)!r}, "runs/lake__dqn__1/events.out.tfevents.1.host")
"""
    log, _ = log_of(program)
    assert (log.returns.tolist(), log.lengths.tolist()) == ([1.0, 0.0], [10, 20])
    with pytest.raises(AgentFailureError, match="has no tag of returns 'charts/reward'; name it with column="):
        log_of(program, column="charts/reward")


def test_event_files_that_are_not_whole(place):
    whole = events(place / "whole", [(RETURNS, 1, 2.0), (LENGTHS, 1, 3.0), (RETURNS, 2, 5.0)])
    cut = place / "cut"
    cut.write_bytes(whole.read_bytes()[:-9])
    assert read_event_episodes([cut], RETURNS, LENGTHS).returns.tolist() == [2.0]
    with pytest.raises(EpisodeFileError, match=f"2 values of {RETURNS}, but 1 of {LENGTHS}"):
        read_event_episodes([whole], RETURNS, LENGTHS)
    nan = events(place / "nan", [(RETURNS, 7, float("nan")), (LENGTHS, 7, 3.0)])
    with pytest.raises(EpisodeFileError, match=f"{RETURNS} of episode 1, at step 7, must be a finite number, got nan"):
        read_event_episodes([nan], RETURNS, LENGTHS)


def test_reading_event_files_loads_no_tensorflow(place):
    path = events(place / "kept", [(RETURNS, 1, 2.0), (LENGTHS, 1, 3.0)])
    code = f"""
import sys
from pathlib import Path
from velodrome.agents.adapters.episode_files import read_event_episodes
read_event_episodes([Path({str(path)!r})], {RETURNS!r}, {LENGTHS!r})
assert "tensorflow" not in sys.modules and "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("", "script: command must be such as 'train.py --seed {seed}', got ''"),
        ("train.py {env} {steps}", "script: command must hold {seed}, got 'train.py {env} {steps}'"),
        ("train.py {seed}", "script: command must hold {env}, got"),
        ("train.py {env} {seed}", "script: command must hold {steps} or {episodes}, one of them, got"),
        ("train.py {env} {seed} {stpes}", "script: command has {stpes}: did you mean 'steps'?"),
        (
            "train.py '{env} {seed} {steps}",
            'script: command "train.py \'{env} {seed} {steps}" cannot be read: No closing',
        ),
        (3, "script: command must be a text, got 3"),
    ],
)
def test_a_command_that_cannot_be_is_refused(command, message):
    assert one_line(ConfigurationError, Script, command).startswith(message)


def test_results_lie_in_the_folder_of_the_program():
    for pattern in ("/etc/*.csv", "../*.csv"):
        assert "results must lie in the program's folder" in one_line(
            ConfigurationError, Script, COMMAND, results=pattern
        )


def test_a_program_that_is_not_there_is_refused_before_anything_runs(place):
    env = gym.make(LAKE)
    message = one_line(UnsupportedEnvironmentError, Script("trian.py {env} {seed} {steps}").check_environment, env)
    assert message == f"script: there is no file 'trian.py' in {place}: did you mean 'train.py'?"
    message = one_line(
        UnsupportedEnvironmentError, Script("no-such-program {env} {seed} {steps}").check_environment, env
    )
    assert message == "script: there is no program 'no-such-program'"


def test_environments_that_a_program_cannot_make_are_refused(place):
    class Here(gym.Env):
        observation_space = action_space = gym.spaces.Discrete(2)

    agent = Script(COMMAND)
    for env, message in (
        (Here(), "by an id that is registered with Gymnasium, and Here has none"),
        (Discretize(gym.make("CartPole-v1"), 3), "makes CartPole-v1 by itself, without the wrapper Discretize"),
        (
            gym.make(LAKE, is_slippery=False, max_episode_steps=30),
            'put {env_kwargs} into it, which becomes {"is_slippery": false, "max_episode_steps": 30}',
        ),
    ):
        assert message in one_line(UnsupportedEnvironmentError, agent.check_environment, env)
    write(PROGRAM + "print(what)\nsys.exit(1)")
    with pytest.raises(AgentFailureError, match=r'\{"is_slippery": false\}'):
        Script(COMMAND + " {env_kwargs}").train(gym.make(LAKE, is_slippery=False), steps=10, seed=0)


def test_success_at_a_goal_is_not_made_up(place):
    write(PROGRAM + WRITE)
    agent = Script(COMMAND + " {env_kwargs}")
    env = gym.make(LAKE, reward_schedule=(5, 1, 0))
    log = agent.train(env, steps=100, seed=0)
    assert log.successes is None
    assert "has no training success: train.py does not say which episodes ended at the goal" in log.notes


FOREVER = """
import subprocess
child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
open(what, "w").write(f"{os.getpid()} {child.pid}")
time.sleep(600)
"""


def gone(pids, seconds=10.0):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="process groups")
@pytest.mark.parametrize(
    "end", [*(pytest.param(end, marks=pytest.mark.slow) for end in ("interrupt", "timeout")), "kill"]
)
def test_whatever_ends_a_trial_ends_the_program_and_what_it_started(place, end):
    write(PROGRAM + FOREVER)
    told = place / "pids"
    command = f"train.py {{env}} {{seed}} {{steps}} {told}"
    limit = "trial_timeout=0.5, workers=1" if end == "timeout" else "workers=0"
    code = f"""
import velodrome as vd
try:
    vd.compare(vd.agents.Script({command!r}), "FrozenLake-v1", seeds=1, steps=10, {limit})
except vd.experiments.AllTrialsFailedError as error:
    print(error)
"""
    done = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    until = time.monotonic() + 30
    while not (told.exists() and told.read_text().count(" ")) and time.monotonic() < until:
        time.sleep(0.05)
    pids = [int(pid) for pid in told.read_text().split()]
    if end != "timeout":
        done.send_signal(2 if end == "interrupt" else 9)
    printed, _ = done.communicate(timeout=30)
    if end == "timeout":
        assert "took longer than 0.5 s" in printed
    assert gone(pids)


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="process groups")
def test_what_a_program_leaves_behind_ends_with_it(place):
    program = FOREVER.replace("time.sleep(600)\n", "").replace("open(what", f"open({str(place / 'pids')!r}") + WRITE
    write(PROGRAM + program)
    Script(COMMAND).train(gym.make(LAKE), steps=20, seed=0)
    assert gone([int(pid) for pid in (place / "pids").read_text().split()])


@pytest.mark.slow
def test_a_program_runs_in_worker_processes_from_a_file(place):
    write(
        f"""
name = "programs"
steps = 100
seeds = 5
environments = ["FrozenLake-v1"]
[agents]
mine = "script('{COMMAND}', results='*.csv', column='r')"
"still" = "constant(0)"
""",
        "programs.toml",
    )
    assert main(["compare", "programs.toml", "--workers", "2", "--quiet"]) == 0
    results = vd.Results.load("results")
    here = vd.run(Script(COMMAND, results="*.csv", column="r"), LAKE, steps=100, seed=4)
    found = results.frame().query("agent == 'mine' and seed == 4")["train_mean_return"].item()
    assert found == here.log.mean_return


def test_verify_runs_a_program_again(place):
    vd.compare({"mine": f"script('{COMMAND}')"}, LAKE, seeds=2, steps=100, out=".", workers=0)
    with pytest.warns(vd.experiments.ExperimentWarning, match="a program in the store's folder: train.py"):
        assert vd.verify(".", workers=0).reproduced == 2


def test_verify_runs_no_other_programs(place):
    write("#!/bin/sh\nprintf 'r,l\\n1,10\\n' > out.csv\n", "train.sh")
    vd.compare({"mine": "script('sh train.sh {env} {seed} {steps}')"}, LAKE, seeds=1, steps=10, out="kept", workers=0)
    found = vd.verify("kept", workers=0)
    assert (
        found.not_verified[0]
        .remarks[0]
        .startswith("verify runs programs that are files of Python, and no 'sh train.sh")
    )
