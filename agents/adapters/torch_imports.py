"""Imports of libraries that use torch, in a process where TensorFlow is, or may come to be."""

import contextlib
import importlib
import sys
import types
from collections.abc import Iterator
from importlib.util import find_spec

# TensorBoard, which such libraries import for their logs, takes its own small stand-in for TensorFlow if it finds this.
_WITHOUT_TENSORFLOW = "tensorboard.compat.notf"


@contextlib.contextmanager
def imports_of_torch() -> Iterator[None]:
    """Inside, TensorBoard does not import TensorFlow; afterwards torch and TensorFlow can be used in one process.

    TensorFlow takes seconds to import, and torch's compiler, Triton, ends the process if it is imported after it.
    """
    is_there = _WITHOUT_TENSORFLOW in sys.modules
    if not is_there:
        sys.modules[_WITHOUT_TENSORFLOW] = types.ModuleType(_WITHOUT_TENSORFLOW)
    try:
        yield
    finally:
        if not is_there:
            del sys.modules[_WITHOUT_TENSORFLOW]
        settle_triton()


def settle_triton() -> None:
    """Where torch is loaded, load Triton before TensorFlow is, or never."""
    if "torch" not in sys.modules or "triton" in sys.modules:
        return
    if "tensorflow" in sys.modules:
        # torch does without.
        sys.modules["triton"] = None  # type: ignore[assignment]
    elif find_spec("triton") is not None:
        with contextlib.suppress(ImportError):
            importlib.import_module("triton")
