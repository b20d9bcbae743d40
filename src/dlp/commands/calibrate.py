"""Command ``calibrate``: the temperature of a classifier's probabilities."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.optimize import minimize_scalar

from dlp.callbacks.checkpoints import AtomicCheckpointIO
from dlp.commands.subjects import restore
from dlp.console import say
from dlp.errors import InputError
from dlp.evaluation.mistakes import class_mistakes, label_mistakes
from dlp.lightning_cli.dlp_cli import DlpCLI
from dlp.modules.heads import Head
from dlp.modules.serialization import build
from dlp.modules.weights import read_file
from dlp.runs.folder import Run, checkpoint_of
from dlp.runs.restoring import check_same_rows


def calibrate(run: str) -> pd.DataFrame:
    """Fit the temperature by which the logits of a classifier are divided; a second call refits.

    It minimises the negative log likelihood of the validation part, or of the out-of-fold
    predictions of ``crossval --keep true``, and is written into the checkpoints. Their classes
    stay. Before and after are printed and stand in ``results.json``.

    Args:
        run: Name of a config with a run, folder of a run, or checkpoint.
    """
    folder = Path(run)
    folds = sorted(folder.glob("checkpoints/fold_*.ckpt"))
    paths = folds or [checkpoint_of(run)]
    contents = {path: read_file(path, "state_dict", "use") for path in paths}
    entry = contents[paths[0]]["use"]["head"]
    head: Head = build(entry, "head")
    if head.task is None or head.threshold != 0.5:
        raise InputError(
            f"calibrate takes probabilities of a head with threshold: 0.5; {run} has a "
            f"{type(head).__name__} with {head.threshold:g}. Calibrate first, then choose it."
        )
    parts = _out_of_fold(folder, head, entry["names"]) if folds else _parts(run)

    def scores(temperature: float, part: str) -> dict[str, Any]:
        logits, targets = parts[part]
        targets, loss = head.prepare(targets), next(iter(head.losses.values()))
        head.temperature = torch.tensor(temperature)
        analyse = label_mistakes if head.task == "multilabel" else class_mistakes
        truth, probabilities = head.metric_targets(targets).numpy(), head.predict(logits).numpy()
        error = analyse(probabilities, truth, entry["names"]).report["calibration"]["error"]
        nll, rows = float(loss(head.calibrated(logits), targets)), len(targets)
        return {"part": part, "rows": rows, "temperature": temperature, "nll": nll, "ece": error}

    first = next(iter(parts))
    fit = minimize_scalar(lambda log: scores(np.exp(log), first)["nll"], bounds=(-3, 5))
    temperature = float(np.exp(fit.x))
    table = pd.DataFrame(scores(each, part) for part in parts for each in (1.0, temperature))
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


@torch.no_grad()
def _parts(run: str) -> dict[str, Any]:
    """Return logits and targets of the validation part and, if there is one, of the test part."""
    record, data, module = restore(run)
    check_same_rows(data, record.folder)
    loaders = [("val", data.val_dataloader())]
    loaders += [("test", data.test_dataloader())] if data.has("test") else []
    batches = {part: [(module(inputs), y) for inputs, y in loader] for part, loader in loaders}
    return {part: [*map(torch.cat, zip(*pairs, strict=True))] for part, pairs in batches.items()}


def _out_of_fold(folder: Path, head: Head, names: list[str]) -> dict[str, Any]:
    """Return logits and targets of ``out_of_fold.csv``."""
    frame = pd.read_csv(folder / "out_of_fold.csv", dtype={"target": str}, keep_default_na=False)
    is_multilabel = head.task == "multilabel"
    probabilities = torch.tensor(frame[[f"prob_{name}" for name in names]].to_numpy())
    labels = frame["target"].map(lambda text: text.split(";") if is_multilabel else [text])
    targets = torch.tensor([[name in row for name in names] for row in labels])
    if is_multilabel:
        return {"out of fold": (probabilities.logit(1e-7), targets)}
    logits = probabilities.clamp_min(1e-12).log()
    logits = logits.diff(dim=1) if head.task == "binary" else logits
    return {"out of fold": (logits, targets.int().argmax(1))}
