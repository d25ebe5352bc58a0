"""A trial that is interrupted and continues from its checkpoints has the result of one that never was."""

import dataclasses
import functools
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field

import gymnasium as gym
import numpy as np
import pytest

from velodrome import agents, policies
from velodrome.agents.errors import EnvironmentFailureError
from velodrome.agents.resuming.checkpointing import Checkpoint, CheckpointFolder
from velodrome.agents.tabular.tabular_learner import TabularLearner
from velodrome.envs import Discretize
from velodrome.experiments.trials import checkpoints
from velodrome.experiments.trials.checkpoints import train_with_checkpoints

SEED = 5
BY_EPISODE = {
    "policy": policies.EpsilonGreedy(epsilon=policies.Exponential(0.9, 0.9, 0.1)),
    "learning_rate": policies.Reciprocal(every=50, clock="step"),
}
BY_VISIT = {"policy": policies.Softmax(temperature=0.5), "learning_rate": policies.Harmonic(clock="visits")}
BY_STEP = {"policy": policies.EpsilonGreedy(epsilon=policies.Linear(1.0, 0.1, 200, clock="step"))}
LEARNERS = {
    "q_learning": lambda: agents.QLearning(**BY_VISIT),
    "sarsa": lambda: agents.Sarsa(**BY_EPISODE),
    "double_q_learning": lambda: agents.DoubleQLearning(**BY_STEP),
    "n_step_q": lambda: agents.NStepQ(n=3, **BY_EPISODE),
    "q_lambda": lambda: agents.QLambda(trace_decay=0.8, **BY_STEP),
    "dyna_q": lambda: agents.DynaQ(planning_steps=3, **BY_VISIT),
}


class Interruption(BaseException):
    """Stands for whatever ends a process at any moment."""


class Fuse:
    """Interrupts training after so many steps, those of rehearsals included; 0 never does."""

    left = 0

    def burn(self):
        self.left -= 1
        if self.left == 0:
            raise Interruption


@pytest.fixture
def fuse(monkeypatch):
    # On the agent's side: whatever is done to an environment could be found when environments are compared.
    fuse, choose = Fuse(), TabularLearner.choose

    def chosen(stepper):
        fuse.burn()
        return choose(stepper)

    monkeypatch.setattr(TabularLearner, "choose", chosen)
    return fuse


class Walk(gym.Env):
    """Left or right of 0 to 6 from a random start, with slips; the tests' environments vary it."""

    observation_space = gym.spaces.Discrete(7)
    action_space = gym.spaces.Discrete(2)

    def __init__(self):
        self.observation_space = gym.spaces.Discrete(7)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = self.first()
        return self.place, {}

    def first(self):
        return int(self.np_random.integers(1, 6))

    def slip(self):
        return self.np_random.random() < 0.2

    def step(self, action):
        self.place += (1 if action else -1) * (-1 if self.slip() else 1)
        return self.place, float(self.place == 6), self.place in (0, 6), False, {}


ENVIRONMENTS = {
    "CartPole": lambda: Discretize(gym.make("CartPole-v1"), 6),
    "Acrobot": lambda: Discretize(gym.make("Acrobot-v1", max_episode_steps=40), 4),
    "Blackjack": lambda: gym.make("Blackjack-v1"),
    "FrozenLake": lambda: gym.make("FrozenLake-v1"),
    "own": Walk,
}


@pytest.fixture(autouse=True)
def at_every_episode(monkeypatch):
    monkeypatch.setattr(checkpoints, "LARGEST_SHARE", 1.0)


def train(learner, make, folder, key="a key", every_seconds=0.0, **options):
    options = {"seed": SEED, "loop": "generic"} | options
    return train_with_checkpoints(learner, make, folder=folder, key=key, every_seconds=every_seconds, **options)


def plainly(learner, make, **options):
    return learner, learner.train(make(), **({"seed": SEED, "loop": "generic"} | options))


@pytest.fixture
def outcome(learnt):
    def compared(pair):
        agent, log = pair
        arrays = {name: getattr(log, name).tobytes() for name in ("returns", "lengths", "terminated")}
        successes = None if log.successes is None else log.successes.tolist()
        rest = {name: getattr(log, name) for name in ("steps", "seed", "success_rule", "loop")}
        acting = {"acting stream": agent.acting_generator().bit_generator.state, "successes": successes}
        return learnt(agent) | arrays | rest | acting

    return compared


@pytest.fixture
def interrupted(fuse):
    """Outcome of a trial that is interrupted after each of these numbers of steps, and how far it was each time."""

    def run(new, make, folder, lengths, **options):
        reached = []
        for length in lengths:
            fuse.left = int(length)
            try:
                return train(new(), make, folder, **options), reached
            except Interruption:
                reached.append(proven(folder))
        fuse.left = 0
        return train(new(), make, folder, **options), reached

    return run


def proven(folder):
    """Episodes in the newest checkpoint, 0 without one."""
    return max((int(path.name.partition("-")[2]) for path in folder.glob("checkpoint-*")), default=0)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("learner", LEARNERS)
def test_an_interrupted_trial_has_the_result_of_an_undisturbed_one(
    learner, environment, interrupted, tmp_path, outcome, differences
):
    new, make = LEARNERS[learner], ENVIRONMENTS[environment]
    # Both kinds of budget with every learner and every environment, without all combinations.
    by_steps = (list(LEARNERS).index(learner) + list(ENVIRONMENTS).index(environment)) % 2
    episodes = 12 if environment in ("Acrobot", "CartPole") else 25
    whole = plainly(new(), make, episodes=episodes)
    budget = {"steps": int(whole[1].steps) - 1} if by_steps else {"episodes": episodes}
    if by_steps:
        whole = plainly(new(), make, **budget)
    rng = np.random.default_rng([len(learner), len(environment)])
    longest = max(40, int(4 * whole[1].lengths.max()), whole[1].steps // 3)
    resumed, reached = interrupted(new, make, tmp_path / "t", rng.integers(longest // 2, longest, size=4), **budget)
    assert differences(outcome(whole), outcome(resumed)) == []
    assert resumed[1].notes == ()
    assert max(reached) > 0
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_checkpoints_change_nothing(environment, tmp_path, outcome, differences):
    make = ENVIRONMENTS[environment]
    whole, pair = plainly(agents.Sarsa(), make, episodes=15), train(agents.Sarsa(), make, tmp_path, episodes=15)
    assert differences(outcome(whole), outcome(pair)) == []


def test_an_environment_with_a_model_can_be_checkpointed_in_the_compiled_loop_too(tmp_path, outcome, differences):
    make = ENVIRONMENTS["FrozenLake"]
    whole = plainly(agents.QLearning(), make, episodes=40, loop="auto")
    seen = []
    accept = CheckpointFolder.accept

    class Stop(CheckpointFolder):
        def accept(self, directory, number):
            accept(self, directory, number)
            seen.append(number)
            if len(seen) == 5:
                raise Interruption

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "CheckpointFolder", Stop)
        with pytest.raises(Interruption):
            train(agents.QLearning(), make, tmp_path, loop="auto", episodes=40)
    resumed = train(agents.QLearning(), make, tmp_path, loop="auto", episodes=40)
    assert whole[1].loop == "compiled"
    assert differences(outcome(whole), outcome(resumed)) == []


def test_nothing_is_written_before_it_is_time(tmp_path):
    _, log = train(agents.QLearning(), Walk, tmp_path / "t", every_seconds=300.0, episodes=200)
    assert log.episodes == 200
    assert list(tmp_path.iterdir()) == []


def test_an_agent_that_cannot_be_checkpointed_trains_without(tmp_path):
    agent, log = train(agents.ValueIteration(), ENVIRONMENTS["FrozenLake"], tmp_path / "t", episodes=1)
    assert log.loop == "planning"
    assert agent.act(14) in range(4)
    assert list(tmp_path.iterdir()) == []


class ToldOtherwise(agents.QLearning):
    """Its log says that so many more episodes were finished than asked for; -1000 is an empty log."""

    name = "told_otherwise"
    more = 0

    def train(self, env, *, episodes=None, **options):
        log = super().train(env, episodes=episodes, **options)
        count = max(0, episodes + self.more)
        return dataclasses.replace(
            log,
            returns=np.zeros(count),
            lengths=np.ones(count, dtype=np.int64),
            terminated=np.ones(count, dtype=np.bool_),
            successes=None,
            steps=count,
        )


@pytest.mark.parametrize(("more", "told"), [(-1000, "0 episodes and 0 steps"), (1, "9 episodes and 9 steps")])
def test_an_agent_that_would_never_come_to_its_end_is_refused(more, told, tmp_path):
    agent = ToldOtherwise()
    agent.more = more
    message = f"told_otherwise was to train for 1 to 8 episodes, but its log has {told}"
    with pytest.raises(checkpoints.NoProgressError, match=f"^{message}$"):
        train(agent, Walk, tmp_path / "t", episodes=8)


class Masked(Walk):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=seed)[0], {"action_mask": np.array([self.place > 1, True])}

    def step(self, action):
        place, *rest, _ = super().step(action)
        return place, *rest, {"action_mask": np.array([self.place > 1, True])}


def test_action_masks_are_kept(interrupted, tmp_path, outcome, differences):
    def new():
        return agents.ExpectedSarsa(action_mask=True)

    whole = plainly(new(), Masked, episodes=40)
    resumed, reached = interrupted(new, Masked, tmp_path, [60, 90, 120], episodes=40)
    assert max(reached) > 0
    assert differences(outcome(whole), outcome(resumed)) == []


class Sometimes(Walk):
    """Reports success in some episodes only."""

    def step(self, action):
        place, reward, terminated, truncated, _ = super().step(action)
        report = {"is_success": place == 6} if terminated and self.np_random.random() < 0.1 else {}
        return place, reward, terminated, truncated, report


@pytest.mark.parametrize("success", [None, "return > 0", "none"])
def test_success_is_decided_as_in_one_go(success, interrupted, tmp_path, outcome, differences):
    whole = plainly(agents.QLearning(), Sometimes, episodes=40, success=success)
    resumed, _ = interrupted(agents.QLearning, Sometimes, tmp_path, [50, 100, 150], episodes=40, success=success)
    assert differences(outcome(whole), outcome(resumed)) == []


def drawing_from(kind):
    class Drawing(Walk):
        def reset(self, *, seed=None, options=None):
            if seed is not None:
                self._np_random = np.random.Generator(kind(seed))
            return super().reset()

        def first(self):
            # Keeps half of a draw for the next time.
            return 1 + int(self.np_random.integers(0, 5, dtype=np.int32))

    return Drawing


class FromSpace(Walk):
    def reset(self, *, seed=None, options=None):
        if seed is not None:
            self.observation_space.seed(seed)
        return super().reset(seed=seed)

    def first(self):
        return min(max(int(self.observation_space.sample()), 1), 5)


class FromChildren(Walk):
    def first(self):
        return int(self.np_random.spawn(1)[0].integers(1, 6))


KINDS = [np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64]


@pytest.mark.parametrize(
    "make", [*map(drawing_from, KINDS), FromSpace, FromChildren], ids=[*map(str, KINDS), "space", "spawned"]
)
def test_streams_of_every_kind_are_restored(make, interrupted, tmp_path, outcome, differences):
    whole = plainly(agents.Sarsa(), make, episodes=40)
    resumed, reached = interrupted(agents.Sarsa, make, tmp_path, [60, 90, 120], episodes=40)
    assert resumed[1].notes == ()
    assert max(reached) > 0
    assert differences(outcome(whole), outcome(resumed)) == []


class OwnGenerator(Walk):
    def __init__(self):
        super().__init__()
        self.own = np.random.default_rng(3)

    def first(self):
        return int(self.own.integers(1, 6))


class Curriculum(Walk):
    def __init__(self):
        super().__init__()
        self.episodes = 0

    def first(self):
        self.episodes += 1
        return 3 if self.episodes < 20 else 1


class ClassCounter(Walk):
    episodes = 0

    def first(self):
        ClassCounter.episodes += 1
        return 1 + ClassCounter.episodes % 5


EPISODES = [0]


class ModuleCounter(Walk):
    def first(self):
        EPISODES[0] += 1
        return 1 + EPISODES[0] % 5


class GlobalStream(Walk):
    def slip(self):
        return np.random.random() < 0.2  # noqa: NPY002


class Opaque(Walk):
    def __init__(self):
        super().__init__()
        self.places = (place for _ in range(10**6) for place in (1, 3, 5))

    def first(self):
        return next(self.places)


def with_running_statistics():
    return gym.wrappers.NormalizeReward(Walk())


class Slotted:
    __slots__ = ("level",)


class DeepInside(Walk):
    def __init__(self):
        super().__init__()
        self.parts = {"inner": [Slotted()]}
        self.parts["inner"][0].level = 0

    def first(self):
        self.parts["inner"][0].level += 1
        return 3 if self.parts["inner"][0].level < 20 else 1


HIDDEN = {
    "own generator": (OwnGenerator, "OwnGenerator"),
    "curriculum": (Curriculum, r"Curriculum.episodes is \d+, but 1"),
    "class": (ClassCounter, r"ClassCounter.episodes is \d+, but was 0 at the start"),
    "module": (ModuleCounter, r"ModuleCounter.first\[0\] is \d+, but was 0 at the start"),
    "global stream": (GlobalStream, "in an environment made anew|global random stream"),
    "opaque": (Opaque, "Opaque.places is a builtins.generator, which hides what it holds"),
    "statistics": (with_running_statistics, "NormalizeReward"),
    "deep inside": (DeepInside, r"DeepInside.parts\['inner'\]|level"),
}


@pytest.mark.parametrize("case", HIDDEN)
def test_hidden_state_is_found_and_noted(case, tmp_path, outcome, differences):
    make, reason = HIDDEN[case]
    pairs = []
    for method in (plainly, lambda *arguments, **options: train(*arguments, tmp_path, **options)):
        ClassCounter.episodes = EPISODES[0] = 0
        np.random.seed(0)  # noqa: NPY002
        pairs.append(method(agents.Sarsa(), make, episodes=40))
    assert differences(*map(outcome, pairs)) == []
    (note,) = pairs[1][1].notes
    assert "cannot be checkpointed" in note
    assert note.endswith("an interrupted trial starts again")
    assert re.search(reason, note)
    assert not tmp_path.exists()


CALLS = [0]


def count_and_alternate(action_values, visit_counts, parameter, rng):
    CALLS[0] += 1
    return CALLS[0] % 2


@dataclass(frozen=True)
class Counting(policies.Policy):
    @property
    def select(self):
        return count_and_alternate


@dataclass(frozen=True)
class Remembering(policies.Policy):
    calls: list = field(default_factory=lambda: [0], init=False)

    @property
    def select(self):
        def alternate(action_values, visit_counts, parameter, rng):
            self.calls[0] += 1
            return self.calls[0] % 2

        return alternate


@pytest.mark.parametrize("policy", [Counting, Remembering])
def test_a_policy_with_a_memory_is_found_and_noted(policy, tmp_path, outcome, differences):
    pairs = []
    for method in (plainly, lambda *arguments, **options: train(*arguments, tmp_path, **options)):
        CALLS[0] = 0
        pairs.append(method(agents.Sarsa(policy=policy()), Walk, episodes=40))
    assert differences(*map(outcome, pairs)) == []
    (note,) = pairs[1][1].notes
    assert re.search(r"(count_and_alternate|calls)\[0\] is \d+, but", note)


class Unlocked(Walk):
    """Starts elsewhere for good once a long episode has come."""

    def __init__(self):
        super().__init__()
        self.is_unlocked = False
        self.length = 0

    def first(self):
        self.is_unlocked = self.is_unlocked or self.length > 18
        self.length = 0
        return 3 if self.is_unlocked else 1

    def step(self, action):
        self.length += 1
        return super().step(action)


def test_state_that_is_hidden_only_later_is_found_later(interrupted, tmp_path, outcome, differences):
    whole = plainly(agents.Sarsa(), Unlocked, episodes=60)
    resumed, reached = interrupted(agents.Sarsa, Unlocked, tmp_path, [300, 500, 700], episodes=60)
    assert max(reached) > 0
    (note,) = resumed[1].notes
    assert "Unlocked.is_unlocked is True, but False in an environment made anew" in note
    assert f"starts again from episode {max(reached) + 1}" in note
    assert differences(outcome(whole), outcome(resumed)) == []


def identity(env):
    return env


def test_one_environment_that_is_handed_out_again_and_again_is_noted(tmp_path, outcome, differences):
    pair = train(agents.Sarsa(), functools.partial(identity, Walk()), tmp_path, episodes=20)
    assert "the same environment is handed out again" in pair[1].notes[0]
    assert differences(outcome(plainly(agents.Sarsa(), Walk, episodes=20)), outcome(pair)) == []


@pytest.fixture
def stopped(fuse, tmp_path):
    """The two checkpoints of a trial that was interrupted."""
    fuse.left = 150
    with pytest.raises(Interruption):
        train(agents.Sarsa(), Walk, tmp_path, episodes=30)
    fuse.left = 0
    return sorted(tmp_path.glob("checkpoint-*"))


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGE = {
    "header": lambda directory: flip(directory / "checkpoint.json"),
    "log": lambda directory: flip(directory / "log.npz"),
    "arrays": lambda directory: flip(directory / "agent" / "arrays.npz"),
    "manifest": lambda directory: flip(directory / "agent" / "manifest.json"),
    "truncated": lambda directory: (directory / "log.npz").write_bytes(b"PK"),
    "missing": lambda directory: (directory / "checkpoint.json").unlink(),
    "empty": lambda directory: (directory / "checkpoint.json").write_text(""),
    "foreign": lambda directory: (directory / "checkpoint.json").write_text("[1]"),
}


@pytest.mark.parametrize(("damage", "both"), [*((damage, False) for damage in DAMAGE), ("arrays", True)])
def test_a_damaged_checkpoint_is_not_used(damage, both, stopped, tmp_path, outcome, differences):
    older, newer = stopped
    for directory in (older, newer) if both else (newer,):
        DAMAGE[damage](directory)
    pair = train(agents.Sarsa(), Walk, tmp_path, episodes=30)
    assert [note.partition(" was not used: it is damaged")[0] for note in pair[1].notes] == [
        directory.name for directory in ((newer, older) if both else (newer,))
    ]
    assert differences(outcome(plainly(agents.Sarsa(), Walk, episodes=30)), outcome(pair)) == []


@pytest.mark.parametrize("other", ["trial", "agent", "NumPy version"])
def test_a_checkpoint_of_another_trial_or_version_is_not_used(
    other, stopped, tmp_path, outcome, differences, monkeypatch
):
    new, key = agents.Sarsa, "a key"
    if other == "trial":
        key = "another key"
    elif other == "agent":
        new = lambda: agents.Sarsa(discount=0.5)  # noqa: E731
    else:
        monkeypatch.setattr(checkpoints, "version", lambda name: "0")
    pair = train(new(), Walk, tmp_path, key=key, episodes=30)
    assert all(other in note or "Version" in note or "version" in note for note in pair[1].notes)
    assert len(pair[1].notes) == 2
    assert differences(outcome(plainly(new(), Walk, episodes=30)), outcome(pair)) == []


def test_a_checkpoint_that_was_not_proven_is_not_used(stopped, tmp_path, outcome, differences):
    older, newer = stopped
    newer.rename(tmp_path / "unproven-1")
    older.rename(tmp_path / "unproven-2")
    pair = train(agents.Sarsa(), Walk, tmp_path, episodes=30)
    assert pair[1].notes == ()
    assert not tmp_path.exists()
    assert differences(outcome(plainly(agents.Sarsa(), Walk, episodes=30)), outcome(pair)) == []


def test_a_full_disk_does_not_end_a_trial(tmp_path, outcome, differences, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Checkpoint, "write", full)
    pair = train(agents.Sarsa(), Walk, tmp_path, episodes=20)
    assert pair[1].notes == ("a checkpoint could not be written: OSError: [Errno 28] No space left on device",)
    assert differences(outcome(plainly(agents.Sarsa(), Walk, episodes=20)), outcome(pair)) == []


class Failing(Walk):
    """Fails where a rare number is drawn."""

    def slip(self):
        draw = self.np_random.random()
        if draw < 0.01:
            raise RuntimeError("out of luck")
        return draw < 0.2


def test_a_failure_is_numbered_from_the_trials_start(tmp_path):
    with pytest.raises(EnvironmentFailureError) as undisturbed:
        plainly(agents.Sarsa(), Failing, episodes=1000)
    assert not str(undisturbed.value).startswith("step of Failing raised in episode 1,")
    with pytest.raises(EnvironmentFailureError) as checkpointed:
        train(agents.Sarsa(), Failing, tmp_path, episodes=1000)
    assert str(checkpointed.value) == str(undisturbed.value)
    assert proven(tmp_path) > 0
    with pytest.raises(EnvironmentFailureError) as resumed:
        train(agents.Sarsa(), Failing, tmp_path, episodes=1000)
    assert str(resumed.value) == str(undisturbed.value)


def test_checkpoints_take_a_bounded_share_of_the_time(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "LARGEST_SHARE", 1e-9)
    accepted = []
    monkeypatch.setattr(CheckpointFolder, "accept", lambda self, directory, number: accepted.append(number))
    train(agents.Sarsa(), Walk, tmp_path, episodes=30)
    assert accepted == [1]


DRILL = """
import hashlib, os, pathlib, random, signal, sys, time
import gymnasium as gym
from velodrome import agents
from velodrome.envs import Discretize
from velodrome.experiments.trials import checkpoints

folder, result, kills = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
checkpoints.LARGEST_SHARE = 0.9
# Seconds of a step: a trial that is to be killed takes so long that no machine finishes it before.
pause = 0.0


class Paced(gym.Wrapper):
    def step(self, action):
        if pause:
            time.sleep(pause)
        return self.env.step(action)


make = lambda: Discretize(Paced(gym.make("CartPole-v1")), 6)


def trial():
    agent, log = checkpoints.train_with_checkpoints(
        agents.Sarsa(), make, folder=folder, key="k", every_seconds=0.02, seed=1, steps=20_000
    )
    digest = hashlib.sha256(agent.action_values.tobytes() + log.returns.tobytes() + log.lengths.tobytes())
    result.write_text(f"{digest.hexdigest()} {log.steps} {len(log.notes)}")


def newest():
    return max((path.name for path in folder.glob("checkpoint-*")), default="")


rng, started_from = random.Random(4), []
while not result.exists():
    started_from.append(newest())
    pause = 0.002 if len(started_from) <= kills else 0.0
    child = os.fork()
    if not child:
        trial()
        os._exit(0)
    if len(started_from) <= kills:
        # On a slow machine little happens in a moment: some of them come after the next checkpoint.
        while len(started_from) % 3 == 0 and newest() == started_from[-1] and not result.exists():
            time.sleep(0.001)
        time.sleep(rng.uniform(0.0, 0.2))
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
print(len(started_from) - 1, len({name for name in started_from if name}))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
@pytest.mark.slow
def test_processes_killed_at_random_moments_leave_the_result_alone(tmp_path):
    script = tmp_path / "drill.py"
    script.write_text(DRILL)

    def drill(name, kills):
        arguments = [sys.executable, str(script), str(tmp_path / name), str(tmp_path / f"{name}.txt"), str(kills)]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=300)
        return (tmp_path / f"{name}.txt").read_text(), *map(int, done.stdout.split())

    undisturbed, _, _ = drill("undisturbed", 0)
    killed, kills, places = drill("killed", 11)
    assert killed == undisturbed
    assert kills == 11
    assert places >= 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drill.py", "killed.txt", "undisturbed.txt"]
