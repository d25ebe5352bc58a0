"""The real MNIST, where it is on this machine: what two epochs of the lectures' digits are worth."""

import pytest

from velodrome.agents import ModernCNN, SimpleCNN
from velodrome.envs.labelled.datasets.mnist import find_file
from velodrome.envs.make import make_environment

ID = "velodrome/Classification-v0"
NUM_TRAINED, NUM_HELD_OUT = 55_000, 5_000


@pytest.fixture(autouse=True)
def on_this_machine():
    # Asked for by name, what is not there would be downloaded.
    if find_file("mnist") is None:
        pytest.skip("mnist.npz is neither in the folder that VELODROME_DATA names nor in Keras' cache")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make_agent", "least"),
    [
        # 10,000 test images: one standard deviation is 0.0014 and 0.0010.
        pytest.param(SimpleCNN, 0.980, id="simple_cnn"),
        pytest.param(ModernCNN, 0.990, id="modern_cnn"),
    ],
)
def test_two_epochs_of_mnist(make_agent, least):
    env = make_environment(ID, dataset="mnist", validation=NUM_HELD_OUT)
    agent = make_agent()
    log = agent.train(env, episodes=2 * NUM_TRAINED, seed=0)
    assert len(env.unwrapped.examples.labels) == NUM_TRAINED
    assert len(agent.losses) == 2 * NUM_TRAINED // agent.batch_size
    # Before each update, and with images moved for the modern network.
    assert log.returns[-NUM_TRAINED:].mean() > log.returns[:NUM_TRAINED].mean() > 0.8
    test = make_environment(ID, dataset="mnist", split="test").unwrapped.examples
    assert agent.accuracy(test.inputs, test.labels) >= least
