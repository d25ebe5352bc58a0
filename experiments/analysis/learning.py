"""How fast agents learnt: episodes until a success rate was reached, and regret."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from velodrome.experiments.statistics import EpisodesToThreshold, StatisticsError, episodes_to_threshold

if TYPE_CHECKING:
    from velodrome.experiments.results import Results

# Without a threshold of the user's own: this share of the best possible success rate, over so many episodes at most.
SHARE_OF_BEST = 0.8
WINDOW = 100
SHARE_OF_EPISODES = 10


@dataclass(frozen=True)
class Threshold:
    """A success rate in training to be reached.

    Attributes:
        rate: mean success of the last `window` episodes.
        window: episodes.
        share_of_best: which share of the best possible rate it is; None for the user's own rate or where the best is
            not known.
    """

    rate: float
    window: int
    share_of_best: float | None = None


def threshold_of(records: Iterable[Mapping[str, Any]], rate: float | None = None) -> Threshold | None:
    """The threshold for an environment's trials; None where no success is known.

    The default rate is 0.8 of the best possible, or 0.8 where that is not known; the window is 100 episodes, or a
    tenth of the shortest training.

    Args:
        records: of all trials on the environment.
        rate: the user's own.
    """
    done = [record for record in records if record["status"] == "done"]
    trained = [record for record in done if record["episodes"] > 0 and not math.isnan(record["train_success_rate"])]
    if not trained:
        return None
    fewest = min(int(record["episodes"]) for record in trained)
    window = max(1, min(WINDOW, fewest // SHARE_OF_EPISODES))
    if rate is not None:
        return Threshold(rate, window)
    best = trained[0]["best_success_rate"]
    if math.isnan(best) or best <= 0:
        return Threshold(SHARE_OF_BEST, window)
    return Threshold(SHARE_OF_BEST * best, window, SHARE_OF_BEST)


def episodes_to(results: "Results", environment: str, agent: str, threshold: Threshold) -> EpisodesToThreshold | None:
    """Episodes until an agent's trials reached a threshold; None where their curves tell no success."""
    successes = [
        np.asarray(curve.successes, dtype=np.float64)
        for curve in results.episode_curves(environment, agent)
        if curve.successes is not None and curve.episodes > 0
    ]
    if not successes:
        return None
    try:
        return episodes_to_threshold(successes, threshold.rate, window=threshold.window)
    except StatisticsError:
        return None


def training_regrets(records: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    """Regret of each trial in training: what its episodes' returns fell short of the best expected ones, in all.

    R = T (v* - mean return), with the exact best expected return v*: where the curve of `cumulative_regret` ends.

    Args:
        records: of trials that are done.

    Returns:
        float64 (num_trials,), NaN where the best return is not known.

    Source: Lattimore & Szepesvári (2020), "Bandit Algorithms", section 4.3.
    """
    return np.array(
        [
            record["episodes"] * (record["best_return"] - record["train_mean_return"]) if record["episodes"] else np.nan
            for record in records
        ],
        dtype=np.float64,
    )
