"""Small pretrained models, weight files in torchvision's layout, and short fits on images."""

import math
from functools import partial

import torch
import torchvision
from lightning.pytorch.callbacks import Callback
from torch import nn

from dlp.datamodules import ArrayDataModule
from dlp.modules import Backbone, PretrainedModule, StagedNetwork
from helpers.training import quiet_trainer

DRAW = torch.Generator().manual_seed(0)
IMAGES = torch.rand(14, 3, 32, 32, generator=DRAW)
CLASSES = torch.randint(0, 2, (14,), generator=DRAW)


class TinyBackbone(Backbone):
    """Two convolutions and a classifier, with a buffer that is not in the state dict."""

    def build(self, weights):
        network = nn.Sequential()
        network.stem = nn.Conv2d(3, 4, 3, stride=2)
        network.deep = nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.ReLU())
        network.deep.register_buffer("index", torch.arange(3), persistent=False)
        network.fc = nn.Linear(6, 10)
        stages = {"stem": ["stem"], "deep": ["deep"]}
        return StagedNetwork(network, stages, {"DEFAULT": ([0.5] * 3, [0.25] * 3)})


def small_data(x=IMAGES, y=CLASSES, **arguments):
    """Return data of 14 images, with 2 batches per epoch and 4 validation rows."""
    return ArrayDataModule(x, y, **{"val_size": 4, "batch_size": 5, **arguments})


def small_model(seed=0, **arguments):
    """Return a model on ShuffleNet, whose batch statistics make its features differ."""
    if seed is not None:
        torch.manual_seed(seed)
    defaults = {"backbone": "shufflenet_v2_x0_5", "weights": None, "hidden": (4,)}
    sgd = partial(torch.optim.SGD, lr=0.05)
    arguments = {**defaults, "optimizer": sgd, "dropout": 0.5, **arguments}
    model = PretrainedModule((3, 32, 32), 2, "sigmoid", **arguments)
    for layer in model.network.backbone.model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None  # averages over all batches
    with torch.no_grad():
        model.network.backbone.model.train()((IMAGES - 0.5) / 0.3)
    model.network.backbone.train()
    return model


class Watch(Callback):
    """Record of each epoch, and of how often the first convolution runs."""

    def __init__(self):
        self.metrics, self.states, self.trained, self.inputs, self.runs = (
            [],
            [],
            [],
            [],
            0,
        )

    def setup(self, trainer, pl_module, stage):
        layers = (
            layer for layer in pl_module.modules() if isinstance(layer, nn.Conv2d)
        )
        self.hook = next(layers, pl_module).register_forward_hook(self.count)

    def count(self, *_):
        self.runs += 1

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.inputs.append(batch[0])

    def on_train_epoch_end(self, trainer, pl_module):
        backbone = pl_module.network.backbone
        self.trained.append(len(backbone.stages) - backbone.frozen_stages)
        self.metrics.append({k: v.item() for k, v in trainer.callback_metrics.items()})
        self.states.append(state_of(pl_module))

    def teardown(self, trainer, pl_module, stage):
        self.hook.remove()

    on_exception = teardown


def fit(model, data, *callbacks, epochs=2, **arguments):
    """Fit a model quietly; return the `Watch`."""
    watch = Watch()
    trainer = quiet_trainer(
        epochs, [*callbacks, watch], num_sanity_val_steps=0, **arguments
    )
    trainer.fit(model, data)
    return watch


def state_of(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def changed(before, after):
    return {name for name in after if not torch.equal(before[name], after[name])}


def drawn_network(name):
    """Return torchvision's network; matrix rows are shifted copies to keep files small."""
    with torch.device("meta"):
        network = torchvision.models.get_model(name)
    state, draw = network.state_dict(), torch.Generator().manual_seed(0)
    for name, value in state.items():
        if value.ndim < 2:
            is_scale = name.endswith(("weight", "running_var"))
            state[name] = torch.full(value.shape, float(is_scale)).to(value.dtype)
        else:
            rows, columns = value.shape[0], math.prod(value.shape[1:])
            noise = torch.rand(rows + columns, generator=draw) * 2 - 1
            matrix = (noise * math.sqrt(6 / columns)).as_strided(
                (rows, columns), (1, 1)
            )
            state[name] = matrix.view(value.shape)
    network.load_state_dict(state, assign=True)
    return network
