"""Mistakes of exploration, by the likelihood of the actions that a learner took.

Of a learner that explores as it should, the ratio of the likelihood of its actions under any mistake to that under the
assignment's policy is a martingale of mean 1: it exceeds k with probability at most 1/k, however long the learner goes
on and whatever its actions lead to (Ville's inequality). With as many mistakes as are tried, k is their number over
the probability of accusing any right learner.

Source: Ville (1939); Ramdas et al. (2023), "Game-theoretic statistics and safe anytime-valid inference".
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from velodrome.experiments.grading.diagnosis.replay import TOLERANCE, Replay
from velodrome.experiments.grading.diagnosis.rule import Experience, Rule
from velodrome.experiments.grading.findings import Evidence, Finding
from velodrome.policies.epsilon_greedy import EpsilonGreedy
from velodrome.policies.greedy import Greedy
from velodrome.policies.random_noise import RandomNoise
from velodrome.policies.schedules import Constant, Schedule
from velodrome.policies.uniform import Uniform

# Probability of accusing a learner that explores as it should, over all mistakes together.
CERTAIN = 1e-7
LIKELY = 1e-4
# A mistake must be this much more likely than a simpler one, or one that is as simple, to be told from it.
MARGIN = math.log(1e4)
# Standard normal values at which the noise of the chosen action is summed.
_NODES = np.linspace(-8.5, 8.5, 86)
_NO_NOISE = 12.0

SENTENCES = {
    "first index at ties": "Of several best actions the first is always taken, as `argmax` does. Look at how ties are "
    "broken: any of the best actions should be as likely.",
    "last index at ties": "Of several best actions the last is always taken. Look at the comparison that finds the "
    "best action: `>` keeps the first, `>=` the last.",
    "random index at ties": "Of several best actions a random one is taken, where the assignment asks for the first. "
    "Look at how ties are broken.",
    "never explores": "The best action is always taken; nothing is explored. Look at whether the random number is "
    "compared with the exploration rate, or the noise added for each action of its own.",
    "always explores": "Actions are random at every step, whatever has been learnt. Look at the condition that decides "
    "between exploring and the best action.",
    "exploration inverted": "The best action is taken with probability ε and a random one otherwise. Look at the "
    "direction of the comparison: explore where the random number is below ε.",
    "exploration never decays": "Exploration stays at its first value. Look at where it is computed: it must change "
    "from episode to episode.",
    "exploration decays with steps": "Exploration decays with every step, where it should with every episode. Look at "
    "which counter the schedule is given.",
    "exploration decays with episodes": "Exploration decays with every episode, where it should with every step. Look "
    "at which counter the schedule is given.",
    "exploration one index ahead": "The schedule of exploration is read one index too late, as if counting began at 1. "
    "Look at its index: it counts from 0.",
    "exploration one index behind": "The schedule of exploration is read one index too early. Look at its index, and "
    "at where it is counted up.",
    "explores at another rate": "The share of actions other than the best is not that of the assignment's "
    "exploration. Look at the exploration rate, and at what it is compared with.",
    "best action left out of exploring": "When exploring, the best action is never taken. Look at what a random "
    "action is drawn from: all actions.",
    "last action never explored": "The last action is never taken when exploring. Look at the range of the random "
    "action: `randint(0, n - 1)` of NumPy leaves the last one out.",
    "first action never explored": "Action 0 is never taken when exploring. Look at the range of the random action.",
    "worst action taken": "The action of the smallest value is taken. Look at whether `argmin` stands where `argmax` "
    "should, or at a sign.",
    "uniform noise": "The noise that is added is uniform between 0 and 1, where it should be normal. Look at the "
    "function that draws it: `rand` is uniform, `randn` normal.",
    "noise grows": "The noise grows from episode to episode. Look at whether it is divided by the episode's number, or "
    "multiplied.",
    "acts with the table of the episode's start": "Actions are chosen by the values of before the episode. Look at "
    "whether the table is copied, or updated only when the episode is over.",
    "acts with the table of a step ago": "Actions are chosen before the last update has been made. Look at the order "
    "of choosing and updating.",
    "acts with the table of after the update": "The next action is chosen only after the update, where Sarsa chooses "
    "it before. Look at the order of choosing and updating.",
    "action that the policy never takes": "An action was taken that the assignment's policy cannot take there. Look at "
    "how the action is chosen in the state that is named.",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Rows:
    """Action values by which actions may have been chosen, and what their ties are.

    Attributes:
        values: float64 (steps, A).
        actions: that were taken, int64 (steps,).
        best: which actions share the largest value, bool (steps, A).
        clear: whether rounding cannot change the best ones, bool (steps,).
    """

    values: np.ndarray
    actions: np.ndarray
    left: np.ndarray
    best: np.ndarray = field(init=False)
    clear: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        values = self.values
        largest = values.max(axis=1, keepdims=True, initial=-np.inf)
        best = values == largest
        near = values >= largest - 10 * TOLERANCE * max(1.0, float(np.abs(values).max(initial=0.0)))
        # Values that were computed may tie in one order of operations and not in another.
        several = best.sum(axis=1) > 1
        clear = (near == best).all(axis=1) & ~(several & (best & self.left).any(axis=1))
        object.__setattr__(self, "best", best)
        object.__setattr__(self, "clear", clear & np.isfinite(values).all(axis=1))

    def taken(self, table: np.ndarray) -> np.ndarray:
        """Entry of each step's action in an array (steps, A)."""
        taken: np.ndarray = table[np.arange(len(self.actions)), self.actions]
        return taken

    def greedy(self, ties: str) -> np.ndarray:
        """Probability with which each step's action is the greedy one, float64 (steps,)."""
        count = self.best.shape[1]
        if ties == "first":
            return np.asarray(self.best.argmax(axis=1) == self.actions, dtype=np.float64)
        if ties == "last":
            return np.asarray(count - 1 - self.best[:, ::-1].argmax(axis=1) == self.actions, dtype=np.float64)
        return np.asarray(self.taken(self.best) / self.best.sum(axis=1), dtype=np.float64)


@dataclass(frozen=True)
class _Way:
    """One way of choosing actions: names of the mistakes that it makes, and the probability of each step's action."""

    mistakes: tuple[str, ...]
    probabilities: Callable[[], np.ndarray]

    @property
    def weight(self) -> int:
        """Number of mistakes; one that fits any rate counts twice, for those that state their rate come first."""
        return len(self.mistakes) + ("explores at another rate" in self.mistakes)


def can_be_judged(rule: Rule) -> bool:
    """Whether the probabilities of a rule's actions follow from its table and its schedule."""
    is_known = isinstance(rule.policy, EpsilonGreedy | Greedy | RandomNoise | Uniform)
    return is_known and rule.policy.schedule.clock != "visits"


def diagnose_choices(rule: Rule, experience: Experience, replay: Replay) -> list[Finding]:
    """Mistakes of the actions of a learner whose table is known at every step; none for policies of other kinds.

    Args:
        rule: of the assignment.
        experience: of the learner.
        replay: that gave the learner's table.
    """
    if not experience.steps or experience.num_actions < 2 or not can_be_judged(rule):
        return []
    trace = replay.trace()
    actions, ties = experience.interaction.actions, str(getattr(rule.policy, "ties", "random"))
    tables = {
        "now": _Rows(trace.rows, actions, trace.left),
        "late": _Rows(trace.late_rows, actions, trace.left),
        "first": _Rows(trace.first_rows, actions, trace.left),
    }
    # Sarsa chooses the next action before it updates.
    own = "late" if rule.kind == "sarsa" else "now"
    clear = np.logical_and.reduce([rows.clear for rows in tables.values()])
    # The table that such a step left is known only within bounds.
    clear[replay.known_steps + 1 :] = False
    if not clear.any():
        return []
    ways = list(_ways(rule, experience, tables, own, ties))
    with np.errstate(divide="ignore"):
        logarithms = [np.log(way.probabilities()[clear]) for way in ways]
    return _judge(ways, logarithms, experience, np.flatnonzero(clear), clear)


def _judge(
    ways: list[_Way], logarithms: list[np.ndarray], experience: Experience, places: np.ndarray, clear: np.ndarray
) -> list[Finding]:
    right = logarithms[0]
    totals = np.array([float(one.sum()) for one in logarithms])
    possible = np.isfinite(totals)
    if not possible.any():
        step = int(places[np.flatnonzero(np.isneginf(right))[0]]) if np.isneginf(right).any() else -1
        if step < 0:
            return []
        return [_finding("action that the policy never takes", _place(experience, step), True)]
    gained = np.full(len(ways), -np.inf)
    gained[possible] = totals[possible] - totals[0] if possible[0] else np.inf
    threshold = math.log(len(ways) / LIKELY)
    if possible[0] and gained[possible].max() < threshold:
        return []
    # Every further mistake must explain clearly more.
    scores = np.where(possible, totals - MARGIN * np.array([way.weight for way in ways]), -np.inf)
    chosen = int(scores.argmax())
    if chosen == 0:
        return []
    rivals = [
        way.mistakes for index, way in enumerate(ways)
        if index and way.weight == ways[chosen].weight and scores[index] > scores[chosen] - MARGIN
    ]  # fmt: skip
    findings = []
    named = dict.fromkeys(itertools.chain.from_iterable(rivals))
    for name in named:
        rest = next(names for names in rivals if name in names)
        without = [totals[index] for index, way in enumerate(ways) if {*way.mistakes} <= {*rest} - {name}]
        ahead = totals[chosen] - max(without)
        shared = all(name in names for names in rivals)
        is_certain = bool(shared and ahead >= math.log(len(ways) / CERTAIN))
        if shared and ahead < threshold:
            continue
        findings.append(_finding(name, _odds(gained[chosen], int(clear.sum()), rivals, name), is_certain))
    return findings


def _finding(name: str, evidence: str, certain: bool) -> Finding:
    return Finding(name, SENTENCES[name], evidence, certain)


def _odds(gained: float, steps: int, rivals: list[tuple[str, ...]], name: str) -> str:
    others = sorted({other for names in rivals if name not in names for other in names})
    also = Evidence("as likely: {names}", names=Evidence.names(others)) if others else ""
    if math.isfinite(gained):
        template = "{actions} actions are {times} times as likely with this mistake as without"
        shown = Evidence(template, actions=f"{steps:,}", times=f"10^{gained / math.log(10):.0f}")
    else:
        template = "{actions} actions agree with this, and at least one of them the assignment's policy cannot take"
        shown = Evidence(template, actions=f"{steps:,}")
    return Evidence.joined([shown, also])


def _place(experience: Experience, step: int) -> str:
    done = experience.interaction
    return Evidence(
        "step {step}, episode {episode}: action {action} in state {state}",
        step=f"{step + 1:,}", episode=f"{experience.episode[step] + 1:,}", action=done.actions[step],
        state=done.states[step],
    )  # fmt: skip


def _ways(rule: Rule, experience: Experience, tables: dict[str, _Rows], own: str, ties: str) -> "list[_Way]":
    names = {"now": ("acts with the table of after the update" if own == "late" else "",), "late": (
        "acts with the table of a step ago",), "first": ("acts with the table of the episode's start",)}  # fmt: skip
    orders = sorted(tables, key=lambda table: table != own)
    explorations = _noises if isinstance(rule.policy, RandomNoise) else _epsilons
    ways = []
    for table in orders:
        for order in sorted(("first", "random", "last"), key=lambda other: other != ties):
            for mistake, probabilities in explorations(rule, experience, tables[table], order):
                if isinstance(rule.policy, RandomNoise) and order != ties and mistake != "never explores":
                    continue
                mistakes = [mistake] if mistake else []
                if order != ties:
                    mistakes.append(f"{order} index at ties")
                if table != own:
                    # What fits any rate fits parts of other mistakes, too, and shows none beside it.
                    if mistake == "explores at another rate":
                        continue
                    mistakes.extend(names[table])
                ways.append(_Way(tuple(mistakes), probabilities))
    return ways


_Explorations = list[tuple[str, Callable[[], np.ndarray]]]


def _epsilons(rule: Rule, experience: Experience, rows: _Rows, ties: str) -> _Explorations:
    epsilon = rule.exploration(experience)
    count = experience.num_actions
    greedy = rows.greedy(ties)

    def mixed(share: np.ndarray) -> Callable[[], np.ndarray]:
        return lambda: (1.0 - share) * greedy + share / count

    def but_one(action: int) -> Callable[[], np.ndarray]:
        others = np.where(rows.actions == action, 0.0, 1.0 / (count - 1))
        return lambda: (1.0 - epsilon) * greedy + epsilon * others

    def but_best() -> np.ndarray:
        # One best action is meant, chosen as ties are broken.
        return np.asarray((1.0 - epsilon) * greedy + epsilon * (1.0 - greedy) / (count - 1))

    def worst() -> np.ndarray:
        lowest = rows.values == rows.values.min(axis=1, keepdims=True)
        share = (lowest.argmax(axis=1) == rows.actions) if ties == "first" else rows.taken(lowest) / lowest.sum(axis=1)
        return np.asarray((1.0 - epsilon) * share + epsilon / count)

    def another_rate() -> np.ndarray:
        """Share of other actions than the best, from those before (Krichevsky and Trofimov's estimate)."""
        several = rows.best.sum(axis=1) < count
        other = several & ~rows.taken(rows.best)
        seen, counted = np.cumsum(several) - several, np.cumsum(other) - other
        share = (counted + 0.5) / (seen + 1.0)
        spread = share / np.maximum(count - rows.best.sum(axis=1), 1)
        return np.where(several, np.where(other, spread, (1.0 - share) * greedy), greedy)

    ways: _Explorations = [("", mixed(epsilon))]
    if epsilon.max() > 0.0:
        ways.append(("never explores", mixed(np.zeros_like(epsilon))))
        ways.append(("best action left out of exploring", but_best))
        if count > 2:
            ways.append(("last action never explored", but_one(count - 1)))
            ways.append(("first action never explored", but_one(0)))
    if epsilon.min() < 1.0:
        # Where it begins with 1, this is one that never decays.
        if epsilon[0] < 1.0:
            ways.append(("always explores", mixed(np.ones_like(epsilon))))
        ways.append(("worst action taken", worst))
        ways.append(("explores at another rate", another_rate))
    if epsilon.max() > 0.0 and epsilon.min() < 1.0:
        ways.append(("exploration inverted", mixed(1.0 - epsilon)))
    if isinstance(rule.policy, EpsilonGreedy):
        for name, share in _misread(rule.policy.schedule, experience):
            ways.append((name, mixed(np.clip(share, 0.0, 1.0))))
    return ways


def _noises(rule: Rule, experience: Experience, rows: _Rows, ties: str) -> _Explorations:
    schedule = rule.policy.schedule
    scale = experience.scheduled(schedule)

    def noise(scales: np.ndarray, is_uniform: bool = False) -> Callable[[], np.ndarray]:
        return lambda: _with_noise(rows, scales, is_uniform)

    ways: _Explorations = [("", noise(scale)), ("never explores", lambda: rows.greedy(ties))]
    ways.append(("always explores", lambda: np.full(len(rows.actions), 1.0 / experience.num_actions)))
    ways.append(("uniform noise", noise(scale, True)))
    if not isinstance(schedule, Constant):
        ways.append(("noise grows", noise(scale[:1] ** 2 / np.maximum(scale, 1e-300))))
    for name, scales in _misread(schedule, experience):
        ways.append((name, noise(scales)))
    return ways


def _misread(schedule: Schedule, experience: Experience) -> list[tuple[str, np.ndarray]]:
    """A schedule as it is misread, by the name of the mistake."""
    if isinstance(schedule, Constant):
        return []
    other = "step" if schedule.clock == "episode" else "episode"
    return [
        ("exploration never decays", np.full(experience.steps, schedule(0))),
        (f"exploration decays with {other}s", experience.scheduled(schedule, clock=other)),
        ("exploration one index ahead", experience.scheduled(schedule, 1)),
        ("exploration one index behind", experience.scheduled(schedule, -1)),
    ]


def _with_noise(rows: _Rows, scales: np.ndarray, is_uniform: bool) -> np.ndarray:
    """Probability that each step's action is the best after noise of a scale was added to every value."""
    from scipy.special import ndtr

    count = rows.values.shape[1]
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        gaps = (rows.taken(rows.values)[:, None] - rows.values) / scales[:, None]
    gaps[np.isnan(gaps)] = 0.0
    gaps[np.arange(len(gaps)), rows.actions] = np.inf
    smallest = gaps.min(axis=1)
    result = np.where(smallest > 0, 1.0, 0.0)
    even = (gaps == 0.0).sum(axis=1) == count - 1
    result[even] = 1.0 / count
    if is_uniform:
        nodes = (np.arange(100) + 0.5) / 100
        weights = np.full(100, 0.01)
        unsure = ~even & (np.abs(smallest) < 1.0)
    else:
        nodes = _NODES
        weights = np.exp(-0.5 * nodes**2)
        weights /= weights.sum()
        unsure = ~even & (np.abs(smallest) < _NO_NOISE)
    places = np.flatnonzero(unsure)
    for start in range(0, len(places), 4096):
        some = places[start : start + 4096]
        shifted = nodes[None, None, :] + gaps[some][:, :, None]
        below = np.clip(shifted, 0.0, 1.0) if is_uniform else ndtr(shifted)
        result[some] = np.minimum(below.prod(axis=1) @ weights, 1.0)
    return result
