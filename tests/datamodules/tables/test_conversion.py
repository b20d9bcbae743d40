"""What a column holds is decided by all of its cells, by the rules by which new rows are read."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlp.datamodules.tables.conversion import convert_columns
from dlp.errors import InputError
from dlp.reader.notation import number
from helpers.tables import read_converted

NUMBERS = [
    "1",
    "-2.5",
    "+3",
    "1e3",
    " 4",
    "5 ",
    ".5",
    "6.",
    "True",
    "nan",
    "inf",
    "1_0",
]
NUMBERS += [
    "1,5",
    "1.234",
    "1.234,5",
    "0x1F",
    "",
    "x",
    "1e39",
    "\u0663",
    "-",
    "1d",
    "007",
]


def write(text, name="t.csv"):
    path = Path(name)
    path.write_text(text, encoding="utf-8")
    return path


def converted(cells, options=None, **arguments):
    """Return the column ``c`` with some cells as it is trained on."""
    frame = pd.DataFrame({"c": pd.Series(cells, dtype="str")})
    columns = arguments.pop("columns", ["c"])
    return convert_columns(frame, options or {}, "t.csv", columns, **arguments)["c"]


def numbers_and(late, count=250):
    """Return a column of numbers whose last cell is another text."""
    return [*(str(10_000 + row) for row in range(count)), late]


# Numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [{}, {"decimal": ","}, {"thousands": "."}, {"decimal": ",", "thousands": "."}],
)
@given(st.lists(st.sampled_from(NUMBERS) | st.text(max_size=4), min_size=1, max_size=3))
def test_a_column_holds_numbers_if_each_cell_is_one_in_use(options, texts):
    expected = []
    for text in texts:
        try:
            expected.append(np.nan if text == "" else number(text, options))
        except ValueError:
            expected = None
            break
    column = converted(texts, options, numbers=["c"])
    assert (column.dtype != "str") == (expected is not None)
    if expected is not None:
        np.testing.assert_array_equal(column.astype(float).to_numpy(), expected)


@pytest.mark.parametrize(
    ("cells", "dtype"),
    [
        (["1", "-2"], "int64"),
        (["1.0", "2.0"], "float64"),
        (["1e0", "2"], "float64"),
        (["1", None], "float64"),
        ([None, None], "float64"),
        (["True", "FALSE"], "bool"),
        (["true", None], "boolean"),
        (["True", "1"], "float64"),
        (["9007199254740993", "1"], "int64"),
        (["9" * 25, "1"], "str"),
    ],
)
def test_numbers_have_the_type_that_their_texts_say(cells, dtype):
    assert converted(cells).dtype == dtype


def test_whole_numbers_are_exact_beyond_those_of_a_float():
    assert converted(["9007199254740993", "1"])[0] == 9007199254740993


def test_numbers_are_the_nearest_floats():
    texts = [
        "0.1",
        "1.7976931348623157e30",
        "5.4154850483374396",
        "0.30000000000000004",
    ]
    assert converted(texts).tolist() == list(map(float, texts))


def test_whole_numbers_with_a_thousands_mark_are_integers():
    column = converted(["1.234", "-12"], {"decimal": ",", "thousands": "."})
    assert column.tolist() == [1234, -12]
    assert column.dtype == "int64"


def test_a_number_that_stands_for_a_missing_cell_is_missing():
    column = converted(["-999.00", "3"], {"na_values": [-999]})
    assert column.isna().tolist() == [True, False]


def test_a_column_is_text_whatever_comes_late():
    assert converted(["1"] * 300_000 + ["x"]).dtype == "str"


@pytest.mark.parametrize("dtype", ["int64", "float64", "Int64"])
def test_the_dtype_of_numbers_makes_numbers_of_codes(dtype):
    column = converted(["007", "2"], {"dtype": {"c": dtype}})
    assert column.tolist() == [7, 2]
    assert column.dtype == dtype


@pytest.mark.parametrize(
    ("cell", "dtype"),
    [("5.5", "int64"), ("300", "int8"), ("-1", "uint8"), ("2", "bool")],
)
def test_a_dtype_that_would_change_a_number_is_refused(cell, dtype):
    options = {"dtype": {"c": dtype}}
    with pytest.raises(InputError, match=rf"dtype {dtype}.*'{cell}'"):
        converted(["1", cell], options)
    assert converted(["1", "0"], options).tolist() == [1, 0]


@pytest.mark.parametrize("cells", [["1", "", "300"], ["1.5", "2"]])
def test_a_dtype_of_floats_may_round(cells):
    column = converted(cells, {"dtype": {"c": "float16"}})
    assert column.dtype == "float16"
    assert column.iloc[-1] == float(cells[-1])


@pytest.mark.parametrize("dtype", ["category", "str"])
@pytest.mark.parametrize("options", [{"dtype": {}}, {"dtype": ""}])
def test_the_dtype_of_texts_keeps_them(dtype, options):
    options = {"dtype": {"c": dtype} if options["dtype"] == {} else dtype}
    column = converted(["007", "2"], options)
    assert column.tolist() == ["007", "2"]
    assert column.dtype == dtype


def test_an_unknown_dtype_is_refused():
    with pytest.raises(InputError, match=r"read_csv: dtype: .*'number'"):
        converted(["1"], {"dtype": {"c": "number"}})


def test_other_columns_stay_texts():
    assert converted(["1", "2"], columns=["d", None]).tolist() == ["1", "2"]


def test_columns_that_are_no_texts_stay_as_they_are():
    frame = pd.DataFrame({"a": [1, 2], "b": [["x"], ["y"]]})
    pd.testing.assert_frame_equal(convert_columns(frame, {}, "t", ["a", "b"]), frame)


def test_a_column_is_called_by_its_place_without_a_header():
    options = {"header": None, "dtype": {2: "category"}, "na_values": {0: [2]}}
    options |= {"parse_dates": [3], "date_format": {3: "%d.%m.%Y"}}
    table = read_converted(write("1,1,x,05.01.2020\n2,2,y,06.01.2020\n"), options)
    assert list(table) == ["0", "1", "2", "3"]
    assert table["0"].isna().tolist() == [False, True]
    assert table["2"].dtype == "category"
    assert table["3"].dt.month.tolist() == [1, 1]


# Codes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "options"),
    [
        ("00501", {}),
        (" 00501", {}),
        ("00501 ", {}),
        ("1.5", {"thousands": "."}),
        (" 1.5", {"thousands": "."}),
        ("00.501", {"thousands": "."}),
        ("0.501", {"thousands": "."}),
        ("1.5e3", {"thousands": "."}),
    ],
)
def test_a_text_that_would_become_another_number_is_refused(cell, options):
    with pytest.raises(InputError, match="contains numbers and") as error:
        converted(numbers_and(cell), options)
    assert repr(cell) in str(error.value)
    assert error.value.fixes == ({"read_csv": {"dtype": {"c": "category"}}},)


@pytest.mark.parametrize("late", ["0", "0.05", "100", "10:00", "2020-01-02", "a007"])
def test_zeros_that_begin_no_code_are_read(late):
    column = converted(numbers_and(late))
    assert str(column.iloc[-1]) in (late, f"{late}.0")


def test_all_columns_with_codes_are_named_at_once():
    frame = pd.DataFrame({"a": ["01"], "b": ["1"], "c": ["02"]}, dtype="str")
    with pytest.raises(InputError, match=r"dtype: \{a: category, c: category\}"):
        convert_columns(frame, {}, "t.csv", list(frame))


def test_dates_in_the_place_of_numbers_are_refused_as_dates():
    with pytest.raises(InputError, match=r"'12.03.2024'.*parse_dates: \[c\]"):
        converted(["12.03.2024"], {"decimal": ",", "thousands": "."})


def test_a_column_listed_as_numbers_takes_codes():
    assert converted(["007", "2"], numbers=["c"]).tolist() == [7, 2]


def test_classes_with_codes_stay_texts():
    assert converted(["007", "2"], classes=["c"]).tolist() == ["007", "2"]
    assert converted(["7", "2"], classes=["c"]).tolist() == [7, 2]


# Dates --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2021", datetime(2021, 1, 1)),
        ("2021-05", datetime(2021, 5, 1)),
        ("2021-05-03", datetime(2021, 5, 3)),
        ("20210503", datetime(2021, 5, 3)),
        ("2021-05-03 10:30", datetime(2021, 5, 3, 10, 30)),
    ],
)
def test_dates_are_those_of_iso_8601(text, expected):
    column = converted([text, None], {"parse_dates": ["c"]})
    assert column.isna().tolist() == [False, True]
    assert column[0] == expected


def test_the_zone_of_dates_is_kept():
    column = converted(["2021-05-03T10:00:00+01:00"], {"parse_dates": ["c"]})
    assert str(column.dtype) == "datetime64[us, UTC+01:00]"


@pytest.mark.parametrize(
    ("cells", "form"),
    [
        (["03/04/2024"], None),
        (["2024-1-5"], None),
        (["2019-02-19"], "%d.%m.%Y"),
        (["2019-02-19"], "mixed"),
    ],
)
def test_other_dates_are_refused(cells, form):
    options = {"parse_dates": ["c"], "date_format": form}
    shown = form or "ISO 8601"
    with pytest.raises(InputError, match=rf"date_format '{shown}'"):
        converted(cells, options)


def test_dates_in_winter_and_summer_are_in_utc():
    cells = ["2021-01-03T10:00+01:00", "2021-07-03T10:00+02:00", None]
    column = converted(cells, {"parse_dates": ["c"]})
    expected = pd.to_datetime(pd.Series(cells, name="c"), utc=True)
    pd.testing.assert_series_equal(column, expected.astype(column.dtype))


def test_dates_with_and_without_an_offset_are_refused():
    cells = ["2021-05-03T10:00+01:00", "2021-05-03T10:00"]
    with pytest.raises(InputError, match="some have none"):
        converted(cells, {"parse_dates": ["c"]})


@pytest.mark.parametrize("name", ["t.json", "t.csv"])
def test_dates_are_read_where_they_are_named(name):
    text = '[{"d": "03.01.2024"}]' if name == "t.json" else "d\n03.01.2024\n"
    options = {"parse_dates": ["d", "absent"], "date_format": "%d.%m.%Y"}
    assert read_converted(write(text, name), options)["d"].tolist() == [
        datetime(2024, 1, 3)
    ]
