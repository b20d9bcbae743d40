"""Hyperparameters of subclasses whose keywords have any name, and of values of NumPy."""

from pathlib import Path

import numpy as np
import pytest
from helpers.training import OneWeight, quiet_trainer

from dlp.datamodules import ArrayDataModule
from dlp.hyperparameters import plain_value

X = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)


class MyData(ArrayDataModule):
    def __init__(self, offset=0.0, **kwargs):
        super().__init__(X + offset, X[:, 0] > 0, **kwargs)
        self.save_hyperparameters()


def test_a_subclass_of_data_survives_its_checkpoint(tmp_path):
    data = MyData(offset=2.0, batch_size=7, val_size=None)
    trainer = quiet_trainer()
    trainer.fit(OneWeight(), data)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    same = MyData.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    assert (same.hparams["offset"], same.batch_size) == (2.0, 7)
    assert same.loader("train").inputs.equal(data.loader("train").inputs)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ((np.int64(8), 4), (8, 4)),
        ({np.str_("a"): [np.float32(0.5), np.bool_(True)]}, {"a": [0.5, True]}),
        (np.array([0.5, 2.0]), [0.5, 2.0]),
        ([Path("a.pt")], ["a.pt"]),
    ],
)
def test_values_of_numpy_and_paths_become_plain(value, plain):
    assert repr(plain_value(value)) == repr(plain)
