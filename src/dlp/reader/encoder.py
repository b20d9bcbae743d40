"""The contract of encoders: rows as people have them become the arrays that a network takes."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from .fields import Field

Array = NDArray[Any]
Floats = NDArray[np.float64]
#: Cell of a table as people have it: a text, a number, a date, None, or any other object.
Cell = Any
#: Numbers, texts, None, lists and dictionaries of them by name: what a checkpoint keeps.
PlainValues = dict[str, Any]
#: Arguments of ``pandas.read_csv`` by name.
Options = Mapping[str, Any]
#: Rows of one kind, as people have them.
RowsT = TypeVar("RowsT", contravariant=True)
#: Rows after the first step of a `TwoStepEncoder`.
ConvertedT = TypeVar("ConvertedT")


class Bags(NamedTuple):
    """Sparse rows of numbers, as ``torch.nn.functional.embedding_bag`` takes them.

    Row i has the numbers ``weights[offsets[i]:offsets[i + 1]]`` at the places ``ids[...]``.

    Args:
        ids: Places of all rows, one row after the other, each place once in a row, (E,).
        offsets: Index in `ids` at which each row starts, (N,).
        weights: Number at each place, float32 (E,).
    """

    ids: Array
    offsets: Array
    weights: Array

    def to_dense(self, width: int) -> NDArray[np.float32]:
        """Return the rows as a matrix (N, width)."""
        lengths = np.diff(self.offsets, append=len(self.ids))
        matrix = np.zeros((len(self.offsets), width), np.float32)
        matrix[np.repeat(np.arange(len(lengths)), lengths), self.ids] = self.weights
        return matrix


#: What a network takes: float32 (N, ...), or sparse rows.
Encoded = NDArray[np.float32] | Bags


class Encoder(ABC, Generic[RowsT]):
    """Encoder of rows as people have them into the arrays that a network takes.

    It follows scikit-learn: an argument of ``__init__`` is an attribute of the same name; `fit`
    learns from the training rows and stores what it learned in attributes whose names end with an
    underscore, `input_shape_` among them; a second `fit` starts from scratch. Arguments and learned
    attributes are plain values, so that a checkpoint can contain them and another object take them.

    `transform` is the only way from a row to an input of the network in training, `Predictor`, the
    server and an exported model. It needs NumPy only, because an export brings the code of its
    class along. If its result takes too much memory for all training rows, write a
    `TwoStepEncoder`, whose DataModule stores the rows after the first step.

    A subclass may set three class attributes:

    - ``kind``: Name of the kind of row: ``table``, ``text``, ``image``, ``array``, or your own.
    - ``form``: How a page asks for a row: by its ``columns``, as ``text``, as a ``file``, or as
      ``json``.
    - ``explained_by``: Parts of a row by which its prediction is explained: the ``columns`` of a
      table, the ``words`` of a text, the ``pixels`` of an image, or None.
    """

    kind: ClassVar[str] = "rows"
    form: ClassVar[Literal["columns", "text", "file", "json"]] = "json"
    explained_by: ClassVar[Literal["columns", "words", "pixels"] | None] = None

    #: Shape of one encoded row: (D,) or (C, H, W).
    input_shape_: tuple[int, ...] = ()
    #: Arguments of ``pandas.read_csv`` by which the training table was read, if there was one.
    read_csv: Options | None = None

    @abstractmethod
    def fit(self, rows: RowsT, targets: Array | None = None) -> None:
        """Learn from the training rows.

        Args:
            rows: Rows, as people have them.
            targets: Values of the target columns, (N,) or (N, T), not yet encoded.
        """

    @abstractmethod
    def transform(self, rows: RowsT) -> Encoded:
        """Encode rows.

        Raises:
            ValueError: If a row cannot be encoded. The message is a sentence for its owner.
        """

    def fields(self) -> list[Field]:
        """Return the columns of a table; empty for other rows."""
        return []

    @property
    def column_names(self) -> list[str]:
        """Names of the columns of encoded rows; empty if they have none, as pixels."""
        return []

    def arguments(self) -> PlainValues:
        """Return the plain arguments of ``__init__`` by name."""
        names = inspect.signature(type(self)).parameters.keys() - self.objects().keys()
        return {name: getattr(self, name) for name in sorted(names)}

    def objects(self) -> dict[str, str]:
        """Return the names of the other arguments, with what a message calls each of them.

        A file cannot contain such an object, so it must be passed again.
        """
        return {}

    def state(self) -> PlainValues:
        """Return what `fit` learned, by the names of the attributes."""
        return {name: value for name, value in vars(self).items() if name.endswith("_")}

    def load_state(self, state: PlainValues) -> None:
        """Take what another object has learned, see `state`."""
        vars(self).update(state)


class TwoStepEncoder(Encoder[RowsT], Generic[RowsT, ConvertedT]):
    """Encoder whose DataModule stores what `convert` returns, and calls `expand` batch by batch."""

    @abstractmethod
    def convert(self, rows: RowsT) -> ConvertedT:
        """Convert rows into numbers that take little memory, such as cells of a table or pixels.

        Raises:
            ValueError: If a row cannot be encoded. The message is a sentence for its owner.
        """

    @abstractmethod
    def expand(self, converted: ConvertedT) -> NDArray[np.float32]:
        """Expand converted rows into what the network takes, float32 (N, ...)."""

    def transform(self, rows: RowsT) -> NDArray[np.float32]:
        """Encode rows: convert them, then expand them."""
        return self.expand(self.convert(rows))


#: Encoder of some kind of row.
AnyEncoder = Encoder[Any]


def ranges(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the numbers of all ranges, one range after the other."""
    if (lengths == 1).all():
        return starts
    shifts = starts - np.cumsum(lengths) + lengths
    return np.repeat(shifts, lengths) + np.arange(lengths.sum())
