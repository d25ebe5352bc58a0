"""Messages of a watched worker process: which trial begins, and which has ended."""

import contextlib
import os
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Literal, NoReturn

from velodrome.agents.engine.interruption import Interruption, interruptible
from velodrome.experiments.running.limits import SHARES
from velodrome.experiments.running.worker_memory import OwnMemory, growth
from velodrome.experiments.running.worker_process import prepare_worker, run_sent_trial, run_sent_trials
from velodrome.experiments.storage.trial_outcome import TrialOutcome

# A trial begins; its time counts, or does not; it has come so far; it is over; the process ends itself before it has
# begun it.
Message = Literal["begins", "counts", "pauses", "advances", "ends", "leaves"]
# The pool must have noticed who took a trial before that process is gone.
LEAVE_SECONDS = 0.5

_connection: Connection | None = None


def prepare_watched_worker(parent: int, connection: Connection) -> None:
    """Called first in a worker process; as `prepare_worker`, and its messages go to `connection`."""
    global _connection  # noqa: PLW0603
    prepare_worker(parent)
    _connection = connection


def run_watched_trial(payload: bytes, key: str, seed: int) -> TrialOutcome:
    """As `run_sent_trial`; a process that has grown by much ends itself instead, and the trial is another's."""
    if growth.is_large:
        _leave(key)
    memory = OwnMemory()

    def note(counts: bool) -> None:
        memory.note(counts)
        say("counts" if counts else "pauses", key, memory.before)

    def advanced(share: float) -> None:
        say("advances", key, round(SHARES * share))

    say("begins", key, memory.before)
    interruption = Interruption(threading.Event(), counting=note, advanced=advanced)
    with growth.watched(payload), interruptible(interruption):
        outcome = run_sent_trial(payload, key, seed)
    say("ends", key)
    return outcome


def run_watched_trials(payload: bytes, trials: Sequence[tuple[str, int]]) -> list[TrialOutcome] | None:
    """As `run_sent_trials`; a process that has grown by much ends itself instead. Nothing limits the trials."""
    first_key = trials[0][0]
    if growth.is_large:
        _leave(first_key)
    say("begins", first_key)
    with growth.watched(payload):
        outcomes = run_sent_trials(payload, trials)
    say("ends", first_key)
    return outcomes


def say(message: Message, key: str, before: int = 0) -> None:
    """Send a message; so short a one is written whole or not at all, whoever else writes.

    Args:
        message: that is sent.
        key: of the trial.
        before: bytes of this process that are not the trial's; where it advances, thousandths that are done.
    """
    if _connection is not None:
        with contextlib.suppress(OSError):
            _connection.send_bytes(f"{os.getpid()} {message} {before} {key}".encode())


def _leave(key: str) -> NoReturn:
    say("leaves", key)
    time.sleep(LEAVE_SECONDS)
    os._exit(1)
