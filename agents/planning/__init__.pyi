from .dynamic_programming import (
    ExactValue as ExactValue,
    NotConvergedError as NotConvergedError,
    best_possible as best_possible,
    evaluate_policy as evaluate_policy,
    optimal_action_values as optimal_action_values,
    random_policy as random_policy,
)
from .hardness import Gaps as Gaps, diameter as diameter, gaps_of as gaps_of
from .planning_agents import PolicyIteration as PolicyIteration, ValueIteration as ValueIteration
