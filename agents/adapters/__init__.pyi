from .episode_files import EpisodeFileError as EpisodeFileError
from .script import Script as Script
from .stable_baselines3 import StableBaselines3 as StableBaselines3
