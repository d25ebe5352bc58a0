"""How much of a large experiment the report draws: its best agents and first environments, and what it leaves out."""

from typing import NamedTuple

import numpy as np

from velodrome.experiments.plotting.final_scores import MOST_DOTS
from velodrome.experiments.plotting.improvement_matrix import MOST_IN_REPORT
from velodrome.experiments.reporting.languages import Words
from velodrome.experiments.results.analysis import Analysis
from velodrome.experiments.results.trial_table import TrialTable

# More lines than these cannot be told apart, and their names fill more than a page.
MOST_DRAWN_AGENTS = 30
# Panels of one picture, one an environment.
MOST_DRAWN_ENVIRONMENTS = 20


class Drawn(NamedTuple):
    """Part of the results that the report draws.

    Attributes:
        agents: results of those that are drawn, on all environments.
        panels: the same on those environments that have a panel of their own.
        everybody: results of all agents on these environments.
        left_out: what is not drawn, in sentences.
    """

    agents: TrialTable
    panels: TrialTable
    everybody: TrialTable
    left_out: list[str]


def drawn_part(results: TrialTable, analysis: Analysis, words: Words) -> Drawn:
    """The part of results that the report draws, and sentences on the rest."""
    left_out = []
    kept = _best_agents(results, analysis)
    agents = results
    if len(kept) < len(results.agents):
        agents = results.only(kept, results.environments)
        template = (
            "Drawn are the {number} of {all} agents with the best mean rank over environments, and the baseline; the "
            "tables have all."
            if len(kept) > MOST_DRAWN_AGENTS
            else "Drawn are the {number} of {all} agents with the best mean rank over environments; the tables have "
            "all."
        )
        left_out.append(words(template, number=MOST_DRAWN_AGENTS, all=f"{len(results.agents):,}"))
    panels, everybody, places = agents, results, [one.environment for one in analysis.environments]
    if len(places) > MOST_DRAWN_ENVIRONMENTS:
        panels = results.only(kept, places[:MOST_DRAWN_ENVIRONMENTS])
        everybody = results.only(results.agents, places[:MOST_DRAWN_ENVIRONMENTS])
        template = (
            "Where each environment has its own figure, the first {number} of {all} are drawn; the tables have all."
        )
        left_out.append(words(template, number=MOST_DRAWN_ENVIRONMENTS, all=f"{len(places):,}"))
    if len(results.agents) > MOST_IN_REPORT:
        template = "Probability of improvement: left out, for it is drawn of at most {most} agents."
        left_out.append(words(template, most=MOST_IN_REPORT))
    most_seeds = max((row["seeds"] for one in analysis.environments for row in one.rows), default=0)
    if most_seeds > MOST_DOTS:
        template = (
            "Final scores: of {all} seeds {number} dots an agent are drawn, evenly spread over its ordered scores; "
            "mean and interval are of all seeds."
        )
        left_out.append(words(template, number=MOST_DOTS, all=f"{most_seeds:,}"))
    return Drawn(agents, panels, everybody, left_out)


def _best_agents(results: TrialTable, analysis: Analysis) -> list[str]:
    """The agents of the best mean rank and the reader's baseline, in the order of the experiment."""
    if len(results.agents) <= MOST_DRAWN_AGENTS:
        return results.agents
    ranks: dict[str, list[int]] = {}
    for one in analysis.environments:
        for row in one.rows:
            ranks.setdefault(row["agent"], []).append(row["rank"])
    best = sorted(ranks, key=lambda agent: float(np.mean(ranks[agent])))[:MOST_DRAWN_AGENTS]
    kept = {*best, analysis.options.baseline}
    return [agent for agent in results.agents if agent in kept]
