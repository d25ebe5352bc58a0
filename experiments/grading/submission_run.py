"""Runs a submission in a process of its own, and ends that process and all that it started."""

import contextlib
import json
import os
import resource
import select
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from velodrome.checks import closest
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.grading.assignment import Limits
from velodrome.experiments.grading.confinement import SUBMISSION
from velodrome.experiments.grading.sentences import MISTAKES, PRINTED, REFUSALS, Sentence, SubmissionError, at_line
from velodrome.experiments.running.limits import size_text

_SCRIPT = Path(__file__).with_name("student_process.py")
# Beside the numbers of an answer, in bytes.
_MOST_BESIDE = 100_000
_MOST_REFUSALS = 20
_PIECE = 65_536
# Seconds of wall-clock time: that starting Python and NumPy may take, and that a submission may beside its limit many
# times over, for a busy machine must change no grade.
_START_SECONDS = 600.0
_SPARE_SECONDS, _SPARE_TIMES = 60.0, 10.0
# How often a submission that sends nothing is looked at; it waits where it uses less than a share of a processor.
_LOOK_SECONDS, _WAITING_SHARE = 0.5, 0.05
# Processes that start others while they are ended are looked for again.
_ROUNDS = 20


@dataclass(frozen=True, eq=False)
class SubmissionAnswer:
    """What came back from a submission; `mistake` says why there are no numbers.

    Attributes:
        numbers: float64, as many as the submission's process sent.
        shape: of them, as that process says, or None.
        claim: the variable `score` of the submission, or None.
        mistake: why there are no numbers, or None.
        refusals: what was refused.
        output: the beginning of what it printed.
        printed: bytes that it printed.
        confinement: what the kernel offered, such as "landlock".
    """

    numbers: NDArray[np.float64] | None
    shape: tuple[int, ...] | None
    claim: float | None
    mistake: Sentence | None
    refusals: tuple[Sentence, ...]
    output: str
    printed: int
    confinement: tuple[str, ...]

    @property
    def remarks(self) -> tuple[Sentence, ...]:
        """What was refused, and that output was cut."""
        kept = len(self.output.encode())
        cut = (Sentence(PRINTED, {"printed": f"{self.printed:,}", "kept": f"{kept:,}"}),)
        return self.refusals + (cut if self.printed > kept else ())


def run_submission(
    source: bytes, task: dict[str, Any], arrays: NDArray[np.float64], limits: Limits, *, most_numbers: int,
    answer: Callable[[bytes, bytes], tuple[bytes, bytes]] | None = None, is_confined: bool = True,
) -> SubmissionAnswer:  # fmt: skip
    """Load a submission in a new process, ask what the task says, and end the process.

    Args:
        source: text of the submission.
        task: JSON-ready, for the process.
        arrays: numbers for the process.
        limits: of the process.
        most_numbers: that may come back.
        answer: answers frames of other kinds than the protocol's own; none are allowed if None.
        is_confined: whether the kernel is asked to refuse things, too.

    Raises:
        ExperimentError: the system has no processes as they are needed here.
    """
    if os.name != "posix":
        raise ExperimentError("grading needs Linux or macOS: run it there, or in WSL")
    task = task | {
        "seconds": limits.seconds, "memory": limits.memory, "file_size": limits.file_size, "confined": is_confined,
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="velodrome-", ignore_cleanup_errors=True) as given:
        folder = os.path.realpath(given)
        Path(folder, SUBMISSION).write_bytes(source)
        with _Process(folder, limits) as process:
            return process.converse(task, arrays, most_numbers, answer)


class _Process:
    """The process of one submission; leaving it ends the process and its descendants."""

    def __init__(self, folder: str, limits: Limits) -> None:
        self._limits = limits
        self._their_read, self._write = os.pipe()
        self._read, self._their_write = os.pipe()
        os.set_blocking(self._write, False)
        out, their_out = os.pipe()
        self._kept, self._printed = bytearray(), 0
        self._waiting = bytearray()
        self._folder = folder
        self._confinement: tuple[str, ...] = ()
        self._deadline = time.monotonic() + _START_SECONDS
        self._has_begun, self._waited, self._used_before = False, 0.0, _used_by_ended()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-s", "-P", "-B", str(_SCRIPT), str(self._their_read), str(self._their_write)],
                cwd=folder,
                env=_environment(folder),
                stdin=subprocess.DEVNULL,
                stdout=their_out,
                stderr=their_out,
                pass_fds=(self._their_read, self._their_write),
                start_new_session=True,
            )
        finally:
            for end in (self._their_read, self._their_write, their_out):
                os.close(end)
        self._reader = threading.Thread(target=self._keep_output, args=(out,), daemon=True)
        self._reader.start()

    def __enter__(self) -> "_Process":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        os.close(self._read)
        os.close(self._write)

    def converse(
        self, task: dict[str, Any], arrays: NDArray[np.float64], most_numbers: int,
        answer: Callable[[bytes, bytes], tuple[bytes, bytes]] | None,
    ) -> SubmissionAnswer:  # fmt: skip
        refusals: list[Sentence] = []
        head: dict[str, Any] = {}
        numbers, mistake = None, None
        try:
            self._send(b"T", json.dumps(task).encode())
            self._send(b"T", arrays.tobytes())
            kind, content = self._receive(_MOST_BESIDE)
            # From here on it is the submission's time.
            self._deadline = time.monotonic() + self._most_seconds
            self._has_begun = True
            offered = content.decode(errors="replace").split(",")
            self._confinement = tuple(name for name in ("landlock", "seccomp") if name in offered)
            while True:
                kind, content = self._receive(8 * most_numbers + _MOST_BESIDE)
                if kind == b"X":
                    if len(refusals) < _MOST_REFUSALS:
                        refusals.append(_refusal(content))
                elif kind == b"D":
                    head, numbers = _read_answer(content)
                    break
                elif answer is not None and kind in (b"R", b"S", b"N"):
                    self._send(*answer(kind, content))
                else:
                    raise SubmissionError("meddled")
            if "mistake" in head:
                numbers, mistake = None, self._mistake(head)
        except SubmissionError as error:
            mistake = error.sentence
        except ExperimentError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError, struct.error, RecursionError):
            mistake = Sentence(MISTAKES["meddled"])
        except OSError:
            mistake = self._ended()
        self._end()
        self._reader.join(timeout=5.0)
        output = bytes(self._kept).decode(errors="replace")
        shape, claim = head.get("shape"), head.get("claim")
        return SubmissionAnswer(
            numbers if mistake is None else None,
            tuple(shape) if isinstance(shape, list) and all(isinstance(size, int) for size in shape) else None,
            float(claim) if isinstance(claim, int | float) else None,
            mistake,
            tuple(refusals),
            output,
            self._printed,
            self._confinement,
        )

    @property
    def _most_seconds(self) -> float:
        return _SPARE_TIMES * self._limits.seconds + _SPARE_SECONDS

    def _send(self, kind: bytes, content: bytes) -> None:
        frame = memoryview(kind + struct.pack("<I", len(content)) + content)
        while frame:
            try:
                frame = frame[os.write(self._write, frame) :]
            except BlockingIOError:
                self._wait_for(self._write, select.POLLOUT)

    def _wait_for(self, end: int, event: int) -> None:
        import psutil

        poll = select.poll()
        poll.register(end, event)
        seconds, most = f"{self._limits.seconds:g}", min(_LOOK_SECONDS, self._limits.seconds)
        used: float | None = None
        while not poll.poll(1000.0 * most):
            if time.monotonic() > self._deadline:
                if not self._has_begun:
                    raise ExperimentError(
                        f"no submission could be started within {_START_SECONDS:g} seconds: the machine is too busy"
                    )
                raise SubmissionError("busy", seconds=seconds, wall=f"{self._most_seconds:g}")
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(self._process.pid)
                before, used = used, sum(process.cpu_times()[:2])
                # A process that waits for a processor is running, by its status.
                waits = process.status() in (psutil.STATUS_SLEEPING, psutil.STATUS_IDLE, psutil.STATUS_STOPPED)
                if self._has_begun and waits and before is not None and used - before < _WAITING_SHARE * most:
                    self._waited += most
            if self._waited >= self._limits.seconds:
                raise SubmissionError("waited", seconds=seconds)

    def _receive(self, most: int) -> tuple[bytes, bytes]:
        """The next frame.

        Raises:
            SubmissionError: time is over, the process has ended, or the frame is too long.
        """
        wanted = 5
        while True:
            if len(self._waiting) >= wanted:
                size = struct.unpack_from("<I", self._waiting, 1)[0]
                if size > most:
                    raise SubmissionError("meddled")
                wanted = 5 + size
                if len(self._waiting) >= wanted:
                    kind, content = bytes(self._waiting[:1]), bytes(self._waiting[5:wanted])
                    del self._waiting[:wanted]
                    return kind, content
            self._wait_for(self._read, select.POLLIN)
            part = os.read(self._read, _PIECE)
            if not part:
                raise OSError("the process has ended")
            self._waiting += part

    def _ended(self) -> Sentence:
        """Why a process that has closed its connection is gone."""
        try:
            code = self._process.wait(timeout=2.0)
        except subprocess.TimeoutExpired:
            return Sentence(MISTAKES["meddled"])
        used = _used_by_ended() - self._used_before
        if code == -signal.SIGXCPU or (code == -signal.SIGKILL and used >= self._limits.seconds):
            return Sentence(MISTAKES["time"], {"seconds": f"{self._limits.seconds:g}"})
        if code < 0:
            with contextlib.suppress(ValueError):
                return Sentence(MISTAKES["killed"], {"signal": signal.Signals(-code).name})
        return Sentence(MISTAKES["ended"])

    def _mistake(self, head: dict[str, Any]) -> Sentence:
        kind, values = str(head["mistake"]), dict(head["values"])
        line = 0
        if kind == "exception":
            error, line = str(values["error"]), int(values["line"])
            if error == "SystemExit":
                kind = "exit"
            elif error == "MemoryError":
                kind, values = "memory", values | {"memory": size_text(self._limits.memory)}
            values["error"] = f"{error}: {values['message']}" if values["message"] else error
        elif kind == "missing":
            close = closest(str(values["name"]), [str(name) for name in values["names"]])
            values["hint"] = close if close.startswith(": did") else ""
        sentence = Sentence(MISTAKES[kind], {str(name): value for name, value in values.items()})
        return at_line(line, sentence)

    def _keep_output(self, out: int) -> None:
        with contextlib.suppress(OSError):
            while part := os.read(out, _PIECE):
                self._printed += len(part)
                self._kept += part[: max(0, self._limits.output - len(self._kept))]
        os.close(out)

    def _end(self) -> None:
        """Kill the process, its session, and its descendants wherever they are."""
        import psutil

        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()
            self._process.wait()
        if "seccomp" in self._confinement:
            # It cannot have started any.
            return
        for _ in range(_ROUNDS):
            left = [one for one in psutil.process_iter(["environ"]) if self._is_own(one.info["environ"])]
            for one in left:
                with contextlib.suppress(psutil.Error):
                    one.kill()
            if not left:
                return

    def _is_own(self, variables: dict[str, str] | None) -> bool:
        return variables is not None and variables.get("HOME") == self._folder


def _used_by_ended() -> float:
    """CPU time of all processes that this one has started and seen end, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _environment(folder: str) -> dict[str, str]:
    """Variables of the process: nothing of the grader's own."""
    import site

    variables = {
        "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": folder, "TMPDIR": folder, "MPLCONFIGDIR": folder,
        "MPLBACKEND": "Agg", "PYTHONHASHSEED": "0", "PYTHONIOENCODING": "utf-8:replace", "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
    }  # fmt: skip
    if site.ENABLE_USER_SITE and os.path.isdir(site.getusersitepackages()):
        variables["PYTHONPATH"] = site.getusersitepackages()
    return variables


def _refusal(content: bytes) -> Sentence:
    given = json.loads(content)
    refusal = Sentence(REFUSALS[given["kind"]], {"what": given["what"]})
    return at_line(int(given["line"]), refusal)


def _read_answer(content: bytes) -> tuple[dict[str, Any], NDArray[np.float64]]:
    text, _, raw = content.partition(b"\0")
    head = json.loads(text)
    if not isinstance(head, dict):
        raise ValueError("no head")
    return head, np.frombuffer(raw, dtype=np.float64).copy()
