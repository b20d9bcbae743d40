"""Command ``calibrate``: how sure predictions are, by rows that were not trained on."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jsonargparse.typing import OpenUnitInterval
from scipy.optimize import minimize_scalar
from torch import Tensor

from dlp.commands.crossval import out_of_fold_outputs
from dlp.commands.trainer import restore, test
from dlp.console import say
from dlp.datamodules.base import Part
from dlp.errors import InputError, reading
from dlp.evaluation.intervals import class_quantiles, conformal_quantile
from dlp.evaluation.mistakes import class_mistakes, label_mistakes
from dlp.files import atomic_path
from dlp.lightning_cli.configs import import_named_modules
from dlp.lightning_cli.recipe import Recipe
from dlp.modules.heads import Head
from dlp.modules.serialization import build
from dlp.modules.weights import read_file
from dlp.reader import scale_of
from dlp.runs.folder import Run, checkpoints_of

#: Part -> its logits, or its predictions of values, and its targets.
PartOutputs = dict[str, tuple[Tensor, Tensor]]


def calibrate(run: str, coverage: OpenUnitInterval = 0.9) -> pd.DataFrame:
    """Learn how sure predictions are, from rows that were not trained on; a second call relearns.

    The rows are the validation part, or the out-of-fold predictions of ``crossval --keep true``.
    The logits of a classifier are divided by the temperature that minimises their negative log
    likelihood; predicted classes do not change. By split conformal prediction each value gets an
    interval, and each row of one class a set of classes. All is written into the checkpoints and,
    with the scores that are printed, into ``results.json``.

    Args:
        run: Name of a config with a run, folder of a run (of folds too), or checkpoint.
        coverage: Share of rows whose interval or set has the truth.
    """
    paths = checkpoints_of(run)
    record = Run(paths[0].absolute().parents[1])
    import_named_modules(record.config)
    checkpoints = [read_file(path, "state_dict", "use") for path in paths]
    with reading(paths[0], "a checkpoint"):
        entry = checkpoints[0]["use"]["head"]
        head: Head = build(entry, "head")
        names = entry["names"]
    if head.threshold != 0.5:
        raise InputError(
            f"calibrate takes a classifier with threshold: 0.5; that of {run} has "
            f"{head.threshold:g}. Calibrate first, then choose the threshold."
        )
    if len(paths) > 1:
        parts = {"out of fold": _out_of_fold(record.folder, head)}
    else:
        parts = _validation_and_test(run)
    if not all(outputs.isfinite().all() for outputs, _ in parts.values()):
        raise InputError(f"{run} predicts NaN or infinity; train it with a smaller learning rate.")
    learned = {}
    rows = []
    if head.task is not None:
        rows = _fit(head, names, parts)
        learned["temperature"] = rows[-1]["temperature"]
    if head.task != "multilabel":
        learned["coverage"] = float(coverage)
        learned["quantiles"] = _quantiles(head, names, parts, coverage)
    if head.task is None:
        if {"low", "high"} & set(names):
            raise InputError("low and high are the ends of intervals; rename the target.")
        scale = head.arguments.get("target_transform", "none")
        for name, half_width in zip(names, learned["quantiles"], strict=True):
            rows.append({"target": name, "half_width": half_width, "scale": scale})
    table = pd.DataFrame(rows)
    say(table.to_string(index=False, float_format="{:.4g}".format))
    for path, checkpoint in zip(paths, checkpoints, strict=True):
        if head.task is not None:
            checkpoint["state_dict"]["head.temperature"] = torch.tensor(learned["temperature"])
        checkpoint["use"]["head"].update(learned)
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            torch.save(checkpoint, file)
    record.add_results(calibration=rows, **learned)
    say(f"wrote {', '.join(learned)} into {', '.join(map(str, paths))}")
    if len(paths) == 1 and (record.folder / "reliability.png").exists():
        test(Recipe("test", ["--ckpt_path", str(paths[0])], test))
    return table


def _fit(
    head: Head,
    names: list[str],
    parts: PartOutputs,
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


def _quantiles(head: Head, names: list[str], parts: PartOutputs, coverage: float) -> list[float]:
    """Return the half-width of each target's interval, or the least probability per class."""
    outputs, targets = next(iter(parts.values()))
    if head.task is None:
        forward, _ = scale_of(head.arguments)
        values = forward(outputs.numpy())
        residuals = abs(values - forward(targets.numpy()).reshape(values.shape))
        quantiles = [conformal_quantile(column, coverage) for column in residuals.T]
        if np.inf in quantiles:
            raise InputError(
                f"{len(targets)} rows are too few for --coverage {coverage:g}; give at most "
                f"{len(targets)}/{len(targets) + 1}, or a larger val_size."
            )
        return quantiles
    classes = head.metric_targets(head.prepare(targets))
    quantiles = class_quantiles(head.predict(outputs).numpy(), classes.numpy(), coverage)
    rare = [name for name, quantile in zip(names, quantiles, strict=True) if quantile == 0]
    if rare:
        say(f"too few rows, always in the set: {', '.join(rare)}")
    return quantiles


@torch.no_grad()
def _validation_and_test(run: str) -> PartOutputs:
    """Return the content of a run's parts; of the test part only if there is one."""
    _, data, module = restore(run, "test")
    if not data.has("val"):
        raise InputError(
            f"{run} has no validation part to calibrate by; take a run with val_size, or one of "
            "crossval --keep true."
        )
    head: Any = module.head
    labelled: list[Part] = ["val"]
    if data.has("test"):
        labelled.append("test")
    parts: PartOutputs = {}
    for part in labelled:
        loader: Any = data.loader(part)
        outputs = torch.cat([module(inputs) for inputs, _ in loader])
        if head.task is None:
            outputs = head.predict(outputs)
        parts[part] = (outputs, loader.targets)
    return parts


def _out_of_fold(folder: Path, head: Head) -> tuple[Tensor, Tensor]:
    """Return the logits or values, and the targets, of the rows out of fold."""
    _, _, outputs = out_of_fold_outputs(folder)
    targets = torch.tensor(outputs["targets"])
    if head.task is None:
        return torch.tensor(outputs["values"]), targets
    probabilities = torch.tensor(outputs["probabilities"])
    if head.task == "multilabel":
        return probabilities.logit(1e-7), targets
    logits = probabilities.clamp_min(1e-12).log()
    if head.task == "binary":
        logits = logits.diff(dim=1)
    return logits, targets
