"""Answer of a model: from scores to classes, probabilities, values, and how sure they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, Literal

import numpy as np

from .rows import ReaderError
from .transforms import TargetTransform, transformed, untransformed

#: Kind of problem of a classifier, as torchmetrics calls it; None for values.
Task = Literal["binary", "multiclass", "multilabel"] | None


@dataclass(frozen=True)
class Answer:
    """Steps from the scores of a network, probabilities (N, C) or values (N, T), to its answer.

    Args:
        task: Kind of problem; None for values.
        names: Names of the C classes or labels, or of the T targets.
        threshold: Probability above which a row is of class 1 of two, or has a label.
        transform: Transform of the targets on whose scale intervals are as wide below as above.
        temperature: Number by which logits are divided before they become scores.
        coverage: Share of rows whose interval or set has the truth; None without them.
        quantiles: Least probability of each class in a set; or of each target increasing values and
            the half-widths of their intervals, by 1.1 one half-width; None without them.
    """

    task: Task
    names: Sequence[str]
    threshold: float = 0.5
    transform: TargetTransform = "none"
    temperature: float = 1.0
    coverage: float | None = None
    quantiles: Sequence[Any] | None = None

    def columns(self, scores: Any) -> dict[str, Any]:
        """Return ``class`` and ``prob_<class>``, or a column per target, then those of `doubt`."""
        columns: dict[str, Any] = {}
        prefix = ""
        if self.task is not None:
            prefix = "prob_"
            decided = decide(scores, self.threshold, self.task)
            if self.task == "multilabel":
                columns["class"] = self._joined(decided)
            else:
                columns["class"] = [self.names[number] for number in decided]
        for name, column in zip(self.names, scores.T, strict=True):
            columns[f"{prefix}{name}"] = column
        return columns | self.doubt(scores)

    def doubt(self, scores: Any) -> dict[str, Any]:
        """Return ``low`` and ``high`` of values, or the ``set`` of classes, if it has quantiles.

        Of several targets they are ``low_<target>`` and ``high_<target>``. The likeliest class is
        always in the set.
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
        half_width: Any = self.quantiles
        if np.ndim(half_width) > 1:
            curves = zip(values.T, half_width, strict=True)
            half_width = np.transpose([np.interp(column, *curve) for column, curve in curves])
        low = untransformed(values - half_width, self.transform)
        high = untransformed(values + half_width, self.transform)
        return output_columns("low", low, self.names) | output_columns("high", high, self.names)

    def _joined(self, rows: Any) -> list[str]:
        """Return the names in each row of a mask (N, C), joined by ``;``."""
        return [";".join(compress(self.names, row)) for row in rows]


def decide(probabilities: Any, threshold: float = 0.5, task: Task = None) -> Any:
    """Return the predicted class of each row of probabilities (N, C), (N,), or its labels (N, C).

    Class 1 of two, and a label, must exceed the threshold; of more classes the likeliest is taken.
    """
    if task == "multilabel":
        return probabilities > threshold
    if probabilities.shape[1] == 2:
        return (probabilities[:, 1] > threshold).astype(np.int64)
    return probabilities.argmax(axis=1)


def output_columns(name: str, values: Any, names: Sequence[str] | None) -> dict[str, Any]:
    """Return a column per output, with its name unless it is the only one."""
    values = values.reshape(len(values), -1)
    num_columns = values.shape[1]
    if num_columns == 1:
        return {name: values[:, 0]}
    places = names or range(num_columns)
    return {f"{name}_{place}": values[:, number] for number, place in enumerate(places)}
