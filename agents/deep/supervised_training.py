"""The training loop of supervised agents: shuffled passes through the examples, batch by batch."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from velodrome.agents.agent import Callback
from velodrome.agents.deep.supervised_binding import SupervisedBinding
from velodrome.agents.engine.generic_loop import says_stop
from velodrome.checks import VelodromeError
from velodrome.envs.labelled.datasets.dataset import LabelledExamples
from velodrome.envs.labelled.shuffled_passes import ShuffledPasses

if TYPE_CHECKING:
    from velodrome.agents.deep.supervised_agent import SupervisedAgent


class DivergedError(VelodromeError, ArithmeticError):
    """Training came to numbers that are not finite; the message is one line."""


class TrainingOutcome(NamedTuple):
    """What came of one call of `train`.

    Attributes:
        returns: right predictions of each example seen, float64 (num_examples,).
        losses: of the batches, float64 (num_batches,).
        notes: remarks for the log.
    """

    returns: np.ndarray
    losses: np.ndarray
    notes: tuple[str, ...]


def train_on_examples(
    agent: "SupervisedAgent",
    binding: SupervisedBinding,
    examples: LabelledExamples,
    *,
    episodes: int,
    callback: Callback | None,
    callback_every: int,
) -> TrainingOutcome:
    """See exactly `episodes` examples, or fewer if the callback says stop.

    Raises:
        DivergedError: the loss is not finite.
    """
    inputs, labels = examples.inputs, examples.labels - binding.task.action_start
    held_out = agent._held_out(examples)
    kept = np.setdiff1d(np.arange(len(labels)), held_out, assume_unique=True)
    passes, order = ShuffledPasses(len(kept)), binding.order_sequence()
    symbols = binding.task.symbol_start if binding.task.num_symbols else 0
    learner, stopping = binding.learner, binding.early_stopping
    epochs = (binding.examples_seen + episodes) / len(kept)
    returns, losses = np.zeros(episodes), []
    finished = 0
    while finished < episodes:
        seen = binding.examples_seen
        count = min(agent.batch_size, len(kept) - seen % len(kept), episodes - finished)
        places = kept[passes.take(order, seen, count)]
        batch, right = inputs[places], labels[places]
        if symbols:
            batch = batch - symbols
        if stopping is not None and stopping.has_stopped:
            predictions = np.argmax(learner.logits(batch), axis=-1)
        else:
            rate = agent._learning_rate_at(seen / len(kept), epochs)
            predictions, loss, _ = learner.learn(batch, right, rate, binding.step_generator())
            if not np.isfinite(loss):
                raise DivergedError(
                    f"{agent.name}: the loss is {loss} after {seen} examples: give a smaller learning_rate"
                )
            losses.append(loss)
        returns[finished : finished + count] = (predictions == right).reshape(count, -1).sum(axis=1)
        binding.examples_seen += count
        calls_due = (finished + count) // callback_every > finished // callback_every
        finished += count
        if binding.examples_seen % len(kept) == 0 and stopping is not None and not stopping.has_stopped:
            held_inputs = inputs[held_out] - symbols if symbols else inputs[held_out]
            stopping.end_epoch(learner, held_inputs, labels[held_out])
        if calls_due and callback is not None and says_stop(callback(finished)):
            break
    notes = (stopping.note(len(held_out)),) if stopping is not None and stopping.has_stopped else ()
    return TrainingOutcome(returns[:finished], np.array(losses), notes)
