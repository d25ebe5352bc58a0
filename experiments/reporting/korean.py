"""Korean words by their English: those of the report, beside the verdicts'."""

from velodrome.experiments.reporting.korean_verdicts import VERDICTS

_REPORT = {
    "agent": "에이전트", "policy": "정책", "learner": "학습자", "label": "이름", "expression": "표현식",
    "failed": "실패", "no score": "점수 없음", "letters": "문자", "of best": "최선 대비", "vs best": "최고와의 차이",
    "vs baseline": "기준과의 차이",
    "best": "최고", "baseline": "기준", "IQM": "IQM", "regret": "후회(regret)", "seeds": "시드", "seed": "시드",
    "steps/s": "스텝/초", "episodes to {rate}": "{rate}까지의 에피소드", "({some} of {all})": "({all}개 중 {some}개)",
    "Report of an experiment": "실험 보고서", "Verdict": "판정", "The numbers": "수치",
    "Download all numbers as CSV": "모든 수치를 CSV로 내려받기", "Over all environments": "전체 환경",
    "Policies and learners": "정책과 학습자", "How to read the tables": "표 읽는 법", "Figures": "그림",
    "Left out of the figures": "그림에서 뺀 것",
    "Drawn are the {number} of {all} agents with the best mean rank over environments; the tables have all.": (
        "에이전트 {all}개 중 환경별 순위의 평균이 좋은 {number}개만 그렸습니다. 표에는 모두 있습니다."
    ),
    "Drawn are the {number} of {all} agents with the best mean rank over environments, and the baseline; the tables "
    "have all.": (
        "에이전트 {all}개 중 환경별 순위의 평균이 좋은 {number}개와 기준만 그렸습니다. 표에는 모두 있습니다."
    ),
    "Where each environment has its own figure, the first {number} of {all} are drawn; the tables have all.": (
        "환경마다 그리는 그림은 환경 {all}개 중 처음 {number}개만 그렸습니다. 표에는 모두 있습니다."
    ),
    "Final scores: of {all} seeds {number} dots an agent are drawn, evenly spread over its ordered scores; mean and "
    "interval are of all seeds.": (
        "최종 점수: 시드 {all}개 중 점수 순으로 고르게 뽑은 {number}개만 에이전트마다 점으로 그렸습니다. "
        "평균과 구간은 모든 시드의 것입니다."
    ),
    "Probability of improvement: left out, for it is drawn of at most {most} agents.": (
        "개선 확률: 에이전트 {most}개까지만 그리므로 뺐습니다."
    ),
    "Warnings of the checks before running": "실행 전 점검의 경고", "Failed trials": "실패한 시도", "Notes": "비고",
    "{number} trials": "시도 {number}개", "How it was run": "실험 방법", "Agents": "에이전트", "Environments": "환경",
    "How to reproduce it": "재현 방법",
    "The same command gives the same trials; the second runs stored trials again and compares them.": (
        "같은 명령은 같은 결과를 냅니다. 마지막 명령은 저장된 시도를 다시 실행하여 비교합니다."
    ),
    "This runs stored trials again and compares them.": "저장된 시도를 다시 실행하여 비교합니다.",
    "command": "명령", "versions": "버전", "commit": "커밋", "machine": "컴퓨터", "workers": "작업자",
    "{number} cores": "코어 {number}개", "{number} workers": "{number}개",
    "{commit} with changes that were not committed": "{commit}(커밋되지 않은 변경 있음)",
}  # fmt: skip

_FACTS = {
    "no letters": "문자 없음",
    "With {number} agents no pair is tested, and there are no letters: all pairs are tested of at most {most}. "
    "The highest of so many means is partly luck; compare the best again on new seeds.": (
        "에이전트가 {number}개이므로 어떤 쌍도 검정하지 않았고 문자도 없습니다. 모든 쌍은 {most}개까지만 검정합니다. "
        "이렇게 많은 평균 가운데 가장 높은 것은 일부 운 덕분입니다. 상위 에이전트를 새로운 시드로 다시 비교하십시오."
    ),
    "Training": "학습", "Seeds": "시드", "{amount} in each trial": "시도마다 {amount}",
    "{number} more": "그 밖에 {number}개",
    "{agent} on {environment}": "{environment}의 {agent}", "every agent": "모든 에이전트",
    "over all environments": "전체 환경",
    "Of the {number} agents with scores on each of them.": "모든 환경에 점수가 있는 에이전트 {number}개만 비교합니다.",
    "Letters over all environments do not correct for the looks at the seeds.": (
        "전체 환경의 문자는 시드를 늘리며 여러 번 확인한 것을 보정하지 않은 것입니다."
    ),
    "success rule not stated": "성공 규칙이 밝혀지지 않음",
    "some of them over {number} sampled episodes": "그중 일부는 에피소드 {number}개로 표본 평가",
    "With so few seeds ({fewest}) it may cover less than it says.": (
        "시드가 이렇게 적으면({fewest}개) 실제 포함률이 95 %보다 낮을 수 있습니다."
    ),
    "{agent} on {environment}: {amount}": "{environment}의 {agent}: {amount}",
    "{number} episodes": "에피소드 {number}개", "{number} steps": "{number}스텝", "{number} epochs": "{number}에포크",
    "added until decided, at most {most}": "판정될 때까지 추가, 최대 {most}개",
    "some pairs of agent and environment have others": "일부 에이전트와 환경은 다른 시드를 씁니다",
    "the same for all agents, so that differences are taken seed by seed": (
        "모든 에이전트에 같은 시드를 써서 시드별로 짝지어 비교합니다"
    ),
    "no trial is done": "완료된 시도가 없습니다", "success if {rule}": "성공 규칙: {rule}",
    "no success rule": "성공 규칙 없음",
    "greedy policies evaluated exactly on the model": "탐욕 정책을 전이 모델로 정확히 평가",
    "learnt on {learnt}": "학습 자료: {learnt}",
    "learnt and evaluated on {learnt}": "학습과 평가 자료: {learnt}",
    "learnt on {learnt}, evaluated on {others}": "학습 자료: {learnt}, 평가 자료: {others}",
    "greedy policies evaluated over {number} sampled episodes": "탐욕 정책을 에피소드 {number}개로 표본 평가",
    "compared by {measure}": "비교 기준: {measure}", "best possible {value}": "가능한 최선 {value}",
    "random policy {value}": "무작위 정책 {value}",
    "95 % interval of the mean over seeds; without brackets all seeds scored the same or there is only one.": (
        "시드 평균의 95 % 신뢰구간. 괄호가 없으면 모든 시드의 점수가 같거나 시드가 하나입니다."
    ),
    "vs best / baseline": "최고/기준과의 차이", "settle": "차이를 가린다",
    "A number of seeds settles a difference if it finds it with probability .8 (power). It is for a true difference of "
    "just this size: one of half the size takes four times as many. In parentheses: the fewest and the most that it "
    "may be, for so few seeds tell the spread only roughly (90 %).": (
        "실제 차이가 바로 그만할 때 확률 .8(검정력)로 찾아낼 수 있는 시드 수를 말합니다. "
        "차이가 절반이면 네 배가 필요합니다. "
        "괄호 안은 적은 시드로 잰 산포가 대략적이기 때문에 가능한 최소와 최대입니다(90 %)."
    ),
    "Of {seeds} that all score the same nothing is known of what happens with fewer than {share} of seeds.": (
        "{seeds}의 점수가 모두 같아도, {share} 미만의 시드에서만 일어나는 일은 알 수 없습니다."
    ),
    "(return)": "(리턴)",
    "Agents with the same greedy success on every seed are compared by greedy return.": (
        "모든 시드에서 탐욕 정책의 성공률이 같은 에이전트는 탐욕 정책의 리턴으로 비교합니다."
    ),
    "missing trials": "빠진 시도",
    "Two agents differ only if they also do with missing trials counted as the worst score.": (
        "빠진 시도를 가장 나쁜 점수로 쳐도 다른 에이전트만 다르다고 합니다."
    ),
    "Greedy success above the best possible, which sampled episodes can reach by luck, counts as all of it: "
    "{agents}.": (
        "표본 에피소드에서는 운으로 가능한 최선을 넘을 수 있으며, 그런 성공률은 100 %로 칩니다: {agents}."
    ),
    "Interquartile mean: of the middle half of the seeds, so that no outlier decides.": (
        "사분위 평균: 가운데 절반의 시드만 평균하여 이상치의 영향을 줄입니다."
    ),
    "What the returns in training fall short of the best expected return, summed over all episodes.": (
        "학습 중 리턴이 가능한 최선의 기대 리턴에 못 미친 양을 모든 에피소드에 걸쳐 더한 것입니다."
    ),
    "no regret": "후회(regret) 없음",
    "with a budget of steps, episodes of different lengths do not add up to comparable sums": (
        "학습량을 스텝 수로 정하면 길이가 서로 다른 에피소드의 합은 비교할 수 없습니다"
    ),
    "trials finished different numbers of episodes, whose sums are not comparable": (
        "시행마다 마친 에피소드 수가 달라 그 합을 비교할 수 없습니다"
    ),
    "reward a guess": "추측당 보상",
    "Mean reward of a step of the greedy policy: of a text, the share of its letters guessed right.": (
        "탐욕 정책이 한 스텝에서 받는 평균 보상입니다. 글에서는 맞힌 글자의 비율입니다."
    ),
    "episodes to a rate": "성공률까지의 에피소드",
    "Median over seeds of the episodes until the mean success of the last {window} reached the rate; ∞ where "
    "half of the seeds or more never did.": (
        "최근 {window}개 에피소드의 평균 성공률이 그 값에 이를 때까지 걸린 에피소드 수의 시드 중앙값입니다. "
        "시드의 절반 이상이 이르지 못하면 ∞입니다."
    ),
    "normalised score": "정규화 점수",
    "Shares of the way from the random policy (0) to the best possible one (1).": (
        "무작위 정책을 0, 가능한 최선의 정책을 1로 놓은 점수입니다."
    ),
    "margins": "주변 평균",
    "Means over the other factor, seed by seed; they hide how policy and learner act together.": (
        "다른 요인에 대해 시드별로 평균한 값이며, 정책과 학습자의 상호작용은 드러나지 않습니다."
    ),
    "paired permutation tests corrected by the largest statistic of all pairs (max-T)": (
        "짝지은 순열 검정과, 모든 쌍의 최대 통계량에 의한 보정(max-T)"
    ),
    "paired permutation tests (max-T), those of pairs on different seeds unpaired, with Holm's correction": (
        "짝지은 순열 검정(max-T), 시드가 다른 쌍은 짝짓지 않은 검정과 홀름(Holm) 보정"
    ),
    "rare seeds": "드문 시드",
    "{ahead} against {behind}": "{ahead} 대 {behind}",
    "One of two agents scored the same with every seed, and the difference is small: seeds that were not run may "
    "outweigh it, and more than {error} of such verdicts may be wrong ({pairs}).": (
        "두 에이전트 중 하나가 모든 시드에서 점수가 같고 차이가 작습니다. "
        "실행하지 않은 시드가 차이를 뒤집을 수 있으므로, 이런 판정은 {error}보다 많이 틀릴 수 있습니다({pairs})."
    ),
    "Mean difference on the same seeds, or of means where these are too few, with the 95 % interval of that difference "
    "alone.": "같은 시드에서의 평균 차이(같은 시드가 너무 적으면 평균의 차이)와, 그 차이 하나만의 95 % 신뢰 구간.",
    "permutation tests of different seeds with Holm's correction": "서로 다른 시드의 순열 검정과 홀름(Holm) 보정",
    "group-sequential permutation tests": "집단 순차 순열 검정",
    "Agents that share a letter are not distinguishable: {tests}, family-wise error {error} over a table's pairs.": (
        "같은 문자를 가진 에이전트는 통계적으로 구별되지 않습니다: {tests}, 표의 모든 쌍에 대한 오류율(FWER) {error}."
    ),
    "Mean difference on the same seeds, with the 95 % interval of that difference alone.": (
        "같은 시드에서 잰 평균 차이와, 그 차이만의 95 % 신뢰구간입니다."
    ),
    "Difference of means, with the 95 % interval of that difference alone.": (
        "평균의 차이와, 그 차이만의 95 % 신뢰구간입니다."
    ),
}  # fmt: skip

_PICTURES = {
    "Learning curves": "학습 곡선", "Evaluations during training": "학습 중 평가", "Final scores": "최종 점수",
    "Regret in training": "학습 중 누적 후회(regret)",
    "Performance profiles": "성능 프로파일", "Probability of improvement": "개선 확률",
    "Sweep of a hyper-parameter": "하이퍼파라미터에 따른 점수",
    "Mean over seeds in training, episode by episode; the band is its 95 % interval.": (
        "학습 중 시드 평균을 에피소드별로 그렸습니다. 띠는 95 % 신뢰구간입니다."
    ),
    "Every dot is a seed; the diamond is the mean, its bar the 95 % interval.": (
        "점 하나가 시드 하나입니다. 마름모는 평균, 막대는 95 % 신뢰구간입니다."
    ),
    "What the returns fell short of the best expected return so far: lower is better, flat means learnt.": (
        "가능한 최선의 기대 리턴에 못 미친 양의 누적입니다. 낮을수록 좋고, 평평해지면 다 배운 것입니다."
    ),
    "The share of runs that score above each value: higher is better everywhere.": (
        "각 점수를 넘는 실행의 비율입니다. 어디에서나 높을수록 좋습니다."
    ),
    "The probability that a run of the row's agent scores above one of the column's.": (
        "행의 에이전트가 열의 에이전트보다 높은 점수를 얻을 확률입니다."
    ),
    "Mean scores over the value of a hyper-parameter, with 95 % intervals.": (
        "하이퍼파라미터 값에 따른 평균 점수와 95 % 신뢰구간입니다."
    ),
    "epoch": "에포크", "greedy success rate (evaluated during training)": "탐욕 정책의 성공률(학습 중 평가)",
    "greedy return (evaluated during training)": "탐욕 정책의 리턴(학습 중 평가)",
    "Performance of the greedy policy along the training, mean over seeds; the band is its 95 % interval.": (
        "학습하는 동안 평가한 탐욕 정책의 성능을 시드에 걸쳐 평균한 것입니다. 띠는 평균의 95 % 구간입니다."
    ),
    "episode": "에피소드", "environment step": "환경 스텝", "success rate in training": "학습 중 성공률",
    "return in training": "학습 중 리턴", "share of runs above": "넘는 실행의 비율",
    "greedy success rate": "탐욕 정책의 성공률", "training success rate": "학습 중 성공률",
    "cumulative regret in training": "학습 중 누적 후회(regret)",
    "normalised: 0 = random policy, 1 = best possible": "정규화: 0 = 무작위 정책, 1 = 가능한 최선",
    "teal: the row is better; brown: the column is better": "청록: 행이 더 좋음, 갈색: 열이 더 좋음",
}  # fmt: skip

KOREAN: dict[str, str] = VERDICTS | _REPORT | _FACTS | _PICTURES
