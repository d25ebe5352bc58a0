"""The value of a policy from what another one did: off-policy estimates for bandits with contexts, and their warnings.

For pulls i = 1 … n with context x, arm a, reward r and propensity p, the probability with which the logging policy took
a at x, and a target policy π, let w = π(a|x) / p, the weight. Estimators, with q(x, a) a model of the rewards:

    ips             mean of w r
    snips           Σ w r / Σ w
    direct          mean of Σ_a π(a|x) q(x, a)
    doubly_robust   mean of Σ_a π(a|x) q(x, a) + w (r - q(x, a))
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from velodrome.checks import check_choice
from velodrome.experiments.errors import ExperimentWarning
from velodrome.experiments.statistics.errors import StatisticsError
from velodrome.experiments.statistics.interval import Interval
from velodrome.experiments.statistics.scores import as_scores, check_level, random_stream
from velodrome.experiments.statistics.student_intervals import t_interval

Estimator = Literal["ips", "snips", "direct", "doubly_robust"]
ESTIMATORS: tuple[str, ...] = get_args(Estimator)
# Probabilities (pulls, num_actions), or actions (pulls,), or a function of the contexts that gives one of these.
Target = ArrayLike | Callable[[np.ndarray], Any]

# Of sums of probabilities.
_ROUNDING = 1e-6
# A logging probability below it is called tiny; weights of 100 follow.
TINY = 0.01
# Below so many pulls' worth of weight, or so small a share of the pulls, intervals are not to be trusted.
FEWEST_EFFECTIVE, SMALLEST_EFFECTIVE_SHARE = 50, 0.01
# A single pull that is more than this share of the sum of squared weights is heavy.
HEAVY_SHARE = 0.1
# Weights have the mean 1; so many standard errors from it they do not.
_FAR = 4.0


@dataclass(frozen=True, eq=False)
class LoggedPolicy:
    """Log of a policy: one row a pull, with the probability of the action taken.

    Args:
        contexts: observations, any array of `pulls` rows.
        actions: taken, counted from 0, int (pulls,).
        rewards: that followed, (pulls,).
        propensities: probability with which each action was taken, in (0, 1], (pulls,).
        num_actions: number of actions there are.
        probabilities: of all actions, (pulls, num_actions), where they are known: then actions that could not be taken
            are found.

    Raises:
        StatisticsError: lengths differ, or a number is not allowed.
    """

    contexts: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    propensities: np.ndarray
    num_actions: int
    probabilities: np.ndarray | None = None

    def __post_init__(self) -> None:
        rewards = as_scores(self.rewards, "rewards")
        propensities = as_scores(self.propensities, "propensities")
        actions, contexts = _whole("actions", self.actions), np.asarray(self.contexts)
        lengths = {
            "contexts": len(contexts) if contexts.ndim else 0,
            "actions": len(actions),
            "rewards": len(rewards),
            "propensities": len(propensities),
        }
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{number:,} {name}" for name, number in lengths.items())
            raise StatisticsError(f"a log has one of each for every pull, got {listed}")
        if isinstance(self.num_actions, bool) or not isinstance(self.num_actions, int) or self.num_actions < 1:
            raise StatisticsError(f"num_actions: must be a whole number of at least 1, got {self.num_actions!r}")
        wrong = np.flatnonzero((propensities <= 0) | (propensities > 1))
        if len(wrong):
            raise StatisticsError(
                f"propensities: must be above 0 and at most 1, got {propensities[wrong[0]]:g} for pull {wrong[0]}"
                + (f" and {len(wrong) - 1:,} more" if len(wrong) > 1 else "")
            )
        _check_actions("actions", actions, self.num_actions)
        object.__setattr__(self, "contexts", contexts)
        object.__setattr__(self, "actions", actions)
        object.__setattr__(self, "rewards", rewards)
        object.__setattr__(self, "propensities", propensities)
        if self.probabilities is not None:
            given = _distributions("probabilities", self.probabilities, len(actions), self.num_actions)
            of_taken = given[np.arange(len(actions)), actions]
            apart = np.flatnonzero(np.abs(of_taken - propensities) > _ROUNDING)
            if len(apart):
                raise StatisticsError(
                    f"probabilities: must give the action taken its propensity, got {of_taken[apart[0]]:g} and "
                    f"{propensities[apart[0]]:g} for pull {apart[0]}"
                )
            object.__setattr__(self, "probabilities", given)

    def __len__(self) -> int:
        return len(self.actions)


@dataclass(frozen=True, eq=False)
class OffPolicyValue:
    """An off-policy estimate.

    Attributes:
        value: estimated reward of a pull.
        interval: of it; it covers chance, and of "direct" not the error of the model.
        standard_error: of the value.
        estimator: "ips", "snips", "direct" or "doubly_robust".
        effective_sample_size: (Σ w)² / Σ w², how many pulls of the target policy itself say about as much.
        largest_weight: before clipping.
        pulls: of the log.
        warnings: on the overlap of the two policies, one line each.
    """

    value: float
    interval: Interval
    standard_error: float
    estimator: str
    effective_sample_size: float
    largest_weight: float
    pulls: int
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return (
            f"{self.value:.4g}, {self.interval.level:.0%} interval {self.interval}, {self.estimator} of {self.pulls:,} "
            f"pulls, which weigh {self.effective_sample_size:,.0f}"
        )


def off_policy_value(
    log: LoggedPolicy,
    target: Target,
    estimator: Estimator = "doubly_robust",
    *,
    clip: float | None = None,
    estimated_rewards: ArrayLike | None = None,
    folds: int = 5,
    ridge: float = 1.0,
    level: float = 0.95,
    seed: int = 0,
) -> OffPolicyValue:
    """Estimate the mean reward that a target policy would have had in the contexts of a log.

    Pulls are taken for independent: the logging policy did not learn while it logged. Intervals are Student's, of the
    mean of what each pull contributes; those of "snips" by the delta method.

    Args:
        log: contexts, actions, rewards and propensities.
        target: probabilities (pulls, num_actions) of the target policy, or its actions (pulls,) counted from 0, or a
            function of the contexts that gives either, such as an agent's `action_probabilities` or `act`.
        estimator: "ips", "snips", "direct" or "doubly_robust".
        clip: weights above it count as that much, which trades variance for bias; None is without.
        estimated_rewards: q(x, a), float (pulls, num_actions), not learnt from the same pulls; by default a ridge
            regression an action on the contexts, standardised, or on indicators where a context is one whole number.
            It is cross-fitted: pulls are estimated by what was learnt from the other folds.
        folds: of the cross-fitting.
        ridge: of the regressions.
        level: of the interval.
        seed: deals the pulls to the folds.

    Raises:
        StatisticsError: an argument is not allowed, or no logged action is one that the target would take.

    Warns:
        ExperimentWarning: of each of the result's `warnings`.

    Source: Horvitz & Thompson (1952) for "ips"; Hájek (1971) and Swaminathan & Joachims (2015) for "snips"; Dudík,
    Langford & Li (2011), Doubly robust policy evaluation and learning; cross-fitting as of Chernozhukov et al. (2018).
    """
    check_choice("estimator", estimator, ESTIMATORS)
    check_level(level)
    if clip is not None and not (_is_number(clip) and clip > 0):
        raise StatisticsError(f"clip: must be a number above 0, or None, got {clip!r}")
    pulls, chosen = len(log), np.arange(len(log))
    probabilities = _target(target, log)
    unclipped = probabilities[chosen, log.actions] / log.propensities
    weights = unclipped if clip is None else np.minimum(unclipped, clip)
    if estimator != "direct" and not weights.any():
        raise StatisticsError("target: it would take none of the logged actions, so that they say nothing of it")
    rewards = log.rewards
    if estimator == "ips":
        contributions = weights * rewards
    elif estimator == "snips":
        value = float((weights * rewards).sum() / weights.sum())
        contributions = value + weights * (rewards - value) / weights.mean()
    else:
        if estimated_rewards is None:
            estimates = _cross_fitted(log, folds, ridge, seed)
        else:
            estimates = _table("estimated_rewards", estimated_rewards, pulls, log.num_actions)
        contributions = (probabilities * estimates).sum(axis=1)
        if estimator == "doubly_robust":
            contributions = contributions + weights * (rewards - estimates[chosen, log.actions])
    deviation = float(np.std(contributions, ddof=1)) if pulls > 1 else float("inf")
    total, squares = float(weights.sum()), float((weights * weights).sum())
    effective = total * total / squares if squares else 0.0
    lines = tuple(_overlap_warnings(log, probabilities, unclipped, effective, clip, estimator))
    for line in lines:
        warnings.warn(line, ExperimentWarning, stacklevel=2)
    return OffPolicyValue(
        float(contributions.mean()),
        t_interval(contributions, level=level),
        deviation / float(np.sqrt(pulls)),
        estimator,
        effective,
        float(unclipped.max()),
        pulls,
        lines,
    )


def _overlap_warnings(
    log: LoggedPolicy,
    target: np.ndarray,
    weights: np.ndarray,
    effective: float,
    clip: float | None,
    estimator: str,
) -> list[str]:
    """What there is to say of the overlap of two policies, one line each."""
    lines, pulls = [], len(log)
    if log.probabilities is not None:
        impossible = float(np.where(log.probabilities == 0, target, 0.0).sum(axis=1).mean())
        if impossible > 0:
            lines.append(
                f"{_share(impossible)} of what the target does had logging probability 0: of it the log says nothing"
            )
        is_tiny = (log.probabilities > 0) & (log.probabilities < TINY)
        tiny = float(np.where(is_tiny, target, 0.0).sum(axis=1).mean())
        if tiny > 0:
            lines.append(
                f"{_share(tiny)} of what the target does had a logging probability below {TINY:g}: "
                "few pulls speak for it"
            )
    else:
        taken = np.bincount(log.actions, minlength=log.num_actions) > 0
        never = [int(action) for action in np.flatnonzero(~taken & (target > 0).any(axis=0))]
        if never:
            listed = ", ".join(map(str, never[:5])) + (", …" if len(never) > 5 else "")
            lines.append(f"the target takes actions that were never logged, {listed}: of them the log says nothing")
    mean = float(weights.mean())
    error = float(np.std(weights, ddof=1) / np.sqrt(pulls)) if pulls > 1 else np.inf
    if abs(mean - 1.0) > max(_FAR * error, _ROUNDING):
        lines.append(
            f"weights average {mean:.3g} ± {error:.1g} instead of 1: the log lacks actions of the target, or the "
            "propensities are not those of the logging policy"
        )
    if effective < max(FEWEST_EFFECTIVE, SMALLEST_EFFECTIVE_SHARE * pulls):
        lines.append(
            f"{pulls:,} pulls weigh no more than {effective:,.3g} of the target policy itself: "
            "the interval may be too short"
        )
    squares = weights * weights
    if squares.any() and squares.max() > HEAVY_SHARE * squares.sum() and pulls > 1 / HEAVY_SHARE:
        lines.append(
            f"one pull has weight {weights.max():.3g}, {_share(squares.max() / squares.sum())} of the sum of squares: "
            "the estimate hangs on it"
        )
    if clip is not None and (weights > clip).any():
        number = int((weights > clip).sum())
        lines.append(f"{number:,} of {pulls:,} weights were clipped to {clip:g}, which biases the estimate")
    if estimator == "direct":
        lines.append("the interval of the direct method leaves out the error of its model of the rewards")
    return lines


def _cross_fitted(log: LoggedPolicy, folds: int, ridge: float, seed: int) -> np.ndarray:
    """Rewards estimated by regressions that have not seen the pull, float64 (pulls, num_actions)."""
    pulls = len(log)
    if isinstance(folds, bool) or not isinstance(folds, int) or not 2 <= folds <= pulls:
        raise StatisticsError(f"folds: must be a whole number from 2 to the number of pulls, {pulls:,}, got {folds!r}")
    if not (_is_number(ridge) and ridge > 0):
        raise StatisticsError(f"ridge: must be a number above 0, got {ridge!r}")
    features = _features(log.contexts)
    fold_of = random_stream(seed).permutation(pulls) % folds
    estimates = np.empty((pulls, log.num_actions))
    for fold in range(folds):
        is_held_out = fold_of == fold
        average = log.rewards[~is_held_out].mean()
        for action in range(log.num_actions):
            is_seen = ~is_held_out & (log.actions == action)
            seen = features[is_seen]
            # Of the difference to the average, so that an action that was never seen is taken for an average one.
            squares = seen.T @ seen + ridge * np.eye(features.shape[1])
            weights = np.linalg.solve(squares, seen.T @ (log.rewards[is_seen] - average))
            estimates[is_held_out, action] = features[is_held_out] @ weights + average
    return estimates


def _features(contexts: np.ndarray) -> np.ndarray:
    """Contexts as features of a regression, float64 (pulls, num_features)."""
    if contexts.ndim == 1 and contexts.dtype.kind in "iub":
        return np.asarray(contexts[:, None] == np.unique(contexts)[None], dtype=np.float64)
    if contexts.dtype.kind not in "iubf" or not np.isfinite(contexts).all():
        raise StatisticsError(
            "contexts: must be finite numbers for a regression; give estimated_rewards=, or take 'ips' or 'snips'"
        )
    flat = contexts.reshape(len(contexts), -1).astype(np.float64)
    spread = flat.std(axis=0)
    standard = (flat - flat.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return np.concatenate([standard, np.ones((len(flat), 1))], axis=1)


def _target(target: Target, log: LoggedPolicy) -> np.ndarray:
    """Probabilities of the target policy, float64 (pulls, num_actions)."""
    given = target(log.contexts) if callable(target) else target
    if given is None:
        raise StatisticsError("target: the function gave None, so the policy is none of the context alone; give act")
    array = np.asarray(given)
    if array.ndim == 1:
        actions = _whole("target", array)
        if len(actions) != len(log):
            raise StatisticsError(f"target: must have one action for each of {len(log):,} pulls, got {len(actions):,}")
        _check_actions("target", actions, log.num_actions)
        return np.asarray(np.eye(log.num_actions)[actions])
    return _distributions("target", array, len(log), log.num_actions)


def _distributions(name: str, given: ArrayLike, pulls: int, num_actions: int) -> np.ndarray:
    array = _table(name, given, pulls, num_actions)
    wrong = np.flatnonzero((array < 0).any(axis=1) | (np.abs(array.sum(axis=1) - 1.0) > _ROUNDING))
    if len(wrong):
        row = array[wrong[0]]
        raise StatisticsError(
            f"{name}: must be at least 0 and add up to 1 for every pull, got a smallest of {row.min():.3g} and a sum "
            f"of {row.sum():.6g} for pull {wrong[0]}"
        )
    return array


def _table(name: str, given: ArrayLike, pulls: int, num_actions: int) -> np.ndarray:
    try:
        array = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise StatisticsError(f"{name}: must be numbers") from None
    if array.shape != (pulls, num_actions):
        raise StatisticsError(f"{name}: must have shape ({pulls}, {num_actions}), pulls and actions; got {array.shape}")
    if not np.isfinite(array).all():
        raise StatisticsError(f"{name}: must be finite")
    return array


def _whole(name: str, given: ArrayLike) -> np.ndarray:
    array = np.asarray(given)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise StatisticsError(
            f"{name}: must be whole numbers, one a pull, got an array of shape {array.shape} and dtype {array.dtype}"
        )
    return array.astype(np.int64)


def _check_actions(name: str, actions: np.ndarray, num_actions: int) -> None:
    wrong = np.flatnonzero((actions < 0) | (actions >= num_actions))
    if len(wrong):
        raise StatisticsError(
            f"{name}: must be from 0 to {num_actions - 1}, got {actions[wrong[0]]} for pull {wrong[0]}"
        )


def _is_number(value: object) -> bool:
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return is_number and bool(np.isfinite(value))  # type: ignore[call-overload]


def _share(share: float) -> str:
    return f"{100 * share:.2g} %"
