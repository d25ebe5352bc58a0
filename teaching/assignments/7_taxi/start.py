"""A policy for Taxi, and the score that you claim for it."""

import numpy as np

# One action for each of the 500 states.
policy = np.zeros(500, dtype=int)

# Mean return of an episode.
score = 0.0
