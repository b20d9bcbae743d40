"""The user's own features: a class or a function from data frame to data frame."""

import copy
import inspect
from collections.abc import Callable
from pydoc import locate
from typing import Any

import pandas as pd

from dlp.datamodules.rows import PlainValues
from dlp.datamodules.tables.files import plain_table
from dlp.errors import InputError
from dlp.hyperparameters import is_plain
from dlp.reader.rows import Columns

#: Function from rows as people have them to the arrays of a reader.
Read = Callable[[Any], Any]
FeaturesArgument = str | Callable[..., Any] | object


class FeatureTransformer:
    """Transformer of input columns, fitted on the training part.

    A checkpoint holds its plain attributes, never code: the config or the program gives the class
    again.

    Args:
        transformer: Object with ``transform(frame) -> frame`` and, if it learns, ``fit(frame)``; a
            class of such objects; a function of a frame; or the import path of a class or function,
            such as ``my_features.Ratios``. `fit` leaves what it learns in attributes: None, bool,
            int, float, str, or lists, tuples and dictionaries of these.
    """

    def __init__(self, transformer: FeaturesArgument) -> None:
        target = locate(transformer) if isinstance(transformer, str) else transformer
        if target is None:
            raise InputError(f"features: cannot import {transformer!r}.")
        self.transformer: Any = target() if inspect.isclass(target) else target
        self.name = getattr(target, "__qualname__", type(target).__qualname__)

    def fit(self, frame: pd.DataFrame) -> None:
        """Fit the transformer on the input columns of the training part."""
        if hasattr(self.transformer, "fit"):
            self.transformer.fit(frame.reset_index(drop=True))
        for name, value in vars(self.transformer).items():
            if not is_plain(value):
                raise InputError(
                    f"features: {self.name}.{name} is a {type(value).__name__}, which a checkpoint "
                    "does not hold. Store plain values, by float(...) or .tolist()."
                )

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the features, row for row."""
        rows = frame.reset_index(drop=True)
        try:
            result = getattr(self.transformer, "transform", self.transformer)(rows)
        except KeyError as error:
            raise InputError(f"features: {self.name} needs the column {error}.") from error
        if not isinstance(result, pd.DataFrame) or not result.index.equals(rows.index):
            raise InputError(
                f"features: {self.name} must return a data frame with the index of its input."
            )
        return plain_table(result, f"the result of {self.name}").set_axis(frame.index, axis=0)

    def state(self) -> PlainValues:
        """Return name and attributes as plain values."""
        return {"name": self.name, "attributes": dict(vars(self.transformer))}

    def load_state(self, state: PlainValues) -> None:
        """Restore a `state`."""
        vars(self.transformer).update(state["attributes"])


def with_features(read: Read, transformer: FeaturesArgument | None, state: PlainValues) -> Read:
    """Return a function that transforms the columns before it reads them."""
    if transformer is None:
        raise InputError(
            f"the model was trained with features: {state['name']}, whose code a file cannot "
            "bring. Give it to Predictor.load(features=...), or the run to dlp predict or serve."
        )
    features = FeatureTransformer(copy.deepcopy(transformer))  # each fold has another state
    features.load_state(state)

    def read_features(rows: Any) -> Any:
        table = rows.cells if isinstance(rows, Columns) else rows
        frame = features.transform(pd.DataFrame(table))
        cells = {str(name): column.to_numpy() for name, column in frame.items()}
        return read(Columns(cells, getattr(rows, "index", range(len(frame)))))

    return read_features
