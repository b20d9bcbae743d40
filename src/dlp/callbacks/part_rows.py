"""Whose rows a Trainer has tested or predicted, and what their classes are called."""

from collections.abc import Sequence
from typing import Literal

from lightning import LightningModule, Trainer

from dlp.datamodules.base import SupervisedDataModule
from dlp.datamodules.loader import BatchLoader


def evaluated_part(trainer: Trainer) -> Literal["test", "val"]:
    """Return which part a Trainer evaluates."""
    return "val" if trainer.state.fn == "validate" else "test"


def data_of(
    trainer: Trainer, part: Literal["test", "val", "predict"]
) -> SupervisedDataModule | None:
    """Return the DataModule whose part is at hand; None for the rows of another loader.

    A Trainer keeps the DataModule of its last fit, also where loaders are given to it after that.
    """
    data: object = getattr(trainer, "datamodule", None)
    loaders = {"test": "test_dataloaders", "val": "val_dataloaders"}
    loader = getattr(trainer, loaders.get(part, "predict_dataloaders"))
    if not isinstance(data, SupervisedDataModule) or not isinstance(loader, BatchLoader):
        return None
    return data if loader.inputs is data.inputs(part) else None


def names_of(
    kind: Literal["class_names", "target_names"], count: int, *owners: object
) -> list[str] | None:
    """Return the names of `count` classes, labels or targets by the first owner that has them.

    Args:
        kind: The attribute.
        count: How many there must be: those of other data are no names of these.
        owners: Such as the model and the Trainer's DataModule.
    """
    for owner in owners:
        names: Sequence[str] | None = getattr(owner, kind, None)
        if names is not None and len(names) == count:
            return list(names)
    return None


def decision_rule(model: LightningModule, is_multilabel: bool) -> tuple[float | None, bool]:
    """Return the threshold of a model's decisions, and whether a row may have several labels.

    Args:
        model: One with a head knows; of any other the likeliest class, or labels above 0.5.
        is_multilabel: What the data says, for such a model.
    """
    head = getattr(model, "head", None)
    labels = getattr(head, "labels", None)
    if labels is None:
        return None, is_multilabel
    return getattr(head, "threshold", None), bool(labels)
