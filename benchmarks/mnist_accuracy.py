"""Accuracy of the convolutional networks on the 10,000 test images of MNIST, with the epochs and seconds it takes.

The test images are looked at when all training is over: after every epoch the agent is saved, and what was saved is
tested at the end. Where the learning rate follows a schedule over the whole budget, only the last epoch is. Needs
MNIST, see docs/how_to/datasets.md.
"""

import os
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import measuring


class Course(NamedTuple):
    """How an agent is trained.

    Attributes:
        agent: its expression.
        epochs: passes through the training images.
        validation: training images that are left out; the lecture trains on 55,000.
        target: accuracy to reach.
        seeds: number of seeds whose mean counts.
        schedule: whether the learning rate follows one.
    """

    agent: str
    epochs: int
    validation: int
    target: float
    seeds: int
    schedule: bool


COURSES = {
    "simple_cnn": Course("simple_cnn", 15, 5000, 0.9885, 1, False),
    "deep_cnn": Course("deep_cnn", 15, 5000, 0.9938, 1, False),
    "modern_cnn": Course("modern_cnn", 4, 0, 0.9945, 3, True),
    "ensemble": Course("ensemble(member=modern_cnn, size=7)", 4, 0, 0.9952, 1, True),
}


class Epoch(NamedTuple):
    """The end of an epoch: CPU and wall seconds of training until then, and where the agent was saved."""

    cpu: float
    wall: float
    saved: Path


def train(course: Course, seed: int, dataset: str, folder: Path) -> list[Epoch]:
    """Train, and save the agent after each epoch, or after the last where the learning rate follows a schedule."""
    import gymnasium as gym

    from velodrome.experiments.specification.catalogue import build_agent

    env = gym.make("velodrome/Classification-v0", dataset=dataset, validation=course.validation)
    num_images = len(env.unwrapped.examples.labels)
    agent = build_agent(course.agent)
    # Tracing and compiling are not training.
    build_agent(course.agent).train(env, episodes=200, seed=0)
    epochs: list[Epoch] = []
    cpu, wall = time.process_time(), time.perf_counter()

    def end_epoch(finished: int) -> None:
        nonlocal cpu, wall
        before = epochs[-1] if epochs else Epoch(0.0, 0.0, folder)
        place = folder / str(len(epochs) + 1)
        epochs.append(Epoch(before.cpu + time.process_time() - cpu, before.wall + time.perf_counter() - wall, place))
        if not course.schedule or finished == course.epochs * num_images:
            agent.save(place)
        cpu, wall = time.process_time(), time.perf_counter()

    agent.train(env, episodes=course.epochs * num_images, seed=seed, callback=end_epoch, callback_every=num_images)
    return epochs


def accuracy(saved: Path, dataset: str) -> float:
    """Share of the test images that a saved agent names rightly."""
    import gymnasium as gym

    from velodrome.agents import Agent

    images, labels = gym.make("velodrome/Classification-v0", dataset=dataset, split="test").unwrapped.examples
    return float((Agent.load(saved).act(images) == labels).mean())


def row(name: str, seed: int, course: Course, epochs: list[Epoch], accuracies: list[float]) -> list[str]:
    """A line of the table."""
    reached = [place for place, value in enumerate(accuracies) if value >= course.target]
    first = reached[0] if reached else None
    last = epochs[-1]
    return [
        name,
        str(seed),
        str(len(epochs)),
        f"{accuracies[-1]:.4f}",
        f"{last.cpu:,.0f}",
        f"{last.wall:,.0f}",
        f"{course.target:.4f}",
        "never" if first is None else str(first + len(epochs) - len(accuracies) + 1),
        "" if first is None else f"{epochs[first + len(epochs) - len(accuracies)].cpu:,.0f}",
    ]


HEADER = ("agent", "seed", "epochs", "accuracy", "CPU s", "wall s", "target", "first at epoch", "CPU s until then")


def main() -> None:
    given = measuring.arguments(
        __doc__,
        1,
        ("--agents", {"nargs": "+", "choices": sorted(COURSES), "default": list(COURSES), "help": "(default all)"}),
        ("--epochs", {"type": int, "help": "instead of those that the targets are for"}),
        ("--seeds", {"type": int, "nargs": "+", "help": "(default 0; 0 1 2 for modern_cnn)"}),
        ("--cores", {"type": int, "default": 1, "help": "cores and threads (default 1)"}),
    )
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-given.cores :])
    os.environ["TF_NUM_INTRAOP_THREADS"], os.environ["TF_NUM_INTEROP_THREADS"] = str(given.cores), "1"
    # The small digits show that the command runs.
    dataset = "digits" if given.quick else "mnist"
    with measuring.Load(), tempfile.TemporaryDirectory() as folder:
        rows = []
        for name in given.agents:
            course = COURSES[name]
            if given.quick:
                course = course._replace(agent=course.agent.replace("size=7", "size=2"), epochs=1, validation=100)
            if given.epochs is not None:
                course = course._replace(epochs=given.epochs)
            seeds = given.seeds or list(range(1 if given.quick else course.seeds))
            finals = []
            for seed in seeds:
                epochs = train(course, seed, dataset, Path(folder) / f"{name}_{seed}")
                accuracies = [accuracy(epoch.saved, dataset) for epoch in epochs if epoch.saved.exists()]
                rows.append(row(name, seed, course, epochs, accuracies))
                finals.append(accuracies[-1])
                listed = " ".join(f"{value:.4f}" for value in accuracies)
                print(f"{course.agent}, seed {seed}: {listed}", flush=True)
            mean = sum(finals) / len(finals)
            print(f"{course.agent}: mean {mean:.4f}, {measuring.verdict(mean, course.target)}", flush=True)
        title = f"{dataset}: accuracy on the test images, {given.cores} core{'s' * (given.cores > 1)}"
        measuring.print_table(title, HEADER, rows)


if __name__ == "__main__":
    main()
