"""Agents of the user's own: a class of a few methods, and a library that owns its loop."""

import functools
import subprocess
import sys
import textwrap

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv

import velodrome as vd
from velodrome.agents import AgentFailureError, BudgetError, EnvironmentFailureError, SavedAgentError
from velodrome.checks import ConfigurationError
from velodrome.experiments.specification.experiment import Experiment
from velodrome.experiments.storage.trial_key import TrialKeys
from velodrome.experiments.trials.environment_profile import EnvironmentProfile
from velodrome.experiments.trials.evaluation import evaluate
from velodrome.experiments.trials.trial import Budget, Checkpoints, run_trial

LAKE = "FrozenLake-v1(is_slippery=False)"
SLIPPERY = "FrozenLake-v1"


class Mine(vd.Agent):
    step_size: float = 0.5
    epsilon: float = 0.3

    def begin(self, observation_space, action_space, rng):
        self.rng, self.values = rng, np.full((observation_space.n, action_space.n), 1.0)

    def act(self, observation, explore=False):
        if explore and self.rng.random() < self.epsilon:
            return self.rng.integers(self.values.shape[1])
        return self.values[observation].argmax()

    def learn(self, observation, action, reward, next_observation, terminated, truncated):
        target = reward + 0.95 * (not terminated) * self.values[next_observation].max()
        self.values[observation, action] += self.step_size * (target - self.values[observation, action])


class Answers(Mine):
    """Its `act` gives what it is told to."""

    answer: object = None

    def act(self, observation, explore=False):
        return self.answer


class Undecided(Mine):
    def act(self, observation, explore=False):
        return self.rng.integers(4)


class Remembers(Mine):
    remembers_observations = True


class HoldsAFunction(Mine):
    def begin(self, observation_space, action_space, rng):
        super().begin(observation_space, action_space, rng)
        self.network = lambda: 0


class Breaks(Mine):
    def learn(self, *step):
        raise KeyError("weights")


def make(env, seed):
    return {"values": np.ones((env.observation_space.n, env.action_space.n)), "rng": np.random.default_rng(seed)}


def learn(model, env, steps):
    values, observation = model["values"], None
    for _ in range(steps):
        if observation is None:
            observation, _ = env.reset()
        action = (
            int(model["rng"].integers(env.action_space.n))
            if model["rng"].random() < 0.3
            else int(values[observation].argmax())
        )
        after, reward, terminated, truncated, _ = env.step(action)
        target = reward + 0.95 * (not terminated) * values[after].max()
        values[observation, action] += 0.5 * (target - values[observation, action])
        observation = None if terminated or truncated else after


def act(model, observation):
    return model["values"][observation].argmax()


def save(model, path):
    np.save(path, model["values"])


def load(path):
    return {"values": np.load(f"{path}.npy"), "rng": np.random.default_rng(0)}


def external(**other):
    return vd.ExternalAgent(**{"make": make, "learn": learn, "act": act} | other)


BOTH = {"mine": Mine, "external": external}


@pytest.mark.parametrize("name", BOTH)
def test_it_learns_is_evaluated_exactly_and_repeats_itself(name):
    first, again, other = (vd.run(BOTH[name](), LAKE, steps=6000, seed=seed) for seed in (1, 1, 2))
    assert (first.evaluation.method, first.evaluation.success_rate, first.log.steps) == ("exact", 1.0, 6000)
    assert first.log.returns.tobytes() == again.log.returns.tobytes()
    assert first.log.lengths.tobytes() != other.log.lengths.tobytes()
    assert first.log.notes == ()


@pytest.mark.parametrize("name", BOTH)
def test_the_exact_value_is_that_of_many_episodes(name):
    trial = vd.run(BOTH[name](), SLIPPERY, steps=4000, seed=3)
    assert trial.evaluation.method == "exact"
    rewards = []
    env = gym.make("FrozenLake-v1")
    observation, _ = env.reset(seed=5)
    while len(rewards) < 2500:
        observation, reward, terminated, truncated, _ = env.step(int(trial.trained.act(observation)))
        if terminated or truncated:
            rewards.append(reward)
            observation, _ = env.reset()
    error = 4 * np.sqrt(max(trial.evaluation.mean_return, 0.01) / len(rewards))
    assert abs(np.mean(rewards) - trial.evaluation.mean_return) < error


@pytest.mark.parametrize(
    ("agent", "why"),
    [
        (Undecided(), "the act of undecided gave different actions when it was asked twice"),
        (Remembers(), "what remembers does depends on earlier observations of the episode"),
    ],
    ids=["draws", "remembers"],
)
def test_what_no_table_of_states_says_is_sampled_with_a_note(agent, why):
    trial = vd.run(agent, SLIPPERY, episodes=20, evaluation_episodes=7)
    assert (trial.evaluation.method, trial.evaluation.episodes) == ("monte-carlo", 7)
    assert f"was evaluated in sampled episodes: {why}" in trial.log.notes


@pytest.mark.parametrize(
    "answer", [2.0, None, 4, -1, "left", np.array([1, 2]), np.float64(1.0)], ids=lambda answer: repr(answer)
)
def test_what_is_no_action_is_refused_in_one_line_that_names_the_method(answer):
    with pytest.raises(AgentFailureError, match=r"^answers\.act must give a whole number, 0 to 3, got [^\n]*$"):
        Answers(answer=answer).train("FrozenLake-v1", episodes=3, seed=0)


@pytest.mark.parametrize("answer", [2, np.int64(2), np.array(2), np.uint8(2), [2]], ids=repr)
def test_an_action_may_come_in_many_forms(answer):
    assert Answers(answer=answer).train("FrozenLake-v1", episodes=3, seed=0).episodes == 3


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([0.5, 0.5], "of shape"),
        (5.0, "of shape"),
        ([9.0], r"outside .*: clip it, np\.clip\(action, action_space\.low, action_space\.high\)"),
        (["a"], "must give an action of Box"),
    ],
)
def test_an_action_of_numbers_has_the_shape_and_bounds_of_the_space(answer, message):
    class Torque(vd.Agent):
        def act(self, observation, explore=False):
            return answer

    with pytest.raises(AgentFailureError, match=rf"^torque\.act [^\n]*{message}[^\n]*$"):
        Torque().train("Pendulum-v1", steps=3, seed=0)


def test_a_list_is_an_action_of_numbers():
    class Pushes(vd.Agent):
        def act(self, observation, explore=False):
            return [0.5]

    assert Pushes().train("Pendulum-v1", steps=3, seed=0).steps == 3


def test_one_failing_agent_leaves_the_others_alone():
    agents = {
        "good": Mine(),
        "breaks": Breaks(),
        "wrong": Answers(answer=1.5),
        "no model": external(make=lambda env, seed: None),
        "learn raises": external(learn=lambda model, env, steps: model["missing"]),
    }
    results = vd.compare(agents, LAKE, seeds=5, episodes=20, workers=0)
    reasons = {failure.agent: failure.error for failure in results.failures}
    assert reasons == {
        "breaks": "breaks.learn raised KeyError: 'weights'",
        "wrong": "answers.act must give a whole number, 0 to 3, got 1.5",
        "no model": "external_agent.make must return the model, got None",
        "learn raises": "external_agent.learn raised KeyError: 'missing'",
    }


@pytest.mark.parametrize("name", BOTH)
def test_what_was_saved_acts_as_what_was_trained(name, tmp_path):
    agent = BOTH[name](**({"save": save, "load": load} if name == "external" else {}))
    trained = vd.run(agent, SLIPPERY, steps=2000, seed=1).trained
    trained.save(tmp_path)
    loaded = type(trained).load(tmp_path)
    assert [int(loaded.act(state)) for state in range(16)] == [int(trained.act(state)) for state in range(16)]


def test_training_in_parts_with_a_save_between_is_training_at_once(tmp_path):
    env, other = gym.make("FrozenLake-v1"), gym.make("FrozenLake-v1")
    once, parts = Mine(), Mine()
    log = once.train(env, episodes=60, seed=4)
    first = parts.train(other, episodes=25, seed=4)
    parts.save(tmp_path)
    goes_on = Mine.load(tmp_path)
    goes_on.resume(other)
    assert (first + goes_on.train(other, episodes=35)).lengths.tobytes() == log.lengths.tobytes()
    assert goes_on.values.tobytes() == once.values.tobytes()
    assert goes_on.rng is goes_on.binding.streams.generator("agent")


def test_what_cannot_be_saved_says_so_in_one_line_and_all_else_works(tmp_path):
    trial = vd.run(HoldsAFunction(), LAKE, episodes=20)
    with pytest.raises(
        SavedAgentError, match=r"^holds_a_function cannot be saved: self\.network is a builtins\.function$"
    ):
        trial.trained.save(tmp_path)
    with pytest.raises(SavedAgentError, match=r"^external_agent cannot be saved: it was made without save= and load=$"):
        vd.run(external(), LAKE, steps=50).trained.save(tmp_path)


def test_a_trial_that_cannot_be_checkpointed_runs_to_its_end_with_a_note(tmp_path):
    profile = EnvironmentProfile.of("walk", lambda: gym.make("CliffWalking-v1", max_episode_steps=50))
    for agent, is_noted in ((HoldsAFunction(), True), (Mine(), False)):
        trial = run_trial(
            "it",
            agent,
            profile,
            Budget(30, None, evaluate_every=10),
            0,
            checkpoints=Checkpoints(tmp_path, 0.0),
            key="k",
        )
        plain = run_trial("it", agent, profile, Budget(30, None, evaluate_every=10), 0)
        assert trial.log.lengths.tobytes() == plain.log.lengths.tobytes()
        assert trial.measured[0].at.tolist() == plain.measured[0].at.tolist() == [10, 20, 30]
        assert trial.measured[0].values.tobytes() == plain.measured[0].values.tobytes()
        assert any("cannot be saved: self.network" in note for note in trial.log.notes) == is_noted
        assert len(trial.log.notes) == is_noted


@pytest.mark.parametrize("agent", [Mine, external])
@pytest.mark.parametrize("place", [SLIPPERY, "CartPole-v1"])
def test_evaluations_along_the_training_change_nothing_of_it(agent, place):
    if place == "CartPole-v1":
        place = "discretize(CartPole-v1, 3)"
    with_them = vd.run(agent(), place, steps=600, seed=2, evaluate_every=200)
    without = vd.run(agent(), place, steps=600, seed=2)
    assert with_them.log.lengths.tobytes() == without.log.lengths.tobytes()
    curve = with_them.measured[0]
    assert (curve.name, curve.unit, curve.at.tolist()) == ("evaluation_return", "step", [200, 400, 600])
    assert without.measured == ()
    sampled = "each evaluation along the training is the mean of 10 sampled episodes"
    assert (sampled in with_them.log.notes) == (with_them.evaluation.method == "monte-carlo")


def test_evaluations_of_an_agent_that_draws_do_not_disturb_its_training():
    runs = [vd.run(Undecided(), SLIPPERY, episodes=50, seed=2, **along) for along in ({}, {"evaluate_every": 10})]
    assert runs[0].log.lengths.tobytes() == runs[1].log.lengths.tobytes()


# A library that owns its loop


def test_the_budget_of_a_library_is_kept_exactly_whatever_it_does():
    def never_ends(model, env, steps):
        while True:
            env.reset()
            done = False
            while not done:
                try:
                    *_, terminated, truncated, _ = env.step(0)
                except Exception:
                    continue
                done = terminated or truncated

    log = external(learn=never_ends).train("FrozenLake-v1", steps=73, seed=0)
    assert (log.steps, log.notes) == (73, ("external_agent.learn wanted more than its 73 steps and was stopped there",))
    assert external(learn=never_ends).train("FrozenLake-v1", episodes=4, seed=0).episodes == 4


def test_a_library_that_stops_early_or_leaves_episodes_is_told_of():
    def half(model, env, steps):
        for _ in range(steps // 2):
            env.reset()
            env.step(0)

    log = external(learn=half).train("FrozenLake-v1", steps=100, seed=0)
    assert (log.steps, log.episodes) == (50, 0)
    assert log.notes == (
        "external_agent.learn returned after 50 of 100 steps",
        "external_agent.learn gave up 49 episodes by a reset before their end",
    )


def met_by(seed, seen, model, env, steps):
    for _ in range(steps):
        env.reset(seed=seed)
        seen.append(env.step(2)[0])


def test_seeds_of_a_library_do_not_change_the_chance_that_it_meets():
    def seeds_itself(model, env, steps):
        for _ in range(steps):
            env.reset(seed=3)
            env.step(2)

    logs = [external(learn=seeds_itself).train("FrozenLake-v1", steps=30, seed=seed) for seed in (0, 1)]
    assert [log.steps for log in logs] == [30, 30]
    # With its own seed every episode would begin alike; only the trial's decides.
    met = []
    for seed, own in ((0, 3), (0, 4), (1, 3)):
        seen = []
        external(learn=functools.partial(met_by, own, seen)).train("FrozenLake-v1", steps=30, seed=seed)
        met.append(seen)
    assert met[0] == met[1] != met[2]


def test_two_trainings_of_a_library_go_on_with_one_model():
    made = []
    agent = external(make=lambda env, seed: made.append(seed) or make(env, seed))
    env = gym.make("FrozenLake-v1")
    first, second = agent.train(env, steps=40, seed=1), agent.train(env, steps=60)
    assert (len(made), first.steps, second.steps) == (1, 40, 60)


def test_a_library_that_steps_after_the_end_of_an_episode_is_told():
    with pytest.raises(AgentFailureError, match=r"^external_agent\.learn took a step of an episode that had ended"):
        external(learn=lambda model, env, steps: env.step(0)).train("FrozenLake-v1", steps=9, seed=0)


class Fails(gym.Env):
    observation_space, action_space = gym.spaces.Discrete(2), gym.spaces.Discrete(4)

    def reset(self, *, seed=None, options=None):
        return 0, {}

    def step(self, action):
        raise OSError("no display")


def test_a_failure_of_the_environment_is_the_environments_even_if_the_library_swallows_it():
    def swallows(model, env, steps):
        env.reset()
        for _ in range(steps):
            try:
                env.step(0)
            except Exception:
                return

    with pytest.raises(
        EnvironmentFailureError, match=r"^step of Fails raised in episode 1, step 1: OSError: no display$"
    ):
        external(learn=swallows).train(Fails(), steps=9, seed=0)


def test_a_callback_stops_a_library_and_sees_where_it_is():
    seen = []
    log = external().train(
        "FrozenLake-v1", steps=5000, seed=0, callback=lambda moment: seen.append(moment.step) or len(seen) < 3,
        callback_every=5,
    )  # fmt: skip
    assert (log.episodes, len(seen)) == (15, 3)
    assert seen[-1] == log.steps < 5000


def test_episodes_without_an_end_are_no_budget_of_a_library():
    with pytest.raises(
        BudgetError, match=r"^external_agent learns for steps: Fails has no time limit[^\n]*give steps$"
    ):
        external().train(Fails(), episodes=3, seed=0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"act": 3}, "external_agent: act must be a function, got 3"),
        ({"save": save}, "external_agent: save and load belong together, got save alone"),
    ],
)
def test_what_is_no_function_is_refused(given, message):
    with pytest.raises(ConfigurationError) as caught:
        external(**given)
    assert str(caught.value) == message


# The class


def test_parameters_are_annotated_attributes_and_an_init_is_refused():
    assert str(Mine(step_size=0.1)).endswith("Mine(step_size=0.1)")
    with pytest.raises(TypeError, match=r"^Odd: the parameters of an agent are annotated attributes"):

        class Odd(vd.Agent):
            def __init__(self, rate):
                self.rate = rate

            def act(self, observation, explore=False):
                return 0


def test_a_name_of_the_base_is_not_hidden_by_an_attribute():
    class Hides(Mine):
        def begin(self, observation_space, action_space, rng):
            self.state = 0

    with pytest.raises(AgentFailureError, match=r"^hides: self\.state would hide what every agent has by that name"):
        Hides().train("FrozenLake-v1", episodes=1, seed=0)


# Stores, processes and notebook cells


def test_an_edited_agent_has_another_key_and_the_same_one_has_not():
    def key(agent):
        return TrialKeys(agent, LAKE, (), None, Budget(None, 50), None).of(0)

    first = external(act=lambda model, observation: 0)
    assert key(first) == key(external(act=lambda model, observation: 0))
    assert key(first) != key(external(act=lambda model, observation: 1))
    assert key(Mine()) == key(Mine(epsilon=0.3)) != key(Mine(epsilon=0.1))


CELL = """
    import numpy as np
    import velodrome as vd

    {code}

    agents = {{"mine": Mine(), "library": vd.ExternalAgent(make=make, learn=learn, act=act), "q": "q_learning()"}}
    results = vd.compare(agents, "FrozenLake-v1(is_slippery=False)", seeds=5, steps=600, out="stored", {how})
    assert not results.failures, results.failures
    verified = vd.verify("stored", workers=0)
    print(verified.reproduced, len(verified.differing))
"""


def cell(how):
    import inspect

    code = "\n\n".join(inspect.getsource(thing) for thing in (Mine, make, learn, act))
    head, tail = textwrap.dedent(CELL).split("{code}")
    return head + code + tail.format(how=how).replace("{{", "{").replace("}}", "}")


@pytest.mark.parametrize(
    "how",
    [
        "workers=2",
        pytest.param('cluster="local:2"', marks=pytest.mark.slow),
    ],
)
def test_both_run_in_processes_from_a_program_without_a_file(how, tmp_path):
    if "cluster" in how:
        pytest.importorskip("distributed")
    # As in a notebook: nothing can be imported from it.
    done = subprocess.run(
        [sys.executable, "-"], input=cell(how), cwd=tmp_path, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "0"
    assert int(done.stdout.split()[-2]) >= 10


def test_a_class_of_a_module_is_an_expression(tmp_path, monkeypatch):
    import inspect

    (tmp_path / "module_of_mine.py").write_text(
        "import numpy as np\nimport velodrome as vd\n\n\n" + inspect.getsource(Mine), encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    trial = vd.run("module_of_mine:Mine(epsilon=0.2)", LAKE, episodes=50)
    assert (trial.trained.epsilon, trial.evaluation.method) == (0.2, "exact")


def test_the_value_of_a_fixed_agent_is_that_of_its_policy():
    class Right(vd.Agent):
        def act(self, observation, explore=False):
            return 2

    trial = vd.run(Right(), SLIPPERY, episodes=1)
    found = evaluate(trial.trained, trial.profile, seed=0)
    assert found == trial.evaluation
    assert found.method == "exact"
    assert 0.0 < found.success_rate < trial.profile.best.success_rate


@pytest.mark.parametrize(
    ("place", "trains", "evaluates"),
    [("FrozenLake-v1", 0, 0), ("CartPole-v1", 1, 1)],
)
def test_an_environment_is_made_once_to_look_at_once_to_train_and_once_to_evaluate(
    place, trains, evaluates, monkeypatch
):
    made = []
    for kind in (FrozenLakeEnv, CartPoleEnv):
        monkeypatch.setattr(kind, "__init__", lambda self, *given, _init=kind.__init__, **named: (
            made.append(type(self)), _init(self, *given, **named))[1])  # fmt: skip
    agent = "q_learning" if place == "FrozenLake-v1" else "discretized(agent=q_learning, bins=3)"
    vd.run(agent, place, episodes=3, evaluation_episodes=2)
    assert len(made) == 1 + trains + evaluates
    made.clear()
    plan = Experiment(name="x", agents=[agent], environments=[place], seeds=5, episodes=3).plan()
    assert len(made) == 1
    del plan
