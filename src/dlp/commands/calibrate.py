"""Command ``calibrate``: how sure predictions are, by rows that were not trained on."""

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from jsonargparse.typing import OpenUnitInterval
from scipy.optimize import minimize_scalar

from dlp.callbacks.mistakes import write_mistakes
from dlp.console import say
from dlp.datamodules.base import Part, SupervisedDataModule
from dlp.datamodules.rows import Array
from dlp.errors import InputError, naming, reading
from dlp.evaluation.intervals import class_quantiles, conformal_quantile
from dlp.evaluation.mistakes import class_mistakes, label_mistakes
from dlp.files import atomic_path
from dlp.modules.serialization import spec_in
from dlp.modules.weights import read_file
from dlp.reader.answer import Answer
from dlp.reader.transforms import transformed
from dlp.runs.folder import Run, checkpoints_of
from dlp.runs.restoring import out_of_fold_outputs, restore

#: Part -> its probabilities (N, C) or values (N, T), and its targets.
PartScores = dict[str, tuple[Array, Array]]

_TINY = 1e-38  # the smallest probability in single precision


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
    checkpoints = [read_file(path, "state_dict", "spec") for path in paths]
    with reading(paths[0], "a checkpoint"):
        saved = spec_in(checkpoints[0]).answer
    if saved.threshold != 0.5:
        raise InputError(
            f"calibrate takes a classifier with threshold: 0.5; that of {run} has "
            f"{saved.threshold:g}. Calibrate first, then choose the threshold."
        )
    answer = Answer(saved.task, saved.names, transform=saved.transform)
    data = None
    if len(paths) > 1:
        outputs = out_of_fold_outputs(record.folder)[2]
        scores = outputs["values" if answer.task is None else "probabilities"]
        parts = {"out of fold": (scores.astype(np.float64), _truth(answer, outputs["targets"]))}
    else:
        data, parts = _validation_and_test(run, answer)
    for scores, _ in parts.values():
        with naming("calibrate"):
            answer.doubt(scores)  # NaN is no number to learn from
    if answer.task is not None:
        table = _fit(answer, parts)
        answer = replace(answer, temperature=float(table["temperature"].iloc[-1]))
    if answer.task != "multilabel":
        quantiles = _quantiles(answer, parts, coverage)
        answer = replace(answer, coverage=float(coverage), quantiles=quantiles)
    if answer.task is None:
        if {"low", "high"} & set(answer.names):
            raise InputError("low and high are the ends of intervals; rename the target.")
        table = pd.DataFrame({"target": answer.names, "half_width": quantiles})
        table["scale"] = answer.transform
    say(table.to_string(index=False, float_format="{:.4g}".format))
    for path, checkpoint in zip(paths, checkpoints, strict=True):
        checkpoint["spec"]["answer"] = asdict(answer)
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            torch.save(checkpoint, file)
    record.add_results(
        calibration=table.to_dict("records"),
        temperature=answer.temperature,
        coverage=answer.coverage,
        quantiles=answer.quantiles,
    )
    say(f"wrote the calibration into {', '.join(map(str, paths))}")
    if data is not None and (record.folder / "reliability.png").exists():
        scores, targets = parts["test"]
        outputs = {
            "rows": np.arange(len(targets)),
            "targets": targets,
            "probabilities": answer.calibrate(scores),
        }
        write_mistakes(record.folder, data, "test", outputs, answer.threshold)
    return table


def _fit(answer: Answer, parts: PartScores) -> pd.DataFrame:
    """Return the scores of each part before and after: with temperature 1 and the fitted one."""

    def likelihood(part: str, temperature: float) -> float:
        """Return the mean negative log likelihood of a part."""
        scores, targets = parts[part]
        probabilities = replace(answer, temperature=temperature).calibrate(scores)
        if targets.ndim == 2:
            chosen = np.where(targets > 0.5, probabilities, 1 - probabilities)
        else:
            chosen = probabilities[np.arange(len(targets)), targets]
        return float(-np.log(np.maximum(chosen, _TINY)).mean())

    first = next(iter(parts))
    fit = minimize_scalar(lambda log: likelihood(first, np.exp(log)), bounds=(-3, 5))
    rows = []
    for part, (scores, targets) in parts.items():
        for temperature in (1.0, float(np.exp(fit.x))):
            probabilities = replace(answer, temperature=temperature).calibrate(scores)
            analyse = label_mistakes if answer.task == "multilabel" else class_mistakes
            mistakes = analyse(probabilities, targets, answer.names)
            row = {
                "part": part,
                "rows": len(targets),
                "temperature": temperature,
                "nll": likelihood(part, temperature),
                "ece": mistakes.report["calibration"]["error"],
            }
            rows.append(row)
    return pd.DataFrame(rows)


def _quantiles(answer: Answer, parts: PartScores, coverage: float) -> list[float]:
    """Return the half-width of each target's interval, or the least probability per class."""
    scores, targets = next(iter(parts.values()))
    if answer.task is None:
        values = transformed(scores, answer.transform)
        truth = transformed(targets, answer.transform)
        residuals = abs(values - truth.reshape(values.shape))
        quantiles = [conformal_quantile(column, coverage) for column in residuals.T]
        if np.inf in quantiles:
            raise InputError(
                f"{len(targets)} rows are too few for --coverage {coverage:g}; give at most "
                f"{len(targets)}/{len(targets) + 1}, or a larger val_size."
            )
        return quantiles
    quantiles = class_quantiles(answer.calibrate(scores), targets, coverage)
    pairs = zip(answer.names, quantiles, strict=True)
    rare = [name for name, quantile in pairs if quantile == 0]
    if rare:
        say(f"too few rows, always in the set: {', '.join(rare)}")
    return quantiles


@torch.no_grad()
def _validation_and_test(run: str, answer: Answer) -> tuple[SupervisedDataModule, PartScores]:
    """Return the data of a run and its scores; of the test part only if there is one."""
    _, data, module = restore(run)
    if not data.has("val"):
        raise InputError(
            f"{run} has no validation part to calibrate by; take a run with val_size, or one of "
            "crossval --keep true."
        )
    head: Any = module.head
    parts = {}
    evaluation: tuple[Part, ...] = ("val", "test")
    for part in evaluation:
        if data.has(part):
            loader: Any = data.loader(part)
            scores = torch.cat([head.predict(module(inputs)) for inputs, _ in loader])
            parts[str(part)] = (scores.double().numpy(), _truth(answer, loader.targets.numpy()))
    return data, parts


def _truth(answer: Answer, targets: Array) -> Array:
    """Return encoded targets with the number of the class where a row has one."""
    if answer.task not in ("binary", "multiclass"):
        return targets
    if targets.ndim == 2:
        targets = targets.argmax(axis=1)
    return targets.round().astype(np.int64)
