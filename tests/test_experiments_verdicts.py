"""What the verdict says of scores whose answer is known, and what it never says."""

import ast
import gettext
import re
from pathlib import Path
from string import Formatter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

import velodrome as vd
from velodrome.experiments import reporting
from velodrome.experiments.errors import ExperimentError
from velodrome.experiments.reporting.footnotes import footnotes
from velodrome.experiments.reporting.languages import Words
from velodrome.experiments.reporting.particles import WithParticle
from velodrome.experiments.reporting.verdicts import MOST_SENTENCES, verdict_lines, verdicts
from velodrome.experiments.results.analysis import AnalysisOptions
from velodrome.experiments.results.results import Results


def results_of(scores, failed=None, column="greedy_success_rate", **known):
    """Results of {environment: {agent: scores}} or {agent: scores}."""
    by_environment = scores if isinstance(next(iter(scores.values())), dict) else {"lake": scores}
    rows = [
        {"environment": environment, "agent": agent, "seed": seed, column: score, **known}
        for environment, agents in by_environment.items()
        for agent, values in agents.items()
        for seed, score in enumerate(values)
    ]
    for agent, seeds in (failed or {}).items():
        rows += [{"environment": "lake", "agent": agent, "seed": seed, "status": "failed"} for seed in seeds]
    return Results.from_frame(pd.DataFrame(rows))


def text_of(results, language="en", **options):
    return "\n".join(verdict_lines(results.analysis(AnalysisOptions(**options)), results, language))


def spread(mean, seed, num_seeds=30, width=0.05):
    return np.clip(np.random.default_rng(seed).normal(mean, width, num_seeds), 0, 1)


def test_a_clear_winner_is_named_with_its_lead():
    text = text_of(results_of({"A": spread(0.8, 0), "B": spread(0.6, 1), "C": spread(0.3, 2)}))
    assert re.search(r"A is best \(greedy success \.794 \[.*\]\): it beats B by \.\d+ \[.*\], and C by at least", text)
    assert "not distinguishable" not in text


def test_two_agents_are_told_in_one_sentence():
    text = text_of(results_of({"B": spread(0.6, 1), "A": spread(0.8, 0)}))
    assert re.match(r"lake: A beats B by \.\d+ \[.*\] \(greedy success .*\)\.$", text)


def test_what_is_open_comes_with_the_seeds_that_would_settle_it():
    text = text_of(results_of({"A": spread(0.52, 3, width=0.2), "B": spread(0.5, 4, width=0.2)}))
    assert re.search(r"A and B|B and A", text)
    assert re.search(r"not distinguishable with 30 seeds \(difference .*\); about [\d,]+ \([\d,]+–[\d,]+\) would", text)
    stated = text_of(results_of({"A": spread(0.52, 3, width=0.2), "B": spread(0.5, 4, width=0.2)}), difference=0.05)
    assert "would settle a difference of .05" in stated


def test_scores_that_are_always_the_same_are_not_called_equal():
    text = text_of(results_of({"A": [0.5] * 10, "B": [0.5] * 10}))
    assert "A and B score the same with every seed" in text
    assert "nothing tells them apart" in text
    best = text_of(results_of({"A": [1.0] * 10, "B": [1.0] * 10, "C": [0.1] * 10}, best_success_rate=1.0))
    assert "A and B reach the best possible greedy success, 1.000, with every seed" in best
    assert "Each of these 2 beats C, A by .900" in best


def test_the_share_of_the_best_possible_is_told_and_never_rounded_to_all():
    scores = {"A": [0.5, 0.6] * 10, "B": [0.1, 0.2] * 10}
    assert "A reaches 68.8 % of the best possible .800" in text_of(results_of(scores, best_success_rate=0.8))
    near = {"A": [0.9999] * 20, "B": [0.1, 0.2] * 10}
    assert "more than 99.9 %" in text_of(results_of(near, best_success_rate=1.0))


def test_who_is_below_the_random_policy():
    scores = {"A": spread(0.6, 0), "B": spread(0.2, 1), "C": spread(0.1, 2)}
    text = text_of(results_of(scores, random_success_rate=0.4))
    assert "only A is above the random policy (.400); B and C are below it" in text
    assert "Not even A is clearly above the random policy" in text_of(results_of(scores, random_success_rate=0.7))


def test_an_interval_that_leaves_out_zero_does_not_decide_alone():
    agents = {"best": [1.0] * 30}
    for place in range(3):
        agents[f"fails at {place}"] = [0.0 if seed // 6 == place else 1.0 for seed in range(30)]
    text = text_of(results_of(agents))
    assert "best and fails at 0 are not distinguishable with 30 seeds" in text
    assert "interval leaves out 0, but among 6 pairs this can happen by chance (the two differ with 6 of 30" in text


def test_agents_that_always_score_alike_make_no_pair_harder_to_decide():
    scores = {"first": [1.0] * 23 + [0.0] * 7, "never": [0.0] * 30}
    alone = results_of({"always": [1.0] * 30} | scores)
    copies = results_of({f"always {place}": [1.0] * 30 for place in range(5)} | scores)
    p_values = [row["p_value"] for row in alone.rows() if row["agent"] == "first"]
    assert p_values == [row["p_value"] for row in copies.rows() if row["agent"] == "first"]
    assert "always 0 beats first by .23" in text_of(copies)


def test_verdicts_that_may_rest_on_rare_seeds_are_named():
    scores = {"always": [1.0] * 10, "steady": [0.9] * 10, "poor": [0.1, 0.2] * 5}
    notes = "\n".join(footnotes(results_of(scores)))
    assert "rare seeds: One of two agents scored the same with every seed" in notes
    assert "may be wrong (always against steady)." in notes
    assert "rare seeds" not in "\n".join(footnotes(results_of({"A": spread(0.9, 0), "B": spread(0.1, 1)})))


def test_one_seed_says_nothing_of_differences():
    text = text_of(results_of({"A": [0.9], "B": [0.1]}))
    assert "One seed: nothing can be said of differences." in text
    assert "beats" not in text


def test_too_few_seeds_for_any_difference_are_told_with_the_least_that_do():
    text = text_of(results_of({"A": [0.9, 0.91, 0.92], "B": [0.1, 0.11, 0.13]}))
    assert "With 3 seeds no difference among 2 agents can be significant; that takes 6 seeds at the least." in text
    assert "A beats B" not in text
    assert "A beats B" in text_of(results_of({"A": spread(0.9, 0, 6), "B": spread(0.1, 1, 6)}))


def test_one_agent_has_its_interval_and_nothing_to_be_compared_with():
    assert "nothing to compare it with" in text_of(results_of({"A": spread(0.5, 0)}))
    assert "one seed has no interval" in text_of(results_of({"A": [0.5]}))


def test_failures_are_counted():
    failed = {"A": range(20, 23), "C": range(20)}
    text = text_of(results_of({"A": spread(0.8, 0, 20), "B": spread(0.3, 1, 20)}, failed=failed))
    assert "3 of the 23 trials of A failed" in text
    assert "C is not compared, for all 20 of its trials failed" in text


def crashing(loses_only):
    """A is ahead where it is done; where it would lose, or on seeds that have nothing to do with it, it crashes."""
    places = np.arange(20)
    own = np.where(places % 2 == 0, 0.95, 0.05) if loses_only else np.full(20, 0.95)
    lost = places % 2 == 1 if loses_only else places == 3
    noise = np.random.default_rng(0).normal(0, 0.005, 20)
    rows = [
        {"environment": "lake", "agent": "A", "seed": seed, "greedy_success_rate": None if lost[seed] else score}
        | {"status": "failed" if lost[seed] else "done"}
        for seed, score in enumerate(own + noise)
    ]
    rows += [
        {"environment": "lake", "agent": "B", "seed": seed, "greedy_success_rate": 0.7 + noise[seed], "status": "done"}
        for seed in range(20)
    ]
    return Results.from_frame(pd.DataFrame(rows))


def test_no_agent_beats_another_by_failing_where_it_would_lose():
    results = crashing(loses_only=True)
    text, korean = text_of(results), text_of(results, "ko")
    assert "beats" not in text
    assert "A is ahead of B by .2" in text
    assert "with missing trials counted as the worst score that does not hold" in text
    assert "10 of the 20 trials of A failed" in text
    assert "유의하게 높" not in korean
    assert "빠진 시도를 가장 나쁜 점수로 치면 그렇지 않습니다" in korean
    table = results.table(full=True)
    assert table["letters"].tolist() == ["a", "a"]
    assert table.loc[1, "verdict"] == "not distinguishable"
    assert table.loc[1, "p_value"] > 0.05
    (pair,) = {id(pair): pair for pair in results.analysis().environments[0].comparison.pairs.values()}.values()
    assert pair.is_doubtful


def test_a_lead_that_holds_with_a_failure_counted_as_the_worst_stands():
    text = text_of(crashing(loses_only=False))
    assert "A beats B" in text
    assert "1 of the 20 trials of A failed" in text


def test_a_failing_loser_is_still_beaten():
    assert "A beats B" in text_of(results_of({"A": spread(0.8, 0, 20), "B": spread(0.3, 1, 17)}, {"B": range(17, 20)}))


def test_failures_of_returns_count_as_the_worst_seen():
    scores = {"A": [10.0 + 0.1 * place for place in range(10)], "B": [8.0 + 0.1 * place for place in range(20)]}
    scores["C"] = [-500.0 - place for place in range(20)]
    text = text_of(results_of(scores, {"A": range(10, 20)}, column="greedy_mean_return"))
    assert "A beats B" not in text
    assert "A is ahead of B by" in text


def cliff(success=1.0, returns=(-13.0, -15.0), num_seeds=10):
    rows = [
        {"environment": "cliff", "agent": agent, "seed": seed, "greedy_success_rate": success,
         "greedy_mean_return": value + 0.01 * (seed % 3) * place, "best_success_rate": 1.0}
        for place, (agent, value) in enumerate(zip(("Q", "Expected Sarsa"), returns, strict=True))
        for seed in range(num_seeds)
    ]  # fmt: skip
    return Results.from_frame(pd.DataFrame(rows))


@pytest.mark.parametrize("success", [1.0, 0.5])
def test_equal_success_on_every_seed_is_decided_by_return(success):
    results = cliff(success)
    text = text_of(results)
    assert (
        "Q and Expected Sarsa have the same greedy success with every seed: between them greedy return decides" in text
    )
    assert re.search(r"Q beats Expected Sarsa by 1\.99\d? \[.*\] in greedy return", text)
    assert "nothing tells them apart" not in text
    assert "탐욕 정책의 리턴으로 비교합니다" in text_of(results, "ko")
    assert "탐욕 정책의 리턴 1.99" in text_of(results, "ko")
    table = results.table(full=True)
    assert table["letters"].tolist() == ["a", "b"]
    assert table["is_by_return"].tolist() == [False, True]
    assert table.loc[1, "difference"] == pytest.approx(-1.991)


def test_equal_returns_too_leave_nothing_to_tell_apart():
    text = text_of(results_of({"A": [1.0] * 10, "B": [1.0] * 10}, greedy_mean_return=-13.0))
    assert "A and B score the same with every seed" in text
    assert "nothing tells them apart" in text


def test_too_few_seeds_do_not_decide_by_return_either():
    text = text_of(cliff(num_seeds=5))
    assert "beats" not in text
    assert "Q scores higher than Expected Sarsa with every seed." in text
    assert "in greedy return" in text


def test_the_return_of_equal_successes_is_decided_at_the_level_of_the_whole_table():
    """Equal agents with equal success on every seed, and random returns: false verdicts stay within the error."""
    rng, false = np.random.default_rng(1), 0
    for _ in range(60):
        rows = [
            {"environment": "e", "agent": agent, "seed": seed, "greedy_success_rate": 1.0, "greedy_mean_return": value}
            for agent in "ABCD"
            for seed, value in enumerate(rng.normal(0, 1, 8))
        ]
        letters = Results.from_frame(pd.DataFrame(rows)).table(full=True)["letters"]
        false += len(set(letters)) > 1
    assert false <= 60 * 0.05 + 3 * np.sqrt(60 * 0.05 * 0.95)


def test_trials_without_a_score_are_not_counted_among_the_seeds():
    frame = results_of({"A": spread(0.9, 0, 12), "B": spread(0.5, 1, 12)}, train_success_rate=0.4).frame()
    frame = frame[["environment", "agent", "seed", "greedy_success_rate", "train_success_rate"]]
    frame.loc[(frame["agent"] == "A") & (frame["seed"] >= 5), "greedy_success_rate"] = np.nan
    results = Results.from_frame(frame)
    table = results.table(full=True)
    assert table[["seeds", "failed", "no_score"]].to_numpy().tolist() == [[5, 0, 7], [12, 0, 0]]
    assert "7 of the 12 trials of A have no greedy success and are left out" in text_of(results)
    assert "시도 12개 중 7개는" in text_of(results, "ko")
    assert any(line.startswith("No score: A on lake, 7 of 12 trials") for line in footnotes(results))


def test_a_score_above_the_best_possible_is_said_to_be_one():
    scores = {"A": spread(0.75, 0, 20), "B": spread(0.5, 1, 20)}
    near = results_of(scores, best_success_rate=0.74)
    assert "A scores above the best possible greedy success, .740, as sampled episodes can by luck" in text_of(near)
    assert near.table(full=True)["share_of_best"].tolist()[0] == 1.0
    assert any(line.startswith("of best: ") and line.endswith("A.") for line in footnotes(near))
    far = results_of(scores, best_success_rate=0.6)
    assert "by more than luck: that best is not the best of what was evaluated" in text_of(far)
    assert "우연이라 할 수 없을 만큼" in text_of(far, "ko")


def test_scores_that_never_vary_come_with_what_they_may_have_missed():
    lines = footnotes(results_of({"A": [1.0] * 10, "B": spread(0.5, 1, 10)}))
    assert any("Of 10 seeds that all score the same nothing is known of what happens with fewer than 25.9 %" in line
               for line in lines)  # fmt: skip


def test_all_trials_failed():
    rows = [
        {"environment": "lake", "agent": agent, "seed": 0, "status": "failed", "greedy_success_rate": None}
        for agent in "AB"
    ]
    assert "nothing can be compared" in text_of(Results.from_frame(pd.DataFrame(rows)))


def test_returns_have_no_share_of_the_best():
    scores = {"A": [-12.0, -14.0] * 10, "B": [-80.0, -90.0] * 10}
    text = text_of(results_of(scores, column="greedy_mean_return", best_return=-10.0))
    assert "A beats B by 72" in text
    assert "The best possible greedy return is -10" in text
    assert "%" not in text


def test_all_environments_have_a_paragraph_of_their_own():
    agents = {"A": spread(0.8, 0), "B": spread(0.3, 1)}
    results = results_of({"one": agents, "two": agents})
    assert [verdict.title for verdict in verdicts(results.analysis(), results)] == [
        "one", "two", "2 environments together",
    ]  # fmt: skip


def test_the_baseline_is_answered():
    results = results_of({"A": spread(0.8, 0), "B": spread(0.5, 1), "C": spread(0.2, 2)})
    assert "Against the baseline B: better: A; worse: C." in text_of(results, baseline="B")


@pytest.mark.parametrize("number", [2, 7, 25])
def test_the_length_is_bounded(number):
    agents = {f"agent {place}": spread(0.3 + 0.4 * place / number, place, width=0.1) for place in range(number)}
    results = results_of(agents, best_success_rate=1.0, random_success_rate=0.5)
    (verdict,) = verdicts(results.analysis(), results)
    assert 1 <= len(verdict.sentences) <= MOST_SENTENCES
    assert len(" ".join(verdict.sentences)) < 1100


@pytest.mark.parametrize("language", ["en", "ko"])
def test_labels_with_commas_are_quoted_and_braces_are_kept(language):
    text = text_of(results_of({"Q, fast": spread(0.8, 0), "{0} {x}": spread(0.3, 1)}), language)
    assert "“Q, fast”" in text
    assert "“{0} {x}”" in text


@settings(max_examples=15)
@given(
    st.lists(st.lists(st.floats(0, 1), min_size=6, max_size=12), min_size=2, max_size=4),
    st.sampled_from(["en", "ko"]),
)
def test_only_what_the_test_found_is_called_better(scores, language):
    results = results_of({f"agent{place}": values for place, values in enumerate(scores)})
    analysis = results.analysis()
    text = "\n".join(verdict_lines(analysis, results, language))
    different = any(pair.verdict == "different" for pair in analysis.environments[0].comparison.pairs.values())
    claims = [word for word in ("beats", "is best", "유의하게 높") if word in text]
    assert different or not claims
    assert "equal" not in text
    assert "prove" not in text
    if language == "ko":
        assert not re.search(r"\b(distinguishable|seeds|beats|difference)\b", text)


def test_korean_verdict():
    text = text_of(results_of({"탐험": spread(0.8, 0), "활용": spread(0.6, 1), "무작위": spread(0.3, 2)}), "ko")
    assert "탐험이 가장 좋습니다(탐욕 정책의 성공률 .794" in text
    assert "활용보다" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("정책", "정책은"),
        ("학습자", "학습자는"),
        ("random", "random은"),
        ("stochastic Q", "stochastic Q는"),
        ("noise", "noise는"),
        ("“UCB”", "“UCB”는"),
        (".36", ".36은"),
        ("12", "12는"),
        ("net", "net은(는)"),
        ("", "은(는)"),
    ],
)
def test_particles_follow_the_sound(text, expected):
    assert f"{WithParticle(text):은/는}" == expected


def test_particle_after_rieul():
    assert f"{WithParticle('서울'):으로/로}" == "서울로"
    assert f"{WithParticle('30개'):으로/로}" == "30개로"


def test_unknown_language_is_refused():
    with pytest.raises(ExperimentError, match="language must be one of en, ko, got 'kr'"):
        Words.of("kr")


CATALOGUE = Path(reporting.__file__).parent / "locale" / "ko" / "LC_MESSAGES" / "velodrome.po"


def messages():
    """Entries of the Korean catalogue but for its header: English, English of several if they differ, Korean.

    Those with a context, the labels of shipped experiments, come as gettext has them, with the context in front.
    """
    entries = []
    for block in CATALOGUE.read_text(encoding="utf-8").split("\n\n")[1:]:
        fields = re.findall(r'^(msg\w+(?:\[0\])?)((?:\s+"(?:[^"\\]|\\.)*")+)', block, re.M)
        entries.append(
            {name: "".join(ast.literal_eval(f"[{text.strip()}]".replace('"\n"', '", "'))) for name, text in fields}
        )
    for one in entries:
        if "msgctxt" in one:
            one["msgid"] = f"{one['msgctxt']}\x04{one['msgid']}"
    return [(one["msgid"], one.get("msgid_plural"), one.get("msgstr", one.get("msgstr[0]"))) for one in entries]


KOREAN = {several or one: korean for one, several, korean in messages()}


def templates_of(path):
    """English templates of a module: what is handed to the words, but for singulars, and whatever has fields."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    singular, found = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            texts = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
            if name == "counted":
                singular |= set(texts[:1])
                found |= set(texts[1:])
            elif name == "words":
                found |= set(texts)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "one":
            singular |= {one.value for one in ast.walk(node.value) if isinstance(one, ast.Constant)}
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.search(r"\{[a-z]+\}", node.value):
            found.add(node.value)
    return found - singular


@pytest.mark.parametrize(
    "name", ["verdicts", "leader_sentences", "field_sentences", "languages", "facts", "report", "titles", "page_words"]
)
def test_every_template_has_korean_with_known_fields(name):
    templates = templates_of(Path(reporting.__file__).with_name(f"{name}.py"))
    # Docstrings that show a template.
    templates = {template for template in templates if "\n" not in template and "`" not in template}
    assert templates
    assert templates - KOREAN.keys() - {"{name}"} == set()


def test_every_message_of_the_catalogue_has_korean_and_is_compiled():
    compiled = gettext.translation("velodrome", CATALOGUE.parents[2], languages=["ko"])
    entries = messages()
    assert len(entries) == len(set(entries)) > 200
    for one, several, korean in entries:
        assert korean
        assert (compiled.ngettext(one, several, 1) if several else compiled.gettext(one)) == korean
        assert several is None or compiled.ngettext(one, several, 2) == korean
    assert Words.of("ko")("") == ""
    # And nothing that was taken out of the text is left in the compiled file.
    keys = {one for one, _, _ in entries} | {""}
    assert {key if isinstance(key, str) else key[0] for key in compiled._catalog} == keys


def test_korean_uses_only_the_fields_of_its_template():
    for english, korean in KOREAN.items():
        fields = {name for _, name, _, _ in Formatter().parse(english) if name}
        assert {name for _, name, _, _ in Formatter().parse(korean) if name} <= fields
        assert {name for name in fields if name not in korean} <= {"agents", "top"}


def test_learners_that_end_alike_are_told_apart_by_their_training():
    agents = {"slow": "epsilon_greedy_q(ties='random')", "fast": "noise_q", "also fast": "discounted_q"}
    results = vd.compare(agents, "FrozenLake-v1(is_slippery=False)", seeds=10, episodes=1000)
    text = text_of(results)
    assert re.search(r"In training they differ: fast succeeds in \.\d+ \[.*\] of its episodes, slow in \.\d+ \[", text)
    assert "학습 과정에서는 다릅니다" in text_of(results, "ko")
    # Nothing is said where the intervals overlap.
    assert "In training" not in text_of(
        vd.compare(["noise_q", "discounted_q"], "FrozenLake-v1(is_slippery=False)", seeds=5, episodes=800)
    )


def test_a_run_until_decided_says_what_is_still_open_and_where_it_stopped():
    agents = {rate: f"q_learning(learning_rate={rate})" for rate in ("0.1", "0.08")} | {"chance": "random"}
    results = vd.compare(agents, "FrozenLake-v1", episodes=300, until_decided=True, max_seeds=20)
    text = text_of(results)
    assert "chance" in text
    assert re.search(r"not distinguishable with \d+ seeds|beats", text)
    assert "nan" not in text


def test_margins_are_told_in_words():
    results = vd.compare(
        policies={"ε-greedy": "epsilon_greedy(epsilon=0.1)", "greedy": "greedy"},
        learners=["q_learning", "sarsa"],
        environments="CliffWalking-v1(max_episode_steps=200)", seeds=6, episodes=100,
    )  # fmt: skip
    text = text_of(results, metric="train_return")
    assert re.search(r"each policy, mean over 2 learners: (greedy|ε-greedy) (beats|is best)", text)
    assert "each learner, mean over 2 policies: " in text
    assert "정책별, 학습기 2개의 평균" in text_of(results, "ko", metric="train_return")
