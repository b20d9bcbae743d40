"""Keyword arguments that DataModules pass on."""

from typing import TypedDict

from dlp.datamodules.splits import Size


class SplitArguments(TypedDict, total=False):
    """Keyword arguments of `SupervisedDataModule` that rarely change; it describes them."""

    train_size: Size
    stratify: bool
    num_folds: int | None
    fold: int
    repeat: int
    drop_duplicates: bool


class DataArguments(SplitArguments, total=False):
    """Keyword arguments of `SupervisedDataModule` whose defaults most sets of one's own share."""

    batch_size: int
    val_size: Size
    test_size: Size
    split_seed: int | None
