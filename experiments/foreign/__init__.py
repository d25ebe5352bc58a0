"""Results from elsewhere: tidy tables, and the files of Stable-Baselines3, rlberry and rliable."""

from velodrome.experiments.foreign.frames import from_frame
from velodrome.experiments.foreign.rlberry import read_rlberry
from velodrome.experiments.foreign.rliable import from_rliable
from velodrome.experiments.foreign.stable_baselines3 import read_stable_baselines3

__all__ = ["from_frame", "from_rliable", "read_rlberry", "read_stable_baselines3"]
