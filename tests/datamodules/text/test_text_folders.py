import pytest
from text_files import make, reviews

from dlp.datamodules.part_names import part_of
from dlp.datamodules.tables.table_format import TableFormat
from dlp.errors import InputError


def write_texts(folder, suffix=".txt", rows=None):
    """Write a text a file, a subfolder a class."""
    for number, (text, label) in enumerate(rows or reviews(20)):
        (folder / label).mkdir(parents=True, exist_ok=True)
        (folder / label / f"{number}{suffix}").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("train", "train"),
        ("Training_Set", "train"),
        ("20news-bydate-test", "test"),
        ("valid", "val"),
        ("train-00000-of-00001", "train"),
        ("trains", None),
        ("pos", None),
        ("train_test", None),
    ],
)
def test_words_of_a_name_tell_the_part(name, part):
    assert part_of(name) == part


@pytest.mark.parametrize("suffix", [".txt", "", ".9f3c1a"])
def test_subfolders_are_classes(suffix, tmp_path):
    data = make(str(write_texts(tmp_path / "reviews", suffix)), val_size=None)
    assert data.class_names == ["bad", "good"]
    rows = data.examples("train")
    assert sorted(rows.names) == sorted(
        f"{label}/{number}{suffix}" for number, (_, label) in enumerate(reviews(20))
    )
    for name, label, text in zip(rows.names, rows.targets, data.readable(rows.rows), strict=True):
        assert name.startswith(label)
        assert (tmp_path / "reviews" / name).read_text() == text


def test_the_layout_of_the_film_reviews(tmp_path):
    root = tmp_path / "aclImdb"
    write_texts(root / "train")
    write_texts(root / "test", rows=reviews(10, seed=1))
    (root / "train" / "unsup").mkdir()
    (root / "train" / "unsup" / "0_0.txt").write_text("no label")
    for name in ("README", "imdb.vocab", "train/urls_pos.txt", "train/good/README.txt"):
        (root / name).write_text("about")
    (root / "train" / "good" / ".DS_Store").write_bytes(b"\0\xff")
    data = make(str(root))
    assert data.class_names == ["bad", "good"]
    sizes = [len(data.examples(part).rows) for part in ("train", "val", "test")]
    assert sizes == [16, 4, 10]
    notes = data.reading().input.notes
    assert notes[0].startswith(
        "left out, no texts of a class: train/good/README.txt, train/unsup (1 files), train/"
    )
    again = make(str(root))
    assert again.examples("test").names == data.examples("test").names


def test_the_layout_of_the_newsgroups(tmp_path):
    for part, seed in (("train", 0), ("test", 1)):
        write_texts(tmp_path / f"20news-bydate-{part}", "", reviews(20, seed=seed))
    data = make(str(tmp_path))
    assert [len(data.examples(part).rows) for part in ("train", "val", "test")] == [16, 4, 20]
    one = make(
        str(tmp_path / "20news-bydate-train"), test_path=str(tmp_path / "20news-bydate-test")
    )
    assert len(one.examples("test").rows) == 20


def test_a_validation_folder_validates(tmp_path):
    write_texts(tmp_path / "Training")
    write_texts(tmp_path / "Dev", rows=reviews(6, seed=1))
    data = make(str(tmp_path))
    assert len(data.examples("train").rows) == 20
    assert {name.split("/")[0] for name in data.examples("val").names} == {"Dev"}


def test_a_folder_of_texts_is_predicted_by_name(tmp_path):
    folder = write_texts(tmp_path / "reviews")
    new = tmp_path / "new"
    new.mkdir()
    (new / "b.txt").write_text("A good film")
    (new / "a.txt").write_text("A bad one")
    data = make(str(folder), predict_path=str(new))
    assert data.examples("predict").names == ["a.txt", "b.txt"]


def test_what_is_no_folder_of_classes_is_said(tmp_path):
    root = write_texts(tmp_path / "one", rows=[("text", "good")])
    with pytest.raises(InputError, match=r"too few subfolders to be classes \(good\)"):
        make(str(root)).fit()
    (root / "bad").mkdir()
    with pytest.raises(InputError, match=r"the class folder .*bad holds no text"):
        make(str(root)).fit()
    (root / "bad" / "1.txt").touch()
    with pytest.raises(InputError, match=r"bad.1.txt holds no text; 1 such files"):
        make(str(root)).fit()
    (root / "bad" / "1.txt").write_bytes(b"caf\xe9")
    with pytest.raises(InputError, match=r"1.txt is not UTF-8 text.*encoding: cp1252"):
        make(str(root)).fit()
    data = make(str(root), table_format=TableFormat(encoding="latin-1"), val_size=None)
    assert "caf\u00e9" in data.readable(data.examples("train").rows)
    with pytest.raises(InputError, match="label_column names 2 columns"):
        make(str(root), label_column=["good", "bad"]).fit()
