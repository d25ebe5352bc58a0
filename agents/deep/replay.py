"""Experience replay: the newest steps, and batches drawn from them."""

from typing import Any

import numpy as np

from velodrome.agents.deep import q_kernels as kernels
from velodrome.agents.deep.q_model import Batch, take_over

_ARRAYS = ("observations", "actions", "rewards", "ends")


class Replay:
    """The newest steps of all episodes, in a ring.

    Args:
        capacity: number of steps.
        observation_size: numbers of an observation.
        dtype: of these.
        num_actions: number of actions.
        has_masks: whether the actions available in what followed are kept, too.
        prioritized: exponent of the priorities; 0 draws uniformly.
        rng: stream of what is drawn.
        batch_size: steps that are drawn.
        num_heads: heads that each step is given to, or not; 0 for none to choose among.

    Attributes:
        count: steps that are kept.
        slots: where the steps are that were drawn last, int64 (batch_size,).
        position: where the next step goes.
        rng: as given.
    """

    def __init__(
        self,
        capacity: int,
        observation_size: int,
        dtype: Any,
        num_actions: int,
        *,
        has_masks: bool,
        prioritized: float,
        rng: np.random.Generator,
        batch_size: int,
        num_heads: int = 0,
    ) -> None:
        # Zeros that nobody has written to take no memory yet.
        self.observations = np.zeros((capacity, observation_size), dtype)
        self.next_observations = np.zeros((capacity, observation_size), dtype)
        self.actions, self.rewards = np.zeros(capacity, np.int32), np.zeros(capacity, np.float32)
        self.ends = np.zeros(capacity, np.uint8)
        self.masks = np.zeros((capacity if has_masks else 0, num_actions), np.uint8)
        self.heads = np.zeros((capacity if num_heads else 0, num_heads), np.uint8)
        self.tree = np.zeros(2 * _power_of_two(capacity) if prioritized else 0)
        self.largest_priority = 1.0
        self.count = self.position = 0
        self.rng, self._prioritized = rng, prioritized
        self._capacity, self._has_masks = capacity, has_masks
        self.slots, self._uniforms = np.zeros(batch_size, np.int64), np.zeros(batch_size)

    def add(
        self, present: np.ndarray, following: np.ndarray, statistics: np.ndarray, scale: np.ndarray, is_running: bool,
        action: int, reward: float, end: int, next_mask: bytes | None,
    ) -> bool:  # fmt: skip
        """Keep a step; see `q_kernels.store`."""
        place = self.position
        is_finite: bool = kernels.store(
            self.observations, self.next_observations, self.actions, self.rewards, self.ends, place, present,
            following, statistics, scale, is_running, action, reward, end,
        )  # fmt: skip
        if is_finite:
            if self._has_masks:
                self.masks[place] = 1 if next_mask is None else np.frombuffer(next_mask, np.uint8)
            if self._prioritized:
                kernels.set_priority(self.tree, place, self.largest_priority)
            self.position = place + 1 if place + 1 < self._capacity else 0
            self.count = max(self.count, place + 1)
        return is_finite

    def give_to(self, heads: np.ndarray) -> None:
        """Give the newest step to some heads, bool (num_heads,)."""
        self.heads[self.position - 1] = heads

    def fill_heads(self, heads: np.ndarray) -> None:
        """Fill heads uint8 (B, num_heads) with those that the steps drawn last were given to."""
        self.heads.take(self.slots, axis=0, out=heads)

    def cut(self) -> None:
        """Let the newest step be the last of its episode, which nobody goes on with."""
        if self.count and self.ends[self.position - 1] == kernels.GOES_ON:
            self.ends[self.position - 1] = kernels.TRUNCATED

    def draw(self, batch: Batch, *, n_step: int, discount: float, scale: np.ndarray, importance: float) -> None:
        """Fill a batch with steps drawn with replacement.

        Args:
            batch: to be filled.
            n_step: rewards that a return sums.
            discount: discount rate.
            scale: of the observations; see `q_kernels.scaled_into`.
            importance: exponent that corrects for the priorities.
        """
        self.rng.random(out=self._uniforms)
        if self._prioritized:
            kernels.draw_by_priority(self.tree, self.count, self._uniforms, importance, self.slots, batch.shares)
        else:
            # Whole numbers of what was multiplied as float64.
            np.multiply(self._uniforms, self.count, out=self.slots, casting="unsafe")
        newest = self.position - 1 if self.position else self._capacity - 1
        kernels.gather(
            self.observations, self.next_observations, self.actions, self.rewards, self.ends, self.masks, self.slots,
            newest, n_step, discount, scale, self._has_masks, batch.inputs, batch.next_inputs, batch.actions,
            batch.returns, batch.factors, batch.next_masks,
        )  # fmt: skip

    def learnt(self, errors: np.ndarray) -> None:
        """Take the errors of what was drawn last for its priorities."""
        if self._prioritized:
            self.largest_priority = kernels.set_priorities(
                self.tree, self.slots, errors, self._prioritized, self.largest_priority
            )

    @property
    def _continues(self) -> np.ndarray:
        """Of each step that is kept, whether what followed is what the next slot begins with."""
        continues: np.ndarray = self.ends[: self.count] == kernels.GOES_ON
        continues[self.position - 1] = False
        return continues

    def arrays(self) -> dict[str, np.ndarray]:
        """All that is kept, each observation once."""
        if not self.count:
            return {}
        kept = {name: getattr(self, name)[: self.count] for name in _ARRAYS}
        kept["last_observations"] = self.next_observations[: self.count][~self._continues]
        if self._has_masks:
            kept["masks"] = self.masks[: self.count]
        if len(self.heads):
            kept["heads"] = self.heads[: self.count]
        if self._prioritized:
            leaves = len(self.tree) // 2
            kept["priorities"] = self.tree[leaves : leaves + self.count]
        return kept

    def restore(self, arrays: dict[str, np.ndarray], count: int, position: int, largest_priority: float) -> None:
        """Take over what `arrays` gave.

        Raises:
            KeyError, ValueError: an array is missing or does not fit.
        """
        if count > self._capacity or position != (count if count < self._capacity else position % self._capacity):
            raise ValueError(f"{count} steps, the next at {position}, are no replay of {self._capacity}")
        self.count, self.position, self.largest_priority = count, position, largest_priority
        if not count:
            return
        for name in (*_ARRAYS, *(["masks"] if self._has_masks else []), *(["heads"] if len(self.heads) else [])):
            take_over(name, getattr(self, name)[:count], arrays[name])
        continues = self._continues
        following = np.roll(self.observations[:count], -1, axis=0)
        last = arrays["last_observations"]
        if last.shape != (count - continues.sum(), following.shape[1]) or last.dtype != following.dtype:
            raise ValueError(f"array last_observations has shape {last.shape} and dtype {last.dtype}")
        following[~continues] = last
        self.next_observations[:count] = following
        if self._prioritized:
            leaves = len(self.tree) // 2
            take_over("priorities", self.tree[leaves : leaves + count], arrays["priorities"])
            start = leaves
            while start > 1:
                start //= 2
                self.tree[start : 2 * start] = self.tree[2 * start : 4 * start].reshape(-1, 2).sum(axis=1)

    def compile(self, batch: Batch, scale: np.ndarray, statistics: np.ndarray) -> None:
        """Compile all that training calls, or load it from disk, and change nothing that matters."""
        nothing = self.observations[0].copy()
        kernels.see(nothing, nothing.copy(), statistics, scale, False)
        self.add(nothing.copy(), nothing, statistics, scale, False, 0, 0.0, kernels.TERMINATED, None)
        state = self.rng.bit_generator.state
        self.draw(batch, n_step=1, discount=0.0, scale=scale, importance=0.0)
        self.learnt(batch.errors)
        batch.shares[...] = 1.0
        self.rng.bit_generator.state = state
        self.count = self.position = 0
        self.ends[0], self.largest_priority = 0, 1.0
        self.tree[...] = 0.0


def _power_of_two(number: int) -> int:
    return 1 << (number - 1).bit_length()
