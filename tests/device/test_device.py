"""Fits on an accelerator, and steps on meta: whoever reads a value of a tensor there fails."""

from contextlib import nullcontext
from functools import partial

import pytest
import torch
from lightning.fabric.utilities import move_data_to_device
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dlp.bag_of_words import BagOfWords
from dlp.inference import Predictor
from dlp.modules import ConvNetModule, DenseModule, EnsembleModule, PretrainedModule
from dlp.modules.epoch_metrics import MeanLoss
from dlp.modules.pretrained import StoredFeatures
from helpers.backbones import small_data, small_model
from helpers.sets import DATA_MODULES
from helpers.training import Curves, quiet_trainer

small_convnet = partial(ConvNetModule, channels=(8,), dense=(8,))
MODULES = {"table": DenseModule, "text": DenseModule, "images": small_convnet}
NUM_ROWS = 6
VALUES = torch.rand(NUM_ROWS, 3)
CLASSES = torch.arange(NUM_ROWS) % 3
IMAGES = torch.rand(NUM_ROWS, 3, 32, 32)
LOG = {"target_transform": "log1p", "target_std": [1.0, 2.0, 3.0]}
HEADS = {
    "sigmoid": (2, CLASSES.clamp(max=1).float(), {}),
    "softmax": (3, CLASSES, {}),
    "softmax, one-hot": (3, torch.eye(3)[CLASSES], {}),
    "multilabel": (3, VALUES.round(), {}),
    "regression": (3, VALUES, {"target_mean": [1.0] * 3, "target_std": [2.0] * 3}),
    "regression, logarithms": (3, VALUES, LOG),
    "bounded_regression": (3, VALUES, {}),
}
PRETRAINED = {"backbone": "shufflenet_v2_x0_5", "weights": None, "hidden": (4,)}


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


@pytest.mark.filterwarnings(
    "ignore:Found .* in eval mode", "ignore:.*available but not used"
)
@pytest.mark.parametrize("name", [*MODULES, "pretrained"])
def test_an_accelerator_learns_and_predicts_as_the_cpu(name, tmp_path):
    if not (torch.cuda.is_available() or torch.backends.mps.is_available()):
        pytest.skip("torch finds no GPU of NVIDIA, AMD or Apple")
    data, module = case(name, tmp_path)
    curves = Curves()
    trainer = quiet_trainer(8, [curves], accelerator="gpu", devices=1)
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


class Tensors(TorchDispatchMode):
    """Recorder of device and dtype of each tensor that an operation returns."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, torch.Tensor):
                self.seen.add((str(function), value.device.type, value.dtype))
        return result


@pytest.fixture
def steps(monkeypatch):
    """Return a function that takes a step of training, with gradients, and one of validation.

    It returns the tensors that were not on the device or not in single precision.
    """
    # torch has no autocast for meta; `Head.loss` turns it off.
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    # The first batch of an epoch is compared with the head, which reads it.
    monkeypatch.setattr(MeanLoss, "update_called", True)

    def run(module, batch):
        module.to("meta")
        batch = move_data_to_device(batch, torch.device("meta"))
        # A tensor of Python's numbers is made on the CPU and copied.
        monkeypatch.setattr(torch, "tensor", None)
        with Tensors() as tensors:
            module.train().training_step(batch, batch_idx=1).backward()
            with torch.no_grad():
                module.eval().validation_step(batch, batch_idx=1)
        return [
            each
            for each in tensors.seen
            if each[1] != "meta" or each[2] == torch.float64
        ]

    return run


@pytest.mark.parametrize("name", HEADS)
def test_heads_stay_on_the_device_in_single_precision(name, steps):
    num_outputs, targets, arguments = HEADS[name]
    head = name.partition(",")[0]
    options = {"hidden": (4,), "dropout": 0.5, "l2": 0.1, **arguments}
    module = EnsembleModule(
        partial(DenseModule, (3,), num_outputs, head, **options), size=2
    )
    assert steps(module, (VALUES, targets)) == []


@pytest.mark.parametrize("name", DATA_MODULES)
def test_batches_of_each_data_module_stay_on_the_device(name, steps, tmp_path):
    data = DATA_MODULES[name](tmp_path)
    module = ConvNetModule if name == "images" else DenseModule
    sizes = {"channels": (2,), "dense": (4,)} if name == "images" else {}
    batch = next(iter(data.train_dataloader()))
    assert isinstance(batch[0], BagOfWords) == (name == "text")
    assert (
        steps(module(data.input_shape, data.num_outputs, "sigmoid", **sizes), batch)
        == []
    )


@pytest.mark.parametrize("inputs", ["images", "features"])
def test_pretrained_networks_stay_on_the_device(inputs, steps):
    module = PretrainedModule((3, 32, 32), 3, trainable_stages=1, **PRETRAINED)
    batch = IMAGES
    if inputs == "features":
        batch = module.network.features(IMAGES, module.network.depth)
        assert isinstance(batch, StoredFeatures)
    assert steps(module, (batch, CLASSES)) == []


def test_images_are_augmented_on_the_device(tmp_path):
    loader = DATA_MODULES["images"](tmp_path, augmentation="book").loader("train")
    loader.device = torch.device("meta")
    images, _ = next(iter(loader))
    assert (images.device.type, images.dtype) == ("meta", torch.float32)
