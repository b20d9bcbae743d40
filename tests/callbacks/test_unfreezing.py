from functools import partial
from itertools import pairwise

import pytest
import torch
from helpers.backbones import changed, fit, small_data, small_model, state_of
from lightning import Callback, Trainer

from dlp.callbacks import CacheFeatures, Unfreeze
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


@pytest.mark.parametrize("train_batch_norm", [False, True])
def test_a_stage_changes_from_its_epoch_on_and_no_bit_of_another(train_batch_norm, capsys):
    model = small_model(optimizer=partial(torch.optim.SGD, lr=0.001))
    before = state_of(model)
    watch = fit(model, small_data(), Unfreeze(2, 1, train_batch_norm), epochs=3)
    assert "epoch 2: conv5 of shufflenet_v2_x0_5 trained from now on" in capsys.readouterr().out
    states = [before, *watch.states]
    moves = [changed(*pair) for pair in pairwise(states)]
    inside = [{name for name in names if ".backbone." in name} for names in moves]
    last = {name for name in before if ".backbone.model.conv5." in name}
    if not train_batch_norm:
        last = {name for name in last if "running" not in name and "num_batches" not in name}
    assert inside == [set(), last, last]
    assert model.network.backbone.frozen_stages == 5  # as before the fit


def test_batch_norm_of_the_stages_of_the_backbone_itself_is_trained():
    model = small_model(trainable_stages=1)
    before = state_of(model)
    moves = changed(before, fit(model, small_data(), Unfreeze(1, 2)).states[-1])
    statistics = {name for name in moves if "running" in name}
    assert statistics == {name for name in before if "conv5" in name and "running" in name}
    assert any("stage4" in name for name in moves)


def test_the_backbone_is_restored_after_an_error():
    class Fail(Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            raise RuntimeError

    model = small_model()
    with pytest.raises(RuntimeError):
        fit(model, small_data(), Unfreeze(1, 2), Fail())
    assert model.network.backbone.frozen_stages == 5


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (Unfreeze(2, 1), r"needs a model with one Backbone.*DenseModule has 0"),
        (CacheFeatures(), "needs a PretrainedModule"),
    ],
)
def test_a_model_without_backbone_is_refused(callback, message):
    with pytest.raises(InputError, match=message):
        fit(DenseModule((3, 32, 32), 2, "sigmoid"), small_data(), callback)
