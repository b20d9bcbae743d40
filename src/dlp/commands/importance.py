"""Command ``visualize importance``: columns or words on which a model relies."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from dlp.bag_of_words import BagOfWords
from dlp.commands.trained_models import restore
from dlp.console import muted, say
from dlp.datamodules.base import Part
from dlp.datamodules.tables.rows import TableRows
from dlp.datamodules.text.corpus import Texts
from dlp.errors import InputError
from dlp.evaluation.baselines import part_targets, score
from dlp.files import atomic_path, save_figure
from dlp.inference.explain import SPECIAL
from dlp.modules.monitor import monitor_mode
from dlp.modules.supervised import SupervisedModule
from dlp.runs.restoring import check_same_rows
from dlp.visualization.words import word_weights

_REPEATS, _NUM_BARS = 10, 40


def importance(run: str) -> pd.DataFrame:
    """Measure on which columns or words a model relies, on the validation, else the test part.

    The importance of a column is the mean loss in the first metric over 10 shuffles of its cells.
    Within two standard deviations of 0 a column adds nothing; columns that tell the same share. The
    weight of a word is its mean integrated gradient, for class 1 of two, else the predicted class.

    Args:
        run: Name of a config with a run, folder of a run, or checkpoint.
    """
    record, data, module = restore(run)
    check_same_rows(data, record.folder)
    part: Part = "val" if data.has("val") else "test"
    inputs, folder = data.examples(part).inputs, record.folder / "visualize"
    is_table = isinstance(inputs, TableRows)
    if not isinstance(module, SupervisedModule) or not (is_table or isinstance(inputs, Texts)):
        raise InputError(f"importance takes tables and texts; see dlp visualize heatmap {run}.")
    frame, label = (_columns if is_table else _words)(module, data, part)
    with atomic_path(folder / "importance.csv") as temporary:
        frame.to_csv(temporary, index=False, float_format="%.9g")
    bars = frame.head(_NUM_BARS)
    say(bars.to_string(index=False, float_format="{:.4g}".format))
    figure = Figure(figsize=(7, 1 + 0.22 * len(bars)), layout="constrained")
    axes, numbers = figure.subplots(), range(len(bars))
    colours = np.where(bars["note"] == "", "tab:blue", "lightgrey") if is_table else None
    axes.barh(numbers, bars.iloc[:, 1], xerr=bars.get("std"), color=colours)
    axes.set_yticks(numbers, bars.iloc[:, 0])
    axes.set(ylim=(len(bars) - 0.5, -0.5), xlabel=f"{label}, {len(inputs):,} {part} rows")
    save_figure(figure, folder / "importance.png")
    say(f"wrote {folder}: importance.csv, importance.png")
    return frame


def _columns(module: Any, data: Any, part: Any) -> tuple[pd.DataFrame, str]:
    """Shuffle each column as it was read; return the loss in the metric."""
    inputs, generator = data.examples(part).inputs.frame, np.random.default_rng(0)
    targets = part_targets(module.head, data, part)

    def metric(frame: pd.DataFrame) -> tuple[str, float]:
        with torch.no_grad(), muted(True):
            predictions = module.head.predict(module(data.encoder.transform(TableRows(frame))))
        return next(iter(score(module.head, predictions, targets).items()))

    name, best = metric(inputs)
    is_gain = monitor_mode(f"val_{name}", module.metric_modes) == "max"
    rows = []
    for column, cells in inputs.items():
        orders = [generator.permutation(len(inputs)) for _ in range(_REPEATS)]
        values = [metric(inputs.assign(**{column: cells.array[order]}))[1] for order in orders]
        losses = best - np.array(values) if is_gain else np.array(values) - best
        mean, std = losses.mean(), losses.std(ddof=1)
        rows.append((column, mean, std, "" if mean > 2 * std else "adds nothing"))
    frame = pd.DataFrame(rows, columns=["column", "importance", "std", "note"])
    frame = frame.sort_values("importance", ascending=False, ignore_index=True)
    return frame, f"{'drop' if is_gain else 'rise'} of {name} by shuffling (grey adds nothing)"


def _words(module: Any, data: Any, part: Any) -> tuple[pd.DataFrame, str]:
    """Return the mean and the mean absolute weight of the 20 words most for, and most against."""
    words = [*SPECIAL, *data.input_spec()["words"]]
    total = torch.zeros(2, data.input_shape[0])  # a small set has fewer words than the network
    for batch, _ in data.loader(part):
        bags = batch.to_dense(total.shape[1]) if isinstance(batch, BagOfWords) else batch
        with torch.no_grad():
            logits = module(bags)
        number = 1 if logits.shape[1] == 1 else logits.argmax(1)
        weights = word_weights(module.network, bags, number)
        total += torch.stack([weights, weights.abs()]).sum(1) / len(data.examples(part))
    weight, absolute = total[:, : len(words)]
    frame = pd.DataFrame({"word": words, "weight": weight, "absolute": absolute})
    frame = pd.concat([frame.nlargest(20, "weight"), frame.nsmallest(20, "weight")[::-1]])
    is_binary = module.head.task == "binary"
    return frame, f"weight for {data.class_names[1] if is_binary else 'the prediction'}"
