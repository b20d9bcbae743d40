"""Torchvision's classification networks as chains of stages, from the stem to the deep end.

A stage is a sequence of steps: the dotted name of a module, or a function where torchvision's
``forward`` computes something without one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlp.errors import unknown

Step = str | Callable[[nn.Module, Tensor], Tensor]
Stages = Mapping[str, Sequence[Step]]


def _single(*names: str) -> dict[str, Sequence[Step]]:
    """Return a stage for each module."""
    return {name: (name,) for name in names}


def _children(model: nn.Module, parent: str, stem: Sequence[Step] = ("stem",)) -> Stages:
    """Return the stem and a stage for each child of `parent`."""
    stages = {"stem": stem}
    for name, _ in model.get_submodule(parent).named_children():
        stages |= _single(f"{parent}.{name}")
    return stages


def _blocks(model: nn.Module, parent: str = "features") -> Stages:
    """Begin a stage after each max-pooling and before each child with a strided convolution."""
    blocks: dict[str, list[Step]] = {}
    previous: nn.Module | None = None
    for name, layer in model.get_submodule(parent).named_children():
        if isinstance(layer, nn.AdaptiveAvgPool2d):  # the end of GoogLeNet and Inception
            break
        if previous is None or isinstance(previous, nn.MaxPool2d) or _is_strided(layer):
            blocks[f"block{len(blocks) + 1}"] = []
        blocks[f"block{len(blocks)}"].append(f"{parent}.{name}".removeprefix("."))
        previous = layer
    return blocks


def _is_strided(layer: nn.Module) -> bool:
    """Return True if a convolution of the layer has a stride."""
    convolutions = [part for part in layer.modules() if isinstance(part, nn.Conv2d)]
    return any(max(convolution.stride) > 1 for convolution in convolutions)


def _vision_transformer(model: nn.Module) -> Stages:
    """Return a stage per layer; the last one ends in the class token."""
    stages = dict(_children(model, "encoder.layers", ("conv_proj", _tokens, "encoder.dropout")))
    last = list(stages)[-1]
    stages[last] = (last, "encoder.ln", _class_token)
    return stages


def _relu(model: nn.Module, maps: Tensor) -> Tensor:
    return F.relu(maps)


def _tokens(model: nn.Module, patches: Tensor) -> Tensor:
    """Return tokens (N, 1 + h * w, D) with positions of patches (N, D, h, w), class token first."""
    class_token = model.get_parameter("class_token").expand(len(patches), -1, -1)
    tokens = torch.cat([class_token, patches.flatten(2).transpose(1, 2)], dim=1)
    return tokens + model.get_parameter("encoder.pos_embedding")


def _class_token(model: nn.Module, tokens: Tensor) -> Tensor:
    """Return the first token as a map (N, D, 1, 1)."""
    return tokens[:, 0, :, None, None]


@dataclass(frozen=True)
class Family:
    """Layout of the networks of one file of torchvision."""

    cut: Stages | Callable[[nn.Module], Stages] = _blocks
    #: Names of the modules that a backbone leaves out.
    classifier: str = "classifier"
    auxiliary: tuple[str, ...] = ()
    #: Further arguments by the side of the images, for networks of one size.
    sized: Callable[[int], dict[str, Any]] | None = None
    #: Mean and deviation of each channel, where ``transform_input`` undoes those of the transforms.
    mean: Sequence[float] | None = None
    builds_on_meta: bool = True


#: Family by file of ``torchvision.models``.
FAMILIES = {
    "alexnet": Family(),
    "convnext": Family(),
    "densenet": Family(
        {
            "stem": ("features.conv0", "features.norm0", "features.relu0", "features.pool0"),
            "block1": ("features.denseblock1", "features.transition1"),
            "block2": ("features.denseblock2", "features.transition2"),
            "block3": ("features.denseblock3", "features.transition3"),
            "block4": ("features.denseblock4", "features.norm5", _relu),
        }
    ),
    "efficientnet": Family(),
    "googlenet": Family(partial(_blocks, parent=""), "fc", ("aux1", "aux2"), mean=(0.5, 0.5, 0.5)),
    "inception": Family(partial(_blocks, parent=""), "fc", ("AuxLogits",), mean=(0.5, 0.5, 0.5)),
    "maxvit": Family(
        partial(_children, parent="blocks"), sized=lambda side: {"input_size": (side, side)}
    ),
    "mnasnet": Family(partial(_blocks, parent="layers")),
    "mobilenetv2": Family(),
    "mobilenetv3": Family(),
    "regnet": Family(partial(_children, parent="trunk_output"), "fc", builds_on_meta=False),
    "resnet": Family(
        {
            "stem": ("conv1", "bn1", "relu", "maxpool"),
            **_single("layer1", "layer2", "layer3", "layer4"),
        },
        "fc",
    ),
    "shufflenetv2": Family(
        {"stem": ("conv1", "maxpool"), **_single("stage2", "stage3", "stage4", "conv5")},
        "fc",
    ),
    "squeezenet": Family(),
    "swin_transformer": Family(
        {
            "block1": ("features.0", "features.1"),
            "block2": ("features.2", "features.3"),
            "block3": ("features.4", "features.5"),
            "block4": ("features.6", "features.7", "norm", "permute"),
        },
        "head",
    ),
    "vgg": Family(),
    "vision_transformer": Family(
        _vision_transformer, "heads", sized=lambda side: {"image_size": side}
    ),
}


def family_of(name: str) -> Family:
    """Return the family of a network of torchvision."""
    from torchvision import models  # research code on other networks does not wait for it

    families = {}
    for network in models.list_models(module=models):
        file = models.get_model_builder(network).__module__.rpartition(".")[2]
        if file in FAMILIES:
            families[network] = FAMILIES[file]
    if name not in families:
        raise unknown("backbone", name, families)
    return families[name]
