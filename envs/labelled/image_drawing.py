"""A labelled image and a guess of it, as text or as a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_SHADES = np.array(list(" .:-=+*#%@"))
_HEIGHT = 224
_BORDER = 6
_CAPTION = 24
_NOT_GUESSED, _RIGHT, _WRONG = (128, 128, 128), (0, 158, 115), (213, 94, 0)


def draw_text(image: NDArray[Any], label: int, guess: int | None) -> str:
    """The image in characters, two a pixel, and a line that says how it was guessed.

    Args:
        image: (height, width) or (height, width, channels), uint8 from 0 to 255 or float from 0 to 1.
        label: its class.
        guess: of its class, or None before it was made.
    """
    brightness = as_float(image)
    if brightness.ndim == 3:
        brightness = brightness[:, :, :3].mean(axis=2)
    shades = _SHADES[np.rint(brightness * (len(_SHADES) - 1)).astype(np.int64)]
    rows = ["".join(row).rstrip() for row in np.repeat(shades, 2, axis=1)]
    return "\n".join([*rows, _caption(label, guess)]) + "\n"


def draw_picture(image: NDArray[Any], label: int, guess: int | None) -> NDArray[np.uint8]:
    """The image enlarged, with a caption and a border that is green after a right guess and red after a wrong one.

    Args:
        image: (height, width) or (height, width, channels), uint8 from 0 to 255 or float from 0 to 1.
        label: its class.
        guess: of its class, or None before it was made.

    Returns:
        uint8 (height, width, 3).
    """
    from PIL import Image, ImageDraw

    scale = max(1, _HEIGHT // image.shape[0])
    colours = np.rint(as_float(image) * 255).astype(np.uint8).reshape(*image.shape[:2], -1)
    colours = colours[:, :, :3] if colours.shape[2] >= 3 else np.repeat(colours[:, :, :1], 3, axis=2)
    enlarged = colours.repeat(scale, axis=0).repeat(scale, axis=1)
    height, width = enlarged.shape[:2]
    border = _NOT_GUESSED if guess is None else _RIGHT if guess == label else _WRONG
    canvas = Image.new("RGB", (width + 2 * _BORDER, height + 2 * _BORDER + _CAPTION), border)
    canvas.paste(Image.fromarray(enlarged), (_BORDER, _BORDER))
    ImageDraw.Draw(canvas).text((_BORDER, height + 2 * _BORDER + 4), _caption(label, guess), fill=(255, 255, 255))
    return np.asarray(canvas, dtype=np.uint8)


def as_float(image: NDArray[Any]) -> NDArray[np.float64]:
    """Pixels from 0 to 1."""
    return image / 255 if image.dtype == np.uint8 else image.astype(np.float64)


def _caption(label: int, guess: int | None) -> str:
    if guess is None:
        return f"label {label}"
    return f"label {label}, guessed {guess}: {'right' if guess == label else 'wrong'}"
