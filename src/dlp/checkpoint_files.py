"""What a checkpoint of the project holds, read without building anything."""

import os
from typing import Any

import torch
from lightning import LightningModule

from dlp.datamodules.base import SupervisedDataModule
from dlp.errors import InputError
from dlp.modules import SupervisedModule


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the content of a checkpoint.

    Raises:
        InputError: It is damaged, or no checkpoint of Lightning.
    """
    try:
        read: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if not {"state_dict", "pytorch-lightning_version"} <= read.keys():
            raise KeyError("state_dict")
    except Exception as error:
        raise InputError(
            f"{path} cannot be read as a checkpoint ({type(error).__name__}): it is damaged, "
            "or no checkpoint of this project."
        ) from error
    return read


def data_states(checkpoint: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the name of the DataModule -> what it had learned, of a checkpoint's run."""
    return {
        name: value
        for name, value in checkpoint.items()
        if isinstance(value, dict) and {"inputs", "targets", "input_shape"} <= value.keys()
    }


def start_from(model: LightningModule, data: SupervisedDataModule, path: str) -> None:
    """Give `model` the weights of a checkpoint, of a run that knows the same classes.

    Raises:
        InputError: The model is none of the project's, the checkpoint belongs to another model,
            or its run had other classes.
    """
    if not isinstance(model, SupervisedModule):
        raise InputError(
            f"init_from goes with the project's modules; {type(model).__name__} is none."
        )
    for state in data_states(read_checkpoint(path)).values():
        known = state["targets"]["class_names"]
        if known and known != data.class_names:
            raise InputError(
                f"init_from: {path} was trained on the classes {', '.join(known)}; the data has "
                f"{', '.join(data.class_names or ['none'])}."
            )
    model.load_weights(path)
