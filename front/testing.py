"""Tests that anybody may run against an agent, such as the adapter of a library."""

import io
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import gymnasium as gym
import numpy as np

from velodrome.agents.agent import Agent
from velodrome.agents.resuming.saving import ARRAYS, SavedAgentError
from velodrome.agents.training_log import TrainingLog
from velodrome.checks import VelodromeError, one_line
from velodrome.experiments.specification.catalogue import build_agent
from velodrome.experiments.specification.entries import read_agent, read_environment
from velodrome.experiments.trials.trial import fresh
from velodrome.policies.configuration import parameters_of, to_data, to_expression

_CHILD = """
import pickle, sys
path, payload = pickle.load(sys.stdin.buffer)
sys.path[:] = path
import cloudpickle
train, arguments = cloudpickle.loads(payload)
sys.stdout.buffer.write(b"answer:" + pickle.dumps(train(*arguments)))
"""
_OBSERVATIONS = 20
_ELSEWHERE_SECONDS = 300


def check_agent(
    agent: Agent | str,
    env: str | Callable[[], gym.Env[Any, Any]] = "FrozenLake-v1",
    *,
    steps: int = 200,
    episodes: int = 5,
    seed: int = 0,
    explores: bool = True,
    saves: bool = True,
    elsewhere: bool = True,
) -> None:
    """Train an agent a few times in small budgets, and compare what it does with the contract of an agent.

    It is checked that

    - it prints as an expression that builds it again, and can be sent to another process;
    - budgets of steps and of episodes are kept exactly, and the log has the returns, lengths and ends (terminated or
      truncated) of the environment's episodes;
    - the same seed gives the same steps, whatever the streams that all of the process shares hold, and leaves these as
      they are; another seed seeds the environment otherwise, and lets the agent choose otherwise;
    - `act` gives actions of the action space, the same when asked twice, and changes neither what was learnt nor, in
      the middle of a training, what follows;
    - what is saved can be read without running pickled code, and acts alike when it is loaded;
    - where it says that it can be checkpointed, training in two parts is training at once;
    - a copy that is trained in another process takes the same steps.

    Args:
        agent: a configuration that was not trained, or its expression.
        env: expression of a small environment in which it can learn, or a function that makes one.
        steps: of a budget of steps.
        episodes: of a budget of episodes.
        seed: of the trainings; also the next ones are used.
        explores: whether its choices in training depend on its seed.
        saves: whether it can be saved.
        elsewhere: whether to start another process, which takes the seconds that its imports take.

    Raises:
        AssertionError: it breaks one of these; one line that says which, and how.
        ConfigurationError, CatalogueError, ExpressionError: the agent cannot be made.
    """
    configuration = read_agent(agent)[1]
    make = read_environment(env).make
    label = to_expression(configuration)
    _check(not configuration.is_trained, label, "give a configuration that was not trained")
    _check_expression(configuration, label)
    if configuration.learns_from == "model":
        budgets: list[dict[str, int]] = [{"episodes": episodes}]
    else:
        budgets = [{"steps": steps}, {"episodes": episodes}]
    for budget in budgets:
        _check_training(configuration, make, budget, seed, label, explores=explores)
    trained, log, walk = _trained(configuration, make, budgets[0], seed)
    _check_acting(trained, walk, label)
    if configuration.learns_from == "steps":
        _check_evaluations(configuration, make, budgets[0], seed, log, label)
    if saves:
        _check_saving(trained, walk, label)
    if configuration.can_checkpoint and configuration.learns_from == "steps":
        _check_parts(configuration, make, budgets[-1], seed, label)
    if elsewhere:
        _check_elsewhere(configuration, make, budgets[0], seed, log, label)


class _Walk(gym.Wrapper[Any, Any, Any, Any]):
    """Records what passes between an agent and its environment."""

    def __init__(self, env: gym.Env[Any, Any], seed: int | None = None) -> None:
        super().__init__(env)
        self._given_seed = seed
        self.seeds: list[int | None] = []
        self.actions: list[Any] = []
        self.observations: list[Any] = []
        self.returns: list[float] = []
        self.lengths: list[int] = []
        self.terminated: list[bool] = []
        self._return, self._length = 0.0, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self.seeds.append(seed)
        self._return, self._length = 0.0, 0
        first = seed is not None and self._given_seed is not None
        observation, info = self.env.reset(seed=self._given_seed if first else seed, options=options)
        self.observations.append(observation)
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.actions.append(np.array(action).tolist())
        self.observations.append(observation)
        self._return += float(reward)
        self._length += 1
        if terminated or truncated:
            self.returns.append(self._return)
            self.lengths.append(self._length)
            self.terminated.append(bool(terminated))
        return observation, reward, terminated, truncated, info


def _check(holds: bool, label: str, message: str) -> None:
    if not holds:
        raise AssertionError(f"{label}: {message}")


def _trained(
    configuration: Agent, make: Callable[[], gym.Env[Any, Any]], budget: dict[str, int], seed: int, **options: Any
) -> tuple[Agent, TrainingLog, _Walk]:
    agent, walk = fresh(configuration), _Walk(make(), options.pop("environment_seed", None))
    given: dict[str, Any] = dict(budget)
    if configuration.learns_from == "model":
        # It asks the environment for its model, and takes no step.
        log = agent.train(walk.env, seed=seed, **options)
        walk.reset(seed=seed)
        return agent, log, walk
    return agent, agent.train(walk, seed=seed, **given, **options), walk


def _check_expression(configuration: Agent, label: str) -> None:
    try:
        copy = cloudpickle.loads(cloudpickle.dumps(configuration))
    except Exception as error:
        raise AssertionError(f"{label}: cannot be sent to another process: {one_line(error)}") from error
    _check(to_expression(copy) == label, label, f"is {to_expression(copy)} after it was pickled")
    # Functions and classes of a program have no expression that another could build.
    if any(callable(value) for value in _values(parameters_of(configuration))) or "<locals>" in label:
        return
    if type(configuration).__module__ == "__main__":
        return
    try:
        again = build_agent(label)
    except VelodromeError as error:
        raise AssertionError(f"{label}: its expression does not build it again: {error}") from error
    _check(to_data(again) == to_data(configuration), label, f"its expression builds {to_data(again)}")


def _values(value: Any) -> Iterator[Any]:
    items: Iterable[Any] = value.values() if isinstance(value, dict) else value
    for item in items:
        if isinstance(item, dict | list | tuple):
            yield from _values(item)
        else:
            yield item


def _check_training(
    configuration: Agent,
    make: Callable[[], gym.Env[Any, Any]],
    budget: dict[str, int],
    seed: int,
    label: str,
    *,
    explores: bool,
) -> None:
    ((unit, number),) = budget.items()
    before = _shared_streams()
    agent, log, walk = _trained(configuration, make, budget, seed)
    _check(_unchanged(before), label, "train changes a random stream that all of the process shares")
    if configuration.learns_from == "model":
        return
    _check(getattr(log, unit) == number, label, f"took {getattr(log, unit)} of {number} {unit}; notes: {log.notes}")
    _check(agent.binding.learner is not None and log.steps == len(walk.actions), label, "the log counts other steps")
    for name, met in (("returns", walk.returns), ("lengths", walk.lengths), ("terminated", walk.terminated)):
        logged = np.asarray(getattr(log, name)).tolist()
        _check(logged == met, label, f"the log's {name} are {logged[:5]}…, the environment's were {met[:5]}…")
    _check(
        bool(walk.seeds) and walk.seeds[0] is not None and not any(walk.seeds[1:]),
        label,
        f"the environment is to be seeded once, at its first reset; it was reset with {walk.seeds[:5]}",
    )
    random.random()
    np.random.random()  # noqa: NPY002
    again, walk_again = _trained(configuration, make, budget, seed)[1:]
    _check(_same(log, again) and walk.actions == walk_again.actions, label, "takes other steps with the same seed")
    # The environment meets the same chance, whatever seed the agent gives it.
    other = _trained(configuration, make, budget, seed + 1, environment_seed=walk.seeds[0])[2]
    _check(other.seeds[0] != walk.seeds[0], label, "seeds the environment alike with another seed")
    if explores:
        message = "chooses alike with another seed; give explores=False if it does not explore"
        _check(other.actions != walk.actions, label, message)


def _check_acting(agent: Agent, walk: _Walk, label: str) -> None:
    before, learnt = _shared_streams(), _learnt(agent)
    for observation in walk.observations[:_OBSERVATIONS]:
        action, again = _decision(agent, observation, walk), _decision(agent, observation, walk)
        _check(walk.action_space.contains(action), label, f"act gives {action!r}, no action of {walk.action_space}")
        _check(np.array_equal(action, again), label, f"act gives {action!r}, then {again!r} for {observation!r}")
    _check(_learnt(agent) == learnt, label, "act changes what was learnt")
    _check(_unchanged(before), label, "act changes a random stream that all of the process shares")


def _decision(agent: Agent, observation: Any, walk: _Walk) -> Any:
    """What it does at first; streams that it draws ties from are put back."""
    drawn = agent.acting_generator()
    state: Any = None if drawn is None else drawn.bit_generator.state
    agent.begin_episode()
    action = agent.decide(observation, {}, walk.action_space)
    if drawn is not None:
        drawn.bit_generator.state = state
    return action


def _check_evaluations(
    configuration: Agent,
    make: Callable[[], gym.Env[Any, Any]],
    budget: dict[str, int],
    seed: int,
    log: TrainingLog,
    label: str,
) -> None:
    probe = make()
    observation, _ = probe.reset(seed=seed)

    def ask(agent: Agent) -> dict[str, float]:
        for _ in range(3):
            agent.decide(observation, {}, probe.action_space)
        return {"return": 0.0}

    every = max(1, next(iter(budget.values())) // 4)
    asked = _trained(configuration, make, budget, seed, evaluate_every=every, evaluator=ask)[1]
    _check(_same(log, asked), label, "takes other steps where it is asked to act in the middle of its training")


def _check_saving(agent: Agent, walk: _Walk, label: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            agent.save(folder)
        except SavedAgentError as error:
            raise AssertionError(f"{label}: cannot be saved: {error}; give saves=False if that is so") from error
        try:
            with np.load(Path(folder) / ARRAYS, allow_pickle=False) as arrays:
                _ = [arrays[name] for name in arrays.files]
        except ValueError as error:
            raise AssertionError(f"{label}: {ARRAYS} cannot be read without running pickled code: {error}") from error
        loaded = type(agent).load(folder)
    for observation in walk.observations[:_OBSERVATIONS]:
        action, other = _decision(agent, observation, walk), _decision(loaded, observation, walk)
        _check(np.array_equal(action, other), label, f"acts {action!r} for {observation!r}, but {other!r} when loaded")


def _check_parts(
    configuration: Agent, make: Callable[[], gym.Env[Any, Any]], budget: dict[str, int], seed: int, label: str
) -> None:
    ((unit, number),) = budget.items()
    first_part: dict[str, Any] = {unit: number // 2}
    second_part: dict[str, Any] = {unit: number - number // 2}
    if number < 2:
        return
    log = _trained(configuration, make, budget, seed)[1]
    agent, env = fresh(configuration), make()
    first = agent.train(env, seed=seed, **first_part)
    joined = first + agent.train(env, **second_part)
    _check(_same(log, joined), label, f"takes other steps where it is trained for {number} {unit} in two parts")


def _check_elsewhere(
    configuration: Agent,
    make: Callable[[], gym.Env[Any, Any]],
    budget: dict[str, int],
    seed: int,
    log: TrainingLog,
    label: str,
) -> None:
    import pickle

    payload = cloudpickle.dumps((_log_arrays, (configuration, make, budget, seed)))
    done = subprocess.run(
        [sys.executable, "-c", _CHILD],
        input=pickle.dumps((sys.path, payload)),
        capture_output=True,
        check=False,
        timeout=_ELSEWHERE_SECONDS,
    )
    found = done.stdout.partition(b"answer:")[2]
    last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
    _check(bool(found), label, f"cannot be trained in another process: {''.join(last)}")
    _check(
        pickle.load(io.BytesIO(found)) == _arrays_of(log),
        label,
        "takes other steps where it is trained in another process",
    )


def _log_arrays(
    configuration: Agent, make: Callable[[], gym.Env[Any, Any]], budget: dict[str, int], seed: int
) -> dict[str, Any]:
    return _arrays_of(_trained(configuration, make, budget, seed)[1])


def _arrays_of(log: TrainingLog) -> dict[str, Any]:
    arrays = {name: np.asarray(getattr(log, name)).tobytes() for name in ("returns", "lengths", "terminated")}
    return arrays | {"steps": log.steps}


def _same(one: TrainingLog, other: TrainingLog) -> bool:
    return _arrays_of(one) == _arrays_of(other)


def _learnt(agent: Agent) -> Any:
    """What the agent would save, None where it cannot."""
    try:
        entries, arrays = agent.state()
    except VelodromeError:
        return None
    return repr(entries), {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in arrays.items()}


def _shared_streams() -> dict[str, Any]:
    state: dict[str, Any] = np.random.get_state(legacy=False)  # noqa: NPY002
    found = {"random": random.getstate(), "numpy": (repr(state), state["state"]["key"].tobytes())}
    torch = sys.modules.get("torch")
    return found if torch is None else found | {"torch": torch.get_rng_state().numpy().tobytes()}


def _unchanged(before: dict[str, Any]) -> bool:
    """Whether the streams that there were stand where they stood."""
    now = _shared_streams()
    return all(now[name] == state for name, state in before.items())
