"""Samplers: which configurations of a search space are tried."""

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

from velodrome.checks import did_you_mean
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.specification.expression import Call
from velodrome.experiments.specification.search_spaces import SearchSpace, Span

# Optuna's by our names, with the class and the package that it needs beside Optuna.
OPTUNA_SAMPLERS = {
    "tpe": ("TPESampler", None),
    "qmc": ("QMCSampler", "scipy"),
    "cma_es": ("CmaEsSampler", "cmaes"),
    "gp": ("GPSampler", "torch"),
}
SAMPLERS = ("auto", "grid", "random", *OPTUNA_SAMPLERS)
# Configurations that Optuna is asked for at a time, whatever the number of workers.
BATCH = 10
# Of a random configuration that was there before.
MOST_DRAWS = 100
_ROLE = "tuning"


class Sampler(Protocol):
    """Gives configurations and hears of their scores."""

    def ask(self, number: int) -> list[Call]:
        """Up to so many configurations; fewer where the space has no others."""

    def tell(self, scores: Sequence[float | None]) -> None:
        """Scores of those that were asked for last, higher is better; None where there is none."""


def check_sampler(name: str) -> None:
    """Refuse a sampler that there is not, or that lacks its package.

    Raises:
        ExperimentError: one line, with how to install it.
    """
    if name not in SAMPLERS:
        raise ExperimentError(
            f"sampler must be one of {', '.join(SAMPLERS)}, got {name!r}{did_you_mean(name, SAMPLERS)}"
        )
    if name not in OPTUNA_SAMPLERS:
        return
    if find_spec("optuna") is None:
        raise ExperimentError(f"sampler {name} needs Optuna: pip install 'velodrome[tune]'")
    package = OPTUNA_SAMPLERS[name][1]
    if package is not None and find_spec(package) is None:
        raise ExperimentError(f"sampler {name} needs {package} beside Optuna: pip install {package}")


def kind_of_sampler(space: SearchSpace, name: str, configurations: int) -> str:
    """The sampler that "auto" stands for: the grid where there are no more configurations than are wanted."""
    if name != "auto":
        return name
    return "grid" if space.size <= configurations else "random"


def new_sampler(space: SearchSpace, name: str, tuning_seed: int, number: int) -> Sampler:
    """Sampler of an agent's space.

    Args:
        space: of the agent.
        name: of `SAMPLERS`, but "auto".
        tuning_seed: of all that is drawn.
        number: of the environment, which gives Optuna's another stream.
    """
    if name == "grid":
        return _Grid(space)
    if name == "random":
        return _Random(space, np.random.default_rng(_sequence(space, tuning_seed)))
    return OptunaSampler(space, name, int(_sequence(space, tuning_seed, number).generate_state(1)[0]))


def _sequence(space: SearchSpace, tuning_seed: int, *numbers: int) -> np.random.SeedSequence:
    """Stream of the role "tuning" for an agent, whatever others there are."""
    digest = hashlib.sha256(f"{_ROLE} {space.label}".encode("utf-8", "surrogatepass")).digest()
    return np.random.SeedSequence([tuning_seed, *np.frombuffer(digest[:16], dtype="<u4").tolist(), *numbers])


class _Grid:
    """Every combination, in order."""

    def __init__(self, space: SearchSpace) -> None:
        self._left = space.grid()

    def ask(self, number: int) -> list[Call]:
        asked, self._left = self._left[:number], self._left[number:]
        return asked

    def tell(self, scores: Sequence[float | None]) -> None:
        """Nothing depends on them."""


class _Random:
    """Independent draws, none twice."""

    def __init__(self, space: SearchSpace, rng: np.random.Generator) -> None:
        self._space, self._rng = space, rng
        self._before: set[str] = set()

    def ask(self, number: int) -> list[Call]:
        asked: list[Call] = []
        draws = 0
        while len(asked) < number and draws < MOST_DRAWS:
            call = self._space.configuration(self)
            draws += 1
            if str(call) not in self._before:
                self._before.add(str(call))
                asked.append(call)
                draws = 0
        return asked

    def tell(self, scores: Sequence[float | None]) -> None:
        """Nothing depends on them."""

    def option(self, path: str, names: Sequence[str]) -> int:
        """Index of an option, each as likely."""
        return int(self._rng.integers(len(names)))

    def number(self, path: str, span: Span) -> float:
        """A number of a range."""
        return span.at(float(self._rng.random()))


class OptunaSampler:
    """One of Optuna's, asked and told in batches.

    Attributes:
        study: Optuna's, in memory.
    """

    def __init__(self, space: SearchSpace, name: str, seed: int) -> None:
        import optuna

        self._space = space
        options: dict[str, Any] = {"seed": seed}
        if name == "tpe":
            # Those that are asked for together keep away from each other.
            options["constant_liar"] = True
        if name == "qmc":
            options["scramble"] = True
        with quiet_optuna():
            sampler = getattr(optuna.samplers, OPTUNA_SAMPLERS[name][0])(**options)
            self.study = optuna.create_study(sampler=sampler, direction="maximize")
        self._asked: list[Any] = []

    def ask(self, number: int) -> list[Call]:
        calls = []
        self._asked = []
        with quiet_optuna():
            for _ in range(number):
                trial = self.study.ask()
                call = self._space.configuration(_Suggestions(trial))
                trial.set_user_attr("expression", str(call))
                self._asked.append(trial)
                calls.append(call)
        return calls

    def tell(self, scores: Sequence[float | None]) -> None:
        from optuna.trial import TrialState

        with quiet_optuna():
            for trial, score in zip(self._asked, scores, strict=True):
                if score is None:
                    self.study.tell(trial, state=TrialState.FAIL)
                else:
                    self.study.tell(trial, score)


class _Suggestions:
    """What one of Optuna's trials suggests."""

    def __init__(self, trial: Any) -> None:
        self._trial = trial

    def option(self, path: str, names: Sequence[str]) -> int:
        return list(names).index(self._trial.suggest_categorical(path, list(names)))

    def number(self, path: str, span: Span) -> float:
        low, high = span.ends
        if span.is_whole:
            return int(self._trial.suggest_int(path, int(low), int(high), log=span.is_log))
        return span.rounded(self._trial.suggest_float(path, low, high, log=span.is_log))


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Optuna without its log and without its warnings of what is experimental."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)
