"""Descriptions of all that has a name: agents, policies, schedules, environments and experiments, a line on each."""

import inspect
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import NamedTuple

import gymnasium as gym
from gymnasium.envs.registration import load_env_creator

from velodrome.checks import closest
from velodrome.envs.make import list_environments
from velodrome.experiments.specification.catalogue import (
    AGENTS,
    DISTRIBUTIONS,
    POLICIES,
    SCHEDULES,
    WRAPPERS,
    CatalogueError,
    Factory,
    signature_text,
)

_CATALOGUES: dict[str, Mapping[str, Factory]] = {
    "agents": AGENTS, "policies": POLICIES, "schedules": SCHEDULES, "distributions": DISTRIBUTIONS,
    "wrappers": WRAPPERS,
}  # fmt: skip
# Gymnasium's docstrings rarely begin with a line that says what there is to learn.
_SUMMARIES = {
    "Acrobot": "Swing a two-link robot arm up over a line by its middle joint.",
    "Blackjack": "Hit or stand: come closer to 21 than the dealer, and not above.",
    "CartPole": "Keep a pole upright on a cart by pushing the cart left and right.",
    "CliffWalking": "Walk from start to goal along a cliff without falling off.",
    "CliffWalkingSlippery": "The cliff walk where every move may slip to the side.",
    "FrozenLake": "Cross a slippery frozen lake (4x4) without falling into a hole.",
    "FrozenLake8x8": "The frozen lake on an 8x8 map.",
    "MountainCar": "Rock a weak car out of a valley, with three actions.",
    "MountainCarContinuous": "Rock a weak car out of a valley, with a force as action.",
    "Pendulum": "Swing a pendulum up and keep it there, with a torque as action.",
    "Taxi": "Pick a passenger up and set them down where they want to go.",
}


class CatalogueEntry(NamedTuple):
    """A name, its arguments with their defaults, and one line on what it is."""

    name: str
    signature: str
    summary: str


def describe(kind: str) -> list[CatalogueEntry]:
    """Every name of `kind`: one of the catalogue such as "agents" or "policies", "environments" or "experiments".

    Args:
        kind: "agents", "policies", "schedules", "distributions", "environments", "wrappers" or "experiments".

    Raises:
        CatalogueError: there is no such kind.
    """
    if kind == "environments":
        return _environment_entries()
    if kind == "experiments":
        texts = {name: tomllib.loads(shipped_text(name)) for name in shipped_experiments()}
        return [CatalogueEntry(name, name, fields.get("description", "")) for name, fields in texts.items()]
    if kind not in _CATALOGUES:
        raise CatalogueError(f"unknown kind {kind!r}{closest(kind, [*_CATALOGUES, 'environments', 'experiments'])}")
    return [
        CatalogueEntry(name, signature_text(name, factory), _first_line(factory))
        for name, factory in _CATALOGUES[kind].items()
    ]


def shipped_experiments() -> list[str]:
    """Names of the experiments that come with the package, in alphabetical order."""
    folder = files("velodrome.experiments")
    return sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml"))


def shipped_text(name: str) -> str:
    """TOML text of a shipped experiment."""
    return (files("velodrome.experiments") / f"{name}.toml").read_text(encoding="utf-8")


def _first_line(factory: Factory) -> str:
    return (inspect.getdoc(factory) or "").partition("\n")[0]


def _environment_entries() -> list[CatalogueEntry]:
    entries = []
    for identifier in list_environments():
        spec = gym.registry[identifier]
        creator = load_env_creator(str(spec.entry_point))
        summary = _SUMMARIES.get(spec.name) or _first_line(creator)
        entries.append(CatalogueEntry(identifier, signature_text(identifier, creator, **spec.kwargs), summary))
    return entries
