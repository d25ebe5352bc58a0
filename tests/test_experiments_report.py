"""The report: one page that asks for nothing from outside, read by machines and in a browser."""

import base64
import json
import re
import time
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

import velodrome as vd
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.plotting.fonts import hangul_family
from velodrome.experiments.reporting.report import report_html, without_home, write_report
from velodrome.experiments.reporting.report_figures import inline_svg
from velodrome.experiments.reporting.report_tables import sort_key
from velodrome.experiments.results.results import Results

HOSTILE = "<script>alert('1')</script>"
VOID = {"meta", "br", "link", "img", "input", "hr", "use", "path"}


class Page(HTMLParser):
    """Elements, identifiers and texts of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.identifiers, self.references, self.addresses = [], [], [], []
        self.text, self._open = "", []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in VOID:
            self._open.append(tag)
        for name, value in attributes:
            if name == "id":
                self.identifiers.append(value)
            if name in ("src", "href", "xlink:href", "action", "data", "poster"):
                self.addresses.append(value)
            self.references += re.findall(r"url\(#([^)]+)\)", value or "")

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data):
        if not self._open or self._open[-1] not in ("style", "script"):
            self.text += data


@pytest.fixture(scope="module")
def lake():
    """Three agents on two environments, with curves."""
    agents = {
        HOSTILE: "q_learning(learning_rate=0.5)",
        "느린 학습": "q_learning(learning_rate=0.05)",
        "random": "random",
    }
    environments = {"lake": "FrozenLake-v1(is_slippery=False)", "slippery & wet": "FrozenLake-v1"}
    return vd.compare(agents, environments, seeds=6, episodes=200, name="three <agents>")


@pytest.fixture(scope="module")
def page(lake, tmp_path_factory):
    return write_report(lake, tmp_path_factory.mktemp("report") / "report.html")


def foreign(agents, num_seeds, column="greedy_success_rate", **known):
    stream = np.random.default_rng(0)
    rows = [
        {"agent": agent, "environment": "lake", "seed": seed, column: stream.random()} | known
        for agent in agents
        for seed in range(num_seeds)
    ]
    return Results.from_frame(pd.DataFrame(rows))


def test_page_is_well_formed_and_asks_for_nothing(page):
    html = page.read_text(encoding="utf-8")
    read = Page(html)
    assert not re.search(r"https?://|//[a-z]|@import|javascript:", html.replace("data:text/csv", ""), re.I)
    assert all(address.startswith(("#", "data:")) for address in read.addresses)
    assert "default-src 'none'" in html
    assert len(html) < 3_000_000


def test_identifiers_are_unique_and_found(page):
    read = Page(page.read_text(encoding="utf-8"))
    assert len(set(read.identifiers)) == len(read.identifiers)
    local = [address[1:] for address in read.addresses if address.startswith("#")]
    assert {*local, *read.references} <= set(read.identifiers)


def test_the_final_scores_stand_below_the_verdict_and_the_contents_lead_to_every_section(page):
    html = page.read_text(encoding="utf-8")
    places = [
        html.index(text) for text in ('id="verdict"', "<strong>Final scores.", "<nav", 'id="tables"', 'id="figures"')
    ]
    assert places == sorted(places)
    assert html.count("<strong>Final scores.") == 1
    contents = re.findall(r'<a href="#(\w+)">([^<]+)</a>', html)
    assert contents == re.findall(r'<h2 id="(\w+)">([^<]+)</h2>', html)
    assert len(contents) >= 6


def test_labels_are_escaped_and_all_there(page, lake):
    html = page.read_text(encoding="utf-8")
    assert HOSTILE not in html
    assert html.count("<script>") == 1
    read = Page(html)
    for label in (*lake.agents, *lake.environments, lake.name):
        assert label in read.text
    assert read.tags.count("svg") >= 4
    assert "velodrome verify DIR" in read.text


def test_same_results_give_the_same_bytes(lake, page):
    assert report_html(lake) == page.read_text(encoding="utf-8")


def test_the_numbers_are_embedded_as_csv(page, lake):
    (address,) = re.findall(r'href="data:text/csv;charset=utf-8;base64,([^"]*)"', page.read_text(encoding="utf-8"))
    table = base64.b64decode(address).decode("utf-8-sig")
    assert table.count("\n") == 1 + len(lake.agents) * len(lake.environments)


def test_nothing_tells_the_machine_or_its_people(lake, page):
    html = page.read_text(encoding="utf-8")
    assert all(way["machine"]["name"] not in Page(html).text.split() for way in lake.provenance)
    assert (
        without_home("velodrome compare /home/jane/x.toml --out '/Users/j k'")
        == "velodrome compare ~/x.toml --out '~ k'"
    )
    assert without_home("/homes/x /rooted") == "/homes/x /rooted"


def test_korean_page_has_no_english_sentences(lake):
    html = report_html(lake, language="ko")
    assert '<html lang="ko">' in html
    text = re.sub(rf"velodrome \S+.*|{re.escape(HOSTILE)}", "", Page(html).text)
    assert not re.search(r"\b(The|Mean|seeds|episodes|Agents|distinguishable|Figures|interval|of the)\b", text)


def test_korean_page_of_a_shipped_experiment_has_korean_labels():
    agents = {"ε-greedy, first index": "epsilon_greedy_q", "dummy Q": "dummy_q"}
    environments = {"FrozenLake, slippery": "FrozenLake-v1"}
    shipped = vd.compare(agents, environments, seeds=2, episodes=20, name="frozenlake")
    korean, english = (Page(report_html(shipped, language=language)).text for language in ("ko", "en"))
    assert "ε-탐욕, 첫 인덱스" in korean
    assert "FrozenLake, 미끄러움" in korean
    assert not any(label in korean for label in (*agents, *environments))
    assert all(label in english for label in (*agents, *environments))
    own = vd.compare(agents, environments, seeds=2, episodes=20, name="my own")
    assert all(label in Page(report_html(own, language="ko")).text for label in agents)


def test_korean_pictures_have_korean_words(lake, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "velodrome.experiments.plotting.figures.figure_bytes", lambda figure, _: drawn.append(figure) or b"<svg >"
    )
    if hangul_family() is None:
        pytest.skip("no font with Korean letters is installed")
    report_html(lake, language="ko")
    texts = [text.get_text() for figure in drawn for text in figure.findobj(Text) if text.get_text().isascii()]
    known = (*lake.agents, *lake.environments)
    words = {text for text in texts if re.search("[A-Za-z]{2}", text) and not text.startswith(known)}
    assert words == set()


@pytest.mark.parametrize(
    "results",
    [
        foreign(["A"], 5),
        foreign(["A", "B"], 1),
        foreign([f"agent {place}" for place in range(20)], 4),
        foreign(["A", "B"], 4, "greedy_mean_return"),
    ],
    ids=["one agent", "one seed", "many agents", "no success rule"],
)
def test_poor_results_make_a_page(results):
    text = Page(report_html(results)).text
    assert all(agent in text for agent in results.agents)


def test_failures_and_unfinished_trials_are_told():
    row = {"environment": "lake", "status": "failed", "error": "ValueError: <b>", "greedy_success_rate": np.nan}
    rows = [row | {"agent": agent, "seed": seed} for agent in "AB" for seed in range(12)]
    text = Page(report_html(Results.from_frame(pd.DataFrame(rows)))).text
    assert "ValueError: <b>" in text
    assert "24 trials" in text
    assert "0, 1, 2, 3, 4, 5, 6, 7, …" in text


def test_empty_experiment_makes_a_page(lake):
    empty = Results(lake.name, [], lake.settings, 36)
    assert "No trial has ended" in Page(report_html(empty)).text


def test_unknown_language_is_refused(lake):
    with pytest.raises(ExperimentError, match="language must be one of en, ko"):
        report_html(lake, language="fr")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (".12 [.08, .16]", 0.12),
        ("-.020", -0.02),
        ("1,461.3 [1,459.1, 1,463.0]", 1461.3),
        ("5.59 M", 5.59e6),
        ("7.1 k", 7100.0),
        ("1.234e-05", 1.234e-05),
        ("100.0 %", 100.0),
        ("best", 0.0),
        ("∞ (3 of 30)", float("inf")),
    ],
)
def test_cells_sort_as_numbers(text, key):
    found = sort_key(text)
    assert float(found.replace("Infinity", "inf")) == key


def test_missing_cells_have_no_key():
    assert sort_key("–") == ""


def test_svg_of_a_page_of_its_own_is_taken_apart():
    svg = (
        '<?xml?><svg viewBox="0 0 1 1" xmlns="http://w"><style type="text/css">*{}</style><use xlink:href="#a"/></svg>'
    )
    assert inline_svg(svg, "p-", 'a "b"') == (
        '<svg viewBox="0 0 1 1" role="img" aria-label="a &#34;b&#34;"><use href="#p-a"/></svg>'
    )


def requests_of(browser):
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [one["params"]["request"]["url"] for one in events if one["method"] == "Network.requestWillBeSent"]


def column_of(browser, number):
    cells = browser.find_elements("css selector", f"table.sortable:first-of-type tbody tr :nth-child({number})")
    return [cell.get_attribute("data-key") for cell in cells][:3]


def test_browser_opens_it_without_errors_or_requests(browser, page):
    browser.get(page.as_uri())
    assert [entry["message"] for entry in browser.get_log("browser")] == []
    asked = requests_of(browser)
    assert page.as_uri() in asked
    assert [url for url in asked if url.startswith(("http:", "https:", "ws"))] == []
    assert {url for url in asked if url.startswith("file:")} == {page.as_uri()}


def test_browser_sorts_by_click_and_by_enter(browser, page):
    browser.get(page.as_uri())
    table = browser.find_element("css selector", "table.sortable")
    button = table.find_elements("css selector", "thead button")[2]
    heading = button.find_element("xpath", "..")
    button.click()
    assert heading.get_attribute("aria-sort") == "descending"
    keys = [float(key) for key in column_of(browser, 3)]
    assert keys == sorted(keys, reverse=True)
    button.send_keys("\ue007")
    assert heading.get_attribute("aria-sort") == "ascending"
    keys = [float(key) for key in column_of(browser, 3)]
    assert keys == sorted(keys)
    assert len(set(keys)) > 1
    first = table.find_elements("css selector", "thead button")[0]
    first.click()
    assert heading.get_attribute("aria-sort") is None
    assert first.find_element("xpath", "..").get_attribute("aria-sort") == "ascending"


@pytest.mark.parametrize("width", [380, 700, 1400])
def test_browser_needs_no_sideways_scrolling(browser, page, width):
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(page.as_uri())
    wide = browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert wide[0] <= wide[1] == width


def test_browser_prints_it(browser, page):
    browser.get(page.as_uri())
    printed = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert printed.startswith(b"%PDF")
    assert len(printed) > 20_000


def test_browser_saves_the_numbers(browser, page):
    browser.get(page.as_uri())
    browser.find_element("css selector", "a.download").click()
    for _ in range(600):
        saved = list(browser.downloads.glob("*.csv"))
        if saved:
            break
        time.sleep(0.1)
    assert saved[0].read_text(encoding="utf-8-sig").startswith("environment,agent,")
