from .episode_files import EpisodeFileError as EpisodeFileError
from .script import Script as Script
