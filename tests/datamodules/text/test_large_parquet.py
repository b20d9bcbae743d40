"""Texts of a large Parquet file never stand in memory together, and nothing else changes."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from text_files import make

from dlp.datamodules.tables import parquet_columns
from dlp.datamodules.tables.files import read_table
from dlp.datamodules.tables.parquet_columns import ParquetColumns
from dlp.datamodules.tables.table_format import TableFormat
from dlp.datamodules.text import corpus
from dlp.datamodules.text.files import read_parts, read_rows
from dlp.errors import InputError
from dlp.files import cache_dir

ROWS = 50


@pytest.fixture
def frame():
    """Return texts and what may stand beside them; three labels are missing."""
    draw = np.random.default_rng(0)
    words = np.array(["good", "bad", "film", "é", "the", "- ", "\u200b"])
    texts = [" ".join(["a", *draw.choice(words, draw.integers(1, 30))]) for _ in range(ROWS)]
    label = draw.integers(0, 2, ROWS).astype(float)
    label[[0, 7, 49]] = np.nan
    author = draw.choice(["Ann", "Bob", "Cy", "Di", "Ed"], ROWS)
    ids = [f"r{row}" for row in range(ROWS)]
    return pd.DataFrame({"id": ids, "text": texts, "label": label, "author": author})


@pytest.fixture
def large(monkeypatch):
    """Return what makes every file a large one."""

    def begin():
        monkeypatch.setattr(parquet_columns, "IN_MEMORY", 0)
        monkeypatch.setattr(parquet_columns, "_TEXTS", 8)

    return begin


def write(frame, folder, name="t.parquet"):
    frame.to_parquet(folder / name, row_group_size=20)
    return str(folder / name)


def contents():
    """Return the content of every file of the cache, and empty it."""
    found = {}
    for file in sorted((cache_dir() / "text").rglob("*.*")):
        if file.is_file():
            found[file.relative_to(cache_dir()).as_posix()] = file.read_bytes()
            file.unlink()
    return found


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"id_column": "id", "group_column": "author", "tokens": "characters"},
        {"label_column": "author", "table_format": TableFormat(na_values=("-", "Zoe"))},
    ],
)
@pytest.mark.parametrize("is_trial", [False, True])
def test_what_is_kept_and_read_is_that_of_a_table_in_memory(
    frame, tmp_path, large, arguments, is_trial
):
    path, found = write(frame, tmp_path), []
    for begin in (lambda: None, large):
        begin()
        data = make(path, drop_unlabelled=True, **arguments)
        data.dry_run = is_trial
        rows = data.examples("val").rows
        found.append((data.reading().to_dict(), rows.raw(), rows.rows.tolist(), contents()))
    assert found[0] == found[1]
    assert bool(found[0][-1]) is not is_trial


@pytest.mark.parametrize("unlabelled", [slice(0, 19), slice(20, None)])
def test_rows_without_a_label_may_stand_together(frame, tmp_path, large, unlabelled):
    large()
    frame["label"] = 1.0 * (frame.index % 2)
    frame.loc[unlabelled, "label"] = np.nan
    data = make(write(frame, tmp_path), drop_unlabelled=True, id_column="id", label_column="label")
    rows = data.examples("train")
    places = rows.places
    assert rows.ids.tolist() == [f"r{row}" for row in places]
    assert rows.targets.tolist() == frame.label[places].tolist()
    assert rows.rows.raw() == frame.text[places].tolist()


def test_a_file_is_large_by_the_length_of_its_texts(frame, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_columns, "IN_MEMORY", 1 << 15)
    frame["text"] = [f"{row}" * 500 for row in range(ROWS)]
    path = write(frame, tmp_path)
    assert isinstance(read_table(path, texts=["id"]).frame, pd.DataFrame)
    assert isinstance(read_table(path, texts=["text"]).frame, ParquetColumns)


def test_texts_are_taken_out_a_few_at_a_time(frame, tmp_path, large):
    large()
    data = make(write(frame, tmp_path), drop_unlabelled=True)
    table = read_rows(data.source.local, data.source.columns).frame
    assert isinstance(table, ParquetColumns)
    assert [*table.kept] == ["id", "author"]
    assert [len(piece) for piece in table.pieces("text")] == [8, 8, 8, 8, 8, 8, 2]
    some = table.chosen(np.array([3, 4, 30]))
    assert some["text"].tolist() == frame.text[[3, 4, 30]].tolist()
    assert some["text"].index.tolist() == [3, 4, 30]
    with pytest.raises(ValueError, match="in the order of their file"):
        table.chosen(np.array([4, 30, 3]))


def test_files_that_are_a_part_each_do_not_stand_in_memory(frame, tmp_path, large):
    large()
    for name in ("train", "test"):
        write(frame, tmp_path, f"{name}.parquet")
    source = make(str(tmp_path), drop_unlabelled=True).source
    for name, rows in read_parts(source.local, source.files, source.columns).items():
        assert isinstance(rows.frame, ParquetColumns)
        assert rows.files == [f"{name}.parquet"] * ROWS


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (None, r"row 33 \(counted from 0\) has no text; 1 such rows"),
        (" ", "row 33 .* has no text"),
        ("?", "row 33 .* has no text"),
    ],
)
def test_a_text_that_is_missing_is_named_by_its_row(frame, tmp_path, large, cell, message):
    large()
    frame.loc[33, "text"] = cell
    frame["label"] = 1.0 * (frame.index % 2)
    path = write(frame, tmp_path)
    with pytest.raises(InputError, match=message):
        make(path, table_format=TableFormat(na_values=("?",))).fit()
    assert not [file for file in contents() if not file.endswith(".lock")]


@pytest.mark.parametrize("is_large", [False, True])
def test_a_text_that_is_missing_is_found_before_any_is_tokenised(
    frame, tmp_path, monkeypatch, large, is_large
):
    if is_large:
        large()
    monkeypatch.setattr(parquet_columns, "_TEXTS", 8)
    monkeypatch.setattr(corpus, "_AT_ONCE", 8)
    monkeypatch.delattr(corpus.WordNumbers, "of")
    frame["label"] = frame.index % 2
    frame.loc[ROWS - 1, "text"] = None
    with pytest.raises(InputError, match=r"row 49 .* has no text"):
        make(write(frame, tmp_path)).fit()


@pytest.mark.usefixtures("large")
def test_a_damaged_file_is_named(frame, tmp_path, large):
    large()
    frame["label"] = frame.index % 2
    path = tmp_path / "t.parquet"
    frame.to_parquet(path, row_group_size=20)
    last = pq.read_metadata(path).row_group(2).column(1)
    with path.open("r+b") as file:
        file.seek(last.dictionary_page_offset)
        file.write(b"\xff" * last.total_compressed_size)
    with pytest.raises(InputError, match=r"t\.parquet cannot be read: "):
        make(str(path)).fit()


def test_a_column_of_numbers_is_no_text(frame, tmp_path, large):
    large()
    with pytest.raises(InputError, match=r"'label' of .* holds float in row 1 "):
        make(write(frame, tmp_path), text_column="label", label_column="author").fit()
