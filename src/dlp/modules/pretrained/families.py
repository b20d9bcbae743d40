"""Torchvision's classification networks as chains of stages, from the stem to the deep end.

A stage is a list of steps: the dotted name of a module, or a function where torchvision's
``forward`` computes something without one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dlp.errors import check_choice

Step = str | Callable[[nn.Module, Tensor], Tensor]
Stages = dict[str, list[Step]]


def _chain(model: nn.Module, layout: str) -> Stages:
    """Return the stages of a layout such as ``stem: conv1 bn1, layer1``."""
    stages: Stages = {}
    for part in layout.split(", "):
        name, _, steps = part.partition(": ")
        stages[name] = list((steps or name).split())
    return stages


def _blocks(model: nn.Module, layout: str) -> Stages:
    """Begin a stage after each max-pooling and before each child with a strided convolution."""
    stages: Stages = {}
    previous = None
    for name, layer in model.get_submodule(layout).named_children():
        convolutions = [part for part in layer.modules() if isinstance(part, nn.Conv2d)]
        is_strided = any(max(convolution.stride) > 1 for convolution in convolutions)
        if previous is None or isinstance(previous, nn.MaxPool2d) or is_strided:
            steps = stages[f"block{len(stages) + 1}"] = []
        steps.append(f"{layout}.{name}")
        previous = layer
    return stages


def _vision_transformer(model: nn.Module, layout: str) -> Stages:
    """Return a stage per layer; the last one ends in the class token."""
    stages: Stages = {"stem": ["conv_proj", _tokens, "encoder.dropout"]}
    for name, _ in model.get_submodule(layout).named_children():
        stages[f"{layout}.{name}"] = [f"{layout}.{name}"]
    stages[f"{layout}.{name}"] += ["encoder.ln", _class_token]
    return stages


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
    """Networks of one file of torchvision."""

    #: Function from a network and the layout of its layers to stages.
    split_stages: Callable[[nn.Module, str], Stages] = _blocks
    layout: str = "features"
    #: Name of the module that a backbone leaves out.
    classifier: str = "classifier"


_IN_BLOCKS = [
    "alexnet",
    "convnext",
    "efficientnet",
    "mobilenetv2",
    "mobilenetv3",
    "squeezenet",
    "vgg",
]

#: Family by file of ``torchvision.models``.
FAMILIES = {
    **dict.fromkeys(_IN_BLOCKS, Family()),
    "resnet": Family(_chain, "stem: conv1 bn1 relu maxpool, layer1, layer2, layer3, layer4", "fc"),
    "shufflenetv2": Family(_chain, "stem: conv1 maxpool, stage2, stage3, stage4, conv5", "fc"),
    "vision_transformer": Family(_vision_transformer, "encoder.layers", "heads"),
}


def family_of(name: str) -> Family:
    """Return the family of a network of torchvision."""
    from torchvision import models  # research code on other networks does not wait for it

    families = {}
    for network in models.list_models(module=models):
        file = models.get_model_builder(network).__module__.rpartition(".")[2]
        if file in FAMILIES:
            families[network] = FAMILIES[file]
    check_choice("backbone", name, families)
    return families[name]
