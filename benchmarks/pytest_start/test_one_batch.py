"""A test of somebody's project, whose start against_keras.py measures."""

import numpy as np
from epoch_times import EpochTimes
from lightning import Trainer

from dlp.datamodules import ArrayDataModule
from dlp.modules import DenseModule


def test_a_model_takes_one_batch() -> None:
    """One batch is trained on and one validated."""
    x = np.random.default_rng(0).normal(size=(100, 20))
    data = ArrayDataModule(x, (x[:, 0] > x[:, 1]).astype(int), val_size=0.2, test_size=0.2)
    model = DenseModule(data.input_shape, data.num_outputs, head="sigmoid", hidden=(16, 16))
    trainer = Trainer(fast_dev_run=True, logger=False, callbacks=[EpochTimes()])
    trainer.fit(model, datamodule=data)
    assert "val_loss" in trainer.callback_metrics
