"""A recurrent network that reads an image row by row."""

from dataclasses import dataclass
from typing import Any

from velodrome.agents.deep.labelled_task import LabelledTask
from velodrome.agents.deep.network_inputs import require_images
from velodrome.agents.deep.neural_classifier import NeuralClassifier
from velodrome.agents.deep.recurrent_cells import CELL_NAMES, CELLS, UNROLLED_STEPS, CellName
from velodrome.checks import check_choice, check_integer


@dataclass(kw_only=True, eq=False)
class RowRNN(NeuralClassifier):
    """A recurrent cell that reads an image row by row from the top, and a dense layer that names what it has read.

    To remember letters from act to act, as in a text, is what `CharRNN` does. Where an observation is the last k of
    another environment (`FrameStackObservation(ENV, k)`), its rows are these.

    Args:
        cell: "rnn", "lstm" or "gru".
        hidden: units of the cell.

    Source: Le, Jaitly & Hinton (2015), who read images pixel by pixel; row by row is customary in lectures.
    """

    name = "row_rnn"

    cell: CellName = "lstm"
    hidden: int = 64

    def __post_init__(self) -> None:
        check_choice(f"{self.name}: cell", self.cell, CELL_NAMES)
        check_integer(f"{self.name}: hidden", self.hidden, minimum=1)
        super().__post_init__()

    def check_task(self, task: LabelledTask, label: str) -> None:
        require_images(self.name, task, label)
        super().check_task(task, label)

    def _layers(self, layers: Any, task: LabelledTask) -> list[Any]:
        height = task.observation_shape[0]
        recurrent = getattr(layers, CELLS[self.cell].label)(self.hidden, unroll=height <= UNROLLED_STEPS)
        return [layers.Reshape((height, -1)), recurrent, layers.Dense(task.num_classes)]
