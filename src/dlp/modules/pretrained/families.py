"""Classification networks from torchvision as chains of stages."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from dlp.errors import check_choice, downloading, reading
from dlp.modules.pretrained.staged import StagedNetwork
from dlp.modules.weights import load_weights

#: Patterns of the accepted names. These networks run their children, or the children of
#: ``features``, one after another.
FAMILIES = (
    "alexnet",
    "convnext*",
    "efficientnet*",
    "mobilenet*",
    "*resne*",
    "shufflenet*",
    "squeezenet*",
    "vgg*",
)


def torchvision_network(name: str, weights: str | None) -> StagedNetwork:
    """Return a network from torchvision.

    Args:
        name: Name of the network, such as ``vgg16``.
        weights: Name of published weights, which are loaded. With None the network has random
            weights. With any other text the caller must load a file.
    """
    from torchvision import models  # imported here, because other networks do not need it

    check_choice("backbone", name, models.list_models(models, FAMILIES))
    published = models.get_model_weights(name).__members__
    device = torch.get_default_device()
    with torch.device(device if weights is None else "meta"):  # no random numbers to overwrite
        network = models.get_model(name)
    if weights in published:
        load_published(network, published[weights])
    scalings = {}
    for key, entry in published.items():
        preset = entry.transforms()
        scalings[key] = (preset.mean, preset.std)
    return StagedNetwork(network, _blocks(network), scalings)


def _blocks(network: nn.Module) -> dict[str, list[str]]:
    """Return the names of the modules in each stage.

    A stage begins after each max-pooling layer, and at each child with a strided convolution.
    """
    prefix = "features." if hasattr(network, "features") else ""
    stages: dict[str, list[str]] = {}
    previous = None
    for name, layer in network.get_submodule(prefix[:-1]).named_children():
        if isinstance(layer, nn.AdaptiveAvgPool2d | nn.Linear):
            break
        strides = [part.stride for part in layer.modules() if isinstance(part, nn.Conv2d)]
        is_strided = any(max(stride) > 1 for stride in strides)
        if previous is None or isinstance(previous, nn.MaxPool2d) or is_strided:
            steps = stages[f"block{len(stages) + 1}"] = []
        steps.append(f"{prefix}{name}")
        previous = layer
    return stages


def load_published(network: nn.Module, entry: Any) -> None:
    """Load published weights. They are downloaded once and checked by their hash.

    Args:
        network: Network whose weights are replaced.
        entry: A member of torchvision's `WeightsEnum`.

    Raises:
        InputError: If the download fails, or the file is damaged.
    """
    file = Path(torch.hub.get_dir(), "checkpoints", entry.url.rpartition("/")[2])
    advice = f"Put {entry.url} there, or give the path of a copy as weights."
    refusal = downloading(file.parent, file.name, advice)
    if file.exists():
        refusal = reading(file, "weights (delete it to get it again)")
    with refusal:
        tensors = entry.get_state_dict(check_hash=True, weights_only=True, map_location="cpu")
    load_weights(network, tensors)
