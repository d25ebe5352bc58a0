"""Error in scores or settings that were handed to a statistic."""

from velodrome.checks import VelodromeError


class StatisticsError(VelodromeError, ValueError):
    """Scores or settings that no statistic can be computed from; one line that says what was given and what is allowed.

    The text begins with the name of the argument.
    """
