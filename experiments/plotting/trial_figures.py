"""The pictures of one trial: curves of its training; of labelled examples what was learnt, and where it fails."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from velodrome.agents.deep.ensemble import Ensemble
from velodrome.checks import closest
from velodrome.envs.labelled.datasets.dataset import LabelledExamples
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.plotting.accuracy_by_epoch import FinalAccuracy, counted_examples, draw_accuracy_by_epoch
from velodrome.experiments.plotting.confident_mistakes import draw_confident_mistakes
from velodrome.experiments.plotting.confusion_matrix import draw_confusion_matrix
from velodrome.experiments.plotting.first_layer_filters import draw_first_layer_filters, first_layer_filters
from velodrome.experiments.plotting.prediction_history import Prediction, joined, prediction_history
from velodrome.experiments.plotting.prediction_strip import (
    MOST_LETTERS,
    best_prediction,
    draw_prediction_strip,
    shown_predictions,
)
from velodrome.experiments.plotting.style import own_style
from velodrome.experiments.plotting.training_curves import draw_trial_curves
from velodrome.experiments.trials.environment_profile import EnvironmentProfile
from velodrome.experiments.trials.example_evaluation import guesses_of
from velodrome.experiments.trials.trial import Trial

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def trial_figures(trial: Trial, *, only: Sequence[str] | None = None) -> "dict[str, Figure]":
    """Every picture that applies to a trial, by name; most are of labelled examples.

    - "curves": what was measured along the training, such as losses and evaluations;
    - "accuracy": of each epoch of training, and in evaluation;
    - "confusion": true by guessed class, of all examples of the environment that is evaluated on;
    - "mistakes": the most confident ones among them, of agents that give logits, on images;
    - "filters": the weights of the first layer as images;
    - "strip": what is guessed of a text as it is learnt. This trains a copy of the agent once more.

    Args:
        trial: as `velodrome.run` returns it.
        only: names of the pictures wanted; all if None.

    Raises:
        ExperimentError: an unknown name.
    """
    names = ["curves", *FIGURES]
    wanted = names if only is None else list(only)
    for name in wanted:
        if name not in names:
            raise ExperimentError(f"only must name {', '.join(names)}, got {name!r}{closest(name, names)}")
    with own_style():
        curves = draw_trial_curves(trial) if "curves" in wanted else None
    return ({} if curves is None else {"curves": curves}) | _of_examples(trial, wanted)


def _of_examples(trial: Trial, wanted: Sequence[str]) -> "dict[str, Figure]":
    with _made(trial.profile) as env:
        learnt = getattr(env.unwrapped, "examples", None)
        if not isinstance(learnt, LabelledExamples) or not trial.trained.can_act:
            return {}
        evaluation = trial.profile.contents.evaluation
        if evaluation is None or evaluation.reason is not None or evaluation.is_of_training:
            subject = _Subject(trial, env, learnt, "")
        else:
            subject = _Subject(trial, env, evaluation.examples, evaluation.description)
        with own_style():
            drawn = {name: FIGURES[name](subject) for name in FIGURES if name in wanted}
    return {name: figure for name, figure in drawn.items() if figure is not None}


@dataclass(frozen=True)
class _Subject:
    """A trial, one of its environments, and the examples that it was evaluated on.

    Attributes:
        trial: that is drawn.
        env: of its profile.
        examples: of evaluation.
        description: of the examples; empty where they are those of training.
    """

    trial: Trial
    env: gym.Env[Any, Any]
    examples: LabelledExamples
    description: str

    @property
    def agent(self) -> Any:
        return self.trial.trained

    @property
    def is_of_classes(self) -> bool:
        """Whether an example has one label, and not one for each of its steps."""
        return self.examples.labels.ndim == 1

    @property
    def noun(self) -> str:
        if not self.is_of_classes:
            return "window" if len(self.examples.labels) > 1 else "text"
        return "image" if self.examples.inputs.ndim in (3, 4) else "example"

    @property
    def title(self) -> str:
        plural = "s" * (len(self.examples.labels) > 1)
        seen = self.description or f"the {self.noun}{plural} of training"
        return f"{self.trial_title}, evaluated on {seen}"

    @property
    def trial_title(self) -> str:
        return f"{self.trial.agent} on {self.trial.profile.label}\nseed {self.trial.seed}"

    @property
    def first_class(self) -> int:
        return int(getattr(self.env.action_space, "start", 0))

    @property
    def num_classes(self) -> int:
        return int(self.env.action_space.n)  # type: ignore[attr-defined]

    @property
    def class_names(self) -> list[str]:
        return [str(self.first_class + number) for number in range(self.num_classes)]

    @property
    def labels(self) -> NDArray[np.int64]:
        """Classes counted from 0."""
        return np.asarray(self.examples.labels - self.first_class)

    @cached_property
    def probabilities(self) -> NDArray[np.float64] | None:
        """Of the classes of each example, float64 (num_examples, num_classes); None from agents without logits."""
        from scipy.special import softmax

        if not self.is_of_classes or not hasattr(self.agent, "predict_logits"):
            return None
        logits = np.asarray(self.agent.predict_logits(self.examples.inputs), dtype=np.float64)
        return logits / logits.sum(axis=1, keepdims=True) if self.is_vote else np.asarray(softmax(logits, axis=1))

    @property
    def is_vote(self) -> bool:
        return isinstance(self.agent, Ensemble) and self.agent.combine == "vote"

    @cached_property
    def guesses(self) -> NDArray[np.int64]:
        """Class of each example, counted from 0."""
        if self.probabilities is not None:
            return np.asarray(self.probabilities.argmax(axis=1))
        return guesses_of(self.agent, self.env, self.examples.inputs, is_sequence=False) - self.first_class


def _accuracy(subject: _Subject) -> "Figure | None":
    trial, log, found = subject.trial, subject.trial.log, subject.trial.evaluation
    num_examples = trial.profile.contents.num_examples
    if num_examples is None or not log.episodes:
        return None
    description = counted_examples(found.episodes, subject.noun)
    if subject.is_of_classes:
        right, measure = log.successes, "accuracy"
        if trial.profile.rule.source == "experiment":
            measure = f"success: {trial.profile.rule.description}"
        final = FinalAccuracy(found.success_rate, found.success_low, found.success_high, description)
    else:
        # A window is all right or not, which says little of its characters; their share has no interval, because
        # those of one window are not independent.
        right, measure = log.returns / log.lengths, "share of characters guessed right"
        length = subject.examples.labels.shape[1]
        # Sampled episodes may be shorter.
        share = found.mean_return / length if found.method == "examples" else np.nan
        final = FinalAccuracy(share, np.nan, np.nan, description)
    if right is None:
        return None
    epoch = trial.trained.episodes_per_epoch(num_examples)
    shown = final if np.isfinite(final.accuracy) else None
    return draw_accuracy_by_epoch(right, epoch, final=shown, noun=subject.noun, measure=measure, title=subject.title)


def _confusion(subject: _Subject) -> "Figure | None":
    if not subject.is_of_classes:
        return None
    return draw_confusion_matrix(
        subject.labels, subject.guesses, subject.num_classes,
        class_names=subject.class_names, noun=subject.noun, title=subject.title,
    )  # fmt: skip


def _mistakes(subject: _Subject) -> "Figure | None":
    if subject.probabilities is None or subject.noun != "image":
        return None
    confidence = "confidence = share of the votes" if subject.is_vote else "confidence = softmax of the logits"
    return draw_confident_mistakes(
        subject.examples.inputs, subject.labels, subject.probabilities,
        class_names=subject.class_names, confidence=confidence, title=subject.title,
    )  # fmt: skip


def _filters(subject: _Subject) -> "Figure | None":
    found = first_layer_filters(subject.agent)
    if found is None:
        return None
    return draw_first_layer_filters(
        found.weights, names=found.names, description=found.description, title=subject.trial_title
    )


def _strip(subject: _Subject) -> "Figure | None":
    trial, vocabulary = subject.trial, getattr(subject.env.unwrapped, "vocabulary", None)
    if subject.is_of_classes or not isinstance(vocabulary, str) or not trial.log.steps:
        return None
    length = subject.examples.labels.shape[1]
    part = (slice(max(1, MOST_LETTERS - length + 1)), slice(MOST_LETTERS))
    sequences, labels = subject.examples.inputs[part], subject.labels[part]
    with _made(trial.profile) as env:
        history = prediction_history(trial.trained, env, steps=trial.log.steps, seed=trial.seed, sequences=sequences)
    right = joined(sequences, labels)
    rows = [
        Prediction(one.iteration, one.episodes, joined(sequences, one.guesses) - subject.first_class) for one in history
    ]
    best = best_prediction(rows, right)
    noun = "iteration" if trial.trained.learns_from == "examples" else "episode"
    mistakes = "no mistake" if not best.mistakes else f"{best.mistakes} of {len(right)} wrong, the fewest"
    remark = f"{mistakes}{', first' if best.is_first else ''} after {noun} {best.iteration:,}"
    if len(right) > sequences.shape[1]:
        remark += "; each window's last guess"
    texts = {one.iteration: _text(vocabulary, one.guesses) for one in shown_predictions(rows, right)}
    return draw_prediction_strip(_text(vocabulary, right), texts, noun=noun, remark=remark, title=subject.title)


FIGURES: "dict[str, Callable[[_Subject], Figure | None]]" = {
    "accuracy": _accuracy,
    "confusion": _confusion,
    "mistakes": _mistakes,
    "filters": _filters,
    "strip": _strip,
}


def _text(vocabulary: str, numbers: NDArray[np.int64]) -> str:
    return "".join(vocabulary[number] for number in numbers)


@contextmanager
def _made(profile: EnvironmentProfile) -> Iterator[gym.Env[Any, Any]]:
    """A new environment of a profile, closed afterwards unless it is the caller's own."""
    env = profile.make()
    try:
        yield env
    finally:
        if env is not profile.keeps_open:
            env.close()
