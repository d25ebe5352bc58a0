from .char_rnn import CharRNN as CharRNN
from .convolutional_networks import (
    DeepCNN as DeepCNN,
    ModernCNN as ModernCNN,
    PlainCNN as PlainCNN,
    SimpleCNN as SimpleCNN,
)
from .distributions import Categorical as Categorical, Distribution as Distribution, Quantile as Quantile
from .dqn import DQN as DQN
from .ensemble import Ensemble as Ensemble
from .keras_agent import KerasAgent as KerasAgent
from .keras_runtime import KerasRuntimeError as KerasRuntimeError
from .labelled_task import ObservationError as ObservationError
from .mlp import MLP as MLP
from .neural_bandit import NeuralBandit as NeuralBandit
from .q_lectures import dqn_2013 as dqn_2013, dqn_2015 as dqn_2015, q_network as q_network
from .row_rnn import RowRNN as RowRNN
from .sequence_loss import length_mask as length_mask, sequence_loss as sequence_loss
from .softmax_regression import SoftmaxRegression as SoftmaxRegression
from .supervised_agent import SupervisedAgent as SupervisedAgent
from .supervised_learner import DivergedError as DivergedError
