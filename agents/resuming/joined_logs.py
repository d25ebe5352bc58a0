"""One log of several, as if training had never paused."""

from collections.abc import Sequence

import numpy as np

from velodrome.agents.training_log import TrainingLog, joined_curves, joined_successes
from velodrome.envs.success_rules import SuccessRule


def join_logs(logs: Sequence[TrainingLog], rule: SuccessRule) -> TrainingLog:
    """The log that one call of `train` would have given for all of these, in order.

    Unlike adding them up, it takes a fixed time an episode.
    """
    first = logs[0]
    finished = [log for log in logs if log.episodes]
    described = {log.success_rule for log in finished}
    if len(described) > 1:
        description = rule.as_used(np.array([1, -1], dtype=np.int8)).description
    else:
        description = described.pop() if described else first.success_rule
    return TrainingLog(
        returns=np.concatenate([log.returns for log in logs]),
        lengths=np.concatenate([log.lengths for log in logs]),
        terminated=np.concatenate([log.terminated for log in logs]),
        successes=joined_successes(logs),
        success_rule=description,
        steps=sum(log.steps for log in logs),
        loop=", ".join(dict.fromkeys(log.loop for log in logs)),
        seconds=sum(log.seconds for log in logs),
        seed=first.seed,
        notes=tuple(dict.fromkeys(note for log in logs for note in log.notes)),
        compile_seconds=sum(log.compile_seconds for log in logs),
        unfinished_return=logs[-1].unfinished_return,
        curves=joined_curves(logs),
    )
