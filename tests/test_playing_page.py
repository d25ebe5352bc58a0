"""The page that plays: what it holds, what it does in a browser, and that its learner is ours to the bit."""

import base64
import json
import re
import time
import warnings
from html import unescape
from itertools import pairwise
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from test_experiments_report import Page

import velodrome as vd
from velodrome.agents.engine.seeding import environment_generator, environment_seed, role_generator
from velodrome.envs.grid_layout import grid_layout
from velodrome.envs.model.transition_model import TransitionModel
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.reporting import playing_page_html, write_playing_page
from velodrome.experiments.reporting.live_world import live_world
from velodrome.experiments.reporting.page_words import KEYS, PARTS
from velodrome.experiments.specification.catalogue import build_agent
from velodrome.experiments.specification.environment_configuration import build_environment

HOSTILE = "</script><b onload=alert(1)>&"
LAKE, SLIPPERY = "FrozenLake-v1(is_slippery=False)", "FrozenLake-v1"
GRID = "velodrome/GridWorld-v0(map_text='S..#/.#.G/S.X.', slip=0.3, step_reward=-0.1)"
AGENTS = {
    HOSTILE: "dummy_q(ties='first')",
    "동점은 무작위": "dummy_q",
    "constant": "constant(action=0)",
    "short": "dummy_q(discount=0.8)",
    "shorter": "dummy_q(discount=0.6)",
    "ε": "q_learning(policy=epsilon_greedy(epsilon=0.3))",
}


@pytest.fixture(scope="module")
def lake():
    """Agents on two lakes, with snapshots."""
    environments = {"lake": LAKE, "slippery & wet": SLIPPERY}
    return vd.compare(AGENTS, environments, seeds=3, episodes=100, snapshots=11, name="<lake>", workers=0)


@pytest.fixture(scope="module")
def page(lake, tmp_path_factory):
    return write_playing_page(lake, tmp_path_factory.mktemp("page") / "page.html")


def made(expression):
    return build_environment(expression).make()


def data_of(html):
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    return json.loads(text)


# ---- What the file holds -------------------------------------------------------------------------------------------


def test_page_is_well_formed_and_asks_for_nothing(page, lake):
    html = page.read_text(encoding="utf-8")
    read = Page(html)
    assert not re.search(r"https?://|@import|javascript:|<link|\bsrc=|\bfetch\(|XMLHttpRequest|import\(", html)
    assert "default-src 'none'" in html
    assert "unsafe" not in html
    assert html.count("<script") == 2
    assert len(set(read.identifiers)) == len(read.identifiers)
    assert HOSTILE not in html
    assert len(html) < 300_000
    assert playing_page_html(lake) == html


def test_data_are_the_snapshots(page, lake):
    data = data_of(page.read_text(encoding="utf-8"))
    first = data["environments"][0]
    # A constant action has no action values.
    assert [agent["label"] for agent in first["agents"]] == [label for label in AGENTS if label != "constant"]
    assert [agent["ties"] for agent in first["agents"]][:2] == ["first", "random"]
    assert [agent["parameter"] for agent in first["agents"]][-2:] == ["", "ε"]
    # Of many agents the two that differ in ties alone are shown, on the seed where that matters most.
    assert first["shown"] == [0, 1]
    trial = first["agents"][1]["trials"][0]
    snapshots = lake.snapshots("lake", "동점은 무작위")[trial["seed"]]
    values = np.frombuffer(base64.b64decode(trial["values"]), "<i2").reshape(snapshots.action_values.shape)
    assert (
        np.abs(values * trial["scale"] - snapshots.action_values).max() <= np.abs(snapshots.action_values).max() / 5e4
    )
    tied = np.frombuffer(base64.b64decode(trial["tied"]), "u1").reshape(-1, 16)
    assert (tied[0] == 0b1111).all()
    assert trial["episodes"] == snapshots.episodes.tolist()
    visits = np.expm1(np.frombuffer(base64.b64decode(trial["visits"]), "<u2") * trial["visitScale"])
    assert np.allclose(visits, snapshots.visits.ravel(), rtol=2e-3, atol=0.4)


def test_large_tables_are_thinned_or_refused(lake, monkeypatch):
    def size(most):
        monkeypatch.setattr("velodrome.experiments.reporting.playing_page.LARGEST_TABLES", most)
        first = data_of(playing_page_html(lake))["environments"][0]
        trials = first["agents"][0]["trials"]
        assert first["seed"] in [trial["seed"] for trial in trials]
        return len(trials), len(trials[0]["episodes"])

    # Of one seed of all agents on both lakes: 16 states of 4 values in two bytes, ties in one, visits in two.
    one = 2 * 5 * 235
    assert size(one * 33) == (3, 11)
    assert size(one * 22) == (2, 11)
    assert size(one * 4) == (1, 4)
    with pytest.raises(ExperimentError, match=r"more than 0\.0: show fewer agents"):
        size(10)


def test_korean_page_opens_in_korean(lake):
    html = playing_page_html(lake, language="ko")
    assert '<html lang="ko">' in html
    words = data_of(html)["words"]
    assert words["en"].keys() == words["ko"].keys()
    same = {name for name, text in words["en"].items() if words["ko"][name] == text}
    assert same == set()
    with pytest.raises(ExperimentError, match="language must be one of en, ko"):
        playing_page_html(lake, language="fr")


def test_a_notebook_displays_it_in_a_frame(lake):
    shown = lake.playing_page('seed=1&hide="keys"', language="ko")
    frame = shown._repr_html_()
    assert frame.startswith('<iframe title="velodrome" lang="ko" data-address="seed=1&amp;hide=&quot;keys&quot;"')
    assert unescape(re.search(r'srcdoc="([^"]*)"', frame)[1]) == playing_page_html(lake, language="ko")
    assert "lang=" not in lake.playing_page()._repr_html_().partition("srcdoc")[0]
    assert repr(shown) == "<FramedPage>"


def test_what_a_page_cannot_show_is_said(lake):
    bare = vd.compare(["q_learning"], LAKE, seeds=1, episodes=5, workers=0)
    with pytest.raises(ExperimentError, match="has no learning snapshots of agents with action values: give"):
        playing_page_html(bare)
    blackjack = vd.compare(["q_learning"], "Blackjack-v1", seeds=1, episodes=5, snapshots=2, workers=0)
    with pytest.raises(ExperimentError, match="Blackjack-v1: the states lie on no grid or chain"):
        playing_page_html(blackjack)


def test_taxi_has_a_map_for_each_passenger_and_goal():
    taxi = vd.compare(["q_learning"], "Taxi-v4", seeds=1, episodes=3, snapshots=2, workers=0)
    (first,) = data_of(playing_page_html(taxi))["environments"]
    assert (first["rows"], first["columns"], len(first["panels"])) == (5, 5, 20)
    assert first["world"] is None
    assert first["metric"] == "success"
    assert None in first["moves"]


@pytest.mark.parametrize(
    ("expression", "is_world"),
    [
        (LAKE, True),
        (SLIPPERY, True),
        (GRID, True),
        ("CliffWalking-v1", True),
        ("Taxi-v4", False),
        ("velodrome/DeepSea-v0", False),
    ],
)
def test_only_worlds_of_cells_can_be_changed(expression, is_world):
    env = made(expression)
    assert (live_world(TransitionModel.of(env), grid_layout(env)) is not None) is is_world


# ---- In a browser --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(browser):
    browser.set_window_size(1280, 900)
    return browser


def open_at(browser, page, fragment):
    """The page as it opens with a state in its address."""
    browser.get("about:blank")
    # What the browser asked for before, and its own pages.
    browser.get_log("performance")
    browser.get(f"{page.as_uri()}#{fragment}")


def state_of(browser, name):
    return browser.execute_script("return velodrome.state[arguments[0]]", name)


def address_of(browser):
    return dict(part.split("=", 1) for part in browser.current_url.partition("#")[2].split("&") if part)


def press(browser, *keys):
    from selenium.webdriver import ActionChains

    ActionChains(browser).send_keys(*keys).perform()


def click(browser, selector):
    found = browser.find_element("css selector", selector)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", found)
    found.click()


def set_value(browser, identifier, value, event="change"):
    browser.execute_script(
        "const one = document.getElementById(arguments[0]); one.value = arguments[1];"
        "one.dispatchEvent(new Event('input', {bubbles: true})); one.dispatchEvent(new Event(arguments[2]))",
        identifier, value, event,
    )  # fmt: skip


def wait_for(condition):
    for _ in range(100):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come")


def colours_of(browser, selector):
    """Colours in a canvas, each with the number of its points."""
    return browser.execute_script(
        "const one = document.querySelector(arguments[0]); const counts = {};"
        "const points = one.getContext('2d').getImageData(0, 0, one.width, one.height).data;"
        "for (let at = 0; at < points.length; at += 4) {"
        "  const name = points.slice(at, at + 3).join(); counts[name] = (counts[name] ?? 0) + 1; } return counts",
        selector,
    )


def uniforms_and_training(expression, rule, ties, steps, seed):
    """What an agent of ours did in an environment, and the uniform numbers that both drew."""
    env = Recorded(made(expression))
    agent = build_agent(f"{rule}(learning_rate=0.3, discount=0.97, policy=epsilon_greedy(epsilon=0.2, ties='{ties}'))")
    agent.train(env, steps=steps, seed=seed)
    of_world = environment_generator(environment_seed(seed)).random(2 * steps).tolist()
    return agent, env.transitions, of_world, role_generator(seed, "agent").random(3 * steps).tolist()


class Recorded(gym.Wrapper):
    """Keeps what every step led to."""

    def __init__(self, env):
        super().__init__(env)
        self.transitions = []

    def reset(self, **options):
        self.state, info = self.env.reset(**options)
        return self.state, info

    def step(self, action):
        before, answer = self.state, self.env.step(action)
        self.state, reward, terminated, truncated, _ = answer
        self.transitions.append([int(before), int(action), float(reward), int(self.state), terminated or truncated])
        return answer


LEARN = """
const [given, settings, ofWorld, ofLearner, steps] = arguments;
const from = (numbers) => { let place = 0; return () => numbers[place++]; };
const world = new velodrome.GridWorld(given);
const training = new velodrome.LiveTraining(world, settings, from(ofWorld), from(ofLearner));
const taken = Array.from({length: steps}, () => training.step());
return [taken, [...training.learner.values], [...training.learner.visits]]
"""


def assert_same_as_ours(browser, expression, rule, ties, steps=400):
    agent, transitions, of_world, of_learner = uniforms_and_training(expression, rule, ties, steps, seed=5)
    env = made(expression)
    world = live_world(TransitionModel.of(env), grid_layout(env))
    settings = {"rule": rule, "ties": ties, "epsilon": 0.2, "learningRate": 0.3, "discount": 0.97}
    taken, values, visits = browser.execute_script(LEARN, world, settings, of_world, of_learner, steps)
    assert taken == transitions
    # Every bit: JSON carries the shortest text that means the same float64.
    assert np.array(values, dtype=np.float64).tobytes() == agent.action_values.tobytes()
    assert visits == agent.visit_counts.ravel().tolist()


def test_browser_plays_it_without_errors_or_requests(browser, page):
    open_at(browser, page, "")
    assert state_of(browser, "playing") is True
    open_at(browser, page, "episode=0&agents=0,1&seed=0")
    assert state_of(browser, "playing") is False
    press(browser, " ")
    wait_for(lambda: state_of(browser, "at") > 1)
    press(browser, " ")
    assert state_of(browser, "playing") is False
    assert int(address_of(browser)["episode"]) >= 10
    press(browser, "?")
    assert browser.find_element("id", "keys").get_attribute("open")
    assert_same_as_ours(browser, SLIPPERY, "q_learning", "random")
    assert [entry["message"] for entry in browser.get_log("browser")] == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [one["params"]["request"]["url"] for one in events if one["method"] == "Network.requestWillBeSent"]
    assert {url.partition("#")[0] for url in asked} == {page.as_uri()}
    own = browser.execute_script("const own = Object.keys(window); return [typeof velodrome, own.includes('data')]")
    assert own == ["object", False]


def test_in_a_frame_it_is_as_tall_as_it_needs_and_speaks_as_the_page_around(browser, lake, tmp_path):
    around = tmp_path / "around.html"
    frame = lake.playing_page("episode=0&seed=1&hide=live,keys")._repr_html_()
    around.write_text(f'<!DOCTYPE html><html lang="ko"><meta charset="utf-8">{frame}</html>', encoding="utf-8")
    open_at(browser, around, "")
    height = "return document.querySelector('iframe').contentDocument.querySelector('#page')?.offsetHeight"
    wait_for(lambda: browser.execute_script(height))
    wait_for(
        lambda: browser.find_element("css selector", "iframe").size["height"] == browser.execute_script(height) > 100
    )
    browser.switch_to.frame(0)
    assert [state_of(browser, name) for name in ("language", "seed", "playing")] == ["ko", 1, False]
    assert state_of(browser, "hide") == ["live", "keys"]
    browser.switch_to.default_content()
    assert browser.current_url == f"{around.as_uri()}#"
    assert [entry["message"] for entry in browser.get_log("browser")] == []


@pytest.mark.slow
@pytest.mark.parametrize("ties", ["first", "random"])
@pytest.mark.parametrize("rule", ["q_learning", "sarsa"])
@pytest.mark.parametrize("expression", [LAKE, SLIPPERY, GRID, "CliffWalking-v1(max_episode_steps=50)"])
def test_learner_of_the_page_learns_as_ours_to_the_bit(browser, page, expression, rule, ties):
    open_at(browser, page, "episode=0")
    assert_same_as_ours(browser, expression, rule, ties, steps=3000)


@pytest.mark.slow
def test_changed_world_of_the_page_is_the_environment_with_that_map(browser, page):
    env = made("velodrome/GridWorld-v0(map_text='S..#/.#.G/S.X.', slip=0.3)")
    world = live_world(TransitionModel.of(env), grid_layout(env))
    changed = TransitionModel.of(
        made("velodrome/GridWorld-v0(map_text='S..#/.#.G/S#X.', slip=0.5, goal_reward=7, pit_reward=-2)")
    )
    open_at(browser, page, "episode=0")
    found = browser.execute_script(
        "const world = new velodrome.GridWorld(arguments[0]); world.walls[9] = true; world.slip = 0.5;"
        "world.rewards[7] = 7; world.rewards[10] = -2;"
        "return Array.from({length: 12}, (_, cell) => [0, 1, 2, 3].map((action) => world.outcomes(cell, action)))",
        world,
    )
    for state in (0, 1, 2, 4, 6, 8, 11):
        for action in range(4):
            first = int(changed.offsets[4 * state + action])
            ours = [
                [changed.probabilities[at], changed.next_states[at], changed.rewards[at], changed.terminated[at]]
                for at in range(first, int(changed.offsets[4 * state + action + 1]))
            ]
            assert found[state][action] == ours


@pytest.mark.slow
def test_browser_moves_by_slider_keys_and_speed(browser, page):
    open_at(browser, page, "episode=30&speed=4")
    assert (state_of(browser, "at"), state_of(browser, "speed"), state_of(browser, "playing")) == (3, 4, False)
    set_value(browser, "slider", 7)
    assert address_of(browser)["episode"] == "70"
    assert browser.find_element("id", "episode").text == "70"
    for key, episode in (("\ue012", "60"), ("\ue014", "70"), ("\ue010", "100"), ("\ue011", "0")):
        press(browser, key)
        assert address_of(browser)["episode"] == episode
    press(browser, "-")
    assert address_of(browser)["speed"] == "2"
    set_value(browser, "speed", 8)
    assert address_of(browser)["speed"] == "8"
    click(browser, "#play")
    wait_for(lambda: state_of(browser, "playing") is False)
    assert address_of(browser)["episode"] == "100"


@pytest.mark.slow
def test_browser_shows_agents_and_layers_by_key_and_click(browser, page):
    open_at(browser, page, "episode=100")
    assert len(browser.find_elements("css selector", "#maps figure")) == 2
    press(browser, "3")
    assert len(browser.find_elements("css selector", "#maps figure")) == 3
    assert address_of(browser)["agents"] == "0,1,2"
    pictures = []
    for key, shown in (
        ("t", "arrows,triangles"),
        ("n", "arrows,visits"),
        ("m", "arrows,visits,numbers"),
        ("v", "values,arrows,numbers"),
    ):
        press(browser, key)
        assert address_of(browser)["show"] == shown
        pictures.append(colours_of(browser, "#maps figure:nth-child(2) canvas"))
    assert all(one != other for one, other in pairwise(pictures))
    press(browser, "e")
    assert address_of(browser)["environment"] == "1"
    press(browser, "l")
    assert browser.find_element("css selector", "html").get_attribute("lang") == "ko"
    light = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    press(browser, "d")
    assert browser.execute_script("return getComputedStyle(document.body).backgroundColor") != light


@pytest.mark.slow
def test_browser_shows_what_ties_do(browser, page):
    """First index: every greedy action of an empty table is left, and it stays empty; at random it fills."""
    open_at(browser, page, "episode=100&agents=0,1")
    filled = browser.execute_script(
        "return velodrome.data.environments[0].agents.slice(0, 2).map((agent) => {"
        "const trial = agent.trials.find((one) => one.seed === velodrome.state.seed);"
        "return trial.tables.values.filter((value) => value > 0).length })"
    )
    assert filled[0] == 0
    assert filled[1] > 0
    first, random = (colours_of(browser, f"#maps figure:nth-child({place}) canvas") for place in (1, 2))
    assert "0,103,168" not in first
    assert random["0,103,168"] > 1000


@pytest.mark.slow
def test_browser_hides_controls_for_lectures(browser, page):
    hidden = ["title", "agents", "live", "keys"]
    open_at(browser, page, f"episode=0&hide={','.join(hidden)},nothing")
    shown = {part: browser.find_element("css selector", f"[data-part={part}]").is_displayed() for part in PARTS}
    assert [part for part in PARTS if not shown[part]] == hidden
    press(browser, "h")
    assert browser.find_element("css selector", "[data-part=title]").is_displayed()
    press(browser, "?")
    click(browser, "#parts input[value=curves]")
    assert address_of(browser)["hide"] == "title,agents,curves,live,keys"
    press(browser, "h")
    assert not browser.find_element("id", "curves").is_displayed()


@pytest.mark.slow
def test_browser_adapts_to_a_reward_that_is_changed_while_it_learns(browser, page):
    open_at(browser, page, "episode=0&live=1&live-speed=8")
    wait_for(lambda: browser.execute_script("return velodrome.state.training.returns.number") > 300)
    assert browser.execute_script("return velodrome.state.training.learner.best(0)") > 0
    world = browser.find_element("id", "world")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'}); arguments[0].focus()", world)
    world.click()
    assert state_of(browser, "cell") == 5
    press(browser, "\ue013", "\ue012")
    assert state_of(browser, "cell") == 0
    # The second cell of the first row.
    press(browser, "\ue014")
    assert state_of(browser, "cell") == 1
    set_value(browser, "cell-reward", 5)
    wait_for(lambda: browser.execute_script("return velodrome.state.training.learner.best(0)") > 5)
    assert address_of(browser)["rewards"] == "1:5"
    browser.execute_script("arguments[0].focus()", world)
    press(browser, "\ue015", "\ue012", "w")
    assert address_of(browser)["walls"] == "4:1"
    set_value(browser, "live-slip", 0.4)
    assert address_of(browser)["slip"] == "0.4"
    set_value(browser, "live-rule", "sarsa")
    assert len(browser.execute_script("return velodrome.state.training.changes")) == 4
    click(browser, "#live-play")
    assert "live" not in address_of(browser)
    # The same address gives the same world.
    fragment = browser.current_url.partition("#")[2]
    open_at(browser, page, fragment)
    kept = browser.execute_script(
        "const {world, learner} = velodrome.state.training;"
        "return [world.rewards[1], world.walls[4], world.slip, learner.settings.rule]"
    )
    assert kept == [5, True, 0.4, "sarsa"]
    click(browser, "#live-reset")
    assert "rewards" not in address_of(browser)
    assert [entry["message"] for entry in browser.get_log("browser")] == []


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("width", [400, 1280, 1920])
def test_browser_needs_no_sideways_scrolling(browser, page, width, language):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    open_at(browser, page, f"episode=50&agents=0,1,2,3,4&language={language}")
    wide = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert wide[0] <= wide[1] == width


@pytest.mark.slow
@pytest.mark.parametrize(
    "fragment",
    ["environment=9&agents=99,x&seed=-1&episode=NaN&speed=7&show=x&hide=y&theme=z&language=q&rewards=1:x,:,99:4&walls=a",
     "%E0%A4%A&&=&agents=&show=", "episode=1e999&slip=2&alpha=-1"],
)  # fmt: skip
def test_browser_bears_any_address(browser, page, fragment):
    open_at(browser, page, fragment)
    assert browser.execute_script("return velodrome.state.language") == "en"
    press(browser, " ", "e", "s")
    assert [entry["message"] for entry in browser.get_log("browser")] == []


# ---- The command ---------------------------------------------------------------------------------------------------


def run(*arguments):
    from velodrome.experiments.cli import main

    return main(list(arguments))


def test_command_trains_what_it_shows(tmp_path, capsys):
    page = tmp_path / "lecture.html"
    code = run(
        "show", "q_learning", "sarsa", "--on", LAKE, "--episodes", "20", "--seeds", "2", "--html", str(page), "--quiet"
    )
    assert (code, capsys.readouterr().out.strip()) == (0, str(page))
    (first,) = data_of(page.read_text(encoding="utf-8"))["environments"]
    assert [len(agent["trials"]) for agent in first["agents"]] == [2, 2]
    assert first["agents"][0]["trials"][0]["episodes"] == list(range(21))


def test_command_shows_a_store_without_training(tmp_path, capsys, monkeypatch):
    store, page = tmp_path / "store", tmp_path / "page.html"
    agents = ["q_learning", "constant(action=0)"]
    vd.compare(agents, LAKE, seeds=1, episodes=5, snapshots=3, out=store, workers=0)
    monkeypatch.setattr("velodrome.experiments.cli.playing_page._trained", None)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert run("show", str(store), "--html", str(page), "--language", "ko") == 0
    assert "left out: constant(action=0)" in capsys.readouterr().err
    assert '<html lang="ko">' in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["digits"], "the states lie on no grid or chain"),
        (["."], "no store of trials in ."),
        (["frozenlak"], "unknown experiment 'frozenlak': did you mean 'frozenlake'?"),
        (["frozenlake", "--html", "page.txt"], "--html must end in .html, got page.txt"),
        (["frozenlake", "--html", "folder.html"], "--html folder.html: is a folder, give the path of a file"),
        (["frozenlake", "--html", "file/page.html"], "--html file: "),
        (["frozenlake", "--experiment", "x"], "--experiment chooses among those of a store"),
        (
            ["constant(action=0)", "--on", LAKE, "--episodes", "2"],
            "has no learning snapshots of agents with action values",
        ),
        (["store"], "lake has no learning snapshots"),
        (["store", "--kind", "values"], "--kind is of pictures, and --html writes a page"),
        (["store", "--agent", "x"], "--agent must be one of q_learning, got 'x'"),
        (["store", "--seeds", "3"], "--seeds is for trials to run, and those of store are stored"),
    ],
)
def test_what_the_command_cannot_show_is_one_line(arguments, line, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "file").write_text("")
    if arguments[0] == "store":
        vd.compare(["q_learning"], LAKE, seeds=1, episodes=2, out="store", workers=0, name="lake")
    if arguments[0] == "store of constants":
        vd.compare(["constant(action=0)"], LAKE, seeds=1, episodes=2, snapshots=2, out=arguments[0], workers=0)
    page = [] if "--html" in arguments else ["--html", "page.html"]
    assert run("show", *arguments, *page, "--quiet") == 2
    said = capsys.readouterr().err.splitlines()
    assert len([one for one in said if "warning" not in one]) == 1
    assert line in said[-1]


def test_keys_and_parts_are_those_of_the_docs():
    docs = (Path(__file__).parent.parent / "docs" / "how_to" / "playing_page.md").read_text(encoding="utf-8")
    for key, _ in KEYS:
        assert all(f"`{one}`" in docs for one in key.split(" ") if one != "…"), key
    for part in PARTS:
        assert f"`{part}`" in docs
