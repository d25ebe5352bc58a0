"""What a notebook displays of results, trials and pictures, run in a real kernel."""

import base64
import re

import nbformat
import pytest
from nbclient import NotebookClient

import velodrome as vd
from velodrome.experiments.running.run_progress import RunProgress

CELLS = [
    """
import velodrome as vd

results = vd.compare(
    ["q_learning", "sarsa", "random"], ["FrozenLake-v1", "velodrome/Chain-v0"], episodes=100, seeds=5, workers=1
)
results
""",
    "results.table()",
    "figure = results.plot(kind='scores')\nfigure",
    "figure.show()",
    """
from dataclasses import dataclass
from velodrome.policies import Policy

def select(action_values, visit_counts, parameter, rng):
    return int(rng.random() * len(action_values))

@dataclass(frozen=True)
class Cautious(Policy):
    name = "cautious"

    @property
    def select(self):
        return select


trial = vd.run(vd.agents.QLearning(policy=Cautious()), "FrozenLake-v1", episodes=50)
trial
""",
    "print(trial)\nprint(results)",
    """
class Still(vd.Agent):
    action: int = 0

    def begin(self, observation_space, action_space, rng):
        self.chosen = self.action

    def act(self, observation, explore=False):
        return self.chosen

    def learn(self, observation, action, reward, next_observation, terminated, truncated):
        pass

vd.compare({"still": Still(), "right": Still(action=2)}, "FrozenLake-v1(is_slippery=False)", seeds=2, episodes=10)
""",
    "import warnings\nwarnings.warn('of another', UserWarning)",
]


@pytest.fixture(scope="module")
def cells():
    """A notebook's cells after they ran; a kernel takes some seconds, hence the tests of it are slow."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell.strip()) for cell in CELLS])
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    return notebook.cells


def test_a_policy_that_is_no_dataclass_is_refused_in_one_line():
    class Bare(vd.policies.Policy):
        select = None

    with pytest.raises(vd.VelodromeError, match=r"Bare must be a dataclass: write @dataclass\(frozen=True\)"):
        vd.run(vd.agents.QLearning(policy=Bare()), "FrozenLake-v1", episodes=1)


def data(cell, kind):
    return [output["data"][kind] for output in cell.outputs if kind in output.get("data", {})]


@pytest.mark.slow
def test_results_are_a_table_a_verdict_and_a_picture(cells):
    *progress, html = data(cells[0], "text/html")
    assert set(progress) <= {""}
    assert html.count("<table>") >= 2
    assert "FrozenLake-v1" in html
    assert "q_learning" in html
    assert "data:image/png;base64," in html
    # What stood of the progress is empty once it is over.
    *progress, text = data(cells[0], "text/plain")
    assert set(progress) <= {""}
    assert text == "<Results 'comparison': 3 agents, 2 environments, 30 trials>"


@pytest.mark.slow
def test_the_short_table_fits(cells):
    assert data(cells[1], "text/html")


@pytest.mark.slow
@pytest.mark.parametrize("number", [2, 3])
def test_figures_display_without_magic(cells, number):
    (picture,) = data(cells[number], "image/png")
    assert base64.b64decode(picture).startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_trial_is_a_small_table_and_one_line(cells):
    (html,) = data(cells[4], "text/html")
    assert "greedy success rate" in html
    assert "<script" not in html
    lines = "".join(output.get("text", "") for output in cells[5].outputs).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("<Trial q_learning(policy=")
    assert len(lines[0]) < 200


@pytest.mark.slow
def test_an_agent_of_a_cell_is_compared(cells):
    *progress, html = data(cells[6], "text/html")
    assert set(progress) <= {""}
    assert "still" in html
    assert "right" in html


@pytest.mark.slow
def test_a_warning_is_one_line_without_the_file_of_the_cell(cells):
    def written(cell):
        return "".join(output.text for output in cell.outputs if output.get("name") == "stderr")

    assert "2 seeds are too few" in written(cells[6])
    assert all(line.startswith("warning: ") for line in written(cells[6]).splitlines())
    # Those of others stay as they are.
    assert "UserWarning: of another" in written(cells[7])


def test_without_a_notebook_all_of_it_is_there():
    """What a kernel would ask for."""
    results = vd.compare(["q_learning", "random"], ["FrozenLake-v1"], episodes=100, seeds=6)
    html = results._repr_html_()
    assert "data:image/png;base64," in html
    assert re.search(r"<td>[^<]*\[[^<]*,\u00a0", html), "a line breaks before an interval, not in it"
    # A table scrolls where it is wider than the page.
    assert html.count("<table>") == html.count('overflow-x: auto"><table>') > 0
    assert results.plot()._repr_png_().startswith(b"\x89PNG")
    assert repr(results) == "<Results 'comparison': 2 agents, 1 environment, 12 trials>"
    trial = vd.run("q_learning", "FrozenLake-v1", episodes=5)
    assert "greedy success rate" in trial._repr_html_()
    assert "seconds" not in trial._repr_html_()
    assert repr(trial).startswith("<Trial q_learning on FrozenLake-v1")


def test_progress_is_shown_unless_it_is_silenced(monkeypatch):
    shown = []
    monkeypatch.setattr(RunProgress, "__call__", lambda self, status: shown.append(status.finished))
    vd.compare("random", "FrozenLake-v1", episodes=2, seeds=2, progress=False)
    assert not shown
    vd.compare("random", "FrozenLake-v1", episodes=2, seeds=2)
    assert shown[-1] == 2
    with pytest.raises(vd.VelodromeError, match="progress must be True, False or a function of a RunStatus, got 'no'"):
        vd.compare("random", "FrozenLake-v1", episodes=2, seeds=2, progress="no")


def test_labels_are_escaped():
    results = vd.compare({"<b>&": "random"}, ["FrozenLake-v1"], episodes=5, seeds=2)
    assert "&lt;b&gt;&amp;" in results._repr_html_()
    assert "<b>&" not in results._repr_html_()


def test_the_full_table_has_all_and_the_short_one_what_decides():
    results = vd.compare(["q_learning", "random"], ["FrozenLake-v1"], episodes=20, seeds=3)
    short, full = results.table(), results.table(full=True)
    assert len(short.columns) <= 10
    assert len(full.columns) > 50
    assert set(short.columns) <= set(full.columns)
    assert (short == full[short.columns]).all(axis=None) or short.equals(full[short.columns])
