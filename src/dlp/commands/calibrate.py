"""Command ``calibrate``: the temperature of a classifier's probabilities."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from dlp.callbacks.checkpoints import AtomicCheckpointIO
from dlp.commands.subjects import restore
from dlp.console import say
from dlp.errors import InputError
from dlp.evaluation.mistakes import class_mistakes, label_mistakes
from dlp.lightning_cli import DlpCLI
from dlp.modules.heads import Head
from dlp.restoring import check_same_rows, read_checkpoint
from dlp.runs import Run, find_checkpoint, runs_of
from dlp.use.entry import build

#: Logits (N, L) and targets of some rows.
Rows = tuple[Tensor, Tensor]


def calibrate(run: str) -> pd.DataFrame:
    """Fit the temperature by which the logits of a classifier are divided; a second call refits.

    It minimises the negative log likelihood of the validation part, or of the out-of-fold
    predictions of a cross-validation with ``--keep``, and is written into the checkpoints. Their
    classes stay. Before and after are printed and stand in ``results.json``.

    Args:
        run: Name of a config with a run, folder of a run, or checkpoint.
    """
    folder = (runs_of(run) or [Run(Path(run))])[0].folder
    folds = sorted(folder.glob("checkpoints/fold_*.ckpt"))
    paths = folds or [find_checkpoint(None if runs_of(run) else run, run)]
    contents = {path: read_checkpoint(path) for path in paths}
    entry = contents[paths[0]]["use"]["head"]
    head: Head = build(entry, "head")
    if head.task is None or head.threshold != 0.5:
        raise InputError(
            "calibrate takes the probabilities of classes with threshold: 0.5, not "
            f"{type(head).__name__}(threshold={head.threshold:g}). Calibrate first, then choose it."
        )
    parts = _out_of_fold(folder, head, entry["names"]) if folds else _parts(run)
    logits, targets = next(iter(parts.values()))
    fit = minimize_scalar(
        lambda log: _loss(head, logits / float(np.exp(log)), targets), bounds=(-3, 5)
    )
    temperature = float(np.exp(fit.x))
    table = pd.DataFrame(
        {"rows": part, "count": len(rows[1]), **_scores(head, *rows, each, entry["names"])}
        for part, rows in parts.items()
        for each in (1.0, temperature)
    )
    say(table.to_string(index=False, float_format="{:.4g}".format))
    for path, content in contents.items():
        content["state_dict"]["head.temperature"] = torch.tensor(temperature)
        content["use"]["head"]["temperature"] = temperature
        AtomicCheckpointIO().save_checkpoint(content, path)
    record = Run(paths[0].parents[1])
    record.write_results(**record.results() | {"calibration": table.to_dict("records")})
    say(f"wrote temperature {temperature:.4g} into {', '.join(map(str, paths))}")
    if (record.folder / "reliability.png").exists():
        DlpCLI("test", ["--ckpt_path", str(paths[0])])
    return table


def _parts(run: str) -> dict[str, Rows]:
    """Return the rows of the validation part and, if there is one, of the test part."""
    record, data, module = restore(run)
    check_same_rows(data, record.folder)
    with torch.no_grad():
        parts = {
            part: [(module(inputs), targets) for inputs, targets in data.loader(part)]
            for part in ("val", "test")
            if part == "val" or data.has(part)
        }
    return {
        part: tuple(map(torch.cat, zip(*batches, strict=True))) for part, batches in parts.items()
    }


def _out_of_fold(folder: Path, head: Head, names: list[str]) -> dict[str, Rows]:
    """Return the rows of ``out_of_fold.csv``."""
    frame = pd.read_csv(folder / "out_of_fold.csv", dtype={"target": str}, keep_default_na=False)
    probabilities = torch.tensor(frame[[f"prob_{name}" for name in names]].to_numpy())
    targets = np.array([[name in text.split(";") for name in names] for text in frame["target"]])
    if head.task == "multilabel":
        return {"out-of-fold": (probabilities.logit(1e-7), torch.tensor(targets))}
    logits = probabilities.clamp_min(1e-12).log()
    if head.task == "binary":
        logits = logits.diff(dim=1)
    return {"out-of-fold": (logits, torch.tensor(targets.argmax(1)))}


def _loss(head: Head, logits: Tensor, targets: Tensor) -> float:
    """Return the negative log likelihood, whatever loss the model was trained with."""
    loss = next(iter(head.losses.values()))
    return float(loss(logits.double(), head.prepare(targets)))


def _scores(
    head: Head, logits: Tensor, targets: Tensor, temperature: float, names: list[str]
) -> dict[str, Any]:
    """Return loss and expected calibration error at a temperature."""
    probabilities = head.predict(logits / temperature).numpy()
    analyse = label_mistakes if head.task == "multilabel" else class_mistakes
    truth = head.metric_targets(head.prepare(targets)).numpy()
    report = analyse(probabilities, truth, names).report
    loss = _loss(head, logits / temperature, targets)
    return {"temperature": temperature, "nll": loss, "ece": report["calibration"]["error"]}
