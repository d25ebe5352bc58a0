from .assignment import (
    Assignment as Assignment,
    Limits as Limits,
    Question as Question,
    read_assignment as read_assignment,
)
from .assignment_schema import assignment_schema as assignment_schema
from .findings import Finding as Finding
from .grader import Grader as Grader, grade as grade
from .grades import Grade as Grade, QuestionGrade as QuestionGrade, Run as Run
from .interaction import Interaction as Interaction, Probe as Probe
from .notebooks import write_notebook as write_notebook
