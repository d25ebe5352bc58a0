"""Pictures of a comparison. No global style is touched; every function returns its figure or axes."""

from typing import TYPE_CHECKING, Any

import numpy as np

from velodrome.experiments.bootstrap import mean_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from velodrome.experiments.results import Results

# Okabe & Ito (2008): told apart with every common colour blindness; black first would look like an axis.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
DASHES = ("-", "--", "-.", ":")
METRICS = {"success_rate": (0, "success rate in training"), "return": (1, "return in training")}


def plot_learning_curves(results: "Results", metric: str = "success_rate") -> "Figure":
    """One panel an environment: each agent's mean over seeds with its 95 % bootstrap band.

    Args:
        results: of a comparison.
        metric: "success_rate" or "return".

    Raises:
        ValueError: unknown metric.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if metric not in METRICS:
        raise ValueError(f"metric must be one of {', '.join(METRICS)}, got {metric!r}")
    environments = results.environments
    height = max(4.2, 0.32 * len(results.agents) + 2.4)
    figure = Figure(figsize=(7.0 * len(environments), height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    panels = np.atleast_1d(figure.subplots(1, len(environments), sharey=metric == "success_rate"))
    for axes, environment in zip(panels, environments, strict=True):
        draw_learning_curves(axes, results, environment, metric)
    numbers = [row["seeds"] for row in results.rows() if row["seeds"]] or [0]
    fewest, most = min(numbers), max(numbers)
    seeds = f"{most} seed{'s' * (most != 1)}" if fewest == most else f"{fewest} to {most} seeds"
    figure.suptitle(f"{results.name}: mean of {seeds}, band = 95 % bootstrap interval", size=11)
    return figure


def draw_learning_curves(axes: "Axes", results: "Results", environment: str, metric: str = "success_rate") -> "Axes":
    """Learning curves of one environment on `axes`, labelled at their right ends.

    Where some budgets are of episodes and some of steps, all are drawn over steps.
    """
    row, label = METRICS[metric]
    budgets = [results.budget(environment, agent) for agent in results.agents]
    over_steps = any(episodes is None for episodes, _ in budgets)
    longest = 0
    ends: list[tuple[float, str, str]] = []
    for place, agent in enumerate(results.agents):
        grid, both = results.curves(environment, agent, over_steps=over_steps)
        curves, x = both[:, row], grid.ends
        longest = max(longest, int(x[-1]))
        if not len(curves) or not np.isfinite(curves).any():
            continue
        style: dict[str, Any] = {
            "color": COLOURS[place % len(COLOURS)],
            "linestyle": DASHES[place // len(COLOURS) % len(DASHES)],
        }
        mean = _mean(curves)
        axes.plot(x, mean, linewidth=1.6, label=agent, **style)
        if len(curves) > 1:
            low, high = mean_interval(curves)
            axes.fill_between(x, low, high, color=style["color"], alpha=0.18, linewidth=0)
        finite = mean[np.isfinite(mean)]
        ends.append((float(finite[-max(1, len(finite) // 10) :].mean()), agent, style["color"]))
    metric_of_best = "best_success_rate" if metric == "success_rate" else "best_return"
    known = [row for row in results.rows() if row["environment"] == environment]
    best = next((row[metric_of_best] for row in known if np.isfinite(row[metric_of_best])), float("nan"))
    if np.isfinite(best):
        axes.axhline(best, color="0.35", linewidth=1, linestyle=(0, (6, 3)))
        ends.append((float(best), f"best possible {best:.3g}", "0.35"))
    if metric == "success_rate":
        axes.set_ylim(-0.02, 1.04)
    axes.set_xlim(0, longest or 1)
    axes.set_xlabel("environment step" if over_steps else "episode")
    axes.set_ylabel(label)
    axes.set_title(environment, size=10)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    _label_ends(axes, ends)
    return axes


def _mean(curves: np.ndarray) -> np.ndarray:
    present = np.isfinite(curves)
    counts = present.sum(axis=0)
    total = np.where(present, curves, 0.0).sum(axis=0)
    return np.asarray(np.divide(total, counts, out=np.full(counts.shape, np.nan), where=counts > 0))


def _label_ends(axes: "Axes", ends: list[tuple[float, str, str]]) -> None:
    """Names beside the right ends of the lines, pushed apart so that none covers another."""
    low, high = axes.get_ylim()
    gap = (high - low) * 0.055
    placed: list[float] = []
    for value, _, _ in sorted(ends):
        placed.append(max(value, placed[-1] + gap if placed else low))
    overshoot = placed[-1] - high if placed else 0.0
    if overshoot > 0:
        ceiling = high
        for position in reversed(range(len(placed))):
            placed[position] = ceiling = min(placed[position], ceiling)
            ceiling -= gap
    right = axes.get_xlim()[1]
    for height, (value, name, colour) in zip(placed, sorted(ends), strict=True):
        axes.annotate(
            name,
            xy=(right, value),
            xytext=(right * 1.03, height),
            color=colour,
            size=8.5,
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.6,
                "shrinkA": 2,
                "shrinkB": 0,
                "relpos": (0.0, 0.5),
            },
        )


def write_figure(figure: "Figure", path: str) -> None:
    """Write a figure as PNG, SVG or PDF, by the ending of `path`, with the same bytes for the same figure."""
    metadata: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    ending = path.rpartition(".")[2].lower()
    figure.savefig(path, metadata=metadata.get(ending), bbox_inches="tight")
