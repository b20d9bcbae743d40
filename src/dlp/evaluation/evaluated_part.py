"""A model's mistakes on a part of its data, and the rows they were made on."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from dlp.datamodules.base import SupervisedDataModule
from dlp.datamodules.examples import Examples, Part
from dlp.datamodules.known_rows import places
from dlp.datamodules.labelled_data import Readable
from dlp.decisions import decision_rule, names_of
from dlp.errors import InputError
from dlp.evaluation.mistakes import (
    ClassificationMistakes,
    Mistakes,
    MultilabelMistakes,
    RegressionMistakes,
)


def find_mistakes(
    predictions: NDArray[Any],
    targets: NDArray[Any],
    kind: Literal["probabilities", "values"],
    model: object,
    data: object,
    examples: Examples | None,
    num_worst: int,
) -> Mistakes:
    """Return what a model got wrong, by its own threshold and with the names of its data.

    Args:
        predictions: Probabilities (N, C) or values (N, T).
        targets: As batches hold them: (N,), (N, C) or (N, T).
        kind: What the predictions are.
        model: Knows its threshold and perhaps the names of classes or targets.
        data: What the Trainer holds: asked for names that the model does not know.
        examples: The rows of the part, in the same order; None where nobody knows them.
        num_worst: How many of the worst mistakes to keep.
    """
    count = predictions.shape[1]
    found: Mistakes
    if kind == "values":
        names = names_of("target_names", count, model, data)
        targets = targets.reshape(len(targets), -1)
        found = RegressionMistakes.of(predictions, targets, names, num_worst)
    else:
        names = names_of("class_names", count, model, data)
        threshold, labels = decision_rule(model, targets.ndim == 2)
        make = MultilabelMistakes.of if labels else ClassificationMistakes.of
        found = make(predictions, targets, names, num_worst, threshold)
    return found if examples is None else _placed(found, examples)


def _placed(mistakes: Mistakes, examples: Examples) -> Mistakes:
    """Return the mistakes with what a person knows the worst rows by."""
    names, index, ids = examples.names, places(examples), examples.ids
    worst = [
        replace(
            wrong,
            name=None if names is None else names[wrong.row],
            index=int(index[wrong.row]),
            id=None if ids is None else str(ids[wrong.row]),
        )
        for wrong in mistakes.worst
    ]
    changed: Mistakes = replace(cast(Any, mistakes), worst=worst)  # of the same kind
    return changed


def check_rows(mistakes: Mistakes, data: SupervisedDataModule, part: Part) -> None:
    """Refuse rows that are not those the mistakes were made on: the data may have changed since.

    Raises:
        InputError: There are more or fewer of them, or the worst ones have other targets.
    """
    targets = data.examples(part).targets
    encoded = None if targets is None else data.targets.encode(targets)
    same = encoded is not None and len(encoded) == mistakes.rows
    if encoded is not None and same and isinstance(mistakes, ClassificationMistakes):
        classes = encoded.argmax(axis=1) if encoded.ndim == 2 else encoded
        names = data.class_names or []
        same = all(names[int(classes[of.row])] == of.true for of in mistakes.worst)
    elif encoded is not None and same and isinstance(mistakes, RegressionMistakes):
        values = encoded.reshape(len(encoded), -1)
        near = (abs(values[of.row] - of.true).min() <= 1e-3 * abs(of.true) for of in mistakes.worst)
        same = all(near)
    if not same:
        raise InputError(
            f"the {part} part is no longer the one that was tested (the data or its split has "
            "changed): test again, by dlp test."
        )


def describe_rows(data: SupervisedDataModule, part: Part, rows: Sequence[int]) -> Readable:
    """Return rows of a part as a person reads them: images, texts or a table.

    Args:
        data: Any of the project's DataModules.
        part: The part.
        rows: Numbers of rows in that part, from 0.
    """
    return data.readable(data.select(data.examples(part).rows, np.array(rows, np.int64)))
