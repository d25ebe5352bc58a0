"""Agents that fail in their trials and not before."""

from dataclasses import dataclass

from velodrome.agents import PolicyIteration, ValueIteration


@dataclass(kw_only=True, eq=False)
class HopefulPlanner(ValueIteration):
    """Finds only in its trials that an environment has no model."""

    def check_environment(self, env):
        return None


@dataclass(kw_only=True, eq=False)
class HopefulImprover(PolicyIteration):
    """Likewise."""

    def check_environment(self, env):
        return None
