import copy

import pytest
import torch
from lightning import Trainer
from torch import nn

from dlp.callbacks import precision_trial
from dlp.callbacks.precision_trial import PrecisionTrial, bfloat16_gain, trains_convolutions
from dlp.datamodules import ArrayDataModule
from dlp.modules import ConvNetModule, DenseModule
from dlp.modules.networks import ConvNet

draw = torch.Generator().manual_seed(0)
X, Y = torch.rand(60, 1, 12, 12, generator=draw), torch.randint(0, 2, (60,), generator=draw)


@pytest.fixture
def quick(monkeypatch):
    """Any fit is long, the CPU has units for bfloat16, and they gain much."""
    monkeypatch.setattr(precision_trial, "_STEPS", 2)
    monkeypatch.setattr(precision_trial, "has_units", lambda: True)
    monkeypatch.setattr(precision_trial, "bfloat16_gain", lambda network, images: 2.04)


def fitted(callbacks, model=None, **settings):
    torch.manual_seed(3)
    model = model or ConvNetModule((1, 12, 12), 2, channels=(4,), dense=(4,), dropout=0.3)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    settings = {"max_epochs": 1, "accelerator": "cpu", **quiet, **settings}
    Trainer(callbacks=callbacks, enable_model_summary=False, **settings).fit(
        model, ArrayDataModule(X, Y, val_size=10, batch_size=10)
    )
    return model


@pytest.mark.usefixtures("quick")
def test_a_convnet_in_float32_is_told_what_bfloat16_brings(capsys):
    fitted([PrecisionTrial()])
    assert "--trainer.precision bf16-mixed would make a step 2.0 times as fast" in (
        capsys.readouterr().out
    )


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "settings",
    [
        {"precision": "bf16-mixed"},
        {"precision": "64-true"},
        {"fast_dev_run": True},
        {"limit_train_batches": 1},
        {"model": DenseModule((1, 12, 12), 2)},
    ],
    ids=str,
)
def test_nothing_is_said_where_it_does_not_apply(settings, capsys):
    fitted([PrecisionTrial()], **settings)
    assert "bf16" not in capsys.readouterr().out


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("gain", [1.2, 0.5, None])
def test_nothing_is_said_of_a_small_gain(gain, monkeypatch, capsys):
    monkeypatch.setattr(precision_trial, "bfloat16_gain", lambda network, images: gain)
    fitted([PrecisionTrial()])
    assert "bf16" not in capsys.readouterr().out


def test_a_cpu_without_the_units_tries_nothing(monkeypatch, capsys):
    monkeypatch.setattr(precision_trial, "_STEPS", 2)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True}, raising=False)
    monkeypatch.setattr(precision_trial, "bfloat16_gain", pytest.fail)
    fitted([PrecisionTrial()])
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    fitted([PrecisionTrial()])
    assert "bf16" not in capsys.readouterr().out


def test_the_fit_is_the_same_with_a_trial(monkeypatch):
    monkeypatch.setattr(precision_trial, "_STEPS", 2)
    monkeypatch.setattr(precision_trial, "has_units", lambda: True)
    given, real = [], bfloat16_gain

    def noted(network, images):
        given.append((network, images.shape, real(network, images)))
        return given[-1][2]

    monkeypatch.setattr(precision_trial, "bfloat16_gain", noted)
    with_trial, without = fitted([PrecisionTrial()]), fitted([])
    for mine, other in zip(with_trial.parameters(), without.parameters(), strict=True):
        assert mine.equal(other)
    ((network, shape, gain),) = given
    assert network is with_trial.network
    assert shape == (10, 1, 12, 12)
    assert gain > 0


def test_the_trial_leaves_the_network_and_random_numbers_alone():
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Flatten())
    network.eval()
    before, state = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    assert bfloat16_gain(network, X[:6]) > 0
    assert not network.training
    assert torch.get_rng_state().equal(state)
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())
    assert all(weight.grad is None for weight in network.parameters())


def test_a_network_that_cannot_be_tried_has_no_gain():
    class Stubborn(nn.Module):
        def __deepcopy__(self, memo):
            raise TypeError("one of a kind")

    assert bfloat16_gain(Stubborn(), X) is None
    assert bfloat16_gain(nn.Conv2d(3, 4, 3), X) is None  # other channels


def test_frozen_convolutions_are_not_trained():
    network = ConvNet((1, 12, 12), 2, channels=(4,), dense=(4,))
    assert trains_convolutions(network)
    network.features.requires_grad_(False)
    assert not trains_convolutions(network)
    assert not trains_convolutions(nn.Linear(3, 2))
