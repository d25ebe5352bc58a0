"""Sentences on those behind the leaders; "" where there is nothing to say."""

from collections.abc import Sequence

from velodrome.experiments.reporting.comparison_groups import ROUNDING, PairOutcome
from velodrome.experiments.reporting.sentence_parts import SentenceParts
from velodrome.experiments.results.comparison import AgentScores
from velodrome.experiments.results.numbers import is_known, score


def beaten(said: SentenceParts) -> str:
    """Whom the leaders beat, where there are several leaders."""
    groups, words = said.groups, said.words
    if not groups.beaten or (not groups.open and len(groups.same) == 1 and not said.always_best(groups.top)):
        return ""
    following = groups.outcome(groups.top, groups.beaten[0])
    told = {"top": words.name(groups.top.label), "others": said.names(groups.beaten)} | said.told(following)
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
    but = words("; {ahead} and {behind} are not distinguishable", **said.told(left[0])) if left else ""
    return words(sentence, **told, but=but)


def better_on_common_seeds(said: SentenceParts) -> str:
    """Agents with a smaller mean that are ahead of the top on the seeds that both have."""
    ahead = [agent for agent in said.groups.outside if agent not in said.groups.beaten]
    if not ahead:
        return ""
    told = said.told(said.groups.outcome(said.groups.top, ahead[0]))
    return said.words("On the {seeds} that both have, {ahead} beats {behind} by {difference}.", **told)


def against_baseline(said: SentenceParts) -> str:
    """Who beats the reader's baseline, who is beaten by it, and who neither."""
    groups, words = said.groups, said.words
    reference = next((one for one in groups.ranked if one.label == groups.comparison.reference), None)
    if reference is None or reference is groups.top:
        return ""
    outcomes = [groups.outcome(reference, one) for one in groups.ranked if one is not reference]
    better = [one.ahead for one in outcomes if one.is_different and one.ahead is not reference]
    worse = [one.behind for one in outcomes if one.is_different and one.ahead is reference]
    parts = []
    if better:
        parts.append(words("better: {names}", names=said.names(better)))
    if worse:
        parts.append(words("worse: {names}", names=said.names(worse)))
    left = len(outcomes) - len(better) - len(worse)
    if left:
        parts.append(words.counted("{number} not distinguishable", "{number} not distinguishable", left))
    return words(
        "Against the baseline {baseline}: {parts}.", baseline=words.name(reference.label), parts="; ".join(parts)
    )


def rest(said: SentenceParts) -> str:
    """Differences among those behind the leaders."""
    groups, words = said.groups, said.words
    pairs = [groups.comparison.pairs[one.label, other.label] for one, other in _pairs(groups.outside)]
    left = [pair for pair in pairs if pair.verdict != "different"]
    if not pairs or groups.most_seeds < 2:
        return ""
    count = len(groups.outside)
    if not left and len(pairs) == 1:
        return words("{ahead} beats {behind} by {difference}.", **said.told(PairOutcome.of(pairs[0])))
    if not left:
        return words("Any two of the other {number} differ.", number=count)
    if len(left) == len(pairs):
        return words("{names} are not distinguishable from each other.", names=said.names(groups.outside))
    if len(left) == 1:
        return words(
            "Behind, {ahead} and {behind} are not distinguishable (difference {difference}).",
            **said.told(PairOutcome.of(left[0])),
        )
    return words(
        "Among the other {number}, {left} of {pairs} pairs are not distinguishable: those that share a letter.",
        number=count, left=len(left), pairs=len(pairs),
    )  # fmt: skip


def against_random(said: SentenceParts) -> str:
    """Who is worse than acting at random."""
    groups, scale, words = said.groups, said.scale, said.words
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
    if not above or len(above) + len(level) == len(groups.ranked):
        return ""
    return words.counted(
        "By the 95 % intervals only {above} is above the random policy ({random}){below}.",
        "By the 95 % intervals only {above} are above the random policy ({random}){below}.",
        len(above), above=said.names(above), random=told,
        below=words.counted("; {names} is below it", "; {names} are below it", len(below), names=said.names(below))
        if below else "",
    )  # fmt: skip


def undecided(said: SentenceParts) -> str:
    """How many pairs a sequential comparison has not decided."""
    pairs = {id(pair): pair for pair in said.groups.comparison.pairs.values()}.values()
    left = [pair for pair in pairs if pair.verdict == "undecided"]
    told_already = said.groups.open and len(left) == 1
    if not left or told_already:
        return ""
    return said.words.counted(
        "{number} of {pairs} pairs is undecided so far.", "{number} of {pairs} pairs are undecided so far.",
        len(left), pairs=len(pairs),
    )  # fmt: skip


def _pairs(agents: Sequence[AgentScores]) -> list[tuple[AgentScores, AgentScores]]:
    return [(one, other) for place, one in enumerate(agents) for other in agents[place + 1 :]]
