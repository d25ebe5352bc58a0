"""Parts of the sentences on a comparison: its groups, the scale of the scores, words and numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from velodrome.experiments.reporting.comparison_groups import ROUNDING, Groups, PairOutcome
from velodrome.experiments.reporting.languages import Words
from velodrome.experiments.results import numbers
from velodrome.experiments.results.comparison import AgentScores


@dataclass(frozen=True)
class Scale:
    """Scale that agents are compared on.

    Attributes:
        heading: its name, in the reader's language.
        is_rate: whether it is a share of 1.
        best: its value for the best possible policy; NaN if not known.
        random: likewise, of the uniformly random policy.
    """

    heading: str
    is_rate: bool
    best: float = math.nan
    random: float = math.nan

    def reaches_best(self, value: float) -> bool:
        """Whether a value is the best possible one, but for rounding."""
        return numbers.is_known(self.best) and value >= self.best - ROUNDING * max(1.0, abs(self.best))

    def exceeds_best(self, value: float) -> bool:
        """Whether a value lies above the best possible one, by more than rounding."""
        return numbers.is_known(self.best) and value > self.best + ROUNDING * max(1.0, abs(self.best))


@dataclass(frozen=True)
class SentenceParts:
    """Parts of the sentences on one comparison.

    Attributes:
        groups: of the comparison, with two agents or more.
        scale: of the scores.
        words: in the reader's language.
        difference: the smallest that matters to the reader; by default the observed one.
    """

    groups: Groups
    scale: Scale
    words: Words
    difference: float | None = None

    @property
    def is_sequential(self) -> bool:
        """Whether seeds were added until pairs were decided."""
        return self.groups.comparison.correction == "group-sequential"

    def told(self, outcome: PairOutcome) -> dict[str, str]:
        """Fields of a template on a pair."""
        difference = numbers.estimate(outcome.estimate, outcome.low, outcome.high, self._is_share(outcome))
        if outcome.pair.is_by_return:
            difference = self.words("{difference} in greedy return", difference=difference)
        return {
            "ahead": self.words.name(outcome.ahead.label),
            "behind": self.words.name(outcome.behind.label),
            "difference": difference,
            "seeds": self.words.seeds([outcome.pair.num_seeds]),
        }

    def always_best(self, agent: AgentScores) -> bool:
        """Whether an agent reaches the best possible with every seed."""
        return len(self.groups.ranked) > 1 and all(
            self.scale.reaches_best(float(value)) for part in agent.parts for value in part.values
        )

    def estimate(self, agent: AgentScores) -> str:
        """An agent's mean with its interval."""
        interval = agent.interval
        low, high = (interval.low, interval.high) if interval.is_known else (math.nan, math.nan)
        return numbers.estimate(agent.mean, low, high, self.scale.is_rate)

    def rounded(self, value: float, outcome: PairOutcome) -> str:
        """A difference with as many decimals as that of a pair."""
        return numbers.rounded(value, outcome.low, outcome.high, self._is_share(outcome))

    def _is_share(self, outcome: PairOutcome) -> bool:
        """Whether a pair's difference is written as the scores are, in shares of 1."""
        return self.scale.is_rate and not outcome.pair.is_by_return

    def names(self, agents: Sequence[AgentScores]) -> str:
        """Agents as a list."""
        return self.words.names([agent.label for agent in agents])
