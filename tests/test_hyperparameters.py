"""Hyperparameters of subclasses whose keywords have any name, and of values of NumPy."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.training import quiet_trainer

from dlp.datamodules import ArrayDataModule
from dlp.errors import InputError
from dlp.hyperparameters import plain_value
from dlp.inference import Predictor
from dlp.modules import DenseModule

X = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)


class Mine(DenseModule):
    def __init__(self, width=8, **kwargs):
        super().__init__(hidden=(width,), **kwargs)
        self.save_hyperparameters()


class MyData(ArrayDataModule):
    def __init__(self, offset=0.0, **kwargs):
        super().__init__(X + offset, X[:, 0] > 0, **kwargs)
        self.save_hyperparameters()


def test_a_subclass_survives_its_checkpoint(tmp_path):
    data = MyData(offset=2.0, batch_size=7, val_size=None)
    model = Mine(width=5, input_shape=(3,), num_outputs=2, head="sigmoid", l2=0.1)
    trainer = quiet_trainer()
    trainer.fit(model, data)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    again = Mine.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    assert again.hparams["width"] == again.network.layers[0].out_features == 5
    assert again.l2 == 0.1
    inputs = torch.from_numpy(X)
    assert again.eval()(inputs).equal(model.eval()(inputs))
    same_data = MyData.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    assert (same_data.hparams["offset"], same_data.batch_size) == (2.0, 7)
    assert same_data.loader("train").inputs.equal(data.loader("train").inputs)


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


def test_a_module_with_arguments_of_numpy_survives_its_checkpoint(tmp_path):
    settings = {"hidden": (np.int64(8),), "l2": np.float64(0.01)}
    model = DenseModule((3,), np.int64(2), "regression", **settings)
    trainer = quiet_trainer()
    trainer.fit(model, ArrayDataModule(X, X[:, :2], val_size=None))
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    again = DenseModule.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    assert (again.l2, again.head.num_outputs) == (0.01, 2)
    expected = model.eval().head.predict(model(torch.from_numpy(X))).detach()
    values = Predictor.load(tmp_path / "a.ckpt").scores(X)
    np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_an_array_as_an_argument_is_refused():
    with pytest.raises(InputError, match="target_mean is a NumPy array"):
        DenseModule((3,), 2, "regression", target_mean=np.ones(2))
