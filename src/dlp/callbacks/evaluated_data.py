"""Whose rows a Trainer has evaluated or predicted."""

from typing import Literal

from lightning import Trainer

from dlp.datamodules.base import SupervisedDataModule
from dlp.datamodules.loader import BatchLoader


def evaluated_part(trainer: Trainer) -> Literal["test", "val"]:
    """Return which part a Trainer evaluates."""
    return "val" if trainer.state.fn == "validate" else "test"


def loader_of(trainer: Trainer, part: Literal["test", "val", "predict"]) -> object:
    """Return what a Trainer takes the batches of a part from."""
    return getattr(trainer, f"{part}_dataloaders")


def data_of(
    trainer: Trainer, part: Literal["test", "val", "predict"]
) -> SupervisedDataModule | None:
    """Return the DataModule whose part is at hand; None for the rows of another loader.

    A Trainer keeps the DataModule of its last fit, also where loaders are given to it after that.
    """
    data: object = getattr(trainer, "datamodule", None)
    loader = loader_of(trainer, part)
    if not isinstance(data, SupervisedDataModule) or not isinstance(loader, BatchLoader):
        return None
    return data if loader.inputs is data.inputs(part) else None
