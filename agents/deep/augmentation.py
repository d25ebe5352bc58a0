"""Training images moved and turned at random, and the neighbours of a test image."""

import numpy as np

# The image itself and its neighbours one pixel up, down, left and right.
NEIGHBOURS = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))


def random_transforms(
    rng: np.random.Generator, number: int, height: int, width: int, shift: int, rotate: float
) -> np.ndarray:
    """Projective transforms float32 (number, 8), from output to input pixels, as TensorFlow's image operations take.

    Args:
        rng: source of chance.
        number: how many.
        height: of the images, in pixels.
        width: of the images, in pixels.
        shift: whole pixels, uniform from -shift to shift in both directions.
        rotate: degrees about the centre, uniform from -rotate to rotate.
    """
    right, down = rng.integers(-shift, shift + 1, (2, number))
    angles = np.deg2rad(rng.uniform(-rotate, rotate, number)) if rotate else np.zeros(number)
    cosine, sine = np.cos(angles), np.sin(angles)
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    transforms = np.zeros((number, 8), dtype=np.float32)
    transforms[:, 0], transforms[:, 1] = cosine, -sine
    transforms[:, 3], transforms[:, 4] = sine, cosine
    transforms[:, 2] = middle_x - cosine * middle_x + sine * middle_y + right
    transforms[:, 5] = middle_y - sine * middle_x - cosine * middle_y + down
    return transforms


def moved(images: np.ndarray, down: int, right: int) -> np.ndarray:
    """Images (B, height, width, channels) moved by whole pixels; zeros come in."""
    result = np.zeros_like(images)
    height, width = images.shape[1:3]
    rows, columns = _overlap(height, down), _overlap(width, right)
    result[:, rows[0], columns[0]] = images[:, rows[1], columns[1]]
    return result


def _overlap(length: int, offset: int) -> tuple[slice, slice]:
    """Where pixels go along one axis, and where they come from."""
    return slice(max(offset, 0), length + min(offset, 0)), slice(max(-offset, 0), length + min(-offset, 0))
