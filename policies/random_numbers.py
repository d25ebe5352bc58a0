"""Random numbers of distributions, drawn alike in plain Python and in compiled code."""

import math
from collections.abc import Callable
from typing import Any


def polar_normal(rng: Any) -> float:
    """A standard normal number, from uniform ones alone. Source: Marsaglia & Bray (1964), the polar method."""
    while True:
        u, v = 2.0 * rng.random() - 1.0, 2.0 * rng.random() - 1.0
        square = u * u + v * v
        if 0.0 < square < 1.0:
            number: float = u * math.sqrt(-2.0 * math.log(square) / square)
            return number


def gamma_drawn_by(normal: Callable[[Any], float]) -> Callable[[float, Any], float]:
    """Function of a shape above 0 and a generator that draws a number of the gamma distribution with scale 1.

    Args:
        normal: draws a standard normal number from a generator.

    Source: Marsaglia & Tsang (2000), A simple method for generating gamma variables.
    """

    def draw(shape: float, rng: Any) -> float:
        raised = shape if shape >= 1.0 else shape + 1.0
        d = raised - 1.0 / 3.0
        c = 1.0 / math.sqrt(9.0 * d)
        while True:
            x = normal(rng)
            v = 1.0 + c * x
            if v > 0.0:
                v = v * v * v
                u = 1.0 - rng.random()
                # The first is sooner computed, and is never true where the second is not.
                if u < 1.0 - 0.0331 * x * x * x * x or math.log(u) < 0.5 * x * x + d - d * v + d * math.log(v):
                    break
        if shape >= 1.0:
            return d * v
        return d * v * math.exp(math.log(1.0 - rng.random()) / shape)

    return draw
