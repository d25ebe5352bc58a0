"""Gymnasium environments to learn in, their transition models and their rules of success.

Importing this package registers its environments under `velodrome/...`.
"""

import lazy_loader

from velodrome.envs.registration import register_environments

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

register_environments()
