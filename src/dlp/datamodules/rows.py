"""Interface for kinds of rows, such as tables, texts, images, arrays, or a custom kind.

A kind consists of a subclass of `Rows`, an `Encoder`, and a DataModule whose `load` returns such
rows. Commands only use these three, so they work with any kind of row.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from dlp.errors import InputError
from dlp.reader.encoder import Array, Encoder, PlainValues

__all__ = ["Array", "Encoder", "Examples", "Indices", "PlainValues", "Rows"]

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.base import BaseEstimator

Indices = NDArray[np.int64]
#: Function that builds a scikit-learn estimator.
Estimator = Callable[..., "BaseEstimator"]
#: Estimators from scikit-learn by name.
Estimators = dict[str, "BaseEstimator"]

#: Columns that dlp writes to files of predictions and mistakes.
_RESERVED_COLUMNS = {
    "index", "fold", "text", "input", "target", "class", "value", "set", "low", "high", "std",
    "true", "predicted", "probability",
}  # fmt: skip
#: Prefixes of columns that exist once for each class, label or target, such as ``prob_<class>``.
_RESERVED_PREFIXES = ("target", "prob", "value", "low", "high", "std")


def check_id_columns(names: Iterable[str], outputs: Iterable[str] = ()) -> None:
    """Check that columns that identify rows do not have the names of columns that dlp writes.

    Args:
        names: Names of the columns, such as the value of ``id_column``.
        outputs: Names of the classes, labels or targets.

    Raises:
        InputError: If a name is taken.
    """
    taken = set(_RESERVED_COLUMNS)
    for output in outputs:
        taken.update(f"{prefix}_{output}" for prefix in _RESERVED_PREFIXES)
    for name in names:
        if name in taken:
            raise InputError(
                f"id_column: expected a name that dlp does not use for its own columns, got "
                f"{name!r}. Rename the column in the file, or leave out id_column."
            )


class Rows(ABC):
    """N rows that are not yet encoded. A subclass represents one kind of row."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of rows."""

    @abstractmethod
    def __getitem__(self, index: Indices) -> Self:
        """Return the rows with the given indices, (M,)."""

    @abstractmethod
    def describe(self) -> str:
        """Return a description of all rows, which ``dlp data`` prints."""

    @abstractmethod
    def raw(self) -> Sequence[object] | Array:
        """Return the rows as users have them and as `Predictor` accepts them."""

    def encodable(self) -> object:
        """Return the rows in the form that their encoder accepts.

        By default it is `raw`. A subclass may return a form that is faster to encode.
        """
        return self.raw()

    def readable(self) -> list[str]:
        """Return one line per row for lists of mistakes.

        The list is empty if a row is better identified by its id or its number.
        """
        return []

    def id_columns(self) -> dict[str, Sequence[object]]:
        """Return further columns for ``predictions.csv`` that help a person to identify a row."""
        return {}

    @abstractmethod
    def features(self) -> "Sequence[str] | Array | pd.DataFrame":
        """Return the rows as input for scikit-learn, (N, D) or (N,)."""

    def baselines(self, linear: Estimator, boosting: Estimator) -> Estimators:
        """Return scikit-learn estimators by name, with which a network is compared.

        They are fitted to `features`. By default they are a linear model on standardised columns
        and gradient boosting. Override this method if the features are not a matrix or have too
        many columns.

        Args:
            linear: Function that builds a linear model. It accepts ``C``, the inverse strength of
                the penalty.
            boosting: Function that builds a gradient boosting model.
        """
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        return {
            "linear model": make_pipeline(StandardScaler(), linear()),
            "gradient boosting": boosting(),
        }


@dataclass(frozen=True)
class Examples:
    """Rows that are not yet encoded, with their targets.

    Args:
        inputs: N rows of one kind.
        targets: Values in the target column (N,) or columns (N, T). None for unlabelled rows.
        encoded_targets: Targets after encoding by a `TargetEncoder`. None until a `LabelledSet` has
            encoded them.
        index: Number of each row in its file, counted from 0, (N,). None if these are all rows of
            the file in order.
        id_columns: Path or id of each row, objects (N,), by the name of its column in
            ``predictions.csv``.
        groups: Group of each row, (N,), or None.
        times: Time of each row, (N,), or None.
        hashes: Hash of each input row, uint64 (N,), or None. Duplicates have equal hashes.

    Raises:
        InputError: If a name in `id_columns` is also the name of a column that dlp writes.
    """

    inputs: Rows
    targets: Array | None = None
    encoded_targets: Array | None = None
    index: Indices | None = None
    id_columns: Mapping[str, Array] = field(default_factory=dict)
    groups: Array | None = None
    times: Array | None = None
    hashes: NDArray[np.uint64] | None = None

    def __post_init__(self) -> None:
        check_id_columns(self.id_columns)

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def labels(self) -> Array:
        """Targets of the rows, which must be labelled.

        Raises:
            InputError: If the rows have no targets.
        """
        if self.targets is None:
            raise InputError("the rows have no targets. Give labelled rows.")
        return self.targets

    @property
    def encoded_labels(self) -> Array:
        """Encoded targets of the rows, which must come from a `LabelledSet`.

        Raises:
            InputError: If the rows have no encoded targets.
        """
        if self.encoded_targets is None:
            raise InputError("the rows have no encoded targets. Give rows from a LabelledSet.")
        return self.encoded_targets

    def take(self, index: Indices) -> "Examples":
        """Return the rows with the given indices, (M,)."""
        id_columns = {name: cells[index] for name, cells in self.id_columns.items()}
        values: dict[str, Array] = {"index": index}
        for name in ("targets", "encoded_targets", "index", "groups", "times", "hashes"):
            array = getattr(self, name)
            if array is not None:
                values[name] = array[index]
        return Examples(self.inputs[index], id_columns=id_columns, **values)


#: Labelled rows by the name of their part: ``train``, ``val``, ``test``.
LabelledParts = dict[str, Examples]


def row_hashes(rows: Iterable[Any]) -> NDArray[np.uint64]:
    """Return the hash of each row, uint64 (N,). A row is bytes or a contiguous array."""
    digests = [hashlib.blake2b(row, digest_size=8).digest() for row in rows]
    return np.frombuffer(b"".join(digests), np.uint64)
