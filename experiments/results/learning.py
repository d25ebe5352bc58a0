"""How fast agents learnt: episodes until a success rate was reached, and regret."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from velodrome.experiments.results.trial_table import TrialRecord, TrialTable, equally_long
from velodrome.experiments.statistics import EpisodesToThreshold, StatisticsError, episodes_to_threshold

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


def threshold_of(records: Iterable[TrialRecord], rate: float | None = None) -> Threshold | None:
    """The threshold for an environment's trials; None where no success is known.

    The default rate is 0.8 of the best possible, or 0.8 where that is not known; the window is 100 episodes, or a
    tenth of the shortest training.

    Args:
        records: of all trials on the environment.
        rate: the user's own.
    """
    done = [record for record in records if record.is_done]
    trained = [
        record
        for record in done
        if record.number("episodes") > 0 and not math.isnan(record.number("train_success_rate"))
    ]
    if not trained:
        return None
    fewest = min(int(record.number("episodes")) for record in trained)
    window = max(1, min(WINDOW, fewest // SHARE_OF_EPISODES))
    if rate is not None:
        return Threshold(rate, window)
    best = trained[0].number("best_success_rate")
    if math.isnan(best) or best <= 0:
        return Threshold(SHARE_OF_BEST, window)
    return Threshold(SHARE_OF_BEST * best, window, SHARE_OF_BEST)


def episodes_to(table: TrialTable, environment: str, agent: str, threshold: Threshold) -> EpisodesToThreshold | None:
    """Episodes until an agent's trials reached a threshold; None where their curves tell no success."""
    known = [row for row in table.successes(environment, agent) if row is not None and len(row)]
    together = equally_long(known)
    successes = (row.astype(np.float64) for row in known) if together is None else together
    try:
        return episodes_to_threshold(successes, threshold.rate, window=threshold.window)
    except StatisticsError:
        return None


def training_regrets(table: TrialTable, environment: str, agent: str) -> NDArray[np.float64]:
    """Regret of each of an agent's trials that are done: what its episodes fell short of the best return, in all.

    R = Σ (v* - return) over the finished episodes, with the exact best expected return v*: where the curve of
    `cumulative_regret` ends. Where pseudo-regrets are known of all trials, it is these. Ask `why_no_regret` first.

    Returns:
        float64 (num_trials,), NaN where the best return is not known or no episode finished.

    Source: Lattimore & Szepesvári (2020), "Bandit Algorithms", section 4.3.
    """
    records = table.done(environment, agent)
    if has_pseudo_regrets(table, environment):
        return np.array([record.number("pseudo_regret") for record in records], dtype=np.float64)
    of_means = [record.number("episodes") * record.number("train_mean_return") for record in records]
    # With a budget of steps the mean counts an episode that the budget cut.
    is_of_episodes = table.budget(environment, agent)[1] is None
    if is_of_episodes and not table.settings.origin:
        sums = of_means
    else:
        sums = [float(curve.returns.sum()) for curve in table.episode_curves(environment, agent)]
        if len(sums) != len(records):
            sums = of_means if is_of_episodes else [math.nan] * len(records)
    return np.array(
        [
            record.number("episodes") * record.number("best_return") - earned if record.number("episodes") else np.nan
            for record, earned in zip(records, sums, strict=True)
        ],
        dtype=np.float64,
    )


def has_pseudo_regrets(table: TrialTable, environment: str) -> bool:
    """Whether all trials on an environment that are done know what each action was expected to pay."""
    done = table.done_on(environment)
    return bool(done) and all(math.isfinite(record.number("pseudo_regret")) for record in done)


def why_no_regret(table: TrialTable, environment: str) -> str:
    """Why regrets in an environment are not comparable; empty where they are.

    A sum over few long episodes is small, however little was earned: an agent that never ends an episode would have no
    regret. So all trials must have finished equally many episodes, and with a budget of steps, which may cut the last
    episode, all episodes must have taken equally many steps.
    """
    trained = [record for record in table.done_on(environment) if record.number("steps") != 0]
    with_steps = [agent for agent in table.agents if table.budget(environment, agent)[1] is not None]
    if with_steps and len(_lengths(table, environment, with_steps)) > 1:
        return EPISODES_DIFFER
    return NUMBERS_DIFFER if len({record.number("episodes") for record in trained}) > 1 else ""


EPISODES_DIFFER = "with a budget of steps, episodes of different lengths do not add up to comparable sums"
NUMBERS_DIFFER = "trials finished different numbers of episodes, whose sums are not comparable"


def _lengths(table: TrialTable, environment: str, agents: Iterable[str]) -> set[float]:
    """Different numbers of steps that finished episodes took, of unfinished ones where they took longer."""
    lengths: set[float] = set()
    for agent in agents:
        records = table.done(environment, agent)
        sums = []
        for curve in table.episode_curves(environment, agent):
            lengths |= set(np.unique(curve.lengths).tolist())
            sums.append(int(curve.lengths.sum()))
        for record, finished in zip(records, sums, strict=False) if len(records) == len(sums) else ():
            left = record.number("steps") - finished
            if left > max(lengths, default=0):
                lengths.add(left)
    return lengths


def unfinished_shares(table: TrialTable, environment: str) -> dict[str, float]:
    """Agents with a budget of steps, and the share of their steps in episodes that had not ended when it did."""
    shares = {}
    for agent in table.agents:
        if table.budget(environment, agent)[1] is None:
            continue
        records = table.done(environment, agent)
        finished = [int(curve.lengths.sum()) for curve in table.episode_curves(environment, agent)]
        steps = sum(record.number("steps") for record in records)
        if len(records) == len(finished) and steps > 0:
            shares[agent] = 1.0 - sum(finished) / steps
    return shares
