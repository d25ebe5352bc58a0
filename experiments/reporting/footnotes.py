"""What a reader must know to trust a table: budgets, seeds, rules, intervals, correction, what is missing."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from velodrome.experiments.analysis.analysis import Analysis, AnalysisOptions, EnvironmentAnalysis
from velodrome.experiments.reporting.numbers import is_known, number, share
from velodrome.experiments.running.trial_outcome import failure_reason

if TYPE_CHECKING:
    from velodrome.experiments.results import Results

# Reasons of failures that are told in full.
MOST_CAUSES = 5
# Fewer seeds than these, and intervals cover less than they say (docs/statistics.md).
ENOUGH_SEEDS = 10


def footnotes(results: "Results", options: AnalysisOptions | None = None) -> list[str]:
    """Notes below a table, in order of importance.

    Args:
        results: of an experiment.
        options: with which the table was made.

    Raises:
        ExperimentError: options that do not fit.
    """
    analysis = results.analysis(options)
    notes = [_training(results), *_what_is_missing(results)]
    measured = [one for one in analysis.environments if any(row["seeds"] for row in one.rows)]
    if measured:
        notes += [*_how_to_read(measured, results.settings), *_learning_notes(measured)]
    for one in analysis.environments:
        notes.append(
            _environment_note(one, results.settings) if one in measured else f"{one.environment}: no trial is done."
        )
    notes += _over_environments(analysis)
    return [*notes, *results.notes]


def _training(results: "Results") -> str:
    """How long and with how many seeds; nothing that is not known."""
    budgets = budgets_line(results.settings)
    seeds = seeds_line(results)
    return f"{budgets}; {seeds}." if budgets else f"{seeds[0].upper()}{seeds[1:]}."


def seeds_line(results: "Results") -> str:
    """The seeds of an experiment, and who has others."""
    settings = results.settings
    own = settings.get("own_seeds", ())
    sequential = settings.get("sequential")
    if sequential:
        numbers = sorted(
            {len(row["seeds"]) for row in own} | ({len(settings["seeds"])} if settings["seeds"] else set())
        )
        span = f"{numbers[0]}–{numbers[-1]}" if len(numbers) > 1 else f"{numbers[0]}"
        return f"{span} seeds, added until decided (at most {sequential['max_seeds']}), paired across agents"
    seeds = settings["seeds"]
    consecutive = bool(seeds) and seeds == list(range(seeds[0], seeds[0] + len(seeds)))
    span = (f"{seeds[0]}–{seeds[-1]}" if len(seeds) > 1 else f"{seeds[0]}") if consecutive else _few(seeds)
    line = f"{len(seeds)} seed{'s' * (len(seeds) != 1)} ({span})"
    if own:
        line += f", other seeds for {len(own)} of the pairs of agent and environment"
    is_ours = "origin" not in settings
    return f"{line}, paired across agents" if is_ours and len(settings["agents"]) > 1 else line


def _few(seeds: Sequence[int]) -> str:
    shown = ", ".join(str(seed) for seed in seeds[:8])
    return f"{shown}, …" if len(seeds) > 8 else shown


def _how_to_read(measured: Sequence[EnvironmentAnalysis], settings: dict[str, Any]) -> list[str]:
    """What brackets, letters and differences mean."""
    fewest = min(row["seeds"] for one in measured for row in one.rows if row["seeds"])
    brackets = "[ ]: 95 % interval of the mean over seeds"
    if fewest == 1:
        brackets += "; one seed has none"
    elif fewest < ENOUGH_SEEDS:
        brackets += f", which with {fewest} seeds may cover less than it says"
    if any(_never_varies(one) for one in measured):
        brackets += "; without brackets every seed scored the same"
    notes = [f"{brackets}. Training success counts every training episode."]
    compared = [one for one in measured if len(one.comparison.compared) > 1]
    if not compared:
        return notes
    headings = " / ".join(dict.fromkeys(one.measure.heading for one in compared))
    tests = dict.fromkeys(_test_name(one, settings) for one in compared)
    notes.append(
        f"Letters: agents that share one are not distinguishable by {headings} ({'; '.join(tests)}, "
        "family-wise error 5 % over the pairs of an environment)."
    )
    versus = "the best" if all(one.comparison.reference == one.rows[0]["agent"] for one in compared) else "the baseline"
    pairing = "seed by seed" if all(one.comparison.is_paired for one in compared) else "of means"
    notes.append(f"vs: mean difference to {versus} {pairing}, with the 95 % interval of that difference alone.")
    return notes


def _test_name(one: EnvironmentAnalysis, settings: dict[str, Any]) -> str:
    if one.comparison.correction == "group-sequential":
        state = settings["sequential"]["environments"][one.environment]["state"]
        looks = ", ".join(str(size) for size in state["design"]["stage_sizes"][: state["stage"]])
        return f"group-sequential permutation tests, looks at {looks} seeds"
    kind = "paired permutation tests" if one.comparison.is_paired else "permutation tests of different seeds"
    return f"{kind} with Holm's correction"


def _never_varies(one: EnvironmentAnalysis) -> bool:
    """Whether an agent's scores are all the same, so that no interval can be told from them."""
    return any(agent.num_seeds > 1 and agent.interval.width == 0 for agent in one.comparison.agents)


def _learning_notes(measured: Sequence[EnvironmentAnalysis]) -> list[str]:
    """What regret and episodes to a threshold are."""
    notes = []
    if any(is_known(row["regret_mean"]) for one in measured for row in one.rows):
        notes.append("Regret: what the returns of training fall short of the best expected return, over all episodes.")
    thresholds = {one.threshold for one in measured if one.threshold is not None}
    for window in sorted({threshold.window for threshold in thresholds}):
        some = [threshold for threshold in thresholds if threshold.window == window]
        rates = {
            "a rate" if each.share_of_best is None else f"{share(each.share_of_best, 1)} of the best" for each in some
        }
        notes.append(
            f"Episodes to {' or '.join(sorted(rates))}: until the mean success of the last {window} reaches it; "
            "median over seeds, ∞ where half or more never did."
        )
    return notes


def _environment_note(one: EnvironmentAnalysis, settings: dict[str, Any]) -> str:
    rows = [row for row in one.rows if row["seeds"]]
    rules = list(dict.fromkeys(row["success_rule"] for row in rows if row["loop"] != "planning"))
    rule = " / ".join(rules) or rows[0]["success_rule"]
    parts = [f"success = {rule}" if one.threshold is not None or one.measure.is_rate else "no success rule"]
    how = {row["evaluation"] for row in rows}
    if how == {"exact"}:
        parts.append("greedy policies evaluated exactly on the model")
    elif "monte-carlo" in how:
        sampled = settings.get("evaluation_episodes")
        which = "greedy policies evaluated" if how == {"monte-carlo"} else "some greedy policies evaluated"
        parts.append(f"{which} over " + (f"{sampled} " if sampled else "") + "sampled episodes")
    known = [
        (heading, rows[0][f"best_{name}"], rows[0][f"random_{name}"])
        for name, heading in (("success_rate", "success"), ("return", "return"))
        if is_known(rows[0][f"best_{name}"])
    ]
    if len(known) == 2 and known[0][1:] == known[1][1:]:
        del known[1]
    for heading, best, random in known:
        parts.append(
            f"best possible {heading} {number(best)}" + (f", random {number(random)}" if is_known(random) else "")
        )
    return f"{one.environment}: {'; '.join(parts)}."


def _over_environments(analysis: Analysis) -> list[str]:
    notes = []
    if analysis.overall is not None and analysis.overall.is_normalised:
        notes.append("Normalised scores: shares of the way from the random policy (0) to the best possible one (1).")
    if analysis.margins:
        notes.append("Margins are means over the other factor, seed by seed; they hide how the two act together.")
    return notes


def budgets_line(settings: dict[str, Any]) -> str:
    """How long trials train, with the budgets of their own; empty where that is not known."""
    pairs: dict[str, list[tuple[str, str]]] = {}
    for row in settings.get("budgets", ()):
        pairs.setdefault(_amount(row["episodes"], row["steps"]), []).append((row["agent"], row["environment"]))
    own = [f"{owner}for {amount}" for amount, some in pairs.items() for owner in _owners(some, settings)]
    if settings["episodes"] is None and settings["steps"] is None:
        return f"Training: {'; '.join(own)}" if own else ""
    common = f"Each trial trains for {_amount(settings['episodes'], settings['steps'])}"
    return common + (f"; but {'; '.join(own)}" if own else "")


def _owners(pairs: list[tuple[str, str]], settings: dict[str, Any]) -> list[str]:
    """Who has a budget: agents on environments in one phrase where each of them has it on each, else pair by pair."""
    agents, environments = (list(dict.fromkeys(labels)) for labels in zip(*pairs, strict=True))
    if len(pairs) < len(agents) * len(environments):
        return [f"{agent} on {environment} " for agent, environment in pairs]
    who = f"{', '.join(agents)} " if len(agents) < len(settings["agents"]) else ""
    where = f"on {', '.join(environments)} " if len(environments) < len(settings["environments"]) else ""
    return [f"{who}{where}"]


def _amount(episodes: int | None, steps: int | None) -> str:
    many, unit = (steps, "step") if episodes is None else (episodes, "episode")
    return f"{many:,} {unit}{'s' * (many != 1)}"


def _what_is_missing(results: "Results") -> list[str]:
    """Trials that failed, by reason, and trials that have not been run."""
    notes = []
    causes: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for record in results.failures:
        causes.setdefault((record["agent"], record["environment"], failure_reason(record)), []).append(record)
    for (agent, environment, cause), records in list(causes.items())[:MOST_CAUSES]:
        seeds = ", ".join(str(record["seed"]) for record in records[:5]) + (", …" if len(records) > 5 else "")
        notes.append(
            f"Failed: {agent} on {environment}, {len(records)} trial{'s' * (len(records) != 1)} (seed {seeds}): {cause}"
        )
    if len(causes) > MOST_CAUSES:
        notes.append(f"Failed: {len(results.failures)} trials in all, for {len(causes)} reasons.")
    unfinished = results.num_planned - len(results.records)
    if unfinished > 0:
        notes.append(
            f"Not finished: {unfinished} of {results.num_planned} trials have not been run; the same command goes on."
        )
    return notes
