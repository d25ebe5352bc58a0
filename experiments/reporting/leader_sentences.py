"""Who is best, how far from the best possible, and what is still open; "" where there is nothing to say."""

import math

from velodrome.experiments.reporting.comparison_groups import PairOutcome
from velodrome.experiments.reporting.numbers import is_known, number, percent, score
from velodrome.experiments.reporting.sentence_parts import SentenceParts

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
    return words(
        "With {seeds} no difference among {agents} agents can be significant; that takes {least} at the least.",
        seeds=words.seeds([groups.most_seeds]), agents=len(groups.ranked), least=words.seeds([groups.least_seeds]),
    )  # fmt: skip


def headline(said: SentenceParts) -> str:
    """Who is best, and who cannot be told from it."""
    groups, words = said.groups, said.words
    if groups.most_seeds < 2:
        return _highest(said)
    if len(groups.same) > 1 or said.always_best(groups.top):
        return _same(said)
    if not groups.open and len(groups.beaten) == len(groups.ranked) - 1:
        return _single_best(said)
    if len(groups.open) > 1:
        return words(
            "{top} has the highest {heading}, {estimate}; {others} are not distinguishable from it.",
            top=words.name(groups.top.label), heading=said.scale.heading, estimate=said.estimate(groups.top),
            others=said.names(groups.open),
        )  # fmt: skip
    return _highest(said)


def share_of_best(said: SentenceParts) -> str:
    """How far the top is from the best possible."""
    top, scale, words = said.groups.top, said.scale, said.words
    if not is_known(scale.best) or said.always_best(top) or not math.isfinite(top.mean):
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


def open_question(said: SentenceParts) -> str:
    """The first pair that is not decided: its difference, and how many seeds would do."""
    groups = said.groups
    if groups.most_seeds < 2 or not groups.open:
        return ""
    outcome = groups.outcome(groups.top, groups.open[0])
    if not is_known(outcome.estimate) or outcome.pair.num_seeds < 2:
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
    outcome = next((one for one in outcomes if one.leaves_out_zero and one.pair.verdict != "undecided"), None)
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
        rest = words("; nothing tells them apart")
    elif len(groups.open) > 1:
        rest = words("; {others} are not distinguishable from that", others=said.names(groups.open))
    return words.counted(one, several, len(groups.same), **told, rest=rest)


def _single_best(said: SentenceParts) -> str:
    groups, words = said.groups, said.words
    following = groups.outcome(groups.top, groups.ranked[1])
    told = {"heading": said.scale.heading, "estimate": said.estimate(groups.top)} | said.told(following)
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


def _highest(said: SentenceParts) -> str:
    top = said.groups.top
    return said.words(
        "{top} has the highest {heading}: {estimate}.",
        top=said.words.name(top.label), heading=said.scale.heading, estimate=said.estimate(top),
    )  # fmt: skip


def _outlook(said: SentenceParts, outcome: PairOutcome) -> str:
    """How many seeds would do, or what so many can find; in a sequential run the plan is fixed beforehand."""
    words, pair = said.words, outcome.pair
    if said.is_sequential:
        return ""
    wanted = said.difference or outcome.estimate
    needed = pair.seeds_needed(wanted)
    size = said.rounded(wanted, outcome)
    if needed is not None and max(needed, said.groups.least_seeds) > pair.num_seeds:
        seeds = _about(max(needed, said.groups.least_seeds))
        if seeds is None:
            return words(
                "; not even {most} would settle a difference of {size}", most=number(MOST_SEEDS_TOLD), size=size
            )
        return words("; about {needed} would settle a difference of {size}", needed=f"{seeds:,}", size=size)
    if not pair.detectable:
        return ""
    detectable = said.rounded(pair.detectable, outcome)
    return words("; so many find a difference of {detectable} four times out of five", detectable=detectable)


def _about(seeds: int) -> int | None:
    """A number of seeds, rounded up; None where it is beyond all means."""
    if seeds > MOST_SEEDS_TOLD:
        return None
    step = 1 if seeds < 20 else 5 if seeds < 100 else 10 ** (len(str(seeds)) - 2)
    return math.ceil(seeds / step) * step
