"""Checkpoints read for data and model: to resume, to evaluate, or to start from other weights."""

from pathlib import Path

from lightning import LightningDataModule, LightningModule

from dlp.datamodules.base import SupervisedDataModule
from dlp.datamodules.parts import rows_fingerprint
from dlp.errors import InputError
from dlp.modules.supervised import SupervisedModule
from dlp.modules.weights import read_file


def restore_data(data: LightningDataModule, path: Path) -> None:
    """Load the data's state, by which new rows are encoded; refuse that of another class."""
    state = read_file(path, "state_dict", "epoch").get(type(data).__qualname__)
    if state is not None:
        data.load_state_dict(state)
    elif isinstance(data, SupervisedDataModule):
        raise InputError(
            f"{path} was trained on other data than {type(data).__name__}. Give the data class of "
            "its run."
        )


def check_same_rows(data: LightningDataModule, path: Path) -> None:
    """Refuse training and validation rows that are not those of the checkpoint."""
    if not isinstance(data, SupervisedDataModule):
        return
    if rows_fingerprint(data.labelled_parts(), data.targets) != data.fit()["rows"]:
        raise InputError(
            f"{path} was trained on other rows than these: the file or its split has changed. "
            "Train anew by dlp fit, or predict the rows by --data.predict_path."
        )


def start_from(model: LightningModule, path: Path) -> None:
    """Load the weights of another run with the same kind of network."""
    state = read_file(path, "state_dict")["state_dict"]
    if isinstance(model, SupervisedModule):
        state |= model.head.state_dict(prefix="head.")  # mean and deviation of these targets
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(
            f"{path} has another network than this config; init_from takes a run with the same "
            "networks."
        ) from error
