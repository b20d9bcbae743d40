"""Whose rows a Trainer has evaluated or predicted."""

from typing import Literal

from lightning import Trainer

from dlp.datamodules.base import SupervisedDataModule
from dlp.datamodules.loader import BatchLoader


def loader_and_data(
    trainer: Trainer, part: Literal["test", "val", "predict"]
) -> tuple[BatchLoader | None, SupervisedDataModule | None]:
    """Return what gives a Trainer the batches of a part, if it is ours, and their DataModule.

    A Trainer keeps the DataModule of its last fit, also where loaders are given to it after that:
    of these there is none.
    """
    loader: object = getattr(trainer, f"{part}_dataloaders")
    data: object = getattr(trainer, "datamodule", None)
    if not isinstance(loader, BatchLoader):
        return None, None
    if isinstance(data, SupervisedDataModule) and loader.inputs is data.inputs(part):
        return loader, data
    return loader, None
