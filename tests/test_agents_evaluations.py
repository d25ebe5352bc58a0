"""Evaluations along the training: where they come, and that they change nothing."""

import gymnasium as gym
import numpy as np
import pytest

from velodrome import agents


@pytest.mark.parametrize("loop", ["generic", "compiled"])
@pytest.mark.parametrize("unit", ["episodes", "steps"])
def test_evaluations_change_no_bit_and_come_at_multiples_however_training_is_divided(unit, loop, result, differences):
    runs, curves = [], []
    for parts, every in (((300,), None), ((300,), 70), ((90, 160, 50), 70)):
        agent, env, log = agents.Sarsa(), gym.make("FrozenLake-v1"), None
        for part in parts:
            seed = 4 if log is None else None
            later = agent.train(env, seed=seed, loop=loop, evaluate_every=every, **{unit: part})
            log = later if log is None else log + later
        runs.append(result(agent, env, log))
        curves.append({curve.name: curve for curve in log.curves})
    assert differences(runs[0], runs[1]) == differences(runs[0], runs[2]) == []
    assert curves[0] == {}
    assert set(curves[1]) == {"evaluation_return", "evaluation_success_rate", "training_cpu_seconds"}
    for run in curves[1:]:
        seconds = run["training_cpu_seconds"].values
        assert (np.diff(seconds, prepend=0.0) > 0).all()
    for name, curve in curves[1].items():
        assert curve.unit == unit.removesuffix("s")
        assert curve.at.tolist() == curves[2][name].at.tolist() == [70, 140, 210, 280]
        if name != "training_cpu_seconds":
            assert curve.values.tobytes() == curves[2][name].values.tobytes()


def test_a_callback_gets_a_moment_that_is_the_number_of_finished_episodes():
    seen = []

    def look(moment):
        seen.append((moment, moment.step, moment.log.episodes, moment.action_values is agent.action_values))
        return moment < 20

    agent = agents.QLearning()
    log = agent.train("FrozenLake-v1", episodes=100, seed=0, callback=look, callback_every=10)
    assert [moment for moment, *_ in seen] == [10, 20]
    assert f"{seen[0][0]} episodes" == "10 episodes"
    assert seen[1][1:] == (int(log.lengths.sum()), 20, True)


def test_where_no_model_is_known_a_note_says_so():
    agent = agents.RandomAgent()
    log = agent.train("CartPole-v1", episodes=4, seed=0, evaluate_every=2)
    assert log.curves == ()
    assert any(note.startswith("was not evaluated along the training: ") for note in log.notes)
    sampled = agent.train("CartPole-v1", episodes=4, evaluate_every=2, evaluator=lambda agent: {"return": 1.0})
    assert sampled.curves[0].at.tolist() == [2, 4]
    assert np.all(sampled.curves[0].values == 1.0)
