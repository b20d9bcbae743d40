"""Command ``export``: a model in one ONNX file, the reader that runs it, and its card."""

import json
import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dlp.console import say
from dlp.errors import InputError, extra
from dlp.inference import reader
from dlp.inference.card import card
from dlp.inference.predictor import Predictor
from dlp.modules.weights import read_file
from dlp.runs.folder import checkpoint_of, run_of
from dlp.runs.restoring import restore_data

if TYPE_CHECKING:
    from dlp.datamodules.base import Part

_MAX_ROWS, _LIMIT = 500, 1e-5


def export(run: str, folder: Path | None = None) -> Path:
    """Write a model that runs without torch, and compare it with its checkpoint on real rows.

    Args:
        run: Folder of a run, name of a config (its newest run), or checkpoint in a run.
        folder: Folder to write; None is ``exported`` in the folder of the run.
    """
    from dlp.lightning_cli.recipe import load

    checkpoint = checkpoint_of(run)
    if (home := run_of(checkpoint)) is None:
        raise InputError(f"{checkpoint} is not in the folder of a run, whose data it is tried on.")
    folder = folder or home.folder / "exported"
    if folder.exists() and any(folder.iterdir()) and not (folder / "model.onnx").is_file():
        raise InputError(f"{folder} holds other files than an export; give a new folder.")
    trained, data = Predictor.load(checkpoint), load(str(home.config)).data()
    restore_data(data, read_file(checkpoint), checkpoint)
    parts: list[Part] = ["test", "val", "train"]
    part = next(part for part in parts if data.has(part))
    examples = data.examples(part)
    rows = examples.take(np.arange(min(_MAX_ROWS, len(examples)))).inputs.raw()
    entry = {"inputs": trained.inputs, "head": trained.head, "card": trained.card}
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent, prefix=".export") as name:
        path = Path(name) / "model.onnx"
        with extra("export"):
            _write(trained.modules[0], trained.models[0].read(rows[:1]), entry, path)
        inputs: Any = data.inputs(part)[torch.arange(len(rows))]  # by the encoder, not the reader
        with torch.no_grad():
            served = trained.modules[0]
            expected = served.head.predict(served.network(inputs)).numpy()
        unit = np.abs(expected).max(axis=0) if trained.head["prediction"] == "values" else 1
        error = float((np.abs(Predictor.load(path).scores(rows) - expected) / unit).max())
        difference = f"{error:.1e} on {len(rows)} rows of the {part} part"
        if not error <= _LIMIT:  # NaN too
            raise InputError(f"the export differs from {checkpoint} by {difference}; use that.")
        text = card(entry, home, checkpoint.name, difference)
        path.with_name("README.md").write_text(text, encoding="utf-8")
        path.with_name("predict.py").write_bytes(Path(reader.__file__).read_bytes())
        folder.mkdir(exist_ok=True)
        for file in Path(name).iterdir():
            file.replace(folder / file.name)
    say(f"largest difference from {checkpoint}: {difference}")
    say(f"wrote {folder}: README.md, model.onnx, predict.py")
    return folder


def _write(network: torch.nn.Module, arrays: Any, entry: dict[str, Any], path: Path) -> None:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    example = tuple(torch.from_numpy(array.repeat(2, axis=0)) for array in arrays)
    shapes = (tuple({0: torch.export.Dim.DYNAMIC} for _ in example),)
    program = torch.onnx.export(network, example, dynamo=True, dynamic_shapes=shapes, verbose=False)
    assert program is not None
    program.model.metadata_props["dlp"] = json.dumps(entry, ensure_ascii=False)
    program.save(path, external_data=False)
