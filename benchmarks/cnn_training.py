"""Training images a second of the lecture's convolutional networks against plain Keras `fit` and PyTorch, on CPUs.

The same layers, batches of 100, Adam and number of threads, on images of 28x28, each contender in a process of its
own that trains on 1,000 images a round. PyTorch has channels last and its fused Adam. Compiling is not counted. On
one core the CPU time of the process counts, on more the clock.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import measuring

MODELS = ("simple_cnn", "deep_cnn")
BATCH_SIZE, CLASSES, DROPOUT, LEARNING_RATE = 100, 10, 0.3, 1e-3
TARGETS = {
    ("simple_cnn", "keras fit"): 1.4,
    ("simple_cnn", "pytorch"): 1.2,
    ("deep_cnn", "keras fit"): 1.2,
    ("deep_cnn", "pytorch"): 1.2,
}
FILTERS = {"simple_cnn": (32, 64), "deep_cnn": (32, 64, 128)}
HIDDEN = 625
SKIPPED = "skipped: no PyTorch. Install it apart: python -m venv DIR; DIR/bin/pip install torch; then --torch-python"


def example_images(number: int) -> tuple[Any, Any]:
    """Images uint8 (number, 28, 28) and labels."""
    import numpy as np

    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (number, 28, 28), dtype=np.uint8), np.arange(number) % CLASSES


def velodrome_trainer(model: str, number: int) -> Callable[[], None]:
    import gymnasium as gym

    from velodrome import agents
    from velodrome.envs import Dataset

    images, labels = example_images(number)
    dataset = Dataset("noise", images, labels, images[:10], labels[:10])
    env = gym.make("velodrome/Classification-v0", dataset=dataset)
    agent = {"simple_cnn": agents.SimpleCNN, "deep_cnn": agents.DeepCNN}[model](batch_size=BATCH_SIZE)
    return lambda: agent.train(env, episodes=number) and None


def keras_trainer(model: str, number: int) -> Callable[[], None]:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras
    import numpy as np

    images, labels = example_images(number)
    pixels = images[..., np.newaxis].astype(np.float32) / np.float32(255)
    layers = [keras.Input((28, 28, 1))]
    for filters in FILTERS[model]:
        layers.append(keras.layers.Conv2D(filters, 3, padding="same", activation="relu"))
        layers.append(keras.layers.MaxPooling2D(2, padding="same"))
        if model == "deep_cnn":
            layers.append(keras.layers.Dropout(DROPOUT))
    layers.append(keras.layers.Flatten())
    if model == "deep_cnn":
        layers += [keras.layers.Dense(HIDDEN, activation="relu"), keras.layers.Dropout(DROPOUT)]
    network = keras.Sequential([*layers, keras.layers.Dense(CLASSES)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(LEARNING_RATE), loss)
    return lambda: network.fit(pixels, labels, batch_size=BATCH_SIZE, epochs=1, verbose=0) and None


def pytorch_trainer(model: str, number: int) -> Callable[[], None]:
    import numpy as np
    import torch
    from torch import nn

    torch.set_num_threads(measuring.usable_cores())
    images, labels = example_images(number)
    pixels = torch.from_numpy(images[:, np.newaxis].astype(np.float32) / np.float32(255))
    pixels = pixels.to(memory_format=torch.channels_last)
    right = torch.from_numpy(labels)
    layers: list[Any] = []
    channels, size = 1, 28
    for filters in FILTERS[model]:
        layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)]
        if model == "deep_cnn":
            layers.append(nn.Dropout(DROPOUT))
        channels, size = filters, -(-size // 2)
    layers.append(nn.Flatten())
    width = channels * size * size
    if model == "deep_cnn":
        layers += [nn.Linear(width, HIDDEN), nn.ReLU(), nn.Dropout(DROPOUT)]
        width = HIDDEN
    network = nn.Sequential(*layers, nn.Linear(width, CLASSES)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE, fused=True)
    loss_function = nn.CrossEntropyLoss()

    def train() -> None:
        order = torch.randperm(number)
        for first in range(0, number, BATCH_SIZE):
            places = order[first : first + BATCH_SIZE]
            batch = pixels[places].contiguous(memory_format=torch.channels_last)
            optimizer.zero_grad()
            loss = loss_function(network(batch), right[places])
            loss.backward()
            optimizer.step()
            loss.item()

    return train


TRAINERS = {"velodrome": velodrome_trainer, "keras fit": keras_trainer, "pytorch": pytorch_trainer}


def serve(contender: str, number: int, cores: int) -> None:
    """A contender in a process of its own."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    trainers: dict[str, Callable[[], None]] = {}

    def work(model: str) -> dict[str, float]:
        if model not in trainers:
            trainers[model] = TRAINERS[contender](model, number)
            # The first two calls trace, compile, and fill the caches.
            trainers[model]()
            trainers[model]()
        wall, cpu = time.perf_counter(), time.process_time()
        trainers[model]()
        return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}

    measuring.serve(work)


def main() -> None:
    given = measuring.arguments(
        __doc__,
        7,
        ("--torch-python", {"default": sys.executable, "help": "interpreter of an environment that has PyTorch"}),
        ("--cores", {"type": int, "default": 1, "help": "cores and threads of each contender (default 1)"}),
        ("--worker", {"nargs": 3, "help": "(used by the script itself)"}),
    )
    if given.worker:
        return serve(given.worker[0], int(given.worker[1]), int(given.worker[2]))
    number = 200 if given.quick else 1000
    load = measuring.Load(given)
    pythons = dict.fromkeys(("velodrome", "keras fit"), sys.executable)
    if load.has_peer(given.torch_python, "torch"):
        pythons["pytorch"] = given.torch_python
    threads = {name: str(given.cores) for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS")}
    threads["TF_NUM_INTEROP_THREADS"] = "1"
    clock = "cpu" if given.cores == 1 else "wall"
    with load:
        workers = {
            name: measuring.Worker(
                python, "cnn_training.py", "--worker", name, str(number), str(given.cores), environment=threads
            )
            for name, python in pythons.items()
        }
        for model in MODELS:
            for worker in workers.values():
                worker.ask(model=model)
            contenders: dict[str, Callable[[], measuring.Run]] = {
                name: lambda worker=worker, model=model: measuring.Run(number, worker.ask(model=model)[clock])  # type: ignore[misc]
                for name, worker in workers.items()
            }
            report(load, model, measuring.interleave(contenders, given.rounds), given.cores)
        for worker in workers.values():
            worker.close()
        if "pytorch" not in workers:
            print(SKIPPED)


def report(load: measuring.Load, model: str, seconds: dict[str, list[float]], cores: int) -> None:
    """Print a model's table, and keep it."""
    unit = "images / CPU s" if cores == 1 else "images / s"
    figures = {name: f"{1 / measuring.median(values):,.0f} {unit}" for name, values in seconds.items()}
    rows = []
    for (wanted, other), target in TARGETS.items():
        if wanted == model and other in seconds:
            ratios = measuring.speed_ratios(seconds["velodrome"], seconds[other])
            verdict = measuring.verdict(measuring.median(ratios), target)
            rows.append(measuring.Row(model, figures["velodrome"], other, figures[other], ratios, verdict))
        elif wanted == model:
            rows.append(measuring.Row(model, figures["velodrome"], other, measuring.NOT_INSTALLED))
    rounds = len(seconds["velodrome"])
    title = f"{model}, batches of {BATCH_SIZE}, {cores} core{'s' * (cores > 1)}, median of {rounds} rounds"
    load.table(model, title, rows)


if __name__ == "__main__":
    main()
