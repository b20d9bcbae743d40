"""The contract of a kind of row: tables, texts, images, arrays, or a kind of one's own.

A kind is a `Rows`, an `Encoder` and a DataModule whose `load` returns such rows. All commands ask
these; none of them looks at what the rows are.
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
#: Function that builds an estimator of scikit-learn.
Estimator = Callable[..., "BaseEstimator"]
#: Estimators of scikit-learn by name.
Estimators = dict[str, "BaseEstimator"]

#: Columns of the files of predictions and mistakes.
_RESERVED_COLUMNS = {
    "index", "fold", "text", "input", "target", "class", "value", "set", "low", "high", "std",
    "true", "predicted", "probability",
}  # fmt: skip
#: Beginnings of the columns per class, label or target, such as ``prob_<class>``.
_RESERVED_PREFIXES = ("target", "prob", "value", "low", "high", "std")


def check_id_columns(names: Iterable[str], outputs: Iterable[str] = ()) -> None:
    """Check that no column that identifies rows has the name of a column that dlp writes.

    Args:
        names: Names of the columns, such as ``id_column``.
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
                "id_column: expected a name that no column written by dlp has, got "
                f"{name!r}. Rename the column in the file, or leave out id_column."
            )


class Rows(ABC):
    """N rows as they were read."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of rows."""

    @abstractmethod
    def __getitem__(self, index: Indices) -> Self:
        """Return the rows of the given indices, (M,)."""

    @abstractmethod
    def describe(self) -> str:
        """Describe all rows, for ``dlp data``."""

    @abstractmethod
    def raw(self) -> Sequence[object] | Array:
        """Return each row as people have it, and as `Predictor` takes it."""

    def encodable(self) -> object:
        """Return the rows as their encoder takes them: `raw`, or the same rows in a faster form."""
        return self.raw()

    def readable(self) -> list[str]:
        """Return a line per row for lists of mistakes; empty if id or number identify the row."""
        return []

    def id_columns(self) -> dict[str, Sequence[object]]:
        """Return further columns of ``predictions.csv`` by which a person identifies a row."""
        return {}

    @abstractmethod
    def features(self) -> "Sequence[str] | Array | pd.DataFrame":
        """Return the rows as scikit-learn takes them, (N, D) or (N,)."""

    def baselines(self, linear: Estimator, boosting: Estimator) -> Estimators:
        """Return scikit-learn estimators on `features` by name, to compare a network with.

        By default these are a linear model of scaled numbers, and gradient boosting. A kind of row
        whose features are not a matrix, or have too many columns, overrides it.

        Args:
            linear: Function from ``C``, the inverse strength of the penalty, to a linear model.
            boosting: Function that builds gradient boosting.
        """
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        return {
            "linear model": make_pipeline(StandardScaler(), linear()),
            "gradient boosting": boosting(),
        }


@dataclass(frozen=True)
class Examples:
    """Rows as they were read, with their targets.

    Args:
        inputs: N rows of one kind, `Rows`.
        targets: Values of the target column(s), (N,) or (N, T); None for unlabelled rows.
        encoded_targets: Targets as a `TargetEncoder` encodes them; None until a `LabelledSet` has
            encoded them.
        index: Row number of each row in its file, (N,); None for all rows in order.
        id_columns: Path or id of each row, objects (N,), by the column of ``predictions.csv`` that
            shows it.
        groups: Group of each row, (N,).
        times: Time of each row, (N,).
        hashes: Hash of each input row, uint64 (N,).
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
        """Targets of labelled rows.

        Raises:
            InputError: If the rows have no targets.
        """
        if self.targets is None:
            raise InputError("the rows have no targets; give labelled rows.")
        return self.targets

    @property
    def encoded_labels(self) -> Array:
        """Encoded targets of the rows of a `LabelledSet`.

        Raises:
            InputError: If the rows have no targets.
        """
        if self.encoded_targets is None:
            raise InputError("the rows have no encoded targets; give rows of a LabelledSet.")
        return self.encoded_targets

    def take(self, index: Indices) -> "Examples":
        """Return the rows of the given indices, (M,)."""
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
    """Return a hash per row of bytes or contiguous arrays, uint64 (N,)."""
    digests = [hashlib.blake2b(row, digest_size=8).digest() for row in rows]
    return np.frombuffer(b"".join(digests), np.uint64)
