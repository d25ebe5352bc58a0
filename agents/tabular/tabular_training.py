"""A tabular agent's training in either loop, with the same kind of outcome."""

from typing import TYPE_CHECKING, Any

from velodrome.agents.agent import Callback
from velodrome.agents.engine.compiled_training import run_compiled_loop
from velodrome.agents.engine.episode_ends import EpisodeEnds
from velodrome.agents.engine.generic_loop import EpisodeRecord, run_generic_loop
from velodrome.agents.engine.sampled_model import SampledModel
from velodrome.agents.tabular.tabular_binding import TabularBinding
from velodrome.envs.model.model_sampling import read_position, write_position

if TYPE_CHECKING:
    from velodrome.agents.tabular.tabular_agent import TabularAgent


def train_compiled(
    agent: "TabularAgent",
    binding: TabularBinding,
    environment: Any,
    sampled: SampledModel,
    reset_seed: int | None,
    callback: Callback | None,
    budget: dict[str, Any],
) -> EpisodeEnds:
    """Train on the model; a real environment is left as if it had been stepped all along.

    Raises:
        NotCompilableError: Numba cannot compile the policy; nothing has been learnt.
    """
    is_real = not isinstance(environment, SampledModel)
    if is_real and reset_seed is not None:
        environment.reset(seed=reset_seed)
        binding.begin_at(read_position(environment).state)
        # The seeded reset gave the environment a new generator.
        sampled.generator = environment.unwrapped.np_random
    ends = run_compiled_loop(
        sampled,
        binding.memory,
        binding.stepper,
        binding.progress,
        select=binding.select,
        learn=binding.learn,
        visits_of=binding.visits_of,
        masks=binding.masks if agent.action_mask else None,
        is_on_policy=agent.is_on_policy,
        needs_next_parameter=agent.needs_next_parameter,
        parameters=binding.parameters,
        rates=binding.rates,
        discount=binding.discount,
        rng=binding.rng,
        episodes=budget["episodes"],
        steps=budget["steps"],
        callback_every=budget["callback_every"] if callback is not None else 0,
        after_episode=callback,
    )
    if is_real:
        write_position(environment, binding.stepper.state, binding.progress.episode_length, None)
    return ends


def train_generic(
    binding: TabularBinding,
    environment: Any,
    reset_seed: int | None,
    callback: Callback | None,
    budget: dict[str, Any],
) -> EpisodeEnds:
    """Train on the environment itself, in plain Python."""
    record = EpisodeRecord()
    every = budget["callback_every"]

    def after_episode(finished: int) -> bool | None:
        if callback is None or finished % every:
            return None
        binding.stepper.pause()
        return callback(finished)

    try:
        steps = run_generic_loop(
            binding.stepper,
            environment,
            binding.progress,
            record,
            episodes=budget["episodes"],
            steps=budget["steps"],
            first_reset_seed=None if binding.progress.in_episode else reset_seed,
            action_offset=binding.action_start,
            episodes_before=binding.episodes_before,
            watch_info=binding.mask_watcher,
            after_episode=after_episode if callback is not None else None,
        )
    finally:
        binding.stepper.pause()
    return EpisodeEnds(*record.arrays(), steps, "generic")
