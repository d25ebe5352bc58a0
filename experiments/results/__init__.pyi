from .analysis import (
    Analysis as Analysis,
    AnalysisOptions as AnalysisOptions,
    EnvironmentAnalysis as EnvironmentAnalysis,
    Margin as Margin,
    Overall as Overall,
    analyse as analyse,
)
from .comparison import (
    AgentPair as AgentPair,
    AgentScores as AgentScores,
    Comparison as Comparison,
    compare_scores as compare_scores,
)
from .joined import joined as joined
from .results import Results as Results
from .seed_scores import SeedScores as SeedScores
from .settings import (
    PairBudget as PairBudget,
    PossibleBest as PossibleBest,
    Settings as Settings,
    TunedAgent as TunedAgent,
    Tuning as Tuning,
)
from .trial_table import TrialRecord as TrialRecord, TrialTable as TrialTable
