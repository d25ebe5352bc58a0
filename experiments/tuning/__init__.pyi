from .tune import TunedResults as TunedResults, TuneOptions as TuneOptions, tune as tune
