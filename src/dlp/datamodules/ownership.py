"""Data of the project: what a command or a Trainer was given, and whose rows it served."""

from lightning import LightningDataModule, Trainer

from dlp.datamodules.base import Part, SupervisedDataModule
from dlp.datamodules.batches import BatchLoader
from dlp.errors import InputError


def supervised_data(data: LightningDataModule) -> SupervisedDataModule:
    """Return data of the project; refuse others."""
    if isinstance(data, SupervisedDataModule):
        return data
    raise InputError(
        f"this command takes data of a SupervisedDataModule, not of {type(data).__name__}; fit, "
        "validate, test and predict take any LightningDataModule."
    )


def data_of(trainer: Trainer) -> SupervisedDataModule | None:
    """Return the data of a Trainer if it is of the project."""
    data = getattr(trainer, "datamodule", None)
    return data if isinstance(data, SupervisedDataModule) else None


def data_serving(trainer: Trainer, part: Part) -> SupervisedDataModule | None:
    """Return the data of a Trainer if it is of the project and served the rows of a part itself.

    A subclass may override ``test_dataloader``, for example. The batches may then have other rows,
    or the same rows in another order, so that nothing but their number in the order of the batches
    is known of them.
    """
    loader = getattr(trainer, f"{part}_dataloaders")
    is_own = isinstance(loader, BatchLoader) and loader.part == part
    return data_of(trainer) if is_own else None
