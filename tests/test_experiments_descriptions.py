"""What there is to name, as `velodrome list` shows it."""

import pytest

from velodrome.agents import DynaQ
from velodrome.envs import list_environments
from velodrome.experiments.specification.catalogue import (
    AGENTS,
    DISTRIBUTIONS,
    POLICIES,
    SCHEDULES,
    WRAPPERS,
    CatalogueError,
    build_agent,
)
from velodrome.experiments.specification.descriptions import describe
from velodrome.policies.configuration import to_data

CATALOGUES = {"agents": AGENTS, "policies": POLICIES, "schedules": SCHEDULES, "distributions": DISTRIBUTIONS}


@pytest.mark.parametrize("kind", ["agents", "policies", "schedules", "distributions", "environments", "wrappers"])
def test_everything_is_described(kind):
    entries = describe(kind)
    for name, signature, summary in entries:
        assert signature.startswith(f"{name}(")
        assert summary
        assert "#" not in summary
        assert len((signature + summary).splitlines()) == 1
    names = [entry.name for entry in entries]
    if kind == "environments":
        assert names == list_environments()
    else:
        assert names == list((CATALOGUES | {"wrappers": WRAPPERS})[kind])


def test_signatures_show_what_the_defaults_are():
    entries = {entry.name: entry for kind in CATALOGUES for entry in describe(kind)}
    assert entries["q_learning"].signature == (
        "q_learning(discount=0.99, learning_rate=0.1, initial_value=0.0, policy=epsilon_greedy(), action_mask=False)"
    )
    assert entries["q_learning"].summary == "Q-learning: off-policy temporal-difference control."
    assert entries["linear"].signature == "linear(start, end, over, clock='episode')"
    assert entries["noise_q"].signature.endswith("scale=harmonic(), ties='first')")
    assert to_data(build_agent(entries["dyna_q"].signature)) == to_data(DynaQ())
    lake = next(entry for entry in describe("environments") if entry.name == "FrozenLake8x8-v1")
    assert "map_name='8x8'" in lake.signature
    assert "render_mode" not in lake.signature
    with pytest.raises(CatalogueError, match="unknown kind 'agent': did you mean 'agents'"):
        describe("agent")
