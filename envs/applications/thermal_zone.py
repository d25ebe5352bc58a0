"""Heating one zone of a building through a day of prices and weather."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from velodrome.checks import ConfigurationError, check_integer, check_number, check_probability
from velodrome.envs.model.model_environment import ModelEnvironment
from velodrome.envs.model.transition_model import TransitionModel

HOURS = 24
NIGHT, DAY, PEAK = 0.1, 0.2, 0.4
# Price of a kilowatt-hour from each full hour on: dear from 7 to 10 and from 17 to 20, cheap from 22 to 6.
PRICES = (*[NIGHT] * 6, DAY, *[PEAK] * 3, *[DAY] * 7, *[PEAK] * 3, *[DAY] * 2, *[NIGHT] * 2)
# Names, and kelvins by which the outside is warmer than usual.
WEATHERS = ("cold", "usual", "mild")
ANOMALIES = np.array([-6.0, 0.0, 6.0])
# Kelvins by which the warmest hour is warmer than the day's mean.
SWING, WARMEST_HOUR = 4.0, 15
# Kelvins below comfort with which an hour is no success.
TOO_COLD = 1.0
# Actions of the default set-points, one an hour from midnight on.
ECO, COMFORT = 1, 2
THERMOSTAT = (*[ECO] * 8, *[COMFORT] * 10, *[ECO] * 6)
EARLY_THERMOSTAT = (*[ECO] * 5, *[COMFORT] * 13, *[ECO] * 6)
MOST_STATES = 20_000
# Of a rounding error, in steps of the grid.
TINY = 1e-9


class ThermalZone(ModelEnvironment):
    """Keep an office warm while it is occupied, and pay as little as possible for the heat.

    ## Description
    One zone of a building loses heat to the outside through a resistance R and holds it in a capacity C:
    C dT/dt = (T_outside - T) / R + heat. Each hour the agent chooses a set-point, and the heater runs that hour at
    the constant power between 0 and `max_power` that brings the zone as near to the set-point as it can; the
    equation is solved exactly. Heat is cheap at night and dear in the morning when people come, and the heater
    needs hours to warm a cold zone: who begins when they come pays the high price and leaves them cold.
    The outside is coldest at 3 and warmest at 15 o'clock, 4 K around `outside_mean`, and follows the weather:
    cold (6 K less), usual, or mild (6 K more). Usual weather changes with probability `weather_change` an hour, to
    either; the others turn usual with half of it. Temperatures lie on a grid of `resolution` K: one between two
    points goes to either by chance, so that the expected temperature is exact, which adds a noise of half the
    resolution at most (standard deviation) to an hour.

    It leaves out sun, people's own heat, humidity, walls that store heat apart from the air, forecasts, the
    efficiency of a heat pump and the heater's inertia. Numbers are made up, of the size of a small office in winter.

    ## Action Space
    Discrete(len(set_points)), by default 0 off (12 °C, against frost), 1 eco (17 °C), 2 comfort (21 °C), 3 boost
    (23 °C).

    ## Observation Space
    Discrete, 3312 by default: ((hour * 3 + weather) * 2 + was_cold) * number of temperatures + temperature, with
    weather 0 cold, 1 usual, 2 mild, and was_cold 1 if somebody was too cold since midnight. `describe(state)` says it.

    ## Starting State
    People have just left, at `start` °C; all weathers are equally likely.

    ## Rewards
    -price * kWh of heat in this hour, and -discomfort_price * kelvins below `comfort` at the end of an occupied hour.

    ## Episode End
    Never by itself, for the next day will come: `velodrome/ThermalZone-v0` is truncated after 24 steps, one day
    (max_episode_steps=72 makes it three). Success is that no occupied hour since midnight has ended more than 1 K
    below `comfort`. Optimum: warm the zone at night, expected return -14.173 within 24 steps, success 1.

    ## Arguments
    `set_points=(12, 17, 21, 23)` in °C, increasing; `resistance=5.0` in K/kW; `capacity=4.0` in kWh/K;
    `max_power=8.0` in kW; `comfort=20.0` in °C; `discomfort_price=1.0`; `prices`, 24 numbers, the first from
    midnight to 1, by default 0.1 from 22 to 6, 0.4 from 7 to 10 and from 17 to 20, else 0.2; `occupied=(8, 18)`, from
    and to which hour; `outside_mean=0.0` in °C; `weather_change=0.1`; `start=20.0` in °C; `resolution=0.5` in K.

    ## Reference
    Bacher & Madsen (2011), Identifying suitable models for the heat dynamics of buildings: this is the simplest of
    theirs, one resistance and one capacity. For serious work: Blum et al. (2021), Building optimization testing
    framework (BOPTEST) for simulation-based benchmarking of control strategies in buildings; Jiménez-Raboso et al.
    (2021), Sinergym: a building simulation and control framework for training reinforcement learning agents.

    ## Version History
    v0: first version.
    """

    def __init__(
        self,
        set_points: Sequence[float] = (12.0, 17.0, 21.0, 23.0),
        resistance: float = 5.0,
        capacity: float = 4.0,
        max_power: float = 8.0,
        comfort: float = 20.0,
        discomfort_price: float = 1.0,
        prices: Sequence[float] = PRICES,
        occupied: Sequence[int] = (8, 18),
        outside_mean: float = 0.0,
        weather_change: float = 0.1,
        start: float = 20.0,
        resolution: float = 0.5,
        render_mode: str | None = None,
    ) -> None:
        self.set_points = _numbers("set_points", set_points, -100.0, 100.0)
        if self.set_points.size < 2 or (np.diff(self.set_points) <= 0.0).any():
            raise ConfigurationError(f"set_points must be at least two numbers that increase, got {set_points!r}")
        resistance = check_number("resistance", resistance, 0.01, 1000.0)
        capacity = check_number("capacity", capacity, 0.01, 1000.0)
        max_power = check_number("max_power", max_power, 0.0, 1000.0)
        comfort = check_number("comfort", comfort)
        discomfort_price = check_number("discomfort_price", discomfort_price, 0.0)
        self.prices = _numbers("prices", prices)
        if self.prices.size != HOURS:
            raise ConfigurationError(f"prices must be {HOURS} numbers, one an hour, got {self.prices.size}")
        opens, closes = _hours("occupied", occupied)
        outside_mean = check_number("outside_mean", outside_mean, -100.0, 100.0)
        weather_change = check_probability("weather_change", weather_change)
        start = check_number("start", start, float(self.set_points[0]), float(self.set_points[-1]))
        resolution = check_number("resolution", resolution, 0.01, 100.0)

        # Axes of the arrays: hour, weather, temperature, action. An hour's outside is that of its middle.
        hours = np.arange(HOURS)
        daily = outside_mean + SWING * np.cos(2.0 * np.pi * (hours + 0.5 - WARMEST_HOUR) / HOURS)
        self.outside = daily[:, None] + ANOMALIES
        self.temperatures = self._grid(resolution, float(self.outside.min() + resistance * max_power))
        outside, inside = self.outside[:, :, None, None], self.temperatures[:, None]
        kept = math.exp(-1.0 / (resistance * capacity))
        unheated = outside + (inside - outside) * kept
        kelvins_of_power = resistance * (1.0 - kept)
        self.heat = ((self.set_points - unheated) / kelvins_of_power).clip(0.0, max_power)
        reached = unheated + kelvins_of_power * self.heat
        is_occupied = ((hours >= opens) & (hours < closes))[:, None, None, None]
        lacking = np.where(is_occupied, (comfort - reached).clip(0.0), 0.0)
        rewards = -self.prices[:, None, None, None] * self.heat - discomfort_price * lacking

        # Two more of what follows, next weather and next temperature, and after the weather whether it was cold.
        count = self.temperatures.size
        lower, chance_of_upper = _rounded((reached - self.temperatures[0]) / resolution, count)
        places = np.stack([lower, lower + 1], axis=-1)[:, :, None, :, :, None, :]
        chances = np.stack([1.0 - chance_of_upper, chance_of_upper], axis=-1)[:, :, None, :, :, None, :]
        chances = chances * _weather_chain(weather_change)[:, None, None, None, :, None]
        is_cold = (lacking > TOO_COLD + TINY)[:, :, None] | (np.arange(2) == 1)[:, None, None]
        is_cold = is_cold[..., None, None]
        next_hour = ((hours + 1) % HOURS).reshape(-1, *[1] * 6)
        next_weather = np.arange(len(WEATHERS))[:, None]
        next_block = (next_hour * len(WEATHERS) + next_weather) * 2 + (is_cold & (next_hour > 0))
        shape = (HOURS, len(WEATHERS), 2, count, self.set_points.size, len(WEATHERS), 2)
        first, chance_of_next = _rounded(np.array((start - self.temperatures[0]) / resolution), count)
        initial = np.zeros(shape[:4])
        initial[closes % HOURS, :, 0, first] = (1.0 - chance_of_next) / len(WEATHERS)
        initial[closes % HOURS, :, 0, first + 1] = chance_of_next / len(WEATHERS)
        model = TransitionModel.from_arrays(
            math.prod(shape[:4]),
            self.set_points.size,
            probabilities=np.broadcast_to(chances, shape),
            next_states=np.broadcast_to(next_block * count + places, shape).astype(np.int32),
            rewards=np.broadcast_to(rewards[:, :, None, :, :, None, None], shape),
            terminated=np.zeros(shape, dtype=np.bool_),
            initial_distribution=initial.reshape(-1),
            success=np.broadcast_to(~is_cold, shape),
        )
        super().__init__(model, render_mode=render_mode)

    def describe(self, state: int) -> tuple[int, str, bool, float]:
        """(hour, weather, whether somebody was too cold since midnight, temperature in °C) of a state.

        Args:
            state: number of a state, from 0.
        """
        block, place = divmod(int(state), self.temperatures.size)
        hour, rest = divmod(block, len(WEATHERS) * 2)
        return hour, WEATHERS[rest // 2], rest % 2 == 1, float(self.temperatures[place])

    def render_text(self) -> str:
        """One line: the last set-point, the hour, its price, the weather and both temperatures."""
        hour, weather, was_cold, inside = self.describe(self.s)
        outside = self.outside[hour, WEATHERS.index(weather)]
        last = "" if self.lastaction is None else f"({self.set_points[self.lastaction]:g} °C) "
        cold = ", somebody was cold" if was_cold else ""
        return (
            f"{last}{hour:02}:00, price {self.prices[hour]:.2f}, {weather} weather, {outside:.1f} °C outside, "
            f"{inside:.1f} °C inside{cold}\n"
        )

    def _grid(self, resolution: float, warmest_when_coldest: float) -> NDArray[np.float64]:
        """All temperatures between what the zone can cool down to and warm up to, so that none is cut off."""
        lowest = min(float(self.set_points[0]), warmest_when_coldest)
        highest = max(float(self.set_points[-1]), float(self.outside.max()))
        count = math.ceil((highest - lowest) / resolution - TINY) + 1
        num_states = HOURS * len(WEATHERS) * 2 * count
        if num_states > MOST_STATES:
            raise ConfigurationError(
                f"resolution must leave at most {MOST_STATES} states, got {resolution!r}, which makes {num_states}"
            )
        return lowest + resolution * np.arange(count, dtype=np.float64)


def thermostat(observation: int) -> int:
    """Comfort from 8 to 18, while people are there, else eco: `rule('velodrome.envs.applications:thermostat')`.

    For `velodrome/ThermalZone-v0` with its default arguments, whose observation it takes apart.

    Args:
        observation: as `step` gives it.

    Raises:
        IndexError: the observation is none of that zone.
    """
    return THERMOSTAT[_default_zone().describe(observation)[0]]


def early_thermostat(observation: int) -> int:
    """Comfort from 5 to 18, so early that nobody is cold at 8 in any weather, else eco; otherwise as `thermostat`.

    Args:
        observation: as `step` gives it.
    """
    return EARLY_THERMOSTAT[_default_zone().describe(observation)[0]]


@cache
def _default_zone() -> ThermalZone:
    return ThermalZone()


def _rounded(places: NDArray[np.float64], count: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The point of the grid at or below each place, not the last, and the chance of going to the one above it."""
    lower = np.floor(places + TINY).astype(np.int64).clip(0, count - 2)
    above = (places - lower).clip(0.0, 1.0)
    return lower, np.where(above < TINY, 0.0, np.where(above > 1.0 - TINY, 1.0, above))


def _weather_chain(change: float) -> NDArray[np.float64]:
    """Probability of each weather after each, in the long run all alike."""
    chain = np.diag([1.0 - change / 2, 1.0 - change, 1.0 - change / 2])
    chain[[0, 1, 1, 2], [1, 0, 2, 1]] = change / 2
    return chain


def _numbers(name: str, values: object, low: float = -math.inf, high: float = math.inf) -> NDArray[np.float64]:
    if not isinstance(values, Sequence | np.ndarray) or isinstance(values, str):
        raise ConfigurationError(f"{name} must be a list of numbers, got {values!r}")
    return np.array([check_number(f"{name}[{place}]", value, low, high) for place, value in enumerate(values)])


def _hours(name: str, values: object) -> tuple[int, int]:
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != 2:
        raise ConfigurationError(f"{name} must be two hours, from and to, got {values!r}")
    start = check_integer(f"{name}[0]", values[0], minimum=0, maximum=HOURS - 1)
    return start, check_integer(f"{name}[1]", values[1], minimum=start + 1, maximum=HOURS)
