"""Agents of other libraries: a library that owns its training loop learns in an environment that counts for it."""

import copy
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from velodrome.agents.agent import Agent
from velodrome.agents.engine.actions import read_action
from velodrome.agents.engine.environment_answers import add_reward, read_reset, read_step, read_success
from velodrome.agents.engine.episode_ends import EpisodeEnds
from velodrome.agents.engine.generic_loop import Progress
from velodrome.agents.engine.global_streams import GlobalStreams, global_streams_kept
from velodrome.agents.engine.seeding import Streams, environment_seed
from velodrome.agents.errors import (
    AgentFailureError,
    BudgetError,
    EnvironmentFailureError,
    UnsupportedEnvironmentError,
    call_failure,
    environment_label,
)
from velodrome.agents.named_objects import own_object
from velodrome.agents.own_learner import called
from velodrome.agents.resuming.saving import SavedAgentError
from velodrome.agents.stepwise import Learner, Spaces
from velodrome.agents.training import Training
from velodrome.checks import ConfigurationError
from velodrome.envs.success_rules import report_of
from velodrome.envs.wrapper_chain import time_limit_of

MODEL = "model"


class TrainingEndedError(BaseException):
    """The budget is spent: the library is to return from its `learn`; it is caught there, whatever the library does.

    It is no `Exception`, for libraries that catch all of these and go on.
    """


class ExternalAgent(Agent):
    """An agent of another library, which owns its training loop: three functions say how to use it.

    Evaluation asks `act` alone; it must not change the model. The library's `learn` is called once for each `train`,
    in an environment that ends it at exactly the budget. What it takes from streams of its own is its own: seed the
    model with the `seed` that `make` is given. The streams of Python's `random`, NumPy and torch that all of a process
    shares begin at that seed, too, in `make`, `learn` and `load`, and are put back afterwards.

    Args:
        make: `make(env, seed)`, the model for an environment; called once, before the first training.
        learn: `learn(model, env, steps)`, trains the model for so many steps of the environment. With a budget of
            episodes it is given the most steps that these can have.
        act: `act(model, observation)`, the greedy action for one observation.
        save: `save(model, path)`, writes the model to a file of that name, or to several that begin with it; without
            it the agent cannot be saved.
        load: `load(path)`, the model of what `save` wrote. To load a saved agent, the program has to have defined the
            functions again, under their names.

    Raises:
        ConfigurationError: one is no function, or `save` is given without `load`, or `load` without `save`.
    """

    _has_own_parameters: ClassVar[bool] = True

    def __init__(
        self,
        *,
        make: Callable[[gym.Env[Any, Any], int], Any],
        learn: Callable[[Any, gym.Env[Any, Any], int], Any],
        act: Callable[[Any, Any], Any],
        save: Callable[[Any, str], Any] | None = None,
        load: Callable[[str], Any] | None = None,
    ) -> None:
        given: dict[str, Any] = {"make": make, "learn": learn, "act": act}
        given |= {name: function for name, function in {"save": save, "load": load}.items() if function is not None}
        # A saved agent names them.
        given = {
            name: own_object(f"{self.name}: {name}", item) if isinstance(item, str) else item
            for name, item in given.items()
        }
        for name, function in given.items():
            if not callable(function):
                raise ConfigurationError(f"{self.name}: {name} must be a function, got {function!r}")
        if ("save" in given) != ("load" in given):
            raise ConfigurationError(
                f"{self.name}: save and load belong together, got {'save' if save else 'load'} alone"
            )
        self.functions: dict[str, Callable[..., Any]] = given

    def _parameters(self) -> dict[str, Any]:
        return dict(self.functions)

    def view_of(self, env: Any) -> Any:
        return TrainingEnvironment(env)

    def new_learner(self, task: Any, streams: Streams) -> Learner:
        return ExternalLearner(self, task, streams)

    def exact_budget(
        self, env: Any, *, episodes: int | None, steps: int | None, epochs: int | None
    ) -> tuple[int | None, int | None]:
        episodes, steps = super().exact_budget(env, episodes=episodes, steps=steps, epochs=epochs)
        if steps is None and time_limit_of(env) is None:
            raise BudgetError(
                f"{self.name} learns for steps: {environment_label(env)} has no time limit that says how many "
                f"{episodes} episodes have at most; give steps"
            )
        return episodes, steps

    def run_training(self, training: Training) -> EpisodeEnds:
        learner: ExternalLearner = self.learner
        ends = learner.train(training)
        if training.snapshots is not None:
            # Libraries learn after a step, and the last was taken inside it.
            training.snapshots.take_again(self, training.finished, training.taken)
        return ends

    def act(self, observation: Any, *, explore: bool = False) -> Any:
        """Greedy action for one observation; how it explores the library alone knows: `explore` changes nothing.

        Args:
            observation: one observation.
            explore: no effect.

        Raises:
            AgentFailureError: the function raised, or gave no action of the action space.
        """
        learner: ExternalLearner = self.learner
        method = f"{self.name}.act"
        answer = called(method, lambda: self.functions["act"](learner.model, observation))
        return read_action(answer, learner.task.action_space, method)


class ExternalLearner(Learner):
    """The model of another library.

    Args:
        agent: whose functions say how to use it.
        task: spaces of the environment.
        streams: random streams of the agent.
    """

    #: Whether a note says that the library would have gone on.
    notes_stop: ClassVar[bool] = True

    def __init__(self, agent: ExternalAgent, task: Spaces, streams: Streams) -> None:
        self._agent, self.task, self._streams = agent, task, streams
        self._seed = environment_seed(streams.seed, "agent")
        self.global_streams = GlobalStreams(self._seed)
        self._model: Any = None

    @property
    def model(self) -> Any:
        """The library's model, as the `make` of the agent gave it."""
        if self._model is None:
            raise UnsupportedEnvironmentError(
                f"{self._agent.name} has not been trained or loaded yet: call train first"
            )
        return self._model

    def undisturbed(self) -> AbstractContextManager[None]:
        return global_streams_kept()

    def train(self, training: Training) -> EpisodeEnds:
        """Let the library learn for the whole budget; callbacks and evaluations come inside the environment's steps."""
        env: TrainingEnvironment = training.environment
        env.open(training, self._agent)
        seed = environment_seed(self._streams.seed, "agent")
        if seed != self._seed:
            self._seed = seed
            self.global_streams.restart(seed)
        try:
            with self.global_streams:
                if self._model is None:
                    env.seed_spaces(seed)
                    self._model = self.make_model(env, seed)
                self.learn_from(env, training)
        except TrainingEndedError:
            env.was_stopped = True
        except AgentFailureError:
            # A failure of the environment that came through the library is told as such.
            if env.failure is None:
                raise
        finally:
            env.close_training()
        if env.failure is not None:
            raise env.failure
        return env.end(notes_stop=self.notes_stop)

    def make_model(self, env: "TrainingEnvironment", seed: int) -> Any:
        """The model for an environment, before it has learnt anything."""
        name = f"{self._agent.name}.make"
        model = called(name, lambda: self._agent.functions["make"](env, seed))
        if model is None:
            raise AgentFailureError(f"{name} must return the model, got None")
        return model

    def learn_from(self, env: "TrainingEnvironment", training: Training) -> None:
        """Let the model learn for as many steps as the budget has, or can have."""
        steps = most_steps(training, env)
        called(f"{self._agent.name}.learn", lambda: self._agent.functions["learn"](self.model, env, steps))

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        save = self._agent.functions.get("save")
        if save is None:
            raise SavedAgentError(f"{self._agent.name} cannot be saved: it was made without save= and load=")
        with tempfile.TemporaryDirectory() as folder:
            called(f"{self._agent.name}.save", lambda: save(self.model, str(Path(folder) / MODEL)))
            files = [path for path in sorted(Path(folder).rglob("*")) if path.is_file()]
            arrays = {
                f"file {path.relative_to(folder).as_posix()}": np.frombuffer(path.read_bytes(), dtype=np.uint8)
                for path in files
            }
        if not arrays:
            raise SavedAgentError(f"{self._agent.name}.save wrote no file to the path that it was given")
        return {"spaces": self.task.to_data()}, arrays

    def set_state(self, entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        load = self._agent.functions["load"]
        with tempfile.TemporaryDirectory() as folder:
            for name, content in arrays.items():
                path = Path(folder) / name.removeprefix("file ")
                if not path.resolve().is_relative_to(Path(folder).resolve()):
                    raise ValueError(f"array {name} is no file of the model")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.tobytes())
            with self.global_streams:
                self._model = called(f"{self._agent.name}.load", lambda: load(str(Path(folder) / MODEL)))
        if self._model is None:
            raise AgentFailureError(f"{self._agent.name}.load must return the model, got None")


def most_steps(training: Training, env: gym.Env[Any, Any]) -> int | None:
    """Steps of a budget; of one of episodes the most that these can have, None without a time limit."""
    if training.episodes is None:
        return training.steps
    limit = time_limit_of(env)
    return None if limit is None else training.episodes * limit


class TrainingEnvironment(gym.Wrapper[Any, Any, Any, Any]):
    """The environment that a library learns in: it counts, keeps a record, and ends the training at its budget.

    Its stream is seeded by the trial: seeds that the library gives to `reset` are not used, so that all agents of a
    comparison meet the same chance. Once the budget is spent, `step` raises; so does `reset`, but for the first one,
    which libraries call right after the last episode's end: it gives the last observation again and leaves the
    environment as it is.

    Args:
        env: the environment.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        # Libraries seed them, and draw from them.
        self.observation_space, self.action_space = copy.deepcopy((env.observation_space, env.action_space))
        self.failure: EnvironmentFailureError | None = None
        self.was_stopped = False
        self._training: Training | None = None
        self._agent: Any = None
        self._progress = Progress()
        self._last: tuple[Any, dict[str, Any]] | None = None
        self.met_masks = False
        self._is_over, self._may_reset = True, False
        self._abandoned = 0
        self._begin_part()

    def open(self, training: Training, agent: Any) -> None:
        """Begin a training; the environment ends it where its budget is spent or a callback asks for it."""
        self._training, self._agent, self._progress = training, agent, training.binding.progress
        self.failure, self.was_stopped, self._abandoned = None, False, 0
        self._is_over, self._may_reset = False, True
        self._begin_part()

    def close_training(self) -> None:
        """End the training: nobody may step any more, such as a thread that the library left behind."""
        self._is_over, self._may_reset = True, False

    def seed_spaces(self, seed: int) -> None:
        """Let what is drawn from the spaces come from a seed, where the library gives them none of its own."""
        self.observation_space.seed(seed)
        self.action_space.seed(seed)

    def action_masks(self) -> np.ndarray:
        """Actions that the last `info` allows, bool (num_actions,); all of them where it has no "action_mask"."""
        mask = None if self._last is None else self._last[1].get("action_mask")
        num_actions: int = self.action_space.n  # type: ignore[attr-defined]
        return np.ones(num_actions, dtype=bool) if mask is None else np.asarray(mask, dtype=bool)

    @property
    def in_episode(self) -> bool:
        """Whether an episode is under way."""
        return self._progress.in_episode

    def end(self, *, notes_stop: bool = True) -> EpisodeEnds:
        """Rest of the steps and episodes, once the library has returned; notes say where it left its budget."""
        training, name = self._open_training, f"{self._agent.name}.learn"
        part = self._take_part()
        done = {"episodes": training.finished + len(part.returns), "steps": training.taken + part.steps}
        unit = "steps" if training.episodes is None else "episodes"
        budget = training.steps if training.episodes is None else training.episodes
        if done[unit] != budget and not self.was_stopped:
            training.notes.append(f"{name} returned after {done[unit]:,} of {budget:,} {unit}")
        elif self.was_stopped and notes_stop and done[unit] == budget:
            training.notes.append(f"{name} wanted more than its {budget:,} {unit} and was stopped there")
        if self._abandoned:
            training.notes.append(f"{name} gave up {self._abandoned:,} episodes by a reset before their end")
        if done[unit] != budget:
            training.finished, training.taken = done["episodes"], done["steps"]
            training.end()
            training.finished, training.taken = done["episodes"] - len(part.returns), done["steps"] - part.steps
        return part

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        if self._is_over:
            if self._may_reset and self._last is not None:
                self._may_reset = False
                return self._last
            raise self._stopped()
        training = self._open_training
        self._abandoned += bool(self._progress.in_episode and self._progress.episode_length)
        self._progress.forget_episode()
        given: dict[str, Any] = {} if training.reset_seed is None else {"seed": training.reset_seed}
        given |= {} if options is None else {"options": options}
        answer: tuple[Any, dict[str, Any]] = self._called("reset", lambda: self.env.reset(**given), read_reset)
        training.reset_seed = None
        self._progress.in_episode = True
        self._last = answer
        self.met_masks = self.met_masks or "action_mask" in answer[1]
        return answer

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if self._is_over:
            raise self._stopped()
        if not self._progress.in_episode:
            raise AgentFailureError(
                f"{self._agent.name}.learn took a step of an episode that had ended: reset it first"
            )
        answer: Any = self._called("step", lambda: self.env.step(action), self._read_step)
        observation, reward, terminated, truncated, info = answer
        progress = self._progress
        self._steps += 1
        progress.episode_length += 1
        progress.episode_return += reward
        self._last = observation, info
        if terminated or truncated:
            self._returns.append(progress.episode_return)
            self._lengths.append(progress.episode_length)
            self._terminated.append(terminated)
            self._reported.append(report_of(self.env, read_success(info)))
            progress.in_episode = False
        training = self._open_training
        if self._steps == training.steps_now or len(self._returns) == training.episodes_now:
            stops = training.add(self._take_part(), self._agent)
            self._is_over = stops or training.is_over
            training.aim()
        return observation, reward, terminated, truncated, info

    @property
    def _open_training(self) -> Training:
        assert self._training is not None
        return self._training

    def _begin_part(self) -> None:
        self._steps = 0
        self._returns: list[float] = []
        self._lengths: list[int] = []
        self._terminated: list[bool] = []
        self._reported: list[int] = []

    def _take_part(self) -> EpisodeEnds:
        part = EpisodeEnds(
            np.array(self._returns, dtype=np.float64),
            np.array(self._lengths, dtype=np.int64),
            np.array(self._terminated, dtype=np.bool_),
            np.array(self._reported, dtype=np.int8),
            self._steps,
            "external",
        )
        self._begin_part()
        return part

    def _read_step(self, answer: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        values = read_step(answer)
        add_reward(self._progress.episode_return, values[1])
        if values[2] or values[3]:
            read_success(values[4])
        return values

    def _called(self, call: str, make: Callable[[], Any], read: Callable[[Any], Any]) -> Any:
        """Answer of a call of the environment; a failure is kept, should the library swallow it."""
        binding = self._open_training.binding
        finished = binding.progress.episode - binding.first_episode + len(self._returns)
        where = f"episode {finished + 1}" + (f", step {self._progress.episode_length + 1}" if call == "step" else "")
        try:
            answer = make()
        except Exception as error:
            raise self._failed(call_failure(self.env, call, where, error)) from error
        try:
            return read(answer)
        except EnvironmentFailureError as error:
            message = f"{environment_label(self.env)}: {error} ({where})"
            raise self._failed(EnvironmentFailureError(message)) from error

    def _failed(self, failure: EnvironmentFailureError) -> EnvironmentFailureError:
        self.failure, self._is_over, self._may_reset = failure, True, False
        self._progress.in_episode = False
        return failure

    def _stopped(self) -> BaseException:
        self.was_stopped = True
        return TrainingEndedError("the budget of the training is spent")
