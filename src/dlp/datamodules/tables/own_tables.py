"""Own tables: a CSV or Parquet file with a target column, numbers, categories and holes."""

import os
from dataclasses import replace
from typing import Any, ClassVar, Literal, Unpack, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dlp.datamodules.base import Examples, SharedArguments, SupervisedDataModule
from dlp.datamodules.reading import InputReading, Kind
from dlp.datamodules.splitting.groups import check_roles, keys_of_table, table_hashes
from dlp.datamodules.splitting.splits import Indices
from dlp.datamodules.tables.column_readings import read_columns
from dlp.datamodules.tables.column_values import target_values
from dlp.datamodules.tables.encoding import ColumnEncoder, Missing
from dlp.datamodules.tables.files import (
    Table,
    of_frame,
    read_as_pandas,
    read_table,
    without_unlabelled,
)
from dlp.datamodules.tables.input_columns import InputColumns
from dlp.datamodules.tables.numeric_scale import Scaling
from dlp.datamodules.tables.own_features import FeatureMaker, FeaturesArgument
from dlp.datamodules.tables.parquet_columns import chosen, columns_of, in_memory
from dlp.datamodules.tables.table_format import ColumnFormat, TableFormat
from dlp.datamodules.targets import TargetEncoder, TaskArgument
from dlp.errors import InputError, unknown
from dlp.table_places import TableRows, absent, row_numbers
from dlp.target_transforms import TargetTransform


class TableDataModule(SupervisedDataModule):
    """A table with one row for each sample, from a CSV or Parquet file.

    Inputs become float32 (N, D): the numeric columns (dates among them, as days since 1970), then
    the categorical ones as one-hot columns (`feature_names` lists them). Fill values, scales and
    categories come from the training part alone and are saved with the checkpoint, as is how the
    cells are written. Targets stay in the unit they have in the file. `reading` says what each
    column was taken for; columns of which nothing can be learned, such as names, are left out.

    Args:
        path: The labelled table: .csv, .tsv or .parquet; CSVs may be packed (.csv.gz).
        target: The column to predict, or several.
        test_path: A table of its own to test on.
        test_size: Rows to test on, where there is no `test_path`: a count or a fraction.
        predict_path: A table to predict, without target; columns that are not inputs are ignored.
        numeric_columns: Columns that hold numbers; by default those that do. With `features`, this
            and the next name columns of what those return.
        categorical_columns: Columns of which each distinct value is a category; by default the
            texts that are not mostly different. If both are given, no other column is used.
        drop_columns: Columns that are no input, such as row numbers and names.
        drop_unlabelled: Leave out the rows without a target; they are counted.
        table_format: What the files leave open: separator, encoding, decimal mark, day or month
            first, cells that mean "missing", the names of columns, and whether quotes hold cells
            together.
        missing: What to do with missing cells: say where the first is and stop, or fill numbers by
            mean or median of the column, or by zero after scaling (with standard scaling that is
            the mean); a missing category is then a category of its own.
        missing_indicator: Add a column of 0 and 1 for each numeric column with missing cells.
        scaling: How numeric columns are scaled, each by itself: ``standard`` by mean and standard
            deviation, ``minmax`` by minimum and range, ``quantile`` by rank to a normal shape,
            which skewed columns and outliers ask for.
        bins: Give each numeric column also as so many bins, which a network learns bends and
            steps from; 0 for none.
        target_scaling: Train on standardised targets; metrics and predictions keep their unit.
        target_transform: Train on the logarithm of the target, ``log`` of values above 0 or
            ``log1p`` of 1 + values, which prices, incomes and counts ask for; with
            `target_scaling` on the standardised logarithm. Metrics and predictions keep their unit.
        features: Your own features: import path of a class with transform(frame) and, if it
            learns something, fit(frame), or of a function of a frame; in Python also the class or
            function itself. It sees the input columns alone and must keep every row.
        task: What the target is; ``auto`` looks at it.
        class_names: Names of the classes, where the target column holds class numbers.
        positive_class: Of two classes, the one that recall, precision, F1, average precision and
            the threshold are of (class 1). By default the last one: of texts by the alphabet, of
            numbers the larger, of `class_names` the second.
        group_column: Column of what rows may have in common, such as a patient or an author: rows
            of one group stay in one part, so that sizes are kept as nearly as whole groups allow.
            It is no input.
        time_column: Column of numbers or dates (ISO 8601): rows are put in its order and not
            shuffled; the latest ones are the test part, those before them the validation part, and
            folds validate on later rows than they train on. It is no input, unless listed.
        id_column: Column that says which row is which, such as a customer number: predictions and
            mistakes carry it along, and it is no input.

    Example:
        >>> data = TableDataModule("houses.csv", target="price", drop_columns=["id"], test_size=0.2)
    """

    encoder: ColumnEncoder
    defaults: ClassVar[SharedArguments] = {"eval_batch_size": 4096}

    def __init__(
        self,
        path: str | os.PathLike[str],
        target: str | list[str],
        test_path: str | os.PathLike[str] | None = None,
        test_size: int | float | None = None,
        predict_path: str | os.PathLike[str] | None = None,
        numeric_columns: list[str] | None = None,
        categorical_columns: list[str] | None = None,
        drop_columns: list[str] | None = None,
        drop_unlabelled: bool = False,
        table_format: TableFormat | None = None,
        missing: Missing = "error",
        missing_indicator: bool = False,
        scaling: Scaling = "standard",
        bins: int = 0,
        target_scaling: Literal["none", "standard"] = "none",
        target_transform: TargetTransform = "none",
        features: FeaturesArgument | None = None,
        task: TaskArgument = "auto",
        class_names: list[str] | None = None,
        positive_class: str | int | None = None,
        group_column: str | None = None,
        time_column: str | None = None,
        id_column: str | None = None,
        **shared: Unpack[SharedArguments],
    ) -> None:
        self.target_columns = [target] if isinstance(target, str) else list(target)
        super().__init__(
            targets=TargetEncoder(
                task, class_names, names=self.target_columns, positive=positive_class
            ),
            encoder=ColumnEncoder(
                numeric_columns,
                categorical_columns,
                missing,
                missing_indicator,
                scaling,
                bins,
                None if features is None else FeatureMaker(features),
            ),
            test_size=test_size,
            **shared,
        )
        if test_path is not None and test_size is not None:
            raise InputError("give test_path or test_size, not both.")
        self.path = path
        self.test_path = test_path
        self.predict_path = predict_path
        self.drop_columns = list(drop_columns or ())
        self.drop_unlabelled = drop_unlabelled
        self.table_format = TableFormat.of(table_format)
        self.group_column = group_column
        self.time_column = time_column
        self.id_column = id_column
        self.split.check(group_column is not None, time_column is not None)
        self.target_scaling = target_scaling
        if target_transform not in get_args(TargetTransform):
            raise unknown("target_transform", target_transform, get_args(TargetTransform))
        self.target_transform = target_transform
        listed = [*(numeric_columns or ()), *(categorical_columns or ())]
        self._roles = self._checked_roles(listed)
        self._understood: InputColumns | None = None
        self._checked: tuple[Any, list[TableRows]] = None, []
        self._labelled_table: Table | None = None
        self._unlabelled = 0  # rows of it that are left out

    def _checked_roles(self, listed: list[str]) -> dict[str, Kind]:
        """Return what each column is for that is no input; `listed` are those named as inputs."""
        group, time, row_id = self.group_column, self.time_column, self.id_column
        check_roles(self.target_columns, self.drop_columns, listed, group, time, row_id)
        roles: dict[str | None, Kind] = {
            **dict.fromkeys(self.drop_columns, "left out"),
            time: "time",
            group: "group",
            row_id: "id",
            **dict.fromkeys(self.target_columns, "target"),
        }
        return {name: role for name, role in roles.items() if name is not None}

    # Where the tables come from ----------------------------------------------------------------

    def read_train(self) -> Table | pd.DataFrame:
        """Return the labelled table."""
        return self._table(self.path)

    def read_test(self) -> Table | pd.DataFrame | None:
        """Return the table of the test part; None where there is none of its own."""
        return None if self.test_path is None else self._table(self.test_path)

    def _table(self, path: str | os.PathLike[str]) -> Table:
        formats = self._formats
        if formats is None:
            return read_as_pandas(path)
        texts = [] if self.id_column is None else [self.id_column]
        kinds = texts, self.encoder.categorical, self.targets.class_columns
        return read_table(path, self.table_format, formats, *kinds)

    def _as_table(self, given: Table | pd.DataFrame) -> Table:
        if isinstance(given, Table):
            return given
        name, formats, classes = type(self).__name__, self._formats, self.targets.class_columns
        return of_frame(given, name, self.table_format, formats, classes=classes)

    @property
    def _formats(self) -> dict[str, ColumnFormat] | None:
        return {} if self._understood is None else self._understood.formats

    # What the base asks for --------------------------------------------------------------------

    def load_train(self) -> Examples:
        """Return the labelled rows."""
        if not self.is_fitted:
            self._understood = None
        self._checked = None, []
        table = self._as_table(self.read_train())
        roles = dict.fromkeys(self.drop_columns, "drop_columns")
        roles |= dict.fromkeys(self.encoder.only or (), "an input column")
        for column, role in (dict.fromkeys(self.target_columns, "target") | roles).items():
            if column not in table.frame and column not in table.skipped:
                raise absent(role, column, table.frame.columns)
        if self._understood is None:
            self._understood = InputColumns.of(table, self.encoder, self._roles)
        return self._labelled_rows(table, "the table", self.group_column, self.time_column)

    def load_test(self) -> Examples | None:
        """Return the rows of `test_path`."""
        self._checked = None, []
        given = self.read_test()
        if given is None:
            return None
        table = self._as_table(given)
        for column in self.target_columns:
            if column not in table.frame:
                raise absent("target of the test part", column, table.frame.columns)
        group_column = self.group_column if self.group_column in table.frame else None
        return self._labelled_rows(table, "the test table", group_column)

    def load_predict(self) -> Examples | None:
        """Return the rows of `predict_path`."""
        if self.predict_path is None:
            return None
        table = self._table(self.predict_path)
        frame = table.frame
        there = all(column in frame for column in self.target_columns)
        truth = None
        if there:
            truth = in_memory(columns_of(frame, self.target_columns)).to_numpy(object)
        _, _, ids = keys_of_table(frame, None, None, self.id_column)
        return Examples(self._inputs(table), places=_places(frame), ids=ids, truth=truth)

    def select(self, rows: TableRows, index: Indices) -> TableRows:
        """Return the rows at the positions `index`."""
        return chosen(rows, index)

    def readable(self, rows: TableRows) -> pd.DataFrame:
        """Return the rows as they are."""
        return in_memory(rows)

    def learn_inputs(self, rows: TableRows, targets: NDArray[Any]) -> dict[str, Any]:
        """Fit the user's features, then fill values, scales and categories.

        All labelled rows are looked at afterwards, so that a bad cell shows before any training.
        """
        parts, labelled = self.labelled_rows()
        assert self._understood is not None
        self.encoder.fit(rows, targets, self._understood.left_out, labelled.rows)
        tables = [labelled.rows]
        if self.has_test and not len(parts.test):  # else it was cut from these rows
            tables.append(self.examples("test").rows)
        kinds, (known, checked) = self.encoder.kinds, self._checked
        if kinds is None or kinds != known or [*map(id, tables)] != [*map(id, checked)]:
            for table in tables:
                self.encoder.check(table)
            self._checked = kinds, tables  # for all folds
        return {**self._understood.state(), **self.encoder.state(), "left_out": self.left_out}

    def plain_columns(self, rows: TableRows) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the columns before they are filled, scaled and made one-hot."""
        return self.encoder.plain_columns(rows)

    def batch_shape(self) -> tuple[int, ...]:
        """Return (D,)."""
        return (len(self.encoder.names),)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state of a checkpoint.

        Raises:
            InputError: The run was trained with other features of your own than are given.
        """
        super().load_state_dict(state_dict)
        if self.id_column in state_dict["inputs"]["columns"]:
            raise InputError(
                f"{self.id_column!r} was an input when this run was trained; it cannot be its "
                "id_column. Train again with id_column, or name another column."
            )
        self._understood = InputColumns.of_state(state_dict["inputs"])

    def read_input(self) -> InputReading:
        """Return what each column was taken for."""
        table, known = self._labelled_table, self._understood
        assert table is not None
        assert known is not None
        found = read_columns(table, self._roles, known, self.encoder)
        if not self._unlabelled:
            return found
        note = f"{self._unlabelled:,} rows without a target are left out"
        return replace(found, notes=(*found.notes, note))

    @property
    def left_out(self) -> dict[str, str]:
        """Columns that are no inputs since nothing can be learned of them, and why."""
        known = {} if self._understood is None else self._understood.left_out
        return {**known, **self.encoder.left_out}

    @property
    def feature_names(self) -> list[str]:
        """The names of the D inputs, such as ``age`` or ``city=Paris``."""
        self.fit()
        return self.encoder.names

    def _inputs(self, table: Table) -> TableRows:
        """Return the columns that are inputs, in the order of the training table."""
        if self._understood is None:
            self.fit()
        assert self._understood is not None
        return self._understood.rows(table, self.encoder)

    def _labelled_rows(
        self, table: Table, of: str, group_column: str | None, time_column: str | None = None
    ) -> Examples:
        classes = self.targets.task == "classification"
        keys = [name for name in (group_column, time_column) if name and name in table.frame]
        table.check([*([] if classes else self.target_columns), *keys], inputs=False)
        drops, targets = self.drop_unlabelled, self.target_columns
        table, count = without_unlabelled(table, targets) if drops else (table, 0)
        if count:
            said = f"{count:,} rows of {of} have no target and are left out"
            self._say_once(f"unlabelled {of}", said)
        if of == "the table":
            self._labelled_table, self._unlabelled = table, count
        inputs = self._inputs(table)
        values = target_values(table.frame, targets, self.targets.task)
        groups, times, ids = keys_of_table(table.frame, group_column, time_column, self.id_column)
        return Examples(
            *(inputs, values, table_hashes(inputs)),
            groups=groups,
            times=times,
            places=_places(table.frame),
            ids=ids,
        )


def _places(rows: TableRows) -> NDArray[np.int64] | None:
    """Return the number of each row in its file; None where all are there in its order."""
    index = rows.index
    if isinstance(index, pd.RangeIndex) and index.equals(pd.RangeIndex(len(rows))):
        return None
    return row_numbers(rows)
