from .accuracy_by_epoch import FinalAccuracy as FinalAccuracy, draw_accuracy_by_epoch as draw_accuracy_by_epoch
from .confident_mistakes import draw_confident_mistakes as draw_confident_mistakes
from .confusion_matrix import draw_confusion_matrix as draw_confusion_matrix
from .figures import draw as draw, figure_bytes as figure_bytes, write_figure as write_figure
from .final_scores import draw_final_scores as draw_final_scores
from .first_layer_filters import draw_first_layer_filters as draw_first_layer_filters
from .kinds import KINDS as KINDS, register_kind as register_kind
from .learning_curves import draw_learning_curves as draw_learning_curves
from .plot_kind import Page as Page, PlotKind as PlotKind
from .prediction_strip import draw_prediction_strip as draw_prediction_strip
from .sensitivity import AlgorithmScores as AlgorithmScores, draw_sensitivity as draw_sensitivity
from .trial_figures import trial_figures as trial_figures
