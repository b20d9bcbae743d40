"""DataModules: what knows data. Each yields ``(inputs, targets)`` batches of the same splits."""

from dlp.lazy import lazy_exports

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "ArrayDataModule": "arrays",
        "BatchLoader": "loader",
        "BatchOrder": "loader",
        "CatsVsDogsDataModule": "images.cats_dogs",
        "Examples": "base",
        "HousingDataModule": "tables.housing",
        "IMDBDataModule": "text.imdb",
        "ImageFolderDataModule": "images.own_images",
        "MNISTDataModule": "images.mnist",
        "Parts": "splitting.splits",
        "RandomAffine": "images.augmentation",
        "ReutersDataModule": "text.reuters",
        "Split": "splitting.splits",
        "SupervisedDataModule": "base",
        "TableDataModule": "tables.own_tables",
        "TargetEncoder": "targets",
        "TextDataModule": "text.own_texts",
    },
)
