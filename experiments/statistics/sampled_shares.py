"""Importance of parameters whose values were sampled: the functional ANOVA of a forest that learns the scores."""

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from velodrome.experiments.statistics.errors import StatisticsError
from velodrome.experiments.statistics.scores import as_scores
from velodrome.experiments.statistics.variance_shares import VarianceShares

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

# Fewer configurations teach a forest nothing.
FEWEST_CONFIGURATIONS = 10
# Ratio of the largest value to the smallest from which on a range may be one of magnitudes.
MAGNITUDES = 10.0


def sampled_shares(
    parameters: Mapping[str, Sequence[Any]], scores: ArrayLike, *, num_trees: int = 64, seed: int = 0
) -> VarianceShares:
    """Shares of variance of the main effects, and of the rest, of configurations that are no full grid.

    Optuna's fANOVA: a random forest learns the scores from the parameters, and the variance of what it predicts over
    the whole ranges is divided as `variance_shares` divides that of a grid. Numbers count evenly between the smallest
    and the largest value, or on a logarithmic scale where they lie more evenly on that. The shares are as good as the
    forest is, and the noise of seeds is in them.

    Args:
        parameters: values by name, one a configuration: numbers, texts or truth values.
        scores: float (num_configurations,), means over the seeds.
        num_trees: of the forest.
        seed: of the forest.

    Raises:
        StatisticsError: fewer than two parameters that vary or ten configurations, values that do not fit the scores,
            scores that are not finite or all the same, or Optuna is not installed.

    Source: Hutter, Hoos & Leyton-Brown (2014), "An Efficient Approach for Assessing Hyperparameter Importance".
    """
    values = as_scores(scores)
    for name, given in parameters.items():
        if len(given) != len(values):
            raise StatisticsError(f"parameters: {name} must have one value a score, got {len(given)} for {len(values)}")
    varying = {name: list(given) for name, given in parameters.items() if len(set(map(repr, given))) > 1}
    if len(varying) < 2:
        raise StatisticsError("importance needs at least two parameters with at least two values each")
    if len(values) < FEWEST_CONFIGURATIONS:
        raise StatisticsError(
            f"importance of sampled values needs at least {FEWEST_CONFIGURATIONS} configurations, got {len(values)}"
        )
    if np.ptp(values) <= 1e-12 * np.abs(values).max():
        raise StatisticsError("the scores do not differ, so no parameter has any importance")
    shares = _of_forest(varying, values.tolist(), num_trees, seed)
    alone = tuple(float(shares.get(name, 0.0)) for name in parameters)
    return VarianceShares(alone, max(0.0, 1.0 - sum(alone)), is_corrected=False)


def _of_forest(
    parameters: Mapping[str, list[Any]], scores: Sequence[float], num_trees: int, seed: int
) -> dict[str, float]:
    try:
        import optuna
    except ImportError:
        raise StatisticsError(
            "importance of configurations that are no full grid needs Optuna: pip install 'velodrome[tune]'"
        ) from None
    distributions = {name: _distribution(values) for name, values in parameters.items()}
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(direction="maximize")
        for place, score in enumerate(scores):
            params = {name: _plain(values[place], distributions[name]) for name, values in parameters.items()}
            study.add_trial(optuna.create_trial(params=params, distributions=distributions, value=score))
        evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=num_trees, seed=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return dict(evaluator.evaluate(study, params=list(parameters)))
    finally:
        optuna.logging.set_verbosity(verbosity)


def _distribution(values: Sequence[Any]) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
        return CategoricalDistribution(list(dict.fromkeys(map(repr, values))))
    low, high, is_log = min(values), max(values), _is_of_magnitudes(values)
    if all(isinstance(value, int) for value in values):
        return IntDistribution(low, high, log=is_log)
    return FloatDistribution(low, high, log=is_log)


def _plain(value: Any, distribution: "BaseDistribution") -> Any:
    from optuna.distributions import CategoricalDistribution

    return repr(value) if isinstance(distribution, CategoricalDistribution) else value


def _is_of_magnitudes(values: Sequence[float]) -> bool:
    """Whether the middle one of positive values is nearer to the middle of their range on a logarithmic scale."""
    low, high = min(values), max(values)
    if low <= 0 or high < MAGNITUDES * low:
        return False
    middle = float(np.median(values))
    linear = abs((middle - low) / (high - low) - 0.5)
    return bool(abs(np.log(middle / low) / np.log(high / low) - 0.5) < linear)
