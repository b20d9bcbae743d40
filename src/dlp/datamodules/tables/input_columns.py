"""Which columns of a labelled table are inputs, and how its cells are written: for other tables."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from dlp.datamodules.tables.encoding import ColumnEncoder
from dlp.datamodules.tables.files import Table
from dlp.datamodules.tables.parquet_columns import columns_of
from dlp.datamodules.tables.table_format import ColumnFormat
from dlp.table_places import TableRows, absent


@dataclass(frozen=True)
class InputColumns:
    """What the columns of the labelled table were taken for; a run keeps it.

    Args:
        names: The columns that inputs are made of, in their order.
        left_out: Columns of which nothing can be learned, and why.
        formats: How the cells of each column are written; None in runs of older versions, whose
            tables had the types that pandas gives.
    """

    names: list[str]
    left_out: dict[str, str]
    formats: dict[str, ColumnFormat] | None

    @classmethod
    def of(cls, table: Table, encoder: ColumnEncoder, others: Iterable[str]) -> "InputColumns":
        """Return the columns that something can be learned of.

        Args:
            table: The labelled table.
            encoder: What is to make inputs of them.
            others: Columns that are something else, such as the target.

        Raises:
            InputError: The cells of such a column could not be understood.
        """
        if encoder.only:
            return cls(encoder.only, {}, dict(table.formats))
        apart = {*others, *table.skipped} - encoder.listed
        names = [str(name) for name in table.frame if name not in apart]
        left_out: dict[str, str] = {}
        if encoder.features is None:  # else they may make something of it
            table.check(name for name in names if name not in encoder.categorical)
            left_out = encoder.useless(columns_of(table.frame, names))
        return cls([name for name in names if name not in left_out], left_out, dict(table.formats))

    def rows(self, table: Table, encoder: ColumnEncoder) -> TableRows:
        """Return the inputs of the rows of a table.

        Raises:
            MissingInputError: It lacks a column.
            InputError: The cells of a column could not be understood.
        """
        for name in self.names:
            if name not in table.frame:
                known = table.frame.columns
                raise absent("the input lacks a column that was trained on", name, known)
        if encoder.features is None:
            table.check(name for name in self.names if name not in encoder.categorical)
        return columns_of(table.frame, self.names)

    def state(self) -> dict[str, Any]:
        """Return it as plain values."""
        formats = self.formats
        return {
            "columns": list(self.names),
            "left_out": dict(self.left_out),
            "formats": formats and {name: asdict(found) for name, found in formats.items()},
        }

    @classmethod
    def of_state(cls, state: dict[str, Any]) -> "InputColumns":
        """Return what `state` was made of; older runs lack all but the names."""
        found = state.get("formats")
        formats = found and {name: ColumnFormat.of_state(each) for name, each in found.items()}
        return cls(list(state["columns"]), dict(state.get("left_out", {})), formats)
