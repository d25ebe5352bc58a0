from .compiler import NotCompilableError as NotCompilableError
from .interruption import (
    TrainingInterruptedError as TrainingInterruptedError,
    TrainingTimeoutError as TrainingTimeoutError,
)
from .seeding import (
    environment_seed as environment_seed,
    fresh_seed as fresh_seed,
    role_generator as role_generator,
    role_sequence as role_sequence,
)
