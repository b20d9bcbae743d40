"""Answer of a model: from scores to classes, probabilities, values, and how sure they are."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Literal

import numpy as np

from .encoder import Array
from .rows import ReaderError
from .transforms import TargetTransform, transformed, untransformed

#: Kind of problem of a classifier, as torchmetrics calls it; None for values.
Task = Literal["binary", "multiclass", "multilabel"] | None
#: Columns (N,) of an answer by name: numbers, or names of classes.
AnswerColumns = dict[str, Array | list[str]]


@dataclass(frozen=True)
class Answer:
    """Steps from the scores of a network, probabilities (N, C) or values (N, T), to its answer.

    Args:
        task: Kind of problem; None for values.
        output_names: Names of the C classes or labels, or of the T targets.
        threshold: Probability above which a row is of class 1 of two, or has a label.
        transform: Transform of the targets on whose scale intervals are as wide below as above.
        temperature: Number by which logits are divided before they become scores.
        coverage: Fraction of rows whose interval or set contains the true value; None if the model
            is not calibrated.
        quantiles: For classes, the smallest probability (C,) that puts each of them into the set.
            For values, increasing values and the half-widths of their intervals, (T, 2, K). None
            if there are no sets or intervals.
    """

    task: Task
    output_names: Sequence[str]
    threshold: float = 0.5
    transform: TargetTransform = "none"
    temperature: float = 1.0
    coverage: float | None = None
    quantiles: Sequence[float] | Sequence[Sequence[Sequence[float]]] | None = None

    def prediction_columns(self, scores: Array) -> AnswerColumns:
        """Return ``class`` and ``prob_<class>``, or a column per target, and columns of `doubt`."""
        columns: AnswerColumns = {}
        prefix = ""
        if self.task is not None:
            prefix = "prob_"
            decided = decide(scores, self.threshold, self.task)
            if self.task == "multilabel":
                columns["class"] = self._joined(decided)
            else:
                columns["class"] = [self.output_names[number] for number in decided]
        for name, column in zip(self.output_names, scores.T, strict=True):
            columns[f"{prefix}{name}"] = column
        return columns | self.doubt(scores)

    def doubt(self, scores: Array) -> AnswerColumns:
        """Return ``low`` and ``high`` of values, or the ``set`` of classes, if it has quantiles.

        If there are several targets, they are ``low_<target>`` and ``high_<target>``. The likeliest
        class is always in the set.
        """
        if not np.isfinite(scores).all():
            raise ReaderError(
                "the model predicts NaN or infinity for some of these rows; train it with a "
                "smaller learning rate."
            )
        if self.quantiles is None:
            return {}
        if self.task is not None:
            least = np.minimum(self.quantiles, scores.max(axis=1, keepdims=True))
            return {"set": self._joined(scores >= least - 1e-6)}  # an export rounds otherwise
        values = transformed(scores, self.transform)
        half_widths = []
        for column, (knots, widths) in zip(values.T, np.asarray(self.quantiles), strict=True):
            half_widths.append(np.interp(column, knots, widths))
        half_width = np.transpose(half_widths)
        low = untransformed(values - half_width, self.transform)
        high = untransformed(values + half_width, self.transform)
        return output_columns("low", low, self.output_names) | output_columns(
            "high", high, self.output_names
        )

    def _joined(self, rows: Array) -> list[str]:
        """Return the names in each row of a mask (N, C), joined by ``;``."""
        return [";".join(compress(self.output_names, row)) for row in rows]


def decide(probabilities: Array, threshold: float = 0.5, task: Task = None) -> Array:
    """Return the predicted class of each row of probabilities (N, C), (N,), or its labels (N, C).

    Class 1 of two, and a label, must exceed the threshold; of more classes the likeliest is taken.
    """
    if task == "multilabel":
        has_label: Array = probabilities > threshold
        return has_label
    if probabilities.shape[1] == 2:
        return (probabilities[:, 1] > threshold).astype(np.int64)
    likeliest: Array = probabilities.argmax(axis=1)
    return likeliest


def output_columns(name: str, values: Array, names: Sequence[str] | None) -> AnswerColumns:
    """Return a column per output, with its name unless it is the only one."""
    values = values.reshape(len(values), math.prod(values.shape[1:]))
    num_columns = values.shape[1]
    if num_columns == 1:
        return {name: values[:, 0]}
    places = names or range(num_columns)
    return {f"{name}_{place}": values[:, number] for number, place in enumerate(places)}
