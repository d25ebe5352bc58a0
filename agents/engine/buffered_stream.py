"""Uniform numbers of a NumPy generator at a fraction of the cost of a call, with the generator's state kept exact."""

from collections import deque
from collections.abc import Callable, Iterator
from operator import length_hint
from typing import Any

import numpy as np

BLOCK = 128
_PERIOD = 1 << 128


class BufferedStream:
    """`random()` of a PCG64 generator, drawn in blocks; `release` gives back what was not used.

    Between releases nobody else may draw from the generator.

    Attributes:
        random: function that returns the next uniform number in [0, 1), the one `generator.random()` would.
    """

    __slots__ = ("_block", "_generator", "random")

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator
        self._block: Iterator[float] = iter(())
        self.random: Callable[[], float] = self._draw().__next__

    def _draw(self) -> Iterator[float]:
        while True:
            self._block = iter(self._generator.random(BLOCK).tolist())
            yield from self._block

    def release(self) -> None:
        """Wind the generator back to the first number that was not used."""
        unused = length_hint(self._block)
        if unused:
            bits: Any = self._generator.bit_generator
            before = bits.state
            bits.advance(_PERIOD - unused)
            # Advancing forgets the half of a 64-bit draw that integers() may have kept.
            bits.state = {**bits.state, "has_uint32": before["has_uint32"], "uinteger": before["uinteger"]}
            deque(self._block, maxlen=0)
