"""Kinds of columns: numbers and dates, categories, and columns that cannot be inputs."""

import re
from collections.abc import Collection
from functools import partial
from typing import Any

import pandas as pd

from dlp.datamodules.tables.dates import date_formats, look_like_dates
from dlp.errors import Fix, InputError, inline
from dlp.reader.encoder import Options
from dlp.reader.fields import Column, is_date, is_numeric_or_date
from dlp.reader.notation import DEFAULT_MISSING, number

_NUMBER_OR_DATE = r"[^\w]*\d[\d.,'\s\u2019/]*[^\w]*|\d{4}-\d\d-\d\d.*"
_ISO_DATE = r"\d{4}-\d\d-\d\d.*"
_ENGLISH_NUMBER = r"-?(\d+|\d{1,3}(,\d{3})+)(\.\d+)?"
_GERMAN_NUMBER = r"-?(\d+|\d{1,3}(\.\d{3})+)(,\d\d?)?"
_GROUPED_BY_COMMAS = r"-?(0|[1-9]\d{0,2}(,\d{3})*)"
_GROUPED_BY_DOTS = r"-?(0|[1-9]\d{0,2}(\.\d{3})*)"
_NO_NAME = "Unnamed: "  # pandas's name for a column without one, before its position
_MAX_CODES = 20
_MAX_CATEGORIES = 1000


def is_category(column: Column) -> bool:
    """Return True if a column has at most 1,000 distinct cells, each twice or more on average."""
    return column.dtype != "object" and column.nunique() <= min(_MAX_CATEGORIES, column.count() / 2)


def is_grouped(cells: Column, mark: str) -> bool:
    """Return True if all cells are whole numbers, and those from 1,000 on have separators.

    Args:
        cells: Texts, (N,).
        mark: Thousands separator, a comma or a dot. At least one cell must contain it.
    """
    pattern = _GROUPED_BY_COMMAS if mark == "," else _GROUPED_BY_DOTS
    is_marked = cells.str.contains(mark, regex=False).any()
    return bool(is_marked and cells.str.fullmatch(pattern).all())


def read_arguments(name: str, cells: Column, options: Options) -> dict[str, Any]:
    """Return the arguments of ``read_csv`` that would convert all cells of a text column.

    Args:
        name: Name of the column.
        cells: Cells of the column, without missing ones, (N,).
        options: The arguments of ``read_csv`` that the user gave.

    Returns:
        The arguments, or an empty dictionary if none would convert all cells.
    """
    if cells.str.fullmatch(_ISO_DATE).all():
        return {"parse_dates": [name]}
    formats = date_formats(cells, options)
    if len(formats) == 1:
        return _read_dates(name, formats[0])
    if cells.str.fullmatch(_ENGLISH_NUMBER).all() and cells.str.contains(r",\d{3}[,.]").any():
        return {"thousands": ","}
    decimal = options.get("decimal")
    if is_grouped(cells, ",") and decimal != ",":
        has_decimal_dots = decimal == "." or options.get("sep", ",") == ","
        if has_decimal_dots or cells.str.count(",").max() > 1:
            return {"thousands": ","}
    if is_grouped(cells, "."):
        has_decimal_commas = decimal == ","
        if has_decimal_commas or cells.str.count(r"\.").max() > 1:
            return {"thousands": "."}
    has_commas = cells.str.contains(",", regex=False).any()
    if not (has_commas and cells.str.fullmatch(_GERMAN_NUMBER).all()):
        return {}
    if cells.str.contains(".", regex=False).any():
        return {"decimal": ",", "thousands": "."}
    return {"decimal": ","}


def _read_dates(name: str, date_format: str) -> dict[str, Any]:
    """Return the arguments of ``read_csv`` that read the dates of a column."""
    return {"parse_dates": [name], "date_format": {name: date_format}}


def check_target(column: Column, task: str, options: Options) -> None:
    """Check that a target column can be encoded.

    It must not contain lists. Unless the task is classification, it must not contain dates either,
    or text that looks like numbers or dates.

    Args:
        column: Column of the table.
        task: Kind of target.
        options: The user's arguments of ``pandas.read_csv``.

    Raises:
        InputError: If the column contains such cells.
    """
    if column.dropna().head(1).map(pd.api.types.is_list_like).any():
        raise InputError(
            f"the target {column.name!r} contains lists. Replace it by one column of 0 and 1 per "
            "label."
        )
    if task == "classification":
        return
    if is_date(column):
        raise InputError(
            f"the target {column.name!r} contains dates. Convert them to numbers, such as days, or "
            "give task: classification.",
            {"task": "classification"},
        )
    if column.dtype in ("str", "object"):
        fixes: list[Fix] = []
        if _are_codes(column):
            fixes.append({"task": "classification"})
        check_text(column, options, "give task: classification", *fixes)


def check_text(column: Column, options: Options, advice: str, *fixes: Fix) -> None:
    """Check that a text column does not consist of numbers or dates.

    Args:
        column: Column of the table.
        options: The user's arguments of ``pandas.read_csv``, for the notation of numbers.
        advice: What to do if the column is meant to be text. It is the end of a sentence.
        fixes: The arguments in `advice`, with the best one first.

    Raises:
        InputError: If most of the distinct cells are numbers, or look like numbers or dates.
    """
    cells = column.dropna()
    distinct = _distinct(column)
    is_numeric = distinct.map(partial(_is_number, options=options)).astype(bool)
    if 0.5 < is_numeric.mean() < 1:
        others = distinct[~is_numeric].tolist()[:8]
        holes = {"read_csv": {"na_values": {str(column.name): others}}}
        accepted = f"{inline(holes)} if such cells are missing"
        if not any(re.search(r"\d", cell) for cell in others):
            if not (_are_codes(column) and all(map(_is_word, others))):
                fixes = (holes,)
            if all(map(_is_word, others)) and column.isin(others).iloc[:-1].sum() == 0:
                fixes = ({"read_csv": {"skipfooter": 1, "engine": "python"}},)
                accepted = f"{inline(fixes[0])} if the last row is a total, {accepted}"
        else:
            accepted = "read_csv: {decimal: .., thousands: ..} if they are numbers"
            if not any(map(str.isalpha, "".join(others))):
                fixes = ()
        raise InputError(
            f"column {column.name!r} contains numbers and {others[0]!r}, first in row "
            f"{cells.index[cells == others[0]][0]}. Correct the cell, give {accepted}, or "
            f"{advice}.",
            *fixes,
        )
    if len(formats := date_formats(distinct, options)) > 1:
        first, second = (inline({"read_csv": _read_dates(str(column.name), f)}) for f in formats)
        raise InputError(
            f"column {column.name!r} contains dates such as {distinct.iloc[0]!r}, which may begin "
            f"with the month or the day. For a file give {first} or {second}, or {advice}. "
            "Otherwise its dates are lost."
        )
    looks_numeric = distinct.str.count(r"\d") > distinct.str.count(r"[^\W\d_]")
    if _are_codes(column):  # categories such as A1 or 10-20
        looks_numeric = distinct.str.fullmatch(_NUMBER_OR_DATE)
    if looks_numeric.mean() > 0.5:
        convert = "in a CSV with decimal, thousands, or parse_dates and date_format in read_csv"
        ending = ""
        if arguments := read_arguments(str(column.name), distinct, options):
            fixes = ({"read_csv": arguments},)
            convert = f"in a file with {inline(fixes[0])}"
        elif is_grouped(distinct, ","):  # in a semicolon-separated file, 1,250 may mean 1.25
            fixes = ()
        elif look_like_dates(distinct):
            ending = " Otherwise its dates are lost."
        raise InputError(
            f"column {column.name!r} contains text that looks like numbers or dates, such as "
            f"{distinct[looks_numeric].iloc[0]!r}. Convert it ({convert}), or {advice}.{ending}",
            *fixes,
        )


def check_inputs(frame: pd.DataFrame, texts: Collection[str], options: Options) -> None:
    """Check that columns contain numbers, dates or categories, and do not identify the rows.

    Args:
        frame: Columns.
        texts: Names of the columns that were read as text, regardless of their current type.
        options: The user's arguments of ``pandas.read_csv``.

    Raises:
        InputError: If a column cannot be an input. The message lists all such columns.
    """
    names = []
    # Dates that do not say whether they begin with the month are read like the others.
    undecided = {name for name in texts if name in frame and _is_undecided(frame[name])}
    for name in sorted(map(str, frame), key=undecided.__contains__):
        column = frame[name].sort_index()
        is_input = _is_input(column)
        if name in texts:
            advice = (
                f"list the column in categorical_columns, or give drop_columns: [{name}] or "
                "id_column"
            )
            fixes: list[Fix] = [{"drop_columns": [name]}]
            if column.is_unique:
                fixes.insert(0, {"id_column": name})
            elif is_input and not _distinct(column).str.fullmatch(_NUMBER_OR_DATE).all():
                fixes = [{"categorical_columns": [name]}]
            check_text(column, options, f"{advice}: {name}", *fixes)
        if not is_input:
            names.append(name)
    if not names:
        return
    worded = [name for name in names if name in texts and _has_words(frame[name])]
    others = [name for name in names if name not in worded]
    keys = [name for name in others if _is_key(frame[name])]
    fixes = []
    for key in (*keys[:1], None):
        rest = [name for name in others if name != key]
        fix = {"id_column": key, "text_columns": worded, "drop_columns": rest}
        fixes.append({argument: columns for argument, columns in fix.items() if columns})
    raise InputError(
        f"columns that contain row numbers, names, texts, lists or more than {_MAX_CATEGORIES:,} "
        f"categories, or that have no name, cannot be used as inputs: {', '.join(names)}. Give "
        f"{inline(fixes[0])}, or list them in numeric_columns or categorical_columns.",
        *fixes,
    )


def _is_undecided(column: Column) -> bool:
    """Return True for dates of which the month or the day may come first."""
    return len(date_formats(_distinct(column), {})) > 1


def _is_key(column: Column) -> bool:
    """Return True for a column of distinct texts or whole numbers in three or more rows."""
    is_plain = pd.api.types.is_integer_dtype(column) or column.dtype in ("str", "category")
    return is_plain and len(column) > 2 and column.is_unique


def _distinct(column: Column) -> "pd.Series[str]":
    """Return the distinct cells of a column as text."""
    return pd.Series(column.dropna().unique()).astype("str")


def _are_codes(column: Column) -> bool:
    """Return True for a column with at most 20 distinct texts, each twice or more on average."""
    return bool(column.nunique() <= min(_MAX_CODES, column.count() / 2))


def _is_word(text: str) -> bool:
    """Return True for a text that contains a letter and does not mark a missing cell."""
    has_letter = re.search(r"[^\W\d_]", text) is not None
    return has_letter and text.lower() not in map(str.lower, DEFAULT_MISSING)


def _is_number(text: str, options: Options) -> bool:
    """Return True for a number in the notation that ``decimal`` and ``thousands`` describe."""
    try:
        number(text, options)
    except ValueError:
        return False
    return True


def _has_words(column: Column) -> bool:
    """Return True for a column whose texts have two or more words on average.

    A column without a name is excluded, because it contains row names.
    """
    if str(column.name).startswith(_NO_NAME):
        return False
    return bool(_distinct(column).str.count(r"\s\S").mean() >= 1)


def _is_input(column: Column) -> bool:
    if column.dtype == "object" or str(column.name).startswith(_NO_NAME):  # lists, row numbers
        return False
    if not is_numeric_or_date(column):
        return is_category(column)
    if not _is_key(column):
        return True
    # Distinct whole numbers identify rows if they rise, or if random numbers in the same range
    # would repeat.
    width = float(column.max()) - float(column.min())
    likely_repeats = len(column) ** 2 / (2 * width)
    return likely_repeats <= 10 and not column.is_monotonic_increasing
