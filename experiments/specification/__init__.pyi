from .catalogue import build_agent as build_agent, build_policy as build_policy, build_schedule as build_schedule
from .descriptions import describe as describe
from .environment_configuration import (
    EnvironmentConfiguration as EnvironmentConfiguration,
    build_environment as build_environment,
)
from .experiment import Experiment as Experiment
from .experiment_file import parse_experiment as parse_experiment, read_experiment as read_experiment
from .expression import Call as Call, ExpressionError as ExpressionError, parse_expression as parse_expression
from .plan import Plan as Plan
from .schema import experiment_schema as experiment_schema
