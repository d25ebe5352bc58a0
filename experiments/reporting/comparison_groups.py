"""Groups of a comparison: leaders, those not distinguishable from them, and those that are beaten."""

import math
from dataclasses import dataclass
from functools import cached_property

from velodrome.experiments.results.comparison import ERROR, AgentPair, AgentScores, Comparison

# Scores that differ by less are the same but for rounding.
ROUNDING = 1e-9


@dataclass(frozen=True)
class PairOutcome:
    """A pair of agents, the one ahead on the seeds that both have first.

    Attributes:
        ahead: the agent with the larger mean on these seeds.
        behind: the other.
        estimate: mean of ahead less behind, at least 0; NaN where they have no seed in common.
        low: lower end of its 95 % interval; NaN where not known.
        high: upper end.
        pair: as it was compared.
    """

    ahead: AgentScores
    behind: AgentScores
    estimate: float
    low: float
    high: float
    pair: AgentPair

    @classmethod
    def of(cls, pair: AgentPair) -> "PairOutcome":
        """A pair, turned so that the difference is not negative."""
        difference = pair.difference
        if difference is None:
            return cls(pair.first, pair.second, math.nan, math.nan, math.nan, pair)
        known = difference.interval.is_known
        low, high = (difference.interval.low, difference.interval.high) if known else (math.nan, math.nan)
        if difference.estimate < 0:
            return cls(pair.second, pair.first, -difference.estimate, -high, -low, pair)
        return cls(pair.first, pair.second, difference.estimate + 0.0, low + 0.0, high + 0.0, pair)

    @property
    def is_different(self) -> bool:
        """Whether the one ahead beats the other."""
        return self.pair.verdict == "different"

    @property
    def leaves_out_zero(self) -> bool:
        """Whether the pair's own interval, taken alone, would say that they differ."""
        return self.low > 0

    @property
    def is_same(self) -> bool:
        """Whether both score the same with every seed, and there are two seeds at least."""
        return self.pair.is_paired and self.pair.num_seeds > 1 and self.num_differing == 0

    @property
    def is_one_sided(self) -> bool:
        """Whether the one ahead scores higher on every seed that both have."""
        if not self.pair.is_paired or len(self.pair.seeds) > 1 or not self.pair.seeds[0]:
            return False
        (ours,), (theirs,), seeds = self.pair.parts_of(self.ahead), self.pair.parts_of(self.behind), self.pair.seeds[0]
        return self.num_differing == len(seeds) and bool((ours.at(seeds) > theirs.at(seeds)).all())

    @property
    def num_differing(self) -> int:
        """Seeds, of all environments, with which the two score differently; of different seeds, all."""
        if not self.pair.is_paired:
            return self.pair.num_seeds
        count = 0
        ours_of, theirs_of = self.pair.parts_of(self.pair.first), self.pair.parts_of(self.pair.second)
        for ours, theirs, seeds in zip(ours_of, theirs_of, self.pair.seeds, strict=True):
            scores = zip(ours.at(seeds), theirs.at(seeds), strict=True)
            count += sum(abs(one - other) > ROUNDING * max(abs(one), abs(other)) for one, other in scores)
        return count


@dataclass(frozen=True)
class Groups:
    """The agents of a comparison, best first within each group.

    Attributes:
        comparison: of the agents.
    """

    comparison: Comparison

    @cached_property
    def ranked(self) -> list[AgentScores]:
        """Agents that are compared, best first."""
        return [agent for agent in self.comparison.agents if self.comparison.letters[agent.label]]

    @property
    def top(self) -> AgentScores:
        """The agent with the largest mean."""
        return self.ranked[0]

    def outcome(self, one: AgentScores, other: AgentScores) -> PairOutcome:
        """Comparison of two agents."""
        return PairOutcome.of(self.comparison.pairs[one.label, other.label])

    @cached_property
    def same(self) -> list[AgentScores]:
        """The top and those that always score the same as it."""
        return [self.top, *[agent for agent in self.ranked[1:] if self.outcome(self.top, agent).is_same]]

    @cached_property
    def open(self) -> list[AgentScores]:
        """Those not distinguishable from the top, or undecided, though they do not always score the same."""
        rest = [agent for agent in self.ranked if agent not in self.same]
        return [agent for agent in rest if not self.outcome(self.top, agent).is_different]

    @cached_property
    def leaders(self) -> list[AgentScores]:
        """The top and all that are not known to differ from it."""
        return [agent for agent in self.ranked if agent in self.same or agent in self.open]

    @cached_property
    def outside(self) -> list[AgentScores]:
        """Those that differ from the top."""
        return [agent for agent in self.ranked if agent not in self.leaders]

    @cached_property
    def beaten(self) -> list[AgentScores]:
        """Those that the top beats."""
        return [agent for agent in self.outside if self.outcome(self.top, agent).ahead is self.top]

    def unsettled(self, ours: list[AgentScores], theirs: list[AgentScores]) -> list[PairOutcome]:
        """Pairs across two groups in which the first group's agent does not beat the second's."""
        outcomes = [self.outcome(one, other) for one in ours for other in theirs]
        return [one for one in outcomes if not (one.is_different and one.ahead in ours)]

    @cached_property
    def least_seeds(self) -> int:
        """Seeds with which a paired test can find any difference at all.

        With n seeds the smallest p-value of sign flips is 2 / 2ⁿ, of any number of pairs by max-T. Where looks or
        unpaired tests come in, Holm's correction multiplies it by the number of pairs.
        """
        pairs = len(self.ranked) * (len(self.ranked) - 1) // 2
        factor = 1 if self.comparison.correction == "max-T" else max(1, pairs)
        return math.ceil(1 + math.log2(factor / ERROR))

    @cached_property
    def most_seeds(self) -> int:
        """The largest number of seeds that any pair was compared on."""
        return max(pair.num_seeds for pair in self.comparison.pairs.values())
