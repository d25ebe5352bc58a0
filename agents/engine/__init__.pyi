from .compiler import NotCompilableError as NotCompilableError
from .interruption import (
    TrainingInterruptedError as TrainingInterruptedError,
)
from .interruption import (
    TrainingTimeoutError as TrainingTimeoutError,
)
from .seeding import (
    environment_seed as environment_seed,
)
from .seeding import (
    fresh_seed as fresh_seed,
)
from .seeding import (
    role_generator as role_generator,
)
from .seeding import (
    role_sequence as role_sequence,
)
