"""Files of weights: read, and loaded into a network."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dlp.errors import naming, reading


def read_file(path: str | Path, *names: str) -> dict[str, Any]:
    """Return the dictionary in a file of ``torch.save``; it has the given names."""
    with reading(path, "a checkpoint"):
        content = dict(torch.load(path, map_location="cpu", weights_only=True))
        for name in names:
            content[name]  # else a KeyError
    return content


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a file: a state dict, also as ``state_dict`` or ``model`` in it.

    A file called ``.safetensors`` is of that format.
    """
    if Path(path).suffix == ".safetensors":
        with reading(path, "a checkpoint"):
            from safetensors.torch import load_file

            return dict(load_file(path))
    content = read_file(path)
    return dict(content.get("state_dict", content.get("model", content)))


def load_weights(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load weights by name into a network, which may be on the meta device.

    All names of the file may have one prefix, as in the checkpoint of a larger model, whose other
    tensors are left out, as are those of children that the network does not have.
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
    network.float()  # a file may have half precision
