"""Command ``export``: a model in one ONNX file, the reader that runs it, and its card."""

import inspect
import json
import logging
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dlp import reader
from dlp.console import say
from dlp.errors import InputError, extra
from dlp.inference.card import card
from dlp.inference.predictor import Predictor
from dlp.modules.weights import read_file
from dlp.runs.folder import checkpoint_of, run_of
from dlp.runs.restoring import check_same_rows, restore_data

if TYPE_CHECKING:
    from dlp.datamodules.base import Part

_MAX_ROWS = 500
_LIMIT = 1e-5


def export(run: str, folder: Path | None = None) -> Path:
    """Write a model that runs without torch, and compare it with its checkpoint on real rows.

    Args:
        run: Folder of a run, name of a config (its newest run), or checkpoint in a run.
        folder: Folder to write; None is ``exported`` in the folder of the run.
    """
    from dlp.lightning_cli.recipe import load

    checkpoint = checkpoint_of(run)
    home = run_of(checkpoint)
    if home is None:
        raise InputError(f"{checkpoint} is not in the folder of a run, whose data it is tried on.")
    if folder is None:
        folder = home.folder / "exported"
    if folder.exists() and any(folder.iterdir()) and not (folder / "model.onnx").is_file():
        raise InputError(f"{folder} holds other files than an export; give a new folder.")
    data = load(str(home.config)).data()  # it imports the classes that the config names
    restore_data(data, read_file(checkpoint), checkpoint)
    check_same_rows(data, checkpoint)
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
        folder.mkdir(exist_ok=True)
        files = sorted(Path(name).iterdir())
        for file in files:
            file.replace(folder / file.name)
    say(f"largest difference from {checkpoint}: {difference}")
    say(f"wrote {folder}: {', '.join(file.name for file in files)}")
    return folder


def _write_model(
    trained: Predictor,
    data: Any,
    path: Path,
) -> str:
    """Write the ONNX file; return its largest difference from the checkpoint on some rows."""
    parts: list[Part] = ["test", "val", "train"]
    part = next(part for part in parts if data.has(part))
    examples = data.examples(part)
    numbers = np.arange(min(_MAX_ROWS, len(examples)))
    rows = examples.take(numbers).inputs.raw()
    served = trained.modules[0]
    arrays = trained.models[0].read(rows[:1])
    entry = {
        "inputs": trained.inputs,
        "head": trained.head,
        "card": trained.card,
    }
    with extra("export"):
        _write_onnx(served, arrays, entry, path)
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


def _write_onnx(
    network: torch.nn.Module,
    arrays: Any,
    entry: dict[str, Any],
    path: Path,
) -> None:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    example = tuple(torch.from_numpy(array.repeat(2, axis=0)) for array in arrays)
    shape = {0: torch.export.Dim.DYNAMIC}
    program = torch.onnx.export(
        network,
        example,
        dynamo=True,
        dynamic_shapes=((shape,) * len(example),),
        verbose=False,
    )
    assert program is not None
    program.model.metadata_props["dlp"] = json.dumps(entry, ensure_ascii=False)
    program.save(path, external_data=False)
