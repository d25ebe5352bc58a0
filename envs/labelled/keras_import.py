"""Keras, imported on TensorFlow and in silence; agents compute with it, datasets are downloaded by it."""

import importlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def keras_on_tensorflow() -> Any:
    """The module `keras`; the first import takes some seconds.

    Where nobody has imported Keras yet, its backend becomes TensorFlow, whatever KERAS_BACKEND says.

    Raises:
        ImportError: it, or tensorflow, cannot be imported.
    """
    # All are read once, on import.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # TensorFlow leaves oneDNN off on processors without AVX-512, where it is twice as fast all the same.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"
    with _native_messages_hidden():
        keras = importlib.import_module("keras")
        importlib.import_module("tensorflow")
        return keras


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
