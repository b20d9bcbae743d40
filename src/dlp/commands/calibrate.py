"""Command ``calibrate``: how sure predictions are, by rows that were not trained on."""

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from jsonargparse.typing import OpenUnitInterval
from scipy.optimize import minimize_scalar
from torch import Tensor

from dlp.console import say
from dlp.datamodules.base import Part
from dlp.errors import InputError, naming, reading
from dlp.evaluation.intervals import class_quantiles, conformal_quantile
from dlp.evaluation.mistakes import calibration
from dlp.evaluation.threshold import best_threshold
from dlp.files import atomic_path
from dlp.modules.heads import Head
from dlp.modules.losses import bce
from dlp.modules.serialization import build, spec_in
from dlp.modules.weights import read_file
from dlp.reader.answer import Answer
from dlp.reader.transforms import transformed
from dlp.runs.folder import Run, checkpoints_of
from dlp.runs.restoring import out_of_fold_outputs, restore

#: Part -> its logits, or its predictions of values, and its targets.
PartOutputs = dict[str, tuple[Tensor, Tensor]]


def calibrate(
    run: str, coverage: OpenUnitInterval = 0.9, threshold: OpenUnitInterval | None = None
) -> pd.DataFrame:
    """Learn how sure predictions are, from rows that were not trained on; a second call relearns.

    The rows are the validation part, or the out-of-fold predictions of ``crossval --keep true``.
    The logits of a classifier are divided by the temperature that minimises their negative log
    likelihood; predicted classes do not change. By split conformal prediction each value gets an
    interval, and each row of one class a set of classes. Of two classes the threshold with the best
    balanced accuracy is printed. All is written into the checkpoints and, with the scores that are
    printed, into ``results.json``.

    Args:
        run: Name of a config with a run, folder of a run (of folds too), or checkpoint.
        coverage: Share of rows whose interval or set has the truth.
        threshold: Probability above which a row is of class 1 of two; None is 0.5.
    """
    paths = checkpoints_of(run)
    record = Run(paths[0].absolute().parents[1])
    checkpoints = [read_file(path, "state_dict") for path in paths]
    with reading(paths[0], "a checkpoint"):
        spec = spec_in(checkpoints[0])
        head: Head = build(spec.head, "head")
    if head.threshold != 0.5:
        raise InputError(
            f"calibrate takes a classifier that was trained with threshold: 0.5; that of {run} has "
            f"{head.threshold:g}. Give calibrate --threshold instead."
        )
    answer = Answer(spec.answer.task, spec.answer.names, transform=spec.answer.transform)
    if len(paths) > 1:
        parts = {"out of fold": _out_of_fold(record, head)}
    else:
        parts = _validation_and_test(run, head)
    for logits, _ in parts.values():
        with naming("calibrate"):
            answer.doubt(logits.numpy())  # nothing is learned from NaN
    if answer.task is not None:
        table = _fit(head, answer, parts)
        answer = replace(answer, temperature=float(table["temperature"].iloc[-1]))
    if answer.task == "binary":
        _propose_threshold(head, answer, parts)
        answer = replace(answer, threshold=float(threshold or 0.5))
    elif threshold is not None:
        raise InputError(f"--threshold is for two classes; {run} has none or others.")
    if answer.task != "multilabel":
        quantiles = _quantiles(head, answer, parts, coverage)
        answer = replace(answer, coverage=float(coverage), quantiles=quantiles)
    if answer.task is None:
        ends = set(answer.doubt(np.ones((1, len(answer.names))))) & set(answer.names)
        if ends:
            raise InputError(f"{min(ends)} is the end of an interval; rename the target.")
        columns = {"target": answer.names, "half_width": quantiles, "scale": answer.transform}
        table = pd.DataFrame(columns)
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
    return table


def _fit(head: Head, answer: Answer, parts: PartOutputs) -> pd.DataFrame:
    """Return the scores of each part before and after: with temperature 1 and the fitted one."""

    def log_loss(part: str, temperature: float) -> float:
        """Return the mean negative log likelihood of a part."""
        logits, targets = parts[part]
        logits = logits.double() / temperature
        if answer.task == "multiclass":
            return float(F.cross_entropy(logits, targets))
        return float(bce(logits, targets.double().reshape(logits.shape)))

    first = next(iter(parts))
    fit = minimize_scalar(lambda log: log_loss(first, np.exp(log)), bounds=(-3, 5))
    rows = []
    for part, (logits, targets) in parts.items():
        for stage, temperature in (("before", 1.0), ("after", float(np.exp(fit.x)))):
            probabilities = head.predict(logits / temperature).numpy()
            row = {
                "part": part,
                "calibration": stage,
                "rows": len(targets),
                "temperature": temperature,
                "nll": log_loss(part, temperature),
                "ece": calibration(probabilities, targets.numpy())["error"],
            }
            rows.append(row)
    return pd.DataFrame(rows)


def _propose_threshold(head: Head, answer: Answer, parts: PartOutputs) -> None:
    """Print the threshold with the best balanced accuracy on the first part."""
    from sklearn.metrics import balanced_accuracy_score

    part, (logits, targets) = next(iter(parts.items()))
    probabilities = head.predict(logits / answer.temperature)[:, 1].numpy()
    best = best_threshold(probabilities, targets.numpy())
    scores = [balanced_accuracy_score(targets, probabilities > cut) for cut in (best, 0.5)]
    say(
        f"--threshold {best:.3g} has the best balanced accuracy on the {part} part: "
        f"{scores[0]:.3g}, instead of {scores[1]:.3g} at 0.5"
    )


def _quantiles(head: Head, answer: Answer, parts: PartOutputs, coverage: float) -> list[float]:
    """Return the half-width of each target's interval, or the least probability per class."""
    logits, targets = next(iter(parts.values()))
    if answer.task is None:
        values = transformed(logits.numpy(), answer.transform)
        truth = transformed(targets.numpy(), answer.transform)
        residuals = abs(values - truth.reshape(values.shape))
        quantiles = [conformal_quantile(column, coverage) for column in residuals.T]
        if np.inf in quantiles:
            raise InputError(
                f"{len(targets)} rows are too few for --coverage {coverage:g}; give at most "
                f"{len(targets)}/{len(targets) + 1}, or a larger val_size."
            )
        return quantiles
    probabilities = head.predict(logits / answer.temperature).numpy()
    return class_quantiles(probabilities, targets.numpy(), coverage)


@torch.no_grad()
def _validation_and_test(run: str, head: Head) -> PartOutputs:
    """Return the outputs of a run; of the test part only if there is one."""
    _, data, module = restore(run)
    if not data.has("val"):
        raise InputError(
            f"{run} has no validation part to calibrate by; take a run with val_size, or one of "
            "crossval --keep true."
        )
    trained: Any = module.head  # with the scale of the targets
    parts = {}
    evaluation: tuple[Part, ...] = ("val", "test")
    for part in evaluation:
        if data.has(part):
            loader: Any = data.loader(part)
            logits = torch.cat([module(inputs) for inputs, _ in loader])
            if head.task is None:
                logits = trained.predict(logits)
            targets = trained.metric_targets(trained.prepare(loader.targets))
            parts[str(part)] = (logits, targets)
    return parts


def _out_of_fold(record: Run, head: Head) -> tuple[Tensor, Tensor]:
    """Return the logits or values, and the targets, of the rows out of fold."""
    outputs = out_of_fold_outputs(record.folder)[2]
    targets = torch.tensor(outputs["targets"])
    if head.task is None:
        return torch.tensor(outputs["values"]), targets
    targets = head.metric_targets(head.prepare(targets))
    probabilities = torch.tensor(outputs["probabilities"])
    if head.task == "multilabel":
        return probabilities.logit(1e-7), targets
    logits = probabilities.clamp_min(1e-12).log()
    if head.task == "binary":
        logits = logits.diff(dim=1)
    return logits, targets
