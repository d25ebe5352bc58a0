"""Statistics of scores: aggregates, intervals, differences, tests, profiles and sequential comparisons.

On plain arrays: the scores of one agent are float (num_seeds,) for one environment, or a sequence of such arrays, one
an environment, of any numbers of seeds. The vocabulary is rliable's (Agarwal et al., 2021) and AdaStop's (Mathieu et
al., 2024). Everything random takes a seed; the same input gives the same output, bit for bit.
"""

from velodrome.experiments.statistics.across_environments import (
    Dimensionality,
    Sensitivity,
    Settings,
    effective_dimensionality,
    sensitivity,
    settings_across_environments,
)
from velodrome.experiments.statistics.aggregates import (
    Aggregate,
    iqm,
    mean,
    median,
    optimality_gap,
    optimality_gap_to,
)
from velodrome.experiments.statistics.best_interval import best_interval
from velodrome.experiments.statistics.bootstrap_intervals import bootstrap_interval
from velodrome.experiments.statistics.by_seed import by_seed
from velodrome.experiments.statistics.curve_bands import mean_band
from velodrome.experiments.statistics.differences import Difference, paired_difference, unpaired_difference
from velodrome.experiments.statistics.errors import StatisticsError
from velodrome.experiments.statistics.improvement import (
    probability_of_improvement,
    probability_of_improvement_interval,
)
from velodrome.experiments.statistics.interval import Interval
from velodrome.experiments.statistics.learning_curves import (
    EpisodesToThreshold,
    area_under_curve,
    censored_median,
    cumulative_regret,
    episodes_to_threshold,
)
from velodrome.experiments.statistics.letters import compact_letters
from velodrome.experiments.statistics.off_policy import LoggedPolicy, OffPolicyValue, off_policy_value
from velodrome.experiments.statistics.pairwise import Pair, PairwiseComparison, compare_all_pairs, holm
from velodrome.experiments.statistics.permutation_tests import (
    PermutationTest,
    paired_permutation_test,
    unpaired_permutation_test,
)
from velodrome.experiments.statistics.profiles import PerformanceProfile, performance_profile
from velodrome.experiments.statistics.reliability import all_succeed, largest_rate, percentile_range
from velodrome.experiments.statistics.sample_size import (
    minimum_detectable_difference,
    power,
    seeds_needed,
    seeds_needed_range,
    sign_test_power,
)
from velodrome.experiments.statistics.sequential import look
from velodrome.experiments.statistics.sequential_design import SequentialDesign, SequentialPair, SequentialState
from velodrome.experiments.statistics.sign_flip_intervals import sign_flip_interval
from velodrome.experiments.statistics.student_intervals import t_interval
from velodrome.experiments.statistics.success_intervals import (
    exact_interval,
    hierarchical_success_interval,
    wilson_interval,
)
from velodrome.experiments.statistics.tolerance import seeds_for_tolerance, tolerance_band, tolerance_interval
from velodrome.experiments.statistics.winners import (
    BestSet,
    best_set,
    optimism_of_winner,
    probabilities_of_best,
)

__all__ = [
    "Aggregate",
    "BestSet",
    "Difference",
    "Dimensionality",
    "EpisodesToThreshold",
    "Interval",
    "LoggedPolicy",
    "OffPolicyValue",
    "Pair",
    "PairwiseComparison",
    "PerformanceProfile",
    "PermutationTest",
    "Sensitivity",
    "SequentialDesign",
    "SequentialPair",
    "SequentialState",
    "Settings",
    "StatisticsError",
    "all_succeed",
    "area_under_curve",
    "best_interval",
    "best_set",
    "bootstrap_interval",
    "by_seed",
    "censored_median",
    "compact_letters",
    "compare_all_pairs",
    "cumulative_regret",
    "effective_dimensionality",
    "episodes_to_threshold",
    "exact_interval",
    "hierarchical_success_interval",
    "holm",
    "iqm",
    "largest_rate",
    "look",
    "mean",
    "mean_band",
    "median",
    "minimum_detectable_difference",
    "off_policy_value",
    "optimality_gap",
    "optimality_gap_to",
    "optimism_of_winner",
    "paired_difference",
    "paired_permutation_test",
    "percentile_range",
    "performance_profile",
    "power",
    "probabilities_of_best",
    "probability_of_improvement",
    "probability_of_improvement_interval",
    "seeds_for_tolerance",
    "seeds_needed",
    "seeds_needed_range",
    "sensitivity",
    "settings_across_environments",
    "sign_flip_interval",
    "sign_test_power",
    "t_interval",
    "tolerance_band",
    "tolerance_interval",
    "unpaired_difference",
    "unpaired_permutation_test",
    "wilson_interval",
]
