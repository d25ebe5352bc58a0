"""Sphinx extension: directives for MyST pages whose text comes from the program: `command` and `catalogue`."""

import inspect
import re
from typing import Any

import gymnasium as gym
from api_reference import guides_of, path_of
from docutils import nodes
from gymnasium.envs.registration import load_env_creator
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from velodrome.experiments.cli.application import app as application
from velodrome.experiments.specification.catalogue import (
    AGENTS,
    DISTRIBUTIONS,
    POLICIES,
    SCHEDULES,
    WRAPPERS,
)
from velodrome.experiments.specification.descriptions import describe

CATALOGUES = {"agents": AGENTS, "policies": POLICIES, "schedules": SCHEDULES, "distributions": DISTRIBUTIONS}


def command_text(name: str) -> str:
    """What a command does, its arguments and its options, as Markdown without a heading."""
    text = application[name].generate_docs(output_format="markdown", usage_name=f"velodrome {name}")
    text = re.sub(r"^# .*\n+", "", text)
    text = re.sub(r" *\*\[default: False\]\*", "", text)
    # An option that takes several values has a counterpart that takes none, which nobody needs to read about.
    text = re.sub(r", --empty-[\w-]+", "", text)
    return text.replace("**Parameters**", "**Options**").replace("STR...", "STR …")


def catalogue_text(kind: str) -> str:
    """Every name of a kind: its arguments, what it is, where it is explained, and its class, as Markdown."""
    return "\n\n".join(_entry(kind, name, signature, line) for name, signature, line in describe(kind))


def _entry(kind: str, name: str, signature: str, line: str) -> str:
    ways = [f"{{doc}}`/{page}`" for page in guides_of(f'"{name}"' if kind == "experiments" else name)]
    if kind == "experiments":
        ways = [f"{{doc}}`/{page}`" for page in guides_of(f"compare {name}", f"tune {name}", f"{name}.toml")]
    path = path_of(_factory(kind, name))
    if path:
        ways.insert(0, f"{{py:obj}}`{path.removeprefix('velodrome.')} <{path}>`")
    links = f"\n\n  {' · '.join(ways)}" if ways else ""
    return f"`{signature}`\n: {_plain(line)}{links}"


def _plain(text: str) -> str:
    """A line of a docstring, in which stars and underscores are no Markdown."""
    pieces = re.split(r"(`[^`]+`)", text)
    return "".join(one if one.startswith("`") else re.sub(r"([*_\[\]<|])", r"\\\1", one) for one in pieces)


def _factory(kind: str, name: str) -> Any:
    if kind in CATALOGUES:
        return CATALOGUES[kind][name]
    if kind == "wrappers":
        return WRAPPERS[name]
    if kind == "environments":
        return load_env_creator(str(gym.spec(name).entry_point))
    return None


class Generated(SphinxDirective):
    """Markdown that a function makes of the directive's argument."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Nodes of the text."""
        text = {"command": command_text, "catalogue": catalogue_text}[self.name](self.arguments[0])
        return self.parse_text_to_nodes(inspect.cleandoc(text))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("command", Generated)
    app.add_directive("catalogue", Generated)
    return {"parallel_read_safe": True}
