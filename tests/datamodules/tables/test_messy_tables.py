"""Tables as programs and people write them are read right or refused, never read wrongly."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlp.datamodules import TableDataModule
from dlp.errors import InputError

ROWS = 14
TEXTS = ["Köln", "São Paulo", "NA", "O'Hara", "a, b", "x;y", 'say "hi"', "two\nlines", "None"]
NAMES = ["größe", "Unit Price", "it's", "a.b", "price (EUR)", "x", "Total", "y,z", "a;b", "café"]
DATES = ["%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y"]


@dataclass
class Column:
    """Column: its kind, true values (None for a missing one), and cells as they are written."""

    kind: str
    values: list[Any]
    cells: list[str]
    date_format: str = ""


@st.composite
def columns(draw, decimal, thousands):
    kind = draw(st.sampled_from(["number", "unit", "category", "date", "name", "code"]))
    date_format = draw(st.sampled_from(DATES)) if kind == "date" else ""
    if kind in ("number", "unit"):
        digits = draw(st.integers(0, 4))
        numbers = st.lists(st.integers(-(10**7), 10**7), min_size=ROWS, max_size=ROWS)
        values = [number / 10**digits for number in draw(numbers)]
        marks = str.maketrans({",": thousands, ".": decimal})
        unit = draw(st.sampled_from(["%", " kg", " €"])) if kind == "unit" else ""
        cells = [f"{value:,.{digits}f}".translate(marks) + unit for value in values]
    elif kind == "date":
        days = draw(st.lists(st.integers(0, 2000), min_size=ROWS, max_size=ROWS))
        values = [pd.Timestamp(2019, 12, 28) + pd.Timedelta(days=day) for day in days]
        cells = [value.strftime(date_format) for value in values]
    else:
        texts = {
            "category": draw(st.lists(st.sampled_from(TEXTS), min_size=2, max_size=3, unique=True)),
            "name": [f"user{n}@example.org" for n in range(ROWS)],
            "code": ["00501", "10001", "90210"],
        }[kind]
        values = cells = [texts[n % len(texts)] for n in range(ROWS)]
    missing = draw(st.sets(st.integers(0, ROWS - 1), max_size=3)) if kind != "name" else set()
    values = [None if n in missing else value for n, value in enumerate(values)]
    cells = ["" if n in missing else cell for n, cell in enumerate(cells)]
    return Column(kind, values, cells, date_format)


@st.composite
def tables(draw):
    """Draw columns by name, the content of their file, and its arguments."""
    styles = [(".", ""), (".", ","), (",", ""), (",", "."), (".", "'")]
    decimal, thousands = draw(st.sampled_from(styles))
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    table = {name: draw(columns(decimal, thousands)) for name in names}
    separator = draw(st.sampled_from(",;\t|"))
    arguments = {"sep": separator, "decimal": decimal, "thousands": thousands or None}
    header = [*names, "target"]
    target = [f"{n * n % 17}{decimal}25" for n in range(ROWS)]
    rows = [[*row] for row in zip(*(c.cells for c in table.values()), target, strict=True)]
    text = io.StringIO()
    if draw(st.booleans()):
        text.write(draw(st.sampled_from([f"sep={separator}\n", "made by a program\n"])))
        arguments["skiprows"] = 1
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    writer = csv.writer(text, delimiter=separator, lineterminator=end, quoting=quoting)
    writer.writerows([header, *rows])
    arguments["encoding"] = draw(st.sampled_from(["utf-8", "cp1252", "utf-16"]))
    if dates := [name for name, column in table.items() if column.kind == "date"]:
        arguments |= {"parse_dates": dates, "date_format": table[dates[0]].date_format}
    arguments["dtype"] = {name: "category" for name, c in table.items() if c.kind == "code"}
    return table, text.getvalue().encode(arguments["encoding"]), arguments


@given(tables(), st.booleans())
@settings(max_examples=50, suppress_health_check=[*HealthCheck])
def test_a_table_is_read_right_or_refused(drawn, has_arguments):
    table, content, arguments = drawn
    Path("table.csv").write_bytes(content)
    options = arguments if has_arguments else {}
    data = TableDataModule("table.csv", "target", read_csv=options, val_size=None, split_seed=None)
    try:
        rows = data.examples("train")
    except InputError:
        is_plain = all(column.kind not in ("name", "unit") for column in table.values())
        styles = {column.date_format for column in table.values() if column.kind == "date"}
        assert not (has_arguments and is_plain and len(styles) < 2)
        return
    assert list(rows.inputs.frame) == list(table)
    cells = rows.inputs.raw()
    for name, column in table.items():
        read = [row[name] for row in cells]
        assert read == (pytest.approx(column.values) if column.kind == "number" else column.values)
    assert rows.targets.tolist() == [n * n % 17 + 0.25 for n in range(ROWS)]
