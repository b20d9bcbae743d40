"""Rows and answers of an export; the tests of the encoders compare their arrays."""

import sys
import warnings
from datetime import datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dlp.datamodules.tables.files import read_table
from dlp.errors import InputError
from dlp.reader import __main__ as program
from dlp.reader.answer import Answer
from dlp.reader.array import ArrayEncoder
from dlp.reader.cells import CellConverter
from dlp.reader.files import typed_rows
from dlp.reader.image import ImageEncoder
from dlp.reader.notation import number, text_numbers
from dlp.reader.rows import ReaderError
from dlp.reader.table import TableEncoder
from dlp.reader.text import TextEncoder


def test_cells_that_stand_for_holes_are_missing_and_dates_can_be_categories():
    encoder = TableEncoder(
        categorical_columns=["sold"],
        missing="mean",
        read_csv={"na_values": {"size": [-999, "?"]}},
    )
    days = pd.to_datetime(["2021-03-01", "2021-03-01", None])
    encoder.fit(pd.DataFrame({"size": [1.0, 2.0, 4.0], "sold": days}))
    assert encoder.categories_ == {"sold": ["2021-03-01 00:00:00", ""]}
    rows = [{"size": size, "sold": "2021-03-01"} for size in ("-999.0", "?", "", "3")]
    cells = encoder.convert([*rows, {"size": pd.NA, "sold": pd.NA}])
    np.testing.assert_array_equal(
        cells.numbers[:, 0], [np.nan, np.nan, np.nan, 3, np.nan]
    )
    assert cells.codes.codes.tolist() == [0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("cells", "typical", "categories"),
    [
        (["b", "b"], "b", ["b"]),
        ([2.0, 1.0, 1.0, None], "1", ["1", "2", ""]),
        ([None, None, "a"], "a", ["a", ""]),
    ],
)
@pytest.mark.filterwarnings("ignore:constant in training")
def test_the_field_of_a_category_has_its_categories(cells, typical, categories):
    encoder = TableEncoder(categorical_columns=["kind"])
    encoder.fit(pd.DataFrame({"kind": cells}))
    [field] = encoder.fields()
    assert field["kind"] == "category"
    assert field["typical"] == typical
    assert field["categories"] == categories


@pytest.mark.parametrize("cells", [[-999, -999.0, 3], ["-999", "-999.0", "3"]])
@pytest.mark.parametrize("na_values", [[-999], ["-999"], -999])
@pytest.mark.parametrize("make", [list, np.array])
def test_a_number_that_stands_for_a_missing_cell_is_missing_as_number_and_text(
    cells, na_values, make
):
    converter = CellConverter({"na_values": na_values})
    numbers = converter.numbers("x", make(cells), range(3))
    np.testing.assert_array_equal(numbers, [np.nan, np.nan, 3])
    texts, places = converter.distinct_texts("x", make(cells), range(3))
    assert [texts[place] for place in places] == ["", "", "3"]


@pytest.mark.parametrize(
    "cells",
    [
        ["1900-01-01", "2020-01-01"],
        [datetime(1900, 1, 1), datetime(2020, 1, 1)],
        np.array(["1900-01-01", "2020-01-01"], "datetime64[ns]"),
    ],
)
def test_a_date_that_stands_for_a_missing_cell_is_missing_in_every_form(cells):
    converter = CellConverter({"na_values": {"d": ["1900-01-01"]}}, dates=["d"])
    numbers = converter.numbers("d", cells, range(2))
    assert np.isnan(numbers).tolist() == [True, False]


def test_an_image_that_cannot_be_read_is_named_with_the_reason(tmp_path):
    deep = tmp_path / "deep.tiff"
    encoder = ImageEncoder(5, 6)
    for dtype in (np.uint16, np.int32, np.float32):
        Image.fromarray(np.zeros((9, 9), dtype)).save(deep)
        with pytest.raises(
            ValueError, match=r"deep.tiff cannot be read \(16 or .* with 8 bits"
        ):
            encoder.transform([deep])
    with pytest.raises(
        ValueError, match=r"image 0 cannot be read \(cannot identify image file\)"
    ):
        encoder.transform([b"no image"])


@pytest.mark.parametrize(
    "images", [np.ones((1, 5, 6, 3), np.float32), np.ones((1, 9, 6, 3), np.uint8)]
)
def test_an_array_of_other_images_is_refused(images):
    with pytest.raises(
        ValueError, match=r"an array of images is uint8 of the shape \(N, 5, 6, 3"
    ):
        ImageEncoder(5, 6).transform(images)


@pytest.mark.parametrize("cell", [{"a": 1}, ["red"]])
def test_a_cell_that_holds_several_is_no_category(cell):
    encoder = TableEncoder()
    encoder.fit(pd.DataFrame({"kind": ["blue", "red"]}))
    with pytest.raises(
        ValueError, match="'kind' of row 0 takes one text or number, not"
    ):
        encoder.transform([{"kind": cell}])


def test_a_row_without_the_column_of_texts_names_the_column():
    encoder = TextEncoder(column="review")
    encoder.fit(["a film"])
    with pytest.raises(ValueError, match="has a text in column 'review', not"):
        encoder.transform([{"text": "a film"}])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n", "has no rows"),
        ("", "has no rows"),
        ("a,a\n1,2\n", "two columns called 'a'"),
        ("a,b\n1\n", "rows of different widths: row 0 has 1 cells, the header 2"),
    ],
)
def test_a_wrong_csv_is_refused(text, message, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(ValueError, match=message):
        typed_rows([str(path)], TableEncoder())


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (',a,b,\n0,1,"x,\n1,2,y",\n', {"quoting": 3, "usecols": ["a", "b"]}),
        ("made by\na,b\n1,x\n", {"skiprows": 1}),
        (",a\n0,1\n\n1,2\n", {"index_col": 0}),
        (",a,,b\n0,1,x,2\n", {}),
        ("1,x\n2,y\n", {"header": None}),
        ("1,x\n2,y\n", {"names": ["a", "b"]}),
        ("1,x\n2,y\n", {"names": [10, 11]}),
        ("a,b\n1,x\nthe end\n", {"skipfooter": 1, "engine": "python"}),
        ("a,b\n1,x\n2,y\n\n", {"skipfooter": 1, "engine": "python"}),
        ("a,b\n1,x\n\n2,y\n \n\n", {"skipfooter": 3, "engine": "python"}),
        ("a,b\nin cm,in g\n1,x\n", {"skiprows": [1]}),
        ("a,b\n1,x\n", {"keep_default_na": False}),
        ("\ufeffa,b\n1,x\n", {"encoding": "utf-8"}),
        ("a b\n1 x\n", {"sep": " "}),
        ("a,b\n1,x\n", {"header": "infer"}),
        ("1,x\n2,y\n", {"header": "infer", "names": ["a", "b"]}),
        ("made by,me\na,b\n1,x\n", {"header": 1}),
        ("a,b\n1,x\n", {"header": 0, "names": ["c", "d"]}),
        ('"a","b"\n02,"x, y"\n', {"quoting": 2}),
        ("a,b\n1,'x, y'\n", {"quotechar": "'"}),
        ('a,b\n1,"x \\" y"\n', {"escapechar": "\\", "doublequote": False}),
        ('a, b\n1, "x, y"\n', {"skipinitialspace": True}),
    ],
)
def test_a_csv_is_read_as_in_training(text, options, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(text, "utf-8")
    frame = read_table(path, {**options, "dtype": str, "na_filter": False})
    rows = typed_rows([str(path)], TableEncoder(read_csv=options))
    assert [{name: row[name] for name in frame} for row in rows] == frame.to_dict(
        "records"
    )


def test_a_header_of_two_rows_is_refused(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("a,b\nc,d\n1,x\n", "utf-8")
    options = {"header": [0, 1]}
    with pytest.raises(InputError, match=r"read_csv: header .* not \[0, 1\]"):
        read_table(path, options)
    with pytest.raises(ReaderError, match=r"read_csv: header .* not \[0, 1\]"):
        typed_rows([str(path)], TableEncoder(read_csv=options))


@pytest.mark.parametrize("options", [{}, {"sep": None}])
def test_only_the_ending_of_a_file_decides_on_its_separator(options, tmp_path):
    folder = tmp_path / "x.tsv.d"
    folder.mkdir()
    path = folder / "y.tsv.csv"
    path.write_text("a,b\n1,x\n", "utf-8")
    encoder = TableEncoder(read_csv=options)
    assert typed_rows([str(path)], encoder) == [{"a": "1", "b": "x"}]
    assert read_table(path).columns.tolist() == ["a", "b"]


def test_a_txt_without_a_line_is_refused(tmp_path):
    path = tmp_path / "empty.txt"
    path.touch()
    with pytest.raises(ReaderError, match=r"empty\.txt has no rows\."):
        typed_rows([str(path)], TextEncoder())


@pytest.mark.parametrize("decimal", [",", "."])
def test_a_cell_with_a_line_break_is_not_two_numbers(decimal):
    converter = CellConverter({"decimal": decimal})
    with pytest.raises(
        ValueError, match=r"'x' of row 1 takes finite numbers, not '2\\n"
    ):
        converter.numbers("x", ["1", "2\n3", ""], range(3))


def test_all_rows_of_a_csv_in_use_are_read_whatever_the_number_in_training(tmp_path):
    rows = csv_file(tmp_path / "rows.csv", b"a,b\n1,x\n2,y\n", {"nrows": 1})
    assert rows == [{"a": "1", "b": "x"}, {"a": "2", "b": "y"}]


def csv_file(path, content, options):
    path.write_bytes(content)
    return typed_rows([str(path)], TableEncoder(read_csv=options))


def test_a_csv_is_read_in_the_encoding_of_the_training_table(tmp_path):
    content = "Größe;Art\n1,5;süß\n".encode("cp1252")
    rows = csv_file(tmp_path / "rows.csv", content, {"encoding": "cp1252", "sep": ";"})
    assert rows == [{"Größe": "1,5", "Art": "süß"}]


@pytest.mark.parametrize(
    ("encoding", "content"),
    [("utf-8", b"a\n\xfc\n"), ("utf-16", b"a\nb\n"), ("ascii", b"\xfc")],
)
def test_a_csv_in_another_encoding_is_refused_by_one_sentence(
    encoding, content, tmp_path
):
    with pytest.raises(
        ReaderError, match="the encoding of the training table"
    ) as error:
        csv_file(tmp_path / "rows.csv", content, {"encoding": encoding})
    assert "codec" not in str(error.value)


def test_a_csv_that_seems_to_be_in_utf_8_is_read_as_in_training_with_a_note(tmp_path):
    content = "a\nsüß\n".encode()
    with pytest.warns(
        UserWarning, match=r"rows.csv seems to be in UTF-8, but is read as cp1252"
    ):
        rows = csv_file(tmp_path / "rows.csv", content, {"encoding": "cp1252"})
    assert rows == [{"a": "sÃ¼ÃŸ"}]


@pytest.mark.parametrize("options", [{"sep": r"\s+"}, {"comment": "#"}])
def test_arguments_that_only_pandas_knows_are_named(options, tmp_path):
    [name] = options
    with pytest.raises(ReaderError, match=rf"arguments that need pandas \({name}\)"):
        csv_file(tmp_path / "rows.csv", b"a b\n1 2\n", options)


@pytest.mark.parametrize(
    ("name", "content"), [("a.json", b'{"a": '), ("a.npy", b"1 2 3")]
)
def test_a_damaged_file_of_rows_is_named(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ReaderError, match=name):
        typed_rows([name], ArrayEncoder())


def test_the_program_of_an_export_prints_a_note_and_an_error_as_one_line(
    monkeypatch, capsys
):
    def main(words):
        warnings.warn("column 'kind': unseen in training: ['mauve']", stacklevel=1)
        raise ReaderError("rows.csv has no rows.")

    monkeypatch.setattr(sys, "argv", ["predict.py", "rows.csv"])
    monkeypatch.setattr(program, "main", main)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        with pytest.raises(SystemExit) as exit_:
            program.run()
    assert (
        capsys.readouterr().err
        == "note: column 'kind': unseen in training: ['mauve']\n"
    )
    assert exit_.value.code == "rows.csv has no rows."


def test_the_program_of_an_export_keeps_the_traceback_of_a_bug(monkeypatch):
    def main(words):
        raise KeyError("of a bug")

    monkeypatch.setattr(sys, "argv", ["predict.py", "rows.csv"])
    monkeypatch.setattr(program, "main", main)
    with pytest.raises(KeyError):
        program.run()


def test_rows_are_typed_or_stand_in_files(tmp_path):
    (tmp_path / "rows.csv").write_text("a;b\n1;x\n", "utf-8")
    (tmp_path / "rows.json").write_text("[[1, 2], [3]]", "utf-8")
    np.save(tmp_path / "rows.npy", np.arange(4).reshape(2, 2))
    words = [str(tmp_path / f"rows.{ending}") for ending in ("csv", "json", "npy")]
    spec = TextEncoder(read_csv={"sep": ";"})
    rows = typed_rows([*words, "a film"], spec)
    assert rows[:3] == [{"a": "1", "b": "x"}, [1, 2], [3]]
    assert [list(row) for row in rows[3:5]] == [[0, 1], [2, 3]]
    assert rows[5:] == ["a film"]
    assert typed_rows([words[0]], ImageEncoder(5, 6)) == [
        words[0]
    ]  # refused as an image
    with pytest.raises(ValueError, match="is a folder: give its files"):
        typed_rows([str(tmp_path)], spec)
    (tmp_path / "rows.pdf").touch()
    with pytest.raises(ValueError, match="is not a file of rows"):
        typed_rows([str(tmp_path / "rows.pdf")], spec)
    (tmp_path / "rows.json").write_text('{"rows": [1]}', "utf-8")
    with pytest.raises(ValueError, match="does not contain a list of rows"):
        typed_rows([words[1]], spec)


@pytest.mark.parametrize(
    ("cell", "options", "value"),
    [
        ("3.626,5", {"decimal": ",", "thousands": "."}, 3626.5),
        ("3000.5", {"decimal": ",", "thousands": "."}, None),
        ("1.234", {"decimal": ","}, None),
        ("1.234.567", {"thousands": "."}, 1234567),
        ("1,5", {}, None),
        ("1_0", {}, None),
        ("-1e3", {}, -1000),
        ("inf", {}, None),
        ("True", {}, 1),
    ],
)
def test_the_text_of_a_number_follows_the_table(cell, options, value):
    if value is None:
        with pytest.raises(ValueError):  # noqa: PT011  # the reader adds row and column
            number(cell, options)
    else:
        assert number(cell, options) == value


@pytest.mark.parametrize(
    ("cells", "options"),
    [
        (["1", " 2.5", "", None, np.nan], {}),
        (["1", "true", "-999"], {"na_values": [-999]}),
        (["1,5", "-2", "?"], {"decimal": ",", "na_values": "?"}),
        (["1.234,5", "12"], {"decimal": ",", "thousands": "."}),
        ([1, 2.5, True, None], {}),
        (("3", "4"), {}),
        (np.array(["1", np.nan], object), {}),
    ],
)
def test_a_column_is_converted_as_each_of_its_cells(cells, options):
    converter = CellConverter(options)
    together = converter.numbers("x", cells, range(len(cells)))
    single = [converter.numbers("x", [cell], [0])[0] for cell in cells]
    np.testing.assert_array_equal(together, single)


@pytest.mark.parametrize(
    ("cells", "options"),
    [
        (["1", "nan"], {}),
        (["1", "inf"], {}),
        (["1", "1_0"], {}),
        (["1", "1e39"], {}),
        (["1,5", "1.5"], {"decimal": ","}),
        (["1.234", "1.5"], {"thousands": "."}),
        ([1, float("inf")], {}),
        (["1", ["2"]], {}),
    ],
)
def test_the_first_cell_that_is_no_number_is_named(cells, options):
    with pytest.raises(ValueError, match="'x' of row 7 takes finite numbers, not"):
        CellConverter(options).numbers("x", cells, [5, 7])


@pytest.mark.parametrize(
    "cells", [["1", ""], [1, None], np.array([1, np.nan]), ["1", "?"]]
)
def test_a_missing_number_is_named_where_training_had_none(cells):
    converter = CellConverter({"na_values": "?"}, accepts_missing=False)
    with pytest.raises(ValueError, match="'x' of row 1 is missing; fill it in"):
        converter.numbers("x", cells, range(2))


@pytest.mark.parametrize("text", ["2021-05", "2021-05-01", "2021-05-01T02:00+02:00"])
def test_a_date_is_the_days_since_1970_in_utc(text):
    numbers = CellConverter(dates=["d"]).numbers("d", [text], [0])
    assert numbers.tolist() == [18748]


@pytest.mark.parametrize(
    "cells",
    [
        ["2021-05-01T12:00"],
        ["2021-05-01"],
        [datetime(2021, 5, 1)],
        np.array(["2021-05-01"], "datetime64[us]"),
    ],
)
def test_a_date_has_an_offset_if_those_of_the_training_had_one(cells):
    converter = CellConverter(dates=["d"], zoned=["d"])
    with pytest.raises(ValueError, match="dates by ISO 8601 with an offset from UTC"):
        converter.numbers("d", cells, [0])


def test_the_options_of_a_column_may_be_named_by_its_place():
    converter = CellConverter({"na_values": {0: [2]}, "date_format": {1: "%d.%m.%Y"}})
    assert np.isnan(converter.numbers("0", ["2"], [0])).all()
    assert converter.date_format("1") == "%d.%m.%Y"


def test_arrays_of_another_shape_and_scores_of_nan_are_refused():
    encoder = ArrayEncoder()
    encoder.fit(np.zeros((3, 4)))
    with pytest.raises(ValueError, match=r"a row has the shape \[4\], not \[1\]"):
        encoder.transform(np.zeros((3, 1)))
    with pytest.raises(ValueError, match="predicts NaN or infinity"):
        Answer(None, ["price"]).prediction_columns(np.array([[np.nan]]))


@pytest.mark.parametrize("cell", ["1_0", 10**400, 1e300, [1]])
def test_an_array_takes_numbers_of_32_bits(cell):
    encoder = ArrayEncoder()
    encoder.fit(np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"^a row "):
        encoder.transform([[1, cell]])


def test_each_of_several_values_has_its_interval():
    quantiles = [[[0, 2], [0, 1]], [[2, 4], [2, 2]]]
    answer = Answer(None, ["a", "b"], quantiles=quantiles)
    columns = answer.prediction_columns(np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert list(columns) == ["a", "b", "low_a", "low_b", "high_a", "high_b"]
    assert columns["b"].tolist() == [2, 4]
    assert columns["low_b"].tolist() == [0, 2]
    assert columns["high_a"].tolist() == [1.5, 4]


def test_the_set_has_the_likeliest_class_and_each_with_its_quantile():
    scores = np.array([[0.6, 0.3, 0.1], [0.5, 0.1, 0.4], [0.2, 0.7, 0.1]])
    answer = Answer("multiclass", ["a", "b", "c"], quantiles=[0.7, 0.2, 0.4000001])
    assert answer.prediction_columns(scores)["set"] == ["a;b", "a;c", "b"]


@pytest.mark.parametrize(
    ("transform", "low", "high"),
    [
        ("none", 8.0, 12.0),
        ("log", 10 / np.exp(2), 10 * np.exp(2)),
        ("log1p", 11 / np.exp(2) - 1, 11 * np.exp(2) - 1),
    ],
)
def test_an_interval_is_as_wide_on_the_scale_of_the_loss(transform, low, high):
    answer = Answer(None, ["price"], transform=transform, quantiles=[[[0.0], [2.0]]])
    columns = answer.prediction_columns(np.array([[10.0]]))
    assert columns["low"] == pytest.approx([low])
    assert columns["high"] == pytest.approx([high])


def test_an_absent_column_is_named_with_those_that_are_there():
    encoder = TableEncoder()
    encoder.fit(pd.DataFrame({"x": [1.0, 2.0]}))
    with pytest.raises(ValueError, match=r"'x' is absent; .* the rows have 'a;x'"):
        encoder.transform([{"a;x": 1}])


def test_blank_lines_and_empty_options_of_a_csv_count_for_nothing(tmp_path):
    rows = csv_file(tmp_path / "rows.csv", b"a,b\n1,2\n   \n3,4\n", {"comment": None})
    assert rows == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]


def test_dates_with_an_offset_are_converted_without_their_text(monkeypatch):
    times = pd.Series(pd.date_range("2024-03-30 23:30", periods=3, tz="Europe/Berlin"))
    times[1] = pd.NaT
    converter = CellConverter(dates=["t"], zoned=["t"])
    expected = converter.numbers("t", times.astype("str").to_list(), range(3))
    monkeypatch.setattr("dlp.reader.cells.iso_date", None)
    numbers = converter.numbers("t", times.to_numpy(), range(3))
    np.testing.assert_array_equal(numbers, expected)
    assert np.isnan(numbers).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (np.ma.masked_greater(np.ones((2, 3)), 0.5), "masked"),
        (np.full((2, 3), 1 + 2j), "complex"),
    ],
)
def test_arrays_that_would_lose_what_they_say_are_refused(rows, reason):
    encoder = ArrayEncoder()
    encoder.fit(np.zeros((4, 3)))
    with pytest.raises(ValueError, match=reason):
        encoder.transform(rows)


@given(
    texts=st.lists(
        st.sampled_from(["1", "-2.5", "1,5", "1.000", "1,000.5", "1_0", "1e39", "3e38"])
        | st.sampled_from(
            ["true", "False", "nan", "inf", " 7 ", "", "x", "1'000", "1e3"]
        )
    ),
    options=st.fixed_dictionaries(
        {},
        optional={
            "decimal": st.sampled_from([".", ","]),
            "thousands": st.sampled_from([",", ".", "'"]),
        },
    ),
)
def test_the_numbers_of_texts_are_those_of_each_text(texts, options):
    try:
        expected = [number(text, options) for text in texts]
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011  # number says which text it is
            text_numbers(texts, options)
    else:
        assert text_numbers(texts, options).tolist() == expected
