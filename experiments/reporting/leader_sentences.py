"""Who is best, how far from the best possible, and what is still open; "" where there is nothing to say."""

import math
from collections.abc import Sequence

import numpy as np

from velodrome.experiments.reporting.comparison_groups import ROUNDING, PairOutcome
from velodrome.experiments.reporting.sentence_parts import SentenceParts
from velodrome.experiments.results.comparison import AgentScores
from velodrome.experiments.results.numbers import is_known, number, percent, score

# More seeds than these are no advice.
MOST_SEEDS_TOLD = 100_000


def too_few_seeds(said: SentenceParts) -> str:
    """That no difference could have been found, whatever the scores."""
    groups, words = said.groups, said.words
    if groups.most_seeds < 2:
        return words("One seed: nothing can be said of differences.")
    fixed = groups.comparison.is_paired and not said.is_sequential and len(groups.top.parts) == 1
    if not fixed or groups.most_seeds >= groups.least_seeds:
        return ""
    sentence = words(
        "With {seeds} no difference among {agents} agents can be significant; that takes {least} at the least.",
        seeds=words.seeds([groups.most_seeds]), agents=len(groups.ranked), least=words.seeds([groups.least_seeds]),
    )  # fmt: skip
    return " ".join(filter(None, (sentence, _every_seed(said))))


def _every_seed(said: SentenceParts) -> str:
    """That the top scores higher on every seed, which so few cannot make significant."""
    outcomes = [said.groups.outcome(said.groups.top, agent) for agent in said.groups.open]
    behind = [one.behind for one in outcomes if one.is_one_sided and one.ahead is said.groups.top]
    if not behind:
        return ""
    return said.words(
        "{top} scores higher than {others} with every seed.",
        top=said.words.name(said.groups.top.label), others=said.names(behind),
    )  # fmt: skip


def headline(said: SentenceParts) -> str:
    """The best agent, and those not distinguishable from it."""
    groups, words = said.groups, said.words
    if groups.most_seeds < 2:
        return _highest(said)
    if len(groups.same) > 1 or said.always_best(groups.top):
        return _same(said)
    if not groups.open and len(groups.beaten) == len(groups.ranked) - 1:
        return _single_best(said)
    if len(groups.open) > 1:
        return words(
            "{top} has the highest {heading}, {estimate}; {others} are not distinguishable from it."
            if groups.top.higher_is_better
            else "{top} has the lowest {heading}, {estimate}; {others} are not distinguishable from it.",
            top=words.name(groups.top.label), heading=said.scale.heading, estimate=said.estimate(groups.top),
            others=said.names(groups.open),
        )  # fmt: skip
    return _highest(said)


def share_of_best(said: SentenceParts) -> str:
    """How far the top is from the best possible."""
    top, scale, words = said.groups.top, said.scale, said.words
    if not is_known(scale.best) or not math.isfinite(top.mean):
        return ""
    told = {"top": words.name(top.label), "heading": scale.heading, "best": score(scale.best, scale.is_rate)}
    if scale.exceeds_best(top.mean):
        template = "{top} scores above the best possible {heading}, {best}, as sampled episodes can by luck."
        if top.interval.is_known and scale.exceeds_best(top.interval.low):
            template = (
                "{top} scores above the best possible {heading}, {best}, by more than luck: that best is not the best "
                "of what was evaluated."
            )
        return words(template, **told)
    if said.always_best(top):
        return ""
    if scale.reaches_best(top.mean):
        return words("{top} reaches the best possible {heading}, {best}, on average.", **told)
    if not scale.is_rate or scale.best <= 0:
        return words("The best possible {heading} is {best}.", **told)
    part = top.mean / scale.best
    # What is not reached is never rounded to all of it.
    text = percent(part) if part < 0.9995 else words("more than {percent}", percent=percent(0.999))
    return words("{top} reaches {share} of the best possible {best}.", **told, share=text)


def open_question(said: SentenceParts) -> str:
    """The first pair that is not decided: its difference, and how many seeds would do."""
    groups = said.groups
    if groups.most_seeds < 2 or not groups.open:
        return ""
    outcome = groups.outcome(groups.top, groups.open[0])
    if not is_known(outcome.estimate) or outcome.pair.num_seeds < 2 or outcome.pair.is_doubtful:
        return ""
    if outcome.pair.verdict == "undecided":
        template = "{ahead} and {behind} are undecided after {seeds} (difference {difference}){outlook}."
    else:
        template = "{ahead} and {behind} are not distinguishable with {seeds} (difference {difference}){outlook}."
    return said.words(template, **said.told(outcome), outlook=_outlook(said, outcome))


def own_interval(said: SentenceParts) -> str:
    """Why a pair whose interval leaves out 0 is still not called different."""
    groups = said.groups
    outcomes = [groups.outcome(groups.top, agent) for agent in groups.open]
    outcome = next((one for one in outcomes if one.leaves_out_zero and not _is_told_already(one)), None)
    if outcome is None or too_few_seeds(said):
        return ""
    words, told = said.words, said.told(outcome)
    few = ""
    if outcome.num_differing < outcome.pair.num_seeds / 2:
        few = words(" (the two differ with {differing} of {seeds})", **told, differing=outcome.num_differing)
    which = words("Taken alone, the interval of {ahead} less {behind} leaves out 0", **told)
    if outcome.behind is groups.open[0]:
        which = words("Taken alone, that interval leaves out 0")
    if outcome.pair.num_pairs == 1 or said.is_sequential:
        return words("{which}, but by the test the difference is not significant{few}.", which=which, few=few)
    return words(
        "{which}, but among {pairs} pairs this can happen by chance{few}: the difference is not significant.",
        which=which, pairs=outcome.pair.num_pairs, few=few,
    )  # fmt: skip


def _is_told_already(outcome: PairOutcome) -> bool:
    return outcome.pair.verdict == "undecided" or outcome.pair.is_doubtful


def doubtful(said: SentenceParts) -> str:
    """Pairs that would differ if the missing scores were not counted as the worst."""
    groups, words = said.groups, said.words
    pairs = {id(pair): PairOutcome.of(pair) for pair in groups.comparison.pairs.values() if pair.is_doubtful}
    outcomes = list(pairs.values())
    if not outcomes:
        return ""
    sentence = words(
        "On the {seeds} that both have {ahead} is ahead of {behind} by {difference}, but with missing trials counted "
        "as the worst score that does not hold: failures need not be chance, and nothing is decided",
        **said.told(outcomes[0]),
    )
    if len(outcomes) > 1:
        sentence += words(" (likewise for {number} more)", number=len(outcomes) - 1)
    return words("{parts}.", parts=sentence)


def tie_break(said: SentenceParts) -> str:
    """Who has the same greedy success on every seed, so that return decides."""
    pairs = [pair for pair in said.groups.comparison.pairs.values() if pair.is_by_return]
    labels = {agent.label for pair in pairs for agent in (pair.first, pair.second)}
    agents = [agent for agent in said.groups.ranked if agent.label in labels]
    if not agents:
        return ""
    return said.words(
        "{names} have the same {heading} with every seed as another of them: between such two greedy return decides."
        if len(agents) > 2
        else "{names} have the same {heading} with every seed: between them greedy return decides.",
        names=said.names(agents), heading=said.scale.heading,
    )  # fmt: skip


def _same(said: SentenceParts) -> str:
    groups, words, scale = said.groups, said.words, said.scale
    told = {"names": said.names(groups.same), "heading": scale.heading}
    if said.always_best(groups.top):
        one = "{names} reaches the best possible {heading}, {best}, with every seed{rest}."
        several = "{names} reach the best possible {heading}, {best}, with every seed{rest}."
        told["best"] = score(scale.best, scale.is_rate)
    else:
        one = several = "{names} score the same with every seed ({heading} {estimate}){rest}."
        told["estimate"] = said.estimate(groups.top)
    rest = ""
    if len(groups.same) == len(groups.ranked):
        is_blind = said.is_sequential and _returns_differ(groups.same)
        rest = words("; their greedy returns differ, but are not tested" if is_blind else "; nothing tells them apart")
    elif len(groups.open) > 1:
        rest = words("; {others} are not distinguishable from that", others=said.names(groups.open))
    return words.counted(one, several, len(groups.same), **told, rest=rest)


def _returns_differ(agents: Sequence[AgentScores]) -> bool:
    """Whether agents have other mean greedy returns."""
    means = [agent.tie_break.values.mean() for agent in agents if agent.tie_break is not None]
    return len(means) > 1 and bool(np.ptp(means) > ROUNDING * np.abs(means).max())


def _single_best(said: SentenceParts) -> str:
    groups, words = said.groups, said.words
    following = groups.outcome(groups.top, groups.ranked[1])
    told = {"heading": said.scale.heading, "estimate": said.estimate(groups.top)} | said.told(following)
    others = groups.ranked[2:]
    if not others:
        return words("{ahead} beats {behind} by {difference} ({heading} {estimate}).", **told)
    outcomes = [groups.outcome(groups.top, one) for one in others]
    # Successes and returns have no common scale.
    is_one_scale = all(one.pair.is_by_return == following.pair.is_by_return for one in outcomes)
    by_more = is_one_scale and all(one.estimate >= following.estimate for one in outcomes)
    rest = words("each of the other {number}", number=len(others))
    if len(others) == 1:
        rest = words.name(others[0].label)
    template = (
        "{ahead} is best ({heading} {estimate}): it beats {behind} by {difference}, and {rest} by at least as much."
        if by_more
        else "{ahead} is best ({heading} {estimate}): it beats {behind} by {difference}, and also {rest}."
    )
    return words(template, **told, rest=rest)


def _highest(said: SentenceParts) -> str:
    top = said.groups.top
    return said.words(
        "{top} has the highest {heading}: {estimate}."
        if top.higher_is_better
        else "{top} has the lowest {heading}: {estimate}.",
        top=said.words.name(top.label), heading=said.scale.heading, estimate=said.estimate(top),
    )  # fmt: skip


def _outlook(said: SentenceParts, outcome: PairOutcome) -> str:
    """How many seeds would do, or what so many can find; in a sequential run the plan is fixed beforehand."""
    words, pair = said.words, outcome.pair
    if said.is_sequential:
        return ""
    wanted = outcome.estimate if pair.is_by_return else said.difference or outcome.estimate
    needed = pair.seeds_needed(wanted)
    size = said.rounded(wanted, outcome)
    if needed is not None and max(needed, said.groups.least_seeds) > pair.num_seeds:
        seeds = _about(max(needed, said.groups.least_seeds))
        if seeds is None:
            return words(
                "; not even {most} would settle a difference of {size}", most=number(MOST_SEEDS_TOLD), size=size
            )
        needed_range = _range(said, pair.seeds_needed_range(wanted), seeds)
        return words("; about {needed} would settle a difference of {size}", needed=needed_range, size=size)
    if not pair.detectable:
        return ""
    detectable = said.rounded(pair.detectable, outcome)
    return words("; so many find a difference of {detectable} four times out of five", detectable=detectable)


def _range(said: SentenceParts, ends: tuple[int, int | None] | None, seeds: int) -> str:
    """A number of seeds with the fewest and the most that it may be."""
    if ends is None:
        return f"{seeds:,}"
    fewest = _about(max(ends[0], said.groups.least_seeds))
    most = None if ends[1] is None else _about(max(ends[1], said.groups.least_seeds))
    if fewest is None or fewest == most == seeds:
        return f"{seeds:,}"
    if most is None:
        return said.words("{seeds} ({fewest} or more)", seeds=f"{seeds:,}", fewest=f"{min(fewest, seeds):,}")
    return f"{seeds:,} ({min(fewest, seeds):,}–{max(most, seeds):,})"


def _about(seeds: int) -> int | None:
    """A number of seeds, rounded up; None where it is beyond all means."""
    if seeds > MOST_SEEDS_TOLD:
        return None
    step = 1 if seeds < 20 else 5 if seeds < 100 else 10 ** (len(str(seeds)) - 2)
    return math.ceil(seeds / step) * step
