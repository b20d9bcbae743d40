"""Small fits on the accelerator of the machine, compared with the CPU; and in mixed precision."""

from functools import partial

import pytest
import torch
from helpers.backbones import small_data, small_model
from helpers.sets import DATA_MODULES
from helpers.training import Curves, quiet_trainer

from dlp.inference import Predictor
from dlp.modules import ConvNetModule, DenseModule

small_convnet = partial(ConvNetModule, channels=(8,), dense=(8,))
MODULES = {"table": DenseModule, "text": DenseModule, "images": small_convnet}


def case(name, folder):
    """Return data and module of a name."""
    torch.manual_seed(0)
    if name == "pretrained":
        return small_data(test_size=4), small_model(dropout=0.0)
    data = DATA_MODULES[name](folder, batch_size=8, test_size=8)
    return data, MODULES[name](data.input_shape, data.num_outputs, "sigmoid")


def predictions(trainer, module, data):
    batches = trainer.predict(module, data)
    return torch.cat([batch["probabilities"] for batch in batches]).cpu()


@pytest.fixture(scope="module")
def accelerator():
    """Return the name of the accelerator that torch and Lightning know."""
    if torch.cuda.is_available():
        return "cuda"
    if torch.backends.mps.is_available():
        return "mps"
    pytest.skip("torch finds no GPU of NVIDIA, AMD or Apple")


@pytest.mark.filterwarnings("ignore:Found .* in eval mode", "ignore:.*available but not used")
@pytest.mark.parametrize("name", [*MODULES, "pretrained"])
def test_an_accelerator_learns_and_predicts_as_the_cpu(name, accelerator, tmp_path):
    data, module = case(name, tmp_path)
    curves = Curves()
    trainer = quiet_trainer(8, [curves], accelerator=accelerator, devices=1)
    trainer.fit(module, data)
    assert curves.epochs[-1]["train_loss"] < curves.epochs[0]["train_loss"]
    there = predictions(trainer, module, data)
    trainer.save_checkpoint("model.ckpt")
    here = predictions(quiet_trainer(), module, data)
    torch.testing.assert_close(there, here, atol=1e-3, rtol=0)
    table = Predictor.load("model.ckpt").predict(data.examples("test").inputs.raw())
    probabilities = torch.tensor(table.filter(like="prob_").to_numpy()).float()
    torch.testing.assert_close(probabilities, here, atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", ["text", "images"])
def test_mixed_precision_trains_weights_of_single_precision(name, tmp_path):
    data, module = case(name, tmp_path)
    before = [weight.clone() for weight in module.parameters()]
    trainer = quiet_trainer(precision="bf16-mixed")
    trainer.fit(module, data)
    assert trainer.callback_metrics["val_loss"].isfinite()
    for weight, first in zip(module.parameters(), before, strict=True):
        assert weight.dtype == torch.float32
        assert not weight.equal(first)
