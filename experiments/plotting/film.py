"""Films for slides and pages, from pictures: GIF and animated PNG."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from velodrome.agents.resuming.whole_files import write_whole
from velodrome.checks import closest
from velodrome.experiments.errors import ExperimentError

# The formats that Pillow writes, by the ending of a file's name.
FILMS = {".gif": "GIF", ".apng": "PNG", ".png": "PNG"}
# Larger pictures are halved until they are this wide and high at most.
_LARGEST = 480
# Colours of a GIF.
_COLOURS = 256
# From which such colours are taken.
_PALETTE_FRAMES = 5
# Milliseconds for which the last picture stays before the film begins again.
_LAST = 1500


def is_film(path: Path) -> bool:
    """Whether a file's name ends as that of a film."""
    return path.suffix.lower() in FILMS


def check_film(path: Path) -> None:
    """Refuse a file whose name does not end as that of a film.

    Raises:
        ExperimentError: naming the endings that there are.
    """
    if not is_film(path):
        raise ExperimentError(f"{path.name}: a film ends with {', '.join(FILMS)}{closest(path.suffix, FILMS)}")


def film_frame(picture: np.ndarray) -> Image.Image:
    """A picture of a film.

    Args:
        picture: uint8 (height, width, 3).

    Raises:
        ExperimentError: it is none.
    """
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.shape[2:] != (3,):
        raise ExperimentError(f"a picture is an array uint8 (height, width, 3), got {_shown(picture)}")
    image = Image.fromarray(np.ascontiguousarray(picture))
    while max(image.size) > _LARGEST:
        image = image.reduce(2)
    return image


def write_film(frames: Sequence[Image.Image], path: Path, frames_per_second: float) -> None:
    """Write a film that begins again when it is over.

    Args:
        frames: at least one, all of one size.
        path: ends with .gif, or with .apng or .png for an animated PNG, which has all colours.
        frames_per_second: at most 50.

    Raises:
        ExperimentError: an unknown ending, pictures of several sizes, or the file cannot be written.
    """
    check_film(path)
    if len({frame.size for frame in frames}) != 1:
        raise ExperimentError(f"{path.name}: the pictures of a film are of one size, got {len(frames)} of several")
    kind = FILMS[path.suffix.lower()]
    shown = _with_palettes(frames) if kind == "GIF" else list(frames)
    each = max(20, round(1000 / frames_per_second))
    durations = [each] * (len(shown) - 1) + [_LAST]
    content = io.BytesIO()
    shown[0].save(content, kind, save_all=True, append_images=shown[1:], duration=durations, loop=0)
    write_whole(path, content.getvalue())


def _with_palettes(frames: Sequence[Image.Image]) -> list[Image.Image]:
    """Frames in their own colours; where one has more than 256, all in the same, so that nothing flickers."""
    from scipy.spatial import KDTree

    colours = [_colours_of(frame) for frame in frames]
    if all(len(own) <= _COLOURS for own, _ in colours):
        return [_with_palette(frame, own, places) for frame, (own, places) in zip(frames, colours, strict=True)]
    width, height = frames[0].size
    several = Image.new("RGB", (width, height * _PALETTE_FRAMES))
    for place, taken in enumerate(np.linspace(0, len(frames) - 1, _PALETTE_FRAMES).round().astype(int)):
        several.paste(frames[taken], (0, height * place))
    # Such as the ground: those of a hundredth of all pixels or more stay as they are.
    counts = several.getcolors(several.width * several.height) or []
    common = [colour for number, colour in counts if 100 * number >= several.width * several.height]
    others = several.quantize(_COLOURS - len(common)).getpalette() or []
    palette = np.array([*np.ravel(common), *others], dtype=np.int64).reshape(-1, 3)[:_COLOURS]
    tree = KDTree(palette)
    return [
        _with_palette(frame, palette, np.asarray(tree.query(own)[1])[places])
        for frame, (own, places) in zip(frames, colours, strict=True)
    ]


def _colours_of(frame: Image.Image) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Colours of a frame (num_colours, 3), and the place of each pixel's among them."""
    pixels = np.asarray(frame, np.uint32)
    codes, places = np.unique((pixels << (16, 8, 0)).sum(axis=2), return_inverse=True)
    return (codes[:, np.newaxis] >> (16, 8, 0) & 255).astype(np.int64), places.astype(np.int64).ravel()


def _with_palette(frame: Image.Image, palette: NDArray[np.int64], places: NDArray[np.int64]) -> Image.Image:
    image = Image.fromarray(places.reshape(frame.height, frame.width).astype(np.uint8), "P")
    image.putpalette(palette.astype(np.uint8).tobytes())
    return image


def _shown(picture: object) -> str:
    is_array = isinstance(picture, np.ndarray)
    return f"{picture.dtype} {picture.shape}" if is_array else type(picture).__name__  # type: ignore[attr-defined]
