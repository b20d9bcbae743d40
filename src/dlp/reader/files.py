"""Rows that are typed, or stand in files of tables, JSON or NumPy."""

import csv
import gzip
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .rows import Spec

_TABLES = (".csv", ".tsv", ".txt")
_CSV_OPTIONS = {
    "sep",
    "encoding",
    "decimal",
    "thousands",
    "na_values",
    "dtype",
    "parse_dates",
    "date_format",
    "header",
    "skiprows",
    "index_col",  # these two name columns, and rows are dictionaries: nothing is to do
    "usecols",
}
_QUOTES = {"quotechar", "quoting", "escapechar", "doublequote", "skipinitialspace"}


def typed_rows(words: Sequence[str], spec: Spec) -> list[Any]:
    """Return the rows in the files that words name; other words are rows themselves."""
    rows: list[Any] = []
    for word in words:
        ending = Path(word).suffix.lower()
        if ending in _TABLES and spec["kind"] != "image":
            rows += _read_csv(word, spec.get("read_csv") or {})
        elif ending == ".json":
            content = json.loads(Path(word).read_text("utf-8"))
            if not isinstance(content, list):
                raise ValueError(f"{word} does not hold a list of rows.")
            rows += content
        elif ending == ".npy":
            rows += list(np.load(word))
        elif spec["kind"] != "image" and os.path.exists(word):  # noqa: PTH110  # or a long text
            raise ValueError(f"{word} is not a file of rows: give a .csv, .tsv, .json or .npy.")
        else:
            rows.append(word)
    return rows


def _read_csv(path: str, options: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the rows of a CSV by column."""
    others = set(options) - _CSV_OPTIONS - _QUOTES
    if others:
        raise ValueError(f"predict.py does not know read_csv: {others}; give it rows in JSON.")
    lines = list(csv_lines(Path(path), options))
    start = options.get("skiprows", 0) + (options.get("header") or 0)
    lines = [line for line in lines[start:] if line]
    if options.get("header", 0) is None:
        lines.insert(0, [str(place) for place in range(len(lines[0]))])
    if len(lines) < 2:
        raise ValueError(f"{path} has no rows.")
    names = lines[0]
    twins = [name for name in names if name and names.count(name) > 1]
    if twins:
        raise ValueError(f"{path} has two columns called {twins[0]!r}; rename one.")
    if any(len(line) != len(names) for line in lines):
        raise ValueError(f"{path} has rows of different widths.")
    return [dict(zip(names, line, strict=True)) for line in lines[1:]]


def csv_lines(path: Path, options: Mapping[str, Any], strict: bool = False) -> Iterator[list[str]]:
    """Yield the cells of each line; if `strict`, refuse a letter after a closing quote."""
    name = path.name.lower()
    opener: Any = gzip.open if name.endswith(".gz") else open
    quotes = {option: options[option] for option in _QUOTES.intersection(options)}
    separator = options.get("sep", "\t" if ".tsv" in name else ",")
    csv.field_size_limit(2**31 - 1)
    with opener(path, "rt", encoding=options.get("encoding", "utf-8-sig"), newline="") as file:
        yield from csv.reader(file, delimiter=separator, strict=strict, **quotes)
