"""Text: one character a step."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, strategies as st

import velodrome as vd
from velodrome.checks import ConfigurationError
from velodrome.envs import TEXTS, DatasetError, NoTransitionModelError, Text, TransitionModel
from velodrome.envs.make import UnknownEnvironmentError, make_environment

ID = "velodrome/Text-v0"


def read(env, guess, seed=None):
    """One episode: the observations, the rewards and the infos."""
    observation, info = env.reset(seed=seed)
    observations, rewards, infos = [observation], [], [info]
    terminated = False
    while not terminated:
        observation, reward, terminated, truncated, info = env.step(guess(env, infos[-1]))
        assert not truncated
        observations.append(observation)
        rewards.append(reward)
        infos.append(info)
    return observations, rewards, infos


def right(env, info):
    return env.encoded[info["index"] + 1]


def wrong(env, info):
    return (right(env, info) + 1) % len(env.vocabulary)


@pytest.mark.parametrize("kwargs", [{}, {"name": "long_sentence", "window": 10}, {"text": "aa"}])
def test_gymnasiums_checker_passes(kwargs):
    check_env(gym.make(ID, **kwargs).unwrapped)


@given(st.text(min_size=2, max_size=30), st.data())
def test_an_episode_is_a_stretch_of_the_text(text, data):
    window = data.draw(st.none() | st.integers(1, len(text) - 1))
    env = Text(text, window=window)
    assert env.vocabulary == "".join(sorted(set(text)))
    observations, rewards, infos = read(env, right, seed=0)
    length = window or len(text) - 1
    start = infos[0]["index"]
    assert "".join(env.vocabulary[number] for number in observations) == text[start : start + length + 1]
    assert rewards == [1.0] * length
    assert [info["label"] for info in infos[1:]] == observations[1:]
    assert [info["is_success"] for info in infos[1:]] == [False] * (length - 1) + [True]


@given(st.text(min_size=2, max_size=12), st.data())
def test_windows_come_in_shuffled_passes(text, data):
    window = data.draw(st.integers(1, len(text) - 1))
    env = Text(text, window=window)
    inputs, labels = env.examples
    assert len(inputs) == len(text) - window
    for _ in range(2):
        starts = [env.reset()[1]["index"] for _ in inputs]
        assert sorted(starts) == list(range(len(inputs)))
    observations, _, infos = read(env, right)
    start = infos[0]["index"]
    assert (observations[:-1], observations[1:]) == (inputs[start].tolist(), labels[start].tolist())


def test_one_mistake_is_no_success():
    env = Text("hello")
    _, rewards, infos = read(env, lambda env, info: wrong(env, info) if info["index"] == 1 else right(env, info))
    assert rewards == [1.0, 0.0, 1.0, 1.0]
    assert infos[-1]["is_success"] is False


def test_the_lectures_texts():
    assert {name: (len(text), len(set(text))) for name, text in TEXTS.items()} == {
        "hello": (5, 4),
        "hihello": (7, 5),
        "if_you_want_you": (16, 10),
        "long_sentence": (180, 25),
    }
    assert [Text(name=name).text for name in TEXTS] == list(TEXTS.values())
    assert Text().text == "hihello"
    inputs, labels = Text(name="long_sentence", window=10).examples
    assert inputs.shape == labels.shape == (170, 10)
    assert not inputs.flags.writeable
    assert not labels.flags.writeable


def test_a_file_is_taken_as_it_is(tmp_path):
    for content in (b"ab\nba\n", "\ufeffab\nba\n".encode()):
        (tmp_path / "text.txt").write_bytes(content)
        assert Text(path=tmp_path / "text.txt").text == "ab\nba\n"


def test_another_texts_vocabulary_makes_the_same_numbers_of_the_same_characters():
    long = Text(name="long_sentence")
    short = Text("a ship", vocabulary=long.vocabulary)
    assert short.vocabulary == long.vocabulary
    assert "".join(long.vocabulary[number] for number in short.encoded) == "a ship"
    assert (short.observation_space, short.action_space) == (long.observation_space, long.action_space)
    check_env(gym.make(ID, text="a ship", vocabulary=long.vocabulary).unwrapped)
    observations, rewards, _ = read(short, right, seed=0)
    assert rewards == [1.0] * 5
    assert observations == short.encoded.tolist()


def test_the_order_of_a_given_vocabulary_is_of_no_matter():
    assert Text("hello", vocabulary="zoleh").vocabulary == "ehloz"
    assert Text("hello", vocabulary="ehlo").contents_digest == Text("hello").contents_digest


def test_line_ends_of_a_file_are_characters(tmp_path):
    (tmp_path / "text.txt").write_bytes(b"ab\r\nba\r")
    assert Text(path=tmp_path / "text.txt").text == "ab\r\nba\r"


def test_contents_are_told_by_a_digest_and_not_by_a_path(tmp_path):
    (tmp_path / "one.txt").write_text("hihello", encoding="utf-8")
    (tmp_path / "other.txt").write_text("hihello", encoding="utf-8-sig")
    envs = [Text(), Text("hihello"), *(Text(path=tmp_path / f"{name}.txt", window=3) for name in ("one", "other"))]
    digests = {env.contents_digest for env in envs}
    assert digests == {"b6cad500cf4e0b3cc91df0998c3f1e81b916e2b84c63cd24723cd52bfd114020"}
    (tmp_path / "one.txt").write_text("hihallo")
    digests.add(Text(path=tmp_path / "one.txt").contents_digest)
    # What is in the vocabulary and what in the text is told apart, and any text has a digest.
    digests |= {Text(text, vocabulary=letters).contents_digest for text, letters in (("abab", "ab"), ("ab", "ab"))}
    digests.add(Text("hihello", vocabulary="ehilox").contents_digest)
    digests.add(Text("\ud800\udc00").contents_digest)
    assert len(digests) == 6
    with pytest.raises(AttributeError):
        envs[0].contents_digest = ""


def test_texts_say_what_they_are_and_are_evaluated_as_they_are(tmp_path):
    (tmp_path / "own.txt").write_text("ab" * 1000)
    descriptions = {
        Text().description: "hihello: 1 text of 6 guesses",
        Text(name="hello", window=4).description: "hello: 1 text of 4 guesses",
        Text(name="long_sentence", window=10).description: "long_sentence: 170 windows of 10",
        Text("ab\n").description: "'ab\\n': 1 text of 2 guesses",
        Text("ab").description: "'ab': 1 text of 1 guess",
        Text(path=tmp_path / "own.txt", window=9).description: "own.txt: 1,991 windows of 9",
    }
    assert list(descriptions) == list(descriptions.values())
    assert len(Text("ab" * 1000).description) < 100
    text = Text()
    assert text.evaluation_environment() is text


def test_a_tabular_agent_learns_what_can_be_known_without_memory():
    trial = vd.run("q_learning(discount=0)", f"{ID}(text='abcab')", episodes=200, seed=0)
    assert (trial.evaluation.success_rate, trial.evaluation.mean_return) == (1.0, 4.0)
    assert trial.log.loop == "generic"
    assert trial.log.success_rule == "info['is_success']"
    aliased = vd.run("q_learning(discount=0)", ID, episodes=200, seed=0)
    assert (aliased.evaluation.success_rate, aliased.evaluation.mean_return) == (0.0, 4.0)


def test_observations_are_no_states():
    with pytest.raises(NoTransitionModelError):
        TransitionModel.of(gym.make(ID))


def test_text_is_shown_with_the_guesses_below():
    env = Text("ab\nab", render_mode="ansi")
    env.reset(seed=0)
    assert env.render() == "text    a\nguessed  \n0 of 0 right\n"
    for guess in (2, 0, 2):
        env.step(guess)
    assert env.render() == "text    ab·a\nguessed  b·b\n2 of 3 right\n"
    long = Text("ab" * 100, render_mode="ansi")
    read(long, right)
    assert max(map(len, long.render().splitlines())) == len("guessed ") + 60


def test_misuse_is_told_in_a_line():
    env = Text("ab")
    for misuse in (lambda: env.step(0), lambda: Text(render_mode="ansi").render()):
        with pytest.raises(gym.error.ResetNeeded):
            misuse()
    env.reset(seed=0)
    with pytest.raises(ValueError, match="action must be 0 to 1, got 2"):
        env.step(2)
    env.step(1)
    with pytest.raises(gym.error.ResetNeeded, match="no next character"):
        env.step(1)
    with pytest.warns(UserWarning, match="render_mode"):
        assert env.render() is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"text": ""}, "text must have at least two characters, one to read and one to guess, got ''"),
        ({"text": "a"}, "got 'a'"),
        ({"text": 5}, "text must be a text, got 5"),
        ({"name": "hihelo"}, "'long_sentence', got 'hihelo': did you mean 'hihello'?"),
        ({"name": ["hello"]}, "got ['hello']"),
        ({"text": "ab", "name": "hello"}, "give one of text=, path= and name=, got text= and name="),
        ({"path": "no.txt"}, "path 'no.txt' does not exist"),
        ({"path": "empty.txt"}, "the text in 'empty.txt' must have at least two characters"),
        ({"path": "latin.txt"}, "latin.txt is not UTF-8: byte 1 is 0xe4"),
        ({"path": "."}, "cannot be read"),
        ({"vocabulary": "ehil"}, "character 'o' of the text is not in the vocabulary 'ehil'"),
        ({"vocabulary": ""}, "character 'h' of the text is not in the vocabulary ''"),
        ({"vocabulary": "ehillo"}, "vocabulary must have each character once, got 'l' 2 times"),
        ({"vocabulary": ["h", "i"]}, "vocabulary must be a text of different characters, got ['h', 'i']"),
        ({"text": "a\nb", "vocabulary": "ab"}, "character '\\n' of the text is not in the vocabulary 'ab'"),
        ({"window": 0}, "window must be a whole number of at least 1 and at most 6, got 0"),
        ({"window": 7}, "window must be a whole number of at least 1 and at most 6, got 7"),
        ({"render_mode": "rgb_array"}, "render_mode must be one of None, 'ansi', got 'rgb_array'"),
    ],
)
def test_bad_arguments_are_one_line(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "latin.txt").write_bytes(b"h\xe4h")
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the words are checked below
        Text(**arguments)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    expected = ConfigurationError if arguments.keys() & {"window", "render_mode"} else DatasetError
    assert type(caught.value) is expected
    with pytest.raises(UnknownEnvironmentError, match=f"^cannot make {ID}: "):
        make_environment(ID, **arguments)


def test_the_dtype_of_the_encoded_text():
    assert Text().encoded.dtype == np.int64
