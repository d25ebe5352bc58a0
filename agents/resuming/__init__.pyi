from .checkpointing import (
    Checkpoint as Checkpoint,
    CheckpointError as CheckpointError,
    CheckpointFolder as CheckpointFolder,
)
from .saving import SavedAgentError as SavedAgentError
