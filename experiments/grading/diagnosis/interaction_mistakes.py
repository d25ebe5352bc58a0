"""Mistakes that the record of the interaction shows by itself: resets, ends of episodes and their number."""

from collections.abc import Callable

from velodrome.experiments.grading.findings import Finding
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
        found("action that does not exist", f"refused: {', '.join(interaction.refused_actions)}")
    if not steps:
        found("no step taken", f"{len(interaction.reset_states):,} resets, 0 steps")
        return findings
    seeds = interaction.reset_seeds
    given = [number for number in seeds if number is not None]
    if len(seeds) > 2 and len(given) == len(seeds) and len(set(given)) == 1:
        found("same seed in every reset", f"{len(seeds):,} resets, all with seed {given[0]}")
    _ends(interaction, found)
    # A learner that does not see its episodes end begins another number of them.
    if not interaction.steps_after_end:
        _number_of_episodes(interaction, episodes, found)
    return findings


def _number_of_episodes(interaction: Interaction, episodes: int | None, found: Found) -> None:
    begun = len(set(interaction.episodes.tolist()))
    if episodes is None:
        return
    # A learner that asks for a step more than it may have does not stop by itself.
    if interaction.steps_beyond_budget and not interaction.resets_within_episode:
        beyond = max(len(interaction.reset_states) - episodes, 1)
        name = "one episode too many" if beyond == 1 else "other number of episodes"
        found(name, f"{episodes:,} asked for, and {interaction.steps_beyond_budget:,} steps beyond them")
    elif begun == episodes - 1:
        found("one episode too few", f"{begun:,} of {episodes:,}")
    elif begun < episodes and not interaction.resets_within_episode:
        found("other number of episodes", f"{begun:,} of {episodes:,}")


def _ends(interaction: Interaction, found: Found) -> None:
    truncated = int((interaction.truncated & ~interaction.terminated).sum())
    after = interaction.steps_after_end
    if after and truncated:
        found("truncation ignored", f"{truncated:,} episodes were truncated, {after:,} steps asked for after an end")
    elif after:
        found("steps after the end", f"{after:,} steps asked for after an episode's end")
    if interaction.resets_within_episode:
        found("episode left early", f"{interaction.resets_within_episode:,} resets while an episode was going on")
