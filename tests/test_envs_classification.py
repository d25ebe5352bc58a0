"""Classification: one image a step, in shuffled passes, alone and thousands at once."""

import json
import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import given, strategies as st

import velodrome as vd
from velodrome.agents.resuming.environment_streams import environment_streams, restore_environment_streams
from velodrome.envs import Classification, ClassificationVectorEnv, Dataset, DatasetError, Discretize
from velodrome.envs.make import UnknownEnvironmentError, make_environment
from velodrome.experiments.trials.checkpoints import train_with_checkpoints

ID = "velodrome/Classification-v0"
MODES = [mode.value for mode in AutoresetMode]


def dataset(num_images=7, num_classes=3, shape=(2, 3), fractions=False):
    """Images that are all different."""
    pixels = np.arange(num_images * int(np.prod(shape))).reshape(num_images, *shape)
    images = pixels / pixels.max() if fractions else pixels.astype(np.uint8)
    labels = np.arange(num_images) % num_classes
    return Dataset("small", images, labels, images[:4], labels[:4])


def indices_of(env, episodes, seed=None):
    """Numbers of the images of so many episodes."""
    shown = []
    for _ in range(episodes):
        shown.append(env.reset(seed=seed)[1]["index"])
        seed = None
        env.step(0)
    return shown


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 1), (2, 3, 3), (2, 3, 4)])
@pytest.mark.parametrize("fractions", [False, True])
def test_gymnasiums_checker_passes(shape, fractions):
    env = gym.make(ID, dataset=dataset(shape=shape, fractions=fractions))
    check_env(env.unwrapped)
    assert env.observation_space.dtype == (np.float32 if fractions else np.uint8)
    assert (env.observation_space.high == (1 if fractions else 255)).all()
    assert env.spec.kwargs["dataset"] is env.unwrapped.dataset


def test_a_guess_is_compared_with_the_label():
    small = dataset()
    env = Classification(small)
    observation, info = env.reset(seed=0)
    assert info.keys() == {"index"}
    assert np.array_equal(observation, small.x_train[info["index"]])
    label = int(small.y_train[info["index"]])
    same, reward, terminated, truncated, result = env.step(np.int64(label))
    assert (reward, terminated, truncated) == (1.0, True, False)
    assert result == info | {"label": label, "is_success": True, "pseudo_regret": 0.0}
    assert np.array_equal(same, observation)
    env.reset()
    _, reward, terminated, _, result = env.step((env.examples.labels[env.reset()[1]["index"]] + 1) % 3)
    assert (reward, terminated, result["is_success"]) == (0.0, True, False)


def test_observations_are_the_callers_own():
    env = Classification(dataset())
    observation, info = env.reset(seed=0)
    observation[:] = 0
    assert np.array_equal(env.step(0)[0], env.dataset.x_train[info["index"]])


@given(num_images=st.integers(3, 9), seed=st.integers(0, 2**32), passes=st.integers(1, 4))
def test_every_pass_shows_every_image_once(num_images, seed, passes):
    env = Classification(dataset(num_images))
    shown = indices_of(env, passes * num_images, seed)
    for number in range(passes):
        assert sorted(shown[number * num_images : (number + 1) * num_images]) == list(range(num_images))
    assert indices_of(Classification(dataset(num_images)), len(shown), seed) == shown


def test_passes_and_seeds_have_orders_of_their_own():
    env = Classification()
    size = len(env.examples.labels)
    first, second = indices_of(env, size, seed=1), indices_of(env, size)
    other = indices_of(env, size, seed=2)
    assert len({tuple(order) for order in (first, second, other, range(size))}) == 4


def test_evaluation_episodes_cover_the_test_split_exactly():
    test = vd.run("random", f"{ID}(split='test')", episodes=1, seed=0, evaluation_episodes=360)
    env = Classification(split="test")
    assert sorted(indices_of(env, 360, seed=5)) == list(range(360))
    assert test.evaluation.episodes == 360
    assert test.log.success_rule == "info['is_success']"
    assert test.evaluation.success_rate == test.evaluation.mean_return


def test_splits_are_told_apart():
    sizes = [
        len(Classification(split=split, validation=137).examples.labels) for split in ("train", "validation", "test")
    ]
    assert sizes == [1300, 137, 360]


def test_contents_are_told_by_a_digest_and_not_by_a_path(tmp_path):
    small = dataset()
    parts = {name: getattr(small, name) for name in ("x_train", "y_train", "x_test", "y_test")}
    np.savez(tmp_path / "images.npz", **parts)
    envs = [
        Classification(small),
        Classification(small, split="test"),
        Classification(path=tmp_path / "images.npz", validation=2),
    ]
    assert {env.contents_digest for env in envs} == {small.digest}
    np.savez(tmp_path / "images.npz", **parts | {"y_test": small.y_test[::-1]})
    assert Classification(path=tmp_path / "images.npz").contents_digest != small.digest
    with pytest.raises(AttributeError):
        envs[0].contents_digest = ""


def test_what_was_learnt_on_training_images_is_evaluated_on_test_images():
    for validation in (0, 137):
        judge = Classification(validation=validation).evaluation_environment()
        assert (judge.split, len(judge.examples.labels)) == ("test", 360)
        assert judge.evaluation_environment() is judge
    held_out = Classification(validation=137, split="validation")
    assert held_out.evaluation_environment() is held_out


def test_images_held_out_may_be_the_judges():
    learnt = Classification(validation=137, evaluation="validation")
    judge = learnt.evaluation_environment()
    assert judge.description == "digits: 137 images of the validation split (scikit-learn's digits of 8x8 pixels)"
    assert judge.dataset is learnt.dataset
    for make in (Classification, ClassificationVectorEnv):
        with pytest.raises(DatasetError, match=r"^evaluation='validation' needs validation=, the number of training"):
            make(evaluation="validation")
        with pytest.raises(DatasetError, match=r"^evaluation must be 'test' or 'validation', got 'tset': did you mean"):
            make(evaluation="tset")


def test_descriptions_tell_what_was_shown_but_no_folder(tmp_path):
    assert Classification(split="test").description == (
        "digits: 360 images of the test split (scikit-learn's digits of 8x8 pixels)"
    )
    assert Classification(validation=37).description.startswith("digits: 1,400 images of the train split")
    small = dataset()
    assert Classification(small).description == "small: 7 images of the train split (arrays in memory)"
    one = Dataset("one", small.x_train, small.y_train, small.x_test[:1], small.y_test[:1], source="a scan")
    assert Classification(one, split="test").description == "one: 1 image of the test split (a scan)"
    np.savez(
        tmp_path / "own.npz", x_train=small.x_train, y_train=small.y_train, x_test=small.x_test, y_test=small.y_test
    )
    assert Classification(path=tmp_path / "own.npz").description == "own: 7 images of the train split (own.npz)"


def test_an_environment_made_anew_goes_on_where_its_stream_was():
    env = gym.make(ID, dataset=dataset())
    indices_of(env, 9, seed=3)
    streams = json.dumps(environment_streams(env))
    after = indices_of(env, 12)
    anew = gym.make(ID, dataset=dataset())
    restore_environment_streams(anew, json.loads(streams))
    assert indices_of(anew, 12) == after


def test_training_has_checkpoints(tmp_path):
    def make():
        return Discretize(gym.make(ID), bins=1)

    def train(folder, every_seconds):
        agent = vd.agents.QLearning()
        options = {"every_seconds": every_seconds, "seed": 0, "episodes": 3000}
        return train_with_checkpoints(agent, make, folder=tmp_path / folder, key="one", **options)

    (_, often_log), (_, never_log) = train("often", 0.01), train("never", 1e9)
    assert not [note for note in often_log.notes if "checkpoint" in note]
    assert np.array_equal(often_log.returns, never_log.returns)


def test_a_pickled_environment_goes_on_alike():
    env = Classification(dataset())
    indices_of(env, 4, seed=0)
    copied = pickle.loads(pickle.dumps(env))
    assert indices_of(copied, 9) == indices_of(env, 9)


def test_a_bandit_over_the_labels_finds_the_most_frequent_one():
    labels = np.array([0] * 2 + [1] * 16 + [2] * 2)
    images = np.arange(80, dtype=np.uint8).reshape(20, 2, 2)
    env = Discretize(gym.make(ID, dataset=Dataset("uneven", images, labels, images, labels)), bins=1)
    agent = vd.agents.QLearning(learning_rate=0.1, policy=vd.policies.EpsilonGreedy(epsilon=0.2))
    agent.train(env, episodes=300, seed=0)
    assert agent.act(0) == 1


def test_tabular_agents_say_what_they_need():
    with pytest.raises(ValueError, match=r"^q_learning needs a finite[^\n]*a table is too small for pictures"):
        vd.run("q_learning", ID, episodes=1)


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 3), (500, 10, 4)])
@pytest.mark.parametrize("fractions", [False, True])
def test_pictures_show_whether_the_guess_was_right(shape, fractions):
    small = dataset(4, 2, shape) if fractions else Dataset("noise", *random_arrays(shape))
    env = Classification(small, render_mode="rgb_array")
    _, info = env.reset(seed=0)
    pictures = [env.render()]
    label = small.y_train[info["index"]]
    env.step(label)
    pictures.append(env.render())
    while env.reset()[1]["index"] != info["index"]:
        pass
    env.step(1 - label)
    pictures.append(env.render())
    corners = {tuple(picture[0, 0]) for picture in pictures}
    assert len(corners) == 3
    assert {(picture.dtype, picture.shape) for picture in pictures} == {(np.dtype(np.uint8), pictures[0].shape)}


def random_arrays(shape):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4, *shape), dtype=np.uint8)
    return images, np.arange(4) % 2, images, np.arange(4) % 2


def test_text_shows_the_image_and_the_guess():
    images = np.zeros((2, 2, 2), dtype=np.uint8)
    images[0, 0, 0] = 255
    env = Classification(Dataset("dots", images, [0, 1], images, [0, 1]), render_mode="ansi")
    while env.reset(seed=None)[1]["index"] != 0:
        pass
    assert env.render() == "@@\n\nlabel 0\n"
    env.step(1)
    assert env.render() == "@@\n\nlabel 0, guessed 1: wrong\n"


def test_misuse_is_told_in_a_line():
    env = Classification(dataset())
    for misuse in (lambda: env.step(0), lambda: Classification(dataset(), render_mode="ansi").render()):
        with pytest.raises(gym.error.ResetNeeded):
            misuse()
    env.reset(seed=0)
    with pytest.raises(ValueError, match="action must be 0 to 2, got 3"):
        env.step(3)
    env.step(0)
    with pytest.raises(gym.error.ResetNeeded, match="every image is guessed once"):
        env.step(0)
    with pytest.warns(UserWarning, match="render_mode"):
        assert env.render() is None
    with pytest.raises(ValueError, match="render_mode must be one of None, 'ansi', 'rgb_array', got 'human'"):
        Classification(render_mode="human")
    with pytest.raises(DatasetError, match="did you mean 'mnist'"):
        Classification("mnits")
    with pytest.raises(UnknownEnvironmentError, match=f"^cannot make {ID}: path 'no.npz' does not exist$"):
        make_environment(ID, path="no.npz")


def vector(num_envs, mode, small, **kwargs):
    envs = gym.make_vec(ID, num_envs=num_envs, dataset=small, autoreset_mode=mode, **kwargs)
    assert type(envs.unwrapped) is ClassificationVectorEnv
    return envs


def sync(num_envs, mode, small):
    return SyncVectorEnv([lambda: Classification(small)] * num_envs, autoreset_mode=mode)


def assert_alike(one, other, structure_only=False):
    """The same nested dictionaries, arrays and types; the same values, too, unless only the structure counts."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_alike(one[key], other[key], structure_only and not key.startswith("_"))
    elif isinstance(one, tuple):
        for part, other_part in zip(one, other, strict=True):
            assert_alike(part, other_part, structure_only)
    elif one.dtype == object:
        assert_alike(tuple(one), tuple(other), structure_only)
    else:
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert structure_only or np.array_equal(one, other)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("num_envs", [1, 5])
def test_it_gives_what_gymnasiums_own_vector_gives(mode, num_envs):
    small = dataset()
    ours, theirs = vector(num_envs, mode, small), sync(num_envs, mode, small)
    assert ours.metadata["autoreset_mode"] is theirs.metadata["autoreset_mode"]
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    assert ours.single_observation_space == theirs.single_observation_space
    # Sub-environments of theirs have seeds of their own, so that only a single one shows the same images.
    others_images = num_envs > 1
    assert_alike(ours.reset(seed=4), theirs.reset(seed=4), others_images)
    mask = np.ones(num_envs, dtype=bool)
    for step in range(20):
        actions = np.full(num_envs, step % 3)
        one, other = ours.step(actions), theirs.step(actions)
        assert_alike(one[2:4], other[2:4])
        assert_alike(one, other, others_images)
        if mode == "Disabled":
            options = [{"reset_mask": mask.copy()} for _ in range(2)]
            assert_alike(ours.reset(options=options[0]), theirs.reset(options=options[1]), others_images)


@pytest.mark.parametrize("mode", MODES)
def test_one_sequence_of_images_is_dealt_out(mode):
    small, num_envs, rounds = dataset(), 3, 8
    alone = indices_of(Classification(small), num_envs * rounds, seed=6)
    envs = vector(num_envs, mode, small)
    observations, infos = envs.reset(seed=6)
    shown = []
    for _ in range(rounds):
        shown += infos["index"].tolist()
        labels = small.y_train[infos["index"]]
        assert np.array_equal(observations, small.x_train[infos["index"]])
        guesses = np.where(np.arange(num_envs) == 1, labels, (labels + 1) % 3)
        previous = observations
        observations, rewards, terminations, truncations, infos = envs.step(guesses)
        assert rewards.tolist() == [0, 1, 0]
        assert terminations.all()
        assert not truncations.any()
        terminations[:] = False
        final = infos["final_info"] if mode == "SameStep" else infos
        assert np.array_equal(final["label"], labels)
        assert final["is_success"].tolist() == [False, True, False]
        if mode == "SameStep":
            assert np.array_equal(np.stack(infos["final_obs"]), previous)
        elif mode == "NextStep":
            observations, rewards, terminations, _, infos = envs.step(guesses)
            assert rewards.tolist() == [0, 0, 0]
            assert not terminations.any()
        else:
            observations, infos = envs.reset(options={"reset_mask": np.ones(num_envs, dtype=bool)})
    assert shown == alone


def test_a_mask_resets_only_what_it_names():
    small = dataset()
    envs = vector(4, AutoresetMode.DISABLED, small)
    before, _ = envs.reset(seed=0)
    envs.step(np.zeros(4, dtype=int))
    mask = np.array([True, False, True, False])
    after, infos = envs.reset(options={"reset_mask": mask})
    assert [np.array_equal(one, other) for one, other in zip(before, after, strict=True)] == (~mask).tolist()
    assert infos["_index"].tolist() == mask.tolist()
    with pytest.raises(gym.error.ResetNeeded, match="sub-environment 1 has ended"):
        envs.step(np.zeros(4, dtype=int))


def test_thousands_of_images_a_step():
    envs = vector(4096, "SameStep", None)
    observations, infos = envs.reset(seed=0)
    assert observations.shape == (4096, 8, 8)
    assert set(np.bincount(infos["index"])) == {2, 3}
    labels = envs.unwrapped.examples.labels[infos["index"]]
    assert envs.step(labels)[1].sum() == 4096


@pytest.mark.parametrize(
    ("misuse", "words"),
    [
        (lambda envs: envs.step(np.zeros(3, dtype=int)), "call reset() before step()"),
        (lambda envs: envs.reset(options={"reset_mask": np.array([True, False, False])}), "without reset_mask first"),
        (lambda envs: (envs.reset(), envs.step([0, 3, 0])), "actions must be 0 to 2, got 3 for sub-environment 1"),
        (lambda envs: (envs.reset(), envs.step([0, 0])), "actions must be 3 whole numbers, one an image, got int64"),
        (lambda envs: (envs.reset(), envs.step(np.zeros(3))), "got float64 (3,)"),
        (lambda envs: envs.reset(options={"reset_mask": np.zeros(3, dtype=bool)}), "with at least one True"),
        (lambda envs: ClassificationVectorEnv(0), "num_envs must be a whole number of at least 1, got 0"),
        (
            lambda envs: ClassificationVectorEnv(1, autoreset_mode="SmeStep"),
            "autoreset_mode must be one of 'NextStep', 'SameStep', 'Disabled', got 'SmeStep': did you mean 'SameStep'?",
        ),
        (lambda envs: ClassificationVectorEnv(1, render_mode="ansi"), "render_mode must be one of None, got 'ansi'"),
    ],
)
def test_misuse_of_the_vector_is_told_in_a_line(misuse, words):
    with pytest.raises((ValueError, gym.error.ResetNeeded)) as caught:
        misuse(vector(3, "NextStep", dataset()))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
