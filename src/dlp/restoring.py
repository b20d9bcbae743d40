"""Checkpoints read for data and model: to resume, to evaluate, or to start from other weights."""

from pathlib import Path
from typing import Any

import torch
from lightning import LightningDataModule, LightningModule

from dlp.datamodules.base import SupervisedDataModule
from dlp.errors import InputError

#: Arguments that give equal weights another meaning.
_MEANING = ("backbone", "scaling", "pool", "activation")


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return the content of a Lightning checkpoint; refuse other files."""
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        content["state_dict"], content["epoch"]
    except Exception as error:  # torch raises many kinds
        reason = " ".join(repr(error).split())[:120]
        raise InputError(
            f"{path} is damaged or not a checkpoint of Lightning ({reason}). Give another "
            "--ckpt_path."
        ) from error
    return content


def restore_data(data: LightningDataModule, content: dict[str, Any], path: Path) -> None:
    """Load the data's state, by which new rows are encoded; refuse that of another class."""
    state = content.get(type(data).__qualname__)
    if state is not None:
        data.load_state_dict(state)
    elif isinstance(data, SupervisedDataModule):
        raise InputError(
            f"{path} was trained on other data than {type(data).__name__}. Give the data class of "
            "its run."
        )


def check_rows(data: LightningDataModule, path: Path) -> None:
    """Refuse training and validation rows that are not those of the checkpoint."""
    if isinstance(data, SupervisedDataModule) and data.rows_fingerprint != data.fit()["rows"]:
        raise InputError(
            f"{path} was trained on other rows than these: the file or its split has changed. "
            "Train anew by dlp fit, or predict the rows by --data.predict_path."
        )


def start_from(model: LightningModule, data: LightningDataModule, path: Path) -> None:
    """Load the weights of another run with the same classes and the same kind of network."""
    content = read_checkpoint(path)
    arguments = content.get("hyper_parameters", {})
    for name in _MEANING:
        value = model.hparams.get(name)
        if value != arguments.get(name, value):
            raise InputError(
                f"init_from: {path} has {name}: {arguments[name]}, and this model has {name}: "
                f"{value}, which gives the weights another meaning. Give --model.{name} "
                f"{arguments[name]}."
            )
    state = content.get(type(data).__qualname__)
    if state is not None and isinstance(data, SupervisedDataModule):
        classes = state["targets"].get("class_names")
        if classes and classes != data.class_names:
            raise InputError(
                f"init_from: {path} was trained on the classes {', '.join(classes)}; these data "
                f"have {', '.join(data.class_names or ['none'])}."
            )
    try:
        model.load_state_dict(content["state_dict"])
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"init_from: {path} belongs to another network: {reason}") from error
