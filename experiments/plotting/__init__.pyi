from .figures import draw as draw
from .figures import figure_bytes as figure_bytes
from .figures import write_figure as write_figure
from .kinds import KINDS as KINDS
from .kinds import register_kind as register_kind
from .plot_kind import Page as Page
from .plot_kind import PlotKind as PlotKind
from .trial_figures import trial_figures as trial_figures
