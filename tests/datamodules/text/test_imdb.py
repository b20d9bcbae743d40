import subprocess
import sys

import datasets
import numpy as np
import pytest
import torch
from keras_files import WORDS, publish, ragged, ranks

from dlp.datamodules import IMDBDataModule
from dlp.datamodules.splitting.splits import keras_order
from dlp.errors import InputError
from dlp.files import cache_dir

ROWS = 40


@pytest.fixture
def hub(tmp_path):
    """Write a small set in the Hub's layout, sorted by label, and return its data_dir."""
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
    )
    (tmp_path / "imdb" / "plain_text").mkdir(parents=True)
    for part in ("train", "test"):
        labels = [row * 2 // ROWS for row in range(ROWS)]
        texts = [f"{part} review{row} {'liked' if y else 'hated'}" for row, y in enumerate(labels)]
        made = datasets.Dataset.from_dict({"text": texts, "label": labels}, features=features)
        made.to_parquet(tmp_path / "imdb" / "plain_text" / f"{part}-00000-of-00001.parquet")
    return str(tmp_path)


def words(data, part, rows):
    return [data.decode(data.sequence(part, row)).split()[2] for row in range(rows)]


def test_both_parts_stand_in_the_books_order(hub):
    data = IMDBDataModule(hub, val_size=10)
    order = [f"review{row}" for row in keras_order(ROWS)]
    assert (words(data, "val", 10) + words(data, "train", 30))[10:] == order[10:]
    targets = data.examples("test").targets
    assert targets.tolist() == (keras_order(ROWS) * 2 // ROWS).tolist()
    assert data.class_names == ["neg", "pos"]
    assert data.input_shape == (10000,)
    assert data.num_outputs == 2


def test_reviews_that_were_tokenised_before_need_no_reader_of_tables(hub):
    IMDBDataModule(hub, val_size=10).prepare_data()
    code = f"""
import sys
from dlp.deferred_imports import defer_imports
defer_imports()
from dlp.datamodules import IMDBDataModule
data = IMDBDataModule({hub!r}, val_size=10)
data.prepare_data()
data.setup("fit")
print(len(next(iter(data.train_dataloader()))[1]), len(data.examples("test").rows))
print(*({{"pandas", "pyarrow", "datasets"}} & {{*sys.modules}}))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == [f"30 {ROWS}", ""]


def test_own_reviews_are_predicted(hub, tmp_path):
    (tmp_path / "mine.txt").write_text("I liked it\n")
    data = IMDBDataModule(hub, val_size=10, predict_path=str(tmp_path / "mine.txt"))
    ((inputs, _),) = data.predict_dataloader()
    assert data.encode_text("liked")[1] in inputs.ids


def test_a_missing_part_is_named(hub, tmp_path):
    for file in (tmp_path / "imdb" / "plain_text").glob("test-*"):
        file.unlink()
    with pytest.raises(InputError, match="imdb has no test part"):
        IMDBDataModule(hub, val_size=10).fit()


def test_without_the_hub_the_error_says_where_to_put_the_files(tmp_path, monkeypatch):
    def unreachable(path, **options):
        raise ConnectionError("no network")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(InputError, match=r"hf download stanfordnlp/imdb .*name it .*imdb"):
        IMDBDataModule(str(tmp_path)).fit()


def test_an_unknown_source_gets_a_suggestion():
    with pytest.raises(InputError, match="Did you mean 'keras'"):
        IMDBDataModule(source="kera")


def test_a_trial_reads_a_sample_and_writes_no_cache(hub):
    data = IMDBDataModule(hub)  # val_size is 10,000, of 40 rows
    data.dry_run = True
    assert len(data.val_dataloader().inputs) == ROWS // 4
    assert len(data.train_dataloader().inputs) == ROWS * 3 // 4
    assert not list(cache_dir().iterdir())


def test_the_archive_gives_keras_ids(tmp_path, monkeypatch):
    x = {"x_train": ragged(ranks(ROWS, 1)), "x_test": ragged(ranks(ROWS, 2))}
    y = {"y_train": np.arange(ROWS) % 2, "y_test": np.arange(ROWS) // 3 % 2}
    publish(monkeypatch, tmp_path, "imdb", {**x, **y})
    data = IMDBDataModule(str(tmp_path), source="keras", num_words=20, skip_top=6, val_size=10)
    random = np.random.RandomState(113)  # as keras.datasets.imdb.load_data: one for both parts
    for part, first, kept in (("train", 10, ROWS - 10), ("test", 0, ROWS)):
        order = np.arange(ROWS)
        random.shuffle(order)
        for row in range(kept):
            ids = [1] + [rank + 3 for rank in x[f"x_{part}"][order[first + row]]]
            assert data.sequence(part, row) == [id if 6 <= id < 20 else 2 for id in ids]
        expected = y[f"y_{part}"][order[first:]]
        assert data.examples(part).targets.tolist() == expected.tolist()
    assert data.vocabulary.words == WORDS[:16]
    assert data.decode([6, 7, 0]) == "w3 w4 ?"


@pytest.mark.realdata
def test_real_reviews(capsys):
    data = IMDBDataModule(val_size=None)
    assert data.input_shape == (10000,)
    assert len(data.train_dataloader().inputs) == len(data.test_dataloader().inputs) == 25000
    assert "123 in both test and training" in capsys.readouterr().out
    assert len(data.vocabulary.words) == 9996
    assert data.vocabulary.words[:4] == ["the", "and", "a", "of"]
    for part in ("train", "test"):
        assert data.examples(part).targets.sum() == 12500
    (inputs, _), *_ = data.train_dataloader()
    assert int(inputs.ids.max()) < 10000
    assert int(inputs.ids.min()) == 1
    assert (inputs.weights == 1).all()
    assert data.decode(data.sequence("train", 0)).startswith("? ")
    print("first time, seconds:", round(data.prepare_seconds, 2))
    again = IMDBDataModule()
    again.fit()
    again.train_dataloader(), again.val_dataloader()
    print("second time, seconds:", round(again.prepare_seconds, 2))
    assert len(again.val_dataloader().inputs) == 10000


@pytest.mark.realdata
def test_real_duplicates_are_removed():
    data = IMDBDataModule(val_size=None, drop_duplicates=True)
    train, test = data.examples("train").hashes, data.examples("test").hashes
    assert not np.isin(train, test).any()
    assert len(train) < 25000


@pytest.mark.realdata
def test_a_real_trial_is_a_sample():
    data = IMDBDataModule()
    data.dry_run = True
    _, targets = next(iter(data.val_dataloader()))
    assert torch.unique(targets).tolist() == [0, 1]
    assert not list(cache_dir().iterdir())
