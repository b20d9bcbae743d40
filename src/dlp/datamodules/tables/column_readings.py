"""What the columns of a table were taken for, and what is suspicious about them."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dlp.datamodules.reading import (
    ColumnReading,
    InputReading,
    Kind,
    but_for_case,
    clipped,
    few,
)
from dlp.datamodules.splitting.by_sorting import num_distinct
from dlp.datamodules.splitting.groups import alike
from dlp.datamodules.tables.cell_numbers import with_words
from dlp.datamodules.tables.column_values import holds_dates, numbers
from dlp.datamodules.tables.encoding import ColumnEncoder
from dlp.datamodules.tables.files import Table
from dlp.datamodules.tables.input_columns import InputColumns
from dlp.table_places import TableRows

#: Of fewer different numbers none is far from the others.
_FEW_NUMBERS = 5
#: Days since 1970 that programs write for "none": of the years 1, 1900, 1970 and 9999.
_DAYS = (-719162.0, -25567.0, 0.0, 2932896.0)
#: So many rows tell what the texts of a column are.
_LOOKED_AT = 2000
#: Fewer rows than this prove no leak.
_ENOUGH = 20


def read_columns(
    table: Table,
    roles: Mapping[str, Kind],
    understood: InputColumns,
    encoder: ColumnEncoder,
) -> InputReading:
    """Return what each column of a labelled table was taken for, in the order of the file.

    Args:
        table: The table.
        roles: What a person named columns for: target, id, group, time, or left out.
        understood: The columns that inputs are made of, and those left out.
        encoder: What makes inputs of them, fitted.
    """
    frame, inputs = table.frame, understood.names
    targets = {
        name: (frame[name], _num_different(frame[name]))
        for name, kind in roles.items()
        if kind == "target"
    }
    columns: list[ColumnReading] = []
    found: dict[str, _Findings] = {}
    for name in map(str, frame):
        series = frame[name]  # once: it may be read from the file
        columns.append(_read_column(table, series, roles, understood, encoder))
        found[name] = _findings(series, targets, name in inputs)
    columns += [
        ColumnReading(name, "left out", reason, missing=1.0)
        for name, reason in table.skipped.items()
        if name not in frame
    ]
    notes = [
        found[name].leaks[target]
        for target in targets
        for name in inputs
        if target in found[name].leaks
    ]
    notes += [*_odd(frame, inputs, found), *table.notes]
    notes += [note for name in (*targets, *inputs) for note in found[name].marks]
    texts = (*inputs, *(name for name in understood.left_out if name in frame))
    notes += [note for name in texts for note in found[name].units]
    if encoder.features is not None:
        notes.append(f"the inputs are what {encoder.features.name} makes of these columns")
    return InputReading(table.source, tuple(columns), notes=tuple(notes))


@dataclass(frozen=True)
class _Findings:
    """What a person should look at in one column.

    Args:
        leaks: Of each target that it tells, the note.
        odd: That its texts differ by case alone, or that it counts the rows.
        marks: Numbers that may stand for "missing".
        units: That its cells are numbers with words behind them.
        head: Equal for columns whose first rows are equal; None where cells are lists and the like.
    """

    leaks: dict[str, str]
    odd: list[str]
    marks: list[str]
    units: list[str]
    head: bytes | None


def _findings(
    series: "pd.Series[Any]", targets: Mapping[str, tuple["pd.Series[Any]", int]], is_input: bool
) -> _Findings:
    marks = _marks(series) if is_input or series.name in targets else []
    if not is_input:
        return _Findings({}, [], marks, _units(series), None)
    leaks = {
        target: f"column {series.name!r} alone tells the target {target!r} in every row: it is the "
        "target in other words, or known only afterwards? If so, drop_columns"
        for target, (values, different) in targets.items()
        if len(series) >= _ENOUGH and _tells(series, values, different)
    }
    # Of millions of rows the first ones tell most columns apart.
    head = _hashed(series.iloc[:_LOOKED_AT]) if _is_hashable(series) else None
    odd = []
    twins = but_for_case(series.dropna().unique()) if series.dtype == object else None
    if twins is not None:
        odd.append(
            f"column {series.name!r} has {twins[0]!r} and {twins[1]!r}, which differ by upper and "
            "lower case or blanks alone"
        )
    if _counts(series):
        odd.append(
            f"column {series.name!r} counts the rows: if it says nothing else, drop_columns: "
            f"[{series.name}]"
        )
    return _Findings(leaks, odd, marks, _units(series), head)


def _read_column(
    table: Table,
    series: "pd.Series[Any]",
    roles: Mapping[str, Kind],
    understood: InputColumns,
    encoder: ColumnEncoder,
) -> ColumnReading:
    name = str(series.name)
    found = table.formats.get(name)
    said = found.words() if found is not None else ""
    kind: Kind
    is_input, role = name in understood.names, roles.get(name)
    if role == "time" and is_input:
        role = None
    if role is not None:
        details = {
            "id": "carried along, no input",
            "group": f"{series.nunique():,} groups, no input",
            "time": f"{_range(series)}, no input",
            "left out": "drop_columns",
        }
        kind, detail = role, details.get(role, "")
    elif not is_input:
        reasons = {**table.skipped, **understood.left_out}
        kind, detail, said = "left out", reasons.get(name, "it is not among the inputs"), ""
    elif encoder.features is not None:
        kind, detail = _plain_kind(series), f"{_range(series)}, for your features"
    else:
        known, categories = encoder.kind_of(name) or ("number", [])
        kind, detail = known, _range(series)
        if known == "category":
            word = "category" if len(categories) == 1 else "categories"
            detail = f"{len(categories):,} {word}: {few(categories)}"
        elif pd.api.types.is_bool_dtype(series) or (found and found.kind == "boolean"):
            kind, detail = "boolean", "true is 1, false is 0"
    detail = ", ".join(part for part in (detail, said) if part)
    example = clipped(table.examples.get(name, ""), 40)
    return ColumnReading(name, kind, detail, example, float(series.isna().mean()))


def _plain_kind(series: "pd.Series[Any]") -> Kind:
    if pd.api.types.is_bool_dtype(series):
        return "boolean"
    if pd.api.types.is_datetime64_any_dtype(series):
        return "date"
    return "number" if pd.api.types.is_numeric_dtype(series) else "text"


def _range(series: "pd.Series[Any]") -> str:
    """Return the least and the greatest value in words; of texts how many differ."""
    filled = series.dropna()
    if not len(filled):
        return "empty"
    if pd.api.types.is_datetime64_any_dtype(series):
        return f"{filled.min():%Y-%m-%d} to {filled.max():%Y-%m-%d}, as days"
    if not pd.api.types.is_numeric_dtype(series):
        return f"{filled.astype(str).nunique():,} different"
    low, high = filled.min(), filled.max()
    return f"{low:,.6g} to {high:,.6g}" if low != high else f"{low:,.6g} in every row"


def _odd(frame: TableRows, inputs: Sequence[str], found: Mapping[str, _Findings]) -> list[str]:
    """Return what is odd about inputs: equal columns, equal texts, counters of rows."""
    notes: list[str] = []
    seen: dict[bytes, str] = {}
    like_another = Counter(found[name].head for name in inputs)
    for name in inputs:
        if found[name].head is not None and like_another[found[name].head] > 1:
            series = frame[name]
            twin = seen.setdefault(_hashed(series), name)
            if twin != name and series.nunique() > 1:
                notes.append(f"columns {twin!r} and {name!r} are equal in every row")
        notes += found[name].odd
    return notes


def _units(series: "pd.Series[Any]") -> list[str]:
    """Note a column of texts of which most are numbers with different words behind them."""
    cells = [] if series.dtype != object else series.dropna().iloc[:_LOOKED_AT].tolist()
    found = with_words(list(dict.fromkeys(cell for cell in cells if isinstance(cell, str))))
    if not found:
        return []
    return [
        f"column {series.name!r} is taken for texts: its cells, such as {found[0]!r}, are numbers "
        "with words behind them, which are not the same in every cell. If they are amounts, write "
        "all in one unit"
    ]


def _marks(series: "pd.Series[Any]") -> list[str]:
    """Note a number or date that may stand for "missing"."""
    kinds = pd.api.types
    dates = holds_dates(series)
    if not (dates or kinds.is_numeric_dtype(series)) or kinds.is_bool_dtype(series):
        return []
    filled = series.dropna()
    values = numbers(filled) if dates else filled.to_numpy(np.float64)
    if (mark := _mark_for_missing(values, dates)) is None:
        return []
    shown, kind = f"{mark:.12g}", "numbers"
    if dates:
        shown, kind = str(np.datetime64("1970-01-01") + np.timedelta64(int(mark), "D")), "dates"
    way = "leave these cells empty"  # 0 may mean more in other columns
    if not dates and _in_nines(mark):
        way = f"table_format: {{na_values: ['{shown}']}}, which holds for all columns"
    return [
        f"{shown} in column {series.name!r} is far from all other {kind} of it "
        f"({int((values == mark).sum()):,} cells); if it means missing: {way}"
    ]


def _mark_for_missing(values: NDArray[np.float64], dates: bool) -> float | None:
    """Return a least or greatest number that may stand for "missing", such as -999."""
    if len(values) < _ENOUGH or not np.isfinite(values).all():
        return None
    for mark in (values.min(), values.max()):
        is_usual = mark in _DAYS if dates else _in_nines(mark)
        if not is_usual and np.count_nonzero(values == mark) <= 2:
            continue  # as in most columns: the others need no copy
        others = values[values != mark]
        if _is_apart(mark, others, is_usual) and (
            len(np.unique(others)) >= _FEW_NUMBERS  # last: it sorts them all
        ):
            return float(mark)
    return None


def _is_apart(mark: float, others: NDArray[np.float64], is_usual: bool) -> bool:
    """Whether a number is far from the others, which all lie above it or below.

    One that programs write for "missing" need be less far.
    """
    if not len(others):
        return False
    low, high = others.min(), others.max()
    gap = low - mark if mark < low else mark - high
    if is_usual:
        return bool(2 * gap > high - low or mark < 0 <= low)
    return bool(gap > 10 * (high - low))


def _in_nines(mark: float) -> bool:
    return re.fullmatch(r"-?99+", f"{mark:.12g}") is not None


def _hashed(series: "pd.Series[Any]") -> bytes:
    """Return bytes that are equal for columns of equal values, whatever type they have."""
    return pd.util.hash_pandas_object(alike(series), index=False).to_numpy().tobytes()


def _is_hashable(series: "pd.Series[Any]") -> bool:
    kinds = set(map(type, series)) if series.dtype == object else set()
    return not any(issubclass(kind, list | dict | set | np.ndarray) for kind in kinds)


def _counts(series: "pd.Series[Any]") -> bool:
    if not pd.api.types.is_integer_dtype(series) or len(series) < _ENOUGH:
        return False
    steps = np.diff(series.to_numpy(dtype=np.float64, na_value=np.nan))
    return bool((steps == 1).all())


def _num_different(series: "pd.Series[Any]") -> int:
    """Return ``series.nunique()``, which is slow for millions of numbers."""
    if not isinstance(series.dtype, np.dtype) or series.dtype.kind not in "iuf":
        return series.nunique()
    return num_distinct(series.dropna().to_numpy())


def _tells(column: "pd.Series[Any]", target: "pd.Series[Any]", different: int) -> bool:
    """Whether a column and the target stand for each other, one value for one value.

    Args:
        column: The column.
        target: The target.
        different: How many values the target has.
    """
    both = (column.notna() & target.notna()).to_numpy()
    if both.sum() < max(_ENOUGH, 0.9 * len(column)) or not _is_hashable(column):
        return False
    if not both.all():
        column, target = column[both], target[both]
        different = _num_different(target)
    numeric = pd.api.types.is_numeric_dtype
    first = _num_different(column.iloc[:_LOOKED_AT])  # of millions of rows these tell enough
    if numeric(target) and different > _ENOUGH:
        if not numeric(column) or (first < 2 and _num_different(column) < 2):
            return False
        x, y = column.to_numpy(np.float64), target.to_numpy(np.float64)
        return bool(abs(np.corrcoef(x, y)[0, 1]) > 1 - 1e-9)
    if first > different or _num_different(column) != different:
        return False
    pairs = pd.DataFrame({"one": column.map(str), "other": target.map(str)}).drop_duplicates()
    return len(pairs) > 1 and pairs["one"].is_unique and pairs["other"].is_unique
