from .checkpointing import (
    Checkpoint as Checkpoint,
    CheckpointError as CheckpointError,
    CheckpointFolder as CheckpointFolder,
)
from .environment_streams import (
    environment_streams as environment_streams,
    restore_environment_streams as restore_environment_streams,
)
from .saving import SavedAgentError as SavedAgentError
