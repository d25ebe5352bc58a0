"""Cost of an observation in `act`, one by one and 256 at once, against plain Keras and PyTorch with the same weights.

The lecture's convolutional networks read images of 28x28, the character RNNs one character a call and carry their
state. Every contender gets observations as the environment gives them and returns classes. Keras is asked in the ways
that its users have: `predict`, `predict_on_batch`, the model as a function, and that in a `tf.function`. One core, CPU
time; loading and tracing are not counted. Fails unless all contenders have the same logits.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import measuring
from peer_networks import CLASSES, FILTERS, IMAGE_SIZE, keras_classifier, keras_reader, torch_classifier, torch_reader


class Reader(NamedTuple):
    """A character RNN: its text, the size of its vocabulary, LSTM layers and their units."""

    text: str
    characters: int
    layers: int
    hidden: int


READERS = {
    "char_rnn_1x5": Reader("hihello", 5, 1, 5),
    "char_rnn_2x64": Reader("long_sentence", 25, 2, 64),
}
MODELS = (*FILTERS, *READERS)
SIZES = (1, 256)
KERAS_WAYS = ("predict", "predict_on_batch", "model(x)", "tf.function")
PROJECTS = {"velodrome": "velodrome", "pytorch": "pytorch"} | {f"keras {way}": "keras" for way in KERAS_WAYS}
# Calls on which answers are compared, and over which timed calls go round.
NUM_CALLS = 8
# As a share of the largest logit; sums of float32 in another order differ by less.
TOLERANCE = 1e-4
SKIPPED = "skipped: no PyTorch. Install it apart: python -m venv DIR; DIR/bin/pip install torch numpy; --torch-python"

# From observations (B, ...) to logits (B, classes), as arrays.
Answer = Callable[[Any], Any]


def observations_of(model: str, batch: int) -> Any:
    """Observations of some calls: uint8 (calls, B, 28, 28), or characters int64 (calls, B)."""
    import numpy as np

    rng = np.random.default_rng(0)
    if model in FILTERS:
        return rng.integers(0, 256, (NUM_CALLS, batch, IMAGE_SIZE, IMAGE_SIZE), dtype=np.uint8)
    return rng.integers(0, READERS[model].characters, (NUM_CALLS, batch))


def trained_agent(model: str) -> Any:
    """An agent of velodrome after a few training steps."""
    import gymnasium as gym
    import numpy as np

    from velodrome import agents
    from velodrome.envs import Dataset

    if model in READERS:
        text, _, layers, hidden = READERS[model]
        env = gym.make("velodrome/Text-v0", name=text)
        reader = agents.CharRNN(cell="lstm", layers=layers, hidden=hidden, learning_rate=0.01)
        reader.train(env, episodes=3, seed=0)
        return reader
    images, labels = observations_of(model, 8).reshape(-1, IMAGE_SIZE, IMAGE_SIZE), np.arange(64) % CLASSES
    env = gym.make("velodrome/Classification-v0", dataset=Dataset("noise", images, labels, images, labels))
    agent = {"simple_cnn": agents.SimpleCNN, "deep_cnn": agents.DeepCNN}[model]()
    agent.train(env, episodes=3 * len(images), seed=0)
    return agent


def weights_of(agent: Any, folder: Path) -> list[Any]:
    """Weights of an agent in Keras' order."""
    import numpy as np

    agent.save(folder)
    with np.load(folder / "arrays.npz") as stored:
        arrays = {name: stored[name] for name in stored}
    if "network/weights" in arrays:
        network = agent._network(agent.binding.task)
        parts = np.split(arrays["network/weights"], np.cumsum(network.sizes)[:-1])
        return [part.reshape(shape) for part, shape in zip(parts, network.shapes, strict=True)]
    names = [name for name in arrays if name.startswith("network/weights/")]
    return [arrays[name] for name in sorted(names, key=lambda name: (name.split("/")[2], name.endswith("/bias")))]


def velodrome_agent(model: str, folder: Path) -> Any:
    """The agent of velodrome; its weights and logits are left in the folder for the others."""
    import numpy as np

    agent = trained_agent(model)
    arrays = {f"weight {place:02}": array for place, array in enumerate(weights_of(agent, folder / model))}
    for batch in SIZES:
        observations = observations_of(model, batch)
        if model in READERS:
            logits = agent.predict_logits(observations.T).transpose(1, 0, 2)
        else:
            logits = np.stack([agent.predict_logits(each) for each in observations])
        agent.begin_episode()
        acted = np.stack([agent.act(each[0] if batch == 1 else each) for each in observations])
        if not (acted.reshape(NUM_CALLS, batch) == logits.argmax(axis=-1)).all():
            raise RuntimeError(f"{model}: act gives other classes than predict_logits")
        arrays[f"logits {batch}"] = logits
    np.savez(folder / f"{model}.npz", **arrays)
    return agent


def keras_answer(way: str, model: str, batch: int, weights: list[Any]) -> Answer:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import numpy as np
    import tensorflow as tf

    if model in READERS:
        _, characters, layers, hidden = READERS[model]
        options = {"batch_shape": (batch, 1, characters)}
        network = keras_reader("lstm", characters, hidden, layers, input_options=options, stateful=True)
        one_hot = np.eye(characters, dtype=np.float32)[:, np.newaxis]
    else:
        network = keras_classifier(model)
    network.set_weights(weights)
    specification = tf.TensorSpec((batch, *network.input_shape[1:]), tf.float32)
    traced = tf.function(lambda values: network(values, training=False), input_signature=[specification])
    asked: Answer = {
        "keras predict": lambda values: network.predict(values, batch_size=batch, verbose=0),
        "keras predict_on_batch": network.predict_on_batch,
        "keras model(x)": lambda values: network(values, training=False).numpy(),
        "keras tf.function": lambda values: traced(values).numpy(),
    }[way]
    if model in READERS:
        return lambda seen: asked(one_hot[seen])[:, 0]
    return lambda seen: asked(seen[..., np.newaxis].astype(np.float32) / np.float32(255))


def pytorch_answer(way: str, model: str, batch: int, weights: list[Any]) -> Answer:
    import numpy as np
    import torch

    torch.set_num_threads(1)
    if model in READERS:
        _, characters, layers, hidden = READERS[model]
        recurrent, head = torch_reader("lstm", characters, hidden, layers, weights)
        state = [torch.zeros(layers, batch, hidden)] * 2
        one_hot = torch.eye(characters)

        def read(seen: Any) -> Any:
            with torch.inference_mode():
                outputs, state[:] = recurrent(one_hot[torch.from_numpy(seen)][None], tuple(state))
                return head(outputs[0]).numpy()

        return read
    network = torch_classifier(model, weights)

    def classify(seen: Any) -> Any:
        pixels = torch.from_numpy(seen[:, np.newaxis].astype(np.float32) / np.float32(255))
        with torch.inference_mode():
            return network(pixels.contiguous(memory_format=torch.channels_last)).numpy()

    return classify


def seconds_a_call(act: Callable[[Any], Any], calls: list[Any], budget: float) -> float:
    """CPU seconds of a call, from as many calls as take at least `budget`."""
    done, elapsed, started = 0, 0.0, time.process_time()
    while elapsed < budget:
        more = max(1, done)
        for place in range(done, done + more):
            act(calls[place % len(calls)])
        done += more
        elapsed = time.process_time() - started
    return elapsed / done


def serve(project: str, folder: Path) -> None:
    """One project's contenders, in a process of its own."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    agents: dict[str, Any] = {}
    acts: dict[tuple[str, str, int], Callable[[Any], Any]] = {}

    def prepare(way: str, model: str) -> dict[str, float]:
        """Make a contender, and say how far its logits are from velodrome's."""
        import numpy as np

        if project == "velodrome":
            agents[model] = agent = velodrome_agent(model, folder)
            for batch in SIZES:
                acts[way, model, batch] = (lambda seen: agent.act(seen[0])) if batch == 1 else agent.act
            return {"difference": 0.0}
        with np.load(folder / f"{model}.npz") as stored:
            arrays = dict(stored)
        weights = [array for name, array in sorted(arrays.items()) if name.startswith("weight")]
        difference = 0.0
        for batch in SIZES:
            answer = (keras_answer if project == "keras" else pytorch_answer)(way, model, batch, weights)
            wanted = arrays[f"logits {batch}"]
            found = np.stack([answer(each) for each in observations_of(model, batch)])
            difference = max(difference, float(np.abs(found - wanted).max() / np.abs(wanted).max()))
            acts[way, model, batch] = lambda seen, answer=answer: answer(seen).argmax(axis=-1)  # type: ignore[misc]
        return {"difference": difference}

    def work(way: str, model: str, batch: int = 0, budget: float = 0.0) -> dict[str, float]:
        if not batch:
            return prepare(way, model)
        if model in agents:
            # A reader goes on with as many texts as it began with.
            agents[model].begin_episode()
        return {"seconds": seconds_a_call(acts[way, model, batch], list(observations_of(model, batch)), budget)}

    measuring.serve(work)


def report(
    load: measuring.Load, model: str, seconds: dict[int, dict[str, list[float]]], differences: dict[str, float]
) -> None:
    """Print a model's table, and keep it."""
    rows = []
    for batch, found in seconds.items():
        ours = measuring.as_time(measuring.median(found["velodrome"]))
        for way in PROJECTS:
            if way in found and way != "velodrome":
                ratios = measuring.speed_ratios(found["velodrome"], found[way])
                theirs = measuring.as_time(measuring.median(found[way]))
                rows.append(measuring.Row(f"{batch} a call", ours, way, theirs, ratios))
            elif way not in found:
                rows.append(measuring.Row(f"{batch} a call", ours, way, measuring.NOT_INSTALLED))
    rounds = len(seconds[1]["velodrome"])
    load.table(model, f"`act` of {model}, CPU time an observation, median of {rounds} rounds", rows)
    print("logits differ by:", ", ".join(f"{way} {differences[way]:.0e}" for way in differences if way != "velodrome"))


def main() -> int:
    """Print a table for each model; 1 if logits differ."""
    given = measuring.arguments(
        __doc__,
        7,
        ("--torch-python", {"default": sys.executable, "help": "interpreter of an environment that has PyTorch"}),
        ("--worker", {"nargs": 2, "help": "(used by the script itself)"}),
    )
    if given.worker:
        serve(given.worker[0], Path(given.worker[1]))
        return 0
    load = measuring.Load(given)
    has_torch = load.has_peer(given.torch_python, "torch")
    ways = {way: project for way, project in PROJECTS.items() if project != "pytorch" or has_torch}
    threads = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}
    budget = 0.001 if given.quick else 0.3
    is_same = True
    with load, tempfile.TemporaryDirectory() as folder:
        pythons = {project: given.torch_python if project == "pytorch" else sys.executable for project in ways.values()}
        workers = {
            project: measuring.Worker(python, "acting.py", "--worker", project, folder, environment=threads)
            for project, python in pythons.items()
        }
        for model in ("simple_cnn", "char_rnn_1x5") if given.quick else MODELS:
            # velodrome comes first, for the others take its weights.
            differences = {way: workers[ways[way]].ask(way=way, model=model)["difference"] for way in ways}
            is_same = is_same and max(differences.values()) <= TOLERANCE
            seconds = {}
            for batch in SIZES:
                contenders = {
                    way: lambda way=way, model=model, batch=batch: measuring.Run(  # type: ignore[misc]
                        batch, workers[ways[way]].ask(way=way, model=model, batch=batch, budget=budget)["seconds"]
                    )
                    for way in ways
                }
                seconds[batch] = measuring.interleave(contenders, given.rounds)
            report(load, model, seconds, differences)
        for worker in workers.values():
            worker.close()
    if "pytorch" not in ways:
        print(SKIPPED)
    print(f"differs: largest difference of logits, as a share of the largest logit; all within {TOLERANCE:g}: "
          f"{'yes' if is_same else 'NO'}")  # fmt: skip
    return 0 if is_same else 1


if __name__ == "__main__":
    sys.exit(main())
