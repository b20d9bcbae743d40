"""Torchvision's classification networks as chains of stages, from the stem to the deep end.

The table has one row per file of ``torchvision.models``. A stage is a sequence of steps: the dotted
name of a module, or a function where torchvision's ``forward`` computes something without one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlp.errors import unknown

Step = str | Callable[[nn.Module, Tensor], Tensor]
Stages = Mapping[str, Sequence[Step]]


def _single(*names: str) -> Stages:
    """Return a stage per module."""
    return {name: (name,) for name in names}


def _children(model: nn.Module, parent: str, stem: Sequence[Step] = ("stem",)) -> Stages:
    """Return the stem and a stage for each child of `parent`."""
    names = [f"{parent}.{name}" for name, _ in model.get_submodule(parent).named_children()]
    return {"stem": stem, **_single(*names)}


def _blocks(model: nn.Module, parent: str = "features") -> Stages:
    """Begin a stage after each max-pooling and before each child with a strided convolution."""
    blocks: dict[str, list[Step]] = {}
    previous: nn.Module | None = None
    for name, layer in model.get_submodule(parent).named_children():
        convolutions = (m for m in layer.modules() if isinstance(m, nn.Conv2d))
        is_strided = any(max(convolution.stride) > 1 for convolution in convolutions)
        if previous is None or isinstance(previous, nn.MaxPool2d) or is_strided:
            blocks[f"block{len(blocks) + 1}"] = []
        blocks[f"block{len(blocks)}"].append(f"{parent}.{name}")
        previous = layer
    return blocks


def _vision_transformer(model: nn.Module) -> Stages:
    stages = _children(model, "encoder.layers", ("conv_proj", _tokens, "encoder.dropout"))
    last = [*stages][-1]
    return {**stages, last: (last, "encoder.ln", _class_token)}


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
    """Layout of the networks of one file of torchvision.

    Args:
        cut: Stages by name, or a function from a network to them.
        classifier: Name of the module that a backbone leaves out.
        auxiliary: Names of further heads in files of weights.
        arguments: Arguments of the builder, so that it builds no further heads.
        sized: Function from the side of the images to further arguments, for networks that take
            one size.
        mean: Mean and standard deviation of each channel, for networks that undo those of the
            weights' transforms in their own ``transform_input``.
        builds_on_meta: Whether the builder works on the meta device.
    """

    cut: Stages | Callable[[nn.Module], Stages] = _blocks
    classifier: str = "classifier"
    auxiliary: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    sized: Callable[[int], dict[str, Any]] | None = None
    mean: Sequence[float] | None = None
    builds_on_meta: bool = True

    def stages(self, model: nn.Module) -> dict[str, Sequence[Step]]:
        """Return the stages of a network, from the stem to the deep end."""
        return dict(self.cut(model) if callable(self.cut) else self.cut)


_NO_AUXILIARY = {"aux_logits": False, "init_weights": True}
_HALF = (0.5, 0.5, 0.5)
_INCEPTION_BLOCKS = ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")

#: Layout by file of ``torchvision.models``.
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
    "googlenet": Family(
        {
            "stem": ("conv1", "maxpool1", "conv2", "conv3", "maxpool2"),
            "inception3": ("inception3a", "inception3b", "maxpool3"),
            "inception4": (*(f"inception4{letter}" for letter in "abcde"), "maxpool4"),
            **_single("inception5a", "inception5b"),
        },
        "fc",
        ("aux1", "aux2"),
        _NO_AUXILIARY,
        mean=_HALF,
    ),
    "inception": Family(
        {
            "stem": (
                *("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1"),
                *("Conv2d_3b_1x1", "Conv2d_4a_3x3", "maxpool2"),
            ),
            **_single(*(f"Mixed_{n}" for n in _INCEPTION_BLOCKS)),
        },
        "fc",
        ("AuxLogits",),
        _NO_AUXILIARY,
        mean=_HALF,
    ),
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
            **_single(*(f"layer{n}" for n in range(1, 5))),
        },
        "fc",
    ),
    "shufflenetv2": Family(
        {"stem": ("conv1", "maxpool"), **_single("stage2", "stage3", "stage4", "conv5")}, "fc"
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

    names = models.list_models(module=models)
    files = {n: models.get_model_builder(n).__module__.rpartition(".")[2] for n in names}
    if files.get(name) not in FAMILIES:
        raise unknown("backbone", name, [n for n in names if files[n] in FAMILIES])
    return FAMILIES[files[name]]
