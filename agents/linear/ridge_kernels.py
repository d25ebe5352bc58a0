"""Compiled arithmetic of ridge regressions, one an arm: estimates for a context, and learning from one reward.

The regression of an arm has seen contexts x and rewards r. Kept are the Cholesky factor of ridge * I + Σ x xᵀ = L Lᵀ
and the vector z with L z = Σ r x. With L y = x, the estimate of the reward is y·z and its uncertainty is √(y·y): both
come of one triangular system, d² / 2 products for d features. An example is added by d rotations (Gill, Golub, Murray
& Saunders 1974, method C3; as in a least-squares problem solved by QR), which subtract no squares: the factor stays
positive whatever is added, and rounding grows with the condition of the contexts, not with its square as where an
inverse is kept up to date by the Sherman-Morrison formula.

The compiler may not reorder sums or fuse products: the source run in plain Python gives the same bits.
"""

import math
from functools import partial

from velodrome.agents.engine.numba_cache import compiled

# A division that may raise is not done by vectors.
_compiled = partial(compiled, error_model="numpy")


@_compiled
def estimates(factors, targets, contexts, rest, means, uncertainties):
    """Estimated reward of every arm for a batch of contexts, and its uncertainty.

    Args:
        factors: Lᵀ of every arm, upper triangular, float64 (arms, d, d).
        targets: z of every arm, float64 (arms, d).
        contexts: float64 (B, d).
        rest: to be written to, float64 (d,).
        means: to be filled, float64 (B, arms).
        uncertainties: to be filled with √(xᵀ A⁻¹ x), float64 (B, arms).
    """
    num_features = contexts.shape[1]
    for row in range(contexts.shape[0]):
        for arm in range(factors.shape[0]):
            factor, target = factors[arm], targets[arm]
            for place in range(num_features):
                rest[place] = contexts[row, place]
            mean = 0.0
            square = 0.0
            for place in range(num_features):
                if rest[place] != 0.0:
                    line = factor[place]
                    part = rest[place] / line[place]
                    mean += part * target[place]
                    square += part * part
                    for other in range(place + 1, num_features):
                        rest[other] -= part * line[other]
            means[row, arm] = mean
            uncertainties[row, arm] = math.sqrt(square)


@_compiled
def learn(factor, target, context, reward, rest):
    """Add a context and its reward to the regression of an arm.

    Args:
        factor: Lᵀ of the arm, float64 (d, d), which is written to.
        target: z of the arm, float64 (d,), which is written to.
        context: float64 (d,).
        reward: that followed.
        rest: to be written to, float64 (d,).
    """
    num_features = context.shape[0]
    for place in range(num_features):
        rest[place] = context[place]
    for place in range(num_features):
        if rest[place] != 0.0:
            line = factor[place]
            before, entry = line[place], rest[place]
            after = math.sqrt(before * before + entry * entry)
            cosine = before / after
            sine = entry / after
            line[place] = after
            for other in range(place + 1, num_features):
                old = line[other]
                line[other] = cosine * old + sine * rest[other]
                rest[other] = cosine * rest[other] - sine * old
            old = target[place]
            target[place] = cosine * old + sine * reward
            reward = cosine * reward - sine * old
