from .figures import draw as draw
from .figures import figure_bytes as figure_bytes
from .figures import write_figure as write_figure
from .trial_figures import trial_figures as trial_figures
