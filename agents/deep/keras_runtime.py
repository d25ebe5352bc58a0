"""TensorFlow and Keras, loaded when first needed, in silence, and deterministic."""

import importlib
import os
from functools import lru_cache
from typing import Any

from velodrome.agents.engine.interruption import not_counted
from velodrome.checks import VelodromeError
from velodrome.envs.labelled.keras_import import keras_on_tensorflow

DETERMINISM_VARIABLE = "VELODROME_OP_DETERMINISM"


class KerasRuntimeError(VelodromeError, RuntimeError):
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
    try:
        with not_counted():
            backend = keras_on_tensorflow().config.backend()
            module: Any = importlib.import_module("tensorflow")
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
