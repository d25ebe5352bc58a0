from .constant_action import BestConstantAction as BestConstantAction, ConstantAction as ConstantAction
from .rule import Rule as Rule
