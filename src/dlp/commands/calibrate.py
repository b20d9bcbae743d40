"""Command ``calibrate``: calibrate a model on rows that it was not trained on."""

import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jsonargparse.typing import OpenUnitInterval
from torch import Tensor

from dlp.console import command_text, say
from dlp.datamodules.base import SupervisedDataModule
from dlp.datamodules.rows import Array
from dlp.errors import InputError, naming
from dlp.evaluation.intervals import class_quantiles, half_widths
from dlp.evaluation.mistakes import best_threshold, calibration
from dlp.evaluation.temperature import best_temperature, log_loss
from dlp.files import atomic_path
from dlp.modules.checkpoint import Checkpoint
from dlp.modules.heads import Head
from dlp.modules.supervised import SupervisedModule
from dlp.reader.answer import Answer
from dlp.reader.transforms import transformed, untransformed
from dlp.recipes.restoring import load_trained, out_of_fold_outputs, restored, trained_model
from dlp.runs.folder import Run

#: Name of a part -> its logits (or predicted values) and its targets.
PartOutputs = dict[str, tuple[Tensor, Tensor]]


def calibrate(
    run: str, coverage: OpenUnitInterval = 0.9, threshold: OpenUnitInterval | None = None
) -> pd.DataFrame:
    """Calibrate a model on rows that it was not trained on.

    After the calibration, predicted probabilities agree better with the frequencies of the classes.
    In addition, each predicted value gets an interval, or each predicted class gets a set of
    possible classes, which contains the truth as often as `coverage` says. The command reads a
    checkpoint and rows that the model was not trained on: the validation part of a fit, or the
    out-of-fold predictions of ``crossval --keep true``. Running the command again replaces the
    calibration.

    The logits of a classifier are divided by the temperature that minimises their negative log
    likelihood. This does not change the class that is predicted at the threshold 0.5. Intervals and
    sets are computed by split conformal prediction. Rows with several labels get no sets. With two
    classes, the command also proposes the threshold with the best balanced accuracy.

    The command writes the calibration to the checkpoints, and the printed table to
    ``results.json``. The test scores in that file are not updated. Run ``dlp test`` next, which
    computes them with the calibrated model.

    Args:
        run: Name of a config with a run, folder of a run or of a cross-validation, or checkpoint.
        coverage: Fraction of the rows whose interval or set should contain the true value or class.
        threshold: With two classes, the probability above which class 1 is predicted in tests,
            predictions, exports and on the page of ``dlp serve``. None keeps the threshold that was
            used in training.
    """
    record = Run.find(run)
    paths = record.models()
    checkpoint = Checkpoint(paths[0])
    spec = checkpoint.spec
    if threshold is not None and spec.answer.task != "binary":
        raise InputError(
            f"--threshold: expected a model with head: sigmoid and two classes, got {run}. Leave "
            "out --threshold."
        )
    if len(paths) > 1:
        head = load_trained(record, checkpoint).module.head
        parts = {"out of fold": _out_of_fold(record, head)}
    else:
        restored_run = restored(record, checkpoint)
        module = trained_model(checkpoint, restored_run).module
        head = module.head
        parts = _validation_and_test(checkpoint, restored_run.data, module)
    start = replace(
        spec.answer,
        threshold=float(threshold or spec.threshold),
        temperature=1.0,
        coverage=None,
        quantiles=None,
    )
    answer, table = _learn(start, head, parts, coverage)
    say(table.to_string(index=False, float_format="{:.4g}".format))
    _write(record, answer, table, [checkpoint, *paths[1:]])
    say(f"wrote the calibration into {', '.join(map(str, paths))}")
    if answer.task == "binary":
        best = _say_thresholds(answer, head, parts)
        if threshold is None and best != answer.threshold:
            words = ["calibrate", run, "--threshold", f"{best:.6g}"]
            if coverage != 0.9:
                words += ["--coverage", f"{coverage:g}"]
            _say_next(*words)
    if "test" in parts and answer.task is not None:  # the calibration changes the mistakes
        _say_next("test", "--ckpt_path", str(paths[0]))
    _say_next("report", os.path.relpath(record.folder))
    if len(paths) == 1:
        _say_next("export", str(paths[0]))
    return table


def _learn(
    answer: Answer, head: Head, parts: PartOutputs, coverage: float
) -> tuple[Answer, pd.DataFrame]:
    """Fit the temperature and the quantiles to the first part; return the answer and a table."""
    scores, targets = next(iter(parts.values()))
    with naming("calibrate"):
        answer.doubt(scores.numpy())  # raises an error for NaN
    if answer.task is not None:
        table = _fit(head, parts)
        answer = replace(answer, temperature=float(table["temperature"].iloc[-1]))
        scores = head.predict(scores / answer.temperature)
    if answer.task != "multilabel":
        quantiles = _quantiles(answer, scores.numpy(), targets.numpy(), coverage)
        answer = replace(answer, coverage=float(coverage), quantiles=quantiles)
    if answer.task is None:
        values = np.transpose([curve[0] for curve in quantiles])
        table = pd.DataFrame(answer.prediction_columns(untransformed(values, answer.transform)))
        if len(table.columns) < 3 * len(answer.output_names):
            raise InputError(
                "low and high are the columns with the ends of an interval. Rename the target."
            )
    return answer, table


def _write(
    record: Run, answer: Answer, table: pd.DataFrame, checkpoints: Sequence[Checkpoint | Path]
) -> None:
    """Write an answer to the results and checkpoints of a run. One fold is in memory at a time."""
    for each in checkpoints:
        checkpoint = each if isinstance(each, Checkpoint) else Checkpoint(each)
        checkpoint.content["spec"]["answer"] = asdict(answer)
        with atomic_path(checkpoint.path) as temporary, temporary.open("wb") as file:
            torch.save(checkpoint.content, file)
    record.add_results(
        calibration=table.to_dict("records"),
        temperature=answer.temperature,
        threshold=answer.threshold,
        coverage=answer.coverage,
        quantiles=answer.quantiles,
    )


def _fit(head: Head, parts: PartOutputs) -> pd.DataFrame:
    """Return the scores of each part before (temperature 1) and after the calibration."""
    best = best_temperature(*next(iter(parts.values())))
    rows = []
    for part, (logits, targets) in parts.items():
        for stage, temperature in (("before", 1.0), ("after", best)):
            probabilities = head.predict(logits / temperature).numpy()
            rows.append(
                {
                    "part": part,
                    "calibration": stage,
                    "rows": len(targets),
                    "temperature": temperature,
                    "nll": log_loss(logits, targets, temperature),
                    "ece": calibration(probabilities, targets.numpy())["error"],
                }
            )
    return pd.DataFrame(rows)


def _say_thresholds(answer: Answer, head: Head, parts: PartOutputs) -> float:
    """Print what the current threshold finds, and what the best threshold finds.

    The best threshold is the one with the best balanced accuracy.

    Returns:
        The best threshold, or the current one if both find the same rows or if all rows have the
        same class.
    """
    part, (logits, targets) = next(iter(parts.items()))
    truth = targets.numpy()
    if len(np.unique(truth)) < 2:
        return answer.threshold
    probabilities = head.predict(logits / answer.temperature)[:, 1].numpy()
    other, name = answer.output_names
    best = best_threshold(probabilities, truth)
    if ((probabilities > best) == (probabilities > answer.threshold)).all():
        best = answer.threshold
    for threshold in dict.fromkeys((answer.threshold, best)):
        false, true = [(probabilities[truth == number] > threshold).mean() for number in (0, 1)]
        say(
            f"{part}: threshold {threshold:.3g} finds {true:.0%} of the {truth.sum()} rows "
            f"“{name}”, and mistakes {false:.0%} of the rows “{other}” for “{name}”"
        )
    return best


def _say_next(*words: str) -> None:
    """Print a command that the user may run next."""
    say(f"next: dlp {command_text(*words)}")


def _quantiles(answer: Answer, scores: Array, truth: Array, coverage: float) -> list[Any]:
    """Return the `half_widths` of each target, or the `class_quantiles`."""
    if answer.task is not None:
        return class_quantiles(scores, truth, coverage)
    values = transformed(scores, answer.transform)
    truth = transformed(truth, answer.transform).reshape(values.shape)
    curves = [half_widths(*columns, coverage) for columns in zip(values.T, truth.T, strict=True)]
    if np.isinf(curves).any():
        raise InputError(
            f"{len(truth)} rows are too few for --coverage {coverage:g}. Give at most "
            f"{len(truth)}/{len(truth) + 1}, or train with a larger val_size."
        )
    return curves


@torch.no_grad()
def _validation_and_test(
    checkpoint: Checkpoint, data: SupervisedDataModule, module: SupervisedModule
) -> PartOutputs:
    """Return the outputs for the validation part, and for the test part if there is one."""
    head = module.head
    if not data.has("val"):
        raise InputError(
            f"{checkpoint.path} has no validation part on which it could be calibrated. Give a run "
            "that was trained with val_size, or a run of crossval --keep true."
        )
    parts = {}
    for part in ("val", "test"):
        if data.has(part):
            batches = [(module(inputs), targets) for inputs, targets in data.loader(part)]
            outputs, targets = map(torch.cat, zip(*batches, strict=True))
            if head.task is None:
                outputs = head.predict(outputs)  # in the unit of the targets
            parts[part] = (outputs, head.metric_targets(targets))
    return parts


def _out_of_fold(record: Run, head: Head) -> tuple[Tensor, Tensor]:
    """Return the out-of-fold logits or values, and the targets of these rows."""
    _, predictions = out_of_fold_outputs(record.folder)
    kind = "values" if head.task is None else "logits"
    if kind not in predictions.outputs:
        raise InputError(
            f"{record.folder}: expected folds with {kind}, got {type(head).__name__}, whose "
            "probabilities are not the sigmoid or softmax of logits. Calibrate a run of dlp fit."
        )
    scores = torch.tensor(predictions.outputs[kind])
    targets = torch.tensor(predictions.outputs["targets"])
    return scores, head.metric_targets(targets)
