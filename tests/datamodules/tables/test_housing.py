import hashlib

import numpy as np
import pytest

from dlp.datamodules import HousingDataModule
from dlp.datamodules.tables import housing


def test_boston_is_in_the_order_of_the_book():
    data = HousingDataModule()
    train, test = data.examples("train"), data.examples("test")
    assert (len(train), len(test)) == (404, 102)
    assert (train.inputs.frame["CRIM"].iloc[0], train.targets[0]) == (1.23247, 15.2)
    assert train.index[:5].tolist() == [22, 202, 368, 335, 461]
    assert (data.input_shape, data.num_outputs, data.class_names) == ((13,), 1, None)
    assert not data.has("val")


def test_leaky_scaling_takes_all_training_rows_whatever_the_fold():
    rows = HousingDataModule().examples("test").inputs.frame
    whole = HousingDataModule(predict_path=rows)
    fold = HousingDataModule(predict_path=rows, leaky_scaling=True, num_folds=4)
    rows_of_fold = {
        "train": slice(101, None),
        "test": slice(None),
        "predict": slice(None),
    }
    for part, numbers in rows_of_fold.items():
        np.testing.assert_allclose(
            fold.inputs(part), whole.inputs(part)[numbers], atol=1e-6
        )


@pytest.mark.parametrize(("version", "rows"), [("small", 600), ("large", 700)])
def test_california_is_downloaded_once_and_cut_as_in_the_book(
    version, rows, tmp_path, monkeypatch
):
    random = np.random.default_rng(0)
    x = random.uniform(1, 9, (700, 8)).astype(np.float32)
    y = random.uniform(60_000, 500_000, 700).astype(np.float32)
    path = tmp_path / "origin.npz"
    np.savez(path, x=x, y=y)
    monkeypatch.setattr(housing, "CALIFORNIA_URL", path.as_uri())
    monkeypatch.setattr(
        housing, "CALIFORNIA_SHA256", hashlib.sha256(path.read_bytes()).hexdigest()
    )
    data = HousingDataModule("california", version, data_dir=tmp_path / "data")
    data.prepare_data()
    path.unlink()
    data.prepare_data()
    order, cut = np.arange(rows), int(rows * 0.8)
    np.random.RandomState(113).shuffle(order)
    np.testing.assert_array_equal(data.examples("train").inputs.frame, x[order[:cut]])
    np.testing.assert_allclose(data.examples("test").targets, y[order[cut:]] / 100_000)
    assert data.feature_names[:2] == ["longitude", "latitude"]
