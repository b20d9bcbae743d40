"""The classes that configs and options may name without their package: those that are public."""

from dlp import datamodules, modules
from dlp.callbacks import CacheFeatures, MistakesReport, Unfreeze

#: It takes arrays, which no config holds.
_IN_PYTHON_ALONE = "ArrayDataModule"
#: Imported: jsonargparse finds a class by its name alone once it is.
SHORT_NAMES = (
    *(getattr(datamodules, name) for name in dir(datamodules) if name != _IN_PYTHON_ALONE),
    *(getattr(modules, name) for name in dir(modules)),
    *(CacheFeatures, MistakesReport, Unfreeze),
)
