from .figures import draw as draw, figure_bytes as figure_bytes, write_figure as write_figure
from .kinds import KINDS as KINDS, register_kind as register_kind
from .plot_kind import Page as Page, PlotKind as PlotKind
from .trial_figures import trial_figures as trial_figures
