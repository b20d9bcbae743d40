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
_NO_NAME = "Unnamed: "  # of pandas, with the place of the column
_MAX_CODES = 20
_MAX_CATEGORIES = 1000


def is_category(column: Column) -> bool:
    """Return True for texts that repeat, and are not too many to choose among."""
    return column.dtype != "object" and column.nunique() <= min(_MAX_CATEGORIES, column.count() / 2)


def is_grouped(cells: Column, mark: str) -> bool:
    """Return True for whole numbers with a mark of thousands, a comma or a dot, from 1,000 on."""
    pattern = _GROUPED_BY_COMMAS if mark == "," else _GROUPED_BY_DOTS
    is_marked = cells.str.contains(mark, regex=False).any()
    return bool(is_marked and cells.str.fullmatch(pattern).all())


def read_arguments(name: str, cells: Column, options: Options) -> dict[str, Any]:
    """Return the arguments of ``read_csv`` that all cells of a column of text agree on, if any.

    Args:
        name: Name of the column.
        cells: Its cells without missing ones, (N,).
        options: The arguments that the user gave.
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
    """Check that a target is not lists and, unless it is classes, neither dates nor their text.

    Args:
        column: Column of the table.
        task: Kind of target.
        options: The user's arguments of ``pandas.read_csv``.
    """
    if column.dropna().head(1).map(pd.api.types.is_list_like).any():
        raise InputError(
            f"the target {column.name!r} contains lists; make columns of 0 and 1, one per label."
        )
    if task == "classification":
        return
    if is_date(column):
        raise InputError(
            f"the target {column.name!r} contains dates; make numbers of them, such as days, or "
            "give task: classification.",
            {"task": "classification"},
        )
    if column.dtype in ("str", "object"):
        fixes: list[Fix] = []
        if _are_codes(column):
            fixes.append({"task": "classification"})
        check_text(column, options, "give task: classification", *fixes)


def check_text(column: Column, options: Options, advice: str, *fixes: Fix) -> None:
    """Check that text is not numbers or dates.

    Args:
        column: Column of the table.
        options: The user's arguments of ``pandas.read_csv``, for the notation of numbers.
        advice: Words that name the argument by which the text is accepted.
        fixes: The same as arguments; the first one is preferred.
    """
    cells = column.dropna()
    distinct = _distinct(column)
    is_numeric = distinct.map(partial(_is_number, options=options)).astype(bool)
    if 0.5 < is_numeric.mean() < 1:
        others = distinct[~is_numeric].tolist()[:8]
        holes = {"read_csv": {"na_values": {str(column.name): others}}}
        accepted = f"{inline(holes)} for missing cells"
        if not any(re.search(r"\d", cell) for cell in others):
            if not (_are_codes(column) and all(map(_is_word, others))):
                fixes = (holes,)
            if all(map(_is_word, others)) and column.isin(others).iloc[:-1].sum() == 0:
                fixes = ({"read_csv": {"skipfooter": 1, "engine": "python"}},)
                accepted = f"{inline(fixes[0])} if the last row is a total, {accepted}"
        else:
            accepted = "read_csv: {decimal: .., thousands: ..} for numbers in another notation"
            if not any(map(str.isalpha, "".join(others))):
                fixes = ()
        raise InputError(
            f"column {column.name!r} contains numbers and {others[0]!r}, first in row "
            f"{cells.index[cells == others[0]][0]}. Correct it, give {accepted}, or {advice}.",
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
        convert = "for a CSV by read_csv (decimal, thousands, or parse_dates with date_format)"
        ending = ""
        if arguments := read_arguments(str(column.name), distinct, options):
            fixes = ({"read_csv": arguments},)
            convert = f"for a file give {inline(fixes[0])}"
        elif is_grouped(distinct, ","):  # 1,250 may be 1.25 in a file with semicolons
            fixes = ()
        elif look_like_dates(distinct):
            ending = " Otherwise its dates are lost."
        raise InputError(
            f"column {column.name!r} contains text that looks like numbers or dates, such as "
            f"{distinct[looks_numeric].iloc[0]!r}. Convert it, {convert}, or {advice}.{ending}",
            *fixes,
        )


def check_inputs(frame: pd.DataFrame, texts: Collection[str], options: Options) -> None:
    """Check that columns contain numbers, dates or categories, and do not identify the rows.

    Args:
        frame: Columns.
        texts: Names of the columns that were read as text, regardless of their type now.
        options: The user's arguments of ``pandas.read_csv``.
    """
    names = []
    # Dates that do not say whether they begin with the month are read like the others.
    undecided = {name for name in texts if name in frame and _is_undecided(frame[name])}
    for name in sorted(map(str, frame), key=undecided.__contains__):
        column = frame[name].sort_index()
        is_input = _is_input(column)
        if name in texts:
            advice = f"list it in categorical_columns, or give drop_columns: [{name}] or id_column"
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
        f"columns of row numbers, names, texts, lists or above {_MAX_CATEGORIES:,} categories, or "
        f"without a name, are not inputs as they are: {', '.join(names)}. Give "
        f"{inline(fixes[0])}, or list them in numeric_columns or categorical_columns.",
        *fixes,
    )


def _is_undecided(column: Column) -> bool:
    """Return True for dates of which the month or the day may come first."""
    return len(date_formats(_distinct(column), {})) > 1


def _is_key(column: Column) -> bool:
    """Return True for distinct texts or whole numbers."""
    is_plain = pd.api.types.is_integer_dtype(column) or column.dtype in ("str", "category")
    return is_plain and len(column) > 2 and column.is_unique


def _distinct(column: Column) -> "pd.Series[str]":
    """Return the distinct cells of a column as text."""
    return pd.Series(column.dropna().unique()).astype("str")


def _are_codes(column: Column) -> bool:
    """Return True for few texts that repeat."""
    return bool(column.nunique() <= min(_MAX_CODES, column.count() / 2))


def _is_word(text: str) -> bool:
    """Return True for a text with a letter that does not say that a cell is missing."""
    has_letter = re.search(r"[^\W\d_]", text) is not None
    return has_letter and text.lower() not in map(str.lower, DEFAULT_MISSING)


def _is_number(text: str, options: Options) -> bool:
    """Return True for the text of a number in the notation of ``read_csv``."""
    try:
        number(text, options)
    except ValueError:
        return False
    return True


def _has_words(column: Column) -> bool:
    """Return True for texts of two words or more on average; names of rows have no name."""
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
    # Row numbers rise, and of numbers by chance some would be equal.
    width = float(column.max()) - float(column.min())
    likely_repeats = len(column) ** 2 / (2 * width)
    return likely_repeats <= 10 and not column.is_monotonic_increasing
