"""Trained network from the arrays of a reader to probabilities or values."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dlp.datamodules import Encoder
from dlp.errors import InputError, reading
from dlp.modules.heads import Head
from dlp.modules.serialization import FORMAT, build, imported_class
from dlp.modules.weights import read_file


class Served(nn.Module):
    """Network between the arrays of a reader and the predictions of a head.

    Args:
        spec: `Encoder.spec` of the rows.
        network: Network that returns logits.
        head: Head of the network.
    """

    def __init__(self, spec: Mapping[str, Any], network: nn.Module, head: Head) -> None:
        super().__init__()
        self.encode: nn.Module = encoder_of(spec).module(spec)
        self.network = network
        self.head = head

    def forward(self, *arrays: Tensor) -> Tensor:
        """Return probabilities (N, C) or values (N, T)."""
        return self.head.predict(self.network(self.encode(*arrays)))

    @torch.no_grad()
    def run(self, arrays: list[Any]) -> Any:
        """Return the predictions of NumPy arrays."""
        return self(*map(torch.from_numpy, arrays)).numpy()


def load(
    path: Path, network: nn.Module | None = None, head: Head | None = None
) -> tuple[dict[str, Any], Served]:
    """Return the entry ``use`` of a checkpoint and its network."""
    content = read_file(path, "state_dict")
    with reading(path, "a checkpoint"):
        entry = content.get("use", {})
        if entry.get("format") != FORMAT:
            raise InputError(f"{path} has no entry use of this version; train it anew by dlp fit.")
        with torch.device("meta"):  # no random numbers to overwrite
            network = network or build(entry["network"], "network")
            head = head or build(entry["head"], "head")
        weights = content["state_dict"]  # with the versions of its modules
        for name in list(weights):
            if not name.startswith(("network.", "head.")):
                del weights[name]
        nn.ModuleDict({"network": network, "head": head}).load_state_dict(weights, assign=True)
        # Weights of --trainer.precision 64-true or bf16-true are so in the file.
        return entry, Served(entry["inputs"], network.float(), head.float()).eval()


def encoder_of(spec: Mapping[str, Any]) -> type[Encoder]:
    """Return the encoder that a spec names: one of dlp's, or one that the program has imported.

    A spec of version 1.0 names the kind alone.
    """
    path = spec.get("encoder", f"dlp.datamodules.{spec['kind'].title()}Encoder")
    encoder: type[Encoder] | None = imported_class(path, Encoder, "dlp.datamodules")
    if encoder is None:
        raise InputError(
            f"the rows are encoded by {path}, whose code a file cannot bring; import "
            f"{path.rpartition('.')[0]} first."
        )
    return encoder
