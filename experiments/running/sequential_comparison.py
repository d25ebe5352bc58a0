"""A comparison on one environment that goes on until every pair is decided: who needs which seeds next, and looks."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from velodrome.experiments.results.measures import deciding_measure
from velodrome.experiments.results.seed_scores import SeedScores
from velodrome.experiments.results.trial_table import TrialRecord
from velodrome.experiments.statistics import SequentialDesign, SequentialState, look
from velodrome.experiments.statistics.scores import LARGEST
from velodrome.experiments.trials.measures import MEASURES, Measure


class SequentialComparison:
    """Gives agents seeds 0, 1, 2, … until all of their pairs are decided, or seeds run out.

    A seed is used if every agent that still runs has a score on it. One that is left out, for a trial failed, is
    replaced by the next. It is deterministic in the records that it is given.

    Args:
        environment: its label.
        agents: labels.
        design: of the looks.
        most_seeds: that are tried, replacements included.
        metric: what agents are compared by; see `deciding_measure` if None.
        measures: by name, of which it is one.

    Attributes:
        environment: its label.
        agents: labels of those that are compared, in the order of the state.
        state: verdicts so far; without pairs where fewer than two agents are left.
        measure: what agents are compared by; None before the first trials.
        excluded: label to reason of the agents that are left out.
        seeds: used so far, those of the looks first.
        given: how many seeds each agent was given, those that were left out among them.
        stopped: why pairs stay undecided; empty if they do not, or not yet.
    """

    def __init__(
        self,
        environment: str,
        agents: Sequence[str],
        design: SequentialDesign,
        *,
        most_seeds: int,
        metric: str | None = None,
        measures: Mapping[str, Measure] = MEASURES,
    ) -> None:
        self.environment, self.agents = environment, list(agents)
        self.state = SequentialState.start(len(agents), design)
        self.measure: Measure | None = None
        self.excluded: dict[str, str] = {}
        self.seeds: list[int] = []
        self.given = dict.fromkeys(agents, 0)
        self.stopped = ""
        self._design, self._most_seeds, self._metric, self._measures = design, most_seeds, metric, measures
        self._records: dict[str, list[TrialRecord]] = {agent: [] for agent in agents}
        self._tried = 0

    @property
    def is_over(self) -> bool:
        """Whether no further seed is needed."""
        return self.state.is_finished or bool(self.stopped)

    def next_seeds(self) -> dict[str, range]:
        """Seeds that the next look needs, of each agent that needs any; empty when it is over."""
        if self.is_over:
            return {}
        return dict.fromkeys(self._running(), range(self._tried, self._tried + self._num_missing()))

    def take(self, records: Iterable[TrialRecord]) -> list[str]:
        """Look at what the trials of `next_seeds` have given.

        Args:
            records: as those of `Results`, failed trials among them; none where it is over.

        Returns:
            Warnings, each in a line: who is left out, and why pairs stay undecided.
        """
        if self.is_over:
            return []
        given = self.next_seeds()
        for agent, seeds in given.items():
            self.given[agent] = seeds.stop
        for record in records:
            self._records[record.agent].append(record)
        self._tried += self._num_missing()
        if self.measure is None:
            everyone = (record for own in self._records.values() for record in own)
            self.measure = deciding_measure(everyone, self._metric, self._measures)
        scores = {agent: SeedScores.of_records(agent, self._records[agent], self.measure) for agent in self.agents}
        told = []
        if self.state.stage == 0:
            told += self._exclude(scores)
        if len(self.agents) < 2:
            return told
        tried = range(self.seeds[-1] + 1 if self.seeds else 0, self._tried)
        running = [set(scores[agent].seeds) for agent in self._running()]
        self.seeds += [seed for seed in tried if all(seed in seeds for seeds in running)]
        while not self.is_over and self._num_missing() <= 0:
            self._look(scores)
        if not self.is_over and self._tried + self._num_missing() > self._most_seeds:
            self.stopped = (
                f"{len(self.seeds)} of {self._tried} seeds have scores of all of {', '.join(self._running())}, "
                f"the next look needs {len(self.seeds) + self._num_missing()}, and at most {self._most_seeds} are tried"
            )
        if self.stopped:
            told.append(f"pairs on {self.environment} stay undecided: {self.stopped}")
        return told

    def to_data(self) -> dict[str, Any]:
        """Where it stands, JSON-ready; see `run_until_decided`."""
        return {
            "measure": None if self.measure is None else self.measure.name,
            "agents": list(self.agents),
            "state": self.state.to_data(),
            "excluded": dict(self.excluded),
            "seeds": list(self.seeds),
            "stopped": self.stopped,
        }

    def _running(self) -> list[str]:
        return [self.agents[agent] for agent in self.state.agents_to_run]

    def _num_missing(self) -> int:
        """Used seeds that the next look lacks."""
        size = self.state.next_size
        return 0 if size is None else size - len(self.seeds)

    def _exclude(self, scores: Mapping[str, SeedScores]) -> list[str]:
        """Leave out, before the first look, agents of which nothing can be said; the others start anew."""
        problems = {agent: _problem(scores[agent], self._records[agent]) for agent in self.agents}
        new = {agent: problem for agent, problem in problems.items() if problem}
        if not new:
            return []
        self.excluded |= new
        self.agents = [agent for agent in self.agents if agent not in new]
        self.state = SequentialState.start(max(1, len(self.agents)), self._design)
        told = [f"{agent} is left out of the comparison on {self.environment}: {why}" for agent, why in new.items()]
        if len(self.agents) < 2:
            told.append(f"fewer than two agents are left on {self.environment}: there is nothing to decide")
        return told

    def _look(self, scores: Mapping[str, SeedScores]) -> None:
        running = self._running()
        for agent in running:
            problem = _problem(scores[agent], self._records[agent])
            if problem:
                self.stopped = f"{agent}: {problem}"
                return
        seeds = self.seeds[: self.state.next_size]
        nothing = np.zeros(0)
        self.state = look(
            self.state, [scores[agent].at(seeds) if agent in running else nothing for agent in self.agents]
        )


def _problem(scores: SeedScores, records: Sequence[TrialRecord]) -> str:
    """Why an agent cannot be compared; empty if it can."""
    if scores.num_stopped:
        return scores.problem
    if not scores.seeds:
        failures = [record for record in records if not record.is_done]
        if len(failures) < len(records) or not failures:
            return "its trials have no such score"
        return f"all of its {len(failures)} trials failed, the first: {failures[0].error}"
    num_beyond = int(np.count_nonzero(np.abs(scores.values) > LARGEST))
    return f"{num_beyond} of {len(scores.seeds)} scores are infinite" if num_beyond else ""
