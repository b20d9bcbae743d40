import re
from functools import partial

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.cli import ReduceLROnPlateau as MonitoringPlateau
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR, ReduceLROnPlateau, StepLR
from training import Curves, quiet_trainer

from dlp.callbacks import LastCheckpoint
from dlp.datamodules import ArrayDataModule
from dlp.errors import InputError
from dlp.modules import (
    ConvNetModule,
    DenseModule,
    KerasRMSprop,
    RegressionHead,
    SoftmaxHead,
    SupervisedModule,
)

draw = torch.Generator().manual_seed(0)
X = torch.rand(40, 1, 8, 8, generator=draw)
Y = torch.randint(0, 3, (40,), generator=draw)
EPOCHS, SAVED = 5, 2


def data():
    return ArrayDataModule(X, Y, val_size=10, batch_size=8)  # 8 + 8 + 8 + 6


def dense(**arguments):
    return DenseModule((1, 8, 8), 3, hidden=(6, 5), **arguments)


def convnet(**arguments):
    return ConvNetModule((1, 8, 8), 3, channels=(2, 3), dense=(4,), pool=(2, 0), **arguments)


def network():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.BatchNorm1d(5), nn.Linear(5, 3))


def weights(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def assert_equal(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


# Resuming -------------------------------------------------------------------------------------


class SaveInHook(Callback):
    """Saves at the end of an epoch, as a callback that monitors nothing does."""

    def __init__(self, path):
        self.path = path

    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch + 1 == SAVED:
            trainer.save_checkpoint(self.path)


def savers(kind, folder):
    """Return the callback that saves after epoch SAVED, and the file."""
    if kind == "hook":
        return SaveInHook(folder / "hook.ckpt"), folder / "hook.ckpt"
    if kind == "epoch end":
        name = {"filename": "{epoch}", "save_top_k": -1, "save_on_train_epoch_end": True}
    else:  # at the end of validation, Lightning's own way
        name = {"filename": "{epoch}", "save_top_k": -1, "monitor": "val_loss"}
    saver = ModelCheckpoint(folder, enable_version_counter=False, **name)
    return saver, folder / f"epoch={SAVED - 1}.ckpt"


def run(build, callbacks=(), path=None, epochs=EPOCHS, save_as=None):
    """Fit as a new process does, resumed under another seed; return curves, weights and rate."""
    torch.manual_seed(7 if path is None else 8)
    module, curves = build(), Curves()
    trainer = quiet_trainer(epochs, [curves, *callbacks])
    trainer.fit(module, data(), ckpt_path=path)
    if save_as is not None:
        trainer.save_checkpoint(save_as)
    return curves.epochs, weights(module), trainer.optimizers[0].param_groups[0]["lr"]


SCHEDULERS = {
    "none": None,
    "step": partial(StepLR, step_size=1, gamma=0.5),
    "lambda": partial(LambdaLR, lr_lambda=lambda epoch: 1 / (1 + epoch)),
    "one cycle": partial(OneCycleLR, max_lr=0.01, total_steps=4 * EPOCHS, cycle_momentum=False),
    "plateau": partial(ReduceLROnPlateau, factor=0.5, patience=0, threshold=10.0),
    "monitoring plateau": partial(
        MonitoringPlateau, monitor="val_acc", mode="max", factor=0.5, patience=1, threshold=10.0
    ),
}
OPTIMIZERS = {"rmsprop": KerasRMSprop, "adamw": partial(torch.optim.AdamW, lr=0.01)}


def check_resumed_equals_unbroken(build, saver, folder):
    callback, path = savers(saver, folder)
    curves, final, rate = run(build, [callback])
    again, _ = savers(saver, folder)  # Lightning asks for the callbacks of the first run
    resumed_curves, resumed, resumed_rate = run(build, [again], path)
    assert resumed_curves == curves[SAVED:]
    assert_equal(resumed, final)
    assert resumed_rate == rate


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
@pytest.mark.parametrize("saver", ["hook", "epoch end", "validation end"])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_resumed_run_is_bit_equal_to_an_unbroken_one(scheduler, saver, tmp_path):
    build = partial(
        dense, dropout=0.4, scheduler=SCHEDULERS[scheduler], optimizer=OPTIMIZERS["adamw"]
    )
    check_resumed_equals_unbroken(build, saver, tmp_path)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("kind", [dense, convnet])
def test_it_is_for_every_module_and_optimizer(kind, optimizer, tmp_path):
    build = partial(kind, dropout=0.4, l2=1e-3, optimizer=OPTIMIZERS[optimizer])
    check_resumed_equals_unbroken(build, "hook", tmp_path)


def test_it_is_for_a_network_of_ones_own(tmp_path):
    def build():
        return SupervisedModule(network(), "softmax", 3, optimizer=OPTIMIZERS["adamw"])

    check_resumed_equals_unbroken(build, "hook", tmp_path)


@pytest.mark.parametrize("by_callback", [True, False])
@pytest.mark.parametrize("scheduler", ["none", "step", "plateau"])
def test_a_finished_run_can_be_trained_on(scheduler, by_callback, tmp_path):
    build = partial(dense, dropout=0.4, scheduler=SCHEDULERS[scheduler])
    path = tmp_path / "last.ckpt"
    if by_callback:
        run(build, [LastCheckpoint(tmp_path)], epochs=SAVED)
    else:
        run(build, epochs=SAVED, save_as=path)
    curves, final, rate = run(build)
    resumed_curves, resumed, resumed_rate = run(build, path=path)
    assert resumed_curves == curves[SAVED:]
    assert_equal(resumed, final)
    assert resumed_rate == rate


# Restoring ------------------------------------------------------------------------------------


def saved(module, folder):
    """Fit one epoch; return the trainer's checkpoint file and the predictions it should give."""
    trainer = quiet_trainer(1)
    trainer.fit(module, data())
    path = folder / "model.ckpt"
    trainer.save_checkpoint(path)
    expected = module.eval()(X).detach()
    module.train()
    return path, expected


def error(logits, targets):
    return (logits.softmax(1)[torch.arange(len(targets)), targets] - 1).abs().mean()


def entropy(predictions, targets):
    return -(predictions * predictions.log()).sum(1)


@pytest.mark.parametrize(
    ("kind", "arguments", "objects"),
    [
        (DenseModule, {"hidden": (6, 5), "activation": "tanh", "dropout": 0.3, "l1": 0.01}, {}),
        (DenseModule, {"loss": "mse", "metrics": ["acc", "f1"]}, {}),
        (DenseModule, {}, {"loss": error, "metrics": [entropy]}),
        (DenseModule, {"hidden": (5,)}, {"head": SoftmaxHead(3, "mse")}),
        (DenseModule, {}, {"optimizer": partial(torch.optim.SGD, lr=0.5)}),
        (
            ConvNetModule,
            {"channels": (2, 3), "dense": (4,), "kernel_size": (3, 2), "pool": (2, 0), "l2": 1e-3},
            {"scheduler": partial(StepLR, step_size=1)},
        ),
        (SupervisedModule, {"head": "softmax", "l1": 0.01}, {"network": network()}),
    ],
)
def test_a_module_restores_from_its_plain_arguments_and_objects_given_again(
    kind, arguments, objects, tmp_path
):
    if kind is not SupervisedModule:
        arguments = {"input_shape": (1, 8, 8), **arguments}
    module = kind(num_outputs=3, **arguments, **objects)
    path, expected = saved(module, tmp_path)
    content = torch.load(path, weights_only=True)
    saved_arguments = content["hyper_parameters"]
    assert set(saved_arguments) >= {"num_outputs", *arguments}
    assert not set(saved_arguments) & set(objects)
    given_again = {
        name: network() if name == "network" else value for name, value in objects.items()
    }
    restored = kind.load_from_checkpoint(path, **given_again)
    assert torch.equal(restored.eval()(X), expected)
    assert restored.penalty() == module.penalty()
    assert type(restored.head) is type(module.head)
    assert restored.head.loss is module.head.loss
    for name in ("optimizer", "scheduler"):
        if name in objects:
            assert getattr(restored, f"make_{name}") is objects[name]
    trainer = quiet_trainer(3)
    trainer.fit(restored.train(), data(), ckpt_path=path)
    assert trainer.current_epoch == 3


def test_numbers_of_numpy_among_the_arguments_are_saved_as_plain_ones(tmp_path):
    module = DenseModule(
        X.shape[1:],
        np.int64(3),
        hidden=np.array([6, 5]),
        dropout=np.float64(0.3),
        l2=np.float32(0.5),
    )
    path, expected = saved(module, tmp_path)
    arguments = torch.load(path, weights_only=True)["hyper_parameters"]
    assert arguments["hidden"] == [6, 5]
    assert arguments["l2"] == 0.5
    restored = DenseModule.load_from_checkpoint(path)
    assert torch.equal(restored.eval()(X), expected)
    assert restored.network.layers.dropout1.rate == 0.3


def test_the_unit_of_the_values_is_restored(tmp_path):
    values = Y.float() * 10 + 5
    scale = {"target_mean": [15.0], "target_std": [8.0]}
    module = DenseModule((64,), 1, "regression", **scale)
    trainer = quiet_trainer(1)
    trainer.fit(module, ArrayDataModule(X.flatten(1), values, val_size=10))
    path = tmp_path / "model.ckpt"
    trainer.save_checkpoint(path)
    restored = DenseModule.load_from_checkpoint(path)
    assert isinstance(restored.head, RegressionHead)
    expected = module.predict_step(X.flatten(1), 0)["values"]
    assert torch.equal(restored.predict_step(X.flatten(1), 0)["values"], expected)


def test_the_weights_are_those_of_the_plain_network(tmp_path):
    module = dense()
    path, expected = saved(module, tmp_path)
    content = torch.load(path, weights_only=True)["state_dict"]
    assert all(name.startswith("network.") for name in content)
    plain = dense().network
    plain.load_state_dict({name.removeprefix("network."): w for name, w in content.items()})
    assert torch.equal(plain(X), expected)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (partial(DenseModule, (1, 8, 8), 3, hidden=(6, 5, 4)), "it lacks ['network.layers.dense3"),
        (partial(DenseModule, (1, 8, 8), 3, hidden=(6,)), "it has ['network.layers.dense2"),
        (partial(DenseModule, (1, 8, 8), 3, hidden=(7, 5)), "is (6,) there, (7,) here"),
        (convnet, "it lacks ['network.classifier"),
    ],
)
def test_the_checkpoint_of_another_model_is_refused(other, message, tmp_path):
    path, _ = saved(dense(), tmp_path)
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        quiet_trainer(3).fit(other(), data(), ckpt_path=path)
    assert "the checkpoint belongs to another model" in str(caught.value)
    with pytest.raises(InputError, match=r"config\.yaml in its run's folder"):
        quiet_trainer().validate(other(), data(), ckpt_path=path, verbose=False)


def test_the_sanity_check_and_earlier_validations_move_no_plateau(tmp_path):
    _, path = savers("hook", tmp_path)
    module = dense(scheduler=partial(ReduceLROnPlateau, patience=0))
    trainer = quiet_trainer(SAVED, [SaveInHook(path)], check_val_every_n_epoch=SAVED + 1)
    trainer.validate(module, data(), verbose=False)
    trainer.fit(module, data())
    assert "val_loss" not in torch.load(path, weights_only=True)["metrics"]
