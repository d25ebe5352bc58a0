"""Everything that tables, plots' captions and the report say of an experiment, computed once."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

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
from velodrome.experiments.results.measures import RELIABILITY, limits_of, measure_on, reliability_of
from velodrome.experiments.results.rows import agent_row
from velodrome.experiments.results.seed_scores import SeedScores, mean_over
from velodrome.experiments.results.trial_table import TrialRecord, TrialTable, common_value
from velodrome.experiments.trials.measures import MEASURES, Measure, measure_named

Factor = Literal["policy", "learner"]
FACTORS: tuple[Factor, ...] = ("policy", "learner")


@dataclass(frozen=True, kw_only=True)
class AnalysisOptions:
    """Choices of a reader.

    Attributes:
        metric: what decides; by default greedy success where there is a success rule, or else greedy return.
        baseline: agent that the others are compared with; by default the best on each environment.
        threshold: success rate whose first episode is looked for; by default 0.8 of the best possible.
        difference: smallest difference that matters, for the number of seeds it needs; by default the observed one.
        measures: of the reader's own, of numbers that the trials have, beside those of the experiment.
        reliability: whether tables have columns of how much the runs of an agent differ.
    """

    metric: str | None = None
    baseline: str | None = None
    threshold: float | None = None
    difference: float | None = None
    measures: tuple[Measure, ...] = ()
    reliability: bool = False

    def check(self, agents: Sequence[str], measures: Mapping[str, Measure] = MEASURES) -> None:
        """Refuse what does not fit an experiment.

        Args:
            agents: labels of the experiment's.
            measures: by name, that may decide.

        Raises:
            ExperimentError: an unknown metric or agent, or a number out of range.
        """
        if self.metric is not None:
            measure_named(self.metric, measures)
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
        measures: all that rows have numbers of, by name.
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
    measures: Mapping[str, Measure] = field(default_factory=lambda: MEASURES)


@dataclass(frozen=True, eq=False)
class Overall:
    """Agents compared over several environments.

    Attributes:
        comparison: of the agents that have scores on each environment.
        is_normalised: whether scores are shares of the way from the random policy (0) to the best possible one (1);
            otherwise they are success rates.
        num_environments: that are averaged.
    """

    comparison: Comparison
    is_normalised: bool
    num_environments: int


@dataclass(frozen=True, eq=False)
class Margin:
    """The levels of one factor on one environment, averaged over the other factor seed by seed.

    Attributes:
        environment: label.
        factor: "policy" or "learner".
        comparison: of its levels.
        num_averaged: levels of the other factor.
    """

    environment: str
    factor: Factor
    comparison: Comparison
    num_averaged: int


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

    def rows_in_order(self, agents: Sequence[str]) -> list[dict[str, Any]]:
        """A row of each environment and agent with trials, agents in the order given.

        Args:
            agents: labels of all agents.
        """
        place = {label: position for position, label in enumerate(agents)}
        return [dict(row) for one in self.environments for row in sorted(one.rows, key=lambda row: place[row["agent"]])]


def analyse(table: TrialTable, options: AnalysisOptions | None = None) -> Analysis:
    """Analysis of trials; computed once for each choice of options.

    Args:
        table: trials.
        options: metric, baseline and the like; the usual ones if None.

    Raises:
        ExperimentError: options that do not fit.
    """
    options = options or AnalysisOptions()
    if options not in table.analyses:
        table.analyses[options] = _analysis(table, options)
    analysis: Analysis = table.analyses[options]
    return analysis


def _analysis(table: TrialTable, options: AnalysisOptions) -> Analysis:
    measures = table.settings.all_measures | {measure.name: measure for measure in options.measures}
    _check_columns(table, options.measures)
    options.check(table.agents, measures)
    environments = [label for label in table.environments if any(table.trials(label, agent) for agent in table.agents)]
    analysed = tuple(_analysed(table, environment, options, measures) for environment in environments)
    return Analysis(options, analysed, overall_of(analysed), margins_of(table.settings.factors, analysed))


def _check_columns(table: TrialTable, measures: Sequence[Measure]) -> None:
    """Refuse measures of numbers that no trial has.

    Raises:
        ExperimentError: naming the first.
    """
    known = {
        name: None for record in table.records for name, value in record.measures.items() if not isinstance(value, str)
    }
    for measure in measures:
        if table.records and measure.column not in known:
            raise ExperimentError(
                f"measure {measure.name!r}: no trial has the number {measure.column!r}{closest(measure.column, known)}"
                "; what is computed of a trial is given to compare(measures=…), and computed as it ends"
            )


def _analysed(
    table: TrialTable, environment: str, options: AnalysisOptions, measures: Mapping[str, Measure]
) -> EnvironmentAnalysis:
    records = {agent: some for agent in table.agents if (some := table.trials(environment, agent))}
    everything = [record for some in records.values() for record in some]
    sequential = table.settings.sequential_on(environment)
    measure = measure_on(table, environment, options.metric, measures)
    measures = {**measures, **reliability_of(measure)}
    if options.reliability:
        measures |= {name: replace(measures[name], is_shown=True) for name in RELIABILITY if name in measures}
    # Equal by the measure that decides: the order of the other numbers.
    order = sorted(records, key=lambda agent: _secondary(records[agent]), reverse=True)
    limits = {name: limits_of(one, everything) for name, one in measures.items()}
    others = [measure] + [MEASURES["greedy_return"]] * (measure.name == "greedy_success_rate")
    worst = {one.name: _worst(one, everything, limits[one.name]) for one in others}
    agents = [_scores(agent, records[agent], measure, worst, limits[measure.name]) for agent in order]
    verdicts = None
    if sequential is not None and sequential.measure in (None, measure.name):
        verdicts = SequentialVerdicts(sequential.agents, sequential.state)
    tuning = table.settings.tuning
    is_choosing = tuning is not None and tuning.is_choosing
    comparison = compare_scores(agents, baseline=options.baseline, sequential=verdicts, is_choosing=is_choosing)
    threshold = threshold_of(everything, options.threshold)
    done = [record for record in everything if record.is_done]
    reason = why_no_regret(table, environment) if any(_is_finite(one, "best_return") for one in done) else ""
    rows = []
    for label in (agent.label for agent in comparison.agents):
        # Those that were stopped would be missing where they learnt least.
        is_whole = not table.stopped(environment, label)
        reached = episodes_to(table, environment, label, threshold) if threshold is not None and is_whole else None
        regrets = training_regrets(table, environment, label) if is_whole and not reason else np.empty(0)
        own = [record for record in records[label] if record.is_done]
        rows.append(
            agent_row(
                environment,
                label,
                own,
                records[label],
                comparison,
                measure,
                threshold,
                reached,
                regrets,
                limits,
                measures,
            )
        )
        if tuning is not None and not is_choosing:
            chosen = tuning.of(environment, label)
            rows[-1]["configurations"] = 1 if chosen is None else chosen.configurations
            rows[-1]["tuning_runs"] = 0 if chosen is None else chosen.runs
    best, random = (common_value(done, column) for column in (measure.best_column, measure.random_column))
    num_guesses = table.settings.content_of(environment).num_guesses
    return EnvironmentAnalysis(
        environment, measure, comparison, tuple(rows), best, random, threshold, num_guesses, reason, measures
    )


def _is_finite(record: TrialRecord, column: str) -> bool:
    return math.isfinite(record.number(column))


def _scores(
    agent: str,
    records: Sequence[TrialRecord],
    measure: Measure,
    worst: Mapping[str, float],
    limits: tuple[float, float],
) -> AgentScores:
    """An agent's scores, with greedy return beside greedy success; what is missing counts as the worst at the worst."""
    scores = SeedScores.of_records(agent, records, measure, worst[measure.name])
    tie_break = None
    if measure.name == "greedy_success_rate":
        tie_break = SeedScores.of_records(agent, records, MEASURES["greedy_return"], worst["greedy_return"])
        tie_break = None if tie_break.problem else tie_break
    return AgentScores(agent, (scores,), measure.is_rate, limits, tie_break, measure.higher_is_better)


def _worst(measure: Measure, records: Sequence[TrialRecord], limits: tuple[float, float]) -> float:
    """The worst possible score, or where that is not known the worst of all agents'; NaN without any."""
    worst, limit = (min, limits[0]) if measure.higher_is_better else (max, limits[1])
    if math.isfinite(limit):
        return limit
    values = [float(record.number(measure.column)) for record in records if record.is_done]
    return worst((value for value in values if math.isfinite(value)), default=math.nan)


def _secondary(records: Sequence[TrialRecord]) -> tuple[float, ...]:
    """Mean greedy success, greedy return and training success, with nothing as the worst."""
    means = []
    for column in ("greedy_success_rate", "greedy_mean_return", "train_success_rate"):
        values = [value for one in records if one.is_done and not math.isnan(value := one.number(column))]
        means.append(sum(values) / len(values) if values else -math.inf)
    return tuple(-math.inf if math.isnan(value) else value for value in means)


def overall_of(environments: Sequence[EnvironmentAnalysis]) -> Overall | None:
    """Agents over all environments; None where there is one, or where their scores are not of one scale.

    Scores are normalised where the best possible and the random policy are known everywhere; success rates are averaged
    as they are; returns of different environments are not averaged.

    Source: Agarwal et al. (2021), section 4.
    """
    if len(environments) < 2 or any(one.comparison.is_choosing for one in environments):
        return None
    is_normalised = all(
        one.measure.higher_is_better and math.isfinite(one.best) and one.best > one.random > -math.inf
        for one in environments
    )
    is_comparable = len({one.measure.higher_is_better for one in environments}) == 1
    if not is_comparable or not (is_normalised or all(one.measure.is_rate for one in environments)):
        return None
    agents = []
    for agent in environments[0].comparison.agents:
        parts = [_part(one, agent.label, is_normalised) for one in environments]
        if all(part is not None and not part.problem for part in parts):
            some = tuple(part for part in parts if part is not None)
            agents.append(AgentScores(agent.label, some, not is_normalised, higher_is_better=agent.higher_is_better))
    if not agents:
        return None
    baseline = environments[0].comparison.reference if _is_same_reference(environments) else None
    return Overall(compare_scores(agents, baseline=baseline), is_normalised, len(environments))


def _part(environment: EnvironmentAnalysis, label: str, is_normalised: bool) -> SeedScores | None:
    agent = next((agent for agent in environment.comparison.agents if agent.label == label), None)
    if agent is None:
        return None
    scores = agent.parts[0]
    return scores.scaled(environment.random, environment.best) if is_normalised else scores


def _is_same_reference(environments: Sequence[EnvironmentAnalysis]) -> bool:
    return len({one.comparison.reference for one in environments}) == 1


def margins_of(
    factors: Mapping[str, Mapping[str, str]], environments: Sequence[EnvironmentAnalysis]
) -> tuple[Margin, ...]:
    """Margins of both factors on each environment; none where the experiment does not cross them.

    A level of which a crossing has no score is left out, for its mean would be over others than those of the rest.

    Args:
        factors: label of an agent to its "learner" and "policy".
        environments: analysed.
    """
    margins: list[Margin] = []
    for environment in environments:
        scores = {agent.label: agent.parts[0] for agent in environment.comparison.agents if not agent.problem}
        for factor in FACTORS:
            others = {levels[_other(factor)] for levels in factors.values()}
            groups: dict[str, list[SeedScores]] = {}
            for label, levels in factors.items():
                if label in scores:
                    groups.setdefault(levels[factor], []).append(scores[label])
            is_rate, higher = environment.measure.is_rate, environment.measure.higher_is_better
            averaged = [mean_over(level, some, higher) for level, some in groups.items() if len(some) == len(others)]
            if len(averaged) > 1 and len(others) > 1:
                agents = [AgentScores(one.label, (one,), is_rate, higher_is_better=higher) for one in averaged]
                margins.append(Margin(environment.environment, factor, compare_scores(agents), len(others)))
    return tuple(margins)


def _other(factor: Factor) -> Factor:
    return "learner" if factor == "policy" else "policy"
