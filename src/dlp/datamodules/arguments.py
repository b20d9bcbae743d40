"""Keyword arguments that DataModules pass on to their base class."""

from typing import TypedDict

from dlp.datamodules.splits import Size


class SplitArguments(TypedDict, total=False):
    """Keyword arguments of `SupervisedDataModule`, documented there, that rarely change."""

    train_size: Size
    stratify: bool
    num_folds: int | None
    fold: int
    repeat: int
    drop_duplicates: bool


class DataArguments(SplitArguments, total=False):
    """Keyword arguments that DataModules for custom data pass on without other defaults."""

    batch_size: int
    val_size: Size
    test_size: Size
    split_seed: int | None
