"""A bandit whose rewards are fixed beforehand by an adversary."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from velodrome.checks import ConfigurationError, check_integer
from velodrome.envs.bandit import FIXED, Arms, Bandit
from velodrome.envs.reward_kind import RewardKind

# How often an arm of the generated rewards pays: the one that is best in hindsight, and the others.
BEST_PAYS, OTHERS_PAY = 0.9, 0.5


class AdversarialBandit(Bandit):
    """Pull one arm an episode; what each arm pays at each pull is written down beforehand.

    ## Description
    Rewards are an array with a row for each pull, by default one that an adversary has made for policies that choose
    without chance. Policies that prefer what paid more and was tried less, ties to the first arm (UCB1, KL-UCB, MOSS),
    pull the arms in turn as long as none has paid: the arm whose turn it is pays 0. Of the others one, drawn from
    `sequence_seed`, pays 1 with probability 0.9, the rest with probability 0.5: a policy that draws its arms finds it,
    one that does not earns nothing. After the last row the first follows. One pull is one episode; a reset with a seed
    begins with the first row.

    ## Action Space
    Discrete(number of arms): the arm to pull.

    ## Observation Space
    Discrete(1): always 0.

    ## Starting State
    State 0.

    ## Rewards
    The number in the row of the pull and the column of the arm; nothing is random.

    ## Episode End
    After one step. Success is having pulled the arm that is best in hindsight: of the largest sum of rewards over all
    rows, the first of several. Regret compares with pulling it always.

    ## Arguments
    `rewards=None`, an array (pulls, arms), or else `num_arms=5`, `num_pulls=10000` and `sequence_seed=0` of the
    adversary's.

    ## Reference
    Auer, Cesa-Bianchi, Freund & Schapire (2002), The nonstochastic multiarmed bandit problem; Lattimore & Szepesvári
    (2020), Bandit Algorithms, chapter 11.

    ## Version History
    v0: first version.
    """

    def __init__(
        self,
        rewards: ArrayLike | None = None,
        num_arms: int = 5,
        num_pulls: int = 10_000,
        sequence_seed: int = 0,
        render_mode: str | None = None,
    ) -> None:
        number, pulls = check_integer("num_arms", num_arms, minimum=2), check_integer("num_pulls", num_pulls, minimum=1)
        seed = check_integer("sequence_seed", sequence_seed, minimum=0)
        rows = _sequence(number, pulls, seed) if rewards is None else _own_sequence(rewards)
        best = int(rows.sum(axis=0).argmax())
        arms = Arms(FIXED, 0.0, 0.0, np.arange(len(rows)), rows, len(rows), best)
        super().__init__(rows[0], arms, RewardKind.of_values(rows), render_mode=render_mode)


@lru_cache(maxsize=8)
def _sequence(num_arms: int, num_pulls: int, seed: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    pays = np.full(num_arms, OTHERS_PAY)
    pays[rng.integers(num_arms)] = BEST_PAYS
    rows = (rng.random((num_pulls, num_arms)) < pays).astype(np.float64)
    pulls = np.arange(num_pulls)
    rows[pulls, pulls % num_arms] = 0.0
    rows.flags.writeable = False
    return rows


def _own_sequence(given: ArrayLike) -> NDArray[np.float64]:
    try:
        rows = np.array(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise ConfigurationError(
            "rewards must be an array of numbers, a row for each pull and a column for each arm"
        ) from None
    if rows.ndim != 2 or not rows.size:
        raise ConfigurationError(
            f"rewards must have a row for each pull and a column for each arm, got shape {rows.shape}"
        )
    if not np.isfinite(rows).all():
        pull, arm = (int(place) for place in np.argwhere(~np.isfinite(rows))[0])
        raise ConfigurationError(f"rewards must be finite, got {rows[pull, arm]} at pull {pull}, arm {arm}")
    return rows
