"""An ad server: advertisements whose click probabilities drift through the day."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, SupportsInt, cast

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from velodrome.checks import check_integer, check_probability
from velodrome.envs.applications.click_probabilities import check_number_of_states, read_click_probabilities
from velodrome.envs.model.model_environment import ModelEnvironment
from velodrome.envs.model.transition_model import TransitionModel


class ClairvoyantAdServer(ModelEnvironment):
    """Choose the ad for each impression, and see how well every ad does at the moment.

    ## Description
    The same world as `velodrome/AdServer-v0`, but the level of every ad is observed, which no server ever sees. The
    best expected return here bounds that of every ad server from above, and `value_iteration` computes it.

    ## Action Space
    Discrete(num_ads): the ad to show.

    ## Observation Space
    Discrete(levels ** num_ads): the levels of all ads as the digits of one number, that of ad 0 first.

    ## Starting State
    Uniform: each ad is at each level equally often, as in the long run.

    ## Rewards
    1 for a click, else 0.

    ## Episode End
    Never by itself. `velodrome/ClairvoyantAdServer-v0` is truncated after a day of 1000 impressions. Success is not
    defined. Optimum of the default ads: always an ad of the highest level, 349.4 clicks a day.

    ## Arguments
    `num_ads=4`; `click_probabilities=(0.05, 0.15, 0.4)`, one a level; `drift=0.02`.

    ## Reference
    As `velodrome/AdServer-v0`.

    ## Version History
    v0: first version.
    """

    def __init__(
        self,
        num_ads: int = 4,
        click_probabilities: Iterable[float] = (0.05, 0.15, 0.4),
        drift: float = 0.02,
        render_mode: str | None = None,
    ) -> None:
        self.num_ads = check_integer("num_ads", num_ads, minimum=2)
        self.click_probabilities = read_click_probabilities(click_probabilities)
        drift = check_probability("drift", drift)
        num_levels = len(self.click_probabilities)
        check_number_of_states("levels ** num_ads", num_levels**self.num_ads, f"{num_levels} ** {self.num_ads}")
        super().__init__(self._model(drift), render_mode=render_mode)

    def _model(self, drift: float) -> TransitionModel:
        num_ads, num_levels = self.num_ads, len(self.click_probabilities)
        states = np.arange(num_levels**num_ads)
        # The level of ad i is the digit of this value.
        digits = num_levels ** np.arange(num_ads)[::-1]
        levels = states[:, None] // digits % num_levels
        # Nothing drifts, or one ad goes down or up; at either end it stays.
        moved = [states]
        for step in (-1, 1):
            moved += list((states[:, None] + ((levels + step).clip(0, num_levels - 1) - levels) * digits).T)
        chances = np.array([1.0 - drift] + [drift / (2 * num_ads)] * (2 * num_ads))
        clicks = self.click_probabilities[levels]
        # Axes: state, ad shown, click or none, drift.
        shape = (states.size, num_ads, 2, chances.size)
        return TransitionModel.from_arrays(
            states.size,
            num_ads,
            probabilities=np.stack([clicks, 1.0 - clicks], axis=2)[:, :, :, None] * chances,
            next_states=np.broadcast_to(np.stack(moved, axis=1)[:, None, None, :], shape),
            rewards=np.broadcast_to(np.array([1.0, 0.0])[:, None], shape),
            terminated=np.zeros(shape, dtype=np.bool_),
            initial_distribution=np.full(states.size, 1.0 / states.size),
        )

    def render_text(self) -> str:
        """The last ad shown, and the click probability of every ad now."""
        shape = (len(self.click_probabilities),) * self.num_ads
        now = self.click_probabilities[list(np.unravel_index(self.s, shape))]
        return f"{self.last_action_text()}{' '.join(f'{p:g}' for p in now)}\n"


class AdServer(gym.Env[int, int]):
    """Show one ad at each impression of a day, while the click probabilities of all ads drift unseen.

    ## Description
    Every ad has a level, and each level a click probability. After an impression, with probability `drift`, one ad
    drawn at random moves a level up or down, either with chance 1/2; at the lowest and the highest level it stays
    instead of moving out. Nothing but the clicks is seen. An average over all that an ad ever earned loses sight of
    what it earns now: Sutton & Barto's nonstationary bandit, section 2.5. A policy that no longer learns shows one ad
    for ever, so that what counts here is the return in training; `ClairvoyantAdServer` gives the bound.

    Clicks are more frequent than those of banners, so that a day of 1000 impressions shows something. Left out: users
    who differ from each other, bids and budgets, purchases after the click, ads that come and go, and users who tire
    of an ad.

    ## Action Space
    Discrete(num_ads): the ad to show.

    ## Observation Space
    Discrete(1): always 0.

    ## Starting State
    Each day begins anew: the level of every ad is drawn uniformly, as it is in the long run.

    ## Rewards
    1 for a click, else 0.

    ## Episode End
    Never by itself. `velodrome/AdServer-v0` is truncated after a day of 1000 impressions. Success is a day of at
    least `target` clicks. Random ads have 200 clicks a day on average; no server has more than 349.4 on average.

    ## Arguments
    `num_ads=4`; `click_probabilities=(0.05, 0.15, 0.4)`, one a level, from the lowest level to the highest;
    `drift=0.02`, in each impression; `target=250`.

    ## Reference
    Sutton & Barto (2018), section 2.5; Whittle (1988), Restless bandits: activity allocation in a changing world,
    Journal of Applied Probability 25A; Garivier & Moulines (2011), On upper-confidence bound policies for switching
    bandit problems, ALT. The drift is a walk over a few levels, so that the bound can be computed.

    ## Version History
    v0: first version.
    """

    metadata = ModelEnvironment.metadata

    def __init__(
        self,
        num_ads: int = 4,
        click_probabilities: Iterable[float] = (0.05, 0.15, 0.4),
        drift: float = 0.02,
        target: int = 250,
        render_mode: str | None = None,
    ) -> None:
        self.target = check_integer("target", target, minimum=1)
        self._ads = ClairvoyantAdServer(num_ads, click_probabilities, drift, render_mode)
        self.observation_space = cast("spaces.Space[int]", spaces.Discrete(1))
        self.action_space = self._ads.action_space
        self.render_mode = render_mode
        self.clicks = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Begin a day; `options` has no effect."""
        super().reset(seed=seed)
        self._ads.np_random = self.np_random
        self._ads.reset()
        self.clicks = 0
        return 0, {}

    def step(self, action: SupportsInt) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Show an ad; info["is_success"] says whether the day has had `target` clicks by now."""
        self._ads.np_random = self.np_random
        _, reward, terminated, truncated, _ = self._ads.step(action)
        self.clicks += int(reward)
        return 0, reward, terminated, truncated, {"is_success": self.clicks >= self.target}

    def render(self) -> str | None:
        """The last ad shown and the click probability of every ad now, which the agent does not see."""
        return self._ads.render()
