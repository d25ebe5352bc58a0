"""The verdict of an experiment in plain words: who is better, by how much, how sure, and what is left open."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from velodrome.experiments.reporting import field_sentences, leader_sentences
from velodrome.experiments.reporting.comparison_groups import Groups
from velodrome.experiments.reporting.facts import too_many
from velodrome.experiments.reporting.languages import Words
from velodrome.experiments.reporting.sentence_parts import Scale, SentenceParts
from velodrome.experiments.reporting.titles import margin_title, overall_title
from velodrome.experiments.results.analysis import Analysis, EnvironmentAnalysis
from velodrome.experiments.results.comparison import AgentScores, Comparison
from velodrome.experiments.results.numbers import estimate, is_known
from velodrome.experiments.results.trial_table import TrialTable
from velodrome.experiments.specification.descriptions import shipped_experiments

# Sentences of one environment.
MOST_SENTENCES = 6
# In the order in which they are read; the more important ones stay where there are too many.
_SENTENCES: dict[str, Callable[[SentenceParts], str]] = {
    "too few seeds": leader_sentences.too_few_seeds,
    "headline": leader_sentences.headline,
    "against baseline": field_sentences.against_baseline,
    "tie break": leader_sentences.tie_break,
    "doubtful": leader_sentences.doubtful,
    "share of best": leader_sentences.share_of_best,
    "open question": leader_sentences.open_question,
    "own interval": leader_sentences.own_interval,
    "undecided": field_sentences.undecided,
    "beaten": field_sentences.beaten,
    "better on common seeds": field_sentences.better_on_common_seeds,
    "rest": field_sentences.rest,
    "against random": field_sentences.against_random,
}
_BY_IMPORTANCE = (
    "too few seeds", "headline", "against baseline", "doubtful", "missing", "tie break", "open question",
    "better on common seeds", "beaten", "share of best", "own interval", "undecided", "against random", "rest",
)  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """Sentences on one environment, of all together, or of a margin.

    Attributes:
        title: the environment's label, or what was averaged; empty for the whole experiment.
        sentences: the most important first, each ending in a full stop.
        is_environment: whether it is of one environment.
    """

    title: str
    sentences: tuple[str, ...]
    is_environment: bool = False


def verdicts(analysis: Analysis, results: TrialTable, language: str = "en") -> list[Verdict]:
    """The verdict, paragraph by paragraph: what is missing, each environment, all together, margins.

    Args:
        analysis: of the results.
        results: of an experiment.
        language: "en" or "ko".

    Raises:
        ExperimentError: a language that is not known.
    """
    words = words_of(results, language)
    paragraphs = []
    unfinished = results.num_planned - len(results.records)
    if not analysis.environments:
        paragraphs.append(Verdict("", (words("No trial has ended: nothing can be said yet."),)))
    elif unfinished > 0:
        sentence = words(
            "{unfinished} of {planned} trials have not been run: this verdict is of those that have.",
            unfinished=f"{unfinished:,}", planned=f"{results.num_planned:,}",
        )  # fmt: skip
        paragraphs.append(Verdict("", (sentence,)))
    paragraphs += [_of_environment(one, analysis, words) for one in analysis.environments]
    if analysis.overall is not None:
        overall = analysis.overall
        title = overall_title(overall, words)
        scale = (
            Scale(words("normalised score"), True, 1.0, 0.0)
            if overall.is_normalised
            else Scale(words("mean success"), True)
        )
        paragraphs.append(Verdict(title, _summary(overall.comparison, scale, words)))
    of_environment = {one.environment: one for one in analysis.environments}
    for margin in analysis.margins:
        scale = _scale(of_environment[margin.environment], words, limits=False)
        paragraphs.append(Verdict(margin_title(margin, words), _summary(margin.comparison, scale, words)))
    return [paragraph for paragraph in paragraphs if paragraph.sentences]


def verdict_lines(analysis: Analysis, results: TrialTable, language: str = "en") -> list[str]:
    """The verdict for a terminal, one line a paragraph, each starting with the environment.

    Args:
        analysis: of the trials.
        results: the trials.
        language: "en" or "ko".
    """
    lines = []
    for verdict in verdicts(analysis, results, language):
        text = " ".join(verdict.sentences)
        lines.append(f"{verdict.title}: {text}" if verdict.title else text)
    return lines


def words_of(results: TrialTable, language: str) -> Words:
    """Words for these results: labels are quoted where they hold commas.

    Raises:
        ExperimentError: a language that is not known.
    """
    factors = results.settings.factors
    levels = [level for factor in factors.values() for level in factor.values()]
    return Words.of(language, [*results.agents, *levels], is_shipped=results.name in shipped_experiments())


def _of_environment(one: EnvironmentAnalysis, analysis: Analysis, words: Words) -> Verdict:
    groups = Groups(one.comparison)
    scale = _scale(one, words)
    missing = _missing(one.comparison.agents, scale.heading, words)
    if one.comparison.num_untested:
        sentences = [*_untested(one.comparison, scale, words), missing]
        return Verdict(words.shipped(one.environment), tuple(filter(None, sentences)), is_environment=True)
    if len(groups.ranked) < 2:
        sentences = [*_alone(groups.ranked, scale, words), missing]
        return Verdict(words.shipped(one.environment), tuple(filter(None, sentences)), is_environment=True)
    said = SentenceParts(groups, scale, words, analysis.options.difference)
    texts = {name: sentence(said) for name, sentence in _SENTENCES.items()} | {"missing": missing}
    # Learners that end alike may have learnt at different speeds.
    texts["headline"] = " ".join(filter(None, (texts["headline"], _in_training(one, groups, words))))
    kept = [name for name in _BY_IMPORTANCE if texts[name]][:MOST_SENTENCES]
    return Verdict(
        words.shipped(one.environment), tuple(text for name, text in texts.items() if name in kept), is_environment=True
    )


def _in_training(one: EnvironmentAnalysis, groups: Groups, words: Words) -> str:
    """How those that score the same in the end differ in training; nothing where their intervals overlap."""
    if one.measure.name != "greedy_success_rate" or len(groups.same) < 2:
        return ""
    labels = {agent.label for agent in groups.same}
    rows = [row for row in one.rows if row["agent"] in labels and is_known(row["train_success_rate_low"])]
    rows.sort(key=lambda row: -row["train_success_rate_mean"])
    if len(rows) < 2 or rows[0]["train_success_rate_low"] <= rows[-1]["train_success_rate_high"]:
        return ""
    told = [estimate(*(row[f"train_success_rate_{end}"] for end in ("mean", "low", "high"))) for row in rows]
    return words(
        "In training they differ: {most} succeeds in {rate} of its episodes, {least} in {lower_rate}.",
        most=words.name(rows[0]["agent"]), rate=told[0], least=words.name(rows[-1]["agent"]), lower_rate=told[-1],
    )  # fmt: skip


def _summary(comparison: Comparison, scale: Scale, words: Words) -> tuple[str, ...]:
    groups = Groups(comparison)
    if comparison.num_untested:
        return tuple(_untested(comparison, scale, words))
    if len(groups.ranked) < 2:
        return tuple(_alone(groups.ranked, scale, words))
    said = SentenceParts(groups, scale, words)
    sentences = (leader_sentences.headline, leader_sentences.doubtful, leader_sentences.open_question)
    return tuple(filter(None, (sentence(said) for sentence in sentences)))


def _scale(one: EnvironmentAnalysis, words: Words, limits: bool = True) -> Scale:
    heading = words(one.measure.heading)
    # Sentences on the best possible and the random policy are of scores of which more is better.
    limits = limits and one.measure.higher_is_better
    return Scale(heading, one.measure.is_rate, one.best, one.random) if limits else Scale(heading, one.measure.is_rate)


def _alone(agents: Sequence[AgentScores], scale: Scale, words: Words) -> list[str]:
    """Of one agent: its score, and that nothing is compared."""
    if not agents:
        return [words("No agent has scores: nothing can be compared.")]
    agent = agents[0]
    told = {"agent": words.name(agent.label), "heading": scale.heading, "seeds": words.seeds([agent.num_seeds])}
    interval = agent.interval
    if not interval.is_known:
        told["estimate"] = estimate(agent.mean, 0.0, 0.0, scale.is_rate)
        return [words("{agent} has {heading} {estimate} with {seeds}; one seed has no interval.", **told)]
    told["estimate"] = estimate(agent.mean, interval.low, interval.high, scale.is_rate)
    sentences = [words("{agent} has {heading} {estimate} with {seeds}; there is nothing to compare it with.", **told)]
    share = leader_sentences.share_of_best(SentenceParts(Groups(_only(agent)), scale, words))
    return [*sentences, share] if share else sentences


def _untested(comparison: Comparison, scale: Scale, words: Words) -> list[str]:
    """Of more agents than are tested: who has the best mean, and that nothing says it is better."""
    if comparison.is_choosing:
        # The highest of many tuning scores is the very number that fools.
        return [too_many(comparison, words)]
    top = comparison.agents[0]
    said = SentenceParts(Groups(comparison), scale, words)
    highest = words(
        "{top} has the highest {heading}: {estimate}."
        if top.higher_is_better
        else "{top} has the lowest {heading}: {estimate}.",
        top=words.name(top.label), heading=scale.heading, estimate=said.estimate(top),
    )  # fmt: skip
    return [highest, too_many(comparison, words)]


def _only(agent: AgentScores) -> Comparison:
    return Comparison((agent,), {agent.label: "a"}, {}, agent.label, "max-T", True)


def _missing(agents: Sequence[AgentScores], heading: str, words: Words) -> str:
    """Agents that are not compared or have lost trials, in one sentence."""
    parts = []
    for agent in agents:
        told = {"agent": words.name(agent.label), "failed": agent.parts[0].num_failed}
        if agent.parts[0].num_stopped:
            part = agent.parts[0]
            told["stopped"] = part.num_stopped
            total = part.num_stopped + part.num_failed + part.num_unscored + len(part.seeds)
            one = "{stopped} of the {total} trials of {agent} was stopped as hopeless, so that it has no mean"
            several = "{stopped} of the {total} trials of {agent} were stopped as hopeless, so that it has no mean"
            parts.append(words.counted(one, several, part.num_stopped, **told, total=total))
        elif not agent.parts[0].seeds:
            template = (
                "{agent} is not compared, for all {failed} of its trials failed"
                if agent.parts[0].num_failed
                else "{agent} is not compared, for it has no score"
            )
            parts.append(words(template, **told))
        elif agent.problem:
            parts.append(words("{agent} is not compared, for some of its scores are infinite", **told))
        elif agent.parts[0].num_failed:
            total = agent.parts[0].num_failed + agent.parts[0].num_unscored + len(agent.parts[0].seeds)
            parts.append(
                words("{failed} of the {total} trials of {agent} failed and are left out", **told, total=total)
            )
        elif agent.parts[0].num_unscored:
            told["failed"] = agent.parts[0].num_unscored
            total = agent.parts[0].num_unscored + len(agent.parts[0].seeds)
            template = "{failed} of the {total} trials of {agent} have no {heading} and are left out"
            parts.append(words(template, **told, total=total, heading=heading))
        elif agent.num_seeds == 1 and any(other.num_seeds > 1 for other in agents):
            parts.append(words("{agent} has one seed, of which nothing can be said", **told))
    if not parts:
        return ""
    shown = "; ".join(parts[:3])
    return (
        words("{parts}; and {number} more.", parts=shown, number=len(parts) - 3)
        if len(parts) > 3
        else words("{parts}.", parts=shown)
    )
