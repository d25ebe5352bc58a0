"""A day in the thermal zone: what value iteration buys before people come, and what a thermostat does.

python examples/thermal_zone_day.py
"""

import matplotlib.pyplot as plt
import numpy as np

import velodrome as vd
from velodrome.envs import ThermalZone

OFF, ECO, COMFORT, BOOST = range(4)
zone = ThermalZone()
model = zone.model
hours = np.array([zone.describe(state)[0] for state in range(model.num_states)])
temperatures = np.tile(zone.temperatures, model.num_states // zone.temperatures.size)
# Kilowatts of every state and action; whether somebody was cold before changes nothing.
heat = np.repeat(zone.heat, 2, axis=1).reshape(model.num_states, 4)


def expected_day(actions):
    """Mean temperature and heat of each hour from 18 to 18, where action actions[state] is taken: both exact."""
    chances, day = model.initial_distribution, []
    for _ in range(24):
        day.append((chances @ temperatures, chances @ heat[np.arange(model.num_states), actions]))
        pairs = np.zeros((model.num_states, 4))
        pairs[np.arange(model.num_states), actions] = chances
        flow = np.repeat(pairs.reshape(-1), np.diff(model.offsets)) * model.probabilities
        chances = np.bincount(model.next_states, flow, minlength=model.num_states)
    return np.array([*day, (chances @ temperatures, np.nan)]).T


best = vd.run("value_iteration", "velodrome/ThermalZone-v0", episodes=1, seed=0)
policies = {
    "value iteration": best.trained.action_values.argmax(axis=1),
    "comfort from 8 to 18, else eco": np.where((hours >= 8) & (hours < 18), COMFORT, ECO),
}
print(f"value iteration: {best.evaluation.mean_return:.2f} a day")

figure, axes = plt.subplots(3, sharex=True, figsize=(8, 6), layout="constrained", height_ratios=(3, 3, 1.2))
clock = np.arange(18, 43)
for (label, actions), colour in zip(policies.items(), ("#0072B2", "#D55E00"), strict=True):
    inside, power = expected_day(actions)
    axes[0].plot(clock, inside, color=colour, label=label)
    axes[1].step(clock, power, where="post", color=colour)
axes[0].hlines(20, 32, 42, color="#595959", linestyle="--", label="comfort while people are there")
axes[0].set_ylabel("inside, °C")
axes[0].legend(frameon=False)
axes[1].set_ylabel("heat, kW")
axes[2].step(clock, zone.prices[clock % 24], where="post", color="#000000")
axes[2].set(ylabel="price", ylim=(0, 0.5), xlabel="o'clock", xticks=clock[::2], xlim=(18, 42))
axes[2].set_xticklabels([f"{hour % 24}" for hour in clock[::2]])
for drawn in axes:
    drawn.axvspan(32, 42, color="#999999", alpha=0.12, linewidth=0)
    drawn.spines[["top", "right"]].set_visible(False)
figure.savefig("thermal_zone_day.png", dpi=121.75)
print("thermal_zone_day.png")
