"""What a person knows a row by: its place in their file, their own id, path or text, the truth."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dlp.datamodules.examples import Examples, Part
from dlp.datamodules.targets import TargetEncoder

if TYPE_CHECKING:
    from dlp.datamodules.base import SupervisedDataModule


def known_columns(data: "SupervisedDataModule", part: Part) -> dict[str, list[Any]]:
    """Return name -> values of the columns that tell which row is which.

    ``index``: the number of each row in the file it was read from, from 0. Then, where there are
    such: the column named by `id_column`, ``path`` or ``text``, and ``true``, what the target is.

    Args:
        data: Any of the project's DataModules.
        part: Whose rows.
    """
    examples = data.examples(part)
    columns: dict[str, list[Any]] = {"index": places(examples).tolist()}
    if examples.ids is not None:
        name = str(getattr(data, "id_column", "id"))
        columns[f"{name}_" if name in ("index", "path", "text", "true") else name] = [
            _id(value) for value in examples.ids.tolist()
        ]
    if examples.names is not None:
        columns["path"] = list(examples.names)
    if (texts := data.texts(examples.rows)) is not None:
        columns["text"] = texts
    truth = examples.truth if examples.targets is None else examples.targets
    return columns if truth is None else {**columns, **true_columns(data.targets, truth)}


def places(examples: Examples) -> NDArray[np.int64]:
    """Return the number of each row in the file it was read from, (N,)."""
    return np.arange(examples.count) if examples.places is None else examples.places


def true_columns(encoder: TargetEncoder, values: NDArray[Any]) -> dict[str, list[Any]]:
    """Return what the targets are, as people call them: ``true``, or a column for each value.

    Args:
        encoder: What they mean.
        values: As they were read, (N,) or (N, T); an empty cell stays empty.
    """
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if encoder.task == "regression":
        if values.ndim == 1:
            return {"true": [_number(value) for value in values.tolist()]}
        names = encoder.names or [str(number) for number in range(values.shape[1])]
        return {
            f"true_{name}": [_number(value) for value in column]
            for name, column in zip(names, values.T.tolist(), strict=True)
        }
    names = encoder.class_names or []
    if values.ndim == 1:
        return {"true": [encoder.name_of(value) for value in values.tolist()]}
    if encoder.task == "multilabel":
        return {"true": [_joined(row, names) for row in values.tolist()]}
    ordered = names[::-1] if encoder.swapped else names
    return {"true": [ordered[int(number)] for number in values.argmax(axis=1)]}


def _joined(row: Sequence[Any], names: Sequence[str]) -> str:
    return ";".join(name for name, value in zip(names, row, strict=True) if value == 1)


def _number(value: Any) -> float | None:
    """Return a number; None for what is none, as an empty cell."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return None if number != number else number


def _id(value: Any) -> Any:
    """Return an id; whole numbers that a hole in the column made floats are whole again."""
    if isinstance(value, float):
        return None if value != value else int(value) if value.is_integer() else value
    return value
