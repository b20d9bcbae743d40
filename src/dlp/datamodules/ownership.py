"""Check whether data is a `SupervisedDataModule`, and whether it served the rows itself."""

from lightning import LightningDataModule, Trainer

from dlp.datamodules.base import Part, SupervisedDataModule
from dlp.datamodules.batches import BatchLoader
from dlp.errors import InputError


def supervised_data(data: LightningDataModule) -> SupervisedDataModule:
    """Return the data if it is a `SupervisedDataModule`.

    Raises:
        InputError: If it is another LightningDataModule.
    """
    if isinstance(data, SupervisedDataModule):
        return data
    raise InputError(
        f"data: expected a SupervisedDataModule for this command, got {type(data).__name__}. Only "
        "fit, validate, test and predict accept any LightningDataModule."
    )


def data_of(trainer: Trainer) -> SupervisedDataModule | None:
    """Return the data of a Trainer if it is a `SupervisedDataModule`, otherwise None."""
    data = getattr(trainer, "datamodule", None)
    return data if isinstance(data, SupervisedDataModule) else None


def data_serving(trainer: Trainer, part: Part) -> SupervisedDataModule | None:
    """Return the data of a Trainer if it served the rows of a part itself, otherwise None.

    A subclass may override ``test_dataloader``, for example. Its batches may contain other rows, or
    rows in another order. The rows can then only be identified by their position in the batches.
    """
    loader = getattr(trainer, f"{part}_dataloaders")
    is_own = isinstance(loader, BatchLoader) and loader.part == part
    return data_of(trainer) if is_own else None
