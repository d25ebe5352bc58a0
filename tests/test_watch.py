"""The page of a running comparison: what it holds, when it is written, and how a browser shows it."""

import json
import re
import time
import warnings

import pytest

import velodrome as vd
from velodrome.experiments.cli.application import main
from velodrome.experiments.errors import ExperimentWarning
from velodrome.experiments.results.results import Results
from velodrome.experiments.watch import WatchPage, watch_page
from velodrome.experiments.watch.shown import translations

HOSTILE = "</script><script>alert(1)</script>"
AGENTS = {"learner": "q_learning", HOSTILE: "sarsa", "chance": "random"}
PLAN = {"environments": {"lake": "FrozenLake-v1(is_slippery=False)"}, "seeds": 5, "episodes": 60, "workers": 0}


@pytest.fixture(autouse=True)
def _work_in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def at_once(monkeypatch):
    """Look and write as often as can be."""
    monkeypatch.setattr(watch_page, "LOOK_SHARE", 1e9)
    monkeypatch.setattr(watch_page, "WRITE_SECONDS", 0.02)
    monkeypatch.setattr(watch_page, "REST_RATIO", 0.0)


def data_of(path):
    """What a page holds."""
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', path.read_text("utf-8"), re.S)
    return json.loads(text)


def test_the_command_ends_with_the_numbers_of_the_table(tmp_path, capfd):
    options = ["q_learning", "random", "--on", "FrozenLake-v1(is_slippery=False)", "--seeds", "6", "--episodes", "80"]
    assert main(["compare", *options, "--watch", "--quiet", "--workers", "0", "--out", "lake"]) == 0
    (page,) = (tmp_path / "lake").glob("*/watch.html")
    assert (page.parent / "table.md").exists()
    assert f"Watch: {page.as_uri()}\n" in capfd.readouterr().err
    data, results = data_of(page), Results.load("lake")
    assert (data["state"], data["finished"], data["total"], data["left"]) == ("over", 12, 12, None)
    (place,) = data["looked"]["environments"]
    rows = {row["agent"]: row for row in results.rows()}
    assert len(place["rows"]) == len(rows) == 2
    for shown in place["rows"]:
        row = rows[shown["agent"]]
        assert [shown[end] for end in ("mean", "low", "high")] == [
            row[f"greedy_success_rate_{end}"] for end in ("mean", "low", "high")
        ]
        assert (shown["letters"], shown["seeds"], shown["failed"]) == (row["letters"], row["seeds"], row["failed"])
    assert [pair["verdict"] for pair in place["pairs"]] == [
        pair.verdict for pair in results.analysis().environments[0].comparison.pairs.values()
    ][:1]
    grid, curves = results.success_curves(place["environment"], "q_learning")
    line = next(one for one in place["curves"]["lines"] if one["agent"] == "q_learning")
    assert line["x"] == grid.ends.tolist()
    assert line["mean"] == pytest.approx(curves.mean(axis=0).tolist(), abs=1e-4)
    assert all(low <= high for low, high in zip(line["low"], line["high"], strict=True))


def test_without_it_no_page_is_written(tmp_path):
    assert main(["compare", "random", "--on", "FrozenLake-v1", "--seeds", "2", "--episodes", "5", "--quiet"]) == 0
    assert list(tmp_path.rglob("watch.html")) == []


def test_curves_grow_while_trials_run(tmp_path, at_once):
    path, seen = tmp_path / "watch.html", {}

    def wait_for_numbers(status):
        page(status)
        if 0 < status.finished < status.total and status.finished not in seen:
            until = time.monotonic() + 30
            while time.monotonic() < until:
                data = data_of(path)
                if data["looked"] and data["looked"]["trials"] == status.finished == data["finished"]:
                    break
                time.sleep(0.01)
            seen[status.finished] = data

    with WatchPage(path, "results") as page:
        vd.compare(AGENTS, **PLAN, out="results", progress=wait_for_numbers)
    assert seen
    assert all(data["looked"]["trials"] == data["finished"] == finished for finished, data in seen.items())
    assert all(data["total"] == 15 for data in seen.values())
    assert {data["state"] for data in seen.values()} == {"running"}
    assert data_of(path)["state"] == "over"


def test_labels_stay_texts(tmp_path):
    with WatchPage("watch.html", "results") as page:
        vd.compare(AGENTS, **PLAN, out="results", progress=page)
    assert HOSTILE not in (tmp_path / "watch.html").read_text("utf-8")
    data = data_of(tmp_path / "watch.html")
    assert HOSTILE in [row["agent"] for row in data["looked"]["environments"][0]["rows"]]
    assert HOSTILE in [agent["label"] for agent in data["agents"]]


def test_verdicts_are_in_both_languages_and_every_text_has_korean(tmp_path):
    with WatchPage("watch.html", "results") as page:
        vd.compare(AGENTS, **PLAN, out="results", progress=page)
    verdict = data_of(tmp_path / "watch.html")["looked"]["verdict"]
    assert verdict["en"] == [
        {"title": "lake", "sentences": list(one.sentences)}
        for one in vd.experiments.reporting.verdicts(Results.load("results").analysis(), Results.load("results"))
    ]
    assert re.search("[가-힣]", verdict["ko"][0]["sentences"][0])
    words = translations()
    assert [text for text, korean in words["ko"].items() if not re.search("[가-힣]", korean)] == []
    assert all(text == english for text, english in words["en"].items())


def test_failed_trials_are_told(tmp_path):
    def failing(env, seed=None):
        raise RuntimeError("no fuel")

    agent = vd.ExternalAgent(make=lambda env, seed: None, learn=failing, act=failing)
    with pytest.warns(ExperimentWarning, match="trials failed"), WatchPage("watch.html", "results") as page:
        vd.compare({"broken": agent, "chance": "random"}, **PLAN, out="results", progress=page)
    data = data_of(tmp_path / "watch.html")
    assert data["failed"] == 5
    assert [one["number"] for one in data["looked"]["failures"]] == [5]
    assert {row["agent"]: row["failed"] for row in data["looked"]["environments"][0]["rows"]}["broken"] == 5


def test_pairs_of_a_run_until_decided(tmp_path):
    plan = PLAN | {"episodes": 200}
    with WatchPage("watch.html", "results") as page:
        vd.compare(
            {"learner": "q_learning", "chance": "random"}, **plan, out="results", progress=page, until_decided=True,
            max_seeds=20,
        )  # fmt: skip
    (place,) = data_of(tmp_path / "watch.html")["looked"]["environments"]
    assert place["is_sequential"]
    assert (place["num_decided"], place["num_pairs"]) == (1, 1)


def test_a_run_that_is_stopped_says_so(tmp_path):
    with pytest.raises(KeyboardInterrupt), WatchPage("watch.html", "results"):
        raise KeyboardInterrupt
    assert data_of(tmp_path / "watch.html")["state"] == "stopped"


def test_a_page_that_cannot_be_written_warns_once(tmp_path, at_once):
    (tmp_path / "taken").write_text("")
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        with WatchPage("taken/watch.html", "results") as page:
            results = vd.compare(AGENTS, **PLAN, out="results", progress=page)
    assert len(results.records) == 15
    messages = [str(one.message) for one in found if issubclass(one.category, ExperimentWarning)]
    (line,) = [one for one in messages if "watch.html" in one]
    assert re.search(r"watch\.html: the page is not written: \w+: .*taken", line)
    assert "\n" not in line


def test_results_that_cannot_be_shown_leave_the_run_alone(tmp_path, monkeypatch, at_once):
    def broken(*_):
        raise RuntimeError("a mistake")

    monkeypatch.setattr(watch_page, "shown_results", broken)
    warned = pytest.warns(ExperimentWarning, match="the page is not written: RuntimeError: a mistake")
    with warned, WatchPage("watch.html", "results") as page:
        results = vd.compare(AGENTS, **PLAN, out="results", progress=page)
    assert len(results.records) == 15


@pytest.mark.slow
def test_browser_draws_it_and_loads_it_again(browser, tmp_path):
    path = tmp_path / "watch.html"
    with WatchPage(path, "results") as page:
        vd.compare(AGENTS, **PLAN, out="results", progress=page)
    over = path.read_text("utf-8")
    running = re.sub(r'"state": "over", "written": [\d.]+', f'"state": "running", "written": {time.time()}', over)
    path.write_text(running, "utf-8")

    def number(selector):
        return len(browser.find_elements("css selector", selector))

    def kind():
        return browser.find_element("id", "kind").text

    browser.get(path.as_uri())
    assert kind() == "Comparison that runs"
    assert (number("svg.curves"), number("polyline.mean"), number("polygon.band")) == (1, 3, 3)
    assert number("progress") == 1
    assert HOSTILE in browser.find_element("css selector", "main").text
    browser.find_element("css selector", "summary").click()
    path.write_text(over, "utf-8")
    until = time.monotonic() + 20
    while kind() == "Comparison that runs" and time.monotonic() < until:
        time.sleep(0.2)
    assert kind() == "Comparison that has ended"
    assert browser.find_element("css selector", "details").get_attribute("open")
    agent = browser.execute_script("return navigator.userAgent")
    korean = {"userAgent": agent, "acceptLanguage": "ko-KR"}
    browser.execute_cdp_cmd("Emulation.setUserAgentOverride", korean)
    browser.get(path.as_uri())
    assert kind() == "끝난 비교"
    for width in (400, 1280):
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        browser.get(path.as_uri())
        wide = browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
        assert wide[0] <= wide[1] == width
    path.write_text(re.sub(r'"written": [\d.]+', '"written": 1000', running), "utf-8")
    browser.get(path.as_uri())
    assert number(".stale") == 1
    assert [entry["message"] for entry in browser.get_log("browser")] == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {one["params"]["request"]["url"] for one in events if one["method"] == "Network.requestWillBeSent"}
    assert {url for url in asked if not url.startswith(("data:", "chrome:"))} == {path.as_uri()}
