"""Start a fit from the weights of another run."""

import copy
from pathlib import Path

from lightning import LightningDataModule, LightningModule

from dlp.datamodules import SupervisedDataModule
from dlp.errors import InputError, loading_weights
from dlp.hyperparameters import class_path
from dlp.modules import SupervisedModule
from dlp.modules.serialization import spec_in
from dlp.modules.weights import read_file
from dlp.reader.encoder import AnyEncoder
from dlp.reader.spec import Component


def start_from(path: Path, model: LightningModule, data: LightningDataModule) -> None:
    """Load the weights of a checkpoint into a new model.

    The new model's head keeps the mean and deviation of its own targets.

    Args:
        path: Checkpoint of another fit.
        model: Model with the same layers.
        data: Fitted data of the model. The columns of the encoded rows must have the same names in
            the same order as in the other fit. Their means and deviations may differ.

    Raises:
        InputError: If the layers or the columns differ.
    """
    content = read_file(path, "state_dict")
    if "spec" in content and isinstance(data, SupervisedDataModule):
        _check_columns(path, spec_in(content).encoder, data.encoder)
    weights = content["state_dict"]
    if isinstance(model, SupervisedModule):
        weights |= model.head.state_dict(prefix="head.")
    with loading_weights(path):
        model.load_state_dict(weights)


def _check_columns(path: Path, trained: Component, encoder: AnyEncoder) -> None:
    """Refuse weights that belong to different columns, because they are worse than random ones."""
    if trained.class_path != class_path(encoder):
        return
    source = copy.deepcopy(encoder)
    source.load_state(trained.state)
    pairs = zip(source.column_names, encoder.column_names, strict=False)
    for number, (expected, own) in enumerate(pairs):
        if expected != own:
            raise InputError(
                f"init_from: expected data whose encoded rows have the columns of {path}, got "
                f"{own!r} instead of {expected!r} as column {number}. The weights belong to other "
                "words, categories or columns. Train from new weights with --init_from null, or "
                "give the data of that run, with the same training rows."
            )
