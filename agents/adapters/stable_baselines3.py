"""Stable-Baselines3, sb3-contrib and any class with `learn` and `predict` as agents."""

import functools
import inspect
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from velodrome.agents.adapters.tensor_arrays import tensors_from_data, tensors_to_data
from velodrome.agents.adapters.torch_imports import imports_of_torch, settle_triton
from velodrome.agents.agent import Agent
from velodrome.agents.engine.actions import read_action
from velodrome.agents.engine.global_streams import one_torch_thread
from velodrome.agents.engine.seeding import Streams, environment_seed
from velodrome.agents.errors import UnsupportedEnvironmentError
from velodrome.agents.external import ExternalAgent, ExternalLearner, TrainingEnvironment, most_steps
from velodrome.agents.named_objects import find, is_name, is_own_object, named, names_in, own_object, resolved
from velodrome.agents.own_learner import called
from velodrome.agents.resuming.saving import SavedAgentError
from velodrome.agents.stepwise import Learner, Spaces
from velodrome.agents.training import Loop, Training
from velodrome.checks import ConfigurationError, check_integer, closest, one_line

SB3, CONTRIB = "stable_baselines3", "sb3_contrib"
_DISTRIBUTIONS = {SB3: "stable-baselines3", CONTRIB: "sb3-contrib"}
_INSTALL = "pip install 'velodrome[sb3]'"
_SCHEDULES = ("FloatSchedule", "LinearSchedule", "ConstantSchedule")
_BY_THE_TRIAL = ("env", "seed")
# Algorithms for the kinds of actions, to be named where one cannot take them.
_FITTING = {
    "Discrete": "'DQN', 'PPO', 'A2C' or 'sb3_contrib:QRDQN'",
    "Box": "'SAC', 'TD3', 'PPO' or 'A2C'",
    "MultiDiscrete": "'PPO' or 'A2C'",
    "MultiBinary": "'PPO' or 'A2C'",
}
# More than any training takes, where the environment ends it.
_WITHOUT_END = 2**60


class StableBaselines3(ExternalAgent):
    """Algorithm of Stable-Baselines3, sb3-contrib or a class like theirs, with its own arguments.

    The algorithm learns in an environment that ends it at exactly the budget; it is seeded from the trial's streams,
    works on the CPU in one thread unless `device` says otherwise, and is evaluated by `predict(…, deterministic=True)`.

    Args:
        algorithm: name of a class of Stable-Baselines3, such as "PPO"; or `module:Class`, such as "sb3_contrib:QRDQN",
            for that of any other module that has `learn(total_timesteps)` and `predict(observation)`, and is made with
            `env`. In Python the class itself, too.
        policy: of the algorithm, such as "MlpPolicy", "CnnPolicy" or "MultiInputPolicy".
        total_steps: over which the library's schedules fall, such as exploration; the budget's steps if None.
        **arguments: of the algorithm, such as `learning_rate=1e-3` or `policy_kwargs=dict(net_arch=[64, 64])`.
            Text `module:Name` names a class or function, and a dict with `make='module:Name'` what that makes of its
            other entries.

    Raises:
        ConfigurationError: an argument is of a kind that cannot be written down.
    """

    name: ClassVar[str] = "sb3"
    _has_own_parameters: ClassVar[bool] = True

    algorithm: str = "DQN"
    policy: str = "MlpPolicy"
    total_steps: int | None = None

    def __init__(
        self,
        algorithm: str | type = "DQN",
        policy: str | type = "MlpPolicy",
        total_steps: int | None = None,
        **arguments: Any,
    ) -> None:
        self.algorithm = self._class_name("algorithm", algorithm)
        self.policy = self._class_name("policy", policy)
        if total_steps is not None:
            check_integer(f"{self.name}: total_steps", total_steps, minimum=1)
        self.total_steps = total_steps
        for key in arguments:
            if key in _BY_THE_TRIAL or key.startswith("_"):
                raise ConfigurationError(f"{self.name}: {key} is not given here: the trial has its own")
        self.arguments = {key: named(f"{self.name}: {key}", value) for key, value in arguments.items()}
        super().__init__(make=self._make, learn=self._learn, act=self._predict, save=self._save, load=self._load)

    def _class_name(self, field: str, given: Any) -> str:
        if not isinstance(given, str | type) or not given:
            raise ConfigurationError(f"{self.name}: {field} must be a class or its name, got {given!r}")
        return str.__str__(given) if type(given) is str and not is_name(given) else named(field, given)

    def _parameters(self) -> dict[str, Any]:
        own = {"algorithm": self.algorithm, "policy": self.policy, "total_steps": self.total_steps}
        return own | self.arguments

    # -- what the key of a trial holds ------------------------------------------------------------------------------

    @property
    def packages(self) -> tuple[str, ...]:  # type: ignore[override]
        """Distributions whose versions decide what the algorithm gives: of itself, its bases and its arguments."""
        modules = {self._full_name.partition(":")[0]}
        classes = [thing for thing in self.named_code().values() if isinstance(thing, type)]
        modules |= {base.__module__ for cls in classes for base in cls.__mro__}
        modules |= {name.partition(":")[0] for name in names_in(tuple(self.arguments.values()))}
        tops = {module.partition(".")[0] for module in modules}
        tops |= {SB3} if CONTRIB in tops else set()
        tops |= {"torch"} if SB3 in tops else set()
        found = {_DISTRIBUTIONS.get(top, top) for top in tops if top in (*_DISTRIBUTIONS, "torch")}
        others = tops - {*_DISTRIBUTIONS, "torch", "__main__", "builtins", "typing", "abc", *sys.stdlib_module_names}
        return tuple(sorted(found.union(*(_distributions_of(top) for top in others))))

    def named_code(self) -> dict[str, Any]:
        """Classes and functions that the parameters name, without those of the library, which has a version."""
        names = [self._full_name, *names_in((self.policy, *self.arguments.values()))]
        own = [name for name in names if name.partition(":")[0].partition(".")[0] not in (*_DISTRIBUTIONS, "torch")]
        things: dict[str, Any] = {}
        for name in own:
            try:
                things[name] = find(self.name, name, may_import=True)
            except ConfigurationError:
                # It cannot be made, which its trials say.
                continue
        return things

    @property
    def _full_name(self) -> str:
        return self.algorithm if ":" in self.algorithm else f"{SB3}:{self.algorithm}"

    # -- the contract of an agent -----------------------------------------------------------------------------------

    @property
    def takes_batches(self) -> bool:  # type: ignore[override]
        """Whether the algorithm is one of the library's, whose `predict` answers for many observations at once."""
        return self._is_bound_to_library and not self.remembers_observations

    @property
    def remembers_observations(self) -> bool:  # type: ignore[override]
        """Whether the policy has a memory, as that of RecurrentPPO."""
        return self.is_trained and hasattr(self.learner.model, "_last_lstm_states")

    @property
    def depends_on_episode(self) -> bool:
        return self.remembers_observations

    @property
    def needs_action_mask(self) -> bool:
        return self.is_trained and bool(getattr(self.learner, "has_masks", False))

    @property
    def _is_bound_to_library(self) -> bool:
        return self.is_trained and isinstance(self.learner, StableBaselines3Learner)

    def begin_episode(self) -> None:
        if self._is_bound_to_library:
            self.learner.memory = None

    def exact_budget(
        self, env: Any, *, episodes: int | None, steps: int | None, epochs: int | None
    ) -> tuple[int | None, int | None]:
        if self.total_steps is not None:
            return Agent.exact_budget(self, env, episodes=episodes, steps=steps, epochs=epochs)
        return super().exact_budget(env, episodes=episodes, steps=steps, epochs=epochs)

    def plan_loop(self, loop: Loop, env: Any, success: str | None, notes: list[str]) -> Any:
        super().plan_loop(loop, env, success, notes)
        # Here a training begins: what the parameters name may be imported.
        kind = self._algorithm_class(may_import=True)
        if is_of_library(kind):
            check_fit(self.name, kind, self.policy, self.arguments, env)

    def new_learner(self, task: Any, streams: Streams) -> Learner:
        kind = self._algorithm_class(may_import=False)
        return (StableBaselines3Learner if is_of_library(kind) else ExternalLearner)(self, task, streams)

    def act(self, observation: Any, *, explore: bool = False) -> Any:
        """Greedy action for one observation; of the library's algorithms actions for a batch, too."""
        return self.act_with_info(observation, {})

    def act_with_info(self, observation: Any, info: dict[str, Any]) -> Any:
        """Greedy action; MaskablePPO chooses among the actions that `info["action_mask"]` allows."""
        learner: ExternalLearner = self.learner
        method = f"{self.name}.act"
        if isinstance(learner, StableBaselines3Learner):
            answer = called(method, lambda: learner.predict(observation, info))
            if is_batch(observation, learner.task.observation_space):
                return answer
        else:
            # Whatever it draws comes from streams of its own.
            with learner.global_streams:
                answer = called(method, lambda: self._predict(learner.model, observation))
        return read_action(answer, learner.task.action_space, method)

    # -- any class with learn and predict ---------------------------------------------------------------------------

    def _algorithm_class(self, *, may_import: bool) -> Any:
        """The class of the algorithm.

        Raises:
            ConfigurationError: there is none of that name, or its package is not installed; one line.
        """
        module = self._full_name.partition(":")[0]
        top = module.partition(".")[0]
        if top in _DISTRIBUTIONS:
            if module not in sys.modules and find_spec(top) is None:
                raise ConfigurationError(
                    f"{self.name}: {self.algorithm!r} needs {_DISTRIBUTIONS[top]}, which is not installed: {_INSTALL}"
                )
            try:
                with imports_of_torch():
                    return self._of_library(module)
            except ImportError as error:
                raise ConfigurationError(
                    f"{self.name}: {_DISTRIBUTIONS[top]} cannot be imported: {one_line(error)}"
                ) from error
        settle_triton()
        if ":" in self.algorithm and not is_name(self.algorithm):
            raise ConfigurationError(f"{self.name}: algorithm must be a name or module:Class, got {self.algorithm!r}")
        kind = find(self.name, self.algorithm, may_import=may_import)
        missing = [method for method in ("learn", "predict") if not callable(getattr(kind, method, None))]
        if not isinstance(kind, type) or missing:
            lack = f"a class without {' and '.join(missing)}" if isinstance(kind, type) else "no class"
            raise ConfigurationError(f"{self.name}: algorithm {self.algorithm!r} is {lack}")
        return kind

    def _of_library(self, module: str) -> Any:
        from stable_baselines3.common.base_class import BaseAlgorithm

        name, there = self._full_name.partition(":")[2], vars(import_module(module))
        kinds = {key for key, item in there.items() if isinstance(item, type) and issubclass(item, BaseAlgorithm)}
        if name in kinds:
            return there[name]
        if module == SB3 and find_spec(CONTRIB) is not None and hasattr(import_module(CONTRIB), name):
            raise ConfigurationError(f"{self.name}: {name} is one of sb3-contrib's: write '{CONTRIB}:{name}'")
        raise ConfigurationError(
            f"{self.name}: {module.replace('_', '-')} has no algorithm {name!r}{closest(name, kinds)}"
        )

    def _make(self, env: Any, seed: int) -> Any:
        kind = self._algorithm_class(may_import=True)
        given: dict[str, Any] = {"policy": resolved(self.name, self.policy), "env": env, "seed": seed}
        known = inspect.signature(kind).parameters
        given = {key: value for key, value in given.items() if key == "env" or key in known}
        arguments = {key: resolved(f"{self.name}: {key}", value) for key, value in self.arguments.items()}
        check_arguments(self.name, kind, arguments)
        return kind(**given, **arguments)

    def _learn(self, model: Any, env: Any, steps: int) -> None:
        model.learn(self.total_steps or steps)

    def _predict(self, model: Any, observation: Any) -> Any:
        is_asked = "deterministic" in inspect.signature(model.predict).parameters
        answer = model.predict(observation, deterministic=True) if is_asked else model.predict(observation)
        # Stable-Baselines3's answer is the action and a state.
        return answer[0] if isinstance(answer, tuple) and len(answer) == 2 else answer

    def _save(self, model: Any, path: str) -> None:
        if not callable(getattr(model, "save", None)):
            raise SavedAgentError(f"{self.name} cannot be saved: {self.algorithm} has no save")
        model.save(path)

    def _load(self, path: str) -> Any:
        kind = own_object(self.name, self.algorithm)
        # What else the file names is called when the agent is trained again.
        for name in names_in((self.policy, *self.arguments.values())):
            if not is_part_of_network(find(self.name, name, may_import=False)):
                own_object(self.name, name)
        return kind.load(path)


class StableBaselines3Learner(ExternalLearner):
    """A model of Stable-Baselines3 or of a class of one's own that is based on its."""

    _agent: StableBaselines3
    # Where it is stopped does not have to be said: it is where the budget ends.
    notes_stop = False
    memory: Any = None
    has_masks = False
    _env: Any = None

    def make_model(self, env: TrainingEnvironment, seed: int) -> Any:
        self._env = env
        return called(f"{self._agent.name}.make", lambda: self._new_model(env, seed, None))

    def _new_model(self, env: Any, seed: int, trusts: Any) -> Any:
        agent = self._agent
        arguments = {key: resolved(f"{agent.name}: {key}", value, trusts) for key, value in agent.arguments.items()}
        kind = agent._algorithm_class(may_import=trusts is None)
        known = inspect.signature(kind).parameters
        device = {"device": "cpu"} if "device" in known and "device" not in arguments else {}
        return kind(resolved(agent.name, agent.policy, trusts), env, seed=seed, **device, **arguments)

    def learn_from(self, env: TrainingEnvironment, training: Training) -> None:
        model, total = self.model, self._agent.total_steps
        if env is not self._env or not env.in_episode:
            # Where an episode is under way, the library goes on in it.
            model.set_env(env if env is not self._env else model.get_env())
            self._env = env
        steps = most_steps(training, env)
        if total is None and training.episodes is not None and has_schedule(model):
            training.notes.append(
                f"the schedules of {self._agent.algorithm} fall over {steps:,} steps, the most that "
                f"{training.episodes:,} episodes can have: give total_steps"
            )
        if total is not None:
            model._update_current_progress_remaining = functools.partial(_set_progress, model, total)
        try:
            called(
                f"{self._agent.name}.learn",
                lambda: model.learn(steps or _WITHOUT_END, reset_num_timesteps=model.num_timesteps == 0),
            )
        finally:
            vars(model).pop("_update_current_progress_remaining", None)
            self._note(env, training)

    def _note(self, env: TrainingEnvironment, training: Training) -> None:
        """Say what was collected in vain, and which masks nobody read."""
        model = self.model
        rollout = getattr(model, "rollout_buffer", None)
        if rollout is not None and rollout.pos and not rollout.full:
            training.notes.append(
                f"the last {rollout.pos:,} steps were not learnt from: {self._agent.algorithm} learns after each "
                f"{rollout.buffer_size:,}"
            )
        is_maskable = takes_masks(model)
        self.has_masks = is_maskable and (self.has_masks or env.met_masks)
        if env.met_masks and not is_maskable:
            training.notes.append(f"{self._agent.algorithm} chose among all actions, whatever action_mask said")

    def predict(self, observation: Any, info: dict[str, Any]) -> Any:
        """Greedy action of an observation, or actions of a batch."""
        model = self.model
        if not isinstance(observation, dict):
            observation = np.asarray(observation)
        further: dict[str, Any] = {}
        if self.has_masks and info.get("action_mask") is not None:
            further["action_masks"] = np.asarray(info["action_mask"], dtype=bool)
        if self._agent.remembers_observations:
            further |= {"state": self.memory, "episode_start": np.array([self.memory is None])}
        with one_torch_thread():
            action, self.memory = model.predict(observation, deterministic=True, **further)
        return action

    def action_values(self, observations: Any) -> np.ndarray | None:
        """Those of DQN, and the mean of the quantiles of QR-DQN; None of other algorithms, and before they learn."""
        model = self._model
        network = getattr(model, "q_net", None) or getattr(model, "quantile_net", None)
        if network is None:
            return None
        import torch

        with one_torch_thread(), torch.no_grad():
            values: np.ndarray = network(model.policy.obs_to_tensor(observations)[0]).cpu().numpy().astype(np.float64)
        return values if values.ndim == 2 else values.mean(axis=1)

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        model = self.model
        parameters = model.get_parameters()
        arrays: dict[str, np.ndarray] = {}
        data = {name: tensors_to_data(value, name, arrays) for name, value in parameters.items()}
        variables = {
            name: tensors_to_data(_at(model, name), name, arrays)
            for name in model._get_torch_save_params()[1]
            if _at(model, name) is not None
        }
        held = {"parameters": data, "variables": variables, "num_timesteps": int(model.num_timesteps)}
        return {"spaces": self.task.to_data(), "model": held, "has_masks": self.has_masks}, arrays

    def set_state(self, entries: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        held = entries["model"]
        seed = environment_seed(self._streams.seed, "agent")
        with self.global_streams:
            try:
                model = called(
                    f"{self._agent.name}.load", lambda: self._new_model(_SpacesAlone(self.task), seed, trusts)
                )
            except ConfigurationError as error:
                raise SavedAgentError(str(error)) from None
            parameters = {name: tensors_from_data(data, arrays) for name, data in held["parameters"].items()}
            called(f"{self._agent.name}.load", lambda: model.set_parameters(parameters, exact_match=True))
            for name, data in held["variables"].items():
                _at(model, name).data.copy_(tensors_from_data(data, arrays))
        model.num_timesteps = int(held["num_timesteps"])
        self.has_masks = bool(entries["has_masks"])
        self._model = model


class _SpacesAlone(gym.Env[Any, Any]):
    """The spaces of an environment, for a model that is to act; it cannot be stepped."""

    def __init__(self, task: Spaces) -> None:
        self.observation_space, self.action_space = task.observation_space, task.action_space

    def action_masks(self) -> np.ndarray:
        raise NotImplementedError


def check_fit(owner: str, kind: Any, policy: str, arguments: dict[str, Any], env: gym.Env[Any, Any]) -> None:
    """Refuse what an algorithm of the library cannot learn, before it is made.

    Raises:
        ConfigurationError: an argument or the policy is unknown.
        UnsupportedEnvironmentError: the algorithm or the policy cannot take the spaces.
    """
    check_arguments(owner, kind, arguments)
    observations, actions = env.observation_space, env.action_space
    name = kind.__name__
    if not is_name(policy) and policy not in kind.policy_aliases:
        raise ConfigurationError(f"{owner}: {name} has no policy {policy!r}{closest(policy, kind.policy_aliases)}")
    is_dict = isinstance(observations, spaces.Dict)
    if is_dict and policy in ("MlpPolicy", "CnnPolicy"):
        raise UnsupportedEnvironmentError(
            f"{owner}: {policy} cannot read observations {_short(observations)}: give policy='MultiInputPolicy'"
        )
    if policy == "MultiInputPolicy" and not is_dict:
        raise UnsupportedEnvironmentError(
            f"{owner}: MultiInputPolicy reads Dict observations, not {_short(observations)}: give policy='MlpPolicy'"
        )
    if policy == "CnnPolicy" and not (isinstance(observations, spaces.Box) and len(observations.shape) == 3):
        raise UnsupportedEnvironmentError(
            f"{owner}: CnnPolicy reads pictures, not {_short(observations)}: give policy='MlpPolicy'"
        )
    parts = observations.spaces.values() if isinstance(observations, spaces.Dict) else [observations]
    readable = spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary
    if not all(isinstance(part, readable) for part in parts):
        raise UnsupportedEnvironmentError(f"{owner}: Stable-Baselines3 cannot read observations {_short(observations)}")
    for part in (*parts, actions):
        if np.any(np.asarray(getattr(part, "start", 0)) != 0):
            raise UnsupportedEnvironmentError(f"{owner}: Stable-Baselines3 counts from 0, but {_short(part)} does not")
    taken = taken_actions(kind)
    if taken and not isinstance(actions, taken):
        advice = _FITTING.get(type(actions).__name__)
        raise UnsupportedEnvironmentError(
            f"{owner}: {name} cannot take actions {_short(actions)}, only {' or '.join(one.__name__ for one in taken)}"
            + (f": give algorithm={advice}" if advice else "")
        )


@functools.cache
def taken_actions(kind: Any) -> tuple[type, ...]:
    """Kinds of action spaces that an algorithm of the library takes; empty where it does not say."""
    try:
        kind("MlpPolicy", _SpacesAlone(Spaces(spaces.Discrete(2), _UnknownSpace())), _init_setup_model=False)
    except AssertionError as error:
        # Only in its message are they listed.
        listed = str(error).partition(" as action spaces")[0]
        kinds = (spaces.Discrete, spaces.Box, spaces.MultiDiscrete, spaces.MultiBinary)
        return tuple(space for space in kinds if f".{space.__name__}'" in listed)
    except Exception:
        return ()
    return ()


class _UnknownSpace(gym.Space[Any]):
    """A space of no kind that an algorithm could take."""

    def __init__(self) -> None:
        super().__init__((), np.int64)


def check_arguments(owner: str, kind: Any, arguments: dict[str, Any]) -> None:
    """Refuse arguments that a class does not have.

    Raises:
        ConfigurationError: one is unknown; with the closest.
    """
    known = inspect.signature(kind).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        return
    names = [key for key in known if key not in (*_BY_THE_TRIAL, "policy") and not key.startswith("_")]
    for key in arguments:
        if key not in names:
            raise ConfigurationError(f"{owner}: {kind.__name__} has no argument {key!r}{closest(key, names)}")


def is_of_library(kind: Any) -> bool:
    """Whether a class is an algorithm of Stable-Baselines3, or based on one; nothing is imported to know it."""
    base = sys.modules.get(f"{SB3}.common.base_class")
    return base is not None and isinstance(kind, type) and issubclass(kind, base.BaseAlgorithm)


def has_schedule(model: Any) -> bool:
    """Whether what a model does depends on the share of its steps that is behind it."""
    return hasattr(model, "exploration_schedule") or callable(getattr(model, "learning_rate", None))


def takes_masks(model: Any) -> bool:
    """Whether a model chooses among the actions that a mask allows, as MaskablePPO."""
    return "action_masks" in inspect.signature(model.predict).parameters


def trusts(thing: Any, nested: bool) -> bool:
    """Whether loading an agent may call a thing that its file names.

    Parts of networks, replay buffers, noise and schedules of the library, and as arguments such as `learning_rate`
    functions of the user's own. The library's other classes may open files for writing.
    """
    if not isinstance(thing, type):
        return not nested and is_own_object(thing)
    from stable_baselines3.common import buffers, noise, utils

    schedules = [getattr(utils, name) for name in _SCHEDULES if hasattr(utils, name)]
    return is_part_of_network(thing) or issubclass(thing, (buffers.BaseBuffer, noise.ActionNoise, *schedules))


def is_part_of_network(thing: Any) -> bool:
    """Whether a thing is a class of torch's modules or optimizers; nothing is imported to know it."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(thing, type) and issubclass(thing, torch.nn.Module | torch.optim.Optimizer)


def is_batch(observation: Any, space: gym.Space[Any]) -> bool:
    """Whether an observation is several, with a leading dimension."""
    if isinstance(space, spaces.Dict):
        key, part = next(iter(space.spaces.items()))
        return is_batch(observation[key], part)
    return np.ndim(observation) > len(space.shape or ())


def _set_progress(model: Any, total: int, num_timesteps: int, total_timesteps: int) -> None:
    """The library's own, over another total, and never below 0."""
    model._current_progress_remaining = max(0.0, 1.0 - num_timesteps / total)


def _at(model: Any, path: str) -> Any:
    return functools.reduce(getattr, path.split("."), model)


def _short(space: Any) -> str:
    text = " ".join(str(space).split())
    return text if len(text) <= 80 else f"{text[:77]}…"


def _distributions_of(top: str) -> set[str]:
    return set(_distributions().get(top, ()))


@functools.cache
def _distributions() -> Any:
    from importlib.metadata import packages_distributions

    return packages_distributions()
