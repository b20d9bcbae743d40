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
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return dict(content) | {name: content[name] for name in names}
    except Exception as error:  # a damaged file fails in many ways
        reason = " ".join(repr(error).split())[:120]
        raise InputError(f"{path} is damaged or not a checkpoint ({reason}).") from error


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a file: a state dict, or a checkpoint that contains one."""
    content = read_file(path)
    tensors = content.get("state_dict", content).items()
    return {name: tensor.detach() for name, tensor in tensors if isinstance(tensor, Tensor)}


def load_weights(
    network: nn.Module, tensors: Mapping[str, Tensor], ignored: Iterable[str] = ()
) -> None:
    """Load weights by name into a network, which may be on the meta device.

    All names of the file may have one prefix, as in the checkpoint of a larger model, whose other
    tensors are left out, as are those of the `ignored` modules.
    """
    own = network.state_dict()  # with the versions of its modules, which MNASNet asks for
    first = next(iter(own))
    tensors = {_OLD_DENSENET.sub(r"\1\2", name): tensor for name, tensor in tensors.items()}
    names = [name for name in tensors if f".{name}".endswith(f".{first}")]
    prefix = min(names, key=len, default=first).removesuffix(first)
    others = tuple(f"{prefix}{name}." for name in ignored)
    # Files older than torch 0.4.1 do not count batches.
    counts = {name: torch.tensor(0) for name in own if name.endswith(".num_batches_tracked")}
    tensors = counts | {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix) and not name.startswith(others)
    }
    shapes, own_shapes = ({n: t.shape for n, t in each.items()} for each in (tensors, own))
    if odd := sorted({name for name, _ in shapes.items() ^ own_shapes.items()}):
        raise InputError(f"the weights are of another network; see {', '.join(odd[:3])}.")
    own.update({name: tensors[name].to(own[name].dtype) for name in own})
    network.load_state_dict(own, assign=True)
