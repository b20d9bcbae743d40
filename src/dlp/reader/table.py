"""Reader of rows of a table."""

import warnings
from collections.abc import Mapping
from datetime import datetime, time
from typing import Any

import numpy as np

from .cells import CellConverter
from .rows import Columns, Reader, Spec
from .text import tokenise

_ISO_DATE = "%Y-%m-%d"


class TableReader(Reader):
    """Reader of rows into numbers, float64 (N, K), and codes, int64 (N, any).

    A missing number is NaN. Codes are the numbers of a row's categories and words among all of
    training; -1 fills up rows that have fewer than others.
    """

    form = "columns"

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.numeric = list(dict.fromkeys([*spec["scales"], *spec["indicators"]]))
        self.names = [*self.numeric, *spec["categories"]]
        self.texts = spec.get("texts", ())  # not in models of 1.1
        self.dates = {*spec["dates"]}
        features = spec.get("features") or {}
        for name, dtype in features.get("dtypes", {}).items():  # not in models of 1.2.0
            if dtype.startswith("datetime64"):
                self.dates.add(name)
        self.converter = CellConverter(
            spec.get("read_csv"),
            self.dates,
            self.texts,
            spec["missing"] != "error",
            spec["categories"],
        )

    def __call__(self, rows: Any) -> list[Any]:
        """Encode rows: dictionaries by column, or `Columns`."""
        if not isinstance(rows, Columns):
            cells = {name: [self._cell(row, name) for row in rows] for name in self.names}
            rows = Columns(cells, range(len(rows)))
        codes, lengths = self.read_codes(rows)
        width = max(2, lengths.max(initial=0))  # ONNX fixes a size of 1
        places = np.arange(width)
        padded = np.full((len(rows), width), -1)
        padded[places < lengths[:, None]] = codes
        return [self.read_matrix(rows), padded]

    def read_matrix(self, rows: Columns) -> Any:
        """Return the numbers of all columns, float64 (N, K)."""
        numbers = np.empty((len(rows), len(self.numeric)))
        for place, name in enumerate(self.numeric):
            numbers[:, place] = self.read_numbers(name, rows)
        return numbers

    def read_numbers(self, name: str, rows: Columns) -> Any:
        """Return the numbers of a column, float64 (N,); a missing cell is NaN."""
        return self.converter.numbers(name, self._cell(rows.cells, name), rows.index)

    def read_texts(self, name: str, rows: Columns) -> tuple[list[str], Any]:
        """Return the distinct texts of a column, and the place of each row's in them, (N,)."""
        return self.converter.distinct_texts(name, self._cell(rows.cells, name), rows.index)

    def read_codes(self, rows: Columns) -> tuple[Any, Any]:
        """Return the codes of row after row, int32 (M,), and the number of codes of a row, (N,)."""
        columns = []
        lengths = np.zeros(len(rows), np.int64)
        first = 0
        for name, terms in self.spec["categories"].items():
            codes_by_term = {term: code for code, term in enumerate(terms, first)}
            first += len(terms)
            columns.append(self._column_codes(name, rows, codes_by_term))
            lengths += columns[-1][1]
        codes = np.empty(lengths.sum(), np.int32)
        starts = np.cumsum(lengths) - lengths
        for column, counts in columns:
            codes[_ranges(starts, counts)] = column
            starts += counts
        return codes, lengths

    def _cell(self, row: Any, name: str) -> Any:
        """Return a cell of a row, or the cells of a table."""
        if not isinstance(row, Mapping):
            raise ValueError(f"a row is a dictionary by column, not {row!r:.80}.")
        if name not in row:
            given = ", ".join(map(repr, row))
            raise ValueError(
                f"column {name!r} is absent; the model takes {', '.join(self.names)}, and the rows "
                f"have {given:.300}."
            )
        return row[name]

    def _column_codes(
        self, name: str, rows: Columns, codes_by_term: Mapping[str, int]
    ) -> tuple[Any, Any]:
        """Return the codes of a column of categories or texts as `read_codes` does."""
        texts, places = self.read_texts(name, rows)
        is_text = name in self.texts
        if not is_text and (unseen := sorted(set(texts) - set(codes_by_term))):
            warnings.warn(f"column {name!r}: unseen in training: {unseen[:5]}", stacklevel=7)
        codes = []
        lengths = []
        for text in texts:
            terms = dict.fromkeys(tokenise(text)) if is_text else [text]
            known = [codes_by_term[term] for term in terms if term in codes_by_term]
            codes += known
            lengths.append(len(known))
        counts = np.array(lengths, np.int64)
        starts = np.cumsum(counts) - counts
        counts = counts[places]
        return np.array(codes, np.int32)[_ranges(starts[places], counts)], counts

    def fields(self) -> list[dict[str, Any]]:
        """Return name, kind, typical cell, categories, and range in training of each column.

        Dates have the format of the training table.
        """
        fields = []
        for name, cell in self.spec["typical"].items():
            categories = None
            if name not in self.texts:
                categories = self.spec["categories"].get(name)
            kind = "text" if isinstance(cell, str) else "number"
            form = None
            if name in self.dates:
                kind = "date"
                form = self.converter.date_format(name)
                if cell:
                    date = datetime.fromisoformat(cell)
                    if form is None and date.tzinfo is not None:
                        form = "%Y-%m-%dT%H:%M:%S%z"
                    elif form is None and date.time() != time():
                        form = "%Y-%m-%dT%H:%M:%S"
                    cell = date.strftime(form or _ISO_DATE)
                form = form or _ISO_DATE
            elif categories:
                kind = "category"
            field = {
                "name": name,
                "kind": kind,
                "typical": cell,
                "categories": categories,
                "date_format": form,
                "range": self.spec.get("ranges", {}).get(name),  # not in models of 1.1
            }
            fields.append(field)
        return fields


def _ranges(starts: Any, lengths: Any) -> Any:
    """Return the numbers of all ranges, one after the other."""
    if (lengths == 1).all():
        return starts
    shifts = starts - np.cumsum(lengths) + lengths
    return np.repeat(shifts, lengths) + np.arange(lengths.sum())
