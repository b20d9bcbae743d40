"""The user's own features: a class or a function from data frame to data frame."""

import copy
import inspect
from collections.abc import Callable, Mapping
from pydoc import locate
from typing import Any

import numpy as np
import pandas as pd

from dlp.datamodules.rows import PlainValues
from dlp.datamodules.tables.files import plain_table
from dlp.datamodules.tables.kinds import is_date
from dlp.errors import InputError
from dlp.hyperparameters import is_plain
from dlp.reader.rows import Columns, Spec
from dlp.reader.table import TableReader

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
        #: Type of each input column in the training.
        self.dtypes: dict[str, str] = {}

    def fit(self, frame: pd.DataFrame) -> None:
        """Fit the transformer on the input columns of the training part."""
        self.dtypes = {str(name): str(dtype) for name, dtype in frame.dtypes.items()}
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
        for name, dtype in self.dtypes.items():
            if name in frame and is_date(frame[name]) and frame[name].dt.tz is None:
                _check_zone(name, dtype, has_zone=False)
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
        """Return name, attributes and types as plain values."""
        attributes = dict(vars(self.transformer))
        return {"name": self.name, "attributes": attributes, "dtypes": self.dtypes}

    def load_state(self, state: PlainValues) -> None:
        """Restore a `state`."""
        vars(self.transformer).update(state["attributes"])
        self.dtypes = state.get("dtypes", {})  # not in models of 1.2.0


def with_features(read: Read, transformer: FeaturesArgument | None, spec: Spec) -> Read:
    """Return a function that transforms the columns before it reads them.

    The transformer gets the types of the training: dates, numbers and texts, regardless of how a
    dictionary or a CSV holds the cells.

    Args:
        read: Reader of the features.
        transformer: Transformer, from the config or the program.
        spec: Spec of the encoder, with the state of the transformer.
    """
    state = spec["features"]
    if transformer is None:
        raise InputError(
            f"the model was trained with features: {state['name']}, whose code a file cannot "
            "bring. Give it to Predictor.load(features=...), or the run to dlp predict or serve."
        )
    features = FeatureTransformer(copy.deepcopy(transformer))  # each fold has another state
    features.load_state(state)
    if not features.dtypes:
        features.dtypes = _dtypes_of_1_2_0(spec)
    reader = _input_reader(features.dtypes, spec)

    def read_features(rows: Any) -> Any:
        table = rows if isinstance(rows, Columns) else _columns(rows)
        frame = pd.DataFrame(dict(table.cells))
        for name, dtype in features.dtypes.items():
            if name in frame:
                frame[name] = _as_trained(frame[name], dtype, reader, table)
        frame = features.transform(frame)
        cells = {str(name): column.to_numpy() for name, column in frame.items()}
        return read(Columns(cells, table.index))

    return read_features


def _dtypes_of_1_2_0(spec: Spec) -> dict[str, str]:
    """Return the types of the numbers and dates of a model that does not have them all."""
    dtypes = {}
    for name, cell in spec["typical"].items():
        if isinstance(cell, float):
            dtypes[name] = "float64"
    dates = (spec["read_csv"] or {}).get("parse_dates", ())
    return dtypes | dict.fromkeys(dates, "datetime64[us]")


def _input_reader(dtypes: Mapping[str, str], spec: Spec) -> TableReader:
    """Return a reader of the columns before they are transformed."""
    dates = [name for name, dtype in dtypes.items() if dtype.startswith("datetime64")]
    texts = [name for name, dtype in dtypes.items() if dtype in ("str", "category")]
    numbers = [name for name in dtypes if name not in texts]
    columns = {
        "scales": numbers,
        "categories": {name: [] for name in texts},
        "indicators": [],
        "dates": dates,
    }
    return TableReader({**spec, **columns, "missing": "mean"})


def _columns(rows: Any) -> Columns:
    """Return dictionaries by column as columns."""
    for row in rows:
        if not isinstance(row, Mapping):
            raise ValueError(f"a row is a dictionary by column, not {row!r:.80}.")
    cells: dict[str, list[Any]] = {}
    for name in rows[0]:
        for number, row in enumerate(rows):
            if name not in row:
                raise ValueError(f"column {name!r} of row {number} is absent.")
        cells[name] = [row[name] for row in rows]
    return Columns(cells, range(len(rows)))


def _check_zone(name: str, dtype: str, has_zone: bool) -> None:
    """Check that times have an offset from UTC if those of the training had one."""
    if "," in dtype and not has_zone:
        raise InputError(
            f"the times of column {name!r} have no offset from UTC, but those of the training have "
            "one. Write it, such as 2024-01-05T12:00:00+01:00."
        )


def _as_trained(column: Any, dtype: str, reader: TableReader, rows: Columns) -> Any:
    """Return a column with the type that it had in the training."""
    name = str(column.name)
    if dtype in ("str", "category"):
        distinct, places = reader.read_texts(name, rows)
        texts: Any = pd.Series(np.array(distinct, object)[places], dtype="str")
        return texts.where(texts != "").astype(dtype)
    if dtype.startswith("datetime64"):
        if is_date(column):
            return column
        if reader.converter.date_format(name) is None:
            texts = pd.Series(column.dropna().unique()).astype("str")
            is_naive = texts.str.fullmatch(r"\d{4}-?\d\d-?\d\d[T ][\d:.,]+")
            _check_zone(name, dtype, has_zone=not is_naive.any())
        days: Any = pd.Series(reader.read_numbers(name, rows))
        microseconds = (days * 86_400e6).round()
        has_zone = "," in dtype
        return pd.to_datetime(microseconds, unit="us", utc=has_zone).astype(dtype)
    if not pd.api.types.is_numeric_dtype(dtype):
        return column
    numbers: Any = pd.Series(reader.read_numbers(name, rows))
    is_whole = bool((numbers % 1 == 0).all())  # missing numbers are not
    return numbers.astype(dtype) if is_whole else numbers
