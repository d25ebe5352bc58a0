"""Training iterations a second of character RNNs against plain Keras and PyTorch, and the first 50 with all tracing.

The lecture's texts: "hihello" with a cell of each kind, five units, and the 170 windows of ten characters of its long
sentence with two layers of LSTM(25). The same layers, Adam 0.1, and all windows in one batch, so an iteration is an
epoch. Keras is asked by `fit`, by `train_on_batch`, and by that with `unroll=True`. One core, CPU time. Iterations are
counted when all is traced; the first 50 are those of a user who has just imported the library, in a fresh process,
where making the network and tracing are counted and importing is not.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import measuring
from peer_networks import keras_reader, torch_reader

LEARNING_RATE, FIRST, FRESH_ROUNDS = 0.1, 50, 1
# The long sentence, against others that unroll it too.
TARGETS = {"pytorch": 1.0, "keras unrolled": 1.0}


class Task(NamedTuple):
    """A text, the steps of a window (0 for the whole text), and the network that learns it."""

    text: str
    window: int
    cell: str
    layers: int
    hidden: int


TASKS = {f"hihello, {cell} 1x5": Task("hihello", 0, cell, 1, 5) for cell in ("rnn", "lstm", "gru")}
TASKS["long sentence, lstm 2x25"] = Task("long_sentence", 10, "lstm", 2, 25)
FRESH = ("hihello, lstm 1x5", "long sentence, lstm 2x25")
KERAS = ("keras fit", "keras train_on_batch", "keras unrolled")
# An iteration of `fit` takes ten times as long.
ITERATIONS = {"keras fit": 20}
SKIPPED = "skipped: no PyTorch. Install it apart: python -m venv DIR; DIR/bin/pip install torch numpy; --torch-python"


class Trainer(NamedTuple):
    """How a contender does some iterations, and its loss afterwards."""

    train: Callable[[int], Any]
    loss: Callable[[], float]


def windows_of(text: str, window: int) -> tuple[Any, Any, int]:
    """Characters int64 (windows, steps), the characters that follow them, and the size of the vocabulary."""
    import numpy as np

    letters, numbers = np.unique(list(text), return_inverse=True)
    steps = window or len(text) - 1
    rows = np.lib.stride_tricks.sliding_window_view(numbers, steps + 1)
    return rows[:, :-1].astype(np.int64), rows[:, 1:].astype(np.int64), len(letters)


def velodrome_trainer(text: str, window: int, cell: Any, layers: int, hidden: int) -> Trainer:
    import gymnasium as gym

    from velodrome.agents import CharRNN

    env = gym.make("velodrome/Text-v0", text=text, window=window or None)
    inputs, labels = env.unwrapped.examples
    agent = CharRNN(cell=cell, layers=layers, hidden=hidden, learning_rate=LEARNING_RATE)
    return Trainer(
        lambda iterations: agent.train(env, episodes=iterations * len(inputs)), lambda: agent.loss(inputs, labels)
    )


def keras_trainer(contender: str, text: str, window: int, cell: str, layers: int, hidden: int) -> Trainer:
    import keras
    import numpy as np

    inputs, labels, characters = windows_of(text, window)
    one_hot = np.eye(characters, dtype=np.float32)[inputs]
    network = keras_reader(
        cell, characters, hidden, layers, input_options={"shape": one_hot.shape[1:]}, unroll="unrolled" in contender
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(LEARNING_RATE), loss)

    def train(iterations: int) -> None:
        if contender == "keras fit":
            network.fit(one_hot, labels, batch_size=len(inputs), epochs=iterations, verbose=0)
        else:
            for _ in range(iterations):
                network.train_on_batch(one_hot, labels)

    return Trainer(train, lambda: float(network.evaluate(one_hot, labels, batch_size=len(inputs), verbose=0)))


def pytorch_trainer(text: str, window: int, cell: str, layers: int, hidden: int) -> Trainer:
    import numpy as np
    import torch
    from torch import nn

    torch.set_num_threads(1)
    inputs, labels, characters = windows_of(text, window)
    one_hot, right = torch.from_numpy(np.eye(characters, dtype=np.float32)[inputs.T]), torch.from_numpy(labels.T.copy())
    recurrent, head = torch_reader(cell, characters, hidden, layers)
    optimizer = torch.optim.Adam([*recurrent.parameters(), *head.parameters()], LEARNING_RATE, fused=True)

    def loss() -> Any:
        return nn.functional.cross_entropy(head(recurrent(one_hot)[0]).flatten(0, 1), right.flatten())

    def train(iterations: int) -> None:
        for _ in range(iterations):
            optimizer.zero_grad()
            found = loss()
            found.backward()
            optimizer.step()
            found.item()

    return Trainer(train, lambda: float(loss().detach()))


def load(contender: str) -> None:
    """Import what a contender needs."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    if contender == "velodrome":
        import gymnasium  # noqa: F401

        from velodrome.agents import CharRNN  # noqa: F401
    elif contender == "pytorch":
        import torch  # noqa: F401
    else:
        import keras  # noqa: F401
        import tensorflow  # noqa: F401


def serve(contender: str) -> None:
    """A contender in a process of its own."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    load(contender)
    trainers: dict[str, Trainer] = {}

    def new_trainer(task: dict[str, Any]) -> Trainer:
        if contender in KERAS:
            return keras_trainer(contender, **task)
        return (velodrome_trainer if contender == "velodrome" else pytorch_trainer)(**task)

    def work(name: str, task: dict[str, Any], iterations: int) -> dict[str, float]:
        started = time.process_time()
        if name not in trainers:
            trainers[name] = new_trainer(task)
        trainers[name].train(iterations)
        seconds = time.process_time() - started
        return {"seconds": seconds, "loss": trainers[name].loss()}

    measuring.serve(work)


def rows_of(name: str, seconds: dict[str, list[float]], losses: dict[str, float] | None = None) -> list[measuring.Row]:
    """Lines of a task; of seconds and losses if they are given, else of rates."""
    figures = {}
    for contender, values in seconds.items():
        middle = measuring.median(values)
        first = f"{middle * FIRST:.2f} s, loss {losses[contender]:.4f}" if losses is not None else ""
        figures[contender] = first or f"{1 / middle:,.0f}"
    rows = []
    for contender in ("pytorch", *KERAS):
        if contender not in seconds:
            rows.append(measuring.Row(name, figures["velodrome"], contender, measuring.NOT_INSTALLED))
            continue
        ratios = measuring.speed_ratios(seconds["velodrome"], seconds[contender])
        has_goal = losses is None and contender in TARGETS and name.startswith("long sentence")
        goal = measuring.verdict(measuring.median(ratios), TARGETS[contender]) if has_goal else ""
        rows.append(measuring.Row(name, figures["velodrome"], contender, figures[contender], ratios, goal))
    return rows


def main() -> None:
    given = measuring.arguments(
        __doc__,
        7,
        ("--torch-python", {"default": sys.executable, "help": "interpreter of an environment that has PyTorch"}),
        ("--worker", {"help": "(used by the script itself)"}),
    )
    if given.worker:
        return serve(given.worker)
    # PyTorch's environment lacks velodrome.
    from velodrome.envs.labelled.texts import TEXTS

    load = measuring.Load(given)
    names = ["velodrome", *(["pytorch"] if load.has_peer(given.torch_python, "torch") else []), *KERAS]
    threads = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}

    def new_worker(contender: str) -> measuring.Worker:
        python = given.torch_python if contender == "pytorch" else sys.executable
        return measuring.Worker(python, "recurrent_training.py", "--worker", contender, environment=threads)

    def asked(worker: measuring.Worker, name: str, iterations: int) -> dict[str, Any]:
        task = TASKS[name]
        return worker.ask(name=name, task=task._asdict() | {"text": TEXTS[task.text]}, iterations=iterations)

    fresh_rounds, rows = min(given.rounds, FRESH_ROUNDS), []
    with load:
        workers = {contender: new_worker(contender) for contender in names}
        for name in ("hihello, rnn 1x5",) if given.quick else TASKS:

            def steady(contender: str, name: str = name) -> measuring.Run:
                iterations = 2 if given.quick else ITERATIONS.get(contender, 200)
                return measuring.Run(iterations, asked(workers[contender], name, iterations)["seconds"])

            for contender in names:
                steady(contender)
            contenders = {contender: lambda contender=contender: steady(contender) for contender in names}  # type: ignore[misc]
            rows += rows_of(name, measuring.interleave(contenders, given.rounds))
        load.table("steady", f"Character RNNs, iterations / CPU s, median of {given.rounds} rounds", rows)
        for worker in workers.values():
            worker.close()
        first_rows = []
        for name in () if given.quick else FRESH:
            losses: dict[str, float] = {}

            def fresh(contender: str, name: str = name, losses: dict[str, float] = losses) -> measuring.Run:
                worker = new_worker(contender)
                answer = asked(worker, name, FIRST)
                worker.close()
                losses[contender] = answer["loss"]
                return measuring.Run(FIRST, answer["seconds"])

            contenders = {contender: lambda contender=contender: fresh(contender) for contender in names}  # type: ignore[misc]
            found = measuring.interleave(contenders, fresh_rounds)
            first_rows += rows_of(name, found, losses)
        if first_rows:
            title = (
                f"The first {FIRST} iterations of a process, CPU s and the loss then, median of {fresh_rounds} rounds"
            )
            load.table("first", title, first_rows)
    if "pytorch" not in names:
        print(SKIPPED)


if __name__ == "__main__":
    main()
