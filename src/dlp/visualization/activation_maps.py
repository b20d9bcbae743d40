"""What the layers of a network make of an image (section 5.4)."""

from collections.abc import Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torchvision.ops import SqueezeExcitation

from dlp.errors import InputError
from dlp.visualization.image_grids import tiles
from dlp.visualization.layer_hooks import NORMS, channels_last, never_called, watched
from dlp.visualization.undisturbed import as_input, check_images, run, undisturbed

_MAKE_MAPS = (nn.Conv2d, nn.ConvTranspose2d, nn.MaxPool2d, nn.AvgPool2d)


def activations(
    model: nn.Module, images: Tensor, layers: str | Sequence[str] | None = None
) -> dict[str, Tensor]:
    """Return what `layers` give for `images`, in evaluation mode; the model is left as it was.

    Args:
        model: Any network.
        images: (N, C, H, W), scaled as the model takes them.
        layers: Dotted names as in ``named_modules``; None takes `default_layers`.

    Returns:
        Layer name -> maps (N, C, h, w), or rows (N, D) of a dense layer, on the model's device. A
        layer that is called several times gives its last output; one that works with its channels
        last, as in Swin, is turned.

    Raises:
        InputError: A layer is unknown, is never called or gives no tensor, or the images are not
            what the model takes.
    """
    check_images(images)
    if layers is None:
        layers = default_layers(model)
    names = [layers] if isinstance(layers, str) else list(layers)
    found: dict[str, Tensor] = {}

    def keep(name: str, output: Tensor) -> None:
        found[name] = output.detach().clone()  # an in-place layer may follow

    with undisturbed(model), torch.no_grad():
        inputs = as_input(model, images)
        with watched(model, names, keep):
            run(model, inputs)
        for name in names:
            if name not in found:
                raise never_called(name)
        shapes = {name: found[name].shape for name in names}
        for name in channels_last(model, inputs[:1], shapes):
            found[name] = found[name].permute(0, 3, 1, 2).contiguous()
    return {name: found[name] for name in names}


def default_layers(model: nn.Module, count: int = 8) -> list[str]:
    """Return the names of the first `count` convolutions, activations and poolings.

    A layer that an activation follows is left out for it: the book's layers are convolutions with
    their ReLU. In `ConvNet` pooling stands before the ReLU, so that each convolution and each ReLU
    have the sizes of the book's convolutions and poolings.

    Args:
        model: Any network; its modules are taken in the order of ``named_modules``.
        count: At most so many.

    Raises:
        InputError: There is no convolution in it.
    """
    names: list[str] = []
    open_name: str | None = None  # the last layer that makes maps, as long as nothing follows it
    on_maps = False
    gates = gate_layers(model)
    for name, layer in model.named_modules():
        if layer in gates or next(layer.children(), None) is not None:
            continue
        if isinstance(layer, _MAKE_MAPS):
            names += [open_name] if open_name else []
            open_name, on_maps = name, True
        elif is_activation(layer):
            open_name = name if on_maps else open_name
        elif not isinstance(layer, (*NORMS, nn.LayerNorm)):
            on_maps = on_maps and not isinstance(layer, nn.Linear | nn.Flatten)
    names += [open_name] if open_name else []
    if not names:
        raise InputError("the model has no convolutions: name the layers.")
    return names[:count]


def channel_image(activation: Tensor) -> Tensor:
    """Return one channel as the book shows it: mean 128, standard deviation 64.

    Args:
        activation: (h, w), or channels (..., h, w) each by itself.

    Returns:
        uint8 of the same shape; zeros where a channel has one value everywhere.

    Raises:
        InputError: These are no maps.
    """
    if activation.ndim < 2:
        raise InputError(f"a channel is a map (height, width), got {tuple(activation.shape)}.")
    values = activation.detach().float()
    alive = values.amax((-2, -1), keepdim=True) > values.amin((-2, -1), keepdim=True)
    std = values.std((-2, -1), correction=0, keepdim=True)
    scaled = (values - values.mean((-2, -1), keepdim=True)) / std * 64 + 128
    return torch.where(alive, scaled, 0).clamp(0, 255).to(torch.uint8)


def activation_grid(activations: Tensor, columns: int = 16, title: str = "") -> Figure:
    """Return a figure of all channels of one layer, side by side with gaps of one pixel.

    Args:
        activations: (C, h, w): what one image gives.
        columns: Channels a row.
        title: Of the figure.

    Raises:
        InputError: These are no maps, or `columns` is below 1.
    """
    shape = tuple(activations.shape)
    if len(shape) != 3 or not all(shape):
        hint = " Take one image of the batch." if len(shape) == 4 else ""
        raise InputError(f"activation_grid takes maps (C, height, width), got {shape}.{hint}")
    if columns < 1:
        raise InputError(f"columns must be 1 or more, got {columns}.")
    canvas = tiles(channel_image(activations).cpu()[:, None], columns, gap=1)
    height, width = canvas.shape[1:]
    inches = max(4.0, width / shape[2])  # a channel an inch, as in the book
    figure = Figure(figsize=(inches, inches * height / width + 0.4), layout="constrained")
    axes = figure.subplots()
    axes.imshow(canvas[0].numpy(), cmap="viridis")
    axes.set_axis_off()
    if title:
        axes.set_title(title, parse_math=False)
    return figure


def is_activation(layer: nn.Module) -> bool:
    """Whether a layer is an activation function of torch's, such as a ReLU."""
    return type(layer).__module__ == "torch.nn.modules.activation" and not isinstance(
        layer, nn.MultiheadAttention
    )


def gate_layers(model: nn.Module) -> set[nn.Module]:
    """Return the layers of squeeze-and-excitation gates, which see one point a channel."""
    gates = (layer for layer in model.modules() if isinstance(layer, SqueezeExcitation))
    return {layer for gate in gates for layer in gate.modules()}
