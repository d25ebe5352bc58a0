"""Grades submissions: exact scores, computed in this process from the plain numbers that came back from another."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from velodrome.agents.agent import Agent
from velodrome.agents.planning.dynamic_programming import ExactValue, evaluate_policy
from velodrome.agents.planning.hardness import reachable
from velodrome.agents.tabular.greedy_table import greedy_probabilities
from velodrome.envs.model.transition_model import TransitionModel
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.grading.assignment import Assignment, Question, read_assignment
from velodrome.experiments.grading.diagnosis import (
    diagnose_learner,
    diagnose_update,
    diagnose_values,
    learns_as_asked,
)
from velodrome.experiments.grading.findings import Evidence, Finding
from velodrome.experiments.grading.grades import HIDDEN, Grade, QuestionGrade, Run
from velodrome.experiments.grading.probes import UpdateReference, arguments_of, right_share
from velodrome.experiments.grading.recorded_environment import RecordedEnvironment
from velodrome.experiments.grading.sentences import PRINTED, SubmissionError
from velodrome.experiments.grading.submission_run import SubmissionAnswer, run_submission
from velodrome.experiments.run import run
from velodrome.experiments.specification.entries import NamedEnvironment, read_environment
from velodrome.experiments.trials.environment_profile import EnvironmentProfile

# A score that differs by less, in shares of the way from random to best, is the same.
_SAME = 1e-9
# Probabilities sum to 1 but for rounding.
_ROUNDING = 1e-6
_DEFAULT_SHARE = {"learner": 0.9}
_MOST_SOURCE = 1_000_000


def grade(assignment: Assignment | str | Path, submission: str | Path) -> Grade:
    """Grade a submission: its exact scores, the mistakes that were found, and its points.

    The submission runs in a process of its own, with limits of time, memory and output, in an empty folder; the
    environments of learners stand in this process. The same submission gets the same grade again.

    Args:
        assignment: an assignment, or its TOML file.
        submission: a Python file.

    Raises:
        ExperimentError: the assignment or the file cannot be read, or the assignment asks what cannot be graded
            exactly; one line for every mistake.
    """
    return Grader(assignment if isinstance(assignment, Assignment) else read_assignment(assignment)).grade(submission)


@dataclass(frozen=True, eq=False)
class Place:
    """An environment of a question, and its scores.

    Attributes:
        label: as students see it.
        named: the environment.
        profile: what is known of it.
        model: its transition model.
        best: the best possible score.
        random: score of uniformly random actions.
        least: score that gives no points.
        full: score that gives all points.
    """

    label: str
    named: NamedEnvironment
    profile: EnvironmentProfile
    model: TransitionModel
    best: float
    random: float
    least: float
    full: float

    @cached_property
    def states(self) -> list[int]:
        """States in which an episode can ever take a step."""
        found: list[int] = np.flatnonzero(reachable(self.model.with_time_limit(None)).any(axis=0)).tolist()
        return found

    def share_of(self, score: float) -> float:
        """Share of the points of a score."""
        if self.full - self.least <= _SAME:
            return 1.0 if score >= self.full - _SAME else 0.0
        share = (score - self.least) / (self.full - self.least)
        return float(np.clip(1.0 if share > 1.0 - _SAME else share, 0.0, 1.0))


class Grader:
    """Grades many submissions of one assignment, whose environments and reference agents are tried once.

    Args:
        assignment: what is asked.
        is_confined: whether the kernel is asked to refuse things, too, where it can.
    """

    def __init__(self, assignment: Assignment, *, is_confined: bool = True) -> None:
        self.assignment, self._is_confined = assignment, is_confined
        self._questions = {
            label: _PreparedQuestion(label, question, assignment, is_confined)
            for label, question in assignment.questions.items()
        }

    def grade(self, submission: str | Path) -> Grade:
        """Grade of a Python file.

        Args:
            submission: path of the file.

        Raises:
            ExperimentError: no such file, or a question that cannot be graded exactly.
        """
        path = Path(submission)
        try:
            if path.exists() and not path.is_file():
                raise ExperimentError(f"submission {submission}: is no file")
            with path.open("rb") as file:
                source = file.read(_MOST_SOURCE + 1)
        except OSError as error:
            raise ExperimentError(f"submission {submission}: {error.strerror or error}") from None
        return self.grade_source(source, str(submission))

    def grade_source(self, source: bytes, name: str = "submission") -> Grade:
        """Grade of a submission's text, which messages call `name`.

        Args:
            source: bytes of a Python file.
            name: what messages call it.
        """
        if len(source) > _MOST_SOURCE:
            raise ExperimentError(f"submission {name}: a Python file has at most {_MOST_SOURCE:,} bytes")
        graded = {label: question.grade(source) for label, question in self._questions.items()}
        return Grade(self.assignment.name, name, graded)


class _PreparedQuestion:
    """A question whose environments have been looked at."""

    def __init__(self, label: str, question: Question, assignment: Assignment, is_confined: bool) -> None:
        self.label, self.question, self.limits, self.is_confined = label, question, assignment.limits, is_confined
        self.field = f"questions.{label}"
        hidden = question.hidden_environments
        shown = list(question.environment or ())
        labels = shown + [f"{HIDDEN}{place + 1}" for place in range(len(hidden))]
        try:
            self.places = [self._place(*both) for both in zip(labels, [*shown, *hidden], strict=True)]
            if question.kind == "update":
                agent = question.reference_agent()
                assert agent is not None
                self.update = UpdateReference(agent)
                self.probes = self.update.probes(self.places[0].model)
        except ExperimentError:
            raise
        except (ValueError, ArithmeticError) as error:
            raise ExperimentError(f"{self.field}: {error}") from None

    def _place(self, label: str, expression: str) -> Place:
        named = read_environment(expression)
        profile = EnvironmentProfile.of(named.label, named.make)
        if profile.model is None:
            why = profile.model_reason or profile.generic_reason or "it has none"
            raise ExperimentError(
                f"{self.field}: {expression} cannot be graded, for exact scores need a transition model: {why}"
            )
        if profile.best is None or profile.random is None:
            raise ExperimentError(f"{self.field}: the best return on {expression} does not settle: give a time limit")
        best, random = self._score(profile.best, expression), self._score(profile.random, expression)
        if self.question.kind == "update":
            best, random, least, full = 1.0, 0.0, 0.0, 1.0
        else:
            share = self.question.full_share or _DEFAULT_SHARE.get(self.question.kind, 1.0)
            full = random + share * (self._top(named, profile, best) - random)
            least = random if self.question.least_score is None else self.question.least_score
            if least >= full and self.question.least_score is not None:
                raise ExperimentError(
                    f"{self.field}: least_score {least:g} is not below {full:g}, which gives all points"
                )
        return Place(label, named, profile, profile.model, best, random, least, full)

    def _score(self, value: ExactValue, expression: str = "") -> float:
        found = value.expected_return if self.question.metric == "return" else value.success_rate
        if found is None:
            raise ExperimentError(f"{self.field}: {expression} has no success rule: write metric = 'return'")
        return found

    def _top(self, named: NamedEnvironment, profile: EnvironmentProfile, best: float) -> float:
        """The best score, or that of the reference, mean over the seeds."""
        question, agent = self.question, self.question.reference_agent()
        is_learner = question.kind == "learner"
        full_of = question.full_of or ("reference" if is_learner and agent is not None else "best")
        if full_of == "best" or agent is None:
            return best
        budget: dict[str, Any] = {"episodes": question.episodes, "steps": question.steps}
        if not is_learner:
            if agent.learns_from != "model":
                raise ExperimentError(
                    f"{self.field}: the reference of a {question.kind} must be one that plans, such as "
                    f"value_iteration(discount=0.99), got {agent}"
                )
            budget = {"episodes": 1}
        trials = [run(agent, named.label, **budget, seed=seed, progress=False) for seed in question.seeds]
        values = [trial.evaluation for trial in trials[: None if is_learner else 1]]
        by_return = question.metric == "return"
        return float(np.mean([value.mean_return if by_return else value.success_rate for value in values]))

    def grade(self, source: bytes) -> QuestionGrade:
        """Grade of a submission's text."""
        question = self.question
        seeds: Sequence[int | None] = question.seeds if question.kind == "learner" else [None]
        runs, answers, findings = [], [], list[list[Finding]]()
        for place in self.places:
            for seed in seeds:
                done, answer, found = self._run(place, seed, source)
                runs.append(done)
                answers.append(answer)
                findings.append(found)
        claim = next((answer.claim for answer in answers if answer.claim is not None), None)
        findings.append(self._about_claim(claim, runs))
        share = sum(one.share for one in runs) / len(runs)
        # How much each run printed differs.
        told = [(PRINTED if one.template == PRINTED else str(one), one) for each in answers for one in each.remarks]
        remarks = dict(reversed(told))
        return QuestionGrade(
            round(question.points * share, 6),
            question.points,
            question.kind,
            question.metric,
            tuple(runs),
            _together(findings),
            claim,
            tuple(remarks.values())[::-1],
            answers[0].output,
            answers[0].confinement,
        )

    def _run(self, place: Place, seed: int | None, source: bytes) -> tuple[Run, SubmissionAnswer, list[Finding]]:
        question, model = self.question, place.model
        # A learner is to find out by itself which states end an episode.
        states = list(range(model.num_states)) if question.kind == "learner" else place.states
        task: dict[str, Any] = {
            "kind": question.kind, "name": question.submitted_name, "num_states": model.num_states,
            "num_actions": model.num_actions, "states": states, "seed": seed or 0,
            "budget": question.episodes or question.steps, "refused_modules": self._refused_modules(),
        }  # fmt: skip
        pairs = model.num_states * model.num_actions
        arrays, most = np.empty(0), pairs
        if question.kind == "update":
            arrays, most = np.array([probe.before for probe in self.probes]), pairs * len(self.probes)
            task["probes"] = [arguments_of(probe) for probe in self.probes]
        recorded = None
        if question.kind == "learner":
            recorded = RecordedEnvironment(
                place.named.make, seed or 0, episodes=question.episodes, steps=question.steps
            )
        try:
            answer = run_submission(
                source, task, arrays, self.limits, most_numbers=most, is_confined=self.is_confined,
                answer=None if recorded is None else recorded.answer,
            )  # fmt: skip
        finally:
            if recorded is not None:
                recorded.close()
        score, share, mistake, findings = None, 0.0, answer.mistake, list[Finding]()
        if answer.numbers is not None:
            try:
                if question.kind == "update":
                    score, findings = self._graded_update(answer.numbers)
                    share = score
                else:
                    score, findings = self._graded_policy(answer, place, recorded, seed)
                    share = place.share_of(score)
                    if recorded is not None and not findings and self._is_right(recorded, answer, place):
                        # A run may be unlucky with a learner that is right.
                        share = 1.0
            except SubmissionError as error:
                mistake = error.sentence
                if recorded is not None:
                    findings = self._of_interaction(recorded, _table_of(answer), place, is_policy=False)
        elif recorded is not None:
            findings = self._of_interaction(recorded, None, place, is_policy=False)
        return Run(place.label, seed, score, place.best, place.random, place.full, share, mistake), answer, findings

    def _refused_modules(self) -> list[str]:
        """A learner may not make an environment of its own, whose transitions it could read."""
        own = ["gymnasium.envs.toy_text"] if self.question.kind == "learner" else []
        return [*self.question.refused_modules, *own]

    def _graded_update(self, numbers: NDArray[np.float64]) -> tuple[float, list[Finding]]:
        model = self.places[0].model
        if numbers.size != len(self.probes) * model.num_states * model.num_actions:
            raise SubmissionError("meddled")
        answers = numbers.reshape(len(self.probes), model.num_states, model.num_actions)
        probes = [dataclasses.replace(probe, answer=answer) for probe, answer in zip(self.probes, answers, strict=True)]
        return right_share(probes), diagnose_update(probes, self.update.agent)

    def _graded_policy(
        self, answer: SubmissionAnswer, place: Place, recorded: RecordedEnvironment | None, seed: int | None
    ) -> tuple[float, list[Finding]]:
        assert answer.numbers is not None
        question, model = self.question, place.model
        name = f"{question.submitted_name}()" if question.kind == "learner" else question.submitted_name
        shape = answer.shape or ()
        _check_shape(shape, name, question, place)
        if math.prod(shape) != answer.numbers.size:
            raise SubmissionError("meddled")
        policy, submitted, is_policy = _policy_of(answer.numbers.reshape(shape), name, question, place)
        score = self._score(evaluate_policy(model, policy, place.profile.success))
        agent = question.reference_agent()
        if recorded is not None:
            findings = self._of_interaction(recorded, submitted, place, is_policy=is_policy)
        elif agent is not None and (is_policy or agent.learns_from == "model"):
            # Values that were learnt differ from the reference's without a mistake.
            findings = diagnose_values(submitted, is_policy=is_policy, reference=agent, model=model, ties=question.ties)
        else:
            findings = []
        return score, findings

    def _is_right(self, recorded: RecordedEnvironment, answer: SubmissionAnswer, place: Place) -> bool:
        """Whether a learner used its budget, and its table is what the reference's rule makes of every step."""
        done, question, table = recorded.interaction(), self.question, _table_of(answer)
        agent = question.reference_agent()
        ended = int((done.terminated | done.truncated).sum())
        is_used_up = ended == question.episodes if question.steps is None else len(done.states) == question.steps
        return (
            is_used_up and agent is not None and table is not None and learns_as_asked(done, table, agent, place.model)
        )

    def _of_interaction(
        self, recorded: RecordedEnvironment, submitted: NDArray[np.float64] | None, place: Place, *, is_policy: bool
    ) -> list[Finding]:
        agent: Agent | None = self.question.reference_agent()
        if agent is None:
            return []
        return diagnose_learner(
            recorded.interaction(), submitted, is_policy=is_policy, reference=agent, model=place.model,
            episodes=self.question.episodes,
        )  # fmt: skip

    def _about_claim(self, claim: float | None, runs: Sequence[Run]) -> list[Finding]:
        """What is to be said of a score that the submission says it has."""
        scores = [one.score for one in runs if one.score is not None]
        if claim is None or not scores or self.question.kind == "update":
            return []
        best, score = float(np.mean([one.best for one in runs])), float(np.mean(scores))
        if claim > best + _SAME + 1e-6 * abs(best):
            evidence = Evidence(
                "{claim} is claimed, {best} is possible, and {score} is the exact score.",
                claim=f"{claim:g}", best=f"{best:.4g}", score=f"{score:.4g}",
            )  # fmt: skip
            return [Finding("impossible score", "No policy can reach the claimed score.", evidence, True)]
        return []


def _together(findings: Sequence[list[Finding]]) -> tuple[Finding, ...]:
    """Findings of several runs, each name once; what one run leaves open is decided by another that is certain."""
    certain = {finding.name: finding for found in findings for finding in found if finding.certain}
    together: dict[str, Finding] = {}
    for found in findings:
        is_decided = any(finding.name in certain and not finding.certain for finding in found)
        for finding in found:
            if finding.name in certain or not is_decided:
                together.setdefault(finding.name, certain.get(finding.name, finding))
    return tuple(together.values())


def _table_of(answer: SubmissionAnswer) -> NDArray[np.float64] | None:
    """A table that cannot be graded, for its mistakes; None of anything else."""
    shape = answer.shape or ()
    is_table = answer.numbers is not None and len(shape) == 2 and math.prod(shape) == answer.numbers.size
    return answer.numbers.reshape(shape) if is_table and answer.numbers is not None else None


def _check_shape(shape: tuple[int, ...], name: str, question: Question, place: Place) -> None:
    """Raise a SubmissionError unless a policy or action values have this shape."""
    states, actions = place.model.num_states, place.model.num_actions
    allowed = [(states, actions)] if question.kind == "action_values" else [(states,), (states, actions)]
    if shape not in allowed:
        raise SubmissionError("shape", name=name, shape=" or ".join(map(str, allowed)), got=str(shape))


def _policy_of(
    given: NDArray[np.float64], name: str, question: Question, place: Place
) -> tuple[NDArray[np.float64], NDArray[np.float64], bool]:
    """Probabilities (S, A), what was handed in as float64 (S, A), and whether that is a policy.

    Entries of states in which no step is ever taken do not count.

    Raises:
        SubmissionError: no policy and no action values of this environment.
    """
    states, actions = place.model.num_states, place.model.num_actions
    is_values = question.kind == "action_values" or (question.kind == "learner" and given.ndim == 2)
    matters = np.zeros(states, dtype=np.bool_)
    matters[place.states] = True
    # What stands in the other rows tells mistakes apart.
    whole = given
    given = np.where(matters if given.ndim == 1 else matters[:, None], given, 0.0)
    wrong = np.argwhere(~np.isfinite(given))
    if len(wrong):
        at = tuple(wrong[0].tolist())
        raise SubmissionError("not_finite", name=name, got=str(given[at]), place=f"{list(at)}")
    if is_values:
        return greedy_probabilities(given, question.ties), whole, False
    if given.ndim == 2:
        given[~matters] = 1.0 / actions
        bad = np.flatnonzero((given < 0.0).any(axis=1) | (np.abs(given.sum(axis=1) - 1.0) > _ROUNDING))
        if len(bad):
            row = ", ".join(f"{value:g}" for value in given[bad[0]][:8])
            raise SubmissionError("not_probabilities", name=name, got=f"[{row}]", state=int(bad[0]))
        return given / given.sum(axis=1, keepdims=True), given, True
    for kind, is_bad in (("not_whole", given != np.round(given)), ("no_such_action", (given < 0) | (given >= actions))):
        bad = np.flatnonzero(is_bad)
        if len(bad):
            raise SubmissionError(kind, name=name, got=f"{given[bad[0]]:g}", state=int(bad[0]), last=actions - 1)
    policy = np.zeros((states, actions))
    policy[np.arange(states), given.astype(np.int64)] = 1.0
    return policy, policy, True
