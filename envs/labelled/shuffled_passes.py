"""Which example comes next: everything once, in a new order each time."""

from __future__ import annotations

import numpy as np
from numpy.random import SeedSequence
from numpy.typing import NDArray


class ShuffledPasses:
    """Passes through the numbers 0 to size - 1, each pass in an order of its own.

    The order of pass k is drawn from child k of a seed sequence. So what is drawn n-th is a function of the seed
    and n alone, and an environment needs to remember nothing but n.

    Args:
        size: how many numbers there are.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._key: tuple[object, ...] | None = None
        self._order: NDArray[np.int32] = np.zeros(0, dtype=np.int32)

    def take(self, sequence: SeedSequence, first: int, count: int) -> NDArray[np.int64]:
        """Places drawn from the `first` draw on, counted from 0: int64 (count,)."""
        taken = np.empty(count, dtype=np.int64)
        filled = 0
        while filled < count:
            number, place = divmod(first + filled, self.size)
            part = self._pass(sequence, number)[place : place + count - filled]
            taken[filled : filled + len(part)] = part
            filled += len(part)
        return taken

    def take_next(self, generator: np.random.Generator) -> int:
        """The next number of a generator's seed.

        The generator itself counts: a child is spawned from its seed each time. A generator that is restored
        from a checkpoint goes on where it was, and its stream is left to others.
        """
        sequence = generator.bit_generator.seed_seq
        assert isinstance(sequence, SeedSequence)
        number, place = divmod(sequence.n_children_spawned, self.size)
        sequence.spawn(1)
        return int(self._pass(sequence, number)[place])

    def _pass(self, sequence: SeedSequence, number: int) -> NDArray[np.int32]:
        key = (sequence.entropy, sequence.spawn_key, number)
        if key != self._key:
            child = SeedSequence(
                sequence.entropy, spawn_key=(*sequence.spawn_key, number), pool_size=sequence.pool_size
            )
            rng = np.random.Generator(np.random.PCG64(child))
            self._order = rng.permutation(np.arange(self.size, dtype=np.int32))
            self._key = key
        return self._order
