"""The process of one submission, run as a script: loads it, asks it, and sends plain numbers to the grader.

It imports nothing of velodrome and holds nothing that a submission must not know. What it sends is what the submission
says; the grader checks all of it.
"""

import importlib.machinery
import importlib.util
import json
import math
import operator
import os
import random
import struct
import sys
from types import ModuleType
from typing import Any

_MOST_REPORTS, _LONGEST = 20, 400


def _confinement() -> Any:
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "confinement.py")
    loader = importlib.machinery.SourceFileLoader("_confinement", path)
    spec = importlib.util.spec_from_loader("_confinement", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


class Connection:
    """Frames of a letter, a length and bytes, to the grader and back."""

    def __init__(self, reads: int, writes: int) -> None:
        self._reads, self._writes, self._read, self._write = reads, writes, os.read, os.write

    def send(self, kind: bytes, content: bytes = b"") -> None:
        frame = kind + struct.pack("<I", len(content)) + content
        while frame:
            frame = frame[self._write(self._writes, frame) :]

    def receive(self) -> tuple[bytes, bytes]:
        head = self._exactly(5)
        return head[:1], self._exactly(struct.unpack("<I", head[1:])[0])

    def _exactly(self, size: int) -> bytes:
        parts = []
        while size:
            part = self._read(self._reads, size)
            if not part:
                os._exit(0)
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


class WrongError(Exception):
    """What a submission gave cannot be used: a kind of mistake with its values."""

    def __init__(self, kind: str, **values: Any) -> None:
        super().__init__(kind)
        self.kind, self.values = kind, values


def main() -> None:
    """Serve one submission."""
    connection = Connection(int(sys.argv[1]), int(sys.argv[2]))
    _, text = connection.receive()
    task = json.loads(text)
    import numpy as np

    if task["kind"] == "learner":
        import gymnasium  # noqa: F401
    arrays = np.frombuffer(connection.receive()[1]).copy()
    confinement = _confinement()
    folder = os.path.realpath(os.getcwd())
    readable = confinement.readable_folders()
    within = tuple(place + os.sep for place in readable)
    sys.path[:] = [path for path in sys.path if (os.path.realpath(path) + os.sep).startswith(within)]
    make_repeatable(task["seed"])
    confinement.limit_resources(task["seconds"], task["memory"], task["file_size"])
    offered = confinement.confine_by_kernel(folder, readable) if task["confined"] else []
    connection.send(b"K", ",".join(offered).encode())
    reported: set[tuple[str, str]] = set()

    def report(kind: str, what: str, line: int) -> None:
        if len(reported) < _MOST_REPORTS and (kind, what) not in reported:
            reported.add((kind, what))
            connection.send(b"X", json.dumps({"kind": kind, "what": what[:_LONGEST], "line": line}).encode())

    confinement.install_hook(folder, readable, task["refused_modules"], report, is_alone=len(offered) < 2)
    own = confinement.SUBMISSION
    try:
        head, content = answer(load(own), task, arrays, connection)
    except WrongError as wrong:
        head, content = {"mistake": wrong.kind, "values": wrong.values}, b""
    except BaseException as error:
        head, content = {"mistake": "exception", "values": about(error, own)}, b""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        pass
    connection.send(b"D", json.dumps(head).encode() + b"\0" + content)
    # The grader ends this process before anything that waits for its end runs.
    while True:
        connection.receive()


def make_repeatable(seed: int) -> None:
    """Let generators without a seed of their own draw the same numbers each time."""
    import numpy as np
    from numpy.random import bit_generator

    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    entropy = random.Random(seed)
    bit_generator.randbits = entropy.getrandbits  # type: ignore[attr-defined]


def load(path: str) -> ModuleType:
    """The submission as a module of the name `submission`."""
    with open(path, "rb") as file:
        source = file.read()
    module = ModuleType("submission")
    module.__file__ = path
    sys.modules["submission"] = module
    exec(compile(source, path, "exec"), vars(module))
    return module


def answer(
    module: ModuleType, task: dict[str, Any], arrays: Any, connection: Connection
) -> tuple[dict[str, Any], bytes]:
    """What is asked for, as a head and the bytes of float64 numbers."""
    name = task["name"]
    claim = vars(module).get("score")
    head: dict[str, Any] = {"claim": claimed(claim)}
    if name not in vars(module):
        names = [known[:_LONGEST] for known in vars(module) if isinstance(known, str) and known[:1] != "_"]
        raise WrongError("missing", name=name, names=names[:50])
    given = vars(module)[name]
    kind, states = task["kind"], task["states"]
    if kind in ("update", "learner") and not callable(given):
        raise WrongError("not_callable", name=name, got=type(given).__name__[:_LONGEST])
    if kind == "update":
        return head | {"shape": None}, updates(given, task, arrays)
    if kind == "learner":
        env = graded_environment(task, connection)
        given = given(env, task["budget"], task["seed"])
        name = f"{name}()"
    elif kind == "action_values" and callable(given):
        given = given()
    if callable(given) and kind in ("policy", "learner"):
        found = [as_numbers(given(state), f"{name}({state})") for state in states]
        again = [as_numbers(given(state), f"{name}({state})") for state in states]
        for state, one, other in zip(states, found, again, strict=True):
            if one.ndim:
                raise WrongError("not_an_action", name=f"{name}({state})", got=f"an array of shape {one.shape}")
            if one != other:
                raise WrongError("changes", name=name, state=state, one=f"{one:g}", other=f"{other:g}")
        import numpy as np

        numbers = np.zeros(task["num_states"])
        numbers[states] = found
    else:
        numbers = as_numbers(given, name)
    # Of what is too large the shape says enough.
    is_too_large = numbers.size > task["num_states"] * task["num_actions"]
    return head | {"shape": list(numbers.shape)}, b"" if is_too_large else numbers.tobytes()


def claimed(claim: Any) -> float | None:
    """A number that a submission says is its score; None of anything else."""
    import numpy as np

    if isinstance(claim, np.generic):
        claim = claim.item()
    if not isinstance(claim, int | float) or isinstance(claim, bool):
        return None
    try:
        return float(claim)
    except OverflowError:
        return math.inf


def updates(update: Any, task: dict[str, Any], arrays: Any) -> bytes:
    """Action values after each probe, one after the other."""
    import numpy as np

    shape = (task["num_states"], task["num_actions"])
    answers = []
    for table, probe in zip(arrays.reshape(-1, *shape), task["probes"], strict=True):
        mine = table.copy()
        returned = update(mine, *probe)
        numbers = as_numbers(mine if returned is None else returned, "update()")
        if numbers.shape != shape:
            raise WrongError("shape", name="update()", shape=list(shape), got=list(numbers.shape))
        answers.append(np.array(numbers))
    return b"".join(one.tobytes() for one in answers)


def as_numbers(given: Any, name: str) -> Any:
    """A contiguous float64 array."""
    import numpy as np

    try:
        numbers = np.asarray(given)
        if numbers.dtype.kind == "O" and numbers.ndim:
            # Numbers in an array of objects are numbers.
            numbers = np.asarray(numbers.tolist())
    except ValueError:
        numbers = np.empty(0, dtype=object)
    if numbers.dtype.kind not in "biuf":
        got = f"an array of {given.dtype}" if isinstance(given, np.ndarray) else type(given).__name__
        raise WrongError("not_numbers", name=name, got=got[:_LONGEST])
    return np.array(numbers, dtype=np.float64, order="C")


def about(error: BaseException, own: str) -> dict[str, Any]:
    """Class, message and last line in the submission of an error."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == own:
            line = trace.tb_lineno
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and error.filename == own:
        line = error.lineno or 0
    try:
        message = str(error.msg if isinstance(error, SyntaxError) else error)[:_LONGEST]
    except BaseException:
        message = ""
    return {"error": type(error).__name__[:_LONGEST], "message": message, "line": line}


def graded_environment(task: dict[str, Any], connection: Connection) -> Any:
    """An environment whose steps are taken in the grader's process."""
    import gymnasium as gym

    class GradedEnvironment(gym.Env[Any, Any]):
        """The environment of the assignment; it stands in the grader's process."""

        metadata = {"render_modes": []}  # noqa: RUF012

        def __init__(self) -> None:
            self.observation_space = gym.spaces.Discrete(task["num_states"])
            self.action_space = gym.spaces.Discrete(task["num_actions"], seed=task["seed"])

        def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[int, dict[str, Any]]:
            connection.send(b"R", b"" if seed is None else struct.pack("<q", operator.index(seed)))
            kind, content = connection.receive()
            if kind != b"A":
                raise ValueError(content.decode())
            return struct.unpack("<q", content)[0], {}

        def step(self, action: Any) -> tuple[int, float, bool, bool, dict[str, Any]]:
            try:
                content = struct.pack("<q", operator.index(action))
            except (TypeError, struct.error):
                connection.send(b"N", repr(action)[:_LONGEST].encode())
                kind, content = connection.receive()
                raise ValueError(content.decode()) from None
            connection.send(b"S", content)
            kind, content = connection.receive()
            if kind != b"A":
                raise ValueError(content.decode())
            state, reward, terminated, truncated = struct.unpack("<qd??", content)
            return state, reward, terminated, truncated, {}

    return GradedEnvironment()


if __name__ == "__main__":
    main()
