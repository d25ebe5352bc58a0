"""velodrome: put reinforcement-learning agents on one track and see who is better.

The names are loaded when first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from velodrome import agents, envs, experiments, policies
    from velodrome.experiments.compare import compare
    from velodrome.experiments.results import Results
    from velodrome.experiments.run import run
    from velodrome.experiments.storage.repair import repair
    from velodrome.experiments.verify import verify

__version__ = "0.1.0"
__all__ = ["Results", "agents", "compare", "envs", "experiments", "policies", "repair", "run", "verify"]

_HOMES = {
    "Results": "velodrome.experiments.results",
    "compare": "velodrome.experiments.compare",
    "repair": "velodrome.experiments.storage.repair",
    "run": "velodrome.experiments.run",
    "verify": "velodrome.experiments.verify",
}
_ROOMS = ("agents", "envs", "experiments", "policies")


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _ROOMS:
        return import_module(f"velodrome.{name}")
    raise AttributeError(f"module 'velodrome' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
