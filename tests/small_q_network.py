"""A DQN that costs nearly nothing, and all that it has learnt as one text."""

import hashlib
import json

from velodrome.agents import DQN, MLP


def small(**options):
    """A DQN that costs nearly nothing, and learns from the first steps on."""
    few = {"network": MLP(hidden=(8,)), "batch_size": 8, "replay": 64, "learning_starts": 10, "target_every": 20}
    return DQN(**few | options)


def digest(agent):
    """Everything that is learnt, with all streams, as one text."""
    entries, arrays = agent.state()
    content = b"".join(name.encode() + arrays[name].tobytes() for name in sorted(arrays))
    return hashlib.sha256(json.dumps(entries, sort_keys=True).encode() + content).hexdigest()
