"""The character RNN: a recurrent network that guesses the next character of a text."""

from dataclasses import dataclass
from typing import Any, ClassVar, cast

import gymnasium as gym
import numpy as np
from numpy.typing import ArrayLike, NDArray

from velodrome.agents.deep.labelled_task import LabelledTask, ObservationError, numbers
from velodrome.agents.deep.learner import Learner
from velodrome.agents.deep.recurrent_cells import CELL_NAMES, CellName
from velodrome.agents.deep.recurrent_network import EpisodeReader, RecurrentNetwork
from velodrome.agents.deep.recurrent_training import RecurrentLearner
from velodrome.agents.deep.sequence_loss import sequence_loss
from velodrome.agents.deep.supervised_agent import SupervisedAgent
from velodrome.agents.errors import UnsupportedEnvironmentError
from velodrome.checks import ConfigurationError, check_choice, check_integer


@dataclass(kw_only=True, eq=False)
class CharRNN(SupervisedAgent):
    """Stacked recurrent layers over one-hot characters, and a dense layer that makes logits of their outputs.

    Learns from all windows of a text with Adam on the sequence loss. An episode is a window, so one iteration of
    the lecture, a batch of all windows, is as many episodes as the text has windows: 1 for a whole text.

    It reads an episode character by character and carries its state from act to act; `begin_episode` clears it.

    Args:
        learning_rate: of Adam.
        batch_size: windows a training step; all of them if there are fewer.
        cell: "rnn" (Elman's, with tanh), "lstm" or "gru", with the weights of Keras' SimpleRNN, LSTM and GRU.
        hidden: units of a cell; None is as many as there are characters, as in the lecture.
        layers: recurrent layers, stacked.
        bidirectional: each layer also reads from the end. In training it then sees the characters that it should
            guess, as the window's next ones; in acting there is nothing after the present character to be seen.
        head: the dense layer. False is the lecture's first variant, whose logits are the outputs of the cell. They
            lie between -1 and 1, so that the loss cannot fall below ln(1 + (n - 1) exp(-2)) for n characters,
            0.4327 for the five of "hihello", and a third of the seeds or more does not learn even that text.

    Raises:
        ConfigurationError: a parameter is out of range.

    Source: Elman (1990); Hochreiter & Schmidhuber (1997); Cho et al. (2014), in the form of cuDNN's GRU, whose
    reset gate comes after the product; Kim (2017), Deep Learning Zero to All, lab 12.
    """

    name: ClassVar[str] = "char_rnn"

    learning_rate: float = 0.1
    batch_size: int = 1000
    cell: CellName = "rnn"
    hidden: int | None = None
    layers: int = 1
    bidirectional: bool = False
    head: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice(f"{self.name}: cell", self.cell, CELL_NAMES)
        if self.hidden is not None:
            check_integer(f"{self.name}: hidden", self.hidden, minimum=1)
        check_integer(f"{self.name}: layers", self.layers, minimum=1)
        for field in ("bidirectional", "head"):
            if not isinstance(getattr(self, field), bool):
                raise ConfigurationError(f"{self.name}: {field} must be True or False, got {getattr(self, field)!r}")
        if self.bidirectional and not self.head:
            raise ConfigurationError(f"{self.name}: bidirectional=True needs head=True, for its outputs come in pairs")
        self._episode: EpisodeReader | None = None

    @property
    def result_version(self) -> int:
        # Those of the first release, and while TensorFlow computed, drew other first weights.
        return max(super().result_version, 3)

    def _network(self, task: LabelledTask) -> RecurrentNetwork:
        hidden = task.num_classes if self.hidden is None else self.hidden
        return RecurrentNetwork(task.num_classes, self.cell, hidden, self.layers, self.bidirectional, self.head)

    def check_task(self, task: LabelledTask, label: str) -> None:
        if not task.num_symbols or task.num_symbols != task.num_classes:
            raise UnsupportedEnvironmentError(
                f"{self.name} guesses the next of the characters that it reads: {label} must have as many Discrete "
                f"observations as actions, not {task.num_symbols or 'images'} and {task.num_classes}"
            )
        if not self.head and self.hidden not in (None, task.num_classes):
            raise UnsupportedEnvironmentError(
                f"{self.name}: with head=False hidden must be the number of characters, which is "
                f"{task.num_classes} in {label}, got {self.hidden}"
            )

    def new_network(self, task: LabelledTask, rng: np.random.Generator) -> Learner:
        return RecurrentLearner(self._network(task), rng)

    @property
    def _learner(self) -> RecurrentLearner:
        return cast(RecurrentLearner, self.learner.network)

    def begin_episode(self) -> None:
        self._episode = None

    def act(self, observation: Any, *, explore: bool = False) -> Any:
        """The character that comes next, or those of several episodes that are read side by side.

        Carries the state of what was read since `begin_episode`, or since the last training. There is nothing to
        explore.

        Raises:
            ObservationError: the character is unknown, the shape is that of neither one nor a batch, or there are
                more or fewer than at the beginning of the episodes.
        """
        task = self.learner.task
        is_batch = task.is_batch(observation)
        characters = task.checked(observation if is_batch else np.asarray(observation)[np.newaxis])
        reader = self._learner.reader
        if self._episode is None or self._episode.reader is not reader:
            self._episode = EpisodeReader(reader)
        if self._episode.num_episodes not in (None, len(characters)):
            raise ObservationError(
                f"{self.name} is reading {self._episode.num_episodes} episodes, got {len(characters)} characters: "
                "call begin_episode() before others"
            )
        guesses = self._episode.read(characters).argmax(axis=-1) + task.action_start
        return guesses if is_batch else int(guesses[0])

    def outputs(self, sequences: ArrayLike, lengths: ArrayLike | None = None) -> NDArray[np.float32]:
        """Outputs of the last recurrent layer, float32 (batch, num_steps, hidden), twice as many if bidirectional.

        Args:
            sequences: characters as observations, whole numbers (batch, num_steps).
            lengths: of the sequences, whole numbers (batch,); outputs past the end are exactly 0.

        Raises:
            ObservationError: a character is unknown, or the shape is another.
            ValueError: lengths that do not fit.
        """
        return self._learner.reader.outputs(*self._checked(sequences, lengths))

    def predict_logits(self, sequences: ArrayLike, lengths: ArrayLike | None = None) -> NDArray[np.float32]:
        """Logits of the next characters, float32 (batch, num_steps, num_characters), as of `outputs`.

        Args:
            sequences: characters as observations, whole numbers (batch, num_steps).
            lengths: of the sequences, whole numbers (batch,); all are num_steps long if None.
        """
        return self._learner.reader.logits(*self._checked(sequences, lengths))

    def accuracy(self, sequences: ArrayLike, labels: ArrayLike) -> float:
        """Share of the next characters that are guessed right.

        Args:
            sequences: characters read, whole numbers (batch, num_steps).
            labels: characters that come next, likewise.

        Raises:
            ObservationError: a character is unknown, or the shapes are others.
        """
        guesses = self.predict_logits(sequences).argmax(axis=-1) + self.learner.task.action_start
        right = np.asarray(labels)
        if right.shape != guesses.shape:
            raise ObservationError(f"labels must have the sequences' shape {guesses.shape}, got {right.shape}")
        return float(np.mean(guesses == right))

    def loss(self, sequences: ArrayLike, labels: ArrayLike) -> float:
        """The `sequence_loss` of sequences and their next characters, whole numbers (batch, num_steps).

        Args:
            sequences: characters as observations, whole numbers (batch, num_steps).
            labels: the character after each, as actions, whole numbers of the same shape.
        """
        right = np.asarray(labels) - self.learner.task.action_start
        return float(sequence_loss(self.predict_logits(sequences), right))

    def describe(
        self, env: gym.Env[Any, Any] | str | None = None, *, batch: int | None = None, num_steps: int | None = None
    ) -> str:
        """Layers, output shapes and parameters, one line each.

        Args:
            env: of which environment; the one that the agent was trained on if None.
            batch: how many sequences are read at once, B if it is left open.
            num_steps: their length, T if it is left open.
        """
        network = self._network(self._task_of(env))
        place = f"{'B' if batch is None else batch}, {'T' if num_steps is None else num_steps}"
        rows = [("layer", "output shape", "parameters")]
        rows += [(label, f"({place}, {width})", f"{count:,}") for label, width, count in network.rows()]
        rows.append(("total", "", f"{sum(network.sizes):,}"))
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        return "\n".join(f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows)

    def _checked(
        self, sequences: ArrayLike, lengths: ArrayLike | None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
        read = numbers(sequences)
        if read.ndim != 2:
            raise ObservationError(f"sequences must be (batch, num_steps), got {read.shape}")
        symbols = self.learner.task.symbols(read)
        if lengths is None:
            return symbols, None
        given = np.asarray(lengths)
        if given.shape != (len(read),):
            raise ValueError(f"lengths must be one for each of {len(read)} sequences, got shape {given.shape}")
        return symbols, given
