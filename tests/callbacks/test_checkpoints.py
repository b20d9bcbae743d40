"""What Lightning's own checkpoints do not do (the project's are tested with the modules)."""

from datetime import timedelta

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from dlp.callbacks import LastCheckpoint
from dlp.datamodules import ArrayDataModule
from dlp.modules import DenseModule


def test_lightnings_throttled_checkpoint_leaves_out_the_final_epoch(tmp_path):
    throttled = ModelCheckpoint(tmp_path / "theirs", train_time_interval=timedelta(hours=1))
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        max_epochs=2,
        callbacks=[throttled, LastCheckpoint(tmp_path / "ours", every_seconds=3600)],
    )
    data = ArrayDataModule(torch.rand(20, 2), torch.arange(20) % 2, val_size=5)
    trainer.fit(DenseModule((2,), 2), data)
    assert not [*tmp_path.glob("theirs/*")]
    saved = torch.load(tmp_path / "ours" / "last.ckpt", weights_only=True)
    assert saved["epoch"] == 1
