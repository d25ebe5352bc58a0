"""Native vector forms of environments: many copies stepped together, each with its own stream and its own result.

An environment that is registered with a `vector_entry_point` has such a form. It is used where every copy in it does,
bit for bit, what the environment does alone, which is found out by playing both. A form can give its copies streams of
their own in either of two ways:

- its `reset` takes a list of seeds, one a copy, as that of Gymnasium's `SyncVectorEnv` does; or
- it draws from `self.np_random` alone, for those copies that are reset, in one call with `size=` such that the copies
  stand along the first or the last axis, as Gymnasium's CartPole does.

Its autoreset mode is `NEXT_STEP`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces, wrappers
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv

from velodrome.checks import VelodromeError, one_line
from velodrome.envs.discretize import Discretize
from velodrome.envs.goals import knows_goal
from velodrome.envs.success_rules import NOT_REPORTED
from velodrome.envs.wrapper_chain import time_limit_of, wrappers_of

# A number of copies that leaves a rest in every width of vector instructions.
_PLAYED_COPIES = 11
_PLAYED_STEPS = 200
# So short a limit is reached by any environment while it is played.
_SHORT_LIMIT = 5
_AS_MADE = (wrappers.TimeLimit, wrappers.OrderEnforcing, wrappers.PassiveEnvChecker)
# Where NumPy's generators take the shape of what is drawn.
_PLACE_OF_SIZE = {
    "random": 0, "standard_normal": 0, "standard_exponential": 0, "exponential": 1, "uniform": 2, "normal": 2,
    "integers": 2,
}  # fmt: skip


class VectorFormError(VelodromeError):
    """A vector form does not do what the environment does alone.

    Args:
        reason: in one line.
        step: of the first difference.
    """

    def __init__(self, reason: str, step: int = 0) -> None:
        super().__init__(reason)
        self.step = step


class CopyStreams:
    """A generator for a vector form that draws for every copy from the copy's own stream.

    Args:
        streams: one a copy.
        axis: of what is drawn along which the copies stand, 0 or -1.

    Attributes:
        drawing: numbers of the copies that are drawn for, in ascending order.
    """

    def __init__(self, streams: Sequence[np.random.Generator], axis: int) -> None:
        self.streams, self._axis = streams, axis
        self.drawing: Sequence[int] = range(len(streams))
        for name, place in _PLACE_OF_SIZE.items():
            setattr(self, name, partial(self._draw, name, place))

    def __getattr__(self, name: str) -> Any:
        raise VectorFormError(f"it draws by {name}")

    def _draw(self, name: str, place: int, *arguments: Any, size: Any = None, **options: Any) -> Any:
        if len(arguments) > place:
            size, arguments = arguments[place], arguments[:place] + arguments[place + 1 :]
        shape = list(size) if isinstance(size, tuple | list) else [size]
        if shape[self._axis] != len(self.drawing):
            raise VectorFormError(f"it draws {size} numbers where {len(self.drawing)} copies are reset")
        drawn = np.empty(size, np.int64 if name == "integers" else np.float64)
        del shape[self._axis]
        rows = drawn if self._axis == 0 else np.moveaxis(drawn, self._axis, 0)
        for row, copy in enumerate(self.drawing):
            # Limits of each copy's own would need the shape of all copies, and be refused.
            rows[row] = getattr(self.streams[copy], name)(*arguments, size=tuple(shape), **options)
        return drawn


class VectorCopies:
    """Copies of an environment, stepped together; a copy whose episode has ended is reset by the step after.

    Args:
        vector: the form, as many copies as there are seeds.
        seeds: of each copy's first reset.
        axis: along which the copies stand in what the form draws; None where its `reset` takes the seeds.

    Raises:
        VectorFormError: the form draws as copies alone would not.
    """

    def __init__(self, vector: VectorEnv[Any, Any, Any], seeds: Sequence[int], axis: int | None) -> None:
        self.vector, self._seeds = vector, list(seeds)
        self.streams: CopyStreams | None = None
        if axis is not None:
            self.streams = CopyStreams([seeding.np_random(seed)[0] for seed in seeds], axis)
        self.ended: list[int] = []

    def reset(self) -> Any:
        """First observations, one a copy."""
        if self.streams is None:
            return self.vector.reset(seed=self._seeds)[0]  # type: ignore[arg-type]
        self.vector.unwrapped.np_random = self.streams  # type: ignore[assignment]
        return self.vector.reset()[0]

    def step(self, actions: np.ndarray) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """As of a Gymnasium vector environment; `ended` then has the copies whose episodes are over."""
        if self.streams is not None:
            self.streams.drawing = self.ended
        answer = self.vector.step(actions)
        over = answer[2] | answer[3]
        self.ended = np.flatnonzero(over).tolist()
        return answer

    def close(self) -> None:
        self.vector.close()


@dataclass(frozen=True, eq=False)
class VectorForm:
    """A vector form of an environment that was found to do, copy by copy, what the environment does alone.

    Attributes:
        spec: of the environment, without what `Discretize` may add.
        axis: as of `VectorCopies`.
    """

    spec: EnvSpec
    axis: int | None

    @classmethod
    def of(cls, make: Callable[[], gym.Env[Any, Any]]) -> VectorForm | str | None:
        """The form of an environment; None where it has none, and the reason where it cannot be used.

        Args:
            make: makes the environment.
        """
        env = make()
        try:
            plain = env.env if type(env) is Discretize else env
            spec = plain.spec
            if spec is None or spec.vector_entry_point is None:
                return None
            reason = _reason_not_as_made(plain, spec)
            if reason is not None:
                return reason
        finally:
            env.close()
        differences = []
        for axis in (None, -1, 0):
            form = cls(spec, axis)
            difference = form._difference(make)
            if difference is None:
                return form
            differences.append(difference)
        # The way in which it came furthest is how it is meant.
        return str(max(differences, key=lambda difference: difference.step))

    def through(self, entry_point: str, make: Callable[[], gym.Env[Any, Any]]) -> VectorForm:
        """The same with another vector form of the environment, where that is exact, too; else this one."""
        other = VectorForm(replace(self.spec, vector_entry_point=entry_point), self.axis)
        return self if other._difference(make) is not None else other

    def copies(self, seeds: Sequence[int]) -> VectorCopies:
        """As many copies as there are seeds."""
        return self._copies(seeds)

    def _copies(self, seeds: Sequence[int], **options: Any) -> VectorCopies:
        return VectorCopies(gym.make_vec(self.spec, num_envs=len(seeds), **options), seeds, self.axis)

    def _difference(self, make: Callable[[], gym.Env[Any, Any]]) -> VectorFormError | None:
        """Where the form, played beside environments alone, first differs; None where it does not."""
        limit = self.spec.max_episode_steps
        try:
            self._play(make)
            if limit is not None and limit > _SHORT_LIMIT:
                short = partial(gym.make, self.spec, max_episode_steps=_SHORT_LIMIT)
                self._play(short, max_episode_steps=_SHORT_LIMIT)
        except VectorFormError as error:
            return error
        except Exception as error:
            return VectorFormError(one_line(error), -1)
        return None

    def _play(self, make: Callable[[], gym.Env[Any, Any]], **options: Any) -> None:
        seeds = list(range(1, _PLAYED_COPIES + 1))
        alone, copies = [_without_bins(make()) for _ in seeds], self._copies(seeds, **options)
        try:
            _play(alone, copies, seeds)
        finally:
            copies.close()
            for env in alone:
                env.close()


def success_in(infos: dict[str, Any], copy: int) -> int:
    """Success that a copy's last info reports, as `read_success` of an environment alone."""
    if "is_success" not in infos or not infos.get("_is_success", {copy: True})[copy]:
        return NOT_REPORTED
    return int(infos["is_success"][copy])


def _without_bins(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    return env.env if type(env) is Discretize else env


def _reason_not_as_made(env: gym.Env[Any, Any], spec: EnvSpec) -> str | None:
    """Why an environment may be another than that of its id."""
    for wrapper in wrappers_of(env):
        if type(wrapper) not in _AS_MADE:
            return f"it is without {type(wrapper).__name__}"
    if time_limit_of(env) != spec.max_episode_steps:
        return f"its time limit is {spec.max_episode_steps}, not {time_limit_of(env)}"
    if not isinstance(env.action_space, spaces.Discrete):
        return "its actions are not Discrete"
    if not isinstance(env.observation_space, spaces.Box | spaces.Discrete):
        return "its observations are neither Box nor Discrete"
    if knows_goal(env):
        return "it does not say which copies stand at the goal"
    made = gym.make(spec)
    try:
        if type(env.unwrapped) is not type(made.unwrapped):
            return f"the environment is a {type(env.unwrapped).__name__}, not a {type(made.unwrapped).__name__}"
        own, usual = vars(env.unwrapped), vars(made.unwrapped)
        changed = [name for name in own.keys() | usual.keys() if not _is_same(own.get(name), usual.get(name))]
    finally:
        made.close()
    return f"{', '.join(sorted(changed))} of the environment was changed" if changed else None


def _is_same(value: Any, usual: Any) -> bool:
    if type(value) is not type(usual):
        return False
    if isinstance(value, np.ndarray):
        return np.array_equal(value, usual)
    if isinstance(value, bool | int | float | str | spaces.Space):
        return bool(value == usual)
    if isinstance(value, list | tuple | dict):
        return repr(value) == repr(usual)
    return not callable(value) or value is usual


def _play(alone: list[gym.Env[Any, Any]], copies: VectorCopies, seeds: list[int]) -> None:
    """Play copies side by side and alone, with the same random actions.

    Raises:
        VectorFormError: the first difference.
    """
    mode = copies.vector.metadata.get("autoreset_mode")
    if mode is not AutoresetMode.NEXT_STEP:
        raise VectorFormError(f"it resets by {getattr(mode, 'value', mode)}, and NextStep is needed")
    rng = np.random.default_rng(0)
    first_actions, num_actions = int(alone[0].action_space.start), int(alone[0].action_space.n)  # type: ignore[attr-defined]
    observations = copies.reset()
    for copy, (env, seed) in enumerate(zip(alone, seeds, strict=True)):
        _compare("observation", observations[copy], env.reset(seed=seed)[0], copy, 0)
    for step in range(1, _PLAYED_STEPS + 1):
        actions = rng.integers(num_actions, size=len(alone)) + first_actions
        were_over = set(copies.ended)
        observations, rewards, terminated, truncated, infos = copies.step(actions)
        for copy, env in enumerate(alone):
            if copy in were_over:
                _compare("observation", observations[copy], env.reset()[0], copy, step)
                _compare("end of an episode", bool(terminated[copy] or truncated[copy]), False, copy, step)
                continue
            observation, reward, is_terminated, is_truncated, info = env.step(int(actions[copy]))
            _compare_states(copies.vector, env, copy, step)
            _compare("observation", observations[copy], observation, copy, step)
            _compare("reward", float(rewards[copy]), float(reward), copy, step)
            _compare("terminated", bool(terminated[copy]), bool(is_terminated), copy, step)
            _compare("truncated", bool(truncated[copy]), bool(is_truncated), copy, step)
            if is_terminated or is_truncated:
                success = int(info["is_success"]) if "is_success" in info else NOT_REPORTED
                _compare("is_success", success_in(infos, copy), success, copy, step)
    for copy, env in enumerate(alone):
        _compare_states(copies.vector, env, copy, _PLAYED_STEPS)
    if copies.streams is not None:
        for copy, env in enumerate(alone):
            drawn = copies.streams.streams[copy].bit_generator.state, env.unwrapped.np_random.bit_generator.state
            _compare("random stream", *drawn, copy, step)


def _compare_states(vector: VectorEnv[Any, Any, Any], env: gym.Env[Any, Any], copy: int, step: int) -> None:
    """Compare what both hold by the same names: observations may be rounded, and hide for long where copies differ."""
    held = vars(vector.unwrapped)
    for name, alone in vars(env.unwrapped).items():
        of_copies = held.get(name)
        if isinstance(alone, np.ndarray) and isinstance(of_copies, np.ndarray):
            if of_copies.shape == (*alone.shape, vector.num_envs):
                _compare(name, of_copies[..., copy], alone, copy, step)
            elif of_copies.shape == (vector.num_envs, *alone.shape):
                _compare(name, of_copies[copy], alone, copy, step)


def _compare(what: str, of_copy: Any, alone: Any, copy: int, step: int) -> None:
    is_equal = of_copy == alone if isinstance(alone, dict) else _bits(of_copy) == _bits(alone)
    if not is_equal:
        values = "" if isinstance(alone, dict) else f": {_shown(of_copy)} instead of {_shown(alone)}"
        raise VectorFormError(f"the {what} of copy {copy + 1} at step {step} is another than alone{values}", step)


def _bits(value: Any) -> tuple[str, bytes]:
    """Kind and bytes of a number or an array; whole numbers are the same in whatever they are kept."""
    array = np.asarray(value)
    if array.dtype.kind in "iub":
        array = array.astype(np.int64)
    return array.dtype.str, array.tobytes()


def _shown(value: Any) -> str:
    return " ".join(repr(value.tolist() if isinstance(value, np.ndarray | np.generic) else value).split())
