"""Registers the environments of this package with Gymnasium."""

from __future__ import annotations

import gymnasium as gym

# Class, and the steps after which an episode is truncated; None where episodes always end by themselves.
_ENVIRONMENTS = {
    "velodrome/AdServer-v0": ("velodrome.envs.applications.ad_server:AdServer", 1000),
    "velodrome/AdversarialBandit-v0": ("velodrome.envs.adversarial_bandit:AdversarialBandit", None),
    "velodrome/AssetPosition-v0": ("velodrome.envs.applications.asset_position:AssetPosition", 60),
    "velodrome/BernoulliBandit-v0": ("velodrome.envs.bernoulli_bandit:BernoulliBandit", None),
    "velodrome/Bricks-v0": ("velodrome.envs.bricks:Bricks", 500),
    "velodrome/Chain-v0": ("velodrome.envs.chain:Chain", 100),
    "velodrome/ClairvoyantAdServer-v0": ("velodrome.envs.applications.ad_server:ClairvoyantAdServer", 1000),
    "velodrome/Classification-v0": ("velodrome.envs.labelled.classification:Classification", None),
    "velodrome/DeepSea-v0": ("velodrome.envs.deep_sea:DeepSea", None),
    "velodrome/DriftingBandit-v0": ("velodrome.envs.drifting_bandit:DriftingBandit", None),
    "velodrome/Garnet-v0": ("velodrome.envs.garnet:Garnet", 100),
    "velodrome/GaussianBandit-v0": ("velodrome.envs.gaussian_bandit:GaussianBandit", None),
    "velodrome/GridWorld-v0": ("velodrome.envs.grid_world:GridWorld", 500),
    "velodrome/RecommenderSession-v0": ("velodrome.envs.applications.recommender_session:RecommenderSession", 20),
    "velodrome/RiverSwim-v0": ("velodrome.envs.river_swim:RiverSwim", 20),
    "velodrome/TenArmedTestbed-v0": ("velodrome.envs.ten_armed_testbed:TenArmedTestbed", None),
    "velodrome/Text-v0": ("velodrome.envs.labelled.text:Text", None),
    "velodrome/ThermalZone-v0": ("velodrome.envs.applications.thermal_zone:ThermalZone", 24),
    "velodrome/Warehouse-v0": ("velodrome.envs.applications.warehouse:Warehouse", 100),
}
# What gymnasium.make_vec makes, where it is not one environment after the other.
_VECTOR_ENTRY_POINTS = {
    "velodrome/Classification-v0": "velodrome.envs.labelled.classification_vector:ClassificationVectorEnv",
}


def register_environments() -> None:
    """Make every id of this package known to gym.make; a second call changes nothing."""
    for identifier, (entry_point, max_episode_steps) in _ENVIRONMENTS.items():
        if identifier not in gym.registry:
            gym.register(
                identifier,
                entry_point=entry_point,
                max_episode_steps=max_episode_steps,
                vector_entry_point=_VECTOR_ENTRY_POINTS.get(identifier),
            )
