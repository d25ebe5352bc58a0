from .stable_baselines3 import StableBaselines3 as StableBaselines3
