"""What can be said of a comparison, in plain words, and no more than the statistics bear."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from velodrome.experiments.analysis.comparison import AgentScores
from velodrome.experiments.reporting.comparison_groups import ROUNDING, Groups, PairOutcome
from velodrome.experiments.reporting.languages import Words
from velodrome.experiments.reporting.numbers import estimate, is_known, number, percent, rounded, score

# More seeds than these are no advice.
MOST_SEEDS_TOLD = 100_000


@dataclass(frozen=True)
class Scale:
    """What agents are compared by.

    Attributes:
        heading: its name, in the reader's language.
        is_rate: whether it is a share of 1.
        best: its value for the best possible policy; NaN if not known.
        random: likewise, of the uniformly random policy.
    """

    heading: str
    is_rate: bool
    best: float = math.nan
    random: float = math.nan

    def reaches_best(self, value: float) -> bool:
        """Whether a value is the best possible one, but for rounding."""
        return is_known(self.best) and value >= self.best - ROUNDING * max(1.0, abs(self.best))


@dataclass(frozen=True)
class ComparisonSentences:
    """Sentences of one comparison; each method gives one, or "" where there is nothing to say.

    Attributes:
        groups: of the comparison, with two agents or more.
        scale: of the scores.
        words: in the reader's language.
        difference: the smallest that matters to the reader; by default the observed one.
    """

    groups: Groups
    scale: Scale
    words: Words
    difference: float | None = None

    @property
    def is_sequential(self) -> bool:
        """Whether seeds were added until pairs were decided."""
        return self.groups.comparison.correction == "group-sequential"

    def too_few_seeds(self) -> str:
        """That no difference could have been found, whatever the scores."""
        groups, words = self.groups, self.words
        if groups.most_seeds < 2:
            return words("One seed: nothing can be said of differences.")
        fixed = groups.comparison.is_paired and not self.is_sequential and len(groups.top.parts) == 1
        if not fixed or groups.most_seeds >= groups.least_seeds:
            return ""
        return words(
            "With {seeds} no difference among {agents} agents can be significant; that takes {least} at the least.",
            seeds=words.seeds([groups.most_seeds]), agents=len(groups.ranked), least=words.seeds([groups.least_seeds]),
        )  # fmt: skip

    def headline(self) -> str:
        """Who is best, and who cannot be told from it."""
        groups, words = self.groups, self.words
        if groups.most_seeds < 2:
            return self._highest()
        if len(groups.same) > 1 or self._always_best(groups.top):
            return self._same()
        if not groups.open and len(groups.beaten) == len(groups.ranked) - 1:
            return self._single_best()
        if len(groups.open) > 1:
            return words(
                "{top} has the highest {heading}, {estimate}; {others} are not distinguishable from it.",
                top=words.name(groups.top.label), heading=self.scale.heading, estimate=self._estimate(groups.top),
                others=self._names(groups.open),
            )  # fmt: skip
        return self._highest()

    def open_question(self) -> str:
        """The first pair that is not decided: its difference, and how many seeds would do."""
        groups = self.groups
        if groups.most_seeds < 2 or not groups.open:
            return ""
        outcome = groups.outcome(groups.top, groups.open[0])
        if not is_known(outcome.estimate) or outcome.pair.num_seeds < 2:
            return ""
        if outcome.pair.verdict == "undecided":
            template = "{ahead} and {behind} are undecided after {seeds} (difference {difference}){outlook}."
        else:
            template = "{ahead} and {behind} are not distinguishable with {seeds} (difference {difference}){outlook}."
        return self.words(template, **self._told(outcome), outlook=self._outlook(outcome))

    def own_interval(self) -> str:
        """Why a pair whose interval leaves out 0 is still not called different."""
        groups = self.groups
        outcomes = [groups.outcome(groups.top, agent) for agent in groups.open]
        outcome = next((one for one in outcomes if one.leaves_out_zero and one.pair.verdict != "undecided"), None)
        if outcome is None or self.too_few_seeds():
            return ""
        words, told = self.words, self._told(outcome)
        few = ""
        if outcome.num_differing < outcome.pair.num_seeds / 2:
            few = words(" (the two differ with {differing} of {seeds})", **told, differing=outcome.num_differing)
        which = words("Taken alone, the interval of {ahead} less {behind} leaves out 0", **told)
        if outcome.behind is groups.open[0]:
            which = words("Taken alone, that interval leaves out 0")
        if outcome.pair.num_pairs == 1 or self.is_sequential:
            return words("{which}, but by the test the difference is not significant{few}.", which=which, few=few)
        return words(
            "{which}, but among {pairs} pairs this can happen by chance{few}: the difference is not significant.",
            which=which, pairs=outcome.pair.num_pairs, few=few,
        )  # fmt: skip

    def beaten(self) -> str:
        """Whom the leaders beat, where there are several leaders."""
        groups, words = self.groups, self.words
        if not groups.beaten or (not groups.open and len(groups.same) == 1 and not self._always_best(groups.top)):
            return ""
        following = groups.outcome(groups.top, groups.beaten[0])
        told = {"top": words.name(groups.top.label), "others": self._names(groups.beaten)} | self._told(following)
        several = len(groups.beaten) > 1
        if len(groups.leaders) > 1 and not groups.unsettled(groups.leaders, groups.beaten):
            template = (
                "Each of these {leaders} beats {others}; {top} beats {behind} by {difference}."
                if several
                else "Each of these {leaders} beats {behind}, {top} by {difference}."
            )
            return words(template, **told, leaders=len(groups.leaders))
        sentence = (
            "{top} beats {others}, {behind} by {difference}{but}."
            if several
            else "{top} beats {behind} by {difference}{but}."
        )
        left = [one for one in groups.unsettled(groups.leaders, groups.beaten) if not one.is_different]
        but = words("; {ahead} and {behind} are not distinguishable", **self._told(left[0])) if left else ""
        return words(sentence, **told, but=but)

    def better_on_common_seeds(self) -> str:
        """Agents with a smaller mean that are ahead of the top on the seeds that both have."""
        ahead = [agent for agent in self.groups.outside if agent not in self.groups.beaten]
        if not ahead:
            return ""
        told = self._told(self.groups.outcome(self.groups.top, ahead[0]))
        return self.words("On the {seeds} that both have, {ahead} beats {behind} by {difference}.", **told)

    def share_of_best(self) -> str:
        """How far the top is from the best possible."""
        top, scale, words = self.groups.top, self.scale, self.words
        if not is_known(scale.best) or self._always_best(top) or not math.isfinite(top.mean):
            return ""
        told = {"top": words.name(top.label), "heading": scale.heading, "best": score(scale.best, scale.is_rate)}
        if scale.reaches_best(top.mean):
            return words("{top} reaches the best possible {heading}, {best}, on average.", **told)
        if not scale.is_rate or scale.best <= 0:
            return words("The best possible {heading} is {best}.", **told)
        part = top.mean / scale.best
        # What is not reached is never rounded to all of it.
        text = percent(part) if part < 0.9995 else words("more than {percent}", percent=percent(0.999))
        return words("{top} reaches {share} of the best possible {best}.", **told, share=text)

    def rest(self) -> str:
        """Which of those behind the leaders can be told apart."""
        groups, words = self.groups, self.words
        pairs = [groups.outcome(one, other) for one, other in _pairs(groups.outside)]
        left = [one for one in pairs if not one.is_different]
        if not pairs or groups.most_seeds < 2:
            return ""
        count = len(groups.outside)
        if not left and len(pairs) == 1:
            return words("{ahead} beats {behind} by {difference}.", **self._told(pairs[0]))
        if not left:
            return words.counted("", "Any two of the other {number} differ.", count)
        if len(left) == len(pairs):
            return words("{names} are not distinguishable from each other.", names=self._names(groups.outside))
        if len(left) == 1:
            return words(
                "Behind, {ahead} and {behind} are not distinguishable (difference {difference}).", **self._told(left[0])
            )
        return words(
            "Among the other {number}, {left} of {pairs} pairs are not distinguishable: those that share a letter.",
            number=count, left=len(left), pairs=len(pairs),
        )  # fmt: skip

    def against_baseline(self) -> str:
        """Who beats the reader's baseline, who is beaten by it, and who neither."""
        groups, words = self.groups, self.words
        reference = next((one for one in groups.ranked if one.label == groups.comparison.reference), None)
        if reference is None or reference is groups.top:
            return ""
        outcomes = [groups.outcome(reference, one) for one in groups.ranked if one is not reference]
        better = [one.ahead for one in outcomes if one.is_different and one.ahead is not reference]
        worse = [one.behind for one in outcomes if one.is_different and one.ahead is reference]
        parts = []
        if better:
            parts.append(words("better: {names}", names=self._names(better)))
        if worse:
            parts.append(words("worse: {names}", names=self._names(worse)))
        left = len(outcomes) - len(better) - len(worse)
        if left:
            parts.append(words.counted("{number} not distinguishable", "{number} not distinguishable", left))
        return words(
            "Against the baseline {baseline}: {parts}.", baseline=words.name(reference.label), parts="; ".join(parts)
        )

    def against_random(self) -> str:
        """Who is worse than acting at random."""
        groups, scale, words = self.groups, self.scale, self.words
        if not is_known(scale.random):
            return ""
        told = score(scale.random, scale.is_rate)
        slack = ROUNDING * max(1.0, abs(scale.random))
        top = groups.top.interval
        if top.is_known and top.low <= scale.random + slack:
            return words(
                "Not even {top} is clearly above the random policy ({random}).",
                top=words.name(groups.top.label), random=told,
            )  # fmt: skip
        known = [one for one in groups.ranked if one.interval.is_known]
        above = [one for one in known if one.interval.low > scale.random + slack]
        below = [one for one in known if one.interval.high < scale.random - slack]
        level = [one for one in known if one.interval.width == 0 and one not in (*above, *below)]
        if len(above) + len(level) == len(groups.ranked):
            return ""
        return words.counted(
            "By the 95 % intervals only {above} is above the random policy ({random}){below}.",
            "By the 95 % intervals only {above} are above the random policy ({random}){below}.",
            len(above), above=self._names(above), random=told,
            below=words.counted("; {names} is below it", "; {names} are below it", len(below), names=self._names(below))
            if below else "",
        )  # fmt: skip

    def undecided(self) -> str:
        """How many pairs a sequential comparison has not decided."""
        pairs = {id(pair): pair for pair in self.groups.comparison.pairs.values()}.values()
        left = [pair for pair in pairs if pair.verdict == "undecided"]
        told_already = self.groups.open and len(left) == 1
        if not left or told_already:
            return ""
        return self.words.counted(
            "{number} of {pairs} pairs is undecided so far.", "{number} of {pairs} pairs are undecided so far.",
            len(left), pairs=len(pairs),
        )  # fmt: skip

    def _same(self) -> str:
        groups, words, scale = self.groups, self.words, self.scale
        told = {"names": self._names(groups.same), "heading": scale.heading}
        if self._always_best(groups.top):
            one = "{names} reaches the best possible {heading}, {best}, with every seed{rest}."
            several = "{names} reach the best possible {heading}, {best}, with every seed{rest}."
            told["best"] = score(scale.best, scale.is_rate)
        else:
            one = several = "{names} score the same with every seed ({heading} {estimate}){rest}."
            told["estimate"] = self._estimate(groups.top)
        rest = ""
        if len(groups.same) == len(groups.ranked):
            rest = words("; nothing tells them apart")
        elif len(groups.open) > 1:
            rest = words("; {others} are not distinguishable from that", others=self._names(groups.open))
        return words.counted(one, several, len(groups.same), **told, rest=rest)

    def _single_best(self) -> str:
        groups, words = self.groups, self.words
        following = groups.outcome(groups.top, groups.ranked[1])
        told = {"heading": self.scale.heading, "estimate": self._estimate(groups.top)} | self._told(following)
        others = groups.ranked[2:]
        if not others:
            return words("{ahead} beats {behind} by {difference} ({heading} {estimate}).", **told)
        by_more = all(groups.outcome(groups.top, one).estimate >= following.estimate for one in others)
        rest = words("each of the other {number}", number=len(others))
        if len(others) == 1:
            rest = words.name(others[0].label)
        template = (
            "{ahead} is best ({heading} {estimate}): it beats {behind} by {difference}, and {rest} by at least as much."
            if by_more
            else "{ahead} is best ({heading} {estimate}): it beats {behind} by {difference}, and also {rest}."
        )
        return words(template, **told, rest=rest)

    def _highest(self) -> str:
        top = self.groups.top
        return self.words(
            "{top} has the highest {heading}: {estimate}.",
            top=self.words.name(top.label), heading=self.scale.heading, estimate=self._estimate(top),
        )  # fmt: skip

    def _outlook(self, outcome: PairOutcome) -> str:
        """How many seeds would do, or what so many can find; in a sequential run the plan is fixed beforehand."""
        words, pair = self.words, outcome.pair
        if self.is_sequential:
            return ""
        wanted = self.difference or outcome.estimate
        needed = pair.seeds_needed(wanted)
        size = self._rounded(wanted, outcome)
        if needed is not None and max(needed, self.groups.least_seeds) > pair.num_seeds:
            seeds = _about(max(needed, self.groups.least_seeds))
            if seeds is None:
                return words(
                    "; not even {most} would settle a difference of {size}", most=number(MOST_SEEDS_TOLD), size=size
                )
            return words("; about {needed} would settle a difference of {size}", needed=f"{seeds:,}", size=size)
        if not pair.detectable:
            return ""
        detectable = self._rounded(pair.detectable, outcome)
        return words("; so many find a difference of {detectable} four times out of five", detectable=detectable)

    def _told(self, outcome: PairOutcome) -> dict[str, str]:
        return {
            "ahead": self.words.name(outcome.ahead.label),
            "behind": self.words.name(outcome.behind.label),
            "difference": estimate(outcome.estimate, outcome.low, outcome.high, self.scale.is_rate),
            "seeds": self.words.seeds([outcome.pair.num_seeds]),
        }

    def _always_best(self, agent: AgentScores) -> bool:
        return len(self.groups.ranked) > 1 and all(
            self.scale.reaches_best(float(value)) for part in agent.parts for value in part.values
        )

    def _estimate(self, agent: AgentScores) -> str:
        interval = agent.interval
        low, high = (interval.low, interval.high) if interval.is_known else (math.nan, math.nan)
        return estimate(agent.mean, low, high, self.scale.is_rate)

    def _rounded(self, value: float, outcome: PairOutcome) -> str:
        return rounded(value, outcome.low, outcome.high, self.scale.is_rate)

    def _names(self, agents: Sequence[AgentScores]) -> str:
        return self.words.names([agent.label for agent in agents])


def _pairs(agents: Sequence[AgentScores]) -> list[tuple[AgentScores, AgentScores]]:
    return [(one, other) for place, one in enumerate(agents) for other in agents[place + 1 :]]


def _about(seeds: int) -> int | None:
    """A number of seeds, rounded up; None where it is beyond all means."""
    if seeds > MOST_SEEDS_TOLD:
        return None
    step = 1 if seeds < 20 else 5 if seeds < 100 else 10 ** (len(str(seeds)) - 2)
    return math.ceil(seeds / step) * step
