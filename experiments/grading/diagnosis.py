"""Names of the mistakes in a submission; see `interaction` for what each function is given."""

from typing import Any

from velodrome.experiments.grading.findings import Finding


def diagnose_learner(*_: Any, **__: Any) -> list[Finding]:
    """Mistakes of a learner."""
    return []


def diagnose_values(*_: Any, **__: Any) -> list[Finding]:
    """Mistakes of action values or a policy."""
    return []


def diagnose_update(*_: Any, **__: Any) -> list[Finding]:
    """Mistakes of an update."""
    return []
