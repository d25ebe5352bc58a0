from .linear_bandit import LinearBandit as LinearBandit, LinearThompson as LinearThompson, LinUCB as LinUCB
from .linear_q import LinearQ as LinearQ
