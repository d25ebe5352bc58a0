"""Bootstrap intervals of means over seeds."""

from functools import lru_cache

import numpy as np

NUM_RESAMPLES = 2000


def mean_interval(values: np.ndarray, *, seed: int = 0, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Percentile bootstrap interval of the mean over the first axis, NaNs left out.

    Args:
        values: float (num_seeds, …).
        seed: of the resampling.
        level: coverage.

    Returns:
        Lower and upper ends, float64 (…).

    Source: Efron & Tibshirani (1993), section 13.3.
    """
    values = np.asarray(values, dtype=np.float64)
    num_seeds = len(values)
    flat = values.reshape(num_seeds, -1)
    present = np.isfinite(flat)
    weights = _weights(num_seeds, seed)
    # Without gaps every resample has as many values as there are seeds.
    counts = np.full((len(weights), flat.shape[1]), float(num_seeds)) if present.all() else weights @ present
    sums = weights @ np.where(present, flat, 0.0)
    tail = (1 - level) / 2
    low, high = np.full((2, flat.shape[1]), np.nan)
    complete = counts.all(axis=0)
    # A resample without any value says nothing of its column; a column without any value has no interval.
    for columns, quantile in ((complete, np.quantile), (~complete & present.any(axis=0), np.nanquantile)):
        if columns.any():
            unknown = np.full((len(sums), int(columns.sum())), np.nan)
            known = counts[:, columns] > 0
            means = np.divide(sums[:, columns], counts[:, columns], out=unknown, where=known)
            low[columns], high[columns] = quantile(means, [tail, 1 - tail], axis=0)
    return low.reshape(values.shape[1:]), high.reshape(values.shape[1:])


@lru_cache(maxsize=4)
def _weights(num_seeds: int, seed: int) -> np.ndarray:
    """How often each seed is drawn in each resample, float64 (NUM_RESAMPLES, num_seeds)."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))
    shares = np.full(num_seeds, 1 / num_seeds)
    return rng.multinomial(num_seeds, shares, size=NUM_RESAMPLES).astype(np.float64)
