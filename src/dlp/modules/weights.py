"""Read files of weights and load them into a network."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dlp.errors import naming, reading


def read_file(path: str | Path, *names: str) -> dict[str, Any]:
    """Return the dictionary in a file that ``torch.save`` wrote.

    Args:
        path: Path of the file.
        *names: Keys that the dictionary must have.

    Raises:
        InputError: If the file cannot be read, or a key is missing.
    """
    with reading(path, "a checkpoint"):
        content = dict(torch.load(path, map_location="cpu", weights_only=True))
        for name in names:
            content[name]  # raises KeyError if it is missing
    return content


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Return the state dict in a file.

    Args:
        path: Path of a ``.safetensors`` file, or of a file that ``torch.save`` wrote. The latter
            contains the state dict itself, or a dictionary with the state dict under the key
            ``state_dict`` or ``model``.
    """
    if Path(path).suffix == ".safetensors":
        with reading(path, "a checkpoint"):
            from safetensors.torch import load_file

            return dict(load_file(path))
    content = read_file(path)
    return dict(content.get("state_dict", content.get("model", content)))


def load_weights(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load weights by name into a network, which may be on the meta device.

    Args:
        network: Network whose weights are replaced. They become float32.
        tensors: Weights by name. All names may have the same prefix, as in the checkpoint of a
            larger model. Tensors without the prefix are ignored, and so are tensors that belong to
            children that the network does not have.

    Raises:
        InputError: If the names or shapes do not fit the network.
    """
    own = network.state_dict()
    first = next(iter(own))
    full_names = [name for name in tensors if f".{name}".endswith(f".{first}")]
    prefix = min(full_names, key=len, default=first).removesuffix(first)
    children = {name.partition(".")[0] for name in own}
    weights = {}
    for name, tensor in tensors.items():
        inner = name.removeprefix(prefix)
        if name.startswith(prefix) and inner.partition(".")[0] in children:
            weights[inner] = tensor
    with naming("the weights are of another network"):
        network.load_state_dict(weights, assign=True)
    network.float()  # the file may contain half precision
