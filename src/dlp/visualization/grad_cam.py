"""Grad-CAM: heat maps of where in an image a network sees a class (chapter 5.4)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dlp.errors import InputError
from dlp.visualization.layers import class_gradient, forward, watched


@dataclass
class GradCAM:
    """Heat maps of where in an image a network sees evidence for a class.

    The map is ``relu(sum_k a_k * A_k)``. ``A_k`` is channel k of the layer's output. ``a_k`` is the
    gradient of the class's logit with respect to ``A_k``, averaged over all locations (Selvaraju et
    al. 2017, formulas 1 and 2). The book uses the gradient of the softmax output instead, which
    vanishes where the network is confident.

    Args:
        model: Network that returns logits (N, classes), or one logit per image, (N,) or (N, 1).
            Each call runs in evaluation mode and does not change the network.
        layer: Dotted name of a layer with maps (N, C, h, w), as in ``named_modules``. By default,
            the first call chooses the layer that `default_cam_layer` returns.

    Example:
        >>> with GradCAM(model, "layer4") as cam:
        ...     maps = cam(images, classes=386)
    """

    model: nn.Module
    layer: str | None = None

    def __enter__(self) -> "GradCAM":
        return self

    def __exit__(self, *error: object) -> None:
        """Do nothing, because each call removes its own hooks."""

    def __call__(
        self,
        images: Tensor,
        classes: int | Sequence[int] | Tensor | None = None,
    ) -> Tensor:
        """Compute the heat maps of images.

        Args:
            images: Images (N, C, H, W), scaled as the model expects them.
            classes: Number of the class, or one number per image. By default it is the predicted
                class. If the model returns one logit, this is the logit of class 1, and its
                negative is the logit of class 0.

        Returns:
            Heat maps (N, h, w) of non-negative numbers, with the height and width of the layer's
            output.

        Raises:
            InputError: If the model has no layer of that name, if the layer does not return maps,
                or if no layer is given and the model ends without maps.
        """
        self.layer = self.layer or default_cam_layer(self.model, images)
        outputs = []

        def watch(name: str, output: Tensor) -> Tensor:
            # A new leaf: otherwise the gradient would need trainable weights before the layer.
            leaf = output.detach().clone().requires_grad_()
            outputs.append(leaf)
            return leaf.clone()  # the next layer may change it in place

        with watched(self.model, [self.layer], watch):
            logits = forward(self.model, images)
            logits = logits.reshape(len(images), -1)
            maps = outputs[-1]
            gradient = class_gradient(logits, classes, maps)
        if maps.ndim != 4:
            raise InputError(
                "layer: expected a layer that returns maps (N, C, h, w), got "
                f"{self.layer!r}, which returns {tuple(maps.shape)}. Give another layer."
            )
        weights = gradient.mean((2, 3), keepdim=True)
        return (weights * maps).sum(1).relu().detach().float()


def default_cam_layer(model: nn.Module, images: Tensor) -> str:
    """Return the name of the layer that Grad-CAM uses if none is given.

    It is the layer that returns the last maps (N, C, h, w) that are larger than one point and are
    not the output of a pooling. If several nested layers return these maps, it is the outermost.

    Args:
        model: Network.
        images: Images (N, C, H, W), of which only the first is used.

    Raises:
        InputError: If the model ends without such maps, for example with tokens.
    """
    layers = dict(model.named_modules())
    pooled = []  # the tensors, because the id of a freed tensor may be used again
    names = []

    def watch(name: str, output: Tensor) -> None:
        if type(layers[name]).__module__ == "torch.nn.modules.pooling":
            pooled.append(output)
        is_pooled = any(output is maps for maps in pooled)
        is_maps = output.ndim == 4 and output.shape[-1] <= images.shape[-1]
        if is_maps and output[0, 0].numel() > 1 and not is_pooled:
            names.append(name)
        elif output.ndim > 2 and output.shape[2] > 1 and not is_maps:
            names.clear()  # these are tokens, or maps whose last dimension is the channels

    with watched(model, list(layers)[1:], watch), torch.no_grad():
        forward(model, images[:1])
    if not names:
        raise InputError(
            "layer: expected a layer that returns maps (N, C, height, width), which Grad-CAM "
            "needs, got none, because the model ends without maps. Give layer."
        )
    return names[-1]
