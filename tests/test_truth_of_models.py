"""What is computed from an environment's transitions is what its episodes give on average, or is not said."""

import math
import random

import gymnasium as gym
import numpy as np
import pytest
import zoo_of_environments as zoo
from gymnasium import spaces
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv
from gymnasium.wrappers import TimeLimit

import velodrome as vd
from velodrome import agents
from velodrome.agents.engine.sampled_model import SampledModel
from velodrome.agents.errors import UnsupportedEnvironmentError
from velodrome.agents.planning.dynamic_programming import best_possible, evaluate_policy
from velodrome.envs import GridWorld, ModelEnvironment, TransitionModel, TransitionModelError, UntrueModelError
from velodrome.envs.model.model_check import check_model
from velodrome.envs.success_rules import report_of, success_rule
from velodrome.experiments.storage.own_code import code_of
from velodrome.experiments.storage.trial_key import TrialKeys
from velodrome.experiments.trials.environment_profile import EnvironmentProfile
from velodrome.experiments.trials.trial import Budget

ZOO = zoo.EXACT | zoo.SAMPLED
LEARNER = "q_learning(learning_rate=0.3, initial_value=1, policy=epsilon_greedy(epsilon=0.2, ties='first'))"
TRAINING, EPISODES, MANY_EPISODES = 200, 300, 20_000
# By chance one estimate in 16,000.
LARGEST = 4.0


@pytest.fixture(params=ZOO)
def member(request, monkeypatch):
    return request.param, ZOO[request.param](monkeypatch)


def trained_in(make, **kwargs):
    return vd.run(LEARNER, make, episodes=TRAINING, seed=0, evaluation_episodes=5, **kwargs)


def played(trial, make, episodes):
    """Returns and successes of greedy episodes in the environment itself."""
    env, rule = make(), success_rule(make())
    returns, ends, reported = np.zeros(episodes), np.zeros(episodes, bool), np.full(episodes, -1, np.int8)
    actions = trial.trained.greedy_probabilities().argmax(axis=1).tolist()
    state, _ = env.reset(seed=77)
    for episode in range(episodes):
        truncated = False
        while not (ends[episode] or truncated):
            state, reward, ends[episode], truncated, info = env.step(actions[int(state)])
            returns[episode] += reward
        reported[episode] = report_of(env, int(info.get("is_success", -1)))
        state, _ = env.reset()
    return returns, rule.successes(returns, np.ones(episodes, int), ends, reported)


def assert_average(values, exact):
    error = np.std(values) / math.sqrt(len(values))
    assert abs(np.mean(values) - exact) <= LARGEST * error + 1e-9


def assert_true(name, make, episodes):
    trial = trained_in(make)
    evaluation, best = trial.evaluation, trial.profile.best
    if name in zoo.SAMPLED:
        assert (evaluation.method, trial.profile.model, best, trial.profile.random) == ("monte-carlo", None, None, None)
        assert math.isnan(trial.metrics()["best_return"])
        assert trial.log.loop == "generic"
        assert trial.log.notes
        return
    assert evaluation.method == "exact"
    returns, successes = played(trial, make, episodes)
    assert_average(returns, evaluation.mean_return)
    assert best.expected_return >= evaluation.mean_return - 1e-9
    if successes is not None:
        assert_average(successes, evaluation.success_rate)
        assert best.success_rate >= evaluation.success_rate - 1e-9


def test_exact_values_are_those_of_the_episodes_or_are_not_claimed(member):
    assert_true(*member, EPISODES)


@pytest.mark.slow
def test_exact_values_are_those_of_twenty_thousand_episodes(member):
    assert_true(*member, MANY_EPISODES)


def test_both_loops_give_the_same_log(member, result, differences):
    _, make = member
    found = []
    for loop in ("auto", "generic"):
        env = make()
        agent = agents.QLearning(learning_rate=0.3)
        found.append(result(agent, env, agent.train(env, episodes=60, seed=3, loop=loop)))
    assert differences(*found) == []


@pytest.mark.parametrize("name", zoo.SAMPLED)
def test_planning_needs_transitions_that_are_true(name, monkeypatch):
    env = zoo.SAMPLED[name](monkeypatch)()
    with pytest.raises(UnsupportedEnvironmentError, match=r"^value_iteration plans on a transition model: [^\n]+$"):
        agents.ValueIteration(discount=0.9).train(env, seed=0)


def test_planning_on_transitions_that_the_steps_do_not_follow_is_asked_for_by_name():
    """Whoever wants it plans on the transitions as an environment of their own."""
    env = zoo.SAMPLED["holes_hurt"](None)()
    listed = ModelEnvironment(TransitionModel.from_outcomes(env.unwrapped.P, env.unwrapped.initial_state_distrib))
    planner = agents.ValueIteration(discount=0.9)
    planner.train(listed, seed=0)
    assert planner.act(env.reset(seed=0)[0]) in range(4)


def test_the_zoo_is_large():
    assert len(zoo.EXACT) >= 25
    assert len(zoo.SAMPLED) >= 35


def stand(env):
    """Everything that a check might have moved."""
    unwrapped = env.unwrapped
    return (
        {name: repr(value) for name, value in vars(unwrapped).items() if name != "model"},
        unwrapped.np_random.bit_generator.state,
        [layer._elapsed_steps for layer in (env,) if isinstance(layer, TimeLimit)],
    )


def test_a_check_leaves_the_environment_and_all_streams_as_they_are():
    env = TimeLimit(zoo.Walk(), 20)
    env.reset(seed=4)
    env.step(1)
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002 - the streams that it must not move
    before = stand(env), random.getstate(), str(np.random.get_state())  # noqa: NPY002
    assert TransitionModel.of(env).num_states == 3
    assert (stand(env), random.getstate(), str(np.random.get_state())) == before  # noqa: NPY002


def test_what_cannot_be_copied_is_not_checked_and_has_no_model():
    env = TimeLimit(zoo.Walk(), 20)
    env.unwrapped.neighbour = (number for number in range(3))
    with pytest.raises(TransitionModelError, match=r"^Walk has no transition model: [^\n]*cannot be copied[^\n]*$"):
        TransitionModel.of(env)
    env.unwrapped.neighbour = None
    assert TransitionModel.of(env).num_states == 3


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("holes_hurt", "P is not true of its steps: state "),
        ("own_time_limit", "its step truncated the episode, which is for a TimeLimit to do"),
        ("other_probabilities", "outcomes are not as frequent as their probabilities say"),
        ("starts_elsewhere", "an episode started in state 8, which has probability 0 of being the first"),
        ("own_environment_that_starts_anywhere", "it lacks initial_state_distrib"),
        ("success_that_only_the_step_knows", "is_success False, which P does not list"),
        ("step_replaced_on_the_instance", "FrozenLakeEnv.step was replaced on this instance"),
        ("step_patched_on_the_class", "FrozenLakeEnv.step was replaced"),
        ("sampling_patched_in_the_module", "categorical_sample, which FrozenLakeEnv calls, was replaced"),
        ("fewer_actions", "wrapper NeverUp changes a space"),
        ("pairs_observed_by_the_class", "observation space must be Discrete(16) as in P, got MultiDiscrete"),
        ("edited_probabilities_without_their_sums", "were changed, but not their running sums"),
        ("wrapper_patched_on_its_class", "TimeLimit.step was replaced"),
    ],
)
def test_notes_say_why_nothing_is_computed(name, words, monkeypatch):
    trial = trained_in(ZOO[name](monkeypatch))
    notes = trial.log.notes
    assert notes[0].startswith("ran in the generic loop: ")
    # The success rule of an id may not hold either.
    beginnings = ("was evaluated in sampled episodes: ", f"{trial.profile.rule.description}: ")
    assert all(note.startswith(beginnings) for note in notes[1:])
    assert any(words in note for note in notes)
    assert not any("\n" in note for note in notes)


def test_no_note_where_no_transitions_are_listed():
    notes = vd.run("random", "CartPole-v1", episodes=2, seed=0, evaluation_episodes=2).log.notes
    assert notes == ("ran in the generic loop: CartPole-v1 has no transition model",)


def test_a_class_that_observes_vectors_is_sampled():
    class OneHot(FrozenLakeEnv):
        def __init__(self):
            super().__init__()
            self.observation_space = spaces.Box(0.0, 1.0, (16,))

        def reset(self, *, seed=None, options=None):
            state, info = super().reset(seed=seed)
            return np.eye(16, dtype=np.float32)[state], info

        def step(self, action):
            state, *rest = super().step(action)
            return np.eye(16, dtype=np.float32)[state], *rest

    trial = vd.run("random", lambda: TimeLimit(OneHot(), 100), episodes=5, seed=0, evaluation_episodes=3)
    assert trial.evaluation.method == "monte-carlo"


def test_a_patch_that_comes_later_and_goes_again_is_seen(monkeypatch):
    assert trained_in(zoo.solid).log.loop == "compiled"
    code = code_of(agents.QLearning(), [FrozenLakeEnv])
    with monkeypatch.context() as patch:
        make = zoo.SAMPLED["step_patched_on_the_class"](patch)
        assert trained_in(make).log.loop == "generic"
        # So that its trials have keys of their own.
        assert code_of(agents.QLearning(), [FrozenLakeEnv]) != code
    assert code_of(agents.QLearning(), [FrozenLakeEnv]) == code
    assert trained_in(zoo.solid).log.loop == "compiled"


@pytest.mark.parametrize(
    ("name", "transitions"),
    [
        ("slippery_lake", None),
        ("holes_hurt", "untrue"),
        ("own_environment_without_initial_distribution", "without start"),
    ],
)
def test_trials_have_keys_of_their_own_where_transitions_are_not_used_as_they_stand(name, transitions, monkeypatch):
    profile = EnvironmentProfile.of(name, ZOO[name](monkeypatch))
    assert profile.transitions == transitions
    budget = Budget(10, None)
    plain, own = (
        TrialKeys(agents.QLearning(), name, (), None, budget, None, transitions=kind).of(0)
        for kind in (None, profile.transitions)
    )
    assert (plain == own) is (transitions is None)


def table(**changes):
    return {0: {0: [(1.0, 1, 0.0, False)], 1: [(1.0, 0, 0.0, False)]}, 1: dict(changes.get("second", LAST))}


LAST = {0: [(1.0, 1, 1.0, True)], 1: [(1.0, 0, 0.0, False)]}


def own(transitions, initial=None):
    class Own(gym.Env):
        def __init__(self):
            self.P = transitions
            self.observation_space = self.action_space = spaces.Discrete(2)
            if initial is not None:
                self.initial_state_distrib = np.array(initial)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.s = 0
            return 0, {}

        def step(self, action):
            outcomes = self.P[self.s][action]
            _, self.s, reward, terminated = outcomes[int(self.np_random.integers(len(outcomes)))]
            return self.s, float(reward), bool(terminated), False, {}

    return TimeLimit(Own(), 20)


@pytest.mark.parametrize(
    ("transitions", "words"),
    [
        (
            table(second={0: [(0.9, 1, 1.0, True)], 1: LAST[1]}),
            "state 1, action 0: probabilities must sum to 1, got 0.9",
        ),
        (table(second={0: [(1.0, 1.0, 1.0, True)], 1: LAST[1]}), "next state must be an integer, got 1.0"),
        (np.ones((2, 2, 2)), "P must be a dict or a list, got ndarray"),
        (None, "P must be a dict or a list, got NoneType"),
    ],
)
def test_transitions_that_cannot_be_read_are_named(transitions, words):
    with pytest.raises(TransitionModelError, match=words):
        TransitionModel.of(own(transitions))


def test_own_transitions_with_numpy_numbers_and_without_a_start_are_exact():
    numpys = {np.int64(s): {np.int64(a): [(np.float32(1), np.int64(n), np.float64(r), np.bool_(d)) for _, n, r, d in o]
                            for a, o in actions.items()} for s, actions in table().items()}  # fmt: skip
    for transitions in (table(), numpys):
        trial = vd.run(LEARNER, lambda transitions=transitions: own(transitions), episodes=50, seed=0)
        assert (trial.evaluation.method, trial.evaluation.mean_return) == ("exact", 1.0)
        assert trial.profile.best.expected_return == 1.0


def test_a_wrong_start_is_refused_in_one_line():
    with pytest.raises(TransitionModelError, match=r"^initial_distribution must sum to 1, got 0.7$"):
        vd.run("random", own(table(), [0.5, 0.2]), episodes=2, seed=0)


def test_an_edited_object_is_evaluated_as_itself():
    env = gym.make("CartPole-v1")
    env.unwrapped.theta_threshold_radians, env.unwrapped.x_threshold = 1.5, 50.0
    trial = vd.run("random", env, episodes=200, seed=0)
    assert abs(trial.log.returns.mean() - trial.evaluation.mean_return) < 10
    assert trial.evaluation.mean_return > 40


def test_an_object_with_edited_transitions_is_evaluated_as_itself():
    env = gym.make("CliffWalking-v1", max_episode_steps=200)
    transitions = env.unwrapped.P
    for state in transitions:
        for action in transitions[state]:
            outcomes = transitions[state][action]
            transitions[state][action] = [(p, n, 10.0 if ends else r, ends) for p, n, r, ends in outcomes]
    trial = vd.run("q_learning(learning_rate=0.5)", env, episodes=1000, seed=0)
    assert (trial.evaluation.method, trial.profile.best.expected_return) == ("exact", -2.0)
    assert trial.evaluation.mean_return == -4.0


def test_evaluation_leaves_an_object_where_training_left_it():
    env = TimeLimit(zoo.SAMPLED["holes_hurt"](None)().unwrapped, 40)
    trial = vd.run(LEARNER, env, steps=150, seed=0, evaluation_episodes=3)
    alone = agents.QLearning(learning_rate=0.3, initial_value=1, policy=trial.trained.policy)
    other = TimeLimit(zoo.SAMPLED["holes_hurt"](None)().unwrapped, 40)
    alone.train(other, steps=150, seed=0)
    assert (env.unwrapped.s, env._elapsed_steps) == (other.unwrapped.s, other._elapsed_steps)
    assert env.unwrapped.np_random.bit_generator.state == other.unwrapped.np_random.bit_generator.state


STEP_OF = {}


def test_an_object_whose_step_acts_on_it_by_a_global_name_is_not_copied():
    env = TimeLimit(GridWorld(zoo.MAP), 30)
    STEP_OF["env"] = env.unwrapped.step
    env.unwrapped.step = lambda action: STEP_OF["env"]((action + 1) % 4)
    trial = vd.run(LEARNER.replace("0.2", "0.6"), env, episodes=300, seed=0, evaluation_episodes=20)
    assert trial.evaluation.success_rate == 1.0


def test_compiled_code_is_never_given_arrays_of_other_sizes():
    model = TransitionModel.of(zoo.lake())
    with pytest.raises(
        ValueError, match=r"^policy must have the shape \(16, 4\) of the transition model, got \(16, 3\)$"
    ):
        evaluate_policy(model, np.full((16, 3), 1 / 3), None)
    with pytest.raises(ValueError, match=r"^success must have the shape"):
        best_possible(model, np.zeros(3, dtype=bool))
    learner = agents.QLearning()
    learner.train(zoo.lake(), episodes=2, seed=0)
    sampled = SampledModel.of(zoo.grid(GridWorld))
    with pytest.raises(UnsupportedEnvironmentError):
        learner.train(sampled, episodes=2, seed=0)


class Loose(ModelEnvironment):
    """Steps by other probabilities than its table says, as far as a test asks for."""

    def __init__(self, listed, true):
        super().__init__(TransitionModel.from_outcomes(listed, 0))
        self.true = TransitionModel.from_outcomes(true, 0)

    def step(self, action):
        listed, self.model = self.model, self.true
        try:
            return super().step(action)
        finally:
            self.model = listed


def coin(heads, num_states=4):
    return [[[(heads, (s + 1) % num_states, 0.0, False), (1 - heads, s, 0.0, s == 3)]] * 2 for s in range(num_states)]


@pytest.mark.parametrize("heads", [0.7, 0.5, 0.95])
def test_frequencies_tell_a_table_from_another(heads):
    env = TimeLimit(Loose(coin(heads), coin(heads - 0.05)), 50)
    with pytest.raises(UntrueModelError, match="not as frequent"):
        TransitionModel.of(env)


@pytest.mark.slow
def test_frequencies_raise_no_false_alarm():
    """Six standard errors are beyond what chance gives in a thousand checks, and their spread is that of chance."""
    from velodrome.envs.model import model_check

    found = []
    measure = model_check._standard_errors

    def noted(ratio, freedom):
        found.append(measure(ratio, freedom))
        return found[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_check, "_standard_errors", noted)
        for number in range(300):
            patch.setattr(model_check, "SEED", 1000 + number)
            check_model(GridWorld("S.G/.X.", slip=0.3), TransitionModel.of(GridWorld("S.G/.X.", slip=0.3)))
            check_model(zoo.Walk(), TransitionModel.of(zoo.Walk()))
    assert max(found) < 5.0
