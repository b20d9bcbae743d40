"""A step stays on its device. Tensors on meta have no values: whoever reads one there fails."""

from contextlib import nullcontext
from functools import partial

import pytest
import torch
from helpers.sets import DATA_MODULES
from lightning.fabric.utilities import move_data_to_device
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dlp.bag_of_words import BagOfWords
from dlp.modules import ConvNetModule, DenseModule, EnsembleModule, PretrainedModule
from dlp.modules.pretrained import StoredFeatures

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

    def run(module, batch):
        module.to("meta")
        batch = move_data_to_device(batch, torch.device("meta"))
        # A tensor of Python's numbers is made on the CPU and copied.
        monkeypatch.setattr(torch, "tensor", None)
        with Tensors() as tensors:
            # The first batch of an epoch is compared with the head, which reads it.
            module.train().training_step(batch, batch_idx=1).backward()
            with torch.no_grad():
                module.eval().validation_step(batch, batch_idx=1)
        return [each for each in tensors.seen if each[1] != "meta" or each[2] == torch.float64]

    return run


@pytest.mark.parametrize("name", HEADS)
def test_heads_stay_on_the_device_in_single_precision(name, steps):
    num_outputs, targets, arguments = HEADS[name]
    head = name.partition(",")[0]
    options = {"hidden": (4,), "dropout": 0.5, "l2": 0.1, **arguments}
    module = EnsembleModule(partial(DenseModule, (3,), num_outputs, head, **options), size=2)
    assert steps(module, (VALUES, targets)) == []


@pytest.mark.parametrize("name", DATA_MODULES)
def test_batches_of_each_data_module_stay_on_the_device(name, steps, tmp_path):
    data = DATA_MODULES[name](tmp_path)
    module = ConvNetModule if name == "images" else DenseModule
    sizes = {"channels": (2,), "dense": (4,)} if name == "images" else {}
    batch = next(iter(data.train_dataloader()))
    assert isinstance(batch[0], BagOfWords) == (name == "text")
    assert steps(module(data.input_shape, data.num_outputs, "sigmoid", **sizes), batch) == []


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
