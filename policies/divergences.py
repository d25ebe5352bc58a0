"""Kullback–Leibler divergences of Bernoulli distributions, and the mean up to which one is small."""

import math


def within_one(value: float) -> float:
    """`value`, or the nearer of 0 and 1."""
    return min(max(value, 0.0), 1.0)


def bernoulli_divergence(p: float, q: float) -> float:
    """Divergence of Bernoulli(p) from Bernoulli(q): p ln(p/q) + (1 - p) ln((1 - p)/(1 - q)), with 0 ln 0 = 0."""
    divergence = 0.0
    if p > 0.0:
        divergence = p * math.log(p / q) if q > 0.0 else math.inf
    if p < 1.0:
        divergence = divergence + (1.0 - p) * math.log((1.0 - p) / (1.0 - q)) if q < 1.0 else math.inf
    return divergence


def largest_mean_within(p: float, divergence: float) -> float:
    """Largest q in [p, 1] whose divergence from Bernoulli(p) is at most `divergence` >= 0, by Newton's method.

    The divergence is convex in q, so that from above, where two bounds start, every step comes nearer.
    """
    if p >= 1.0 or divergence <= 0.0:
        return p
    entropy = 0.0
    if p > 0.0:
        entropy = -p * math.log(p) - (1.0 - p) * math.log(1.0 - p)
    q = min(p + math.sqrt(divergence / 2.0), 1.0 - math.exp(-(divergence + entropy) / (1.0 - p)))
    for _ in range(40):
        if q <= p or q >= 1.0:
            break
        change = (bernoulli_divergence(p, q) - divergence) * q * (1.0 - q) / (q - p)
        q -= change
        if change < 1e-13:
            break
    return min(max(q, p), 1.0)
