"""Learners of one file, in the manner of CleanRL, as agents: a program learns, and writes what it earned."""

import dataclasses
import json
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import field
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from velodrome.agents.adapters.episode_files import (
    EpisodeFileError,
    Episodes,
    read_event_episodes,
    read_table_episodes,
    read_table_returns,
)
from velodrome.agents.adapters.program import ProgramEnd, run_program
from velodrome.agents.agent import Agent
from velodrome.agents.engine.environment_answers import shown
from velodrome.agents.engine.episode_ends import EpisodeEnds
from velodrome.agents.engine.seeding import Streams
from velodrome.agents.errors import AgentFailureError, BudgetError, UnsupportedEnvironmentError, environment_label
from velodrome.agents.stepwise import Learner, Spaces
from velodrome.agents.training import Training
from velodrome.checks import ConfigurationError, closest
from velodrome.envs.success_rules import GOAL, NO_RULE, NOT_REPORTED, SuccessRule
from velodrome.envs.wrapper_chain import time_limit_of

PLACEHOLDERS = ("env", "env_kwargs", "seed", "steps", "episodes")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
# CleanRL's tags; the columns of Stable-Baselines3's Monitor, and those that CleanRL's tags would be.
RETURN_TAG, LENGTH_TAG = "charts/episodic_return", "charts/episodic_length"
RETURN_COLUMNS, LENGTH_COLUMNS = ("r", "episodic_return", "return"), ("l", "episodic_length", "length")
EVENTS, TABLES, EVALUATION = "**/events.out.tfevents*", "**/*.csv", "evaluation.csv"
_MOST_FILES = 5


class Script(Agent):
    """A program of one file that learns by itself, in the manner of CleanRL, and writes a line for each episode.

    The command runs without a shell in a new, empty folder, `*.py` and `python` with the Python that is running. Words
    of it that name a file are made absolute, and the contents of these files belong to a trial's key. The program has
    no `act`: where it does not write evaluation.csv, a column of the returns of greedy episodes, it has no greedy
    numbers.

    Args:
        command: with `{env}` for the environment's id, `{seed}`, and `{steps}` or `{episodes}` for the budget;
            `{env_kwargs}` is the environment's arguments as JSON, needed where there are any.
        results: pattern of the files in that folder that hold the episodes, such as "runs/**/events*" or "*.csv";
            TensorBoard's event files, or else CSV files, wherever they are, if empty.
        column: of CSV files, or tag of event files, with the returns; "charts/episodic_return", or "r",
            "episodic_return" or "return", if empty.
        length_column: likewise, with the episodes' steps; "charts/episodic_length", or "l", "episodic_length" or
            "length", if empty.

    Raises:
        ConfigurationError: the command cannot be read, or lacks one of these.

    Source of the conventions: Huang et al. (2022), "CleanRL", JMLR 23.
    """

    command: str = field(kw_only=False)
    results: str = ""
    column: str = ""
    length_column: str = ""

    can_act = False
    #: Whether its command comes from a file, which somebody else may have written.
    is_loaded: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for parameter in dataclasses.fields(self):
            value = getattr(self, parameter.name)
            if not isinstance(value, str):
                raise ConfigurationError(f"{self.name}: {parameter.name} must be a text, got {value!r}")
        try:
            words = shlex.split(self.command)
        except ValueError as error:
            raise ConfigurationError(f"{self.name}: command {self.command!r} cannot be read: {error}") from None
        if not words:
            raise ConfigurationError(f"{self.name}: command must be such as 'train.py --seed {{seed}}', got ''")
        given = set(_PLACEHOLDER.findall(self.command))
        for name in sorted(given - set(PLACEHOLDERS)):
            raise ConfigurationError(f"{self.name}: command has {{{name}}}{closest(name, PLACEHOLDERS)}")
        missing = [name for name in ("env", "seed") if name not in given]
        if missing or len(given & {"steps", "episodes"}) != 1:
            wanted = " and ".join(f"{{{name}}}" for name in missing) or "{steps} or {episodes}, one of them"
            raise ConfigurationError(f"{self.name}: command must hold {wanted}, got {self.command!r}")
        if Path(self.results).is_absolute() or ".." in Path(self.results).parts:
            raise ConfigurationError(f"{self.name}: results must lie in the program's folder, got {self.results!r}")

    def check_repeatable(self) -> None:
        program, *others = shlex.split(self.command)
        # The content of such a file belongs to a trial's key.
        if not (program.endswith(".py") or (_is_python(program) and bool(others) and others[0].endswith(".py"))):
            raise UnsupportedEnvironmentError(f"verify runs programs that are files of Python, and no {self.command!r}")

    # -- what it needs ------------------------------------------------------------------------------------------

    def task_of(self, env: Any) -> Spaces:
        task: Spaces = super().task_of(env)
        self._environment_of(env)
        self._words()
        return task

    def exact_budget(
        self, env: Any, *, episodes: int | None, steps: int | None, epochs: int | None
    ) -> tuple[int | None, int | None]:
        episodes, steps = super().exact_budget(env, episodes=episodes, steps=steps, epochs=epochs)
        unit = "episodes" if steps is None else "steps"
        if f"{{{unit}}}" not in self.command:
            other = "steps" if unit == "episodes" else "episodes"
            raise BudgetError(
                f"{self.name}: a budget of {unit} must be in the command as {{{unit}}}: give a budget of {other}, or "
                f"put it into {self.command!r}"
            )
        return episodes, steps

    def named_code(self) -> dict[str, Callable[..., Any] | Path]:
        return {f"file {word}": path for word, path in self._words() if path is not None}

    def _words(self) -> list[tuple[str, Path | None]]:
        """Words of the command, those that name a file with its path.

        Raises:
            UnsupportedEnvironmentError: there is no such program.
        """
        words = [(word, Path(word).absolute() if Path(word).is_file() else None) for word in shlex.split(self.command)]
        for word, path in words:
            if path is None and word.endswith(".py"):
                near = closest(word, (other.name for other in Path(word).absolute().parent.glob("*.py")))
                raise UnsupportedEnvironmentError(f"{self.name}: there is no file {word!r} in {Path.cwd()}{near}")
        program, path = words[0]
        if path is None and not _is_python(program) and shutil.which(program) is None:
            raise UnsupportedEnvironmentError(f"{self.name}: there is no program {program!r}")
        return words

    def _environment_of(self, env: Any) -> tuple[str, dict[str, Any]]:
        """Id and arguments with which a program can make the environment.

        Raises:
            UnsupportedEnvironmentError: it cannot.
        """
        spec = getattr(env, "spec", None)
        registered = None if spec is None else gym.registry.get(spec.id)
        if spec is None or registered is None:
            raise UnsupportedEnvironmentError(
                f"{self.name}: a program makes its environment by an id that is registered with Gymnasium, and "
                f"{environment_label(env)} has none"
            )
        wrappers = spec.additional_wrappers[len(registered.additional_wrappers) :]
        if wrappers:
            raise UnsupportedEnvironmentError(
                f"{self.name}: a program makes {spec.id} by itself, without the wrapper {wrappers[-1].name} that is "
                "around it here"
            )
        try:
            usual = {name: json.dumps(value, sort_keys=True) for name, value in registered.kwargs.items()}
            given = {
                name: value
                for name, value in spec.kwargs.items()
                if json.dumps(value, sort_keys=True) != usual.get(name)
            }
        except (TypeError, ValueError):
            raise UnsupportedEnvironmentError(
                f"{self.name}: arguments of {spec.id} must be numbers, texts and lists to be given to a program, got "
                f"{shown(dict(spec.kwargs))}"
            ) from None
        if spec.max_episode_steps != registered.max_episode_steps:
            given["max_episode_steps"] = -1 if spec.max_episode_steps is None else spec.max_episode_steps
        if given and "{env_kwargs}" not in self.command:
            raise UnsupportedEnvironmentError(
                f"{self.name}: {spec.id} has arguments here, which the command does not give on: put {{env_kwargs}} "
                f"into it, which becomes {json.dumps(given)}"
            )
        return spec.id, given

    # -- learning -----------------------------------------------------------------------------------------------

    def new_learner(self, task: Spaces, streams: Streams) -> "ScriptLearner":
        return ScriptLearner(task)

    def run_training(self, training: Training) -> EpisodeEnds:
        if self.is_loaded:
            raise UnsupportedEnvironmentError(f"{self.name} runs no command of a saved agent: make it anew to train it")
        seed, training.reset_seed = training.reset_seed, None
        if seed is None:
            raise UnsupportedEnvironmentError(
                f"{self.name} cannot go on where its program ended: give train a seed, which runs it anew"
            )
        identifier, arguments = self._environment_of(training.environment)
        values = {"env": identifier, "env_kwargs": json.dumps(arguments), "seed": str(seed)}
        values |= {"steps": str(training.steps), "episodes": str(training.episodes)}
        words = self._words()
        program = next((path.name for word, path in words if path is not None and word.endswith(".py")), words[0][0])
        command = [str(path) if path is not None else _filled(word, values) for word, path in words]
        if words[0][0].endswith(".py"):
            command.insert(0, sys.executable)
        elif words[0][1] is None and _is_python(words[0][0]):
            command[0] = sys.executable
        with tempfile.TemporaryDirectory(prefix="velodrome-", ignore_cleanup_errors=True) as folder:
            end = run_program(command, Path(folder))
            if end.code != 0:
                raise _failed(f"{program} {end.in_words}", end)
            try:
                episodes = self._episodes(Path(folder, "run"), program)
                evaluation = Path(folder, "run", EVALUATION)
                columns = (self.column,) if self.column and not self.column.startswith("charts/") else RETURN_COLUMNS
                self.learner.greedy_returns = read_table_returns(evaluation, columns) if evaluation.is_file() else None
            except EpisodeFileError as error:
                # The folder is gone when this is read.
                raise _failed(f"{program} wrote {str(error).replace(f'{folder}/run/', '')}", end) from None
        return self._ends(episodes, training, program)

    def set_state(self, entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        super().set_state(entries, arrays)
        vars(self)["is_loaded"] = True

    def _episodes(self, folder: Path, program: str) -> Episodes:
        patterns = (self.results,) if self.results else (EVENTS, TABLES)
        files: list[Path] = []
        for pattern in patterns:
            files = files or sorted(path for path in folder.glob(pattern) if path.is_file() and path.name != EVALUATION)
        if not files:
            there = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
            wrote = ", ".join([*there[:_MOST_FILES], *["…"][: len(there) - _MOST_FILES]]) if there else "nothing"
            wanted = self.results or "an event file of TensorBoard or a CSV file"
            raise AgentFailureError(f"{program} was to write {wanted}, and wrote {wrote}")
        if files[0].suffix != ".csv":
            found = read_event_episodes(files, self.column or RETURN_TAG, self.length_column or LENGTH_TAG)
        elif len(files) > 1:
            names = ", ".join(str(path.relative_to(folder)) for path in files[:_MOST_FILES])
            raise AgentFailureError(f"{program} wrote {len(files)} CSV files ({names}): name one with results=")
        else:
            columns = (self.column,) if self.column else RETURN_COLUMNS
            lengths = (self.length_column,) if self.length_column else LENGTH_COLUMNS
            found = read_table_episodes(files[0], columns, lengths)
        if not len(found.returns):
            raise AgentFailureError(f"{program} wrote no episode into {files[0].relative_to(folder)}")
        return found

    def _ends(self, episodes: Episodes, training: Training, program: str) -> EpisodeEnds:
        """The episodes as those of the training; notes say where they are not as many as the budget."""
        number, logged = len(episodes.returns), int(episodes.lengths.sum())
        limit = time_limit_of(training.environment)
        steps, missing = logged, 0
        if training.steps is not None:
            missing = training.steps - logged
            if 0 <= missing < (limit or 0):
                # Of an episode that the budget cut, of which there is no line.
                steps, missing = training.steps, 0
        told, budget, unit = (logged, training.steps, "steps")
        if training.episodes is not None:
            told, budget, unit, missing = number, training.episodes, "episodes", training.episodes - number
        if missing:
            training.notes.append(f"{program} logged {told:,} {unit} for a budget of {budget:,}")
        # What it did is the training, whatever it was asked for.
        if training.steps is None:
            training.episodes = training.finished + number
        else:
            training.steps = training.taken + steps
        terminated = episodes.terminated
        if terminated is None:
            terminated = np.ones(number, np.bool_) if limit is None else episodes.lengths < limit
        reported = np.full(number, NOT_REPORTED, np.int8)
        if episodes.successes is not None:
            reported = episodes.successes.astype(np.int8)
        elif training.rule is not None and training.rule.description == GOAL:
            training.rule = SuccessRule(NO_RULE, "none")
            training.notes.append(f"has no training success: {program} does not say which episodes ended at the goal")
        return EpisodeEnds(episodes.returns, episodes.lengths, terminated, reported, steps, "external")

    # -- acting -------------------------------------------------------------------------------------------------

    @property
    def greedy_returns(self) -> np.ndarray | None:
        returns: np.ndarray | None = self.learner.greedy_returns
        return returns

    def act(self, observation: Any, *, explore: bool = False) -> Any:
        """Refuse: what the program learnt went with it.

        Raises:
            UnsupportedEnvironmentError: always.
        """
        raise UnsupportedEnvironmentError(f"{self.name} cannot act: what its program learnt went with it")


class ScriptLearner(Learner):
    """What is left of a program that has learnt: the returns of greedy episodes, where it played any.

    Args:
        task: spaces of the environment.

    Attributes:
        greedy_returns: float64 (num_episodes,), or None.
    """

    def __init__(self, task: Spaces) -> None:
        self._task = task
        self.greedy_returns: np.ndarray | None = None

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        arrays = {} if self.greedy_returns is None else {"greedy_returns": self.greedy_returns}
        return {"spaces": self._task.to_data()}, arrays

    def set_state(self, entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        if "greedy_returns" in arrays:
            self.greedy_returns = np.array(arrays["greedy_returns"], np.float64)


def _filled(word: str, values: dict[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: values[found[1]], word)


def _is_python(word: str) -> bool:
    return word in ("python", "python3")


def _failed(message: str, end: ProgramEnd) -> AgentFailureError:
    """The error of a trial, with what the program printed."""
    error = AgentFailureError(message)
    for name, text in (("standard output", end.printed), ("standard error", end.complained)):
        if text.strip():
            error.add_note(f"end of its {name}:\n{text.rstrip()}")
    return error
