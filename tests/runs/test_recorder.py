from pathlib import Path

import pytest
import torch
from helpers.training import quiet_trainer, small_fit

from dlp.datamodules import ArrayDataModule
from dlp.errors import InputError
from dlp.modules import DenseModule
from dlp.runs import RunRecorder


def test_any_trainer_records_a_run(tmp_path):
    x = torch.randn(60, 4).numpy()
    data = ArrayDataModule(x, (x[:, 0] > 0).astype(int), batch_size=16, test_size=10)
    model = DenseModule(data.input_shape, data.num_outputs, head="sigmoid")
    recorder = RunRecorder("arrays", baselines=True)
    trainer = quiet_trainer(2, recorder.callbacks)
    callbacks = list(trainer.callbacks)
    trainer.fit(model, data)
    best = recorder.best.best_model_path
    trainer.test(model, data, ckpt_path=best, weights_only=True, verbose=False)
    assert trainer.callbacks == callbacks
    names = {path.name for path in Path("runs/arrays/version_0").rglob("*.*")}
    assert {"metrics.csv", "curves.png", "best.ckpt", "last.ckpt", "worst.csv"} <= names
    assert "config.yaml" not in names
    test = recorder.run.results()["test"]
    assert test["checkpoint"] == "best.ckpt"
    linear = test["baselines"]["linear model"]
    assert linear["lead"] == pytest.approx(linear["acc"] - test["test_acc"])


def test_a_recorder_without_its_callbacks_is_refused():
    with pytest.raises(InputError, match=r"callbacks=recorder\.callbacks"):
        small_fit(RunRecorder("alone"))


def test_a_recorder_records_one_fit():
    recorder = RunRecorder("one")
    small_fit(*recorder.callbacks, max_epochs=1)
    with pytest.raises(InputError, match="records one fit"):
        small_fit(*recorder.callbacks)
