"""Everything that tables, plots' captions and the report say of an experiment, computed once."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from velodrome.checks import closest
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.results.comparison import AgentScores, Comparison, SequentialVerdicts, compare_scores
from velodrome.experiments.results.learning import (
    Threshold,
    episodes_to,
    threshold_of,
    training_regrets,
    why_no_regret,
)
from velodrome.experiments.results.margins import Margin, margins_of
from velodrome.experiments.results.measures import MEASURES, Measure, limits_of, measure_named, measure_on
from velodrome.experiments.results.overall import Overall, overall_of
from velodrome.experiments.results.rows import agent_row
from velodrome.experiments.results.seed_scores import SeedScores
from velodrome.experiments.statistics import SequentialState

if TYPE_CHECKING:
    from velodrome.experiments.results.results import Results


@dataclass(frozen=True, kw_only=True)
class AnalysisOptions:
    """What a reader may choose.

    Attributes:
        metric: what decides; by default greedy success where there is a success rule, or else greedy return.
        baseline: agent that the others are compared with; by default the best on each environment.
        threshold: success rate whose first episode is looked for; by default 0.8 of the best possible.
        difference: smallest difference that matters, for the number of seeds it needs; by default the observed one.
    """

    metric: str | None = None
    baseline: str | None = None
    threshold: float | None = None
    difference: float | None = None

    def check(self, agents: Sequence[str]) -> None:
        """Refuse what does not fit an experiment.

        Raises:
            ExperimentError: an unknown metric or agent, or a number out of range.
        """
        if self.metric is not None:
            measure_named(self.metric)
        if self.baseline is not None and self.baseline not in agents:
            hint = closest(self.baseline, agents)
            raise ExperimentError(f"baseline must be an agent of the experiment, got {self.baseline!r}{hint}")
        if self.threshold is not None and not 0 < self.threshold <= 1:
            raise ExperimentError(f"threshold must be a success rate above 0 and at most 1, got {self.threshold}")
        if self.difference is not None and not (math.isfinite(self.difference) and self.difference > 0):
            raise ExperimentError(f"difference must be a positive number, got {self.difference}")


@dataclass(frozen=True, eq=False)
class EnvironmentAnalysis:
    """One environment.

    Attributes:
        environment: label.
        measure: that decides.
        comparison: of all agents with trials.
        rows: of `agent_row`, best first.
        best: the measure's value for the best possible policy, NaN if not known.
        random: likewise, of the uniformly random policy.
        threshold: success rate to be reached in training; None without success rule.
        without_regret: why the regrets of agents are not comparable; empty where they are, or where none is known.
        num_guesses: labels of an example, where agents are evaluated on examples; 1 elsewhere.
    """

    environment: str
    measure: Measure
    comparison: Comparison
    rows: tuple[dict[str, Any], ...]
    best: float
    random: float
    threshold: Threshold | None
    num_guesses: int = 1
    without_regret: str = ""


@dataclass(frozen=True, eq=False)
class Analysis:
    """A whole experiment.

    Attributes:
        options: that were chosen.
        environments: in the experiment's order, without those of which no trial has ended.
        overall: over all environments; None where there is one, or where their scores cannot be averaged.
        margins: of learners and policies, where the experiment crosses them.
    """

    options: AnalysisOptions
    environments: tuple[EnvironmentAnalysis, ...]
    overall: Overall | None
    margins: tuple[Margin, ...]


def analyse(results: "Results", options: AnalysisOptions) -> Analysis:
    """Analysis of results.

    Raises:
        ExperimentError: options that do not fit.
    """
    options.check(results.agents)
    environments = [label for label in results.environments if any(results.trials(label, a) for a in results.agents)]
    analysed = tuple(_analysed(results, environment, options) for environment in environments)
    return Analysis(options, analysed, overall_of(analysed), margins_of(results.settings.get("factors", {}), analysed))


def _analysed(results: "Results", environment: str, options: AnalysisOptions) -> EnvironmentAnalysis:
    records = {agent: results.trials(environment, agent) for agent in results.agents}
    records = {agent: some for agent, some in records.items() if some}
    everything = [record for some in records.values() for record in some]
    sequential = results.settings.get("sequential", {}).get("environments", {}).get(environment)
    measure = measure_on(results, environment, options.metric)
    # Equal by the measure that decides: the order of the other numbers.
    order = sorted(records, key=lambda agent: _secondary(records[agent]), reverse=True)
    limits = {name: limits_of(one, everything) for name, one in MEASURES.items()}
    agents = [_scores(agent, records[agent], measure, everything, limits[measure.name]) for agent in order]
    is_sequential = sequential is not None and sequential["measure"] in (None, measure.name)
    comparison = compare_scores(
        agents, baseline=options.baseline, sequential=_verdicts(sequential) if is_sequential else None
    )
    threshold = threshold_of(everything, options.threshold)
    rows: list[dict[str, Any]] = []
    has_best = any(record["status"] == "done" and math.isfinite(record["best_return"]) for record in everything)
    reason = why_no_regret(results, environment) if has_best else ""
    for agent in comparison.agents:
        reached = None if threshold is None else episodes_to(results, environment, agent.label, threshold)
        some = records[agent.label]
        regrets = np.empty(0) if reason else training_regrets(results, environment, agent.label)
        row = agent_row(environment, agent.label, some, comparison, measure, threshold, reached, regrets, limits)
        rows.append(row)
    done = [record for record in everything if record["status"] == "done"]
    best, random = (
        next((float(record[column]) for record in done if not math.isnan(record[column])), math.nan)
        for column in (measure.best_column, measure.random_column)
    )
    num_guesses = results.settings.get("contents", {}).get(environment, {}).get("num_guesses", 1)
    return EnvironmentAnalysis(
        environment, measure, comparison, tuple(rows), best, random, threshold, num_guesses, reason
    )


def _scores(
    agent: str,
    records: Sequence[Mapping[str, Any]],
    measure: Measure,
    everything: Sequence[Mapping[str, Any]],
    limits: tuple[float, float],
) -> AgentScores:
    """An agent's scores, with greedy return beside greedy success; what is missing counts as the worst at the worst."""
    scores = SeedScores.of_records(agent, records, measure, _worst(measure, everything, limits))
    tie_break = None
    if measure.name == "greedy_success_rate":
        other = MEASURES["greedy_return"]
        worst = _worst(other, everything, limits_of(other, everything))
        tie_break = SeedScores.of_records(agent, records, other, worst)
        tie_break = None if tie_break.problem else tie_break
    return AgentScores(agent, (scores,), measure.is_rate, limits, tie_break)


def _worst(measure: Measure, records: Sequence[Mapping[str, Any]], limits: tuple[float, float]) -> float:
    """The worst possible score, or where that is not known the worst of all agents'; NaN without any."""
    if math.isfinite(limits[0]):
        return limits[0]
    values = [float(record[measure.column]) for record in records if record["status"] == "done"]
    return min((value for value in values if math.isfinite(value)), default=math.nan)


def _secondary(records: Sequence[Mapping[str, Any]]) -> tuple[float, ...]:
    """Mean greedy success, greedy return and training success, with nothing as the worst."""
    means = []
    for column in ("greedy_success_rate", "greedy_mean_return", "train_success_rate"):
        values = [record[column] for record in records if record["status"] == "done" and not math.isnan(record[column])]
        means.append(sum(values) / len(values) if values else -math.inf)
    return tuple(-math.inf if math.isnan(value) else value for value in means)


def _verdicts(sequential: Mapping[str, Any]) -> SequentialVerdicts:
    """What is decided so far, from an environment's settings."""
    return SequentialVerdicts(tuple(sequential["agents"]), SequentialState.from_data(sequential["state"]))
