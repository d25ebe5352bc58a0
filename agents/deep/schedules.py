"""How the learning rate changes during training, as a share of its largest value."""

from math import cos, pi
from typing import Literal, get_args

ScheduleName = Literal["constant", "one_cycle", "cosine"]
SCHEDULE_NAMES: tuple[str, ...] = get_args(ScheduleName)

_WARM_UP, _FIRST, _LAST = 0.25, 0.1, 0.002


def learning_rate_share(schedule: ScheduleName, progress: float) -> float:
    """Share of the largest learning rate at `progress`, from 0 at the start of training to 1 at its end.

    - "constant": 1.
    - "cosine": from 1 to 0.002 along half a wave. Source: Loshchilov & Hutter (2017).
    - "one_cycle": from 0.1 to 1 in a straight line during the first quarter, then as "cosine". Source: Smith & Topin
      (2019), with the cosine that is now customary.
    """
    progress = min(max(progress, 0.0), 1.0)
    if schedule == "constant":
        return 1.0
    if schedule == "one_cycle":
        if progress < _WARM_UP:
            return _FIRST + (1.0 - _FIRST) * progress / _WARM_UP
        progress = (progress - _WARM_UP) / (1.0 - _WARM_UP)
    return _LAST + (1.0 - _LAST) * 0.5 * (1.0 + cos(pi * progress))
