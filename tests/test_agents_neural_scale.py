"""Images of whole numbers are divided by the largest value learnt from, wherever a network reads them."""

import gymnasium as gym
import numpy as np
import pytest

import velodrome as vd
from velodrome.agents import Agent, Ensemble, NeuralBandit, RowRNN, SoftmaxRegression
from velodrome.agents.deep.labelled_task import LabelledTask
from velodrome.envs import Dataset, load_dataset
from velodrome.experiments.trials.environment_profile import EnvironmentProfile

DIGITS = load_dataset("digits")
SUPERVISED = [SoftmaxRegression(), RowRNN(hidden=8), Ensemble(member=SoftmaxRegression(), size=2)]


def scaled(largest, kind="u1"):
    """Digits from 0 to `largest`; as fractions from 0 to 1 those that they come to when divided by it."""
    whole = [np.rint(images * largest) for images in (DIGITS.x_train[:300], DIGITS.x_test[:100])]
    train, test = [images.astype("u1") if kind == "u1" else (images / largest).astype("f4") for images in whole]
    return Dataset("scaled", train, DIGITS.y_train[:300], test, DIGITS.y_test[:100])


def environment(dataset, **arguments):
    return gym.make("velodrome/Classification-v0", dataset=dataset, **arguments)


@pytest.mark.parametrize("largest", [1, 16, 200])
@pytest.mark.parametrize("agent", SUPERVISED, ids=lambda agent: agent.name)
def test_whole_numbers_are_learnt_like_their_fractions(agent, largest, tmp_path):
    first, second = (vd.run(agent, environment(scaled(largest, kind)), epochs=1, seed=0) for kind in ("u1", "f4"))
    assert first.evaluation.success_rate == second.evaluation.success_rate
    assert np.array_equal(first.log.returns, second.log.returns)
    assert first.log.notes == (f"divided the images by {largest}, the largest value of those first learnt from",)
    assert second.log.notes == ()
    images = [scaled(largest, kind).x_test for kind in ("u1", "f4")]
    assert np.array_equal(first.trained.act(images[0]), second.trained.act(images[1]))
    first.trained.save(tmp_path)
    loaded = Agent.load(tmp_path)
    assert np.array_equal(loaded.predict_logits(images[0]), first.trained.predict_logits(images[0]))
    assert [loaded.act(one) for one in images[0][:20]] == first.trained.act(images[0][:20]).tolist()


def test_images_up_to_255_are_divided_by_255_and_nothing_is_said():
    trial = vd.run("softmax_regression", environment(scaled(255)), epochs=1, seed=0)
    assert trial.trained.learner.task.scale == 255.0
    assert trial.log.notes == ()


def test_the_bandit_scales_alike(tmp_path):
    trials = [
        vd.run(NeuralBandit(network=SoftmaxRegression()), environment(scaled(16, kind)), episodes=200, seed=0)
        for kind in ("u1", "f4")
    ]
    assert np.array_equal(trials[0].log.returns, trials[1].log.returns)
    assert trials[0].log.notes == ("divided the images by 16, the largest value of those first learnt from",)
    image = scaled(16).x_test
    trials[0].trained.save(tmp_path)
    for agent in (trials[0].trained, Agent.load(tmp_path)):
        assert np.array_equal(
            agent.expected_rewards(image), trials[1].trained.expected_rewards(scaled(16, "f4").x_test)
        )
        assert [agent.act(one) for one in image[:20]] == agent.act(image[:20]).tolist()


def test_the_scale_that_was_learnt_with_stays_on_other_images():
    agent = SoftmaxRegression()
    agent.train(environment(scaled(16)), epochs=1, seed=0)
    agent.train(environment(scaled(255)), epochs=1)
    assert agent.learner.task.scale == 16.0


def test_images_that_a_wrapper_changes_keep_the_scale_of_their_space():
    env = environment(scaled(16))
    turned = gym.wrappers.TransformObservation(env, lambda image: 255 - image, env.observation_space)
    assert LabelledTask.of("bandit", turned).scale == 255.0
    assert LabelledTask.of("bandit", env).scale == 16.0
    assert LabelledTask.of("bandit", environment(scaled(0))).scale == 255.0


def test_keys_of_trials_change_where_the_scale_does():
    found = {
        largest: EnvironmentProfile.of(
            "digits", lambda largest=largest: environment(scaled(largest))
        ).contents.largest_pixel
        for largest in (1, 16, 255)
    }
    assert found == {1: 1.0, 16: 16.0, 255: None}
    assert EnvironmentProfile.of("digits", lambda: environment(DIGITS)).contents.largest_pixel is None
