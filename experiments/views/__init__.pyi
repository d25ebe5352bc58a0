from .action_value_table import action_value_table as action_value_table, policy_map as policy_map
from .learning_film import write_learning_film as write_learning_film
from .learnt import (
    Learnt as Learnt,
    learnt_by_agent as learnt_by_agent,
    learnt_by_trial as learnt_by_trial,
    learnt_in as learnt_in,
)
from .pictures import PICTURES as PICTURES, draw_picture as draw_picture
from .trial_pictures import draw_trial as draw_trial, pictures_of_trial as pictures_of_trial
