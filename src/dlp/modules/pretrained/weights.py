"""Pretrained weights: torchvision's by name, or a file of one's own."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
import torchvision
from torch import Tensor

from dlp.errors import InputError, MissingInputError, suggestion
from dlp.modules.state_dicts import DAMAGED, read_state_dict, tensors_of


def published_weights(name: str, weights: str | os.PathLike[str] | None) -> Any | None:
    """Return torchvision's entry that `weights` names for the network `name`, None for a path.

    Its ``url``, ``transforms`` and ``meta`` can be read without a download.
    """
    members = torchvision.models.get_model_weights(name).__members__
    return members.get(str(weights).rsplit("Weights.")[-1])


def default_weights(name: str) -> Any:
    """Return torchvision's default entry for the network `name`."""
    return torchvision.models.get_model_weights(name).DEFAULT


def weights_at_hand(name: str, weights: str | os.PathLike[str] | None) -> bool:
    """Whether `weights` of the network `name` can be loaded without a download."""
    if weights is None:
        return True
    entry = published_weights(name, weights)
    return Path(weights).is_file() if entry is None else _hub_file(entry.url).is_file()


def check_weights(name: str, weights: str | os.PathLike[str]) -> None:
    """Raise `InputError` if `weights` is neither a name for the network `name` nor a file."""
    path = Path(weights)
    if published_weights(name, weights) is not None or path.is_file():
        return
    if path.suffix or len(path.parts) > 1:
        raise MissingInputError(f"there is no file of weights {path}.")
    names = list(torchvision.models.get_model_weights(name).__members__)
    raise InputError(
        f"unknown weights {str(weights)!r} of {name}.{suggestion(str(weights), names)} Accepted: "
        f"{', '.join(names)}, the path of a state dict, or null for random weights."
    )


def read_weights(name: str, weights: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Return the tensors of a weights name or file, as they are there.

    Names are downloaded once, to the folder of ``torch.hub``, and checked by their hash.

    Raises:
        InputError: It is no weights name and no file, the download failed, or the file does not
            hold tensors.
    """
    check_weights(name, weights)
    entry = published_weights(name, weights)
    if entry is None:
        return read_state_dict(weights)
    path = _hub_file(entry.url)
    try:
        content = entry.get_state_dict(check_hash=True, weights_only=True, map_location="cpu")
    except (OSError, *DAMAGED) as error:
        if path.is_file():
            raise InputError(f"{path} is damaged: delete it, and run again.") from error
        raise InputError(
            f"cannot download {entry.url} ({getattr(error, 'reason', error)}). On a machine with "
            f"network, download it and copy it to {path} here, or give its path as weights."
        ) from error
    return tensors_of(content, path)


def _hub_file(url: str) -> Path:
    return Path(torch.hub.get_dir(), "checkpoints", Path(urlparse(url).path).name)
