"""Files of weights: read, and loaded into a network."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from dlp.errors import InputError

#: Torchvision's DenseNet files have its former names: denselayer1.norm.1 is norm1 now.
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a file: a state dict, or a checkpoint that contains one."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        content = content.get("state_dict", content)
        return {name: tensor.detach() for name, tensor in content.items()}
    except Exception as error:  # a damaged file fails in many ways
        raise InputError(
            f"{path} is damaged or not a state dict; write one by "
            "torch.save(model.state_dict(), path)."
        ) from error


def load_weights(
    network: nn.Module, tensors: Mapping[str, Tensor], ignored: Iterable[str] = ()
) -> None:
    """Load weights by name into a network, which may be on the meta device.

    Args:
        network: Network without values.
        tensors: Weights by name; all names may have one prefix, as in the checkpoint of a larger
            model, whose other tensors are left out.
        ignored: Modules of the file that the network does not have.
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
