"""A program that runs in a folder of its own, and ends with whoever started it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from velodrome.agents.engine.interruption import current_interruption

# Between two looks at the program.
LOOK_SECONDS = 0.02
# Of what it printed, characters that are kept, and those of its last line in an error's message.
KEPT, LONGEST_LINE = 4000, 300
# Stands between us and the program: however we end, our end of its standard input is closed, and it kills the program
# and what that has started, all in one process group.
_GUARD = """
import os, signal, subprocess, sys, threading
program = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL)
is_ending = False
def end():
    global is_ending
    os.read(0, 1)
    is_ending = True
    import shutil
    shutil.rmtree(sys.argv[1], ignore_errors=True)
    os.killpg(0, signal.SIGKILL) if hasattr(os, "killpg") else program.kill()
    os._exit(1)
threading.Thread(target=end, daemon=True).start()
code = program.wait()
while is_ending:
    threading.Event().wait()
if code < 0:
    signal.signal(-code, signal.SIG_DFL) if -code not in (signal.SIGKILL, signal.SIGSTOP) else None
    os.kill(os.getpid(), -code)
os._exit(code)
"""


@dataclass(frozen=True)
class ProgramEnd:
    """How a program ended.

    Attributes:
        code: exit code, negative for the number of the signal that ended it.
        printed: end of its standard output.
        complained: end of its standard error.
    """

    code: int
    printed: str
    complained: str

    @property
    def in_words(self) -> str:
        """Such as "ended with exit code 1: ValueError: no such environment"."""
        how = f"ended with exit code {self.code}"
        if self.code < 0:
            with contextlib.suppress(ValueError):
                how = f"ended by {signal.Signals(-self.code).name}"
        lines = [line.strip() for text in (self.printed, self.complained) for line in text.splitlines()]
        last = next((line for line in reversed(lines) if line), "")
        return f"{how}: {last[:LONGEST_LINE]}" if last else how


def run_program(arguments: list[str], folder: Path) -> ProgramEnd:
    """Run a program to its end; whatever ends the wait for it, a time limit or Ctrl-C, ends it and what it started.

    Args:
        arguments: the program and its arguments; no shell reads them.
        folder: of the run, gone with it where this process is killed: the program starts in `folder / "run"`.

    Raises:
        TrainingInterruptedError, TrainingTimeoutError: somebody asked for it, or its time is over.
    """
    place, output, errors = folder / "run", folder / "stdout", folder / "stderr"
    place.mkdir()
    with output.open("wb") as to_output, errors.open("wb") as to_errors:
        guard = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _GUARD, str(folder), *arguments],
            cwd=place, stdin=subprocess.PIPE, stdout=to_output, stderr=to_errors, start_new_session=True,
        )  # fmt: skip
    try:
        while not _has_ended(guard):
            interruption = current_interruption()
            if interruption is not None:
                interruption.check()
            time.sleep(LOOK_SECONDS)
    finally:
        assert guard.stdin is not None
        guard.stdin.close()
        if hasattr(os, "killpg"):
            # What it left behind, too: the guard is not reaped yet, so that the number of the group is its own.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(guard.pid, signal.SIGKILL)
        code = guard.wait()
    return ProgramEnd(code, _end_of(output), _end_of(errors))


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    if hasattr(os, "waitid"):
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return process.poll() is not None


def _end_of(file: Path) -> str:
    with file.open("rb") as content:
        content.seek(max(0, file.stat().st_size - KEPT))
        return content.read().decode("utf-8", "replace")
