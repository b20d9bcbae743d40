"""Tables as programs and people write them: read rightly and shown, or refused in a sentence."""

import csv
import gzip
import io
import tempfile
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlp.datamodules import TableDataModule
from dlp.datamodules.tables.files import read_table
from dlp.datamodules.tables.table_format import TableFormat
from dlp.errors import InputError

ROWS = 12
WORDS = ["Köln", "São Paulo", "NA", "O'Hara", "a, b", "x;y", 'say "hi"', "two\nlines", "None"]
NAMES = ["größe", "Unit Price", "it's", "a.b", "price (EUR)", "x", "Total", "y,z", "a;b", "café"]


@dataclass
class Column:
    """A column: what is true of it, how its cells are written, what it must be taken for."""

    name: str
    kind: str
    values: list
    cells: list[str]


def written(value, decimal, thousands, digits, unit):
    text = f"{value:,.{digits}f}".replace(",", "T").replace(".", "D")
    text = text.replace("T", thousands).replace("D", decimal)
    return {"": text, "%": f"{text} %", "€": f"{text} €", "R$": f"R$ {text}"}[unit]


@st.composite
def columns(draw, decimal, thousands, name):
    kind = draw(st.sampled_from(["number", "whole", "category", "date", "boolean", "names", "zip"]))
    each = st.lists
    if kind in ("number", "whole"):
        digits = draw(st.integers(1, 4)) if kind == "number" else 0
        unit = draw(st.sampled_from(["", "", "%", "€", "R$"]))
        values = draw(
            each(st.integers(-(10**7), 10**7), min_size=ROWS, max_size=ROWS).map(
                lambda found: [value / 10**digits for value in found]
            )
        )
        cells = [written(value, decimal, thousands, digits, unit) for value in values]
        return Column(name, "number", values, cells)
    if kind == "category":
        words = draw(each(st.sampled_from(WORDS), min_size=2, max_size=3, unique=True))
        values = [words[n % len(words)] for n in range(ROWS)]
        return Column(name, "category", values, values)
    if kind == "date":
        first = date(2019, 12, 28)
        values = [first + timedelta(days=draw(st.integers(0, 2000))) for _ in range(ROWS)]
        form = draw(st.sampled_from(["%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y%m%d"]))
        return Column(name, "date", values, [value.strftime(form) for value in values])
    if kind == "boolean":
        values = [draw(st.booleans()) for _ in range(ROWS)]
        return Column(name, "boolean", values, [str(value).lower() for value in values])
    if kind == "names":
        values = [f"user{n}@example.org" for n in range(ROWS)]
        return Column(name, "left out", values, values)
    values = [["00501", "10001", "90210"][n % 3] for n in range(ROWS)]
    return Column(name, "category", values, values)


@st.composite
def tables(draw):
    """Draw the columns of a table, the bytes of its file, its name, and what is wrong with it."""
    styles = [(".", ""), (".", ","), (",", ""), (",", "."), (",", "\u202f"), (".", "\u2019")]
    decimal, thousands = draw(st.sampled_from(styles))
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    found = [draw(columns(decimal, thousands, name)) for name in names]
    holes = [
        draw(st.sets(st.integers(0, ROWS - 1), max_size=3)) if of.kind != "left out" else set()
        for of in found
    ]
    for of, empty in zip(found, holes, strict=True):
        of.cells = ["" if n in empty else cell for n, cell in enumerate(of.cells)]
        of.values = [None if n in empty else value for n, value in enumerate(of.values)]
    target = [f"{n}{decimal}25" for n in range(ROWS)]
    header = [*names, "target"]
    rows = [list(row) for row in zip(*(of.cells for of in found), target, strict=True)]
    if draw(st.booleans()):  # as pandas writes it
        header, rows = ["", *header], [[str(n), *row] for n, row in enumerate(rows)]
    fault = draw(st.sampled_from([None, None, None, "short", "long", "twice", "again", "total"]))
    if fault == "short":
        rows[5] = rows[5][:-1]
    if fault == "long":
        rows[5] = [*rows[5], "more"]
    if fault == "twice":
        header, rows = [*header, header[-1]], [[*row, row[-1]] for row in rows]
    if fault == "again":
        rows.insert(7, header)
    if fault == "total":
        rows.append(["Total", *[""] * (len(header) - 1)])
    return found, draw(files(header, rows)), fault


@st.composite
def files(draw, header, rows):
    """Draw how a table is written: separator, quotes, line ends, encoding, gzip, what is around."""
    text = io.StringIO()
    separator = draw(st.sampled_from(",;\t|"))
    writer = csv.writer(
        text,
        delimiter=separator,
        lineterminator=draw(st.sampled_from(["\n", "\r\n"])),
        quoting=draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])),
    )
    if draw(st.booleans()):
        text.write(draw(st.sampled_from([f"sep={separator}\n", "# made by a program\n", "\n"])))
    writer.writerows([header, *rows])
    text.write(draw(st.sampled_from(["", "\n", separator * (len(header) - 1) + "\n"])))
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    content = text.getvalue().encode(encoding)
    if draw(st.booleans()):
        return "table.CSV.GZ", gzip.compress(content, 1)
    return "table.csv", content


def expected(found):
    """Return the matrix of a table whose columns are known, and the names of its columns."""
    numbers, one_hot = {}, {}
    for of in found:
        if of.kind in ("number", "date", "boolean"):
            values = [
                np.nan if v is None else (v - date(1970, 1, 1)).days if of.kind == "date" else v
                for v in of.values
            ]
            array = np.array(values, np.float64)
            numbers[of.name] = np.where(np.isnan(array), np.nanmean(array), array)
        elif of.kind == "category":
            there = sorted({v for v in of.values if v is not None})
            for category in [*there, *([None] if None in of.values else [])]:
                name = "(missing)" if category is None else category
                one_hot[f"{of.name}={name}"] = np.array([v == category for v in of.values])
    columns = {**numbers, **one_hot}
    return list(columns), np.column_stack([*columns.values()]).astype(np.float32)


@given(tables())
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_a_messy_table_is_read_rightly_or_refused_in_a_sentence(drawn):
    check(drawn)


def check(drawn):
    found, (name, content), fault = drawn
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        data = TableDataModule(
            path, "target", missing="mean", scaling="none", val_size=None, split_seed=None
        )
        try:
            reading = data.reading()
        except InputError as error:
            message = str(error)
            assert message.endswith(".")
            ambiguous = ("may be", "whose day", "both cut all its lines", "no input column")
            assert fault or any(words in message for words in ambiguous), message
            return
        assert fault is None, f"{fault} was taken: {reading}"
        kinds = {of.name: of.kind for of in reading.input.columns}
        assert {of.name: kinds[of.name] for of in found} == {of.name: of.kind for of in found}
        names, matrix = expected(found)
        assert sorted(data.feature_names) == sorted(names)
        order = [data.feature_names.index(name) for name in names]
        seen = data.encode(data.examples("train").rows).numpy()[:, order]
        assert np.allclose(seen, matrix, rtol=1e-5)
        assert np.allclose(data.examples("train").targets, np.arange(ROWS) + 0.25)


def write(folder, text, name="t.csv", encoding="utf-8"):
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def kinds(path, target="y", **arguments):
    reading = TableDataModule(path, target, **arguments).reading()
    return {of.name: of.kind for of in reading.input.columns}, reading


CLEAN = "".join(f"{n}.5,{'ab'[n % 2]},{n}.25\n" for n in range(30))
GERMAN = "".join(
    f"{n}.234,{50 + n};{n % 9},5 %;{n % 28 + 1:02}.03.2024;{n},25\n" for n in range(1, 31)
)


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("a,b,y\n" + CLEAN, {}, {"a": "number", "b": "category"}),
        ("sep=,\na,b,y\n" + CLEAN, {}, {"a": "number", "b": "category"}),
        ("# made today\n#\na,b,y\n" + CLEAN, {}, {"a": "number", "b": "category"}),
        ("# a,b,y\n" + CLEAN, {}, {"a": "number", "b": "category"}),
        ("#,b,y\n" + CLEAN, {}, {"#": "number", "b": "category"}),
        ("a,b,y,,\n" + CLEAN.replace("\n", ",,\n") + ",,,,\n", {}, {"a": "number"}),
        ("'a','b','y'\n" + CLEAN, {}, {"a": "number", "b": "category"}),
        ("a, b, y\n" + CLEAN.replace(",", ", "), {}, {"a": "number", "b": "category"}),
        ("a;b;d;y\n" + GERMAN, {}, {"a": "number", "b": "number", "d": "date"}),
    ],
)
def test_what_stands_around_a_table_is_passed_over(tmp_path, text, options, expected):
    found, _ = kinds(write(tmp_path, text), **options)
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    "column", [list(range(30)), list(range(1, 31)), [7 * n for n in range(30)]]
)
@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
def test_row_numbers_without_a_name_are_left_out_and_said(tmp_path, column, name):
    rows = "".join(f"{n},{k % 7},{'ab'[k >= 15]}\n" for k, n in enumerate(column))
    found, reading = kinds(write(tmp_path, f"{name},x,y\n{rows}"))
    assert found["Unnamed: 0"] == "left out"
    assert "without a name" in str(reading)
    data = TableDataModule(tmp_path / "t.csv", "y", drop_columns=["Unnamed: 0"])
    assert data.feature_names == ["x"]


def test_a_file_that_pandas_wrote_with_its_index_as_parquet(tmp_path):
    import pandas as pd

    frame = pd.DataFrame({"x": np.arange(30) % 7, "y": ["a", "b"] * 15}, index=range(5, 35))
    frame.to_parquet(tmp_path / "t.parquet")
    assert TableDataModule(tmp_path / "t.parquet", "y").feature_names == ["x"]


@pytest.mark.parametrize(
    ("written", "kind", "words", "first"),
    [
        (lambda n: f"{n + 8} kg", "number", "8 to 37, in kg", [8, 9, 10]),
        (lambda n: f'"1,{n:03}.5 kg"', "number", "thousands by ',', in kg", [1000.5, 1001.5]),
        (lambda n: f"{n / 2}km/h", "number", "in km/h", [0, 0.5, 1]),
        (lambda n: f"{n - 3} \u00b0C", "number", "in \u00b0C", [-3, -2, -1]),
        (lambda n: f"{n % 24}:30", "number", "in h:mm (1:30", [0.5, 1.5, 2.5]),
        (lambda n: f"{n % 12 + 1}:15 {'ap'[n % 2]}m", "number", "in h:mm", [1.25, 14.25, 3.25]),
        (lambda n: f"{n}:00:36", "number", "in h:mm:ss", [0.01, 1.01, 2.01]),
        (lambda n: f"2024-{n % 12 + 1:02}", "date", "2024-01-01 to", [19723, 19754, 19783]),
        (lambda n: f"{n % 12 + 1} {['kg', 'g'][n % 2]}", "category", "12 categories", None),
        (lambda n: f"{n % 12 + 1} kg" if n else "n/a", "category", "13 categories", None),
        (lambda n: f"{n % 12:03} kg", "category", "12 categories", None),
        (lambda n: f"{n % 12}:15" + ":00" * (n % 2), "category", "12 categories", None),
        (lambda n: f"{n % 3 + 1} cyl", "category", "3 categories", None),
    ],
)
def test_numbers_with_one_unit_and_times_are_numbers(tmp_path, written, kind, words, first):
    path = write(tmp_path, "a,y\n" + "".join(f"{written(n)},{n}.5\n" for n in range(30)))
    data = TableDataModule(path, "y", scaling="none", val_size=None, split_seed=None)
    reading = data.reading()
    assert reading.input.columns[0].kind == kind
    assert words in reading.input.columns[0].detail
    mixed = kind == "category" and written(2).endswith("kg")
    assert ("numbers with words behind them" in str(reading)) == mixed
    if first is not None:
        matrix = data.encode(data.examples("train").rows).numpy()
        assert matrix[: len(first), 0].tolist() == pytest.approx(first)


def test_new_rows_have_the_unit_that_was_trained_on(tmp_path):
    train = write(tmp_path, "a,y\n" + "".join(f"{n + 8} kg,{n}.5\n" for n in range(30)))
    state = TableDataModule(train, "y", scaling="none").state_dict()

    def first(text):
        new = write(tmp_path, text, "new.csv")
        data = TableDataModule(train, "y", predict_path=new, scaling="none")
        data.load_state_dict(state)
        return next(iter(data.predict_dataloader()))[0][0, 0]

    assert first("a\n12 kg\n12 kg\n12 kg\n") == first("a\n12\n") == 12
    with pytest.raises(InputError, match=r"holds numbers in g, and those .* are in kg"):
        first("a\n12 g\n12 g\n14 g\n")


@pytest.mark.parametrize(("old", "new"), [("{}:30", "90"), ("{}", "1:30"), ("{}:30", "1:30:00")])
def test_times_and_plain_numbers_are_not_taken_for_each_other(tmp_path, old, new):
    rows = "".join(f"{old.format(n)},{n}.5\n" for n in range(24))
    train = write(tmp_path, "a,y\n" + rows)
    data = TableDataModule(train, "y", predict_path=write(tmp_path, f"a\n{new}\n", "new.csv"))
    with pytest.raises(InputError, match="and those that were trained on are in"):
        data.predict_dataloader()


def test_classes_keep_their_units(tmp_path):
    path = write(tmp_path, "a,y\n" + "".join(f"{n},{n % 3 + 1} star\n" for n in range(30)))
    data = TableDataModule(path, "y", task="classification")
    assert [name for name, _ in data.reading().target.classes] == ["1 star", "2 star", "3 star"]


@pytest.mark.parametrize(
    ("mark", "others", "said"),
    [
        ("-999", range(18, 90), True),
        ("9999.0", range(18, 90), True),
        ("-99", range(0, 4000, 50), True),
        ("0", range(1950, 2020), True),
        ("99", range(18, 90), False),
        ("-1", range(18, 90), False),
    ],
)
def test_a_number_that_may_mean_missing_is_said(tmp_path, mark, others, said):
    cells = [mark if n % 9 == 4 else str(others[n % len(others)]) for n in range(80)]
    path = write(tmp_path, "a,y\n" + "".join(f"{cell},{n}.5\n" for n, cell in enumerate(cells)))
    notes = " ".join(TableDataModule(path, "y").reading().input.notes)
    assert ("far from all other numbers" in notes) == said
    if mark == "0":  # other columns may hold true zeros
        assert "leave these cells empty" in notes
    elif said:
        advice = notes.partition("na_values: ['")[2].partition("'")[0]
        named = TableFormat(na_values=(advice,))
        reading = TableDataModule(path, "y", table_format=named, missing="mean").reading()
        assert "far from all" not in str(reading)
        assert reading.input.columns[0].missing == pytest.approx(9 / 80)


@pytest.mark.parametrize("mark", ["9999-12-31", "1900-01-01"])
def test_a_date_that_may_mean_missing_is_said_and_one_in_the_target(tmp_path, mark):
    days = [date(1990, 1, 1) + timedelta(days=90 * n) for n in range(60)]
    cells = [mark if n == 40 else str(day) for n, day in enumerate(days)]
    rows = "".join(f"{cell},{-999 if n < 3 else n / 4}\n" for n, cell in enumerate(cells))
    notes = TableDataModule(write(tmp_path, "a,y\n" + rows), "y").reading().input.notes
    assert "-999 in column 'y' is far from all other numbers of it (3 cells)" in notes[0]
    assert f"{mark} in column 'a' is far from all other dates of it (1 cells)" in notes[1]


def test_marks_without_width_are_no_part_of_a_cell(tmp_path):
    found, _ = kinds(
        write(tmp_path, "a,y\n" + "".join(f"\ufeff{n}\u200b,{n}.5\n" for n in range(20)))
    )
    assert found["a"] == "number"


def test_classes_that_differ_by_case_alone_are_said(tmp_path, capsys):
    words = ["yes", "YES", "no"]
    rows = "".join(f"{n},{words[n % 3]}\n" for n in range(60))
    data = TableDataModule(write(tmp_path, "a,y\n" + rows), "y")
    data.setup("fit")  # before a head of two classes refuses them
    said = "the classes 'YES' and 'yes' differ by upper and lower case"
    assert said in capsys.readouterr().out
    assert said in data.reading().input.notes[0]


def test_equal_names_and_times_in_parquet(tmp_path):
    import datetime

    import pyarrow as pa
    import pyarrow.parquet as pq

    numbers, times = list(range(30)), [datetime.time(n % 24, 30) for n in range(30)]
    twins = pa.table([pa.array(numbers), pa.array(numbers)], names=["a", "a"])
    pq.write_table(twins, tmp_path / "twins.parquet")
    with pytest.raises(InputError, match=r"twins\.parquet: two columns have the name 'a'"):
        TableDataModule(tmp_path / "twins.parquet", "a").reading()
    named = pa.table([pa.array(times), pa.array(numbers)], names=["at", "y"])
    pq.write_table(named, tmp_path / "t.parquet")
    reading = TableDataModule(tmp_path / "t.parquet", "y", task="regression").reading()
    assert (reading.input.columns[0].kind, reading.input.columns[0].detail) == (
        "number",
        "0.5 to 23.5",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,a,y\n1,2,3\n", "two columns have the name 'a'"),
        ("a,,y\n1,2,3\n4,2,5\n", r"column 2 of t\.csv.* has no name, and holds data"),
        ("1.5,2,3.5\n4,5,6\n", "the first line of .* holds numbers alone"),
        ("5.1,3.5,setosa\n4,5,virginica\n", "The first line must name the columns"),
        ("a,y\n1,2\n3\n", "line 3 has 1 cells, the header .line 1. 2"),
        ("text,y\nI like it, really,pos\n", "line 2 has 3 cells.*Put cells that hold a comma in"),
        ("Report of May\n\na,y\n1,2\n", "Delete the lines above the header if they are a title"),
        ("a,y\n1,2\na,y\n", "line 3 of .* repeats the header"),
        ("a,y\n1,2\n2,3\n3,4\nTotal,9\n", "looks like a total"),
        ("a,y\n1,2\n2,3\n3,4\nGesamtergebnis,9\n", "looks like a total"),
        ("a,y\n1,2\n\0,3\n", "NUL byte in line 3"),
        ('t,y\n"say \\"hi\\"",2\n', "Quotes inside a quoted cell must be doubled"),
        ("a;b|y;c|z\n1;2|3;4|5\n", "both cut all its lines alike"),
        ("a,y\n1,2\nn/a,3\n4,4\n", r"'n/a' in line 3 of the file.*na_values: \['n/a'\]"),
        ("a;y\n1,5;2\n2,5;3\nunknown;4\n", "holds numbers, but 'unknown' in line 4"),
        (
            "d,y\n2024-01-01,2\n2024-01-02,3\n2024-02-30,4\n",
            "dates, but '2024-02-30' in line 4",
        ),
        ("d,y\n03/04/2024,2\n05/06/2024,3\n", "day may stand first or second"),
        ("d,y\n03/04/24,2\n25/06/24,3\n", "'03/04/24' in line 2 .* years with four digits"),
        ("d,y\n2024-01-02,2\n03.01.2024,3\n", "'03.01.2024' in line 3 .* another way"),
        ("name,y\nann,1.5\nbob,2.5\neve,3.5\n", "no input column.*'name': 3 different texts"),
        ("a;y\n1.234;2\n5.678;3\n", "'1.234', which may be 1.234 or 1234"),
        ("t;a;y\n7:30;1.234;2\n8:45;5.678;3\n", "'1.234', which may be 1.234 or 1234"),
        ("a,y\n980,2\n1.234,3\n", "'1.234', which may be 1.234 or 1234"),
        (
            "a\ty\n980 \u20ac\t2\n12.345 \u20ac\t3\n",
            "'12.345 \u20ac', which may be 12.345 or 12345",
        ),
        ("a,y\n$5,2\n€6,3\n", "in \\$ and €: write all of them in one unit"),
        ("a,y\n5 %,2\n6,3\n", "in no unit and %"),
        ("a,y\n1,\n2,3\n", r"missing in line 2 .*drop_unlabelled: true"),
        ("a,y\n1,2024-01-01\n2,2024-01-02\n", "target 'y' holds dates"),
    ],
)
def test_what_is_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        kinds(write(tmp_path, text))


@pytest.mark.parametrize(
    "text",
    [
        "a,y\n1.234,2\n5.678,3\n",  # no whole number beside them
        "a,y\n1980,2\n1.234,3\n",  # a thousand without a mark
        "a,y\n980,2\n0.234,3\n1.234,4\n",
        "a,y\n980,2.5\n1.234,3\n",  # the other column has decimals
    ],
)
def test_a_point_is_the_decimal_mark_where_no_thousand_looks_like_it(tmp_path, text):
    assert 1.234 in list(read_table(write(tmp_path, text)).frame["a"])


def test_what_a_person_says_of_the_file_settles_it(tmp_path):
    rows = "".join(f"{n + 1}.234;{1 + n % 12:02}/{1 + n % 11:02}/2024;{n}\n" for n in range(30))
    path = write(tmp_path, "a;d;y\n" + rows)
    arguments = {"scaling": "none", "val_size": None, "split_seed": None}
    said = TableFormat(decimal=",", day_first=True)
    data = TableDataModule(path, "y", table_format=said, **arguments)
    matrix = data.encode(data.reading() and data.examples("train").rows).numpy()
    assert matrix[0].tolist() == [1234, (date(2024, 1, 1) - date(1970, 1, 1)).days]
    assert matrix[2, 1] == (date(2024, 3, 3) - date(1970, 1, 1)).days
    assert matrix[11, 1] == (date(2024, 11 % 11 + 1, 12) - date(1970, 1, 1)).days


def test_in_python_what_is_said_may_be_a_dict_as_in_a_config(tmp_path):
    rows = "".join(f"K\u00f6ln,{n}.5\n" for n in range(30))
    path = write(tmp_path, "town,y\n" + rows, encoding="cp1252")
    said = {"encoding": "cp1252"}
    data = TableDataModule(path, "y", table_format=said, categorical_columns=["town"])
    assert data.feature_names == ["town=K\u00f6ln"]
    listed = TableFormat.of({"na_values": ["n/a"], "header": ["town", "y"]})
    assert hash(listed) == hash(TableFormat(na_values=("n/a",), header=("town", "y")))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"encdoing": "cp1252"}, "unknown key of table_format 'encdoing'. Did you mean 'encoding'"),
        ({"encoding": "klingon"}, "there is no encoding 'klingon'"),
        ({"encoding": "base64"}, "there is no encoding 'base64'"),
        ({"na_values": "n/a"}, r"na_values must be a list, such as \['n/a'\]"),
    ],
)
def test_what_nobody_can_say_of_a_table_is_refused(said, message):
    with pytest.raises(InputError, match=message):
        TableFormat.of(said)


def test_missing_is_the_empty_cell_and_what_na_values_name(tmp_path):
    rows = "".join(
        f"{['NA', 'EU', 'null'][n % 3]},{'NA' if n == 4 else n},{n}.5\n" for n in range(30)
    )
    path = write(tmp_path, "region,age,y\n" + rows)
    said = TableFormat(na_values=("NA",))
    data = TableDataModule(path, "y", table_format=said, missing="mean")
    assert [n for n in data.feature_names if "region" in n] == [
        *("region=EU", "region=null", "region=(missing)")
    ]
    assert {of.name: round(of.missing, 3) for of in data.reading().input.columns} == {
        "region": 0.333,
        "age": 0.033,
        "y": 0.0,
    }
    classes = write(
        tmp_path, "a,y\n" + "".join(f"{n},{['None', 'some'][n % 2]}\n" for n in range(9))
    )
    assert TableDataModule(classes, "y").class_names == ["None", "some"]


def test_codes_are_categories_and_lists_are_left_out(tmp_path):
    import pandas as pd

    zips = ["00501", "10001", "90210"] * 10
    big = [str(10**17 + n % 3) for n in range(30)]
    pd.DataFrame(
        {
            "zip": zips,
            "big": big,
            "list": [[1, 2]] * 30,
            "struct": [{"a": 1}] * 30,
            "when": pd.date_range("2024-01-01", periods=30, tz="Europe/Paris"),
            "amount": [f"1.{n:03},5" for n in range(30)],
            "y": np.arange(30) / 7,
        }
    ).to_parquet(tmp_path / "t.parquet")
    found, _ = kinds(tmp_path / "t.parquet")
    assert found == {
        "zip": "category",
        "big": "category",
        "list": "left out",
        "struct": "left out",
        "when": "date",
        "amount": "number",
        "y": "target",
    }


def test_rows_without_a_target_are_left_out_and_counted(tmp_path, capsys):
    rows = "".join(f"{n},{'' if n % 10 == 3 else n % 2}\n" for n in range(30))
    data = TableDataModule(write(tmp_path, "a,y\n" + rows), "y", drop_unlabelled=True)
    assert data.class_names == ["0", "1"]
    assert data.num_rows == 27
    assert "3 rows of the table have no target and are left out" in capsys.readouterr().out
    assert 3 not in data.examples("train").places


def test_a_reading_is_of_the_labelled_table_whatever_was_read_first(tmp_path):
    rows = "".join(f"{n},{n % 2}\n" for n in range(30))
    train = write(tmp_path, "a,y\n" + rows)
    test = write(tmp_path, "a,y\n5,1\n,0\n6,\n", "test.csv")
    given = {"test_path": test, "drop_unlabelled": True, "missing": "mean"}
    state = TableDataModule(train, "y", **given).state_dict()
    restored = TableDataModule(train, "y", **given)
    restored.load_state_dict(state)
    assert len(restored.examples("test").rows) == 2
    found = restored.reading().input
    assert found.source.startswith("t.csv")
    assert found.columns[0].missing == 0


def test_leaks_and_twins_are_said(tmp_path):
    rows = "".join(
        f"{n},{['no', 'yes'][n % 3 == 0]},{n % 5},{n % 5},{int(n % 3 == 0)}\n" for n in range(30)
    )
    _, reading = kinds(write(tmp_path, "step,alive,u,v,y\n" + rows))
    notes = "\n".join(reading.input.notes)
    assert "'alive' alone tells the target 'y'" in notes
    assert "columns 'u' and 'v' are equal in every row" in notes
    assert "'step' counts the rows" in notes
    assert len(reading.summary()) <= 5


@pytest.mark.parametrize(
    ("new", "first"),
    [
        ("a;b;d\n1.234,5;5 %;31.12.2024\n", 1234.5),
        ("a;b;d\n1.234;5 %;01.02.2024\n", 1234.0),
        ("a,b,d\n1234.5,5 %,2024-12-31\n", 1234.5),
        ('a,b,d\n"1,234.5",5 %,2024-12-31\n', 1234.5),
        ("a;b;d\n7;5,5 %;31.12.2024\n", 7.0),
    ],
)
def test_new_rows_are_read_as_those_that_were_trained_on(tmp_path, new, first):
    train = write(tmp_path, "a;b;d;y\n" + GERMAN)
    path = write(tmp_path, new, "new.csv")
    data = TableDataModule(train, "y", predict_path=path, scaling="none")
    fresh = TableDataModule(tmp_path / "gone.csv", "y", predict_path=path, scaling="none")
    fresh.load_state_dict(data.state_dict())
    for one in (data, fresh):
        assert next(iter(one.predict_dataloader()))[0][0, 0] == first


TWO_WAYS = (
    "lat;n;d;e;y\n52.52;1.234.567;03/25/2024;25.03.2024;1\n50.11;980.123;04/26/2024;26.04.2024;2\n"
)
MARCH = np.datetime64("2024-03-04")


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ("lat;n\n48.14;12.345\n", {"lat": 48.14, "n": 12345}),
        ("lat,n\n48.140,12.345\n", {"lat": 48.14, "n": 12345}),
        ("lat;n\n48,14;12.345\n", {"lat": 48.14, "n": 12345}),
        ("d;e\n03/04/2024;25.03.2024\n", {"d": MARCH}),
        ("d;e\n04/03/2024;2024-03-25\n25/03/2024;2024-03-26\n", {"d": MARCH}),
        ("lat;n\n48,140;12.345\n", {"lat": "which may be 48140 or 48.14", "n": 12345}),
        ('lat,n\n48.14,"12,345"\n', {"n": 12345}),
    ],
)
def test_columns_trained_on_in_two_ways_tell_nothing_of_each_other(tmp_path, new, expected):
    learned = read_table(write(tmp_path, TWO_WAYS)).formats
    table = read_table(write(tmp_path, new, "new.csv"), learned=learned)
    for name, value in expected.items():
        if isinstance(value, str):
            assert value in table.problems[name][0]
        else:
            assert table.frame[name].iloc[0] == value


@pytest.mark.parametrize(
    ("new", "message"),
    [
        ("a;b;d\n1,5;5 %;unknown\n", "'d' holds no dates, and it held dates"),
        ("a;b;d\nmuch;5 %;31.12.2024\n", "'a' must hold finite numbers.*line 2 .* has 'much'"),
        ("a;b;d\n1,5;0,05;31.12.2024\n", "'b' holds numbers in no unit, and .* are in %"),
        ("a,b,d\n1.234,5 %,2024-12-31\n", "'1.234', which may be 1.234 or 1234"),
        ("a;b\n1,5;5 %\n", "lacks a column that was trained on: there is no column 'd'"),
    ],
)
def test_new_rows_that_cannot_be_read_so_are_refused(tmp_path, new, message):
    train = write(tmp_path, "a;b;d;y\n" + GERMAN)
    data = TableDataModule(train, "y", predict_path=write(tmp_path, new, "new.csv"))
    with pytest.raises(InputError, match=message):
        data.predict_dataloader()


def test_true_and_false_may_come_as_1_and_0_but_not_as_other_numbers(tmp_path):
    rows = "".join(f"{['true', 'false'][n % 2]},{n}.5\n" for n in range(12))
    train = write(tmp_path, "sold,y\n" + rows)
    for cell, matches in (("1", True), ("TRUE", True), ("5", False), ("yes", False)):
        data = TableDataModule(train, "y", predict_path=write(tmp_path, f"sold\n{cell}\n", "n.csv"))
        if matches:
            assert next(iter(data.predict_dataloader()))[0].item() == 1
        else:
            with pytest.raises(InputError, match=r"column 'sold' (holds other|must hold)"):
                data.predict_dataloader()


def test_runs_of_older_versions_read_new_rows_as_they_did(tmp_path):
    """Their state knows no formats: texts like NA were missing, 00501 and 501 were one category."""
    state = {
        "columns": ["age", "zip"],
        "features": None,
        "encoder": {
            "missing": "zero",
            "fill": {"age": 0.0},
            "shift": {"age": 10.0},
            "scale": {"age": 5.0},
            "indicated": [],
            "categories": {"zip": ["501", "10001"]},
        },
    }
    new = write(tmp_path, "age,zip\nNA,00501\n20,10001\n")
    data = TableDataModule(tmp_path / "gone.csv", "y", predict_path=new)
    known = {"task": "regression", "class_names": None, "num_outputs": 1, "numbered": False}
    data.load_state_dict({"inputs": state, "targets": known, "input_shape": [3], "seed": 0})
    rows = data.load_predict().rows
    assert data.encode(rows).tolist() == [[-2, 1, 0], [2, 0, 1]]


def test_columns_are_equal_if_all_of_their_rows_are(tmp_path):
    rows = 2_500  # more than are looked at first
    like = ["ab"[row % 2] for row in range(rows)]
    columns = {
        "u": like,
        "v": [*like[:-1], "c"],
        "w": like,
        "y": [str(row % 7) for row in range(rows)],
    }
    lines = [",".join(cells) for cells in zip(*columns.values(), strict=True)]
    _, reading = kinds(write(tmp_path, "\n".join([",".join(columns), *lines, ""])))
    notes = [note for note in reading.input.notes if "equal in every row" in note]
    assert notes == ["columns 'u' and 'w' are equal in every row"]
