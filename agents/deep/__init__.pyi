from .char_rnn import CharRNN as CharRNN
from .convolutional_networks import DeepCNN as DeepCNN, ModernCNN as ModernCNN, SimpleCNN as SimpleCNN
from .ensemble import Ensemble as Ensemble
from .keras_agent import KerasAgent as KerasAgent
from .keras_runtime import KerasRuntimeError as KerasRuntimeError
from .labelled_task import ObservationError as ObservationError
from .mlp import MLP as MLP
from .neural_bandit import NeuralBandit as NeuralBandit
from .row_rnn import RowRNN as RowRNN
from .sequence_loss import length_mask as length_mask, sequence_loss as sequence_loss
from .softmax_regression import SoftmaxRegression as SoftmaxRegression
from .supervised_agent import SupervisedAgent as SupervisedAgent
from .supervised_learner import DivergedError as DivergedError
