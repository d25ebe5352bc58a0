"""Statistical plots: what stands in the pictures are the stored numbers and their statistics."""

import dataclasses
import itertools
import math
import re
import sys
import unicodedata
import warnings

import gymnasium as gym
import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, strategies as st
from matplotlib.figure import Figure
from matplotlib.text import Text

import velodrome as vd
from velodrome.agents.training_log import Curve
from velodrome.experiments import statistics
from velodrome.experiments.errors import ExperimentError, ExperimentWarning
from velodrome.experiments.plotting import AlgorithmScores, PlotKind, fonts, kinds, register_kind
from velodrome.experiments.plotting.figures import draw, figure_bytes, write_figure
from velodrome.experiments.plotting.final_scores import draw_final_scores
from velodrome.experiments.plotting.kinds import KINDS
from velodrome.experiments.plotting.style import COLOURS, line_style, text_colour, wrapped
from velodrome.experiments.results.numbers import estimate
from velodrome.experiments.results.results import Results
from velodrome.experiments.results.settings import PairBudget
from velodrome.experiments.statistics import StatisticsError, mean_band
from velodrome.experiments.statistics.sampled_shares import sampled_shares
from velodrome.experiments.statistics.variance_shares import variance_shares

ICE, SLIPPERY = "ice", "slippery ice"
ENVIRONMENTS = {ICE: "FrozenLake-v1(is_slippery=False)", SLIPPERY: "FrozenLake-v1"}
AGENTS = {
    "chance": "random",
    "small steps": "q_learning(learning_rate=0.1)",
    "large steps": "q_learning(learning_rate=0.9)",
}


class Pull(gym.Env):
    """Two arms, noisy rewards, and no way to say what success is."""

    observation_space = gym.spaces.Discrete(2)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.pulls = 0
        return 0, {}

    def step(self, action):
        self.pulls += 1
        return self.pulls % 2, float(action + self.np_random.normal()), False, self.pulls >= 3, {}


gym.register("PlotsPull-v0", entry_point=Pull)


@pytest.fixture(scope="module")
def lakes():
    return evaluated(vd.compare(AGENTS, ENVIRONMENTS, seeds=6, episodes=300, name="lakes"))


def evaluated(results, at=(100, 200, 300), unit="episode"):
    """Results with evaluations during training: success grows from 0 to that at the end; and with losses."""
    final = {record.key: record.number("greedy_success_rate") for record in results.records}

    def source(keys):
        for key in keys:
            values = np.linspace(0, final[key], len(at))
            yield (
                key,
                {
                    f"evaluation_{name}": Curve(f"evaluation_{name}", unit, np.array(at), values)
                    for name in ("success_rate", "return")
                }
                | {"loss": Curve("loss", "step", np.array(at), 1 - values)},
            )

    return dataclasses.replace(results, _measured_source=source)


@pytest.fixture(scope="module")
def mixed():
    """One agent fails on one of the environments."""
    agents = {"planner": "hostile_agents:HopefulPlanner", "learner": "q_learning(learning_rate=0.5)"}
    places = {"pole": "discretize(CartPole-v1, bins=2)", ICE: ENVIRONMENTS[ICE]}
    return vd.compare(agents, places, seeds=3, episodes=30, evaluation_episodes=2, workers=0, name="mixed")


@pytest.fixture(scope="module")
def pulls():
    """No success rule, and no model."""
    return vd.compare(
        {"작은 걸음": "q_learning(learning_rate=0.1)", "chance": "random"}, {"두 팔": "PlotsPull-v0"}, seeds=3,
        episodes=20, evaluation_episodes=5, workers=0, name="손잡이",
    )  # fmt: skip


def scores(results, environment, agent, column="greedy_success_rate"):
    return np.array([record.number(column) for record in results.trials(environment, agent) if record.status == "done"])


def without_curves(results):
    return Results(results.name, results.records, results.settings, results.num_planned)


def with_measures(record, **measures):
    return dataclasses.replace(record, measures=record.measures | measures)


def changed(results, **columns):
    records = [with_measures(record, **columns) for record in results.records]
    return dataclasses.replace(results, records=records)


def texts(axes):
    return [text.get_text() for text in axes.texts]


def line_of(axes, label):
    return next(line for line in axes.get_lines() if line.get_label() == label)


# Final scores


def test_every_seed_is_a_dot_around_its_row(lakes):
    figure = draw(lakes, "scores")
    assert [axes.get_title() for axes in figure.axes] == [ICE, SLIPPERY]
    axes = figure.axes[1]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(AGENTS)
    for place, (agent, dots) in enumerate(zip(AGENTS, axes.collections, strict=True)):
        x, y = dots.get_offsets().T
        assert np.array_equal(x, scores(lakes, SLIPPERY, agent))
        assert (abs(y - place) <= 0.25).all()
        assert len(np.unique(y)) == 6


def test_means_intervals_and_references_are_drawn_and_told(lakes):
    axes = draw(lakes, "scores").axes[1]
    values = scores(lakes, SLIPPERY, "small steps")
    interval = statistics.best_interval(values)
    low, high = max(0, interval.low), min(1, interval.high)
    assert estimate(values.mean(), low, high) in texts(axes)
    bar, mean = (line for line in axes.get_lines() if 1 in line.get_ydata() and 0 not in line.get_ydata())
    assert list(bar.get_xdata()) == [low, high]
    assert mean.get_xdata()[0] == pytest.approx(values.mean())
    best, random = (lakes.records[-1].number(f"{name}_success_rate") for name in ("best", "random"))
    assert {f"best possible {best:.3g}", f"random {random:.3g}"} < set(texts(axes))
    assert "6 seeds" in draw(lakes, "scores").get_suptitle()


def test_returns_are_the_default_without_a_success_rule(pulls):
    axes = draw(pulls, "scores").axes[0]
    assert axes.get_xlabel() == "greedy return"
    assert np.array_equal(
        axes.collections[0].get_offsets()[:, 0], scores(pulls, "두 팔", "작은 걸음", "greedy_mean_return")
    )
    assert draw(pulls, "scores", metric="train_return").axes[0].get_xlabel() == "training return"
    with pytest.raises(ExperimentError, match="no agent has a finite greedy success rate on 두 팔"):
        draw(pulls, "scores", metric="greedy_success_rate")


def test_a_wide_interval_of_two_seeds_does_not_hide_the_dots(lakes):
    records = [record for record in lakes.records if record.seed < 2]
    few = dataclasses.replace(lakes, records=records)
    for record, value in zip(records, itertools.cycle([1.0, 2.0])):
        records[records.index(record)] = with_measures(record, greedy_mean_return=value)
    low, high = draw(few, "scores", metric="greedy_return").axes[0].get_xlim()
    assert -2 < low < 1
    assert 2 < high < 5


def test_failed_trials_are_not_drawn_but_counted(mixed):
    figure = draw(mixed, "scores")
    assert figure.get_suptitle().endswith("left out: 3 failed trials")
    assert "no score" in texts(figure.axes[0])
    assert len(figure.axes[0].collections) == 1
    assert "left out" not in draw(mixed, "scores", environment=ICE).get_suptitle()


def test_infinite_scores_are_not_drawn_but_counted(lakes):
    records = [with_measures(lakes.records[0], greedy_mean_return=-math.inf), *lakes.records[1:]]
    figure = draw(dataclasses.replace(lakes, records=records), "scores", metric="greedy_return")
    assert figure.get_suptitle().endswith("left out: 1 infinite score")
    assert len(figure.axes[0].collections[0].get_offsets()) == 5


# Performance profiles


def test_profiles_are_those_of_normalised_scores(lakes):
    (axes,) = draw(lakes, "profiles").axes
    assert axes.get_xlabel() == "greedy success rate, normalised: 0 = random policy, 1 = best possible"
    parts = []
    for environment in ENVIRONMENTS:
        record = lakes.trials(environment, "chance")[0]
        span = record.measures["best_success_rate"] - record.measures["random_success_rate"]
        parts.append((scores(lakes, environment, "large steps") - record.measures["random_success_rate"]) / span)
    line = line_of(axes, "large steps")
    expected = statistics.performance_profile(parts, line.get_xdata())
    assert np.array_equal(line.get_ydata(), expected.shares)
    order = [text.get_text() for text in axes.get_legend().get_texts()]
    assert order.index("large steps") < order.index("chance")


def test_profiles_are_raw_where_no_scale_is_known(lakes):
    unknown = changed(lakes, best_success_rate=math.nan, best_return=math.nan)
    (axes,) = draw(unknown, "profiles").axes
    assert axes.get_xlabel() == "greedy success rate"
    assert line_of(axes, "chance").get_ydata()[0] == 1.0
    assert draw(unknown, "profiles", metric="greedy_return", environment=ICE).axes[0].get_xlabel() == "greedy return"
    with pytest.raises(
        ExperimentError, match=r"greedy returns have no common scale.* is not known on ice: take a succ"
    ):
        draw(unknown, "profiles", metric="greedy_return")


@pytest.mark.parametrize("kind", ["profiles", "improvement"])
def test_agents_that_were_not_scored_everywhere_are_told(mixed, kind):
    agents = AGENTS | {"planner": "hostile_agents:HopefulPlanner"}
    places = {"pole": "discretize(CartPole-v1, bins=2)", ICE: ENVIRONMENTS[ICE]}
    results = vd.compare(agents, places, seeds=2, episodes=5, evaluation_episodes=1, workers=0)
    caption = draw(results, kind).get_suptitle()
    assert "left out: 2 failed trials; planner (not scored on every environment)" in caption
    assert "planner" not in draw(results, kind, environment=ICE).get_suptitle()


# Probability of improvement


def test_the_matrix_holds_probabilities_of_improvement(lakes):
    (axes,) = draw(lakes, "improvement").axes
    values = axes.images[0].get_array()
    for row, column in itertools.permutations(range(3), 2):
        first, second = ([scores(lakes, place, list(AGENTS)[i]) for place in ENVIRONMENTS] for i in (row, column))
        assert values[row, column] == pytest.approx(statistics.probability_of_improvement(first, second))
        assert values[row, column] + values[column, row] == pytest.approx(1)
    first, second = ([scores(lakes, place, agent) for place in ENVIRONMENTS] for agent in list(AGENTS)[:2])
    interval = statistics.probability_of_improvement_interval(first, second)
    assert f"{values[0, 1]:.2f}\n[{interval.low:.2f}, {interval.high:.2f}]" in texts(axes)
    assert f"{values[1, 0]:.2f}\n[{1 - interval.high:.2f}, {1 - interval.low:.2f}]" in texts(axes)
    assert len(texts(axes)) == 6


def test_one_agent_cannot_be_compared():
    results = vd.compare({"alone": "random"}, "FrozenLake-v1", seeds=2, episodes=5)
    with pytest.raises(ExperimentError, match="compares two agents or more: only alone has scores"):
        draw(results, "improvement")


def test_one_seed_has_no_interval_and_says_so(lakes):
    one = dataclasses.replace(lakes, records=[record for record in lakes.records if record.seed == 0])
    assert "\none seed" in texts(draw(one, "improvement").axes[0])[0]
    assert "1 seed, without interval" in draw(one, "scores").get_suptitle()


# Regret


def test_regret_is_what_all_episodes_fell_short_of(lakes):
    axes = draw(lakes, "regret").axes[1]
    best = lakes.trials(SLIPPERY, "chance")[0].measures["best_return"]
    ends = [(best - curve.returns).sum() for curve in lakes.episode_curves(SLIPPERY, "small steps")]
    line = line_of(axes, "small steps")
    assert (line.get_xdata()[0], line.get_xdata()[-1]) == (0, 300)
    assert (line.get_ydata()[0], line.get_ydata()[-1]) == (0, pytest.approx(np.mean(ends)))
    assert len(line.get_xdata()) <= 201
    band = next(iter(axes.collections[1].get_paths())).vertices
    low, high = statistics.mean_band(np.array(ends))
    last = band[band[:, 0] == 300, 1]
    assert (last.min(), last.max()) == pytest.approx((float(low), float(high)))


def test_regret_over_steps_goes_as_far_as_every_seed(lakes):
    axes = draw(lakes, "regret", over="steps", environment=SLIPPERY).axes[0]
    assert axes.get_xlabel() == "environment step"
    line = line_of(axes, "chance")
    shown = line.get_xdata()[np.isfinite(line.get_ydata())]
    best, curves = lakes.trials(SLIPPERY, "chance")[0].measures["best_return"], lakes.episode_curves(SLIPPERY, "chance")
    at_last = []
    for curve in curves:
        assert curve.lengths.sum() >= shown[-1]
        at_last.append((best - curve.returns[np.cumsum(curve.lengths) <= shown[-1]]).sum())
    assert line.get_ydata()[len(shown) - 1] == pytest.approx(np.mean(at_last))


def test_regret_needs_a_known_optimum_and_curves(pulls, lakes, mixed):
    with pytest.raises(ExperimentError, match="두 팔: there is no regret, for the best expected return is not known"):
        draw(pulls, "regret")
    for kind in ("regret", "learning"):
        with pytest.raises(ExperimentError, match="ice: these results have no learning curves"):
            draw(without_curves(lakes), kind)
    # A panel that cannot be drawn says so beside one that can.
    pole, ice = draw(mixed, "regret").axes
    assert "no regret" in texts(pole)[0]
    assert line_of(ice, "learner").get_xdata()[-1] == 30


# Learning curves, what is new in them


def test_learning_curves_show_returns_where_there_is_no_success_rule(pulls):
    axes = draw(pulls, "learning").axes[0]
    assert axes.get_ylabel() == "return in training"
    assert len(axes.collections) == 2


def test_curves_of_a_budget_of_steps_can_be_drawn_over_episodes():
    results = vd.compare(["random"], "FrozenLake-v1", seeds=3, steps=500)
    axes = draw(results, over="episodes").axes[0]
    most = max(curve.episodes for curve in results.episode_curves("FrozenLake-v1", "random"))
    assert (axes.get_xlabel(), axes.get_xlim()) == ("episode", (0, most))


def test_lines_go_on_where_no_episode_has_ended():
    results = vd.compare(["random"], "CliffWalking-v1(max_episode_steps=50)", seeds=2, steps=400)
    axes = draw(results).axes[0]
    x, y = line_of(axes, "random").get_data()
    ends = {
        int(end) for curve in results.episode_curves(*results.environments, "random") for end in curve.lengths.cumsum()
    }
    assert 1 < len(x) <= len(ends)
    assert np.isfinite(y).all()


def test_lengths_that_are_not_known_leave_episodes(lakes):
    def curves_without_lengths(keys):
        known = {key: curve for agent in AGENTS for key, curve in zip(keys_of(agent), curves_of(agent), strict=True)}
        return ((key, dataclasses.replace(known[key], lengths=np.zeros(300, dtype=np.int64))) for key in keys)

    def keys_of(agent):
        return [record.key for record in lakes.trials(ICE, agent)]

    def curves_of(agent):
        return lakes.episode_curves(ICE, agent)

    records = [record for record in lakes.records if record.environment == ICE]
    settings = dataclasses.replace(lakes.settings, budget=PairBudget(), environments={ICE: "somewhere"})
    results = dataclasses.replace(lakes, records=records, settings=settings, _curve_source=curves_without_lengths)
    for kind in ("learning", "regret"):
        assert draw(results, kind).axes[0].get_xlim() == (0, 300)
        with pytest.raises(ExperimentError, match="ice: how many steps episodes took is not known"):
            draw(results, kind, over="steps")


# Sweeps


@pytest.fixture(scope="module")
def sweep():
    agents = {
        f"{name} {rate}": f"{name}(learning_rate={rate}, policy=epsilon_greedy(epsilon=0.2))"
        for name in ("q_learning", "sarsa")
        for rate in (0.9, 0.01, 0.1)
    } | {"eager": "q_learning(learning_rate=0.1, policy=epsilon_greedy(epsilon=0.5))", "chance": "random"}
    return vd.compare(agents, "FrozenLake-v1", seeds=3, episodes=60, name="rates")


def test_a_sweep_draws_means_over_the_parameter(sweep):
    figure = draw(sweep, "sweep", parameter="learning_rate")
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_xscale()) == ("learning_rate", "log")
    for name in ("q_learning", "sarsa"):
        line = line_of(axes, name)
        assert list(line.get_xdata()) == [0.01, 0.1, 0.9]
        means = [scores(sweep, "FrozenLake-v1", f"{name} {rate}").mean() for rate in (0.01, 0.1, 0.9)]
        assert line.get_ydata() == pytest.approx(means)
    # A single agent that differs in another thing stands alone, under its own name.
    assert list(line_of(axes, "eager").get_xdata()) == [0.1]
    assert {"q_learning", "sarsa", "eager"} < set(texts(axes))
    assert figure.get_suptitle().endswith("left out: chance (no learning_rate)")


def test_nested_parameters_and_values_close_to_each_other(sweep):
    (axes,) = draw(sweep, "sweep", parameter="policy.epsilon").axes
    assert axes.get_xscale() == "linear"
    pair = [line for line in axes.get_lines() if list(line.get_xdata()) == [0.2, 0.5]]
    assert len(pair) == 1


def test_budgets_of_their_own_are_separate_lines():
    agents = {
        f"{rate} for {episodes}": {"agent": f"q_learning(learning_rate={rate})", "episodes": episodes}
        for rate in (0.1, 0.5)
        for episodes in (5, 10)
    }
    (axes,) = draw(vd.compare(agents, "FrozenLake-v1", seeds=2), "sweep").axes
    assert {"episodes=5", "episodes=10"} < set(texts(axes))


def test_parameters_that_do_not_vary_are_refused_with_those_that_do(sweep, lakes):
    with pytest.raises(ExperimentError, match=re.escape("differ: learning_rate, policy.epsilon; got 'epsilon': did you "
                                                        "mean 'policy.epsilon'?")):  # fmt: skip
        draw(sweep, "sweep", parameter="epsilon")
    with pytest.raises(ExperimentError, match=r"several numbers: learning_rate, policy.epsilon$"):
        draw(sweep, "sweep")
    with pytest.raises(ExperimentError, match=r"got 'discount'$"):
        draw(sweep, "sweep", parameter="discount")
    assert draw(lakes, "sweep").axes[0].get_xlabel() == "learning_rate"
    results = vd.compare(["random", "value_iteration"], "FrozenLake-v1", seeds=1, episodes=5)
    with pytest.raises(ExperimentError, match="a sweep needs agents that differ in a number"):
        draw(results, "sweep")


def test_agents_from_elsewhere_are_read_as_far_as_they_are_expressions(lakes):
    expressions = {"chance": "some text (of no form", "small steps": "DQN(rate=1e-3)", "large steps": "DQN(rate=1e-2)"}
    results = dataclasses.replace(lakes, settings=dataclasses.replace(lakes.settings, agents=expressions))
    figure = draw(results, "sweep", parameter="rate")
    assert figure.get_suptitle().endswith("left out: chance (no rate)")
    assert list(line_of(figure.axes[0], "DQN").get_xdata()) == [0.001, 0.01]


def test_labels_stand_for_expressions_that_are_not_known(lakes):
    labels = dict(zip(AGENTS, ("PPO", "DQN(rate=0.1)", "DQN(rate=0.2)"), strict=True))
    records = [dataclasses.replace(record, agent=labels[record.agent]) for record in lakes.records]
    settings = dataclasses.replace(lakes.settings, agents=dict.fromkeys(labels.values(), ""))
    figure = draw(dataclasses.replace(lakes, records=records, settings=settings), "sweep")
    assert list(line_of(figure.axes[0], "DQN").get_xdata()) == [0.1, 0.2]


# Parameters that vary over a grid


@pytest.fixture(scope="module")
def grid(lakes):
    """Two learning rates × three ε × two seeds; the score is a known sum of the three."""
    agents = {
        f"{rate} {epsilon}": f"q_learning(learning_rate={rate}, policy=epsilon_greedy(epsilon={epsilon}))"
        for rate in (0.1, 0.5)
        for epsilon in (0.1, 0.2, 0.4)
    } | {"chance": "random"}
    results = vd.compare(agents, "FrozenLake-v1", seeds=2, episodes=5, name="grid")
    return scored(results, lambda rate, epsilon, seed: rate + epsilon + seed / 100)


def scored(results, score):
    """Results whose scores are a function of learning rate, ε and seed."""
    records = [
        with_measures(record, greedy_success_rate=score(*map(float, record.agent.split()), record.seed))
        if record.agent != "chance"
        else record
        for record in results.records
    ]
    return dataclasses.replace(results, records=records)


def test_the_importance_of_an_additive_score_is_exact(grid):
    figure = draw(grid, "importance")
    (axes,) = figure.axes
    # Variances of the rates 0.1 and 0.5, and of 0.1, 0.2 and 0.4: 0.04 and 7/450.
    shares = [0.04 / (0.04 + 7 / 450), (7 / 450) / (0.04 + 7 / 450), 0]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx(shares, abs=1e-12)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["learning_rate", "policy.epsilon", "together"]
    assert "left out: chance (other parameters)" in figure.get_suptitle()


def test_what_parameters_do_only_together_has_its_share(grid):
    # Without any main effect: the sign is that of the product.
    together = scored(grid, lambda rate, epsilon, seed: (rate - 0.3) * {0.1: 1, 0.2: 0, 0.4: -1}[epsilon])
    assert [bar.get_width() for bar in draw(together, "importance").axes[0].patches] == pytest.approx([0, 0, 1])


def test_gaps_in_the_grid_and_equal_scores_are_told(grid):
    gaps = dataclasses.replace(grid, records=[one for one in grid.records if one.agent != "0.1 0.2"])
    with pytest.raises(ExperimentError, match=r"full grid: of 6 combinations of learning_rate, policy.epsilon .* 5 "):
        draw(gaps, "importance")
    with pytest.raises(ExperimentError, match="do not differ by more than seeds do"):
        draw(scored(grid, lambda rate, epsilon, seed: 0.5 + seed / 10), "importance")


def test_noise_of_seeds_takes_no_share_on_average():
    stream = np.random.default_rng(0)
    values = np.linspace(0, 1, 4)[:, np.newaxis] + np.zeros((4, 3))
    shares = [variance_shares(values + stream.normal(size=(20, 4, 3))) for _ in range(300)]
    # Without the correction the second parameter's would be .033 on average.
    assert np.mean([one.alone[1] for one in shares]) < 0.05
    assert np.mean([one.alone[0] for one in shares]) == pytest.approx(0.8, abs=0.15)
    assert variance_shares(values[np.newaxis]).alone == pytest.approx((1, 0))


def test_parallel_coordinates_lead_every_agent_to_its_mean(grid):
    (axes,) = draw(grid, "parallel").axes
    means = {agent: scores(grid, "FrozenLake-v1", agent).mean() for agent in grid.agents if agent != "chance"}
    low, high = min(means.values()), max(means.values())
    for agent, mean in means.items():
        rate, epsilon = map(float, agent.split())
        heights = [[0.1, 0.5].index(rate), [0.1, 0.2, 0.4].index(epsilon) / 2, (mean - low) / (high - low)]
        assert list(line_of(axes, agent).get_ydata()) == pytest.approx(heights)
    names = [label.get_text().replace("\n", " ") for label in axes.get_xticklabels()]
    assert names == ["learning_rate", "policy.epsilon", "greedy success rate"]


@pytest.mark.parametrize("kind", ["parallel", "importance"])
def test_one_parameter_alone_makes_no_picture_of_several(kind):
    agents = [f"q_learning(learning_rate={rate})" for rate in (0.1, 0.5)]
    results = vd.compare(agents, "FrozenLake-v1", seeds=1, episodes=5)
    with pytest.raises(ExperimentError, match=r"at least two parameters must vary .*: learning_rate alone does"):
        draw(results, kind)


def test_crossed_learners_and_policies_are_two_parameters():
    learners = {"Q": "q_learning", "S": "sarsa"}
    policies = {"soft": "softmax(temperature=0.1)", "greedy": "greedy"}
    results = vd.compare(learners=learners, policies=policies, environments="FrozenLake-v1", seeds=2, episodes=20)
    assert [label.get_text() for label in draw(results, "parallel").axes[0].get_xticklabels()][:2] == [
        "learner",
        "policy",
    ]


# Sensitivity


@pytest.fixture(scope="module")
def swept():
    """Two learners × three learning rates on two lakes; the score is known."""
    agents = {
        f"{name} {rate}": f"{name}(learning_rate={rate})"
        for name in ("q_learning", "sarsa")
        for rate in (0.1, 0.3, 0.9)
    }
    results = vd.compare(agents | {"chance": "random"}, ENVIRONMENTS, seeds=4, episodes=5, name="swept")
    return with_scores(results, lambda name, rate, place: rate if place and name == "sarsa" else -rate)


def with_scores(results, score):
    records = []
    for record in results.records:
        name, _, rate = record.agent.partition(" ")
        value = score(name, float(rate), list(ENVIRONMENTS).index(record.environment)) if rate else 0.0
        records.append(with_measures(record, greedy_success_rate=value + record.seed / 1000))
    return dataclasses.replace(results, records=records)


def test_sensitivity_is_drawn_where_the_paper_has_it(swept):
    figure = draw(swept, "sensitivity")
    (axes,) = figure.axes
    scores = AlgorithmScores.of_table(swept)
    assert scores.labels == {
        name: tuple(f"{name} {rate}" for rate in (0.1, 0.3, 0.9)) for name in ("q_learning", "sarsa")
    }
    expected = statistics.sensitivity(scores.scores)
    for name in ("q_learning", "sarsa"):
        point = line_of(axes, name)
        assert list(point.get_xdata()) == [expected[name].sensitivity]
        assert list(point.get_ydata()) == [expected[name].performance]
    # The best rate of Sarsa is another on each lake.
    assert expected["q_learning"].sensitivity == 0 < expected["sarsa"].sensitivity
    assert "3 of q_learning, 3 of sarsa" in " ".join(figure.get_suptitle().split())
    assert "left out: chance" in figure.get_suptitle()
    assert scores.effective_dimensionality()["sarsa"].tuned[1] == ("learning_rate",)
    assert scores.settings()["q_learning"].per_environment == (0, 0)


def test_infinite_scores_count_as_the_worst(swept):
    records = [
        with_measures(record, greedy_success_rate=-math.inf) if record.agent == "sarsa 0.9" else record
        for record in swept.records
    ]
    scores = AlgorithmScores.of_table(dataclasses.replace(swept, records=records))
    assert scores.num_worst == 8
    assert np.isfinite(scores.scores["sarsa"]).all()
    assert scores.scores["sarsa"].min() == scores.scores["sarsa"][2].min()


def test_sensitivity_says_in_one_line_what_it_needs(swept, grid):
    with pytest.raises(ExperimentError, match="over environments and needs at least two, got one: FrozenLake-v1"):
        draw(grid, "sensitivity")
    with pytest.raises(ExperimentError, match="an algorithm with at least two configurations"):
        draw(swept.only(["sarsa 0.1", "q_learning 0.1"], list(ENVIRONMENTS)), "sensitivity")
    apart = [one for one in swept.records if (one.seed < 2) == (one.agent == "sarsa 0.1")]
    with pytest.raises(ExperimentError, match="a seed that all configurations have on every environment"):
        draw(dataclasses.replace(swept, records=apart), "sensitivity")
    with pytest.raises(ExperimentError, match=r"on slippery ice nine in ten configurations score the same"):
        draw(with_scores(swept, lambda name, rate, place: 0.0 if place else rate), "sensitivity")


# Importance of samples


def test_importance_of_sampled_values_is_that_of_what_a_forest_learns():
    pytest.importorskip("optuna")
    rng = np.random.default_rng(0)
    rates, steps = (10 ** rng.uniform(-2, 0, 40)).tolist(), rng.integers(1, 9, 40).tolist()
    score = 2 * np.log10(rates) + 0.1 * np.array(steps)
    shares = sampled_shares({"rate": rates, "steps": steps, "same": [1] * 40}, score, num_trees=16)
    # Variances of two log rates, evenly spread, and of a tenth of eight numbers.
    assert shares.alone[0] == pytest.approx(4 / 3 / (4 / 3 + 0.0525), abs=0.1)
    assert shares.alone[2] == 0
    assert sum(shares.alone) + shares.together == pytest.approx(1)
    with pytest.raises(StatisticsError, match="needs at least 10 configurations, got 3"):
        sampled_shares({"rate": rates[:3], "steps": [1, 2, 3]}, score[:3])
    with pytest.raises(StatisticsError, match="the scores do not differ"):
        sampled_shares({"rate": rates, "steps": steps}, np.ones(40))


def test_without_optuna_importance_of_samples_says_what_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(StatisticsError, match=r"needs Optuna: pip install 'velodrome\[tune\]'"):
        sampled_shares({"rate": range(10), "steps": range(10)}, range(10))


# Evaluations during training


def test_evaluations_are_means_over_seeds_with_bands_and_the_best_possible(lakes):
    figure = draw(lakes, "evaluation", environment=SLIPPERY)
    axes = figure.axes[0]
    line = line_of(axes, "large steps")
    assert list(line.get_xdata()) == [100, 200, 300]
    final = scores(lakes, SLIPPERY, "large steps")
    assert line.get_ydata() == pytest.approx([0, final.mean() / 2, final.mean()])
    _, high = mean_band(np.outer(final, [0, 0.5, 1]))
    bands = [collection.get_paths()[0].vertices for collection in axes.collections]
    assert any(band[:, 1].max() == pytest.approx(min(1, high[-1])) for band in bands)
    assert axes.get_ylabel().startswith("greedy success rate")
    assert any(text.startswith("best possible") for text in texts(axes))
    assert "mean of 6 seeds, band = 95 % interval" in figure.get_suptitle()
    assert draw(lakes, "evaluation", metric="return").axes[0].get_ylabel().startswith("greedy return")


def test_measured_curves_come_in_the_order_of_the_seeds(lakes):
    curves = lakes.measured_curves(ICE, "large steps", "evaluation_return")
    assert [curve.values[-1] for curve in curves] == list(scores(lakes, ICE, "large steps"))
    assert lakes.measured_curves(ICE, "large steps", "surprise") == []


def test_where_no_evaluation_is_stored_that_is_said(pulls, lakes):
    with pytest.raises(ExperimentError, match=r"두 팔: no evaluations during training are stored.*--evaluate-every"):
        draw(pulls, "evaluation")
    steps = evaluated(lakes, unit="step")._measured_source
    keys = {record.key for record in lakes.records if record.agent == "chance"}

    def mixed_units(wanted):
        for key, curves in lakes._measured_source(wanted):
            yield key, dict(steps([key]))[key] if key in keys else curves

    with pytest.raises(ExperimentError, match="evaluations count in episodes and steps"):
        draw(dataclasses.replace(lakes, _measured_source=mixed_units), "evaluation")


# Kinds of one's own


def test_a_kind_of_ones_own_is_drawn_and_registered(lakes, monkeypatch):
    kind = PlotKind(
        "speed",
        lambda axes, page, environment: axes.bar(
            page.table.agents,
            [np.mean([one.number("steps") for one in page.table.done(environment, a)]) for a in page.table.agents],
        ),
        caption="Steps of a trial.",
    )
    figure = lakes.plot(kind=kind)
    assert len(figure.axes) == len(ENVIRONMENTS)
    assert "mean of 6 seeds" in figure.get_suptitle()
    with pytest.raises(ExperimentError, match="kind must be one of"):
        lakes.plot(kind="speed")
    monkeypatch.setattr(kinds, "KINDS", dict(KINDS))
    register_kind(kind)
    assert len(lakes.plot(kind="speed", environment=ICE).axes) == 1
    with pytest.raises(ExperimentError, match="kind 'scores' is there already; give it another name"):
        register_kind(dataclasses.replace(kind, name="scores"))
    known = "metric, parameter, over, band, share, runs"
    with pytest.raises(ExperimentError, match=f"options must be of {known}, got 'colour'"):
        PlotKind("mine", kind.draw, options=("colour",))


# Whole pages


@pytest.mark.parametrize(
    ("kind", "options", "line"),
    [
        ("score", {}, "kind must be one of learning, evaluation, curves, .* got 'score': did you mean 'scores'"),
        ("learning", {"metric": "returns"}, "metric must be one of success_rate, return, got 'returns': did you mean"),
        ("scores", {"metric": "train_returns"}, "metric must be one of .*: did you mean 'train_return'"),
        ("scores", {"environment": "slipery ice"}, "environment must be one of .*: did you mean 'slippery ice'"),
        ("regret", {"over": "step"}, "over must be one of episodes, steps, got 'step': did you mean 'steps'"),
        ("regret", {"metric": "return"}, "metric is for learning, evaluation, scores, profiles, improvement, sweep"),
        ("profiles", {"over": "steps"}, "over is for learning, regret"),
        ("scores", {"parameter": "discount"}, "parameter is for scaling, sweep"),
    ],
)
def test_words_that_do_not_fit_are_refused_in_one_line(lakes, kind, options, line):
    with pytest.raises(ExperimentError, match=line) as refused:
        draw(lakes, kind, **options)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", KINDS)
def test_without_any_trial_there_is_nothing_to_draw(lakes, kind):
    with pytest.raises(ExperimentError, match="lakes: no trial has ended"):
        draw(dataclasses.replace(lakes, records=[]), kind)


@pytest.mark.parametrize("kind", sorted({*KINDS} - {"parallel", "importance", "scaling", "sensitivity"}))
def test_seeds_may_differ_from_pair_to_pair(lakes, kind):
    records = [
        record
        for record in lakes.records
        if record.seed < (1 if record.agent == "chance" else 4 if record.environment == ICE else 6)
    ]
    assert "1 to 6 seeds" in draw(dataclasses.replace(lakes, records=records), kind).get_suptitle()


@pytest.mark.parametrize("kind", KINDS)
def test_no_global_style_is_touched_and_no_text_is_cut_off(lakes, grid, swept, kind):
    before = dict(mpl.rcParams)
    seas = None
    if kind == "scaling":
        places = [f"velodrome/DeepSea-v0(size={size})" for size in (2, 3)]
        seas = vd.compare("random", places, seeds=2, episodes=10, evaluate_every=5, solved_at=0.9)
    drawn = {"parallel": grid, "importance": grid, "sensitivity": swept, "scaling": seas}
    figure = draw(drawn.get(kind, lakes), kind)
    assert dict(mpl.rcParams) == before
    for axes in figure.axes:
        legend = axes.get_legend()
        names = [] if legend is None else legend.get_texts()
        for text in (axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts, *axes.get_yticklabels(), *names):
            if not text.get_text():
                continue
            box = Text.get_window_extent(text)
            assert figure.bbox.x0 <= box.x0 <= box.x1 <= figure.bbox.x1, text.get_text()


@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf"])
def test_the_same_picture_has_the_same_bytes(lakes, tmp_path, ending):
    figure = draw(lakes, "scores", environment=ICE)
    before = dict(mpl.rcParams)
    one, again = figure_bytes(figure, ending), figure_bytes(figure, ending)
    assert dict(mpl.rcParams) == before
    write_figure(draw(lakes, "scores", environment=ICE), tmp_path / f"scores{ending}")
    assert one == again == (tmp_path / f"scores{ending}").read_bytes()


def test_other_endings_are_refused(tmp_path):
    with pytest.raises(ExperimentError, match=r"a picture ends in \.png, \.svg, \.pdf, got '\.jpg'"):
        write_figure(Figure(), tmp_path / "a.jpg")
    assert list(tmp_path.iterdir()) == []


def test_labels_of_many_agents_do_not_cover_each_other():
    agents = [
        f"q_learning(learning_rate={rate}, policy=epsilon_greedy(epsilon={epsilon}))"
        for rate in (0.1, 0.2, 0.5, 1)
        for epsilon in (0.1, 0.2, 0.3, 0.4, 0.5)
    ]
    results = vd.compare(agents, "FrozenLake-v1", seeds=2, episodes=20)
    for kind in ("learning", "scores", "improvement"):
        figure = draw(results, kind)
        (axes,) = figure.axes
        shown = axes.texts if kind == "learning" else axes.get_yticklabels()
        boxes = [Text.get_window_extent(text) for text in shown]
        assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_styles_of_32_agents_differ_and_their_names_can_be_read():
    assert len({tuple(line_style(place).values()) for place in range(32)}) == 32
    for colour in COLOURS:
        parts = np.array(mpl.colors.to_rgb(text_colour(colour)))
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        assert 1.05 / (linear @ (0.2126, 0.7152, 0.0722) + 0.05) >= 4.5


@given(st.text(st.sampled_from("ab가나 ,(=)"), max_size=200))
def test_wrapped_labels_are_narrow_and_lose_nothing(label):
    lines = wrapped(label, 40, most_lines=99).split("\n")
    assert "".join(lines).replace(" ", "") == label.replace(" ", "")
    for line in lines:
        assert sum(2 if unicodedata.east_asian_width(letter) == "W" else 1 for letter in line.strip()) <= 40
    assert len(wrapped(label, 40, most_lines=3).split("\n")) <= 3


def test_a_dollar_sign_starts_no_formula():
    agents = {"costs $1 and $2_": "random", "$\\frac$": "dummy_q"}
    results = vd.compare(agents, {"$x^$": "FrozenLake-v1"}, seeds=2, episodes=10, name="a $ b $ c")
    for kind in ("learning", "profiles", "improvement"):
        assert figure_bytes(draw(results, kind), ".png")


# Korean


KOREAN_KINDS = ["learning", "scores", "profiles", "improvement"]


@pytest.mark.skipif(fonts.hangul_family() is None, reason="no font with Korean letters is installed")
@pytest.mark.parametrize("kind", KOREAN_KINDS)
def test_korean_labels_have_letters(pulls, kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = draw(pulls, kind)
        figure.savefig("/dev/null", format="png")
        assert figure_bytes(figure, ".svg") == figure_bytes(draw(pulls, kind), ".svg")
    family = fonts.hangul_family()
    for text in figure.findobj(Text):
        assert (family in text.get_fontfamily()) == fonts.has_hangul(text.get_text())


@pytest.mark.parametrize("kind", KOREAN_KINDS)
def test_without_a_korean_font_one_line_says_so(pulls, monkeypatch, kind):
    monkeypatch.setattr(fonts, "hangul_family", lambda: None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert figure_bytes(draw(pulls, kind), ".png")
    assert [warning.category for warning in caught] == [ExperimentWarning]
    assert "no installed font has Korean letters" in str(caught[0].message)


def test_axes_of_the_users_own_are_drawn_on(pulls, lakes):
    axes = Figure().subplots()
    assert draw_final_scores(axes, lakes, ICE) is axes
    korean = draw_final_scores(Figure().subplots(), pulls, "두 팔")
    if (family := fonts.hangul_family()) is not None:
        assert family in korean.title.get_fontfamily()
        assert family not in axes.title.get_fontfamily()


def test_regret_of_a_budget_of_steps_is_drawn_over_episodes_where_their_lengths_differ():
    ice = vd.compare(["random", "q_learning"], "FrozenLake-v1", seeds=5, steps=300)
    assert draw(ice, "regret").axes[0].get_xlabel() == "episode"
    with pytest.raises(ExperimentError, match=r"^FrozenLake-v1: no regret over steps: [^\n]*; take over='episodes'$"):
        draw(ice, "regret", over="steps")
    river = vd.compare(["random", "q_learning"], "velodrome/RiverSwim-v0", seeds=5, steps=210)
    assert draw(river, "regret").axes[0].get_xlabel() == "environment step"
