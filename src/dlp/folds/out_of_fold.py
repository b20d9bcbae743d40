"""Predictions of rows by the models of the folds that did not train on them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from dlp.callbacks.predictions import answer_columns, plain_answer, row_columns
from dlp.datamodules.base import SupervisedDataModule
from dlp.folds.plan import Fold


def out_of_fold(data: SupervisedDataModule, folds: Sequence[Fold]) -> pd.DataFrame:
    """Return a row per validated row, with the columns of ``predictions.csv`` but for the text.

    A row that was validated several times has the mean of its predictions; if none was, ``fold`` is
    the fold of each. Folds without finite predictions are left out. The data is split anew.
    """
    kind = "probabilities"
    threshold = 0.5
    parts = []
    for fold in folds:
        if "values" in fold.predictions:
            kind = "values"
        scores = fold.predictions.get(kind)
        if scores:
            threshold = fold.predictions["threshold"]
            index = fold.predictions["index"][: len(scores)]
            parts.append(pd.DataFrame(scores, index).assign(fold=fold.fold))
    if not parts:
        return pd.DataFrame()
    table = pd.concat(parts)
    mean = table.groupby(level=0).mean()
    numbers = mean.pop("fold").to_numpy(int)
    data.resplit(replace(data.split.without_validation(), train_size=None))
    rows: Any = data.examples("train")
    rows = rows.take(pd.Index(rows.index).get_indexer(mean.index))
    columns = row_columns(data, rows)
    columns.pop("text", None)
    outputs = {kind: mean.to_numpy()}
    answer = plain_answer(outputs, data, threshold, data.targets.task == "multilabel")
    columns |= answer_columns(answer, outputs)
    frame = pd.DataFrame(columns)
    if len(frame) == len(table):
        frame.insert(1, "fold", numbers)
    return frame
