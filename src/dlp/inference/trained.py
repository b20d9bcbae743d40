"""Trained network from the plain arrays of `dlp.inference.reader` to probabilities or values."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dlp.errors import InputError
from dlp.modules.heads import Head
from dlp.modules.serialization import FORMAT, build
from dlp.modules.weights import read_file


class Columns(nn.Module):
    """Numbers and codes of a table as the matrix that `TableEncoder` makes, float32 (N, D)."""

    fill: Tensor
    shift: Tensor
    scale: Tensor

    def __init__(self, inputs: Mapping[str, Any]) -> None:
        super().__init__()
        scales = [*inputs["scales"].values()]
        for name in ("fill", "shift", "scale"):
            values = torch.tensor([scale[name] for scale in scales], dtype=torch.float64)
            self.register_buffer(name, values, persistent=False)
        names = [*dict.fromkeys([*inputs["scales"], *inputs["indicators"]])]
        self.indicators = [names.index(name) for name in inputs["indicators"]]
        self.is_zero_filled = inputs["missing"] == "zero"
        self.num_categories = [len(texts) for texts in inputs["categories"].values()]
        self.sources = [*range(len(scales))]  # columns with quantiles stand at the end
        for number, scale in enumerate(scales):
            if scale["quantiles"]:
                self.sources[number] = len(names)
                names.append("")
        edges = [torch.tensor(scale["edges"], dtype=torch.float64) for scale in scales]
        self.edges = {number: e for number, e in enumerate(edges) if len(e)}

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """Return float32 (N, D) of numbers, float64 (N, K), and codes, int64 (N, C)."""
        is_missing = numbers.isnan()
        is_hole = is_missing[:, : len(self.fill)]
        filled = torch.where(is_hole, self.fill, numbers[:, : len(self.fill)])
        values = torch.cat([filled, numbers[:, len(self.fill) :]], dim=1)[:, self.sources]
        scaled = ((values - self.shift) / self.scale).float()
        if self.is_zero_filled:
            scaled = scaled.masked_fill(is_hole, 0)
        one_hot = [
            (codes[:, place, None] == torch.arange(count)).float()
            for place, count in enumerate(self.num_categories)
        ]
        bins = [
            ((filled[:, place, None] - edges[:-1]) / edges.diff()).clamp(0, 1).float()
            for place, edges in self.edges.items()
        ]
        return torch.cat([scaled, is_missing[:, self.indicators].float(), *one_hot, *bins], dim=1)


class Standardised(nn.Module):
    """Arrays, float64 (N, ...), as the float32 that `ArrayEncoder` makes."""

    def __init__(self, inputs: Mapping[str, Any]) -> None:
        super().__init__()
        mean, std = inputs.get("mean", []), inputs.get("std", [])
        self.mean = torch.tensor(mean, dtype=torch.float64)
        self.std = torch.tensor(std, dtype=torch.float64)

    def forward(self, array: Tensor) -> Tensor:
        """Return float32 (N, ...)."""
        return ((array - self.mean) / self.std if len(self.mean) else array).float()


class Pixels(nn.Module):
    """Images, uint8 (N, H, W, C), as float32 (N, C, H, W) in [0, 1]."""

    def __init__(self, inputs: Mapping[str, Any]) -> None:
        super().__init__()

    def forward(self, images: Tensor) -> Tensor:
        """Return float32 (N, C, H, W)."""
        return images.permute(0, 3, 1, 2).float() / 255


_INPUTS = {"text": nn.Identity, "table": Columns, "image": Pixels, "array": Standardised}


class Served(nn.Module):
    """Network between the arrays of a reader and the predictions of a head.

    Args:
        inputs: Entry ``use["inputs"]`` of the checkpoint.
        network: Network that returns logits.
        head: Head of the network.
    """

    def __init__(self, inputs: Mapping[str, Any], network: nn.Module, head: Head) -> None:
        super().__init__()
        self.inputs: nn.Module = _INPUTS[inputs["kind"]](inputs)
        self.network, self.head = network, head

    def forward(self, *arrays: Tensor) -> Tensor:
        """Return probabilities (N, C) or values (N, T)."""
        return self.head.predict(self.network(self.inputs(*arrays)))

    @torch.no_grad()
    def run(self, arrays: list[Any]) -> Any:
        """Return the predictions of NumPy arrays."""
        return self(*map(torch.from_numpy, arrays)).numpy()


def load(
    path: Path, network: nn.Module | None = None, head: Head | None = None
) -> tuple[dict[str, Any], Served]:
    """Return the entry ``use`` of a checkpoint and its network."""
    content = read_file(path, "state_dict")
    entry = content.get("use", {})
    if entry.get("format") != FORMAT:
        raise InputError(f"{path} has no entry use of this version; train it anew by dlp fit.")
    with torch.device("meta"):  # no random numbers to overwrite
        network = network or build(entry["network"], "network")
        head = head or build(entry["head"], "head")
    served = Served(entry["inputs"], network, head)
    weights = content["state_dict"]  # with the versions of its modules
    for name in [name for name in weights if not name.startswith(("network.", "head."))]:
        del weights[name]
    served.load_state_dict(weights, assign=True)
    return entry, served.eval()
