"""`velodrome verify`: stored trials that run again, what is said of those that differ, and of those that cannot."""

import functools
import hashlib
import importlib
import re
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

import velodrome as vd
from velodrome.agents import Discretized, NeuralBandit, QLearning, SupervisedAgent
from velodrome.agents.errors import BudgetError
from velodrome.experiments.cli.application import main
from velodrome.experiments.errors import AllTrialsFailedError, ExperimentError
from velodrome.experiments.specification.catalogue import AGENTS
from velodrome.experiments.storage import provenance
from velodrome.experiments.storage.store import Store, StoreError
from velodrome.policies import ConfigurationError, EpsilonGreedy

LAKE, SLIPPERY = "FrozenLake-v1(is_slippery=False)", "FrozenLake-v1"

# What SHIFT names changes the results of the same code, as another release of a library does.
CORRIDOR = """
import os

import gymnasium as gym
import numpy as np


class Corridor(gym.Env):
    observation_space = gym.spaces.Discrete(2)
    action_space = gym.spaces.Discrete(2)
    episode = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode += 1
        return 0, {}

    def step(self, action):
        shift = os.environ.get("SHIFT", "")
        rewards = {2: 1.0, 4: 2.0}
        if shift == "swapped" and self.episode in rewards:
            rewards = {2: 2.0, 4: 1.0}
        if shift == "larger" and self.episode == 3:
            rewards[3] = 8.0
        if shift == "longer" and not hasattr(self, "paused"):
            self.paused = True
            return 1, 0.0, False, False, {}
        if shift == "raises":
            raise OSError("the door is locked")
        return 1, rewards.get(self.episode, 0.0), True, False, {}


gym.register("Corridor-v0", entry_point=Corridor)
"""
CAUTIOUS = """
from dataclasses import dataclass
from velodrome.policies import Policy


def select(action_values, visit_counts, parameter, rng):
    return 0


@dataclass(frozen=True)
class Cautious(Policy):
    @property
    def select(self):
        return select
"""


@pytest.fixture
def own_modules(tmp_path, monkeypatch):
    """Modules of a user's own in the current folder; `forget` is a new program that starts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    names = ("corridor", "cautious")

    def forget():
        gym.registry.pop("Corridor-v0", None)
        for name in names:
            sys.modules.pop(name, None)
        importlib.invalidate_caches()

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    Path("corridor.py").write_text(CORRIDOR)
    Path("cautious.py").write_text(CAUTIOUS)
    forget()
    yield forget
    forget()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "results"


def compare(folder, agents=("random",), environments=SLIPPERY, *, seeds=2, episodes=20, workers=0, **settings):
    return vd.compare(agents, environments, seeds=seeds, episodes=episodes, out=folder, workers=workers, **settings)


def verify(folder, *, workers=0, **settings):
    return vd.verify(folder, workers=workers, **settings)


def run_script(text):
    """What a program of its own prints; it runs in the current folder."""
    Path("script.py").write_text(text)
    done = subprocess.run([sys.executable, "-W", "error", "script.py"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def reasons(verification):
    return [trial.remarks[0] for trial in verification.not_verified]


@pytest.mark.parametrize("workers", [0, 2])
def test_what_compare_stored_reproduces(folder, workers):
    environments = [LAKE, SLIPPERY, "discretize(NormalizeObservation(CartPole-v1), bins=3, low=-2, high=2)"]
    compare(folder, ["q_learning", "noise_q"], environments, evaluation_episodes=2)
    verification = verify(folder, workers=workers)
    assert (verification.reproduced, verification.stored, verification.failed) == (12, 12, 0)
    assert (verification.differing, verification.not_verified, verification.other_versions) == ((), (), {})
    assert verification.has_reproduced
    with Store.open_for_reading(folder) as store:
        digest = store.content_digest()
    assert list(verification.lines()) == [f"content digest {digest}", "12 of 12 trials reproduce"]


@pytest.mark.slow
def test_every_agent_of_the_catalogue_that_walks_on_ice_reproduces(folder):
    others = (SupervisedAgent, NeuralBandit, Discretized)
    agents = [name for name, make in AGENTS.items() if not (isinstance(make, type) and issubclass(make, others))]
    assert len(agents) == len(AGENTS) - 10
    compare(folder, agents, [LAKE, "CliffWalking-v1"], seeds=1, episodes=3)
    assert verify(folder).reproduced == 2 * len(agents)


@pytest.mark.parametrize("success", ["return >= 0.5", "terminated", "none", "is_success"])
def test_the_budget_the_success_rule_and_the_sampled_episodes_are_those_of_the_trial(folder, success):
    agents = {"short": {"agent": "q_learning", "steps": 30}, "long": "q_learning"}
    environments = {"ice": SLIPPERY, "pole": {"environment": "discretize(CartPole-v1, bins=2)", "success": "none"}}
    compare(folder, agents, environments, seeds=[7, 3], success=success, evaluation_episodes=3)
    assert verify(folder).reproduced == 8


def test_different_trials_under_the_same_labels_reproduce(folder):
    compare(folder, {"learner": "q_learning"}, {"lake": LAKE}, name="first")
    compare(folder, {"learner": "sarsa"}, {"lake": LAKE}, name="second")
    compare(folder, {"learner": "sarsa"}, {"lake": SLIPPERY}, episodes=10, name="third", success="terminated")
    assert verify(folder).reproduced == 6
    assert verify(folder, experiment="second").reproduced == 2


def test_trials_that_no_experiment_shows_any_more_are_verified_too(folder):
    compare(folder, {"old": "q_learning(discount=0.5)"})
    compare(folder, {"new": "q_learning(discount=0.7)"})
    assert verify(folder).reproduced == 4
    assert verify(folder, experiment="comparison").reproduced == 2


@pytest.mark.parametrize("workers", [0, 1])
def test_an_agent_that_cannot_be_compiled_reproduces(folder, own_modules, workers):
    Path("cautious.py").write_text(CAUTIOUS.replace("return 0", "return [0, *{}.values()][0]"))
    agents = ["q_learning(policy=cautious:Cautious)"]
    with pytest.warns(UserWarning, match="cannot be compiled"):
        compare(folder, agents)
    own_modules()
    with pytest.warns(UserWarning, match="cannot be compiled"):
        assert verify(folder, workers=workers).reproduced == 2


def test_nothing_is_written_to_the_store(folder):
    compare(folder, ["q_learning", "random"])
    before = hashlib.sha256((folder / "trials.sqlite").read_bytes()).hexdigest()
    with Store.open_for_reading(folder) as store:
        digest = store.content_digest()
    assert verify(folder).content_digest == digest
    assert hashlib.sha256((folder / "trials.sqlite").read_bytes()).hexdigest() == before
    with Store.open_for_reading(folder) as store:
        assert store.content_digest() == digest


def test_a_sample_is_drawn_by_its_seed(folder):
    compare(folder, ["random"], seeds=12, episodes=2)
    finished = []

    def draw(**settings):
        finished.clear()
        return verify(folder, progress=lambda status: finished.append(status.total), **settings)

    verification = draw(sample=5)
    assert (verification.reproduced, verification.stored, set(finished)) == (5, 12, {5})
    assert list(verification.lines())[-1] == "5 of 5 trials reproduce (a sample of 5 from 12)"
    assert draw(sample=12).reproduced == draw(sample=100).reproduced == 12


def test_the_draw_is_without_replacement_and_depends_on_the_seed_alone(folder, own_modules, monkeypatch):
    compare(folder, ["random"], "corridor:Corridor-v0", seeds=10, episodes=3)
    monkeypatch.setenv("SHIFT", "larger")

    def drawn(**settings):
        return [trial.seed for trial in verify(folder, **settings).differing]

    draws = [drawn(sample=4, seed=seed) for seed in range(6)]
    assert all(len(set(draw)) == 4 for draw in draws)
    assert len({tuple(draw) for draw in draws}) > 1
    assert draws[3] == drawn(sample=4, seed=3)
    assert draws[0] == drawn(sample=4)


@pytest.mark.parametrize(
    ("shift", "told"),
    [
        ("swapped", ["returns differ first in episode 2: stored 1.0, now 2.0"]),
        (
            "larger",
            [
                "train_mean_return stored 0.6, now 2.2",
                "returns differ first in episode 3: stored 0.0, now 8.0",
            ],
        ),
        (
            "longer",
            [
                "steps stored 5, now 6",
                "lengths differ first in episode 1: stored 1, now 2",
            ],
        ),
    ],
)
def test_a_trial_that_differs_is_named_with_what_differs(folder, own_modules, monkeypatch, shift, told):
    agents = {"by chance": "random"}
    environments = {"corridor": "corridor:Corridor-v0"}
    compare(folder, agents, environments, seeds=[4], episodes=5, evaluation_episodes=1)
    monkeypatch.setenv("SHIFT", shift)
    verification = verify(folder)
    (trial,) = verification.differing
    assert (trial.agent, trial.environment, trial.seed) == ("by chance", "corridor", 4)
    assert list(trial.remarks) == told
    assert not verification.has_reproduced
    first, *_, last = verification.lines()
    assert first == f"differs: by chance on corridor, seed 4: {'; '.join(told)}"
    assert last == "0 of 1 trials reproduce"


def test_a_budget_of_steps_that_ends_in_other_episodes(folder, own_modules, monkeypatch):
    vd.compare("random", "corridor:Corridor-v0", seeds=1, steps=6, out=folder, workers=0, evaluation_episodes=1)
    monkeypatch.setenv("SHIFT", "longer")
    (trial,) = verify(folder).differing
    assert "episodes stored 6, now 5" in trial.remarks
    assert "returns of 6 episodes stored, now of 5" in trial.remarks


def test_a_trial_that_now_raises_differs(folder, own_modules, monkeypatch):
    compare(folder, environments=["corridor:Corridor-v0", SLIPPERY], seeds=1)
    monkeypatch.setenv("SHIFT", "raises")
    verification = verify(folder)
    (trial,) = verification.differing
    assert verification.reproduced == 1
    assert re.fullmatch(
        r"stored as done, now failed: .*the door is locked.* \(corridor\.py:\d+ in step\)", trial.remarks[0]
    )


def test_failed_trials_are_counted_but_not_run_again(folder, own_modules, monkeypatch):
    monkeypatch.setenv("SHIFT", "raises")
    compare(folder, environments=["corridor:Corridor-v0", SLIPPERY], seeds=3)
    monkeypatch.delenv("SHIFT")
    verification = verify(folder)
    assert (verification.reproduced, verification.failed, verification.stored) == (3, 3, 3)
    assert "not run again: 3 trials that failed" in list(verification.lines())


@pytest.mark.parametrize("workers", [0, 1])
def test_own_code_is_imported_again(folder, own_modules, workers):
    compare(folder, ["q_learning(policy=cautious:Cautious)"], ["corridor:Corridor-v0", LAKE])
    own_modules()
    assert verify(folder, workers=workers).reproduced == 4


def test_edited_own_code_is_not_verified(folder, own_modules):
    compare(folder, ["q_learning(policy=cautious:Cautious)", "random"], LAKE)
    own_modules()
    Path("cautious.py").write_text(CAUTIOUS.replace("return 0", "return 1"))
    verification = verify(folder)
    assert verification.reproduced == 2
    assert set(reasons(verification)) == {"its own code has changed: cautious:Cautious"}
    assert [trial.seed for trial in verification.not_verified] == [0, 1]
    lines = list(verification.lines())
    assert lines[0] == (
        "not verified: 2 trials of q_learning(policy=cautious:Cautious) on FrozenLake-v1(is_slippery=False): "
        "its own code has changed: cautious:Cautious"
    )
    assert lines[-1] == "2 of 2 trials reproduce, 2 not verified"
    assert verification.has_reproduced


def test_an_edited_environment_that_is_named_as_its_class_is_not_taken_for_a_factory(folder, own_modules):
    module = CORRIDOR.replace('"Corridor-v0"', '"Corridor"')
    Path("corridor.py").write_text(module)
    try:
        compare(folder, ["random"], "corridor:Corridor", seeds=1)
        importlib.import_module("corridor")
        compare(folder, ["random"], "Corridor", seeds=1)
        assert verify(folder).reproduced == 2
        own_modules()
        gym.registry.pop("Corridor")
        Path("corridor.py").write_text(module.replace("2.0}", "3.0}"))
        importlib.import_module("corridor")
        assert reasons(verify(folder)) == ["its own code has changed: corridor:Corridor"] * 2
    finally:
        gym.registry.pop("Corridor", None)


def test_own_code_that_is_gone_is_not_verified(folder, own_modules):
    script = "import velodrome as vd; vd.compare('q_learning(policy=cautious:Cautious)', 'FrozenLake-v1', "
    run_script(script + "seeds=5, episodes=5, out='results', workers=0)")
    Path("cautious.py").unlink()
    verification = verify(folder)
    assert set(reasons(verification)) == {
        "cannot import module 'cautious' of 'cautious:Cautious': No module named 'cautious'"
    }
    assert not verification.has_reproduced


def test_own_code_of_a_script_is_verified_in_the_script(folder, own_modules):
    rest = """
import velodrome as vd

agent = vd.agents.QLearning(policy=Cautious())
vd.compare({"own": agent}, "FrozenLake-v1", seeds=5, episodes=5, out="results", workers=0)
print(vd.verify("results", workers=0).reproduced)
"""
    assert run_script(CAUTIOUS + rest) == "5\n"
    assert reasons(verify(folder)) == ["__main__:Cautious is defined in a script: call velodrome.verify there"] * 5


def test_classes_without_a_place_in_a_module_are_found_where_they_are_defined(folder):
    class Local(EpsilonGreedy):
        pass

    compare(folder, {"own": QLearning(policy=Local(epsilon=0.1))})
    assert verify(folder).reproduced == 2


def frozen():
    return gym.make(SLIPPERY)


def Blackjack():
    return gym.make(SLIPPERY)


@pytest.mark.parametrize(
    ("factory", "name"),
    [
        (frozen, "frozen"),
        (lambda: gym.make(SLIPPERY), "<lambda>"),
        (functools.partial(gym.make, SLIPPERY), "partial"),
        # Gymnasium knows an environment of this name.
        (Blackjack, "Blackjack"),
    ],
)
def test_environments_of_python_factories_are_not_verified(folder, factory, name):
    compare(folder, ["random"], [factory, SLIPPERY])
    verification = verify(folder)
    assert verification.reproduced == 2
    assert (
        reasons(verification) == [f"its environment was made by the Python factory {name!r}, which is not stored"] * 2
    )


def test_an_environment_that_is_no_longer_registered_is_not_verified(folder, own_modules):
    importlib.import_module("corridor")
    compare(folder, ["random"], "Corridor-v0", seeds=1)
    own_modules()
    (reason,) = reasons(verify(folder))
    assert "Corridor" in reason


def test_results_of_another_version_are_not_verified(folder, monkeypatch):
    compare(folder, seeds=1)
    monkeypatch.setattr("velodrome.experiments.specification.stored_plan.RESULT_VERSION", 2)
    assert reasons(verify(folder)) == ["its results are of version 1, this release computes 2"]


def test_other_versions_are_told(folder, monkeypatch):
    now = provenance.package_versions()
    for seeds, versions in ((1, {"numpy": "1.0", "python": "3.9.9"}), (2, {"numpy": "1.1"}), (3, {})):
        monkeypatch.setattr(provenance, "package_versions", lambda versions=versions: now | versions)
        compare(folder, seeds=seeds)
    verification = verify(folder)
    assert verification.reproduced == 3
    assert verification.other_versions == {"python": ("3.9.9",), "numpy": ("1.0", "1.1")}
    told = f"stored with python 3.9.9, now {now['python']}, numpy 1.0 and 1.1, now {np.__version__}"
    assert told in list(verification.lines())


def test_stores_without_anything_to_verify_are_refused(folder, own_modules, monkeypatch):
    with pytest.raises(StoreError, match="no store of trials"):
        verify(folder)
    monkeypatch.setenv("SHIFT", "raises")
    with pytest.raises(AllTrialsFailedError):
        compare(folder, environments="corridor:Corridor-v0")
    with pytest.raises(ExperimentError, match="holds no trial that is done"):
        verify(folder)
    with pytest.raises(StoreError, match="no experiment 'comparision': did you mean 'comparison'"):
        verify(folder, experiment="comparision")


@pytest.mark.parametrize(
    ("settings", "error", "told"),
    [
        ({"sample": 0}, BudgetError, "sample must be a whole number of at least 1"),
        ({"workers": -1}, ExperimentError, "workers must be a whole number of at least 0"),
        ({"seed": -1}, ConfigurationError, "seed must be a whole number of at least 0"),
    ],
)
def test_arguments_out_of_range_are_refused(folder, settings, error, told):
    compare(folder, seeds=1)
    with pytest.raises(error, match=told):
        verify(folder, **settings)


def test_the_command_prints_the_findings(folder, own_modules, monkeypatch, capsys):
    compare(folder, ["random"], {"corridor": "corridor:Corridor-v0", "ice": SLIPPERY}, episodes=3, name="two")
    assert main(["verify", str(folder), "--workers", "0", "--quiet"]) == 0
    printed = capsys.readouterr()
    assert re.fullmatch(r"content digest [0-9a-f]{64}\n4 of 4 trials reproduce\n", printed.out)
    assert printed.err == ""
    assert main(["verify", str(folder), "--sample", "3", "--seed", "1", "--experiment", "two", "--workers", "0"]) == 0
    assert "3 of 3 trials reproduce (a sample of 3 from 4)" in capsys.readouterr().out
    monkeypatch.setenv("SHIFT", "larger")
    assert main(["verify", str(folder), "--workers", "0"]) == 1
    out = capsys.readouterr().out
    assert out.count("differs: random on corridor, seed ") == 2
    assert out.endswith("\n2 of 4 trials reproduce\n")
    assert main(["verify", str(folder), "--experiment", "tow"]) == 2
    assert "did you mean 'two'" in capsys.readouterr().err


def test_the_command_fails_where_nothing_could_be_verified(folder, capsys):
    compare(folder, ["random"], frozen, seeds=1)
    assert main(["verify", str(folder), "--workers", "0"]) == 1
    assert capsys.readouterr().out.endswith("\n0 of 0 trials reproduce, 1 not verified\n")


def test_a_damaged_store_is_no_table(folder, capsys):
    compare(folder)
    with Store.open(folder) as store:
        store.connection.execute("UPDATE trials SET measures = json_set(measures, '$.steps', 1) WHERE seed = 1")
    assert main(["verify", str(folder), "--workers", "0"]) == 2
    assert "does not match its checksum" in capsys.readouterr().err
