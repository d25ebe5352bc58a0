"""What learning curves are drawn over: episodes or environment steps."""

from typing import TYPE_CHECKING, Literal

from velodrome.checks import closest
from velodrome.experiments.errors import ExperimentError

if TYPE_CHECKING:
    from velodrome.experiments.results.results import Results

Over = Literal["episodes", "steps"]
AXIS_NAMES: dict[Over, str] = {"episodes": "episode", "steps": "environment step"}


def chosen_axis(results: "Results", environment: str, over: str | None) -> Over:
    """Episodes where all budgets on an environment are of episodes, or else steps; or what the user wants.

    Budgets that are not known, of results from elsewhere, count as steps if the episodes' lengths are known.

    Raises:
        ExperimentError: neither "episodes" nor "steps", or the lengths of episodes are not known.
    """
    if over is not None and over not in AXIS_NAMES:
        raise ExperimentError(f"over must be one of {', '.join(AXIS_NAMES)}, got {over!r}{closest(over, AXIS_NAMES)}")
    agents = [agent for agent in results.agents if results.trials(environment, agent)]
    has_all_budgets_of_episodes = all(results.budget(environment, agent)[0] is not None for agent in agents)
    if over == "episodes" or (over is None and has_all_budgets_of_episodes):
        return "episodes"
    if _has_lengths(results, environment, agents):
        return "steps"
    if over == "steps":
        raise ExperimentError(f"{environment}: how many steps episodes took is not known, so take over='episodes'")
    return "episodes"


def _has_lengths(results: "Results", environment: str, agents: list[str]) -> bool:
    """Whether the episodes' lengths are known; they are 0 otherwise."""
    firsts = (next(results.episode_curves(environment, agent), None) for agent in agents)
    return all(first.lengths.any() for first in firsts if first is not None and first.episodes)
