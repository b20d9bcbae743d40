"""Command ``visualize importance``: measure which columns or words a model relies on."""

from collections import defaultdict
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from dlp.console import muted, say
from dlp.datamodules.base import Part, SupervisedDataModule
from dlp.datamodules.tables.rows import TableRows
from dlp.errors import InputError
from dlp.files import save_figure, write_table
from dlp.modules.supervised import SupervisedModule
from dlp.reader.tokens import CHAR_NGRAM
from dlp.recipes.restoring import restore
from dlp.visualization.layers import averaged_networks
from dlp.visualization.words import word_weights

_REPEATS = 10
_NUM_BARS = 40
_WORDS_OF_A_COLUMN = 50
_NUM_WORDS = 20  # in favour of all classes together, and as many against them
_MIN_WORDS = 3


def importance(run: str) -> pd.DataFrame:
    """Measure which columns or words a model relies on.

    The command reads a trained model and the rows of the validation part, or of the test part if
    there is no validation part. It writes ``importance.csv`` and ``importance.png`` to the folder
    ``visualize`` of the run.

    For a table, the importance of a column is the mean increase of the loss when the column is
    shuffled, over 10 shuffles. In a column of texts, the 50 most frequent words are also shuffled
    one by one. A column is marked "adds nothing" if its importance is at most two standard
    deviations. Correlated columns share their importance, so that each of them may seem useless.

    For texts, the importance of a word is its mean integrated gradient for a class, over the texts
    for which this class is predicted.

    Args:
        run: Name of a config with a run, folder of a run, or checkpoint.
    """
    record, data, module = restore(run)
    part: Part = "val" if data.has("val") else "test"
    explained_by = data.encoder.explained_by
    if not isinstance(module, SupervisedModule) or explained_by not in ("columns", "words"):
        raise InputError(
            "importance: expected a SupervisedModule for tables or texts, got another model. For "
            "images, use dlp visualize heatmap."
        )
    measure = _columns if explained_by == "columns" else _words
    frame, label = measure(module, data, part)
    folder = record.folder / "visualize"
    write_table(folder / "importance.csv", frame)
    bars = frame.head(_NUM_BARS)
    say(bars.to_string(index=False, float_format="{:.4g}".format))
    label = f"{label}, {len(data.examples(part)):,} {part} rows"
    save_figure(_draw(bars, label), folder / "importance.png")
    say(f"wrote {folder}: importance.csv, importance.png")
    return frame


def _columns(
    module: SupervisedModule,
    data: SupervisedDataModule,
    part: Any,
) -> tuple[pd.DataFrame, str]:
    """Return the mean increase of the loss when a column of the table is shuffled.

    The cells are shuffled before they are encoded. The frequent words in a column of texts are
    shuffled, too, and words that add nothing are left out.

    Returns:
        Table with one row per column or word, and the label of the horizontal axis.
    """
    encoder: Any = data.encoder
    examples = data.examples(part)
    table = cast(TableRows, examples.inputs).frame
    targets = module.head.prepare(torch.from_numpy(data.targets.encode(examples.labels)))
    generator = torch.Generator().manual_seed(0)
    orders = torch.rand(_REPEATS, len(table), generator=generator).argsort()
    index = torch.arange(len(table))

    def loss(inputs: Any) -> float:
        with torch.no_grad():
            return float(module.head.loss(module(inputs[index]), targets))

    losses: dict[str, list[float]] = defaultdict(list)
    for name in map(str, table):
        for order in orders.numpy():
            shuffled = table.copy()
            shuffled[name] = table[name].array[order]
            with muted(True):
                losses[name].append(loss(data.store(TableRows(shuffled))))
    inputs = data.inputs(part)[index]
    for name in encoder.text_columns:
        for word in encoder.categories_[name][:_WORDS_OF_A_COLUMN]:
            place = encoder.column_names.index(f"{name}: {word}")
            for order in orders:
                others = inputs.clone()
                others[:, place] = inputs[order, place]
                losses[f"{name}: {word}"].append(loss(others))
    frame = pd.DataFrame(losses).agg(["mean", "std"]).T
    frame["mean"] -= loss(inputs)
    frame = frame.rename_axis("column").reset_index().rename(columns={"mean": "importance"})
    adds_nothing = frame["importance"] <= 2 * frame["std"]
    frame["note"] = np.where(adds_nothing, "adds nothing", "")
    frame = frame[~adds_nothing | frame["column"].isin(table)]
    frame = frame.sort_values("importance", ascending=False, ignore_index=True)
    return frame, "increase of the loss by shuffling (grey: adds nothing)"


def _words(
    module: SupervisedModule,
    data: SupervisedDataModule,
    part: Any,
) -> tuple[pd.DataFrame, str]:
    """Return the words with the largest mean weights for and against each class, and a label."""
    num_words = data.input_shape[0]
    num_classes = max(2, data.num_outputs)
    totals = torch.zeros(num_classes, num_words)
    num_texts = torch.zeros(num_classes)
    for batch, _ in data.loader(part):
        bags = batch.to_dense(num_words)
        with torch.no_grad():
            logits = module(bags)
        numbers = logits.argmax(1)
        if logits.shape[1] == 1:
            numbers += 1  # the logit of class 1
        networks = averaged_networks(module.network)
        weights = torch.stack([word_weights(each, bags, numbers) for each in networks]).mean(0)
        totals.index_add_(0, numbers, weights)
        num_texts += numbers.bincount(minlength=num_classes)
    names = data.class_names or ["prediction"] * num_classes
    words = data.encoder.column_names  # a small data set has fewer words than the network
    classes = num_texts.nonzero().flatten().tolist()
    count = max(_MIN_WORDS, _NUM_WORDS // len(classes))
    frames = []
    for number in classes:
        weights = totals[number, : len(words)] / num_texts[number]
        frame = pd.DataFrame({"word": words, "weight": weights, "class": names[number]})
        frame = frame[~frame["word"].str.match(CHAR_NGRAM)]  # they mean little to people
        frame = frame.sort_values("weight", ascending=False)
        frames += [frame.head(count), frame.tail(count)]
    return pd.concat(frames, ignore_index=True), "weight for the class"


def _draw(bars: pd.DataFrame, label: str) -> Figure:
    """Draw a bar per column or word. The bars of columns that add nothing are grey."""
    names = bars.iloc[:, 0]
    colours: Any = "tab:blue"
    if "note" in bars:
        colours = np.where(bars["note"] == "", colours, "lightgrey")
    else:
        names = names + " (" + bars["class"] + ")"
    figure = Figure(figsize=(7, 1 + 0.22 * len(bars)), layout="constrained")
    axes = figure.subplots()
    axes.barh(
        range(len(bars)),
        bars.iloc[:, 1],
        xerr=bars.get("std"),
        color=colours,
        tick_label=names,
    )
    axes.set(ylim=(len(bars) - 0.5, -0.5), xlabel=label)
    return figure
