"""From the values in a target column to what a loss takes: class numbers, or float32."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from dlp.datamodules.reading import TargetReading, alike_classes
from dlp.datamodules.splitting.splits import Parts
from dlp.datamodules.standardising import mean_and_deviation
from dlp.errors import InputError, suggestion
from dlp.target_transforms import TargetTransform, lowest, transformed

Task = Literal["classification", "multilabel", "regression"]
TargetScaling = Literal["none", "standard"]
TaskArgument = Literal["auto", "classification", "multilabel", "regression"]
#: A number that is not written so, but as a name: 01.11 and 1.10 are other ones than 1.11 and 1.1.
_NAME = re.compile(r"[+-]?0\d.*|.*[.,]\d*[1-9]0+")
#: A number, and no code such as 007.
_NUMBER = re.compile(r"[+-]?(?!0\d+$)\d+(\.\d*)?")


def is_name(written: str) -> bool:
    """Return whether a text that may be a number says more than the number, like 01.11 or 1.10."""
    return _NAME.fullmatch(written) is not None


class TargetEncoder:
    """What the targets of a set mean, learned from its labelled rows.

    Args:
        task: What to predict. ``auto`` takes text, booleans and whole numbers 0 to C - 1 as
            classes (columns of which every row sums to 1 as one-hot classes), several columns of
            0 and 1 as labels, and all other numbers as values.
        class_names: The names of the classes, where they are known before any row is read; the
            targets are then class numbers, or these names.
        one_hot: Give classes as one-hot float32 (N, C) instead of int64 (N,).
        names: The names of the target columns, for messages and labels.
        positive: Of two classes, the one that becomes class 1: recall, precision, F1, average
            precision and the threshold are of it. None takes the last one: of texts by the
            alphabet, of numbers the larger, of given names the second.
    """

    def __init__(
        self,
        task: TaskArgument = "auto",
        class_names: Sequence[str] | None = None,
        one_hot: bool = False,
        names: Sequence[str] | None = None,
        positive: str | int | None = None,
    ) -> None:
        self.positive = None if positive is None else str(positive)
        self.swapped = False  # class numbers, of which 0 is the positive one
        self.task: TaskArgument = task
        self.class_names = None if class_names is None else list(class_names)
        self.one_hot = one_hot
        self.names = None if names is None else list(names)
        self.num_outputs = 0
        self._numbered = False  # targets are class numbers already
        self._fractions = False  # names are numbers such as 0.5

    @property
    def is_classification(self) -> bool:
        """Whether each row belongs to one class."""
        return self.task == "classification"

    @property
    def class_columns(self) -> list[str]:
        """The target column, where it holds names of classes."""
        names = self.names or []
        return names if self.is_classification and len(names) == 1 else []

    def fit(self, values: NDArray[Any]) -> None:
        """Learn task and classes from the target of every labelled row, (N,) or (N, T).

        Raises:
            InputError: No row, one class only, or values that do not fit the task.
        """
        values = _column(values)
        if not len(values):
            raise InputError("the data has no labelled row.")
        if self.task == "auto":
            self.task = _guess(values, known=self.class_names is not None)
        if self.task == "classification":
            self._fit_classes(values)
            return
        if self.positive is not None:
            raise InputError(
                f"positive_class is for two classes, and the task is {self.task}: leave it out."
            )
        self.num_outputs = 1 if values.ndim == 1 else values.shape[1]
        if self.task == "multilabel":
            self.class_names = self.class_names or self.names or _numbers(self.num_outputs)
        self.encode(values)

    def _fit_classes(self, values: NDArray[Any]) -> None:
        if self.class_names is not None:
            self._numbered = values.dtype.kind in "biuf"
        elif values.ndim == 2:  # one-hot or probabilities
            self.class_names = self.names or _numbers(values.shape[1])
        else:
            distinct = _distinct(values)
            whole = values.dtype.kind in "iu" and distinct[0] == 0
            self._numbered = whole and distinct[-1] == len(distinct) - 1
            self._fractions = values.dtype.kind == "f"
            self.class_names = [str(value) for value in distinct]
        self.num_outputs = len(self.class_names)
        self._order_classes()
        encoded = self.encode(values)
        present = np.unique(encoded) if encoded.ndim == 1 else np.flatnonzero(encoded.any(axis=0))
        if len(present) < 2:
            only = self.class_names[int(present[0])]
            raise InputError(
                f"the target has one class only ({only!r}): there is nothing to tell apart. Give "
                "rows of two classes or more, or task='regression'."
            )

    def _order_classes(self) -> None:
        """Put the positive one of two classes last."""
        names = self.class_names or []
        if self.positive is None or self.swapped:
            return
        if self.positive not in names:
            raise InputError(
                f"positive_class: there is no class {self.positive!r}."
                f"{suggestion(self.positive, names)} The classes are {', '.join(names[:30])}."
            )
        if len(names) != 2:
            raise InputError(
                f"positive_class is for two classes; the data has {len(names)}: leave it out."
            )
        if self.positive == names[0]:
            names.reverse()
            self.swapped = True

    def encode(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return int64 (N,) class numbers, or float32 (N,) or (N, T).

        Raises:
            InputError: A class that the labelled rows do not have, a number outside the classes,
                a missing or infinite value, or a value that is no number.
        """
        values = _column(values)
        if self.task == "classification" and values.ndim == 1:
            classes = self._encode_classes(values)
            if not self.one_hot:
                return classes
            return np.eye(self.num_outputs, dtype=np.float32)[classes]
        numbers = _finite(values)
        if self.task == "multilabel" and not np.isin(numbers, (0, 1)).all():
            raise InputError("the labels of a multilabel target must be 0 or 1 in every column.")
        if numbers.ndim == 2 and numbers.shape[1] != self.num_outputs:
            raise InputError(
                f"the target has {numbers.shape[1]} columns, expected {self.num_outputs}."
            )
        if self.task == "classification":
            wrong = (numbers < 0).any(axis=1) | (abs(numbers.sum(axis=1) - 1) > 1e-3)
            if wrong.any():
                row = int(wrong.argmax())
                raise InputError(
                    f"row {row} of the one-hot target is {numbers[row].tolist()}: each row must "
                    "hold 0 or more and sum to 1. For several labels a row use task='multilabel'."
                )
            return np.ascontiguousarray(numbers[:, ::-1]) if self.swapped else numbers
        return numbers

    def _encode_classes(self, values: NDArray[Any]) -> NDArray[np.int64]:
        assert self.class_names is not None
        if self._numbered:
            numbers = values if values.dtype.kind in "iu" else _finite(values)
            outside = (numbers < 0) | (numbers >= len(self.class_names))
            if numbers.dtype.kind == "f":
                outside |= numbers % 1 != 0
            if outside.any():
                row = int(np.flatnonzero(outside)[0])
                raise InputError(
                    f"label {values[row]} of row {row} is outside the classes 0 to "
                    f"{len(self.class_names) - 1}."
                )
            classes = numbers.astype(np.int64)
            return 1 - classes if self.swapped else classes
        index = {name: number for number, name in enumerate(self.class_names)}
        missing = _missing(values)
        if missing.any():
            raise InputError(
                f"row {int(np.flatnonzero(missing)[0])} has no label ({int(missing.sum())} rows in "
                "all). Fill them in or leave these rows out."
            )
        texts = list(map(str, values.tolist()))
        index |= {
            text: index[name]
            for text in set(texts) - index.keys()
            if (name := self._name_alike(text)) in index
        }
        if unknown := sorted(set(texts) - index.keys()):
            raise InputError(
                f"label {unknown[0]!r} is not among the classes {_first(self.class_names)}."
                f"{suggestion(unknown[0], self.class_names)}"
            )
        return np.fromiter(map(index.__getitem__, texts), np.int64, len(texts))

    def _name_alike(self, written: str) -> str:
        """Return the class that is the same number; what was given, where that is none or a name.

        Where the classes were read as numbers no label is a name: 0.50 is the class 0.5.
        """
        if not _NUMBER.fullmatch(written) or (is_name(written) and not self._fractions):
            return written
        names, number = self.class_names or [], float(written)
        return next((name for name in (str(number), f"{number:.15g}") if name in names), written)

    def classes(self, encoded: NDArray[Any]) -> NDArray[np.int64] | None:
        """Return the class of each encoded row, (N,), where rows have one."""
        if not self.is_classification:
            return None
        return encoded.argmax(axis=1) if encoded.ndim == 2 else encoded

    def name_of(self, value: Any) -> str:
        """Return what people call the class that stands as `value` in the target column."""
        if value is None or value != value:
            return ""
        names = self.class_names or []
        if isinstance(value, str) or not self._numbered:
            return str(value) if str(value) in names else self._name_alike(str(value))
        if 0 <= value < len(names) and value % 1 == 0:
            return names[1 - int(value) if self.swapped else int(value)]
        return str(value)

    def scale(
        self, values: NDArray[Any], transform: TargetTransform = "none"
    ) -> tuple[list[float], list[float]]:
        """Return mean and population standard deviation of each target, 1 for a constant one.

        Args:
            values: The targets, (N,) or (N, T).
            transform: What they are trained on: the numbers are of that.

        Raises:
            InputError: The targets are classes or labels.
        """
        if self.task != "regression":
            raise InputError("target_scaling: standard is for values; the target holds classes.")
        encoded = torch.from_numpy(self.encode(values)).reshape(len(values), -1)
        mean, std = mean_and_deviation(transformed(encoded.double(), transform).numpy())
        return mean.tolist(), std.tolist()

    def check_transform(self, values: NDArray[Any], transform: TargetTransform) -> None:
        """Refuse values of which there is no logarithm, before anything is trained.

        Raises:
            InputError: A value is too low, or the targets are no values.
        """
        if transform == "none":
            return
        if self.task != "regression":
            raise InputError(f"target_transform: {transform} is for values; the target has none.")
        least = float(self.encode(values).min())
        if least <= lowest(transform):
            way = " Use log1p, which takes 0." if transform == "log" and least == 0 else ""
            raise InputError(
                f"target_transform: {transform} takes values above {lowest(transform):g}, and the "
                f"smallest target is {least:g}.{way or ' Use target_scaling: standard alone.'}"
            )

    def summary(self, values: NDArray[Any]) -> dict[str, list[float]]:
        """Return what the targets of some rows, (N,) or (N, T), are like as a whole.

        ``frequencies`` of the C classes or labels; or ``mean`` and ``median`` of each value.
        """
        numbers = self.encode(values)
        if self.task == "classification" and numbers.ndim == 1:
            counts = np.bincount(numbers, minlength=self.num_outputs)
            return {"frequencies": (counts / len(numbers)).tolist()}
        columns = numbers.reshape(len(numbers), -1).astype(np.float64)
        mean = columns.mean(axis=0).tolist()
        if self.task != "regression":
            return {"frequencies": mean}
        return {"mean": mean, "median": np.median(columns, axis=0).tolist()}

    def read(self, values: NDArray[Any]) -> TargetReading:
        """Return what the targets of some rows, (N,) or (N, T), are taken for."""
        name, task, names = ", ".join(self.names or ()), str(self.task), self.class_names or []
        return TargetReading.of(name, task, self.encode(values), names)

    def check_parts(
        self, labels: NDArray[np.int64], parts: Parts, report: Callable[[str, str], None]
    ) -> None:
        """Refuse a training part that lacks a class; say so of a validation or test part.

        Args:
            labels: The class of each labelled row, (N,).
            parts: The parts of these rows.
            report: Takes a name for the kind of message, and the message.

        Raises:
            InputError: No row of the training part is of one of the classes.
        """
        names = self.class_names or []
        if (twins := alike_classes(names)) is not None:
            report("classes alike", twins)
        counts = np.bincount(labels, minlength=len(names))
        for part, rows in (
            ("training", parts.train),
            ("validation", parts.val),
            ("test", parts.test),
        ):
            if part != "training" and not len(rows):
                continue
            lacking = np.flatnonzero(np.bincount(labels[rows], minlength=len(names)) == 0)
            if not len(lacking):
                continue
            few = ", ".join(f"{names[number]} ({counts[number]:,})" for number in lacking[:8])
            few += " ..." if len(lacking) > 8 else ""
            single = [names[number] for number in lacking if counts[number] == 1]
            if part == "training" and single:
                others = f" (so do {len(single) - 1:,} others)" if len(single) > 1 else ""
                raise InputError(
                    f"the class {single[0]!r} has one row{others}, and it does not fall into the "
                    "training part. Merge the class with another one, or leave the row out."
                )
            which = f"no row of {len(lacking):,} of {len(names):,} classes"
            if part == "training":
                raise InputError(
                    f"the training part has {which}; of all rows they have: {few}. Use stratify: "
                    "true, another split_seed, or smaller val_size; where the parts are folders or "
                    "files of their own, give the training part such rows."
                )
            report(
                f"classes of {part}",
                f"the {part} part has {which}, so that its metrics do not tell how well these are "
                f"found; of all rows they have: {few}",
            )

    def state(self) -> dict[str, Any]:
        """Return what was learned, as plain values."""
        return {
            "task": self.task,
            "class_names": self.class_names,
            "num_outputs": self.num_outputs,
            "numbered": self._numbered,
            "swapped": self.swapped,
            "fractions": self._fractions,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        self.task = state["task"]
        self.class_names = state["class_names"]
        self.num_outputs = state["num_outputs"]
        self._numbered = state["numbered"]
        self.swapped = state.get("swapped", False)  # older checkpoints have none
        self._fractions = state.get("fractions", True)  # as all numbers were read then
        names = self.class_names or []
        if self.positive is not None and names[-1:] != [self.positive]:
            raise InputError(
                f"positive_class is {self.positive!r}, and the run was trained with "
                f"{names[-1] if names else 'none'!r}: leave it out, or train again."
            )


def same_classes(
    found: Iterable[Any], names: Sequence[str], known: Sequence[str]
) -> dict[Any, int]:
    """Return what class numbers of one file, whose classes are `names`, are among the `known`.

    Raises:
        InputError: A number that is `found` is none of `names`, or its class is not known.
    """
    numbers = {}
    for number in found:
        is_listed = number in range(len(names))
        name = names[int(number)] if is_listed else str(number)
        if not is_listed and not isinstance(number, str):
            raise InputError(
                f"label {name} is none of the classes that its file lists ({_first(names)}), "
                f"numbered from 0. Leave such rows out: drop_unlabelled does so with empty cells."
            )
        if name not in known:
            raise InputError(
                f"label {name!r} is not among the classes {_first(known)}.{suggestion(name, known)}"
            )
        numbers[number] = known.index(name)
    return numbers


def _first(names: Sequence[str]) -> str:
    """Return the first names in words, and how many more there are."""
    more = f" and {len(names) - 20:,} more" if len(names) > 20 else ""
    return ", ".join(names[:20]) + more


def _guess(values: NDArray[Any], known: bool) -> Task:
    if known:
        return "classification" if values.ndim == 1 else "multilabel"
    if values.dtype.kind not in "iuf":
        if values.ndim == 1:
            return "classification"
        return "multilabel" if values.dtype.kind == "b" else "regression"
    if values.ndim == 2:
        if not np.isin(values, (0, 1)).all():
            return "regression"
        return "classification" if (values.sum(axis=1) == 1).all() else "multilabel"
    if values.dtype.kind == "f":
        return "regression"
    distinct = np.unique(values)
    if len(distinct) == 1:  # refused as one class alone
        return "classification"
    few = len(distinct) <= max(2, len(values) // 2)
    numbered = few and distinct[0] == 0 and distinct[-1] == len(distinct) - 1
    return "classification" if numbered else "regression"


def _column(values: NDArray[Any]) -> NDArray[Any]:
    """Return (N, 1) as (N,)."""
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def _numbers(count: int) -> list[str]:
    return [str(number) for number in range(count)]


def _missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    if values.dtype.kind == "f":
        return np.asarray(np.isnan(values))
    if values.dtype.kind != "O":
        return np.zeros(len(values), dtype=np.bool_)
    return np.array([value is None or value != value for value in values], dtype=np.bool_)


def _distinct(values: NDArray[Any]) -> list[Any]:
    if values.dtype.kind in "iu":  # of millions of rows a set of Python's takes long
        return list(np.unique(values).tolist())
    kept = values[~_missing(values)]
    try:
        return sorted(set(kept.tolist()))
    except TypeError:  # a mixture of text and numbers
        return sorted({str(value) for value in kept})


def _finite(values: NDArray[Any]) -> NDArray[np.float32]:
    try:
        numbers = values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the target must be numbers for this task; found {error}. For names of classes use "
            "task='classification'."
        ) from error
    bad = ~np.isfinite(numbers)
    if bad.any():
        row = int(np.argwhere(bad)[0][0])
        raise InputError(
            f"the target of row {row} is {numbers[row]}: a target must be a finite number "
            f"({int(bad.any(axis=-1).sum() if bad.ndim == 2 else bad.sum())} such rows). Fill "
            "them in or leave these rows out."
        )
    return numbers.astype(np.float32)
