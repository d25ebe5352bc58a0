from .analysis import (
    Analysis as Analysis,
)
from .analysis import (
    AnalysisOptions as AnalysisOptions,
)
from .analysis import (
    EnvironmentAnalysis as EnvironmentAnalysis,
)
from .analysis import (
    Margin as Margin,
)
from .analysis import (
    Overall as Overall,
)
from .analysis import (
    analyse as analyse,
)
from .comparison import (
    AgentPair as AgentPair,
)
from .comparison import (
    AgentScores as AgentScores,
)
from .comparison import (
    Comparison as Comparison,
)
from .comparison import (
    compare_scores as compare_scores,
)
from .joined import joined as joined
from .results import Results as Results
from .seed_scores import SeedScores as SeedScores
from .settings import PairBudget as PairBudget
from .settings import Settings as Settings
from .trial_table import TrialRecord as TrialRecord
from .trial_table import TrialTable as TrialTable
