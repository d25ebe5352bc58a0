from .episode_curves import EpisodeCurves as EpisodeCurves
from .export import export as export
from .repair import repair as repair
from .store import Store as Store, StoredExperiment as StoredExperiment
from .store_file import DamagedStoreError as DamagedStoreError, StoreError as StoreError
