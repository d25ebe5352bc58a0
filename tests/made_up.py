"""Parts of stores that tests make up."""


def settings_of(agents, environments, seeds=(), episodes=5):
    """Settings as the store keeps those of an experiment."""
    return {
        "agents": agents, "environments": environments, "episodes": episodes, "steps": None, "budgets": [],
        "seeds": list(seeds), "evaluation_episodes": 100, "success": None, "success_of": {},
    }  # fmt: skip
