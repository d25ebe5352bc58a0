from .checkpointing import (
    Checkpoint as Checkpoint,
)
from .checkpointing import (
    CheckpointError as CheckpointError,
)
from .checkpointing import (
    CheckpointFolder as CheckpointFolder,
)
from .saving import SavedAgentError as SavedAgentError
