from .frames import from_frame as from_frame
from .rlberry import read_rlberry as read_rlberry
from .rliable import from_rliable as from_rliable
from .stable_baselines3 import read_stable_baselines3 as read_stable_baselines3
