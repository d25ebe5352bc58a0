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
from .joined_results import joined as joined
from .margins import Margin as Margin
from .measures import MEASURES as MEASURES
from .measures import Measure as Measure
from .overall import Overall as Overall
from .results import Results as Results
from .seed_scores import SeedScores as SeedScores
