"""One setting for all environments: the configuration of each agent whose tuning scores rank best on the mean of them.

Beside the settings of each environment it runs on the fresh seeds, too, so that the table says what tuning for each
environment gains.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.results.settings import TunedAgent
from velodrome.experiments.specification.plan import Plan, PlannedAgent
from velodrome.experiments.specification.search_spaces import SearchSpace
from velodrome.experiments.statistics import settings_across_environments
from velodrome.experiments.tuning.samplers import OPTUNA_SAMPLERS
from velodrome.experiments.tuning.search import Search

ONE_SETTING = "one setting"


def check_one_setting(plan: Plan, spaces: Mapping[str, SearchSpace], sampler: str) -> None:
    """Refuse what gives no setting for all environments.

    Raises:
        ExperimentError: one environment, a sampler that tries other configurations on each, or an agent that does not
            run on all of them.
    """
    if len(plan.environments) < 2:
        raise ExperimentError("one_setting: is for several environments, this experiment has one")
    if sampler in OPTUNA_SAMPLERS:
        raise ExperimentError(
            f"one_setting: needs the same configurations on every environment: give sampler grid or random, "
            f"{sampler} tries others on each"
        )
    missing = [
        label for label in spaces if set(plan.agents[label].environments or plan.environments) != set(plan.environments)
    ]
    if missing:
        raise ExperimentError(f"one_setting: {missing[0]!r} does not run on all environments")


def one_settings(
    plan: Plan, spaces: Mapping[str, SearchSpace], searches: Sequence[Search]
) -> tuple[dict[str, PlannedAgent], list[TunedAgent]]:
    """The agents with one setting for all environments, and how each was chosen.

    Chosen by the mean over environments of the scores' ranks among those of all agents and configurations
    (`settings_across_environments`), on the tuning seeds that all configurations have. A trial without a score ranks
    below all others.
    """
    by_agent = {label: [search for search in searches if search.space.label == label] for label in spaces}
    number = min(given for search in searches for given in search.given.values())
    scores = {label: np.stack([one.first_scores(number) for one in own], axis=1) for label, own in by_agent.items()}
    # Whatever is below all others has the rank of a trial without a score.
    lowest = np.min(
        [np.where(np.isfinite(values), values, np.inf).min(axis=(0, 2)) for values in scores.values()], axis=0
    )
    lowest = np.where(np.isfinite(lowest), lowest, 0.0)[:, np.newaxis] - 1.0
    found = settings_across_environments(
        {label: np.where(np.isfinite(values), values, lowest) for label, values in scores.items()}
    )
    agents: dict[str, PlannedAgent] = {}
    tuned: list[TunedAgent] = []
    for label, own in by_agent.items():
        chosen = list(own[0].calls)[found[label].everywhere]
        name = f"{label} · {ONE_SETTING}"
        tuned += [
            replace(search.result_of(name, chosen), is_for_all=True, optimism=float("nan"), may_be_best=())
            for search in own
        ]
        agent = own[0].space.build(own[0].calls[chosen])
        expression = own[0].expression(chosen)
        agents[name] = replace(plan.agents[label], label=name, agent=agent, expression=expression)
    return agents, tuned
