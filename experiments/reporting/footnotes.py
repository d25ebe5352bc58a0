"""Notes below a table, which a reader must know to trust it."""

from velodrome.experiments.reporting.facts import how_it_was_run, how_to_read, identical_agents
from velodrome.experiments.reporting.languages import Words
from velodrome.experiments.results.analysis import Analysis, AnalysisOptions, analyse
from velodrome.experiments.results.learning import unfinished_shares
from velodrome.experiments.results.trial_table import TrialRecord, TrialTable

# Of all training steps, in episodes that had not ended.
LARGE_SHARE = 0.1
# Reasons of failures that are told in full.
MOST_CAUSES = 5


def footnotes(results: TrialTable, options: AnalysisOptions | None = None, *, explain: bool = True) -> list[str]:
    """Notes below a table: how it was run, what is missing, how to read it, remarks of trials.

    Args:
        results: of an experiment.
        options: with which the table was made.
        explain: whether the words are explained that mean the same in all tables.

    Raises:
        ExperimentError: options that do not fit.
    """
    analysis, words = analyse(results, options), Words()
    facts = [*how_it_was_run(results, analysis, words), *identical_agents(results, words)]
    facts += how_to_read(analysis, words)
    notes = [f"{fact.term}: {fact.text.removesuffix('.')}." for fact in facts if explain or not fact.is_glossary]
    return [*_what_is_missing(results, analysis), *_what_was_cut(results), *notes, *results.notes]


def _what_was_cut(results: TrialTable) -> list[str]:
    """Agents that spent much of a budget of steps in episodes that had not ended."""
    notes = []
    for environment in results.environments:
        for agent, share in unfinished_shares(results, environment).items():
            if share > LARGE_SHARE:
                notes.append(
                    f"Unfinished: {agent} on {environment} spent {share:.0%} of its training steps in episodes that "
                    "the budget cut; they count in its training return, with the return so far, and in no success rate."
                )
    return notes


def _what_is_missing(results: TrialTable, analysis: Analysis) -> list[str]:
    """Trials that failed, by reason, trials without a score, and trials that have not been run."""
    notes = []
    causes: dict[tuple[str, str, str], list[TrialRecord]] = {}
    for record in results.failures:
        causes.setdefault((record.agent, record.environment, record.failure_reason), []).append(record)
    for (agent, environment, cause), records in list(causes.items())[:MOST_CAUSES]:
        seeds = ", ".join(str(record.seed) for record in records[:5]) + (", …" if len(records) > 5 else "")
        notes.append(
            f"Failed: {agent} on {environment}, {len(records)} trial{'s' * (len(records) != 1)} (seed {seeds}): {cause}"
        )
    if len(causes) > MOST_CAUSES:
        notes.append(f"Failed: {len(results.failures)} trials in all, for {len(causes)} reasons.")
    for one in analysis.environments:
        for scored in one.comparison.agents:
            unscored, total = scored.parts[0].num_unscored, len(results.trials(one.environment, scored.label))
            if unscored:
                where = f"{scored.label} on {one.environment}, {unscored} of {total} trials"
                notes.append(f"No score: {where} have no {one.measure.heading}.")
    unfinished = results.num_planned - len(results.records)
    if unfinished > 0:
        notes.append(
            f"Not finished: {unfinished} of {results.num_planned} trials have not been run; the same command goes on."
        )
    return notes
