"""The search of one agent on one environment: which configuration runs on which tuning seeds next, and which is chosen.

Configurations are given up by successive halving over seeds (Jamieson & Talwalkar, 2016; Karnin, Koren & Somekh, 2013):
all run on the first seeds, the better half on more, and so on, until the last run on all. Which half is better their
means say, no test: nothing is claimed of them, for what the chosen one is worth its runs on fresh seeds say.

Whatever was decided follows from the scores alone, so that a search that was interrupted repeats itself on stored ones.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.results.comparison import LEVEL, AgentScores
from velodrome.experiments.results.measures import limits_of
from velodrome.experiments.results.seed_scores import SeedScores
from velodrome.experiments.results.settings import PossibleBest, TunedAgent
from velodrome.experiments.results.trial_table import TrialRecord
from velodrome.experiments.specification.expression import Call
from velodrome.experiments.specification.search_spaces import SearchSpace
from velodrome.experiments.statistics import best_set, optimism_of_winner, probabilities_of_best
from velodrome.experiments.trials.measures import MEASURES, Measure
from velodrome.experiments.tuning.samplers import BATCH, OPTUNA_SAMPLERS, Sampler
from velodrome.policies.configuration import to_expression

# Seeds of the first round, at least: fewer exclude no configuration from those that may be the best.
FEWEST_SEEDS = 5


def rounds_of(num_seeds: int, *, halving: bool) -> tuple[int, ...]:
    """How many seeds a configuration has at the end of each round: (5, 10) of 10."""
    rounds = [num_seeds]
    while halving and math.ceil(rounds[0] / 2) >= FEWEST_SEEDS and rounds[0] > FEWEST_SEEDS:
        rounds.insert(0, math.ceil(rounds[0] / 2))
    return tuple(rounds)


class Search:
    """Tries configurations of an agent on an environment and chooses one.

    Args:
        space: of the agent.
        environment: label.
        sampler: gives the configurations.
        sampler_name: of `SAMPLERS`.
        configurations: to try at most.
        seeds: tuning seeds.
        rounds: of `rounds_of`.

    Attributes:
        space: of the agent.
        environment: label.
        sampler: of the configurations.
        sampler_name: of `SAMPLERS`.
        calls: configurations so far, by label.
        given: how many seeds each was given.
    """

    def __init__(
        self,
        space: SearchSpace,
        environment: str,
        sampler: Sampler,
        sampler_name: str,
        configurations: int,
        seeds: Sequence[int],
        rounds: Sequence[int],
    ) -> None:
        self.space, self.environment, self.sampler, self.sampler_name = space, environment, sampler, sampler_name
        self._wanted, self._seeds, self._rounds = configurations, list(seeds), list(rounds)
        self.calls: dict[str, Call] = {}
        self.given: dict[str, int] = {}
        self._records: dict[str, list[TrialRecord]] = {}
        self._measure: Measure | None = None
        self._asked: list[str] = []
        self._round = 0
        self._running: list[str] = []
        self._num_asked = 0
        self._ask()

    @property
    def is_over(self) -> bool:
        """Whether all is known that the choice needs."""
        return self._round == len(self._rounds)

    def next_seeds(self) -> dict[str, list[int]]:
        """Seeds that configurations are to run on next, by label."""
        if self.is_over:
            return {}
        upto = self._rounds[self._round]
        return {label: self._seeds[self.given[label] : upto] for label in self._running if self.given[label] < upto}

    def take(self, records: Iterable[TrialRecord], measure: Measure) -> None:
        """Go on with what the trials of `next_seeds` have given."""
        self._measure = measure
        if self.is_over:
            return
        for record in records:
            self._records[record.agent].append(record)
        for label, seeds in self.next_seeds().items():
            self.given[label] += len(seeds)
        if self._round == 0:
            known = [self._score(label) for label in self._asked]
            self.sampler.tell([None if math.isinf(score) else score for score, _ in known])
            if self._ask():
                return
        self._round += 1
        ranked = self.ranked(self._running)
        if not self.is_over:
            self._running = ranked[: math.ceil(len(ranked) / 2)]

    def ranked(self, labels: Sequence[str]) -> list[str]:
        """Configurations, best first; those with a trial that has no score last."""
        # Equal ones stay in their order.
        return sorted(labels, key=self._score, reverse=True)

    def result(self, agent: str) -> TunedAgent:
        """The choice, with what its tuning scores would claim.

        Args:
            agent: label of the chosen one in the table of fresh seeds.

        Raises:
            ExperimentError: no configuration has a score on all of its seeds.
        """
        assert self._measure is not None
        final = [label for label in self.ranked(self._running) if math.isfinite(self._score(label)[0])]
        if not final:
            raise ExperimentError(
                f"no configuration of {self.space.label!r} has a score on all tuning seeds of "
                f"{self.environment!r}{self._why_none()}"
            )
        scored = [label for label in self.calls if math.isfinite(self._score(label)[0])]
        return replace(
            self.result_of(agent, final[0]),
            optimism=self._optimism(final),
            may_be_best=self._possible(final[0], scored),
        )

    def result_of(self, agent: str, chosen: str) -> TunedAgent:
        """The same of a configuration that was chosen in another way, without optimism and what may be the best."""
        runs = sum(self.given.values())
        return TunedAgent(
            agent=agent,
            environment=self.environment,
            label=chosen,
            expression=self.expression(chosen),
            sampler=self.sampler_name,
            configurations=len(self.calls),
            runs=runs,
            saved=len(self.calls) * len(self._seeds) - runs,
            dropped=len(self.calls) - len(self._running),
            claim=self._claim(chosen),
            optimism=math.nan,
            may_be_best=(),
            unscored=sum(not math.isfinite(self._score(label)[0]) for label in self.calls),
        )

    def first_scores(self, number: int) -> NDArray[np.float64]:
        """Scores of all configurations on the first seeds, (num_configurations, number); NaN where there is none."""
        assert self._measure is not None
        return np.array([scores[:number] for scores in self._better_up(list(self.calls))], dtype=np.float64)

    def expression(self, label: str) -> str:
        """Expression of a configuration."""
        return to_expression(self.space.build(self.calls[label]))

    def _why_none(self) -> str:
        """Why trials have no score, in the same line."""
        records = [record for some in self._records.values() for record in some]
        failed = [one for one in records if not (one.is_done or one.is_stopped)]
        if failed:
            return f", the first failure: {failed[0].failure_reason}"
        if stopped := sum(one.is_stopped for one in records):
            return f": {stopped} of {len(records)} trials were stopped as hopeless"
        assert self._measure is not None
        return f": their {self._measure.name} is not finite"

    def _ask(self) -> bool:
        """Ask for further configurations to run; whether there are any."""
        batch = BATCH if self.sampler_name in OPTUNA_SAMPLERS else self._wanted
        left = self._wanted - self._num_asked
        calls = self.sampler.ask(min(batch, left)) if left else []
        self._num_asked += len(calls)
        self._asked = []
        for call in calls:
            words = self.space.words(call)
            label = f"{self.space.label} · {words}"
            self._asked.append(label)
            if label not in self.calls:
                self.calls[label] = call
                self.given[label] = 0
                self._records[label] = []
                self._running.append(label)
        return bool(calls)

    def _values(self, label: str, measure: Measure) -> list[float]:
        by_seed = {record.seed: record.number(measure.column) for record in self._records[label] if record.is_done}
        return [by_seed.get(seed, math.nan) for seed in self._seeds[: self.given[label]]]

    def _score(self, label: str) -> tuple[float, float]:
        """Mean, larger is better, and that of what decides between equals; -inf with a trial that has none."""
        assert self._measure is not None
        means = []
        for measure in (self._measure, MEASURES["greedy_return"]):
            values = self._values(label, measure)
            mean = float(np.mean(values)) if values else math.nan
            mean = mean if measure.higher_is_better else -mean
            means.append(mean if math.isfinite(mean) else -math.inf)
        return means[0], means[1]

    def _better_up(self, labels: Sequence[str]) -> list[list[float]]:
        """Scores of which more is better."""
        assert self._measure is not None
        sign = 1.0 if self._measure.higher_is_better else -1.0
        return [[sign * value for value in self._values(label, self._measure)] for label in labels]

    def _claim(self, label: str) -> tuple[float, float, float]:
        assert self._measure is not None
        everything = [record for some in self._records.values() for record in some]
        scores = SeedScores.of_records(label, self._records[label], self._measure)
        own = AgentScores(label, (scores,), self._measure.is_rate, limits_of(self._measure, everything))
        interval = own.interval
        ends = (interval.low + 0.0, interval.high + 0.0) if interval.is_known else (math.nan, math.nan)
        return own.mean, *ends

    def _optimism(self, final: Sequence[str]) -> float:
        """Of the last round, in which all have the same seeds."""
        if len(final) < 2 or len(self._seeds) < 2:
            return math.nan
        return optimism_of_winner(self._better_up(final))

    def _possible(self, chosen: str, scored: Sequence[str]) -> tuple[PossibleBest, ...]:
        """The chosen configuration, and the others that may be the best."""
        rows = self._better_up(scored)
        if len(rows) < 2:
            return (PossibleBest(chosen, self.expression(chosen), 1.0),)
        members = {scored[place] for place in best_set(rows, level=LEVEL).members} | {chosen}
        probabilities = dict(zip(scored, probabilities_of_best(rows), strict=True))
        # Equal ones stay in their order, which sets have none of.
        possible = [label for label in scored if label in members and label != chosen]
        others = sorted(possible, key=lambda label: -probabilities[label])
        return tuple(PossibleBest(label, self.expression(label), probabilities[label]) for label in [chosen, *others])
