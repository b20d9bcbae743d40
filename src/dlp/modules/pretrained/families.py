"""Torchvision's classification networks as chains of stages, from stem to deep end.

One table says, for each file of ``torchvision.models``, how its networks are cut into stages and
where their classifier sits. A stage is a tuple of steps: the dotted name of one of torchvision's
modules, or a small function where torchvision's own ``forward`` does something without a module.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from dlp.errors import InputError, unknown

Step = str | Callable[[nn.Module, Tensor], Tensor]
Stages = dict[str, tuple[Step, ...]]


@dataclass(frozen=True)
class Family:
    """How the networks of one file of torchvision are cut.

    Args:
        cut: From a network to its stages: name -> steps.
        classifier: The module that is left out, and all below it.
        extra: Auxiliary heads that weight files may hold, left out too.
        arguments: What the builder is given so that it makes no auxiliary heads and warns of
            nothing.
        size_argument: The builder's name for the side of the images, where it is fixed.
        half: Whether images are scaled to [-1, 1] whatever the weights' transforms say, because
            the network's own ``transform_input`` undoes those.
        channels_last: Whether its layers take maps (N, C, h, w), faster with channels last.
        spatial: Whether its features are maps (N, C, h, w), not rows (N, C).
        smallest: The least side of an image, where torchvision's ``min_size`` is not that.
        meta: Whether its builder works on torch's meta device (RegNet's computes its widths).
        large_classifier: Whether all its linear layers stand in the classifier, and take most of
            its memory (of VGG16's 553 MB 494): no room is made for them.
    """

    cut: Callable[[nn.Module], Stages]
    classifier: str = "classifier"
    extra: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    size_argument: str = ""
    half: bool = False
    channels_last: bool = True
    spatial: bool = True
    smallest: int | None = None
    meta: bool = True
    large_classifier: bool = False


# How networks are cut --------------------------------------------------------------------------


def _named(model: nn.Module, *, modules: str, **stages: tuple[Step, ...]) -> Stages:
    """Return `stages`, then one stage for each of the `modules` of a blank-separated list."""
    return {**stages, **{name: (name,) for name in modules.split()}}


def _children(model: nn.Module, *, parent: str, **stages: tuple[Step, ...]) -> Stages:
    """Return `stages`, then one stage for each child of `parent`."""
    names = [f"{parent}.{name}" for name, _ in model.get_submodule(parent).named_children()]
    return _named(model, modules=" ".join(names), **stages)


def _by_pools(model: nn.Module) -> Stages:
    """Cut after each max-pooling: the blocks of the VGG paper, and of the book."""
    blocks: list[list[Step]] = [[]]
    for name, layer in model.get_submodule("features").named_children():
        blocks[-1].append(f"features.{name}")
        if isinstance(layer, nn.MaxPool2d):
            blocks.append([])
    filled = [block for block in blocks if block]
    return {f"block{number}": tuple(block) for number, block in enumerate(filled, start=1)}


def _by_halvings(model: nn.Module, parent: str = "features", last: tuple[Step, ...] = ()) -> Stages:
    """Cut before each child of `parent` that halves the resolution; `last` ends the last stage."""
    groups: list[list[Step]] = []
    for name, layer in model.get_submodule(parent).named_children():
        if not groups or any(map(_halves, layer.modules())):
            groups.append([])
        groups[-1].append(f"{parent}.{name}")
    groups[-1].extend(last)
    return {f"stage{number}": tuple(group) for number, group in enumerate(groups, start=1)}


def _halves(layer: nn.Module) -> bool:
    if isinstance(layer, nn.Conv2d):
        return max(layer.stride) > 1
    swin = torchvision.models.swin_transformer
    return isinstance(layer, swin.PatchMerging | swin.PatchMergingV2)


def _densenet(model: nn.Module) -> Stages:
    stages: Stages = {
        "stem": tuple(f"features.{name}0" for name in ("conv", "norm", "relu", "pool"))
    }
    for number in range(1, 5):
        stages[f"features.denseblock{number}"] = (
            f"features.denseblock{number}",
            *((f"features.transition{number}",) if number < 4 else ("features.norm5", _relu)),
        )
    return stages


def _vision_transformer(model: nn.Module) -> Stages:
    stem: tuple[Step, ...] = ("conv_proj", _tokens, "encoder.dropout")
    stages = _children(model, parent="encoder.layers", stem=stem)
    last = list(stages)[-1]
    stages[last] = (last, "encoder.ln", _class_token)
    return stages


# What torchvision's forward does without a module ----------------------------------------------


def _relu(model: nn.Module, values: Tensor) -> Tensor:
    return F.relu(values)


def _tokens(model: nn.Module, patches: Tensor) -> Tensor:
    """Return tokens (N, 1 + h * w, D) with positions of patches (N, D, h, w), class token first."""
    class_token = model.get_parameter("class_token").expand(len(patches), -1, -1)
    tokens = torch.cat([class_token, patches.flatten(2).transpose(1, 2)], dim=1)
    return tokens + model.get_parameter("encoder.pos_embedding")


def _class_token(model: nn.Module, tokens: Tensor) -> Tensor:
    return tokens[:, 0]


# The table -------------------------------------------------------------------------------------

#: File of ``torchvision.models`` -> how its networks are cut.
FAMILIES = {
    "alexnet": Family(_by_pools, large_classifier=True),
    "convnext": Family(_by_halvings),
    "densenet": Family(_densenet),
    "efficientnet": Family(partial(_children, parent="features")),
    "googlenet": Family(
        partial(
            _named,
            stem=("conv1", "maxpool1", "conv2", "conv3", "maxpool2"),
            inception3a=("inception3a",),
            inception3b=("inception3b", "maxpool3"),
            inception4a=("inception4a",),
            inception4b=("inception4b",),
            inception4c=("inception4c",),
            inception4d=("inception4d",),
            inception4e=("inception4e", "maxpool4"),
            modules="inception5a inception5b",
        ),
        "fc",
        extra=("aux1", "aux2"),
        arguments={"aux_logits": False, "init_weights": True},
        half=True,
    ),
    "inception": Family(
        partial(
            _named,
            stem=(
                *("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1"),
                *("Conv2d_3b_1x1", "Conv2d_4a_3x3", "maxpool2"),
            ),
            modules="Mixed_5b Mixed_5c Mixed_5d Mixed_6a Mixed_6b Mixed_6c Mixed_6d Mixed_6e "
            "Mixed_7a Mixed_7b Mixed_7c",
        ),
        "fc",
        extra=("AuxLogits",),
        arguments={"aux_logits": False, "init_weights": True},
        half=True,
    ),
    "maxvit": Family(
        partial(_children, parent="blocks", stem=("stem",)), size_argument="input_size"
    ),
    "mnasnet": Family(partial(_by_halvings, parent="layers")),
    "mobilenetv2": Family(_by_halvings),
    "mobilenetv3": Family(_by_halvings),
    "regnet": Family(partial(_children, parent="trunk_output", stem=("stem",)), "fc", meta=False),
    "resnet": Family(
        partial(
            _named,
            stem=("conv1", "bn1", "relu", "maxpool"),
            modules="layer1 layer2 layer3 layer4",
        ),
        "fc",
    ),
    "shufflenetv2": Family(
        partial(_named, stem=("conv1", "maxpool"), modules="stage2 stage3 stage4 conv5"), "fc"
    ),
    "squeezenet": Family(_by_pools),
    "swin_transformer": Family(
        partial(_by_halvings, last=("norm", "permute")), "head", channels_last=False, smallest=32
    ),
    "vgg": Family(_by_pools, large_classifier=True),
    "vision_transformer": Family(
        _vision_transformer,
        "heads",
        size_argument="image_size",
        channels_last=False,
        spatial=False,
    ),
}


def backbone_names() -> list[str]:
    """Return the names of all networks that can be a backbone."""
    models = torchvision.models
    return [name for name in models.list_models(module=models) if _file(name) in FAMILIES]


def family_of(name: str) -> Family:
    """Return how the network `name` is cut.

    Raises:
        InputError: Torchvision has no such classification network, or this table does not.
    """
    models = torchvision.models
    names = models.list_models(module=models)
    if name not in names:
        raise unknown("backbone", name, backbone_names())
    if _file(name) not in FAMILIES:
        raise InputError(
            f"the backbone {name!r} is of a family that is new to dlp ({_file(name)}). Accepted: "
            f"{', '.join(backbone_names())}."
        )
    return FAMILIES[_file(name)]


def _file(name: str) -> str:
    module: str = torchvision.models.get_model_builder(name).__module__
    return module.rsplit(".", 1)[-1]
