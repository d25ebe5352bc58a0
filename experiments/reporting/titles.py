"""Titles of what is averaged over environments, learners or policies."""

from velodrome.experiments.reporting.languages import Words
from velodrome.experiments.results.analysis import Margin, Overall


def overall_title(overall: Overall, words: Words) -> str:
    """Of all environments."""
    return words("{number} environments together", number=overall.num_environments)


def margin_title(margin: Margin, words: Words) -> str:
    """Title of a margin: the factor, and what it is a mean over."""
    template = (
        "{environment}: each policy, mean over {number} learners"
        if margin.factor == "policy"
        else "{environment}: each learner, mean over {number} policies"
    )
    return words(template, environment=words.shipped(margin.environment), number=margin.num_averaged)
