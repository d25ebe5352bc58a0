"""Observations as a network reads them: fractions, with a channel axis, and symbols as one-hot rows."""

import numpy as np

from velodrome.agents.deep.labelled_task import LabelledTask
from velodrome.agents.errors import UnsupportedEnvironmentError


def input_shape(task: LabelledTask) -> tuple[int, ...]:
    """Shape of one observation for a network: (num_symbols,), (features,) or (height, width, channels)."""
    if task.num_symbols:
        return (task.num_symbols,)
    return (*task.observation_shape, 1) if len(task.observation_shape) == 2 else task.observation_shape


def is_image(task: LabelledTask) -> bool:
    """Whether observations have a height and a width."""
    return len(task.observation_shape) in (2, 3)


def require_images(name: str, task: LabelledTask, label: str) -> None:
    """Refuse observations that are no images, for the agent called `name`, on the environment called `label`.

    Raises:
        UnsupportedEnvironmentError: they are none.
    """
    if not is_image(task):
        raise UnsupportedEnvironmentError(
            f"{name} needs images, (height, width) or (height, width, channels), but {label} has none"
        )


def network_inputs(task: LabelledTask, observations: np.ndarray) -> np.ndarray:
    """Observations (…, *observation_shape) as float32 (number, *input_shape), in their order.

    Symbols are counted from 0 here.
    """
    shape = input_shape(task)
    if task.num_symbols:
        rows: np.ndarray = np.eye(task.num_symbols, dtype=np.float32)[observations.reshape(-1)]
        return rows
    values = observations.reshape(-1, *shape).astype(np.float32)
    return values / np.float32(task.scale) if task.scale != 1.0 else values
