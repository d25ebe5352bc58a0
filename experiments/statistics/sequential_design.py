"""The plan of a sequential comparison, fixed before the first look, and where the comparison stands."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, pairwise
from typing import Any, Literal, TypeAlias

from velodrome.experiments.statistics.errors import StatisticsError
from velodrome.experiments.statistics.pairwise import letters_of
from velodrome.experiments.statistics.permutation_tests import NUM_PERMUTATIONS
from velodrome.experiments.statistics.scores import check_level

Spending: TypeAlias = Literal["linear", "obrien-fleming"]
Verdict: TypeAlias = Literal["undecided", "different", "not distinguishable"]


@dataclass(frozen=True)
class SequentialDesign:
    """How a sequential comparison looks at its data. To change it after a look would void its error.

    Attributes:
        stage_sizes: increasing numbers of seeds that each agent has at each look.
        level: family-wise error over all pairs and looks.
        spending: how much of the level may be spent by a look with the share t of all seeds: "linear" t · level, as
            AdaStop; "obrien-fleming" 2 - 2 Φ(z / √t), little at first (Lan & DeMets, 1983).
        futility: a pair is given up as not distinguishable where its conditional power under the trend so far falls
            below this (0: never). Giving up never raises the error.
        num_permutations: sign patterns; more where the number of pairs needs them.
        seed: of the sign patterns.
    """

    stage_sizes: tuple[int, ...]
    level: float = 0.05
    spending: Spending = "linear"
    futility: float = 0.0
    num_permutations: int = NUM_PERMUTATIONS
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "stage_sizes", tuple(int(size) for size in self.stage_sizes))
        check_level(self.level)
        sizes = self.stage_sizes
        if not sizes or sizes[0] < 2 or any(one >= other for one, other in pairwise(sizes)):
            raise StatisticsError(f"stage_sizes: must increase and start with at least 2 seeds, got {list(sizes)}")
        if self.spending not in ("linear", "obrien-fleming"):
            raise StatisticsError(f"spending: must be linear or obrien-fleming, got {self.spending!r}")
        if not 0 <= self.futility < 1:
            raise StatisticsError(f"futility: must be at least 0 and below 1, got {self.futility}")
        if self.num_permutations < 1:
            raise StatisticsError(f"num_permutations: must be at least 1, got {self.num_permutations}")

    @classmethod
    def up_to(cls, first: int, max_seeds: int, *, num_stages: int = 5, **options: Any) -> "SequentialDesign":
        """Looks at evenly spaced numbers of seeds, from the first to the largest.

        Args:
            first: seeds at the first look.
            max_seeds: seeds at the last.
            num_stages: looks; fewer if there are not as many numbers between. A single one is the last.
            options: other attributes.

        Raises:
            StatisticsError: as the attributes.
        """
        if max_seeds < first or num_stages < 1:
            raise StatisticsError(f"max_seeds: must be at least the first look's {first}, got {max_seeds}")
        steps = max(1, num_stages - 1)
        sizes = {max_seeds} | {
            first + math.ceil((max_seeds - first) * stage / steps) for stage in range(num_stages - 1)
        }
        return cls(tuple(sorted(sizes)), **options)

    def spent(self, level: float, stage: int) -> float:
        """Share of false rejections that a test at `level` may have made up to and with a stage (from 0).

        Args:
            level: probability of a false rejection over all stages, in (0, 1).
            stage: number of the stage, from 0.
        """
        from scipy.special import ndtr, ndtri

        share = self.stage_sizes[stage] / self.stage_sizes[-1]
        if self.spending == "linear":
            return level * share
        return float(2 * ndtr(ndtri(level / 2) / math.sqrt(share)))


@dataclass(frozen=True)
class SequentialPair:
    """Where two agents stand.

    Attributes:
        first: index of an agent.
        second: index of another; first < second.
        verdict: "undecided", "different" or "not distinguishable".
        difference: mean of the first less the second when last looked at; None before the first look.
        num_seeds: of both when last looked at.
    """

    first: int
    second: int
    verdict: Verdict = "undecided"
    difference: float | None = None
    num_seeds: int = 0

    @property
    def better(self) -> int | None:
        """Index of the better agent; None if they are not known to differ."""
        if self.verdict != "different" or self.difference is None:
            return None
        return self.first if self.difference > 0 else self.second


@dataclass(frozen=True)
class SequentialState:
    """Where a sequential comparison stands: all that it needs to go on, but for the scores.

    Attributes:
        design: of the looks.
        num_agents: that are compared.
        stage: looks so far.
        pairs: of agents i < j, in the order (0, 1), (0, 2), ….
    """

    design: SequentialDesign
    num_agents: int
    stage: int
    pairs: tuple[SequentialPair, ...]

    @classmethod
    def start(cls, num_agents: int, design: SequentialDesign) -> "SequentialState":
        """Before the first look.

        Args:
            num_agents: number of agents, at least 2.
            design: looks and levels.
        """
        if num_agents < 1:
            raise StatisticsError(f"num_agents: must be at least 1, got {num_agents}")
        pairs = tuple(SequentialPair(first, second) for first, second in combinations(range(num_agents), 2))
        return cls(design, num_agents, 0, pairs)

    @property
    def is_finished(self) -> bool:
        """Whether every pair is decided."""
        return all(pair.verdict != "undecided" for pair in self.pairs)

    @property
    def agents_to_run(self) -> tuple[int, ...]:
        """Indices of the agents that the next look needs more seeds of."""
        undecided = (pair for pair in self.pairs if pair.verdict == "undecided")
        return tuple(sorted({agent for pair in undecided for agent in (pair.first, pair.second)}))

    @property
    def next_size(self) -> int | None:
        """How many seeds each of them needs in all; None when finished."""
        return None if self.is_finished else self.design.stage_sizes[self.stage]

    def letters(self, ranking: Sequence[int]) -> list[str]:
        """Letters of the agents; those that share one are not (yet) distinguishable.

        Args:
            ranking: numbers of the agents, the best first.
        """
        return letters_of(ranking, [(pair.first, pair.second) for pair in self.pairs if pair.verdict == "different"])

    def to_data(self) -> dict[str, Any]:
        """JSON-ready data."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> "SequentialState":
        """State that `to_data` gave, also after JSON.

        Args:
            data: the design, the number of agents, the stage and the pairs, by name.

        Raises:
            StatisticsError: something is missing or unknown.
        """
        try:
            design = SequentialDesign(**data["design"])
            pairs = tuple(SequentialPair(**pair) for pair in data["pairs"])
            return cls(design, data["num_agents"], data["stage"], pairs)
        except (KeyError, TypeError) as error:
            raise StatisticsError(f"state: not the state of a sequential comparison ({error})") from None
