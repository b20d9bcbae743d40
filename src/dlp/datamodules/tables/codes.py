"""Texts of which pandas makes other numbers: 501 of 00501, 15 of 1.5 with a thousands mark."""

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from string import ascii_letters
from typing import Any

import numpy as np
import pandas as pd

from dlp.datamodules.tables.kinds import read_arguments
from dlp.errors import Fix, InputError, inline
from dlp.reader.files import open_csv

_BYTES_PER_BLOCK = 2**18  # they stay in the cache
_INSIDE_CELLS = "+-.:/_" + ascii_letters  # next to digits of decimals, dates, times and names


def check_numbers(
    path: Path, names: Collection[Any], texts: Iterable[pd.DataFrame], options: Mapping[str, Any]
) -> None:
    """Check the texts of all cells in the columns that pandas read as numbers.

    Args:
        path: Path of a CSV.
        names: Names of the columns of numbers.
        texts: Pieces of the CSV as text; they are read only if they may hold other numbers.
        options: The user's arguments of ``pandas.read_csv``.
    """
    mark = options.get("thousands")
    if not names or not (mark or _may_hold_codes(path, options)):
        return
    examples: dict[Any, str] = {}
    fix: Fix = {}
    for piece in texts:
        for name, cells in piece.items():
            if name not in names or name in examples:
                continue
            wrong = cells[_are_other_numbers(cells, mark)]
            if not len(wrong):
                continue
            if not examples:
                fix = read_arguments(str(name), cells.dropna())
            examples[name] = wrong.iloc[0]
    if not examples:
        return
    if "parse_dates" not in fix:
        fix = {"dtype": dict.fromkeys(examples, "category")}
    advice = "int makes numbers of codes"
    if mark:
        advice += "; or leave thousands out, or give parse_dates with date_format"
    example = next(iter(examples.values()))
    raise InputError(
        f"{path}: pandas would make another number of {example!r}. Keep it by "
        f"{inline({'read_csv': fix})} ({advice}).",
        {"read_csv": fix},
    )


def _are_other_numbers(cells: "pd.Series[Any]", mark: str | None) -> "pd.Series[bool]":
    """Return a mask of texts that begin with a zero, or have a thousands mark elsewhere."""
    cells = cells.str.strip()
    are_codes = cells.str.fullmatch(r"0\d+", na=False)
    if not mark:
        return are_codes
    mark = re.escape(mark)
    number = rf"[-+]?\d[\d.,{mark}]*{mark}[\d.,{mark}]*(e[-+]?\d+)?"
    are_marked = cells.str.fullmatch(number, case=False, na=False)
    grouped = rf"[-+]?[1-9]\d{{0,2}}({mark}\d{{3}})+(\D\d*)?"
    are_grouped = cells.str.fullmatch(grouped, na=False)
    return are_codes | (are_marked & ~are_grouped)


def _may_hold_codes(path: Path, options: Mapping[str, Any]) -> bool:
    """Return False if no cell of a CSV can be a zero and further digits.

    The bytes of a file are searched in a tenth of the time in which its cells are read.
    """
    encoding = options.get("encoding") or "utf-8"
    is_searchable = "00".encode(encoding).endswith(b"00")  # UTF-16 has other bytes
    if not is_searchable or len(options["sep"]) > 1 or "compression" in options:
        return True
    inside = set(_INSIDE_CELLS) | {options.get("decimal", ".")}
    inside -= {options.get(name) for name in ("sep", "quotechar", "escapechar", "lineterminator")}
    inside_bytes = np.frombuffer("".join(inside).encode("ascii", "ignore"), np.uint8)
    with open_csv(path) as file:
        while block := file.read(_BYTES_PER_BLOCK) + file.readline():
            if _has_code(block, inside_bytes):
                return True
    return False


def _has_code(block: bytes, inside: Any) -> bool:
    """Return True if a zero and further digits are between bytes that can be around a cell."""
    characters = np.frombuffer(b"\n" + block + b"\n", np.uint8)
    is_digit = characters - ord("0") < 10  # smaller ones become large
    is_start = (characters[1:-1] == ord("0")) & is_digit[2:] & ~is_digit[:-2]
    starts = np.flatnonzero(is_start)
    starts = starts[~np.isin(characters[starts], inside)]
    ends = starts + 3
    while (is_longer := is_digit[ends]).any():
        ends += is_longer
    return not np.isin(characters[ends], inside).all()
