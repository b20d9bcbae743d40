"""DataModules: what knows data. Each yields ``(inputs, targets)`` batches of the same splits."""

from dlp.lazy import lazy_exports

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "ArrayDataModule": "arrays",
        "BatchLoader": "batches",
        "BatchOrder": "batches",
        "Examples": "base",
        "HousingDataModule": "housing",
        "IMDBDataModule": "imdb",
        "MNISTDataModule": "mnist",
        "Parts": "splits",
        "ReutersDataModule": "reuters",
        "Split": "splits",
        "SupervisedDataModule": "base",
        "TableDataModule": "table",
        "TargetEncoder": "targets",
        "TextDataModule": "text",
    },
)
