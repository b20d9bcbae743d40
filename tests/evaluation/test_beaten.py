import numpy as np
import pytest

from dlp.datamodules import ArrayDataModule
from dlp.evaluation.beaten import beaten_on
from dlp.modules import DenseModule


@pytest.mark.parametrize("scaled", [False, True])
def test_values_that_were_not_standardised_are_advised_to_be(scaled):
    values = 1e6 + 76.0 * np.tile([-1, 1], 20)
    x = np.ones((40, 2), np.float32)
    data = ArrayDataModule(x, values, task="regression", val_size=8, split_seed=None)
    scale = {"target_mean": [1e6], "target_std": [100.0]} if scaled else {}
    model = DenseModule(data.input_shape, 1, head="regression", hidden=[], **scale)
    beaten = beaten_on(model, data, {"val_mae": 999_999.0, "val_loss": 1e12})
    assert not beaten.beats
    assert "999,999 against 76.0000" in beaten.line
    assert ("--data.target_scaling standard" in beaten.line) != scaled
    assert beaten_on(model, data, {}) is None


@pytest.mark.parametrize(("loss", "beats"), [(0.01, True), (9.0, False)])
def test_a_threshold_for_f1_proves_nothing_by_f1_on_the_rows_it_was_chosen_on(loss, beats):
    x, rare = np.ones((50, 2), np.float32), np.arange(50) % 10 == 0
    data = ArrayDataModule(x, rare.astype(int), val_size=20, split_seed=None)
    model = DenseModule(data.input_shape, 2, head="sigmoid", threshold="f1")
    beaten = beaten_on(model, data, {"val_acc": 0.1, "val_f1": 0.18, "val_loss": loss})
    assert beaten.beats == beats
    assert "the frequencies of the classes: val_loss" in beaten.line
