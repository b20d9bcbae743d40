import pandas as pd
import pytest
from text_files import hub_folder, make, reviews, write_csv

from dlp.datamodules.tables.table_format import TableFormat
from dlp.errors import InputError, MissingInputError


@pytest.fixture
def table(tmp_path):
    return write_csv(tmp_path / "reviews.csv", reviews())


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "has no row"),
        ([("a", "x"), ("b", "x")], "one class only"),
        (
            [("a", "x"), ("", "y")],
            r"table.csv: line 3 of the file has no text; 1 such rows. Fill",
        ),
        ([("a", "x"), ("  ", "y")], "line 3"),
        (
            [("a", "x"), ("b", "")],
            r"table.csv: line 3 .* has no label in column 'label'",
        ),
        ([("!?", "x"), ("...", "y")], "hold no word"),
        (
            [("a", "x"), ("b", "y", "z", "w")],
            "table.csv cannot be .* line 3 has 4 cells",
        ),
    ],
)
def test_a_bad_table_is_named(rows, message, tmp_path):
    path = write_csv(tmp_path / "table.csv", rows)
    with pytest.raises(InputError, match=message):
        make(path, val_size=None).fit()


def test_a_null_text_is_named(tmp_path):
    path = tmp_path / "table.jsonl"
    path.write_text('{"text": "a", "label": 0}\n{"text": null, "label": 1}\n')
    with pytest.raises(InputError, match=r"table.jsonl: line 2 of the file has no text"):
        make(str(path)).fit()


@pytest.mark.parametrize("column", ['"text": 3, "label": 0', '"text": "a", "label": [0, 1]'])
def test_a_column_of_the_wrong_kind_is_named(column, tmp_path):
    path = tmp_path / "table.jsonl"
    path.write_text(f"{{{column}}}\n" * 3)
    with pytest.raises(InputError, match=r"column '(text|label)' of .*table.jsonl holds"):
        make(str(path)).fit()


def test_a_label_outside_the_named_classes(tmp_path):
    path = hub_folder(tmp_path / "hub")
    bad = write_csv(tmp_path / "bad.csv", [("film", 0), ("film", 2)])
    with pytest.raises(InputError, match="label 2 of row 1 is outside the classes 0 to 1"):
        make(path, test_path=bad).test_dataloader()


def test_a_misspelt_column_gets_the_nearest(table):
    with pytest.raises(MissingInputError, match=r"has no column 'labels'. Did you mean 'label'\?"):
        make(table, label_column="labels").fit()
    with pytest.raises(MissingInputError, match=r"Did you mean 'text'\?"):
        make(table, text_column="texts").fit()
    with pytest.raises(InputError, match="other columns than text_column"):
        make(table, label_column="text")


def test_files_are_checked_before_anything_is_read(table, tmp_path):
    with pytest.raises(
        MissingInputError, match=r"no file .*review.csv. Did you mean 'reviews.csv'"
    ):
        make(str(tmp_path / "review.csv"))
    with pytest.raises(MissingInputError, match="no file"):
        make(table, test_path="there/is/none")
    with pytest.raises(MissingInputError, match="no file"):
        make(table, predict_path="none.txt")
    (tmp_path / "empty.csv").touch()
    with pytest.raises(InputError, match=r"empty.csv is empty"):
        make(str(tmp_path / "empty.csv"))
    (tmp_path / "table.xlsx").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"accepted: .csv, .tsv"):
        make(str(tmp_path / "table.xlsx"))


def test_a_file_that_is_not_utf8_is_named(tmp_path):
    path = tmp_path / "latin.csv"
    path.write_bytes("text,label\nfine,x\ncaf\xe9,y\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin.csv is not UTF-8 text .byte 0xe9 in line 3"):
        make(str(path)).fit()


@pytest.mark.parametrize(
    ("name", "content"), [("bad.parquet", b"PAR1 and no more"), ("bad.json", b'{"text": ')]
)
def test_an_unreadable_file_is_named(name, content, tmp_path, capsys):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name} cannot be read|cannot read .*{name}"):
        make(str(tmp_path / name)).fit()
    assert not capsys.readouterr().err


def test_a_folder_without_train_part(tmp_path):
    (tmp_path / "folder").mkdir()
    write_csv(tmp_path / "folder" / "test.csv", reviews())
    with pytest.raises(InputError, match="has no train part"):
        make(str(tmp_path / "folder")).fit()


def test_arguments_are_checked_first(table):
    with pytest.raises(InputError, match="Did you mean 'tfidf'"):
        make(table, encoding="tf-idf")
    with pytest.raises(InputError, match="val_size must be"):
        make(table, val_size=1.5)
    with pytest.raises(InputError, match="num_words must be at least 5"):
        make(table, num_words=4)
    with pytest.raises(InputError, match="val_size=100 is more than the 60 rows"):
        make(table, val_size=100).fit()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "text;label\ngood, really;x\nbad, really;y\nNA;x\n12;y\n"),
        ("t.tsv", "text\tlabel\ngood, really\tx\nbad, really\ty\nNA\tx\n12\ty\n"),
        ("t.csv", 'sep=,\ntext,label\n"good, really",x\n"bad, really",y\nNA,x\n12,y\n'),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_table_of_texts_is_read_as_every_table_is(tmp_path, name, content, encoding):
    (tmp_path / name).write_bytes(content.encode(encoding))
    data = make(str(tmp_path / name), val_size=None, split_seed=None)
    assert data.readable(data.examples("train").rows)[:2] == ["good, really", "bad, really"]
    assert data.readable(data.examples("train").rows)[2:] == ["NA", "12"]
    assert data.class_names == ["x", "y"]


def test_a_text_with_a_comma_that_no_quotes_hold_together_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text("text,label\nfine,x\nI like it, really,y\n")
    with pytest.raises(InputError, match=r"line 3 has 3 cells.*Put cells that hold a comma in"):
        make(str(tmp_path / "t.csv")).fit()


def written(folder, lines, name="t.tsv", encoding="utf-8"):
    (folder / name).write_bytes("\n".join(lines).encode(encoding))
    return str(folder / name)


def given(path, **arguments):
    data = make(path, val_size=None, split_seed=None, **arguments)
    return data, data.readable(data.examples("train").rows)


HEADER = ["label\ttext"]


@pytest.mark.parametrize(
    "text", ['"Hello there', '"Great" movie', 'he said "bye"', '"', 'a "b" "c']
)
def test_a_quote_that_nothing_closes_is_a_letter_between_tabs(text, tmp_path, capsys):
    lines = [*HEADER, "ham\tfirst", f"spam\t{text}", 'ham\t"quoted ""cell"""', "spam\tlast"]
    data, texts = given(written(tmp_path, lines))
    assert texts[1] == text
    assert texts[0::3] == ["first", "last"]
    assert texts[2] == 'quoted "cell"'
    assert data.class_names == ["ham", "spam"]


@pytest.mark.parametrize(("separator", "name"), [("\t", "t.tsv"), (",", "t.csv")])
def test_rows_that_quotes_may_join_are_asked_about(separator, name, tmp_path):
    rows = [("label", "text"), ("ham", '"Hello'), ("spam", "all"), ("ham", 'bye"'), ("spam", "x")]
    path = written(tmp_path, [separator.join(row) for row in rows], name)
    with pytest.raises(InputError, match=r"in line 2 makes one row of the lines up to 4,"):
        make(path).fit()
    assert given(path, table_format=TableFormat(quotes=False))[1] == ['"Hello', "all", 'bye"', "x"]
    _, (joined, last) = given(path, table_format=TableFormat(quotes=True))
    assert (joined, last) == (f"Hello\nspam{separator}all\nham{separator}bye", "x")


def test_texts_of_several_lines_in_quotes_are_one_row(tmp_path):
    lines = ["text,label", '"first', 'second, third",x', '"other",y']
    assert given(written(tmp_path, lines, "t.csv"))[1] == ["first\nsecond, third", "other"]


def test_a_file_without_header_is_named_and_read_with_names(tmp_path):
    path = written(tmp_path, ["ham\tsee you", "spam\tWIN", "ham\tok"], "t.txt")
    with pytest.raises(
        MissingInputError, match=r"first line is a row like others, .*header: \[label, text\]"
    ):
        make(path).fit()
    data, texts = given(path, table_format=TableFormat(header=("label", "text")))
    assert texts == ["see you", "WIN", "ok"]
    assert data.examples("train").places.tolist() == [0, 1, 2]
    with pytest.raises(InputError, match="has 2 columns, and table_format: header names 1"):
        make(path, table_format=TableFormat(header=("text",))).fit()
    named = written(tmp_path, [*HEADER, "ham\ta", "spam\tb"])
    with pytest.raises(InputError, match=r"the first line of .* names the columns: leave out"):
        make(named, table_format=TableFormat(header=("label", "text"))).fit()


NAMES = {"header": ["label", "text"]}


@pytest.mark.parametrize(
    ("lines", "form", "texts"),
    [
        (["label\ttext", "ham\tsee you", "spam\twin, now"], None, ["see you", "win, now"]),
        (["id,text", '7,"see, you"'], None, ["see, you"]),
        (["ham\tsee you", "spam\twin"], NAMES, ["see you", "win"]),
        (["ham;see", "spam;win"], {**NAMES, "separator": ";"}, ["see", "win"]),
        (["well, see you", "win, now"], NAMES, ["well, see you", "win, now"]),
        (["label text", "ham\tsee"], None, ["label text", "ham\tsee"]),
        (["text", "see, you"], None, ["text", "see, you"]),
    ],
)
def test_a_txt_to_predict_is_a_table_where_it_says_so(lines, form, texts, tmp_path):
    new = written(tmp_path, lines, "new.txt")
    data = make("sms.txt", predict_path=new, table_format=form)
    assert data.predict_source is not None
    (part,) = data.predict_source.build().values()
    assert part.rows.raw() == texts


@pytest.mark.parametrize("folder", [False, True])
def test_rows_without_a_label_are_left_out_if_asked(folder, tmp_path):
    path = written(tmp_path, ["text,label", "a,x", "b,", "c,y", "d, "], "train.csv")
    with pytest.raises(InputError, match=r"line 3 .* has no label .* drop_unlabelled: true"):
        make(path).fit()
    data, texts = given(str(tmp_path) if folder else path, drop_unlabelled=True)
    assert texts == ["a", "c"]
    assert data.examples("train").places.tolist() == [0, 2]
    assert "2 rows without a label are left out" in data.reading().input.notes


@pytest.mark.parametrize("ending", ["csv", "json", "jsonl", "parquet"])
def test_cells_that_mean_missing_do_so_in_every_kind_of_file(ending, tmp_path):
    labels = ["x", "y", "NA", " NA", "", "y"]
    frame = pd.DataFrame({"text": [*"abcdef"], "label": labels})
    path = tmp_path / f"t.{ending}"
    write = {
        "csv": lambda: frame.to_csv(path, index=False),
        "json": lambda: frame.to_json(path, orient="records"),
        "jsonl": lambda: frame.to_json(path, orient="records", lines=True),
        "parquet": lambda: frame.astype({"label": "category"}).to_parquet(path),
    }
    write[ending]()
    said = TableFormat(na_values=("NA",))
    data, texts = given(str(path), drop_unlabelled=True, table_format=said)
    assert (data.class_names, texts) == (["x", "y"], ["a", "b", "f"])


def test_labels_of_numbers_with_a_word_among_them(tmp_path):
    lines = ["text,label", *(f"t{row},{row % 2}" for row in range(8)), "odd,two"]
    path = written(tmp_path, lines, "t.csv")
    with pytest.raises(InputError, match="'label' holds numbers, but 'two' in line 10"):
        make(path).fit()
    data, _ = given(path, task="classification")
    assert data.class_names == ["0", "1", "two"]
    (note, *_) = data.reading().input.notes
    assert "mixes numbers (8 rows, such as '0') and text (1, such as 'two')" in note


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["1.1", "1.10", "1.2"], ["1.1", "1.10", "1.2"]),
        (["01.11", "62.01"], ["01.11", "62.01"]),
        (["1.0", "2.0", "10.0"], ["1.0", "2.0", "10.0"]),
        ([str(code) for code in range(11)], [str(code) for code in range(11)]),
    ],
)
def test_names_of_classes_that_look_like_numbers_stay_as_they_are_written(
    labels, classes, tmp_path
):
    lines = ["text,label", *(f"t{row},{label}" for row, label in enumerate(labels * 2))]
    path = written(tmp_path, lines, "t.csv")
    data, _ = given(path, task="classification", predict_path=path)
    assert data.class_names == classes
    truth = [data.targets.name_of(value) for value in data.examples("predict").truth]
    assert truth == [data.targets.name_of(value) for value in data.examples("train").targets]
    assert set(truth) == set(classes)


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_the_encoding_of_texts_can_be_given(encoding, tmp_path):
    path = written(tmp_path, ["text;label", "sch\u00f6n;x", "gr\u00e4sslich;y"], "t.csv", encoding)
    options = TableFormat(encoding=encoding)
    assert given(path, table_format=options)[1] == ["sch\u00f6n", "gr\u00e4sslich"]
    new = written(tmp_path, ["sch\u00f6n"], "new.txt", encoding)
    data = make(path, val_size=None, predict_path=new, table_format=options)
    assert data.readable(data.examples("predict").rows) == ["sch\u00f6n"]


def test_several_label_columns_hold_no_text(tmp_path):
    path = written(tmp_path, ["text,funny,sad", "a,no,1", "b,maybe,0"], "t.csv")
    with pytest.raises(InputError, match=r"column 'funny' of .*t.csv holds text, such as 'no'"):
        make(path, label_column=["funny", "sad"]).fit()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([["a"], ["b", "c"]], r"'label' of .* holds array\(\['a'\].*in row 0 .*give a column of 0"),
        ([b"a", b"b"], "holds b'a', a bytes, in row 0"),
        ([1, None], "row 1 .* has no label"),
    ],
)
def test_cells_of_parquet_that_are_no_labels(labels, message, tmp_path):
    pd.DataFrame({"text": ["one", "two"], "label": labels}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match=message):
        make(str(tmp_path / "t.parquet")).fit()


def test_a_column_is_shown_as_it_is_written(tmp_path):
    lines = ["text;label;when", *(f"t {row};{row},5;3{row % 2}.12.2024" for row in range(9))]
    data, _ = given(written(tmp_path, lines, "t.csv"), time_column="when")
    columns = {column.name: column for column in data.reading().input.columns}
    assert (columns["label"].example, columns["label"].detail) == ("0,5", "decimal comma")
    assert (columns["when"].example, columns["when"].kind) == ("30.12.2024", "time")
    assert data.num_outputs == 1
