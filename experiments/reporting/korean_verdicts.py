"""Korean sentences of verdicts by their English templates.

A field with a slash takes the particle that fits what stands there.
"""

_LISTS_AND_NUMBERS = {
    "{number} seeds": "시드 {number}개",
    "{fewest}–{most} seeds": "시드 {fewest}–{most}개",
    "{told} and {others} others": "{told} 외 {others}개",
    "{told} and {last}": "{told}, {last}",
    "each of the other {number}": "나머지 {number}개",
    "more than {percent}": "{percent} 이상",
}

_MEASURES = {
    "greedy success": "탐욕 정책의 성공률",
    "greedy return": "탐욕 정책의 리턴",
    "training success": "학습 중 성공률",
    "training return": "학습 중 리턴",
    "normalised score": "정규화 점수",
    "mean success": "평균 성공률",
}

_VERDICTS = {
    "In training they differ: {most} succeeds in {rate} of its episodes, {least} in {lower_rate}.": (
        "학습 과정에서는 다릅니다. 학습 에피소드의 성공률이 {most:은/는} {rate}, {least:은/는} {lower_rate}입니다."
    ),
    "No trial has ended: nothing can be said yet.": "끝난 시도가 없어 아직 아무것도 말할 수 없습니다.",
    "{unfinished} of {planned} trials have not been run: this verdict is of those that have.": (
        "시도 {planned}개 중 {unfinished}개는 아직 실행되지 않았습니다. 아래 판정은 실행된 시도에 대한 것입니다."
    ),
    "{number} environments together": "환경 {number}개 전체",
    "{environment}: each policy, mean over {number} learners": "{environment}: 정책별, 학습자 {number}개의 평균",
    "{environment}: each learner, mean over {number} policies": "{environment}: 학습자별, 정책 {number}개의 평균",
    "One seed: nothing can be said of differences.": "시드가 하나뿐이므로 차이에 대해서는 아무것도 말할 수 없습니다.",
    "With {seeds} no difference among {agents} agents can be significant; that takes {least} at the least.": (
        "{seeds:으로는/로는} 에이전트 {agents}개 사이의 어떤 차이도 유의할 수 없습니다. "
        "적어도 {least:이/가} 필요합니다."
    ),
    "{top} has the highest {heading}: {estimate}.": "{heading:이/가} 가장 높은 에이전트는 {top}입니다({estimate}).",
    "{top} has the lowest {heading}: {estimate}.": "{heading:이/가} 가장 낮은 에이전트는 {top}입니다({estimate}).",
    "{top} has the lowest {heading}, {estimate}; {others} are not distinguishable from it.": (
        "{heading:이/가} 가장 낮은 에이전트는 {top}입니다({estimate}). "
        "그러나 {others:은/는} 이와 통계적으로 구별되지 않습니다."
    ),
    "{top} has the highest {heading}, {estimate}; {others} are not distinguishable from it.": (
        "{heading:이/가} 가장 높은 에이전트는 {top}입니다({estimate}). "
        "그러나 {others:은/는} 이와 통계적으로 구별되지 않습니다."
    ),
    "{ahead} and {behind} are undecided after {seeds} (difference {difference}){outlook}.": (
        "{ahead:과/와} {behind} 사이는 {seeds}까지도 판정되지 않았습니다(차이 {difference}){outlook}."
    ),
    "{ahead} and {behind} are not distinguishable with {seeds} (difference {difference}){outlook}.": (
        "{ahead:과/와} {behind:은/는} {seeds:으로는/로는} 구별되지 않습니다(차이 {difference}){outlook}."
    ),
    "Taken alone, the interval of {ahead} less {behind} leaves out 0": (
        "{ahead:과/와} {behind}의 차이만 따로 보면 신뢰구간이 0을 포함하지 않지만"
    ),
    "Taken alone, that interval leaves out 0": "이 차이만 따로 보면 신뢰구간이 0을 포함하지 않지만",
    "{which}, but by the test the difference is not significant{few}.": "{which} 검정으로는 유의하지 않습니다{few}.",
    "{which}, but among {pairs} pairs this can happen by chance{few}: the difference is not significant.": (
        "{which}, {pairs}쌍을 함께 비교하면 우연히도 그럴 수 있으므로{few} 다중 비교 보정 뒤에는 유의하지 않습니다."
    ),
    " (the two differ with {differing} of {seeds})": "(두 점수가 다른 것은 {seeds} 가운데 {differing}개뿐)",
    "Each of these {leaders} beats {others}; {top} beats {behind} by {difference}.": (
        "이 {leaders}개는 모두 {others}보다 유의하게 높습니다. {top:은/는} {behind}보다 {difference}만큼 높습니다."
    ),
    "Each of these {leaders} beats {behind}, {top} by {difference}.": (
        "이 {leaders}개는 모두 {behind}보다 유의하게 높으며, {top}의 차이는 {difference}입니다."
    ),
    "{top} beats {others}, {behind} by {difference}{but}.": (
        "{top:은/는} {others}보다 유의하게 높으며, {behind:과/와}의 차이는 {difference}입니다{but}."
    ),
    "{top} beats {behind} by {difference}{but}.": "{top:은/는} {behind}보다 {difference}만큼 유의하게 높습니다{but}.",
    "; {ahead} and {behind} are not distinguishable": ". 다만 {ahead:과/와} {behind:은/는} 구별되지 않습니다",
    "On the {seeds} that both have, {ahead} beats {behind} by {difference}.": (
        "둘 다 있는 {seeds:으로/로} 보면 {ahead:이/가} {behind}보다 {difference}만큼 유의하게 높습니다."
    ),
    "{top} reaches the best possible {heading}, {best}, on average.": (
        "{top:은/는} 평균적으로 가능한 최선의 {heading} {best}에 이릅니다."
    ),
    "The best possible {heading} is {best}.": "가능한 최선의 {heading:은/는} {best}입니다.",
    "{top} reaches {share} of the best possible {best}.": ("{top:은/는} 가능한 최선 {best}의 {share}에 이릅니다."),
    "{ahead} beats {behind} by {difference}.": "{ahead:은/는} {behind}보다 {difference}만큼 유의하게 높습니다.",
    "Any two of the other {number} differ.": "나머지 {number}개는 어느 둘을 비교해도 유의하게 다릅니다.",
    "{names} are not distinguishable from each other.": "{names:은/는} 서로 구별되지 않습니다.",
    "Behind, {ahead} and {behind} are not distinguishable (difference {difference}).": (
        "그 뒤의 {ahead:과/와} {behind:은/는} 구별되지 않습니다(차이 {difference})."
    ),
    "Among the other {number}, {left} of {pairs} pairs are not distinguishable: those that share a letter.": (
        "나머지 {number}개 사이의 {pairs}쌍 가운데 {left}쌍은 구별되지 않습니다(같은 문자를 가진 쌍)."
    ),
    "Against the baseline {baseline}: {parts}.": "기준 에이전트 {baseline:과/와} 비교하면 {parts}.",
    "better: {names}": "유의하게 높음: {names}",
    "worse: {names}": "유의하게 낮음: {names}",
    "{number} not distinguishable": "구별되지 않음: {number}개",
    "Not even {top} is clearly above the random policy ({random}).": (
        "{top}조차 무작위 정책({random})보다 확실히 높다고 할 수 없습니다."
    ),
    "By the 95 % intervals only {above} are above the random policy ({random}){below}.": (
        "95 % 신뢰구간으로 볼 때 무작위 정책({random})보다 높은 것은 {above}뿐입니다{below}."
    ),
    "; {names} are below it": ". {names:은/는} 그보다도 낮습니다",
    "{number} of {pairs} pairs are undecided so far.": "{pairs}쌍 가운데 {number}쌍은 아직 판정되지 않았습니다.",
    "{names} reach the best possible {heading}, {best}, with every seed{rest}.": (
        "{names:은/는} 모든 시드에서 가능한 최선의 {heading} {best}에 이릅니다{rest}."
    ),
    "{names} score the same with every seed ({heading} {estimate}){rest}.": (
        "{names:은/는} 모든 시드에서 점수가 같습니다({heading} {estimate}){rest}."
    ),
    "{top} scores higher than {others} with every seed.": "{top:은/는} 모든 시드에서 {others}보다 점수가 높습니다.",
    "{top} scores above the best possible {heading}, {best}, as sampled episodes can by luck.": (
        "{top}의 점수가 가능한 최선의 {heading} {best}보다 높은데, 표본 에피소드에서는 운으로 그럴 수 있습니다."
    ),
    "{top} scores above the best possible {heading}, {best}, by more than luck: that best is not the best of what was "
    "evaluated.": (
        "{top}의 점수가 가능한 최선의 {heading} {best}보다 우연이라 할 수 없을 만큼 높습니다. "
        "이 최선의 값은 평가한 환경의 것이 아닙니다."
    ),
    "On the {seeds} that both have {ahead} is ahead of {behind} by {difference}, but with missing trials counted as "
    "the worst score that does not hold: failures need not be chance, and nothing is decided": (
        "둘 다 있는 {seeds:으로/로} 보면 {ahead:이/가} {behind}보다 {difference}만큼 앞서지만, "
        "빠진 시도를 가장 나쁜 점수로 치면 그렇지 않습니다. 실패는 우연이 아닐 수 있으므로 판정하지 않습니다"
    ),
    " (likewise for {number} more)": "(다른 {number}쌍도 마찬가지)",
    "{names} have the same {heading} with every seed: between them greedy return decides.": (
        "{names:은/는} 모든 시드에서 {heading:이/가} 같으므로 탐욕 정책의 리턴으로 비교합니다."
    ),
    "{names} have the same {heading} with every seed as another of them: between such two greedy return decides.": (
        "{names} 가운데 모든 시드에서 {heading:이/가} 같은 둘은 탐욕 정책의 리턴으로 비교합니다."
    ),
    "{difference} in greedy return": "탐욕 정책의 리턴 {difference}",
    "{seeds} ({fewest} or more)": "{seeds}({fewest} 이상)",
    "; their greedy returns differ, but are not tested": ". 탐욕 정책의 리턴은 다르지만 검정하지 않았습니다",
    "{failed} of the {total} trials of {agent} have no {heading} and are left out": (
        "{agent}의 시도 {total}개 중 {failed}개는 {heading:이/가} 없어 제외했습니다"
    ),
    "; nothing tells them apart": ". 이 결과로는 서로를 구별할 수 없습니다",
    "; {others} are not distinguishable from that": ". {others:은/는} 이와 구별되지 않습니다",
    "{ahead} beats {behind} by {difference} ({heading} {estimate}).": (
        "{ahead:은/는} {behind}보다 {difference}만큼 유의하게 높습니다({heading} {estimate})."
    ),
    "{ahead} is best ({heading} {estimate}): it beats {behind} by {difference}, and {rest} by at least as much.": (
        "{ahead:이/가} 가장 좋습니다({heading} {estimate}). {behind}보다 {difference}만큼 유의하게 높고, "
        "{rest}보다는 그 이상 높습니다."
    ),
    "{ahead} is best ({heading} {estimate}): it beats {behind} by {difference}, and also {rest}.": (
        "{ahead:이/가} 가장 좋습니다({heading} {estimate}). {behind}보다 {difference}만큼 유의하게 높고, {rest}보다도 "
        "유의하게 높습니다."
    ),
    "; not even {most} would settle a difference of {size}": ". 시드 {most}개로도 {size}의 차이를 가리기에 부족합니다",
    "; about {needed} would settle a difference of {size}": (
        ". {size}의 차이를 가리려면 시드가 약 {needed}개 필요합니다"
    ),
    "; so many find a difference of {detectable} four times out of five": (
        ". 이만한 시드로는 {detectable}의 차이를 다섯 번 중 네 번 찾아냅니다"
    ),
    "No agent has scores: nothing can be compared.": "점수가 있는 에이전트가 없어 비교할 수 없습니다.",
    "{agent} has {heading} {estimate} with {seeds}; one seed has no interval.": (
        "{agent}의 {heading:은/는} {estimate}입니다({seeds}). 시드가 하나면 신뢰구간이 없습니다."
    ),
    "{agent} has {heading} {estimate} with {seeds}; there is nothing to compare it with.": (
        "{agent}의 {heading:은/는} {estimate}입니다({seeds}). 비교할 다른 에이전트가 없습니다."
    ),
    "{agent} is not compared, for all {failed} of its trials failed": (
        "{agent:은/는} 시도 {failed}개가 모두 실패하여 비교하지 않았습니다"
    ),
    "{agent} is not compared, for it has no score": "{agent:은/는} 점수가 없어 비교하지 않았습니다",
    "{agent} is not compared, for some of its scores are infinite": (
        "{agent:은/는} 무한대인 점수가 있어 비교하지 않았습니다"
    ),
    "{failed} of the {total} trials of {agent} failed and are left out": (
        "{agent}의 시도 {total}개 중 {failed}개가 실패하여 제외했습니다"
    ),
    "{agent} has one seed, of which nothing can be said": "{agent:은/는} 시드가 하나뿐이어서 판단할 수 없습니다",
    "{parts}; and {number} more.": "{parts}. 그 밖에 {number}개가 더 있습니다.",
    "{parts}.": "{parts}.",
}

VERDICTS: dict[str, str] = _LISTS_AND_NUMBERS | _MEASURES | _VERDICTS
