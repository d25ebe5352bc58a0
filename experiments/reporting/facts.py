"""How an experiment was run and how its numbers are to be read, as terms and texts in the reader's language."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from velodrome.experiments.reporting.columns import (
    BY_RETURN,
    RUNS_LIE,
    heading_of,
    is_reliability_shown,
    shown_beside,
    tells_reward_a_guess,
)
from velodrome.experiments.reporting.comparison_groups import ROUNDING
from velodrome.experiments.reporting.languages import Words
from velodrome.experiments.results.analysis import Analysis, EnvironmentAnalysis
from velodrome.experiments.results.comparison import MOST_TESTED, Comparison
from velodrome.experiments.results.measures import measure_on
from velodrome.experiments.results.numbers import estimate, is_known, percent, score, share
from velodrome.experiments.results.settings import Pair, PairBudget, Settings, TunedAgent
from velodrome.experiments.results.trial_table import TrialTable
from velodrome.experiments.statistics import largest_rate, seeds_for_tolerance
from velodrome.experiments.trials.measures import Measure

# Budgets and seeds of their own that are told pair by pair.
MOST_PAIRS = 6
MOST_SEEDS = 8
# Verdicts that may rest on rare seeds, told pair by pair.
MOST_RARE = 3
# Other configurations that may be the best, told one by one.
MOST_POSSIBLE = 2
# What stands for a rule where there is none, and how that is told.
_WITHOUT_RULE = {"no success rule": "no success rule", "not stated": "success rule not stated"}
# Fewer seeds than these, and intervals cover less than they say (docs/why/statistics.md).
ENOUGH_SEEDS = 10
# What happens with so small a share of seeds that all of them miss it with this probability is not known.
UNSEEN = 0.05
# A measure, its share where no seed failed, and how that is told.
_NONE_SEEN = (
    (
        "solved",
        1.0,
        "0 of {seeds} failed to solve it ({agents}): a failure rate up to {rate} (one-sided 95 %) is not excluded.",
    ),
    (
        "fell_back",
        0.0,
        "0 of {seeds} fell back ({agents}): a rate of falling back up to {rate} (one-sided 95 %) is not excluded.",
    ),
)


class Fact(NamedTuple):
    """A subject, and what is true of it.

    Attributes:
        term: the subject.
        text: what is true of it.
        is_glossary: whether it is the meaning of a word, the same for all experiments.
    """

    term: str
    text: str
    is_glossary: bool = False


def how_it_was_run(results: TrialTable, analysis: Analysis, words: Words) -> list[Fact]:
    """Budgets, seeds, and for each environment the success rule, the evaluation and the known limits."""
    settings = results.settings
    facts = [Fact(words("Training"), _budgets(settings, words)), Fact(words("Seeds"), _seeds(results, analysis, words))]
    facts += [Fact(words.shipped(one.environment), _environment(one, settings, words)) for one in analysis.environments]
    facts += tuning_facts(results, analysis, words)
    facts += [Fact(words("stopped"), text) for text in _stopped(results, words)]
    return [fact for fact in facts if fact.text]


def tuning_facts(results: TrialTable, analysis: Analysis, words: Words) -> list[Fact]:
    """How the configuration of each agent was chosen, and what its tuning score would have claimed."""
    tuning = results.settings.tuning
    if tuning is None or tuning.is_choosing:
        return []
    facts = []
    for one in analysis.environments:
        measure = measure_on(results, one.environment)
        for row in sorted(one.rows, key=lambda row: results.agents.index(row["agent"])):
            tuned = tuning.of(one.environment, row["agent"])
            if tuned is not None:
                text = _how_tuned(tuned, row, measure, words)
                facts.append(Fact(words("Tuning of {agent}", agent=words.name(tuned.agent)), text))
    return facts


def _how_tuned(tuned: TunedAgent, row: Mapping[str, Any], measure: Measure, words: Words) -> str:
    """The choice of one agent, in sentences."""
    mean, low, high = (row[f"{measure.name}_{end}"] for end in (measure.aggregate, "low", "high"))
    chosen = words(
        "{expression}, of {configurations} in {runs} on tuning seeds.",
        expression=tuned.expression,
        configurations=words.counted("{number} configuration", "{number} configurations", tuned.configurations),
        runs=words.counted("{number} run", "{number} runs", tuned.runs),
    )  # fmt: skip
    against = words(
        "Chosen at {claim} on its tuning seeds; {fresh} on fresh ones.",
        claim=estimate(*tuned.claim, measure.is_rate), fresh=estimate(mean, low, high, measure.is_rate),
    )  # fmt: skip
    luck = ""
    if is_known(tuned.optimism):
        luck = words(
            "The best of so many tuning scores is expected to be {optimism} too good."
            if tuned.optimism > 0
            else "These tuning seeds do not show that the best of so many scores is too good ({optimism}).",
            optimism=score(tuned.optimism, measure.is_rate),
        )  # fmt: skip
    others = tuned.may_be_best[1:]
    best = words("All others are excluded from being the best (95 %).")
    if others:
        shown = [f"{one.expression} ({share(one.probability, 2)})" for one in others[:MOST_POSSIBLE]]
        if len(others) > MOST_POSSIBLE:
            shown.append(words("{number} more", number=len(others) - MOST_POSSIBLE))
        best = words.counted(
            "It is the best of them with probability {probability}; one other is not excluded (95 %): {others}.",
            "It is the best of them with probability {probability}; {number} others are not excluded (95 %): {others}.",
            len(others), probability=share(tuned.may_be_best[0].probability, 2), others="; ".join(shown),
        )  # fmt: skip
    if tuned.configurations - tuned.unscored < 2:
        best = ""
    if tuned.is_for_all:
        best = words("One setting for all environments: the best by the mean of its ranks on them.")
    unscored = ""
    if tuned.unscored:
        unscored = words.counted(
            "One has a trial without a score and is not chosen.",
            "{number} have trials without a score and are not chosen.",
            tuned.unscored,
        )
    saved = ""
    if tuned.saved:
        saved = words.counted(
            "One was given up on the way for a lower mean, without a test, which saved {saved}.",
            "{number} were given up on the way for lower means, without a test, which saved {saved}.",
            tuned.dropped, saved=words.counted("{number} run", "{number} runs", tuned.saved),
        )  # fmt: skip
    return " ".join(filter(None, (chosen, against, luck, best, unscored, saved)))


def _stopped(results: TrialTable, words: Words) -> list[str]:
    """Trials that were given up as hopeless, and by which rule; that the rule stopped none is said, too."""
    told = []
    for environment, rule in results.settings.hopeless.items():
        by = words(
            "a trial on {environment} is given up as hopeless if by {after} no evaluation reached a return of {below}",
            environment=words.shipped(environment), after=_after(results, environment, words),
            below=score(rule.below, is_rate=False),
        )  # fmt: skip
        counts = [
            words(
                "{agent}: {stopped} of {total}",
                agent=words.name(agent), stopped=number, total=len(results.trials(environment, agent)),
            )
            for agent in results.agents
            if (number := len(results.stopped(environment, agent)))
        ]  # fmt: skip
        if counts:
            told.append(
                words(
                    "{rule}: {counts}. They have no score and count as not solved; a mean of the others would say too "
                    "much good of the agent, so that there is none.",
                    rule=by,
                    counts="; ".join(counts),
                )
            )
        else:
            told.append(words("{rule}: none was.", rule=by))
    return told


def _after(results: TrialTable, environment: str, words: Words) -> str:
    """How long trials on an environment were waited for, in the units of their budgets."""
    after = results.settings.hopeless[environment].after
    budgets = [results.settings.budget_of(environment, agent) for agent in results.agents]
    amounts = {
        _amount(
            PairBudget(
                None if one.episodes is None else after,
                None if one.steps is None else after,
                None if one.epochs is None else after,
            ),
            words,
        )
        for one in budgets
    }
    return " / ".join(sorted(amounts))


def how_to_read(analysis: Analysis, words: Words) -> list[Fact]:
    """Meaning of brackets, letters, differences and the other columns, as far as they stand in the tables."""
    scored = [one for one in analysis.environments if any(row["seeds"] for row in one.rows)]
    if not scored:
        return []
    brackets = words(
        "95 % interval of the mean over seeds; without brackets all seeds scored the same or there is only one."
    )
    fewest = min(row["seeds"] for one in scored for row in one.rows if row["seeds"])
    if 1 < fewest < ENOUGH_SEEDS:
        brackets += " " + words("With so few seeds ({fewest}) it may cover less than it says.", fewest=fewest)
    most = max((row["seeds"] for one in scored for row in one.rows if _never_varies(row)), default=0)
    if most > 1:
        brackets += " " + words(
            "Of {seeds} that all score the same nothing is known of what happens with fewer than {share} of seeds.",
            seeds=words.seeds([most]), share=percent(1 - UNSEEN ** (1 / most)),
        )  # fmt: skip
    facts = [Fact("[ ]", brackets, is_glossary=fewest >= ENOUGH_SEEDS and most <= 1)]
    facts += [Fact(words("none seen"), text) for text in _none_seen(scored, words)]
    seeds = [row["seeds"] for one in scored if is_reliability_shown(one) for row in one.rows if row["seeds"]]
    if seeds:
        text = words(
            "Between these two scores 90 % of all runs of the agent lie, with 95 % confidence, whatever their "
            "distribution; it takes {least} seeds.", least=seeds_for_tolerance(),
        )  # fmt: skip
        facts.append(Fact(words(RUNS_LIE), text, is_glossary=min(seeds) >= seeds_for_tolerance()))
    everything = [one.comparison for one in (*scored, analysis.overall, *analysis.margins) if one is not None]
    untested = [one for one in everything if one.num_untested]
    if untested:
        largest = max(untested, key=lambda one: one.num_untested)
        facts.append(Fact(words("no letters"), too_many(largest, words)))
    compared = [one for one in scored if len(one.comparison.compared) > 1]
    if compared:
        facts.append(Fact(words("letters"), _letters(compared, words), is_glossary=True))
        rare = _rare_seeds([one.comparison for one in compared], words)
        facts += [Fact(words("rare seeds"), rare)] if rare else []
        facts.append(Fact(words("vs best / baseline"), _differences(compared, words), is_glossary=True))
        pairs = [pair for one in compared for pair in one.comparison.pairs.values()]
        if any(pair.is_by_return for pair in pairs):
            text = words("Agents with the same greedy success on every seed are compared by greedy return.")
            facts.append(Fact(words(BY_RETURN), text))
        if any(agent.num_missing for one in compared for agent in one.comparison.agents):
            text = words("Two agents differ only if they also do with missing trials counted as the worst score.")
            facts.append(Fact(words("missing trials"), text))
        settle = words(
            "A number of seeds settles a difference if it finds it with probability .8 (power). It is for a true "
            "difference of just this size: one of half the size takes four times as many. In parentheses: the fewest "
            "and the most that it may be, for so few seeds tell the spread only roughly (90 %)."
        )
        facts.append(Fact(words("settle"), settle, is_glossary=True))
    facts += [Fact(words(heading_of(one)), words(one.explanation), is_glossary=True) for one in _explained(scored)]
    rows = [row for one in scored for row in one.rows]
    if any(tells_reward_a_guess(one) for one in scored):
        text = words("Mean reward of a step of the greedy policy: of a text, the share of its letters guessed right.")
        facts.append(Fact(words("reward a guess"), text, is_glossary=True))
    over = [row for row in rows if row["greedy_success_rate_mean"] > row["best_success_rate"] * (1 + ROUNDING)]
    if over:
        text = words(
            "Greedy success above the best possible, which sampled episodes can reach by luck, counts as all of it: "
            "{agents}.", agents=words.names([row["agent"] for row in over]),
        )  # fmt: skip
        facts.append(Fact(words("of best"), text))
    if any(is_known(row["iqm"]) for row in rows):
        text = words("Interquartile mean: of the middle half of the seeds, so that no outlier decides.")
        facts.append(Fact("IQM", text, is_glossary=True))
    regrets = [is_known(row.get("pseudo_regret_mean", math.nan)) for row in rows if is_known(row["regret_mean"])]
    if not all(regrets):
        regret = words("What the returns in training fall short of the best expected return, summed over all episodes.")
        facts.append(Fact(words("regret"), regret, is_glossary=True))
        if any(row["regret_min"] < 0.0 for row in rows):
            luck = words("Below 0 where chance made returns exceed the best expected one.")
            facts.append(Fact(words("regret below 0"), luck))
    if any(regrets):
        regret = words("What pulled arms were expected to pay less than the best arm, summed over all episodes.")
        title = words("regret") if all(regrets) else words("regret on bandits")
        facts.append(Fact(title, regret, is_glossary=True))
    facts += [Fact(words("no regret"), text) for text in _without_regret(scored, words)]
    windows = sorted({one.threshold.window for one in scored if one.threshold is not None})
    if windows:
        text = words(
            "Median over seeds of the episodes until the mean success of the last {window} reached the rate; ∞ where "
            "half of the seeds or more never did.",
            window=", ".join(str(window) for window in windows),
        )  # fmt: skip
        facts.append(Fact(words("episodes to a rate"), text, is_glossary=True))
    if analysis.overall is not None and analysis.overall.is_normalised:
        text = words("Shares of the way from the random policy (0) to the best possible one (1).")
        facts.append(Fact(words("normalised score"), text, is_glossary=True))
    if analysis.overall is not None:
        about = _about_overall(analysis, words)
        facts += [Fact(words("over all environments"), about)] if about else []
    if analysis.margins:
        text = words("Means over the other factor, seed by seed; they hide how policy and learner act together.")
        facts.append(Fact(words("margins"), text, is_glossary=True))
    return facts


def _none_seen(scored: Sequence[EnvironmentAnalysis], words: Words) -> list[str]:
    """How often seeds may fail, or fall back, of which none did."""
    told = []
    for name, share_of_none, text in _NONE_SEEN:
        groups: dict[int, dict[str, None]] = {}
        for row in (row for one in scored if name in one.measures for row in one.rows):
            if row[f"{name}_share"] == share_of_none:
                groups.setdefault(row[f"{name}_seeds"], {})[row["agent"]] = None
        told += [
            words(text, seeds=number, agents=words.names(list(agents)), rate=percent(largest_rate(0, number)))
            for number, agents in groups.items()
        ]
    return told


def identical_agents(results: TrialTable, words: Words) -> list[Fact]:
    """Agents that measured the same with every seed, as two spellings of one agent do."""
    groups: dict[Any, list[str]] = {}
    for agent in results.agents:
        records = [record for one in results.environments for record in results.trials(one, agent)]
        # Seeds are few where chance alone makes two agents do the same.
        if len({record.seed for record in records}) > 1 and all(record.is_done for record in records):
            numbers = [(one.environment, one.seed, *map(repr, one.measures.values())) for one in records]
            groups.setdefault(tuple(numbers), []).append(agent)
    text = "The same numbers with every seed: {agents}."
    return [Fact(words("identical"), words(text, agents=words.names(same))) for same in groups.values() if same[1:]]


def too_many(comparison: Comparison, words: Words) -> str:
    """That so many agents are not tested against each other."""
    if comparison.is_choosing:
        return words(
            "No verdict on tuning seeds: by these scores one of the configurations of each agent is chosen, {number} "
            "in all, and the best of so many is best partly by luck. What it is worth, its runs on fresh seeds say.",
            number=f"{comparison.num_untested:,}",
        )  # fmt: skip
    return words(
        "With {number} agents no pair is tested, and there are no letters: all pairs are tested of at most {most}. "
        "The highest of so many means is partly luck; compare the best again on new seeds.",
        number=f"{comparison.num_untested:,}", most=MOST_TESTED,
    )  # fmt: skip


def _without_regret(scored: Sequence[EnvironmentAnalysis], words: Words) -> list[str]:
    """Why there is no regret, with the environments of each reason."""
    places: dict[str, list[str]] = {}
    for one in scored:
        if one.without_regret:
            places.setdefault(one.without_regret, []).append(one.environment)
    return [f"{words(reason)} ({', '.join(map(words.shipped, some))})" for reason, some in places.items()]


def _never_varies(row: Mapping[str, Any]) -> bool:
    return bool(row["seeds"] > 1 and row[f"{row['decided_by']}_min"] == row[f"{row['decided_by']}_max"])


def _about_overall(analysis: Analysis, words: Words) -> str:
    """Facts to read the table over all environments by; empty where there are none."""
    assert analysis.overall is not None
    told = []
    everybody = {row["agent"] for one in analysis.environments for row in one.rows}
    compared = len(analysis.overall.comparison.agents)
    if compared < len(everybody):
        told.append(
            words.counted(
                "Of the one agent with scores on each of them.", "Of the {number} agents with scores on each of them.",
                compared,
            )
        )  # fmt: skip
    if any(one.comparison.correction == "group-sequential" for one in analysis.environments):
        told.append(words("Letters over all environments do not correct for the looks at the seeds."))
    return " ".join(told)


def _explained(scored: Sequence[EnvironmentAnalysis]) -> list[Measure]:
    """Measures with a column and an explanation."""
    shown = {measure.name: measure for one in scored for measure in (one.measure, *shown_beside(one))}
    return [measure for measure in shown.values() if measure.explanation]


def _budgets(settings: Settings, words: Words) -> str:
    """How long trials train, with the budgets of their own; empty where that is not known."""
    parts = []
    common = _amount(settings.budget, words)
    if common:
        parts.append(words("{amount} in each trial", amount=common))
    pairs: dict[str, list[Pair]] = {}
    for pair, budget in settings.own_budgets.items():
        amount = _amount(budget, words)
        # Where all count in epochs, these are episodes of their own only in their number.
        if amount != common:
            pairs.setdefault(amount, []).append(pair)
    own = [f"{owner}: {amount}" for amount, some in pairs.items() for owner in _owners(some, settings, words)]
    if len(own) > MOST_PAIRS:
        own = [*own[:MOST_PAIRS], words("{number} more", number=len(own) - MOST_PAIRS)]
    return "; ".join([*parts, *own])


def _owners(pairs: Sequence[Pair], settings: Settings, words: Words) -> list[str]:
    """Who has a budget: agents on environments in one phrase where each of them has it on each, else pair by pair."""
    environments, agents = (list(dict.fromkeys(labels)) for labels in zip(*pairs, strict=True))
    own = set(pairs)
    if own == {pair for pair in settings.pairs if pair[0] in environments}:
        is_everywhere = len(environments) == len(settings.environments)
        return [words("every agent") if is_everywhere else ", ".join(map(words.shipped, environments))]
    if own == {pair for pair in settings.pairs if pair[1] in agents}:
        return [", ".join(map(words.shipped, agents))]
    if len(pairs) < len(agents) * len(environments):
        told = [(words.shipped(agent), words.shipped(place)) for place, agent in pairs]
        return [words("{agent} on {environment}", agent=agent, environment=place) for agent, place in told]
    agent, environment = (", ".join(map(words.shipped, some)) for some in (agents, environments))
    return [words("{agent} on {environment}", agent=agent, environment=environment)]


def _amount(budget: PairBudget, words: Words) -> str:
    """A budget in words; empty where there is none."""
    if budget.epochs is not None:
        return words.counted("{number} epoch", "{number} epochs", budget.epochs)
    if budget.episodes is not None:
        return words.counted("{number} episode", "{number} episodes", budget.episodes)
    return "" if budget.steps is None else words.counted("{number} step", "{number} steps", budget.steps)


def _seeds(results: TrialTable, analysis: Analysis, words: Words) -> str:
    """How many, which, and whether agents share them."""
    settings, parts = results.settings, []
    seeds = settings.seeds
    if settings.sequential is not None:
        numbers = [row["seeds"] for one in analysis.environments for row in one.rows] or [len(seeds)]
        parts.append(words.seeds(numbers))
        parts.append(words("added until decided, at most {most}", most=settings.sequential.max_seeds))
    elif seeds:
        consecutive = len(seeds) > 1 and seeds == tuple(range(seeds[0], seeds[0] + len(seeds)))
        span = f"{seeds[0]}–{seeds[-1]}" if consecutive else ", ".join(str(seed) for seed in seeds[:MOST_SEEDS])
        span += "" if consecutive or len(seeds) <= MOST_SEEDS else ", …"
        parts.append(f"{words.seeds([len(seeds)])} ({span})")
        if settings.own_seeds:
            parts.append(words("some pairs of agent and environment have others"))
    if len(settings.agents) > 1 and not settings.origin:
        parts.append(words("the same for all agents, so that differences are taken seed by seed"))
    return "; ".join(parts)


def _environment(one: EnvironmentAnalysis, settings: Settings, words: Words) -> str:
    rows = [row for row in one.rows if row["seeds"]]
    if not rows:
        return words("no trial is done")
    rules = [row["success_rule"] for row in rows if row["loop"] != "planning"] or [rows[0]["success_rule"]]
    rule = " / ".join(dict.fromkeys(rule for rule in rules if rule and rule not in _WITHOUT_RULE))
    parts = [words("success if {rule}", rule=rule) if rule else words(_WITHOUT_RULE.get(rules[0], "no success rule"))]
    evaluations = {row["evaluation"] for row in rows}
    if "exact" in evaluations:
        parts.append(words("greedy policies evaluated exactly on the model"))
    content = settings.content_of(one.environment)
    if "examples" in evaluations:
        if content.evaluated:
            told = {"learnt": content.learnt, "others": content.evaluated}
            parts.append(words("learnt on {learnt}, evaluated on {others}", **told))
        else:
            parts.append(words("learnt and evaluated on {learnt}", learnt=content.learnt))
    elif content.learnt:
        parts.append(words("learnt on {learnt}", learnt=content.learnt))
    if "monte-carlo" in evaluations and settings.evaluation_episodes:
        number = f"{settings.evaluation_episodes:,}"
        if "exact" in evaluations:
            parts.append(words("some of them over {number} sampled episodes", number=number))
        else:
            parts.append(words("greedy policies evaluated over {number} sampled episodes", number=number))
    if one.environment in settings.solved_at:
        reached = score(settings.solved_at[one.environment], is_rate=False)
        parts.append(words("solved at a greedy return of {value}", value=reached))
    parts.append(words("compared by {measure}", measure=words(one.measure.heading)))
    if is_known(one.best):
        parts.append(words("best possible {value}", value=score(one.best, one.measure.is_rate)))
    if is_known(one.random):
        parts.append(words("random policy {value}", value=score(one.random, one.measure.is_rate)))
    return "; ".join(parts)


def _letters(compared: Sequence[EnvironmentAnalysis], words: Words) -> str:
    names = {
        "max-T": words("paired permutation tests corrected by the largest statistic of all pairs (max-T)"),
        "Holm": words("permutation tests of different seeds with Holm's correction"),
        "max-T and Holm": words(
            "paired permutation tests (max-T), those of pairs on different seeds unpaired, with Holm's correction"
        ),
        "group-sequential": words("group-sequential permutation tests"),
    }
    tests = dict.fromkeys(names[one.comparison.correction] for one in compared)
    return words(
        "Agents that share a letter are not distinguishable: {tests}, family-wise error {error} over a table's pairs.",
        tests="; ".join(tests), error=share(0.05, 2),
    )  # fmt: skip


def _rare_seeds(comparisons: Sequence[Comparison], words: Words) -> str:
    """Verdicts that may rest on rare seeds that were not run; empty where there are none."""
    pairs = {pair: None for one in comparisons for pair in one.pairs.values() if pair.overlooks_rare_seeds}
    if not pairs:
        return ""
    named = [
        words("{ahead} against {behind}", ahead=words.name(pair.first.label), behind=words.name(pair.second.label))
        for pair in list(pairs)[:MOST_RARE]
    ]
    if len(pairs) > MOST_RARE:
        named.append(words("{number} more", number=len(pairs) - MOST_RARE))
    return words(
        "One of two agents scored the same with every seed, and the difference is small: seeds that were not run may "
        "outweigh it, and more than {error} of such verdicts may be wrong ({pairs}).",
        error="5 %", pairs="; ".join(named),
    )  # fmt: skip


def _differences(compared: Sequence[EnvironmentAnalysis], words: Words) -> str:
    is_paired = [pair.is_paired for one in compared for pair in one.comparison.pairs.values()]
    if all(is_paired):
        return words("Mean difference on the same seeds, with the 95 % interval of that difference alone.")
    if any(is_paired):
        return words(
            "Mean difference on the same seeds, or of means where these are too few, with the 95 % interval of that "
            "difference alone."
        )
    return words("Difference of means, with the 95 % interval of that difference alone.")
