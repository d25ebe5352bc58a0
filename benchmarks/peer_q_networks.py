"""CartPole's DQN by Stable-Baselines3, and by programs in CleanRL's manner in PyTorch and JAX, for the benchmarks.

The programs are written from the hyper-parameters of CleanRL's `dqn.py` and `dqn_jax.py`, without their logging and
with a replay of plain arrays, which is faster than the one that they use.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

ENVIRONMENT = "CartPole-v1"
SOLVED = 475.0
# Starts of the episodes that everybody is evaluated on, and their number.
FIRST_START, EPISODES = 10_000, 10

# Stable-Baselines3's arguments: those of RL Zoo's dqn.yml for CartPole-v1.
ZOO = {
    "learning_rate": 2.3e-3,
    "batch_size": 64,
    "buffer_size": 100_000,
    "learning_starts": 1_000,
    "gamma": 0.99,
    "target_update_interval": 10,
    "train_freq": 256,
    "gradient_steps": 128,
    "exploration_fraction": 0.16,
    "exploration_final_eps": 0.04,
    "policy_kwargs": {"net_arch": [256, 256]},
}
CLEANRL_STEPS = 500_000


class Settings(NamedTuple):
    """What a program in CleanRL's manner learns with; its hyper-parameters are the defaults."""

    hidden: tuple[int, int] = (120, 84)
    learning_rate: float = 2.5e-4
    replay: int = 10_000
    discount: float = 0.99
    target_every: int = 500
    batch_size: int = 128
    first_epsilon: float = 1.0
    last_epsilon: float = 0.05
    exploring_steps: int = CLEANRL_STEPS // 2
    learning_starts: int = 10_000
    train_every: int = 10


class Trainer(NamedTuple):
    """A contender.

    Attributes:
        learn: takes a number of steps, and calls a function after every so many of them.
        choose: greedy actions of observations (B, D).
    """

    learn: Callable[[int, int, Callable[[], Any]], Any]
    choose: Callable[[Any], Any]


def greedy_return(choose: Callable[[Any], Any]) -> float:
    """Mean return of `EPISODES` greedy episodes from fixed starts, side by side."""
    import gymnasium as gym
    import numpy as np

    environments = [gym.make(ENVIRONMENT) for _ in range(EPISODES)]
    observations = [env.reset(seed=FIRST_START + number)[0] for number, env in enumerate(environments)]
    running, total = list(range(EPISODES)), 0.0
    while running:
        actions = choose(np.stack([observations[number] for number in running]))
        still = []
        for number, action in zip(running, actions, strict=True):
            observations[number], reward, terminated, truncated, _ = environments[number].step(int(action))
            total += float(reward)
            if not (terminated or truncated):
                still.append(number)
        running = still
    return total / EPISODES


def watched(trainer: Trainer, steps: int, every: int) -> dict[str, list[float]]:
    """Greedy returns along a training, after every so many steps, and the CPU seconds of the training until then."""
    returns: list[float] = []
    seconds: list[float] = []
    started, looking = time.process_time(), 0.0

    def look() -> None:
        nonlocal looking
        now = time.process_time()
        seconds.append(now - started - looking)
        returns.append(greedy_return(trainer.choose))
        looking += time.process_time() - now

    trainer.learn(steps, every, look)
    return {"returns": returns, "seconds": seconds}


def stable_baselines(seed: int, **options: Any) -> Trainer:
    """Stable-Baselines3's DQN with its arguments."""
    # It would import TensorBoard, which imports TensorFlow where that is installed.
    sys.modules["tensorboard"] = None  # type: ignore[assignment]
    import gymnasium as gym
    import torch
    from stable_baselines3 import DQN
    from stable_baselines3.common.callbacks import BaseCallback

    torch.set_num_threads(1)
    model = DQN("MlpPolicy", gym.make(ENVIRONMENT), seed=seed, device="cpu", **options)

    class Watch(BaseCallback):
        def __init__(self, every: int, look: Callable[[], Any]) -> None:
            super().__init__()
            self.every, self.look = every, look

        def _on_step(self) -> bool:
            if self.num_timesteps % self.every == 0:
                self.look()
            return True

    def learn(steps: int, every: int, look: Callable[[], Any]) -> None:
        model.learn(steps, callback=Watch(every, look) if every else None, reset_num_timesteps=False)

    def choose(observations: Any) -> Any:
        with torch.no_grad():
            return model.q_net(torch.as_tensor(observations)).argmax(dim=1).numpy()

    return Trainer(learn, choose)


class Network(NamedTuple):
    """A Q-network with its target and optimiser.

    Attributes:
        choose: as `Trainer.choose`.
        update: a gradient step on (observations, next observations, actions, rewards, terminated).
        copy: the network to its target.
    """

    choose: Callable[[Any], Any]
    update: Callable[..., Any]
    copy: Callable[[], Any]


def torch_network(seed: int, settings: Settings, inputs: int, actions: int) -> Network:
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    first, second = settings.hidden

    def new_network() -> Any:
        return nn.Sequential(
            nn.Linear(inputs, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU(), nn.Linear(second, actions)
        )

    online, target = new_network(), new_network()
    target.load_state_dict(online.state_dict())
    optimizer = torch.optim.Adam(online.parameters(), lr=settings.learning_rate)

    def choose(observations: Any) -> Any:
        with torch.no_grad():
            return online(torch.from_numpy(observations)).argmax(dim=1).numpy()

    def update(*batch: Any) -> None:
        observations, following, chosen, rewards, terminated = (torch.from_numpy(array) for array in batch)
        with torch.no_grad():
            targets = rewards + settings.discount * target(following).max(dim=1).values * (1 - terminated)
        values = online(observations).gather(1, chosen[:, None]).squeeze(1)
        loss = nn.functional.mse_loss(targets, values)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return Network(choose, update, lambda: target.load_state_dict(online.state_dict()))


def jax_network(seed: int, settings: Settings, inputs: int, actions: int) -> Network:
    import flax.linen as nn
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    first, second = settings.hidden
    online = nn.Sequential([nn.Dense(first), nn.relu, nn.Dense(second), nn.relu, nn.Dense(actions)])
    weights = online.init(jax.random.key(seed), jnp.zeros((1, inputs)))
    optimizer = optax.adam(settings.learning_rate)
    state = {"online": weights, "target": weights, "moments": optimizer.init(weights)}

    @jax.jit
    def best(weights: Any, observations: Any) -> Any:
        return online.apply(weights, observations).argmax(axis=-1)

    @jax.jit
    def updated(weights: Any, target: Any, moments: Any, batch: Any) -> Any:
        observations, following, chosen, rewards, terminated = batch
        targets = rewards + settings.discount * online.apply(target, following).max(axis=-1) * (1 - terminated)

        def loss(weights: Any) -> Any:
            values = online.apply(weights, observations)[jnp.arange(len(chosen)), chosen]
            return ((values - targets) ** 2).mean()

        steps, moments = optimizer.update(jax.grad(loss)(weights), moments, weights)
        return optax.apply_updates(weights, steps), moments

    def update(*batch: Any) -> None:
        state["online"], state["moments"] = updated(state["online"], state["target"], state["moments"], batch)

    def copy() -> None:
        state["target"] = state["online"]

    return Network(lambda observations: np.asarray(best(state["online"], observations)), update, copy)


def cleanrl(new_network: Callable[..., Network], seed: int, settings: Settings) -> Trainer:
    """A DQN in CleanRL's manner around a network."""
    import gymnasium as gym
    import numpy as np

    env, rng = gym.make(ENVIRONMENT), np.random.default_rng(seed)
    inputs, actions, size = int(env.observation_space.shape[0]), int(env.action_space.n), settings.replay  # type: ignore[index,attr-defined]
    network = new_network(seed, settings, inputs, actions)
    observations, following = np.zeros((size, inputs), np.float32), np.zeros((size, inputs), np.float32)
    chosen, rewards = np.zeros(size, np.int64), np.zeros(size, np.float32)
    ends = np.zeros(size, np.float32)
    place, step, observation = 0, 0, env.reset(seed=seed)[0]

    def learn(steps: int, every: int, look: Callable[[], Any]) -> None:
        nonlocal place, step, observation
        for _ in range(steps):
            share = min(1.0, step / settings.exploring_steps)
            epsilon = settings.first_epsilon + share * (settings.last_epsilon - settings.first_epsilon)
            is_random = rng.random() < epsilon
            action = int(rng.integers(actions)) if is_random else int(network.choose(observation[None])[0])
            next_observation, reward, terminated, truncated, _ = env.step(action)
            observations[place], following[place] = observation, next_observation
            chosen[place], rewards[place], ends[place] = action, reward, terminated
            place, step = (place + 1) % size, step + 1
            observation = env.reset()[0] if terminated or truncated else next_observation
            if step > settings.learning_starts:
                if step % settings.train_every == 0:
                    drawn = rng.integers(min(step, size), size=settings.batch_size)
                    arrays = (observations, following, chosen, rewards, ends)
                    network.update(*(array[drawn] for array in arrays))
                if step % settings.target_every == 0:
                    network.copy()
            if every and step % every == 0:
                look()

    return Trainer(learn, network.choose)


def on_one_thread() -> None:
    """Keep what the libraries of this process start to one thread."""
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    os.environ["JAX_PLATFORMS"] = "cpu"


def trainer(contender: str, seed: int, options: dict[str, Any]) -> Trainer:
    """A contender by its name: "sb3", "pytorch" or "jax"."""
    if contender == "sb3":
        return stable_baselines(seed, **options)
    networks = {"pytorch": torch_network, "jax": jax_network}
    return cleanrl(networks[contender], seed, Settings(**options))
