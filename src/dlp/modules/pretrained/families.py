"""Torchvision's classification networks as chains of stages."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dlp.errors import check_choice, reading
from dlp.modules.pretrained.staged import StagedNetwork
from dlp.modules.weights import load_weights

_BLOCKS = [
    "alexnet",
    "convnext*",
    "efficientnet*",
    "mobilenet*",
    "squeezenet*",
    "vgg*",
]  #: Layout by pattern of names: ``features``, which is cut into blocks, or modules by stage.
FAMILIES = {
    **dict.fromkeys(_BLOCKS, "features"),
    "*resne*": "stem: conv1 bn1 relu maxpool, layer1, layer2, layer3, layer4",
    "shufflenet*": "stem: conv1 maxpool, stage2, stage3, stage4, conv5",
}


def torchvision_network(name: str, weights: str | None) -> StagedNetwork:
    """Return a network of torchvision, with published weights if they are named."""
    from torchvision import models  # research code on other networks does not wait for it

    layouts = {}
    for pattern, layout in FAMILIES.items():
        layouts.update(dict.fromkeys(models.list_models(models, pattern), layout))
    check_choice("backbone", name, layouts)
    published = models.get_model_weights(name).__members__
    device = torch.get_default_device()
    with torch.device(device if weights is None else "meta"):  # no random numbers to overwrite
        network = models.get_model(name)
    if weights in published:
        load_weights(network, published_weights(published[weights]))
    stages = _chain(layouts[name])
    if "features" in stages:
        stages = _blocks(network.features)
    scalings = {}
    for key, entry in published.items():
        preset = entry.transforms()
        scalings[key] = (preset.mean, preset.std)
    return StagedNetwork(network, stages, scalings)


def _chain(layout: str) -> dict[str, list[str]]:
    """Return the stages of a layout such as ``stem: conv1 bn1, layer1``."""
    stages = {}
    for part in layout.split(", "):
        name, _, steps = part.partition(": ")
        stages[name] = (steps or name).split()
    return stages


def _blocks(features: nn.Module) -> dict[str, list[str]]:
    """Begin a stage after each max-pooling and before each child with a strided convolution."""
    stages: dict[str, list[str]] = {}
    previous = None
    for name, layer in features.named_children():
        convolutions = [part for part in layer.modules() if isinstance(part, nn.Conv2d)]
        is_strided = any(max(convolution.stride) > 1 for convolution in convolutions)
        if previous is None or isinstance(previous, nn.MaxPool2d) or is_strided:
            steps = stages[f"block{len(stages) + 1}"] = []
        steps.append(f"features.{name}")
        previous = layer
    return stages


def published_weights(entry: Any) -> dict[str, Tensor]:
    """Return published weights, downloaded once and checked by their hash."""
    folder = Path(torch.hub.get_dir(), "checkpoints")
    with reading(
        f"{entry.url}, or its copy in {folder},",
        "weights; put a complete copy there, or give its path",
    ):
        return dict(entry.get_state_dict(check_hash=True, weights_only=True, map_location="cpu"))
