"""Files of weights: read, and loaded into a network."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dlp.errors import InputError

#: Torchvision's DenseNet files have its former names: denselayer1.norm.1 is norm1 now.
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")


def read_file(path: str | Path, *names: str) -> dict[str, Any]:
    """Return the dictionary in a file of ``torch.save``; it has the given names."""
    try:
        content = dict(torch.load(path, map_location="cpu", weights_only=True))
        missing = set(names).difference(content)
        if missing:
            raise KeyError(min(missing))
        return content
    except Exception as error:  # a damaged file fails in many ways
        reason = " ".join(repr(error).split())[:120]
        raise InputError(f"{path} is damaged or not a checkpoint ({reason}).") from error


def load_weights(
    network: nn.Module,
    tensors: Mapping[str, Tensor],
    ignored: Iterable[str] = (),
) -> None:
    """Load weights by name into a network, which may be on the meta device.

    The tensors of the `ignored` modules are left out.
    """
    own = network.state_dict()  # with the versions of its modules, which MNASNet asks for
    others = tuple(f"{name}." for name in ignored)
    weights: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if not name.startswith(others):
            weights[_OLD_DENSENET.sub(r"\1\2", name)] = tensor
    odd = list(weights.keys() - own.keys())
    for name, tensor in own.items():
        if name.endswith(".num_batches_tracked"):  # not in files older than torch 0.4.1
            weights.setdefault(name, torch.tensor(0))
        if name in weights and weights[name].shape == tensor.shape:
            own[name] = weights[name].to(tensor.dtype)
        else:
            odd.append(name)
    if odd:
        raise InputError(f"the weights are of another network; see {', '.join(sorted(odd)[:3])}.")
    network.load_state_dict(own, assign=True)
