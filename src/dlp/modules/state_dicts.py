"""Files of weights: read, compared with a network, and given to it."""

import os
import pickle
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from dlp.errors import InputError, MissingInputError

#: What ``torch.load`` raises for a file that is cut short, or no file of tensors.
DAMAGED = (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError, AttributeError)

#: Torchvision's DenseNet files are older than its names: denselayer1.norm.1 is norm1 now.
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")


def read_state_dict(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Return the tensors of a file: a state dict, or a checkpoint with one in it.

    Raises:
        MissingInputError: There is no such file.
        InputError: The file is damaged, or holds something else.
    """
    if not Path(path).is_file():
        raise MissingInputError(f"there is no file of weights {path}.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, *DAMAGED) as error:
        raise InputError(
            f"{path} is cut short, or is no file of tensors. Take a whole copy, or write one by "
            "torch.save(model.state_dict(), path)."
        ) from error
    return tensors_of(content, path)


def tensors_of(content: object, path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Return the state dict that `content`, read from `path`, is or holds.

    Raises:
        InputError: It is no state dict, and there is none in it.
    """
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise InputError(
            f"{path} holds {type(content).__name__}, and a state dict (name -> tensor) is needed: "
            "torch.save(model.state_dict(), path)."
        )
    return content


def difference(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """Return how the names and shapes of `given` differ from `own`, or nothing."""
    missing, extra = sorted(own.keys() - given.keys()), sorted(given.keys() - own.keys())
    shapes = [
        f"{name} is {tuple(given[name].shape)} there, {tuple(own[name].shape)} here"
        for name in sorted(own.keys() & given.keys())
        if own[name].shape != given[name].shape
    ]
    if missing:
        return f"it lacks {_some(missing)}"
    if extra:
        return f"it has {_some(extra)} besides"
    return shapes[0] if shapes else ""


def fill(
    model: nn.Module, tensors: Mapping[str, Tensor], ignored: Iterable[str], given: str
) -> None:
    """Give `model` the `tensors` that bear its names.

    Tensors below the modules `ignored` (a classifier) are passed over. Names may all stand below
    one prefix, as in the checkpoint of a larger model, of which the rest is passed over.

    Args:
        model: Any network, on the meta device too.
        tensors: Name -> tensor.
        ignored: Modules that the file may hold and `model` does not.
        given: What the tensors are, for the message.

    Raises:
        InputError: Tensors are missing, of another shape, or there are others besides.
    """
    own = model.state_dict()
    found = {_OLD_DENSENET.sub(r"\1\2", name): tensor for name, tensor in tensors.items()}
    prefix = prefix_of(next(iter(own)), found)
    left_out = tuple(f"{name}." for name in ignored)
    found = {
        name.removeprefix(prefix): tensor
        for name, tensor in found.items()
        if name.startswith(prefix) and not name.removeprefix(prefix).startswith(left_out)
    }
    # Files older than torch 0.4.1 do not count batches, and nothing here needs the count.
    counts = [name for name in own if name.endswith(".num_batches_tracked") and name not in found]
    found.update({name: torch.tensor(0) for name in counts})
    if detail := difference(own, found):
        raise InputError(f"{given} does not fit: {detail}.")
    kept = {name: found[name].detach().to(own[name].dtype) for name in own}
    model.load_state_dict(kept, assign=True)


def prefix_of(name: str, found: Mapping[str, Tensor]) -> str:
    """Return what stands before `name` in the names of `found`."""
    if name in found:
        return ""
    longer = [other for other in found if other.endswith(f".{name}")]
    return min(longer, key=len, default=name).removesuffix(name)


def _some(names: list[str]) -> str:
    return f"{names[:3]}" + (f" and {len(names) - 3} more" if len(names) > 3 else "")
