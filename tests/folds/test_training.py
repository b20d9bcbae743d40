from contextlib import nullcontext
from functools import partial

import pytest
import torch
from helpers.fold_problems import TRAINER, dense, maker, numbers
from lightning.pytorch.callbacks import EarlyStopping
from torch import nn

from dlp.errors import InputError
from dlp.folds.cross_validation import cross_validate
from dlp.folds.training import silent_trainer
from dlp.modules import DenseNet, SupervisedModule


def losses(result):
    return [fold.history["val_loss"] for fold in result.folds]


def test_callbacks_are_copied_for_each_fold():
    quick = maker(optimizer=partial(torch.optim.SGD, lr=0.3))
    stopper = EarlyStopping("val_loss", patience=1)
    trainer = {**TRAINER, "callbacks": [stopper]}
    result = cross_validate(numbers(), quick, 8, 3, trainer=trainer)
    assert len({len(curve) for curve in losses(result)}) > 1
    assert stopper.wait_count == 0
    assert len(result.mean_curves["val_loss"]) == max(map(len, losses(result)))


@pytest.mark.parametrize("is_frozen", [True, False])
def test_folds_share_a_frozen_body_alone(is_frozen):
    body = DenseNet((3,), 4).requires_grad_(not is_frozen)
    head = nn.Linear(4, 1)

    def make(data):
        last = nn.Linear(4, 1) if is_frozen else head
        return SupervisedModule(nn.Sequential(body, last), "regression")

    refused = pytest.raises(InputError, match="another fold")
    with nullcontext() if is_frozen else refused:
        cross_validate(numbers(), make, 1, num_folds=2, trainer=TRAINER)


def test_a_fold_that_cannot_be_stacked_is_trained_alone(capsys):
    def make(data):
        return dense(data, loss="huber" if data.split.fold == 1 else "mse")

    result = cross_validate(numbers(), make, 1, num_folds=3, trainer=TRAINER)
    assert [fold.engine for fold in result.folds] == ["stacked", "serial", "stacked"]
    assert capsys.readouterr().out.count("engine: serial, since RegressionHead") == 1


def test_long_stacks_are_shared_by_processes(monkeypatch):
    alone = cross_validate(numbers(), dense, 2, num_folds=5)
    monkeypatch.setattr("dlp.folds.training._UPDATES_PER_PROCESS", 1)
    monkeypatch.setattr("dlp.speed.forks.num_cores", lambda: 2)
    shared = cross_validate(numbers(), dense, 2, num_folds=5)
    for ours, theirs in zip(losses(shared), losses(alone), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)


def test_several_devices_are_refused():
    with pytest.raises(InputError, match="one device"):
        silent_trainer({"accelerator": "cpu", "devices": 2, "strategy": "ddp"}, [])
