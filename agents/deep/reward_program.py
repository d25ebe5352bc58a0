"""The compiled training step of a reward model: it knows the reward of the chosen action alone."""

from functools import lru_cache, partial
from typing import Any

from velodrome.agents.deep.keras_runtime import tensorflow
from velodrome.agents.deep.network import Network
from velodrome.agents.deep.training_program import Objective, TrainingProgram


class RewardProgram(TrainingProgram):
    """A training program whose labels are a pair: the chosen actions, int64 (B,), and their rewards, float32 (B,).

    The loss is the mean of (z - r)², z the network's output for the chosen action and r its reward; outputs of the
    other actions have no gradient.

    Args:
        network: its functions.
        batch_size: of all batches.
    """

    def __init__(self, network: Network, batch_size: int) -> None:
        super().__init__(network, Objective(), batch_size)
        # All batches have one size: there is one trace.
        step = tensorflow().function(partial(self._traced_step), autograph=False, jit_compile=network.uses_xla)
        self._step = self._compiled_step = step

    def _loss(self, logits: Any, labels: Any) -> Any:
        tf = tensorflow()
        actions, rewards = labels
        chosen = tf.reduce_sum(logits * tf.one_hot(actions, logits.shape[-1]), axis=-1)
        return tf.reduce_mean(tf.square(chosen - rewards))


@lru_cache(maxsize=32)
def reward_program(network: Network, batch_size: int) -> RewardProgram:
    """The program of a network; tracing and compiling it takes seconds, so it is kept."""
    return RewardProgram(network, batch_size)
