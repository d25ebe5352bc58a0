"""State dicts of torch as JSON-ready data and arrays; nothing is pickled."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from velodrome.agents.resuming.saving import SavedAgentError


def tensors_to_data(value: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """Data of a state dict; its tensors go to `arrays`, under names such as "policy.q_net.0.weight".

    Raises:
        SavedAgentError: it holds something that is neither a tensor, a number, text, a list nor a dict.
    """
    import torch

    if isinstance(value, torch.Tensor):
        arrays[name] = value.detach().cpu().numpy()
        return {"array": name}
    if isinstance(value, Mapping):
        return {"pairs": [[key, tensors_to_data(item, f"{name}.{key}", arrays)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        items = [tensors_to_data(item, f"{name}.{number}", arrays) for number, item in enumerate(value)]
        return {"tuple" if isinstance(value, tuple) else "list": items}
    if value is not None and not isinstance(value, bool | int | float | str):
        raise SavedAgentError(f"the agent cannot be saved: {name} is a {type(value).__name__}")
    return value


def tensors_from_data(data: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """State dict of the data of `tensors_to_data`.

    Raises:
        KeyError, TypeError, ValueError: it is not whole.
    """
    import torch

    if not isinstance(data, dict):
        return data
    ((kind, content),) = data.items()
    if kind == "array":
        return torch.from_numpy(np.array(arrays[content]))
    if kind == "pairs":
        return {key: tensors_from_data(item, arrays) for key, item in content}
    items = [tensors_from_data(item, arrays) for item in content]
    return tuple(items) if kind == "tuple" else items
