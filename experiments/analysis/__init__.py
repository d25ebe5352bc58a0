"""From results to what can be said of them: scores by seed, comparisons, verdicts."""

from velodrome.experiments.analysis.analysis import Analysis, AnalysisOptions, EnvironmentAnalysis, analyse
from velodrome.experiments.analysis.comparison import AgentPair, AgentScores, Comparison, compare_scores
from velodrome.experiments.analysis.margins import Margin
from velodrome.experiments.analysis.measures import MEASURES, Measure
from velodrome.experiments.analysis.overall import Overall
from velodrome.experiments.analysis.seed_scores import SeedScores

__all__ = [
    "MEASURES",
    "AgentPair",
    "AgentScores",
    "Analysis",
    "AnalysisOptions",
    "Comparison",
    "EnvironmentAnalysis",
    "Margin",
    "Measure",
    "Overall",
    "SeedScores",
    "analyse",
    "compare_scores",
]
