"""The thermal zone and the warehouse: physics and rules by other means, laws of their optima, what they refuse."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings, strategies as st

import velodrome as vd
from velodrome.agents import QLearning
from velodrome.agents.planning.dynamic_programming import (
    best_possible,
    evaluate_policy,
    optimal_action_values,
    random_policy,
)
from velodrome.envs import ThermalZone, TransitionModel, Warehouse, success_rule
from velodrome.envs.applications import charge_first, early_thermostat, shortest_way, thermostat
from velodrome.envs.model.model_check import check_model
from velodrome.experiments.cli.application import main
from velodrome.experiments.specification.experiment_file import read_experiment

WORLDS = ("velodrome/ThermalZone-v0", "velodrome/Warehouse-v0")
OFF, ECO, COMFORT, BOOST = range(4)
LEFT, DOWN, RIGHT, UP, PICK_UP, PUT_DOWN, CHARGE = range(7)


def exact(env):
    model = TransitionModel.of(env)
    return model, success_rule(env).success_outcomes(model)


def values_within(model, steps):
    """Largest expected return of every state with `steps` left, (num_states,)."""
    values = np.zeros(model.num_states)
    for _ in range(steps):
        later = model.probabilities * (model.rewards + values[model.next_states] * ~model.terminated)
        values = np.add.reduceat(later, model.offsets[:-1]).reshape(model.num_states, -1).max(axis=1)
    return values


def means_after(env):
    """Expected temperature after every state and action of a zone, (num_states, actions)."""
    model = env.model
    reached = model.probabilities * env.temperatures[model.next_states % env.temperatures.size]
    return np.add.reduceat(reached, model.offsets[:-1]).reshape(model.num_states, -1)


def by_the_clock(env, set_point_of):
    """Policy of a zone that looks at the hour alone, (num_states, actions)."""
    states = range(env.model.num_states)
    chosen = [set_point_of(env.describe(state)[0]) for state in states]
    return np.eye(env.model.num_actions)[chosen]


def by_rule(model, rule):
    """Policy of a rule of thumb, (num_states, actions)."""
    return np.eye(model.num_actions)[[rule(state) for state in range(model.num_states)]]


@pytest.mark.parametrize("identifier", WORLDS)
def test_gymnasiums_checker_has_nothing_to_say(identifier, recwarn):
    check_env(gym.make(identifier).unwrapped)
    assert [str(warning.message) for warning in recwarn] == []


@pytest.mark.parametrize(
    ("identifier", "best_return", "best_success", "random_return", "random_success"),
    [
        (WORLDS[0], -14.172872243843806, 1.0, -31.64515658120013, 0.2439518286164939),
        (WORLDS[1], -3.470861966195708, 0.9923131314003343, -65.09424253225828, 3.9270021643928256e-06),
    ],
)
def test_best_possible_and_random_values_are_those_documented(
    identifier, best_return, best_success, random_return, random_success
):
    model, success = exact(gym.make(identifier))
    best, chance = best_possible(model, success), evaluate_policy(model, random_policy(model), success)
    assert (best.expected_return, best.success_rate) == pytest.approx((best_return, best_success), rel=1e-9)
    assert (chance.expected_return, chance.success_rate) == pytest.approx((random_return, random_success), rel=1e-9)
    text = type(gym.make(identifier).unwrapped).__doc__
    assert f"expected return {best_return:.3f}" in text


@pytest.mark.parametrize("identifier", WORLDS)
def test_both_loops_and_equal_seeds_give_the_same(identifier, result, differences):
    results = []
    for loop, seed in (("generic", 3), ("compiled", 3), ("compiled", 3), ("compiled", 4)):
        env, agent = gym.make(identifier), QLearning()
        log = agent.train(env, episodes=30, seed=seed, loop=loop)
        results.append(result(agent, env, log))
    assert differences(results[0], results[1]) == differences(results[1], results[2]) == []
    assert differences(results[2], results[3])


@pytest.mark.parametrize("identifier", WORLDS)
def test_exact_values_are_the_means_of_episodes(identifier):
    env = gym.make(identifier)
    model, success = exact(env)
    value = evaluate_policy(model, random_policy(model), success)
    log = vd.run("random", identifier, episodes=20_000, seed=0).log
    error = log.returns.std(ddof=1) / np.sqrt(log.episodes)
    assert log.returns.mean() == pytest.approx(value.expected_return, abs=4 * error)
    spread = np.sqrt(value.success_rate / log.episodes)
    assert log.success_rate == pytest.approx(value.success_rate, abs=4 * spread)


# The thermal zone


def test_the_zone_follows_its_equation():
    env = ThermalZone(resolution=2.0, capacity=3.0, max_power=9.0)
    # Euler's method in steps of a tenth of a second, by the heat that each action takes.
    outside = np.broadcast_to(env.outside[:, :, None, None], env.heat.shape)
    inside = np.broadcast_to(env.temperatures[:, None], env.heat.shape).copy()
    for _ in range(36_000):
        inside += ((outside - inside) / 5.0 + env.heat) / 3.0 / 36_000
    means = means_after(env).reshape(24, 3, 2, -1, 4)
    assert np.abs(means - inside[:, :, None]).max() < 1e-4
    assert env.heat.min() == 0.0
    assert env.heat.max() == 9.0
    # As near to the set-point as the heater can.
    heats = (env.heat > 0.0) & (env.heat < 9.0)
    assert np.abs(inside - env.set_points)[heats].max() < 1e-4
    assert (inside >= env.set_points - 1e-4)[env.heat == 0.0].all()
    assert (inside <= env.set_points + 1e-4)[env.heat == 9.0].all()


def test_a_zone_pays_for_heat_and_for_those_who_are_cold():
    env = ThermalZone(resolution=1.0, discomfort_price=2.5)
    env.reset(seed=1)
    rng = np.random.default_rng(1)
    for _ in range(300):
        hour, weather, was_cold, inside = env.describe(env.s)
        place = round(inside - env.temperatures[0])
        action = int(rng.integers(4))
        before = env.s
        heat = env.heat[hour, ("cold", "usual", "mild").index(weather), place, action]
        _, reward, terminated, truncated, info = env.step(action)
        lacking = max(20.0 - means_after(env)[before, action], 0.0) if 8 <= hour < 18 else 0.0
        assert reward == pytest.approx(-env.prices[hour] * heat - 2.5 * lacking)
        assert info["is_success"] == (not was_cold and lacking <= 1.0)
        now = env.describe(env.s)
        assert now[0] == (hour + 1) % 24
        assert now[2] == (not info["is_success"] and hour != 23)
        assert (terminated, truncated) == (False, False)


@given(colder=st.integers(-8, 7), warmer=st.integers(1, 8), price=st.floats(0.0, 3.0))
@settings(max_examples=8)
def test_warmth_is_never_worth_less(colder, warmer, price):
    zones = [
        ThermalZone(outside_mean=mean, discomfort_price=price, resolution=2.0)
        for mean in (colder, min(colder + warmer, 8))
    ]
    assert np.array_equal(zones[0].temperatures, zones[1].temperatures)
    cold, warm = (values_within(zone.model, 24).reshape(24, 3, 2, -1) for zone in zones)
    # Outside, in this hour's weather, and inside.
    assert (warm >= cold - 1e-9).all()
    assert (np.diff(cold, axis=1) >= -1e-9).all()
    assert (np.diff(cold, axis=3) >= -1e-9).all()
    # Whether somebody was cold before changes what counts as a success, and no value.
    assert np.array_equal(cold[:, :, 0], cold[:, :, 1])


@given(
    prices=st.lists(st.floats(0.0, 1.0), min_size=24, max_size=24),
    hour=st.integers(0, 23),
    rise=st.floats(0.0, 1.0),
    scale=st.floats(0.1, 10.0),
)
@settings(max_examples=8)
def test_a_higher_price_never_pays_and_prices_have_no_unit(prices, hour, rise, scale):
    def best(prices, discomfort_price):
        zone = ThermalZone(prices=prices, discomfort_price=discomfort_price, resolution=3.0)
        return zone.model.initial_distribution @ values_within(zone.model, 24)

    higher = [price + rise * (number == hour) for number, price in enumerate(prices)]
    assert best(higher, 1.0) <= best(prices, 1.0) + 1e-9
    assert best([scale * price for price in prices], scale) == pytest.approx(scale * best(prices, 1.0))


def test_who_heats_at_night_beats_thermostats():
    env = gym.make(WORLDS[0])
    model, success = exact(env)
    best = best_possible(model, success)

    def cost(set_point_of):
        return evaluate_policy(model, by_the_clock(env.unwrapped, set_point_of), success)

    always = cost(lambda hour: COMFORT)
    assert (always.expected_return, always.success_rate) == pytest.approx((-22.658, 1.0), abs=1e-3)
    usual, early = (evaluate_policy(model, by_rule(model, rule), success) for rule in (thermostat, early_thermostat))
    assert (usual.expected_return, usual.success_rate) == pytest.approx((-23.054, 0.0), abs=1e-3)
    assert (early.expected_return, early.success_rate) == pytest.approx((-20.342, 1.0), abs=1e-3)
    later = cost(lambda hour: COMFORT if 6 <= hour < 18 else ECO)
    assert later.success_rate < 0.95
    # Found by changing one hour at a time until none helps.
    programme = [2, 2, 2, 3, 3, 3, 3, 2, 2, 0, 2, 2, 2, 2, 2, 2, 0, 0, 0, 0, 1, 0, 1, 2]
    assert cost(lambda hour: programme[hour]).expected_return == pytest.approx(-14.404, abs=1e-3)
    for begins in range(8):
        begun = cost(lambda hour, begins=begins: COMFORT if begins <= hour < 18 else OFF)
        assert begun.expected_return < 1.2 * best.expected_return
    actions = optimal_action_values(model, 0.99, 1e-6).argmax(axis=1).reshape(24, 3, 2, -1)
    at_18 = int(np.flatnonzero(env.unwrapped.temperatures == 18.0)[0])
    # In the usual weather at 18 °C it heats in the last cheap hour, and in no dear one before people come.
    assert actions[5, 1, 0, at_18] in (COMFORT, BOOST)
    assert actions[19, 1, 0, at_18] in (OFF, ECO)


def test_a_finer_grid_changes_little():
    best = [
        values_within(zone.model, 24) @ zone.model.initial_distribution
        for zone in (ThermalZone(), ThermalZone(resolution=0.1))
    ]
    assert best[0] == pytest.approx(best[1], rel=0.005)


def test_nothing_is_cut_off_where_the_heater_is_weak_or_the_summer_hot():
    for zone in (ThermalZone(max_power=2.0, resolution=1.0), ThermalZone(outside_mean=30.0, resolution=1.0)):
        means = means_after(zone).reshape(24, 3, 2, -1, 4)
        inside, outside = zone.temperatures[:, None], zone.outside[:, :, None, None, None]
        kept = np.exp(-1.0 / 20.0)
        expected = outside + (inside - outside) * kept + 5.0 * (1.0 - kept) * zone.heat[:, :, None]
        assert np.abs(means - expected).max() < 1e-9
    # A frozen zone needs no second outcome, and the model may name one of probability 0.
    assert (ThermalZone().model.probabilities >= 0.0).all()


def test_weather_is_a_chain_with_all_weathers_alike_in_the_long_run():
    env = ThermalZone(resolution=3.0, weather_change=0.3)
    hours, weathers, _, count, actions = 24, 3, 2, env.temperatures.size, 4
    model = env.model
    blocks = model.next_states // (2 * count) % weathers
    chances = np.zeros((hours, weathers, 2, count, actions, weathers))
    pairs = np.repeat(np.arange(model.num_states * actions), np.diff(model.offsets))
    np.add.at(chances.reshape(-1, weathers), (pairs, blocks), model.probabilities)
    chain = chances[0, :, 0, 0, 0]
    assert np.allclose(chain, [[0.85, 0.15, 0.0], [0.15, 0.7, 0.15], [0.0, 0.15, 0.85]])
    assert np.allclose(chances, chain[None, :, None, None, None, :])
    assert np.allclose(np.full(3, 1 / 3) @ chain, 1 / 3)


def test_three_days_are_an_argument():
    env = gym.make(WORLDS[0], max_episode_steps=72)
    model, success = exact(env)
    three = best_possible(model, success)
    one = best_possible(model.with_time_limit(24), success)
    assert model.time_limit == 72
    assert 2.9 * one.expected_return > three.expected_return > 3.3 * one.expected_return


# The warehouse


class PlainWarehouse(gym.Env):
    """The rules once more, one step at a time."""

    def __init__(self, rows, capacity, charge_rate, blocked, num_states):
        self.rows, self.capacity, self.charge_rate, self.blocked = rows, capacity, charge_rate, blocked
        self.observation_space, self.action_space = spaces.Discrete(num_states), spaces.Discrete(7)
        self.stations = [(r, c) for r, row in enumerate(rows) for c, letter in enumerate(row) if letter == "P"]
        self.desks = [(r, c) for r, row in enumerate(rows) for c, letter in enumerate(row) if letter == "D"]

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at = self.desks[self.np_random.integers(len(self.desks))]
        self.load = int(self.np_random.integers(len(self.stations)))
        self.charge = int(self.np_random.integers(-(-self.capacity // 4), self.capacity + 1))
        return self.observed(), {}

    def observed(self):
        cells = len(self.rows) * len(self.rows[0])
        return (
            (self.charge * (len(self.stations) + 1) + self.load) * cells + self.at[0] * len(self.rows[0]) + self.at[1]
        )

    def letter(self, row, column):
        inside = 0 <= row < len(self.rows) and 0 <= column < len(self.rows[0])
        return self.rows[row][column] if inside else "#"

    def step(self, action):
        delivered = False
        if action == CHARGE and self.letter(*self.at) == "C":
            self.charge = min(self.charge + self.charge_rate, self.capacity)
        else:
            self.charge = max(self.charge - 1, 0)
        if action < PICK_UP and self.np_random.random() >= self.blocked:
            down, right = ((0, -1), (1, 0), (0, 1), (-1, 0))[action]
            target = self.at[0] + down, self.at[1] + right
            self.at = self.at if self.letter(*target) == "#" else target
        elif action == PICK_UP and self.load < len(self.stations) and self.at == self.stations[self.load]:
            self.load = len(self.stations)
        elif action == PUT_DOWN:
            delivered = self.load == len(self.stations) and self.at in self.desks
        stranded = self.charge == 0 and self.letter(*self.at) != "C" and not delivered
        reward = -1.0 + 20.0 * delivered - 50.0 * stranded
        return self.observed(), reward, delivered or stranded, False, {"is_success": delivered}


@pytest.mark.parametrize("blocked", [0.25, 0.0])
def test_the_model_of_the_warehouse_is_what_its_rules_do(blocked):
    rows = ["PC.", "D#P"]
    model = Warehouse(rows, capacity=4, charge_rate=2, blocked=blocked).model
    check_model(PlainWarehouse(rows, 4, 2, blocked, model.num_states), model)
    wrong = Warehouse(rows, capacity=4, charge_rate=3, blocked=blocked).model
    with pytest.raises(vd.VelodromeError, match="which P does not list"):
        check_model(PlainWarehouse(rows, 4, 2, blocked, model.num_states), wrong)


def test_a_warehouse_is_driven_by_hand():
    env = Warehouse("P.C/.#./D.P", capacity=4, charge_rate=3, blocked=0.0, render_mode="ansi")
    env.reset(seed=0)
    env.s = (4 * 3 + 0) * 9 + 6
    assert env.describe(env.s) == (4, 0, 6)
    assert env.render() == "battery 4 of 4, the order waits in row 0, column 0\nP.C\n.#.\nx.P\n"
    for action, (charge, order, cell) in (
        (PUT_DOWN, (3, 0, 6)),
        (UP, (2, 0, 3)),
        (RIGHT, (1, 0, 3)),
    ):
        assert env.step(action)[1:] == (-1.0, False, False, {"prob": 1.0, "is_success": False})
        assert env.describe(env.s) == (charge, order, cell)
    assert env.step(UP)[1:] == (-51.0, True, False, {"prob": 1.0, "is_success": False})
    env.s = (2 * 3 + 2) * 9 + 6
    assert env.step(PUT_DOWN)[1:] == (19.0, True, False, {"prob": 1.0, "is_success": True})
    # The last unit reaches the charger.
    env.s = (1 * 3 + 2) * 9 + 1
    assert env.step(RIGHT)[1:3] == (-1.0, False)
    assert env.describe(env.s) == (0, -1, 2)
    assert env.step(CHARGE)[1:3] == (-1.0, False)
    assert env.describe(env.s) == (3, -1, 2)
    assert env.render() == "(charge) battery 3 of 4, carries the order\nP.x\n.#.\nD.P\n"


@given(capacity=st.integers(4, 16), more=st.integers(1, 4), charge_rate=st.integers(1, 4), blocked=st.floats(0.0, 0.5))
@settings(max_examples=8)
def test_a_faster_charger_an_emptier_hall_and_more_charge_never_hurt(capacity, more, charge_rate, blocked):
    def values(**changed):
        # Without a price of time: who is doomed would rather be stranded soon.
        arguments = {"capacity": capacity, "charge_rate": charge_rate, "blocked": blocked, "step_reward": 0.0} | changed
        return values_within(Warehouse("P..C/.##./D..P", **arguments).model, 30).reshape(capacity + 1, 3, 12)

    before = values()
    reached = before[:, :, [0, 1, 2, 3, 4, 7, 8, 9, 10, 11]]
    assert (np.diff(reached, axis=0) >= -1e-9).all()
    assert (values(charge_rate=charge_rate + more) >= before - 1e-9).all()
    assert (values(blocked=blocked / 2) >= before - 1e-9).all()


def test_who_forgets_the_battery_is_stranded():
    env = gym.make(WORLDS[1])
    model, success = exact(env)
    forgets, charges = (evaluate_policy(model, by_rule(model, rule), success) for rule in (shortest_way, charge_first))
    plans = evaluate_policy(model, np.eye(7)[optimal_action_values(model, 0.99, 1e-9).argmax(axis=1)], success)
    assert (forgets.expected_return, forgets.success_rate) == pytest.approx((-36.628, 0.3754), abs=1e-3)
    assert (charges.expected_return, charges.success_rate) == pytest.approx((-4.942, 0.9813), abs=1e-3)
    # The shortest way is what planning finds with a battery that lasts for all of it.
    lasting = Warehouse(capacity=40, charge_rate=1)
    values = optimal_action_values(lasting.model, 1.0, 1e-9).reshape(41, -1, 7)[40]
    ways = [shortest_way(state) for state in range(len(values))]
    reached = lasting.cells.reshape(-1)[np.arange(len(values)) % lasting.cells.size] != b"#"
    assert values[np.arange(len(values)), ways][reached] == pytest.approx(values.max(axis=1)[reached])
    assert plans.success_rate == pytest.approx(0.98675, abs=1e-4)


# Both


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ThermalZone(set_points=[20]), "set_points must be at least two numbers that increase, got [20]"),
        (
            lambda: ThermalZone(set_points=[20, 18]),
            "set_points must be at least two numbers that increase, got [20, 18]",
        ),
        (lambda: ThermalZone(set_points=[20, 1e300]), "set_points[1] must be a number in [-100, 100], got 1e+300"),
        (lambda: ThermalZone(set_points=5), "set_points must be a list of numbers, got 5"),
        (lambda: ThermalZone(prices="cheap"), "prices must be a list of numbers, got 'cheap'"),
        (lambda: ThermalZone(prices=[0.1] * 23), "prices must be 24 numbers, one an hour, got 23"),
        (lambda: ThermalZone(prices=[0.1] * 23 + ["x"]), "prices[23] must be a finite number, got 'x'"),
        (lambda: ThermalZone(resistance=0), "resistance must be a number in [0.01, 1000], got 0"),
        (lambda: ThermalZone(max_power=-1), "max_power must be a number in [0, 1000], got -1"),
        (
            lambda: ThermalZone(occupied=[18, 8]),
            "occupied[1] must be a whole number of at least 19 and at most 24, got 8",
        ),
        (lambda: ThermalZone(occupied=8), "occupied must be two hours, from and to, got 8"),
        (lambda: ThermalZone(start=30), "start must be a number in [12, 23], got 30"),
        (lambda: ThermalZone(weather_change=2), "weather_change must be a number in [0, 1], got 2"),
        (
            lambda: ThermalZone(resolution=0.01),
            "resolution must leave at most 20000 states, got 0.01, which makes 158544",
        ),
        (lambda: ThermalZone(render_mode="human"), "render_mode must be one of None, 'ansi', got 'human'"),
        (lambda: Warehouse("PD."), "map_text needs at least one 'C', a charger, got none"),
        (lambda: Warehouse("P.C"), "map_text needs at least one 'D', a desk to put down at, got none"),
        (lambda: Warehouse("DSC"), "map_text row 0 has 'S': allowed are 'P', 'D', 'C', '#', '.'"),
        (lambda: Warehouse(capacity=0), "capacity must be a whole number of at least 1, got 0"),
        (lambda: Warehouse(charge_rate=0.5), "charge_rate must be a whole number of at least 1, got 0.5"),
        (lambda: Warehouse(blocked=-0.1), "blocked must be a number in [0, 1], got -0.1"),
        (lambda: Warehouse(step_reward=None), "step_reward must be a finite number, got None"),
        (lambda: Warehouse(capacity=60), "map_text and capacity must make at most 20000 states, got 23058"),
    ],
)
def test_bad_arguments_are_one_line(make, words):
    with pytest.raises((ValueError, TypeError)) as caught:
        make()
    assert str(caught.value) == words


@pytest.mark.parametrize("identifier", WORLDS)
def test_success_is_neither_certain_nor_impossible(identifier):
    env = gym.make(identifier)
    assert success_rule(env).description == "info['is_success']"
    model, success = exact(env)
    chance, best = evaluate_policy(model, random_policy(model), success), best_possible(model, success)
    assert 0.0 < chance.success_rate < 0.3 < 0.99 < best.success_rate


def test_a_rendered_zone_says_hour_price_weather_and_temperatures():
    env = ThermalZone(render_mode="ansi")
    env.reset(seed=0)
    env.s = ((7 * 3 + 0) * 2 + 1) * env.temperatures.size + 11
    assert env.describe(env.s) == (7, "cold", True, 17.5)
    assert env.render() == ("07:00, price 0.40, cold weather, -7.5 °C outside, 17.5 °C inside, somebody was cold\n")
    env.step(BOOST)
    assert env.render().startswith("(23 °C) 08:00, price 0.40, ")


def test_a_rule_of_the_default_zone_refuses_the_observations_of_a_finer_one():
    finer = ThermalZone(resolution=0.25)
    first = finer.reset(seed=0)[0]
    with pytest.raises(IndexError):
        thermostat(first)
    with pytest.raises(IndexError):
        early_thermostat(first)


@pytest.mark.parametrize(("name", "pairs"), [("energy", 11), ("warehouse", 7)])
def test_the_shipped_experiments_run(name, pairs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert len(read_experiment(name).plan().trials) == pairs * 10
    assert main(["compare", name, "--seeds", "1", "--episodes", "20", "--workers", "0", "--quiet", "--json"]) == 0
    assert '"evaluation": "exact"' in capsys.readouterr().out
