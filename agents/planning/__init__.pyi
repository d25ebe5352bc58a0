from .dynamic_programming import (
    ExactValue as ExactValue,
)
from .dynamic_programming import (
    NotConvergedError as NotConvergedError,
)
from .dynamic_programming import (
    best_possible as best_possible,
)
from .dynamic_programming import (
    evaluate_policy as evaluate_policy,
)
from .dynamic_programming import (
    optimal_action_values as optimal_action_values,
)
from .dynamic_programming import (
    random_policy as random_policy,
)
from .planning_agents import PolicyIteration as PolicyIteration
from .planning_agents import ValueIteration as ValueIteration
