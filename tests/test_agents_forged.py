"""Saved agents that a stranger has written: loading them runs nothing but the user's own code."""

import functools
import os
import shlex
import sys

import library_of_ones_own
import pytest

import velodrome as vd
from velodrome.agents import Agent, ExternalAgent, SavedAgentError, UnsupportedEnvironmentError
from velodrome.agents.resuming.saving import read_agent, write_agent

LAKE = "FrozenLake-v1(is_slippery=False)"
FOREIGN = [
    "os:system",
    "posix:system",
    "shutil:rmtree",
    "subprocess:Popen",
    "numpy:load",
    "test_agents_forged:os.system",
]
ADDED = ("format", "version", "sha256", "manifest_sha256")


def make(env, seed):
    return [0]


def learn(model, env, steps):
    env.reset()
    while True:
        if any(env.step(0)[2:4]):
            env.reset()


def act(model, observation):
    return model[0]


def save(model, path):
    with open(path, "w") as file:
        file.write("0")


def load(path):
    with open(path) as file:
        return [int(file.read())]


def down(observation):
    return 1


def saved(agent, folder, **forged):
    """Folder of a saved agent, with other parameters."""
    vd.run(agent, LAKE, steps=64, seed=0).trained.save(folder)
    entries, arrays = read_agent(folder)
    entries["agent"] |= forged
    write_agent(folder / "forged", {name: value for name, value in entries.items() if name not in ADDED}, arrays)
    return folder / "forged"


def refusal(folder):
    with pytest.raises(SavedAgentError) as caught:
        Agent.load(folder)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("function", ["make", "learn", "act", "save", "load"])
def test_functions_of_an_external_agent(function, name, tmp_path):
    agent = ExternalAgent(make=make, learn=learn, act=act, save=save, load=load)
    assert Agent.load(saved(agent, tmp_path)).act(0) == 0
    said = refusal(saved(agent, tmp_path, **{function: name}))
    assert f"external_agent: {function}: {name} is no function or class of your own" in said


@pytest.mark.parametrize("name", FOREIGN)
def test_the_function_of_a_rule(name, tmp_path):
    assert Agent.load(saved("rule('test_agents_forged:down')", tmp_path)).act(0) == 1
    assert f"rule: {name} is no function" in refusal(saved("rule('test_agents_forged:down')", tmp_path, function=name))


def test_nothing_is_imported(tmp_path, monkeypatch):
    (tmp_path / "evil_rules.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for agent, forged in (
        ("rule('test_agents_forged:down')", {"function": "evil_rules:down"}),
        ("sb3('library_of_ones_own:Table')", {"algorithm": "evil_rules:Table"}),
        ("sb3('library_of_ones_own:Table')", {"schedule": "evil_rules:half"}),
        (ExternalAgent(make=make, learn=learn, act=act, save=save, load=load), {"load": "evil_rules:load"}),
    ):
        assert "is not imported: import it before loading" in refusal(saved(agent, tmp_path, **forged))


@pytest.mark.parametrize(
    "forged",
    [
        {"algorithm": "subprocess:Popen"},
        {"schedule": "os:system"},
        {"options": {"name": "dict", "make": "os:system", "command": "touch forged"}},
    ],
)
def test_a_class_of_ones_own_and_its_arguments(forged, tmp_path):
    agent = "sb3('library_of_ones_own:Table', schedule='library_of_ones_own:half')"
    assert Agent.load(saved(agent, tmp_path)).act(0) in range(4)
    assert library_of_ones_own.__name__ in sys.modules
    refusal(saved(agent, tmp_path, **forged))


@pytest.mark.parametrize(
    "made",
    [
        "stable_baselines3.common.logger:HumanOutputFormat",
        "stable_baselines3.common.monitor:ResultsWriter",
        "stable_baselines3.common.logger:CSVOutputFormat",
    ],
)
def test_classes_of_the_library_that_write_files(made, tmp_path):
    pytest.importorskip("stable_baselines3")
    kept = tmp_path / "mine.csv"
    kept.write_text("kept")
    part = {"name": "dict", "make": made, "filename": str(kept)}
    folder = saved(
        "sb3('PPO', n_steps=32, batch_size=32)", tmp_path, policy_kwargs={"name": "dict", "optimizer_kwargs": part}
    )
    assert "is no part of a network" in refusal(folder)
    assert kept.read_text() == "kept"


def test_the_command_of_a_program(tmp_path):
    program = tmp_path / "train.py"
    program.write_text("open('log.csv', 'w').write('r,l\\n1,64\\n')")
    ran = tmp_path / "ran"
    forged = f"{sys.executable} -c {shlex.quote(f'open({str(ran)!r}, chr(119))')} {{env}} {{seed}} {{steps}}"
    text = f"script('{program} {{env}} {{seed}} {{steps}} {{env_kwargs}}')"
    loaded = Agent.load(saved(text, tmp_path, command=forged))
    with pytest.raises(UnsupportedEnvironmentError, match=r"^script runs no command of a saved agent: make it anew"):
        loaded.train("FrozenLake-v1", steps=64, seed=0)
    assert not ran.exists()


def test_functions_without_a_name_are_refused_in_one_line(tmp_path):
    agent = ExternalAgent(make=make, learn=learn, act=functools.partial(act), save=save, load=load)
    assert "functools:partial is no function or class of your own" in refusal(saved(agent, tmp_path))
    assert os.path.exists(tmp_path)
