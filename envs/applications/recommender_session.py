"""A user who grows tired of what is recommended too often, and leaves."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import product

import numpy as np

from velodrome.checks import check_integer, check_probability
from velodrome.envs.applications.click_probabilities import check_number_of_states, read_click_probabilities
from velodrome.envs.model.model_environment import ModelEnvironment
from velodrome.envs.model.transition_model import TransitionModel


class RecommenderSession(ModelEnvironment):
    """Recommend one item after the other to a user who grows tired of what comes too often, and may leave.

    ## Description
    Items belong to categories. A user likes the categories in the order of one favourite: category f is clicked with
    the first of `click_probabilities`, f + 1 with the second, and so on round the circle. Every category also has a
    level of fatigue. Recommending it adds a level, up to the highest; each other category loses a level with
    probability `recovery`. At a share x of the highest fatigue the click probability is multiplied by
    1 - dulling * x, and a user who does not click leaves with probability leaving + annoyance * x. So fatigue costs
    few clicks at once and many later: by default, to recommend what is likeliest to be clicked now is hardly better
    than to recommend at random.

    Left out: that the user's taste and fatigue must be inferred from the clicks, tastes that change, items that differ
    within their category, several items on a page, and users who come back.

    ## Action Space
    Discrete(number of categories): the category to recommend from.

    ## Observation Space
    Discrete(categories * fatigue_levels ** categories): the favourite and the fatigue of each category as the digits
    of one number, the favourite first.

    ## Starting State
    No fatigue; each favourite is equally likely.

    ## Rewards
    1 for a click, else 0.

    ## Episode End
    Terminates when the user leaves. `velodrome/RecommenderSession-v0` is truncated after 20 recommendations. Success
    is a user who stays to the end. Optimum of the default user: 9.273 clicks; success 0.655, by another policy.

    ## Arguments
    `click_probabilities=(0.8, 0.5, 0.2)`, one a category; `fatigue_levels=4`; `dulling=0.3`; `recovery=0.5`;
    `leaving=0.02`; `annoyance=0.3`, with leaving + annoyance at most 1.

    ## Reference
    Leqi, Kilinc-Karzan, Lipton & Montgomery (2021), Rebounding bandits for modeling satiation effects, NeurIPS, for
    fatigue and recovery; Ben-Porat, Cohen, Leqi, Lipton & Mansour (2022), Modeling attrition in recommender systems
    with departing bandits, AAAI, for leaving. Differences: both are random here, on a few levels, and observed.

    ## Version History
    v0: first version.
    """

    def __init__(
        self,
        click_probabilities: Iterable[float] = (0.8, 0.5, 0.2),
        fatigue_levels: int = 4,
        dulling: float = 0.3,
        recovery: float = 0.5,
        leaving: float = 0.02,
        annoyance: float = 0.3,
        render_mode: str | None = None,
    ) -> None:
        affinities = read_click_probabilities(click_probabilities)
        fatigue_levels = check_integer("fatigue_levels", fatigue_levels, minimum=2)
        dulling = check_probability("dulling", dulling)
        recovery = check_probability("recovery", recovery)
        leaving = check_probability("leaving", leaving)
        annoyance = check_probability("annoyance", annoyance)
        if leaving + annoyance > 1.0:
            raise ValueError(f"leaving + annoyance must be at most 1, got {leaving:g} + {annoyance:g}")
        num_categories = affinities.size
        num_states = num_categories * fatigue_levels**num_categories
        check_number_of_states(
            "categories * fatigue_levels ** categories",
            num_states,
            f"{num_categories} * {fatigue_levels} ** {num_categories}",
        )
        self.state_shape = (num_categories, *[fatigue_levels] * num_categories)
        favourite, *levels = np.unravel_index(np.arange(num_states), self.state_shape)
        fatigue = np.array(levels)
        # Axes: state, category shown, click or none or leaving, which of the other categories recover.
        shape = (num_states, num_categories, 3, 2 ** (num_categories - 1))
        probabilities, next_states = np.empty(shape), np.empty(shape, dtype=np.int32)
        for category in range(num_categories):
            tired = fatigue[category] / (fatigue_levels - 1)
            click = affinities[(category - favourite) % num_categories] * (1.0 - dulling * tired)
            leaves = leaving + annoyance * tired
            answers = np.stack([click, (1.0 - click) * (1.0 - leaves), (1.0 - click) * leaves], axis=1)
            for number, recovering in enumerate(product((0, 1), repeat=num_categories - 1)):
                chance = np.where(recovering, recovery, 1.0 - recovery).prod()
                change = np.insert(-np.array(recovering), category, 1)
                following = (fatigue + change[:, None]).clip(0, fatigue_levels - 1)
                probabilities[:, category, :, number] = answers * chance
                next_states[:, category, :, number] = np.ravel_multi_index((favourite, *following), self.state_shape)[
                    :, None
                ]
        left = np.broadcast_to(np.array([False, False, True])[:, None], shape)
        fresh = (fatigue == 0).all(axis=0)
        model = TransitionModel.from_arrays(
            num_states,
            num_categories,
            probabilities=probabilities,
            next_states=next_states,
            rewards=np.broadcast_to(np.array([1.0, 0.0, 0.0])[:, None], shape),
            terminated=left,
            initial_distribution=fresh / fresh.sum(),
            success=~left,
        )
        super().__init__(model, render_mode=render_mode)

    def render_text(self) -> str:
        """The category recommended last, the favourite and the fatigue of each category."""
        favourite, *fatigue = np.unravel_index(self.s, self.state_shape)
        return f"{self.last_action_text()}favourite {favourite}, fatigue {' '.join(map(str, fatigue))}\n"


def least_tired(observation: int) -> int:
    """The category of which the user is least tired, the best liked of equals: by turns, in the long run.

    For `velodrome/RecommenderSession-v0` with its default arguments, whose observation it takes apart, as
    `rule('velodrome.envs.applications:least_tired')`.

    Args:
        observation: as `step` gives it.

    Raises:
        ValueError: the observation is none of that session.
    """
    favourite, *fatigue = (int(digit) for digit in np.unravel_index(observation, _default_session().state_shape))
    count = len(fatigue)
    return min(range(count), key=lambda category: (fatigue[category], (category - favourite) % count))


@cache
def _default_session() -> RecommenderSession:
    return RecommenderSession()
