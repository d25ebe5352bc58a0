"""The proof that a checkpoint is right: it is resumed on the spot, and must live through the next episode alike."""

import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from velodrome.agents.agent import Agent
from velodrome.agents.resuming.checkpointing import Checkpoint
from velodrome.agents.resuming.environment_contents import environment_contents
from velodrome.agents.resuming.environment_streams import NotRestorableError
from velodrome.agents.resuming.object_contents import Contents, describe_difference
from velodrome.agents.training_log import TrainingLog
from velodrome.checks import one_line


def rehearse(
    checkpoint: Checkpoint,
    agent: Agent,
    env: gym.Env[Any, Any],
    log: TrainingLog,
    make: Callable[[], gym.Env[Any, Any]],
    train: Callable[[Agent, gym.Env[Any, Any]], TrainingLog],
) -> None:
    """Resume a checkpoint in an environment made anew, train as the agent has since, and compare everything.

    Compared bit for bit are the log, all that the agent saves, and all that the environments hold, down to
    attributes that this episode did not use. Equal there, they stay equal for the rest of the training.

    Args:
        checkpoint: to be proven.
        agent: has trained on after the checkpoint.
        env: it has trained in.
        log: of what it has trained after the checkpoint.
        make: makes the environment anew.
        train: trains an agent in an environment as `agent` was.

    Raises:
        NotRestorableError: they differ; what differs, in one line.
        EnvironmentFailureError: the environment made anew failed.
    """
    held = environment_contents(env)
    with _global_streams_untouched():
        try:
            fresh = make()
        except Exception as error:
            raise NotRestorableError(f"it cannot be made anew beside itself ({one_line(error)})") from error
        if fresh.unwrapped is env.unwrapped:
            raise NotRestorableError("the same environment is handed out again, instead of one made anew")
        try:
            resumed = checkpoint.resume(agent, fresh)
            resumed_log = train(resumed, fresh)
            found = environment_contents(fresh)
        finally:
            fresh.close()
    difference = describe_difference(held, found)
    if difference is not None:
        place, real, anew = difference
        raise NotRestorableError(f"{place} is {real}, but {anew} in an environment made anew")
    _compare_logs(log, resumed_log)
    _compare_saved(agent, resumed)


def _compare_logs(real: TrainingLog, resumed: TrainingLog) -> None:
    for name in ("returns", "lengths", "terminated", "successes", "pseudo_regrets"):
        one, other = getattr(real, name), getattr(resumed, name)
        if (one is None) != (other is None) or (one is not None and one.tobytes() != other.tobytes()):
            raise NotRestorableError(f"the episode after it has other {name} in an environment made anew")


def _compare_saved(real: Agent, resumed: Agent) -> None:
    written = []
    for agent in (real, resumed):
        with tempfile.TemporaryDirectory() as folder:
            agent.save(folder)
            files = [path for path in Path(folder).rglob("*") if path.is_file()]
            written.append({path.relative_to(folder): path.read_bytes() for path in files})
    if written[0] != written[1]:
        raise NotRestorableError(f"{real.name} learns something else from the next episode in an environment made anew")


@contextmanager
def _global_streams_untouched() -> Iterator[None]:
    """Refuse what draws from the random streams that all of a process shares, and put these back.

    Raises:
        NotRestorableError: it was drawn from them.
    """
    # An environment may use the global stream although ours never do.
    numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002
    python_state = random.getstate()
    try:
        yield
        if random.getstate() != python_state or _text(np.random.get_state(legacy=False)) != _text(numpy_state):  # noqa: NPY002
            raise NotRestorableError("it draws from a global random stream")
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)


def _text(state: Any) -> dict[str, str]:
    contents = Contents()
    contents.add("state", state)
    return contents.found
