"""rlevaluation's numbers, stored: of release 1.1.2 with polars 1.44.2 and NumPy 2.4.6; run anew where it is installed.

`select_best_hypers` of the scores below, threshold 0.0001, resamples each configuration's seeds by itself a thousand
times; the probabilities' own standard errors are up to 0.016. Its seeds are not paired, so that the shared scores are
independent ones, of which pairing makes nothing.
"""

import numpy as np
import pytest

from velodrome.experiments import statistics

PROBABILITIES = [0.006, 0.111, 0.059, 0.824]
BEST, BEST_SCORE = 3, 0.20905
MEAN_INTERVAL = (-0.5066670833333333, 0.04662250000000033)


def shared_scores():
    rng = np.random.Generator(np.random.PCG64(20))
    return np.round(np.linspace(0.0, 0.3, 4)[:, np.newaxis] + rng.normal(size=(4, 60)), 3)


def test_the_best_configuration_and_the_probabilities_are_rlevaluations():
    scores = shared_scores()
    winner = statistics.best_set(scores).winner
    assert winner == BEST
    assert scores[winner].mean() == pytest.approx(BEST_SCORE)
    found = statistics.probabilities_of_best(scores)
    np.testing.assert_allclose(found, PROBABILITIES, atol=0.04)


def test_the_percentile_interval_is_rlevaluations():
    found = statistics.bootstrap_interval(shared_scores()[0], method="percentile")
    np.testing.assert_allclose([found.low, found.high], MEAN_INTERVAL, atol=0.01)


@pytest.mark.slow
def test_rlevaluation_still_says_so():
    hypers = pytest.importorskip("rlevaluation.hypers.api")
    import polars
    from rlevaluation.config import data_definition
    from rlevaluation.hypers.interface import Preference

    scores = shared_scores()
    rows = [{"step_size": c, "seed": s, "frame": 0, "score": scores[c, s]} for c in range(4) for s in range(60)]
    found = hypers.select_best_hypers(
        polars.DataFrame(rows),
        "score",
        Preference.high,
        threshold=0.0001,
        data_definition=data_definition(hyper_cols=["step_size"], seed_col="seed", time_col="frame"),
    )
    assert found.best_configuration == {"step_size": BEST}
    assert found.best_score == pytest.approx(BEST_SCORE)
    for configuration, probability in zip(
        found.uncertainty_set_configurations, found.uncertainty_set_probs, strict=True
    ):
        assert probability == pytest.approx(PROBABILITIES[configuration["step_size"]], abs=0.05)
