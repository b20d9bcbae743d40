"""Which network ``dlp visualize`` looks at: a trained one, or one of torchvision's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from lightning import LightningModule
from torch import Tensor, nn

from dlp.commands.building import are_absent
from dlp.commands.visualize.options import NetworkOptions
from dlp.console import say
from dlp.datamodules import SupervisedDataModule
from dlp.modules import SupervisedModule
from dlp.modules.pretrained.backbones import Backbone
from dlp.modules.pretrained.classifier import classifier_of
from dlp.modules.pretrained.network import PretrainedNet, check_colour_images
from dlp.modules.pretrained.weights import default_weights, published_weights
from dlp.visualization.undisturbed import as_input, run, undisturbed


@dataclass(frozen=True)
class Subject:
    """A network to look at, and what it takes and gives.

    Args:
        network: From inputs to logits, or to features where `predict` is None.
        name: What it is called in titles.
        input_shape: Shape of one input row.
        predict: From logits to probabilities (N, C), or values (N, T).
        class_names: The classes, labels or values.
        has_classes: Whether `predict` gives probabilities.
        data: Whose rows it takes; None where there are none.
    """

    network: nn.Module
    name: str
    input_shape: tuple[int, ...]
    predict: Callable[[Tensor], Tensor] | None = None
    class_names: Sequence[str] | None = None
    has_classes: bool = True
    data: SupervisedDataModule | None = None

    def outcome(self, image: Tensor) -> Tensor:
        """Return what the network says of one image (C, H, W): probabilities or values."""
        assert self.predict is not None
        with undisturbed(self.network), torch.no_grad():
            logits = run(self.network, as_input(self.network, image[None]))
            return self.predict(logits)[0].float().cpu()

    def class_name(self, number: int) -> str:
        """Return what class `number` is called."""
        return str(number) if self.class_names is None else self.class_names[number]


def trained_network(model: LightningModule, data: SupervisedDataModule, name: str) -> Subject:
    """Return the network of a `SupervisedModule`, or of any other module that gives logits."""
    if not isinstance(model, SupervisedModule):
        return Subject(model, name, data.input_shape, _chances, data.class_names, data=data)
    has_classes = model.head.prediction == "probabilities"
    names = data.class_names if has_classes else data.target_names
    shape, predict = data.input_shape, model.head.predict
    return Subject(model.network, name, shape, predict, names, has_classes, data)


def _chances(logits: Tensor) -> Tensor:
    if logits.ndim == 1 or logits.shape[1] == 1:
        positive = logits.reshape(-1, 1).sigmoid()
        return torch.cat([1 - positive, positive], dim=1)
    return logits.softmax(1)


# Torchvision's ---------------------------------------------------------------------------------


def pretrained_network(name: str, weights: str | None, side: int | None, trial: bool) -> Subject:
    """Return one of torchvision's networks under torchvision's module names.

    It takes images in [0, 1], which it normalises as its weights' transforms do. Its classifier
    is there where the weights hold one.

    Args:
        name: ``vgg16``, ``mobilenet_v2`` ...
        weights: A torchvision name, the path of a state dict with or without classifier, or None
            for random ones.
        side: Of the images; None takes what the weights' transforms cut out.
        trial: Random weights will do, where they are not there.

    Raises:
        InputError: The name or the weights are unknown, damaged or cannot be downloaded.
    """
    weights = _at_hand(name, weights, trial)
    backbone = Backbone(name, weights, image_size=side)
    model, family = backbone.model, backbone.family
    classifier, classes = classifier_of(backbone, weights)
    if classifier is not None:
        model.set_submodule(family.classifier, classifier)

    def normalise(layer: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        mean, std = (value.to(inputs[0]).view(-1, 1, 1) for value in (backbone.mean, backbone.std))
        return ((inputs[0] - mean) / std,)

    model.register_forward_pre_hook(normalise)
    entry = published_weights(name, weights) or default_weights(name)
    side = side or backbone.image_size or int(entry.transforms().crop_size[0])
    known = entry.meta["categories"]
    return Subject(
        model.eval(),
        name,
        (3, side, side),
        None if classifier is None else _chances,
        known if len(known) == classes else None,
    )


def pretrained_on(
    data: SupervisedDataModule, kind: str, options: NetworkOptions, trial: bool
) -> Subject:
    """Return one of torchvision's networks for the rows of some data.

    For an embedding that is the backbone, global average pooling, and a dense layer that takes its
    features.

    Raises:
        InputError: See `pretrained_network`; or the data are no colour images, or too small.
    """
    assert options.backbone is not None
    name, weights, shape = options.backbone, options.weights, data.input_shape
    if kind != "embedding":
        found = pretrained_network(name, weights, min(shape[1:]), trial)
        return replace(found, input_shape=shape, data=data)
    check_colour_images(shape)
    backbone = Backbone(name, _at_hand(name, weights, trial), image_size=min(shape[1:]))
    return Subject(PretrainedNet(backbone, shape, 1, hidden=()).eval(), name, shape, data=data)


def _at_hand(name: str, weights: str | None, trial: bool) -> str | None:
    """Return `weights`, or None where random ones are meant or will do; say so."""
    if weights is None:
        say(f"the weights of {name} are random: --weights null")
        return None
    return None if trial and are_absent(name, weights) else weights
