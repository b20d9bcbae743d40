from functools import partial
from itertools import pairwise

import pytest
import torch
from helpers.backbones import changed, fit, small_data, small_model, state_of
from lightning import Callback, Trainer
from torch.optim.lr_scheduler import OneCycleLR

from dlp.callbacks import EpochSeed, Unfreeze
from dlp.callbacks.unfreezing import trained_stages
from dlp.errors import InputError
from dlp.modules import Backbone, DenseModule

pytestmark = pytest.mark.filterwarnings("ignore:Found .* in eval mode at the start of training")


@pytest.mark.parametrize(
    ("steps", "own", "expected"),
    [
        ([(1, 1)], 0, [1, 1, 1, 1]),
        ([(3, 2)], 0, [0, 0, 2, 2]),
        ([(3, "all")], 1, [1, 1, 5, 5]),
        ([(4, 3), (2, 1)], 0, [0, 1, 1, 3]),
        ([(2, 3), (3, 1)], 0, [0, 3, 3, 3]),
        ([(2, 1)], 2, [2, 2, 2, 2]),
    ],
)
def test_the_trained_stages_are_a_function_of_the_epoch(steps, own, expected):
    backbone = Backbone("shufflenet_v2_x0_5", trainable_stages=own)
    callbacks = [Unfreeze(*step) for step in steps]
    trainer = Trainer(accelerator="cpu", logger=False, callbacks=callbacks)
    assert [trained_stages(epoch, backbone, trainer) for epoch in range(1, 5)] == expected


def test_a_stage_changes_from_its_epoch_on_and_no_bit_of_another(capsys):
    model = small_model()
    before = state_of(model)
    watch = fit(model, small_data(), Unfreeze(2, 1), epochs=3)
    assert "epoch 2: conv5 of shufflenet_v2_x0_5 trained from now on" in capsys.readouterr().out
    states = [before, *watch.states]
    moves = [changed(*pair) for pair in pairwise(states)]
    inside = [{name for name in names if ".backbone." in name} for names in moves]
    last = {name for name in before if ".backbone.model.conv5." in name}
    assert inside == [set(), last, last]
    assert model.network.backbone.frozen_stages == 5  # as before the fit


def test_the_backbone_is_restored_after_an_error():
    class Fail(Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            raise RuntimeError

    model = small_model()
    with pytest.raises(RuntimeError):
        fit(model, small_data(), Unfreeze(1, 2), Fail())
    assert model.network.backbone.frozen_stages == 5


def test_a_resumed_fit_equals_an_unbroken_one(tmp_path):
    def run(seed, **arguments):
        schedule = partial(OneCycleLR, max_lr=[0.01, 0.001], total_steps=6, cycle_momentum=False)
        rmsprop = partial(torch.optim.RMSprop, lr=0.001)
        model = small_model(seed, scheduler=schedule, optimizer=rmsprop)
        return fit(model, small_data(), Unfreeze(2, 2), EpochSeed(), epochs=3, **arguments)

    paths = {f"epoch{epoch}": tmp_path / f"{epoch}.ckpt" for epoch in (1, 2)}
    whole = run(7, checkpoints=paths)
    for epoch in (1, 2):  # before and after the stages are unfrozen
        resumed = run(8, path=paths[f"epoch{epoch}"])
        assert resumed.metrics == whole.metrics[epoch:]
        assert not changed(whole.states[-1], resumed.states[-1])


def test_a_model_without_backbone_is_refused():
    model = DenseModule((3, 32, 32), 2, "sigmoid")
    with pytest.raises(InputError, match=r"needs a model with one Backbone.*DenseModule has 0"):
        fit(model, small_data(), Unfreeze(2, 1))
