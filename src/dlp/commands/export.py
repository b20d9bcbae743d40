"""Command ``export``: a model in one ONNX file, the reader that runs it, and its card."""

import inspect
import json
import logging
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from dlp import reader
from dlp.commands.trainer import test
from dlp.console import say
from dlp.errors import InputError, extra
from dlp.files import move
from dlp.inference.card import card
from dlp.inference.predictor import Predictor
from dlp.lightning_cli.recipe import Recipe
from dlp.runs.folder import checkpoint_of, run_of

_MAX_ROWS = 500
_LIMIT = 1e-5


def export(run: str, folder: Path | None = None) -> Path:
    """Write a model that runs without torch, and compare it with its checkpoint on real rows.

    Args:
        run: Folder of a run, name of a config (its newest run), or checkpoint in a run.
        folder: Folder to write; None is ``exported`` in the folder of the run.
    """
    checkpoint = checkpoint_of(run)
    home = run_of(checkpoint)
    if home is None:
        raise InputError(f"{checkpoint} is not in the folder of a run, whose data it is tried on.")
    if folder is None:
        folder = home.folder / "exported"
    if folder.exists() and any(folder.iterdir()) and not (folder / "model.onnx").is_file():
        raise InputError(f"{folder} holds other files than an export; give a new folder.")
    data = Recipe("test", ["--ckpt_path", str(checkpoint)], test).data()
    trained = Predictor.load(checkpoint)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent, prefix=".export") as name:
        path = Path(name) / "model.onnx"
        difference = _write_model(trained, data, path)
        text = card(trained.models[0], home, checkpoint.name, difference)
        path.with_name("README.md").write_text(text, encoding="utf-8")
        shutil.copyfile(reader.__file__, path.with_name("predict.py"))
        reader_class: Any = data.encoder.reader
        source = Path(inspect.getfile(reader_class))
        if source != Path(reader.__file__):
            shutil.copyfile(source, path.with_name(source.name))
        # The model first: a folder without one is taken for another's.
        files = sorted(Path(name).iterdir(), key=lambda file: file.suffix != ".onnx")
        folder.mkdir(exist_ok=True)
        for file in files:
            move(file, folder / file.name)
    say(f"largest difference from {checkpoint}: {difference}")
    say(f"wrote {folder}: {', '.join(file.name for file in files)}")
    return folder


def _write_model(
    trained: Predictor,
    data: Any,
    path: Path,
) -> str:
    """Write the ONNX file; return its largest difference from the checkpoint on some rows."""
    part, examples = list(data.labelled_parts().items())[-1]
    numbers = np.arange(min(_MAX_ROWS, len(examples)))
    rows = examples.take(numbers).inputs.raw()
    served = trained.modules[0]
    arrays = trained.models[0].read(rows[:1])
    entry = {
        "inputs": trained.inputs,
        "head": trained.head,
        "card": trained.card,
    }
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    example = tuple(torch.from_numpy(array.repeat(2, axis=0)) for array in arrays)
    shape = {0: torch.export.Dim.DYNAMIC}
    with extra("export"):
        program: Any = torch.onnx.export(
            served,
            example,
            dynamo=True,
            dynamic_shapes=((shape,) * len(example),),
            verbose=False,
        )
    for node in program.model.graph:
        node.metadata_props.clear()  # paths of this machine
    program.model.metadata_props["dlp"] = json.dumps(entry, ensure_ascii=False)
    program.save(path, external_data=False)
    inputs = data.inputs(part)[torch.from_numpy(numbers)]  # by the encoder, not the reader
    with torch.no_grad():
        logits = served.network(inputs)
        expected = served.head.predict(logits).numpy()
    scores = Predictor.load(path).scores(rows)
    errors = np.abs(scores - expected)
    if trained.head["prediction"] == "values":
        errors = errors / np.abs(expected).max(axis=0)
    difference = f"{errors.max():.1e} on {len(rows)} rows of the {part} part"
    if not errors.max() <= _LIMIT:  # NaN too
        raise InputError(f"the export differs from the checkpoint by {difference}; use that.")
    return difference
