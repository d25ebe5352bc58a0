"""Lists of values are grids: which entries they make, how these are labelled, and what cannot be read in one way."""

import pytest

import velodrome as vd
from velodrome.agents import QLearning
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.specification.experiment import Experiment
from velodrome.experiments.specification.experiment_file import parse_experiment
from velodrome.policies import EpsilonGreedy, Greedy

LAKE = 'environments = ["FrozenLake-v1"]\n'
CHANCE = 'agents = ["random"]\n'


def plan_of(text):
    return parse_experiment(f'name = "x"\nepisodes = 5\nseeds = 2\n{text}').plan()


def agents_of(text):
    return {label: planned.expression for label, planned in plan_of(LAKE + text).agents.items()}


def environments_of(text):
    return {label: planned.expression for label, planned in plan_of(CHANCE + text).environments.items()}


def refusal_of(text):
    with pytest.raises(ExperimentError) as refusal:
        plan_of(text)
    return str(refusal.value).removeprefix("experiment: ")


def test_every_combination_is_an_agent_labelled_by_what_varies():
    text = '[agents.q]\nagent = "q_learning(policy=greedy)"\nlearning_rate = [0.2, 0.5]\ndiscount = [0.9, 1.0]\n'
    made = agents_of(f"{text}initial_value = 1\n[agents.chance]\nagent = 'random'")
    assert made == {
        f"q · learning_rate={rate}, discount={discount}": (
            f"q_learning(discount={discount}, learning_rate={rate}, initial_value=1, policy=greedy())"
        )
        for rate in (0.2, 0.5)
        for discount in (0.9, 1.0)
    } | {"chance": "random()"}
    written = [f'"q_learning(discount={d}, learning_rate={r}, policy=greedy)"' for r in (0.2, 0.5) for d in (0.9, 1.0)]
    in_full = plan_of(f"{LAKE}agents = [{', '.join(written)}]")
    assert [trial.key for trial in plan_of(LAKE + text).trials] == [trial.key for trial in in_full.trials]


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ('agents = ["sarsa(discount=[0.9, 1.0])", "random"]', ["sarsa(discount=0.9)", "sarsa(discount=1.0)", "random"]),
        ('agents = [{agent = "sarsa", discount = [0.9, 1.0]}]', ["sarsa(discount=0.9)", "sarsa(discount=1.0)"]),
        ('[agents]\ns = "sarsa(discount=[0.9, 1.0])"', ["s · discount=0.9", "s · discount=1.0"]),
        ('agents = {agent = "sarsa", discount = [0.9, 1.0]}', ["sarsa(discount=0.9)", "sarsa(discount=1.0)"]),
        (
            '[agents]\ns = "sarsa(policy=epsilon_greedy(epsilon=[0.1, 0.2]))"',
            ["s · policy.epsilon=0.1", "s · policy.epsilon=0.2"],
        ),
        (
            '[agents.s]\nagent = "sarsa"\npolicy = ["greedy", "ucb(confidence=[1, 2])"]',
            ["s · policy=greedy", "s · policy=ucb(confidence=1)", "s · policy=ucb(confidence=2)"],
        ),
        (
            '[agents.s]\nagent = "sarsa"\nlearning_rate = [0.5, "harmonic(1)"]',
            ["s · learning_rate=0.5", "s · learning_rate=harmonic(1)"],
        ),
        ('[agents.s]\nagent = "sarsa"\ndiscount = [0.9]\nlearning_rate = 0.2\nepisodes = 3', ["s"]),
        (
            'policies = {p = {policy = "epsilon_greedy", epsilon = [0.1, 0.2]}, g = "greedy"}\nlearners = ["sarsa"]',
            ["sarsa · p · epsilon=0.1", "sarsa · p · epsilon=0.2", "sarsa · g"],
        ),
    ],
)
def test_grids_of_agents(text, labels):
    assert list(agents_of(text)) == labels


@pytest.mark.parametrize(
    ("text", "made"),
    [
        (
            '[environments.l]\nenvironment = "FrozenLake-v1"\nis_slippery = [true, false]\nmax_episode_steps = 9',
            {
                f"l · is_slippery={yes}": f"FrozenLake-v1(is_slippery={yes}, max_episode_steps=9)"
                for yes in (True, False)
            },
        ),
        (
            'environments = ["TimeLimit(FrozenLake-v1(is_slippery=[True, False]), max_episode_steps=9)"]',
            {
                f"TimeLimit(FrozenLake-v1(is_slippery={yes}), max_episode_steps=9)": (
                    f"TimeLimit(FrozenLake-v1(is_slippery={yes}), max_episode_steps=9)"
                )
                for yes in (True, False)
            },
        ),
        # What may be a list itself is one, but for a list of lists in a table.
        (
            '[environments]\nc = "discretize(MountainCar-v0, bins=[3, 4])"',
            {"c": "discretize(MountainCar-v0, bins=[3, 4])"},
        ),
        (
            '[environments.c]\nenvironment = "discretize(MountainCar-v0)"\nbins = [[3, 4], [5, 5]]',
            {f"c · bins={bins}": f"discretize(MountainCar-v0, bins={bins})" for bins in ([3, 4], [5, 5])},
        ),
        (
            '[environments.c]\nenvironment = "discretize(MountainCar-v0)"\nbins = [[3, 4]]',
            {"c": "discretize(MountainCar-v0, bins=[3, 4])"},
        ),
    ],
)
def test_grids_of_environments(text, made):
    assert environments_of(text) == made


def test_tables_of_python_hold_objects_too():
    table = {"agent": QLearning(discount=0.5), "policy": [Greedy(), EpsilonGreedy(epsilon=0.3)]}
    results = vd.compare({"q": table}, "FrozenLake-v1", episodes=3, seeds=5, workers=0)
    assert results.agents == ["q · policy=greedy", "q · policy=epsilon_greedy(epsilon=0.3)"]
    assert set(results.settings.agents.values()) == {
        f"q_learning(discount=0.5, policy={policy})" for policy in ("greedy()", "epsilon_greedy(epsilon=0.3)")
    }
    experiment = Experiment(name="x", agents=table, environments="FrozenLake-v1", episodes=3)
    assert list(experiment.changed(steps=4).agents) == list(experiment.agents)
    assert len(experiment.agents) == 2


RATES = [rate / 100 for rate in range(1, 21)]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            f'{LAKE}[agents.q]\nagent = "sarsa"\nlerning_rate = [1]',
            "unknown field 'agents.q.lerning_rate': did you mean 'l",
        ),
        (
            f'{LAKE}[agents.q]\nagent = "sarsa"\nfoo = [1]',
            "unknown field 'agents.q.foo'; allowed: agent, environments, episodes, epochs, steps, or an argument of",
        ),
        (
            f'{LAKE}[agents.q]\nagent = "sarsa"\nepsodes = 3',
            "unknown field 'agents.q.epsodes': did you mean 'episodes'?",
        ),
        (
            f'{LAKE}[agents.q]\nagent = "srsa"\nlearning_rate = [0.1, 0.5]\ndiscount = 1',
            "agents.q.agent: unknown agent 'srsa': did you mean 'sarsa'?",
        ),
        (
            f'{LAKE}[agents.q]\nagent = "sarsa(discount=1)"\ndiscount = [0.1, 0.5]',
            "agents.q.discount: is given twice, here and in sarsa(discount=1)",
        ),
        (
            f'{LAKE}[agents.q]\nagent = "sarsa"\ndiscount = []',
            "agents.q.discount: must hold at least one value, got an em",
        ),
        (f'{LAKE}[agents.q]\nagent = "sarsa"\ndiscount = [1, 1]', "agents.q.discount: holds a value twice: [1, 1]"),
        (
            f'{LAKE}agents = ["sarsa(discount=[1, 1])"]',
            'agents."sarsa(discount=[1, 1])": discount holds a value twice: [',
        ),
        (
            f'{LAKE}[agents.q]\nagent = "sarsa"\nlearning_rate = [0.1, 5]\ndiscount = [0.9, 0.99]',
            'agents."q · learning_rate=5, discount=0.9".agent: sarsa: learning_rate must be a number in (0, 1], got 5',
        ),
        (
            f'{LAKE}[agents.q]\nagent = "sarsa"\ndiscount = [0.9, 0.99]\npolicy = "greedi"',
            "agents.\"q · discount=0.9\".agent: unknown policy 'greedi': did you mean 'greedy'?",
        ),
        (
            f'{LAKE}[agents.q]\nagent = "sarsa"\npolicy.epsilon = [0.1]',
            "agents.q.policy: takes a value or a list of values",
        ),
        (
            f'{LAKE}[agents.q]\nagent = "sarsa"\ndiscount = [nan]',
            "agents.q.discount: nan cannot be written in an express",
        ),
        (
            f'{LAKE}[agents.q]\nagent = "sarsa"\nlearning_rate = {RATES}\ndiscount = {RATES}',
            "agents.q: a grid of 20 × 20 values makes 400 combinations; allowed are 256",
        ),
        (
            f'{LAKE}[agents.q]\nagent = "sarsa"\nepisodes = [5, 6]',
            "agents.q.episodes: must be a whole number of at least 1",
        ),
        (
            f'{CHANCE}[environments.c]\nenvironment = "discretize(MountainCar-v0)"\nbins = [20, 20]',
            "environments.c.bins: may be a list itself: write [[20, 20]] for this one value, or a list of lists",
        ),
        (
            f'{CHANCE}[environments.l]\nenvironment = "FrozenLake-v1"\ndesc = ["SF", "FG"]',
            "environments.l.desc: may be a list itself: write [['SF', 'FG']] for this one value, or a list of",
        ),
        (
            f'{CHANCE}[environments.l]\nenvironment = "FrozenLake-v1"\nis_slipery = [true]',
            "unknown field 'environments.l.is_slipery': did you mean 'is_slippery'?",
        ),
        (
            f'{CHANCE}[environments.l]\nenvironment = "FrozenLak-v1"\nis_slippery = [true, false]',
            "environments.l.environment: unknown environment 'FrozenLak-v1': did you mean 'FrozenLake-v1'?",
        ),
        (
            f'{CHANCE}[environments.l]\nenvironment = "FrozenLake-v1"\nmap_name = ["4x4", "9x9"]',
            "environments.\"l · map_name='9x9'\": FrozenLake-v1: map_name must be one of '4x4', '8x8', got '9x9'",
        ),
    ],
)
def test_mistakes_in_grids_are_one_line(text, line):
    told = refusal_of(text)
    assert told.startswith(line)
    assert len(told.splitlines()) == 1


def test_an_argument_beside_a_function_is_refused():
    table = {"environment": lambda: None, "size": [1, 2]}
    with pytest.raises(ExperimentError, match=r"environments\.f\.size: an argument needs an expression beside it"):
        Experiment(name="x", agents="random", environments={"f": table}, episodes=3)
