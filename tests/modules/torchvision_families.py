"""What torchvision itself says of its classification networks, for tests of every family."""

import pytest
import torchvision


def published(name):
    return torchvision.models.get_model_weights(name).DEFAULT


def smallest_of_each_family():
    """Return the network with the fewest parameters of each file of ``torchvision.models``."""
    found = {}
    for name in torchvision.models.list_models(module=torchvision.models):
        family = torchvision.models.get_model_builder(name).__module__
        count = published(name).meta["num_params"]
        found[family] = min(found.get(family, (count, name)), (count, name))
    return sorted(name for _, name in found.values())


def side(name):
    """Return a small side of images that the network takes."""
    if name.startswith("maxvit"):
        return 224
    return 75 if name.startswith("inception") else 64


#: The default suite runs small members of families that differ.
QUICK = ["squeezenet1_1", "shufflenet_v2_x0_5", "mobilenet_v3_small", "resnet18"]
EVERY_FAMILY = [
    name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
    for name in smallest_of_each_family()
]
