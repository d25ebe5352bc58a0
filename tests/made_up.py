"""Parts of stores, and plans, that tests make up."""

from velodrome.experiments.specification.experiment import Experiment


def plan_of(agents, environments, **fields):
    """Plan of an experiment."""
    return Experiment(**{"name": "made up", "agents": agents, "environments": environments} | fields).plan()


def settings_of(agents, environments, seeds=(), episodes=5):
    """Settings as the store keeps those of an experiment."""
    return {
        "agents": agents, "environments": environments, "episodes": episodes, "steps": None, "budgets": [],
        "seeds": list(seeds), "evaluation_episodes": 100, "success": None, "success_of": {},
    }  # fmt: skip
