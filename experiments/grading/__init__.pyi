from .assignment import (
    Assignment as Assignment,
    Limits as Limits,
    Question as Question,
    read_assignment as read_assignment,
)
from .findings import Finding as Finding
from .grade import Grade as Grade, QuestionGrade as QuestionGrade, Run as Run
from .grader import Grader as Grader, grade as grade
from .interaction import Interaction as Interaction, Probe as Probe
