"""Grad-CAM: the locations of an image in which a network sees a class (chapter 5.4)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dlp.errors import InputError
from dlp.visualization.layers import class_gradient, forward, watched


@dataclass
class GradCAM:
    """Heat maps of the evidence for a class per location.

    The map is ``relu(sum_k a_k * A_k)``: ``A_k`` is channel k of the layer's output, ``a_k`` the
    mean over its locations of the gradient of the class's logit. Source: Selvaraju et al. 2017,
    formulas 1 and 2. The book takes the gradient of the softmax output, which vanishes where the
    network is sure.

    Args:
        model: Network that returns logits (N, classes), or one logit (N,) or (N, 1). Each call
            runs in evaluation mode and leaves the network as it was.
        layer: Dotted name of the layer, as in ``named_modules``; None is `default_cam_layer`.

    Example:
        >>> with GradCAM(model, "layer4") as cam:
        ...     maps = cam(images, classes=386)
    """

    model: nn.Module
    layer: str | None = None

    def __enter__(self) -> "GradCAM":
        return self

    def __exit__(self, *error: object) -> None:
        """Do nothing: no hook outlives a call."""

    def __call__(
        self,
        images: Tensor,
        classes: int | Sequence[int] | Tensor | None = None,
    ) -> Tensor:
        """Return heat maps (N, h, w) of the layer's size, not negative.

        Args:
            images: Images (N, C, H, W), scaled as the model takes them.
            classes: Number of the class, or one per image; None is the predicted class. A model
                with one logit has the classes 1, its logit, and 0, its negative.
        """
        self.layer = self.layer or default_cam_layer(self.model, images)
        outputs = []

        def watch(name: str, output: Tensor) -> Tensor:
            # The gradient starts here: it needs no trainable weights before the layer.
            leaf = output.detach().clone().requires_grad_()
            outputs.append(leaf)
            return leaf.clone()  # the next layer may work in place

        with watched(self.model, [self.layer], watch):
            logits = forward(self.model, images)
            logits = logits.reshape(len(images), -1)
            maps = outputs[-1]
            gradient = class_gradient(logits, classes, maps)
        if maps.ndim != 4:
            raise InputError(
                f"layer {self.layer!r} returns {tuple(maps.shape)}, not maps (N, C, h, w); name "
                "another."
            )
        weights = gradient.mean((2, 3), keepdim=True)
        return (weights * maps).sum(1).relu().detach().float()


def default_cam_layer(model: nn.Module, images: Tensor) -> str:
    """Return the outermost layer that returns the last map larger than one point before pooling."""
    layers = dict(model.named_modules())
    pooled = []  # tensors, not ids: a freed id may return
    names = []

    def watch(name: str, output: Tensor) -> None:
        if type(layers[name]).__module__ == "torch.nn.modules.pooling":
            pooled.append(output)
        is_pooled = any(output is maps for maps in pooled)
        is_maps = output.ndim == 4 and output.shape[-1] <= images.shape[-1]
        if is_maps and output[0, 0].numel() > 1 and not is_pooled:
            names.append(name)
        elif output.ndim > 2 and output.shape[2] > 1 and not is_maps:
            names.clear()  # tokens, or channels that are last

    with watched(model, list(layers)[1:], watch), torch.no_grad():
        forward(model, images[:1])
    if not names:
        raise InputError(
            "the model ends without maps (N, C, height, width), which Grad-CAM needs; name a layer."
        )
    return names[-1]
