"""Command ``calibrate``: the temperature of a classifier's probabilities."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from dlp.callbacks.checkpoints import AtomicCheckpointIO
from dlp.commands.trainer import restore, test
from dlp.console import say
from dlp.datamodules.base import Part
from dlp.errors import InputError
from dlp.evaluation.mistakes import class_mistakes, label_mistakes
from dlp.lightning_cli.configs import import_named_modules
from dlp.lightning_cli.recipe import Recipe
from dlp.modules.heads import Head
from dlp.modules.serialization import build
from dlp.modules.weights import read_file
from dlp.runs.folder import Run, checkpoint_of

#: Part -> its logits and targets.
Parts = dict[str, tuple[Tensor, Tensor]]


def calibrate(run: str) -> pd.DataFrame:
    """Fit the temperature by which the logits of a classifier are divided; a second call refits.

    It minimises the negative log likelihood of the validation part, or of the out-of-fold
    predictions of ``crossval --keep true``, and is written into the checkpoints. Predicted
    classes do not change. The scores before and after are printed and stand in ``results.json``.

    Args:
        run: Name of a config with a run, folder of a run, or checkpoint.
    """
    folds = sorted(Path(run).glob("checkpoints/fold_*.ckpt"))
    paths = folds or [checkpoint_of(run)]
    record = Run(paths[0].parents[1])
    import_named_modules(record.config)
    checkpoints = [read_file(path, "state_dict", "use") for path in paths]
    entry = checkpoints[0]["use"]["head"]
    head: Head = build(entry, "head")
    if head.task is None:
        raise InputError(f"calibrate is for classifiers; {run} predicts values.")
    if head.threshold != 0.5:
        raise InputError(
            f"calibrate takes a classifier with threshold: 0.5; that of {run} has "
            f"{head.threshold:g}. Calibrate first, then choose the threshold."
        )
    names = entry["names"]
    if folds:
        parts = {"out of fold": _out_of_fold(Path(run), head, names)}
    else:
        parts = _validation_and_test(run)
    rows = _fit(head, names, parts)
    table = pd.DataFrame(rows)
    temperature = rows[-1]["temperature"]
    say(table.to_string(index=False, float_format="{:.4g}".format))
    for path, checkpoint in zip(paths, checkpoints, strict=True):
        checkpoint["state_dict"]["head.temperature"] = torch.tensor(temperature)
        checkpoint["use"]["head"]["temperature"] = temperature
        AtomicCheckpointIO().save_checkpoint(checkpoint, path)
    record.add_results(calibration=rows)
    say(f"wrote temperature {temperature:.4g} into {', '.join(map(str, paths))}")
    if (record.folder / "reliability.png").exists():
        test(Recipe("test", ["--ckpt_path", str(paths[0])], test))
    return table


def _fit(
    head: Head,
    names: list[str],
    parts: Parts,
) -> list[dict[str, Any]]:
    """Return the scores of each part before and after: with temperature 1 and the fitted one."""

    def scores(
        part: str,
        temperature: float,
    ) -> dict[str, Any]:
        logits, targets = parts[part]
        head.temperature = torch.tensor(temperature)
        targets = head.prepare(targets)
        truth = head.metric_targets(targets)
        analyse = label_mistakes if head.task == "multilabel" else class_mistakes
        mistakes = analyse(head.predict(logits).numpy(), truth.numpy(), names)
        return {
            "part": part,
            "rows": len(targets),
            "temperature": temperature,
            "nll": float(head.loss(logits, targets)),
            "ece": mistakes.report["calibration"]["error"],
        }

    first = next(iter(parts))
    fit = minimize_scalar(lambda log: scores(first, np.exp(log))["nll"], bounds=(-3, 5))
    temperature = float(np.exp(fit.x))
    return [scores(part, value) for part in parts for value in (1.0, temperature)]


@torch.no_grad()
def _validation_and_test(run: str) -> Parts:
    """Return the logits and targets of a run's parts; of the test part only if there is one."""
    _, data, module = restore(run, "test")
    labelled: list[Part] = ["val"]
    if data.has("test"):
        labelled.append("test")
    parts: Parts = {}
    for part in labelled:
        loader: Any = data.loader(part)
        logits = [module(inputs) for inputs, _ in loader]
        parts[part] = (torch.cat(logits), loader.targets)
    return parts


def _out_of_fold(
    folder: Path,
    head: Head,
    names: list[str],
) -> tuple[Tensor, Tensor]:
    """Return the logits and targets of ``out_of_fold.csv``."""
    frame = pd.read_csv(folder / "out_of_fold.csv", dtype={"target": str}, keep_default_na=False)
    columns = [f"prob_{name}" for name in names]
    probabilities = torch.tensor(frame[columns].to_numpy())
    if head.task == "multilabel":
        labels = frame["target"].str.get_dummies(";").reindex(columns=names, fill_value=0)
        return probabilities.logit(1e-7), torch.tensor(labels.to_numpy())
    logits = probabilities.clamp_min(1e-12).log()
    if head.task == "binary":
        logits = logits.diff(dim=1)
    classes = pd.Categorical(frame["target"], names).codes
    return logits, torch.tensor(classes)
