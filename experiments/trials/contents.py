"""Contents of environments from files or arrays: images or texts, which no expression holds."""

from dataclasses import dataclass
from typing import Any

import gymnasium as gym

from velodrome.agents.deep.labelled_task import largest_pixel
from velodrome.agents.planning.dynamic_programming import ExactValue
from velodrome.envs.labelled.datasets.dataset import LabelledExamples
from velodrome.envs.success_rules import INFO, SuccessRule
from velodrome.experiments.trials.example_evaluation import EvaluationExamples
from velodrome.experiments.trials.example_values import best_on_examples, random_on_examples

_LARGEST_BYTE = 255.0


@dataclass(frozen=True, eq=False)
class Contents:
    """Contents of an environment, known before anyone learns; most environments have none.

    Attributes:
        num_examples: labelled examples to learn from; None without any.
        digest: SHA-256 of the contents; None where the expression says all.
        description: of what is learnt from, in words; empty where there is nothing to say.
        evaluation: the labelled examples that say how good an agent is; None without any.
        best: the best possible values in evaluation, or None where the examples do not tell.
        random: the uniformly random policy's values, likewise.
        largest_pixel: largest value of images of whole numbers, which networks divide them by; None where it is that of
            their type, 255, and where there are none.
    """

    num_examples: int | None = None
    digest: str | None = None
    description: str = ""
    evaluation: EvaluationExamples | None = None
    best: ExactValue | None = None
    random: ExactValue | None = None
    largest_pixel: float | None = None

    @classmethod
    def of(cls, env: gym.Env[Any, Any], rule: SuccessRule) -> "Contents":
        """Contents of an environment, whose episodes succeed by `rule`."""
        unwrapped: Any = env.unwrapped
        examples = getattr(unwrapped, "examples", None)
        number = len(examples.labels) if isinstance(examples, LabelledExamples) else None
        digest, description = getattr(unwrapped, "contents_digest", None), getattr(unwrapped, "description", "")
        digest = digest if isinstance(digest, str) else None
        description = description if isinstance(description, str) else ""
        evaluation = EvaluationExamples.of(env)
        largest = largest_pixel(env)
        largest = None if largest == _LARGEST_BYTE else largest
        if evaluation is None or evaluation.reason is not None:
            return cls(number, digest, description, evaluation, largest_pixel=largest)
        # A rule of the experiment's own may call anything a success.
        knows_success = rule.source != "experiment" or rule.description == INFO
        best = best_on_examples(evaluation.examples, knows_success=knows_success)
        num_actions = int(env.action_space.n)  # type: ignore[attr-defined]
        random = random_on_examples(evaluation.examples.labels, num_actions, knows_success=knows_success)
        return cls(number, digest, description, evaluation, best, random, largest)

    @property
    def reason_evaluated_where_learnt(self) -> str | None:
        """Why agents that learnt from examples are asked of the same again, in sampled episodes; None where not."""
        if self.evaluation is None:
            return None if self.num_examples is None else "what its episodes reward is known to its class alone"
        return None if self.evaluation.is_of_training else self.evaluation.reason

    def to_data(self) -> dict[str, Any]:
        """Description for readers of results, JSON-ready; empty of an environment without contents.

        "learnt" describes what was learnt from, "digest" is its SHA-256, "num_examples" is how many examples that are,
        "num_guesses" how many labels each has, where they are asked side by side, and "evaluated" on which others
        agents were evaluated, empty where they are the same.
        """
        told: dict[str, Any] = {"learnt": self.description} if self.description else {}
        if self.digest is not None:
            told["digest"] = self.digest
        if self.num_examples is not None:
            told["num_examples"] = self.num_examples
        if self.evaluation is not None:
            is_of_training = self.evaluation.is_of_training or self.evaluation.reason is not None
            if self.evaluation.reason is None:
                told["num_guesses"] = int(self.evaluation.examples.labels[0].size)
            told["evaluated"] = "" if is_of_training else self.evaluation.number_in_words
        return told
