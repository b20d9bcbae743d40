from pathlib import Path

import pytest
import torch
from lightning import Callback

from dlp.datamodules import ArrayDataModule
from dlp.errors import InputError
from dlp.modules import DenseModule
from dlp.runs import Run, RunRecorder
from helpers.training import X, loader, plain_loaders, quiet_trainer, small_fit


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
    assert recorder.run.origin() == []
    test = recorder.run.results()["test"]
    assert test["checkpoint"] == "best.ckpt"
    linear = test["baselines"]["linear model"]
    assert linear["lead"] == pytest.approx(linear["acc"] - test["test_acc"])


class OwnLoader(ArrayDataModule):
    """Data without a test part whose rows to test come from a loader of its own."""

    def test_dataloader(self):
        return loader(X, (X[:, 0] > 0).long())


@plain_loaders
def test_a_test_by_a_loader_of_ones_own_is_recorded_without_baselines():
    data = OwnLoader(X, X[:, 0] > 0)
    recorder = RunRecorder("own", baselines=True)
    trainer = quiet_trainer(1, recorder.callbacks)
    model = DenseModule((3,), 2, head="sigmoid")
    trainer.fit(model, data)
    trainer.test(model, data, verbose=False)
    test = recorder.run.results()["test"]
    assert test["rows"] == len(X)
    assert test["baselines"] == {}


def test_a_recorder_without_its_callbacks_is_refused():
    with pytest.raises(InputError, match=r"callbacks=recorder\.callbacks"):
        small_fit(RunRecorder("alone"))


@pytest.mark.filterwarnings("ignore:Checkpoint directory")  # Lightning's
def test_a_fit_that_python_stops_names_the_checkpoint_to_go_on_from(capsys):
    class Stop(Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            if trainer.current_epoch == 1:
                raise RuntimeError

    with pytest.raises(RuntimeError):
        small_fit(*RunRecorder("mine").callbacks, Stop())
    path = "runs/mine/version_0/checkpoints/last.ckpt"
    assert f"continue with trainer.fit(ckpt_path='{path}')" in capsys.readouterr().out
    recorder = RunRecorder(run=Run(Path("runs/mine/version_0")))
    small_fit(*recorder.callbacks, path=path)
    assert len(recorder.history.metrics["val_loss"]) == 3


def test_a_recorder_records_one_fit():
    recorder = RunRecorder("one")
    small_fit(*recorder.callbacks, max_epochs=1)
    with pytest.raises(InputError, match="records one fit"):
        small_fit(*recorder.callbacks)
