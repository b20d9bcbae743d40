"""Hyperparameters of subclasses whose keywords have any name."""

import numpy as np
import torch
from helpers.training import quiet_trainer

from dlp.datamodules import ArrayDataModule
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
