"""The key of a trial: SHA-256 of everything that decides its result, as canonical JSON."""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from typing import Any

from velodrome.agents.agent import Agent
from velodrome.experiments.storage.own_code import code_of, packages_of, registration_of
from velodrome.experiments.trials.trial import Budget
from velodrome.policies.configuration import to_data

# Raised when the same specification gives other numbers, so that stored results of before are not taken for new ones.
RESULT_VERSION = 1
# Since then the training numbers of a budget of steps count the episode that the budget cut.
CUT_EPISODE_VERSION = 2


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, no spaces and no NaN: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


class TrialKeys:
    """Keys of the trials of one agent on one environment, seed by seed.

    The specification holds the agent with all its parameters, the environment's expression, the budget, the
    evaluation protocol, the seed and the version of results. Where the environment reads images or a text, a digest of
    them is added, and where the user's own code takes part (a policy or agent class, an environment's factory, a method
    put in the place of one of Gymnasium's) a fingerprint of it, so that what was edited is run again.
    Likewise the versions of the packages that the agent names and that the environment's classes are of, so that it is
    run again with others.
    Labels, workers and time-outs are not part of it.

    Args:
        agent: the configuration.
        environment: its expression, or its factory's name.
        classes: of the environment and its wrappers.
        factory: the factory, where it is no expression.
        budget: of training and evaluation.
        success: the experiment's own success rule, or None.
        contents: digest of the images or texts that the environment reads; None where its expression says all.
        transitions: how those that the environment lists are used, where that is not as they stand: "untrue" or
            "without start"; else None.
        spec_id: id with which the environment is registered, or None; a registration of the user's own counts.
        judged_by: what decides the evaluation beside the success rule that was asked for; see `EnvironmentProfile`.
        largest_pixel: what networks divide its images by, where that is not 255; None else.
    """

    def __init__(
        self,
        agent: Agent,
        environment: str,
        classes: Collection[type],
        factory: Callable[[], Any] | None,
        budget: Budget,
        success: str | None,
        contents: str | None = None,
        transitions: str | None = None,
        spec_id: str | None = None,
        judged_by: Mapping[str, str] | None = None,
        largest_pixel: float | None = None,
    ) -> None:
        code = code_of(agent, classes, factory) | registration_of(spec_id)
        self._shared: dict[str, Any] = {
            "result_version": result_version(agent, budget),
            "agent": _finite(to_data(agent)),
            "environment": environment,
            "budget": {"episodes": budget.episodes, "steps": budget.steps},
            "evaluation": {"episodes": budget.evaluation_episodes, "success": success},
        }
        if budget.evaluate_every is not None:
            self._shared["evaluation"]["every"] = budget.evaluate_every
        if budget.hopeless is not None:
            self._shared["evaluation"]["hopeless"] = {"below": budget.hopeless.below, "after": budget.hopeless.after}
        if budget.snapshots is not None:
            # They change no result, but trials of one key have one content.
            self._shared["snapshots"] = budget.snapshots
        if factory is not None:
            # The name of a factory does not tell how it makes the environment.
            self._shared["factory"] = True
        if transitions is not None:
            # The first release used the untrue ones, and not those without start.
            self._shared["transitions"] = transitions
        if contents is not None:
            self._shared["contents"] = contents
        if judged_by:
            self._shared["judged_by"] = dict(judged_by)
        if largest_pixel is not None:
            # Networks once divided all images of whole numbers by 255.
            self._shared["largest_pixel"] = largest_pixel
        if code:
            self._shared["code"] = code
        packages = packages_of(agent, classes)
        if packages:
            self._shared["packages"] = packages
        before, after = canonical_json(self._shared | {"seed": "?"}).split('"seed":"?"')
        self._before, self._after = f'{before}"seed":', after

    def specification(self, seed: int) -> str:
        """Canonical JSON of the trial with `seed`."""
        return f"{self._before}{seed}{self._after}"

    def of(self, seed: int) -> str:
        """Key of the trial with `seed`, 64 hexadecimal digits."""
        return key_of_specification(self.specification(seed))


def result_version(agent: Agent, budget: Budget) -> int:
    """Version of the results of an agent's trials: of all results, of its own, or of those of such a budget."""
    own = CUT_EPISODE_VERSION if budget.steps is not None else 1
    return max(RESULT_VERSION, own, agent.result_version)


def key_of_specification(specification: str) -> str:
    """Key of a trial's canonical JSON."""
    return hashlib.sha256(specification.encode()).hexdigest()


def _finite(data: Any) -> Any:
    """`data` with infinities and NaN as text, which JSON cannot hold as numbers."""
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_finite(value) for value in data]
    if isinstance(data, float) and not -float("inf") < data < float("inf"):
        return repr(data)
    return data
