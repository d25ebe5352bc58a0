"""Performance profiles: which share of an agent's runs scores above a threshold."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from velodrome.checks import did_you_mean
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.plotting.drawn_scores import (
    ScoresByAgent,
    axis_name,
    chosen_environments,
    measure_for,
    not_everywhere,
    reference,
    scores_by_agent,
    seeds_by_agent,
)
from velodrome.experiments.plotting.fonts import use_hangul_font
from velodrome.experiments.plotting.plot_kind import Page, PlotKind
from velodrome.experiments.plotting.style import TEXT_SIZE, band_opacity, dress, line_style, text_colour, wrapped
from velodrome.experiments.results.trial_table import TrialTable
from velodrome.experiments.statistics import performance_profile
from velodrome.experiments.statistics.profiles import PROFILE_BANDS, ProfileBand
from velodrome.experiments.trials.measures import Measure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# More thresholds than a picture has pixels show nothing more.
MOST_THRESHOLDS = 400


def draw_performance_profiles(
    axes: "Axes",
    table: TrialTable,
    metric: str | None = None,
    environment: str | None = None,
    band: ProfileBand = "bootstrap",
) -> "Axes":
    """Share of runs with a score above each threshold, averaged over environments, with a 95 % band.

    Scores are put on one scale, 0 for the uniformly random policy and 1 for the best possible one, where both are
    known for every environment; else rates, and scores of a single environment, are drawn as they are. Agents without a
    score on some environment are left out.

    Args:
        axes: to draw on.
        table: of an experiment.
        metric: a name of `MEASURES`; by default greedy success rate where all environments have a success rule, or else
            return.
        environment: the label of the only one to take, instead of all.
        band: "bootstrap", pointwise, or "dkw", which holds the whole profile at once.

    Raises:
        ExperimentError: an unknown environment or metric, no agent has scores, or returns without a common scale.

    Source: Agarwal et al. (2021), section 4.2.
    """
    environments = chosen_environments(table, environment)
    measure = measure_for(table, environments, metric)
    scores = scores_by_agent(table, environments, measure)
    scores, is_normalised = _on_one_scale(table, environments, measure, scores)
    seeds = seeds_by_agent(table, environments, measure, scores)
    thresholds = _thresholds(scores, is_normalised or measure.is_rate)
    ends = {}
    for place, agent in enumerate(table.agents):
        if agent not in scores:
            continue
        profile = performance_profile(scores[agent], thresholds, seeds=seeds[agent], band=band)
        style = line_style(place)
        (line,) = axes.plot(
            thresholds, profile.shares, drawstyle="steps-post", linewidth=1.6, label=wrapped(agent), **style
        )
        if min(map(len, scores[agent])) > 1:
            axes.fill_between(
                thresholds,
                profile.low,
                profile.high,
                step="post",
                color=style["color"],
                alpha=band_opacity(len(scores)),
                linewidth=0,
            )
        ends[line] = float(np.mean([part.mean() for part in scores[agent]]))
    name = axis_name(measure)
    xlabel = f"{name}, normalised: 0 = random policy, 1 = best possible" if is_normalised else name
    title = environments[0] if len(environments) == 1 else f"over {len(environments)} environments"
    dress(axes, title, xlabel, "share of runs above")
    axes.set_ylim(-0.02, 1.04)
    axes.set_xlim(thresholds[0], thresholds[-1])
    # Every profile falls from 1 to 0, so that names at the ends would all stand at one place.
    ordered = sorted(ends, key=lambda line: -ends[line])
    legend = axes.legend(
        handles=ordered, loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=TEXT_SIZE, frameon=False,
        title="from the largest mean", title_fontsize=TEXT_SIZE,
    )  # fmt: skip
    for text, line in zip(legend.get_texts(), ordered, strict=True):
        text.set_color(text_colour(str(line.get_color())))
        text.set_parse_math(False)
    use_hangul_font(axes)
    return axes


def _on_one_scale(
    table: TrialTable, environments: Sequence[str], measure: Measure, scores: ScoresByAgent
) -> tuple[ScoresByAgent, bool]:
    """Scores that can be averaged over environments, and whether that took normalising.

    Raises:
        ExperimentError: they cannot.
    """
    lows = [reference(table, environment, measure.random_column) for environment in environments]
    highs = [reference(table, environment, measure.best_column) for environment in environments]
    spans = np.subtract(highs, lows)
    if all(np.isfinite(spans)) and (spans > 0).all():
        scaled = {
            agent: [(part - low) / span for part, low, span in zip(parts, lows, spans, strict=True)]
            for agent, parts in scores.items()
        }
        return scaled, True
    if measure.is_rate or len(environments) == 1:
        return scores, False
    first = environments[int(np.argmin(np.isfinite(spans) & (spans > 0)))]
    raise ExperimentError(
        f"{axis_name(measure)}s have no common scale, for the best possible or the random one is not known on {first}: "
        "take a success rate, or one environment"
    )


def _thresholds(scores: ScoresByAgent, within_one: bool) -> NDArray[np.float64]:
    """Where a profile can fall, and both ends."""
    values = np.unique(np.concatenate([part for parts in scores.values() for part in parts]))
    low, high = float(values[0]), float(values[-1])
    if within_one:
        low, high = min(low, 0.0), max(high, 1.0)
    margin = 0.03 * (high - low) or 1.0
    low, high = low - margin, high + margin
    if len(values) > MOST_THRESHOLDS - 2:
        return np.linspace(low, high, MOST_THRESHOLDS)
    return np.unique(np.concatenate([[low, high], values]))


def _band(page: Page) -> ProfileBand:
    band = page.band or "bootstrap"
    if band not in PROFILE_BANDS:
        raise ExperimentError(
            f"band must be one of {', '.join(PROFILE_BANDS)}, got {band!r}{did_you_mean(band, PROFILE_BANDS)}"
        )
    return cast(ProfileBand, band)


def _meaning(page: Page, seeds: str, has_interval: bool) -> str:
    kind = "95 % band of the whole profile (DKW)" if page.band == "dkw" else "pointwise 95 % interval"
    return f"{seeds}, band = {kind}" if has_interval else f"{seeds}, without interval"


PROFILES = PlotKind(
    "profiles",
    lambda axes, page, _: draw_performance_profiles(axes, page.table, page.metric, page.only_environment, _band(page)),
    title="Performance profiles",
    caption="The share of runs that score above each value: higher is better everywhere.",
    meaning=_meaning,
    left_out=not_everywhere,
    options=("metric", "band"),
    is_over_environments=True,
)
