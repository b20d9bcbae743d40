import pytest
from text_files import hub_folder, make, reviews, write_csv

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
