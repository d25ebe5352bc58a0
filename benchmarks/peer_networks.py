"""The lecture's networks in plain Keras and PyTorch, for the benchmarks that compare with them."""

from collections.abc import Sequence
from typing import Any

FILTERS = {"simple_cnn": (32, 64), "deep_cnn": (32, 64, 128)}
IMAGE_SIZE, CLASSES, HIDDEN = 28, 10, 625

# Arrays in Keras' order and shapes: kernel and bias of each layer, of recurrent ones the recurrent kernel between.
Weights = Sequence[Any]


def keras_classifier(model: str) -> Any:
    """A convolutional network from (B, 28, 28, 1) to logits, without dropout."""
    import keras

    layers = [keras.Input((IMAGE_SIZE, IMAGE_SIZE, 1))]
    for filters in FILTERS[model]:
        layers.append(keras.layers.Conv2D(filters, 3, padding="same", activation="relu"))
        layers.append(keras.layers.MaxPooling2D(2, padding="same"))
    layers.append(keras.layers.Flatten())
    if model == "deep_cnn":
        layers.append(keras.layers.Dense(HIDDEN, activation="relu"))
    return keras.Sequential([*layers, keras.layers.Dense(CLASSES)])


def keras_reader(cell: str, characters: int, hidden: int, depth: int, *, input_options: Any, **options: Any) -> Any:
    """A recurrent network from one-hot characters (B, T, characters) to logits of the same shape.

    Args:
        cell: "rnn", "lstm" or "gru".
        characters: size of the vocabulary.
        hidden: units of a cell.
        depth: recurrent layers.
        input_options: of `keras.Input`.
        options: of the recurrent layers.
    """
    import keras

    layer = {"rnn": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM, "gru": keras.layers.GRU}[cell]
    recurrent = [layer(hidden, return_sequences=True, **options) for _ in range(depth)]
    return keras.Sequential([keras.Input(**input_options), *recurrent, keras.layers.Dense(characters)])


def torch_classifier(model: str, weights: Weights) -> Any:
    """The same convolutional network, from (B, 1, 28, 28) with channels last, in evaluation mode."""
    import torch
    from torch import nn

    layers: list[Any] = []
    channels, size = 1, IMAGE_SIZE
    for filters in FILTERS[model]:
        layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)]
        channels, size = filters, -(-size // 2)
    layers.append(nn.Flatten())
    width = channels * size * size
    for units in (HIDDEN, CLASSES) if model == "deep_cnn" else (CLASSES,):
        layers += [nn.Linear(width, units), nn.ReLU()]
        width = units
    network = nn.Sequential(*layers[:-1])
    first_dense = 2 * len(FILTERS[model])
    with torch.no_grad():
        for place, (parameter, array) in enumerate(zip(network.parameters(), weights, strict=True)):
            values = torch.from_numpy(array)
            if place == first_dense:
                # It reads channels, rows, columns here and rows, columns, channels in Keras.
                values = values.reshape(size, size, channels, -1).permute(3, 2, 0, 1).flatten(1)
            elif values.ndim > 1:
                values = values.permute(3, 2, 0, 1) if values.ndim == 4 else values.T
            parameter.copy_(values)
    return network.eval().to(memory_format=torch.channels_last)


def torch_reader(cell: str, characters: int, hidden: int, depth: int, weights: Weights = ()) -> tuple[Any, Any]:
    """Recurrent layers over (T, B, characters), and the dense layer that makes logits of their outputs.

    Args:
        cell: "rnn", "lstm" or "gru".
        characters: size of the vocabulary.
        hidden: units of a cell.
        depth: recurrent layers.
        weights: of an LSTM; PyTorch's own first ones if there are none.
    """
    import torch
    from torch import nn

    recurrent = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[cell](characters, hidden, depth)
    head = nn.Linear(hidden, characters)
    if weights:
        arrays = iter([torch.from_numpy(array) for array in weights])
        parameters = dict(recurrent.named_parameters())
        with torch.no_grad():
            for layer in range(depth):
                parameters[f"weight_ih_l{layer}"].copy_(next(arrays).T)
                parameters[f"weight_hh_l{layer}"].copy_(next(arrays).T)
                parameters[f"bias_ih_l{layer}"].copy_(next(arrays))
                # There are two biases, whose sum is Keras' one.
                parameters[f"bias_hh_l{layer}"].zero_()
            head.weight.copy_(next(arrays).T)
            head.bias.copy_(next(arrays))
    return recurrent, head
