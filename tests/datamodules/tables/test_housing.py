import hashlib

import numpy as np
import pandas as pd
import pytest
import torch

from dlp.datamodules import HousingDataModule
from dlp.datamodules.tables.housing import CALIFORNIA_COLUMNS
from dlp.errors import InputError
from dlp.files import Download


def inputs_of(data, part):
    return data.encode(data.examples(part).rows).numpy()


def test_boston_stands_in_the_books_order():
    data = HousingDataModule()
    data.setup("fit")
    train, test = data.examples("train"), data.examples("test")
    assert (len(train.rows), len(test.rows)) == (404, 102)
    assert train.rows.iloc[0]["CRIM"] == 1.23247
    assert train.targets[0] == 15.2
    assert (data.input_shape, data.num_outputs, data.class_names) == ((13,), 1, None)
    assert data.target_names == ["MEDV"]
    assert len(data.examples("val").rows) == 0


def test_all_rows_are_scaled_by_the_training_parts_population_statistics():
    data = HousingDataModule()
    data.setup("fit")
    train = inputs_of(data, "train")
    assert np.allclose(train.mean(axis=0), 0, atol=1e-5)
    assert np.allclose(train.std(axis=0), 1, atol=1e-5)
    raw_train, raw_test = (data.examples(part).rows for part in ("train", "test"))
    expected = (raw_test - raw_train.mean()) / raw_train.std(ddof=0)
    assert np.allclose(inputs_of(data, "test"), expected, atol=1e-5)


def test_the_books_folds_are_contiguous_and_each_has_its_own_statistics():
    whole = HousingDataModule().examples("train").rows
    for fold in range(4):
        data = HousingDataModule(num_folds=4, fold=fold)
        data.setup("fit")
        rows = data.examples("val").rows
        assert rows.equals(whole.iloc[fold * 101 : (fold + 1) * 101])
        assert np.allclose(inputs_of(data, "train").mean(axis=0), 0, atol=1e-5)


def test_column_b_can_be_left_out_and_its_problem_is_told():
    data = HousingDataModule(drop_columns=["B"])
    assert data.input_shape == (12,)
    assert "B" not in data.feature_names
    assert "ethical problem" in HousingDataModule.__doc__


def test_new_districts_are_predicted_from_a_table(tmp_path):
    rows = HousingDataModule().examples("test").rows
    rows[rows.columns[::-1]].to_csv(tmp_path / "new.csv", index=False)
    data = HousingDataModule(predict_path=tmp_path / "new.csv")
    data.setup("fit")
    batches = [x for x, _ in data.predict_dataloader()]
    assert np.allclose(torch.cat(batches), inputs_of(data, "test"), atol=1e-6)


def test_target_scaling_is_learned_from_the_training_part():
    data = HousingDataModule(target_scaling="standard")
    targets = data.examples("train").targets
    assert np.isclose(data.target_mean[0], targets.mean())
    assert np.isclose(data.target_std[0], targets.std())


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """Write a California archive of 700 rows in the true layout; give its folder and arrays."""
    random = np.random.default_rng(0)
    x = random.uniform(1, 9, (700, 8)).astype(np.float32)
    y = random.uniform(60_000, 500_000, 700).astype(np.float32)
    source = tmp_path / "origin.npz"
    np.savez(source, x=x, y=y)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    monkeypatch.setattr(
        "dlp.datamodules.tables.housing.CALIFORNIA", Download(source.as_uri(), digest)
    )
    return tmp_path, x, y


@pytest.mark.parametrize(("version", "rows"), [("small", 600), ("large", 700)])
def test_california_is_downloaded_once_and_cut_as_in_the_book(archive, version, rows):
    folder, x, y = archive
    data = HousingDataModule("california", version, data_dir=folder / "data")
    data.prepare_data()
    (folder / "origin.npz").unlink()
    data.setup("fit")
    order = np.arange(rows)
    np.random.RandomState(113).shuffle(order)
    cut = int(rows * 0.8)
    assert np.array_equal(data.examples("train").rows, x[order[:cut]])
    assert np.allclose(data.examples("test").targets, y[order[cut:]] / 100_000)
    assert data.feature_names == CALIFORNIA_COLUMNS
    assert data.target_names == ["price"]


def test_a_damaged_archive_is_refused(archive):
    folder, *_ = archive
    path = folder / "data" / "california_housing" / "california_housing.npz"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PK truncated")
    with pytest.raises(InputError, match="is not the file it should be"):
        HousingDataModule("california", data_dir=folder / "data").setup("fit")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "bostn"}, "Did you mean 'boston'"),
        ({"version": "medium"}, "unknown version of a housing set 'medium'"),
        ({"val_size": -2}, "val_size must be"),
    ],
)
def test_unknown_sets_and_impossible_sizes(arguments, message):
    with pytest.raises(InputError, match=message):
        HousingDataModule(**arguments)


def test_a_misspelt_column_to_drop_gets_the_nearest():
    with pytest.raises(InputError, match=r"'LSTATS'\. Did you mean 'LSTAT'"):
        HousingDataModule(drop_columns=["LSTATS"]).setup("fit")


def test_the_frame_of_new_inputs_may_hold_more_columns(tmp_path):
    rows = HousingDataModule().examples("test").rows
    pd.concat([rows, rows.add_suffix("_old")], axis=1).to_csv(tmp_path / "new.csv", index=False)
    data = HousingDataModule(predict_path=tmp_path / "new.csv")
    assert next(iter(data.predict_dataloader()))[0].shape == (102, 13)
