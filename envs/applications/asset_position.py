"""A position in one asset whose price returns to its mean."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from velodrome.checks import check_integer, check_number, check_probability
from velodrome.envs.model.model_environment import ModelEnvironment
from velodrome.envs.model.transition_model import TransitionModel

POSITIONS = ("short", "flat", "long")
MOVES = np.array([-1, 0, 1])
FAIR_PRICE = 100


class AssetPosition(ModelEnvironment):
    """Be short, flat or long in an asset whose price returns to its mean, and pay for every trade.

    ## Description
    The price has `num_prices` levels, one tick apart, around a fair price of 100. Each step it moves a tick up
    or down with probability `volatility` in all, towards the fair price the more often the farther it is from it:
    up with probability volatility * (1 - reversion * x) / 2, down with volatility * (1 + reversion * x) / 2,
    where x runs from -1 at the lowest level to 1 at the highest; beyond the levels it does not move. The action
    is the position to hold while it moves. No single step earns what a trade costs by default: only who looks
    ahead trades, and holds until the price has come back.

    The price is synthetic and drawn anew in every episode, and nothing here is a claim about a market. Left out:
    that the price's law must be found and may change, trends, spreads that widen, sizes other than one unit,
    interest and margin, the effect of one's own trades, and closing the position at the end.

    ## Action Space
    Discrete(3): 0 short, 1 flat, 2 long; the position of the coming step.

    ## Observation Space
    Discrete(3 * num_prices): 3 * price level + position held, 0 short, 1 flat, 2 long.

    ## Starting State
    Flat at the fair price.

    ## Rewards
    Position (-1, 0 or 1) times the change of the price in ticks, less `cost` for each unit that is bought or
    sold: from short to long are two.

    ## Episode End
    Never by itself. `velodrome/AssetPosition-v0` is truncated after 60 steps, about a quarter of trading days. Success
    is a profit: a return above 0. Optimum of the default price: return 3.395 within 60 steps; being flat earns 0.

    ## Arguments
    `num_prices=11`, an odd number; `volatility=0.8`; `reversion=0.5`; `cost=1.0`, in ticks.

    ## Reference
    Ritter (2017), Machine learning for trading, Risk 30(10): Q-learning on a mean-reverting price in ticks with
    costs; Garleanu & Pedersen (2013), Dynamic trading with predictable returns and transaction costs, Journal of
    Finance 68(6). The price is the Ehrenfest chain's, the discrete kin of an Ornstein-Uhlenbeck process.

    ## Version History
    v0: first version.
    """

    action_names: ClassVar[tuple[str, ...]] = POSITIONS

    def __init__(
        self,
        num_prices: int = 11,
        volatility: float = 0.8,
        reversion: float = 0.5,
        cost: float = 1.0,
        render_mode: str | None = None,
    ) -> None:
        num_prices = check_integer("num_prices", num_prices, minimum=3)
        if num_prices % 2 == 0:
            raise ValueError(f"num_prices must be odd, so that one is the fair price, got {num_prices}")
        volatility = check_probability("volatility", volatility)
        reversion = check_probability("reversion", reversion)
        cost = check_number("cost", cost, 0.0)
        prices = np.arange(num_prices)
        self.fair_level = num_prices // 2
        away = (prices - self.fair_level) / self.fair_level
        chances = np.stack(
            [
                volatility * (1 + reversion * away) / 2,
                np.full(num_prices, 1 - volatility),
                volatility * (1 - reversion * away) / 2,
            ],
            axis=1,
        )
        # Axes: price, position held, position taken, move of the price.
        shape = (num_prices, 3, 3, 3)
        next_prices = (prices[:, None] + MOVES).clip(0, num_prices - 1)
        taken = np.arange(3)[:, None]
        gains = (taken - 1) * (next_prices - prices[:, None])[:, None, None, :]
        trades = np.abs(np.arange(3)[:, None] - np.arange(3))[:, :, None]
        model = TransitionModel.from_arrays(
            3 * num_prices,
            3,
            probabilities=np.broadcast_to(chances[:, None, None, :], shape),
            next_states=np.broadcast_to(3 * next_prices[:, None, None, :] + taken, shape),
            rewards=np.broadcast_to(gains - cost * trades, shape),
            terminated=np.zeros(shape, dtype=np.bool_),
            initial_distribution=3 * self.fair_level + POSITIONS.index("flat"),
        )
        super().__init__(model, render_mode=render_mode)

    def render_text(self) -> str:
        """The last action, the price and the position."""
        price, position = divmod(self.s, 3)
        return f"{self.last_action_text()}price {FAIR_PRICE + price - self.fair_level}, {POSITIONS[position]}\n"
