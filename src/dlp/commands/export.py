"""Command ``export``: write a model as an ONNX file, with the code that runs it and a README."""

import json
import os
import shutil
import warnings
from dataclasses import asdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dlp import reader
from dlp.console import say
from dlp.errors import InputError, extra
from dlp.files import move, write_text
from dlp.inference.card import card, write_example
from dlp.inference.encoder_source import write_encoder
from dlp.inference.predictor import Predictor
from dlp.inference.trained import TrainedModel
from dlp.modules.checkpoint import Checkpoint
from dlp.modules.supervised import SupervisedModule
from dlp.recipes.restoring import restored, trained_model
from dlp.runs.exports import source_of
from dlp.runs.folder import Run

_MAX_ROWS = 500
_LIMIT = 1e-5
_PREDICT = '''"""Predict rows with model.onnx; without arguments it explains how."""

from reader.__main__ import run

run()
'''


def export(run: str, folder: Path | None = None) -> Path:
    """Export a model to files that run without torch.

    The command reads a checkpoint and writes a folder. The folder contains the model in the ONNX
    format, the code that encodes rows, and a README with an example of how to predict. The command
    also compares the predictions of the exported model with the predictions of the checkpoint on up
    to 500 rows of the data, and fails if they differ. Try the result with ``dlp serve FOLDER``.

    Args:
        run: Folder of a run, name of a config (its newest run), or checkpoint in a run.
        folder: Folder to write. None means ``exported`` in the folder of the run.
    """
    home = Run.find(run)
    checkpoint = home.model()
    content = Checkpoint(checkpoint)
    # The model of a fold was not trained on the rows that the split of the config selects.
    restored_run = restored(home, content, check_rows=not home.has("folds"))
    data = restored_run.data
    trained = trained_model(content, restored_run)
    if folder is None:
        folder = home.folder / "exported"
    is_export = any((folder / name).exists() for name in ("model.onnx", "reader/spec.py"))
    if any(folder.glob("*")) and not is_export:
        raise InputError(
            f"{folder} contains files that do not belong to an export. Give a new folder."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent, prefix=".export") as name:
        new = Path(name) / "exported"
        new.mkdir()
        write_encoder(data.encoder, new)
        difference = _write_model(trained, data, source_of(checkpoint), new / "model.onnx")
        first_row = next(iter(data.labelled_parts().values())).take(np.arange(1)).inputs.raw()[0]
        example = write_example(new, trained, first_row)
        text = card(trained, home, checkpoint.name, difference, example)
        write_text(new / "README.md", text)
        write_text(new / "predict.py", _PREDICT)
        package = Path(reader.__file__).parent
        caches = shutil.ignore_patterns("__pycache__")
        shutil.copytree(package, new / "reader", ignore=caches)
        _put(new, folder)
    say(f"largest difference from {checkpoint}: {difference}")
    say(f"wrote {folder}: {', '.join(sorted(file.name for file in folder.iterdir()))}")
    return folder


def _put(new: Path, folder: Path) -> None:
    """Move a new export to its folder. If there is an older export, its other files are kept."""
    if not folder.exists():
        new.replace(folder)  # in one step, so that no incomplete export can remain
        return
    # While the folder contains files from two exports, it has no model file, so that nobody uses
    # it. If the command is interrupted, the next export writes all files again.
    (folder / "model.onnx").unlink(missing_ok=True)
    others = shutil.ignore_patterns("model.onnx", "reader")
    replacing = partial(shutil.copytree, copy_function=os.replace, dirs_exist_ok=True)
    replacing(new / "reader", folder / "reader")
    replacing(new, folder, ignore=others)
    move(new / "model.onnx", folder / "model.onnx")


class ExportedNetwork(nn.Module):
    """Module that maps encoded rows to predictions.

    Args:
        module: Trained module. A subclass may override ``forward`` or ``predictions``.
    """

    def __init__(self, module: SupervisedModule) -> None:
        super().__init__()
        self.module = module

    def forward(self, inputs: Tensor) -> Tensor:
        """Return probabilities (N, C) or values (N, T)."""
        return self.module.predictions(inputs)[self.module.head.prediction]


def _write_model(trained: TrainedModel, data: Any, source: dict[str, str], path: Path) -> str:
    """Write the ONNX file; return how far its predictions differ from the checkpoint's predictions.

    Raises:
        InputError: If they differ by more than 1e-5.
    """
    part, examples = list(data.labelled_parts().items())[-1]
    numbers = np.arange(min(_MAX_ROWS, len(examples)))
    rows = examples.take(numbers).inputs.raw()
    served = ExportedNetwork(trained.module).eval()
    example = torch.zeros(2, *data.input_shape)  # torch would take a batch size of 1 as fixed
    with extra("export"):
        program: Any = torch.onnx.export(
            served,
            (example,),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
            verbose=False,
        )
    for node in program.model.graph:
        node.metadata_props.clear()  # paths of this machine
    program.model.metadata_props["dlp"] = json.dumps(asdict(trained.spec), ensure_ascii=False)
    program.model.metadata_props["dlp_checkpoint"] = json.dumps(source)
    program.save(path, external_data=False)
    inputs = data.inputs(part)[torch.from_numpy(numbers)]  # encoded by the DataModule
    with torch.no_grad():
        expected = trained.module.predictions(inputs)[trained.module.head.prediction].numpy()
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # printed before
        scores = Predictor.load(path).scores(rows)
    errors = np.abs(scores - expected)
    if trained.spec.answer.task is None:
        errors = errors / np.maximum(np.abs(expected).max(axis=0), 1e-12)
    difference = f"{errors.max():.1e} on {len(rows)} rows of the {part} part"
    if not errors.max() <= _LIMIT:  # also true for NaN
        raise InputError(
            f"the predictions of the export and of the checkpoint differ by {difference}. Predict "
            "with the checkpoint instead."
        )
    return difference
