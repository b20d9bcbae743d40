"""Callbacks: what watches a fit. Each works in a plain ``lightning.Trainer`` too."""

from dlp.lazy import lazy_exports

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "BestCheckpoint": "checkpoints",
        "CacheFeatures": "caching",
        "EpochSeed": "seeding",
        "History": "history",
        "LastCheckpoint": "checkpoints",
        "MistakesReport": "mistakes",
        "PredictionWriter": "predictions",
        "ProgressBar": "progress",
        "Unfreeze": "unfreezing",
    },
)
