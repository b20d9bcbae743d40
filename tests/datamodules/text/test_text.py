import re
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pandas as pd
import pytest
import torch

from dlp.datamodules import TextDataModule
from dlp.datamodules.text.sources import TextFiles
from dlp.errors import InputError
from dlp.files import cache_dir
from helpers.reference_sets import write_imdb

ROWS = [
    (
        f'A "{"good" if row % 2 else "bad"}" film, no {row}:\n\u00fcber\u2019s \U0001f44d',
        row % 2,
    )
    for row in range(40)
]
NEW = ["a y film", "an unknown x"]
CHINESE = [
    "\u8fd9\u90e8\u7535\u5f71\u5f88\u597d\u770b",
    "\u6545\u4e8b\u65e0\u804a\u6781\u4e86",
]


def write_csv(path, rows, header=("text", "label")):
    pd.DataFrame(rows, columns=header).to_csv(path, index=False)
    return path


def write_folder(folder, rows=ROWS):
    for number, (text, label) in enumerate(rows):
        path = Path(folder, "pos" if label else "neg", f"{number}.txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def raw(data, part="train"):
    return data.examples(part).inputs.raw()


@pytest.mark.parametrize("name", ["a.csv", "files"])
def test_tables_and_folders_keep_quotes_newlines_and_emoji(name):
    write_csv("a.csv", ROWS)
    write_folder("files")
    data = TextDataModule(name, val_size=None)
    classes = data.targets.encode(data.examples("train").targets)
    assert dict(zip(raw(data), classes, strict=True)) == dict(ROWS)


@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_folders_are_parts_and_what_has_no_label_is_skipped(val):
    write_folder("set/train")
    write_folder(f"set/{val}", ROWS[:8])
    write_folder("set/test", ROWS[:6])
    Path("set/train/unsup").mkdir()
    Path("set/train/unsup/0.txt").write_text("unlabelled")
    Path("set/train/urls.txt").write_text("about the set")
    data = TextDataModule("set")
    assert data.class_names == ["neg", "pos"]
    assert [len(data.examples(part)) for part in ("train", "val", "test")] == [40, 8, 6]
    assert sorted(data.examples("test").id_columns["path"])[0] == "test/neg/0.txt"


def test_a_folder_of_the_hub_gives_its_parts_and_the_names_of_its_classes():
    write_imdb(Path("set/plain_text"))
    data = TextDataModule("set", val_size=4)
    assert data.class_names == ["neg", "pos"]
    assert [len(data.examples(part)) for part in ("train", "val", "test")] == [
        36,
        4,
        40,
    ]
    assert "neg" in data.examples("test").targets


def test_several_label_columns_are_labels():
    rows = [(text, label, 1 - label) for text, label in ROWS]
    path = write_csv("a.csv", rows, ("text", "funny", "sad"))
    data = TextDataModule(path, label_column=["funny", "sad"], task="multilabel")
    assert data.class_names == ["funny", "sad"]
    assert data.loader("train").targets.dtype == torch.float32


def test_lists_of_labels_are_refused():
    Path("a.json").write_text('[{"text": "a", "label": ["a", "b"]}]')
    with pytest.raises(InputError, match="'label' contains lists"):
        TextDataModule("a.json").fit()


@pytest.fixture
def reviews():
    rows = [
        (f"a {'xy'[n % 2]} film", "xy"[n % 2], f"author {n % 5}", n) for n in range(20)
    ]
    return write_csv("reviews.csv", rows, ("text", "label", "by", "day"))


@pytest.mark.parametrize("path", [None, "lines.txt", "table.csv", "folder"])
def test_other_texts_are_predicted(path, reviews):
    Path("lines.txt").write_text("\n".join(NEW) + "\n")
    write_csv("table.csv", NEW, ["text"])
    write_folder("folder/deep", [(text, 0) for text in NEW])
    texts = NEW if path is None else None
    data = TextDataModule(
        reviews, val_size=None, predict_texts=texts, predict_path=path
    )
    assert raw(data, "predict") == NEW
    batch, *_ = next(iter(data.predict_dataloader()))
    assert data.encoder.decode(batch.ids[batch.offsets[1] :]).split() == ["?", "?", "x"]


def test_the_test_file_is_tested(reviews):
    path = write_csv("test.csv", [("the x film", "x"), ("a y", "y")])
    data = TextDataModule(reviews, test_path=path, val_size=None)
    assert raw(data, "test") == ["the x film", "a y"]


@pytest.mark.parametrize(
    ("texts", "tokens", "is_said"),
    [
        (CHINESE, "words", True),
        (CHINESE, "characters", False),
        (["incomprehensibilities all over", "nothing"], "words", False),
    ],
)
def test_words_of_a_script_without_spaces_are_advised_against(
    texts, tokens, is_said, capsys
):
    rows = [(f"{text}{n}", n % 2) for n in range(9) for text in texts]
    TextDataModule(write_csv("a.csv", rows), tokens=tokens, char_ngrams=4).fit()
    assert ("try tokens: characters" in capsys.readouterr().out) == is_said


@pytest.mark.parametrize("change", ["content", "tokens", "label_column"])
def test_the_cache_follows_the_file_and_the_tokens(change, reviews, monkeypatch):
    TextDataModule(reviews).fit()
    reads = []
    read = TextFiles.read
    monkeypatch.setattr(TextFiles, "read", lambda files: reads.append(1) or read(files))
    TextDataModule(reviews, num_words=9, encoding="count").fit()
    assert not reads
    if change == "content":
        Path(reviews).write_text(Path(reviews).read_text().replace("film", "filM"))
    changes = {
        "tokens": {"tokens": "characters"},
        "label_column": {"label_column": "by"},
    }
    TextDataModule(reviews, **changes.get(change, {})).fit()
    assert len(reads) == 1
    assert len([*(cache_dir() / "texts").glob("*.arrow")]) == 2


@pytest.mark.parametrize(
    ("rows", "arguments", "message"),
    [
        ([(" ", 0), ("", 1)], {}, "a.csv: expected texts, got only empty ones"),
        (
            ROWS,
            {"text_column": "texts"},
            "unknown text_column 'texts'. Did you mean 'text'",
        ),
        (ROWS, {"label_column": ["label", "stars"]}, "unknown label_column 'stars'"),
    ],
)
def test_missing_texts_and_columns_are_named(rows, arguments, message):
    with pytest.raises(InputError, match=message):
        TextDataModule(write_csv("a.csv", rows), **arguments).predict_dataloader()


def test_missing_texts_are_empty_ones_and_counted(capsys):
    data = TextDataModule(write_csv("a.csv", [*ROWS, ("  ", 1), ("", 1)]))
    assert data.labelled.parts["train"].inputs.raw()[-2:] == ["  ", ""]
    assert "2 of 42 texts of a.csv are empty" in capsys.readouterr().out


def test_folders_and_files_that_cannot_be_read_are_refused(capsys):
    write_csv("train.csv", ROWS)
    with pytest.raises(InputError, match=r"no class folders .* as path and test_path"):
        TextDataModule(Path.cwd()).fit()
    write_folder("files", [("plain", 0), ("text", 1)])
    Path("files/neg/0.txt").write_bytes("caf\u00e9".encode("cp1252"))
    with pytest.raises(InputError, match=r"not UTF-8.* read_csv: {encoding: cp1252}"):
        TextDataModule("files").fit()
    Path("files/neg/1.md").touch()
    capsys.readouterr()
    data = TextDataModule("files", read_csv={"encoding": "cp1252"}, val_size=None)
    assert {*raw(data)} == {"caf\u00e9", "text"}
    assert re.search(
        r"1 files in files are not used, such as .*1\.md", capsys.readouterr().out
    )
    with pytest.raises(InputError, match="found no file"):
        TextDataModule("reviews.csv").fit()


def test_a_set_of_the_hub_is_read_again_when_it_has_changed(monkeypatch):
    commits = [
        SimpleNamespace(sha="first"),
        SimpleNamespace(sha="second"),
        OSError("no network"),
    ]
    parts = [
        {"train": pd.DataFrame(ROWS[:size], columns=["text", "label"])}
        for size in (10, 20)
    ]
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", Mock(side_effect=commits))
    monkeypatch.setattr(TextFiles, "_hub", Mock(side_effect=parts))
    files = TextFiles("hub:someone/texts", {"text": "text", "label0": "label"})
    assert [len(files.texts()) for _ in range(3)] == [10, 20, 20]


@pytest.mark.parametrize(
    ("name", "commit"),
    [("hub:someone/texts", "newest"), ("hub:someone/texts@chosen", "chosen")],
)
def test_a_set_of_the_hub_is_read_at_the_commit_of_its_cache(name, commit, monkeypatch):
    load = Mock(side_effect=OSError("no network"))
    newest = Mock(return_value=SimpleNamespace(sha="newest"))
    monkeypatch.setattr("datasets.load_dataset", load)
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", newest)
    with pytest.raises(InputError, match=r"someone/texts.* cannot be read"):
        TextDataModule(name).fit()
    assert load.call_args.args == ("someone/texts",)
    assert load.call_args.kwargs["revision"] == commit


def test_a_mistyped_path_is_refused_without_a_look_at_the_hub(monkeypatch):
    write_folder("data/reviews")
    load = Mock()
    monkeypatch.setattr("datasets.load_dataset", load)
    message = (
        r"found no file data/revews .* Did you mean data/reviews\? .* hub:OWNER/NAME"
    )
    with pytest.raises(InputError, match=message):
        TextDataModule("data/revews").fit()
    load.assert_not_called()
