"""Tables as programs and people write them are read right or refused, never read wrongly."""

import csv
import gzip
import io
import json
from collections import namedtuple
from contextlib import suppress
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from dlp.datamodules import TableDataModule
from dlp.datamodules.tables.files import plain_table, read_pieces, read_table
from dlp.datamodules.tables.kinds import check_inputs
from dlp.errors import InputError
from dlp.reader.fields import is_numeric_or_date
from helpers.tables import read_converted

GERMAN = {"parse_dates": ["d"], "date_format": "%d.%m.%Y"}
GZIPPED = gzip.compress(b"a,b\n1,2\n", mtime=0)
ROWS = 14
TEXTS = [
    "Köln",
    "São Paulo",
    "NA",
    "O'Hara",
    "a, b",
    "x;y",
    'say "hi"',
    "two\nlines",
    "None",
]
NAMES = [
    "größe",
    "Unit Price",
    "it's",
    "a.b",
    "price (EUR)",
    "x",
    "Total",
    "y,z",
    "a;b",
    "café",
]
DATES = ["%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y"]
#: Column: its kind, true values (None for a missing one), and cells as they are written.
Column = namedtuple("Column", "kind values cells date_format")


def write(content, name="t.csv"):
    path = Path(name)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows(*cells):
    """Write a line per number, with a number and cells that are repeated in turn."""
    return "".join(
        f"{7 * n % 13}.5,{','.join(c[n % len(c)] for c in cells)}\n" for n in range(12)
    )


@pytest.mark.parametrize(
    ("text", "arguments", "cells"),
    [
        ("a,b\n1,x\n2,NA\n", {}, {"a": [1, 2], "b": ["x", "NA"]}),
        (",a,b\n0,1,x\n1,2,y\n", {"index_col": 0}, {"a": [1, 2], "b": ["x", "y"]}),
        ("a,b,\n1,x,\n2,y,\n", {"usecols": ["a", "b"]}, {"a": [1, 2], "b": ["x", "y"]}),
        ('1,"x\ny"\n2,\n', {"header": None}, {"0": [1, 2], "1": ["x\ny", np.nan]}),
        (
            "a,b\n00501,x\n",
            {"dtype": {"a": "category"}},
            {"a": pd.Categorical(["00501"])},
        ),
        (
            "a,b\nNA,NA\n1,x\n",
            {"na_values": {"a": ["NA"]}},
            {"a": [np.nan, 1], "b": ["NA", "x"]},
        ),
        ("a,b\n,x\n?,?\n1,\n", {"na_values": "?"}, {"a": [np.nan, np.nan, 1]}),
        ("a,b\n1,é\n".encode("utf-8-sig"), {}, {"a": [1], "b": ["é"]}),
        ("a,b\n1,2\n3,4\nSum\n", {"skipfooter": 1, "engine": "python"}, {"a": [1, 3]}),
        ('a|b~"x\ny"|3~', {"sep": "|", "lineterminator": "~"}, {"b": [3]}),
        (
            "d,b\n2024-01-31,x\n,y\n",
            {"parse_dates": ["d"]},
            {"d": [datetime(2024, 1, 31), pd.NaT]},
        ),
    ],
)
def test_a_csv_is_read_as_pandas_reads_it_with_the_arguments_of_the_user(
    text, arguments, cells
):
    frame = read_converted(write(text), arguments)
    expected = pd.DataFrame(cells)
    pd.testing.assert_frame_equal(frame[[*cells]], expected, check_dtype=False)


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("a;b\n1,5;2\n", {}, r"one column, 'a;b'.*sep: ;"),
        ("sep=;\na;b\n1;2\n", {}, r"one column, 'sep=;'.*skiprows: 1, sep: ;"),
        ("a,b,a\n1,2,3\n", {}, "two columns called 'a'"),
        (
            "a,b\n1,2,3\n4,5,6\n",
            {},
            r"a row has more cells than the header\. .*skiprows: 1",
        ),
        ("a,b\n1,2\n3\n4,5\n", {}, r"row 1 .* has 1 cells, .* header has 2"),
        (
            "a,b\n1,2\n3\n4,5\nin all,9\n",
            {"skipfooter": 1, "engine": "python"},
            r"row 1 .* has 1 cells, .* header has 2",
        ),
        ("x,y\na,b\n1,2\n3\n", {"skiprows": 1}, r"row 1 .* has 1 cells"),
        (
            "1,2\n3\n4,5\n",
            {"names": ["a", "b"]},
            r"row 1 .* has 1 cells, .* header has 2",
        ),
        (
            "a,zip\n1,00501\n2,10001\n",
            {},
            r"and '00501'.*dtype: \{zip: category\}",
        ),
        (
            'a\tb\n1\t"tis\n2\ty"\n',
            {"sep": "\t"},
            r"a quote joins rows.*'tis.*quoting: 0",
        ),
        (
            "a,b\n1,Köln\n".encode("cp1252"),
            {},
            "read as cp1252 .*encoding: cp1252.*as UTF-8",
        ),
        (b"a,b\n\x00\xff\x81,\x02\n", {}, "is not a text file"),
        ("a,b\n1,Köln\n", {"encoding": "ascii"}, "It is UTF-8.*encoding"),
        ("a,b\n1,2\n", {"seperator": ";"}, "unexpected keyword argument 'seperator'"),
        (
            "d,b\n03/04/2024,2\n",
            {"parse_dates": ["d"]},
            r"date_format 'ISO 8601'.*date_format: '%d.%m.%Y'",
        ),
        (
            "a;d\n1,5;12.03.2024\n",
            {"sep": ";", "decimal": ",", "thousands": "."},
            "'12.03.2024'",
        ),
        (
            "a;b\n1.2345;2\n",
            {"sep": ";", "thousands": "."},
            r"'1\.2345'.*leave thousands out",
        ),
        (
            "a;b\n900;2\n1.250;2\n",
            {"sep": ";"},
            r"'1\.250', which is 1250 .*thousands: \..* 1\.25 with .*decimal: \.",
        ),
        ("", {}, "t.csv is empty"),
        ("a,d\n", {"parse_dates": ["d"]}, "has no rows"),
        (
            "a,d\n1,2019-02-19\n",
            GERMAN,
            "'2019-02-19'.*date_format '%d.",
        ),
    ],
)
def test_what_pandas_reads_otherwise_than_meant_is_refused(text, arguments, message):
    with pytest.raises(InputError, match=message) as error:
        read_converted(write(text), arguments)
    assert "t.csv" in str(error.value)


def check(frame):
    check_inputs(frame, frame.columns[frame.dtypes == "str"], {})


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (["1.234,5", "17,25", "3,5", "1,5"], r"looks like numbers.*'1.234,5'.*decimal"),
        (
            ["1", "2", "NA", "4", "5"],
            r"numbers and 'NA', first in row 2.*na_values: \{c: \[NA\]",
        ),
        (
            [f"{n + 1}.02.2019" for n in range(12)],
            r"\{parse_dates: \[c\], date_format: \{c: '%d.%m",
        ),
        ([f"OB1189{n}" for n in range(12)], r"drop_columns: \[c\] or id_column: c"),
        (["0", "1", "2", "3+"], r"numbers and '3\+'.*categorical_columns"),
        ([f"name{n}" for n in range(12)], "Give id_column: c"),
        ([str(n) for n in range(12)], "Give id_column: c"),
    ],
)
def test_columns_that_are_no_inputs_are_refused(column, message):
    text = "".join(f'"{column[n % len(column)]}",{n % 3}.5\n' for n in range(12))
    frame = read_converted(write("c,y\n" + text))
    with pytest.raises(InputError, match=message):
        check(frame)


@pytest.mark.parametrize("dtype", ["str", "string", "object", "large_string[pyarrow]"])
def test_texts_of_every_type_are_checked(dtype):
    frame = pd.DataFrame({"c": ["1.234,5", "17,25", "3,5", "1,5"] * 3}, dtype=dtype)
    with pytest.raises(InputError, match=r"looks like numbers.*'1.234,5'"):
        check(plain_table(frame, "the table"))


@pytest.mark.parametrize(
    ("kind", "cells", "dtype"),
    [
        (pa.date32(), [date(2024, 1, 3), None], "datetime64[s]"),
        (pa.timestamp("us"), [datetime(2024, 1, 3), None], "datetime64[us]"),
        (pa.decimal128(5, 2), [Decimal("1.5"), None], "float64"),
        (pa.bool_(), [True, None], "boolean"),
        (pa.int64(), [2**60 + 1, None], "Int64"),
        (pa.float64(), [1.5, None], "float64"),
        (pa.string(), ["x", None], "str"),
        (pa.list_(pa.int64()), [[1], None], "object"),
    ],
)
def test_columns_of_arrow_have_the_types_of_a_parquet_file(kind, cells, dtype):
    frame = pd.DataFrame({"c": pd.array(cells, pd.ArrowDtype(kind))})
    column = plain_table(frame, "the table")["c"]
    assert column.dtype == dtype
    assert column.isna().tolist() == [False, True]
    parquet.write_table(pa.table({"c": pa.array(cells, kind)}), "t.parquet")
    pd.testing.assert_series_equal(read_table(Path("t.parquet"))["c"], column)


def test_datetimes_in_winter_and_summer_are_in_utc():
    winter = datetime(2024, 1, 3, tzinfo=timezone(timedelta(hours=1)))
    summer = datetime(2024, 7, 3, tzinfo=timezone(timedelta(hours=2)))
    frame = pd.DataFrame({"c": [winter, summer, None]})
    column = plain_table(frame, "the table")["c"]
    assert column.dtype == "datetime64[us, UTC]"
    assert column[1] == summer
    frame.loc[1, "c"] = datetime(2024, 7, 3)
    with pytest.raises(InputError, match=r"'c' have an offset .* some have none"):
        plain_table(frame, "the table")


@pytest.mark.parametrize(
    "column",
    [
        ["A1", "B2"],
        ["10-20", "20-30"],
        ["3 stars", "4 stars"],
        ["yes", "no"],
        ["1", "2"],
    ],
)
def test_repeated_texts_are_categories_and_repeated_numbers_are_numbers(column):
    check(read_converted(write("a,c\n" + rows(column))))


def test_whole_numbers_as_far_apart_as_64_bits_allow_are_numbers():
    numbers = [2**63 - 1, -(2**63), 2**62, -(2**62)]
    check(pd.DataFrame({"c": numbers}))


def test_all_columns_that_name_rows_are_told_at_once():
    names = [[str(n) for n in range(12)], [f"n{n}" for n in range(12)], ["no name"]]
    with pytest.raises(
        InputError, match=r"'Unnamed: 1', drop_columns: \[name, 'Unnamed: 3'\]"
    ):
        check(read_converted(write("a,,name,\n" + rows(*names))))
    with pytest.raises(InputError, match=r"1,000 categories.*: c"):
        check(pd.DataFrame({"c": [f"name{n}" for n in range(1200)] * 3}))


def test_csv_gzip_tsv_parquet_and_json_give_the_same_cells():
    frame = pd.DataFrame(
        {"a": [1.5, None, 3], "b": ["x", "NA", None], "c": [True, False, True]}
    )
    text = frame.to_csv(index=False)
    lines = frame.to_json(orient="records", lines=True)
    paths = [
        write(text),
        write(text.replace(",", "\t"), "t.tsv"),
        write(gzip.compress(text.encode()), "T.CSV.GZ"),
        write(lines.replace("\n", "\r\n\n"), "t.jsonl"),
        write(frame.to_json(orient="records"), "rows.json"),
        write(frame.to_json(), "columns.json"),
    ]
    frame.set_index([[5, 5, 7]]).to_parquet("t.parquet")
    for path in (*paths, Path("t.parquet")):
        pd.testing.assert_frame_equal(read_converted(path), frame)


def test_json_cells_keep_their_text_and_their_lines():
    lines = [
        json.dumps({"zip": "007", "text": "one\u2028line\x0b"}, ensure_ascii=False)
    ] * 2
    frame = read_table(write("\n".join(lines), "t.jsonl"))
    assert frame["zip"].tolist() == ["007"] * 2
    assert len(frame) == 2


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.jsonl", '{"a": 1}\n' r'{"a": "\ud83d"}', "surrogates not allowed"),
        ("t.json", "[" * 5000, "cannot be read as a table"),
        ("t.json", '{"a": 1}\n{"a": 2}', r"\.jsonl"),
        ("t.csv.gz", GZIPPED[:-9], "cannot be read as a table: Compressed"),
        ("t.xlsx", "PK", r"is not a table.*\.csv"),
    ],
)
def test_other_files_that_cannot_be_read_are_refused(name, content, message):
    with pytest.raises(InputError, match=message):
        read_converted(write(content, name))


@pytest.mark.parametrize("num_rows", [None, 2])
@pytest.mark.parametrize("largest", [2**60 + 1, -(2**60) - 1, 2**63 + 1])
def test_large_whole_numbers_of_parquet_are_exact_beside_missing_cells(
    largest, num_rows
):
    kind = pa.int64() if largest < 2**63 else pa.uint64()
    ids = pa.array([largest, None, 3], kind)
    table = pa.table({"id": ids, "n": [1, None, 3]})
    parquet.write_table(table, "t.parquet")
    pieces = list(read_pieces(Path("t.parquet"), num_rows=num_rows))
    assert pieces[0]["id"][0] == largest
    assert pieces[0]["id"].isna().tolist()[:2] == [False, True]
    assert pieces[0]["n"].dtype == "float64"


def test_dates_decimals_and_a_named_index_of_parquet_are_columns():
    columns = {
        "d": [date(2024, 1, 3)] * 2,
        "n": [Decimal("1.5")] * 2,
        "b": [True, None],
    }
    frame = pd.DataFrame(columns, pd.Index(["Bonn", "Ulm"], name="city"))
    frame.to_parquet("t.parquet")
    table = read_converted(Path("t.parquet"))
    assert table.columns.tolist() == ["city", *columns]
    assert all(is_numeric_or_date(table[name]) for name in columns)
    assert table["d"][0] == datetime(2024, 1, 3)
    assert table["n"][0] == 1.5
    numbered = frame.set_index(pd.RangeIndex(5, 7, name="id"))
    for rows, ids in ((numbered, [5, 6]), (frame.head(0), None)):
        rows.to_parquet("t.parquet")
        pieces = read_pieces(Path("t.parquet"), num_rows=1)
        if ids is None:
            with pytest.raises(InputError, match="no rows"):
                next(pieces)
        else:
            assert pd.concat(pieces)["id"].tolist() == ids


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
            "category": draw(
                st.lists(st.sampled_from(TEXTS), min_size=2, max_size=3, unique=True)
            ),
            "name": [f"user{n}@example.org" for n in range(ROWS)],
            "code": ["00501", "10001", "90210"],
        }[kind]
        values = cells = [texts[n % len(texts)] for n in range(ROWS)]
    missing = (
        draw(st.sets(st.integers(0, ROWS - 1), max_size=3)) if kind != "name" else set()
    )
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
    rows = [
        [*row] for row in zip(*(c.cells for c in table.values()), target, strict=True)
    ]
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
    arguments["dtype"] = {
        name: "category" for name, c in table.items() if c.kind == "code"
    }
    return table, text.getvalue().encode(arguments["encoding"]), arguments


@given(tables(), st.booleans())
@settings(max_examples=50, suppress_health_check=[*HealthCheck])
def test_a_table_is_read_right_or_refused(drawn, has_arguments):
    table, content, arguments = drawn
    Path("table.csv").write_bytes(content)
    options = arguments if has_arguments else {}
    split = {"val_size": None, "split_seed": None}
    data = TableDataModule(
        "table.csv", "target", missing="mean", read_csv=options, **split
    )
    try:
        rows = data.examples("train")
    except InputError:
        is_plain = all(column.kind not in ("name", "unit") for column in table.values())
        styles = {
            column.date_format for column in table.values() if column.kind == "date"
        }
        assert not (has_arguments and is_plain and len(styles) < 2)
        return
    assert list(rows.inputs.frame) == list(table)
    cells = rows.inputs.raw()
    for name, column in table.items():
        read = [row[name] for row in cells]
        assert read == (
            pytest.approx(column.values) if column.kind == "number" else column.values
        )
    assert rows.targets.tolist() == [n * n % 17 + 0.25 for n in range(ROWS)]
    with suppress(InputError):  # each column may be constant
        data.fit()
        expected = data.encoder.transform(cells)
        np.testing.assert_array_equal(
            data.encoder.transform(rows.inputs.frame), expected
        )


def test_a_utf_8_table_that_is_read_in_another_encoding_is_noted(capsys):
    path = Path("t.csv")
    path.write_text("city,x\nKöln,1\n", encoding="utf-8")
    table = read_converted(path, {"encoding": "cp1252"})
    assert table["city"].tolist() == ["KÃ¶ln"]
    assert (
        "t.csv seems to be in UTF-8, but is read as cp1252" in capsys.readouterr().out
    )
    path.write_text("city,x\nKöln,1\n", encoding="cp1252")
    read_converted(path, {"encoding": "cp1252"})
    assert not capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "city,x\nKöln,1\n".encode("utf-8-sig"),
            "the mark of UTF-8, but is read as cp1252",
        ),
        (b"city,x\nK\x81ln,1\n", "is not in cp1252, .* read_csv"),
    ],
)
def test_a_table_that_cannot_be_in_the_encoding_of_read_csv_is_refused(
    content, message
):
    Path("t.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_converted(Path("t.csv"), {"encoding": "cp1252"})


def test_without_a_header_columns_are_named_by_their_place():
    path = write("1,01,x\n2,02,y\n")
    assert list(read_table(path, {"header": None})) == ["0", "1", "2"]
    some = read_converted(path, {"header": None, "usecols": [0, 2]})
    assert list(some) == ["0", "2"]
    assert some["0"].tolist() == [1, 2]


def test_the_cells_of_a_csv_are_texts():
    frame = read_table(write("a,b,c\n1,02,\n1.50,x,?\n"), {"na_values": "?"})
    assert frame["a"].tolist() == ["1", "1.50"]
    assert frame["b"].tolist() == ["02", "x"]
    assert frame["c"].isna().all()
    assert set(map(str, frame.dtypes)) == {"str"}


@pytest.mark.parametrize("name", ["converters", "true_values", "dayfirst"])
def test_arguments_that_would_convert_cells_are_refused(name):
    with pytest.raises(InputError, match=f"read_csv: {name} is not used"):
        read_table(write("a\n1\n"), {name: None})
