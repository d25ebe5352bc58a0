"""TensorFlow and Keras, loaded when first needed, in silence, and deterministic."""

import importlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

DETERMINISM_VARIABLE = "VELODROME_OP_DETERMINISM"


class KerasRuntimeError(RuntimeError):
    """TensorFlow or Keras cannot be used; the message is one line."""


@lru_cache(maxsize=1)
def tensorflow() -> Any:
    """The module `tensorflow`; the first call takes some seconds and settles how the process computes.

    Operations are made deterministic for the whole process unless the environment variable
    VELODROME_OP_DETERMINISM is 0. Threads are TensorFlow's own choice, or TF_NUM_INTRAOP_THREADS, which worker
    processes of an experiment have set: the same seed gives the same bits for the same number of threads.

    Raises:
        KerasRuntimeError: it is not installed, or Keras runs on another backend.
    """
    # Both are read once, on import.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"
    try:
        with _native_messages_hidden():
            module: Any = importlib.import_module("tensorflow")
            backend = importlib.import_module("keras").config.backend()
    except ImportError as error:
        text = " ".join(str(error).split())
        raise KerasRuntimeError(f"neural agents need tensorflow, which cannot be imported: {text}") from error
    if backend != "tensorflow":
        raise KerasRuntimeError(f"neural agents need Keras on TensorFlow, but KERAS_BACKEND is {backend!r}")
    if os.environ.get(DETERMINISM_VARIABLE) != "0":
        module.config.experimental.enable_op_determinism()
    return module


@lru_cache(maxsize=1)
def keras() -> Any:
    """The module `keras`, on TensorFlow; see `tensorflow`."""
    tensorflow()
    return importlib.import_module("keras")


@contextmanager
def _native_messages_hidden() -> Iterator[None]:
    """Hold back what TensorFlow's libraries write to the standard error while they load; an error shows it.

    They write before any log level is read, past `sys.stderr`.
    """
    try:
        descriptor = 2
        sys.stderr.flush()
        kept = os.dup(descriptor)
    except (OSError, ValueError, AttributeError):
        yield
        return
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), descriptor)
        try:
            yield
        except BaseException:
            messages.seek(0)
            os.write(kept, messages.read())
            raise
        finally:
            os.dup2(kept, descriptor)
            os.close(kept)
