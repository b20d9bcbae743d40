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
from dlp.runs import find_checkpoint, run_of, runs_of
from dlp.use import predictor, reader, served
from dlp.use.card import card

if TYPE_CHECKING:
    from dlp.datamodules.base import Part, SupervisedDataModule

_MAX_ROWS, _LIMIT = 500, 1e-5


def export(run: str, folder: Path | None = None) -> Path:
    """Write a model that runs without torch, and compare it with its checkpoint on real rows.

    Args:
        run: Folder of a run, name of a config (its newest run), or checkpoint.
        folder: Folder to write; None is ``exported`` in the folder of the run.
    """
    from dlp.lightning_cli import load

    if folds := sorted(Path(run).glob("checkpoints/fold_*.ckpt")):
        raise InputError(f"{run} has {len(folds)} models; export one, such as {folds[0]}.")
    checkpoint = find_checkpoint(None if runs_of(run) else run, run)
    if (home := run_of(checkpoint)) is None:
        raise InputError(f"{checkpoint} is not in the folder of a run, whose data it is tried on.")
    folder = folder or home.folder / "exported"
    if folder.exists() and any(folder.iterdir()) and not (folder / "model.onnx").is_file():
        raise InputError(f"{folder} holds other files than an export; give a new folder.")
    entry, network = served.load(checkpoint)
    if entry["inputs"].get("features"):
        raise InputError(f"{checkpoint} was trained with features, code that no file can hold.")
    data = load(str(home.config)).data()
    parts: list[Part] = ["test", "val", "train"]
    part = next(part for part in parts if data.has(part))
    arrays = _arrays(data, part, reader.Model(entry, network.run).read)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent, prefix=".export") as name:
        path = Path(name) / "model.onnx"
        with extra("export"):
            _write(entry, network, arrays, path)
            scores = reader.load(path).run(arrays)
        expected = network.run(arrays)
        unit = np.abs(expected).max(axis=0) if entry["head"]["prediction"] == "values" else 1
        difference = float(np.max(np.abs(scores - expected) / unit))
        rows = f"{len(expected):,} rows of the {part} part"
        if not difference <= _LIMIT:
            raise InputError(
                f"on {rows} the export differs from {checkpoint} by {difference:.1e}, more than "
                f"{_LIMIT:g}; use the checkpoint."
            )
        text = card(entry, home, checkpoint.name, f"{difference:.1e} on {rows}")
        path.with_name("README.md").write_text(text, encoding="utf-8")
        path.with_name("predict.py").write_bytes(Path(reader.__file__).read_bytes())
        folder.mkdir(exist_ok=True)
        for file in Path(name).iterdir():
            file.replace(folder / file.name)
    say(f"largest difference from {checkpoint}: {difference:.1e} on {rows}")
    say(f"wrote {folder}: README.md, model.onnx, predict.py")
    return folder


def _arrays(data: "SupervisedDataModule", part: "Part", read: Any) -> Any:
    """Return the first rows of a part as a reader makes them."""
    inputs = data.examples(part).take(np.arange(min(_MAX_ROWS, len(data.examples(part))))).inputs
    if hasattr(inputs, "pixels"):
        return [inputs.pixels[inputs.rows]]
    if hasattr(inputs, "raw"):
        return read(inputs.raw())
    return read(predictor._records(inputs) if hasattr(inputs, "columns") else inputs)


def _write(entry: dict[str, Any], network: served.Served, arrays: Any, path: Path) -> None:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    example = tuple(torch.from_numpy(array[:1].repeat(2, axis=0)) for array in arrays)
    shapes = (tuple({0: torch.export.Dim.DYNAMIC} for _ in example),)
    program = torch.onnx.export(network, example, dynamo=True, dynamic_shapes=shapes, verbose=False)
    assert program is not None
    content = {name: entry[name] for name in ("inputs", "head", "card")}
    program.model.metadata_props["dlp"] = json.dumps(content, ensure_ascii=False)
    program.save(path, external_data=False)
