import re
from functools import partial

import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import BaseFinetuning, Callback
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR, ReduceLROnPlateau, StepLR

from dlp.callbacks import Unfreeze
from dlp.datamodules import ArrayDataModule
from dlp.errors import InputError
from dlp.modules import Backbone, DenseModule, KerasRMSprop, PretrainedModule

draw = torch.Generator().manual_seed(0)
X, Y = torch.rand(14, 3, 32, 32, generator=draw), torch.randint(0, 2, (14,), generator=draw)
EPOCHS, AT = 4, 3


def data():
    return ArrayDataModule(X, Y, val_size=4, batch_size=5)  # 2 batches an epoch


def module(**arguments):
    given = {"backbone": "shufflenet_v2_x0_5", "weights": None, "hidden": (4,), **arguments}
    return PretrainedModule((3, 32, 32), 2, "sigmoid", **given)


def trainer(callbacks, epochs=EPOCHS):
    return Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        max_epochs=epochs,
        num_sanity_val_steps=0,
        callbacks=callbacks,
    )


class Watch(Callback):
    """Remembers at each epoch's end what is trained, and the weights."""

    def __init__(self, folder=None, save_at=()):
        self.trained, self.states = [], []
        self.folder, self.save_at = folder, save_at

    def on_train_epoch_end(self, trainer, pl_module):
        backbone = pl_module.network.backbone
        self.trained.append(len(backbone.stages) - backbone.frozen_stages)
        self.states.append({name: w.clone() for name, w in pl_module.state_dict().items()})
        if (epoch := trainer.current_epoch + 1) in self.save_at:
            trainer.save_checkpoint(self.folder / f"{epoch}.ckpt")


def fit(model, callbacks, path=None):
    watch = Watch()
    trainer([*callbacks, watch]).fit(model, data(), ckpt_path=path)
    return watch


@pytest.mark.parametrize(
    ("given", "own", "expected"),
    [
        ([(1, 1)], 0, [1, 1, 1, 1]),
        ([(3, 2)], 0, [0, 0, 2, 2]),
        ([(3, "all")], 1, [1, 1, 5, 5]),
        ([(4, 3), (2, 1)], 0, [0, 1, 1, 3]),
        ([(2, 3), (3, 1)], 0, [0, 3, 3, 3]),  # the most stages of those reached
        ([(2, 1)], 2, [2, 2, 2, 2]),
        ([(9, 1)], 0, [0, 0, 0, 0]),
    ],
)
def test_what_is_trained_depends_on_the_epoch(given, own, expected):
    steps = [Unfreeze(*step) for step in given]
    assert fit(module(trainable_stages=own), steps).trained == expected


def test_a_second_fit_starts_as_the_first_did():
    model = module()
    for _ in range(2):
        assert fit(model, [Unfreeze(AT, 1)]).trained == [0, 0, 1, 1]


def test_weights_and_statistics_move_from_that_epoch_on_and_only_there():
    model = module()
    states = [model.state_dict()]
    states = [{name: w.clone() for name, w in states[0].items()}]
    states += fit(model, [Unfreeze(AT, 1)]).states
    for epoch in range(1, EPOCHS + 1):
        before, after = states[epoch - 1], states[epoch]
        moved = {name for name in after if not torch.equal(before[name], after[name])}
        inside = {name for name in moved if ".backbone." in name}
        last = {name for name in after if ".backbone.model.conv5." in name}
        assert inside == (last if epoch >= AT else set())
        assert "network.backbone.model.conv5.1.running_mean" in last


def test_the_stages_are_named_when_they_are_unfrozen(capsys):
    fit(module(), [Unfreeze(2, 1), Unfreeze(3, 3)])
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert said == [
        "epoch 2: conv5 of shufflenet_v2_x0_5 trained from now on",
        "epoch 3: stage3, stage4 of shufflenet_v2_x0_5 trained from now on",
    ]


SCHEDULERS = {
    "none": None,
    "step": partial(StepLR, step_size=1, gamma=0.5),
    "lambda": partial(LambdaLR, lr_lambda=lambda epoch: 1 / (1 + epoch)),
    "one cycle": partial(OneCycleLR, max_lr=0.01, total_steps=2 * EPOCHS, cycle_momentum=False),
    "plateau": partial(ReduceLROnPlateau, factor=0.5, patience=0, threshold=10.0),
}
OPTIMIZERS = {"rmsprop": KerasRMSprop, "adamw": partial(torch.optim.AdamW, lr=0.01)}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_resuming_before_and_after_is_bit_equal_to_an_unbroken_run(scheduler, optimizer, tmp_path):
    def build(seed):
        torch.manual_seed(seed)
        return module(
            optimizer=OPTIMIZERS[optimizer],
            scheduler=SCHEDULERS[scheduler],
            backbone_lr=1e-4,
            dropout=0.3,
        )

    steps = [Unfreeze(AT, 2)]
    saved = [1, AT - 1, AT]
    unbroken = Watch(tmp_path, saved)
    whole = trainer([*steps, unbroken])
    whole.fit(build(7), data())
    for epoch in saved:
        watch = Watch()
        resumed = trainer([*steps, watch])
        resumed.fit(build(8), data(), ckpt_path=tmp_path / f"{epoch}.ckpt")
        assert watch.trained == unbroken.trained[epoch:]
        for ours, theirs in zip(watch.states, unbroken.states[epoch:], strict=True):
            assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
        groups, expected = (t.optimizers[0].param_groups for t in (resumed, whole))
        assert [group["lr"] for group in groups] == [group["lr"] for group in expected]


class Own(LightningModule):
    """A user's own module with a backbone in it."""

    def __init__(self):
        super().__init__()
        self.backbone = Backbone("shufflenet_v2_x0_5")
        self.top = nn.Linear(self.backbone.out_channels, 2)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return nn.functional.cross_entropy(self.top(self.backbone(x).mean((2, 3))), y.long())

    def validation_step(self, batch, batch_idx):
        self.training_step(batch, batch_idx)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.filterwarnings("ignore:.*in eval mode at the start of training")
def test_it_serves_a_module_of_ones_own():
    model = Own()
    deepest = model.backbone.model.get_submodule("conv5.0").weight
    before = deepest.detach().clone()
    trainer([Unfreeze(2, 1)], epochs=1).fit(model, data())
    assert deepest.equal(before)
    trainer([Unfreeze(2, 1)], epochs=2).fit(model, data())
    assert not deepest.equal(before)
    assert model.backbone.frozen_stages == 5  # as it was chosen: another fit may unfreeze nothing


def test_one_that_is_never_reached_says_so(capsys):
    trainer([Unfreeze(2, 1)], epochs=1).fit(module(), data())
    assert "does nothing in a run of 1 epochs" in capsys.readouterr().out


def test_a_choice_by_hand_holds():
    model = module()
    model.network.backbone.set_trainable(1)
    trainer([Unfreeze(3, 2)], epochs=1).fit(model, data())
    assert model.network.backbone.frozen_stages == 4


@pytest.mark.parametrize(
    ("build", "step", "message"),
    [
        (partial(DenseModule, (3, 32, 32), 2), (1, 1), "finds no backbone in DenseModule"),
        (module, (1, 6), "has 5 stages (stem, stage2, stage3, stage4, conv5), and 6 of them"),
        (module, (1, "al"), "give 0 to 5, or all"),
    ],
)
def test_what_cannot_be_unfrozen_is_refused_before_training(build, step, message):
    with pytest.raises(InputError, match=re.escape(message)):
        trainer([Unfreeze(*step)]).fit(build(), data())


def test_epochs_count_from_1():
    with pytest.raises(InputError, match="epochs count from 1"):
        Unfreeze(0, 1)


def test_nothing_is_unfrozen_to_evaluate_or_predict():
    model = module()
    trainer([Unfreeze(1, 2)]).validate(model, data(), verbose=False)
    assert model.network.backbone.frozen_stages == 5


class Breaks(Callback):
    def __init__(self, error):
        self.error = error

    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch + 1 == AT:
            raise self.error


@pytest.mark.parametrize("error", [RuntimeError("no"), InputError("no"), KeyboardInterrupt()])
def test_a_fit_that_breaks_off_leaves_the_backbone_as_it_was_chosen(error):
    """Lightning calls no `teardown` then."""
    model = module(trainable_stages=1)
    with pytest.raises((RuntimeError, InputError, SystemExit)):
        trainer([Unfreeze(2, 3), Breaks(error)]).fit(model, data())
    backbone = model.network.backbone
    assert backbone.frozen_stages == 4
    weights = backbone.model.named_parameters()
    assert {backbone.stage_of(name) for name, weight in weights if weight.requires_grad} == {4}
    assert not backbone.model.get_submodule("stage4").training


class Filtered(PretrainedModule):
    """Gives the optimizer what is trained at the start, as many examples do."""

    def parameter_groups(self):
        return [weight for weight in self.parameters() if weight.requires_grad]


def test_what_no_optimizer_holds_is_not_announced_as_trained(capsys):
    model = Filtered((3, 32, 32), 2, "sigmoid", "shufflenet_v2_x0_5", weights=None)
    message = "is to train conv5 of shufflenet_v2_x0_5, and no optimizer holds 3 of their"
    with pytest.raises(InputError, match=message):
        trainer([Unfreeze(2, 1)]).fit(model, data())
    assert "trained from now on" not in capsys.readouterr().out


def test_several_backbones_are_not_chosen_from():
    model = Own()
    model.teacher = Backbone("shufflenet_v2_x0_5")
    with pytest.raises(InputError, match="finds 2 backbones in Own: it goes with"):
        trainer([Unfreeze(2, 1)]).fit(model, data())


def test_what_lightning_freezes_stays_in_training_mode():
    frozen = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout())
    BaseFinetuning.freeze(frozen, train_bn=False)
    assert not any(weight.requires_grad for weight in frozen.parameters())
    assert all(layer.training for layer in frozen)  # why Unfreeze is another one
