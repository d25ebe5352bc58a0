"""Mistakes that the record of the interaction shows by itself: resets, ends of episodes and their number."""

from collections.abc import Callable

from velodrome.experiments.grading.findings import Evidence, Finding
from velodrome.experiments.grading.interaction import Interaction

Found = Callable[[str, str], None]

SENTENCES = {
    "no step taken": "The environment was never stepped. Look at whether the loop over episodes runs at all.",
    "one episode too few": "Learning ends one episode early. Look at the range of the loop: `range(n)` runs n times.",
    "one episode too many": "Learning goes on for one episode too many. Look at the range of the loop: `range(n + 1)` "
    "runs n + 1 times.",
    "other number of episodes": "Another number of episodes was begun than the assignment asks for. Look at the loop "
    "over episodes.",
    "same seed in every reset": "Every episode is reset with the same seed, so that chance repeats itself and much of "
    "the environment is never seen. Look at the reset: pass the seed once, in the first.",
    "truncation ignored": "Episodes go on after the time limit has ended them. Look at the condition of the loop: an "
    "episode ends when it is terminated or truncated.",
    "steps after the end": "Steps are taken after an episode has ended. Look at the condition of the loop, and at the "
    "reset before each episode.",
    "episode left early": "Episodes are reset before they have ended. Look at the condition of the loop: an episode "
    "ends when it is terminated or truncated.",
    "action that does not exist": "An action was passed that the environment does not have. Look at the range of the "
    "actions: they count from 0.",
}  # fmt: skip


def diagnose_interaction(interaction: Interaction, episodes: int | None) -> list[Finding]:
    """Mistakes of a learner's loop.

    Args:
        interaction: what it did.
        episodes: number that the assignment asks for; None where it asks for steps.
    """
    findings: list[Finding] = []

    def found(name: str, evidence: str) -> None:
        findings.append(Finding(name, SENTENCES[name], evidence, True))

    steps = len(interaction.states)
    if interaction.refused_actions:
        found(
            "action that does not exist", Evidence("refused: {actions}", actions=", ".join(interaction.refused_actions))
        )
    if not steps:
        found("no step taken", Evidence("{resets} resets, 0 steps", resets=f"{len(interaction.reset_states):,}"))
        return findings
    seeds = interaction.reset_seeds
    given = [number for number in seeds if number is not None]
    if len(seeds) > 2 and len(given) == len(seeds) and len(set(given)) == 1:
        shown = Evidence("{resets} resets, all with seed {seed}", resets=f"{len(seeds):,}", seed=given[0])
        found("same seed in every reset", shown)
    _ends(interaction, found)
    # A learner that does not see its episodes end begins another number of them.
    if not interaction.steps_after_end:
        _number_of_episodes(interaction, episodes, found)
    return findings


def _number_of_episodes(interaction: Interaction, episodes: int | None, found: Found) -> None:
    begun = len(set(interaction.episodes.tolist()))
    if episodes is None:
        return
    share = Evidence("{begun} of {asked} episodes", begun=f"{begun:,}", asked=f"{episodes:,}")
    # A learner that asks for a step more than it may have does not stop by itself.
    if interaction.steps_beyond_budget and not interaction.resets_within_episode:
        beyond = max(len(interaction.reset_states) - episodes, 1)
        name = "one episode too many" if beyond == 1 else "other number of episodes"
        steps = f"{interaction.steps_beyond_budget:,}"
        found(name, Evidence("{asked} asked for, and {steps} steps beyond them", asked=f"{episodes:,}", steps=steps))
    elif begun == episodes - 1:
        found("one episode too few", share)
    elif begun < episodes and not interaction.resets_within_episode:
        found("other number of episodes", share)


def _ends(interaction: Interaction, found: Found) -> None:
    truncated = int((interaction.truncated & ~interaction.terminated).sum())
    after = interaction.steps_after_end
    if after and truncated:
        template = "{truncated} episodes were truncated, {after} steps asked for after an end"
        found("truncation ignored", Evidence(template, truncated=f"{truncated:,}", after=f"{after:,}"))
    elif after:
        found("steps after the end", Evidence("{after} steps asked for after an episode's end", after=f"{after:,}"))
    if interaction.resets_within_episode:
        resets = f"{interaction.resets_within_episode:,}"
        found("episode left early", Evidence("{resets} resets while an episode was going on", resets=resets))
