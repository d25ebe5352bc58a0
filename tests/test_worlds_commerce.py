"""The ad server, the recommender session and the position: what they model, their optima, and who learns them."""

import json
import re
from itertools import product
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings, strategies as st

import velodrome as vd
from velodrome import agents
from velodrome.agents.planning.dynamic_programming import best_possible, evaluate_policy, random_value
from velodrome.agents.resuming.environment_streams import environment_streams, restore_environment_streams
from velodrome.envs import TransitionModel, success_rule
from velodrome.envs.applications import AdServer, AssetPosition, ClairvoyantAdServer, RecommenderSession, least_tired
from velodrome.envs.model.model_check import check_model
from velodrome.experiments.reporting.tables import format_table
from velodrome.experiments.specification.experiment_file import read_experiment

SMALL = {
    "ads": lambda: ClairvoyantAdServer(num_ads=2, click_probabilities=(0.1, 0.9), drift=0.4),
    "session": lambda: RecommenderSession((0.7, 0.3), fatigue_levels=3, recovery=0.6, leaving=0.1),
    "position": lambda: AssetPosition(num_prices=5),
}
SERVED = ("velodrome/AdServer-v0", "velodrome/ClairvoyantAdServer-v0")


def model_of(identifier, **arguments):
    return TransitionModel.of(gym.make(identifier, **arguments))


def within(env, limit):
    return env.model.with_time_limit(limit)


def always(model, action):
    policy = np.zeros((model.num_states, model.num_actions))
    policy[:, action] = 1.0
    return policy


def episode(env, seed, actions):
    first, _ = env.reset(seed=seed)
    return [first, *(env.step(action)[:3] for action in actions)]


# What they are.


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("AdServer", {"num_ads": 2, "click_probabilities": (0.1, 0.9)}),
        ("ClairvoyantAdServer", {"num_ads": 3, "drift": 0.5}),
        ("RecommenderSession", {"click_probabilities": (0.7, 0.3), "fatigue_levels": 2}),
        ("AssetPosition", {"num_prices": 3, "cost": 0}),
    ],
)
def test_gymnasiums_checker_passes_with_other_arguments(name, arguments):
    check_env(gym.make(f"velodrome/{name}-v0", **arguments).unwrapped)


@pytest.mark.parametrize("make", SMALL.values(), ids=SMALL)
def test_playing_agrees_with_the_model(make):
    env = make()
    check_model(make(), env.model.with_time_limit(30))


@pytest.mark.parametrize("identifier", ["AdServer", "ClairvoyantAdServer", "RecommenderSession", "AssetPosition"])
def test_a_seed_decides_everything_and_the_next_episode_is_another(identifier):
    env, twin = (gym.make(f"velodrome/{identifier}-v0").unwrapped for _ in range(2))
    actions = [0, 1, 2, 2, 1, 0, 1] * 4
    first = episode(env, 5, actions)
    assert episode(twin, 5, actions) == first
    later = [episode(one, None, actions) for one in (env, twin)]
    assert later[0] == later[1] != first


def test_the_ad_server_is_the_clairvoyant_one_with_its_levels_hidden():
    hidden, seen = (gym.make(identifier) for identifier in SERVED)
    rng = np.random.default_rng(0)
    for seed in (3, None):
        assert hidden.reset(seed=seed)[0] == 0
        seen.reset(seed=seed)
        for action in rng.integers(4, size=1000).tolist():
            unseen, reward, *ends, _ = hidden.step(action)
            assert unseen == 0
            assert [reward, *ends] == list(seen.step(action)[1:4])
        assert ends == [False, True]


def test_the_ad_server_hides_its_transitions_too():
    assert not hasattr(AdServer(), "P")
    assert not hasattr(AdServer(), "model")


def test_a_day_succeeds_from_its_target_on():
    env = AdServer(click_probabilities=(0.4, 0.6), target=3)
    env.reset(seed=0)
    steps = [env.step(0) for _ in range(20)]
    clicks = np.cumsum([step[1] for step in steps])
    assert [step[4]["is_success"] for step in steps] == (clicks >= 3).tolist()
    assert 3 <= clicks[-1] < 20
    env.reset()
    assert env.step(0)[4] == {"is_success": False}


def test_the_outcomes_of_a_recommendation():
    model = RecommenderSession().model
    table = RecommenderSession().P
    # Favourite 1, tired of it to the second of four levels, and a little of category 2; category 1 is recommended.
    state = np.ravel_multi_index((1, 0, 2, 1), (3, 4, 4, 4))
    merged = {}
    for probability, following, reward, left in table[state][1]:
        key = (*(int(part) for part in np.unravel_index(following, (3, 4, 4, 4))), reward, left)
        merged[key] = merged.get(key, 0.0) + probability
    click, leaves = 0.8 * (1 - 0.3 * 2 / 3), 0.02 + 0.3 * 2 / 3
    for level in (0, 1):
        assert merged[1, 0, 3, level, 1.0, False] == pytest.approx(0.5 * click)
        assert merged[1, 0, 3, level, 0.0, False] == pytest.approx(0.5 * (1 - click) * (1 - leaves))
        assert merged[1, 0, 3, level, 0.0, True] == pytest.approx(0.5 * (1 - click) * leaves)
    assert len(merged) == 6
    assert (model.success == ~model.terminated).all()
    favourite, *fatigue = np.unravel_index(np.flatnonzero(model.initial_distribution), (3, 4, 4, 4))
    assert favourite.tolist() == [0, 1, 2]
    assert not np.any(fatigue)


def test_the_outcomes_of_a_trade():
    table = AssetPosition(cost=0.25).P
    # From short at the lowest price to long: two units bought; the price stays where it would leave its levels.
    assert table[0][2] == [
        (pytest.approx(0.2), 2, -0.5, False),
        (pytest.approx(0.2), 2, -0.5, False),
        (pytest.approx(0.6), 5, 0.5, False),
    ]
    fair = 3 * 5 + 1
    assert [outcome[1:3] for outcome in table[fair][0]] == [(12, 0.75), (15, -0.25), (18, -1.25)]


def test_texts_show_the_state():
    position = AssetPosition(render_mode="ansi")
    position.reset(seed=0)
    assert position.render() == "price 100, flat\n"
    position.step(2)
    assert re.fullmatch(r"\(long\) price (99|100|101), long\n", position.render())
    session = RecommenderSession(render_mode="ansi")
    session.reset(seed=0)
    assert re.fullmatch(r"favourite \d, fatigue 0 0 0\n", session.render())
    session.step(1)
    assert re.fullmatch(r"\(1\) favourite \d, fatigue 0 1 0\n", session.render())
    ads = ClairvoyantAdServer(render_mode="ansi")
    ads.reset(seed=0)
    ads.s = 0 * 27 + 1 * 9 + 2 * 3 + 0
    assert ads.render() == "0.05 0.15 0.4 0.05\n"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: AdServer(num_ads=1), "num_ads must be a whole number of at least 2, got 1"),
        (lambda: AdServer(target=0), "target must be a whole number of at least 1, got 0"),
        (lambda: AdServer(drift=-0.1), "drift must be a number in [0, 1], got -0.1"),
        (lambda: AdServer(click_probabilities=0.5), "click_probabilities must be a list of numbers, got 0.5"),
        (lambda: AdServer(click_probabilities=(0.5,)), "click_probabilities must be at least 2 numbers, got 1"),
        (
            lambda: ClairvoyantAdServer(click_probabilities=(0.1, "x")),
            "click_probabilities[1] must be a number in [0, 1], got 'x'",
        ),
        (
            lambda: ClairvoyantAdServer(num_ads=10),
            "states, levels ** num_ads, must be at most 20000, got 3 ** 10 = 59049",
        ),
        (lambda: AdServer(render_mode="human"), "render_mode must be one of None, 'ansi', got 'human'"),
        (lambda: AdServer().step(0), "call reset() before step()"),
        (lambda: (env := AdServer(), env.reset(), env.step(4)), "action must be 0 to 3, got 4"),
        (
            lambda: RecommenderSession(fatigue_levels=1),
            "fatigue_levels must be a whole number of at least 2, got 1",
        ),
        (lambda: RecommenderSession(dulling=2), "dulling must be a number in [0, 1], got 2"),
        (
            lambda: RecommenderSession(leaving=0.5, annoyance=0.6),
            "leaving + annoyance must be at most 1, got 0.5 + 0.6",
        ),
        (
            lambda: RecommenderSession([0.5] * 6, fatigue_levels=5),
            "states, categories * fatigue_levels ** categories, must be at most 20000, got 6 * 5 ** 6 = 93750",
        ),
        (lambda: AssetPosition(num_prices=4), "num_prices must be odd, so that one is the fair price, got 4"),
        (lambda: AssetPosition(num_prices=1), "num_prices must be a whole number of at least 3, got 1"),
        (lambda: AssetPosition(volatility=1.1), "volatility must be a number in [0, 1], got 1.1"),
        (lambda: AssetPosition(cost=-1), "cost must be a number in [0, inf), got -1"),
    ],
)
def test_bad_arguments_are_one_line(make, words):
    with pytest.raises((ValueError, gym.error.ResetNeeded)) as caught:
        make()
    assert str(caught.value) == words


# What is best in them.


def test_documented_optima():
    ads, session, price = (model_of(f"velodrome/{name}-v0") for name in
                           ("ClairvoyantAdServer", "RecommenderSession", "AssetPosition"))  # fmt: skip
    assert best_possible(ads, None).expected_return == pytest.approx(349.38271604938)
    assert random_value(ads, None).expected_return == pytest.approx(200.0)
    assert best_possible(session, session.success).expected_return == pytest.approx(9.273092129262)
    assert best_possible(session, session.success).success_rate == pytest.approx(0.655133145005)
    assert random_value(session, session.success).expected_return == pytest.approx(5.359653674990)
    assert random_value(session, session.success).success_rate == pytest.approx(0.197583442156)
    assert best_possible(price, None).expected_return == pytest.approx(3.395228460989)
    assert evaluate_policy(price, always(price, 1), None).expected_return == 0.0
    # Buying and holding pays for one trade and for nothing else.
    assert evaluate_policy(price, always(price, 2), None).expected_return == pytest.approx(-1.0, abs=1e-9)


@pytest.mark.parametrize(
    ("identifier", "myopic"),
    [("velodrome/RecommenderSession-v0", 5.391046685575), ("velodrome/AssetPosition-v0", 0.0)],
)
def test_who_looks_one_step_ahead_has_far_less_than_the_optimum(identifier, myopic):
    near, far = (
        vd.run(f"value_iteration(discount={discount})", identifier, episodes=1, seed=0, success="none")
        for discount in (0, 0.99)
    )
    best = far.profile.best.expected_return
    assert near.evaluation.method == far.evaluation.method == "exact"
    assert near.evaluation.mean_return == pytest.approx(myopic)
    assert 0.97 * best < far.evaluation.mean_return <= best
    assert near.evaluation.mean_return < 0.6 * best


def test_rules_of_success_are_neither_always_nor_never_met():
    for identifier, rule in {
        "velodrome/RecommenderSession-v0": "info['is_success']",
        "velodrome/AssetPosition-v0": "return > 0",
        "velodrome/AssetPosition-v0(cost=0.5)": "return > 0",
    }.items():
        trial = vd.run("value_iteration", identifier, episodes=1, seed=0, evaluation_episodes=50)
        assert trial.profile.rule.description == rule
        assert 0.4 < trial.evaluation.success_rate < 1.0
    random = vd.run("random", "velodrome/AssetPosition-v0", episodes=50, seed=0, evaluation_episodes=5)
    assert random.log.successes.mean() < 0.1
    assert success_rule(gym.make(SERVED[1])).description == "no success rule"


@settings(max_examples=15)
@given(
    num_ads=st.integers(2, 4),
    chances=st.lists(st.floats(0, 1), min_size=2, max_size=3),
    drift=st.floats(0, 1),
    steps=st.integers(1, 40),
)
def test_the_clairvoyant_always_shows_a_best_ad_however_fast_they_drift(num_ads, chances, drift, steps):
    model = within(ClairvoyantAdServer(num_ads, chances, drift), steps)
    best = np.mean([max(levels) for levels in product(chances, repeat=num_ads)])
    assert best_possible(model, None).expected_return == pytest.approx(steps * best)
    assert random_value(model, None).expected_return == pytest.approx(steps * np.mean(chances))


def test_who_shows_what_the_user_is_least_tired_of_is_nearly_best():
    assert least_tired(np.ravel_multi_index((1, 0, 0, 0), (3, 4, 4, 4))) == 1
    assert least_tired(np.ravel_multi_index((1, 1, 1, 0), (3, 4, 4, 4))) == 2
    assert least_tired(np.ravel_multi_index((2, 2, 3, 2), (3, 4, 4, 4))) == 2
    model = model_of("velodrome/RecommenderSession-v0")
    turns = np.eye(3)[[least_tired(state) for state in range(model.num_states)]]
    value = evaluate_policy(model, turns, model.success)
    assert (value.expected_return, value.success_rate) == pytest.approx((8.874289698065, 0.636350057654))
    with pytest.raises(ValueError, match="out of bounds"):
        least_tired(model.num_states)


@settings(max_examples=15)
@given(annoyance=st.floats(0, 0.4), more=st.floats(0, 0.4), dulling=st.floats(0, 1), recovery=st.floats(0, 1))
def test_more_annoyance_is_never_better(annoyance, more, dulling, recovery):
    calm, upset = (
        within(RecommenderSession((0.7, 0.4), dulling=dulling, recovery=recovery, annoyance=level), 12)
        for level in (annoyance, annoyance + more)
    )
    better, worse = (best_possible(model, model.success) for model in (calm, upset))
    assert worse.expected_return <= better.expected_return + 1e-9
    assert worse.success_rate <= better.success_rate + 1e-9


@settings(max_examples=15)
@given(
    volatility=st.floats(0, 1),
    reversion=st.floats(0, 1),
    cost=st.floats(0, 3),
    more=st.floats(0, 3),
    half=st.integers(1, 5),
)
def test_costs_never_help_and_up_is_the_mirror_of_down(volatility, reversion, cost, more, half):
    cheap, dear = (within(AssetPosition(2 * half + 1, volatility, reversion, each), 20) for each in (cost, cost + more))
    best, less = (best_possible(model, None).expected_return for model in (cheap, dear))
    assert -1e-9 <= less <= best + 1e-9
    held = [evaluate_policy(cheap, always(cheap, action), None).expected_return for action in (0, 1, 2)]
    assert held == pytest.approx([-cost, 0.0, -cost], abs=1e-9)


@pytest.mark.parametrize("reversion", [0.0, 0.3, 1.0])
def test_inside_its_levels_the_price_returns_in_proportion_to_its_distance(reversion):
    env = AssetPosition(num_prices=7, volatility=0.6, reversion=reversion, cost=0.0)
    gains = env.model.expected_rewards().reshape(7, 3, 3)
    assert gains[1:-1, 1, 2] == pytest.approx(-0.6 * reversion * np.arange(-2, 3) / 3)
    assert gains[:, 1, 0] == pytest.approx(-gains[:, 1, 2])


# Who learns them.


def test_a_constant_step_size_follows_what_the_sample_average_loses():
    returns = {
        rate: np.mean(
            [
                vd.run(f"q_learning(discount=0, learning_rate={rate})", SERVED[0], episodes=5, seed=seed,
                       evaluation_episodes=1).log.returns.mean()
                for seed in range(4)
            ]
        )
        for rate in ("0.1", "harmonic(clock='visits')")
    }  # fmt: skip
    average, constant = sorted(returns.values())
    assert returns["0.1"] == constant
    assert constant - average > 40
    assert constant < 349.4


@pytest.mark.parametrize("identifier", ["velodrome/RecommenderSession-v0", "velodrome/AssetPosition-v0"])
def test_both_loops_learn_the_same(identifier, result, differences):
    found = []
    for loop in ("compiled", "generic"):
        agent, env = agents.QLearning(), gym.make(identifier)
        found.append(result(agent, env, agent.train(env, episodes=20, seed=3, loop=loop)))
    assert differences(*found) == []


def test_training_on_the_ad_server_goes_on_in_one_made_anew(tmp_path, result, differences):
    whole, env = agents.QLearning(discount=0.0), gym.make(SERVED[0])
    undisturbed = result(whole, env, whole.train(env, episodes=4, seed=3))

    agent, env = agents.QLearning(discount=0.0), gym.make(SERVED[0])
    first = agent.train(env, episodes=2, seed=3)
    agent.save(tmp_path)
    streams = json.dumps(environment_streams(env))
    resumed, anew = agents.QLearning.load(tmp_path), gym.make(SERVED[0])
    restore_environment_streams(anew, json.loads(streams))
    resumed.resume(anew)
    later = resumed.train(anew, episodes=2)
    assert differences(undisturbed, result(resumed, anew, first + later)) == []


def test_the_shipped_experiments_can_be_run():
    for name, number in (("advertising", 13 * 10), ("recommender", 8 * 20), ("position", 8 * 20)):
        assert len(read_experiment(name).plan().trials) == number


@pytest.mark.slow
@pytest.mark.parametrize("name", ["advertising", "recommender", "position"])
def test_the_tables_of_the_docs_are_what_the_commands_print(name):
    def lines_of(text):
        # Times differ, and so does the line of dashes only by them.
        return [line.rpartition(" | ")[0] for line in text.strip().splitlines() if line.startswith("| ")]

    page = (Path(__file__).parents[1] / "docs" / "how_to" / "worlds_commerce.md").read_text(encoding="utf-8")
    (printed,) = re.findall(rf"<!-- table: {name} -->\n(.*?)<!-- end of table -->", page, re.S)
    results = vd.compare(read_experiment(name))
    assert lines_of(printed) == lines_of(format_table(results, "markdown"))
