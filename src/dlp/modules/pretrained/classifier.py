"""The classifier that a published network had before it became a backbone."""

import torch
import torchvision
from torch import nn

from dlp.modules.pretrained.backbones import Backbone
from dlp.modules.pretrained.weights import read_weights
from dlp.modules.state_dicts import fill, prefix_of

#: Of ImageNet, which torchvision's networks are built for.
_CLASSES = 1000


def classifier_of(backbone: Backbone, weights: str | None) -> tuple[nn.Module | None, int]:
    """Return torchvision's classifier for a backbone, with its weights, and its number of classes.

    Args:
        backbone: The network that was loaded without it.
        weights: As the backbone's: a torchvision name, the path of a state dict, or None for random
            ones.

    Returns:
        None and 0 where the weights hold no classifier.

    Raises:
        InputError: The weights of the classifier have other shapes than its layers.
    """
    family = backbone.family

    def build(classes: int) -> nn.Module:
        """Return the classifier of a new network; what weights will fill needs no numbers first."""
        with torch.device("meta" if weights is not None and family.meta else "cpu"):
            arguments = {"num_classes": classes, **family.arguments}
            model: nn.Module = torchvision.models.get_model(backbone.name, **arguments)
        return model.get_submodule(family.classifier)

    classifier, classes = build(_CLASSES), _CLASSES
    if weights is None:
        return classifier, classes
    tensors = read_weights(backbone.name, weights)
    above = prefix_of(next(iter(backbone.model.state_dict())), tensors)
    prefix = f"{above}{family.classifier}."
    given = {
        key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)
    }
    names = list(classifier.state_dict())
    if not set(names) <= given.keys():
        return None, 0
    classes = len(given[names[-1]])
    if classes != _CLASSES:
        classifier = build(classes)
    fill(classifier, given, (), f"the classifier of {backbone.name} in {weights}")
    return classifier, classes
