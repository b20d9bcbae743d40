"""DataModules: what knows data. Each yields ``(inputs, targets)`` batches of the same splits."""

from dlp.lazy import lazy_exports

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "ArrayDataModule": "arrays",
        "BatchLoader": "batches",
        "BatchOrder": "batches",
        "CatsVsDogsDataModule": "cats_dogs",
        "Examples": "base",
        "HousingDataModule": "housing",
        "IMDBDataModule": "imdb",
        "ImageFolderDataModule": "images",
        "MNISTDataModule": "mnist",
        "Parts": "splits",
        "RandomAffine": "augmentation",
        "ReutersDataModule": "reuters",
        "Split": "splits",
        "SupervisedDataModule": "base",
        "TableDataModule": "table",
        "TargetEncoder": "targets",
        "TextDataModule": "text",
    },
)
