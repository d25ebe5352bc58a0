"""The experiments that come with the package."""

import tomllib
from importlib.resources import files


def shipped_experiments() -> list[str]:
    """Their names, in alphabetical order."""
    folder = files("velodrome.experiments")
    return sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml"))


def shipped_text(name: str) -> str:
    """TOML text of a shipped experiment."""
    return (files("velodrome.experiments") / f"{name}.toml").read_text(encoding="utf-8")


def describe_experiments() -> list[tuple[str, str, str]]:
    """Name, name and description of each, in the form of the catalogue's entries."""
    return [(name, name, tomllib.loads(shipped_text(name)).get("description", "")) for name in shipped_experiments()]
