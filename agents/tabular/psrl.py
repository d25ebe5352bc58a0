"""PSRL: draw a model from what is still possible, and act for an episode as if it were the true one."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from velodrome.agents.engine.seeding import Streams
from velodrome.agents.tabular.finite_horizon import FiniteHorizonAgent, begin_horizon, go_on, horizon_ends
from velodrome.agents.tabular.learnt_model import LearntModelAgent, best_of, model_arrays, record
from velodrome.checks import check_number
from velodrome.policies.random_numbers import gamma_drawn_by, polar_normal

# Share of the chance of the next states not seen that is given to one more of them, where less is left.
NEGLIGIBLE = 1e-6


class PSRLMemory(NamedTuple):
    """The finite-horizon tables, the model that was counted, and the one that was drawn.

    `weights` float64 (S * A, S) are the probabilities drawn for the first `num_outcomes` of `successors`: of those
    seen, and of others that follow them in the list until the next draw. `drawn_rewards` float64 (S, A). `marks` int64
    (S + 1,) holds, for each state, the last draw in whose list it was, and the number of draws so far. `settings`
    float64 (4,): prior count of each next state, mean and deviation of the prior reward, deviation of the noise.
    """

    action_values: np.ndarray
    visit_counts: np.ndarray
    step_values: np.ndarray
    clock: np.ndarray
    reward_sums: np.ndarray
    ends: np.ndarray
    successors: np.ndarray
    successor_counts: np.ndarray
    num_successors: np.ndarray
    state_values: np.ndarray
    weights: np.ndarray
    num_outcomes: np.ndarray
    drawn_rewards: np.ndarray
    marks: np.ndarray
    settings: np.ndarray


# From uniform numbers alone, which are drawn ahead in blocks.
_draw_gamma = gamma_drawn_by(polar_normal)


def draw_transitions(memory: Any, pair: int, rng: Any) -> None:
    """Draw the chances of a pair's next states from their Dirichlet distribution.

    Those seen are drawn by their counts. Those not seen, all alike, share what is left in sticks broken off one after
    the other, each for a state drawn from the rest, which is the same distribution (Sethuraman 1994; here of finitely
    many) for the time of the few that matter.
    """
    num_states, prior = len(memory.action_values), memory.settings[0]
    successors, counts, weights = memory.successors[pair], memory.successor_counts[pair], memory.weights[pair]
    seen = memory.num_successors[pair]
    total = 0.0
    for place in range(seen):
        weights[place] = _draw_gamma(counts[place] + prior, rng)
        total += weights[place]
    if memory.ends[pair] > 0:
        total += _draw_gamma(memory.ends[pair] + prior, rng)
    unseen = num_states - seen
    number = seen
    if unseen > 0:
        rest = _draw_gamma(unseen * prior, rng) if total > 0.0 else 1.0
        total += rest
        memory.marks[num_states] += 1
        mark = memory.marks[num_states]
        for place in range(seen):
            memory.marks[successors[place]] = mark
        left = 1.0
        while left > 0.0:
            state = int(rng.random() * num_states)
            while memory.marks[state] == mark:
                state = int(rng.random() * num_states)
            memory.marks[state] = mark
            unseen -= 1
            part = 1.0
            if unseen > 0 and left > NEGLIGIBLE:
                one, others = _draw_gamma(1.0 + prior, rng), _draw_gamma(unseen * prior, rng)
                part = one / (one + others)
            successors[number] = state
            weights[number] = rest * left * part
            left = left * (1.0 - part) if part < 1.0 else 0.0
            number += 1
    for place in range(number):
        weights[place] /= total
    memory.num_outcomes[pair] = number


def plan_psrl(memory: Any, rng: Any) -> None:
    """Draw a model, and the values of all steps by backward induction on it."""
    num_states, num_actions = len(memory.action_values), len(memory.action_values[0])
    precision, noise = 1.0 / memory.settings[2] ** 2, 1.0 / memory.settings[3] ** 2
    for state in range(num_states):
        for action in range(num_actions):
            draw_transitions(memory, state * num_actions + action, rng)
            known = precision + memory.visit_counts[state][action] * noise
            mean = (precision * memory.settings[1] + noise * memory.reward_sums[state][action]) / known
            memory.drawn_rewards[state][action] = mean + polar_normal(rng) / math.sqrt(known)
    for step in range(memory.clock[1] - 1, -1, -1):
        first = (step + 1) * num_states
        for state in range(num_states):
            row = memory.step_values[step * num_states + state]
            for action in range(num_actions):
                pair = state * num_actions + action
                value = memory.drawn_rewards[state][action]
                successors, weights = memory.successors[pair], memory.weights[pair]
                for place in range(memory.num_outcomes[pair]):
                    value += weights[place] * memory.state_values[first + np.int64(successors[place])]
                row[action] = value
            memory.state_values[step * num_states + state] = best_of(row)


def learn_psrl(
    memory: Any, state: int, action: int, reward: float, next_state: int, terminated: bool, ended: bool, rng: Any
) -> None:
    """Count the transition; at the end of the episode, or of the horizon, draw the next model and plan."""
    record(memory, state, action, reward, next_state, terminated)
    if horizon_ends(memory, ended):
        plan_psrl(memory, rng)
        begin_horizon(memory)
    else:
        go_on(memory, next_state)


class PSRL(FiniteHorizonAgent, LearntModelAgent):
    """Posterior sampling: each episode is played by the optimum of a model drawn from the posterior.

    Transitions have a Dirichlet prior with the same count for every next state, rewards a normal one with known noise.
    Acting greedily, and evaluation, are of the model that was drawn for the next episode: what the agent does.

    Args:
        transition_prior: prior count of each next state of each pair, above 0.
        reward_prior_mean: mean of a pair's reward before it was seen.
        reward_prior_scale: standard deviation of that, above 0.
        reward_noise: standard deviation of a reward around its mean, assumed known, above 0.

    Raises:
        ConfigurationError: a parameter is out of range.

    Source: Osband, Russo & Van Roy (2013), (More) Efficient Reinforcement Learning via Posterior Sampling; the defaults
    are those of Osband's TabulaRL (github.com/iosband/TabulaRL): prior counts 1, rewards N(0, 1) with noise 1.
    Deviations: 1. an end of the episode is one more outcome, of pairs at which one was seen, with the same prior count,
    where TabulaRL does not count it; 2. of next states never seen, those that together have less than a millionth of
    what these share are drawn as one; 3. an episode that outlives `horizon` goes on as the next one.
    """

    transition_prior: float = 1.0
    reward_prior_mean: float = 0.0
    reward_prior_scale: float = 1.0
    reward_noise: float = 1.0

    bytes_each = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("transition_prior", "reward_prior_scale", "reward_noise"):
            check_number(f"{self.name}: {name}", getattr(self, name), 0.0, np.inf, open_low=True)
        check_number(f"{self.name}: reward_prior_mean", self.reward_prior_mean, -np.inf, np.inf)

    def new_memory(self, num_states: int, num_actions: int, horizon: int | None = None) -> PSRLMemory:
        horizon = horizon or self.horizon or 1
        shape, num_pairs = (num_states, num_actions), num_states * num_actions
        settings = [self.transition_prior, self.reward_prior_mean, self.reward_prior_scale, self.reward_noise]
        return PSRLMemory(
            np.zeros(shape), np.zeros(shape, dtype=np.int64), np.zeros((horizon * num_states, num_actions)),
            np.array([0, horizon]), *model_arrays(num_states, num_actions), np.zeros((horizon + 1) * num_states),
            np.zeros((num_pairs, num_states)), np.zeros(num_pairs, dtype=np.int64), np.zeros(shape),
            np.zeros(num_states + 1, dtype=np.int64), np.array(settings, dtype=np.float64),
        )  # fmt: skip

    def draw_memory(self, memory: PSRLMemory, streams: Streams) -> None:
        plan_psrl(memory, streams.at(1, 0))
        begin_horizon(memory)

    @property
    def update(self) -> Callable[..., None]:
        return learn_psrl
