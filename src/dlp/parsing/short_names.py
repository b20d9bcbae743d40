"""The classes that configs and options may name without their package."""

from dlp.callbacks.caching import CacheFeatures
from dlp.callbacks.mistakes_report import MistakesReport
from dlp.callbacks.unfreezing import Unfreeze
from dlp.datamodules import (
    CatsVsDogsDataModule,
    HousingDataModule,
    ImageFolderDataModule,
    IMDBDataModule,
    MNISTDataModule,
    ReutersDataModule,
    TableDataModule,
    TextDataModule,
)
from dlp.modules import (
    ConvNetModule,
    DenseModule,
    PretrainedModule,
    SupervisedModule,
    XceptionModule,
)

#: Imported: jsonargparse finds a class by its name alone once it is.
SHORT_NAMES = (
    *(CatsVsDogsDataModule, HousingDataModule, ImageFolderDataModule, IMDBDataModule),
    *(MNISTDataModule, ReutersDataModule, TableDataModule, TextDataModule),
    *(ConvNetModule, DenseModule, PretrainedModule, SupervisedModule, XceptionModule),
    *(CacheFeatures, MistakesReport, Unfreeze),
)
