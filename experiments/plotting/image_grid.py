"""Small pictures in rows, each with a text above."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from velodrome.experiments.plotting.style import LINE_HEIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

# Inches of the widest picture, and of all of a row.
WIDEST, ROW_WIDTH = 1.2, 7.0
GAP = 0.12


def grid_height(images: Sequence[NDArray[Any]], columns: int, lines: int) -> float:
    """Inches that pictures of one size take in so many columns, with so many lines of text above each."""
    rows = -(-len(images) // columns)
    return rows * (_tile_width(columns) * (_height(images[0]) + GAP) + _text_height(lines))


def draw_image_grid(
    axes: "Axes", images: Sequence[NDArray[Any]], texts: Sequence[str], *, columns: int, size: float, **options: Any
) -> "AxesImage":
    """Pictures of one size on one pair of axes, which is laid out much faster than a pair for each.

    Args:
        axes: to draw on.
        images: at least one, (height, width) or (height, width, colours).
        texts: above them.
        columns: pictures a row.
        size: of the texts, in points.
        options: of `Axes.imshow`.

    Returns:
        The last picture, for a colour bar.
    """
    from matplotlib.patches import Rectangle

    height = _height(images[0])
    lines = max(text.count("\n") + 1 for text in texts)
    pitch = height + GAP + _text_height(lines) / _tile_width(columns)
    for place, (image, text) in enumerate(zip(images, texts, strict=True)):
        left, bottom = place % columns * (1 + GAP), (place // columns + 1) * pitch
        extent = (left, left + 1, bottom, bottom - height)
        picture = axes.imshow(image, extent=extent, interpolation="nearest", **options)
        # A frame, because the edge of a picture may be as white as the page.
        axes.add_patch(Rectangle((left, bottom), 1, -height, fill=False, edgecolor="0.6", linewidth=0.6))
        axes.text(
            left + 0.5, bottom - height - 0.03, text, ha="center", va="bottom", size=size, linespacing=1.1,
            parse_math=False,
        )  # fmt: skip
    axes.set_xlim(-0.02, columns * (1 + GAP) - GAP + 0.02)
    axes.set_ylim((-(-len(images) // columns)) * pitch + 0.02, GAP)
    axes.set_aspect("equal")
    axes.set_axis_off()
    return picture


def _height(image: NDArray[Any]) -> float:
    """Of a picture, in widths."""
    return float(image.shape[0] / image.shape[1])


def _tile_width(columns: int) -> float:
    return min(WIDEST, ROW_WIDTH / (columns * (1 + GAP)))


def _text_height(lines: int) -> float:
    return LINE_HEIGHT * lines / 72
